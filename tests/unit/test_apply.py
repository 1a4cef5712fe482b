# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial apply`` through the real shell."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import os
import re
import resource
import signal
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlparse

import pytest
import requests

from tests.unit.builders import GOLD, M_AUTO, PLAIN, TRAIT_UNIQUE, image_id, server_id
from tests.unit.clouds import Node
from tests.unit.fake_cloud import ENDPOINTS, GLANCE, PROJECT_ID, FakeCloud, Result
from tests.unit.glance import MAIN, OURS
from tests.unit.writable_cloud import WritableCloud

FLAVOR, IMAGE, TRAIT = "hw:unique_serial", "hw_unique_serial", f"trait:{TRAIT_UNIQUE}"
ONE_FLAVOR = f"flavors: [{{name: {PLAIN}, unique_serial: true}}]"
TWO_KEYS = f"flavors: [{{name: {PLAIN}, unique_serial: true, hosts: supported}}]"
ALL_SERVERS = f"servers: [{{project: {PROJECT_ID}, unique_serial: true}}]"
CAMPAIGN = f"""
flavors: [{{name: {PLAIN}, unique_serial: true, hosts: supported}}]
images: [{{id: {image_id(1)}, unique_serial: true, hosts: supported}}]
aggregates: [{{name: rack-1, unique_serial: true}}]
servers: [{{id: {server_id(2)}, unique_serial: true}}, {{id: {server_id(3)}, unique_serial: unset}}]
"""


@pytest.fixture
def cloud(fake: FakeCloud) -> WritableCloud:
    """A host with the driver, three servers, and one host aggregate."""
    cloud = WritableCloud(fake)
    cloud.hosts(b=Node((TRAIT_UNIQUE, "CUSTOM_UNIQUE_SERIAL_KEYS", M_AUTO)))
    cloud.server(1, flavor=PLAIN, host="b")
    cloud.server(2, flavor=PLAIN, host="b")
    cloud.server(3, flavor=GOLD, host="b", metadata={IMAGE: "true", "other": "x"})
    cloud.rack(1)
    return cloud


@pytest.fixture
def run(cloud: WritableCloud, tmp_path: Path) -> Callable[..., Result]:
    """Apply a text of YAML; with --yes unless there are other answers."""

    def apply(text: str, *options: str, yes: bool = True, code: int = 0) -> Result:
        file = tmp_path / "desired.yaml"
        file.write_text(text)
        return started(cloud, str(file), *options, yes=yes, code=code)

    return apply


def started(cloud: WritableCloud, *args: str, yes: bool = True, code: int = 0) -> Result:
    said = ["--yes"] if yes else []
    done = cloud.fake.openstack("unique", "serial", "apply", "-f", "json", *said, *args)
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.err
    return done


def results(done: Result) -> list[tuple[str, str]]:
    return [(row["key"], row["result"]) for row in done.json]


def stored(cloud: WritableCloud) -> Any:
    """Return a copy of all that can be written."""
    return copy.deepcopy((cloud.flavors, cloud.images, cloud.racks, cloud.records))


def on_keys(cloud: WritableCloud) -> list[str]:
    """Return the requests about the keys of single resources, in order."""
    # The flavors of this cloud have no UUIDs, unlike the one that the validator is asked about.
    pattern = r"/flavors/id-.*/os-extra_specs|/metadata$|/metadata/|/os-aggregates/|/v2/images/"
    lines = [
        f"{each.method} {unquote(urlparse(each.url).path)}"
        for each in cloud.fake.http.request_history
    ]
    return [line for line in lines if re.search(pattern, line)]


def writes(cloud: WritableCloud) -> list[str]:
    return [line for line in on_keys(cloud) if not line.startswith("GET ")]


# --- the way that it should go ----------------------------------------------------


def test_a_campaign_and_its_undo(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    before = stored(cloud)
    journal = tmp_path / "journal"
    done = run(CAMPAIGN, "--journal", str(journal), "--long")
    assert [
        (row["kind"], row["id"], row["key"], row["before"], row["planned"], row["result"])
        for row in done.json
    ] == [
        ("aggregate", "1", FLAVOR, None, "true", "done"),
        ("aggregate", "1", IMAGE, None, "True", "done"),
        ("flavor", f"id-{PLAIN}", FLAVOR, None, "true", "done"),
        ("flavor", f"id-{PLAIN}", TRAIT, None, "required", "done"),
        ("image", image_id(1), IMAGE, None, "true", "done"),
        ("image", image_id(1), TRAIT, None, "required", "done"),
        ("server", server_id(2), IMAGE, None, "true", "done"),
        ("server", server_id(3), IMAGE, "true", None, "done"),
    ]
    assert "8 changes (aggregate: 2, flavor: 2, image: 2, server: 2)" in done.err
    assert "Servers that get another serial number: 2 at " in done.err
    assert done.err.endswith("Done 8 of 8 changes\n")
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "true", TRAIT: "required"}
    assert cloud.racks[1]["metadata"] == {FLAVOR: "true", IMAGE: "True"}
    assert (cloud.metadata(2), cloud.metadata(3)) == ({IMAGE: "true"}, {"other": "x"})
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600

    again = run(CAMPAIGN)
    assert (again.json, again.err) == ([], "Nothing to write\n")

    back = started(cloud, "--undo", str(journal))
    assert {row["result"] for row in back.json} == {"done"}
    assert stored(cloud) == before
    twice = started(cloud, "--undo", str(journal))
    assert (twice.json, twice.err) == ([], "Nothing to write\n")


def test_keys_of_a_flavor_in_an_order_that_needs_no_trait_without_a_reason(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    run(TWO_KEYS)
    specs = f"/flavors/id-{PLAIN}/os-extra_specs"
    posted = [each.json()["extra_specs"] for each in cloud.fake.sent("POST") if specs in each.url]
    assert posted == [{FLAVOR: "true"}, {TRAIT: "required"}]
    run(f"flavors: [{{name: {PLAIN}, unique_serial: unset, hosts: any}}]")
    deleted = [line for line in on_keys(cloud) if line.startswith("DELETE")]
    assert [line.rpartition("/")[2] for line in deleted] == [TRAIT, FLAVOR]


@pytest.mark.parametrize(("setting", "method"), [("true", "POST"), ("unset", "DELETE")])
def test_a_thousand_servers_take_one_read_and_one_write_each(
    cloud: WritableCloud, run: Callable[..., Result], setting: str, method: str
) -> None:
    cloud.records.clear()
    for number in range(1, 1001):
        metadata = {IMAGE: "true"} if setting == "unset" else {}
        id_ = f"{number << 20:08x}-0000-4000-8000-{number:012x}"
        cloud.server(number, id=id_, flavor=PLAIN, host="b", metadata=metadata)
    done = run(ALL_SERVERS.replace("true", setting), "--max-workers", "8")
    assert Counter(row["result"] for row in done.json) == {"done": 1000}
    sent = Counter(line.removesuffix(f"/{IMAGE}") for line in on_keys(cloud))
    assert set(sent.values()) == {1}
    assert Counter(line.partition(" ")[0] for line in sent) == {"GET": 1000, method: 1000}
    wanted = {} if setting == "unset" else {IMAGE: "true"}
    assert all(each["metadata"] == wanted for each in cloud.records)


def test_metadata_of_servers_of_the_own_project_are_read_back_in_pages(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.records.clear()
    for number in range(1, 101):
        cloud.server(number, flavor=PLAIN, host="b", metadata={IMAGE: "true"})
    forbidden = {"forbidden": {"message": "Policy doesn't allow get_all_tenants"}}
    cloud.fake.http.get(
        re.compile(r"/servers(/detail)?\?.*all_tenants"),
        status_code=403,
        json=forbidden,
        headers={"Content-Type": "application/json"},
    )
    done = run(f"servers: [{{project: {PROJECT_ID}, unique_serial: unset}}]")
    assert Counter(row["result"] for row in done.json) == {"done": 100}
    assert Counter(line.partition(" ")[0] for line in on_keys(cloud)) == {"GET": 100, "DELETE": 100}


def test_a_few_servers_of_a_large_project_do_not_take_its_whole_list(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.records.clear()
    for number in range(1, 201):
        name = "few" if number % 20 == 0 else "other"
        cloud.server(number, name=name, flavor=PLAIN, host="b", metadata={IMAGE: "true"})
    done = run("servers: [{glob: few, any_owner: true, unique_serial: unset}]")
    assert Counter(row["result"] for row in done.json) == {"done": 10}
    (page,) = [line for line in cloud.fake.reads() if "project_id" in line]
    assert "limit=40" in page
    # Two are on that page, the others are read before and after their write.
    assert Counter(line.partition(" ")[0] for line in on_keys(cloud)) == {"GET": 18, "DELETE": 10}


def test_hosts_are_told_what_to_do(cloud: WritableCloud, run: Callable[..., Result]) -> None:
    done = run("hosts: [{name: b, mode: unique, server_may_ask: true}]")
    assert done.json == []
    assert (
        "To do on host b: in nova.conf set [libvirt] sysinfo_serial = unique;"
        " [unique_serial] server_may_ask = true; then restart nova-compute" in done.err
    )
    assert writes(cloud) == []


def test_metadata_definitions(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    cloud.glance.stored.clear()
    done = run("metadefs: installed", "--journal", str(tmp_path / "journal"))
    assert [
        (row["kind"], row["name"], row["key"], row["before"], row["planned"], row["result"])
        for row in done.json
    ] == [("metadef", each.name, "namespace", "missing", "ok", "done") for each in OURS]
    assert "unique serial metadef remove" in done.err
    assert cloud.glance.run("check").code == 0
    assert run("metadefs: installed").json == []


def test_metadata_definitions_that_cannot_be_written(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    del cloud.glance.stored[MAIN.name]
    cloud.glance.fail, cloud.glance.how = 1, 403
    (row,) = run("metadefs: installed", code=1).json
    assert row["result"] == "failed"
    assert "add_metadef_namespace" in row["reason"]
    assert "<h1>" not in row["reason"]


def test_an_installation_that_fails_half_way(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.glance.stored.clear()
    cloud.glance.fail, cloud.glance.how = 2, 403
    done = run("metadefs: installed", code=1)
    first, second, third = OURS
    assert [(row["name"], row["result"]) for row in done.json] == [
        (first.name, "done"),
        (second.name, "failed"),
        (third.name, "done"),
    ]
    assert cloud.glance.stored.keys() == {first.name, third.name}
    assert done.err.endswith("Done 2, failed 1 of 3 changes\n")
    (row,) = run("metadefs: installed").json
    assert (row["name"], row["result"]) == (second.name, "done")


def test_an_installation_ends_after_failures(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.glance.stored.clear()
    cloud.glance.fail, cloud.glance.how = 1, 403
    done = run("metadefs: installed", "--max-failures", "1", code=1)
    assert [row["result"] for row in done.json] == ["failed", "not-tried", "not-tried"]
    assert not cloud.glance.stored


@pytest.mark.parametrize(("carried_out", "result"), [(True, "done"), (False, "failed")])
def test_an_installation_whose_answer_is_lost(
    cloud: WritableCloud, run: Callable[..., Result], carried_out: bool, result: str
) -> None:
    del cloud.glance.stored[MAIN.name]
    cloud.glance.fail, cloud.glance.how = 1, requests.ConnectionError("connection lost")
    cloud.glance.carried_out = carried_out
    (row,) = run("metadefs: installed", code=0 if carried_out else 1).json
    assert row["result"] == result


def test_metadata_definitions_that_somebody_else_changed(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    """What was not planned is kept."""
    del cloud.glance.stored[MAIN.name]
    other = next(each for each in OURS if each is not MAIN)
    title = {**other.document(), "display_name": "Mine"}

    def change() -> None:
        cloud.glance.hold({**MAIN.document(), "display_name": "Mine"}, title)

    cloud.before[WRITE] = change
    done = run(f"{ONE_FLAVOR}\nmetadefs: installed", code=1)
    flavor, row = done.json
    assert (flavor["result"], row["name"], row["result"]) == ("done", MAIN.name, "conflict")
    assert row["reason"] == (
        f"somebody changed namespace of {MAIN.name} after planning: plan again"
    )
    assert cloud.glance.stored[MAIN.name]["display_name"] == "Mine"
    assert cloud.glance.stored[other.name]["display_name"] == "Mine"


def test_metadata_definitions_that_somebody_else_installed(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    document = cloud.glance.stored.pop(MAIN.name)
    cloud.before[WRITE] = lambda: cloud.glance.hold(document)
    _flavor, row = run(f"{ONE_FLAVOR}\nmetadefs: installed").json
    assert (row["result"], row["reason"]) == ("unchanged", "already installed")


def test_metadata_definitions_that_cannot_be_read(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.fake.http.get(re.compile("/v2/metadefs/"), status_code=403)
    (row,) = run("metadefs: installed", code=4).json
    assert (row["kind"], "could not be read" in row["reason"]) == ("unknown", True)


def test_what_cannot_be_planned_is_a_row_and_exit_code_4(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    flavors = f"{{name: {PLAIN}, unique_serial: true}}, {{name: none, unique_serial: true}}"
    done, unknown = run(f"flavors: [{flavors}]", code=4).json
    assert (done["result"], unknown["kind"]) == ("done", "unknown")
    assert unknown["reason"] == "no flavor fits name 'none'"


# --- the question -----------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal on which somebody writes an answer."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("Yes\n", 0), ("n\n", 1), ("", 1)])
def test_the_question(
    cloud: WritableCloud,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = run(ONE_FLAVOR, yes=False, code=code)
    assert "1 change (flavor: 1)" in done.err
    assert "Apply these changes? [y/N] " in done.err
    assert ("Nothing was changed." in done.err) == bool(code)
    assert bool(writes(cloud)) == (not code)


@pytest.mark.parametrize("stdin", [io.StringIO("y\n"), None])
def test_without_a_terminal_nothing_is_read(
    cloud: WritableCloud,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    stdin: io.StringIO | None,
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    done = run(ONE_FLAVOR, yes=False, code=1)
    assert "give --yes" in done.err
    assert cloud.fake.reads() == []


@pytest.mark.parametrize(
    "args", [(), ("file.yaml", "--undo", "journal"), ("--undo", "journal", "--all-projects")]
)
def test_wrong_usage(cloud: WritableCloud, args: tuple[str, ...]) -> None:
    started(cloud, *args, code=2)
    assert writes(cloud) == []


# --- what happens between the plan and a write --------------------------------------

READ, WRITE, DELETE = (
    "GET .*/os-extra_specs$",
    "POST .*/os-extra_specs$",
    "DELETE .*/os-extra_specs",
)


def lost() -> NoReturn:
    raise requests.exceptions.ConnectionError("connection lost")


@pytest.mark.parametrize(
    ("moment", "pattern", "event", "result", "reason"),
    [
        ("before", READ, lambda: 403, "failed", "refused with 403"),
        ("before", WRITE, lambda: 403, "failed", "refused with 403"),
        ("before", WRITE, lambda: 409, "failed", "refused with 409; the value is stored as before"),
        ("before", WRITE, lambda: 400, "failed", "refused with 400"),
        ("before", WRITE, lambda: 503, "failed", "refused with 503; the value is stored as before"),
        ("before", WRITE, lost, "failed", "connection lost; the value is stored as before"),
        ("after", WRITE, lambda: 503, "done", None),
        ("after", WRITE, lost, "done", None),
    ],
)
def test_faults_of_one_write(
    cloud: WritableCloud,
    run: Callable[..., Result],
    moment: str,
    pattern: str,
    event: Any,
    result: str,
    reason: str | None,
) -> None:
    getattr(cloud, moment)[pattern] = event
    (row,) = run(ONE_FLAVOR, code=0 if result == "done" else 1).json
    assert row["result"] == result
    assert row["reason"] is None if reason is None else reason in row["reason"]
    written = {FLAVOR: "true"} if result == "done" else {}
    assert cloud.flavors[PLAIN]["extra_specs"] == written
    assert sum(line.startswith("POST") for line in on_keys(cloud)) == (pattern == WRITE)


def test_a_write_with_an_unknown_end(cloud: WritableCloud, run: Callable[..., Result]) -> None:
    def broken() -> int:
        cloud.before[READ] = lambda: 403
        return 502

    cloud.after[WRITE] = broken
    (row,) = run(ONE_FLAVOR, code=1).json
    assert row["result"] == "unknown"
    assert "refused with 502; then it could not be read" in row["reason"]


def test_an_answer_that_is_lost_and_a_value_that_somebody_else_changed(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    def broken() -> int:
        cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = "no"
        return 502

    cloud.after[WRITE] = broken
    (row,) = run(ONE_FLAVOR, code=1).json
    assert (row["result"], "'no' is stored, not nothing" in row["reason"]) == ("conflict", True)


@pytest.mark.parametrize(
    ("now", "result", "code"), [("false", "conflict", 1), ("true", "unchanged", 0)]
)
def test_a_value_that_changed_after_planning(
    cloud: WritableCloud, run: Callable[..., Result], now: str, result: str, code: int
) -> None:
    def change() -> None:
        cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = now

    cloud.before[READ] = change
    first, second = run(TWO_KEYS, code=code).json
    assert first["result"] == result
    assert cloud.flavors[PLAIN]["extra_specs"][FLAVOR] == now
    if code:
        # No trait is required without the setting that is its reason.
        assert (second["result"], second["reason"]) == ("not-tried", f"{FLAVOR} is not as planned")
        assert first["reason"] == (
            "'false' is stored, not nothing: somebody changed it after planning: plan again"
        )


@pytest.mark.parametrize("pattern", [READ, WRITE])
def test_a_flavor_that_was_deleted(
    cloud: WritableCloud, run: Callable[..., Result], pattern: str
) -> None:
    def delete() -> None:
        del cloud.flavors[PLAIN]

    cloud.before[pattern] = delete
    done = run(f"{TWO_KEYS}\n{ALL_SERVERS}", code=1)
    assert [row["result"] for row in done.json] == ["missing", "not-tried", "done", "done"]
    assert done.json[0]["reason"] == "the flavor does not exist any more"
    assert done.err.endswith("Done 2, missing 1, not tried 1 of 4 changes\n")


def test_a_key_that_somebody_else_removed(cloud: WritableCloud, run: Callable[..., Result]) -> None:
    cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = "true"
    cloud.before[DELETE] = cloud.flavors[PLAIN]["extra_specs"].clear
    (row,) = run(ONE_FLAVOR.replace("true", "unset")).json
    assert (row["result"], row["reason"]) == ("unchanged", "already unset")


@pytest.mark.parametrize(
    ("event", "result", "code", "reason"),
    [
        (
            lambda cloud: cloud.flavors.pop(PLAIN),
            "missing",
            1,
            "written; then the flavor was deleted",
        ),
        (
            lambda cloud: cloud.flavors[PLAIN]["extra_specs"].update({FLAVOR: "0"}),
            "conflict",
            1,
            "written, but '0' is stored: somebody changed it again: plan again",
        ),
        (
            lambda cloud: cloud.before.update({READ: lambda: 403}),
            "not-read-back",
            4,
            "accepted, but it could not be read back: ",
        ),
    ],
)
def test_what_is_read_back(
    cloud: WritableCloud,
    run: Callable[..., Result],
    event: Callable[[WritableCloud], object],
    result: str,
    code: int,
    reason: str,
) -> None:
    def happens() -> None:
        event(cloud)

    cloud.after[WRITE] = happens
    (row,) = run(ONE_FLAVOR, code=code).json
    assert row["result"] == result
    assert row["reason"].startswith(reason)


def test_a_restriction_needs_the_setting_that_is_its_reason(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    """Nova does not answer a write with what it stored: it is read before the next key."""
    cloud.after[WRITE] = cloud.flavors[PLAIN]["extra_specs"].clear
    done = run(TWO_KEYS, code=1)
    assert results(done) == [(FLAVOR, "conflict"), (f"trait:{TRAIT_UNIQUE}", "not-tried")]
    assert cloud.flavors[PLAIN]["extra_specs"] == {}
    assert done.err.endswith("Conflict 1, not tried 1 of 2 changes\n")


def test_a_system_without_threads(
    cloud: WritableCloud, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is complete, and what can be done is done."""

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    cloud.before[WRITE] = lambda: monkeypatch.setattr(threading.Thread, "start", refuse)
    file = f"{ONE_FLAVOR}\naggregates: [{{name: rack-1, unique_serial: true}}]\n{ALL_SERVERS}"
    done = run(file, "--max-workers", "1")
    assert {row["result"] for row in done.json} == {"done"}
    assert len(done.json) == 5


def quick(monkeypatch: pytest.MonkeyPatch, seconds: int) -> list[float | None]:
    """Let waits of this many seconds take no time; return them."""
    waits: list[float | None] = []
    wait = threading.Event.wait

    def soon(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout != seconds:
            return wait(event, timeout)
        waits.append(timeout)
        return wait(event, 0)

    monkeypatch.setattr(threading.Event, "wait", soon)
    return waits


def test_a_service_that_is_too_busy(
    cloud: WritableCloud, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = quick(monkeypatch, 7)
    cloud.headers["Retry-After"] = "7"
    cloud.before[WRITE] = lambda: 429
    assert results(run(ONE_FLAVOR)) == [(FLAVOR, "done")]
    assert waits == [7]


def test_a_value_that_changed_while_the_service_was_too_busy(
    cloud: WritableCloud, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, 7)
    cloud.headers["Retry-After"] = "7"

    def busy() -> int:
        cloud.flavors[PLAIN]["extra_specs"] = {FLAVOR: "false"}
        return 429

    cloud.before[WRITE] = busy
    assert results(run(ONE_FLAVOR, code=1)) == [(FLAVOR, "conflict")]
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "false"}


def test_a_service_that_stays_too_busy(cloud: WritableCloud, run: Callable[..., Result]) -> None:
    def busy() -> int:
        cloud.before[WRITE] = busy
        return 429

    cloud.before[WRITE] = busy
    (row,) = run(ONE_FLAVOR, code=1).json
    assert (row["result"], "refused with 429" in row["reason"]) == ("failed", True)
    assert sum(line.startswith("POST") for line in on_keys(cloud)) == 3


def test_nothing_new_is_begun_after_many_failures(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    for number in range(4, 24):
        cloud.server(number, flavor=PLAIN, host="b")

    def fail() -> int:
        cloud.before["POST .*/metadata"] = fail
        return 409

    fail()
    done = run(ALL_SERVERS, "--max-failures", "3", "--max-workers", "1", code=1)
    assert Counter(row["result"] for row in done.json) == {"failed": 3, "not-tried": 19}
    assert done.err.endswith("Failed 3, not tried 19 of 22 changes\n")
    assert "3 changes before were not carried out (--max-failures)" in done.json[-1]["reason"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_after_the_requests_in_flight(
    cloud: WritableCloud,
    run: Callable[..., Result],
    request: pytest.FixtureRequest,
    number: signal.Signals,
) -> None:
    # What starts the tests may ignore it.
    request.addfinalizer(functools.partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, signal.SIG_DFL)

    def interrupt() -> None:
        during = signal.getsignal(number)
        os.kill(os.getpid(), number)
        until = time.monotonic() + 60
        # The first signal restores the handlers, so that a second one ends the process.
        while signal.getsignal(number) is during:
            assert time.monotonic() < until
            threading.Event().wait(0.001)

    cloud.before["POST .*/metadata"] = interrupt
    cloud.records[2]["metadata"] = {}
    done = run(ALL_SERVERS, "--max-workers", "1", code=1)
    assert [row["result"] for row in done.json] == ["done", "not-tried", "not-tried"]
    assert done.json[-1]["reason"] == "interrupted"
    assert "Interrupted: waiting for the requests in flight" in done.err
    assert signal.getsignal(number) is signal.SIG_DFL


# --- the journal --------------------------------------------------------------------


@pytest.fixture
def journal(run: Callable[..., Result], tmp_path: Path) -> Path:
    """The journal of one key of a flavor."""
    path = tmp_path / "journal"
    run(ONE_FLAVOR, "--journal", str(path))
    return path


def test_the_lines_of_a_journal(cloud: WritableCloud, journal: Path) -> None:
    header, entry, result = map(json.loads, journal.read_text().splitlines())
    assert header.pop("cloud").keys() == {"compute", "image", "region"}
    assert header == {"journal": "osc-uniqserial", "version": 1}
    about = {"kind": "flavor", "id": f"id-{PLAIN}", "name": PLAIN, "project_id": None}
    assert entry == {"entry": 1, **about, "key": FLAVOR, "before": None, "after": "true"}
    assert result == {"result": 1, "outcome": "done"}


def test_the_mask_takes_no_right_away(run: Callable[..., Result], tmp_path: Path) -> None:
    before = os.umask(0o277)
    try:
        run(ONE_FLAVOR, "--journal", str(tmp_path / "journal"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder", "no folder"])
def test_a_journal_that_cannot_be_made(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ("none/journal" if kind == "no folder" else "journal")
    other = tmp_path / "other"
    if kind == "file":
        path.write_text("x")
    elif kind == "folder":
        path.mkdir()
    elif kind != "no folder":
        path.symlink_to(other)
        if kind == "link":
            other.write_text("x")
    done = run(ONE_FLAVOR, "--journal", str(path), code=1)
    assert "Nothing was changed." in done.err
    assert writes(cloud) == []
    assert other.exists() == (kind == "link")


def test_the_identity_of_the_cloud_is_in_the_catalog(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    """A service that is down is no obstacle."""
    cloud.fake.http.get(re.compile(GLANCE), status_code=503)
    path = tmp_path / "journal"
    run(ONE_FLAVOR, "--journal", str(path))
    found = json.loads(path.read_text().splitlines()[0])["cloud"]
    ids = {each["type"]: each["id"] for each in cloud.fake.token["token"]["catalog"]}
    assert (found["compute"], found["image"]) == (ids["compute"], ids["image"])


def test_a_cloud_without_identity_has_no_journal(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    for service in cloud.fake.token["token"]["catalog"]:
        del service["id"]
    done = run(ONE_FLAVOR, "--journal", str(tmp_path / "journal"), code=1)
    assert "--undo could not check the cloud: leave it out. Nothing was changed." in done.err
    assert not (tmp_path / "journal").exists()
    assert writes(cloud) == []


def test_a_journal_never_gets_larger_than_what_can_be_read(
    cloud: WritableCloud,
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(4, 84):
        cloud.server(number, flavor=PLAIN, host="b")
    limit = (1 << 16) + 8_000
    monkeypatch.setattr("osc_uniqserial.desired.journal.MAX_BYTES", limit)
    path = tmp_path / "journal"
    done = run(ALL_SERVERS, "--journal", str(path), code=1)
    assert {row["result"] for row in done.json} == {"done", "not-tried"}
    assert "the journal cannot be written: File too large" in done.json[-1]["reason"]
    assert 8_000 < path.stat().st_size < limit
    back = started(cloud, "--undo", str(path))
    assert {row["result"] for row in back.json} == {"done"}


def test_a_long_name_is_cut_in_a_journal(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    cloud.images[image_id(1)]["name"] = "\u3042" * 5_000
    path = tmp_path / "journal"
    run(f"images: [{{id: {image_id(1)}, unique_serial: true}}]", "--journal", str(path))
    assert json.loads(path.read_text().splitlines()[1])["name"] == "\u3042" * 255
    assert path.stat().st_size < 1_500


@contextlib.contextmanager
def small_files(size: int) -> Iterator[Callable[[], None]]:
    """Yield a function that bounds the size of files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        # Before pytest writes to its own output, which may be a file.
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    for number in range(4, 24):
        cloud.server(number, flavor=PLAIN, host="b")
    path = tmp_path / "journal"
    with small_files(2000) as fill:
        cloud.before["GET .*/metadata"] = fill
        done = run(ALL_SERVERS, "--journal", str(path), code=1)
    numbers = Counter(row["result"] for row in done.json)
    assert numbers.keys() == {"done", "not-tried"}
    assert sum(numbers.values()) == 22
    assert "the journal cannot be written: File too large" in done.json[-1]["reason"]
    written = sum(bool(each["metadata"].get(IMAGE)) for each in cloud.records)
    assert written == numbers["done"] + 1
    # It can be undone all the same.
    back = started(cloud, "--undo", str(path))
    assert {row["result"] for row in back.json} == {"done"}
    assert sum(bool(each["metadata"].get(IMAGE)) for each in cloud.records) == 1


def edit(journal: Path, change: Callable[[Any], None], line: int = 1) -> None:
    lines = [json.loads(text) for text in journal.read_text().splitlines()]
    change(lines[line])
    journal.write_text("".join(json.dumps(each) + "\n" for each in lines))


def test_undo_shows_the_changes_and_asks(
    cloud: WritableCloud, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    done = started(cloud, "--undo", str(journal), yes=False, code=1)
    assert f"flavor '{PLAIN}' (id-{PLAIN}): {FLAVOR}: 'true' -> nothing" in done.err
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "true"}


def test_undo_of_an_undo(cloud: WritableCloud, journal: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    started(cloud, "--undo", str(journal), "--journal", str(again))
    assert cloud.flavors[PLAIN]["extra_specs"] == {}
    started(cloud, "--undo", str(again))
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "true"}


def test_undo_keeps_what_somebody_else_changed(cloud: WritableCloud, journal: Path) -> None:
    cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = "no"
    (row,) = started(cloud, "--undo", str(journal), code=1).json
    assert (row["result"], row["reason"]) == (
        "conflict",
        "changed since: 'no' is stored, not 'true': it stays",
    )
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "no"}


def test_undo_of_a_deleted_flavor(cloud: WritableCloud, journal: Path) -> None:
    del cloud.flavors[PLAIN]
    (row,) = started(cloud, "--undo", str(journal), code=1).json
    assert row["result"] == "missing"


def test_undo_removes_what_was_invalid(cloud: WritableCloud, journal: Path) -> None:
    edit(journal, lambda entry: entry.update(before="ba\x1bnana"))
    done = started(cloud, "--undo", str(journal))
    assert [(row["before"], row["planned"]) for row in done.json] == [("true", None)]
    assert "hw:unique_serial was 'ba\\x1bnana', which is not valid" in done.err
    assert cloud.flavors[PLAIN]["extra_specs"] == {}


def test_undo_leaves_out_what_was_not_carried_out(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    cloud.before[WRITE] = lambda: 403
    run(ONE_FLAVOR, "--journal", str(path), code=1)
    assert json.loads(path.read_text().splitlines()[-1])["outcome"] == "failed"
    cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = "true"
    assert started(cloud, "--undo", str(path)).json == []


def test_undo_of_a_write_whose_end_was_unknown(
    cloud: WritableCloud, run: Callable[..., Result], tmp_path: Path
) -> None:
    """A gateway gave up, and the service carried out the request after it was looked at."""
    path = tmp_path / "journal"
    cloud.before[WRITE] = lambda: 504
    run(ONE_FLAVOR, "--journal", str(path), code=1)
    cloud.flavors[PLAIN]["extra_specs"][FLAVOR] = "true"
    assert results(started(cloud, "--undo", str(path))) == [(FLAVOR, "done")]


def test_undo_on_another_cloud(cloud: WritableCloud, journal: Path) -> None:
    # Each catalog has new IDs.
    cloud.fake.catalog(*ENDPOINTS)
    sent = len(cloud.fake.reads())
    done = started(cloud, "--undo", str(journal), code=1)
    assert "is the journal of another cloud" in done.err
    assert len(cloud.fake.reads()) == sent


@pytest.mark.parametrize(
    ("line", "changes", "error"),
    [
        (0, {"version": 2}, "line 1: it is not the first line of a journal"),
        (0, {"cloud": {"compute": 7}}, "line 1: it is not the first line of a journal"),
        (1, {"key": "hw:other"}, "line 2: 'hw:other' of kind 'flavor' is not a key"),
        (1, {"kind": "volume"}, "line 2: 'hw:unique_serial' of kind 'volume' is not a key"),
        (1, {"after": "rm -rf"}, "line 2: after: 'rm -rf' is not a value"),
        (1, {"id": None}, "line 2: its id is not an ID"),
        (1, {"before": 7}, "line 2: before is neither a text nor null"),
        (1, {"name": "\ud800"}, "line 2: it is not JSON"),
        (1, {"entry": 2}, "line 2: entry 1 is missing"),
        (1, {"more": "x"}, "line 2: its keys are not"),
        (2, {"result": 2}, "line 3: it is the result of no entry"),
        (2, {"outcome": "fine"}, "line 3: it is not a result"),
    ],
)
def test_a_journal_that_is_refused(
    cloud: WritableCloud, journal: Path, line: int, changes: Any, error: str
) -> None:
    edit(journal, lambda document: document.update(changes), line)
    done = started(cloud, "--undo", str(journal), code=1)
    assert error in done.err
    assert "Nothing was changed." in done.err
    assert cloud.flavors[PLAIN]["extra_specs"] == {FLAVOR: "true"}


def test_a_journal_that_is_missing(cloud: WritableCloud, tmp_path: Path) -> None:
    done = started(cloud, "--undo", str(tmp_path / "none"), code=1)
    assert "none cannot be read: No such file or directory. Nothing was changed." in done.err


@pytest.mark.parametrize("kept", [1, 20, 100])
def test_a_torn_last_line(cloud: WritableCloud, journal: Path, kept: int) -> None:
    """The entry was not on the disk, so that its write was not sent."""
    header, entry, _result = journal.read_bytes().splitlines(keepends=True)
    second = entry.replace(b'"entry": 1', b'"entry": 2').replace(b'"true"', b'"false"')
    journal.write_bytes(header + entry + second[:kept])
    done = started(cloud, "--undo", str(journal))
    assert "The last line of the journal is not complete." in done.err
    assert results(done) == [(FLAVOR, "done")]


def test_the_id_of_a_journal_is_no_path(cloud: WritableCloud, journal: Path) -> None:
    edit(journal, lambda entry: entry.update(id=".."))
    (row,) = started(cloud, "--undo", str(journal), code=1).json
    assert (row["result"], "'..' is not an ID" in row["reason"]) == ("failed", True)


def test_a_wrong_column_is_refused_before_anything_is_written(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    done = run(ONE_FLAVOR, "-c", "nme", code=1)
    assert "no column has a name of nme" in done.err
    assert "Nothing was changed." in done.err
    assert "extra_specs" not in " ".join(on_keys(cloud))


def test_what_is_not_planned_is_printed_before_the_question(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    text = f"flavors: [{{name: {PLAIN}, unique_serial: true}}, {{name: none, hosts: any}}]"
    done = run(text, code=4)
    assert done.err.index("Not planned: line 1: no flavor fits name 'none'") < done.err.index(
        "Done 1"
    )
    assert [row["result"] for row in done.json] == ["done", "no-match"]


def test_a_note_about_a_change_is_printed_before_the_question(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    cloud.hosts(a=Node((M_AUTO,)), b=Node((TRAIT_UNIQUE, "CUSTOM_UNIQUE_SERIAL_KEYS", M_AUTO)))
    cloud.server(4, flavor=PLAIN, host="a")
    done = run(f"servers: [{{id: {server_id(4)}, unique_serial: true}}]")
    note = f"server 'web-4' ({server_id(4)}): the request has no effect on host a: "
    assert 0 <= done.err.find(note) < done.err.index("Done 1")


def test_what_hosts_would_be_is_no_part_of_what_is_applied(
    cloud: WritableCloud, run: Callable[..., Result]
) -> None:
    """Only the flavor is written, whatever the file has of hosts."""
    text = "flavors: [{glob: '*', unique_serial: true}]\nhosts: [{glob: '*', mode: unique}]"
    done = run(text)
    assert "Servers that get another serial number: 2 at resize\n" in done.err
    assert "To do on host b: in nova.conf set [libvirt] sysinfo_serial = unique" in done.err
