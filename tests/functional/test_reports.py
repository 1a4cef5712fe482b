# SPDX-License-Identifier: Apache-2.0
"""Reports and baselines of a cloud whose findings are known; what comes of guests beside them."""

from __future__ import annotations

import collections
import datetime
import html.parser
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite
from prometheus_client.parser import text_string_to_metric_families

from osc_uniqserial.checks import ALL, AUDIT
from tests.functional.cloud import Json, SeededCloud
from tests.functional.proxy import Proxy
from tests.functional.test_audit import audit


class Page(html.parser.HTMLParser):
    """What a reader sees, and what a browser would do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: collections.Counter[str] = collections.Counter()
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "srcdoc", "action"):
                self.outside.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith("#"):
                self.outside.append(f"{tag} {value}")

    def handle_data(self, data: str) -> None:
        self.text += data


class Reports:
    """An audit of the whole cloud that wrote everything there is."""

    def __init__(self, cloud: SeededCloud, folder: Path) -> None:
        self.folder = folder
        self.run = audit(
            cloud,
            *(f"--report={kind}={folder / kind}" for kind in ("html", "junit", "prometheus")),
            f"--write-baseline={folder / 'baseline.yaml'}",
            "--baseline-reason=Known when the audit began",
            cold=True,
        )

    @property
    def page(self) -> Page:
        return Page((self.folder / "html").read_text())

    @property
    def suite(self) -> TestSuite:
        (suite,) = JUnitXml.fromfile(str(self.folder / "junit"))
        return suite

    @property
    def metrics(self) -> dict[tuple[str, ...], float]:
        return samples(self.folder / "prometheus")

    @property
    def baseline(self) -> Path:
        return self.folder / "baseline.yaml"


def samples(path: Path) -> dict[tuple[str, ...], float]:
    """Return what a Prometheus server reads: values by name and the labels of the metric."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("cloud") == "devcloud"
            assert labels.pop("command") in ("audit", "verify")
            assert labels.pop("region") == "devcloud"
            assert labels.pop("scope") == "all projects"
            name = sample.name.removeprefix("openstack_unique_serial_")
            found[(name, *(labels[key] for key in sorted(labels)))] = sample.value
    return found


@pytest.fixture(scope="module")
def reports(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return Reports(seeded, tmp_path_factory.mktemp("reports"))


def test_the_page_tells_all_and_needs_nothing(reports: Reports) -> None:
    page = reports.page
    assert page.outside == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert reports.run.coverage in page.text
    for row in reports.run.rows:
        assert row["id"] in page.text
        assert " ".join(row["evidence"].split()) in " ".join(page.text.split())
    findings = [row for row in reports.run.rows if row["severity"] != "unchecked"]
    assert f"{len(findings)} findings" in page.text
    # As whom, and how.
    assert "admin (" in page.text
    assert "--baseline-reason" in page.text
    assert "password" not in page.text.lower()


def test_text_from_the_cloud_is_only_text(reports: Reports) -> None:
    text = (reports.folder / "html").read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    for name in ("html", "junit", "prometheus"):
        assert "\x1b" not in (reports.folder / name).read_text(), name


def test_each_check_is_a_test_case(reports: Reports) -> None:
    cases = {case.name.partition(":")[0]: case for case in reports.suite}
    assert cases.keys() == AUDIT.keys()
    found = reports.run.ids()
    for id, case in cases.items():
        kinds = {type(each) for each in case.result}
        severity = ALL[id].severity.value
        if severity == "unchecked":
            assert kinds == ({Error} if id in found else set()), id
        elif id in found and severity != "info":
            assert kinds == {Failure}, id
        else:
            # Hosts, images and volumes are there that could not be read.
            assert kinds <= {Error}, id
            assert id not in found or severity == "info"
    assert reports.suite.failures == len(
        {row["id"] for row in reports.run.rows if row["severity"] in ("high", "medium", "low")}
    )
    # Flavors were all read: what rests on nothing else passes.
    passed = {id for id, case in cases.items() if not case.result}
    assert passed
    assert not passed & found or all(ALL[id].severity.value == "info" for id in passed & found)


def test_metrics_count_what_was_found(reports: Reports) -> None:
    metrics = reports.metrics
    rows = collections.Counter(row["id"] for row in reports.run.rows)
    for id, check in AUDIT.items():
        assert metrics["findings", id, check.severity.value, "new"] == rows[id]
        about = sum(len(row["server_ids"] or ()) for row in reports.run.of(id))
        assert metrics["finding_servers", id, check.severity.value] == about
    assert sum(value for name, value in metrics.items() if name[0] == "servers") == 300
    checked, of = reports.run.coverage.split(" servers checked")[0].split(" of ")
    assert metrics["coverage_servers", "checked"] == int(checked)
    assert metrics["coverage_servers", "unchecked"] == int(of) - int(checked)
    assert metrics["coverage_servers", "unread"] == 0
    assert metrics["run_duration_seconds",] > 0
    now = datetime.datetime.now(datetime.UTC).timestamp()
    assert now - 3600 < metrics["run_timestamp_seconds",] <= now


def test_nothing_is_new_with_the_baseline(
    seeded: SeededCloud, reports: Reports, tmp_path: Path
) -> None:
    again = audit(
        seeded,
        f"--baseline={reports.baseline}",
        f"--report=junit={tmp_path / 'junit'}",
        f"--report=html={tmp_path / 'html'}",
        f"--write-baseline={tmp_path / 'again.yaml'}",
        code=4,
    )
    standings = {(row["severity"] == "unchecked", row["baseline"]) for row in again.rows}
    assert standings == {(False, "accepted"), (True, "new")}
    (suite,) = JUnitXml.fromfile(str(tmp_path / "junit"))
    results = collections.Counter(type(result) for case in suite for result in case.result)
    assert results[Failure] == 0
    assert results[Skipped]
    assert results[Error]
    page = Page((tmp_path / "html").read_text())
    assert "Known when the audit began" in page.text
    assert "not everything could be read" in page.text
    # Nothing changed, so nothing changes.
    assert (tmp_path / "again.yaml").read_text() == reports.baseline.read_text()


def entries(path: Path) -> list[Json]:
    found: list[Json] = yaml.safe_load(path.read_text())["accepted"]
    return found


def test_what_is_new_grew_or_expired_counts(
    seeded: SeededCloud, reports: Reports, tmp_path: Path
) -> None:
    kept = entries(reports.baseline)
    grown = next(each for each in kept if (each.get("servers") or 0) > 1)
    grown["servers"] -= 1
    expired = next(each for each in kept if each["id"] == "invalid-value")
    expired["expires"] = datetime.date(2020, 2, 29)
    new = next(each for each in kept if each["id"] == "misplaced-key")
    kept.remove(new)
    kept.append({**new, "resource": "repaired", "name": "repaired"})
    path = tmp_path / "baseline.yaml"
    path.write_text(yaml.safe_dump({"accepted": kept}))

    run = audit(seeded, f"--baseline={path}", f"--report=prometheus={tmp_path / 'prom'}", code=3)

    def standing(entry: Json) -> set[str]:
        return {
            row["baseline"]
            for row in run.of(entry["id"])
            if entry["resource"] in (row["resource_id"], row["resource_name"])
        }

    assert [standing(each) for each in (grown, expired, new)] == [{"grew"}, {"expired"}, {"new"}]
    assert "1 new" in run.stderr or "new, 1 grew, 1 expired" in run.stderr
    assert "misplaced-key of flavor repaired" in run.stderr or "repaired" in run.stderr
    metrics = samples(tmp_path / "prom")
    assert metrics["findings", "misplaced-key", "medium", "new"] == 1
    assert metrics["findings", "invalid-value", "medium", "expired"] == 1
    # Those that count come first.
    counting = [row["baseline"] != "accepted" for row in run.rows]
    assert counting == sorted(counting, reverse=True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("accepted: [", "not YAML"),
        ("accepted:\n- {id: no-such, resource_type: flavor, reason: x}", "no-such"),
        ("accepted:\n- {id: serial-shared, resource_type: host}", "no reason"),
        (
            "accepted:\n- {id: serial-shared, resource_type: host, reason: x, expires: soon}",
            "soon",
        ),
        (None, "No such file"),
    ],
)
def test_a_bad_baseline_is_told_before_anything_is_asked(
    seeded: SeededCloud, seeded_proxy: Proxy, tmp_path: Path, text: str | None, word: str
) -> None:
    path = tmp_path / "baseline.yaml"
    if text is not None:
        path.write_text(text)
    run = audit(seeded, f"--baseline={path}", code=1, clouds_yaml=seeded_proxy.clouds_yaml)
    assert word in run.stderr
    assert str(path) in run.stderr
    assert "Nothing was checked" in run.stderr
    assert seeded_proxy.api_requests() == []


def test_a_path_that_cannot_be_written_is_told_before_anything_is_asked(
    seeded: SeededCloud, seeded_proxy: Proxy, tmp_path: Path
) -> None:
    good = tmp_path / "junit.xml"
    run = audit(
        seeded,
        f"--report=junit={good}",
        f"--report=html={tmp_path}/missing/page.html",
        code=1,
        clouds_yaml=seeded_proxy.clouds_yaml,
    )
    assert "missing/page.html cannot be written: No such file or directory" in run.stderr
    assert list(tmp_path.glob("*junit*")) == []
    assert seeded_proxy.api_requests() == []


def test_a_run_that_fails_leaves_the_old_report(seeded: SeededCloud, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("yesterday's")
    run = audit(seeded, "--all-projects", f"--report=html={page}", code=1, user="devcloud-member")
    assert "may not list the servers of all projects" in run.stderr
    assert page.read_text() == "yesterday's"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_an_audit_looks_at_guests_too(seeded: SeededCloud, tmp_path: Path) -> None:
    host = "seed-unique-1"
    servers = [each for each in seeded.manifest["servers"] if each["host"] == host]
    wrong, *right = servers
    facts = tmp_path / "facts.jsonl"
    facts.write_text(
        "".join(json.dumps({"uuid": each["id"], "serial": each["id"]}) + "\n" for each in right)
        + json.dumps({"uuid": wrong["id"], "serial": "4711"})
        + "\n"
    )
    run = audit(
        seeded,
        f"--facts={facts}",
        "--only=serial-unexplained",
        "--only=serial-shared",
        f"--report=junit={tmp_path / 'junit'}",
    )
    (row,) = run.of("serial-unexplained")
    assert row["server_ids"] == [wrong["id"]]
    assert run.of("serial-shared")
    assert "servers checked" in run.coverage
    assert "Guests: " in run.coverage
    (suite,) = JUnitXml.fromfile(str(tmp_path / "junit"))
    ids = {case.name.partition(":")[0] for case in suite}
    assert {"serial-unexplained", "serial-shared"} <= ids
    assert {ALL[id].severity.value for id in ids - {"serial-unexplained", "serial-shared"}} == {
        "unchecked"
    }


def test_an_explanation_needs_no_cloud(seeded: SeededCloud, tmp_path: Path) -> None:
    nowhere = {"auth_url": "http://127.0.0.1:1/v3", "username": "x", "password": "x"}
    clouds_yaml = tmp_path / "clouds.yaml"
    clouds_yaml.write_text(yaml.safe_dump({"clouds": {"devcloud": {"auth": nowhere}}}))

    def explain(command: str, id: str) -> subprocess.CompletedProcess[str]:
        return seeded.openstack(
            *("unique", "serial", command, "--explain", id),
            check=False,
            clouds_yaml=clouds_yaml,
            cold=True,
        )

    told = explain("audit", "serial-shared")
    assert told.returncode == 0
    assert told.stdout.startswith(f"serial-shared (high): {ALL['serial-shared'].summary}\n")
    for part in ("What it means", "Why it matters", "How to repair it", "When to accept it"):
        assert f"\n{part}\n" in told.stdout
    assert explain("verify", "serial-shared").stdout == told.stdout
    unknown = explain("audit", "serial-shred")
    assert unknown.returncode == 2
    assert "serial-shared" in unknown.stderr
