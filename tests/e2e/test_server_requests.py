# SPDX-License-Identifier: Apache-2.0
"""The request of a server, in its metadata: set and unset on running servers of every host."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.e2e.stack.hosts import HOSTS, STOCK_DRIVER, Host
from tests.e2e.stack.stack import Stack
from tests.e2e.test_matrix import JUDGED, expected, serial
from tests.e2e.test_operations import Guest
from tests.e2e.test_verify import servers, uris

#: What the flavor of the servers says: on hosts in mode unique only a false shows the host.
FLAVORS = {host.name: "false" if host.mode == "unique" else None for host in HOSTS}
TRUE = {"hw_unique_serial": "true"}

#: The mode that no trait declares.
GIVEN = ("--host-mode", "stock-1=auto")


def obeys(host: Host) -> bool:
    return host.driver != STOCK_DRIVER and (
        host.options.get("unique_serial", {}).get("server_may_ask", True) is True
    )


HOST_OF = {host.name: host for host in HOSTS if host.name in JUDGED}
OBEYING = {name for name, host in HOST_OF.items() if obeys(host)}


@pytest.fixture
def guests(stack: Stack, unique_name: Callable[[str], str]) -> Iterator[dict[str, Guest]]:
    """A server without a request on every host, that has booted."""
    hostly = stack.new_flavor(unique_name("host"), {"hw:unique_serial": "false"})
    made = {
        host: Guest(stack, stack.create(unique_name(host), host, hostly if FLAVORS[host] else None))
        for host in HOST_OF
    }
    for guest in made.values():
        stack.wait(guest.id, "ACTIVE")
    yield made
    stack.delete(*(guest.id for guest in made.values()))


def restart(guests: Mapping[str, Guest]) -> None:
    for guest in guests.values():
        guest.stack.action(guest.id, reboot={"type": "HARD"})
    for guest in guests.values():
        guest.stack.wait(guest.id, "ACTIVE")


def own(guests: Mapping[str, Guest]) -> dict[str, str | None]:
    """The serial numbers without a request."""
    return {
        name: serial(HOST_OF[name], expected(HOST_OF[name], FLAVORS[name], None), guest.id)
        for name, guest in guests.items()
    }


def waiting(stack: Stack) -> set[str]:
    """The servers that `verify` finds to wait for a restart; it reports no host as wrong."""
    command = ("unique", "serial", "verify", "-f", "json", "--long", *GIVEN, *uris(stack))
    rows: dict[str, list[dict[str, object]]] = {}
    for row in json.loads(stack.openstack(*command, check=False).stdout):
        rows.setdefault(row["id"], []).append(row)
    wrong = {"not-honoured", "wrong-host-mode", "changed-by-hand", "serial-unexplained"}
    assert not rows.keys() & wrong, rows
    return servers(rows, "pending-restart")


def test_set_and_unset_on_running_servers(stack: Stack, guests: dict[str, Guest]) -> None:
    before = own(guests)
    assert {name: guest.reads_after_a_boot() for name, guest in guests.items()} == before
    assert waiting(stack) == set()
    for name, guest in guests.items():
        run = stack.openstack("server", "set", "--unique-serial", guest.id)
        assert "counts at the next hard reboot" in run.stderr
        if name in OBEYING:
            assert len(run.stderr.splitlines()) == 1, run.stderr
        elif HOST_OF[name].driver == STOCK_DRIVER:
            # No trait declares its mode, which decides.
            assert "it depends on the mode of host" in run.stderr
        else:
            assert "does not obey" in run.stderr
    for name, guest in guests.items():
        shown = stack.show(guest.id, *GIVEN)
        assert (shown["server_value"], shown["evidence"]["server"]) == ("true", "server-metadata")
        if name in OBEYING:
            assert (shown["decided_by"], shown["expected_serial"]) == ("server", guest.id)
            assert shown["pending"] is None
        else:
            assert (shown["decided_by"], shown["expected_serial"]) != ("server", guest.id)
            assert shown["pending"] == []
    # Nothing has changed in the guests yet.
    assert {name: guest.reads() for name, guest in guests.items()} == before
    asking = {guests[name].id for name in OBEYING}
    assert waiting(stack) == asking

    restart(guests)
    after = {name: guest.id if name in OBEYING else before[name] for name, guest in guests.items()}
    assert {name: guest.reads_after_a_boot() for name, guest in guests.items()} == after
    assert waiting(stack) == set()

    for guest in guests.values():
        run = stack.openstack("server", "unset", "--unique-serial", guest.id)
        assert "counts at the next hard reboot" in run.stderr
    assert {name: guest.reads() for name, guest in guests.items()} == after
    assert waiting(stack) == asking
    restart(guests)
    assert {name: guest.reads_after_a_boot() for name, guest in guests.items()} == before
    assert waiting(stack) == set()


def test_an_operator_stops_obeying_the_requests(stack: Stack, boot: Callable[..., str]) -> None:
    """The trait goes with the option; the guest keeps its serial number until it is restarted."""
    host = stack.host("auto-1")
    guest = Guest(stack, boot(host=host.name))
    identity = guest.reads_after_a_boot()
    stack.set_metadata(guest.id, **TRUE)
    guest.act("ACTIVE", reboot={"type": "HARD"})
    assert guest.reads_after_a_boot() == guest.id
    try:
        host.restart(server_may_ask=False)
        shown = stack.show(guest.id)
        assert (shown["serial_source"], shown["decided_by"]) == ("host-auto", "host")
        assert "server_may_ask = false" in shown["why"]
        assert guest.reads() == guest.id
        assert waiting(stack) == {guest.id}
        guest.act("ACTIVE", reboot={"type": "HARD"})
        assert guest.reads_after_a_boot() == identity
    finally:
        host.reset()
    assert stack.show(guest.id)["decided_by"] == "server"


def test_an_operator_sets_the_image_property_of_a_server(
    stack: Stack, boot: Callable[..., str]
) -> None:
    """The way without the metadata, which the users of the server cannot take back."""

    def image_property(*words: str) -> subprocess.CompletedProcess[str]:
        layout = stack.layout
        python, config = str(layout.venv / "bin" / "python"), str(layout.nova_conf)
        command = [python, "-m", "nova_uniqserial", "--config-file", config, "image_property"]
        return subprocess.run([*command, *words], capture_output=True, text=True, check=False)

    guest = Guest(stack, boot(host="auto-1"))
    identity = guest.reads_after_a_boot()
    setting = ("set", guest.id, "--property", "hw_unique_serial=true")
    refused = image_property(*setting)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    guest.act("SHUTOFF", **{"os-stop": None})
    done = image_property(*setting)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = stack.show(guest.id)
    assert (shown["image_value"], shown["evidence"]["image"]) == ("true", "frozen")
    assert (shown["expected_serial"], shown["decided_by"]) == (guest.id, "image")
    guest.act("ACTIVE", **{"os-start": None})
    assert guest.reads_after_a_boot() == guest.id
    image = stack.server(guest.id)["image"]["id"]
    guest.act("ACTIVE", rebuild={"imageRef": image})
    assert guest.reads_after_a_boot() == identity
