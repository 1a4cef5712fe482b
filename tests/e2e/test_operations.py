# SPDX-License-Identifier: Apache-2.0
"""What each operation does to the serial number: the reason for it all.

Two guests go through each: one from a plain flavor and one from a flavor with
hw:unique_serial=true, on hosts in mode auto. The plain one shows its host. The operator's guide has
a table of these tests, by their names.
"""

from __future__ import annotations

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
class Pair:
    """The two guests of a test."""

    plain: Guest
    unique: Guest

    def act(self, status: str, host: str | None = None, **action: Any) -> None:
        """Do the same with both at the same time."""
        for guest in (self.plain, self.unique):
            guest.stack.action(guest.id, **action)
        for guest in (self.plain, self.unique):
            guest.stack.wait(guest.id, status, host)

    def assert_booted_on(self, host: str) -> None:
        """Both booted again: one shows the host, the other its own UUID."""
        assert self.plain.reads_after_a_boot() == identity(host)
        assert self.unique.reads_after_a_boot() == self.unique.id


@pytest.fixture(scope="module")
def unique_flavor(stack: Stack, unique_name: Callable[[str], str]) -> str:
    return stack.new_flavor(unique_name("unique"), {"hw:unique_serial": "true"})


@pytest.fixture(scope="module")
def plain_flavor(stack: Stack, unique_name: Callable[[str], str]) -> str:
    return stack.new_flavor(unique_name("plain"))


@pytest.fixture
def pair(
    stack: Stack, unique_name: Callable[[str], str], plain_flavor: str, unique_flavor: str
) -> Iterator[Pair]:
    """Two guests on the first host, that have booted."""
    made = [
        Guest(stack, stack.create(unique_name("guest"), FIRST, flavor))
        for flavor in (plain_flavor, unique_flavor)
    ]
    for guest in made:
        stack.wait(guest.id, "ACTIVE")
    both = Pair(*made)
    both.assert_booted_on(FIRST)
    yield both
    stack.delete(*(guest.id for guest in made))


def test_cold_migration(stack: Stack, pair: Pair) -> None:
    """The licence charge: the plain guest is another machine afterwards."""
    promised = stack.show(pair.plain.id)
    assert (promised["serial_source"], promised["survives_move"]) == ("host-auto", False)
    pair.act("VERIFY_RESIZE", SECOND, migrate={"host": SECOND})
    pair.assert_booted_on(SECOND)
    pair.act("ACTIVE", SECOND, confirmResize=None)


def test_cold_migration_reverted(pair: Pair) -> None:
    pair.act("VERIFY_RESIZE", SECOND, migrate={"host": SECOND})
    pair.assert_booted_on(SECOND)
    pair.act("ACTIVE", FIRST, revertResize=None)
    pair.assert_booted_on(FIRST)


def test_stop_and_start(pair: Pair) -> None:
    pair.act("SHUTOFF", **{"os-stop": None})
    pair.act("ACTIVE", **{"os-start": None})
    pair.assert_booted_on(FIRST)


def test_hard_reboot(pair: Pair) -> None:
    pair.act("ACTIVE", reboot={"type": "HARD"})
    pair.assert_booted_on(FIRST)


def test_rebuild_with_the_same_image(stack: Stack, pair: Pair) -> None:
    image = stack.server(pair.plain.id)["image"]["id"]
    pair.act("ACTIVE", rebuild={"imageRef": image})
    pair.assert_booted_on(FIRST)


def test_rebuild_with_another_image(
    stack: Stack, pair: Pair, unique_name: Callable[[str], str]
) -> None:
    """An image that says something is applied by a rebuild; the flavor's true stays."""
    asking = stack.new_image(unique_name("asking"), hw_unique_serial="true")
    showing = stack.new_image(unique_name("showing"), hw_unique_serial="false")
    pair.plain.act("ACTIVE", rebuild={"imageRef": asking})
    pair.unique.act("ACTIVE", rebuild={"imageRef": showing})
    assert pair.plain.reads_after_a_boot() == pair.plain.id
    assert pair.unique.reads_after_a_boot() == pair.unique.id
    assert stack.show(pair.plain.id)["image_value"] == "true"
    pair.plain.act("ACTIVE", rebuild={"imageRef": showing})
    assert pair.plain.reads_after_a_boot() == identity(FIRST)


@pytest.fixture(scope="module")
def only_second() -> dict[str, str]:
    """What keeps a resize from all hosts but the second: the first is not allowed to take it."""
    return {
        "trait:CUSTOM_SYSINFO_SERIAL_AUTO": "required",
        "trait:CUSTOM_UNIQUE_SERIAL_KEYS": "required",
    }


def test_resize_to_another_flavor_with_the_key(
    stack: Stack, pair: Pair, unique_name: Callable[[str], str], only_second: dict[str, str]
) -> None:
    """The plain guest gets a serial number of its own, and the unique one keeps it."""
    specs = {"hw:unique_serial": "true", **only_second}
    larger = stack.new_flavor(unique_name("larger"), specs, ram=112)
    pair.act("VERIFY_RESIZE", SECOND, resize={"flavorRef": larger})
    assert pair.plain.reads_after_a_boot() == pair.plain.id
    assert pair.unique.reads_after_a_boot() == pair.unique.id
    pair.plain.act("ACTIVE", FIRST, revertResize=None)
    assert pair.plain.reads_after_a_boot() == identity(FIRST)
    pair.unique.act("ACTIVE", SECOND, confirmResize=None)
    assert pair.unique.reads() == pair.unique.id


def test_resize_to_another_flavor_without_the_key(
    stack: Stack, pair: Pair, unique_name: Callable[[str], str], only_second: dict[str, str]
) -> None:
    """The unique guest loses its serial number, and gets it back by a revert."""
    larger = stack.new_flavor(unique_name("larger"), only_second, ram=112)
    pair.act("VERIFY_RESIZE", SECOND, resize={"flavorRef": larger})
    assert pair.plain.reads_after_a_boot() == identity(SECOND)
    assert pair.unique.reads_after_a_boot() == identity(SECOND)
    assert stack.show(pair.unique.id)["flavor_value"] is None
    pair.act("ACTIVE", FIRST, revertResize=None)
    pair.assert_booted_on(FIRST)


def test_shelve_and_unshelve(
    stack: Stack, pair: Pair, boot: Callable[..., str], unique_name: Callable[[str], str]
) -> None:
    """Also where the image asked and, as the guide advises, snapshots do not inherit that."""
    image = stack.new_image(unique_name("asking"), hw_unique_serial="true")
    by_image = Guest(stack, boot(host=FIRST, image_id=image))
    assert by_image.reads_after_a_boot() == by_image.id
    for guest in (pair.plain, pair.unique, by_image):
        stack.action(guest.id, shelve=None)
    for guest in (pair.plain, pair.unique, by_image):
        stack.wait(guest.id, "SHELVED_OFFLOADED")
    name = stack.server(by_image.id)["name"]
    snapshot = stack.image(stack.image_id(f"{name}-shelved"))
    assert "hw_unique_serial" not in snapshot
    by_image.act("ACTIVE", SECOND, unshelve={"host": SECOND})
    assert by_image.reads_after_a_boot() == by_image.id
    pair.act("ACTIVE", SECOND, unshelve={"host": SECOND})
    pair.assert_booted_on(SECOND)


def test_evacuate(stack: Stack, pair: Pair) -> None:
    stack.fail(FIRST)
    try:
        # From 2.95 on an evacuated server stays stopped.
        pair.act("SHUTOFF", SECOND, evacuate={"host": SECOND})
        pair.act("ACTIVE", SECOND, **{"os-start": None})
        pair.assert_booted_on(SECOND)
    finally:
        stack.recover(FIRST)


def test_rescue_and_unrescue(pair: Pair) -> None:
    """The rescue system reads the same."""
    pair.act("RESCUE", rescue={})
    pair.assert_booted_on(FIRST)
    pair.act("ACTIVE", unrescue=None)
    pair.assert_booted_on(FIRST)


def test_live_migration_and_a_hard_reboot(stack: Stack, pair: Pair) -> None:
    """A guest that moves alive keeps what it had; the plain one changes when it is next started."""
    pair.act("ACTIVE", SECOND, **{"os-migrateLive": {"host": SECOND, "block_migration": "auto"}})
    assert pair.plain.reads() == identity(FIRST)
    assert pair.unique.reads() == pair.unique.id
    pair.act("ACTIVE", reboot={"type": "HARD"})
    pair.assert_booted_on(SECOND)


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
