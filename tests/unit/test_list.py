# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial list`` through the real shell, on a cloud of many servers."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from osc_uniqserial.commands.servers import _BRIEF
from osc_uniqserial.commands.show import COLUMNS
from tests.unit.builders import (
    AFTER,
    BEFORE,
    CREATED,
    EVIL,
    FALSE,
    HOST,
    IMAGE_FALSE,
    IMAGE_TRUE,
    M_AUTO,
    PLAIN,
    TRAIT_UNIQUE,
    TRUE,
    Json,
    image_id,
    on,
    server_id,
    volume_id,
)
from tests.unit.clouds import Estate, Node
from tests.unit.fake_cloud import (
    CINDER,
    GLANCE,
    KEYSTONE,
    NOVA,
    PLACEMENT,
    STOCK_VALIDATION,
    FakeCloud,
)

LIST = ("unique", "serial", "list")


@pytest.fixture
def cloud(fake: FakeCloud) -> Estate:
    """Two hosts, two flavors, an image; servers are added by each test."""
    estate = Estate(fake)
    estate.hosts(a=Node(), b=Node((M_AUTO,)))
    return estate


# --- columns ------------------------------------------------------------------


def test_no_server_at_all(cloud: Estate) -> None:
    assert cloud.listed() == []
    assert cloud.notes == ""


def test_columns(cloud: Estate) -> None:
    cloud.server(2, flavor=PLAIN, host="b")
    cloud.server(1)
    assert cloud.listed() == [
        {
            "id": server_id(1),
            "name": "web-1",
            "host": "a",
            "status": "ACTIVE",
            "requested": "unique",
            "serial_source": "instance-uuid",
            "survives_move": False,
        },
        {
            "id": server_id(2),
            "name": "web-2",
            "host": "b",
            "status": "ACTIVE",
            "requested": "unset",
            "serial_source": "host-auto",
            "survives_move": False,
        },
    ]
    assert cloud.notes == ""
    assert all(tuple(row) == tuple(COLUMNS) for row in cloud.listed("--long"))


def test_only_administrators_list_all_projects(cloud: Estate) -> None:
    policy = "Policy doesn't allow os_compute_api:servers:{}:get_all_tenants to be performed."
    for path, rule in (("/servers", "index"), ("/servers/detail", "detail")):
        cloud.fake.http.get(
            f"{NOVA}{path}",
            status_code=403,
            headers={"Content-Type": "application/json"},
            json={"forbidden": {"message": policy.format(rule), "code": 403}},
        )
    for _attempt in range(10):
        run = cloud.fake.openstack(*LIST, "--all-projects")
        assert run.code == 1
        assert "servers:detail:get_all_tenants" in run.err
        assert "Only administrators may list the servers of all projects" in run.err
        assert "cell" not in run.err


def test_one_thread_discovers_a_service(cloud: Estate) -> None:
    # Four requests read the images at the same time. Two threads that make openstacksdk's proxy of
    # Glance disturb each other.
    asked: list[str] = []

    def versions(request: Any, context: Any) -> Json:
        asked.append(request.url)
        threading.Event().wait(0.5)
        links = [{"rel": "self", "href": f"{GLANCE}/v2/"}]
        return {"versions": [{"id": "v2.17", "status": "CURRENT", "links": links}]}

    for url in (GLANCE, f"{GLANCE}/"):
        cloud.fake.http.get(url, json=versions)
    cloud.server(1)
    assert [row["id"] for row in cloud.listed()] == [server_id(1)]
    assert len(asked) == 1


def test_a_column_can_be_chosen_without_long(cloud: Estate) -> None:
    cloud.server(1)
    run = cloud.fake.openstack(*LIST, "-f", "value", "-c", "id", "-c", "Expected Serial")
    assert run.out == f"{server_id(1)} {server_id(1)}\n"


def test_a_table_is_for_people(cloud: Estate) -> None:
    cloud.server(1)
    lines = cloud.fake.openstack(*LIST).out.splitlines()
    assert [cell.strip() for cell in lines[1].strip("|").split("|")] == list(_BRIEF)
    assert "| web-1 | a    | ACTIVE | unique" in lines[3]


def test_sort_column(cloud: Estate) -> None:
    for number, host in ((1, "b"), (2, "a"), (3, "b")):
        cloud.server(number, host=host)
    assert cloud.numbers("--sort-column", "host") == [2, 1, 3]
    assert cloud.numbers("--sort-column", "name", "--sort-descending") == [3, 2, 1]
    # Not shown without --long.
    assert cloud.numbers("--sort-column", "expected_serial") == [2, 1, 3]


# --- the same as show ---------------------------------------------------------

CHANGES: dict[str, Json] = {
    "plain": {"flavor": PLAIN},
    "asks": {},
    "asks on a stock host": {"host": "b"},
    "asks for the host's own": {"flavor": PLAIN, "specs": FALSE},
    "invalid": {"specs": {"hw:unique_serial": "null"}},
    "required": {"specs": {**TRUE, f"trait:{TRAIT_UNIQUE}": "required"}},
    "another trait": {"specs": {**TRUE, "trait:HW_X": "required"}},
    "pinned": {"pinned_availability_zone": "z"},
    "not told whether pinned": {"pinned_availability_zone": "unknown"},
    "frozen": {"frozen": IMAGE_FALSE},
    "frozen architecture": {"frozen": {"hw_architecture": "aarch64"}},
    "no host": {"host": None},
    "a host that is not there": {"host": "gone"},
    "another project's": {"tenant_id": "p2"},
    "deleted image": {"image": 9},
    "changed image": {"image": 2},
    "changed image on a stock host": {"image": 2, "host": "b"},
    "flavor gone": {"flavor": PLAIN, "specs": {}, "status": "ERROR"},
}


@pytest.mark.parametrize("modes", [(), ("--host-mode", "*=unique")])
def test_long_tells_what_show_tells(cloud: Estate, modes: tuple[str, ...]) -> None:
    cloud.image(2, updated=AFTER, **IMAGE_TRUE)
    for number, changes in enumerate(CHANGES.values()):
        cloud.server(number, **changes)
    rows = cloud.listed("--long", *modes)
    for what, row in zip(CHANGES, rows, strict=True):
        assert row == cloud.shown(row["id"], *modes), what


def test_a_server_as_a_plain_tenant_sees_it(cloud: Estate) -> None:
    record = cloud.server(1)
    del record[HOST], record["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    row = cloud.one()
    assert (row["host"], row["serial_source"]) == (None, "unknown")
    record["flavor"]["extra_specs"][f"trait:{TRAIT_UNIQUE}"] = "required"
    row = cloud.one()
    assert row["serial_source"] == "instance-uuid"
    assert row["evidence"]["host_meets_unique"] == "required-trait"
    del record["flavor"]["extra_specs"]
    assert cloud.one()["requested"] is None


# --- image and root volume ----------------------------------------------------


@pytest.mark.parametrize(
    ("image", "frozen", "loaded", "value", "evidence"),
    [
        (1, {}, True, None, "current-image"),
        (1, None, True, None, "current-image"),
        (1, IMAGE_TRUE, True, "true", "frozen"),
        (1, IMAGE_TRUE, False, "true", "frozen"),
        # Changed since, or deleted: unset where Nova would have shown a value.
        (2, {}, True, None, "frozen"),
        (2, {}, False, None, "unreadable"),
        (2, None, True, None, "unreadable"),
        (2, IMAGE_FALSE, False, "false", "frozen"),
        (9, {}, True, None, "frozen"),
        (9, {}, False, None, "unreadable"),
        (9, None, True, None, "unreadable"),
        (9, IMAGE_TRUE, False, "true", "frozen"),
    ],
)
def test_what_a_server_was_built_with(
    cloud: Estate,
    image: int,
    frozen: Mapping[str, str] | None,
    loaded: bool,
    value: str | None,
    evidence: str,
) -> None:
    if not loaded:
        cloud.answers_the_probe(400, STOCK_VALIDATION)
    cloud.image(2, updated=AFTER, **IMAGE_TRUE)
    cloud.server(1, flavor=PLAIN, image=image, frozen=frozen)
    row = cloud.one()
    assert (row["image_value"], row["evidence"]["image"]) == (value, evidence)
    assert (row["requested"] is None) is (evidence == "unreadable")


@pytest.mark.parametrize(("nova_newest", "asked"), [("2.69", "2.69"), ("2.97", "2.97")])
def test_a_nova_without_frozen_values(cloud: Estate, asked: str) -> None:
    cloud.server(1, flavor=PLAIN, pinned_availability_zone="unknown")
    assert cloud.one()["evidence"]["image"] == "current-image"
    versions = {
        request.headers["OpenStack-API-Version"]
        for request in cloud.fake.sent("GET")
        if request.path == "/v2.1/servers/detail"
    }
    assert versions == {f"compute {asked}"}


@pytest.mark.parametrize("nova_newest", ["2.68"])
def test_a_nova_that_is_too_old(cloud: Estate) -> None:
    result = cloud.fake.openstack(*LIST)
    assert (result.code, result.out) == (1, "")
    assert "2.69 (Stein)" in result.err


def test_a_volume_that_nova_made_from_an_image(cloud: Estate) -> None:
    """Nova used the image, whatever the metadata of the volume say since."""
    cloud.image(1, **IMAGE_TRUE)
    cloud.server(1, flavor=PLAIN, image=None, **on([cloud.volume(1, said=IMAGE_FALSE, image=1)]))
    row = cloud.one()
    assert (row["image_value"], row["evidence"]["image"]) == ("true", "current-image")


@pytest.mark.parametrize(
    "made",
    [
        {"created": BEFORE, "image": 1},
        {"created": CREATED, "image": 1},
        {"created": AFTER, "image": 1},
        {"image": 2},
        {"image": 9},
        {"image": None},
        {"image": 1, "snapshot_id": "s"},
        {"image": 1, "source_volid": "v"},
        {"image": 1, "created_at": None},
    ],
    ids=[
        "older",
        "same-second",
        "migrated",
        "image-changed",
        "image-gone",
        "no-image",
        "snapshot",
        "copy",
        "no-time",
    ],
)
@pytest.mark.parametrize("said", [IMAGE_TRUE, IMAGE_FALSE, {}], ids=["true", "false", "unset"])
def test_what_a_server_took_from_its_volume_is_unknown(
    cloud: Estate, made: Json, said: dict[str, str]
) -> None:
    """Cinder does not return when image metadata of a volume changed."""
    cloud.image(1, **said)
    cloud.image(2, updated=AFTER, **said)
    attached = on([cloud.volume(1, said=said, **made)])
    cloud.server(1, flavor=PLAIN, image=None, **attached)
    row = cloud.one()
    assert (row["image_value"], row["evidence"]["image"]) == (None, "unreadable")


@pytest.mark.parametrize("root", ["/dev/vda", "/dev/vdb", None])
def test_the_root_volume_is_known_by_its_device(cloud: Estate, root: str | None) -> None:
    cloud.image(1, **IMAGE_FALSE)
    cloud.image(2, **IMAGE_TRUE)
    attached = [cloud.volume(1, "/dev/vdb", image=1), cloud.volume(2, "/dev/vda", image=2)]
    record = cloud.server(1, flavor=PLAIN, image=None, **on(attached))
    if root:
        record["OS-EXT-SRV-ATTR:root_device_name"] = root
    else:
        # A tenant is not told.
        del record["OS-EXT-SRV-ATTR:root_device_name"]
    assert cloud.one()["image_value"] == ("false" if root == "/dev/vdb" else "true")


def test_a_volume_that_is_not_there(cloud: Estate) -> None:
    for number, attached in enumerate(([], [{"id": volume_id(9)}]), 1):
        cloud.server(number, image=None, **on(attached))
    rows = cloud.listed("--long")
    assert [row["evidence"]["image"] for row in rows] == ["unreadable"] * 2


def test_cinder_is_asked_once_and_only_if_needed(cloud: Estate) -> None:
    cloud.server(99)
    cloud.listed()
    assert [path for path in cloud.fake.reads() if "volumes" in path] == []
    cloud.page = 3
    for number in range(10):
        attached = [cloud.volume(number, said=IMAGE_TRUE)]
        cloud.server(number, image=None, **on(attached))
    assert len(cloud.listed("--long", "--all-projects")) == 11
    (path,) = [path for path in cloud.fake.reads() if "volumes" in path]
    assert "bootable=true" in path
    assert "all_tenants=true" in path


def test_volumes_that_cannot_be_read(cloud: Estate) -> None:
    cloud.fake.http.get(f"{CINDER}/volumes/detail", status_code=403)
    attached = [{"id": volume_id(1)}]
    cloud.server(1, image=None, **on(attached))
    cloud.server(2)
    rows = cloud.listed("--long")
    assert [row["evidence"]["image"] for row in rows] == ["unreadable", "current-image"]
    assert "The volumes could not be read: Cinder (block storage) answered 403" in cloud.notes


# --- which servers ------------------------------------------------------------


@pytest.fixture
def mixed(cloud: Estate) -> Estate:
    cloud.server(1)
    cloud.server(2, host="b")
    cloud.server(3, flavor=PLAIN)
    cloud.server(4, flavor=PLAIN, host="b", image=9)
    cloud.server(5, flavor=PLAIN, frozen=IMAGE_FALSE, image=2)
    cloud.server(6, host=None)
    cloud.server(7, tenant_id="p2", specs={**TRUE, f"trait:{TRAIT_UNIQUE}": "required"})
    return cloud


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ("--host a", [1, 3, 5, 7]),
        ("--flavor id-plain", [3, 4, 5]),
        ("--image image-1", [1, 2, 3, 6, 7]),
        (f"--image {image_id(1)}", [1, 2, 3, 6, 7]),
        # Deleted since.
        (f"--image {image_id(9)}", [4]),
        ("--serial-source instance-uuid", [1, 3, 5, 7]),
        ("--serial-source unknown", [6]),
        ("--requested unique", [1, 2, 6, 7]),
        # What the deleted image said is unknown.
        ("--requested unset", [3, 5]),
        ("--at-risk", [1, 2, 3, 4, 5, 6]),
        ("--at-risk --host a --requested unique", [1]),
        ("--limit 1 --requested unset", [3]),
        ("--limit 2 --flavor plain", [3, 4]),
        (f"--limit 2 --marker {server_id(3)}", [4, 5]),
        (f"--marker {server_id(7)}", []),
    ],
)
def test_filters(mixed: Estate, options: str, numbers: list[int]) -> None:
    # Many pages, whatever is asked for.
    mixed.page = 2
    assert mixed.numbers(*options.split()) == numbers


def test_all_projects(mixed: Estate) -> None:
    mixed.listed("--all-projects")
    for request in mixed.fake.sent("GET"):
        if request.path.startswith("/v2.1/servers"):
            assert request.qs["all_tenants"] == ["true"]


def test_one_project(mixed: Estate) -> None:
    mixed.fake.http.get(f"{KEYSTONE}/projects/p2", json={"project": {"id": "p2", "name": "p2"}})
    assert mixed.numbers("--project", "p2") == [7]
    (request,) = [r for r in mixed.fake.sent("GET") if r.path == "/v2.1/servers/detail"]
    assert request.qs["project_id"] == ["p2"]
    assert request.qs["all_tenants"] == ["true"]


def test_a_flavor_that_is_not_there(mixed: Estate) -> None:
    result = mixed.fake.openstack(*LIST, "--flavor", "no\x1b")
    assert result.code == 1
    assert "There is no flavor with the name or ID 'no\\x1b'" in result.err.replace("\\\\", "\\")


def test_a_host_that_is_not_there(mixed: Estate) -> None:
    result = mixed.fake.openstack(*LIST, "--host", "no\x1b")
    assert (result.code, result.out) == (1, "")
    assert "There is no compute host 'no\\x1b'" in result.err.replace("\\\\", "\\")


def test_an_ambiguous_image(mixed: Estate) -> None:
    mixed.image(3, name="image-1")
    result = mixed.fake.openstack(*LIST, "--image", "image-1")
    assert result.code == 1
    assert f"{image_id(1)}, {image_id(3)}" in result.err


@pytest.mark.parametrize("options", ["--limit 0", "--max-workers x"])
def test_usage(cloud: Estate, options: str) -> None:
    assert cloud.fake.openstack(*LIST, *options.split()).code == 2
    assert cloud.events == []


def test_a_host_that_a_tenant_may_not_see(cloud: Estate) -> None:
    """Nova ignores the filter of a plain tenant without a word."""
    record = cloud.server(1)
    del record[HOST]
    cloud.fake.http.get(f"{NOVA}/servers/detail", json={"servers": [record]})
    assert cloud.numbers("--host", "a") == []
    assert "hidden from this user: --host finds none" in cloud.notes


# --- pages --------------------------------------------------------------------


def many(cloud: Estate, count: int = 40, page: int = 10) -> None:
    cloud.page = page
    for number in range(count):
        cloud.server(number)


@pytest.mark.parametrize("workers", ["1", "4"])
def test_every_page_is_read(cloud: Estate, workers: str) -> None:
    many(cloud)
    assert cloud.numbers("--max-workers", workers) == list(range(40))
    assert len(cloud.events) <= 2 * 4 + 2


def test_one_page_takes_two_requests(cloud: Estate) -> None:
    many(cloud, 9)
    cloud.listed()
    assert sorted(cloud.events) == ["bare", "first"]


def test_a_limit_reads_no_further(cloud: Estate) -> None:
    many(cloud)
    assert cloud.numbers("--limit", "5") == list(range(5))
    details = [r for r in cloud.fake.sent("GET") if r.path == "/v2.1/servers/detail"]
    assert [request.qs["limit"] for request in details] == [["5"]]


class Events(io.StringIO):
    """Standard output that notes when rows come."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self._events = events

    def write(self, text: str) -> int:
        if "web-" in text:
            self._events.append("row")
        return super().write(text)


@pytest.mark.parametrize("formatter", ["csv", "value"])
def test_rows_come_before_the_second_page_is_asked_for(
    cloud: Estate, monkeypatch: pytest.MonkeyPatch, formatter: str
) -> None:
    many(cloud)
    out = Events(cloud.events)
    monkeypatch.setattr("io.StringIO", lambda: out)
    result = cloud.fake.openstack(*LIST, "-f", formatter, "--max-workers", "1")
    assert result.code == 0
    assert result.out.count("web-") == 40
    events = cloud.events
    assert set(events[:2]) == {"first", "bare"}
    assert events[2:12] == ["row"] * 10
    assert events[12] == server_id(9)


# --- faults -------------------------------------------------------------------


def test_a_first_page_that_cannot_be_read_is_an_error(cloud: Estate) -> None:
    many(cloud)
    cloud.refuse["first"] = (403, "Policy\x1b doesn't allow it")
    result = cloud.fake.openstack(*LIST)
    assert result.code == 1
    assert "answered 403: Policy\\x1b doesn't allow it" in result.err.replace("\\\\", "\\")


def test_an_unknown_marker_is_an_error(cloud: Estate) -> None:
    many(cloud)
    result = cloud.fake.openstack(*LIST, "--marker", server_id(77))
    assert result.code == 1
    assert "marker [" in result.err


def test_a_later_gap_is_told(cloud: Estate) -> None:
    many(cloud)
    cloud.refuse[server_id(9)] = (500, "Boom")
    found = cloud.numbers("--max-workers", "1", code=4)
    assert found[:10] == list(range(10))
    assert found == sorted(set(found))
    assert "Some servers could not be read: Nova (compute) answered 500: Boom" in cloud.notes


def test_nothing_is_known_of_down_cells(cloud: Estate) -> None:
    cloud.server(1)
    cloud.refuse["bare"] = (500, "Boom")
    assert cloud.numbers(code=4) == [1]
    assert "whether a cell is down is unknown" in cloud.notes


def test_servers_of_a_cell_that_is_down(cloud: Estate) -> None:
    cloud.server(2)
    cloud.down.append({"id": server_id(1), "status": "UNKNOWN", "tenant_id": "p"})
    rows = cloud.listed("--long")
    # They come last.
    assert [row["name"] for row in rows] == ["web-2", None]
    assert (rows[1]["serial_source"], rows[1]["host"]) == ("unknown", None)
    assert "cell is down" in rows[1]["why"]


def test_hypervisors_that_cannot_be_read(cloud: Estate) -> None:
    cloud.fake.http.get(f"{NOVA}/os-hypervisors/detail", status_code=403)
    cloud.server(1)
    row = cloud.one()
    # Placement has the traits of the host by its name; no other host is known.
    assert (row["host_mode"], row["serial_source"]) == ("unique", "instance-uuid")
    assert row["survives_move"] is None
    assert cloud.listed() != []
    assert "The hypervisors could not be read: Nova (compute) answered 403" in cloud.notes
    cloud.fake.http.get(f"{PLACEMENT}/traits", status_code=403)
    row = cloud.one()
    assert (row["host_mode"], row["serial_source"]) == (None, "unknown")
    assert row["evidence"]["host_mode"] == "unreadable"
    row = cloud.one("--host-mode", "a=unique")
    assert (row["host_mode"], row["serial_source"]) == ("unique", "instance-uuid")


@pytest.mark.parametrize(
    ("url", "column", "value"),
    [
        (f"{NOVA}/flavors/detail", "flavor_value", "true"),
        (f"{GLANCE}/v2/images", "image_value", None),
        (f"{PLACEMENT}/traits", "host_mode", None),
        (f"{NOVA}/os-aggregates", "host_mode", "unique"),
    ],
)
def test_what_servers_rest_on_and_cannot_be_read(
    cloud: Estate, url: str, column: str, value: str | None
) -> None:
    cloud.fake.http.get(url, status_code=403)
    cloud.server(1)
    (row,) = cloud.listed("--long")
    assert row[column] == value


# --- hostile text ---------------------------------------------------------------


@pytest.mark.parametrize("formatter", ["table", "csv", "value", "json", "yaml"])
def test_what_servers_are_called_cannot_hurt(cloud: Estate, formatter: str) -> None:
    cloud.server(1, name=EVIL, status=EVIL, specs={"hw:unique_serial": EVIL})
    result = cloud.fake.openstack(*LIST, "--long", "-f", formatter)
    assert result.code == 0
    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out + result.err
    if formatter == "json":
        assert result.json[0]["name"] == EVIL
    if formatter == "csv":
        header, row = list(csv.reader(io.StringIO(result.out)))
        assert row[header.index("name")].startswith("'=")
    if formatter == "value":
        assert len(result.out.splitlines()) == 1


def test_a_record_of_another_form_costs_its_page_and_is_told(cloud: Estate) -> None:
    for number in range(1, 7):
        cloud.server(number)
    cloud.page = 2
    cloud.records[3]["status"] = {"not": "a word"}
    listed = cloud.numbers(code=4)
    assert 4 not in listed
    assert {1, 2} <= set(listed)
    assert "answered with something unexpected" in cloud.notes
