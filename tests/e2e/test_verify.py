# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial verify``: real guests, and what may become of them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack.hosts import BY_NAME, HOSTS
from tests.e2e.stack.stack import Stack

Json = dict[str, Any]
Boot = Callable[..., str]

CHANGED, LOST, DOWN = "auto-2", "auto-1", "os-1"


def uris(stack: Stack) -> list[str]:
    """Every host's libvirt."""
    return [f"--libvirt-uri=qemu+tcp://{host.address(stack.layout)}/system" for host in HOSTS]


def verify(stack: Stack, *options: str, code: int) -> tuple[dict[str, list[Json]], str]:
    """Run the command; return its rows by ID, and the last line."""
    # Nova's time has no fractions: servers that changed in the same second are left out.
    time.sleep(1.1)
    run = stack.openstack(
        *("unique", "serial", "verify", "-f", "json", "--long", "--timeout", "20"),
        *options,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    rows: dict[str, list[Json]] = {}
    for row in json.loads(run.stdout):
        rows.setdefault(row["id"], []).append(row)
    return rows, run.stderr.splitlines()[-1]


def servers(rows: dict[str, list[Json]], id_: str) -> set[str]:
    return {server for row in rows.get(id_, ()) for server in row["server_ids"]}


def restart(stack: Stack, server: str) -> None:
    stack.action(server, reboot={"type": "HARD"})
    stack.wait(server, "ACTIVE")


@pytest.fixture
def restored(stack: Stack) -> Iterator[None]:
    """Every host as it was, afterwards."""
    yield
    for name in (CHANGED, LOST):
        stack.host(name).reset()


def test_all_is_well_by_every_source(
    stack: Stack, boot: Boot, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    keyed = stack.new_flavor(unique_name("keyed"), {"hw:unique_serial": "true"})
    booted = {host: boot(host=host) for host in ("unique-1", "auto-1", "none-1", "stock-1")}
    booted |= {host: boot(host=host, flavor_id=keyed) for host in ("auto-2", "hardware-1")}
    mode = ("--host-mode", "stock-1=auto")
    facts = tmp_path / "facts.jsonl"
    saved = tmp_path / "saved"
    saved.mkdir()
    with facts.open("w") as lines:
        for host, server in booted.items():
            (saved / server[::-1]).write_text(stack.host(host).virsh("dumpxml", server))
            told = stack.reading(server)
            # A guest without a serial number reads an empty text.
            print(json.dumps({"uuid": told.uuid, "serial": told.serial or ""}), file=lines)
    for source in (uris(stack), [f"--domain-xml={saved}"], [f"--facts={facts}"]):
        rows, last = verify(stack, *mode, *source, code=0)
        assert rows == {}
        assert last == "6 of 6 servers compared"
    everything = (*uris(stack), f"--domain-xml={saved}", f"--facts={facts}")
    assert verify(stack, *mode, *everything, code=0)[0] == {}


def test_the_identity_of_a_host_in_several_guests(stack: Stack, boot: Boot) -> None:
    shown = {boot(host="hardware-1"), boot(host="hardware-1")}
    rows, _last = verify(stack, *uris(stack), code=3)
    assert set(rows) == {"live-host-identity", "live-serial-shared"}
    for (row,) in rows.values():
        assert set(row["server_ids"]) == shown
        assert BY_NAME["hardware-1"].hardware_uuid in row["evidence"]


def test_a_request_that_stock_nova_ignores(
    stack: Stack, boot: Boot, unique_name: Callable[[str], str]
) -> None:
    keyed = stack.new_flavor(unique_name("keyed"), {"hw:unique_serial": "true"})
    ignored = boot(host="stock-1", flavor_id=keyed)
    for mode in ((), ("--host-mode", "stock-1=auto")):
        rows, _last = verify(stack, *uris(stack), *mode, code=3)
        assert set(rows) == {"key-ignored"}
        assert servers(rows, "key-ignored") == {ignored}


def test_domains_that_are_not_servers_and_servers_that_are_not_domains(
    stack: Stack, boot: Boot, tmp_path: Path
) -> None:
    there = boot(host="unique-1")
    gone = boot(host="auto-1")
    stack.host("auto-1").virsh("destroy", gone)
    saved = stack.host("auto-1").virsh("dumpxml", gone)
    stack.host("auto-1").virsh("undefine", gone)
    left = "aaaaaaaa-0000-4000-8000-000000000000"
    file = tmp_path / "left.xml"
    file.write_text(
        saved.replace(gone, left)
        + "<domain type='qemu'><name>mine</name>"
        + "<uuid>bbbbbbbb-0000-4000-8000-000000000000</uuid></domain>"
    )
    rows, last = verify(stack, *uris(stack), f"--domain-xml={file}", code=3)
    assert set(rows) == {"no-domain", "orphaned-domain", "other-domain"}
    assert servers(rows, "no-domain") == {gone}
    assert [row["resource_id"] for row in rows["orphaned-domain"]] == [left]
    (foreign,) = rows["other-domain"]
    assert foreign["evidence"].endswith("1 domain that Nova did not make: mine")
    assert last == "1 of 2 servers compared"
    assert there not in str(rows)


def test_hosts_that_do_not_answer_keep_nobody_waiting(
    stack: Stack, boot: Boot, tmp_path: Path
) -> None:
    there = boot(host="unique-1")
    refused = tmp_path / "refused.sock"
    refused.touch()
    address = BY_NAME["unique-1"].address(stack.layout)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(tmp_path / "silent.sock"))
        silent.listen()
        rows, last = verify(
            stack,
            f"--libvirt-uri=qemu+unix:///system?socket={tmp_path}/silent.sock",
            f"--libvirt-uri=qemu+unix:///system?socket={refused}",
            f"--libvirt-uri=qemu+tcp://{address}/system",
            # Nothing listens there for a driver of this name.
            f"--libvirt-uri=nonsense+tcp://{address}/system",
            "--timeout=3",
            code=4,
        )
    assert set(rows) == {"live-unread"}
    said = sorted(row["evidence"].partition("sock: ")[2] for row in rows["live-unread"])
    assert len(said) == 3
    assert "no answer within 3 s" in said
    assert any("Failed to connect socket" in each for each in said)
    assert last == "1 of 1 servers compared"
    assert there


def test_the_live_serial_of_one_server(stack: Stack, boot: Boot) -> None:
    server = boot(host=CHANGED)
    uri = uris(stack)[[host.name for host in HOSTS].index(CHANGED)].partition("=")[2]
    other = uris(stack)[0].partition("=")[2]

    shown = stack.show(server, "--live", uri)
    assert shown["live_serial"] == stack.domain_serial(server)
    assert shown["live_matches"] is True
    assert shown["live_why"].startswith("The guest has a UUID that is not its server's, as expect")
    wrong = stack.show(server, "--live", uri, "--host-mode", f"{CHANGED}=unique")
    # Traits outrank what is given.
    assert wrong["live_matches"] is True
    elsewhere = stack.show(server, "--live", other)
    assert elsewhere["live_serial"] is None
    assert elsewhere["live_why"] == "Libvirt has no domain of the server on its host."
    unread = stack.show(server, "--live", "qemu+tcp://127.0.0.1:1/system")
    assert unread["live_matches"] is None
    assert unread["live_why"].startswith("The guest could not be read: ")
    assert "live_serial" not in stack.show(server)


def edit(stack: Stack, host: str, server: str, change: Callable[[str], str]) -> None:
    """Change the definition of a guest in libvirt, past Nova."""
    libvirt = stack.host(host)
    xml = libvirt.virsh("dumpxml", "--inactive", server)
    changed = change(xml)
    assert changed != xml
    path = stack.layout.root / "edited.xml"
    path.write_text(changed)
    libvirt.virsh("define", str(path))


def edit_and_start(stack: Stack, host: str, server: str, change: Callable[[str], str]) -> str:
    """Change a guest past Nova, start it again, and return the serial number that it reads."""
    before, _serial = stack.guest_serial(server)
    edit(stack, host, server, change)
    stack.host(host).virsh("destroy", server)
    stack.host(host).virsh("start", server)
    return stack.guest_serial(server, after=before)[1] or ""


@pytest.mark.usefixtures("restored")
def test_guests_that_were_started_before_the_driver_came(
    stack: Stack, boot: Boot, unique_name: Callable[[str], str]
) -> None:
    """After the installation of the driver and before a restart, no host is accused."""
    keyed = stack.new_flavor(unique_name("keyed"), {"hw:unique_serial": "true"})
    host = stack.host(LOST)
    host.restart(compute_driver="libvirt.LibvirtDriver")
    guests = [boot(host=LOST, flavor_id=keyed) for _ in range(2)]
    host.reset()
    rows, _last = verify(stack, *uris(stack), code=3)
    assert set(rows) == {"pending-restart", "live-serial-shared"}
    assert servers(rows, "pending-restart") == {*guests}
    (row,) = rows["pending-restart"]
    assert "no guest of the host shows that yet" in row["evidence"]
    # As the remedy says: one of them first.
    first, second = guests
    restart(stack, first)
    rows, _last = verify(stack, *uris(stack), code=3)
    assert set(rows) == {"serial-unexplained"}
    assert servers(rows, "serial-unexplained") == {second}
    restart(stack, second)
    assert verify(stack, *uris(stack), code=0)[0] == {}


def test_serial_numbers_that_were_written_by_hand(stack: Stack, boot: Boot) -> None:
    host = "unique-1"
    early, uuid, removed, option, late = (boot(host=host) for _ in range(5))
    by_hand = "5f0c9a3e-1d2b-4c4d-8e6f-0123456789ab"

    def entry(server: str) -> str:
        return f"<entry name='serial'>{server}</entry>"

    read = edit_and_start(stack, host, uuid, lambda xml: xml.replace(entry(uuid), entry(by_hand)))
    assert read == by_hand
    assert edit_and_start(stack, host, removed, lambda xml: xml.replace(entry(removed), "")) == ""
    passed = (
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:arg value='-smbios'/><qemu:arg value='type=1,serial=OPTION'/></qemu:commandline>"
        "</domain>"
    )
    read = edit_and_start(stack, host, option, lambda xml: xml.replace("</domain>", passed))
    assert read == "OPTION"

    rows, _last = verify(stack, *uris(stack), code=3)
    assert servers(rows, "serial-unexplained") == {uuid}
    assert servers(rows, "changed-by-hand") == {removed, option}
    assert set(rows) == {"serial-unexplained", "changed-by-hand"}
    uri = uris(stack)[[each.name for each in HOSTS].index(host)].partition("=")[2]
    shown = stack.show(option, "--live", uri)
    assert (shown["live_serial"], shown["live_matches"]) == ("OPTION", False)
    assert early not in str(rows)
    assert late not in str(rows)
    # As the remedies say.
    for server in (uuid, removed, option):
        restart(stack, server)
    assert verify(stack, *uris(stack), code=0)[0] == {}


@pytest.mark.usefixtures("restored")
def test_each_thing_that_is_wrong_is_named_and_nothing_else(
    stack: Stack, boot: Boot, unique_name: Callable[[str], str]
) -> None:
    keyed = stack.new_flavor(unique_name("keyed"), {"hw:unique_serial": "true"})
    # The mode changes, and only one of three guests is restarted.
    waiting, restarted = {boot(host=CHANGED), boot(host=CHANGED)}, boot(host=CHANGED)
    stack.host(CHANGED).restart(sysinfo_serial="unique")
    restart(stack, restarted)
    # The driver goes, and only one of three guests stays as it was.
    kept, *lost = (boot(host=LOST, flavor_id=keyed) for _ in range(3))
    stack.host(LOST).restart(compute_driver="libvirt.LibvirtDriver")
    for server in lost:
        restart(stack, server)
    # A definition is edited, and not started.
    edited = boot(host="unique-1")
    edit(stack, "unique-1", edited, lambda xml: xml.replace(f"'serial'>{edited}<", "'serial'>BY<"))
    # And a host is off.
    unseen = boot(host=DOWN)
    stack.fail(DOWN)
    try:
        rows, last = verify(stack, *uris(stack), code=3)
    finally:
        stack.recover(DOWN)
    assert servers(rows, "pending-restart") == waiting
    assert servers(rows, "not-honoured") == {*lost}
    assert servers(rows, "changed-by-hand") == {edited}
    assert servers(rows, "server-not-read") == {unseen}
    assert len(rows["live-unread"]) == 1
    assert set(rows) == {
        "pending-restart",
        "not-honoured",
        "changed-by-hand",
        "server-not-read",
        "live-unread",
        "live-serial-shared",
    }
    assert kept not in last
    assert "1 that no source has" in last

    # What the remedies promise.
    stack.host(LOST).reset()
    for server in (*waiting, edited, *lost):
        restart(stack, server)
    rows, _last = verify(stack, *uris(stack), code=0)
    assert rows == {}
