# SPDX-License-Identifier: Apache-2.0
"""SARIF 2.1.0 for code scanning, as GitHub and GitLab take it: each check is a rule.

Source: the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; the
numbers in comments are its sections.
"""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from osc_uniqserial.checks.check import Check
from osc_uniqserial.model.finding import Finding, Severity
from osc_uniqserial.reports import json
from osc_uniqserial.reports.baseline import Assessed, Standing
from osc_uniqserial.reports.run import Run
from osc_uniqserial.text import counted, safe_text

#: GitHub refuses a file with more results in a run.
_MOST = 25_000
#: The name of the fingerprint; its version changes when findings get other fingerprints.
_FINGERPRINT = "uniqueSerialFinding/v1"
_LEVELS = {
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_STATES = {
    Standing.NEW: "new",
    Standing.GREW: "updated",
    Standing.EXPIRED: "unchanged",
    Standing.ACCEPTED: "unchanged",
}


def render(run: Run) -> bytes:
    """Return the report.

    What could not be checked is a notification of the run, not a result.
    """
    rules = {id_: number for number, id_ in enumerate(run.checks)}
    found = [each for each in run.assessed if each.finding.severity in _LEVELS]
    notes = [_notification(each.finding, rules) for each in run.unchecked()]
    if len(found) > _MOST:
        left = counted(len(found) - _MOST, "more finding")
        notes.append({"level": "warning", "message": _message(f"{left}: see the other reports")})
    ended = run.began + datetime.timedelta(seconds=run.seconds)
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "osc-uniqserial",
                        "version": run.version,
                        "rules": [_rule(check) for check in run.checks.values()],
                    }
                },
                # GitHub replaces the results of the same category only (3.17.3).
                "automationDetails": {"id": "/".join(map(_segment, _category(run))) + "/"},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "startTimeUtc": _time(run.began),
                        "endTimeUtc": _time(ended),
                        "toolExecutionNotifications": notes,
                    }
                ],
                "columnKind": "utf16CodeUnits",
                "results": list(_results(run, found[:_MOST], rules)),
                "properties": {
                    "cloud": run.label,
                    "region": run.region,
                    "scope": run.scope,
                    "coverage": run.covered.text,
                },
            }
        ],
    }
    return json.dumps(document)


def _category(run: Run) -> tuple[str, ...]:
    return "unique-serial", run.command, run.label, run.region


def _segment(text: str) -> str:
    """Return a text as one segment of a relative URI."""
    segment = quote(text, safe="", errors="replace")
    # "." and ".." would be another path.
    return segment if segment.strip(".") else segment.replace(".", "%2E")


def _time(moment: datetime.datetime) -> str:
    utc = moment.astimezone(datetime.UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _rule(check: Check) -> Mapping[str, Any]:
    texts = check.texts
    return {
        "id": check.id,
        "shortDescription": _message(check.summary),
        "fullDescription": _message(texts["meaning"]),
        "help": _message(f"{texts['why']}\n\n{texts['repair']}"),
        "defaultConfiguration": {"level": _LEVELS.get(check.severity, "none")},
    }


def _notification(found: Finding, rules: Mapping[str, int]) -> Mapping[str, Any]:
    return {
        "level": "warning",
        "message": _message(found.evidence),
        "associatedRule": {"id": found.id, "index": rules[found.id]},
    }


def _results(
    run: Run, assessed: Sequence[Assessed], rules: Mapping[str, int]
) -> Iterator[Mapping[str, Any]]:
    """Yield the results; the order of findings with the same fingerprint numbers them."""
    same = Counter[str]()
    for each in assessed:
        found = each.finding
        digest = _digest(found)
        same[digest] += 1
        result: dict[str, Any] = {
            "ruleId": found.id,
            "ruleIndex": rules[found.id],
            "level": _LEVELS[found.severity],
            "message": _message(found.evidence, found.remedy.text if found.remedy else ""),
            "locations": [_location(run, found)],
            "partialFingerprints": {_FINGERPRINT: f"{digest}:{same[digest]}"},
        }
        if each.standing is not None:
            result["baselineState"] = _STATES[each.standing]
        if each.standing is Standing.ACCEPTED and each.entry is not None:
            result["suppressions"] = [
                {
                    "kind": "external",
                    "status": "accepted",
                    "justification": _text(each.entry.reason),
                }
            ]
        yield result


def _digest(found: Finding) -> str:
    """Return what identifies a finding from run to run: its check and its resource.

    Neither the evidence nor the number of servers is part of it: both change while the cause stays.
    """
    about = (found.id, found.type, found.resource_id or found.resource_name or "")
    return hashlib.sha256("\0".join(about).encode(errors="replace")).hexdigest()[:32]


def _location(run: Run, found: Finding) -> Mapping[str, Any]:
    """Return the location of a resource, which is no file: consumers require a path."""
    identity = found.resource_id or found.resource_name
    path = ("openstack", run.label, found.type, *([identity] if identity else []))
    uri = "/".join(map(_segment, path))
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}},
        "logicalLocations": [
            {
                "name": _text(found.resource_name or found.resource_id or found.type),
                "fullyQualifiedName": _text(f"{found.type}/{identity or ''}"),
                "kind": "resource",
            }
        ],
    }


def _message(*parts: str) -> Mapping[str, str]:
    """Return a message without placeholders (3.11.5) and embedded links (3.11.6)."""
    text = _text("\n".join(filter(None, parts)))
    return {"text": text.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def _text(text: str) -> str:
    return "\n".join(safe_text(line) for line in text.split("\n"))
