# SPDX-License-Identifier: Apache-2.0
"""The parts of the Horizon plugin that run without Horizon."""

from __future__ import annotations

import ast
import csv
import datetime
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uniqserial_dashboard
from uniqserial_dashboard import report
from uniqserial_dashboard.connection import connected
from uniqserial_dashboard.report import Report, ReportFile, Unusable

import osc_uniqserial
from osc_uniqserial.policy import SerialSource
from tests.unit.builders import DRIVER, M_AUTO, server_id
from tests.unit.clouds import AuditCloud, Node, QuietCloud
from tests.unit.fake_cloud import ENDPOINTS, KEYSTONE, PROJECT_ID, FakeCloud

PACKAGE = Path(uniqserial_dashboard.__file__).parent


@pytest.fixture
def cloud(fake: FakeCloud) -> AuditCloud:
    made = QuietCloud(fake)
    made.hosts(a=Node(DRIVER), b=Node((M_AUTO,)))
    made.server(1)
    made.server(2, host="b")
    made.server(3, host="b", name="=cmd|' /C calc'!A0")
    return made


def user(**fields: Any) -> Any:
    catalog = [
        {
            "type": kind,
            "name": kind,
            "id": kind,
            "endpoints": [
                {"interface": name, "region": "R", "region_id": "R", "url": ENDPOINTS[kind]}
                for name in ("public", "internal")
            ],
        }
        for kind in ENDPOINTS
    ]
    token = SimpleNamespace(
        id="user-token", expires=datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    )
    known = {"id": "u", "token": token, "project_id": PROJECT_ID, "services_region": "R"}
    return SimpleNamespace(**{**known, "service_catalog": catalog, **fields})


def settings(**fields: Any) -> Any:
    known = {
        "OPENSTACK_ENDPOINT_TYPE": "publicURL",
        "OPENSTACK_SSL_NO_VERIFY": False,
        "OPENSTACK_SSL_CACERT": None,
    }
    return SimpleNamespace(**{**known, **fields})


def test_the_token_and_the_catalog_of_the_user_are_used(cloud: AuditCloud) -> None:
    with connected(user(), settings()) as connection:
        explained = osc_uniqserial.explain(connection, server_id(2)).explanation
    assert explained.policy.source is SerialSource.HOST_AUTO
    sent = cloud.fake.http.request_history
    assert {each.headers.get("X-Auth-Token") for each in sent} <= {"user-token", None}
    assert not [each.url for each in sent if each.url.startswith(KEYSTONE)]


@pytest.mark.parametrize(
    ("fields", "verify"),
    [
        ({}, True),
        ({"OPENSTACK_SSL_CACERT": "/etc/ssl/ca.pem"}, "/etc/ssl/ca.pem"),
        ({"OPENSTACK_SSL_CACERT": "/x", "OPENSTACK_SSL_NO_VERIFY": True}, False),
    ],
)
def test_certificates_are_verified_as_horizon_does(
    cloud: AuditCloud, fields: dict[str, Any], verify: object
) -> None:
    with connected(user(), settings(**fields)) as connection:
        osc_uniqserial.explain(connection, server_id(1))
    used = {each.verify for each in cloud.fake.http.request_history}
    # requests replaces True by the file of a variable.
    assert used == {os.environ.get("REQUESTS_CA_BUNDLE", True) if verify is True else verify}


def test_the_region_and_the_interface_of_horizon_are_used(cloud: AuditCloud) -> None:
    with (
        connected(user(services_region="other"), settings()) as connection,
        pytest.raises(osc_uniqserial.CloudError, match="endpoint"),
    ):
        osc_uniqserial.explain(connection, server_id(1))
    with (
        connected(user(), settings(OPENSTACK_ENDPOINT_TYPE="adminURL")) as connection,
        pytest.raises(osc_uniqserial.CloudError, match="endpoint"),
    ):
        osc_uniqserial.explain(connection, server_id(1))


@pytest.fixture
def path(cloud: AuditCloud, tmp_path: Path) -> Path:
    """The report of an audit, as the command writes it."""
    written = tmp_path / "report.json"
    cloud.run("--report", f"json={written}")
    return written


def test_a_report_of_the_command_is_read(path: Path) -> None:
    read = ReportFile(str(path)).read()
    assert read.scope == "all projects"
    assert read.sources == {"instance-uuid": 1, "host-auto": 2}
    assert "host-identity-shown" in read.checks
    assert read.by_severity.total() == len(read.findings)
    assert read.began.tzinfo
    host = next(each for each in read.findings if each.resource_type == "host")
    assert read.hypervisors[host.resource_id or ""].startswith(host.resource_name or "-")


def test_filters(path: Path) -> None:
    read = ReportFile(str(path)).read()
    assert read.select() == list(read.findings)
    for each in read.findings:
        assert each in read.select(each.severity, each.id, each.resource_type, each.evidence[:9])
    assert not read.select(check="no-such-check")
    assert not read.select(text="no such text")
    shown = read.select(check="host-identity-shown", text=server_id(2))
    assert [each.resource_type for each in shown] == ["host"]


def test_a_replaced_report_is_read_again(path: Path) -> None:
    file = ReportFile(str(path))
    first = file.read()
    assert file.read() is first
    new = path.with_suffix(".new")
    new.write_text(path.read_text().replace("host-identity-shown", "another-check"))
    new.rename(path)
    assert "another-check" in file.read().checks
    path.write_text("{")
    with pytest.raises(Unusable, match="complete"):
        file.read()


def other(change: Callable[[str], str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(change(path.read_text()))

    return write


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Path.unlink, "missing"),
        (as_pipe, "not a file"),
        (as_folder, "directory"),
        (other(lambda text: ""), "complete"),
        (other(lambda text: text[: len(text) // 2]), "complete"),
        (other(lambda text: "[" * 100_000), "complete"),
        (other(lambda text: text.replace('"high"', '"huge"')), "complete"),
        (other(lambda text: text.replace('"version": 1,', '"version": 2,', 1)), "same release"),
        (other(lambda text: text.replace('"audit"', '"verify"', 1)), "not a JSON report"),
        (other(lambda text: "null"), "complete"),
        (other(lambda text: text.replace("+00:00", "")), "time zone"),
    ],
)
def test_a_report_that_cannot_be_shown(
    path: Path, change: Callable[[Path], None], reason: str
) -> None:
    before = path.read_text()
    change(path)
    assert not path.is_file() or path.read_text() != before
    with pytest.raises(Unusable, match=reason) as raised:
        ReportFile(str(path)).read()
    assert str(path) not in str(raised.value)


def test_a_file_that_is_too_large(path: Path) -> None:
    os.truncate(path, report.MOST_BYTES + 1)
    with pytest.raises(Unusable, match="MiB"):
        ReportFile(str(path)).read()


def rows(read: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(read.csv()))


def test_no_cell_of_the_csv_file_is_a_formula(path: Path) -> None:
    path.write_text(path.read_text().replace('"evidence": "', '"evidence": "=1+1 '))
    read = ReportFile(str(path)).read()
    found = rows(read)
    assert len(found) == len(read.findings)
    for row, finding in zip(found, read.findings, strict=True):
        assert row["evidence"] == f"'{finding.evidence}"
        assert row["servers"] == (
            "" if finding.server_ids is None else str(len(finding.server_ids))
        )


def test_of_the_client_only_the_python_api_is_imported() -> None:
    for path in PACKAGE.rglob("*.py"):
        pending: list[ast.AST] = [ast.parse(path.read_text())]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("osc_uniqserial."), path
            pending += ast.iter_child_nodes(node)
