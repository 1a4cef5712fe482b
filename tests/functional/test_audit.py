# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit`` on a cloud whose findings are known."""

from __future__ import annotations

import collections
import csv
import dataclasses
import importlib.metadata
import io
import json
import re
import unicodedata
from pathlib import Path

import pytest
import requests
import yaml

from tests.functional.cloud import Json, SeededCloud
from tests.functional.proxy import Fault, Proxy
from tests.functional.test_show import broken_cell

AUDIT = ("unique", "serial", "audit")
#: Pages of this size make many ranges of the 300 servers.
PAGE = 20
#: Requests that have nothing to do with the number of servers: two lists of hosts, aggregates,
#: flavors, four lists of images, five of metadata definitions, the traits of the hosts, volumes,
#: the list with servers of down cells, what this user may do.
CONSTANT = 30
DETAIL = "GET /v2.1/servers/detail"


@dataclasses.dataclass(frozen=True)
class Run:
    """What an audit told."""

    stdout: str
    stderr: str
    code: int

    @property
    def rows(self) -> list[Json]:
        """The rows of the JSON format."""
        found: list[Json] = json.loads(self.stdout)
        return found

    @property
    def coverage(self) -> str:
        """The last line on standard error."""
        return self.stderr.splitlines()[-1]

    def ids(self) -> set[str]:
        """The IDs of the rows."""
        return {row["id"] for row in self.rows}

    def of(self, id: str) -> list[Json]:
        """The rows of one ID."""
        return [row for row in self.rows if row["id"] == id]


def audit(
    cloud: SeededCloud,
    *options: str,
    code: int = 3,
    user: str = "devcloud",
    clouds_yaml: Path | None = None,
    cold: bool = False,
) -> Run:
    """Run an audit that must exit with a code; in JSON unless the options say otherwise."""
    form = () if "-f" in options else ("--long", "-f", "json")
    args = (*AUDIT, *form, *options)
    run = cloud.openstack(*args, check=False, cloud=user, clouds_yaml=clouds_yaml, cold=cold)
    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return Run(run.stdout, run.stderr, run.returncode)


@pytest.fixture(scope="module")
def whole(seeded: SeededCloud) -> Run:
    """The audit of the whole cloud, by a process that others may differ from."""
    return audit(seeded, cold=True)


# --- what is found ------------------------------------------------------------


def about_servers(rows: list[Json]) -> dict[str, list[str]]:
    """Return the servers of all rows, by ID; one that is in two rows is there twice."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for row in rows:
        found[row["id"]] += row["server_ids"] or ()
    return {id: sorted(servers) for id, servers in found.items() if servers}


def about_others(rows: list[Json]) -> list[tuple[str, str, str]]:
    """Return what the rows that are not about servers are about."""
    return sorted(
        (row["id"], row["resource_type"], row["resource_id"])
        for row in rows
        if row["server_ids"] is None
    )


#: A host of which nothing is known, with or without servers that were looked at.
OF_UNKNOWN_HOSTS = ("host-unknown", "host-mode-unknown")


def known_others(run: Run) -> list[tuple[str, str, str]]:
    """Return what does not depend on which servers were looked at."""
    return [row for row in about_others(run.rows) if row[0] not in OF_UNKNOWN_HOSTS]


def unknown_hosts(run: Run) -> list[str]:
    """Return the hosts of which nothing is known; each is told once."""
    return sorted(row["resource_id"] for row in run.rows if row["id"] in OF_UNKNOWN_HOSTS)


def expected(cloud: SeededCloud) -> list[Json]:
    """Return all rows of the manifest, those about what cannot be checked too."""
    unchecked = [{**row, "severity": "unchecked"} for row in cloud.manifest["unchecked"]]
    return [*cloud.manifest["findings"], *unchecked]


def coverage_of(cloud: SeededCloud, project: str | None = None) -> str:
    """Return what the coverage must say of the cloud or a project, from the manifest."""
    servers = {
        server["id"]
        for server in cloud.manifest["servers"]
        if project in (None, server["project_id"])
    }
    counts: collections.Counter[str] = collections.Counter()
    unchecked = set()
    for row in cloud.manifest["unchecked"]:
        here = servers & set(row["server_ids"] or ())
        unchecked |= here
        counts[row["id"]] += bool(here)
    words = [f"{len(servers - unchecked)} of {len(servers)} servers checked"]
    for id, one, many in (
        ("image-unreadable", "image unreadable", "images unreadable"),
        ("host-unknown", "host unknown", "hosts unknown"),
        ("volume-unreadable", "with an unreadable root volume", "with an unreadable root volume"),
    ):
        if counts[id]:
            words.append(f"{counts[id]} {one if counts[id] == 1 else many}")
    return "; ".join(words)


def test_everything_is_found_and_nothing_else(seeded: SeededCloud, whole: Run) -> None:
    rows = expected(seeded)
    assert whole.ids() == {row["id"] for row in rows}
    assert about_servers(whole.rows) == about_servers(rows)
    assert about_others(whole.rows) == about_others(rows)
    grave = {row["id"]: row["severity"] for row in rows}
    assert {row["id"]: row["severity"] for row in whole.rows} == grave


def test_servers_share_the_right_causes(seeded: SeededCloud, whole: Run) -> None:
    servers = {server["id"]: server for server in seeded.manifest["servers"]}
    by_cause = collections.defaultdict(set)
    for row in expected(seeded):
        if row["server_ids"] and row["resource_type"] != "server":
            by_cause[row["id"], row["resource_id"]].update(row["server_ids"])
    found = collections.defaultdict(set)
    for row in whole.rows:
        ids = row["server_ids"]
        if ids is None:
            assert row["servers"] is None
            continue
        assert (row["servers"], ids) == (len(ids), sorted(set(ids)))
        assert f"{len(ids)} server" in row["evidence"]
        found[row["id"], row["resource_id"]].update(ids)
        if row["id"] in ("unique-not-effective", "cannot-move", "host-lacks-trait"):
            assert {servers[id]["host"] for id in ids} == {row["resource_name"]}
        if row["id"] == "changes-on-move":
            assert {servers[id]["flavor"] for id in ids} == {row["resource_name"]}
    assert by_cause.items() <= found.items()
    # One row for each flavor and image that contradict each other.
    conflicts = [row for row in expected(seeded) if row["id"] == "setting-conflict"]
    assert sorted(row["server_ids"] for row in whole.of("setting-conflict")) == sorted(
        row["server_ids"] for row in conflicts
    )


def test_coverage_is_the_last_word(seeded: SeededCloud, whole: Run) -> None:
    assert whole.coverage == coverage_of(seeded)


def test_gravest_first(whole: Run) -> None:
    rank = ["high", "medium", "low", "info", "unchecked"]
    graves = [rank.index(row["severity"]) for row in whole.rows]
    assert graves == sorted(graves)


def test_every_row_says_what_was_seen_and_what_to_do(whole: Run) -> None:
    for row in whole.rows:
        assert row["evidence"], row
        assert row["remedy"] or row["severity"] in ("info", "unchecked"), row


def test_remedies_are_commands_that_exist(whole: Run) -> None:
    known = {
        point.name.replace("_", " ")
        for each in importlib.metadata.distributions()
        for point in each.entry_points
        if point.group.startswith("openstack.") and "_" in point.name
    }
    commands = set()
    for row in whole.rows:
        for text in re.findall(r"\bopenstack ([a-z][a-z ]+[a-z])", row["remedy"] or ""):
            commands.add(text)
            words = text.split()
            starts = (" ".join(words[:count]) for count in range(2, len(words) + 1))
            assert any(start in known for start in starts), row["remedy"]
    assert {"flavor set", "image unset", "unique serial metadef install"} <= commands


def test_remedies_work(seeded: SeededCloud, whole: Run) -> None:
    """What can be done without a decision is done, and the findings are gone."""
    done = []
    for id in ("misplaced-key", "not-steered", "contradicting-request"):
        row = next(row for row in whole.of(id) if row["resource_type"] == "flavor")
        flavor = row["resource_id"]
        specs = seeded.extra_specs(flavor)
        command = re.split(r" \(|, ", row["remedy"].removeprefix("openstack "))[0]
        done.append((id, flavor, specs, command))
    try:
        for _id, _flavor, _specs, command in done:
            seeded.openstack(*command.split())
        after = about_others(audit(seeded).rows)
    finally:
        for _id, flavor, specs, _command in done:
            for key in seeded.extra_specs(flavor):
                seeded.raw("nova", "DELETE", f"/v2.1/flavors/{flavor}/os-extra_specs/{key}")
            seeded.set_extra_specs(flavor, specs)
    before = about_others(whole.rows)
    gone = {(id, "flavor", flavor) for id, flavor, _specs, _command in done}
    assert sorted({*before} - {*after}) == sorted(gone)
    assert {*after} <= {*before}


# --- what is asked for ---------------------------------------------------------


def test_only_and_skip(seeded: SeededCloud, whole: Run) -> None:
    only = audit(seeded, "--only", "not-steered", "--only", "serial-shared")
    wanted = ("not-steered", "serial-shared")
    unchecked = [row for row in whole.rows if row["severity"] == "unchecked"]
    assert only.rows == [row for row in whole.rows if row["id"] in wanted] + unchecked
    skipped = audit(seeded, "--skip", "not-steered", "--skip", "serial-shared")
    assert skipped.rows == [row for row in whole.rows if row["id"] not in wanted]
    assert only.coverage == skipped.coverage == whole.coverage


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_unknown_id(seeded: SeededCloud, option: str) -> None:
    run = audit(seeded, option, "serial-shard", code=2)
    assert run.stdout == ""
    assert "'serial-shard' is not one of" in run.stderr
    assert "serial-shared" in run.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--fail-on", "high"), 3),
        (("--fail-on", "high", "--only", "not-steered"), 4),
        (("--fail-on", "low", "--only", "not-steered"), 3),
        (("--only", "image-may-show-host"), 4),
        (("--fail-on", "info", "--only", "image-may-show-host"), 3),
        (("--fail-on", "never"), 4),
    ],
)
def test_exit_codes(seeded: SeededCloud, options: tuple[str, ...], code: int) -> None:
    audit(seeded, *options, code=code)


def test_one_project(seeded: SeededCloud, whole: Run) -> None:
    project = seeded.manifest["projects"]["seed-bank"]
    own = {s["id"] for s in seeded.manifest["servers"] if s["project_id"] == project}
    run = audit(seeded, "--project", "seed-bank")
    assert known_others(run) == known_others(whole)
    assert unknown_hosts(run) == unknown_hosts(whole)
    shown = {id: [s for s in ids if s in own] for id, ids in about_servers(whole.rows).items()}
    # Whether a host's serial is shared is a question of the servers that were looked at.
    shown["serial-shared"] = about_servers(run.rows)["serial-shared"]
    assert set(shown["serial-shared"]) <= own
    assert about_servers(run.rows) == {id: ids for id, ids in shown.items() if ids}
    assert run.coverage == f"{coverage_of(seeded, project)} (project {project} only)"


def test_unknown_project(seeded: SeededCloud) -> None:
    run = audit(seeded, "--project", "seed-nowhere", code=1)
    assert run.stdout == ""
    assert "seed-nowhere" in run.stderr


@pytest.mark.parametrize("user", ["devcloud-member", "devcloud-reader"])
def test_a_plain_tenant(seeded: SeededCloud, user: str) -> None:
    run = audit(seeded, user=user)
    assert run.coverage.startswith("0 of 0 servers checked (own project only: ")
    assert "hosts-unreadable" in run.ids()
    # What every user sees of the catalog is judged; nothing is said of hosts and servers.
    assert {row["resource_type"] for row in run.rows} <= {"flavor", "image", "namespace", "cloud"}
    assert "no-valid-host" not in run.ids()
    nothing = audit(seeded, "--only", "serial-shared", code=4, user=user)
    assert nothing.ids() == {"hosts-unreadable"}


# --- formats --------------------------------------------------------------------


def unsafe(text: str) -> set[str]:
    """Return the characters of a text that a terminal would obey."""
    bad = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")}
    return bad - {"\n"}


def test_csv_is_safe(seeded: SeededCloud, whole: Run) -> None:
    run = audit(seeded, "--long", "-f", "csv")
    assert not unsafe(run.stdout.replace("\r\n", "\n"))
    header, *rows = csv.reader(io.StringIO(run.stdout))
    assert header == list(whole.rows[0])
    assert [row[0] for row in rows] == [row["id"] for row in whole.rows]
    assert {len(row) for row in rows} == {len(header)}
    for row in rows:
        assert not any("\n" in cell or "\r" in cell for cell in row)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row), row
    at = header.index("server_ids")
    assert [json.loads(row[at] or "null") for row in rows] == [
        row["server_ids"] for row in whole.rows
    ]


def test_value_has_one_line_a_row(seeded: SeededCloud, whole: Run) -> None:
    run = audit(seeded, "-f", "value", "--long")
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row["id"] for row in whole.rows]
    assert not unsafe(run.stdout)


def test_yaml_is_json_in_another_spelling(seeded: SeededCloud, whole: Run) -> None:
    run = audit(seeded, "-f", "yaml", "--long")
    assert yaml.safe_load(run.stdout) == whole.rows
    assert "\x1b" not in run.stdout


def test_json_is_escaped(whole: Run) -> None:
    assert not unsafe(whole.stdout)
    assert any("\\x1b[31mred" in row["evidence"] for row in whole.of("invalid-value"))


def test_table_is_safe(seeded: SeededCloud, whole: Run) -> None:
    run = audit(seeded, "-f", "table")
    assert not unsafe(run.stdout)
    lines = run.stdout.splitlines()
    assert len({len(line) for line in lines}) <= 2  # wide characters
    ids = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert [id for id in ids[1:] if id] == [row["id"] for row in whole.rows]


def test_columns_that_are_asked_for(seeded: SeededCloud, whole: Run) -> None:
    run = audit(seeded, "-f", "csv", "-c", "id", "-c", "server_ids")
    header, *rows = csv.reader(io.StringIO(run.stdout))
    assert header == ["id", "server_ids"]
    assert len(rows) == len(whole.rows)


# --- many pages -----------------------------------------------------------------


def same(run: Run, other: Run) -> None:
    """Two audits told the same to the last byte."""
    assert run.rows == other.rows
    assert run.stdout == other.stdout
    assert run.coverage == other.coverage


@pytest.fixture
def paged(seeded_proxy: Proxy) -> Proxy:
    """A proxy with small pages."""
    seeded_proxy.page_limit = PAGE
    return seeded_proxy


def test_one_worker_tells_the_same(seeded: SeededCloud, whole: Run) -> None:
    same(audit(seeded, "--max-workers", "1"), whole)


@pytest.mark.parametrize("workers", [1, 4, 8])
def test_small_pages_tell_the_same(
    seeded: SeededCloud, paged: Proxy, whole: Run, workers: int
) -> None:
    run = audit(seeded, "--max-workers", str(workers), clouds_yaml=paged.clouds_yaml)
    same(run, whole)
    asked = paged.api_requests()
    print(*asked, sep="\n")
    pages = len(seeded.manifest["servers"]) / PAGE
    servers = [line for line in asked if DETAIL in line]
    assert len(servers) <= 2 * pages + 2
    assert len(asked) - len(servers) <= CONSTANT
    # The only request that is not a GET asks Nova for its validator, and writes nothing.
    assert {line.split()[1] for line in asked} <= {"GET", "POST"}
    assert sum(line.split()[1] == "POST" for line in asked) <= 1
    # Never a request for one server.
    assert not any(server["id"] in line.split("?")[0] for line in asked
                   for server in seeded.manifest["servers"])  # fmt: skip


def test_requests_with_one_page(seeded: SeededCloud, seeded_proxy: Proxy, whole: Run) -> None:
    same(audit(seeded, clouds_yaml=seeded_proxy.clouds_yaml), whole)
    asked = seeded_proxy.api_requests()
    print(*asked, sep="\n")
    assert len(asked) <= CONSTANT


# --- a cloud that does not work --------------------------------------------------

#: A page in the middle: its marker is not the first one.
LATER = DETAIL + r".*marker="


@pytest.mark.parametrize(
    "fault",
    [
        Fault(LATER, status=500, times=1),
        Fault(LATER, status=503, times=2),
        Fault(LATER, status=429, times=1, headers={"Retry-After": "1"}),
        Fault(LATER, status=0, times=1),
        Fault(LATER, truncated=True, times=1),
        Fault(LATER, status=401, times=1),
        Fault(LATER, delay=1.0, times=3),
    ],
    ids=["500", "503", "429", "closed", "truncated", "401", "slow"],
)
def test_a_fault_that_passes_loses_nothing(
    seeded: SeededCloud, paged: Proxy, whole: Run, fault: Fault
) -> None:
    paged.faults.append(dataclasses.replace(fault))
    same(audit(seeded, clouds_yaml=paged.clouds_yaml), whole)
    assert paged.faults[0].times == 0


@pytest.fixture(scope="module")
def ranges(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The markers with which ranges of servers begin, in order, but for the first one."""
    with Proxy(seeded, tmp_path_factory.mktemp("ranges")) as proxy:
        proxy.page_limit = PAGE
        audit(seeded, clouds_yaml=proxy.clouds_yaml)
        lines = [line for _service, line in proxy.requests]
        url = f"{proxy.clouds['clouds']['devcloud']['compute_endpoint_override']}"

        def ids(line: str) -> list[str]:
            headers = {"X-Auth-Token": seeded.token, "OpenStack-API-Version": "compute 2.98"}
            path = line.partition("/v2.1")[2]
            listed = requests.get(f"{url}{path}", headers=headers, timeout=60).json()
            return [server["id"] for server in listed["servers"]]

        (sample,) = (line for line in lines if line.startswith("GET /v2.1/servers?"))
        details = [line for line in lines if line.startswith(DETAIL)]
        asked = {*re.findall("marker=([0-9a-f-]{36})", "\n".join(details))}
        # The last server of a page is the marker of the next page of the same range.
        found = sorted({*ids(sample)} & asked - {ids(line)[-1] for line in details})
    assert len(found) >= 5, found
    return found


@pytest.mark.parametrize("workers", [1, 4])
def test_a_marker_that_was_deleted_meanwhile(
    seeded: SeededCloud, paged: Proxy, whole: Run, ranges: list[str], workers: int
) -> None:
    for gone in (ranges[1], ranges[3]):
        message = f"marker [{gone}] not found"
        body = json.dumps({"badRequest": {"code": 400, "message": message}})
        paged.faults.append(Fault(f"{LATER}{gone}", status=400, body=body))
    run = audit(seeded, "--max-workers", str(workers), clouds_yaml=paged.clouds_yaml)
    same(run, whole)
    assert all(
        any(f"marker={gone}" in line for line in paged.api_requests())
        for gone in (ranges[1], ranges[3])
    )


@pytest.mark.parametrize(
    "fault",
    [Fault("", status=500), Fault("", status=403), Fault("", status=200, body="<html>")],
    ids=["500", "403", "no JSON"],
)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_range_that_cannot_be_read(
    seeded: SeededCloud, paged: Proxy, whole: Run, ranges: list[str], workers: int, fault: Fault
) -> None:
    start, end = ranges[2:4]
    paged.faults.append(dataclasses.replace(fault, pattern=f"{LATER}{start}"))
    run = audit(seeded, "--max-workers", str(workers), clouds_yaml=paged.clouds_yaml)
    (row,) = run.of("servers-unread")
    lost = {s["id"] for s in seeded.manifest["servers"] if start < s["id"] <= end}
    assert 5 <= len(lost) <= 3 * PAGE
    about = re.match(r"About (\d+) servers could not be read: Nova \(compute\) answered", (
        row["evidence"]
    ))  # fmt: skip
    assert about, row
    assert abs(int(about[1]) - len(lost)) <= PAGE
    told = re.fullmatch(r"(\d+) of about (\d+) servers checked; (.*)", run.coverage)
    assert told, run.coverage
    unchecked = {s for each in seeded.manifest["unchecked"] for s in each["server_ids"] or ()}
    assert int(told[1]) == 300 - len(lost | unchecked)
    assert int(told[2]) == 300 - len(lost) + int(about[1])
    assert row["evidence"][1:] in told[3]
    # All others are judged as before.
    graves = [each for each in run.rows if each["id"] != "servers-unread"]
    assert about_others(graves) == about_others(whole.rows)
    for id, servers in about_servers(whole.rows).items():
        left = [s for s in servers if s not in lost]
        if id != "serial-shared":  # it takes two
            assert about_servers(graves).get(id, []) == left, id


def test_no_page_but_the_first_can_be_read(seeded: SeededCloud, paged: Proxy) -> None:
    paged.faults.append(Fault(LATER, status=500))
    run = audit(seeded, clouds_yaml=paged.clouds_yaml)
    said = [row["evidence"] for row in run.of("servers-unread")]
    assert sum("answered 500" in text for text in said) >= 3
    assert any("not tried any more" in text for text in said)
    # It does not ask for every range again and again.
    assert len([line for line in paged.api_requests() if DETAIL in line]) <= 3 * 10
    told = re.match(r"(\d+) of about (\d+) servers checked; ", run.coverage)
    assert told, run.coverage
    assert int(told[1]) <= PAGE
    # From one page alone it is a rough guess.
    assert 150 <= int(told[2]) <= 450


def test_no_servers_at_all(seeded: SeededCloud, seeded_proxy: Proxy, whole: Run) -> None:
    seeded_proxy.faults.append(Fault("GET /v2.1/servers", status=500))
    run = audit(seeded, "--all-projects", clouds_yaml=seeded_proxy.clouds_yaml)
    assert "servers-unread" in run.ids()
    assert [row for row in known_others(run) if row[0] != "servers-unread"] == known_others(whole)
    assert unknown_hosts(run) == unknown_hosts(whole)
    assert run.coverage.startswith("0 of ")
    assert "could not be read" in run.coverage


@pytest.mark.parametrize(
    ("pattern", "id"),
    [
        ("GET /v2/images", "images-unreadable"),
        ("GET /v2.1/os-aggregates", "aggregates-unreadable"),
        ("GET /(traits|resource_providers)", "traits-unreadable"),
        ("GET /v2.1/flavors/detail", "flavors-unreadable"),
        ("GET /v2.1/os-hypervisors", "hosts-unreadable"),
        ("GET /v2/metadefs", "metadefs-unreadable"),
        ("GET /v3/.*/volumes", "volumes-unreadable"),
    ],
)
@pytest.mark.parametrize("status", [403, 500])
def test_what_cannot_be_read_is_told(
    seeded: SeededCloud, seeded_proxy: Proxy, whole: Run, pattern: str, id: str, status: int
) -> None:
    seeded_proxy.faults.append(Fault(pattern, status=status))
    run = audit(seeded, clouds_yaml=seeded_proxy.clouds_yaml)
    assert run.of(id)
    for row in run.of(id):
        assert row["severity"] == "unchecked"
        assert str(status) in row["evidence"]
    assert " of 300 servers checked" in run.coverage
    # Nothing that is found now is new: what is unknown makes no finding.
    graves = [row for row in run.rows if row["severity"] != "unchecked"]
    assert {*about_others(graves)} <= {*about_others(whole.rows)}
    for kind, servers in about_servers(graves).items():
        assert set(servers) <= set(about_servers(whole.rows)[kind]), kind


def test_a_cell_that_is_down(seeded: SeededCloud, whole: Run) -> None:
    servers = seeded.manifest["servers"]
    hidden = sorted(server["id"] for server in servers if server["cell"] == "cell2")
    assert hidden
    with broken_cell(seeded):
        run = audit(seeded)
    (row,) = run.of("server-in-down-cell")
    assert sorted(row["server_ids"]) == hidden
    listed = row["server_ids"]
    # The others are judged as before; but Nova lists no hypervisor, so all are taken for QEMU.
    apart = {s["id"] for s in servers if s["host"] == "seed-vmware-1"} | {*hidden}
    judged = about_servers([each for each in run.rows if each["id"] != row["id"]])
    for id, found in about_servers(whole.rows).items():
        left = [s for s in found if s not in apart]
        assert [s for s in judged.get(id, []) if s not in apart] == left, id
    (row,) = run.of("hosts-unreadable")
    assert "taken for libvirt" in row["evidence"]
    assert f" of {len(servers)} servers checked" in run.coverage
    assert f"{len(hidden)} in a down cell" in run.coverage
    checked = int(run.coverage.split()[0])
    unchecked = {s for row in seeded.manifest["unchecked"] for s in row["server_ids"] or ()}
    assert checked == len(servers) - len(unchecked | set(hidden))
    assert listed == hidden, "in another order"
