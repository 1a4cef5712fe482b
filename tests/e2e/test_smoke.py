# SPDX-License-Identifier: Apache-2.0
"""A guest runs on every host, and reads in its BIOS what libvirt was told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.stack.hosts import HOSTS
from tests.e2e.stack.stack import Stack


@pytest.fixture(scope="module")
def guests(stack: Stack, unique_name: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that returns the guest on a host. All boot at the same time."""
    made = {host.name: stack.create(unique_name(host.name), host.name) for host in HOSTS}
    return made.__getitem__


@pytest.mark.parametrize("host", [host.name for host in HOSTS])
def test_guest_reads_what_libvirt_was_told(
    stack: Stack, guests: Callable[[str], str], host: str
) -> None:
    server = guests(host)
    assert stack.wait(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == host
    _boot, serial = stack.guest_serial(server)
    assert serial == stack.domain_serial(server)
    stack.delete(server)
