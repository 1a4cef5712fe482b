# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial plan`` through the real shell."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from osc_uniqserial.commands.plan import COLUMNS, SERVER_COLUMNS
from osc_uniqserial.desired import document
from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY
from osc_uniqserial.text import safe_text
from tests.guide import PAGES, page
from tests.unit.builders import (
    AFTER,
    GOLD,
    M_AUTO,
    OPEN,
    PLAIN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    image_id,
    server_id,
)
from tests.unit.clouds import Estate, Node
from tests.unit.fake_cloud import NOVA, PROJECT_ID, FakeCloud
from tests.unit.glance import MAIN, OURS, definition

MAY_ASK = "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK"


@pytest.fixture
def cloud(fake: FakeCloud) -> Estate:
    """A stock host and one with the driver; three servers."""
    estate = Estate(fake)
    estate.hosts(a=Node((M_AUTO,)), b=Node((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO)))
    estate.server(1, flavor=PLAIN, host="a")
    estate.server(2, flavor=PLAIN, host="b")
    estate.server(3, flavor=GOLD, host="b")
    return estate


def plan(
    cloud: Estate, tmp_path: Path, text: str, *options: str, code: int
) -> tuple[list[dict[str, Any]], str]:
    file = tmp_path / "desired.yaml"
    file.write_text(text)
    run = cloud.fake.openstack("unique", "serial", "plan", "-f", "json", *options, str(file))
    assert run.code == code, run.out + run.err
    return json.loads(run.out) if run.out.strip() else [], run.err


def test_nothing_to_do(cloud: Estate, tmp_path: Path) -> None:
    rows, said = plan(cloud, tmp_path, f"flavors: [{{name: {GOLD}, unique_serial: true}}]", code=0)
    assert rows == []
    assert said.endswith("No change\n")


def test_changes_and_the_servers_that_they_reach(cloud: Estate, tmp_path: Path) -> None:
    text = (
        f"flavors: [{{name: {PLAIN}, unique_serial: true, hosts: supported}}]\n"
        f"servers: [{{id: {server_id(2)}, unique_serial: true}}]\n"
        "hosts: [{name: a, mode: unique}]\n"
    )
    rows, said = plan(cloud, tmp_path, text, code=3)
    assert [
        (row["kind"], row["name"], row["key"], row["now"], row["planned"], row["servers"])
        for row in rows
    ] == [
        ("flavor", PLAIN, "hw:unique_serial", None, "true", 0),
        ("flavor", PLAIN, "trait:CUSTOM_UNIQUE_SERIAL", None, "required", 0),
        ("host", "a", "mode", "auto", "unique", 1),
        ("server", "web-2", "hw_unique_serial", None, "true", 1),
    ]
    assert said.endswith("4 changes\n")
    servers, _said = plan(cloud, tmp_path, text, "--servers", code=3)
    assert [(row["id"], row["now"], row["then"], row["when"]) for row in servers] == [
        (
            server_id(1),
            "host-auto",
            "instance-uuid",
            "restart of nova-compute, then hard reboot",
        ),
        (server_id(2), "host-auto", "instance-uuid", "hard reboot"),
    ]


def test_plan_and_apply_count_the_same_servers(cloud: Estate, tmp_path: Path) -> None:
    """The what-if of hosts adds rows, and changes no other."""
    cloud.server(4, flavor=PLAIN, host="b")
    text = (
        f"flavors: [{{name: {PLAIN}, unique_serial: true}}]\n"
        f"servers: [{{id: {server_id(4)}, unique_serial: true}}]\n"
    )
    what_if = f"{text}hosts: [{{name: a, driver: true}}, {{name: b, mode: unique}}]\n"
    rows, _said = plan(cloud, tmp_path, what_if, code=3)
    counts = {(row["kind"], row["name"], row["key"]): row["servers"] for row in rows}
    assert counts == {
        ("flavor", PLAIN, "hw:unique_serial"): 1,
        ("server", "web-4", "hw_unique_serial"): 1,
        # Server 1 after a resize, which has no effect on the present host.
        ("host", "a", "driver"): 1,
        ("host", "a", "server_may_ask"): 1,
        # Server 2 at the next hard reboot.
        ("host", "b", "mode"): 1,
    }
    servers, _said = plan(cloud, tmp_path, what_if, "--servers", code=3)
    restart = "restart of nova-compute, then"
    assert [(row["name"], row["when"], row["now"], row["then"]) for row in servers] == [
        ("web-1", f"{restart} resize", "host-auto", "instance-uuid"),
        ("web-2", "resize", "host-auto", "instance-uuid"),
        ("web-2", f"{restart} hard reboot", "host-auto", "instance-uuid"),
        ("web-4", "hard reboot", "host-auto", "instance-uuid"),
    ]
    without, _said = plan(cloud, tmp_path, text, "--servers", code=3)
    assert without == [row for row in servers if not row["when"].startswith(restart)]
    file = tmp_path / "desired.yaml"
    for file_text in (text, what_if):
        file.write_text(file_text)
        run = cloud.fake.openstack("unique", "serial", "apply", "--yes", str(file))
        assert "Servers that get another serial number: 1 at hard reboot, 1 at resize\n" in run.err


def test_what_cannot_be_planned_is_a_row(cloud: Estate, tmp_path: Path) -> None:
    rows, _said = plan(cloud, tmp_path, "flavors: [{name: none, hosts: any}]", code=4)
    (row,) = rows
    assert (row["kind"], row["result"]) == ("unknown", "no-match")
    assert row["details"] == "no flavor fits name 'none'"
    cloud.fake.http.get(f"{NOVA}/flavors/detail", status_code=403)
    (row,), _said = plan(cloud, tmp_path, "flavors: [{name: none, hosts: any}]", code=4)
    assert (row["kind"], row["result"]) == ("unknown", "unread")
    assert row["details"].startswith("the flavors could not be read: ")
    # With --servers, the same is a row without a server.
    (row,), _said = plan(
        cloud, tmp_path, "flavors: [{name: none, hosts: any}]", "--servers", code=4
    )
    assert (row["id"], row["result"]) == (None, "unread")
    assert row["why"].startswith("line 1: the flavors could not be read: ")


def test_why_a_server_changes(cloud: Estate, tmp_path: Path) -> None:
    text = (
        f"flavors: [{{name: {PLAIN}, unique_serial: true}}]\n"
        f"servers: [{{id: {server_id(2)}, unique_serial: true}}]\n"
    )
    rows, _said = plan(cloud, tmp_path, text, "--servers", code=3)
    (row,) = rows
    assert (row["id"], row["result"], row["decided_by"]) == (server_id(2), "change", "server")
    assert row["why"] == (
        "The server asks for a unique serial and host b honours the keys, so the serial is the"
        " server's own UUID."
    )


def test_a_server_whose_serial_is_unknown(cloud: Estate, tmp_path: Path) -> None:
    cloud.hosts(
        a=Node((TRAIT_UNIQUE, TRAIT_KEYS)), b=Node((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO))
    )
    rows, _said = plan(
        cloud,
        tmp_path,
        "flavors: [{glob: '*', unique_serial: false}]\nhosts: [{name: b, mode: auto}]",
        "--servers",
        code=3,
    )
    assert [(row["id"], row["now"], row["then"], row["when"], row["result"]) for row in rows] == [
        (server_id(1), "unknown", "unknown", "resize", "unknown"),
        (server_id(3), "instance-uuid", "host-auto", "resize", "change"),
    ]
    assert "it depends on the mode of host a" in rows[0]["why"]


def test_servers_of_a_cell_that_is_down(cloud: Estate, tmp_path: Path) -> None:
    cloud.down.append({"id": server_id(9), "status": "UNKNOWN", "tenant_id": PROJECT_ID})
    cloud.hosts(a=Node((M_AUTO,)), b=Node((TRAIT_UNIQUE, TRAIT_KEYS, MAY_ASK, M_AUTO)))
    text = f"flavors: [{{name: {PLAIN}, unique_serial: true}}]"
    rows, _said = plan(cloud, tmp_path, text, "--servers", code=3)
    (row,) = [row for row in rows if row["id"] == server_id(9)]
    assert (row["when"], row["result"]) == (None, "unknown")
    assert row["why"].startswith("The server's cell is down")


def test_no_flavor_takes_a_request_of_its_own(cloud: Estate, tmp_path: Path) -> None:
    text = "flavors: [{glob: 'many-*', unique_serial: true, hosts: supported}]"
    plan(cloud, tmp_path, text, code=4)
    few = len(cloud.fake.http.request_history)
    for number in range(300):
        cloud.flavor(f"many-{number}")
    cloud.fake.http.reset_mock()
    rows, _said = plan(cloud, tmp_path, text, code=3)
    assert len(rows) == 600
    assert len(cloud.fake.http.request_history) <= few


def test_a_server_whose_status_refuses_metadata(cloud: Estate, tmp_path: Path) -> None:
    cloud.server(4, flavor=PLAIN, host="b", status="SHELVED")
    text = f"servers: [{{project: {PROJECT_ID}, unique_serial: true}}]"
    rows, _said = plan(cloud, tmp_path, text, code=3)
    notes = {row["name"]: row["details"] for row in rows}
    assert notes.pop("web-4") == (
        "Nova changes no metadata in status SHELVED: first use 'openstack server unshelve"
        f" {server_id(4)}'"
    )
    assert notes == {
        "web-1": "the request has no effect on host a: it does not honour the keys",
        "web-2": None,
        "web-3": None,
    }


def test_names_that_a_cell_that_is_down_conceals(cloud: Estate, tmp_path: Path) -> None:
    cloud.down.append({"id": server_id(9), "status": "UNKNOWN", "tenant_id": PROJECT_ID})
    text = (
        "servers:\n"
        "- {name: web-9, any_owner: true, unique_serial: true}\n"
        "- {glob: 'x*', project: other, unique_serial: true}\n"
    )
    rows, _said = plan(cloud, tmp_path, text, "--long", code=4)
    assert [(row["line"], row["result"], row["details"]) for row in rows][:2] == [
        (
            2,
            "unread",
            "1 server of a cell that is down may fit name 'web-9': Nova returns no name",
        ),
        (
            3,
            "no-match",
            "no server fits glob 'x*', project 'other': the ID of a project is needed, not its name"
            " (openstack project show -f value -c id other)",
        ),
    ]


def test_options_of_a_driver_that_does_not_run(cloud: Estate, tmp_path: Path) -> None:
    text = "hosts: [{glob: '*', server_may_ask: true}]"
    rows, _said = plan(cloud, tmp_path, text, code=4)
    assert [(row["result"], row["details"]) for row in rows] == [
        (
            "unread",
            "host a: server_may_ask and image_may_show_host are options of the driver, which does"
            " not run there: add driver: true",
        )
    ]


def test_changes_are_sorted_and_say_what_is_only_shown(cloud: Estate, tmp_path: Path) -> None:
    text = (
        "servers: [{glob: '*', any_owner: true, unique_serial: true}]\n"
        "hosts: [{glob: '*', mode: os}]\n"
        "flavors: [{glob: '*', hosts: supported}]\n"
    )
    rows, _said = plan(cloud, tmp_path, text, "--long", code=3)
    assert rows == sorted(rows, key=lambda row: (row["kind"], row["name"], row["key"]))
    assert [(row["kind"], row["name"], row["result"], row["line"]) for row in rows] == [
        ("flavor", GOLD, "change", 3),
        ("flavor", PLAIN, "change", 3),
        ("host", "a", "what-if", 2),
        ("host", "b", "what-if", 2),
        ("server", "web-1", "change", 1),
        ("server", "web-2", "change", 1),
        ("server", "web-3", "change", 1),
    ]
    assert {row["when"] for row in rows if row["kind"] == "flavor"} == {"new servers only"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("flavors: [{}]", "desired.yaml: line 1: flavors, entry 1: write exactly one of id"),
        (
            f"flavors: [{{name: {PLAIN}, hosts: any}}, {{glob: '*', hosts: supported}}]",
            "keep one of them",
        ),
    ],
)
def test_a_file_that_is_refused(cloud: Estate, tmp_path: Path, text: str, error: str) -> None:
    rows, said = plan(cloud, tmp_path, text, code=1)
    assert rows == []
    assert error in said
    assert "Nothing was" in said


def test_a_file_that_is_missing(cloud: Estate) -> None:
    run = cloud.fake.openstack("unique", "serial", "plan", "/nowhere/desired.yaml")
    assert run.code == 1
    assert "/nowhere/desired.yaml cannot be read: No such file or directory" in run.err


def test_metadata_definitions(cloud: Estate, tmp_path: Path) -> None:
    """Two are missing, and one differs."""
    cloud.glance.stored.clear()
    cloud.glance.hold(definition(title="Other"))
    rows, _said = plan(cloud, tmp_path, "metadefs: installed", code=3)
    assert [(row["name"], row["key"], row["now"], row["planned"], row["when"]) for row in rows] == [
        (MAIN.name, "property unique_serial", "differs", "ok", "at once"),
        *((each.name, "namespace", "missing", "ok", "at once") for each in OURS[1:]),
    ]
    cloud.glance.hold(*(each.document() for each in OURS))
    assert plan(cloud, tmp_path, "metadefs: installed", code=0)[0] == []


# --- predicted and actual ------------------------------------------------------------

FLAVORS, IMAGES, HOSTS = ("gold", "plain", "odd"), (1, 2), ("a", "b", "c")
STORED = st.sampled_from([None, "true", "false", "banana"])
WANTED = st.sampled_from([None, "true", "false", "unset"])
#: A host: its mode; whether it has the driver, and its options.
NODES = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["unique", "os", "hardware", "auto", "none"]),
        "driver": st.booleans(),
        "server_may_ask": st.booleans(),
        "image_may_show_host": st.booleans(),
    }
)
#: The fields of a host without the driver.
FIELDS = ("mode", "driver")
#: A server; its flavor and its image as they were at its boot.
SERVERS = st.fixed_dictionaries(
    {
        "flavor": st.sampled_from(FLAVORS),
        "image": st.sampled_from(IMAGES),
        "host": st.sampled_from(HOSTS),
        "specs": STORED,
        "frozen": STORED,
        "metadata": STORED,
    }
)


def node(given: dict[str, Any]) -> Node:
    """Return a host with the traits that it reports."""
    traits = [f"CUSTOM_SYSINFO_SERIAL_{given['mode'].upper()}"]
    if given["driver"] or given["mode"] == "unique":
        traits.append(TRAIT_UNIQUE)
    if given["driver"]:
        traits.append(TRAIT_KEYS)
        traits += [MAY_ASK] * given["server_may_ask"] + [OPEN] * given["image_may_show_host"]
    return Node(tuple(traits))


def keyed(key: str, text: str | None) -> dict[str, str]:
    return {} if text is None else {key: text}


def entries(key: str, wanted: dict[str, str | None]) -> list[dict[str, str]]:
    """Return the entries of a kind."""
    return [
        {key: about, "unique_serial": each} for about, each in wanted.items() if each is not None
    ]


def written(now: str | None, wanted: str | None) -> str | None:
    """Return what is stored after a change; ``wanted`` is None without an entry."""
    return now if wanted is None else None if wanted == "unset" else wanted


@settings(
    max_examples=12,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    hosts=st.fixed_dictionaries(dict.fromkeys(HOSTS, st.tuples(NODES, st.none() | NODES))),
    flavors=st.fixed_dictionaries(dict.fromkeys(FLAVORS, st.tuples(STORED, WANTED))),
    images=st.fixed_dictionaries(dict.fromkeys(IMAGES, st.tuples(STORED, WANTED))),
    servers=st.lists(
        st.tuples(SERVERS, st.sampled_from([None, "true", "unset"])), min_size=8, max_size=16
    ),
    operation=st.sampled_from(["hard reboot", "resize", "rebuild"]),
    hosts_change=st.booleans(),
)
def test_predicted_and_actual_serial_sources_are_equal(
    fake: FakeCloud,
    tmp_path: Path,
    hosts: dict[str, tuple[dict[str, Any], dict[str, Any] | None]],
    flavors: dict[str, tuple[str | None, str | None]],
    images: dict[int, tuple[str | None, str | None]],
    servers: list[tuple[dict[str, Any], str | None]],
    operation: str,
    hosts_change: bool,
) -> None:
    """``plan --servers`` against ``list`` before, and after the changes and one operation."""
    text = json.dumps(
        {
            "flavors": entries("name", {key: each for key, (_now, each) in flavors.items()}),
            "images": entries("id", {image_id(key): each for key, (_, each) in images.items()}),
            "servers": entries("id", {server_id(n): each for n, (_, each) in enumerate(servers)}),
            "hosts": [
                {
                    "name": name,
                    **{key: then[key] for key in then if key in FIELDS or then["driver"]},
                }
                for name, (_now, then) in hosts.items()
                if then is not None
            ],
        }
    )

    def cloud(*, is_after: bool) -> Estate:
        estate = Estate(fake)
        estate.hosts(
            **{
                name: node(then if then and is_after and hosts_change else now)
                for name, (now, then) in hosts.items()
            }
        )
        for name, (now, wanted) in flavors.items():
            estate.flavor(name, keyed(FLAVOR_KEY, written(now, wanted) if is_after else now))
        for number, (now, wanted) in images.items():
            # The servers have what the image had at their boot.
            estate.image(
                number, AFTER, **keyed(IMAGE_KEY, written(now, wanted) if is_after else now)
            )
        for number, (server, wanted) in enumerate(servers):
            has = dict(server)
            if is_after:
                has["metadata"] = written(has["metadata"], wanted)
                # An operation whose resource does not change is not carried out.
                for when, kind, used in (
                    ("resize", flavors[has["flavor"]], "specs"),
                    ("rebuild", images[has["image"]], "frozen"),
                ):
                    if operation == when and written(*kind) != kind[0]:
                        has[used] = written(*kind)
            estate.server(
                number,
                flavor=has["flavor"],
                image=has["image"],
                host=has["host"],
                specs=keyed(FLAVOR_KEY, has["specs"]),
                frozen=keyed(IMAGE_KEY, has["frozen"]),
                metadata=keyed(IMAGE_KEY, has["metadata"]),
            )
        return estate

    def sources(estate: Estate) -> dict[str, str]:
        return {row["id"]: row["serial_source"] for row in estate.listed("--all-projects")}

    estate = cloud(is_after=False)
    before = sources(estate)
    file = tmp_path / "desired.yaml"
    file.write_text(text)
    run = fake.openstack("unique", "serial", "plan", "--servers", "-f", "json", str(file))
    assert run.code in (0, 3), run.err
    rows = {(row["id"], row["when"]): row for row in run.json}
    after = sources(cloud(is_after=True))
    restart = "restart of nova-compute, then "
    for number, (server, _wanted) in enumerate(servers):
        now, then = hosts[server["host"]]
        is_restarted = hosts_change and then is not None and node(then) != node(now)
        whens = ["hard reboot", f"{restart}hard reboot"] if is_restarted else ["hard reboot"]
        if operation != "hard reboot":
            whens.append(f"{restart}{operation}" if is_restarted else operation)
        id_ = server_id(number)
        source = before[id_]
        for when in whens:
            if row := rows.get((id_, when)):
                assert row["now"] == source
                source = row["then"]
        assert source == after[id_], (id_, whens)


# --- the report -------------------------------------------------------------------


def test_the_report(cloud: Estate, tmp_path: Path) -> None:
    cloud.flavor(EVIL_HTML)
    cloud.server(4, flavor=PLAIN, host="a", name=EVIL_HTML, tenant_id="other")
    text = (
        "flavors: [{glob: '*', unique_serial: false}, {name: none, hosts: any}]\n"
        "servers: [{glob: '*', any_owner: true, unique_serial: true}]\n"
        "hosts: [{name: a, mode: unique}]\n"
    )
    page = tmp_path / "page.html"
    report = f"--report=html={page}"
    rows, said = plan(cloud, tmp_path, text, report, "--long", code=3)
    first = page.read_text()
    servers, _said = plan(cloud, tmp_path, text, report, "--servers", "--long", code=3)
    # The same page, whatever is printed; only its own options and times differ.
    assert _sections(page.read_text()) == _sections(first)
    assert said.endswith("changes\n")
    assert "<script" not in first
    assert "&lt;script&gt;alert(1)" in first
    assert "\x1b" not in first
    assert "no flavor fits name" in first
    for row in servers:
        if row["id"] is not None:
            assert f"<code>{row['id']}</code>" in first
            assert escaped(row["why"]) in first
    assert f"Project {PROJECT_ID}: 2 servers" in first
    assert "Project other: 1 server<" in first
    table = first.partition('aria-label="Table of changes"')[2].partition("</table>")[0]
    for row, cells in zip(
        (row for row in rows if row["kind"] != "unknown"),
        re.findall("<tr>(<td>.*?)</tr>", table, re.DOTALL),
        strict=True,
    ):
        assert f"<code>{row['key']}</code>" in cells
        assert f"<code>{escaped(safe_text(row['id']))}</code>" in cells
        assert (f"project <code>{row['project_id']}</code>" in cells) is bool(row["project_id"])
        assert f'<td class="wide">{escaped(row["details"] or "")}</td>' in cells
    assert "the request has no effect on host a" in table


def escaped(text: str) -> str:
    return html.escape(text, quote=True).replace("&#x27;", "&#39;")


#: A name that is markup, and would move the cursor of a terminal.
EVIL_HTML = "<script>alert(1)</script>\x1b[2J"


def _sections(page: str) -> str:
    return page.partition("<main>")[2].partition('<section aria-labelledby="about">')[0]


def test_the_report_counts_what_it_does_not_list(cloud: Estate, tmp_path: Path) -> None:
    for number in range(10, 160):
        cloud.server(number, flavor=PLAIN, host="a")
    page = tmp_path / "page.html"
    plan(cloud, tmp_path, "hosts: [{name: a, mode: unique}]", f"--report=html={page}", code=3)
    text = page.read_text()
    assert f"Project {PROJECT_ID}: 151 servers" in text
    assert text.count("<td>host-auto</td>") == 100
    assert "And 51 more rows" in text


def test_the_report_shows_the_first_changes(cloud: Estate, tmp_path: Path) -> None:
    for number in range(1_010):
        cloud.flavor(f"many-{number}")
    page = tmp_path / "page.html"
    text = (
        "flavors: [{glob: 'many-*', unique_serial: true}]\n"
        "hosts: [{name: a, mode: unique}]\n"
        f"images: [{', '.join(['{id: none, hosts: any}'] * 1_020)}]\n"
    )
    plan(cloud, tmp_path, text, f"--report=html={page}", code=3)
    shown = page.read_text()
    assert "<li><b>1,010</b> changes</li>" in shown
    assert "<li><b>1</b> changes of hosts, only shown</li>" in shown
    assert shown.count("<td>flavor</td>") == 1_000
    assert "And 11 more changes" in shown
    assert shown.count("no image fits id") == 1_000
    assert "And 20 more entries" in shown


def test_a_report_that_cannot_be_written(cloud: Estate, tmp_path: Path) -> None:
    text = "hosts: [{name: a, mode: unique}]"
    _rows, said = plan(cloud, tmp_path, text, f"--report=html={tmp_path}/no/page.html", code=1)
    assert "No such file or directory. Nothing was checked." in said
    assert cloud.events == []
    _rows, said = plan(cloud, tmp_path, text, "--report=html=/dev/full", code=1)
    assert "Could not write /dev/full: No space left on device." in said
    _rows, said = plan(cloud, tmp_path, text, f"--report=junit={tmp_path}/x", code=2)
    assert "expected FORMAT=FILE with one of html" in said


# --- the documentation ------------------------------------------------------------

EXAMPLES = {
    "windows-images": {
        ("image", "Windows 11", "hw_unique_serial", None, "true"),
        ("image", "Windows 11", "trait:CUSTOM_UNIQUE_SERIAL", None, "required"),
    },
    "flavor-family": {
        ("flavor", "licensed.big", "hw:unique_serial", None, "true"),
        ("flavor", "licensed.big", "trait:CUSTOM_UNIQUE_SERIAL", None, "required"),
    },
    "running-servers": {("server", "web-7", "hw_unique_serial", None, "true")},
    "rack-1": {("host", "a", "mode", "auto", "unique")},
    "driver-rollout": {
        ("host", "a", "driver", "false", "true"),
        ("host", "a", "server_may_ask", "false", "true"),
    },
    "driver-rollback": {("host", "b", "driver", "true", "false")},
}


def test_every_example_has_a_row_here() -> None:
    assert {path.stem for path in (PAGES / "admin" / "plan").glob("*.yaml")} == EXAMPLES.keys()
    text = "".join(page(f"admin/{name}") for name in ("plan", "roll-out", "roll-back"))
    assert all(f"literalinclude:: plan/{name}.yaml" in text for name in EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_page(cloud: Estate, tmp_path: Path, name: str) -> None:
    cloud.image(2, name="Windows 11", owner="somebody")
    cloud.image(3, name="debian-windows", owner="somebody")
    cloud.flavor("licensed.big")
    cloud.flavor("licensed.test")
    cloud.server(7, flavor=PLAIN, host="b", tenant_id="04712c3b5a6f4e5d8c9b0a1f2e3d4c5b")
    cloud.fake.aggregates({"name": "rack-1", "hosts": ["a"], "metadata": {}})
    text = (PAGES / "admin" / "plan" / f"{name}.yaml").read_text()
    rows, _said = plan(cloud, tmp_path, text, code=3)
    keys = ("kind", "name", "key", "now", "planned")
    assert {tuple(row[key] for key in keys) for row in rows} == EXAMPLES[name]


def test_the_script_of_the_page_writes_a_file_for_each_project(
    cloud: Estate, tmp_path: Path
) -> None:
    cloud.server(4, flavor=PLAIN, host="a", name="=cmd()", tenant_id="other")
    file = tmp_path / "desired.yaml"
    file.write_text("hosts: [{name: a, mode: unique}, {name: none, mode: os}]")
    run = cloud.fake.openstack("unique", "serial", "plan", "--servers", "-f", "csv", str(file))
    done = subprocess.run(
        [sys.executable, PAGES / "admin" / "plan" / "by_project.py", tmp_path / "mails"],
        input=run.out,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "line 1: no host fits name 'none'\n"
    names = {}
    for path in (tmp_path / "mails").iterdir():
        with path.open(newline="") as stream:
            names[path.stem] = [row["name"] for row in csv.DictReader(stream)]
    assert names == {PROJECT_ID: ["web-1"], "other": ["'=cmd()"]}


def test_the_page_has_every_field_of_the_file_and_every_column() -> None:
    table = (
        page("reference/desired-state")
        .partition("   * - List\n")[2]
        .partition("\nAn exact name")[0]
    )
    fields: dict[str, set[str]] = {}
    kind = ""
    for first, second in re.findall(r"^   \* -(.*)\n     - (.*)$", table, re.MULTILINE):
        kind = first.strip(" `") or kind
        fields.setdefault(kind, set()).update(re.findall(r"``(\w+)``", second))
    schema = json.loads(Path(document.__file__).with_name("schema.json").read_text())["properties"]
    assert fields == {
        kind: {*each.get("items", {}).get("properties", ())} for kind, each in schema.items()
    }
    _head, *tables = page("cli/plan").partition("Rows and columns\n")[2].split("============== ===")
    for columns, told in ((COLUMNS, tables[0]), (SERVER_COLUMNS, tables[2])):
        assert {*columns} <= {*re.findall(r"``(\w+)``", told)}
