# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial host list`` on a real cloud."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcloud.hosts import HOSTS
from tests.functional.cloud import Cloud, Json
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_show import broken_cell

Names = Callable[[str], str]

LIST = ("unique", "serial", "host", "list")


def rows(
    cloud: Cloud, *options: str, clouds_yaml: Path | None = None, cold: bool = False
) -> dict[str, Json]:
    """Run the command and return its rows by host."""
    args = (*LIST, "-f", "json", "--long", *options)
    run = cloud.openstack(*args, clouds_yaml=clouds_yaml, cold=cold)
    found: list[Json] = json.loads(run.stdout)
    assert [row["host"] for row in found] == sorted(row["host"] for row in found)
    return {row["host"]: row for row in found}


@contextlib.contextmanager
def aggregate(cloud: Cloud, name: str, host: str, *options: str) -> Iterator[None]:
    """A host aggregate with one host, for a while."""
    cloud.openstack("aggregate", "create", *options, name)
    cloud.openstack("aggregate", "add", "host", name, host)
    try:
        yield
    finally:
        cloud.openstack("aggregate", "remove", "host", name, host)
        cloud.openstack("aggregate", "delete", name)


def test_every_host_of_the_cloud_is_there(cloud: Cloud) -> None:
    found = rows(cloud, cold=True)
    assert sorted(found) == sorted(host.name for host in HOSTS)
    for host in HOSTS:
        row = found[host.name]
        assert row["hypervisor_hostname"] == host.node
        assert (row["state"], row["status"]) == ("up", "enabled")
        assert (row["aggregates"], row["declared"]) == ([], None)
        assert isinstance(row["servers"], int)


STOCK = ("trait", "trait-absent", None)
SILENT = (None, "trait-absent", None)


@pytest.mark.parametrize(
    ("host", "mode", "honours", "meets", "may_show", "evidence"),
    [
        ("unique-1", "unique", False, True, None, ("trait", "trait-absent", "trait")),
        ("unique-2", "unique", False, True, None, ("trait", "trait-absent", "trait")),
        ("cell2-1", "unique", False, True, None, ("trait", "trait-absent", "trait")),
        ("auto-1", "auto", False, False, None, STOCK),
        ("os-1", "os", False, False, None, STOCK),
        ("hardware-1", "hardware", False, False, None, STOCK),
        ("none-1", "none", False, False, None, STOCK),
        ("undeclared-1", None, False, None, None, SILENT),
        ("keys-1", "auto", True, True, True, ("trait", "trait", "trait")),
        ("mixed-1", None, False, None, None, SILENT),
        ("plain-fake-1", None, False, False, None, SILENT),
    ],
)
def test_each_host_is_told_as_it_is(
    cloud: Cloud,
    host: str,
    mode: str | None,
    honours: bool,
    meets: bool | None,
    may_show: bool | None,
    evidence: tuple[str | None, ...],
) -> None:
    (row,) = rows(cloud, "--host", host).values()
    assert (row["host_mode"], row["host_honours"], row["meets_unique"]) == (mode, honours, meets)
    assert row["image_may_show_host"] is may_show
    assert row["server_may_ask"] is (True if host == "keys-1" else None)
    assert row["smbios"] is (host != "plain-fake-1")
    assert tuple(row["evidence"].values()) == evidence
    contradiction = "contradicting traits: CUSTOM_SYSINFO_SERIAL_AUTO, CUSTOM_SYSINFO_SERIAL_UNIQUE"
    assert row["problems"] == ([contradiction] if host == "mixed-1" else [])


def test_only_problems(cloud: Cloud) -> None:
    assert list(rows(cloud, "--problems")) == ["mixed-1"]


def test_a_server_counts(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    before = rows(cloud)["os-1"]["servers"]
    server = cloud.boot(unique_name("server"), plain_flavor, plain_image, "os-1")
    cloud.action(server, **{"os-stop": None})
    cloud.wait(server, "SHUTOFF")
    assert rows(cloud)["os-1"]["servers"] == before + 1, "stopped ones too"
    assert cloud.raw("nova", "DELETE", f"/v2.1/servers/{server}").ok
    deadline = time.monotonic() + 90
    while rows(cloud)["os-1"]["servers"] != before:
        assert time.monotonic() < deadline
        time.sleep(1)


def test_what_aggregates_declare(cloud: Cloud, unique_name: Names) -> None:
    true, false, plain = sorted(unique_name("rack") for _ in range(3))
    with (
        aggregate(cloud, true, "undeclared-1", "--unique-serial"),
        aggregate(cloud, plain, "undeclared-1"),
    ):
        row = rows(cloud)["undeclared-1"]
        assert row["aggregates"] == sorted([true, plain])
        assert (row["declared"], row["meets_unique"]) == (True, True)
        assert row["evidence"]["host_meets_unique"] == "declared"
        assert row["problems"] == []
        with aggregate(cloud, false, "undeclared-1", "--no-unique-serial"):
            row = rows(cloud)["undeclared-1"]
    assert (row["declared"], row["meets_unique"]) == (None, None)
    assert row["problems"] == [f"contradicting aggregates: true in {true}; false in {false}"]


def test_a_declaration_that_traits_contradict(cloud: Cloud, unique_name: Names) -> None:
    name = unique_name("rack")
    with aggregate(cloud, name, "auto-1", "--unique-serial"):
        row = rows(cloud, "--problems")["auto-1"]
    assert (row["declared"], row["meets_unique"]) == (True, False)
    assert row["problems"] == [f"declared true in {name}, but a request for unique is not met here"]


def test_given_modes(cloud: Cloud) -> None:
    options = ("--host-mode", "undeclared-1=auto", "--host-mode", "unique-1=os")
    run = cloud.openstack(*LIST, "-f", "json", *options)
    found = {row["host"]: row for row in json.loads(run.stdout)}
    assert found["undeclared-1"]["host_mode"] == "auto"
    assert found["undeclared-1"]["evidence"]["host_mode"] == "given"
    assert found["undeclared-1"]["meets_unique"] is False
    assert found["unique-1"]["host_mode"] == "unique"
    assert "The given mode of host unique-1 was not used" in run.stderr


def test_a_host_that_is_disabled_and_down(cloud: Cloud) -> None:
    services = cloud.get("nova", "/v2.1/os-services?binary=nova-compute&host=keys-1")["services"]
    path = f"/v2.1/os-services/{services[0]['id']}"
    assert cloud.raw("nova", "PUT", path, {"status": "disabled", "forced_down": True}).ok
    try:
        row = rows(cloud)["keys-1"]
    finally:
        assert cloud.raw("nova", "PUT", path, {"status": "enabled", "forced_down": False}).ok
    assert (row["state"], row["status"]) == ("down", "disabled")
    assert row["host_honours"] is True


def test_a_host_without_a_resource_provider(cloud: Cloud, proxy: Proxy) -> None:
    """Placement may know others only: what Nova lists beyond them is told as unreadable."""
    other = json.dumps({"resource_providers": [{"uuid": str(uuid.uuid4())}]})
    proxy.faults.append(Fault("GET /resource_providers", status=200, body=other))
    for row in rows(cloud, clouds_yaml=proxy.clouds_yaml).values():
        assert (row["host_mode"], row["host_honours"]) == (None, None)
        assert row["problems"] == (
            ["it has no resource provider in Placement"] if row["smbios"] else []
        )


def test_a_few_requests_that_write_nothing(cloud: Cloud, proxy: Proxy) -> None:
    rows(cloud, clouds_yaml=proxy.clouds_yaml)
    requests = proxy.api_requests()
    print(*requests, sep="\n")
    # Hypervisors, the traits that exist, each of at most 9, all providers, aggregates.
    assert len(requests) <= 1 + 1 + 9 + 1 + 1
    assert {line.split()[1] for line in requests} == {"GET"}


@pytest.mark.parametrize("newest", ["2.69", "2.87"])
def test_an_older_nova(cloud: Cloud, proxy: Proxy, newest: str) -> None:
    proxy.nova_newest = newest
    assert rows(cloud, clouds_yaml=proxy.clouds_yaml) == rows(cloud)


@pytest.mark.parametrize("user", ["devcloud-member", "devcloud-reader"])
def test_a_user_without_rights_learns_why(cloud: Cloud, user: str) -> None:
    run = cloud.openstack(*LIST, check=False, cloud=user)
    assert (run.returncode, run.stdout) == (1, "")
    assert "answered 403: Policy doesn't allow" in run.stderr
    assert "requires an administrator." in run.stderr
    assert "Traceback" not in run.stderr


def test_a_host_that_is_not_there(cloud: Cloud) -> None:
    run = cloud.openstack(*LIST, "--host", "auto-1.example.org", check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert "There is no compute host 'auto-1.example.org'" in run.stderr


def test_a_cell_that_is_down(cloud: Cloud) -> None:
    with broken_cell(cloud):
        run = cloud.openstack(*LIST, "--long", "-f", "json", check=False)
    found = {row["host"]: row for row in json.loads(run.stdout)}
    assert run.returncode == 4
    row = found["cell2-1"]
    assert (row["host_mode"], row["meets_unique"]) == ("unique", True)
    assert (row["state"], row["status"], row["smbios"], row["servers"]) == (None,) * 4
    assert (found["keys-1"]["state"], found["keys-1"]["smbios"]) == ("up", None)
    assert "A cell is down, with 1 host: cell2-1" in run.stderr


@pytest.mark.parametrize("status", [503, 0])
def test_a_placement_that_does_not_answer(cloud: Cloud, proxy: Proxy, status: int) -> None:
    proxy.faults.append(Fault("GET /resource_providers", status=status))
    run = cloud.openstack(*LIST, "-f", "json", clouds_yaml=proxy.clouds_yaml)
    found = json.loads(run.stdout)
    assert len(found) == len(HOSTS)
    for row in found:
        assert (row["host_mode"], row["host_honours"]) == (None, None)
        assert row["evidence"]["host_mode"] == "unreadable"
    assert "The traits of the hosts could not be read: Placement" in run.stderr


def test_aggregates_that_cannot_be_read(cloud: Cloud, proxy: Proxy) -> None:
    proxy.faults.append(Fault("GET /v2.1/os-aggregates", status=403))
    run = cloud.openstack(*LIST, "-f", "json", "--long", clouds_yaml=proxy.clouds_yaml)
    found = json.loads(run.stdout)
    assert {(row["aggregates"], row["declared"]) for row in found} == {(None, None)}
    assert "The host aggregates could not be read: Nova (compute) answered 403" in run.stderr


@pytest.mark.parametrize("formatter", ["table", "csv", "value", "yaml"])
@pytest.mark.parametrize("options", [(), ("--long",)])
def test_every_format(cloud: Cloud, formatter: str, options: tuple[str, ...]) -> None:
    out = cloud.openstack(*LIST, "-f", formatter, *options).stdout
    assert all(host.name in out for host in HOSTS)
    assert ("auto-1.example.org" in out) is bool(options)
