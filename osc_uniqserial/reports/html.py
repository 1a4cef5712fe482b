# SPDX-License-Identifier: Apache-2.0
"""The report as one self-contained HTML file, without scripts and network access."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jinja2

from osc_uniqserial.checks.check import Check
from osc_uniqserial.effective.counts import HostCounts
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.policy import HostMode, SerialSource
from osc_uniqserial.reports.baseline import Assessed, Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import counted, safe_text

#: Limits that keep the file small: hosts on the map, rows of a table, findings of a group. The
#: rest is counted.
_TILES, _ROWS, _IN_GROUP = 5_000, 1_000, 100
#: The most groups, and the most findings of all groups.
_GROUPS, _MEMBERS = 300, 2_000
#: The longest name and the longest text, in characters.
_NAME, _TEXT = 80, 600
#: Size of a tile of the map in pixels, and tiles in a row.
_TILE, _TILES_WIDE = 20, 48
#: Placeholders in a command.
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")
#: Width of a chart's widest bar, in pixels.
_BAR = 190
_STYLES = {
    Severity.HIGH: "bad",
    Severity.MEDIUM: "warn",
    Severity.LOW: "info",
    Severity.INFO: "none",
    Severity.UNCHECKED: "none",
}
_SOURCES = {
    SerialSource.INSTANCE_UUID: ("own UUID", "good"),
    SerialSource.HOST_OS: ("host: machine ID", "bad"),
    SerialSource.HOST_HARDWARE: ("host: hardware UUID", "bad"),
    SerialSource.HOST_AUTO: ("host: auto", "bad"),
    SerialSource.ABSENT: ("none", "none"),
    SerialSource.UNKNOWN: ("unknown", "warn"),
}


def render(run: Run) -> bytes:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("osc_uniqserial", "reports"),
        autoescape=True,
        # Control characters in names must not hide or reorder text.
        finalize=lambda value: safe_text(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    cloud = run.cloud or run.auth_url
    groups, unchecked = _groups(run, run.findings()), _groups(run, run.unchecked())
    accepted = list(run.accepted())
    page = environment.get_template("page.html.j2").render(
        title=f"Serial numbers of {cloud}" if cloud else "Serial numbers",
        run={
            "when": run.began.strftime("%Y-%m-%d %H:%M UTC"),
            "coverage": run.covered.text,
            "facts": list(_facts(run)),
            "notes": list(_notes(run)),
        },
        verdict=_verdict(run),
        tiles=list(_tiles(run)),
        charts=[_hosts_by_mode(run.hosts), _servers_by_source(run)],
        map=_map(run.hosts),
        groups=groups[0],
        more_groups=groups[1],
        unchecked=unchecked[0],
        more_unchecked=unchecked[1],
        accepted=[_accepted(each) for each in accepted[:_ROWS]],
        more_accepted=_more(len(accepted) - _ROWS),
        meanings=list(_meanings(run)),
    )
    return page.encode()


def _facts(run: Run) -> Iterator[Mapping[str, str]]:
    for name, text in (
        ("Command", f"openstack unique serial {run.command} {run.options}".strip()),
        ("Cloud", " ".join(filter(None, (run.cloud, run.region, run.auth_url)))),
        ("User", run.user),
        ("Project", run.project),
        ("Servers", run.scope),
        ("Began", run.began.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("Took", f"{run.seconds:,.1f} s"),
        ("Baseline", run.baseline or ""),
        ("Baseline entries without a finding", _unmet(run)),
        ("Made by", f"osc-uniqserial {run.version}"),
    ):
        if text:
            yield {"name": name, "text": text}


def _notes(run: Run) -> Iterator[str]:
    """Yield notes on how to read the numbers."""
    if not run.is_whole:
        yield f"Only a part was looked at: {run.scope}. Hosts may have other servers too."
    if run.command == "verify" or run.covered.guests:
        yield (
            "Charts and hosts show what servers should have, by policy. Findings report guests that"
            " have something else."
        )


def _clip(text: str, most: int) -> str:
    # Escaping makes the text longer.
    shown = safe_text(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[:most]}..."


def _more(number: int) -> str:
    return f"{number:,}" if number > 0 else ""


def _unmet(run: Run) -> str:
    named = "; ".join(_clip(str(entry), _NAME) for entry in run.unmet[:_IN_GROUP])
    more = _more(len(run.unmet) - _IN_GROUP)
    return f"{named}; and {more} more" if more else named


def _verdict(run: Run) -> Mapping[str, str]:
    findings = list(run.findings())
    if findings:
        counts = Counter(each.finding.severity for each in findings)
        parts = ", ".join(
            f"{counts[severity]:,} {severity.value}" for severity in Severity if counts[severity]
        )
        gravest = next(severity for severity in Severity if counts[severity])
        new = " that the baseline does not accept" if run.baseline else ""
        text = f"{counted(len(findings), 'finding')}{new}: {parts}."
        return {"text": text, "style": _STYLES[gravest]}
    checks = sum(1 for check in run.checks.values() if check.severity is not Severity.UNCHECKED)
    text = f"{counted(checks, 'check')} found nothing{' new' if run.baseline else ''}"
    # An accepted gap is still a gap.
    if any(run.unchecked()):
        return {"text": f"{text}, but not everything could be read.", "style": "warn"}
    return {"text": f"{text}, and everything could be read.", "style": "good"}


def _tiles(run: Run) -> Iterator[Mapping[str, str]]:
    sources = run.sources()
    sharing = sum(host.sharing for host in run.hosts)
    covered = run.covered
    about = "about " if covered.unread else ""
    for count, label in (
        (
            f"{covered.checked:,} of {about}{covered.servers + covered.unread:,}",
            "guests compared" if run.command == "verify" else "servers checked",
        ),
        (f"{sources[SerialSource.INSTANCE_UUID]:,}", "servers with a serial number of their own"),
        (f"{sharing:,}", "servers that share one with others"),
        (f"{sum(1 for host in run.hosts if host.name):,}", "compute hosts"),
    ):
        yield {"count": count, "label": label}
    if covered.guests:
        compared, of = covered.guests
        yield {"count": f"{compared:,} of {of:,}", "label": "guests compared"}
    if run.baseline is not None:
        standings = Counter(
            each.standing
            for each in run.assessed
            if each.finding.severity is not Severity.UNCHECKED
        )
        for standing, label in (
            (Standing.NEW, "new since the baseline"),
            (Standing.GREW, "about more servers than accepted"),
            (Standing.EXPIRED, "accepted until a day that is past"),
            (Standing.ACCEPTED, "accepted"),
        ):
            if standings[standing] or standing in (Standing.NEW, Standing.ACCEPTED):
                yield {"count": f"{standings[standing]:,}", "label": label}


_NOWHERE = "on no host"


# --- charts -----------------------------------------------------------------


def _chart(title: str, bars: Sequence[tuple[str, int, str]]) -> Mapping[str, Any]:
    most = max((count for _label, count, _style in bars), default=0)
    return {
        "title": title,
        "text": ", ".join(f"{label}: {count:,}" for label, count, _style in bars),
        "height": max(26 * len(bars), 1),
        "bars": [
            {
                "label": label,
                "count": f"{count:,}",
                "style": style,
                "y": 26 * number,
                # A count above 0 is at least one pixel wide.
                "width": math.ceil(_BAR * count / most) if count else 0,
            }
            for number, (label, count, style) in enumerate(bars)
        ],
    }


def _hosts_by_mode(hosts: Sequence[HostCounts]) -> Mapping[str, Any]:
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
    return _chart("Hosts by mode", bars)


def _servers_by_source(run: Run) -> Mapping[str, Any]:
    sources = run.sources()
    bars = [(label, sources[source], style) for source, (label, style) in _SOURCES.items()]
    if run.nowhere:
        bars.append((_NOWHERE, run.nowhere, "none"))
    return _chart("Servers by serial source", bars)


# --- the map of hosts -------------------------------------------------------

_KEYS = {
    "shared": ("bad", "hosts where servers share a serial number"),
    "shown": ("warn", "hosts where one server shows the host's"),
    "unknown": ("none", "hosts where it is unknown"),
    "own": ("good", "hosts where no server shares one"),
    "empty": ("empty", "hosts without servers"),
}


def _kind(host: HostCounts) -> str:
    if host.sharing:
        return "shared"
    if host.showing:
        return "shown"
    if host.sources[SerialSource.UNKNOWN]:
        return "unknown"
    return "own" if host.servers else "empty"


def _map(hosts: Sequence[HostCounts]) -> Mapping[str, Any]:
    kinds = list(_KEYS)
    named = [(host, _kind(host)) for host in hosts if host.name]
    # The worst first: the limits cut off the others.
    named.sort(key=lambda entry: (kinds.index(entry[1]), -entry[0].sharing, entry[0].name))
    counts = Counter(kind for _host, kind in named)
    shown = named[:_TILES]
    rows = math.ceil(len(shown) / _TILES_WIDE)
    used = [host for host, kind in named if kind != "empty"]
    empty = [host for host, kind in named if kind == "empty"]
    left = len(used) - min(len(used), _ROWS)
    unnamed = [host for host in hosts if not host.name and host.servers]
    return {
        "tiles": [
            {
                "x": _TILE * (number % _TILES_WIDE) + 1,
                "y": _TILE * (number // _TILES_WIDE) + 1,
                "style": _KEYS[kind][0],
                "title": f"{_named(host)}: {counted(host.servers, 'server')},"
                f" {host.sharing:,} sharing",
            }
            for number, (host, kind) in enumerate(shown)
        ],
        "width": _TILE * min(len(shown), _TILES_WIDE),
        "height": _TILE * rows,
        "text": ", ".join(
            f"{counts[kind]:,} {label}" for kind, (_style, label) in _KEYS.items() if counts[kind]
        ),
        "legend": [
            {"style": style, "label": label, "count": f"{counts[kind]:,}"}
            for kind, (style, label) in _KEYS.items()
            if counts[kind]
        ],
        "columns": [label for label, _style in _SOURCES.values()],
        "rows": [_row(host) for host in (*used[:_ROWS], *unnamed)],
        "empty": [f"{_named(host)} ({_mode(host)})" for host in empty[:_ROWS]],
        "empties": counted(len(empty), "host has no servers", "hosts have no servers"),
        "more": f"; the {left:,} hosts that are not listed are not worse" if left else "",
    }


def _named(host: HostCounts) -> str:
    if host.name:
        return _clip(host.name, _NAME)
    return "(hosts that are hidden)" if host.placed else f"({_NOWHERE})"


def _mode(host: HostCounts) -> str:
    return host.mode.value if host.mode else "unknown"


def _row(host: HostCounts) -> Mapping[str, Any]:
    return {
        "name": _named(host),
        "mode": _mode(host) if host.name else "",
        "honours": {True: "yes", False: "no", None: "unknown"}[host.honours] if host.name else "",
        "servers": f"{host.servers:,}",
        "cells": [_cell(source, host.sources[source]) for source in _SOURCES],
    }


def _cell(source: SerialSource, count: int) -> Mapping[str, str]:
    if not count:
        return {"text": "", "style": ""}
    if source in HOST_SOURCES:
        return {"text": f"{count:,}" + (" share" if count > 1 else ""), "style": "bad"}
    return {"text": f"{count:,}", "style": _SOURCES[source][1]}


# --- findings ---------------------------------------------------------------


def _groups(run: Run, found: Iterable[Assessed]) -> tuple[list[Mapping[str, Any]], str]:
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
    for number, ((id_, _words), members) in enumerate(itertools.islice(groups.items(), _GROUPS)):
        # Each group shows at least one finding.
        most = min(max(left, 1), _IN_GROUP)
        left -= min(len(members), most)
        shown.append(_group(f"g{number}", run.checks[id_], members, most))
    return shown, _more(len(groups) - _GROUPS)


def _group(
    anchor: str, check: Check, members: Sequence[tuple[Assessed, str]], most: int
) -> Mapping[str, Any]:
    unchecked = check.severity is Severity.UNCHECKED
    shown = members[:most]
    return {
        "anchor": f"{'u' if unchecked else ''}{anchor}",
        "id": check.id,
        "severity": "not checked" if unchecked else check.severity.value,
        "style": _STYLES[check.severity],
        "summary": check.summary,
        "sentence": _clip(_sentence(members), _TEXT),
        "commands": list(itertools.islice(_commands(shown), most)),
        "members": [_member(each) for each, _command in shown],
        "more": _more(len(members) - most),
    }


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


def _member(each: Assessed) -> dict[str, str]:
    return {
        "of": _of(each),
        "evidence": _clip(each.finding.evidence, _TEXT),
        "standing": each.standing.value if each.standing else "",
    }


def _of(each: Assessed) -> str:
    where = _clip(each.finding.resource_name or each.finding.resource_id or "", _NAME)
    return f"{each.finding.type} {where}" if where else ""


def _accepted(each: Assessed) -> Mapping[str, str]:
    entry = each.entry
    return _member(each) | {
        "id": each.finding.id,
        "reason": _clip(entry.reason, _TEXT) if entry else "",
        "until": str(entry.expires) if entry and entry.expires else "",
    }


def _meanings(run: Run) -> Iterator[Mapping[str, Any]]:
    found = {each.finding.id for each in run.assessed}
    for id_, check in run.checks.items():
        if id_ in found:
            yield {
                "id": id_,
                "summary": check.summary,
                "meaning": check.texts["meaning"],
                "why": check.texts["why"],
                "accept": check.texts["accept"],
                "repair": [
                    {"lines": [line.strip() for line in lines], "is_code": is_code}
                    for is_code, lines in itertools.groupby(
                        check.texts["repair"].splitlines(), lambda line: line.startswith("    ")
                    )
                ],
            }
