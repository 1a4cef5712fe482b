# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan --servers`` against an audit of the same synthetic cloud.

Usage, with the Python of an environment that has the plugin:
python -m bench.plan [--rounds N] [--servers N]

CPU time and memory of the client. The desired state changes every flavor and image, and what every
host would be. What an empty cloud takes is no part of the CPU time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.audit import Job, audit, in_turns
from bench.fake_cloud import FakeCloud, Size
from bench.timing import median

#: CPU time of a plan against that of an audit.
LIMIT_CPU = 1.2
#: What ten times the servers may add to the peak of memory.
LIMIT_MB = 30.0
_OPENSTACK = str(Path(sys.executable).parent / "openstack")
_DESIRED = """\
flavors: [{glob: '*', unique_serial: false}]
images: [{glob: '*', any_owner: true, unique_serial: false}]
hosts: [{glob: '*', mode: os}]
"""


def plan(environment: Mapping[str, str], file: Path, servers: int) -> Job:
    """Return the plan of a cloud with this many servers, most of which it must reach."""
    words = [_OPENSTACK, "unique", "serial", "plan", "--servers", "-f", "csv", str(file)]

    def read(output: str, _errors: str) -> int:
        rows = output.count("\n") - 1
        return servers if rows >= servers // 2 and '"unread"' not in output else -1

    return Job(words, read, environment, (3,))


def main() -> int:
    """Measure, and exit 1 over a limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.plan", description="What a plan costs, as ratios."
    )
    parser.add_argument("--servers", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    sizes = (0, args.servers // 10, args.servers)
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "desired.yaml"
        file.write_text(_DESIRED)
        jobs: dict[str, Job] = {}
        expected: dict[str, int] = {}
        for size in sizes:
            fake = stack.enter_context(FakeCloud(Size(servers=size)))
            for name, job in (
                ("audit", audit(fake.environment)),
                ("plan", plan(fake.environment, file, size)),
            ):
                jobs[f"{name} of {size:,}"], expected[f"{name} of {size:,}"] = job, size
        costs = {name: median(runs) for name, runs in in_turns(jobs, expected, args.rounds).items()}
    for name, cost in costs.items():
        print(f"{name}: CPU {cost.cpu:.2f} s, peak {cost.peak / 1024:.1f} MiB")
    net = {
        name: costs[f"{name} of {args.servers:,}"].cpu - costs[f"{name} of 0"].cpu
        for name in ("audit", "plan")
    }
    ratio = net["plan"] / net["audit"]
    # ru_maxrss is in KiB, the limit in MB.
    peaks = [costs[f"plan of {size:,}"].peak for size in sizes[1:]]
    more = (peaks[1] - peaks[0]) * 1024 / 1e6
    print(
        f"CPU of the plan against the audit, each without that of an empty cloud: {ratio:.3f}"
        f" (limit {LIMIT_CPU})"
    )
    print(f"peak of memory over that of {sizes[1]:,} servers: {more:.1f} MB (limit {LIMIT_MB:.0f})")
    print(f"medians of {args.rounds} rounds in turns")
    return 0 if ratio <= LIMIT_CPU and more <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
