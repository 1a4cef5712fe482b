# SPDX-License-Identifier: Apache-2.0
"""Reports, the baseline and ``--explain`` through the real shell."""

from __future__ import annotations

import csv
import datetime
import io
import json
import stat
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from osc_uniqserial.checks import ALL, AUDIT, VERIFY
from osc_uniqserial.checks.engine import Audit
from osc_uniqserial.commands.findings import COLUMNS
from osc_uniqserial.model.guest import GuestSource
from osc_uniqserial.reports import FORMATS, html
from osc_uniqserial.reports.files import Target
from tests.unit.builders import M_AUTO, PLAIN, Json, nova_domain, server_id
from tests.unit.clouds import FAULTS, AuditCloud, Node, QuietCloud, deny_all_projects
from tests.unit.fake_cloud import GLANCE, NOVA, PLACEMENT, PROJECT_ID, FakeCloud, Result

LIBRARIES = {"html": "jinja2", "junit": "junitparser", "prometheus": "prometheus_client"}
UTC_TODAY = datetime.datetime.now(datetime.UTC).date()


@pytest.fixture
def cloud(fake: FakeCloud) -> AuditCloud:
    """A finding of each severity."""
    made = QuietCloud(fake)
    made.add_faults()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def asked(cloud: AuditCloud, *options: str, command: str = "audit") -> tuple[Result, list[str]]:
    """Run, and return what was asked of the cloud but for a token."""
    before = len(cloud.fake.http.request_history)
    result = cloud.fake.openstack("unique", "serial", command, *options)
    requests = cloud.fake.http.request_history[before:]
    return result, [each.url for each in requests if "keystone.test" not in each.url]


def baseline(folder: Path, *entries: Json) -> str:
    path = folder / "baseline.yaml"
    path.write_text(yaml.safe_dump({"accepted": list(entries)}))
    return str(path)


def accepted(id_: str, type_: str, resource: str | None, **more: Any) -> Json:
    about = {"id": id_, "resource_type": type_, "reason": "Known", **more}
    return about if resource is None else {**about, "resource": resource}


def written(cloud: AuditCloud, folder: Path, *options: str) -> str:
    """Return a baseline that accepts all that is found now."""
    path = str(folder / "baseline.yaml")
    cloud.run("--write-baseline", path, "--baseline-reason", "Known", *options)
    return path


def entries(path: str) -> list[Json]:
    found: list[Json] = yaml.safe_load(Path(path).read_text())["accepted"]
    return found


def standings(result: Result) -> dict[str, str]:
    return {row["id"]: row["baseline"] for row in result.json}


# --- reports --------------------------------------------------------------------


def test_all_reports_of_one_run(cloud: AuditCloud, folder: Path) -> None:
    paths = {kind: folder / kind for kind in FORMATS}
    options = [each for kind in FORMATS for each in ("--report", f"{kind}={paths[kind]}")]
    result = cloud.run("-f", "json", *options)
    assert result.code == 3
    ids = [row["id"] for row in result.json]
    assert ids == FAULTS
    assert sorted(folder.iterdir()) == sorted(paths.values())
    page = paths["html"].read_text()
    assert page.startswith("<!doctype html>")
    assert all(f'id="check-{id_}"' in page for id_ in ids)
    assert "2 of 2 servers checked" in page
    root = ET.fromstring(paths["junit"].read_bytes())  # noqa: S314
    failed = {
        case.attrib["name"].partition(":")[0]
        for case in root.iter("testcase")
        if case.find("failure") is not None
    }
    assert failed == set(FAULTS) - {"image-may-show-host"}
    assert len([*root.iter("testcase")]) == len(AUDIT)
    metrics = {
        family.name: family.samples
        for family in text_string_to_metric_families(paths["prometheus"].read_text())
    }
    counts = {each.labels["id"]: each.value for each in metrics["openstack_unique_serial_findings"]}
    assert {id_ for id_, count in counts.items() if count} == set(FAULTS)
    document = json.loads(paths["json"].read_text())
    assert (document["version"], document["command"]) == (1, "audit")
    assert [each["id"] for each in document["findings"]] == ids
    assert document["coverage"]["checked"] == document["coverage"]["servers"] == 2
    assert {each["id"] for each in document["checks"]} == set(AUDIT)
    assert {each["name"] for each in document["hosts"]} == {"a", "b", "c"}
    (checked, *_more) = metrics["openstack_unique_serial_coverage_servers"]
    assert (checked.labels["state"], checked.value) == ("checked", 2)
    (sharing,) = metrics["openstack_unique_serial_sharing_servers"]
    assert sharing.value == 0


def test_a_report_changes_neither_output_nor_exit_code(cloud: AuditCloud, folder: Path) -> None:
    for options in ((), ("--fail-on", "never"), ("--only", "cannot-move")):
        plain = cloud.run(*options)
        assert cloud.run("--report", f"html={folder}/x", *options) == plain


def test_the_same_format_can_be_written_twice(cloud: AuditCloud, folder: Path) -> None:
    cloud.run("--report", f"junit={folder}/a", "--report", f"junit={folder}/b=c")
    assert sorted(each.name for each in folder.iterdir()) == ["a", "b=c"]


def test_what_is_left_out_is_left_out_of_reports(cloud: AuditCloud, folder: Path) -> None:
    path = folder / "x"
    options = ["--only", "invalid-value", "--report", f"junit={path}", "--fail-on", "high"]
    assert cloud.run(*options).code == 0
    root = ET.fromstring(path.read_bytes())  # noqa: S314
    names = {case.attrib["name"].partition(":")[0] for case in root.iter("testcase")}
    unchecked = {id_ for id_, check in AUDIT.items() if check.severity.value == "unchecked"}
    assert names == {"invalid-value"} | unchecked
    assert root.find(".//failure") is None
    told = {each.attrib["name"]: each.attrib["value"] for each in root.iter("property")}
    assert told["options"] == " ".join(options)
    assert told["scope"] == "all projects"
    assert told["coverage"] == "2 of 2 servers checked"
    assert PROJECT_ID in told["project"]


def test_what_could_not_be_read_is_an_error_in_a_report(cloud: AuditCloud, folder: Path) -> None:
    cloud.fake.http.get(f"{GLANCE}/v2/images", status_code=403)
    assert cloud.run("--report", f"junit={folder}/x", "--fail-on", "never").code == 4
    root = ET.fromstring((folder / "x").read_bytes())  # noqa: S314
    cases = {case.attrib["name"].partition(":")[0]: case for case in root.iter("testcase")}
    for id_ in ("images-unreadable", "inherited-key", "serial-shared", "not-steered"):
        assert cases[id_].find("error") is not None
    assert len(cases["aggregate-conflict"]) == 0


def test_a_report_is_written_of_verify_too(cloud: AuditCloud, folder: Path) -> None:
    facts = folder / "facts"
    facts.write_text(json.dumps({"uuid": server_id(1), "serial": "ABC"}))
    result, _urls = asked(
        cloud, "--facts", str(facts), "--report", f"junit={folder}/x", command="verify"
    )
    assert result.code == 3
    root = ET.fromstring((folder / "x").read_bytes())  # noqa: S314
    cases = [case.attrib["name"].partition(":")[0] for case in root.iter("testcase")]
    # What facts alone cannot tell was not looked for.
    told = [id_ for id_, check in VERIFY.items() if GuestSource.FACTS in check.sources]
    assert cases == told
    assert not {"no-domain", "orphaned-domain", "live-host-identity"} & set(told)
    assert {case.attrib["classname"].partition(".")[0] for case in root.iter("testcase")} == {
        "verify"
    }


def test_an_audit_with_guests_reports_both(cloud: AuditCloud, folder: Path) -> None:
    facts = folder / "facts"
    facts.write_text(json.dumps({"uuid": server_id(1), "serial": "ABC"}))
    result = cloud.run("-f", "json", "--facts", str(facts), "--report", f"junit={folder}/x")
    assert {"invalid-value", "serial-unexplained"} <= {row["id"] for row in result.json}
    root = ET.fromstring((folder / "x").read_bytes())  # noqa: S314
    cases = {case.attrib["name"].partition(":")[0] for case in root.iter("testcase")}
    assert cases > set(AUDIT)
    assert "serial-unexplained" in cases
    assert "no-domain" not in cases
    assert ". Guests: " in cloud.last


def test_what_was_not_looked_for_passes_no_test(cloud: AuditCloud, folder: Path) -> None:
    """What no server is can be told only by who sees all servers."""
    saved = folder / "saved.xml"
    saved.write_bytes(nova_domain())
    for there in (True, False):
        if not there:
            deny_all_projects(cloud)
        path = folder / "junit"
        asked(cloud, f"--report=junit={path}", f"--domain-xml={saved}", command="verify")
        names = {
            case.attrib["name"].partition(":")[0]
            for case in ET.parse(path).getroot().iter("testcase")  # noqa: S314
        }
        assert ("orphaned-domain" in names, "other-domain" in names) == (there, there)
        assert "sources-disagree" in names


def test_a_report_holds_no_password(cloud: AuditCloud, folder: Path) -> None:
    options = [each for kind in FORMATS for each in ("--report", f"{kind}={folder}/{kind}")]
    secret = "correct horse battery staple"
    command = ("unique", "serial", "audit", "--long", *options)
    for words in (
        ("--os-password", secret, *command),
        ("--os-username", "audit", "--os-password", secret, *command),
        (*command, "--os-password", secret),
        (*command, f"--os-passw={secret}"),
    ):
        assert cloud.fake.openstack(*words).code == 3
        for kind in FORMATS:
            assert secret not in (folder / kind).read_text()
        assert f"--long --report html={folder}/html" in (folder / "html").read_text()


EVIL = "=\x1b[2J\u202e<script>alert(1)</script>&\"'\\"


def test_what_things_are_called_cannot_hurt_in_a_report(cloud: AuditCloud, folder: Path) -> None:
    cloud.hosts(a=Node((M_AUTO,), {"service": {"host": EVIL}, "hypervisor_hostname": EVIL}))
    cloud.flavors["gold"]["name"] = EVIL
    cloud.image(2, name=EVIL, hw_unique_serial=EVIL)
    for number in (3, 4):
        record = cloud.server(number, name=EVIL, host=EVIL)
        record["OS-EXT-SRV-ATTR:hypervisor_hostname"] = EVIL
    options = [each for kind in FORMATS for each in ("--report", f"{kind}={folder}/{kind}")]
    assert cloud.run(*options).code == 3
    for kind in FORMATS:
        text = (folder / kind).read_text()
        assert "<script" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "&lt;script&gt;" in (folder / "html").read_text()
    ET.fromstring((folder / "junit").read_bytes())  # noqa: S314
    assert [*text_string_to_metric_families((folder / "prometheus").read_text())]


# --- what cannot be written or read ------------------------------------------------


@pytest.mark.parametrize("option", ["--report html=", "--write-baseline "])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "Is a directory"),
        ("missing/x", "No such file or directory"),
        ("file/x", "Not a directory"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_looked_at(
    cloud: AuditCloud, folder: Path, option: str, path: str, said: str
) -> None:
    (folder / "file").write_text("old")
    name, _space, kind = option.partition(" ")
    # Another one that could be written.
    result, urls = asked(cloud, "--report", f"junit={folder}/fine", name, f"{kind}{folder / path}")
    assert (result.code, result.out, urls) == (1, "", [])
    assert f"cannot be written: {said}. Nothing was checked." in result.err
    assert [*folder.iterdir()] == [folder / "file"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"accepted: [", "it is not YAML"),
        (b"\xff\xfe\x00", "line 1: it is not UTF-8: save the file in UTF-8"),
        (b"accepted: [{id: not-steered, resource_type: flavor}]", "it has no reason"),
        (b"accepted: [{id: no-such, resource_type: flavor, reason: x}]", "no ID of a finding"),
    ],
)
def test_a_bad_baseline_is_told_before_anything_is_looked_at(
    cloud: AuditCloud, folder: Path, content: bytes | None, said: str
) -> None:
    path = folder / "baseline.yaml"
    if content is not None:
        path.write_bytes(content)
    before = [*folder.iterdir()]
    result, urls = asked(cloud, "--baseline", str(path), "--report", f"html={folder}/x")
    assert (result.code, result.out, urls) == (1, "", [])
    assert said in result.err
    assert "Nothing was checked." in result.err
    assert str(path) in result.err
    assert [*folder.iterdir()] == before


def test_a_baseline_that_is_a_folder(cloud: AuditCloud, folder: Path) -> None:
    result, urls = asked(cloud, "--baseline", str(folder))
    assert (result.code, urls) == (1, [])
    assert "Is a directory" in result.err


def test_a_bad_baseline_cannot_hurt_a_terminal(cloud: AuditCloud, folder: Path) -> None:
    (folder / "b").write_text('accepted: [{id: "\\e[2J\\u202e", resource_type: a}]')
    result, _urls = asked(cloud, "--baseline", f"{folder}/b")
    assert result.code == 1
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err


@pytest.mark.parametrize(
    ("kind", "library"),
    LIBRARIES.items(),
)
def test_a_library_that_is_missing(
    cloud: AuditCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    for module in (kind, "template"):
        monkeypatch.delitem(sys.modules, f"osc_uniqserial.reports.{module}", raising=False)
    result, urls = asked(cloud, "--report", f"{kind}={folder}/x")
    assert (result.code, result.out, urls) == (1, "", [])
    assert f"--report {kind} needs {library}: pip install 'osc-uniqserial[reports]'" in result.err
    assert [*folder.iterdir()] == []


def test_without_reports_no_library_is_needed(
    cloud: AuditCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, library in LIBRARIES.items():
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, f"osc_uniqserial.reports.{kind}", raising=False)
    assert cloud.run().code == 3
    assert cloud.run("--report", f"json={folder / 'audit.json'}").code == 3
    assert cloud.run("--baseline", written(cloud, folder)).code == 0


@pytest.mark.parametrize("text", ["pdf=x", "html", "html=", "=x", "", "HTML=x", "html:x"])
def test_a_report_that_is_no_report(cloud: AuditCloud, text: str) -> None:
    result, urls = asked(cloud, "--report", text)
    assert (result.code, urls) == (2, [])
    assert "expected FORMAT=FILE with one of html, junit, prometheus" in result.err


def test_a_run_that_fails_writes_nothing(cloud: AuditCloud, folder: Path) -> None:
    deny_all_projects(cloud)
    (folder / "old").write_text("old")
    result = cloud.run(
        "--all-projects",
        "--report",
        f"html={folder}/old",
        "--report",
        f"junit={folder}/new",
        "--write-baseline",
        f"{folder}/baseline",
    )
    assert (result.code, result.out) == (1, "")
    assert [*folder.iterdir()] == [folder / "old"]
    assert (folder / "old").read_text() == "old"


@pytest.mark.parametrize("broken", ["looking", "rendering"])
def test_a_run_that_breaks_writes_nothing(
    cloud: AuditCloud, folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def breaks(*_args: Any, **_options: Any) -> None:
        raise RuntimeError("broken")

    if broken == "looking":
        monkeypatch.setattr(Audit, "summary", breaks)
    else:
        monkeypatch.setattr(html, "render", breaks)
    (folder / "old").write_text("old")
    result = cloud.run("--report", f"html={folder}/old", "--write-baseline", f"{folder}/new")
    assert (result.code, result.out) == (1, "")
    assert [*folder.iterdir()] == [folder / "old"]
    assert (folder / "old").read_text() == "old"


def test_a_report_that_could_not_be_written_after_all(
    cloud: AuditCloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Target.write

    def full(self: Target, content: bytes) -> None:
        if self.path.endswith("full"):
            raise OSError(28, "No space left on device")
        write(self, content)

    monkeypatch.setattr(Target, "write", full)
    result = cloud.run("--report", f"html={folder}/full", "--report", f"junit={folder}/fine")
    assert result.code == 1
    assert f"Could not write {folder}/full: No space left on device." in result.err
    assert [each.name for each in folder.iterdir()] == ["fine"]
    # What was found is not lost.
    assert result.out == cloud.run().out
    assert result.err.splitlines()[-1] == "2 of 2 servers checked"


@pytest.mark.parametrize("special", [0, 0o4000, 0o2000, 0o1000, 0o7000])
def test_a_report_keeps_the_permissions_of_its_file(
    cloud: AuditCloud, folder: Path, special: int
) -> None:
    path = folder / "x"
    path.touch()
    path.chmod(0o640 | special)
    cloud.run("--report", f"html={path}")
    assert path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("second", ["--report=html", "--write-baseline"])
def test_two_outputs_do_not_go_to_one_file(cloud: AuditCloud, folder: Path, second: str) -> None:
    (folder / "link").symlink_to("x")
    result, urls = asked(cloud, f"--report=junit={folder}/x", f"{second}={folder}/link")
    assert (result.code, urls) == (2, [])
    assert f"{folder}/x was given twice" in result.err


def test_a_report_does_not_replace_the_baseline(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    before = Path(path).read_text()
    result, urls = asked(cloud, "--baseline", path, f"--report=html={path}")
    assert (result.code, urls) == (2, [])
    assert Path(path).read_text() == before
    # It can be renewed.
    assert cloud.run("--baseline", path, "--write-baseline", path).code == 0


def test_a_baseline_is_not_written_over_one_that_was_not_read(
    cloud: AuditCloud, folder: Path
) -> None:
    path = written(cloud, folder)
    before = Path(path).read_text()
    result, urls = asked(cloud, "--write-baseline", path, "--baseline-reason", "New")
    assert (result.code, urls) == (1, [])
    assert "exists: give it with --baseline too" in result.err
    assert Path(path).read_text() == before
    Path(path).write_text("")
    written(cloud, folder)
    assert Path(path).read_text() == before


@pytest.mark.parametrize("hidden", ["flavors/detail", "os-hypervisors/detail"])
def test_what_cannot_be_seen_is_not_taken_for_gone(
    cloud: AuditCloud, folder: Path, hidden: str
) -> None:
    path = written(cloud, folder)
    before = {each["id"] for each in entries(path)}
    cloud.fake.http.get(f"{NOVA}/{hidden}", status_code=403)
    result = cloud.run("--baseline", path, "--write-baseline", path)
    assert "remove" not in result.err
    assert {each["id"] for each in entries(path)} == before


def test_of_one_project_nothing_is_taken_for_gone(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    before = {each["id"] for each in entries(path)}
    deny_all_projects(cloud)
    result = cloud.run("--baseline", path, "--write-baseline", path)
    assert "remove" not in result.err
    assert {each["id"] for each in entries(path)} == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "pending-restart"), "pending-restart cannot be checked in this run: no source"),
        (("--only", "not-steered", "--skip", "not-steered"), "leave no check to run"),
        (
            ("--only", "not-steered", "--only", "no-domain"),
            "no-domain cannot be checked in this run",
        ),
    ],
)
def test_nothing_to_look_for_is_an_error(
    cloud: AuditCloud, options: tuple[str, ...], said: str
) -> None:
    result, urls = asked(cloud, *options)
    assert (result.code, urls) == (2, [])
    assert said in result.err


def test_verify_without_a_source_says_what_it_needs(cloud: AuditCloud) -> None:
    result, urls = asked(cloud, command="verify")
    assert (result.code, urls) == (2, [])
    assert "give --libvirt-uri, --domain-xml, --facts or --inventory" in result.err


@pytest.mark.parametrize("seconds", ["1e10", "86401", "nan", "inf", "0", "-1", "", "a", "1e999"])
def test_a_timeout_is_a_number_of_seconds(cloud: AuditCloud, seconds: str) -> None:
    result, urls = asked(cloud, "--libvirt-uri", "qemu:///x", f"--timeout={seconds}")
    assert (result.code, urls) == (2, [])
    assert f"{seconds!r} is not a number of seconds above 0 and up to 86400" in result.err


def test_no_output_and_no_report_has_a_password(cloud: AuditCloud, folder: Path) -> None:
    error = requests.ConnectionError("http://user:secret@h/traits?token=secret")
    cloud.fake.http.get(f"{PLACEMENT}/traits", exc=error)
    uri = "qemu+tcp://user:secret@h/system?password=secret"
    reports = {kind: folder / kind for kind in FORMATS}
    options = [f"--report={kind}={path}" for kind, path in reports.items()]
    for command in ("audit", "verify"):
        result = cloud.fake.openstack(
            *("unique", "serial", command, "-f", "json", "--libvirt-uri", uri, *options)
        )
        assert "Failure: Unable to establish connection" in result.err
        texts = [result.out, result.err, *(path.read_text() for path in reports.values())]
        assert not [text for text in texts if "secret" in text]
        document = json.loads(reports["json"].read_text())
        assert "qemu+tcp://user:***@h/system" in document["options"]


def test_a_reason_without_a_baseline_to_write(cloud: AuditCloud) -> None:
    result, urls = asked(cloud, "--baseline-reason", "Known")
    assert (result.code, urls) == (2, [])
    assert "--write-baseline" in result.err


def test_a_report_is_not_mixed_with_the_findings(cloud: AuditCloud) -> None:
    result, urls = asked(cloud, "--report", "html=-")
    assert (result.code, urls) == (2, [])
    assert "standard output has the findings" in result.err


def test_an_explanation_is_asked_for_in_short(fake: FakeCloud) -> None:
    before = len(fake.http.request_history)
    result = fake.openstack("unique", "serial", "audit", "--exp", "serial-shared")
    assert result.code == 0
    assert result.out.startswith("serial-shared (high): ")
    assert len(fake.http.request_history) == before


def test_standard_input_is_read_once(cloud: AuditCloud, folder: Path) -> None:
    for command in ("audit", "verify"):
        result, _urls = asked(
            cloud,
            *("--facts", "-", "--domain-xml", "-", "--report", f"html={folder}/x"),
            command=command,
        )
        assert (result.code, result.out) == (1, "")
        assert "Standard input (-) can be read once only" in result.err
    assert [*folder.iterdir()] == []


# --- what a finding means -----------------------------------------------------------


def test_every_finding_is_explained_without_a_cloud(fake: FakeCloud) -> None:
    for id_, check in ALL.items():
        result = fake.openstack("unique", "serial", "audit", "--explain", id_)
        assert (result.code, result.err) == (0, "")
        first, *rest = result.out.split("\n")
        assert first == f"{id_} ({check.severity.value}): {check.summary}"
        titles = ("What it means", "Why it matters", "How to repair it", "When to accept it")
        assert [line for line in rest if line in titles] == list(titles)
        words = result.out.split()
        for text in (check.texts[part] for part in ("meaning", "why", "repair", "accept")):
            assert " ".join(text.split()) in " ".join(words)
        for line in check.texts["repair"].splitlines():
            # To be copied.
            assert not line.startswith("    ") or line in rest
    assert fake.http.request_history == []


@pytest.mark.parametrize("command", ["audit", "verify"])
@pytest.mark.parametrize("id_", ["pending-restart", "serial-shared"])
def test_both_commands_explain_all(fake: FakeCloud, command: str, id_: str) -> None:
    result = fake.openstack("unique", "serial", command, f"--explain={id_}")
    assert result.code == 0
    assert result.out.startswith(f"{id_} (")
    assert fake.http.request_history == []


@pytest.mark.parametrize("id_", ["no-such", "", "SERIAL-SHARED", "\x1b"])
def test_what_is_no_finding_is_not_explained(fake: FakeCloud, id_: str) -> None:
    result = fake.openstack("unique", "serial", "audit", f"--explain={id_}")
    assert (result.code, result.out) == (2, "")
    assert "is not one of aggregate-conflict" in result.err
    assert "\x1b" not in result.err
    assert fake.http.request_history == []


# --- the baseline -------------------------------------------------------------------


def test_all_that_was_found_is_accepted(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    assert {each["reason"] for each in entries(path)} == {"Known"}
    result = cloud.run("-f", "json", "--baseline", path)
    assert result.code == 0
    assert standings(result) == dict.fromkeys(FAULTS, "accepted")
    assert result.err.splitlines() == [
        f"since the baseline: 0 new, 0 grew, 0 expired, {len(FAULTS)} accepted",
        "2 of 2 servers checked",
    ]


def test_to_write_a_baseline_accepts_nothing_yet(cloud: AuditCloud, folder: Path) -> None:
    plain = cloud.run()
    assert plain.code == 3
    path = str(folder / "b")
    assert cloud.run("--write-baseline", path, "--baseline-reason", "x") == plain


def test_a_baseline_without_reasons_is_refused(cloud: AuditCloud, folder: Path) -> None:
    path = str(folder / "b")
    cloud.run("--write-baseline", path)
    assert {each["reason"] for each in entries(path)} == {""}
    result = cloud.run("--baseline", path)
    assert (result.code, result.out) == (1, "")
    assert result.err.count("it has no reason") == len(FAULTS)


def test_what_is_new_counts(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    cloud.flavor("worse", {"hw:unique_serial": "apple"})
    result = cloud.run("-f", "json", "--baseline", path)
    assert result.code == 3
    rows = [(row["resource_name"], row["baseline"]) for row in result.json]
    # What is accepted comes last, whatever its severity.
    assert rows[0] == ("worse", "new")
    assert {standing for _name, standing in rows[1:]} == {"accepted"}
    assert cloud.run("--baseline", path, "--fail-on", "high").code == 0


def test_what_grew_counts(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    cloud.server(3, host="c")
    result = cloud.run("-f", "json", "--baseline", path)
    assert result.code == 3
    grew = {id_ for id_, standing in standings(result).items() if standing == "grew"}
    assert grew == {"unique-not-effective", "host-identity-shown"}


@pytest.mark.parametrize(("days", "code"), [(-1, 3), (1, 0)])
def test_what_expired_counts(cloud: AuditCloud, folder: Path, days: int, code: int) -> None:
    path = Path(written(cloud, folder))
    day = UTC_TODAY + datetime.timedelta(days=days)
    document = yaml.safe_load(path.read_text())
    document["accepted"] = [{**each, "expires": str(day)} for each in document["accepted"]]
    path.write_text(yaml.safe_dump(document))
    result = cloud.run("-f", "json", "--baseline", str(path))
    assert result.code == code
    assert set(standings(result).values()) == {"accepted" if days > 0 else "expired"}


@pytest.mark.parametrize(("id_", "code"), [("images-unreadable", 0), ("traits-unreadable", 4)])
def test_what_could_not_be_checked_can_be_accepted(
    cloud: AuditCloud, folder: Path, id_: str, code: int
) -> None:
    cloud.fake.http.get(f"{GLANCE}/v2/images", status_code=403)
    path = baseline(folder, accepted(id_, "cloud", None))
    options = ["--only", "cannot-move", "--baseline", path, "--report", f"junit={folder}/x"]
    assert cloud.run(*options).code == code
    root = ET.fromstring((folder / "x").read_bytes())  # noqa: S314
    cases = {case.attrib["name"].partition(":")[0]: case for case in root.iter("testcase")}
    # Nobody looked all the same.
    assert cases["cannot-move"].find("error") is not None


def test_a_baseline_that_is_written_accepts_nothing_unchecked(
    cloud: AuditCloud, folder: Path
) -> None:
    cloud.fake.http.get(f"{GLANCE}/v2/images", status_code=403)
    path = written(cloud, folder)
    assert {ALL[each["id"]].severity.value for each in entries(path)} & {"unchecked"} == set()
    assert cloud.run("--baseline", path).code == 4


def test_entries_that_nothing_meets_are_named(cloud: AuditCloud, folder: Path) -> None:
    path = baseline(
        folder,
        accepted("invalid-value", "flavor", "typo"),
        accepted("invalid-value", "flavor", "gone"),
        accepted("cannot-move", "host", "gone"),
        accepted("pending-restart", "host", "gone"),
    )
    result = cloud.run("--baseline", path, "--only", "invalid-value")
    assert result.code == 0
    assert result.err.count("matches no finding: remove it") == 1
    assert f"The entry invalid-value of flavor gone of {path} matches no finding" in result.err


def test_to_renew_a_baseline_keeps_what_was_written(cloud: AuditCloud, folder: Path) -> None:
    day = UTC_TODAY - datetime.timedelta(days=1)
    path = baseline(
        folder,
        accepted("invalid-value", "flavor", "id-typo", reason="Old", expires=day, name="typo"),
        accepted("invalid-value", "flavor", "gone"),
        accepted("pending-restart", "host", "gone"),
        accepted("cannot-move", "host", "gone"),
    )
    options = ["--baseline", path, "--write-baseline", path, "--baseline-reason", "New"]
    assert cloud.run(*options, "--only", "invalid-value", "--only", "not-steered").code == 3
    assert [(each["id"], each.get("resource"), each["reason"]) for each in entries(path)] == [
        ("cannot-move", "gone", "Known"),
        ("invalid-value", "id-typo", "Old"),
        ("not-steered", "id-gold", "New"),
        ("pending-restart", "gone", "Known"),
    ]
    assert entries(path)[1]["expires"] == day
    assert entries(path)[1]["name"] == "typo"


def test_a_baseline_of_audit_keeps_what_verify_found(cloud: AuditCloud, folder: Path) -> None:
    facts = folder / "facts"
    facts.write_text(json.dumps({"uuid": server_id(1), "serial": "ABC"}))
    path = written(cloud, folder, "--facts", str(facts))
    both = {each["id"] for each in entries(path)}
    assert both == {*FAULTS, "serial-unexplained"}
    cloud.run("--baseline", path, "--write-baseline", path)
    assert {each["id"] for each in entries(path)} == both
    result, _urls = asked(
        cloud, "-f", "json", "--facts", str(facts), "--baseline", path, command="verify"
    )
    # No source has the other server.
    assert standings(result) == {"server-not-read": "new", "serial-unexplained": "accepted"}
    assert result.code == 4


def test_the_reports_tell_what_the_baseline_says(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    cloud.flavor("worse", {"hw:unique_serial": "apple"})
    options = [each for kind in FORMATS for each in ("--report", f"{kind}={folder}/{kind}")]
    assert cloud.run("--baseline", path, *options).code == 3
    page = (folder / "html").read_text()
    assert "1 finding that the baseline does not accept: 1 medium." in page
    assert '<h2 id="accepted">' in page
    assert "Known" in page
    root = ET.fromstring((folder / "junit").read_bytes())  # noqa: S314
    assert [len([*root.iter(tag)]) for tag in ("failure", "skipped", "error")] == [
        1,
        len(FAULTS) - 1,
        0,
    ]
    assert (
        'id="invalid-value",region="",scope="all projects",severity="medium",'
        'standing="accepted"} 1.0' in (folder / "prometheus").read_text()
    )


@pytest.mark.parametrize("formatter", ["table", "json", "csv", "value", "yaml"])
def test_the_column_is_there_with_a_baseline_only(
    cloud: AuditCloud, folder: Path, formatter: str
) -> None:
    path = written(cloud, folder)
    cloud.flavor("worse", {"hw:unique_serial": "apple"})
    options = ["-f", formatter, "--only", "invalid-value"]
    without, with_one = (cloud.run(*options, *more).out for more in ([], ["--baseline", path]))
    if formatter == "table":
        heads = [
            [cell.strip() for cell in text.splitlines()[1].split("|")]
            for text in (without, with_one)
        ]
        assert [head.count("baseline") for head in heads] == [0, 1]
    elif formatter == "csv":
        rows = [list(csv.reader(io.StringIO(text))) for text in (without, with_one)]
        assert "baseline" not in rows[0][0]
        at = rows[1][0].index("baseline")
        assert [row[at] for row in rows[1][1:]] == ["new", "accepted"]
    elif formatter == "value":
        assert " medium flavor worse " in without
        assert " medium new flavor worse " in with_one
        assert " medium accepted flavor typo " in with_one
    else:
        read = [yaml.safe_load(text) for text in (without, with_one)]
        assert all("baseline" not in row for row in read[0])
        assert [row["baseline"] for row in read[1]] == ["new", "accepted"]
        assert {*read[1][0]} - {*read[0][0]} == {"baseline"}
        if formatter == "json":
            assert list(read[1][0]) == [each for each in COLUMNS if each in read[1][0]]


def test_the_column_can_be_chosen(cloud: AuditCloud, folder: Path) -> None:
    path = written(cloud, folder)
    result = cloud.run("--baseline", path, "-f", "value", "-c", "id", "-c", "baseline")
    assert result.out.splitlines() == [f"{id_} accepted" for id_ in FAULTS]


def test_a_clean_cloud_with_an_empty_baseline(fake: FakeCloud, folder: Path) -> None:
    clean = AuditCloud(fake)
    clean.server(1, flavor=PLAIN)
    (folder / "empty").write_text("")
    result = clean.run("-f", "json", "--baseline", f"{folder}/empty")
    assert (result.code, result.json) == (0, [])
    assert result.err.startswith("since the baseline: 0 new, 0 grew, 0 expired, 0 accepted\n")


def test_servers_that_could_not_be_read_are_told_in_a_report(
    cloud: AuditCloud, folder: Path
) -> None:
    cloud.fake.http.get(f"{NOVA}/servers", status_code=403)
    cloud.run("--report", f"html={folder}/x", "--only", "serial-shared")
    assert "1 check found nothing, but not everything could be read." in (folder / "x").read_text()
