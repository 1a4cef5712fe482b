# SPDX-License-Identifier: Apache-2.0
"""Damaged installations and the rollback, as the manual describes them."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.e2e.stack.brokers import free_port
from tests.e2e.stack.hosts import BY_NAME, STOCK_DRIVER, UNIQUE_SERIAL_DRIVER
from tests.e2e.stack.stack import Stack
from tests.functional.guide import remove_stale_traits

HOST = "os-1"
OURS = ("CUSTOM_UNIQUE_SERIAL", "CUSTOM_SYSINFO_SERIAL_")
REPORTED = {
    "CUSTOM_UNIQUE_SERIAL",
    "CUSTOM_UNIQUE_SERIAL_KEYS",
    "CUSTOM_UNIQUE_SERIAL_IMAGE_MAY_SHOW_HOST",
    "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK",
    "CUSTOM_SYSINFO_SERIAL_OS",
}


def provider(stack: Stack, host: str) -> str:
    """The UUID of a host's resource provider."""
    (found,) = stack.get("placement", f"/resource_providers?name={host}")["resource_providers"]
    return str(found["uuid"])


def our_traits(stack: Stack, host: str) -> set[str]:
    """The traits of a host in Placement."""
    path = f"/resource_providers/{provider(stack, host)}/traits"
    return {trait for trait in stack.get("placement", path)["traits"] if trait.startswith(OURS)}


@pytest.fixture(scope="module")
def asking(stack: Stack, unique_name: Callable[[str], str]) -> str:
    return stack.new_flavor(unique_name("asking"), {"hw:unique_serial": "true"})


@pytest.fixture
def damaged(stack: Stack) -> Iterator[None]:
    """The host is repaired after the test."""
    yield
    stack.host(HOST).reset()


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("machine_id", ["", None])
def test_a_host_without_a_machine_id(
    stack: Stack, boot: Callable[..., str], asking: str, machine_id: str | None
) -> None:
    """Guests that do not need it start; the others do not, and it is said what to do."""
    host = stack.host(HOST)
    plain = boot(host=HOST)
    host.set_machine_id(machine_id)
    offset = host.paths.compute_log.stat().st_size
    host.restart()
    asks = boot(host=HOST, flavor_id=asking)
    assert stack.guest_serial(asks)[1] == asks

    stack.action(plain, reboot={"type": "HARD"})
    fault = stack.wait(plain, "ERROR")["fault"]["message"]
    assert "systemd-machine-id-setup" in fault
    with host.paths.compute_log.open("rb") as log:
        log.seek(offset)
        said = log.read().decode()
    assert "do not ask for a unique serial number cannot start on this host" in said
    # A new server of this kind would be tried on another host: this one is given as the only one.
    refused = stack.create("refused", HOST)
    try:
        stack.wait(refused, "ERROR")
    finally:
        stack.delete(refused)


@pytest.mark.usefixtures("damaged")
def test_placement_is_down_while_the_compute_starts(stack: Stack) -> None:
    """The compute starts, and Placement learns the new mode when it answers again."""
    port = free_port()
    stack.host(HOST).restart(
        sysinfo_serial="none",
        endpoint_override=f"http://127.0.0.1:{port}",
        update_resources_interval=5,
        # By default the first periodic task waits for up to a minute.
        periodic_fuzzy_delay=0,
    )
    assert our_traits(stack, HOST) == REPORTED
    with _forwarding(port, urlsplit(stack.state["services"]["placement"]["url"]).port or 0):
        wanted = REPORTED - {"CUSTOM_SYSINFO_SERIAL_OS"} | {"CUSTOM_SYSINFO_SERIAL_NONE"}
        deadline = time.monotonic() + 120
        while our_traits(stack, HOST) != wanted:
            assert time.monotonic() < deadline, our_traits(stack, HOST)
            time.sleep(0.5)


@contextmanager
def _forwarding(port: int, to: int) -> Iterator[None]:
    """Let one port stand for another."""
    listener = socket.create_server(("127.0.0.1", port))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _address = listener.accept()
                server = socket.create_connection(("127.0.0.1", to))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.usefixtures("damaged")
def test_the_way_back(stack: Stack, boot: Callable[..., str], asking: str) -> None:
    """Stock Nova again: the host's mode decides, and the traits go by the guide's recipe."""
    server = boot(host=HOST, flavor_id=asking)
    before, serial = stack.guest_serial(server)
    assert serial == server
    stack.host(HOST).restart(compute_driver=STOCK_DRIVER)
    assert stack.guest_serial(server) == (before, server)
    # A trait stays until it is removed, and is wrong now.
    assert our_traits(stack, HOST) == REPORTED
    remove_stale_traits(stack, provider(stack, HOST))
    assert our_traits(stack, HOST) == set()
    told = stack.show(server, "--host-mode", f"{HOST}=os")
    assert (told["host_honours"], told["serial_source"]) == (False, "host-os")
    stack.action(server, reboot={"type": "HARD"})
    stack.wait(server, "ACTIVE")
    _boot, serial = stack.guest_serial(server, after=before)
    assert serial == str(uuid.UUID(BY_NAME[HOST].machine_id))
    # And forth again: the driver reports without help.
    stack.host(HOST).restart(compute_driver=UNIQUE_SERIAL_DRIVER)
    assert our_traits(stack, HOST) == REPORTED


def test_the_api_knows_the_key(stack: Stack, unique_name: Callable[[str], str]) -> None:
    """Compute API 2.86 and later take booleans and refuse the rest."""
    path = f"/v2.1/flavors/{stack.new_flavor(unique_name('flavor'))}/os-extra_specs"
    for text, status in (("true", 200), ("No", 200), ("banana", 400), ("null", 400)):
        answer = stack.raw("nova", "POST", path, {"extra_specs": {"hw:unique_serial": text}})
        assert answer.status_code == status, answer.text


def test_status(stack: Stack) -> None:
    """One command sees what was installed where, and what is missing."""
    stack.openstack("unique", "serial", "metadef", "install")
    run = stack.openstack("unique", "serial", "status", "-f", "json", check=False)
    # stock-1 has no driver and declares nothing; unique-1 lets images show it.
    assert run.returncode == 3, run.stderr
    found: dict[tuple[str, str], list[list[str]]] = {}
    for row in json.loads(run.stdout):
        details = row["Details"]
        found.setdefault((row["Result"], details["id"]), []).append(details["hosts"])
    honouring = sorted(name for name in BY_NAME if name != "stock-1")
    modes = [["os-1"], ["hardware-1"], ["auto-1", "auto-2"], ["none-1"]]
    assert found == {
        ("Success", "metadefs-current"): [[]],
        ("Success", "validator-loaded"): [[]],
        # guarded-1 obeys no requests of servers.
        ("Success", "honours-keys"): [["unique-1"], ["guarded-1"], *modes],
        ("Warning", "unknown-mode"): [["stock-1"]],
        ("Warning", "image-may-show-host"): [["unique-1"]],
        ("Success", "supported-hosts"): [honouring],
        ("Info", "other-hosts"): [["stock-1"]],
    }
