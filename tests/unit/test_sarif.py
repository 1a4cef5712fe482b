# SPDX-License-Identifier: Apache-2.0
"""The report in SARIF."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from osc_uniqserial.checks import AUDIT
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.reports import sarif
from osc_uniqserial.reports.baseline import Standing
from osc_uniqserial.reports.run import Run
from tests.unit.test_exports import HOSTILE, command, found, run, run_of

Json = dict[str, Any]
OF_LEVEL = {
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
    Severity.UNCHECKED: "none",
}


def read(of: Run) -> Json:
    document: Json = json.loads(sarif.render(of))
    assert document["version"] == "2.1.0"
    (only,) = document["runs"]
    return dict(only)


def fingerprint(result: Json) -> str:
    (text,) = result["partialFingerprints"].values()
    return str(text)


def test_checks_are_rules_and_findings_results() -> None:
    remedy = command("openstack flavor unset gold", "")
    read_run = read(run(found("no-valid-host", remedy=remedy), found("not-steered")))
    rules = read_run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(AUDIT)
    for rule in rules:
        check = AUDIT[rule["id"]]
        assert rule["defaultConfiguration"]["level"] == OF_LEVEL[check.severity]
        assert rule["fullDescription"]["text"]
        assert rule["help"]["text"]
    for result in read_run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == OF_LEVEL[AUDIT[result["ruleId"]].severity]
        assert result["message"]["text"].startswith("seen")
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert artifact == {"uri": "openstack/prod/flavor/gold"}
        assert "baselineState" not in result
    assert "openstack flavor unset gold" in read_run["results"][0]["message"]["text"]
    assert read_run["automationDetails"]["id"] == "unique-serial/audit/prod/one/"


def test_what_could_not_be_checked_is_a_notification() -> None:
    read_run = read(run(found("hosts-unreadable", evidence="no answer")))
    assert read_run["results"] == []
    (invocation,) = read_run["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"] == "no answer"
    assert note["associatedRule"]["id"] == "hosts-unreadable"
    assert invocation["startTimeUtc"] < invocation["endTimeUtc"]
    assert invocation["startTimeUtc"].endswith("Z")


def test_the_state_of_the_baseline() -> None:
    results = read(run(*(found("not-steered", standing) for standing in Standing)))["results"]
    assert [(each["baselineState"], "suppressions" in each) for each in results] == [
        ("new", False),
        ("updated", False),
        ("unchanged", False),
        ("unchanged", True),
    ]
    (suppression,) = results[-1]["suppressions"]
    assert suppression["justification"] == "known"


def test_fingerprints_are_stable_and_unique() -> None:
    first = read(
        run(
            found("no-valid-host", evidence="2 servers", count=2),
            found("no-valid-host", evidence="another cause"),
            found("no-valid-host", name="plain"),
            found("not-steered"),
            found("not-steered", name=None),
        )
    )["results"]
    assert len({fingerprint(each) for each in first}) == 5
    (later,) = read(run(found("no-valid-host", evidence="9 servers", count=9)))["results"]
    assert fingerprint(later) == fingerprint(first[0])


@pytest.mark.parametrize("text", [*HOSTILE.values(), "..", ".", "a/../../b", "a?b#c"])
def test_names_make_no_other_path_and_no_link(text: str) -> None:
    of = read(run_of(text))
    for result in of["results"]:
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        parts = uri.split("/")
        assert len(parts) == 4
        assert not {".", "..", ""} & {*parts}
        assert not {"?", "#", ":"} & {*uri}
        assert unquote(parts[3], errors="surrogateescape") is not None
        message = result["message"]["text"]
        assert "](" not in message
        assert message.count("{") % 2 == message.count("}") % 2 == 0
    assert len(of["automationDetails"]["id"].split("/")) == 5


def test_more_results_than_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "_MOST", 2)
    of = read(run(*(found("not-steered", name=f"f{number}") for number in range(5))))
    assert len(of["results"]) == 2
    (note,) = of["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "3 more findings: see the other reports"
