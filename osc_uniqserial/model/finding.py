# SPDX-License-Identifier: Apache-2.0
"""Findings: what is wrong, where, and what to do. Pure."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from osc_uniqserial.text import NAMES_SHOWN, counted


class Severity(enum.Enum):
    """How grave a finding is; UNCHECKED: it is not one, something could not be checked."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
    UNCHECKED = "unchecked"


@dataclasses.dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a finding.

    :ivar text: one line, with the commands in it
    :ivar commands: the commands to run, as they stand in the text; a command that the text only
        mentions is not one of them. ``SERVER`` and other words in capitals stand for something
    """

    text: str
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the text has each command."""
        lost = [command for command in self.commands if command not in self.text]
        if lost:
            raise ValueError(f"{lost} not in {self.text!r}")

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    @property
    def words(self) -> str:
        """The text without the commands: what remedies of one kind have in common."""
        words = self.text
        for command in self.commands:
            words = words.replace(command, "", 1)
        return words.strip(" ,;:")


class Resource(NamedTuple):
    """What a finding is about.

    :ivar type: flavor, image, volume, aggregate, host, server, domain, serial, namespace or cloud
    :ivar project_id: of the project that owns it, where it has one
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
        """How many there are, and the first of them, for people."""
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
    """One thing that is wrong, or that could not be checked.

    :ivar id: the ID of its check
    :ivar type: of the resource, as in :class:`Resource`
    :ivar evidence: what was seen, for people
    :ivar remedy: None when nothing has to be done
    :ivar servers: the servers that it is about; None when it is not about servers
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
