# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan`` on a cloud whose servers are known."""

from __future__ import annotations

import collections
import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.functional.cloud import Json, SeededCloud
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_audit import Run, unsafe
from tests.functional.test_show import broken_cell

#: An entry of each kind; the owner is the project seed-bank.
EVERYTHING = """\
flavors:
- {name: seed.small, unique_serial: true, hosts: supported}
- {glob: seed.invalid-*, unique_serial: unset}
images:
- {name: Debian 12, any_owner: true, unique_serial: false}
aggregates:
- {name: seed-plain-rack, unique_serial: true}
servers:
- {project: OWNER, unique_serial: true}
hosts:
- {name: seed-auto-1, mode: unique}
- {aggregate: seed-shared-rack, mode: os}
"""
#: Reaches servers of all projects, whatever their names are.
HOSTILE = """\
flavors: [{glob: '*', unique_serial: unset, hosts: any}]
images: [{glob: '*', any_owner: true, unique_serial: true}]
aggregates: [{glob: '*', unique_serial: false}]
servers: [{glob: '*', any_owner: true, unique_serial: true}]
hosts: [{glob: '*', mode: os}]
"""
#: Texts of the metadata of servers that mean true already.
TRUE = ("true", "yes", "on", "1")


def plan(
    cloud: SeededCloud,
    file: Path,
    text: str,
    *options: str,
    code: int = 3,
    user: str = "devcloud",
    clouds_yaml: Path | None = None,
) -> Run:
    """Plan a desired state; in JSON unless the options say otherwise."""
    file.write_text(text)
    form = () if "-f" in options else ("--long", "-f", "json")
    args = ("unique", "serial", "plan", *form, *options, str(file))
    run = cloud.openstack(*args, check=False, cloud=user, clouds_yaml=clouds_yaml)
    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return Run(run.stdout, run.stderr, run.returncode)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the desired state is written."""
    return tmp_path / "desired.yaml"


@pytest.fixture(scope="module")
def everything(seeded: SeededCloud) -> str:
    """A file with an entry of each kind."""
    return EVERYTHING.replace("OWNER", seeded.manifest["projects"]["seed-bank"])


def test_an_entry_of_each_kind(seeded: SeededCloud, file: Path, everything: str) -> None:
    run = plan(seeded, file, everything)
    servers = plan(seeded, file, everything, "--servers")
    assert run.stderr.splitlines()[-1] == f"{len(run.rows)} changes"

    # What would be written is what the services have, and something else.
    flavors = {
        each["name"]: each["extra_specs"]
        for each in seeded.get("nova", "/v2.1/flavors/detail?is_public=None")["flavors"]
    }
    invalid = [name for name in flavors if name.startswith("seed.invalid-")]
    bank = seeded.manifest["projects"]["seed-bank"]
    asking = {
        each["name"]: each["metadata"].get("hw_unique_serial")
        for each in seeded.manifest["servers"]
        if each["project_id"] == bank
        and (each["metadata"].get("hw_unique_serial") or "").strip().lower() not in TRUE
    }
    expected = [
        ("aggregate", "seed-plain-rack", "hw:unique_serial", None, "true"),
        ("aggregate", "seed-plain-rack", "hw_unique_serial", None, "True"),
        *(
            ("flavor", name, "hw:unique_serial", flavors[name]["hw:unique_serial"], None)
            for name in invalid
        ),
        ("flavor", "seed.small", "hw:unique_serial", None, "true"),
        ("flavor", "seed.small", "trait:CUSTOM_UNIQUE_SERIAL", None, "required"),
        ("host", "seed-auto-1", "mode", "auto", "unique"),
        ("host", "seed-none-1", "mode", "none", "os"),
        ("image", "Debian 12", "hw_unique_serial", None, "false"),
        *(("server", name, "hw_unique_serial", now, "true") for name, now in asking.items()),
    ]
    found = [(row["kind"], row["name"], row["key"], row["now"], row["planned"]) for row in run.rows]
    assert invalid
    assert asking
    assert found == sorted(found, key=lambda row: row[:3])
    assert sorted(found, key=repr) == sorted(expected, key=repr)

    # The servers of a row are those with rows of their own.
    reached = collections.Counter(
        (row["when"], known["image"] if row["when"] == "rebuild" else known["flavor"])
        for row in servers.rows
        for known in (server(seeded, row["id"]),)
    )
    rows = {(row["kind"], row["name"], row["key"]): row for row in run.rows}
    small = rows["flavor", "seed.small", "hw:unique_serial"]
    assert small["servers"] == reached["resize", "seed.small"] > 10
    image = rows["image", "Debian 12", "hw_unique_serial"]
    assert image["servers"] == reached["rebuild", image["id"]] > 5
    # Its trait, and the aggregate, count when a server is placed.
    assert rows["flavor", "seed.small", "trait:CUSTOM_UNIQUE_SERIAL"]["servers"] == 0
    assert rows["aggregate", "seed-plain-rack", "hw:unique_serial"]["when"] == "new servers only"
    what_if = rows["host", "seed-auto-1", "mode"]
    assert (what_if["result"], what_if["servers"]) == ("what-if", 25)

    # A stock host in another mode: all of its servers, and why.
    hosts = {"seed-auto-1": "instance-uuid", "seed-none-1": "host-os"}
    for host, source in hosts.items():
        restarted = [
            row for row in servers.rows if row["host"] == host and "nova-compute" in row["when"]
        ]
        assert [row["id"] for row in restarted] == sorted(
            each["id"] for each in seeded.manifest["servers"] if each["host"] == host
        )
        for row in restarted:
            known = server(seeded, row["id"])
            assert row["now"] == known["serial_source"]
            assert (row["then"], row["result"]) == (source, "change")
            assert (row["name"], row["project_id"]) == (known["name"], known["project_id"])
            assert host in row["why"]

    bank_only = plan(seeded, file, everything, "--servers", "--project", "seed-bank")
    assert bank_only.rows == [row for row in servers.rows if row["project_id"] == bank]
    assert f"project {bank} only" in bank_only.stderr


def server(cloud: SeededCloud, wanted: str) -> Json:
    """Return what the manifest has of a server."""
    found: Json = next(each for each in cloud.manifest["servers"] if each["id"] == wanted)
    return found


@pytest.mark.parametrize(
    ("servers", "forms"),
    [((), ("csv", "table")), (("--servers",), ("csv", "table", "value", "yaml"))],
    ids=["changes", "servers"],
)
def test_every_format_is_safe(
    seeded: SeededCloud, file: Path, servers: tuple[str, ...], forms: tuple[str, ...]
) -> None:
    whole = plan(seeded, file, HOSTILE, *servers)
    names = {row["name"] for row in whole.rows} - {None}
    assert any(unsafe(name) for name in names)
    assert servers or any(name.startswith("=") for name in names)
    for form in forms:
        run = plan(seeded, file, HOSTILE, "--long", *servers, "-f", form)
        assert not unsafe(run.stdout.replace("\r\n", "\n")), form
        if form == "csv":
            header, *rows = csv.reader(io.StringIO(run.stdout))
            assert header == list(whole.rows[0])
            assert len(rows) == len(whole.rows)
            for row in rows:
                assert len(row) == len(header)
                assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row), row
        if form == "value":
            assert len(run.stdout.splitlines()) == len(whole.rows)


@pytest.mark.parametrize("user", ["devcloud-member", "devcloud-reader"])
def test_a_member_and_a_reader(seeded: SeededCloud, file: Path, everything: str, user: str) -> None:
    run = plan(seeded, file, everything, user=user)
    changes = {row["kind"] for row in run.rows if row["result"] == "change"}
    assert {"flavor", "image"} == changes
    unknown = [(row["line"], row["result"]) for row in run.rows if row["kind"] == "unknown"]
    # Aggregates and hosts are for administrators; no server of their project fits.
    assert unknown == [
        (7, "unread"),
        (9, "no-match"),
        (11, "unread"),
        (12, "unread"),
    ]
    assert "own project only" in run.stderr
    texts = {row["line"]: row["details"] for row in run.rows if row["kind"] == "unknown"}
    assert "answered 403" in texts[7]
    assert "(own project only" in texts[9]
    servers = plan(seeded, file, everything, "--servers", user=user)
    assert [(row["id"], row["result"]) for row in servers.rows] == [
        (None, result) for _line, result in unknown
    ]


def test_what_is_not_known_of_servers(seeded: SeededCloud, seeded_proxy: Proxy, file: Path) -> None:
    text = "flavors: [{name: seed.small, unique_serial: true}]\nhosts: [{name: gone, mode: os}]"
    seeded_proxy.faults.append(Fault("GET /(traits|resource_providers)", status=503))
    blind = plan(seeded, file, text, "--servers", clouds_yaml=seeded_proxy.clouds_yaml)
    (row,) = [row for row in blind.rows if row["id"] is None]
    assert (row["result"], row["why"]) == ("no-match", "line 2: no host fits name 'gone'")
    small = {
        each["id"]
        for each in seeded.manifest["servers"]
        if each["flavor"] == "seed.small"
        and (each["host"], each["requested"]) == ("seed-auto-1", "unset")
    }
    rows = [row for row in blind.rows if row["id"] in small]
    assert {row["id"] for row in rows} == small
    for row in rows:
        assert (row["now"], row["when"], row["result"]) == ("unknown", "resize", "unknown")
        assert "it depends on the mode of host seed-auto-1" in row["why"]

    with broken_cell(seeded):
        down = plan(seeded, file, text, "--servers", "-f", "json")
    cells = {each["id"]: each["cell"] for each in seeded.manifest["servers"]}
    lost = [row for row in down.rows if cells.get(row["id"]) == "cell2"]
    assert len(lost) == list(cells.values()).count("cell2")
    for row in lost:
        assert (row["when"], row["result"]) == (None, "unknown")
        assert row["why"].startswith("The server's cell is down")


def test_exit_codes(seeded: SeededCloud, seeded_proxy: Proxy, file: Path) -> None:
    done = "flavors: [{name: seed.licensed, unique_serial: true, hosts: supported}]\n"
    run = plan(seeded, file, done, code=0)
    assert run.rows == []
    assert run.stderr.splitlines()[-1] == "No change"
    assert plan(seeded, file, done, "--servers", code=0).rows == []
    missing = f"{done}images: [{{id: gone, hosts: any}}]"
    (row,) = plan(seeded, file, missing, code=4).rows
    assert (row["line"], row["result"]) == (2, "no-match")
    seeded_proxy.faults.append(Fault("GET /v2/images", status=403))
    (row,) = plan(seeded, file, missing, code=4, clouds_yaml=seeded_proxy.clouds_yaml).rows
    assert (row["line"], row["result"]) == (2, "unread")
    assert "answered 403" in row["details"]


def test_what_is_refused(seeded: SeededCloud, file: Path) -> None:
    names = collections.Counter(each["name"] for each in seeded.manifest["servers"])
    name, number = names.most_common(1)[0]
    assert number > 1
    twice = f"servers: [{{name: {json.dumps(name)}, any_owner: true, unique_serial: true}}]"
    run = plan(seeded, file, twice, code=1)
    assert f"line 1: {number} servers have the name" in run.stderr
    contradicting = (
        "flavors:\n- {name: seed.small, unique_serial: true}\n- {glob: '*', unique_serial: unset}\n"
    )
    run = plan(seeded, file, contradicting, code=1)
    assert re.search(r"line 3: flavor 'seed.small' \(.+\): .*but line 2 wants", run.stderr)
    assert run.stderr.rstrip().endswith("Nothing was changed.")
    run = plan(seeded, file, "servers:\n- {id: a, unique_serial: false}\n", code=1)
    assert "line 2: servers, entry 1, unique_serial: a server can only ask" in run.stderr
