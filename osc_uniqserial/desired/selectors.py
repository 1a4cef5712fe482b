# SPDX-License-Identifier: Apache-2.0
"""Finds the entries that select a resource, in a time that hardly grows with their number. Pure."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Callable
from typing import Any

from osc_uniqserial.desired.document import Selector

#: A wildcard of :mod:`fnmatch`; a bracket that is not closed is a literal.
_WILDCARD = re.compile(r"\*|\?|\[!?+\]?+[^\]]*+\]")
#: Globs that share a literal before another literal of the next one is preferred.
_SHARED = 8


class _Literals:
    """Numbers of globs by a literal that names have; literals of one length share a table."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[str, list[int]]] = {}

    def add(self, literal: str, number: int) -> None:
        self._tables.setdefault(len(literal), {}).setdefault(literal, []).append(number)

    def number(self, literal: str) -> int:
        """Return the number of globs with a literal."""
        return len(self._tables.get(len(literal), {}).get(literal, ()))

    def find_at_start(self, name: str, found: list[int]) -> None:
        for length, table in self._tables.items():
            found += table.get(name[:length], ())

    def find_at_end(self, name: str, found: list[int]) -> None:
        for length, table in self._tables.items():
            found += table.get(name[-length:], ())

    def find_inside(self, name: str, found: list[int]) -> None:
        for length, table in self._tables.items():
            places = {name[start : start + length] for start in range(len(name) - length + 1)}
            for literal in places:
                found += table.get(literal, ())


class _Globs:
    """Globs, each found by one of its literals."""

    def __init__(self) -> None:
        self._globs: dict[int, str] = {}
        # A glob is compiled when a name has its literal.
        self._matches: dict[int, Callable[[str], Any]] = {}
        self._starts, self._ends, self._others = _Literals(), _Literals(), _Literals()
        #: The globs without a literal.
        self._any: list[int] = []

    def add(self, glob: str, number: int) -> None:
        self._globs[number] = glob
        start, *others = _WILDCARD.split(glob)
        found = [(self._starts, start)]
        if others:
            found.append((self._ends, others.pop()))
        found += ((self._others, each) for each in others)
        literals = [(table, text) for table, text in found if text]
        if not literals:
            self._any.append(number)
            return
        # The longest one, unless many globs share it.
        table, literal = min(
            literals, key=lambda each: (each[0].number(each[1]) // _SHARED, -len(each[1]))
        )
        table.add(literal, number)

    def fitting(self, name: str) -> list[int]:
        """Return the numbers of the globs that match a name."""
        found = self._any.copy()
        self._starts.find_at_start(name, found)
        self._ends.find_at_end(name, found)
        self._others.find_inside(name, found)
        return [number for number in found if self._fits(number, name)] if found else found

    def _fits(self, number: int, name: str) -> bool:
        match = self._matches.get(number)
        if match is None:
            pattern = re.compile(fnmatch.translate(self._globs[number]))
            match = self._matches[number] = pattern.match
        return match(name) is not None


@dataclasses.dataclass(slots=True)
class _Group:
    """Selectors with the same ID, name and project.

    :ivar numbers: those without a glob
    :ivar globs: None: all are without one
    """

    numbers: list[int] = dataclasses.field(default_factory=list)
    globs: _Globs | None = None


class Selectors:
    """Selectors of resources of one kind, indexed by ID, name, glob and project."""

    def __init__(self) -> None:
        #: By whether ID, name and project are given, then by these.
        self._groups: dict[tuple[bool, ...], dict[tuple[str | None, ...], _Group]] = {}

    def add(self, number: int, selector: Selector) -> None:
        """Add a selector.

        :param number: what :meth:`fitting` returns for it
        """
        given = (selector.id, selector.name, selector.project)
        groups = self._groups.setdefault(tuple(each is not None for each in given), {})
        group = groups.setdefault(given, _Group())
        if selector.glob is None:
            group.numbers.append(number)
            return
        if group.globs is None:
            group.globs = _Globs()
        group.globs.add(selector.glob, number)

    def fitting(self, id_: str | None, name: str | None, project: str | None) -> list[int]:
        """Return the numbers of the selectors that a resource fits, in ascending order.

        :param name: None: unknown, as of a server of a cell that is down; it fits no name and glob
        """
        found: list[int] = []
        for (by_id, by_name, by_project), groups in self._groups.items():
            group = groups.get(
                (id_ if by_id else None, name if by_name else None, project if by_project else None)
            )
            if group is None:
                continue
            found += group.numbers
            if group.globs is not None and name is not None:
                found += group.globs.fitting(name)
        if len(found) > 1:
            found.sort()
        return found
