# SPDX-License-Identifier: Apache-2.0
"""How the CPU time of ``openstack unique serial audit`` grows with the number of servers.

Usage, with the Python of an environment that has the plugin:
python -m bench.scaling [--rounds N] [--plot FILE]

On synthetic clouds (``bench.fake_cloud``). What an empty cloud takes is no part of it. A straight
line through the logarithms, by least squares, has the exponent as its slope: 1 is proportional.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import math
import os
import statistics
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from openstackclient import shell

from bench.audit import AUDITED, servers_audited
from bench.fake_cloud import FakeCloud, Size
from bench.timing import in_turns

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LIMIT = 1.05
#: Runs of a small cloud for each one of a big one: they are short, and noise weighs more.
_SMALL, _OFTEN = 10_000, 5


def measure(rounds: int) -> dict[int, float]:
    """Return CPU seconds by size, the empty cloud's too.

    The command runs in this process, again and again: what it takes to load Python's modules
    is more than a small cloud takes, and varies by as much. Each figure is the lowest of all
    runs: whatever else the machine does only adds to it.
    """
    with ExitStack() as stack:
        jobs = {}
        for size in (0, *SIZES):
            fake = stack.enter_context(FakeCloud(Size(servers=size)))
            jobs[size] = partial(_lowest, fake.environment, size)
        costs = in_turns(jobs, rounds)
    return {size: min(costs[size]) for size in costs}


def _lowest(environment: Mapping[str, str], servers: int) -> float:
    return min(_run(environment, servers) for _ in range(_OFTEN if servers <= _SMALL else 1))


def _run(environment: Mapping[str, str], expected: int) -> float:
    """Audit a cloud in this process, and return the CPU seconds of that."""
    os.environ.update(environment)
    output, errors = io.StringIO(), io.StringIO()
    gc.collect()
    began = time.process_time()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = shell.main(["unique", "serial", "audit", "-f", "csv"])
    cost = time.process_time() - began
    if code not in AUDITED or servers_audited(errors.getvalue()) != expected:
        sys.exit(f"the audit of {expected:,} servers failed ({code}): {errors.getvalue().strip()}")
    return cost


def fit(points: Mapping[int, float]) -> tuple[float, float]:
    """Return exponent and factor of the power that fits best."""
    exponent, offset = statistics.linear_regression(
        [math.log(size) for size in points], [math.log(cost) for cost in points.values()]
    )
    return exponent, math.exp(offset)


# --- the figure -------------------------------------------------------------

_WIDTH, _HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 36, 56, 52
# Colours that can be read on white and on black.
_STYLE = """
text { font: 13px sans-serif; fill: #7b7b7b; }
.title { font-size: 15px; font-weight: bold; }
.grid { stroke: #7b7b7b; stroke-opacity: 0.25; }
.frame { fill: none; stroke: #7b7b7b; }
.fit { stroke: #d0743c; stroke-width: 2; stroke-dasharray: 7 4; }
.point { fill: #3f87c9; }
"""


def plot(points: Mapping[int, float], exponent: float, factor: float) -> str:
    """Return the points and the line as SVG, both axes logarithmic."""
    columns = _decades(points.keys())
    rows = _decades(points.values())

    def place(servers: float, seconds: float) -> tuple[str, str]:
        across = math.log10(servers / columns[0]) / math.log10(columns[-1] / columns[0])
        up = math.log10(seconds / rows[0]) / math.log10(rows[-1] / rows[0])
        horizontal = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
        vertical = _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)
        return f"{horizontal:.1f}", f"{vertical:.1f}"

    left, bottom = place(columns[0], rows[0])
    right, top = place(columns[-1], rows[-1])
    summary = f"CPU time grows as servers to the power of {exponent:.2f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-labelledby="title">',
        f'<title id="title">{summary}</title>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{left}" y="22">Client CPU time of an audit</text>',
        f'<text x="{left}" y="42">{summary} (1 is proportional)</text>',
    ]
    for column in columns:
        across, _ = place(column, rows[0])
        parts.append(f'<line class="grid" x1="{across}" y1="{bottom}" x2="{across}" y2="{top}"/>')
        parts.append(_label(across, _HEIGHT - _BOTTOM + 20, f"{column:,.0f}", "middle"))
    for row in rows:
        _, up = place(columns[0], row)
        parts.append(f'<line class="grid" x1="{left}" y1="{up}" x2="{right}" y2="{up}"/>')
        parts.append(_label(_LEFT - 8, float(up) + 4, f"{row:g} s", "end"))
    parts.append(
        f'<path class="frame" d="M{left} {top} V{bottom} H{right}"/>'
        + _label(f"{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}", _HEIGHT - 12, "servers", "middle")
    )
    (x1, y1), (x2, y2) = (
        place(size, factor * size**exponent) for size in (min(points), max(points))
    )
    parts.append(f'<line class="fit" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    for size, cost in points.items():
        across, up = place(size, cost)
        parts.append(
            f'<circle class="point" cx="{across}" cy="{up}" r="4.5">'
            f"<title>{size:,} servers: {cost:.2f} s</title></circle>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _decades(values: Collection[float]) -> list[float]:
    """Return the powers of ten that enclose values."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(first, last + 1)]


def _label(across: object, up: object, text: str, anchor: str) -> str:
    return f'<text x="{across}" y="{up}" text-anchor="{anchor}">{text}</text>'


def main() -> int:
    """Measure, and exit 1 over the limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scaling", description="How the cost of an audit grows."
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it into an SVG file")
    args = parser.parse_args()
    costs = measure(args.rounds)
    empty = costs.pop(0)
    points = {size: cost - empty for size, cost in costs.items()}
    print(f"empty cloud: CPU {empty:.2f} s, the lowest of {args.rounds} rounds in turns")
    for size, cost in points.items():
        print(f"{size:,} servers: {cost:.3f} s more, {cost / size * 1e6:.1f} us a server")
    if min(points.values()) <= 0:
        print("too noisy: a cloud with servers took no more than the empty one")
        return 1
    exponent, factor = fit(points)
    print(f"exponent {exponent:.3f} (limit {LIMIT})")
    # What any server at all costs once makes the small clouds dear, and the line flat.
    big, _factor = fit({size: cost for size, cost in points.items() if size >= _SMALL})
    print(f"from {_SMALL:,} servers on: exponent {big:.3f} (no limit)")
    if args.plot:
        args.plot.write_text(plot(points, exponent, factor))
    return int(exponent > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
