# SPDX-License-Identifier: Apache-2.0
"""The Python API, on a connection, without the shell."""

from __future__ import annotations

import re
import subprocess
import sys
import unittest.mock
from pathlib import Path

import openstack
import pytest
import requests

import osc_uniqserial
from osc_uniqserial import CloudError, GuestSources, Scope, Unchecked
from osc_uniqserial.model.cloud import Fleet
from osc_uniqserial.policy import HostMode, SerialSource
from tests.unit.builders import DRIVER, M_AUTO, server_id
from tests.unit.clouds import AuditCloud, Node, QuietCloud, deny_all_projects
from tests.unit.fake_cloud import KEYSTONE, NOVA, PROJECT_ID, FakeCloud
from tests.unit.writable_cloud import WritableCloud


@pytest.fixture
def cloud(fake: FakeCloud) -> AuditCloud:
    made = QuietCloud(fake)
    made.hosts(a=Node(DRIVER), b=Node((M_AUTO,)), c=Node(()))
    made.server(1)
    made.server(2, host="b")
    made.server(3, host="c")
    return made


@pytest.fixture
def connection(cloud: AuditCloud) -> openstack.connection.Connection:
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=KEYSTONE,
        username="u",
        password="p",
        project_id=PROJECT_ID,
        user_domain_id="default",
    )


def test_an_audit_twice(connection: openstack.connection.Connection) -> None:
    """A module of the name of a function would replace it after the first call."""
    for _ in range(2):
        read = unittest.mock.Mock()
        run = osc_uniqserial.audit(connection, progress=read)
        assert run.covered is None
        ids = [each.id for each in run]
        assert {"host-identity-shown", "host-unknown"} <= set(ids)
        assert run.covered
        assert run.covered.servers == 3
        assert run.is_whole
        assert read.call_args.args[0] == 3
        assert sum(each.servers for each in run.counts.by_host(run.fleet)) == 3


def test_an_explanation_twice(connection: openstack.connection.Connection) -> None:
    for _ in range(2):
        explained = osc_uniqserial.explain(connection, server_id(2))
        assert explained.explanation.policy.source is SerialSource.HOST_AUTO
        assert explained.explanation.survives_move is False


def test_modes_that_are_given(connection: openstack.connection.Connection) -> None:
    run = osc_uniqserial.audit(connection, host_modes={"c": HostMode.OS, "x": HostMode.OS})
    assert "host-unknown" not in {each.id for each in run}
    assert any("no such host" in note for note in run.notes)


def test_a_verification_twice(connection: openstack.connection.Connection, tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    facts.write_text(f'{{"uuid": "{server_id(1)}", "serial": "4711"}}\n')
    sources = GuestSources(facts=[str(facts)])
    for _ in range(2):
        run = osc_uniqserial.verify(connection, sources)
        assert "serial-unexplained" in [each.id for each in run if each.severity.value == "medium"]
        assert run.covered
        assert run.covered.checked == 1


def test_a_verification_without_a_source(connection: openstack.connection.Connection) -> None:
    with pytest.raises(ValueError, match="no source"):
        osc_uniqserial.verify(connection, GuestSources())


def test_servers_of_one_project(
    connection: openstack.connection.Connection, cloud: AuditCloud
) -> None:
    run = osc_uniqserial.audit(connection, scope=Scope(project_id="p"))
    list(run)
    assert run.scope == "project p only"
    assert any("project_id=p" in each.url for each in cloud.fake.http.request_history)


def test_all_projects_where_that_is_not_allowed(
    connection: openstack.connection.Connection, cloud: AuditCloud
) -> None:
    deny_all_projects(cloud)
    with pytest.raises(CloudError, match="may not list"):
        osc_uniqserial.audit(connection, scope=Scope(all_projects=True))
    assert "own project" in osc_uniqserial.audit(connection).scope


def test_hosts(connection: openstack.connection.Connection, cloud: AuditCloud) -> None:
    read = osc_uniqserial.hosts(connection, host_modes={"c": HostMode.OS})
    assert isinstance(read, Fleet)
    assert [(each.name, each.input.mode) for each in read.hosts][1:] == [
        ("b", HostMode.AUTO),
        ("c", HostMode.OS),
    ]
    cloud.fake.http.get(re.compile(f"{NOVA}/os-hypervisors"), status_code=403, json={})
    unread = osc_uniqserial.hosts(connection)
    assert isinstance(unread, Unchecked)
    assert unread.status == 403


def test_readiness_twice(connection: openstack.connection.Connection, cloud: AuditCloud) -> None:
    for _ in range(2):
        found = osc_uniqserial.readiness(connection, host_modes={"x": HostMode.OS})
        rows = {row.id: (row.result.value, row.hosts) for row in found.rows}
        assert rows["ignores-keys"] == ("Info", ("b",))
        assert rows["unknown-mode"] == ("Warning", ("c",))
        assert any("no such host" in note for note in found.notes)
    cloud.fake.http.get(re.compile(f"{NOVA}/os-hypervisors"), status_code=403, json={})
    unread = osc_uniqserial.readiness(connection)
    assert {row.result.value for row in unread.rows if row.id == "hosts-unreadable"} == {"Unknown"}


def test_a_request_for_a_unique_serial(
    connection: openstack.connection.Connection, fake: FakeCloud
) -> None:
    writable = WritableCloud(fake)
    writable.server(1, metadata={"other": "kept"})
    osc_uniqserial.ask_unique(connection, server_id(1))
    assert writable.metadata(1) == {"other": "kept", "hw_unique_serial": "true"}


def test_a_request_that_nova_refuses(
    connection: openstack.connection.Connection, fake: FakeCloud
) -> None:
    writable = WritableCloud(fake)
    writable.server(1)
    writable.before[f"POST .*/servers/{server_id(1)}/metadata"] = lambda: 403
    with pytest.raises(CloudError, match="Nova"):
        osc_uniqserial.ask_unique(connection, server_id(1))
    assert writable.metadata(1) == {}


def test_errors_name_the_service(
    connection: openstack.connection.Connection, cloud: AuditCloud
) -> None:
    cloud.fake.http.get(f"{NOVA}/", exc=requests.ConnectionError)
    cloud.fake.http.get(NOVA, exc=requests.ConnectionError)
    cloud.fake.http.get("http://nova.test/", exc=requests.ConnectionError)
    with pytest.raises(CloudError, match="Nova"):
        osc_uniqserial.explain(connection, server_id(1))


def test_the_package_loads_nothing_until_it_is_used() -> None:
    code = "import sys, osc_uniqserial; print('osc_uniqserial.pipelines' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
    with pytest.raises(AttributeError, match="nothing"):
        osc_uniqserial.nothing  # noqa: B018
    assert all(hasattr(osc_uniqserial, name) for name in osc_uniqserial.__all__)
