# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial status``: the judgement, and the command through the real shell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.checks import readiness
from osc_uniqserial.checks.readiness import Result
from osc_uniqserial.metadefs import Fault
from osc_uniqserial.model.cloud import Fleet, Host, Hypervisor, Unchecked, Validator
from osc_uniqserial.policy import HostInput, HostMode, Setting, SettingInput, Value
from tests.unit.builders import (
    DRIVER,
    M_AUTO,
    M_NONE,
    M_OS,
    M_UNIQUE,
    OPEN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    Json,
)
from tests.unit.clouds import Node, StatusCloud, take_cell_down
from tests.unit.fake_cloud import NOVA, PLACEMENT, FakeCloud
from tests.unit.glance import AGGREGATE, BOOLEAN, MAIN, OTHERS, OURS, SERVER, changed, definition
from tests.unit.strategies import NAMES, hosts


@pytest.fixture
def well(fake: FakeCloud) -> StatusCloud:
    return StatusCloud(fake)


# --- a cloud that can do it -------------------------------------------------


def test_all_is_well(well: StatusCloud) -> None:
    rows = well.rows(code=0)
    assert [(row["Check"], row["Result"], row["Details"]["id"]) for row in rows] == [
        (readiness.METADEFS, "Success", "metadefs-current"),
        (readiness.VALIDATION, "Success", "validator-loaded"),
        (readiness.HOSTS, "Success", "honours-keys"),
        (readiness.IMAGES, "Success", "image-shows-nothing"),
        (readiness.SCHEDULING, "Success", "supported-hosts"),
    ]
    assert well.notes == ""


def test_the_requests_do_not_grow_with_the_hosts(well: StatusCloud) -> None:
    kinds = (DRIVER, (M_AUTO,), (M_OS, OPEN), (M_NONE,), ("CUSTOM_SYSINFO_SERIAL_HARDWARE",), ())
    well.hosts(**{f"h{number}": Node(kinds[number % len(kinds)]) for number in range(120)})
    well.rows(code=3)
    reads = well.fake.reads()
    assert len([path for path in reads if path.startswith("/resource_providers")]) == 8 + 1
    assert len([path for path in reads if "/metadefs" not in path]) == 2 + 1 + 8 + 1
    assert len(well.fake.writes()) == 1


def test_hypervisors_are_read_page_by_page(well: StatusCloud) -> None:
    well.hosts(a=Node(), b=Node(), c=Node())
    url = f"{NOVA}/os-hypervisors/detail"
    every = requests.get(url, timeout=5).json()["hypervisors"]
    more = [{"rel": "next", "href": "x"}]
    pages = [{"json": {"hypervisors": [each], "hypervisors_links": more}} for each in every]
    pages[-1] = {"json": {"hypervisors": every[-1:]}}
    well.fake.http.get(url, pages)
    assert well.found(code=0)["honours-keys"] == ("Success", ["a", "b", "c"])


# --- what each check finds --------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "id", "named"),
    [
        ([], "metadefs-missing", [each.name for each in OURS]),
        ([MAIN.document()], "metadefs-missing", [AGGREGATE.name, SERVER.name]),
        ([MAIN.document(), AGGREGATE.document()], "metadefs-missing", [SERVER.name]),
        ([definition(type="boolean"), *OTHERS], "metadefs-outdated", [MAIN.name]),
        (
            [changed(visibility="private", protected=False), *OTHERS],
            "metadefs-private",
            [MAIN.name],
        ),
        (
            [
                *(each.document() for each in OURS),
                {
                    "namespace": "Rival",
                    "resource_type_associations": [{"name": "OS::Nova::Flavor"}],
                    "properties": {"hw:unique_serial": BOOLEAN},
                },
            ],
            "metadefs-conflict",
            ["Rival"],
        ),
    ],
)
def test_metadata_definitions(
    well: StatusCloud, documents: list[Json], id: str, named: list[str]
) -> None:
    well.glance.stored.clear()
    well.glance.hold(*documents)
    (row,) = [row for row in well.rows(code=3) if row["Check"] == readiness.METADEFS]
    assert (row["Result"], row["Details"]["id"]) == ("Warning", id)
    assert all(name in row["Details"]["message"] for name in named)
    assert "openstack unique serial metadef" in row["Details"]["remedy"]


@pytest.mark.parametrize(
    ("path", "named"),
    [("/metadefs/namespaces", "the list of all"), (f"/metadefs/namespaces/{MAIN.name}", MAIN.name)],
)
def test_metadata_definitions_that_cannot_be_read(well: StatusCloud, path: str, named: str) -> None:
    well.fake.http.get(f"http://glance.test/v2{path}", status_code=403)
    (row,) = [row for row in well.rows(code=4) if row["Check"] == readiness.METADEFS]
    assert (row["Result"], row["Details"]["id"]) == ("Unknown", "metadefs-unreadable")
    assert named in row["Details"]["message"]
    assert "answered 403" in row["Details"]["message"]


def test_a_system_scoped_token_does_not_make_definitions_missing(well: StatusCloud) -> None:
    well.fake.catalog("identity", "image", "compute", "placement", scope="system")
    (row,) = [row for row in well.rows(code=4) if row["Check"] == readiness.METADEFS]
    assert (row["Result"], row["Details"]["id"]) == ("Unknown", "metadefs-unreadable")
    assert "use a project-scoped token" in row["Details"]["message"]


def test_the_probe_can_write_nothing(well: StatusCloud) -> None:
    well.rows(code=0)
    well.rows(code=0)
    first, second = well.fake.sent("POST")
    assert first.path != second.path, "a random flavor each time"
    assert first.json() == {"extra_specs": {"hw:unique_serial": "true"}}
    assert first.headers["OpenStack-API-Version"] == "compute 2.86"


STOCK = "Validation failed; extra spec 'hw:unique_serial' does not appear to be a valid extra spec."


@pytest.mark.parametrize(
    ("code", "message", "id", "result"),
    [
        (400, STOCK, "validator-missing", "Warning"),
        (400, "Something else", "validator-unreadable", "Unknown"),
        (403, "Policy doesn't allow it", "validator-unreadable", "Unknown"),
        (404, "No such route", "validator-unreadable", "Unknown"),
        (500, "Boom", "validator-unreadable", "Unknown"),
        (503, "Busy", "validator-unreadable", "Unknown"),
        (200, "", "validator-unreadable", "Unknown"),
    ],
)
def test_validation(well: StatusCloud, code: int, message: str, id: str, result: str) -> None:
    well.answers_the_probe(code, message)
    rows = well.rows(code=3 if result == "Warning" else 4)
    (row,) = [row for row in rows if row["Check"] == readiness.VALIDATION]
    assert (row["Result"], row["Details"]["id"]) == (result, id)
    if result == "Unknown" and code != 200:
        assert f"answered {code}: {message}" in row["Details"]["message"]
    assert len(well.fake.writes()) == 1, "asked once"


@pytest.mark.parametrize("nova_newest", ["2.69", "2.85"])
def test_a_nova_that_validates_nothing_is_not_asked(well: StatusCloud) -> None:
    assert well.found(code=0)["validator-not-applicable"][0] == "Info"
    assert well.fake.writes() == []


def test_hosts_by_driver_and_mode(well: StatusCloud) -> None:
    well.hosts(
        d=Node((M_OS,)),
        c=Node((TRAIT_UNIQUE, M_UNIQUE)),
        b=Node((TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_AUTO)),
        a=Node((*DRIVER, policy.TRAIT_SERVER_MAY_ASK)),
        e=Node((TRAIT_UNIQUE, TRAIT_KEYS, M_NONE)),
    )
    rows = [row for row in well.rows(code=0) if row["Check"] == readiness.HOSTS]
    assert [
        (row["Details"]["id"], row["Details"]["hosts"], row["Details"]["message"]) for row in rows
    ] == [
        (
            "honours-keys",
            ["a"],
            "They honour the keys, and the requests of servers. A server that asks for nothing gets"
            " its own UUID (mode unique)",
        ),
        (
            "honours-keys",
            ["b"],
            "They honour the keys, but not the requests of servers. A server that asks for nothing"
            " shows the host's identity"
            " (mode auto)",
        ),
        (
            "honours-keys",
            ["e"],
            "They honour the keys, but not the requests of servers. A server that asks for nothing"
            " has no serial number (mode none)",
        ),
        (
            "ignores-keys",
            ["c"],
            "Stock driver: they ignore the keys. Every guest gets its server's UUID (mode unique)",
        ),
        (
            "ignores-keys",
            ["d"],
            "Stock driver: they ignore the keys. Every guest shows the host's identity (mode os)",
        ),
    ]


@pytest.mark.parametrize(
    ("node", "code", "id", "result"),
    [
        (Node(()), 3, "unknown-mode", "Warning"),
        (Node((M_AUTO, M_UNIQUE)), 3, "contradicting-traits", "Warning"),
        (Node((TRAIT_UNIQUE, M_AUTO)), 3, "contradicting-traits", "Warning"),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO, M_OS)), 3, "contradicting-traits", "Warning"),
        (Node((TRAIT_KEYS, M_AUTO)), 3, "incomplete-traits", "Warning"),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS)), 3, "incomplete-traits", "Warning"),
        (Node(None), 4, "no-resource-provider", "Unknown"),
        (Node(DRIVER, {"state": "down"}), 3, "host-down", "Warning"),
        (Node(DRIVER, {"state": "down", "status": "disabled"}), 0, "host-disabled", "Info"),
        (Node(DRIVER, {"status": "disabled"}), 0, "host-disabled", "Info"),
        (Node((), {"hypervisor_type": "ironic"}), 0, "no-serial-number", "Info"),
        (Node((), {"cpu_info": {"arch": "aarch64"}}), 0, "no-serial-number", "Info"),
        (Node(None, {"hypervisor_type": "VMware vCenter Server"}), 0, "no-serial-number", "Info"),
        (Node((TRAIT_UNIQUE,), {"hypervisor_type": "ironic"}), 3, "wrong-traits", "Warning"),
    ],
)
def test_a_host_that_is_not_as_it_should_be(
    well: StatusCloud, node: Node, code: int, id: str, result: str
) -> None:
    well.hosts(good=Node(), odd=node)
    assert well.found(code=code)[id] == (result, ["odd"])


def test_contradictions_are_named(well: StatusCloud) -> None:
    well.hosts(
        a=Node(),
        b=Node((M_AUTO, M_UNIQUE)),
        c=Node((M_AUTO, M_UNIQUE)),
        d=Node((TRAIT_UNIQUE, M_OS)),
    )
    rows = [row for row in well.rows(code=3) if row["Details"]["id"] == "contradicting-traits"]
    assert [row["Details"]["hosts"] for row in rows] == [["b", "c"], ["d"]]
    assert rows[0]["Details"]["message"].endswith(f": {M_AUTO}, {M_UNIQUE}")
    assert rows[1]["Details"]["message"].endswith(f": {TRAIT_UNIQUE}, {M_OS}")


def test_no_host_at_all(well: StatusCloud) -> None:
    well.hosts()
    found = well.found(code=3)
    assert found["no-hosts"] == ("Warning", [])
    assert found["no-supported-host"] == ("Warning", [])


def test_nested_and_other_providers_are_no_hosts(well: StatusCloud) -> None:
    well.hosts(a=Node((M_AUTO,)))
    found = well.found(code=3)
    assert found["ignores-keys"] == ("Info", ["a"])
    assert "supported-hosts" not in found


def test_given_modes(well: StatusCloud) -> None:
    well.hosts(a=Node(), b=Node(()), c=Node(()))
    assert well.found(code=3)["unknown-mode"] == ("Warning", ["b", "c"])
    found = well.found("--host-mode", "b=auto", code=3)
    assert found["ignores-keys"] == ("Info", ["b"])
    assert found["unknown-mode"] == ("Warning", ["c"])
    rows = well.rows("--host-mode", "*=os", "--host-mode", "a=auto", "--host-mode", "x=os", code=0)
    (row,) = [row for row in rows if row["Details"]["id"] == "ignores-keys"]
    assert row["Details"]["message"].endswith("(mode os, as given)")
    assert row["Details"]["hosts"] == ["b", "c"]
    assert "The given mode of host a was not used" in well.notes
    assert "A mode was given for host 'x', but there is no such host" in well.notes
    result = well.fake.openstack("unique", "serial", "status", "--host-modes", "/no/such")
    assert (result.code, result.out) == (1, "")


def test_a_given_mode_does_not_replace_what_cannot_be_read(well: StatusCloud) -> None:
    well.hosts(a=Node(), b=Node(None))
    found = well.found("--host-mode", "b=unique", code=4)
    assert found["no-resource-provider"] == ("Unknown", ["b"])


def test_hosts_that_aggregates_declare(well: StatusCloud) -> None:
    well.hosts(a=Node(), b=Node(()), c=Node(()))
    well.fake.aggregates(
        {"hosts": ["b", "c"], "metadata": {"hw:unique_serial": "true"}},
        {"hosts": ["c"], "metadata": {"hw_unique_serial": "False"}},
    )
    found = well.found(code=3)
    assert found["declared-by-aggregates"] == ("Info", ["b"])
    assert found["declared-hosts"] == ("Info", ["b"])
    assert found["unknown-mode"] == ("Warning", ["c"])
    rows = {row["Details"]["id"]: row["Details"]["message"] for row in well.rows(code=3)}
    assert "AggregateInstanceExtraSpecsFilter" in rows["declared-hosts"]


@pytest.mark.parametrize(
    ("traits", "exposed"),
    [
        ((TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_UNIQUE), True),
        ((TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE), False),
        # Its guests show the host's identity whatever the image says.
        ((TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_AUTO), False),
        ((TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_NONE), False),
        # A stock host ignores the image.
        ((TRAIT_UNIQUE, OPEN, M_UNIQUE), False),
    ],
)
def test_images(well: StatusCloud, traits: tuple[str, ...], exposed: bool) -> None:
    well.hosts(a=Node(), b=Node(traits))
    found = well.found(code=3 if exposed else 0)
    if exposed:
        assert found["image-may-show-host"] == ("Warning", ["b"])
    else:
        assert found["image-shows-nothing"] == ("Success", [])


def test_images_where_the_mode_is_not_known(well: StatusCloud) -> None:
    well.hosts(
        a=Node(), b=Node((TRAIT_UNIQUE, TRAIT_KEYS, OPEN)), c=Node((TRAIT_UNIQUE, TRAIT_KEYS))
    )
    assert well.found(code=3)["image-may-show-host"] == ("Warning", ["b"])


def test_images_on_stock_hosts(well: StatusCloud) -> None:
    well.hosts(a=Node((TRAIT_UNIQUE, M_UNIQUE)))
    assert well.found(code=0)["image-is-ignored"] == ("Info", [])


@pytest.mark.parametrize("mode", HostMode)
def test_animage_exposes_a_host_where_the_rules_say_so(mode: HostMode) -> None:
    image = SettingInput(Value(Setting.HOST, "false"))
    sources = {
        policy.resolve(
            SettingInput(), image, HostInput(mode=mode, honours=True, image_may_show_host=may)
        ).source
        for may in (True, False)
    }
    host = Host(
        Hypervisor("i", "n", "h", True, True, "QEMU", None),
        HostInput(mode=mode, honours=True, image_may_show_host=True),
        frozenset(),
    )
    assert host.exposed_by_images == (len(sources) == 2)


def test_scheduling(well: StatusCloud) -> None:
    off, down = {"status": "disabled"}, {"state": "down"}
    well.hosts(
        a=Node(),
        b=Node((TRAIT_UNIQUE, M_UNIQUE)),
        c=Node((M_UNIQUE,)),
        d=Node((M_AUTO,)),
        e=Node(DRIVER, off),
        f=Node((M_OS,), down),
        # The trait without what it promises.
        g=Node((TRAIT_UNIQUE, M_OS)),
        h=Node((), {"hypervisor_type": "ironic"}),
    )
    found = well.found(code=3)
    assert found["supported-hosts"] == ("Success", ["a", "b"])
    assert found["other-hosts"] == ("Info", ["c", "d", "g"])
    assert found["trait-missing"] == ("Info", ["c"])


@pytest.mark.parametrize("changes", [{"status": "disabled"}, {"state": "down"}])
def test_hosts_that_take_no_server_do_not_steer(
    well: StatusCloud, changes: Mapping[str, str]
) -> None:
    well.hosts(a=Node(DRIVER, changes), b=Node((M_AUTO,)))
    found = well.found(code=3)
    assert found["no-supported-host"] == ("Warning", [])
    assert "other-hosts" not in found


# --- what cannot be checked -------------------------------------------------


def test_a_user_without_rights_learns_why(well: StatusCloud) -> None:
    well.answers_the_probe(403, "Policy doesn't allow extra-specs:create to be performed.")
    for path in ("os-hypervisors/detail", "os-aggregates"):
        well.fake.http.get(f"{NOVA}/{path}", status_code=403)
    rows = well.rows(code=4)
    unknown = [row["Check"] for row in rows if row["Result"] == "Unknown"]
    assert unknown == [
        readiness.VALIDATION,
        readiness.HOSTS,
        readiness.IMAGES,
        readiness.SCHEDULING,
    ]
    assert "answered 403" in rows[2]["Details"]["message"]


def test_a_warning_outranks_what_could_not_be_checked(well: StatusCloud) -> None:
    well.glance.stored.clear()
    well.fake.http.get(f"{NOVA}/os-hypervisors/detail", status_code=403)
    well.rows(code=3)


@pytest.mark.parametrize("path", ["/traits", "/resource_providers"])
@pytest.mark.parametrize("answer", [{"status_code": 403}, {"status_code": 406}, {"text": "<html>"}])
def test_traits_that_cannot_be_read(well: StatusCloud, path: str, answer: Json) -> None:
    well.hosts(a=Node(), b=Node((M_AUTO,)), c=Node((), {"hypervisor_type": "ironic"}))
    well.fake.http.get(f"{PLACEMENT}{path}", **answer)
    rows = well.rows(code=4)
    unread = [row for row in rows if row["Details"]["id"] == "traits-unreadable"]
    assert [row["Check"] for row in unread] == [
        readiness.HOSTS,
        readiness.IMAGES,
        readiness.SCHEDULING,
    ]
    assert {row["Result"] for row in unread} == {"Unknown"}
    assert unread[0]["Details"]["hosts"] == ["a", "b"]
    assert "Placement answered" in unread[0]["Details"]["message"]


def test_other_traits_are_not_asked_for(well: StatusCloud) -> None:
    odd: list[Any] = [TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE, "HW_X", {}, None]
    well.fake.http.get(f"{PLACEMENT}/traits", json={"traits": odd})
    assert well.found(code=0)["honours-keys"] == ("Success", ["a"])
    asked = [path for path in well.fake.reads() if path.startswith("/resource_providers")]
    assert len(asked) == 3


def test_a_placement_that_is_not_in_the_catalog(well: StatusCloud) -> None:
    well.fake.catalog("identity", "compute", "image")
    assert well.found(code=4)["traits-unreadable"][0] == "Unknown"


def test_a_nova_that_is_not_in_the_catalog(well: StatusCloud) -> None:
    well.fake.catalog("identity", "image", "placement")
    found = well.found(code=4)
    assert found["validator-unreadable"][0] == "Unknown"
    assert found["hosts-unreadable"][0] == "Unknown"
    assert found["metadefs-current"][0] == "Success"


@pytest.mark.parametrize("nova_newest", ["2.60"])
def test_a_nova_older_than_train_cannot_be_checked(well: StatusCloud) -> None:
    rows = well.rows(code=4)
    assert "2.69 (Stein)" in rows[1]["Details"]["message"]
    assert well.fake.writes() == []


def test_aggregates_that_cannot_be_read(well: StatusCloud) -> None:
    well.fake.http.get(f"{NOVA}/os-aggregates", status_code=403)
    assert well.found(code=4)["aggregates-unreadable"] == ("Unknown", [])


def test_a_cell_that_is_down(well: StatusCloud) -> None:
    well.hosts(a=Node(), b=Node(), c=Node((M_AUTO,)), d=Node(()))
    take_cell_down(well.fake, "bcd", a="enabled")
    rows = well.rows(code=4)
    unread = [row["Details"]["hosts"] for row in rows if row["Details"]["id"] == "hosts-unreadable"]
    # Those of the cell, and one that nothing is known of.
    assert unread == [["b", "c", "d"], ["d"]]
    found = {row["Details"]["id"]: row["Details"]["hosts"] for row in rows}
    assert found["honours-keys"] == ["a", "b"]
    assert found["ignores-keys"] == ["c"]
    # Whether the others are up and enabled is unknown.
    assert found["supported-hosts"] == ["a"]
    assert not found.keys() & {"host-down", "host-disabled", "other-hosts", "unknown-mode"}


def test_the_only_supported_hosts_are_in_a_cell_that_is_down(well: StatusCloud) -> None:
    well.hosts(a=Node((M_AUTO,)), b=Node())
    take_cell_down(well.fake, "bcd", a="enabled")
    (row,) = [row for row in well.rows(code=4) if row["Check"] == readiness.SCHEDULING]
    assert (row["Result"], row["Details"]["id"]) == ("Unknown", "hosts-unreadable")
    assert row["Details"]["hosts"] == ["b"]


@pytest.mark.parametrize("code", [200, 403])
def test_a_cell_that_is_down_and_nothing_else_is_known(well: StatusCloud, code: int) -> None:
    well.hosts(a=Node(None), b=Node(None))
    take_cell_down(well.fake, "bcd", a="enabled", code=code)
    (row,) = [row for row in well.rows(code=4) if row["Check"] == readiness.HOSTS]
    assert row["Details"]["hosts"] == (["b", "c", "d"] if code == 200 else [])
    assert ("a cell that is down" in row["Details"]["message"]) is (code == 200)


@pytest.mark.parametrize("answer", ["[]", '{"hypervisors": [{"id": 1}]}', '{"hypervisors": 1}'])
def test_an_answer_of_another_form(well: StatusCloud, answer: str) -> None:
    well.fake.http.get(f"{NOVA}/os-hypervisors/detail", text=answer)
    assert well.found(code=4)["hosts-unreadable"][0] == "Unknown"


# --- how it looks -----------------------------------------------------------


def test_people_see_a_few_hosts_and_machines_all(well: StatusCloud) -> None:
    names = [f"h{number:02}" for number in range(12)]
    well.hosts(**dict.fromkeys(names, Node()))
    assert well.found(code=0)["honours-keys"] == ("Success", names)
    run = well.fake.openstack("unique", "serial", "status")
    assert run.code == 0
    assert "12 hosts: h00, h01, h02 and 9 more." in run.out
    assert max(map(len, run.out.splitlines())) < 125
    yaml = well.fake.openstack("unique", "serial", "status", "-f", "yaml").out
    assert "- h11" in yaml
    csv = well.fake.openstack("unique", "serial", "status", "-f", "csv").out
    assert len(csv.splitlines()) == 1 + 5
    assert '"12 hosts: h00, h01, h02 and 9 more. They honour the keys, ' in csv


def test_what_hosts_are_called_cannot_hurt(well: StatusCloud) -> None:
    evil = {"service": {"host": "\x1b[2J=1\n$(id)"}, "hypervisor_type": "\x1b[31mQEMU"}
    well.hosts(a=Node(), b=Node((), evil))
    for formatter in ("table", "value", "csv"):
        out = well.fake.openstack("unique", "serial", "status", "-f", formatter).out
        assert "\x1b" not in out
        # cliff's CSV doubles backslashes.
        assert "\\x1b[2J=1\\n$(id)" in out.replace("\\\\", "\\")


def test_columns_can_be_chosen(well: StatusCloud) -> None:
    run = well.fake.openstack("unique", "serial", "status", "-c", "Result", "-f", "value")
    assert run.out.split() == ["Success"] * 5


# --- invariants -------------------------------------------------------------


@given(
    st.lists(hosts(), max_size=6),
    st.sampled_from([*Validator, Unchecked("no")]),
    st.none() | st.just("no"),
)
def test_every_check_and_every_host_has_a_row(
    fleet: list[Host], validator: Validator | Unchecked, aggregates: str | None
) -> None:
    rows = readiness.assess([], validator, Fleet(tuple(fleet), aggregates_unread=aggregates))
    assert {row.check for row in rows} == {
        readiness.METADEFS,
        readiness.VALIDATION,
        readiness.HOSTS,
        readiness.IMAGES,
        readiness.SCHEDULING,
    }
    about = {host for row in rows if row.check == readiness.HOSTS for host in row.hosts}
    assert about == {host.hypervisor.host for host in fleet}
    for row in rows:
        assert list(row.hosts) == sorted(set(row.hosts))
        assert not row.message.endswith(".")
        assert row.result is not Result.WARNING or row.remedy or row.id == "no-hosts"


def test_each_wording_is_used_and_has_a_result() -> None:
    code = Path(readiness.__file__).read_text()
    faults = {fault.value for fault in Fault}
    for wordings in readiness._wordings().values():
        for key, wording in wordings.items():
            assert key in faults or f'"{key}"' in code
            assert Result(wording["result"])
            assert wording.keys() <= {"id", "result", "message", "remedy"}


@given(st.lists(NAMES, min_size=1, unique=True))
def test_a_summary_counts_all(names: list[str]) -> None:
    said = readiness.summary(names)
    shown = said.split(": ")[1].split(" and ")[0].split(", ")
    assert said.startswith(f"{len(names)} host")
    assert shown == names[:3]
    assert said.endswith(f"and {len(names) - 3} more") is (len(names) > 3)
