# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial status`` on a real cloud."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.cloud import Cloud
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_metadef import clean
from tests.functional.test_show import broken_cell

Json = dict[str, Any]
Names = Callable[[str], str]

STATUS = ("unique", "serial", "status")


@pytest.fixture(scope="module", autouse=True)
def installed(cloud: Cloud) -> Iterator[None]:
    """A Glance with our namespaces, and without them afterwards."""
    cloud.openstack("unique", "serial", "metadef", "install")
    yield
    clean(cloud)


def rows(
    cloud: Cloud,
    *options: str,
    code: int = 3,
    user: str = "devcloud",
    clouds_yaml: Path | None = None,
    cold: bool = False,
) -> list[Json]:
    """Run the command and return its rows; two hosts of the cloud are worth a warning."""
    args = (*STATUS, "-f", "json", *options)
    run = cloud.openstack(*args, check=False, cloud=user, clouds_yaml=clouds_yaml, cold=cold)
    assert run.returncode == code, run.stdout + run.stderr
    found: list[Json] = json.loads(run.stdout)
    return found


def hosts(found: list[Json], id: str) -> list[str]:
    """Return all hosts of the rows that found this."""
    return sorted(
        host for row in found if row["Details"]["id"] == id for host in row["Details"]["hosts"]
    )


def only(found: list[Json], check: str) -> Json:
    """Return the one row of a check."""
    (row,) = [row for row in found if row["Check"] == check]
    return row


def all_extra_specs(cloud: Cloud) -> dict[str, Json]:
    """Return the extra specs of every flavor."""
    flavors = cloud.get("nova", "/v2.1/flavors/detail?is_public=None&limit=1000")["flavors"]
    return {flavor["id"]: flavor["extra_specs"] for flavor in flavors}


def test_each_host_is_told_as_it_is(cloud: Cloud) -> None:
    found = rows(cloud, cold=True)
    assert only(found, "Metadata definitions")["Details"]["id"] == "metadefs-current"
    assert hosts(found, "honours-keys") == ["keys-1"]
    stock = ["auto-1", "cell2-1", "hardware-1", "none-1", "os-1", "unique-1", "unique-2"]
    assert hosts(found, "ignores-keys") == stock
    assert hosts(found, "unknown-mode") == ["undeclared-1"]
    assert hosts(found, "contradicting-traits") == ["mixed-1"]
    assert hosts(found, "no-serial-number") == ["plain-fake-1"]
    assert hosts(found, "supported-hosts") == ["cell2-1", "keys-1", "unique-1", "unique-2"]
    modes = {
        row["Details"]["message"].rpartition("(mode ")[2].rstrip(")"): row["Details"]["hosts"]
        for row in found
        if row["Details"]["id"] == "ignores-keys"
    }
    assert modes["none"] == ["none-1"]
    assert modes["auto"] == ["auto-1"]


def test_a_few_requests_that_write_nothing(cloud: Cloud, proxy: Proxy) -> None:
    before = all_extra_specs(cloud)
    rows(cloud, clouds_yaml=proxy.clouds_yaml)
    requests = proxy.api_requests()
    print(*requests, sep="\n")
    assert len(requests) <= 3 + 1 + 4 + 9 + 1
    writes = [line for line in requests if line.split()[1] != "GET"]
    (probe,) = writes
    assert probe.endswith("/os-extra_specs")
    assert all_extra_specs(cloud) == before
    # Another run: no flavor that exists, and another one each time.
    rows(cloud, clouds_yaml=proxy.clouds_yaml)
    flavors = {line.split("/")[3] for line in proxy.api_requests() if "os-extra_specs" in line}
    assert len(flavors) == 2
    assert flavors.isdisjoint(before)


def test_the_probe_tells_what_nova_does(cloud: Cloud) -> None:
    body = {"extra_specs": {"hw:unique_serial": "true"}}
    answer = cloud.raw("nova", "POST", f"/v2.1/flavors/{uuid.uuid4()}/os-extra_specs", body)
    expected = {400: "validator-missing", 404: "validator-loaded"}[answer.status_code]
    assert only(rows(cloud), "Extra-spec validation")["Details"]["id"] == expected


@pytest.mark.parametrize("newest", ["2.69", "2.85"])
def test_an_older_nova_is_not_probed(cloud: Cloud, proxy: Proxy, newest: str) -> None:
    proxy.nova_newest = newest
    found = rows(cloud, clouds_yaml=proxy.clouds_yaml)
    assert only(found, "Extra-spec validation")["Result"] == "Info"
    assert hosts(found, "honours-keys") == ["keys-1"]
    assert {line.split()[1] for line in proxy.api_requests()} == {"GET"}


@pytest.mark.parametrize("user", ["devcloud-member", "devcloud-reader"])
def test_a_user_without_rights_learns_why(cloud: Cloud, user: str) -> None:
    found = rows(cloud, code=4, user=user)
    assert [row["Result"] for row in found] == ["Success", *["Unknown"] * 4]
    assert "answered 403" in only(found, "Extra-spec validation")["Details"]["message"]
    assert "answered 403" in only(found, "Compute hosts")["Details"]["message"]


def test_missing_definitions(cloud: Cloud) -> None:
    clean(cloud)
    try:
        row = only(rows(cloud), "Metadata definitions")
        assert (row["Result"], row["Details"]["id"]) == ("Warning", "metadefs-missing")
        rows(cloud, user="devcloud-member")
    finally:
        cloud.openstack("unique", "serial", "metadef", "install")


def test_given_modes(cloud: Cloud) -> None:
    found = rows(cloud, "--host-mode", "undeclared-1=auto")
    assert hosts(found, "unknown-mode") == []
    assert "undeclared-1" in hosts(found, "ignores-keys")


def test_a_host_that_an_aggregate_declares(cloud: Cloud, unique_name: Names) -> None:
    name = unique_name("aggregate")
    cloud.openstack("aggregate", "create", "--unique-serial", name)
    cloud.openstack("aggregate", "add", "host", name, "undeclared-1")
    try:
        found = rows(cloud)
        assert hosts(found, "declared-by-aggregates") == ["undeclared-1"]
        assert hosts(found, "declared-hosts") == ["undeclared-1"]
        assert hosts(found, "unknown-mode") == []
    finally:
        cloud.openstack("aggregate", "remove", "host", name, "undeclared-1")
        cloud.openstack("aggregate", "delete", name)


def test_a_disabled_host(cloud: Cloud) -> None:
    services = cloud.get("nova", "/v2.1/os-services?binary=nova-compute&host=keys-1")["services"]
    path = f"/v2.1/os-services/{services[0]['id']}"
    assert cloud.raw("nova", "PUT", path, {"status": "disabled"}).ok
    try:
        found = rows(cloud)
    finally:
        assert cloud.raw("nova", "PUT", path, {"status": "enabled"}).ok
    assert hosts(found, "host-disabled") == ["keys-1"]
    assert hosts(found, "honours-keys") == ["keys-1"]
    assert "keys-1" not in hosts(found, "supported-hosts")


def test_a_host_that_is_down(cloud: Cloud) -> None:
    services = cloud.get("nova", "/v2.1/os-services?binary=nova-compute&host=keys-1")["services"]
    path = f"/v2.1/os-services/{services[0]['id']}"
    assert cloud.raw("nova", "PUT", path, {"forced_down": True}).ok
    try:
        found = rows(cloud)
    finally:
        assert cloud.raw("nova", "PUT", path, {"forced_down": False}).ok
    assert hosts(found, "host-down") == ["keys-1"]
    assert "keys-1" not in hosts(found, "supported-hosts")


def test_a_provider_that_is_no_host(cloud: Cloud, unique_name: Names) -> None:
    """A trait on a nested provider, or on one of no host, is not taken for a host's."""
    body = {"name": unique_name("provider"), "uuid": str(uuid.uuid4())}
    assert cloud.raw("placement", "POST", "/resource_providers", body).ok
    path = f"/resource_providers/{body['uuid']}"
    traits = {
        "resource_provider_generation": 0,
        "traits": ["CUSTOM_UNIQUE_SERIAL", "CUSTOM_UNIQUE_SERIAL_KEYS"],
    }
    try:
        assert cloud.raw("placement", "PUT", f"{path}/traits", traits).ok
        assert hosts(rows(cloud), "honours-keys") == ["keys-1"]
    finally:
        cloud.raw("placement", "DELETE", path)


def test_a_cell_that_is_down(cloud: Cloud) -> None:
    with broken_cell(cloud):
        run = cloud.openstack(*STATUS, "-f", "json", check=False)
    found = json.loads(run.stdout)
    assert hosts(found, "hosts-unreadable")[0] == "cell2-1"
    # What traits show of a host is known; whether it is up is not.
    assert "cell2-1" in hosts(found, "ignores-keys")
    assert "cell2-1" not in hosts(found, "supported-hosts")
    assert hosts(found, "host-down") == []
    assert run.returncode in (3, 4)


@pytest.mark.parametrize("status", [503, 0])
def test_a_placement_that_does_not_answer(cloud: Cloud, proxy: Proxy, status: int) -> None:
    proxy.faults.append(Fault("GET /resource_providers", status=status))
    run = cloud.openstack(*STATUS, "-f", "json", check=False, clouds_yaml=proxy.clouds_yaml)
    found = json.loads(run.stdout)
    assert run.returncode in (3, 4)
    assert len(hosts(found, "traits-unreadable")) == 10
    assert hosts(found, "honours-keys") == []
    unknown = {row["Check"] for row in found if row["Result"] == "Unknown"}
    assert unknown == {"Compute hosts", "Images and host identity", "Scheduling"}


def test_the_probe_is_sent_once(cloud: Cloud, proxy: Proxy) -> None:
    proxy.faults.append(Fault("POST ", status=503))
    found = rows(cloud, clouds_yaml=proxy.clouds_yaml)
    assert only(found, "Extra-spec validation")["Result"] == "Unknown"
    assert len([line for line in proxy.api_requests() if " POST " in line]) == 1


@pytest.mark.parametrize("formatter", ["table", "csv", "value", "yaml"])
def test_every_format(cloud: Cloud, formatter: str) -> None:
    run = cloud.openstack(*STATUS, "-f", formatter, check=False)
    assert run.returncode == 3
    assert "undeclared-1" in run.stdout
