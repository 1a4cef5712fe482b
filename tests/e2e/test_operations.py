# SPDX-License-Identifier: Apache-2.0
"""What each operation does to the serial number: the reason for it all.

Three guests go through each, on hosts in mode auto: one from a plain flavor, one from a flavor with
hw:unique_serial=true, and one from the plain flavor whose metadata ask for a serial number since
after its boot. The plain one shows its host. The manual has a table of these tests, by their names.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.stack.hosts import BY_NAME
from tests.e2e.stack.stack import Stack

#: The hosts, both in mode auto.
FIRST, SECOND = "auto-1", "auto-2"
#: Its compute driver is Nova's own.
STOCK = "stock-1"


def identity(host: str) -> str:
    """What a guest shows that shows its host."""
    return str(uuid.UUID(BY_NAME[host].machine_id))


@dataclass
class Guest:
    """A server and the last boot that was seen of it."""

    stack: Stack
    id: str
    boot: str | None = None

    def act(self, status: str, host: str | None = None, **action: Any) -> None:
        """Send an action and wait for what it leads to."""
        self.stack.action(self.id, **action)
        self.stack.wait(self.id, status, host)

    def reads_after_a_boot(self) -> str | None:
        """The serial that the guest reads after its next boot; libvirt has the same."""
        self.boot, serial = self.stack.guest_serial(self.id, after=self.boot)
        assert self.stack.domain_serial(self.id) == serial
        return serial

    def reads(self) -> str | None:
        """The serial that the guest reads, which has not booted again."""
        boot, serial = self.stack.guest_serial(self.id)
        assert boot == self.boot, "the guest booted again"
        assert self.stack.domain_serial(self.id) == serial
        return serial


@dataclass
class Guests:
    """The three guests of a test."""

    plain: Guest
    unique: Guest
    asking: Guest

    def act(self, status: str, host: str | None = None, **action: Any) -> None:
        """Do the same with all at the same time."""
        for guest in (self.plain, self.unique, self.asking):
            guest.stack.action(guest.id, **action)
        for guest in (self.plain, self.unique, self.asking):
            guest.stack.wait(guest.id, status, host)

    def assert_booted_on(self, host: str) -> None:
        """All booted again: one shows the host, the others their own UUIDs."""
        assert self.plain.reads_after_a_boot() == identity(host)
        assert self.unique.reads_after_a_boot() == self.unique.id
        assert self.asking.reads_after_a_boot() == self.asking.id


@pytest.fixture(scope="module")
def unique_flavor(stack: Stack, unique_name: Callable[[str], str]) -> str:
    return stack.new_flavor(unique_name("unique"), {"hw:unique_serial": "true"})


@pytest.fixture(scope="module")
def plain_flavor(stack: Stack, unique_name: Callable[[str], str]) -> str:
    return stack.new_flavor(unique_name("plain"))


@pytest.fixture
def guests(
    stack: Stack, unique_name: Callable[[str], str], plain_flavor: str, unique_flavor: str
) -> Iterator[Guests]:
    """Three guests on the first host, that have booted; the last one asks since then."""
    made = [
        Guest(stack, stack.create(unique_name("guest"), FIRST, flavor))
        for flavor in (plain_flavor, unique_flavor, plain_flavor)
    ]
    for guest in made:
        stack.wait(guest.id, "ACTIVE")
    serials = [guest.reads_after_a_boot() for guest in made]
    assert serials == [identity(FIRST), made[1].id, identity(FIRST)]
    stack.set_metadata(made[2].id, hw_unique_serial="true")
    yield Guests(*made)
    stack.delete(*(guest.id for guest in made))


def test_cold_migration(stack: Stack, guests: Guests) -> None:
    """The licence charge: the plain guest is another machine afterwards."""
    promised = stack.show(guests.plain.id)
    assert (promised["serial_source"], promised["survives_move"]) == ("host-auto", False)
    guests.act("VERIFY_RESIZE", SECOND, migrate={"host": SECOND})
    guests.assert_booted_on(SECOND)
    guests.act("ACTIVE", SECOND, confirmResize=None)


def test_cold_migration_reverted(guests: Guests) -> None:
    guests.act("VERIFY_RESIZE", SECOND, migrate={"host": SECOND})
    guests.assert_booted_on(SECOND)
    guests.act("ACTIVE", FIRST, revertResize=None)
    guests.assert_booted_on(FIRST)


def test_stop_and_start(guests: Guests) -> None:
    guests.act("SHUTOFF", **{"os-stop": None})
    guests.act("ACTIVE", **{"os-start": None})
    guests.assert_booted_on(FIRST)


def test_hard_reboot(guests: Guests) -> None:
    guests.act("ACTIVE", reboot={"type": "HARD"})
    guests.assert_booted_on(FIRST)


def test_rebuild_with_the_same_image(stack: Stack, guests: Guests) -> None:
    image = stack.server(guests.plain.id)["image"]["id"]
    guests.act("ACTIVE", rebuild={"imageRef": image})
    guests.assert_booted_on(FIRST)


def test_rebuild_with_another_image(
    stack: Stack, guests: Guests, unique_name: Callable[[str], str]
) -> None:
    """An image that says something is applied by a rebuild; the flavor's true stays."""
    asking = stack.new_image(unique_name("asking"), hw_unique_serial="true")
    showing = stack.new_image(unique_name("showing"), hw_unique_serial="false")
    guests.plain.act("ACTIVE", rebuild={"imageRef": asking})
    guests.unique.act("ACTIVE", rebuild={"imageRef": showing})
    guests.asking.act("ACTIVE", rebuild={"imageRef": showing})
    assert guests.plain.reads_after_a_boot() == guests.plain.id
    assert guests.unique.reads_after_a_boot() == guests.unique.id
    assert guests.asking.reads_after_a_boot() == guests.asking.id
    assert stack.show(guests.plain.id)["image_value"] == "true"
    guests.plain.act("ACTIVE", rebuild={"imageRef": showing})
    assert guests.plain.reads_after_a_boot() == identity(FIRST)


def test_rebuild_with_other_metadata(stack: Stack, guests: Guests) -> None:
    """The metadata of a rebuild replace those of the server, and so remove its request."""
    image = stack.server(guests.asking.id)["image"]["id"]
    guests.act("ACTIVE", rebuild={"imageRef": image, "metadata": {"other": "metadata"}})
    assert guests.plain.reads_after_a_boot() == identity(FIRST)
    assert guests.unique.reads_after_a_boot() == guests.unique.id
    assert guests.asking.reads_after_a_boot() == identity(FIRST)
    assert stack.show(guests.asking.id)["server_value"] is None


@pytest.fixture(scope="module")
def only_second() -> dict[str, str]:
    """What keeps a resize from all hosts but the second: the first is not allowed to take it."""
    return {
        "trait:CUSTOM_SYSINFO_SERIAL_AUTO": "required",
        "trait:CUSTOM_UNIQUE_SERIAL_KEYS": "required",
    }


def test_resize_to_another_flavor_with_the_key(
    stack: Stack, guests: Guests, unique_name: Callable[[str], str], only_second: dict[str, str]
) -> None:
    """The plain guest gets a serial number of its own, which a revert takes back."""
    specs = {"hw:unique_serial": "true", **only_second}
    larger = stack.new_flavor(unique_name("larger"), specs, ram=112)
    guests.act("VERIFY_RESIZE", SECOND, resize={"flavorRef": larger})
    for guest in (guests.plain, guests.unique, guests.asking):
        assert guest.reads_after_a_boot() == guest.id
    guests.plain.act("ACTIVE", FIRST, revertResize=None)
    assert guests.plain.reads_after_a_boot() == identity(FIRST)
    guests.asking.act("ACTIVE", FIRST, revertResize=None)
    assert guests.asking.reads_after_a_boot() == guests.asking.id
    guests.unique.act("ACTIVE", SECOND, confirmResize=None)
    assert guests.unique.reads() == guests.unique.id


def test_resize_to_another_flavor_without_the_key(
    stack: Stack, guests: Guests, unique_name: Callable[[str], str], only_second: dict[str, str]
) -> None:
    """Only the server's own request does not depend on the flavor; a revert gives the UUID back."""
    larger = stack.new_flavor(unique_name("larger"), only_second, ram=112)
    guests.act("VERIFY_RESIZE", SECOND, resize={"flavorRef": larger})
    assert guests.plain.reads_after_a_boot() == identity(SECOND)
    assert guests.unique.reads_after_a_boot() == identity(SECOND)
    assert guests.asking.reads_after_a_boot() == guests.asking.id
    assert stack.show(guests.unique.id)["flavor_value"] is None
    guests.act("ACTIVE", FIRST, revertResize=None)
    guests.assert_booted_on(FIRST)


def test_shelve_and_unshelve(
    stack: Stack, guests: Guests, boot: Callable[..., str], unique_name: Callable[[str], str]
) -> None:
    """Also where the image asked and, as the guide advises, snapshots do not inherit that."""
    image = stack.new_image(unique_name("asking"), hw_unique_serial="true")
    by_image = Guest(stack, boot(host=FIRST, image_id=image))
    assert by_image.reads_after_a_boot() == by_image.id
    for guest in (guests.plain, guests.unique, guests.asking, by_image):
        stack.action(guest.id, shelve=None)
    for guest in (guests.plain, guests.unique, guests.asking, by_image):
        stack.wait(guest.id, "SHELVED_OFFLOADED")
    name = stack.server(by_image.id)["name"]
    snapshot = stack.image(stack.image_id(f"{name}-shelved"))
    assert "hw_unique_serial" not in snapshot
    by_image.act("ACTIVE", SECOND, unshelve={"host": SECOND})
    assert by_image.reads_after_a_boot() == by_image.id
    guests.act("ACTIVE", SECOND, unshelve={"host": SECOND})
    guests.assert_booted_on(SECOND)


def test_evacuate(stack: Stack, guests: Guests) -> None:
    stack.fail(FIRST)
    try:
        # From 2.95 on an evacuated server stays stopped.
        guests.act("SHUTOFF", SECOND, evacuate={"host": SECOND})
        guests.act("ACTIVE", SECOND, **{"os-start": None})
        guests.assert_booted_on(SECOND)
    finally:
        stack.recover(FIRST)


def test_rescue_and_unrescue(guests: Guests) -> None:
    """Nova keeps the definition of before the rescue, and starts the guest with that again."""
    guests.act("RESCUE", rescue={})
    guests.assert_booted_on(FIRST)
    guests.act("ACTIVE", unrescue=None)
    assert guests.plain.reads_after_a_boot() == identity(FIRST)
    assert guests.unique.reads_after_a_boot() == guests.unique.id
    assert guests.asking.reads_after_a_boot() == identity(FIRST)


def test_soft_reboot_pause_and_suspend(stack: Stack, guests: Guests) -> None:
    """None of them makes a new definition."""
    stack.action(guests.asking.id, reboot={"type": "SOFT"})
    while stack.server(guests.asking.id)["OS-EXT-STS:task_state"] != "reboot_started":
        time.sleep(0.2)
    # Nova now asks the guest to shut down, and starts it again when it is off. This one does not
    # react to the power button.
    time.sleep(3)
    stack.host(FIRST).virsh("destroy", guests.asking.id)
    stack.wait(guests.asking.id, "ACTIVE")
    log = stack.layout.host(FIRST).compute_log.read_text()
    assert f"{guests.asking.id}] Instance soft rebooted successfully" in log
    assert guests.asking.reads_after_a_boot() == identity(FIRST)
    for status, begin, end in (("PAUSED", "pause", "unpause"), ("SUSPENDED", "suspend", "resume")):
        guests.act(status, **{begin: None})
        guests.act("ACTIVE", **{end: None})
        assert guests.plain.reads() == identity(FIRST)
        assert guests.unique.reads() == guests.unique.id
        assert guests.asking.reads() == identity(FIRST)


def test_live_migration_and_a_hard_reboot(stack: Stack, guests: Guests) -> None:
    """A guest that moves alive keeps what it had; the plain one changes when it is next started."""
    guests.act("ACTIVE", SECOND, **{"os-migrateLive": {"host": SECOND, "block_migration": "auto"}})
    assert guests.plain.reads() == identity(FIRST)
    assert guests.unique.reads() == guests.unique.id
    assert guests.asking.reads() == identity(FIRST)
    guests.act("ACTIVE", reboot={"type": "HARD"})
    guests.assert_booted_on(SECOND)


def test_a_changed_flavor_waits_for_a_resize(
    stack: Stack, boot: Callable[..., str], unique_name: Callable[[str], str]
) -> None:
    flavor = stack.new_flavor(unique_name("changing"), {"hw:unique_serial": "true"})
    guest = Guest(stack, boot(host=FIRST, flavor_id=flavor))
    assert guest.reads_after_a_boot() == guest.id
    stack.openstack("flavor", "set", "--no-unique-serial", flavor)
    guest.act("ACTIVE", reboot={"type": "HARD"})
    assert guest.reads_after_a_boot() == guest.id
    (pending,) = stack.show(guest.id)["pending"]
    assert (pending["input"], pending["next"], pending["applied_by"]) == (
        "flavor",
        "false",
        "resize",
    )


def test_a_changed_host_mode_waits_for_a_start(stack: Stack, boot: Callable[..., str]) -> None:
    """The driver reports the new mode at once, and its trait takes the place of the old one."""
    guest = Guest(stack, boot(host=FIRST))
    assert guest.reads_after_a_boot() == identity(FIRST)
    try:
        stack.host(FIRST).restart(sysinfo_serial="unique")
        assert guest.reads() == identity(FIRST)
        assert stack.show(guest.id)["host_mode"] == "unique"
        guest.act("ACTIVE", reboot={"type": "HARD"})
        assert guest.reads_after_a_boot() == guest.id
    finally:
        stack.host(FIRST).reset()
    assert stack.show(guest.id)["host_mode"] == "auto"


@pytest.mark.parametrize(
    ("host", "lacks"),
    [(STOCK, "CUSTOM_UNIQUE_SERIAL"), (FIRST, "CUSTOM_SYSINFO_SERIAL_NONE")],
)
def test_a_rebuild_that_no_host_may_take(
    stack: Stack,
    boot: Callable[..., str],
    unique_name: Callable[[str], str],
    host: str,
    lacks: str,
) -> None:
    """The guest goes on, but Nova keeps what the refused image says, for the next start."""
    demanding = stack.new_image(
        unique_name("demanding"),
        **{"hw_unique_serial": "true", f"trait:{lacks}": "required"},
    )
    guest = Guest(stack, boot(host=host))
    plain = stack.server(guest.id)["image"]["id"]
    assert guest.reads_after_a_boot() == identity(host)
    guest.act("ERROR", rebuild={"imageRef": demanding})
    assert "No valid host" in stack.server(guest.id)["fault"]["message"]
    assert guest.reads() == identity(host)
    stack.openstack("server", "set", "--auto-approve", "--state", "active", guest.id)
    stack.wait(guest.id, "ACTIVE")
    assert guest.reads() == identity(host)

    told = stack.show(guest.id)
    assert (told["image_value"], told["evidence"]["image"]) == ("true", "frozen")
    guest.act("ACTIVE", reboot={"type": "HARD"})
    assert guest.reads_after_a_boot() == (guest.id if host == FIRST else identity(host))
    guest.act("ACTIVE", rebuild={"imageRef": plain})
    assert stack.show(guest.id)["image_value"] is None
    assert guest.reads_after_a_boot() == identity(host)
