# SPDX-License-Identifier: Apache-2.0
"""Time commands side by side, so that a noisy machine is noisy for both."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Command = Sequence[object]


class Sample(NamedTuple):
    """One run of a command, in seconds."""

    wall: float
    cpu: float


def run_once(command: Command, environment: Mapping[str, str]) -> Sample:
    """Run a command that must succeed and return what it cost."""
    before = os.times()
    began = time.perf_counter()
    subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )
    wall = time.perf_counter() - began
    after = os.times()
    cpu = (
        after.children_user - before.children_user + after.children_system - before.children_system
    )
    return Sample(wall, cpu)


def compare(
    title: str,
    baseline: Command,
    candidate: Command,
    *,
    environment: Mapping[str, str],
    limit: float,
    runs: int,
) -> bool:
    """Run both commands in turns and print the candidate's cost as ratios.

    :param limit: largest ratio of the medians of wall time that is good
    :returns: whether it is within the limit
    """
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for number in range(runs + 1):
        # In turns, and each first in half of the rounds.
        order = ((0, baseline), (1, candidate))
        for which, command in order if number % 2 else reversed(order):
            sample = run_once(command, environment)
            if number:  # the first round warms the caches
                samples[which].append(sample)
    wall = [statistics.median(sample.wall for sample in side) for side in samples]
    cpu = [statistics.median(sample.cpu for sample in side) for side in samples]
    ratio = wall[1] / wall[0]
    print(
        f"{title}: wall {ratio:.3f} (limit {limit}), CPU {cpu[1] / cpu[0]:.3f};"
        f" baseline {wall[0]:.2f} s, candidate {wall[1]:.2f} s,"
        f" medians of {runs} runs in turns"
    )
    return ratio <= limit
