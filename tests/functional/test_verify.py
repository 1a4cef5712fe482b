# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify`` on the seeded cloud, with what its guests would tell."""

from __future__ import annotations

import collections
import dataclasses
import json
import unicodedata
import uuid
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tests.functional.cloud import Json, SeededCloud
from tests.functional.test_audit import AUDIT, Run

VERIFY = ("unique", "serial", "verify")
HOSTILE = "=cmd|'c calc'!A1\u202e\u2028<script>"


@dataclasses.dataclass
class Guest:
    """A guest as libvirt would have it."""

    id: str
    serial: str | None
    made: str = "2026-01-01 00:00:00"
    name: str = "instance"

    @property
    def xml(self) -> str:
        """Its domain."""
        serial = "" if self.serial is None else f"<entry name='serial'>{self.serial}</entry>"
        return f"""<domain type='kvm'>
  <name>{escape(self.name)}</name>
  <uuid>{self.id}</uuid>
  <metadata>
    <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
      <nova:package version='34.0.0'/>
      <nova:creationTime>{self.made}</nova:creationTime>
    </nova:instance>
  </metadata>
  <sysinfo type='smbios'><system>{serial}</system></sysinfo>
  <os><smbios mode='sysinfo'/></os>
  <devices/>
</domain>
"""


def run(
    cloud: SeededCloud, *options: str | Path, code: int, form: str = "json", cold: bool = False
) -> Run:
    """Verify, and expect an exit code."""
    words = [*VERIFY, "--long", "-f", form, *map(str, options)]
    done = cloud.openstack(*words, check=False, cold=cold)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return Run(done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def servers(seeded: SeededCloud) -> list[Json]:
    """What the policy says of every server."""
    listed = seeded.openstack("unique", "serial", "list", "--all-projects", "-f", "json", "--long")
    rows: list[Json] = json.loads(listed.stdout)
    return rows


def identity(host: str) -> str:
    """Return what the guests of a host show where they do not show their own."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, host))


def apart(server: Json) -> bool:
    """Whether it has a hypervisor or an architecture that this is not about."""
    return bool(server["serial_source"] == "absent" and server["host_mode"] != "none")


def obedient(servers: Iterable[Json]) -> dict[str, Guest]:
    """Return guests that have what the policy says, or their own where it says nothing.

    Those of other hypervisors have what they like.
    """
    guests = {}
    for server in servers:
        if server["host"] and server["status"] not in ("BUILD", "ERROR", "SHELVED_OFFLOADED"):
            serial: str | None = server["id"]
            if server["serial_source"].startswith("host-"):
                serial = identity(server["host"])
            elif apart(server) and server["host_mode"] is None:
                serial = f"VMware-{server['id']}"
            elif server["serial_source"] == "absent":
                serial = None
            guests[server["id"]] = Guest(server["id"], serial)
    return guests


def write(path: Path, guests: Iterable[Guest]) -> Path:
    """Write what virsh would print."""
    path.write_text("".join(guest.xml for guest in guests))
    return path


def about(found: Run, *ids: str) -> set[str]:
    """Return the servers of rows."""
    return {id for row in found.rows if row["id"] in ids for id in row["server_ids"] or ()}


def test_guests_that_obey(seeded: SeededCloud, servers: list[Json], tmp_path: Path) -> None:
    guests = obedient(servers)
    found = run(seeded, "--domain-xml", write(tmp_path / "all", guests.values()), code=3)
    assert found.ids() == {"key-ignored", "live-serial-shared", "expectation-unknown"}
    by_id = {server["id"]: server for server in servers}
    unknown = {id for id in guests if by_id[id]["serial_source"] == "unknown"}
    assert about(found, "expectation-unknown") == unknown
    count = collections.Counter(guest.serial for guest in guests.values() if guest.serial)
    sharing = {id for id, guest in guests.items() if count[guest.serial or ""] > 1}
    assert about(found, "live-serial-shared") == sharing
    # Where audit says that a request has no effect, the guests show it.
    audited = json.loads(seeded.openstack(*AUDIT, "--long", "-f", "json", check=False).stdout)
    without = {
        id
        for row in audited
        if row["id"] in ("unique-not-effective", "server-request-not-obeyed")
        for id in row["server_ids"]
    }
    assert without
    ours = {id for id in guests if not apart(by_id[id])}
    assert about(found, "key-ignored") == without & ours
    compared = len(ours - unknown)
    assert found.coverage.startswith(f"{compared} of {len(ours)} servers compared; ")


def test_each_source_and_all_together(
    seeded: SeededCloud, servers: list[Json], tmp_path: Path
) -> None:
    """Names of files do not matter; facts tell the same as domains."""
    guests = obedient(servers)
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    for number, guest in enumerate(guests.values()):
        (folder / ("deep" if number % 2 else ".") / f"{number}.log").write_text(guest.xml)
    facts = tmp_path / "facts"
    # A guest without a serial number reads an empty text.
    lines = (json.dumps({"uuid": each.id, "serial": each.serial or ""}) for each in guests.values())
    facts.write_text("\n".join(lines))
    first = run(seeded, "--domain-xml", folder, code=3, cold=True)
    assert run(seeded, "--facts", facts, code=3).rows == first.rows
    assert run(seeded, "--facts", facts, "--domain-xml", folder, code=3).rows == first.rows
    assert seeded.manifest["servers"]


def test_what_differs_is_named_and_nothing_else(
    seeded: SeededCloud, servers: list[Json], tmp_path: Path
) -> None:
    guests = obedient(servers)
    before = run(seeded, "--domain-xml", write(tmp_path / "all", guests.values()), code=3)
    own = [
        server
        for server in servers
        if server["id"] in guests
        and server["host_honours"]
        and server["serial_source"] == "instance-uuid"
        and server["decided_by"] == "flavor"
    ]
    late, hand, missing = own[:3]
    # Of this host another guest was defined later, and is right.
    guests[late["id"]].serial = identity(late["host"])
    guests[late["id"]].made = "2025-01-01 00:00:00"
    guests[hand["id"]].serial = "BY-HAND"
    del guests[missing["id"]]
    strange = Guest(str(uuid.uuid4()), None, name=HOSTILE)
    folder = tmp_path / f"\x1b[31m{HOSTILE}"
    folder.mkdir()
    path = write(folder / "all", [*guests.values(), strange])
    found = run(seeded, "--domain-xml", path, code=3)
    added = [row for row in found.rows if row not in before.rows]
    assert {row["id"] for row in added} - {"live-serial-shared"} == {
        "pending-restart",
        "changed-by-hand",
        "orphaned-domain",
        "server-not-read",
    }
    assert about(found, "pending-restart") == {late["id"]}
    assert about(found, "changed-by-hand") == {hand["id"]}
    assert about(found, "server-not-read") == {missing["id"]}
    (orphan,) = [row for row in found.rows if row["id"] == "orphaned-domain"]
    assert (orphan["resource_id"], orphan["resource_name"]) == (strange.id, HOSTILE)
    for form in ("table", "csv", "value"):
        shown = run(seeded, "--domain-xml", path, code=3, form=form).stdout
        bad = {char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")}
        assert bad <= {"\n", "\r"}
        if form == "csv":
            assert "\n=" not in shown
            assert ",=" not in shown


def test_exit_codes(seeded: SeededCloud, servers: list[Json], tmp_path: Path) -> None:
    guests = obedient(servers)
    path = write(tmp_path / "all", guests.values())
    sure = ("--fail-on", "never", "--domain-xml", path)
    # What should be is unknown of some of them.
    run(seeded, *sure, code=4)
    run(seeded, "--only", "changed-by-hand", "--domain-xml", path, code=4)
    # Nobody said that these are all domains.
    vain = seeded.openstack(*VERIFY, "--only", "no-domain", "--domain-xml", str(path), check=False)
    assert (vain.returncode, vain.stdout) == (2, "")
    assert "no-domain cannot be checked in this run" in vain.stderr
    (project,) = {each["project_id"] for each in servers if each["id"] == next(iter(guests))}
    some = run(seeded, *sure, "--project", project, code=4)
    assert some.coverage.endswith(f"(project {project} only)")
    # Domains of others are not reported.
    assert "orphaned-domain" not in some.ids()
    nothing = seeded.openstack(*VERIFY, check=False)
    assert nothing.returncode == 2
    assert "give --libvirt-uri, --domain-xml, --facts or --inventory" in nothing.stderr
    wrong = seeded.openstack(*VERIFY, "--timeout", "0", "--facts", "-", check=False)
    assert wrong.returncode == 2


def test_what_cannot_be_read(seeded: SeededCloud, tmp_path: Path) -> None:
    """Each thing is a row with a reason, and the rest goes on."""
    good = Guest(str(uuid.uuid4()), None)
    (tmp_path / "broken").write_text("<domain><name>")
    entity = "<!DOCTYPE d [<!ENTITY a 'b'>]><domain><uuid>&a;</uuid></domain>"
    (tmp_path / "entity").write_text(entity)
    (tmp_path / "good").write_text(good.xml)
    with (tmp_path / "big").open("w") as big:
        big.write("<domain><metadata>")
        for _ in range(50):
            big.write("x" * (1 << 20))
        big.write("</metadata></domain>")
    (tmp_path / "libvirt.sock").touch(mode=0)
    found = run(
        seeded,
        *("--domain-xml", tmp_path),
        *("--facts", tmp_path / "good"),
        code=3,
    )
    told = [row["evidence"] for row in found.of("live-unread")]
    for part in (
        "broken: document 1: it is no XML",
        "entity: document 1: it has a DTD or entities",
        "big: document 1: it has more than 4 MiB",
        "files without a domain: ",
        "good: it holds no facts",
    ):
        assert sum(part in each for each in told) == 1, (part, told)
    assert good.id in {row["resource_id"] for row in found.of("orphaned-domain")}
