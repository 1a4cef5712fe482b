# SPDX-License-Identifier: Apache-2.0
"""Every combination of flavor, image and host, and requests of servers beside them.

What was promised is what the guest reads.

The guest is the judge: ``unique serial show``, libvirt and the specification must agree with it.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.stack.hosts import BY_NAME, HOSTS, STOCK_DRIVER, Host
from tests.e2e.stack.stack import Stack

#: What flavor and image say: nothing, true, false, and what is none of them.
SAYS = (None, "true", "false")
JUNK = "banana"


#: What flavor, image and server say.
COMBINATIONS = (
    *((flavor, image, None) for flavor, image in itertools.product(SAYS, repeat=2)),
    (None, None, "true"),
    ("false", "false", "true"),
    # Means nothing, as junk does: no tenant can show a host by it.
    (None, None, "false"),
    (JUNK, JUNK, JUNK),
)
Says = tuple[str | None, str | None, str | None]


def expected(host: Host, flavor: str | None, image: str | None, server: str | None = None) -> str:
    """The serial source by the specification, written down a second time on purpose."""
    own = {
        "unique": "instance-uuid",
        "auto": "host-auto",
        "os": "host-os",
        "hardware": "host-hardware",
        "none": "absent",
    }
    if host.driver == STOCK_DRIVER:
        return own[host.mode]
    options = host.options.get("unique_serial", {})
    asks = server == "true" and options.get("server_may_ask", True)
    if asks or "true" in (flavor, image):
        return "instance-uuid"
    image_counts = options.get("image_may_show_host", True)
    if flavor == "false" or (image == "false" and image_counts):
        return own["auto" if host.mode == "unique" else host.mode]
    return own[host.mode]


def serial(host: Host, source: str, server: str) -> str | None:
    """The serial number itself, from the table of hosts."""
    machine_id = str(uuid.UUID(host.machine_id))
    return {
        "instance-uuid": server,
        "host-auto": machine_id,
        "host-os": machine_id,
        "host-hardware": host.hardware_uuid,
        "absent": None,
    }[source]


@pytest.fixture(scope="module")
def flavors(stack: Stack, unique_name: Callable[[str], str]) -> dict[str | None, str]:
    """A flavor for everything that one can say."""
    return {
        says: stack.new_flavor(unique_name("says"), {"hw:unique_serial": says} if says else None)
        for says in (*SAYS, JUNK)
    }


@pytest.fixture(scope="module")
def images(stack: Stack, unique_name: Callable[[str], str]) -> dict[str | None, str]:
    """An image for everything that one can say."""
    return {
        says: stack.new_image(unique_name("says"), **({"hw_unique_serial": says} if says else {}))
        for says in (*SAYS, JUNK)
    }


#: A second host of the same kind is there to move to.
JUDGED = [host.name for host in HOSTS if host.name != "auto-2"]


@pytest.fixture(scope="module", params=JUDGED)
def guests(
    stack: Stack,
    unique_name: Callable[[str], str],
    flavors: dict[str | None, str],
    images: dict[str | None, str],
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Host, dict[Says, str]]]:
    """All guests of one host: they boot at the same time."""
    host = BY_NAME[request.param]
    made = {
        (flavor, image, server): stack.create(
            unique_name(host.name), host.name, flavors[flavor], images[image], server
        )
        for flavor, image, server in COMBINATIONS
    }
    yield host, made
    stack.delete(*made.values())


@pytest.mark.parametrize(("flavor", "image", "metadata"), COMBINATIONS)
def test_the_guest_has_what_was_promised(
    stack: Stack,
    guests: tuple[Host, dict[Says, str]],
    flavor: str | None,
    image: str | None,
    metadata: str | None,
) -> None:
    host, servers = guests
    server = servers[flavor, image, metadata]
    stack.wait(server, "ACTIVE")
    source = expected(host, flavor, image, metadata)

    promised = stack.show(server)
    assert promised["host"] == host.name
    assert promised["host_honours"] is (host.driver != STOCK_DRIVER)
    assert promised["host_mode"] == (None if host.driver == STOCK_DRIVER else host.mode)
    assert (promised["flavor_value"], promised["image_value"]) == (flavor, image)
    assert promised["server_value"] == metadata
    if image is not None:
        assert promised["evidence"]["image"] == "frozen"
    if host.driver == STOCK_DRIVER:
        # None of its traits declares the mode: it is unknown until --host-mode gives it.
        assert promised["serial_source"] == "unknown"
        promised = stack.show(server, "--host-mode", f"{host.name}={host.mode}")
    assert promised["serial_source"] == source

    _boot, read = stack.guest_serial(server)
    assert read == serial(host, source, server)
    assert stack.domain_serial(server) == read
    if source in ("instance-uuid", "absent"):
        assert promised["expected_serial"] == read
