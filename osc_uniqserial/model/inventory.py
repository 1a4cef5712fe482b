# SPDX-License-Identifier: Apache-2.0
"""Entries of an inventory: typed and inert. Text is untrusted: it is as the inventory has it."""

from __future__ import annotations

import dataclasses


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


@dataclasses.dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory that was read completely.

    :ivar source: the file, for messages
    :ivar unit: what ``at`` of the entries counts: ``line`` or ``entry``
    """

    source: str
    unit: str
    entries: tuple[Entry, ...]
