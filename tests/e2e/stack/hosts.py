# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of the stack: the one table that everything else reads."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.e2e.stack.layout import Layout

UNIQUE_SERIAL_DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
STOCK_DRIVER = "libvirt.LibvirtDriver"


@dataclass(frozen=True)
class Host:
    """One compute host.

    ``mode`` is its [libvirt]sysinfo_serial, ``options`` are further settings of its nova.conf
    as section -> option -> value.
    """

    name: str
    mode: str
    driver: str = UNIQUE_SERIAL_DRIVER
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def address(self, layout: Layout) -> str:
        """Where libvirtd and migrating guests listen: another one on every host of every stack."""
        # The ports are the same everywhere, so stacks must not share addresses.
        first, second = hashlib.sha256(os.fspath(layout.root).encode()).digest()[:2]
        return f"127.{100 + first % 100}.{second}.{10 + HOSTS.index(self)}"

    @property
    def machine_id(self) -> str:
        """The text of /etc/machine-id: always the same for a name, so that failures repeat."""
        return uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.machine-id").hex

    @property
    def hardware_uuid(self) -> str:
        """What libvirt says is the UUID of the host's hardware."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.hardware"))


HOSTS: tuple[Host, ...] = (
    Host("unique-1", "unique"),
    Host("auto-1", "auto"),
    Host("auto-2", "auto"),
    Host("os-1", "os"),
    Host("hardware-1", "hardware"),
    Host("none-1", "none"),
    # The operator lets neither images show the host's identity nor servers ask for their own.
    Host(
        "guarded-1",
        "unique",
        options={"unique_serial": {"image_may_show_host": False, "server_may_ask": False}},
    ),
    # Released Nova: it does not know the keys.
    Host("stock-1", "auto", STOCK_DRIVER),
)

BY_NAME = {host.name: host for host in HOSTS}
