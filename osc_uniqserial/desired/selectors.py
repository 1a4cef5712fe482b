# SPDX-License-Identifier: Apache-2.0
"""Finds the entries that select a resource, in a time that hardly grows with their number. Pure."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import operator
import re
from collections.abc import Callable
from typing import Any

from osc_uniqserial.desired.document import Selector

#: A wildcard of :mod:`fnmatch`; a bracket that is not closed is a literal.
_WILDCARD = re.compile(r"\*|\?|\[!?+\]?+[^\]]*+\]")
#: Returns what is given of an ID, a name and a project.
_Key = Callable[[tuple[str | None, ...]], Any]
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
        #: What finds the numbers in each of these that is not empty.
        self._finders: list[Callable[[str, list[int]], None]] = []
        #: The globs without a literal.
        self._any: list[int] = []

    def add(self, glob: str, number: int) -> None:
        self._globs[number] = glob
        start, *others = _WILDCARD.split(glob)
        found = [(self._starts, self._starts.find_at_start, start)]
        if others:
            found.append((self._ends, self._ends.find_at_end, others.pop()))
        found += ((self._others, self._others.find_inside, each) for each in others)
        literals = [each for each in found if each[-1]]
        if not literals:
            self._any.append(number)
            return
        # The longest one, unless many globs share it.
        table, find, literal = min(
            literals, key=lambda each: (each[0].number(each[2]) // _SHARED, -len(each[2]))
        )
        table.add(literal, number)
        if find not in self._finders:
            self._finders.append(find)

    def fitting(self, name: str) -> list[int]:
        """Return the numbers of the globs that match a name."""
        found = self._any.copy()
        for find in self._finders:
            find(name, found)
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
        #: By which of ID, name and project are given, then by these.
        self._groups: dict[_Key, dict[Any, _Group]] = {}
        #: The same: what returns the key for an ID, a name and a project, and finds the group.
        self._finders: list[tuple[_Key, Callable[[Any], _Group | None]]] = []

    def add(self, number: int, selector: Selector) -> None:
        """Add a selector.

        :param number: what :meth:`fitting` returns for it
        """
        given = (selector.id, selector.name, selector.project)
        key = _key_of(tuple(place for place, each in enumerate(given) if each is not None))
        groups = self._groups.get(key)
        if groups is None:
            groups = self._groups[key] = {}
            self._finders.append((key, groups.get))
        group = groups.setdefault(key(given), _Group())
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
        about = (id_, name, project)
        found: list[int] = []
        for key, find in self._finders:
            group = find(key(about))
            if group is not None:
                found += group.numbers
                if group.globs is not None and name is not None:
                    found += group.globs.fitting(name)
        if len(found) > 1:
            found.sort()
        return found


@functools.cache
def _key_of(places: tuple[int, ...]) -> _Key:
    """Return what takes the values at these places; without any, what is the same of all."""
    return operator.itemgetter(*places or (slice(0),))
