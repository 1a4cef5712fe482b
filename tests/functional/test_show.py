# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial show`` on real services."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.cloud import Cloud, Json
from tests.functional.proxy import Fault, Proxy

Names = Callable[[str], str]
TRUE, FALSE = {"hw:unique_serial": "true"}, {"hw:unique_serial": "false"}
REQUIRED = {"trait:CUSTOM_UNIQUE_SERIAL": "required"}


@pytest.fixture(scope="module")
def gold(cloud: Cloud, unique_name: Names) -> str:
    return cloud.new_flavor(unique_name("gold"), TRUE)


@pytest.fixture(scope="module")
def images(cloud: Cloud, unique_name: Names) -> dict[str, str]:
    return {
        "unset": cloud.new_image(unique_name("img")),
        "true": cloud.new_image(unique_name("img"), hw_unique_serial="true"),
        "false": cloud.new_image(unique_name("img"), hw_unique_serial="false"),
    }


@pytest.fixture(scope="module")
def flavors(cloud: Cloud, unique_name: Names, gold: str, plain_flavor: str) -> dict[str, str]:
    return {
        "unset": plain_flavor,
        "true": gold,
        "false": cloud.new_flavor(unique_name("host"), FALSE),
    }


@pytest.mark.parametrize(
    ("host", "flavor", "image", "source", "decided_by", "honours"),
    [
        ("unique-1", "unset", "unset", "instance-uuid", "host", False),
        ("unique-1", "false", "unset", "instance-uuid", "host", False),
        ("auto-1", "true", "unset", "host-auto", "host", False),
        ("os-1", "unset", "true", "host-os", "host", False),
        ("hardware-1", "unset", "unset", "host-hardware", "host", False),
        ("none-1", "true", "true", "absent", "host", False),
        ("keys-1", "true", "false", "instance-uuid", "flavor", True),
        ("keys-1", "unset", "true", "instance-uuid", "image", True),
        ("keys-1", "false", "unset", "host-auto", "flavor", True),
        ("keys-1", "unset", "unset", "host-auto", "host", True),
        ("undeclared-1", "true", "unset", "unknown", "none", False),
        ("mixed-1", "unset", "unset", "unknown", "none", False),
        ("plain-fake-1", "true", "unset", "absent", "none", False),
    ],
)
def test_every_kind_of_host(
    cloud: Cloud,
    unique_name: Names,
    flavors: dict[str, str],
    images: dict[str, str],
    host: str,
    flavor: str,
    image: str,
    source: str,
    decided_by: str,
    honours: bool,
) -> None:
    name = unique_name("server")
    server = cloud.boot(name, flavors[flavor], images[image], host)
    shown = cloud.show(name)
    assert (shown["id"], shown["host"]) == (server, host)
    assert (shown["serial_source"], shown["decided_by"]) == (source, decided_by)
    assert shown["host_honours"] is honours
    assert shown["expected_serial"] == (server if source == "instance-uuid" else None)
    assert shown["evidence"]["flavor"] == "embedded-flavor"
    assert shown["evidence"]["image"] == "current-image"


def test_by_name_at_most_16_requests(
    cloud: Cloud, proxy: Proxy, unique_name: Names, gold: str, plain_image: str
) -> None:
    name = unique_name("server")
    cloud.boot(name, gold, plain_image, "keys-1")
    shown = cloud.show(name, clouds_yaml=proxy.clouds_yaml)
    assert shown["survives_move"] is False
    requests = proxy.api_requests()
    print(*requests, sep="\n")
    assert len(requests) <= 16
    assert {line.split()[1] for line in requests} == {"GET"}


def test_flavor_and_image_changed_since_boot(cloud: Cloud, unique_name: Names) -> None:
    flavor_name = unique_name("flavor")
    flavor = cloud.new_flavor(flavor_name, TRUE)
    image = cloud.new_image(unique_name("img"))
    server = cloud.boot(unique_name("server"), flavor, image, "keys-1")
    cloud.set_extra_specs(flavor, FALSE)
    shown = cloud.show(server)
    assert shown["serial_source"] == "instance-uuid"
    assert shown["pending"] == [
        {"input": "flavor", "now": "true", "next": "false", "applied_by": "resize"}
    ]
    cloud.raw("nova", "DELETE", f"/v2.1/flavors/{flavor}")
    run = cloud.openstack("unique", "serial", "show", "-f", "json", server)
    shown = json.loads(run.stdout)
    assert (shown["flavor_value"], shown["pending"]) == ("true", [])
    assert f"'{flavor_name}' is missing, or hidden" in run.stderr


def test_image_deleted_since_boot(cloud: Cloud, unique_name: Names, plain_flavor: str) -> None:
    image = cloud.new_image(unique_name("img"), hw_unique_serial="true")
    server = cloud.boot(unique_name("server"), plain_flavor, image, "keys-1")
    cloud.raw("glance", "DELETE", f"/v2/images/{image}")
    run = cloud.openstack("unique", "serial", "show", "-f", "json", server, cold=True)
    shown = json.loads(run.stdout)
    assert shown["evidence"]["image"] == "unreadable"
    assert (shown["requested"], shown["serial_source"]) == (None, "unknown")
    assert "The server's image could not be read: it was deleted." in run.stderr


def test_image_marked_after_boot(cloud: Cloud, unique_name: Names, plain_flavor: str) -> None:
    image = cloud.new_image(unique_name("img"))
    server = cloud.boot(unique_name("server"), plain_flavor, image, "keys-1")
    time.sleep(1.1)  # both services tell whole seconds
    cloud.openstack("image", "set", "--unique-serial", image)
    run = cloud.openstack("unique", "serial", "show", "-f", "json", server)
    shown = json.loads(run.stdout)
    assert (shown["requested"], shown["serial_source"]) == (None, "unknown")
    assert "was changed after the server was created" in run.stderr


def test_a_junk_value_that_nova_stored(cloud: Cloud, unique_name: Names, plain_image: str) -> None:
    flavor = cloud.new_flavor(unique_name("junk"), {"hw:unique_serial": "banana"})
    server = cloud.boot(unique_name("server"), flavor, plain_image, "keys-1")
    run = cloud.openstack("unique", "serial", "show", "-f", "json", server)
    shown = json.loads(run.stdout)
    assert (shown["requested"], shown["flavor_value"]) == ("unset", "banana")
    assert shown["serial_source"] == "host-auto"
    assert "counts as unset" in run.stderr


def test_shelved_offloaded(cloud: Cloud, unique_name: Names, gold: str, plain_image: str) -> None:
    server = cloud.boot(unique_name("server"), gold, plain_image, "keys-1")
    cloud.action(server, shelve=None)
    cloud.wait(server, "SHELVED_OFFLOADED")
    shown = cloud.show(server)
    assert (shown["host"], shown["serial_source"]) == (None, "unknown")
    assert "no host now (status SHELVED_OFFLOADED)" in shown["why"]


def test_a_server_that_failed_to_boot(cloud: Cloud, unique_name: Names, plain_image: str) -> None:
    flavor = cloud.new_flavor(unique_name("huge"), {**TRUE, "trait:CUSTOM_NOWHERE": "required"})
    body = {
        "name": unique_name("server"),
        "flavorRef": flavor,
        "imageRef": plain_image,
        "networks": "none",
    }
    answer = cloud.raw("nova", "POST", "/v2.1/servers", {"server": body})
    server = answer.json()["server"]["id"]
    cloud.wait(server, "ERROR")
    shown = cloud.show(server)
    assert (shown["host"], shown["serial_source"]) == (None, "unknown")


def test_a_root_volume_that_nova_made(
    cloud: Cloud, proxy: Proxy, unique_name: Names, plain_flavor: str, images: dict[str, str]
) -> None:
    """Nova used the image; the metadata of the volume may change afterwards."""
    name = unique_name("server")
    server = cloud.boot_from_new_volume(name, plain_flavor, images["true"], "keys-1")
    record = cloud.get("nova", f"/v2.1/servers/{server}")["server"]
    assert record["image"] == ""
    (root,) = record["os-extended-volumes:volumes_attached"]
    for value in ("true", "no"):
        args = ("volume", "set", "--image-property", f"hw_unique_serial={value}", root["id"])
        cloud.openstack(*args)
        shown = cloud.show(server, clouds_yaml=proxy.clouds_yaml)
        assert (shown["image_value"], shown["evidence"]["image"]) == ("true", "current-image")
        assert (shown["serial_source"], shown["decided_by"]) == ("instance-uuid", "image")
    assert len(proxy.api_requests()) <= 2 * 17


def test_a_root_volume_that_was_there_before(
    cloud: Cloud, unique_name: Names, plain_flavor: str, images: dict[str, str]
) -> None:
    """Nova used its metadata at boot, and nothing shows whether those have changed since."""
    name = unique_name("server")
    root = cloud.new_volume(unique_name("root"), images["true"])
    data = cloud.new_volume(unique_name("data"), images["false"])
    server = cloud.boot_from_volumes(name, plain_flavor, root, data, host="keys-1")
    updated = cloud.volume(root)["updated_at"]
    run = cloud.openstack("unique", "serial", "show", "-f", "json", server)
    shown = json.loads(run.stdout)
    assert (shown["image_value"], shown["evidence"]["image"]) == (None, "unreadable")
    assert (shown["serial_source"], shown["expected_serial"]) == ("unknown", None)
    assert "Cinder does not return whether they have changed since" in run.stderr
    # The reason: a change of the metadata does not change the volume's time.
    cloud.openstack("volume", "set", "--image-property", "hw_unique_serial=no", root)
    changed = cloud.volume(root)
    assert changed["volume_image_metadata"]["hw_unique_serial"] == "false"
    assert changed["updated_at"] == updated
    listed = cloud.openstack("unique", "serial", "list", "-f", "json", "--long", "--host", "keys-1")
    (row,) = [row for row in json.loads(listed.stdout) if row["id"] == server]
    assert {key: row[key] for key in shown if key in row} == {
        key: shown[key] for key in shown if key in row
    }


def test_a_plain_tenant(cloud: Cloud, unique_name: Names, plain_image: str) -> None:
    steered = unique_name("steered")
    unsteered = unique_name("unsteered")
    for name, specs in ((steered, {**TRUE, **REQUIRED}), (unsteered, TRUE)):
        cloud.new_flavor(name, specs)
        cloud.openstack(
            "--os-compute-api-version", "2.37", "server", "create", "--flavor", name,
            "--image", plain_image, "--nic", "none", "--wait", name, cloud="devcloud-member",
        )  # fmt: skip
    for user in ("devcloud-member", "devcloud-reader"):
        shown = cloud.show(unsteered, cloud=user)
        assert (shown["host"], shown["serial_source"]) == (None, "unknown")
        assert shown["evidence"]["host_mode"] == "unreadable"
        shown = cloud.show(steered, cloud=user)
        assert (shown["serial_source"], shown["survives_move"]) == ("instance-uuid", True)
        assert shown["evidence"]["host_meets_unique"] == "required-trait"
    run = cloud.openstack("unique", "serial", "show", steered, check=False)
    assert run.returncode == 1
    assert "--all-projects" in run.stderr
    assert cloud.show("--all-projects", steered)["name"] == steered
    run = cloud.openstack(
        "unique", "serial", "show", "--all-projects", steered, cloud="devcloud-member", check=False
    )
    assert run.returncode == 1
    assert "get_all_tenants" in run.stderr


@contextlib.contextmanager
def broken_cell(cloud: Cloud) -> Iterator[None]:
    """Take cell2 down for a while: its database is no database any more."""
    path = Path(cloud.state["databases"]["nova_cell2"])
    good = path.read_bytes()
    path.write_bytes(b"broken on purpose" * 1000)
    try:
        yield
    finally:
        path.write_bytes(good)


def wait_for_cell(cloud: Cloud, server: str) -> None:
    """Wait until the cell of a server answers again."""
    deadline = time.monotonic() + 60
    while cloud.get("nova", f"/v2.1/servers/{server}")["server"]["status"] == "UNKNOWN":
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_cell_that_is_down(cloud: Cloud, unique_name: Names, gold: str, plain_image: str) -> None:
    name = unique_name("server")
    server = cloud.boot(name, gold, plain_image, "cell2-1")
    with broken_cell(cloud):
        shown = cloud.show(server)
        run = cloud.openstack("unique", "serial", "show", name, check=False)
    assert (shown["id"], shown["name"], shown["status"]) == (server, None, "UNKNOWN")
    assert shown["serial_source"] == "unknown"
    assert "cell is down" in shown["why"]
    assert run.returncode == 1
    assert "found by its ID only" in run.stderr
    wait_for_cell(cloud, server)


def test_declared_by_an_aggregate_and_given_by_the_user(
    cloud: Cloud, unique_name: Names, gold: str, plain_flavor: str, plain_image: str
) -> None:
    asking = cloud.boot(unique_name("server"), gold, plain_image, "undeclared-1")
    silent = cloud.boot(unique_name("server"), plain_flavor, plain_image, "undeclared-1")
    assert cloud.show(asking)["serial_source"] == "unknown"
    assert cloud.show(silent, "--host-mode", "undeclared-1=os")["serial_source"] == "host-os"
    name = unique_name("aggregate")
    cloud.openstack("aggregate", "create", "--unique-serial", name)
    cloud.openstack("aggregate", "add", "host", name, "undeclared-1")
    try:
        shown = cloud.show(asking)
        assert shown["serial_source"] == "instance-uuid"
        assert shown["evidence"]["host_meets_unique"] == "declared"
        # An aggregate says only what a request for unique gets.
        assert cloud.show(silent)["serial_source"] == "unknown"
    finally:
        cloud.openstack("aggregate", "remove", "host", name, "undeclared-1")
        cloud.openstack("aggregate", "delete", name)


@pytest.mark.parametrize(
    ("specs", "options", "survives", "named"),
    [
        # real traits of the other hosts decide, whatever is given for them
        ({}, ["--host-mode", "*=unique"], False, "keys-1"),
        ({"trait:CUSTOM_SYSINFO_SERIAL_UNIQUE": "required"}, [], None, "mixed-1"),
        (
            {
                "trait:CUSTOM_SYSINFO_SERIAL_UNIQUE": "required",
                "trait:CUSTOM_SYSINFO_SERIAL_AUTO": "forbidden",
            },
            [],
            True,
            "survives",
        ),
        ({"aggregate_instance_extra_specs:a": "b"}, [], None, "auto-1"),
        ({**TRUE, **REQUIRED}, [], True, "survives"),
    ],
)
def test_moves(
    cloud: Cloud,
    unique_name: Names,
    plain_image: str,
    specs: dict[str, str],
    options: list[str],
    survives: bool | None,
    named: str,
) -> None:
    flavor = cloud.new_flavor(unique_name("flavor"), specs)
    server = cloud.boot(unique_name("server"), flavor, plain_image, "unique-1")
    shown = cloud.show(server, *options)
    assert shown["serial_source"] == "instance-uuid"
    assert shown["survives_move"] is survives
    assert named in shown["why"]


def test_what_a_cold_migration_does(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    """The answer follows the server to its new host."""
    server = cloud.boot(unique_name("server"), plain_flavor, plain_image, "unique-1")
    assert cloud.show(server)["serial_source"] == "instance-uuid"
    cloud.action(server, migrate={"host": "os-1"})
    cloud.wait(server, "VERIFY_RESIZE")
    cloud.action(server, confirmResize=None)
    cloud.wait(server, "ACTIVE")
    shown = cloud.show(server)
    assert (shown["host"], shown["serial_source"]) == ("os-1", "host-os")


def test_ambiguous_and_unknown_names(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    name = unique_name("twin")
    twins = [cloud.boot(name, plain_flavor, plain_image) for _ in range(2)]
    run = cloud.openstack("unique", "serial", "show", name, check=False, cold=True)
    assert run.returncode == 1
    assert all(twin in run.stderr for twin in twins)
    run = cloud.openstack("unique", "serial", "show", f"{name[:-1]}.", check=False)
    assert (run.returncode, "no server" in run.stderr) == (1, True)


def test_hostile_name(
    cloud: Cloud, unique_name: Names, plain_flavor: str, plain_image: str
) -> None:
    name = unique_name("=1+1|$(id)`id`<script>[.*+")
    server = cloud.boot(name, plain_flavor, plain_image, "os-1")
    assert cloud.show(name)["id"] == server
    for formatter in ("table", "value", "shell", "yaml"):
        run = cloud.openstack("unique", "serial", "show", "-f", formatter, name)
        if formatter == "shell":
            assert 'name="=1+1|\\$(id)\\`id\\`' in run.stdout


# --- a cloud that does not work ------------------------------------------------


@pytest.fixture(scope="module")
def victim(cloud: Cloud, unique_name: Names, gold: str, plain_image: str) -> Json:
    name = unique_name("server")
    return {"name": name, "id": cloud.boot(name, gold, plain_image, "keys-1")}


@pytest.mark.parametrize(
    ("pattern", "evidence"),
    [
        ("GET /v2/images", "image"),
        ("GET /traits", "host_honours"),
    ],
)
@pytest.mark.parametrize("status", [503, 0])
def test_what_cannot_be_read_is_unreadable(
    cloud: Cloud, proxy: Proxy, victim: Json, pattern: str, evidence: str, status: int
) -> None:
    proxy.faults.append(Fault(pattern, status=status))
    run = cloud.openstack(
        "unique", "serial", "show", "-f", "json", victim["name"], clouds_yaml=proxy.clouds_yaml
    )
    assert json.loads(run.stdout)["evidence"][evidence] == "unreadable"
    assert "could not be read" in run.stderr
    tried = [line for line in proxy.api_requests() if pattern.split()[1][:8] in line]
    assert len(tried) <= 8 + 2


@pytest.mark.parametrize("status", [500, 503])
def test_one_failure_is_repeated(cloud: Cloud, proxy: Proxy, victim: Json, status: int) -> None:
    for pattern in ("GET /v2.1/servers/detail", "GET /v2/images", "GET /resource_providers"):
        proxy.faults.append(Fault(pattern, status=status, times=1))
    shown = cloud.show(victim["name"], clouds_yaml=proxy.clouds_yaml)
    assert shown["serial_source"] == "instance-uuid"
    assert "unreadable" not in shown["evidence"].values()


def test_nova_down_is_an_error_with_the_truth(cloud: Cloud, proxy: Proxy, victim: Json) -> None:
    proxy.faults.append(Fault("GET /v2.1/servers", status=503))
    run = cloud.openstack(
        "unique", "serial", "show", victim["name"], check=False, clouds_yaml=proxy.clouds_yaml
    )
    assert run.returncode == 1
    assert "Nova (compute) answered 503" in run.stderr
    assert len(proxy.api_requests()) == 3


def test_a_slow_cloud_still_answers(cloud: Cloud, proxy: Proxy, victim: Json) -> None:
    proxy.faults.append(Fault("GET ", delay=0.5))
    assert cloud.show(victim["name"], clouds_yaml=proxy.clouds_yaml)["host_honours"] is True


@pytest.mark.parametrize("newest", ["2.69", "2.95"])
def test_older_clouds(cloud: Cloud, proxy: Proxy, victim: Json, newest: str) -> None:
    proxy.nova_newest = newest
    shown = cloud.show(victim["name"], clouds_yaml=proxy.clouds_yaml)
    assert shown["serial_source"] == "instance-uuid"
    assert shown["evidence"]["image"] == "current-image"


def test_older_than_train(cloud: Cloud, proxy: Proxy, victim: Json) -> None:
    proxy.nova_newest = "2.65"
    run = cloud.openstack(
        "unique", "serial", "show", victim["name"], check=False, clouds_yaml=proxy.clouds_yaml
    )
    assert run.returncode == 1
    assert "offers 2.65 at most; microversion 2.69" in run.stderr
