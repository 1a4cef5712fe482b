# SPDX-License-Identifier: Apache-2.0
"""The report as one self-contained HTML file, without scripts and network access."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from osc_uniqserial.checks.check import Check
from osc_uniqserial.effective.counts import HostCounts
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.policy import HostMode, SerialSource
from osc_uniqserial.reports import baseline
from osc_uniqserial.reports.baseline import Assessed, Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.reports.template import environment
from osc_uniqserial.text import counted

#: Limits that keep the file small: hosts on the map, rows of a table, findings of a group. The
#: rest is counted.
_TILES, _ROWS, _IN_GROUP = 5_000, 1_000, 100
#: The most groups, and the most findings of all groups.
_GROUPS, _MEMBERS = 300, 2_000
#: Placeholders in a command.
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")
_STYLES = {
    Severity.HIGH: "bad",
    Severity.MEDIUM: "warn",
    Severity.LOW: "info",
    Severity.INFO: "none",
    Severity.UNCHECKED: "none",
}
#: Label and style of each serial source.
_SOURCES = {
    SerialSource.INSTANCE_UUID: ("own UUID", "good"),
    SerialSource.HOST_OS: ("host: machine ID", "bad"),
    SerialSource.HOST_HARDWARE: ("host: hardware UUID", "bad"),
    SerialSource.HOST_AUTO: ("host: auto", "bad"),
    SerialSource.ABSENT: ("none", "none"),
    SerialSource.UNKNOWN: ("unknown", "warn"),
}
#: Style and label of each kind of host on the map, the worst first.
_KINDS = {
    "shared": ("bad", "hosts where servers share a serial number"),
    "shown": ("warn", "hosts where one server shows the host's"),
    "unknown": ("none", "hosts where it is unknown"),
    "own": ("good", "hosts where no server shares one"),
    "empty": ("empty", "hosts without servers"),
}
#: Label, count and style of a chart's bar.
_Bar = tuple[str, int, str]


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """Findings with one check and one remedy.

    :ivar sentence: the remedy in words; empty when it is only the command
    :ivar shown: the first findings
    :ivar left: number of the other findings
    """

    check: Check
    sentence: str
    commands: Sequence[str]
    shown: Sequence[Assessed]
    left: int


def render(run: Run) -> bytes:
    """Return the page."""
    made = environment()
    made.filters["parts"] = _parts
    kinds = _by_kind(run.hosts)
    standings = baseline.standings(run.assessed)
    found_ids = {each.finding.id for each in run.assessed}
    return (
        made.get_template("page.html.j2")
        .render(
            run=run,
            cloud=run.label,
            verdict=_verdict(run),
            own=SerialSource.INSTANCE_UUID,
            standings={each.value: standings[each] for each in Standing},
            charts={
                "Hosts by mode": _hosts_by_mode(run.hosts),
                "Servers by serial source": _servers_by_source(run),
            },
            kinds=_KINDS,
            hosts=kinds,
            tiles=[(host, kind) for kind in _KINDS for host in kinds[kind]][:_TILES],
            used=[host for kind in _KINDS if kind != "empty" for host in kinds[kind]],
            rows=_ROWS,
            styles=_STYLES,
            sources=_SOURCES,
            host_sources=HOST_SOURCES,
            groups=_groups(run, run.findings()),
            unchecked=_groups(run, run.unchecked()),
            accepted=run.accepted(),
            most_unmet=_IN_GROUP,
            found=[check for id_, check in run.checks.items() if id_ in found_ids],
        )
        .encode()
    )


def _parts(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield the paragraphs and the blocks of commands of a text; True for commands."""
    for is_code, lines in itertools.groupby(
        text.splitlines(), lambda line: line.startswith("    ")
    ):
        yield is_code, [line.strip() for line in lines]


def _verdict(run: Run) -> tuple[str, str]:
    """Return the style and the text of the banner."""
    counts = Counter(each.finding.severity for each in run.findings())
    if counts:
        found = [severity for severity in Severity if counts[severity]]
        parts = ", ".join(f"{counts[severity]:,} {severity.value}" for severity in found)
        new = " that the baseline does not accept" if run.baseline else ""
        return _STYLES[found[0]], f"{counted(counts.total(), 'finding')}{new}: {parts}."
    checks = sum(1 for check in run.checks.values() if check.severity is not Severity.UNCHECKED)
    text = f"{counted(checks, 'check')} found nothing{' new' if run.baseline else ''}"
    # An accepted gap is still a gap.
    if run.unchecked():
        return "warn", f"{text}, but not everything could be read."
    return "good", f"{text}, and everything could be read."


def _hosts_by_mode(hosts: Sequence[HostCounts]) -> list[_Bar]:
    named = [host for host in hosts if host.name]
    # Host modes have no effect on hosts that write no serial numbers.
    counts = Counter(host.mode for host in named if host.smbios)
    bars = [
        (mode.value, counts[mode], "good" if mode is HostMode.UNIQUE else "none")
        for mode in HostMode
    ]
    bars.append(("unknown", counts[None], "warn"))
    if others := sum(1 for host in named if not host.smbios):
        bars.append(("writes no serials", others, "none"))
    return bars


def _servers_by_source(run: Run) -> list[_Bar]:
    sources = run.sources()
    bars = [(label, sources[source], style) for source, (label, style) in _SOURCES.items()]
    if run.nowhere:
        bars.append(("on no host", run.nowhere, "none"))
    return bars


def _by_kind(hosts: Sequence[HostCounts]) -> dict[str, list[HostCounts]]:
    """Return the named hosts of each kind, those with the most sharing servers first."""
    kinds: dict[str, list[HostCounts]] = {kind: [] for kind in _KINDS}
    for host in sorted(hosts, key=lambda host: (-host.sharing, host.name or "")):
        if host.name:
            kinds[_kind(host)].append(host)
    return kinds


def _kind(host: HostCounts) -> str:
    if host.sharing:
        return "shared"
    if host.showing:
        return "shown"
    if host.sources[SerialSource.UNKNOWN]:
        return "unknown"
    return "own" if host.servers else "empty"


def _groups(run: Run, found: Iterable[Assessed]) -> tuple[list[_Group], int]:
    """Group findings by check and remedy, the gravest first.

    :returns: the groups to show, and the number of the other groups
    """
    groups: dict[tuple[str, str], list[tuple[Assessed, str]]] = {}
    for each in found:
        remedy = each.finding.remedy
        command = remedy.commands[0] if remedy and remedy.commands else ""
        # Remedies of a group differ in their commands only.
        group = groups.setdefault((each.finding.id, remedy.words if remedy else ""), [])
        group.append((each, command))
    shown, left = [], _MEMBERS
    for (id_, _words), members in itertools.islice(groups.items(), _GROUPS):
        # Each group shows at least one finding.
        most = min(max(left, 1), _IN_GROUP)
        left -= min(len(members), most)
        shown.append(
            _Group(
                run.checks[id_],
                _sentence(members),
                list(itertools.islice(_commands(members[:most]), most)),
                [each for each, _command in members[:most]],
                len(members) - most,
            )
        )
    return shown, len(groups) - _GROUPS


def _sentence(members: Sequence[tuple[Assessed, str]]) -> str:
    """Return the remedy of a group in words; empty when the remedy is only the command."""
    each, command = members[0]
    remedy = str(each.finding.remedy or "")
    if remedy == command:
        return ""
    if len(members) > 1 and each.finding.resource_id:
        id_ = shlex.quote(each.finding.resource_id)
        alike = command.replace(f" {id_}", f" {each.finding.type.upper()}")
        remedy = remedy.replace(command, alike) if command else remedy
    return remedy


def _commands(members: Iterable[tuple[Assessed, str]]) -> Iterator[str]:
    """Yield each command once; where SERVER is the only placeholder, one for each server."""
    seen: set[str] = set()
    for each, command in members:
        servers = each.finding.servers
        if servers and _PLACEHOLDER.findall(command) == ["SERVER"]:
            lines = [command.replace("SERVER", id_) for id_ in itertools.islice(servers, _IN_GROUP)]
        else:
            lines = [command] if command else []
        for line in lines:
            if line not in seen:
                seen.add(line)
                yield line
