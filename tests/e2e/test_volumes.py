# SPDX-License-Identifier: Apache-2.0
"""Servers whose root disk is a volume: which image properties their guests follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.stack.hosts import HOSTS
from tests.e2e.stack.stack import FLAVOR, IMAGE, Stack

Names = Callable[[str], str]
Boot = Callable[..., str]

#: In mode auto, with our driver.
HOST = "auto-1"


@pytest.fixture
def booted(stack: Stack, unique_name: Names) -> Iterator[Boot]:
    """Return a function that boots a server from a volume, or from an image of Nova's volume."""
    made: list[str] = []

    def boot(volume: str | None = None, image: str | None = None) -> str:
        name, flavor = unique_name("volume-backed"), stack.flavor_id(FLAVOR)
        if image is not None:
            made.append(stack.boot_from_new_volume(name, flavor, image, HOST))
        else:
            assert volume is not None
            made.append(stack.boot_from_volumes(name, flavor, volume, host=HOST))
        return made[-1]

    yield boot
    stack.delete(*made)


def restart(stack: Stack, server: str, before: str) -> tuple[str, str | None]:
    """Hard reboot a server; return its boot and the serial number that it reads."""
    stack.action(server, reboot={"type": "HARD"})
    stack.wait(server, "ACTIVE")
    return stack.guest_serial(server, after=before)


def findings(stack: Stack) -> str:
    """Return what `verify` finds on the host."""
    (host,) = [each for each in HOSTS if each.name == HOST]
    uri = f"qemu+tcp://{host.address(stack.layout)}/system"
    command = ("unique", "serial", "verify", "--libvirt-uri", uri, "-f", "value", "-c", "id")
    return stack.openstack(*command, check=False).stdout


def test_the_property_of_a_volume_counts_for_servers_that_are_built_later(
    stack: Stack, booted: Boot, unique_name: Names
) -> None:
    root = stack.new_volume(unique_name("root"), stack.image_id(IMAGE))
    first = booted(volume=root)
    boot, shown_before = stack.guest_serial(first)
    assert shown_before not in (None, first)

    stack.openstack("volume", "set", "--image-property", "hw_unique_serial=true", root)
    shown = stack.show(first)
    assert (shown["image_value"], shown["serial_source"]) == (None, "unknown")
    boot, serial = restart(stack, first, boot)
    assert serial == shown_before
    for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE")):
        stack.action(first, **{action: None})
        stack.wait(first, status)
    assert stack.guest_serial(first, after=boot)[1] == shown_before
    # Nova may have taken the property from the volume: the host is not accused.
    assert findings(stack).split() == ["expectation-unknown"]

    stack.delete(first)
    stack.wait_for_volume(root)
    second = booted(volume=root)
    boot, serial = stack.guest_serial(second)
    assert serial == second
    assert findings(stack).split() == ["expectation-unknown"]
    # A rebuild takes the properties of the image that it is given, not of the volume.
    stack.action(second, rebuild={"imageRef": stack.image_id(IMAGE)})
    stack.wait(second, "ACTIVE")
    assert stack.guest_serial(second, after=boot)[1] == shown_before


def test_a_volume_that_nova_makes_from_an_image(
    stack: Stack, booted: Boot, unique_name: Names
) -> None:
    server = booted(image=stack.new_image(unique_name("unique"), hw_unique_serial="true"))
    boot, serial = stack.guest_serial(server)
    assert serial == server
    (root,) = stack.server(server)["os-extended-volumes:volumes_attached"]
    stack.openstack("volume", "set", "--image-property", "hw_unique_serial=false", root["id"])
    shown = stack.show(server)
    assert (shown["image_value"], shown["serial_source"]) == ("true", "instance-uuid")
    assert restart(stack, server, boot)[1] == server
    assert findings(stack).split() == []


def test_the_request_of_a_server_that_boots_from_a_volume(
    stack: Stack, booted: Boot, unique_name: Names
) -> None:
    root = stack.new_volume(unique_name("root"), stack.image_id(IMAGE))
    server = booted(volume=root)
    boot, shown_before = stack.guest_serial(server)
    assert shown_before not in (None, server)
    stack.set_metadata(server, hw_unique_serial="true")
    # Whatever Nova took from the volume.
    shown = stack.show(server)
    assert (shown["image_value"], shown["expected_serial"]) == (None, server)
    assert shown["pending"] is None
    assert findings(stack).split() == ["pending-restart"]
    boot, serial = restart(stack, server, boot)
    assert serial == server
    assert findings(stack).split() == []
    stack.openstack("server", "unset", "--unique-serial", server)
    assert restart(stack, server, boot)[1] == shown_before
