# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit`` against the least that reading the same cloud takes.

Usage, with the Python of an environment that has the plugin:
python -m bench.audit cloud [--rounds N] [--max-workers N ...]
python -m bench.audit client [--rounds N] [--servers N]
python -m bench.audit workers [--rounds N] [--servers N] [--delay MS]

``cloud``: wall time on the cloud of OS_CLOUD, where Nova takes most of it, against bare GETs
(``bench.read_pages``) and against ``openstack server list``.

``client``: CPU time and memory of the client, on synthetic clouds (``bench.fake_cloud``), which
cost nothing. What an empty cloud takes is no part of it.

``workers``: wall time with more requests at the same time, on a synthetic cloud that takes its
time for each page, but not longer for several at once.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import timing
from bench.fake_cloud import FakeCloud, Size
from bench.timing import Run, against, median

#: Wall time on a cloud against bare GETs, and against ``server list``.
LIMIT_PAGES, LIMIT_LIST = 1.15, 0.5
#: CPU time of the client against bare GETs that parse JSON.
LIMIT_CPU = 1.5
#: What ten times the servers may add to the peak of memory.
LIMIT_MB = 30.0
_WORKERS = (1, 2, 4, 8)
_OPENSTACK = str(Path(sys.executable).parent / "openstack")
#: Exit codes of an audit that went to its end.
AUDITED = (0, 3, 4)


@dataclasses.dataclass(frozen=True)
class Job:
    """A command, and how to tell from what it prints how many servers it has read.

    :ivar good: its exit codes that are no failure
    """

    words: Sequence[str]
    servers: Callable[[str, str], int]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    good: Sequence[int] = (0,)

    def run(self, expected: int | None = None) -> tuple[Run, int]:
        """Run it, and return what it cost and how many servers it has read.

        :param expected: how many that must be
        """
        run, said, warned = timing.run(self.words, self.environment, self.good)
        servers = self.servers(said, warned)
        if expected not in (None, servers):
            sys.exit(f"{' '.join(self.words)} read {servers} servers, not {expected}")
        return run, servers


def audit(environment: Mapping[str, str] | None = None, workers: int | None = None) -> Job:
    """Return the audit, of the cloud that an environment leads to."""
    words = [_OPENSTACK, "unique", "serial", "audit", "-f", "csv"]
    if workers:
        words.append(f"--max-workers={workers}")
    return Job(words, lambda _output, errors: servers_audited(errors), environment or {}, AUDITED)


def servers_audited(errors: str) -> int:
    """Read the line on coverage; ``about`` in it stands for servers that were not read."""
    found = re.search(r" of ([\d,]+) servers checked", errors)
    if not found:
        sys.exit(f"the audit has not read every server: {errors.strip()}")
    return int(found[1].replace(",", ""))


def read_pages(environment: Mapping[str, str] | None = None, *, parse: bool) -> Job:
    """Return the bare GETs."""
    words = [sys.executable, "-m", "bench.read_pages", *(["--parse"] if parse else [])]
    return Job(words, lambda output, _errors: int(output), environment or {})


def _server_list() -> Job:
    words = [_OPENSTACK, "server", "list", "--all-projects", "--long", "-n", "-f", "csv"]
    return Job(words, lambda output, _errors: len(list(csv.reader(output.splitlines(True)))) - 1)


def in_turns(
    jobs: Mapping[str, Job], expected: Mapping[str, int], rounds: int, *, warm: bool = False
) -> dict[str, list[Run]]:
    """Run jobs in turns as ``timing.in_turns`` does, and return what each cost.

    :param expected: how many servers each must read
    """
    done = timing.in_turns(
        {name: partial(job.run, expected[name]) for name, job in jobs.items()}, rounds, warm=warm
    )
    return {name: [run for run, _servers in runs] for name, runs in done.items()}


def _on_cloud(args: argparse.Namespace) -> bool:
    pages, listed = "bare GETs", "server list"
    jobs = {pages: read_pages(parse=False), listed: _server_list()}
    audits = {
        f"audit --max-workers={number}" if number else "audit": audit(workers=number)
        for number in args.max_workers or (None,)
    }
    jobs.update(audits)
    # This warms Nova's caches; a whole round for that would take minutes.
    _run, servers = jobs[pages].run()
    runs = in_turns(jobs, dict.fromkeys(jobs, servers), args.rounds, warm=True)
    print(f"{servers:,} servers, medians of {args.rounds} rounds in turns")
    for name in jobs:
        cost = median(runs[name])
        print(f"{name}: wall {cost.wall:.2f} s, CPU {cost.cpu:.2f} s")
    good = True
    for name in audits:
        for baseline, limit in ((pages, LIMIT_PAGES), (listed, LIMIT_LIST)):
            print(f"{name} against {baseline}: ", end="")
            good &= against(runs[name], runs[baseline], limit)
    return good


def _of_client(args: argparse.Namespace) -> bool:
    sizes = (0, args.servers // 10, args.servers)
    jobs: dict[str, Job] = {}
    expected: dict[str, int] = {}
    with ExitStack() as stack:
        for size in sizes:
            fake = stack.enter_context(FakeCloud(Size(servers=size)))
            jobs[f"audit of {size:,}"] = audit(fake.environment)
            jobs[f"GETs of {size:,}"] = read_pages(fake.environment, parse=True)
            expected.update(dict.fromkeys(list(jobs)[-2:], size))
        runs = in_turns(jobs, expected, args.rounds)
    costs = {name: median(runs[name]) for name in jobs}
    for name, cost in costs.items():
        print(
            f"{name}: wall {cost.wall:.2f} s, CPU {cost.cpu:.2f} s, peak {cost.peak / 1024:.1f} MiB"
        )
    none, some, all_ = (f"{size:,}" for size in sizes)
    net = {
        what: costs[f"{what} of {all_}"].cpu - costs[f"{what} of {none}"].cpu
        for what in ("audit", "GETs")
    }
    ratio = net["audit"] / net["GETs"]
    # ru_maxrss is in KiB, the limit in MB.
    more = (costs[f"audit of {all_}"].peak - costs[f"audit of {some}"].peak) * 1024 / 1e6
    print(
        f"CPU of the audit of {all_} servers against bare GETs that parse JSON, each without that"
        f" of an empty cloud: {ratio:.3f} (limit {LIMIT_CPU}); {net['audit']:.2f} s,"
        f" {net['GETs']:.2f} s"
    )
    print(f"peak of memory over that of {some} servers: {more:.1f} MB (limit {LIMIT_MB:.0f} MB)")
    print(f"medians of {args.rounds} rounds in turns")
    return ratio <= LIMIT_CPU and more <= LIMIT_MB


def _with_workers(args: argparse.Namespace) -> bool:
    with FakeCloud(Size(servers=args.servers), delay=args.delay) as fake:
        jobs = {str(number): audit(fake.environment, number) for number in _WORKERS}
        runs = in_turns(jobs, dict.fromkeys(jobs, args.servers), args.rounds)
    print(
        f"{args.servers:,} servers, {args.delay:.0f} ms for each 1,000,"
        f" medians of {args.rounds} rounds in turns"
    )
    first, *others = jobs
    print(f"--max-workers={first}: wall {median(runs[first]).wall:.2f} s")
    walls = [median(runs[name]).wall for name in jobs]
    for name in others:
        print(f"--max-workers={name} against {first}: ", end="")
        against(runs[name], runs[first], None)
    good = all(more < fewer for fewer, more in itertools.pairwise(walls))
    print("more are faster each time" if good else "more are not faster each time")
    return good


def main() -> int:
    """Measure, and exit 1 over a limit."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.audit", description="What an audit costs, as ratios."
    )
    modes = parser.add_subparsers(metavar="MODE", required=True)
    cloud = modes.add_parser("cloud", help="wall time on the cloud of OS_CLOUD")
    cloud.add_argument("--max-workers", type=int, nargs="+", metavar="N", help="audit with each")
    cloud.set_defaults(measure=_on_cloud)
    client = modes.add_parser("client", help="CPU time and memory, on synthetic clouds")
    client.add_argument("--servers", type=int, default=100_000, metavar="N")
    client.set_defaults(measure=_of_client)
    workers = modes.add_parser("workers", help="wall time with more requests at the same time")
    workers.add_argument("--servers", type=int, default=20_000, metavar="N")
    workers.add_argument("--delay", type=float, default=1000.0, metavar="MS")
    workers.set_defaults(measure=_with_workers)
    for mode in modes.choices.values():
        mode.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    return 0 if args.measure(args) else 1


if __name__ == "__main__":
    sys.exit(main())
