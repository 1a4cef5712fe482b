# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial list`` on a cloud whose servers are known."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.cloud import OPENSTACK, Json, SeededCloud
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_audit import DETAIL, LATER, PAGE, Run, unsafe
from tests.functional.test_show import broken_cell

LIST = ("unique", "serial", "list")
UUID = "instance-uuid"
Test = Callable[[Json], bool]


def listed(
    cloud: SeededCloud,
    *options: str,
    code: int = 0,
    user: str = "devcloud",
    clouds_yaml: Path | None = None,
    cold: bool = False,
) -> Run:
    """List servers of all projects, in JSON unless the options say otherwise."""
    scope = () if user != "devcloud" or "--project" in options else ("--all-projects",)
    form = () if "-f" in options else ("-f", "json")
    args = (*LIST, *scope, *form, *options)
    run = cloud.openstack(*args, check=False, cloud=user, clouds_yaml=clouds_yaml, cold=cold)
    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return Run(run.stdout, run.stderr, run.returncode)


def known(cloud: SeededCloud, test: Test = lambda server: True) -> list[str]:
    """Return the IDs of the manifest's servers that pass a test, in order."""
    return sorted(server["id"] for server in cloud.manifest["servers"] if test(server))


def ids(run: Run) -> list[str]:
    """Return the IDs of the servers that were listed."""
    return [row["id"] for row in run.rows]


@pytest.fixture(scope="module")
def whole(seeded: SeededCloud) -> Run:
    """All servers, with all that there is to tell."""
    return listed(seeded, "--long", cold=True)


# --- what is told ---------------------------------------------------------------


def test_every_server_once_in_order(seeded: SeededCloud, whole: Run) -> None:
    assert ids(whole) == known(seeded)
    assert whole.stderr == ""


def test_every_server_as_it_is(seeded: SeededCloud, whole: Run) -> None:
    keys = ["id", "name", "project_id", "host", "status", "requested", "serial_source"]
    keys.append("survives_move")
    servers = {server["id"]: server for server in seeded.manifest["servers"]}
    for row in whole.rows:
        server = servers[row["id"]]
        assert {key: row[key] for key in keys} == {key: server[key] for key in keys}
        own = row["id"] if server["serial_source"] == "instance-uuid" else None
        assert row["expected_serial"] == own
        if server["host"] is not None:
            assert row["flavor_value"] == server["extra_specs"].get("hw:unique_serial")
            assert row["server_value"] == server["metadata"].get("hw_unique_serial")


def test_brief(seeded: SeededCloud, whole: Run) -> None:
    run = listed(seeded, "--max-workers", "1")
    brief = ("id", "name", "host", "status", "requested", "serial_source", "survives_move")
    assert run.rows == [{key: row[key] for key in brief} for row in whole.rows]


def test_the_same_as_show(seeded: SeededCloud, whole: Run) -> None:
    kinds: dict[object, Json] = {}
    for row in whole.rows:
        kind = (
            row["serial_source"],
            row["requested"],
            row["survives_move"],
            row["evidence"]["image"],
        )
        kinds.setdefault(kind, row)
        if row["pending"]:
            kinds["pending"] = row
        if row["host"] is None:
            kinds["no host"] = row
    sample = list(kinds.values())
    assert len(sample) >= 15
    for row in sample[:: max(len(sample) // 10, 1)]:
        shown = seeded.show("--all-projects", row["id"])
        assert list(shown) == list(row)
        assert {**shown, "why": None} == {**row, "why": None}


# --- filters ----------------------------------------------------------------------


def _flavor(name: str) -> Test:
    return lambda server: bool(server["flavor"] == name)


@pytest.mark.parametrize(
    ("options", "test"),
    [
        (("--host", "seed-os-1"), lambda server: server["host"] == "seed-os-1"),
        (("--flavor", "seed.hopeful"), _flavor("seed.hopeful")),
        (("--serial-source", "host-auto"), lambda server: server["serial_source"] == "host-auto"),
        (("--serial-source", "unknown"), lambda server: server["serial_source"] == "unknown"),
        (("--requested", "unique"), lambda server: server["requested"] == "unique"),
        (("--requested", "host"), lambda server: server["requested"] == "host"),
        (("--requested", "unset"), lambda server: server["requested"] == "unset"),
        (("--at-risk",), lambda server: server["survives_move"] is not True),
        (
            ("--at-risk", "--requested", "unique", "--host", "seed-auto-1"),
            lambda server: (
                server["survives_move"] is not True
                and server["requested"] == "unique"
                and server["host"] == "seed-auto-1"
            ),
        ),
        (
            ("--flavor", "seed.licensed", "--serial-source", "host-os"),
            lambda server: (
                server["flavor"] == "seed.licensed" and server["serial_source"] == "host-os"
            ),
        ),
    ],
)
def test_filters(seeded: SeededCloud, options: tuple[str, ...], test: Test) -> None:
    run = listed(seeded, *options)
    assert ids(run) == known(seeded, test)


def test_project_by_name_and_id(seeded: SeededCloud) -> None:
    project = seeded.manifest["projects"]["seed-shop"]
    wanted = known(seeded, lambda server: bool(server["project_id"] == project))
    assert wanted
    for given in ("seed-shop", project):
        assert ids(listed(seeded, "--project", given)) == wanted
        assert ids(listed(seeded, "--project", given, "--all-projects")) == wanted


def test_flavor_and_image_by_id(seeded: SeededCloud) -> None:
    flavors = seeded.get("nova", "/v2.1/flavors")["flavors"]
    flavor = next(each["id"] for each in flavors if each["name"] == "seed.licensed")
    assert ids(listed(seeded, "--flavor", flavor)) == known(seeded, _flavor("seed.licensed"))
    images = seeded.get("glance", "/v2/images?limit=1000")["images"]
    image = next(each["id"] for each in images if each["name"] == "Debian 12")
    wanted = known(seeded, lambda server: bool(server["image"] == image))
    assert wanted
    for given in (image, "Debian 12"):
        assert ids(listed(seeded, "--image", given)) == wanted


def test_image_that_was_deleted(seeded: SeededCloud) -> None:
    images = {image["id"] for image in seeded.get("glance", "/v2/images?limit=1000")["images"]}
    hidden = seeded.get("glance", "/v2/images?limit=1000&visibility=all&os_hidden=true")["images"]
    images |= {image["id"] for image in hidden}
    used = {server["image"] for server in seeded.manifest["servers"]} - {None}
    gone = next(
        image
        for image in sorted(used - images)
        if seeded.raw("glance", "GET", f"/v2/images/{image}").status_code == 404
    )
    wanted = known(seeded, lambda server: bool(server["image"] == gone))
    assert ids(listed(seeded, "--image", gone)) == wanted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--flavor", "seed.nowhere"), "no flavor with the name or ID 'seed.nowhere'"),
        (("--host", "seed-nowhere"), "no compute host 'seed-nowhere'"),
        (("--project", "seed-nowhere"), "seed-nowhere"),
        (("--marker", "9999abcd-0000-4000-8000-000000000000"), "marker"),
    ],
)
def test_what_is_not_there(seeded: SeededCloud, options: tuple[str, ...], said: str) -> None:
    run = listed(seeded, *options, code=1)
    assert run.rows == [] if run.stdout.strip() else run.stdout.strip() == ""
    assert said in run.stderr


@pytest.mark.parametrize("option", ["--limit", "--max-workers"])
@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_numbers(seeded: SeededCloud, option: str, number: str) -> None:
    run = listed(seeded, f"{option}={number}", code=2)
    assert option in run.stderr


@pytest.mark.parametrize("options", [(), ("--at-risk",)])
def test_a_walk_with_limit_and_marker(
    seeded: SeededCloud, seeded_proxy: Proxy, options: tuple[str, ...]
) -> None:
    seeded_proxy.page_limit = PAGE * 2
    wanted = known(seeded, lambda s: not options or s["survives_move"] is not True)
    found: list[str] = []
    while True:
        marker = ("--marker", found[-1]) if found else ()
        run = listed(
            seeded, "--limit", "90", *marker, *options, clouds_yaml=seeded_proxy.clouds_yaml
        )
        found += ids(run)
        if len(run.rows) < 90:
            break
    assert found == wanted


def test_a_limit_saves_requests(seeded: SeededCloud, seeded_proxy: Proxy) -> None:
    seeded_proxy.page_limit = PAGE
    run = listed(seeded, "--limit", "25", clouds_yaml=seeded_proxy.clouds_yaml)
    assert ids(run) == known(seeded)[:25]
    assert sum(DETAIL in line for line in seeded_proxy.api_requests()) <= 3


# --- who may ------------------------------------------------------------------------


def test_own_project(seeded: SeededCloud) -> None:
    own = seeded.openstack(*LIST, "-f", "json")
    assert json.loads(own.stdout) == []
    run = listed(seeded, user="devcloud-member")
    assert run.rows == []
    assert "The hypervisors could not be read" in run.stderr


@pytest.mark.parametrize("options", [("--all-projects",), ("--project", "seed-bank")])
def test_a_tenant_may_not_see_others(seeded: SeededCloud, options: tuple[str, ...]) -> None:
    run = listed(seeded, *options, code=1, user="devcloud-member")
    assert "get_all_tenants" in run.stderr
    assert not run.stdout.strip() or run.rows == []


# --- formats --------------------------------------------------------------------------


def test_csv_is_safe(seeded: SeededCloud, whole: Run) -> None:
    run = listed(seeded, "--long", "-f", "csv")
    assert not unsafe(run.stdout.replace("\r\n", "\n"))
    header, *rows = csv.reader(io.StringIO(run.stdout))
    assert header == list(whole.rows[0])
    assert [row[0] for row in rows] == ids(whole)
    for row in rows:
        assert len(row) == len(header)
        assert not any("\n" in cell or "\r" in cell for cell in row)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row), row
    names = [server["name"] for server in seeded.manifest["servers"]]
    formulas = {f"'{name}" for name in names if name.startswith(("=", "+", "-", "@"))}
    assert formulas
    assert {row[1] for row in rows if row[1].startswith("'")} == formulas


def test_value_has_one_line_a_server(seeded: SeededCloud, whole: Run) -> None:
    run = listed(seeded, "-f", "value", "-c", "id", "-c", "name")
    assert [line.split(" ")[0] for line in run.stdout.splitlines()] == ids(whole)
    assert not unsafe(run.stdout)


def test_table_is_safe(seeded: SeededCloud, whole: Run) -> None:
    run = listed(seeded, "-f", "table")
    assert not unsafe(run.stdout)
    assert sum(line.startswith("| ") for line in run.stdout.splitlines()) == 1 + len(whole.rows)


def test_names_are_told_in_full_in_json(seeded: SeededCloud, whole: Run) -> None:
    assert not unsafe(whole.stdout)
    names = {server["id"]: server["name"] for server in seeded.manifest["servers"]}
    assert any("\x1b" in name for name in names.values())
    assert {row["id"]: row["name"] for row in whole.rows} == names


def test_sorted_by_another_column(seeded: SeededCloud, whole: Run) -> None:
    run = listed(seeded, "--sort-column", "serial_source")
    sources = [row["serial_source"] for row in run.rows]
    assert sources == sorted(sources)
    assert sorted(ids(run)) == ids(whole)


# --- while it runs --------------------------------------------------------------------


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("form", ["csv", "value"])
def test_rows_come_before_the_last_page(
    seeded: SeededCloud, seeded_proxy: Proxy, unbuffered: bool, form: str
) -> None:
    seeded_proxy.page_limit = PAGE
    delay = 6.0
    seeded_proxy.faults.append(Fault(LATER + "[d-f]", delay=delay, times=1))
    environment = {
        **os.environ,
        "OS_CLIENT_CONFIG_FILE": str(seeded_proxy.clouds_yaml),
        "OS_CLOUD": "devcloud",
        **({"PYTHONUNBUFFERED": "1"} if unbuffered else {}),
    }
    with subprocess.Popen(
        [OPENSTACK, *LIST, "--all-projects", "--long", "-f", form, "--max-workers", "2"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        first = time.monotonic()
        rest = process.stdout.read()
        last = time.monotonic()
    assert process.returncode == 0
    assert rest.count("\n") >= 298
    assert seeded_proxy.faults[0].times == 0
    assert last - first >= delay / 2


@pytest.mark.parametrize("workers", ["1", "8"])
def test_small_pages(seeded: SeededCloud, seeded_proxy: Proxy, whole: Run, workers: str) -> None:
    seeded_proxy.page_limit = PAGE
    run = listed(seeded, "--long", "--max-workers", workers, clouds_yaml=seeded_proxy.clouds_yaml)
    assert run.stdout == whole.stdout


def test_a_page_that_cannot_be_read(seeded: SeededCloud, seeded_proxy: Proxy, whole: Run) -> None:
    seeded_proxy.page_limit = PAGE
    seeded_proxy.faults.append(Fault(LATER + "[4-5]", status=500))
    run = listed(seeded, "--long", code=4, clouds_yaml=seeded_proxy.clouds_yaml)
    assert "Some servers could not be read: Nova (compute) answered 500" in run.stderr
    assert 100 <= len(run.rows) < 300
    rows = {row["id"]: row for row in whole.rows}
    assert run.rows == [rows[id] for id in ids(run)]
    assert ids(run) == sorted(ids(run))


def test_no_page_at_all(seeded: SeededCloud, seeded_proxy: Proxy) -> None:
    seeded_proxy.faults.append(Fault("GET /v2.1/servers", status=503))
    run = listed(seeded, code=1, clouds_yaml=seeded_proxy.clouds_yaml)
    assert "Nova (compute) answered 503" in run.stderr


@pytest.mark.parametrize(
    "pattern",
    ["GET /v2/images", "GET /v2.1/os-hypervisors", "GET /(traits|resource_providers)",
     "GET /v2.1/flavors/detail", "GET /v3/.*/volumes"],
)  # fmt: skip
def test_what_cannot_be_read_is_told(
    seeded: SeededCloud, seeded_proxy: Proxy, whole: Run, pattern: str
) -> None:
    seeded_proxy.faults.append(Fault(pattern, status=403))
    run = listed(seeded, "--long", clouds_yaml=seeded_proxy.clouds_yaml)
    assert ids(run) == ids(whole)
    # Never another answer: the same one, or unknown. But where traits cannot be read, a required
    # trait and the word of an aggregate count, and some of this cloud's promise too much.
    promises = ("required-trait", "declared")
    # Without the list of hypervisors traits count, also those of hosts that should have none.
    wrong = {
        row["resource_name"] for row in seeded.manifest["findings"] if row["id"] == "wrong-traits"
    }
    for row, was in zip(run.rows, whole.rows, strict=True):
        if row["evidence"]["host_meets_unique"] in promises:
            continue
        if "hypervisors" in pattern and row["host"] in wrong:
            continue
        assert row["serial_source"] in (was["serial_source"], "unknown")
        assert row["survives_move"] in (was["survives_move"], None)
    if run.rows != whole.rows:
        assert "could not be read" in run.stderr or "answered 403" in run.stderr


def test_a_cell_that_is_down(seeded: SeededCloud, whole: Run) -> None:
    with broken_cell(seeded):
        run = listed(seeded, "--long")
    hidden = known(seeded, lambda server: bool(server["cell"] == "cell2"))
    assert sorted(ids(run)) == ids(whole)
    for row in run.rows:
        if row["id"] in hidden:
            assert (row["status"], row["serial_source"]) == ("UNKNOWN", "unknown")
            assert "cell is down" in row["why"]
        else:
            assert row["name"] is not None
    assert ids(run) == sorted(set(ids(run)) - set(hidden)) + hidden
