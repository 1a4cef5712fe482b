# SPDX-License-Identifier: Apache-2.0
"""Findings, their resources and remedies; coverage of a run. Pure."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from osc_uniqserial.text import NAMES_SHOWN, counted


class Severity(enum.Enum):
    """Severity of a finding; UNCHECKED: something could not be checked."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNCHECKED = "unchecked"


@dataclasses.dataclass(frozen=True, slots=True)
class Remedy:
    """The repair of a finding.

    :ivar text: one line that contains the commands
    :ivar commands: the commands to run, without those that the text only mentions. Words in
        capitals, such as ``SERVER``, are placeholders
    """

    text: str
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the text contains each command."""
        lost = [command for command in self.commands if command not in self.text]
        if lost:
            raise ValueError(f"{lost} not in {self.text!r}")

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    @property
    def words(self) -> str:
        """The text without the commands, which remedies of one kind share."""
        words = self.text
        for command in self.commands:
            words = words.replace(command, "", 1)
        return words.strip(" ,;:")


#: The types of resources that findings are about.
RESOURCE_TYPES = (
    "flavor",
    "image",
    "volume",
    "aggregate",
    "host",
    "server",
    "domain",
    "serial",
    "inventory",
    "namespace",
    "cloud",
)


class Resource(NamedTuple):
    """The subject of a finding.

    :ivar type: one of :data:`RESOURCE_TYPES`
    :ivar project_id: of the owner; None without one
    """

    type: str
    id: str | None = None
    name: str | None = None
    project_id: str | None = None


CLOUD = Resource("cloud")


class ServerIds:
    """IDs of servers in the order in which they came, in 16 bytes each."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        #: The first of them, by name where they have one.
        self.some: tuple[str, ...] = ()

    def add(self, server_id: str, name: str | None = None) -> None:
        """Add one."""
        if len(self.some) < NAMES_SHOWN:
            self.some += (name or server_id,)
        self._bytes += bytes.fromhex(server_id.replace("-", ""))

    @property
    def counted(self) -> str:
        """The number of servers and the first names."""
        more = ", ..." if len(self) > NAMES_SHOWN else ""
        return f"{counted(len(self), 'server')} ({', '.join(self.some)}{more})"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._bytes) // 16

    def __iter__(self) -> Iterator[str]:
        """Yield them as text."""
        for start in range(0, len(self._bytes), 16):
            yield str(uuid.UUID(bytes=bytes(self._bytes[start : start + 16])))


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A misconfiguration, or something that could not be checked.

    :ivar id: the ID of its check
    :ivar severity: how grave it is, or that something could not be checked
    :ivar type: the type of the resource, one of :data:`RESOURCE_TYPES`
    :ivar resource_id: the ID of the resource; None without one
    :ivar resource_name: the name of the resource as in the cloud; None without one
    :ivar evidence: one line of text
    :ivar remedy: what to do; None when no action is needed
    :ivar project_id: the project that owns the resource; None without one
    :ivar servers: the affected servers; None for findings without servers
    :ivar entries: number of affected entries of an inventory that are of no known server; None for
        findings without such entries
    """

    id: str
    severity: Severity
    type: str
    resource_id: str | None
    resource_name: str | None
    evidence: str
    remedy: Remedy | None = None
    project_id: str | None = None
    servers: ServerIds | None = None
    entries: int | None = None

    @property
    def number(self) -> int | None:
        """Number of servers or entries; None for findings without any."""
        return self.entries if self.servers is None else len(self.servers)


@dataclasses.dataclass(slots=True)
class Coverage:
    """Number of servers that were checked, so far.

    :ivar seen: servers that were read
    :ivar checked: servers of these with a known serial source, or without a host
    :ivar unread: approximate number of servers that could not be read
    :ivar notes: reasons why servers were not checked
    """

    seen: int = 0
    checked: int = 0
    unread: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        """Return the last line on standard error."""
        about = "about " if self.unread else ""
        text = f"{self.checked:,} of {about}{self.seen + self.unread:,} servers checked"
        return "; ".join([text, *self.notes])


@dataclasses.dataclass(frozen=True, slots=True)
class Covered:
    """Number of servers that were checked, at the end of a run.

    :ivar text: the last line on standard error
    :ivar servers: servers that were read; for verify those with a serial number to compare
    :ivar checked: servers of these with a result
    :ivar unread: approximate number of servers that could not be read
    :ivar guests: for an audit with guests: numbers of compared and of comparable guests
    """

    text: str
    servers: int
    checked: int
    unread: int
    guests: tuple[int, int] | None = None
