# SPDX-License-Identifier: Apache-2.0
"""Readings of live guests: typed and inert. Text is untrusted: it is as the source has it."""

from __future__ import annotations

import dataclasses
import enum


class GuestSource(enum.Enum):
    """A source of serial numbers to compare, by the option that names it."""

    LIBVIRT = "libvirt-uri"
    DOMAINS = "domain-xml"
    FACTS = "facts"
    INVENTORY = "inventory"


#: The sources of live serial numbers.
LIVE_SOURCES = frozenset({GuestSource.LIBVIRT, GuestSource.DOMAINS, GuestSource.FACTS})


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """The serial number of a live guest.

    :ivar id: the UUID of its domain; Nova sets it to the server's UUID
    :ivar serial: None without one; empty where a guest reports an empty text
    :ivar source: the file or URI of the reading, for messages
    :ivar host: name of its host's compute service; None when it is unknown
    :ivar generated: time at which Nova generated the XML: "2026-01-01 00:00:00", in UTC; None
        when the source has none
    :ivar persistent: the serial number after the next start of the guest, from its definition
        in libvirt; None when it is the same or unknown
    :ivar name: of its domain
    :ivar nova: the version of Nova that generated the XML; None for other domains
    :ivar why: reason why a fact has no serial number
    """

    id: str
    serial: str | None
    source: str
    host: str | None = None
    generated: str | None = None
    persistent: str | None = None
    name: str = ""
    nova: str | None = None
    why: str = ""

    @property
    def is_domain(self) -> bool:
        """Whether this is a domain of libvirt, not a fact that a guest reported."""
        return bool(self.name or self.host)

    @property
    def swapped_id(self) -> str:
        """The ID with the bytes of its first three fields reversed.

        SMBIOS before version 2.6 did not define their order, and agents report either one.
        """
        low, middle, high, *rest = self.id.split("-")
        fields = (bytes.fromhex(each)[::-1].hex() for each in (low, middle, high))
        return "-".join((*fields, *rest))


@dataclasses.dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read.

    :ivar host: the affected host; None when it is unknown
    """

    source: str
    reason: str
    host: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class HostSeen:
    """A host whose guests were all read.

    :ivar identity: serial numbers of the host itself: its hardware UUID
    """

    source: str
    host: str
    identity: tuple[str, ...] = ()


Seen = Reading | Unread | HostSeen
