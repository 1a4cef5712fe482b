# SPDX-License-Identifier: Apache-2.0
"""What the HTML report adds to an audit, on a synthetic cloud.

Usage, with the Python of an environment that has the plugin and its extra ``reports``:
python -m bench.report [--rounds N] [--servers N]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

from bench.audit import audit, in_turns
from bench.fake_cloud import FakeCloud, Size
from bench.timing import median

#: CPU time of the client with a report against that without one, and megabytes of a report.
LIMIT_CPU, LIMIT_MB = 1.10, 5.0


def main() -> int:
    """Measure, and exit 1 over a limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description="What the HTML report costs."
    )
    parser.add_argument("--servers", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="default: 9")
    args = parser.parse_args()
    with FakeCloud(Size(servers=args.servers)) as fake, tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        bare = audit(fake.environment)
        jobs = {
            "audit": bare,
            "audit with a report": dataclasses.replace(
                bare, words=[*bare.words, f"--report=html={page}"]
            ),
        }
        runs = in_turns(jobs, dict.fromkeys(jobs, args.servers), args.rounds)
        size = page.stat().st_size / 1e6
    print(f"{args.servers:,} servers, medians of {args.rounds} rounds in turns")
    for name in jobs:
        cost = median(runs[name])
        print(f"{name}: wall {cost.wall:.2f} s, CPU {cost.cpu:.2f} s, {cost.peak / 1024:.1f} MiB")
    ratio = median(runs["audit with a report"]).cpu / median(runs["audit"]).cpu
    print(f"CPU with a report against that without: {ratio:.3f} (limit {LIMIT_CPU})")
    print(f"the report: {size:.2f} MB (limit {LIMIT_MB:.0f} MB)")
    return 0 if ratio <= LIMIT_CPU and size <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
