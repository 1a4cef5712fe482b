# SPDX-License-Identifier: Apache-2.0
"""What was found: the rows of audit and verify. Pure."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping

from osc_uniqserial.checks.check import AUDIT, VERIFY
from osc_uniqserial.checks.check import Severity as Severity
from osc_uniqserial.model.cloud import Sighting

#: How many names a sentence has.
SHOWN = 3
#: How grave what audit finds is, by ID. The IDs are an interface.
OF_AUDIT: Mapping[str, Severity] = {id_: check.severity for id_, check in AUDIT.items()}
#: The same of what verify finds.
OF_VERIFY: Mapping[str, Severity] = {id_: check.severity for id_, check in VERIFY.items()}
SEVERITIES: Mapping[str, Severity] = {**OF_AUDIT, **OF_VERIFY}


class ServerIds:
    """IDs of servers in the order in which they came, in 16 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        #: The resource provider of their host, where they share one.
        self.provider: str | None = None
        #: Hosts that would change the serial of the first of them.
        self.elsewhere = ""
        #: A few of them, by name where they have one.
        self.some: tuple[str, ...] = ()

    def add(self, sighting: Sighting) -> None:
        """Add one."""
        if len(self.some) < SHOWN:
            self.some += (sighting.name or sighting.id,)
        self._append(sighting.id)

    def add_id(self, server_id: str) -> None:
        """Add one of which nothing else is known."""
        if len(self.some) < SHOWN:
            self.some += (server_id,)
        self._append(server_id)

    def _append(self, server_id: str) -> None:
        self._bytes += bytes.fromhex(server_id.replace("-", ""))

    @property
    def counted(self) -> str:
        """How many there are, and the first of them, for people."""
        many = "server" if len(self) == 1 else "servers"
        more = ", ..." if len(self) > SHOWN else ""
        return f"{len(self):,} {many} ({', '.join(self.some)}{more})"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._bytes) // 16

    def __iter__(self) -> Iterator[str]:
        """Yield them as text."""
        for start in range(0, len(self._bytes), 16):
            yield str(uuid.UUID(bytes=bytes(self._bytes[start : start + 16])))


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be checked.

    :ivar id: a key of :data:`SEVERITIES`
    :ivar type: flavor, image, aggregate, host, server, domain, serial, namespace or cloud
    :ivar servers: the servers that it is about; None when it is not about servers
    :ivar evidence: what was seen, for people
    :ivar remedy: what to do about it, in one line that begins with a command where one
        helps; None when nothing has to be done
    """

    id: str
    type: str
    resource_id: str | None
    resource_name: str | None
    evidence: str
    remedy: str | None = None
    project_id: str | None = None
    servers: ServerIds | None = None

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return SEVERITIES[self.id]


#: Servers that Nova does not tell of.
UNLISTED = Finding(
    "servers-unread",
    "cloud",
    None,
    None,
    "A cell is down, and Nova leaves its servers out where a list is longer than a page: how many"
    " they are is unknown",
)


def unread(reason: str, count: int | None) -> Finding:
    """Return what is said of servers that could not be read.

    :param count: how many they are, about; None: unknown
    """
    many = "Some" if count is None else f"About {count:,}"
    text = f"{many} servers could not be read: {reason}" if count != 0 else reason
    return Finding("servers-unread", "cloud", None, None, text)


@dataclasses.dataclass(slots=True)
class Coverage:
    """How much of the servers was checked.

    :ivar seen: servers that were read
    :ivar checked: those whose serial source is known, or that have none because they are on no
        host
    :ivar unread: servers that could not be read, about
    :ivar notes: why not all were checked
    """

    seen: int = 0
    checked: int = 0
    unread: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        """Return one line, as the last word on standard error."""
        about = "about " if self.unread else ""
        text = f"{self.checked:,} of {about}{self.seen + self.unread:,} servers checked"
        return "; ".join([text, *self.notes])


@dataclasses.dataclass(frozen=True, slots=True)
class Covered:
    """How much was seen, once everything is read.

    :ivar text: the last word on standard error
    :ivar servers: those that were read; of verify those that have a serial number to compare
    :ivar checked: those of them that could be judged
    :ivar unread: those that could not be read, about
    :ivar guests: of an audit that looked at guests: those compared, and those that could be
    """

    text: str
    servers: int
    checked: int
    unread: int
    guests: tuple[int, int] | None = None
