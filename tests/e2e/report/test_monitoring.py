# SPDX-License-Identifier: Apache-2.0
"""The metrics of the seeded cloud in a real Prometheus, with the dashboard and the alert rules."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.report.prometheus import Prometheus, started
from tests.functional.cloud import ROOT, SeededCloud

MONITORING = ROOT / "monitoring"
RULES = MONITORING / "alerts.yaml"
PANELS = json.loads((MONITORING / "grafana-dashboard.json").read_text())["panels"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def audited(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a textfile collector, with the metrics of an audit."""
    folder = tmp_path_factory.mktemp("textfile")
    report = f"--report=prometheus={folder / 'audit.prom'}"
    run = seeded.openstack("unique", "serial", "audit", report, check=False)
    assert run.returncode == 3, run.stderr
    return folder


@pytest.fixture(scope="module")
def prometheus(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the metrics."""
    with started(tmp_path_factory.mktemp("prometheus"), audited, RULES) as running:
        running.wait_for("openstack_unique_serial_run_timestamp_seconds")
        yield running


def filtered(expression: str, cloud: str = ".*") -> str:
    """Return a query with the values of the dashboard's variables."""
    return expression.replace("$cloud", cloud).replace("$region", ".*").replace("$command", ".*")


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_of_the_dashboard_has_data(prometheus: Prometheus, expression: str) -> None:
    samples = prometheus.query(filtered(expression))
    assert samples
    assert all(re.fullmatch(r"[0-9.e+]+", sample["value"][1]) for sample in samples)
    # A cloud that is not there has none; sums of nothing are nothing too.
    assert prometheus.query(filtered(expression, "elsewhere")) == []


def test_the_dashboard_shows_what_the_file_has(prometheus: Prometheus, audited: Path) -> None:
    file = (audited / "audit.prom").read_text()
    high = re.findall(r'_findings\{[^}]*severity="high"[^}]*\} ([0-9.]+)', file)
    (expression,) = next(panel for panel in PANELS if panel["title"] == "Findings: high")["targets"]
    (sample,) = prometheus.query(filtered(expression["expr"]))
    assert float(sample["value"][1]) == sum(map(float, high)) > 0


def test_alerts_fire(prometheus: Prometheus, audited: Path) -> None:
    expected = {
        id_
        for id_, severity, count in re.findall(
            r'_findings\{[^}]*,id="([^"]*)"[^}]*severity="(\w+)"[^}]*\} ([0-9.]+)',
            (audited / "audit.prom").read_text(),
        )
        if severity in ("high", "medium") and float(count)
    }
    assert expected
    prometheus.wait_for('ALERTS{alertname="UniqueSerialFinding"}')
    alerts: list[dict[str, Any]] = prometheus.get("alerts")["alerts"]
    by_name: dict[str, set[str]] = {}
    for alert in alerts:
        by_name.setdefault(alert["labels"]["alertname"], set()).add(alert["labels"].get("id", ""))
    assert by_name["UniqueSerialFinding"] == expected
    assert "UniqueSerialAuditMissing" not in by_name
    assert "UniqueSerialMetricsDropped" not in by_name


def test_the_rules_pass_their_tests() -> None:
    for command in (
        ["promtool", "check", "rules", str(RULES)],
        ["promtool", "test", "rules", str(MONITORING / "alerts_test.yaml")],
    ):
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


def test_two_files_with_the_metrics_of_one_cloud(audited: Path, tmp_path: Path) -> None:
    """Their samples are dropped, and the expression of the alert is true."""
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    for name in ("one.prom", "two.prom"):
        (metrics / name).write_bytes((audited / "audit.prom").read_bytes())
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    (rule,) = [each for each in group["rules"] if each["alert"] == "UniqueSerialMetricsDropped"]
    with started(tmp_path, metrics, RULES) as running:
        assert running.wait_for(rule["expr"])
