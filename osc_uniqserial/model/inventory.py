# SPDX-License-Identifier: Apache-2.0
"""Entries of an inventory: typed and inert. Text is untrusted: it is as the inventory has it."""

from __future__ import annotations

import dataclasses
import re

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_BEGINS_WITH_UUID = re.compile(_UUID, re.IGNORECASE)
#: The form of a name that the export for NetBox makes of a UUID and a name.
_WITH_UUID = re.compile(rf"({_UUID})(?: .*)?", re.DOTALL)


def begins_with_uuid(name: str) -> bool:
    """Return whether a name begins with a UUID in any case."""
    return _BEGINS_WITH_UUID.match(name) is not None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An entry of an inventory; two entries are never equal.

    :ivar at: number of the line on which it begins; in JSON its own number
    :ivar id: the UUID of its server; None without one
    :ivar name: the name of its server; empty without one
    :ivar serial: the serial number; empty without one
    :ivar is_other: whether it identifies its machine by another ID than a UUID, so that it is
        no server of OpenStack
    """

    at: int
    id: str | None
    name: str
    serial: str
    is_other: bool = False

    @property
    def named_id(self) -> str | None:
        """The UUID in a name that has the form of those that the export for NetBox makes."""
        found = None if self.id else _WITH_UUID.fullmatch(self.name)
        return found and found[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory that was read completely.

    :ivar source: the file, for messages
    :ivar unit: what ``at`` of the entries counts: ``line`` or ``entry``
    """

    source: str
    unit: str
    entries: tuple[Entry, ...]
