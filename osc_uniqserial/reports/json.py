# SPDX-License-Identifier: Apache-2.0
"""The report as JSON, for programs: every value is typed.

``version`` grows when a key changes its meaning or is removed; new keys do not change it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from osc_uniqserial.checks.check import Check
from osc_uniqserial.effective.counts import HostCounts
from osc_uniqserial.reports.baseline import Assessed, Entry
from osc_uniqserial.reports.run import Run

#: The version that a report has.
REPORT_VERSION = 1


def render(run: Run) -> bytes:
    """Return the report."""
    covered = run.covered
    document = {
        "version": REPORT_VERSION,
        "command": run.command,
        "made_by": {"name": "osc-uniqserial", "version": run.version},
        "options": run.options,
        "began": run.began.isoformat(),
        "seconds": round(run.seconds, 3),
        "cloud": {
            "name": run.cloud,
            "label": run.label,
            "region": run.region,
            "auth_url": run.auth_url,
        },
        "user": run.user,
        "project": run.project,
        "scope": run.scope,
        "fails_on": sorted(severity.value for severity in run.fatal),
        "coverage": {
            "servers": covered.servers,
            "checked": covered.checked,
            "unread": covered.unread,
            "guests": (
                {"compared": covered.guests[0], "comparable": covered.guests[1]}
                if covered.guests
                else None
            ),
            "text": covered.text,
        },
        "baseline": {"path": run.baseline, "unmet": [_entry(entry) for entry in run.unmet]},
        "checks": [_check(check) for check in run.checks.values()],
        "findings": [_finding(each) for each in run.assessed],
        "hosts": [_host(host) for host in run.hosts],
    }
    return dumps(document)


def dumps(document: Mapping[str, Any]) -> bytes:
    """Return a document as JSON that is safe inside HTML, and in ASCII."""
    text = json.dumps(document, ensure_ascii=True, indent=1)
    # Names must not become markup in a page that embeds the report.
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return f"{text}\n".encode()


def _check(check: Check) -> Mapping[str, Any]:
    return {
        "id": check.id,
        "severity": check.severity.value,
        "summary": check.summary,
        "rests_on": sorted(check.rests_on),
        "takes_away": sorted(check.takes_away),
    }


def _finding(assessed: Assessed) -> Mapping[str, Any]:
    found = assessed.finding
    return {
        "id": found.id,
        "severity": found.severity.value,
        "baseline": assessed.standing.value if assessed.standing else None,
        "accepted_by": _entry(assessed.entry) if assessed.entry else None,
        "resource_type": found.type,
        "resource_id": found.resource_id,
        "resource_name": found.resource_name,
        "project_id": found.project_id,
        "server_ids": None if found.servers is None else list(found.servers),
        "evidence": found.evidence,
        "remedy": dataclasses.asdict(found.remedy) if found.remedy else None,
    }


def _entry(entry: Entry) -> Mapping[str, Any]:
    fields = dataclasses.asdict(entry)
    return fields | {"expires": entry.expires.isoformat() if entry.expires else None}


def _host(host: HostCounts) -> Mapping[str, Any]:
    return {
        "name": host.name,
        "hypervisor_id": host.hypervisor.id if host.hypervisor else None,
        "hypervisor_hostname": host.hypervisor.hostname if host.hypervisor else None,
        "placed": host.placed,
        "smbios": host.smbios,
        "mode": host.mode.value if host.mode else None,
        "honours": host.honours,
        "requested": {
            setting.value if setting else "unknown": count
            for setting, count in host.requested.items()
        },
        "serial_sources": {source.value: count for source, count in host.sources.items()},
    }
