# SPDX-License-Identifier: Apache-2.0
"""Time commands side by side, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from bench import measured
from devcloud.layout import SOURCE_ROOT

Command = Sequence[object]
Name = TypeVar("Name")
Cost = TypeVar("Cost")


class Run(NamedTuple):
    """What one run of a command cost: seconds, seconds and KiB."""

    wall: float
    cpu: float
    peak: float


def run(
    command: Command, environment: Mapping[str, str], good: Collection[int] = (0,)
) -> tuple[Run, str, str]:
    """Run a command, and return what it cost and what it printed, to each stream.

    :param good: the exit codes that are no failure
    """
    words = [str(word) for word in command]
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        tempfile.NamedTemporaryFile("r") as cost,
    ):
        subprocess.run(
            [sys.executable, "-I", "-S", measured.__file__, cost.name, *words],
            cwd=SOURCE_ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            check=True,
        )
        wall, cpu, peak, code = map(float, cost.read().split())
        output.seek(0)
        errors.seek(0)
        said, warned = output.read(), errors.read()
    if code not in good:
        sys.exit(f"{' '.join(words)} failed ({code:.0f}): {warned.strip()}")
    return Run(wall, cpu, peak), said, warned


def in_turns(
    jobs: Mapping[Name, Callable[[], Cost]], rounds: int, *, warm: bool = False
) -> dict[Name, list[Cost]]:
    """Run every job once a round, each round in the other order, and return what each cost.

    :param warm: whether caches are warm; else a round before the others warms them
    """
    costs: dict[Name, list[Cost]] = {name: [] for name in jobs}
    for number in range(int(warm), rounds + 1):
        for name in list(jobs) if number % 2 else list(jobs)[::-1]:
            cost = jobs[name]()
            if number:
                costs[name].append(cost)
    return costs


def median(runs: Sequence[Run]) -> Run:
    """Return the median of each cost."""
    return Run(*(statistics.median(costs) for costs in zip(*runs, strict=True)))


def against(candidate: Sequence[Run], baseline: Sequence[Run], limit: float | None) -> bool:
    """Print a ratio of wall times, with its spread, and tell whether it is within the limit."""
    ratio = median(candidate).wall / median(baseline).wall
    by_round = [one.wall / other.wall for one, other in zip(candidate, baseline, strict=True)]
    allowed = f"limit {limit}; " if limit else ""
    print(f"wall {ratio:.3f} ({allowed}by round {min(by_round):.3f} to {max(by_round):.3f})")
    return limit is None or ratio <= limit


def compare(
    title: str,
    baseline: Command,
    candidate: Command,
    *,
    limit: float,
    runs: int,
) -> bool:
    """Run both commands in turns and print the candidate's cost as ratios.

    :param limit: largest ratio of the medians of wall time that is good
    :returns: whether it is within the limit
    """
    commands = {"baseline": baseline, "candidate": candidate}
    done = in_turns({name: partial(run, words, {}) for name, words in commands.items()}, runs)
    before, after = (median([cost for cost, *_output in each]) for each in done.values())
    ratio = after.wall / before.wall
    print(
        f"{title}: wall {ratio:.3f} (limit {limit}), CPU {after.cpu / before.cpu:.3f};"
        f" baseline {before.wall:.2f} s, candidate {after.wall:.2f} s,"
        f" medians of {runs} runs in turns"
    )
    return ratio <= limit
