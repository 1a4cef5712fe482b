# SPDX-License-Identifier: Apache-2.0
"""A plan, its application, and what the guests read after the operations that the plan names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack.hosts import BY_NAME, UNIQUE_SERIAL_DRIVER
from tests.e2e.stack.stack import Stack
from tests.e2e.test_faults import provider
from tests.e2e.test_matrix import serial
from tests.e2e.test_operations import Guest
from tests.functional.guide import remove_stale_traits

#: No trait declares the mode of the host with Nova's own driver.
GIVEN = ("--host-mode", "stock-1=auto")
#: The hosts of the what-if, with the options that carry it out.
WHAT_IF: dict[str, dict[str, object]] = {
    "os-1": {"sysinfo_serial": "unique"},
    "guarded-1": {"server_may_ask": True},
    "stock-1": {"compute_driver": UNIQUE_SERIAL_DRIVER},
}
REBOOT, RESTART = "hard reboot", "restart of nova-compute, then hard reboot"
RESIZE, REBUILD = "resize", "rebuild"
UUID = "instance-uuid"

#: The servers whose serial number changes: before, afterwards, and the operation.
EXPECTED = {
    "asking": ("host-auto", UUID, REBOOT),
    "asking without a serial": ("absent", UUID, REBOOT),
    "not asking any more": (UUID, "host-auto", REBOOT),
    "asking a guarded host": ("host-auto", UUID, RESTART),
    "on a host of another mode": ("host-os", UUID, RESTART),
    "on a host that gets the driver": ("host-auto", UUID, RESTART),
    "of a flavor that asks": ("host-auto", UUID, RESIZE),
    "of a flavor that stops asking": (UUID, "host-auto", RESIZE),
    "of an image that asks": ("host-auto", UUID, REBUILD),
}
#: The others keep what they have.
KEPT = {
    "plain on a host that gets the driver": "host-auto",
    "plain": "host-hardware",
    "of an image that asks, and asking": UUID,
}


class Campaign:
    """The servers, and the flavors and images that the plan changes."""

    def __init__(self, stack: Stack, name: Callable[[str], str]) -> None:
        self.stack = stack
        #: A resize goes to the other host with the driver in mode auto.
        on_auto = {
            "trait:CUSTOM_SYSINFO_SERIAL_AUTO": "required",
            "trait:CUSTOM_UNIQUE_SERIAL_KEYS": "required",
        }
        asks = {"hw:unique_serial": "true"}
        # Each with another size: Nova resizes to no equal flavor.
        self.rising = name("rising")
        first_rising, self.second_rising = (
            stack.new_flavor(f"{self.rising}-{ram}", on_auto, ram=ram) for ram in (96, 112)
        )
        self.falling = name("falling")
        first_falling, self.second_falling = (
            stack.new_flavor(f"{self.falling}-{ram}", {**on_auto, **asks}, ram=ram)
            for ram in (96, 112)
        )
        unique = stack.new_flavor(name("unique"), asks)
        hostly = stack.new_flavor(name("hostly"), {"hw:unique_serial": "false"})
        self.image = stack.new_image(name("asking"))

        def create(host: str, **options: str | None) -> Guest:
            return Guest(stack, stack.create(name("guest"), host, **options))

        self.guests = {
            "asking": create("auto-1"),
            "asking without a serial": create("none-1"),
            "not asking any more": create("auto-1", unique_serial="true"),
            "asking a guarded host": create("guarded-1", flavor=hostly),
            "on a host of another mode": create("os-1"),
            "on a host that gets the driver": create("stock-1", flavor=unique),
            "of a flavor that asks": create("auto-1", flavor=first_rising),
            "of a flavor that stops asking": create("auto-1", flavor=first_falling),
            "of an image that asks": create("auto-1", image=self.image),
            "plain on a host that gets the driver": create("stock-1"),
            "plain": create("hardware-1"),
            "of an image that asks, and asking": create(
                "auto-2", image=self.image, unique_serial="true"
            ),
        }
        for guest in self.guests.values():
            stack.wait(guest.id, "ACTIVE")

    def desired(self) -> str:
        """The file with the desired state."""
        asking = ("asking", "asking without a serial", "asking a guarded host")
        lines = [
            "flavors:",
            f"  - {{glob: '{self.rising}-*', unique_serial: true}}",
            f"  - {{glob: '{self.falling}-*', unique_serial: unset}}",
            "images:",
            f"  - {{id: {self.image}, unique_serial: true}}",
            "servers:",
            *(f"  - {{id: {self.guests[name].id}, unique_serial: true}}" for name in asking),
            f"  - {{id: {self.guests['not asking any more'].id}, unique_serial: unset}}",
            "hosts:",
            "  - {name: os-1, mode: unique}",
            "  - {name: guarded-1, server_may_ask: true}",
            "  - {name: stock-1, driver: true}",
        ]
        return "\n".join(lines) + "\n"

    def reboot(self) -> None:
        """Do what a server needs that changed in itself, or on its host."""
        for guest in self.guests.values():
            self.stack.action(guest.id, reboot={"type": "HARD"})
        for guest in self.guests.values():
            self.stack.wait(guest.id, "ACTIVE")

    def reads(self, names: list[str] | None = None) -> dict[str, str | None]:
        """What the guests read after their next boot."""
        return {name: self.guests[name].reads_after_a_boot() for name in names or self.guests}

    def serial(self, name: str, source: str) -> str | None:
        """The serial number that a source is on the present host of a server."""
        guest = self.guests[name]
        host = self.stack.server(guest.id)["OS-EXT-SRV-ATTR:host"]
        return serial(BY_NAME[host], source, guest.id)


@pytest.fixture
def campaign(stack: Stack, unique_name: Callable[[str], str]) -> Iterator[Campaign]:
    made = Campaign(stack, unique_name)
    yield made
    for host in WHAT_IF:
        stack.host(host).reset()
    # Nova keeps the traits of a driver that is gone.
    remove_stale_traits(stack, provider(stack, "stock-1"))
    stack.delete(*(guest.id for guest in made.guests.values()))


def run(stack: Stack, code: int, command: str, *words: str) -> tuple[list[dict[str, Any]], str]:
    """Run plan or apply and return the rows, and what is on standard error."""
    done = stack.openstack("unique", "serial", command, "-f", "json", *words, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_guests_read_what_was_planned(stack: Stack, campaign: Campaign, tmp_path: Path) -> None:
    file, journal = tmp_path / "desired.yaml", tmp_path / "journal"
    file.write_text(campaign.desired())
    sources = {**{name: now for name, (now, _then, _when) in EXPECTED.items()}, **KEPT}
    assert campaign.reads() == {name: campaign.serial(name, sources[name]) for name in sources}

    listed, _said = run(stack, 3, "plan", "--servers", str(file), *GIVEN)
    names = {guest.id: name for name, guest in campaign.guests.items()}
    assert {
        names[row["id"]]: (row["now"], row["then"], row["when"])
        for row in listed
        if row["id"] in names
    } == EXPECTED

    done, said = run(stack, 0, "apply", "--yes", "--journal", str(journal), str(file), *GIVEN)
    assert {row["result"] for row in done} == {"done"}
    for host in WHAT_IF:
        assert host in said
    for host, options in WHAT_IF.items():
        stack.host(host).restart(**options)
    campaign.reboot()

    planned = {name: then for name, (_now, then, _when) in EXPECTED.items()}
    rebooted = {
        name: planned[name] if name in EXPECTED and EXPECTED[name][2] in (REBOOT, RESTART) else now
        for name, now in sources.items()
    }
    assert campaign.reads() == {name: campaign.serial(name, rebooted[name]) for name in rebooted}

    campaign.guests["of a flavor that asks"].act(
        "VERIFY_RESIZE", resize={"flavorRef": campaign.second_rising}
    )
    campaign.guests["of a flavor that stops asking"].act(
        "VERIFY_RESIZE", resize={"flavorRef": campaign.second_falling}
    )
    campaign.guests["of an image that asks"].act("ACTIVE", rebuild={"imageRef": campaign.image})
    last = [name for name in EXPECTED if name.startswith("of ")]
    assert campaign.reads(last) == {name: campaign.serial(name, planned[name]) for name in last}

    # Nothing is left to do, also on the hosts.
    assert run(stack, 0, "plan", str(file), *GIVEN)[0] == []
    undone, _said = run(stack, 0, "apply", "--yes", "--undo", str(journal))
    assert len(undone) == len(done)
    assert stack.server(campaign.guests["asking"].id)["metadata"] == {}
    asked = stack.server(campaign.guests["not asking any more"].id)["metadata"]
    assert asked == {"hw_unique_serial": "true"}
    assert "hw:unique_serial" not in stack.extra_specs(campaign.second_rising)
    assert stack.extra_specs(campaign.second_falling)["hw:unique_serial"] == "true"
    assert "hw_unique_serial" not in stack.image(campaign.image)
