# SPDX-License-Identifier: Apache-2.0
"""What was read about live guests, typed and inert. Text is as a source has it: untrusted."""

from __future__ import annotations

import dataclasses
import enum


class GuestSource(enum.Enum):
    """A source of live serial numbers, by the option that names it."""

    LIBVIRT = "libvirt-uri"
    DOMAINS = "domain-xml"
    FACTS = "facts"


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """The serial number that a guest has.

    :ivar id: the server's UUID
    :ivar serial: None: it has none
    :ivar source: where it was read, for people
    :ivar host: the name of the compute service of its host; None when the source tells none
    :ivar generated: when Nova made its definition: "2026-01-01 00:00:00", in UTC; None when
        that is not told
    :ivar persistent: the serial number after the next start of the guest as it is defined in
        libvirt; None when that is the same, or not told
    :ivar name: of its domain
    :ivar nova: the version of Nova that made its definition; None when Nova did not
    """

    id: str
    serial: str | None
    source: str
    host: str | None = None
    generated: str | None = None
    persistent: str | None = None
    name: str = ""
    nova: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read.

    :ivar host: the host that it is about; None when it is about no single one
    """

    source: str
    reason: str
    host: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class HostSeen:
    """A host whose guests were all read.

    :ivar identity: serial numbers that are known to be the host's own: its hardware UUID
    """

    source: str
    host: str
    identity: tuple[str, ...] = ()


Seen = Reading | Unread | HostSeen
