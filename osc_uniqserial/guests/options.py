# SPDX-License-Identifier: Apache-2.0
"""The sources of serial numbers that options name.

A source of live serial numbers yields readings. Parts that it cannot read are values too: it raises
no errors. An inventory is read completely, or refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from osc_uniqserial.guests import files, inventory, libvirt
from osc_uniqserial.model.cloud import Fleet
from osc_uniqserial.model.guest import LIVE_SOURCES, GuestSource, Seen
from osc_uniqserial.model.inventory import Inventory

_ONCE = "Standard input (-) can be read once only"


class CannotOpen(Exception):
    """The sources cannot be read; the message has the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class GuestSources:
    """Sources of serial numbers to compare: live ones, and those of an inventory.

    :ivar libvirt_uris: URIs of read-only connections; ``{host}`` stands for each compute host
    :ivar domain_xml: files or folders with output of ``virsh dumpxml``; ``-``: standard input
    :ivar facts: files of JSON with uuid and serial; ``-``: standard input
    :ivar timeout: seconds for all requests of one connection to libvirt
    :ivar inventory: a file of CSV or JSON with serial numbers by UUID or name; ``-``: standard
        input
    """

    libvirt_uris: Sequence[str] = ()
    domain_xml: Sequence[str] = ()
    facts: Sequence[str] = ()
    timeout: float = libvirt.TIMEOUT
    inventory: str | None = None

    def __bool__(self) -> bool:
        """Whether any source is given."""
        return bool(self.kinds)

    @property
    def kinds(self) -> frozenset[GuestSource]:
        """The kinds of the given sources."""
        given = {
            GuestSource.LIBVIRT: self.libvirt_uris,
            GuestSource.DOMAINS: self.domain_xml,
            GuestSource.FACTS: self.facts,
            GuestSource.INVENTORY: self.inventory,
        }
        return frozenset(kind for kind, what in given.items() if what)

    @property
    def live(self) -> bool:
        """Whether any source of live serial numbers is given."""
        return not self.kinds.isdisjoint(LIVE_SOURCES)

    def read_inventory(self) -> Inventory | None:
        """Return the inventory; None without one.

        :raises CannotOpen: when it cannot be read, or any line of it is wrong
        """
        if self.inventory is None:
            return None
        if "-" in (*self.domain_xml, *self.facts) and self.inventory == "-":
            raise CannotOpen(_ONCE)
        try:
            return inventory.read(self.inventory)
        except inventory.BadInventory as error:
            raise CannotOpen(f"--inventory: {self.inventory}: {error}") from error

    def opened(self, fleet: Fleet | None) -> tuple[list[Iterable[Seen]], list[str]]:
        """Return the sources of live serial numbers and notes; iterating over one reads it.

        :param fleet: the compute hosts; None when they could not be read
        :raises CannotOpen: when a source cannot be read
        """
        # Other hosts have no libvirt, or guests without a serial number.
        hypervisors = [
            host.hypervisor
            for host in (fleet.hosts if fleet else ())
            if host.hypervisor.is_libvirt_qemu
        ]
        if any("{host}" in uri for uri in self.libvirt_uris) and not hypervisors:
            raise CannotOpen(
                "The compute hosts could not be read, so {host} stands for nothing; give the URIs"
            )
        if [*self.domain_xml, *self.facts].count("-") > 1:
            raise CannotOpen(_ONCE)
        sources: list[Iterable[Seen]] = []
        notes: list[str] = []
        if self.libvirt_uris:
            uris, unusable = libvirt.expand(self.libvirt_uris, [each.host for each in hypervisors])
            notes = [f"host {host!r} has no name that can stand in a URI" for host in unusable]
            names = {each.hostname: each.host for each in hypervisors}
            sources.append(libvirt.Libvirt(uris, self.timeout, names))
        sources += [files.saved_domains(path) for path in self.domain_xml]
        sources += [files.facts(path) for path in self.facts]
        return sources, notes
