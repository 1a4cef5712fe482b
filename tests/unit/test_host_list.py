# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial host list`` through the real shell, and its judgement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from osc_uniqserial import policy
from osc_uniqserial.checks import readiness
from osc_uniqserial.commands import hosts as command
from osc_uniqserial.model.cloud import Fleet, Host
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
from tests.unit.strategies import hosts

LIST = ("unique", "serial", "host", "list")
SHORT = [
    "host",
    "host_mode",
    "host_honours",
    "meets_unique",
    "evidence",
    "aggregates",
    "servers",
    "state",
    "problems",
]
STOCK = Node((M_AUTO,))
IRONIC = {"hypervisor_type": "ironic"}


class HostCloud(StatusCloud):
    """A cloud with one host, until a test changes that."""

    def run(self, *options: str) -> str:
        result = self.fake.openstack(*LIST, *options)
        assert result.code == 0, result.out + result.err
        self.notes = result.err
        return result.out

    def entries(self, *options: str) -> list[Json]:
        """Return every column of every row."""
        rows: list[Json] = yaml.safe_load(self.run("-f", "json", "--long", *options))
        assert all(list(row) == list(command.COLUMNS) for row in rows)
        assert self.fake.writes() == []
        return rows

    def names(self, *options: str) -> list[str]:
        return [row["host"] for row in self.entries(*options)]

    def refused(self, *options: str) -> str:
        """Return what a run that fails says."""
        result = self.fake.openstack(*LIST, *options)
        assert (result.code, result.out) == (1, "")
        return result.err


@pytest.fixture
def cloud(fake: FakeCloud) -> HostCloud:
    return HostCloud(fake)


def evidence(mode: str | None, honours: str | None, meets: str | None) -> dict[str, str | None]:
    return {"host_mode": mode, "host_honours": honours, "host_meets_unique": meets}


# --- each column ------------------------------------------------------------


def test_every_column(cloud: HostCloud) -> None:
    cloud.hosts(a=Node(DRIVER, {"running_vms": 3}))
    cloud.fake.aggregates({"hosts": ["a"], "metadata": {"hw:unique_serial": "true"}})
    assert cloud.entries() == [
        {
            "host": "a",
            "hypervisor_hostname": "a.example.org",
            "host_mode": "unique",
            "host_honours": True,
            "meets_unique": True,
            "image_may_show_host": False,
            "server_may_ask": False,
            "smbios": True,
            "evidence": evidence("trait", "trait", "trait"),
            "aggregates": ["rack-1"],
            "declared": True,
            "servers": 3,
            "state": "up",
            "status": "enabled",
            "problems": [],
        }
    ]
    assert cloud.notes == ""


@pytest.mark.parametrize(
    ("node", "options", "expected"),
    [
        (
            Node((TRAIT_UNIQUE, TRAIT_KEYS, OPEN, M_AUTO)),
            "",
            ("auto", True, True, True, ("trait", "trait", "trait")),
        ),
        (
            Node((TRAIT_UNIQUE, TRAIT_KEYS, M_NONE)),
            "",
            ("none", True, True, False, ("trait", "trait", "trait")),
        ),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS)), "", (None, True, True, False, (None, "trait", "trait"))),
        (
            Node((TRAIT_UNIQUE, M_UNIQUE)),
            "",
            ("unique", False, True, None, ("trait", "trait-absent", "trait")),
        ),
        (
            Node((TRAIT_UNIQUE,)),
            "",
            ("unique", False, True, None, ("trait", "trait-absent", "trait")),
        ),
        # Means nothing on a host that ignores the keys.
        (Node((OPEN, M_OS)), "", ("os", False, False, None, ("trait", "trait-absent", None))),
        (Node((M_NONE,)), "", ("none", False, False, None, ("trait", "trait-absent", None))),
        (Node(()), "", (None, False, None, None, (None, "trait-absent", None))),
        (Node(()), "a=auto", ("auto", False, False, None, ("given", "trait-absent", None))),
        (Node(()), "*=unique", ("unique", False, True, None, ("given", "trait-absent", None))),
        (Node((M_AUTO, M_UNIQUE)), "", (None, False, None, None, (None, "trait-absent", None))),
        (Node(None), "", (None, None, None, None, ("unreadable", "unreadable", None))),
        # Whatever the driver is: both give the UUID.
        (Node(None), "a=unique", ("unique", None, True, None, ("given", "unreadable", None))),
        (Node(None), "a=os", ("os", None, None, None, ("given", "unreadable", None))),
        (Node((), IRONIC), "", (None, False, False, None, (None, "trait-absent", None))),
        (Node(None, IRONIC), "", (None, None, False, None, ("unreadable", "unreadable", None))),
    ],
)
def test_what_a_host_does(cloud: HostCloud, node: Node, options: str, expected: Any) -> None:
    cloud.hosts(a=node)
    (row,) = cloud.entries(*(["--host-mode", options] if options else []))
    mode, honours, meets, may_show, words = expected
    assert (row["host_mode"], row["host_honours"], row["meets_unique"]) == (mode, honours, meets)
    assert row["image_may_show_host"] is may_show
    assert row["evidence"] == evidence(*words)


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({}, "state", "up"),
        ({"state": "down"}, "state", "down"),
        ({}, "status", "enabled"),
        ({"status": "disabled"}, "status", "disabled"),
        ({}, "servers", None),
        ({"running_vms": 0}, "servers", 0),
        ({"running_vms": 12}, "servers", 12),
        ({}, "smbios", True),
        ({"hypervisor_type": "VMware vCenter Server"}, "smbios", False),
        ({"cpu_info": {"arch": "aarch64"}}, "smbios", False),
        ({"cpu_info": None}, "smbios", True),
        ({"hypervisor_hostname": "node-7"}, "hypervisor_hostname", "node-7"),
    ],
)
def test_what_nova_says(
    cloud: HostCloud, changes: Mapping[str, Any], column: str, value: Any
) -> None:
    cloud.hosts(a=Node(DRIVER, changes))
    (row,) = cloud.entries()
    assert row[column] == value


TRUE, FALSE = {"hw:unique_serial": "true"}, {"hw_unique_serial": "False"}


@pytest.mark.parametrize(
    ("metadata", "declared"),
    [
        ([], None),
        ([{}], None),
        ([{"hw:unique_serial": "banana"}], None),
        ([TRUE], True),
        ([{}, TRUE, {"hw_unique_serial": "True"}], True),
        ([TRUE, {"hw:unique_serial": ""}], True),
        ([FALSE], False),
        ([FALSE, {}, {"hw:unique_serial": "off"}], False),
        ([TRUE, FALSE], None),
        ([{**TRUE, **FALSE}], None),
    ],
)
def test_what_aggregates_declare(
    cloud: HostCloud, metadata: list[Mapping[str, str]], declared: bool | None
) -> None:
    cloud.hosts(a=Node(()), b=Node(()))
    cloud.fake.aggregates(*({"hosts": ["a"], "metadata": each} for each in metadata))
    row, other = cloud.entries()
    assert row["declared"] is declared
    # Only a true that nothing contradicts is evidence.
    assert row["meets_unique"] is (True if declared else None)
    assert row["evidence"]["host_meets_unique"] == ("declared" if declared else None)
    assert row["host_mode"] is None
    assert (other["aggregates"], other["declared"]) == ([], None)


def test_aggregates_are_sorted(cloud: HostCloud) -> None:
    names = ["zoo", "Bar", "foo"]
    cloud.fake.aggregates(*({"hosts": ["a"], "metadata": {}, "name": name} for name in names))
    assert cloud.entries()[0]["aggregates"] == ["Bar", "foo", "zoo"]


# --- problems ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (Node((M_UNIQUE, M_AUTO)), f"contradicting traits: {M_AUTO}, {M_UNIQUE}"),
        (Node((TRAIT_UNIQUE, M_OS)), f"contradicting traits: {M_OS}, {TRAIT_UNIQUE}"),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO, M_OS)), f"contradicting traits: {M_AUTO}, {M_OS}"),
        (Node((TRAIT_KEYS, M_AUTO)), f"incomplete traits: {M_AUTO}, {TRAIT_KEYS}"),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS)), f"incomplete traits: {TRAIT_UNIQUE}, {TRAIT_KEYS}"),
        (
            Node((TRAIT_UNIQUE,), IRONIC),
            f"wrong traits, its guests have no serial number: {TRAIT_UNIQUE}",
        ),
        (Node(None), "it has no resource provider in Placement"),
    ],
)
def test_problems_of_traits(cloud: HostCloud, node: Node, problem: str) -> None:
    cloud.hosts(good=Node(), odd=node)
    assert [row["problems"] for row in cloud.entries()] == [[], [problem]]


@pytest.mark.parametrize(
    "node",
    [
        Node(),
        STOCK,
        Node(()),
        Node((), IRONIC),
        Node(None, IRONIC),
        Node(DRIVER, {"state": "down"}),
        Node(DRIVER, {"status": "disabled"}),
    ],
)
def test_what_is_no_problem(cloud: HostCloud, node: Node) -> None:
    cloud.hosts(a=node)
    assert cloud.entries()[0]["problems"] == []


def test_aggregates_that_contradict_each_other(cloud: HostCloud) -> None:
    both = {**TRUE, **FALSE}
    cloud.fake.aggregates(*({"hosts": ["a"], "metadata": each} for each in (TRUE, {}, FALSE, both)))
    (row,) = cloud.entries()
    assert row["problems"] == [
        "contradicting aggregates: true in rack-1, rack-4; false in rack-3, rack-4"
    ]


def test_an_aggregate_that_says_no_boolean(cloud: HostCloud) -> None:
    cloud.fake.aggregates({"hosts": ["a"], "metadata": {"hw:unique_serial": "banana"}})
    assert cloud.entries()[0]["problems"] == [
        "aggregate rack-1: hw:unique_serial='banana' is no boolean and counts as unset"
    ]


@pytest.mark.parametrize(
    ("node", "options", "wrong"),
    [
        (STOCK, "", True),
        (Node((), IRONIC), "", True),
        (Node(()), "a=os", True),
        (Node(()), "", False),
        (Node(()), "a=unique", False),
        (Node((M_UNIQUE,)), "", False),
        (Node((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO)), "", False),
        (Node(None), "a=os", False),
    ],
)
def test_a_declaration_that_is_not_true(
    cloud: HostCloud, node: Node, options: str, wrong: bool
) -> None:
    cloud.hosts(a=node)
    cloud.fake.aggregates({"hosts": ["a"], "metadata": TRUE})
    (row,) = cloud.entries(*(["--host-mode", options] if options else []))
    said = [problem for problem in row["problems"] if problem.startswith("declared")]
    expected = "declared true in rack-1, but a request for unique is not met here"
    assert said == ([expected] if wrong else [])
    assert row["declared"] is True
    assert row["meets_unique"] is (False if wrong else row["meets_unique"])


def test_a_false_that_is_not_true_is_no_problem(cloud: HostCloud) -> None:
    """Such a host gives more than it declares; an operator may want no one steered to it."""
    cloud.fake.aggregates({"hosts": ["a"], "metadata": FALSE})
    assert cloud.entries()[0]["problems"] == []


# --- which rows -------------------------------------------------------------


def test_hosts_are_sorted(cloud: HostCloud) -> None:
    node = {"service": {"host": "b"}}
    cloud.hosts(c=Node(), b=Node(), z=Node(DRIVER, node), a=Node())
    rows = cloud.entries()
    assert [row["host"] for row in rows] == ["a", "b", "b", "c"]
    assert [row["hypervisor_hostname"] for row in rows[1:3]] == ["b.example.org", "z.example.org"]


def test_no_host_at_all(cloud: HostCloud) -> None:
    cloud.hosts()
    assert cloud.entries() == []


def test_one_host(cloud: HostCloud) -> None:
    cloud.hosts(web=Node(), web1=STOCK, z=Node(DRIVER, {"service": {"host": "web"}}))
    assert cloud.names("--host", "web") == ["web", "web"]
    assert cloud.names("--host", "web1") == ["web1"]


@pytest.mark.parametrize("name", ["we", "WEB", "web.example.org", ""])
def test_a_host_that_is_not_there(cloud: HostCloud, name: str) -> None:
    cloud.hosts(web=Node())
    assert f"There is no compute host {name!r}" in cloud.refused("--host", name)


def test_only_problems(cloud: HostCloud) -> None:
    cloud.hosts(
        a=Node(), b=Node((M_AUTO, M_UNIQUE)), c=Node((TRAIT_UNIQUE, TRAIT_KEYS)), d=Node(())
    )
    assert cloud.names("--problems") == ["b", "c"]
    assert cloud.names("--problems", "--host", "b") == ["b"]
    assert cloud.names("--problems", "--host", "a") == []


def test_given_modes(cloud: HostCloud, tmp_path: Path) -> None:
    cloud.hosts(a=Node(), b=Node(()), c=Node(()))
    path = tmp_path / "modes.yaml"
    path.write_text("a: os\nb: unique\nx: none\n")
    rows = cloud.entries("--host-modes", str(path), "--host-mode", "*=auto")
    assert [row["host_mode"] for row in rows] == ["unique", "unique", "auto"]
    assert "The given mode of host a was not used" in cloud.notes
    assert "A mode was given for host 'x', but there is no such host" in cloud.notes
    assert "cannot be read" in cloud.refused("--host-modes", "/no/such")


def test_the_requests_do_not_grow_with_the_hosts(cloud: HostCloud) -> None:
    kinds = (DRIVER, (M_AUTO,), (M_OS, OPEN), (M_NONE,), ("CUSTOM_SYSINFO_SERIAL_HARDWARE",), ())
    cloud.hosts(**{f"h{number}": Node(kinds[number % len(kinds)]) for number in range(120)})
    assert len(cloud.entries()) == 120
    assert len(cloud.fake.reads()) == 1 + 1 + 8 + 1 + 1


# --- what cannot be read ----------------------------------------------------


def test_a_user_without_rights_learns_why(cloud: HostCloud) -> None:
    message = "Policy doesn't allow os_compute_api:os-hypervisors:list-detail to be performed."
    cloud.fake.http.get(
        f"{NOVA}/os-hypervisors/detail",
        status_code=403,
        json={"forbidden": {"message": message}},
        headers={"Content-Type": "application/json"},
    )
    said = cloud.refused()
    assert f"The hypervisors could not be read: Nova (compute) answered 403: {message}" in said
    assert "requires an administrator." in said
    assert [path for path in cloud.fake.reads() if "os-services" in path] == []


def test_a_cell_that_is_down_leaves_unknown_what_nova_does_not_return(cloud: HostCloud) -> None:
    cloud.hosts(a=Node(), b=Node((M_AUTO,)), c=Node(()))
    take_cell_down(cloud.fake, "bc", a="disabled")
    result = cloud.fake.openstack(*LIST, "-f", "json", "--long")
    assert result.code == 4
    shown = ("host", "host_mode", "host_honours", "meets_unique", "smbios", "state", "status")
    assert [tuple(row[name] for name in shown) for row in result.json] == [
        ("a", "unique", True, True, None, "up", "disabled"),
        ("b", "auto", False, False, None, None, None),
        ("c", None, False, None, None, None, None),
    ]
    assert {row["servers"] for row in result.json} == {None}
    assert all(row["problems"] == [] for row in result.json)
    assert "A cell is down, with 2 hosts: b, c; Nova lists no hypervisor" in result.err


def test_a_down_cell_without_resource_providers_is_an_error(cloud: HostCloud) -> None:
    cloud.hosts(a=Node(None), b=Node(None), c=Node(None))
    take_cell_down(cloud.fake, "bc", a="disabled")
    said = cloud.refused()
    assert "answered 500" in said
    assert "In a cell that is down: 2 hosts: b, c." in said


def test_hypervisors_that_fail_for_another_reason(cloud: HostCloud) -> None:
    take_cell_down(cloud.fake, "bc", a="disabled", code=403)
    said = cloud.refused()
    assert "answered 500" in said
    assert "a cell that is down" not in said


@pytest.mark.parametrize("nova_newest", ["2.60"])
def test_a_nova_older_than_train(cloud: HostCloud) -> None:
    assert "2.69 (Stein)" in cloud.refused()


def test_a_nova_that_is_not_in_the_catalog(cloud: HostCloud) -> None:
    cloud.fake.catalog("identity", "image", "placement")
    assert "The hypervisors could not be read: Nova (compute)" in cloud.refused()


@pytest.mark.parametrize("path", ["/traits", "/resource_providers"])
@pytest.mark.parametrize("answer", [{"status_code": 403}, {"status_code": 406}, {"text": "<html>"}])
def test_traits_that_cannot_be_read(cloud: HostCloud, path: str, answer: Json) -> None:
    cloud.hosts(a=Node(), b=STOCK, c=Node((), IRONIC))
    cloud.fake.http.get(f"{PLACEMENT}{path}", **answer)
    rows = cloud.entries()
    for row in rows:
        assert (row["host_mode"], row["host_honours"]) == (None, None)
        assert row["image_may_show_host"] is None
        assert row["evidence"] == evidence("unreadable", "unreadable", None)
        assert row["problems"] == []
    # No hypervisor but libvirt's gives a serial number, whatever its traits are.
    assert [row["meets_unique"] for row in rows] == [None, None, False]
    assert "The traits of the hosts could not be read: Placement answered" in cloud.notes
    assert ".." not in cloud.notes


def test_aggregates_that_cannot_be_read(cloud: HostCloud) -> None:
    cloud.hosts(a=Node(), b=Node(()))
    cloud.fake.http.get(f"{NOVA}/os-aggregates", status_code=403)
    rows = cloud.entries()
    assert [(row["aggregates"], row["declared"]) for row in rows] == [(None, None)] * 2
    assert [row["meets_unique"] for row in rows] == [True, None]
    assert "The host aggregates could not be read: Nova (compute) answered 403" in cloud.notes


# --- how it looks -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "columns"), [((), SHORT), (("--long",), list(command.COLUMNS))]
)
def test_the_columns_are_the_same_in_every_format(
    cloud: HostCloud, options: tuple[str, ...], columns: list[str]
) -> None:
    (row,) = yaml.safe_load(cloud.run("-f", "json", *options))
    assert list(row) == columns
    (row,) = yaml.safe_load(cloud.run("-f", "yaml", *options))
    assert set(row) == set(columns)
    header = cloud.run("-f", "csv", *options).splitlines()[0]
    assert header == ",".join(f'"{name}"' for name in columns)
    header = cloud.run(*options).splitlines()[1]
    assert header.strip("| ").replace(" ", "").split("|") == columns


@pytest.mark.parametrize(("name", "value"), [("smbios", "True"), ("HyperVisor Hostname", "a.exam")])
def test_a_column_can_be_chosen_without_long(cloud: HostCloud, name: str, value: str) -> None:
    out = cloud.run("-f", "value", "-c", name, "-c", "host")
    (line,) = out.splitlines()
    assert sorted(line.split())[-1].startswith("a")
    assert value in line


def test_a_table_is_short(cloud: HostCloud) -> None:
    cloud.hosts(
        a=Node(),
        b=Node((TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO, M_OS)),
        c=Node(()),
        d=Node((TRAIT_UNIQUE, M_UNIQUE)),
    )
    cloud.fake.aggregates(
        {"hosts": ["a", "c"], "metadata": TRUE}, {"hosts": ["a", "b"], "metadata": FALSE}
    )
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in cloud.run().splitlines()
        if line.startswith("|")
    ]
    words = {line[0]: line[4] for line in lines[1:] if line[0]}
    assert words == {
        "a": "trait",
        "b": "trait",
        "c": "trait-absent, declared",
        "d": "trait, trait-absent",
    }
    # One aggregate a line; - is not known, or nothing.
    assert [line[5] for line in lines[1:3]] == ["rack-1", "rack-2"]
    assert lines[-1] == ["d", "unique", "False", "True", "trait, trait-absent", *"--", "up", "-"]
    assert max(map(len, cloud.run().splitlines())) < 190
    lone = cloud.run("--host", "a", "-c", "problems", "-f", "value").strip()
    assert lone == '["contradicting aggregates: true in rack-1; false in rack-2"]'


@pytest.mark.parametrize("formatter", ["table", "csv", "value"])
def test_what_things_are_called_cannot_hurt(cloud: HostCloud, formatter: str) -> None:
    evil = "=\x1b[2J\n\u202e$(id)"
    cloud.hosts(a=Node(DRIVER, {"service": {"host": evil}, "hypervisor_hostname": evil}))
    cloud.fake.aggregates(
        {"hosts": [evil], "metadata": {"hw:unique_serial": evil}, "name": evil},
        {"hosts": [evil], "metadata": {**TRUE, **FALSE}, "name": f"two{evil}"},
    )
    out = cloud.run("--long", "-f", formatter)
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert out.count("\\x1b[2J") + out.count("\\u001b[2J") >= 5
    if formatter == "csv":
        assert out.splitlines()[1].startswith("\"'=")
        assert len(out.splitlines()) == 2


@pytest.mark.parametrize("formatter", ["json", "yaml"])
def test_machines_get_names_as_they_are(cloud: HostCloud, formatter: str) -> None:
    evil = "=\x1b[2J\n$(id)"
    cloud.hosts(a=Node(DRIVER, {"service": {"host": evil}}))
    (row,) = yaml.safe_load(cloud.run("-f", formatter, "--host", evil))
    assert row["host"] == evil
    assert "\\x1b" in cloud.refused("--host", f"{evil}x")


# --- invariants -------------------------------------------------------------


@given(hosts())
def test_problems_are_what_status_warns_of(host: Host) -> None:
    """One judgement of traits: the two commands cannot disagree."""
    fleet = Fleet((host,))
    found = {row.id for row in readiness._all_hosts(fleet)}
    kinds = {
        "contradicting traits": "contradicting-traits",
        "incomplete traits": "incomplete-traits",
        "wrong traits": "wrong-traits",
        "it has no resource provider": "no-resource-provider",
    }
    problems = command._node(host, fleet).problems
    told = {id for text, id in kinds.items() if any(p.startswith(text) for p in problems)}
    assert told == found & set(kinds.values())


@given(hosts())
def test_what_meets_unique_is_what_the_rules_say(host: Host) -> None:
    """True and false hold for every mode and driver that the host could have."""
    known, traits = host.input, host.traits
    said = host.meets_unique
    modes = [known.mode] if known.mode else list(policy.HostMode)
    drivers = [known.honours] if known.honours is not None else [True, False]
    met = {
        known.smbios and (honours or mode is policy.HostMode.UNIQUE)
        for mode, honours in itertools.product(modes, drivers)
    }
    assert said is (met.pop() if len(met) == 1 else None)
    assert said is not True or traits is None or TRAIT_KEYS in traits or known.mode
