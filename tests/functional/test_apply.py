# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial apply`` on real services; what is stored is read past every client."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.functional.cloud import OPENSTACK, Cloud, Json
from tests.functional.proxy import Fault, Proxy

Names = Callable[[str], str]
Handler = http.server.BaseHTTPRequestHandler

FLAVOR, IMAGE = "hw:unique_serial", "hw_unique_serial"
TRAIT = "trait:CUSTOM_UNIQUE_SERIAL"
MEMBER = "devcloud-member"


def apply(
    cloud: Cloud, *args: Any, code: int = 0, user: str = "devcloud", **kwargs: Any
) -> tuple[list[Json], str]:
    """Return the rows, and what is printed on standard error."""
    command = ("unique", "serial", "apply", "-f", "json", "--yes", *map(str, args))
    run = cloud.openstack(*command, check=False, cloud=user, **kwargs)
    assert run.returncode == code, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    rows: list[Json] = json.loads(run.stdout)
    return rows, run.stderr


def results(rows: Sequence[Json]) -> list[tuple[str, str]]:
    return [(row["name"], row["result"]) for row in rows]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a desired state, which is JSON too."""

    def write(**desired: Any) -> Path:
        path = tmp_path / "desired.yaml"
        path.write_text(json.dumps(desired))
        return path

    return write


def test_a_campaign_and_its_undo(
    cloud: Cloud, unique_name: Names, file: Callable[..., Path], tmp_path: Path
) -> None:
    flavor, other = (
        cloud.new_flavor(unique_name("campaign"), specs)
        for specs in ({"hw:cpu_policy": "shared"}, {FLAVOR: "false", TRAIT: "required"})
    )
    image = cloud.new_image(unique_name("campaign"), os_type="windows")
    server = cloud.boot(unique_name("campaign"), flavor, image)
    cloud.set_metadata(server, other="kept")
    rack = unique_name("campaign")
    body = {"aggregate": {"name": rack, "availability_zone": None}}
    cloud.raw("nova", "POST", "/v2.1/os-aggregates", body).raise_for_status()

    def stored() -> list[Any]:
        record = cloud.image(image)
        del record["updated_at"]
        metadata = cloud.get("nova", f"/v2.1/servers/{server}")["server"]["metadata"]
        specs = [cloud.extra_specs(each) for each in (flavor, other)]
        return [*specs, record, cloud.aggregate(rack)["metadata"], metadata]

    before = stored()
    desired = file(
        flavors=[
            {"id": flavor, "unique_serial": "true", "hosts": "supported"},
            {"id": other, "unique_serial": "unset", "hosts": "any"},
        ],
        images=[{"id": image, "unique_serial": "true"}],
        aggregates=[{"name": rack, "unique_serial": "true"}],
        servers=[{"id": server, "unique_serial": "true"}],
    )
    journal = tmp_path / "journal"
    rows, said = apply(cloud, desired, "--journal", journal)
    assert [row["result"] for row in rows] == ["done"] * 8
    assert "8 changes (aggregate: 2, flavor: 4, image: 1, server: 1)" in said
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    specs, no_specs, record, rack_metadata, metadata = stored()
    assert specs == {"hw:cpu_policy": "shared", FLAVOR: "true", TRAIT: "required"}
    assert no_specs == {}
    assert record == {**before[2], IMAGE: "true"}
    assert rack_metadata == {FLAVOR: "true", IMAGE: "True"}
    assert metadata == {"other": "kept", IMAGE: "true"}

    assert apply(cloud, desired) == ([], "Nothing to write\n")

    rows, _said = apply(cloud, "--undo", journal)
    assert [row["result"] for row in rows] == ["done"] * 8
    assert stored() == before
    rows, said = apply(cloud, "--undo", journal)
    assert (rows, said) == ([], "Nothing to write\n")


class Flavors:
    """Flavors with one fault each, on the way to Nova."""

    def __init__(self, cloud: Cloud, proxy: Proxy, unique_name: Names) -> None:
        self.cloud = cloud
        self._proxy = proxy
        self._name = unique_name
        self.ids: dict[str, str] = {}

    def add(self, name: str, method: str = "", **fault: Any) -> str:
        """Add a flavor; requests of the method about its extra specs have the fault, once."""
        flavor = self.ids[name] = self.cloud.new_flavor(self._name(name))
        if method:
            pattern = f"^{method} /v2.1/flavors/{flavor}/os-extra_specs"
            self._proxy.faults.append(Fault(pattern, times=1, **fault))
        return flavor

    def written(self, name: str, text: str = "true") -> None:
        self.cloud.set_extra_specs(self.ids[name], {FLAVOR: text})

    def looked_up(self, name: str, meanwhile: Callable[[], object]) -> Callable[[Handler], None]:
        """Return a script: something happens right before Nova is asked what is stored."""

        def script(handler: Handler) -> None:
            meanwhile()
            answer = self.cloud.raw("nova", "GET", handler.path)
            reply(handler, answer.status_code, answer.content)

        return script


def reply(handler: Handler, status: int, content: bytes = b"{}") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content)))
    # The proxy closes the connection: no other request may be sent on it meanwhile.
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(content)


def test_faults_between_the_plan_and_the_writes(
    cloud: Cloud, proxy: Proxy, unique_name: Names, file: Callable[..., Path], tmp_path: Path
) -> None:
    """Each flavor meets another fault in one run, and the account of each is true."""
    flavors = Flavors(cloud, proxy, unique_name)

    def delete() -> None:
        answer = cloud.raw("nova", "DELETE", f"/v2.1/flavors/{flavors.ids['deleted']}")
        answer.raise_for_status()

    def carried_out(name: str, status: int) -> Callable[[Handler], None]:
        def script(handler: Handler) -> None:
            flavors.written(name)
            if status:
                reply(handler, status)

        return script

    flavors.add("fine")
    flavors.add("deleted", "GET", script=flavors.looked_up("deleted", delete))
    changed = flavors.looked_up("changed", lambda: flavors.written("changed", "no"))
    flavors.add("changed", "GET", script=changed)
    flavors.add("same", "GET", script=flavors.looked_up("same", lambda: flavors.written("same")))
    flavors.add("error-done", "POST", script=carried_out("error-done", 502))
    flavors.add("error-not-done", "POST", status=503)
    flavors.add("lost-done", "POST", script=carried_out("lost-done", 0))
    flavors.add("lost-not-done", "POST", status=0)
    flavors.add("forbidden", "POST", status=403)
    flavors.add("busy", "POST", status=429, headers={"Retry-After": "1"})
    expected = {
        "fine": "done",
        "deleted": "missing",
        "changed": "conflict",
        "same": "unchanged",
        "error-done": "done",
        "error-not-done": "failed",
        "lost-done": "done",
        "lost-not-done": "failed",
        "forbidden": "failed",
        "busy": "done",
    }
    desired = file(flavors=[{"id": id_, "unique_serial": "true"} for id_ in flavors.ids.values()])
    journal = tmp_path / "journal"
    rows, said = apply(
        cloud, desired, "--journal", journal, "--long", code=1, clouds_yaml=proxy.clouds_yaml
    )
    names = {id_: name for name, id_ in flavors.ids.items()}
    assert {names[row["id"]]: row["result"] for row in rows} == expected
    assert said.endswith("Done 4, unchanged 1, conflict 1, missing 1, failed 3 of 10 changes\n")
    written = {
        name: cloud.extra_specs(id_).get(FLAVOR)
        for name, id_ in flavors.ids.items()
        if name != "deleted"
    }
    is_stored = {name for name, result in expected.items() if result in ("done", "unchanged")}
    assert written == {
        name: "no" if name == "changed" else "true" if name in is_stored else None
        for name in written
    }
    # Each was sent once, but for the one that was refused as one too many.
    sent = [line for _service, line in proxy.requests if line.startswith("POST /v2.1/flavors/")]
    counts = {name: sum(flavors.ids[name] in line for line in sent) for name in expected}
    not_sent = ("deleted", "changed", "same")
    assert counts == {
        name: 0 if name in not_sent else 2 if name == "busy" else 1 for name in expected
    }
    # What this run did is taken back, and nothing else.
    rows, _said = apply(cloud, "--undo", journal, "--long")
    assert {names[row["id"]] for row in rows} == {"fine", "error-done", "lost-done", "busy"}
    left = {name: cloud.extra_specs(flavors.ids[name]) for name in written}
    assert {name: specs for name, specs in left.items() if specs} == {
        "changed": {FLAVOR: "no"},
        "same": {FLAVOR: "true"},
    }


def test_a_member_may_change_their_own_image_only(
    cloud: Cloud, unique_name: Names, file: Callable[..., Path]
) -> None:
    public = cloud.new_image(unique_name("public"))
    create = ("image", "create", "-f", "value", "-c", "id", unique_name("own"))
    own = cloud.openstack(*create, cloud=MEMBER).stdout.strip()
    desired = file(images=[{"id": each, "unique_serial": "true"} for each in (public, own)])
    rows, _said = apply(cloud, desired, "--long", code=1, user=MEMBER)
    assert {row["id"]: row["result"] for row in rows} == {public: "failed", own: "done"}
    (reason,) = (row["reason"] for row in rows if row["reason"])
    assert reason.startswith("Glance (image)")
    assert "403" in reason or "allow" in reason
    assert (IMAGE in cloud.image(public), cloud.image(own)[IMAGE]) == (False, "true")


def test_runs_that_are_killed(
    cloud: Cloud, proxy: Proxy, unique_name: Names, file: Callable[..., Path], tmp_path: Path
) -> None:
    """One is killed before Nova carries out its request, another one after that."""
    flavors = Flavors(cloud, proxy, unique_name)
    running: list[subprocess.Popen[bytes]] = []

    def kill(handler: Handler) -> None:
        if flavors.ids["after"] in handler.path:
            flavors.written("after")
        running[-1].kill()
        running[-1].wait(60)

    flavors.add("fine")
    flavors.add("before", "POST", script=kill)
    flavors.add("after", "POST", script=kill)
    ids = [*flavors.ids.values()]
    desired = file(flavors=[{"id": id_, "unique_serial": "true"} for id_ in ids])
    journals = [tmp_path / name for name in ("first", "second", "third")]
    environment = {
        **os.environ,
        "OS_CLIENT_CONFIG_FILE": str(proxy.clouds_yaml),
        "OS_CLOUD": "devcloud",
    }
    for journal in journals[:2]:
        run = ["unique", "serial", "apply", "--yes", "--max-workers", "1", "--journal"]
        # The script of the fault waits for its end.
        running.append(
            subprocess.Popen(
                [str(OPENSTACK), *run, str(journal), str(desired)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        assert running[-1].wait(120) == -signal.SIGKILL
        # A host that fails may leave a part of the next entry.
        with journal.open("ab") as stream:
            stream.write(b'{"entry": 9, "kind": "fla')
    last = [json.loads(journal.read_text().splitlines()[-2])["id"] for journal in journals[:2]]
    assert {*last} == {flavors.ids["before"], flavors.ids["after"]}

    rows, _said = apply(cloud, desired, "--journal", journals[2], "--long")
    assert flavors.ids["after"] not in {row["id"] for row in rows}
    assert [cloud.extra_specs(id_) for id_ in ids] == [{FLAVOR: "true"}] * 3
    undone = [row for each in reversed(journals) for row in apply(cloud, "--undo", each)[0]]
    assert [row["result"] for row in undone] == ["done"] * 3
    assert [cloud.extra_specs(id_) for id_ in ids] == [{}] * 3
