# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the alert rules use the metrics that the reports have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from osc_uniqserial.model.finding import Severity
from osc_uniqserial.reports.baseline import Standing
from osc_uniqserial.reports.prometheus import LABELS
from tests.unit.builders import Json

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
DASHBOARD: Json = json.loads((MONITORING / "grafana-dashboard.json").read_text())
#: Of the node exporter: its metrics of errors, and labels of every sample.
NODE: Mapping[str, set[str]] = {
    "node_textfile_scrape_error": set(),
    "promhttp_metric_handler_errors_total": {"cause"},
}
NODE_LABELS = {"instance", "job"}
SELECTOR = re.compile(r"\b((?:openstack|node|promhttp)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"')
VALUES = {
    "severity": {each.value for each in Severity},
    "standing": {each.value for each in Standing},
    "state": {"checked", "unchecked", "unread"},
}


def queries() -> Iterator[str]:
    """Yield the queries of the dashboard."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def rules() -> Iterator[str]:
    """Yield the expressions of the alert rules."""
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


@pytest.mark.parametrize("expression", [*queries(), *rules()])
def test_metrics_and_labels_exist(expression: str) -> None:
    selectors = SELECTOR.findall(expression)
    assert selectors
    known: set[str] = set(NODE_LABELS)
    for metric, matchers in selectors:
        labels = {*(LABELS[metric] if metric in LABELS else NODE[metric]), *NODE_LABELS}
        known |= labels
        for label, text in MATCHER.findall(matchers):
            assert label in labels
            if label in VALUES:
                assert set(text.split("|")) <= VALUES[label]
    for grouped in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expression):
        assert {each.strip() for each in grouped.split(",")} <= known


def test_the_dashboard_shows_every_metric() -> None:
    assert {name for query in queries() for name, _ in SELECTOR.findall(query)} == set(LABELS)


def test_panels_have_their_own_place_and_the_filters() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        taken |= cells
        for target in panel["targets"]:
            for name in ("cloud", "region", "command"):
                assert f'{name}=~"${name}"' in target["expr"]


def test_every_rule_is_tested() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text())["tests"]
    fired = {
        each["alertname"]
        for test in tests
        for each in test["alert_rule_test"]
        if each["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules}
