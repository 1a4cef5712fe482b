# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan`` against an audit and a list of the same synthetic cloud.

Usage, with the Python of an environment that has the plugin:
python -m bench.plan [--rounds N] [--servers N]

CPU time and memory of the client. The desired state changes every flavor and image, and what every
host would be: nearly every server has another serial number. With --servers the plan prints 1.8
rows for each server, and ``list`` prints one. Each server is compared with 1,000 entries of
servers too, which none of them fits.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.audit import Job, audit, in_turns
from bench.fake_cloud import FakeCloud, Size
from bench.timing import median

#: CPU time of a plan against that of an audit, and with --servers against that of a list.
LIMIT_CPU, LIMIT_SERVERS = 1.2, 1.5
#: What ten times the servers may add to the peak of memory.
LIMIT_MB = 30.0
_OPENSTACK = str(Path(sys.executable).parent / "openstack")
_DESIRED = """\
flavors: [{glob: '*', unique_serial: false}]
images: [{glob: '*', any_owner: true, unique_serial: false}]
hosts: [{glob: '*', mode: os}]
servers:
"""
#: What entries of servers are selected by, in turns, and how many entries there are.
_SELECTORS = ("id: '{}'", "project: '{}'", "glob: 'licensed-{}-*', any_owner: true")
_ENTRIES = 1_000


def desired() -> str:
    """Return the file of the plan."""
    selectors = itertools.islice(itertools.cycle(_SELECTORS), _ENTRIES)
    return _DESIRED + "".join(
        f"- {{{selector.format(f'{number:032}')}, unique_serial: true}}\n"
        for number, selector in enumerate(selectors)
    )


def rows(environment: Mapping[str, str], least: int, *words: str, code: int) -> Job:
    """Return a command that prints at least this many rows."""

    def read(output: str, _errors: str) -> int:
        return least if output.count("\n") > least and '"unread"' not in output else -1

    command = [_OPENSTACK, "unique", "serial", *words, "-f", "csv"]
    return Job(command, read, environment, (code,))


def main() -> int:
    """Measure, and exit 1 over a limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.plan", description="What a plan costs, as ratios."
    )
    parser.add_argument("--servers", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    small = args.servers // 10
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "desired.yaml"
        file.write_text(desired())
        jobs: dict[str, Job] = {}
        expected: dict[str, int] = {}
        for size in (small, args.servers):
            env = stack.enter_context(FakeCloud(Size(servers=size))).environment
            # Of flavors, images and hosts, and of most servers.
            few, many = 100, size // 2
            for name, job, number in (
                ("audit", audit(env), size),
                ("plan", rows(env, few, "plan", str(file), code=3), few),
                ("plan --servers", rows(env, many, "plan", "--servers", str(file), code=3), many),
                ("list", rows(env, many, "list", "--all-projects", code=0), many),
            ):
                jobs[f"{name} of {size:,}"], expected[f"{name} of {size:,}"] = job, number
        costs = {name: median(runs) for name, runs in in_turns(jobs, expected, args.rounds).items()}
    for name, cost in costs.items():
        print(f"{name}: CPU {cost.cpu:.2f} s, peak {cost.peak / 1024:.1f} MiB")
    all_of = f"of {args.servers:,}"
    ok = True
    for name, other, limit in (
        ("plan", "audit", LIMIT_CPU),
        ("plan --servers", "list", LIMIT_SERVERS),
    ):
        ratio = costs[f"{name} {all_of}"].cpu / costs[f"{other} {all_of}"].cpu
        # ru_maxrss is in KiB, the limit in MB.
        more = (costs[f"{name} {all_of}"].peak - costs[f"{name} of {small:,}"].peak) * 1024 / 1e6
        print(f"CPU of {name} against {other}: {ratio:.3f} (limit {limit})")
        print(
            f"peak of memory of {name} over that of {small:,} servers: {more:.1f} MB"
            f" (limit {LIMIT_MB:.0f})"
        )
        ok = ok and ratio <= limit and more <= LIMIT_MB
    print(f"medians of {args.rounds} rounds in turns")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
