# SPDX-License-Identifier: Apache-2.0
"""``verify --inventory`` and ``export --as netbox`` through the real shell."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.desired.export.netbox import Machines
from osc_uniqserial.guests import inventory
from osc_uniqserial.guests.inventory import BadInventory, parse
from osc_uniqserial.text import is_formula
from tests.unit.builders import (
    DRIVER,
    EVIL,
    HOST,
    M_AUTO,
    PLAIN,
    Json,
    host,
    nova_domain,
    server_facts,
    server_id,
)
from tests.unit.clouds import Node, QuietCloud, deny_all_projects
from tests.unit.fake_cloud import FakeCloud, Result

ONE, TWO, THREE, FOUR = (server_id(number) for number in range(1, 5))
HOSTS = "bbbbbbbb-0000-4000-8000-000000000000"
OTHER = "cccccccc-0000-4000-8000-000000000000"


@pytest.fixture
def cloud(fake: FakeCloud) -> QuietCloud:
    """web-1 and web-2 have their UUID; web-3 and web-4 the identity of their host c."""
    made = QuietCloud(fake)
    made.hosts(a=Node(), c=Node((M_AUTO,)))
    made.server(1)
    made.server(2)
    made.server(3, flavor=PLAIN, host="c")
    made.server(4, flavor=PLAIN, host="c")
    return made


def verify(cloud: QuietCloud, path: Path, *options: str, code: int) -> Result:
    words = ("unique", "serial", "verify", "--long", "-f", "json", "--inventory", str(path))
    result = cloud.fake.openstack(*words, *options)
    assert result.code == code, result.out + result.err
    return result


def found(
    cloud: QuietCloud, folder: Path, text: str, *options: str, code: int = 3
) -> dict[str, Json]:
    """Return the rows about an inventory by ID; there is one of each."""
    path = folder / "inventory"
    path.write_text(text)
    rows = verify(cloud, path, *options, code=code).json
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def table(*rows: tuple[str, ...], header: str = "name,serial") -> str:
    return "\n".join([header, *(",".join(row) for row in rows), ""])


ALL_RIGHT = (("web-1", ONE), ("web-2", TWO.upper()), ("web-3", HOSTS), ("web-4", HOSTS))


def test_an_inventory_that_is_right(cloud: QuietCloud, tmp_path: Path) -> None:
    domains = tmp_path / "saved.xml"
    domains.write_bytes(
        b"".join(
            nova_domain(id_, serial)
            for id_, serial in ((ONE, ONE), (TWO, TWO), (THREE, HOSTS), (FOUR, HOSTS))
        )
    )
    path = tmp_path / "inventory"
    path.write_text(table(*ALL_RIGHT))
    result = verify(cloud, path, "--domain-xml", str(domains), code=3)
    # The guests of host c share a serial number: that is of the guests, not of the inventory.
    assert [row["id"] for row in result.json] == ["live-serial-shared"]
    assert result.err.splitlines()[-1] == (
        "Guests: 4 of 4 servers compared. Inventory: 4 of 4 entries compared"
    )


def test_the_identity_of_a_host_is_known_from_guests_only(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    rows = found(cloud, tmp_path, table(*ALL_RIGHT), code=4)
    (row,) = rows.values()
    assert (row["id"], row["severity"]) == ("inventory-not-compared", "unchecked")
    assert row["evidence"] == (
        "2 servers (web-3, web-4): they have the identity of their host, which only their guests"
        " show: add --libvirt-uri, --domain-xml or --facts (lines 4, 5 of "
        f"{tmp_path}/inventory)"
    )


@pytest.mark.parametrize(
    ("name", "serial", "evidence"),
    [
        ("web-2", "", "the inventory has no serial number, and the guest should have its server's"),
        ("web-2", "N/A", "the inventory has no serial number, and the guest should have"),
        ("web-2", ONE, "the inventory has the UUID of another server, and the guest should have"),
        ("web-2", OTHER, "the inventory has another UUID, and the guest should have its server's"),
        ("web-2", "VMware-1", "the inventory has a text that Nova never writes, and the guest"),
        ("web-3", THREE, "the inventory has the server's UUID, and the guest should have its host"),
        ("web-3", "VMware-1", "the inventory has a text that Nova never writes, and the guest"),
    ],
)
def test_a_wrong_serial_number(
    cloud: QuietCloud, tmp_path: Path, name: str, serial: str, evidence: str
) -> None:
    row = found(cloud, tmp_path, table((name, serial)))["inventory-serial-wrong"]
    assert row["evidence"].startswith(f"1 server ({name}): {evidence}")
    assert row["evidence"].endswith(f" (line 2 of {tmp_path}/inventory)")
    assert (row["resource_type"], row["severity"]) == ("inventory", "medium")
    assert row["resource_name"] is None
    assert row["server_ids"] == [{"web-2": TWO, "web-3": THREE}[name]]


@pytest.mark.parametrize(
    ("live", "serial", "is_wrong"),
    [(HOSTS, HOSTS, False), (HOSTS, TWO, False), (HOSTS, OTHER, True), (HOSTS, "", True)],
    ids=["has", "should-have", "neither", "none"],
)
def test_what_the_guest_has_or_should_have_is_right(
    cloud: QuietCloud, tmp_path: Path, live: str, serial: str, is_wrong: bool
) -> None:
    facts = tmp_path / "facts"
    facts.write_text(json.dumps({"uuid": TWO, "serial": live}))
    path = tmp_path / "inventory"
    path.write_text(table(("web-2", serial)))
    rows = verify(cloud, path, "--facts", str(facts), code=3).json
    wrong = [row["evidence"] for row in rows if row["id"] == "inventory-serial-wrong"]
    assert bool(wrong) is is_wrong
    assert all("; it has another UUID" in text for text in wrong)


def test_duplicates(cloud: QuietCloud, tmp_path: Path) -> None:
    text = table(("web-1", ONE), ("web-2", ONE), ("web-1", ONE), ("web-3", HOSTS), ("web-4", HOSTS))
    path = tmp_path / "inventory"
    path.write_text(text)
    rows = verify(cloud, path, "--only", "inventory-duplicate", code=3).json
    told = [
        (row["resource_type"], row["resource_id"], row["resource_name"], row["evidence"])
        for row in rows
        if row["severity"] != "unchecked"
    ]
    assert told == [
        ("server", ONE, "web-1", f"The inventory has 2 entries of it (lines 2, 4 of {path})"),
        (
            "serial",
            None,
            ONE,
            f"3 entries of the inventory have the serial number {ONE} (lines 2, 3, 4 of {path})",
        ),
    ]


def move(cloud: QuietCloud, index: int, name: str) -> None:
    node = {"OS-EXT-SRV-ATTR:hypervisor_hostname": f"{name}.example.org"}
    cloud.records[index] |= {HOST: name, **node}


def test_a_serial_number_of_servers_on_several_hosts_is_a_duplicate(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.hosts(a=Node(), b=Node((M_AUTO,)), c=Node((M_AUTO,)))
    move(cloud, 3, "b")
    path = tmp_path / "inventory"
    path.write_text(table(("web-3", HOSTS), ("web-4", HOSTS)))
    rows = verify(cloud, path, code=3).json
    assert "inventory-duplicate" in {row["id"] for row in rows}


def test_servers_that_are_gone_and_servers_that_are_missing(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    text = f"uuid,name,serial\n{ONE},old-name,{ONE}\n{OTHER},web-2,{OTHER}\n,db-1,{HOSTS}\n"
    rows = found(cloud, tmp_path, text)
    assert rows["inventory-server-gone"]["evidence"] == (
        "The inventory has 2 entries of servers that do not exist: web-2, db-1 (lines 3, 4 of"
        f" {tmp_path}/inventory)"
    )
    missing = rows["inventory-server-missing"]
    assert missing["server_ids"] == [TWO, THREE, FOUR]
    assert missing["evidence"] == (
        f"The inventory has no entry of 3 servers (web-2, web-3, web-4); it is {tmp_path}/inventory"
    )
    assert rows.keys() == {"inventory-server-gone", "inventory-server-missing"}


def test_who_sees_one_project_calls_no_server_gone(cloud: QuietCloud, tmp_path: Path) -> None:
    deny_all_projects(cloud)
    text = table(*ALL_RIGHT[:2], ("elsewhere", OTHER))
    assert "inventory-server-gone" not in found(cloud, tmp_path, text)


def test_servers_that_an_inventory_need_not_have(cloud: QuietCloud, tmp_path: Path) -> None:
    cloud.records[2:] = []
    cloud.server(5, status="BUILD", host=None)
    cloud.server(6, status="ERROR", host=None)
    cloud.server(7, status="SOFT_DELETED")
    assert found(cloud, tmp_path, table(*ALL_RIGHT[:2]), code=0) == {}


def test_a_name_of_several_servers(cloud: QuietCloud, tmp_path: Path) -> None:
    """The serial number decides where it is the UUID of one of them."""
    cloud.records[2:] = []
    cloud.records[1]["name"] = "web-1"
    assert found(cloud, tmp_path, table(("web-1", ONE), ("web-1", TWO)), code=0) == {}
    path = tmp_path / "inventory"
    path.write_text(table(("web-1", OTHER), ("", ONE)))
    rows = verify(cloud, path, code=4).json
    assert {row["id"] for row in rows} == {"inventory-not-compared"}
    assert [row["evidence"] for row in rows] == [
        f"Line 2 of {path} (web-1): several servers have this name: add a column with the UUID",
        f"Line 3 of {path}: the entry has neither a UUID nor a name",
    ]


def test_all_that_has_no_server_or_no_serial_is_counted(cloud: QuietCloud, tmp_path: Path) -> None:
    cloud.records[2:] = []
    cloud.hosts(a=Node(), v=Node((), {"hypervisor_type": "VMware vCenter Server"}))
    cloud.server(8, host="v")
    text = (
        f"name,object_id,serial_number\nweb-1,{ONE},{ONE}\nweb-2,{TWO},{TWO}\n"
        f"web-1,i-0abc,x\nweb-8,{server_id(8)},VMware-42\n"
    )
    path = tmp_path / "inventory"
    path.write_text(text)
    result = verify(cloud, path, code=0)
    assert result.json == []
    assert result.err.splitlines()[-1] == (
        "Inventory: 2 of 4 entries compared; 1 of machines without a UUID; 1 of servers that have"
        " no serial number now"
    )


# --- formats ------------------------------------------------------------------------


def read(text: str | bytes) -> list[tuple[str | None, str, str]]:
    raw = text.encode() if isinstance(text, str) else text
    _unit, entries = parse(iter([raw[:3], raw[3:]]))
    return [(each.id, each.name, each.serial) for each in entries]


NETBOX = "Name,Status,Cluster,Serial number,UUID\nweb,Active,c1,S,{0}\n"
GLPI = '\ufeff"Name";"Entity";"Serial number";"UUID";\n"web";"Root";"S";"{0}";\n'
SERVICENOW = '"name","object_id","serial_number"\n"web","{0}","S"\n'
SNIPE_IT = "Asset Tag,Asset Name,Serial,UUID\n1,web,S,{0}\n"


@pytest.mark.parametrize(
    "text", [NETBOX, GLPI, SERVICENOW, SNIPE_IT], ids=["netbox", "glpi", "servicenow", "snipe-it"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_csv_as_tools_export_it(text: str, encoding: str) -> None:
    raw = text.format(ONE).removeprefix("\ufeff" if encoding != "utf-8" else "")
    assert read(raw.encode(encoding)) == [(ONE, "web", "S")]


@pytest.mark.parametrize(
    "document",
    [
        {
            "count": 1,
            "next": None,
            "results": [
                {
                    "id": 7,
                    "name": "web",
                    "cluster": {"id": 1, "name": "c1"},
                    "serial": "S",
                    "custom_fields": {"uuid": ONE, "owner": None},
                }
            ],
        },
        [{"id": 7, "entities_id": 0, "name": "web", "serial": "S", "otherserial": "", "uuid": ONE}],
        {"result": [{"name": "web", "serial_number": "S", "object_id": ONE}]},
        {
            "total": 1,
            "rows": [
                {
                    "id": 7,
                    "name": "web",
                    "serial": "S",
                    "model": {"id": 1, "name": "VM"},
                    "custom_fields": {
                        "UUID": {"field": "_snipeit_uuid_1", "value": ONE, "field_format": "ANY"}
                    },
                }
            ],
        },
        {"name": "web", "uuid": ONE, "serial": "S"},
    ],
    ids=["netbox", "glpi", "servicenow", "snipe-it", "lines"],
)
def test_json_as_the_apis_of_tools_return_it(document: Any) -> None:
    for indent in (None, 2):
        text = json.dumps(document, indent=indent)
        assert read(text) == [(ONE, "web", "S")]


def test_texts_in_cells_are_as_they_are_stored() -> None:
    text = 'name;serial\r\n"a;b\r\n""c""";"S;1"\r\n\r\n  =1+1  ; x\r\n'
    assert read(text) == [(None, 'a;b\r\n"c"', "S;1"), (None, "=1+1", "x")]


BROKEN = {
    b"": "it holds no entries",
    b"\n\n": "it holds no entries",
    b"name,serial\n": "it holds no entries",
    b"[]": "it holds no entries",
    b"a,b\n1,2\n": "line 1 has the columns 'a', 'b': it needs one of serial_number, serial, and one"
    " of uuid, cf_uuid, object_id, name, asset_name, item_name",
    b"\nname\nweb\n": "line 2 has the columns 'name': it needs one of serial_number",
    b"serial,Name,name\n1,2,3\n": "line 1 has the column 'Name' twice: leave one of them out",
    b"name,serial\na,b\nc\n": "line 3 has 1 cells, and the header has 2: check the quotes",
    b'name,serial\na,b\n"c,d\n': "line 3 cannot be read as CSV: unexpected end of data",
    b'name,serial\n"a"b,c\n': "line 2 cannot be read as CSV: ',' expected after '\"'",
    b"name,serial\na,b\nM\xfcnchen,c\n": "line 3 is not in UTF-8: export it again in UTF-8",
    b"name,serial\na,\0\n": "line 2 has a null character: it is no CSV",
    b"name,serial\n" + b"x" * 200_000 + b",y\n": "line 2 cannot be read as CSV: field larger than",
    b"name,serial\n" + b"x" * (2 << 20): "line 2 has more than 1 MiB: it is no CSV",
    b'[{"name": "a", "serial": "b"},\n {"name": "c"}]': "entry 2 (line 2) lacks keys: it needs one",
    b'{"results": [1]}': "entry 1 (line 1) is no object",
    b'{"name": "a", "serial": ["b"]}': "entry 1 (line 1) has a serial that is no text",
    b'{"name": "a", "serial": true}': "entry 1 (line 1) has a serial that is no text",
    b'{"name": "a",\n': "line 1 cannot be read as JSON: no JSON; write one entry on each line",
    b'\n[{"name": "a", "serial": "b"},\n {"name": "c", "serial": "d"},\n': "its array has no end",
    b'{"name": "a", "serial": "b"}\nSegmentation fault\n': "line 2 has 'Segmentation fault' where",
    b'[{"name": "a", "serial": "b"}]]': "line 1 has ']]' where an entry is expected: it may be an",
    b'[{"name": "a", "serial": "b"}, 7]': "line 1 has '7]' where an entry is expected",
    b'[[{"name": "a", "serial": "b"}]]': "line 1 has '[[' where an entry is expected",
    b"{[1]}": "line 1 has '{' where an entry is expected",
    b'["ERROR_SESSION_TOKEN_INVALID","x"]': 'line 1 has \'["ERROR_SESSION_TOKEN_INVALID","x"]\'',
    b'{"detail": "Invalid token"}': 'entry 1 (line 1) is an error of the API: "Invalid token"',
    b'{"error": {"message": "User Not Authenticated"}, "status": "failure"}': "entry 1 (line 1) is"
    ' an error of the API: {"message": "User Not Authenticated"}',
    b'{"count": 2, "results": [{"name": "a", "serial": "b"}]}': "it has 1 of 2 entries: write all"
    " pages of the API into one file, one after the other",
    b'{"total": 2, "rows": [{"name": "a", "serial": "b"}]}': "it has 1 of 2 entries: write",
    b'{"next": "https://x/", "results": [{"name": "a", "serial": "b"}]}': "it has no last page",
    b" " * (3 << 20) + b"name,serial\n": "line 1 has more than 1 MiB: it is no CSV",
    b"\n" * (3 << 20) + b"a,b\n": "line 3,145,729 has the columns 'a', 'b'",
    b"\n" * 9 + b'{"a": "b"}': "entry 1 (line 10) lacks keys",
    b'{"results": [' + b" " * (5 << 20) + b"]}": "line 1 cannot be read as JSON: more than 4 MiB",
}


@pytest.mark.parametrize(("raw", "message"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_file_that_is_wrong_ends_before_any_request(
    cloud: QuietCloud, tmp_path: Path, raw: bytes, message: str
) -> None:
    path = tmp_path / "inventory"
    path.write_bytes(raw)
    result = verify(cloud, path, code=1)
    assert result.out == ""
    assert f"--inventory: {path}: {message}" in " ".join(result.err.split())
    assert result.err.rstrip().endswith("Nothing was checked.")
    hosts = {each.hostname for each in cloud.fake.http.request_history}
    assert hosts <= {"keystone.test"}


def test_a_file_that_is_missing(cloud: QuietCloud, tmp_path: Path) -> None:
    result = verify(cloud, tmp_path / "none", code=1)
    assert "it cannot be read: No such file or directory. Nothing was checked." in result.err


def test_a_file_without_an_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inventory, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(inventory, "MAX_ENTRIES", 3)
    path = tmp_path / "inventory"
    path.write_text("name,serial\n" + "a,b\n" * 400_000)
    with pytest.raises(BadInventory, match=r"more than (1 MiB|3 entries)"):
        inventory.read(str(path))
    with pytest.raises(BadInventory, match="more than 1 MiB: export fewer columns"):
        inventory.read("/dev/zero")


def test_standard_input_is_read_once(cloud: QuietCloud) -> None:
    result = verify(cloud, Path("-"), "--facts", "-", code=1)
    assert "Standard input (-) can be read once only. Nothing was checked." in result.err


@given(st.binary(max_size=200) | st.text(alphabet='name,serial;\n\r"\t{}[]:\0é', max_size=60))
def test_no_file_ends_in_another_error(raw: bytes | str) -> None:
    with contextlib.suppress(BadInventory):
        read(raw)


@pytest.mark.parametrize("error", [{"detail": EVIL}, [EVIL]])
def test_hostile_errors_of_an_api_are_shown_escaped(
    cloud: QuietCloud, tmp_path: Path, error: Any
) -> None:
    path = tmp_path / "inventory"
    path.write_text(json.dumps(error, ensure_ascii=False))
    result = verify(cloud, path, code=1)
    assert "the API" in " ".join(result.err.split())
    assert "\x1b" not in result.err
    assert "\u202e" not in result.err


def test_hostile_cells_are_shown_escaped(cloud: QuietCloud, tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text(f'name,serial\n"{EVIL}","{EVIL}"\n')
    words = ("unique", "serial", "verify", "--inventory", str(path))
    for form in ("table", "csv", "value"):
        result = cloud.fake.openstack(*words, "-f", form)
        assert result.code == 3
        assert "\x1b" not in result.out + result.err
        assert "\u202e" not in result.out + result.err


# --- the other commands -------------------------------------------------------------


def test_an_audit_checks_an_inventory_too(cloud: QuietCloud, tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text(table(("web-2", ONE)))
    result = cloud.run("-f", "json", "--inventory", str(path))
    ids = {row["id"] for row in result.json}
    assert {"inventory-serial-wrong", "inventory-server-missing", "serial-shared"} <= ids
    assert not any(id_.startswith("live-") for id_ in ids)
    assert cloud.last == "4 of 4 servers checked. Inventory: 1 of 1 entry compared"


def test_reports_have_the_checks_that_ran(cloud: QuietCloud, tmp_path: Path) -> None:
    path, report = tmp_path / "inventory", tmp_path / "report.json"
    path.write_text(table(("web-2", ONE)))
    verify(cloud, path, f"--report=json={report}", code=3)
    document = json.loads(report.read_text())
    ids = {each["id"] for each in document["checks"]}
    assert ids == {
        "inventory-duplicate",
        "inventory-not-compared",
        "inventory-serial-wrong",
        "inventory-server-gone",
        "inventory-server-missing",
        "servers-unread",
    }
    assert document["coverage"] == {
        "servers": 4,
        "checked": 1,
        "unread": 0,
        "guests": None,
        "text": "Inventory: 1 of 1 entry compared",
    }


def test_a_check_of_guests_needs_guests(cloud: QuietCloud, tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text(table(("web-2", ONE)))
    result = verify(cloud, path, "--only", "pending-restart", code=2)
    assert "no source was given that has the facts for it" in result.err


# --- NetBox -------------------------------------------------------------------------


def export(cloud: QuietCloud, *options: str, code: int) -> Result:
    words = ("unique", "serial", "export", "--as", "netbox", *options)
    result = cloud.fake.openstack(*words)
    assert result.code == code, result.out + result.err
    assert not [each for each in cloud.fake.writes() if "os-extra_specs" not in each]
    return result


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_import_of_netbox(cloud: QuietCloud, tmp_path: Path) -> None:
    cloud.records[1] |= {"status": "SHUTOFF", "name": "=cmd|' /C calc'!A1"}
    cloud.records[3]["name"] = "WEB-3"
    result = export(cloud, "--cluster", "cloud-1", code=3)
    assert rows_of(result.out) == [
        {"name": "web-1", "status": "active", "cluster": "cloud-1", "serial": ONE},
        {
            "name": f"{TWO} =cmd|' /C calc'!A1",
            "status": "offline",
            "cluster": "cloud-1",
            "serial": TWO,
        },
        {"name": f"{THREE} web-3", "status": "active", "cluster": "cloud-1", "serial": ""},
        {"name": f"{FOUR} WEB-3", "status": "active", "cluster": "cloud-1", "serial": ""},
    ]
    assert "3 servers" in result.err
    assert "it begins with the UUID in the file" in result.err
    assert "2 servers: the serial number is the identity of the host" in result.err
    # What was exported is right; what only guests show is not compared.
    rows = found(cloud, tmp_path, result.out, code=4)
    assert rows.keys() == {"inventory-not-compared"}
    assert rows["inventory-not-compared"]["server_ids"] == [THREE, FOUR]


def test_an_export_of_servers_with_their_uuid_is_clean(cloud: QuietCloud, tmp_path: Path) -> None:
    cloud.records[2:] = []
    result = export(cloud, "--cluster", "c", code=0)
    assert result.err == ""
    assert found(cloud, tmp_path, result.out, code=0) == {}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("ACTIVE", "active"),
        ("VERIFY_RESIZE", "active"),
        ("PAUSED", "offline"),
        ("SHELVED_OFFLOADED", "offline"),
        ("BUILD", "staged"),
        ("ERROR", "failed"),
        ("SOFT_DELETED", "decommissioning"),
    ],
)
def test_statuses_are_those_of_the_oldest_netbox(status: str, shown: str) -> None:
    machines = Machines()
    machines.add([server_facts(host("a", *DRIVER), {}, status=status)])
    (row,) = rows_of("\n".join(machines.lines("c", lambda _text: None)))
    assert row["status"] == shown


def test_what_is_unknown_is_left_empty(cloud: QuietCloud) -> None:
    cloud.hosts(a=Node(), c=Node(None))
    result = export(cloud, "--cluster", "c", code=4)
    assert "here the serial number of 2 servers comes from is unknown: left empty" in result.err
    assert [row["serial"] for row in rows_of(result.out)] == [ONE, TWO, "", ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--as", "netbox"), "--as netbox needs --cluster"),
        (("--as", "plan", "--cluster", "c"), "--cluster is for --as netbox, not for --as plan"),
        *(
            (("--as", "netbox", f"--cluster={name}"), "rename the cluster in NetBox")
            for name in ('a"b', "=1+1", "a\nb", " a", "\x1b[2J")
        ),
    ],
)
def test_wrong_clusters(cloud: QuietCloud, options: tuple[str, ...], message: str) -> None:
    result = cloud.fake.openstack("unique", "serial", "export", *options)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.split())
    assert "\x1b" not in result.err


#: What NetBox guesses the delimiter from.
DELIMITERS = ",;\t|"


@given(
    st.lists(
        st.text(max_size=80) | st.text(alphabet=f"{DELIMITERS}\"' ab", max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_netbox_takes_any_name(names: list[str]) -> None:
    on = host("a", *DRIVER)
    machines = Machines()
    servers = [server_facts(on, {}, name=name) for name in names]
    machines.add(servers)
    lines = list(machines.lines("c", lambda _text: None))
    rows = rows_of("\n".join(lines))
    dialect = csv.Sniffer().sniff("\n".join(lines), DELIMITERS)
    assert list(csv.DictReader(io.StringIO("\n".join(lines)), dialect=dialect)) == rows
    assert [row["serial"] for row in rows] == [each.id for each in servers]
    shown = [row["name"] for row in rows]
    assert len({name.lower() for name in shown}) == len(names)
    for name in shown:
        assert 0 < len(name) <= 64
        assert name.isprintable()
        assert not is_formula(name)
    _unit, entries = parse([line.encode() + b"\n" for line in lines])
    for entry, server in zip(entries, servers, strict=True):
        assert server.id in (entry.id, entry.serial)


def test_a_name_with_the_uuid_of_another_server_is_no_identity(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.records[2:] = []
    cloud.records[0]["name"] = TWO
    cloud.records[1]["name"] = "db"
    result = export(cloud, "--cluster", "c", code=3)
    assert [row["name"] for row in rows_of(result.out)] == [f"{ONE} {TWO}"[:64], "db"]
    assert found(cloud, tmp_path, result.out, code=0) == {}


def test_a_name_is_written_once_where_names_contain_uuids(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.records[2:] = []
    cloud.server(5)
    for record, name in zip(cloud.records, ("web", "web", f"{ONE} web"), strict=True):
        record["name"] = name
    result = export(cloud, "--cluster", "c", code=3)
    assert len({row["name"] for row in rows_of(result.out)}) == 3
    assert found(cloud, tmp_path, result.out, code=0) == {}


@pytest.mark.parametrize("name", [OTHER, f"{OTHER} x", OTHER.replace("-", ""), f"{OTHER}x"])
def test_a_name_may_be_a_uuid_of_no_server(cloud: QuietCloud, tmp_path: Path, name: str) -> None:
    cloud.records[1:] = []
    cloud.records[0]["name"] = name
    assert found(cloud, tmp_path, table((name, ONE)), code=0) == {}


def test_a_uuid_in_a_name_and_a_server_with_this_name(cloud: QuietCloud, tmp_path: Path) -> None:
    """No server gets another one's entry by its name; the serial number decides."""
    cloud.records[2:] = []
    cloud.records[0]["name"] = f"{TWO} web-2"
    for serial in (ONE, TWO):
        rows = found(cloud, tmp_path, table((f"{TWO} web-2", serial)))
        (row,) = rows.values()
        assert (row["id"], row["server_ids"]) == (
            "inventory-server-missing",
            [TWO if serial == ONE else ONE],
        )
    rows = found(cloud, tmp_path, table((f"{TWO} web-2", "")), code=4)
    assert rows["inventory-not-compared"]["evidence"] == (
        f"Line 2 of {tmp_path}/inventory ({TWO} web-2): one server has this name, and another one"
        " the UUID in it: add a column with the UUID"
    )


def test_several_entries_of_one_name(cloud: QuietCloud, tmp_path: Path) -> None:
    """Where one project is read, an entry may be of a server of another project."""
    cloud.records[1:] = []
    deny_all_projects(cloud)
    path = tmp_path / "inventory"
    path.write_text(table(("web-1", ONE), ("web-1", OTHER)))
    (row,) = verify(cloud, path, code=4).json
    assert (row["id"], row["evidence"]) == (
        "inventory-not-compared",
        f"Line 3 of {path} (web-1): several entries have this name: add a column with the UUID",
    )
    path.write_text(table(("web-1", OTHER), ("web-1", "")))
    (row,) = verify(cloud, path, code=4).json
    assert row["evidence"].startswith(
        f"Lines 2, 3 of {path} (web-1, web-1): several entries have this name"
    )


def test_the_serial_number_of_an_entry_hides_no_missing_server(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.records[2:] = []
    rows = found(cloud, tmp_path, table(("web-1", TWO)))
    assert rows.keys() == {"inventory-serial-wrong", "inventory-server-missing"}
    assert rows["inventory-server-missing"]["server_ids"] == [TWO]


def test_a_baseline_holds_for_another_file_and_limits_gone_entries(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    baseline = tmp_path / "baseline.yaml"
    cloud.records[2:] = []
    cloud.server(5)
    first, second = tmp_path / "monday.csv", tmp_path / "tuesday.csv"
    gone = ("old-1", "")
    first.write_text(table(("web-1", OTHER), ("web-2", TWO), gone))
    second.write_text(first.read_text())
    accept = ("--write-baseline", str(baseline), "--baseline-reason", "known")
    verify(cloud, first, *accept, code=3)
    verify(cloud, second, "--baseline", str(baseline), code=0)
    second.write_text(table(("web-1", OTHER), ("web-2", TWO), gone, ("old-2", "")))
    rows = verify(cloud, second, "--baseline", str(baseline), code=3).json
    assert {row["id"]: row["baseline"] for row in rows} == {
        "inventory-server-gone": "grew",
        "inventory-serial-wrong": "accepted",
        "inventory-server-missing": "accepted",
    }


def facts_of(folder: Path, *serials: tuple[str, str]) -> str:
    """Write the facts of guests; return the path."""
    path = folder / "facts.json"
    path.write_text(json.dumps([{"uuid": id_, "serial": serial} for id_, serial in serials]))
    return str(path)


def test_entries_of_servers_that_changed_meanwhile_are_counted(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.records[2:] = []
    cloud.changed = (TWO, OTHER)
    path = tmp_path / "inventory"
    rows = (("", "web-1", ONE), ("", "web-2", OTHER), (OTHER, "deleted", OTHER))
    path.write_text(table(*rows, header="uuid,name,serial"))
    facts = facts_of(tmp_path, (ONE, ONE), (TWO, TWO))
    result = verify(cloud, path, "--facts", facts, code=0)
    assert result.json == []
    assert result.err.splitlines()[-1].endswith(
        "Inventory: 1 of 3 entries compared; 2 of servers that changed meanwhile"
    )


def duplicates(cloud: QuietCloud, path: Path, *options: str) -> list[str]:
    words = ("unique", "serial", "verify", "--inventory", str(path), "-f", "json", *options)
    rows = cloud.fake.openstack(*words).json
    return [row["evidence"] for row in rows if row["id"] == "inventory-duplicate"]


def test_servers_that_may_have_one_serial_number_are_no_duplicates(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    path = tmp_path / "inventory"
    path.write_text(table(("web-3", HOSTS), ("web-4", HOSTS), ("elsewhere", HOSTS)))
    # Another project has a server of the same host.
    assert duplicates(cloud, path) == []
    # After a live migration a guest has the identity of its previous host.
    cloud.hosts(a=Node(), b=Node((M_AUTO,)), c=Node((M_AUTO,)))
    move(cloud, 2, "b")
    read = facts_of(tmp_path, (THREE, HOSTS), (FOUR, HOSTS))
    assert duplicates(cloud, path, "--facts", read) == []
    # Where guests show the other one, the entry of it is wrong.
    read = facts_of(tmp_path, (THREE, OTHER), (FOUR, HOSTS))
    (evidence,) = duplicates(cloud, path, "--facts", read)
    assert evidence.startswith(f"2 entries of the inventory have the serial number {HOSTS}")


def test_servers_of_one_host_with_an_unknown_mode_are_no_duplicates(
    cloud: QuietCloud, tmp_path: Path
) -> None:
    cloud.hosts(a=Node(), c=Node(None))
    path = tmp_path / "inventory"
    path.write_text(table(("web-3", HOSTS), ("web-4", HOSTS)))
    assert duplicates(cloud, path) == []


def test_a_server_that_changed_makes_no_duplicate(cloud: QuietCloud, tmp_path: Path) -> None:
    cloud.changed = (FOUR,)
    path = tmp_path / "inventory"
    path.write_text(table(("web-3", HOSTS), ("web-4", HOSTS)))
    assert duplicates(cloud, path, "--facts", facts_of(tmp_path, (THREE, HOSTS))) == []


def test_a_guest_that_was_read_and_waits_for_its_restart(cloud: QuietCloud, tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_text(table(("web-3", HOSTS)))
    facts = facts_of(tmp_path, (THREE, THREE))
    rows = verify(cloud, path, "--facts", facts, code=3).json
    (text,) = [row["evidence"] for row in rows if row["id"] == "inventory-not-compared"]
    assert text == (
        "1 server (web-3): the guest has the server's UUID now, and gets its host's identity when"
        f" it is next started: compare it again then (line 2 of {path})"
    )


@pytest.mark.parametrize("between", ["", "\n", " ,\r\n", "[]"])
def test_arrays_one_after_the_other(between: str) -> None:
    text = json.dumps([{"name": "a", "serial": "b"}], indent=1)
    assert len(read(f"{text}{between}{text}")) == 2


def test_pages_of_an_api_one_after_the_other() -> None:
    """The pages of an API are complete if they have as many entries as it counts."""
    pages = [
        {"count": 2, "next": "https://x/?offset=1", "results": [{"name": "a", "serial": "b"}]},
        {"count": 2, "next": None, "results": [{"name": "c", "serial": "d"}]},
    ]
    assert len(read("".join(map(json.dumps, pages)))) == 2
    with pytest.raises(BadInventory, match="it has no last page"):
        read(json.dumps(pages[0]) * 2)


@pytest.mark.parametrize("beginning", [b"\n", b" \r\n", b"\n" * 4095 + b" "])
def test_blank_lines_need_no_memory(beginning: bytes) -> None:
    chunk = beginning * ((1 << 20) // len(beginning))
    tracemalloc.start()
    try:
        chunks = itertools.chain(itertools.repeat(chunk, 32), [b"\nname,serial\na,b"])
        _unit, entries = parse(chunks)
        assert [each.name for each in entries] == ["a"]
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_header_whose_first_cell_is_empty() -> None:
    assert read("\n\tname\tserial\n1\ta\tb\n") == [(None, "a", "b")]
