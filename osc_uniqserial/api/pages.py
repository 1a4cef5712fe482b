# SPDX-License-Identifier: Apache-2.0
"""Every server of a cloud, once, in the order of their UUIDs, a page at a time.

Servers are read in ranges of UUIDs, several at once. A UUID never changes: whatever
moves, is shelved or fails meanwhile stays in its range, so that nothing is read twice and
nothing falls between two parts, as it would with a part for each host. Servers without a
host are in the same ranges as all others.

Nova gives the markers between the ranges: a list of the newest servers without details,
whose UUIDs are random. What Nova tells of servers whose cell is down is in that list too,
and only there: it leaves them out of every list that is sorted, filtered or has a marker
(nova/api/openstack/compute/servers.py, _is_cell_down_supported).
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from osc_uniqserial.api import background
from osc_uniqserial.api.records import ServerList, ServerRecord
from osc_uniqserial.api.rest import Rest, Unreadable, parsing

_Digest = TypeVar("_Digest")

_SORTED = {"sort_key": "uuid", "sort_dir": "asc"}
#: Part of a page that a range is expected to fill, so that few ranges need a second one.
_FILL = 0.88
#: Servers that may be in two databases.
_UNSETTLED = ("BUILD", "ERROR", "MIGRATING", "RESIZE", "REVERT_RESIZE", "VERIFY_RESIZE")
#: Pages of a range whose size is guessed.
_GUESSES = 2
#: Ranges that may fail one after the other before the others are not tried.
_GIVE_UP = 3
#: Markers that may have been deleted one after the other.
_MARKERS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """Servers that could not be read.

    :ivar servers: how many there are, about; None when that cannot be told
    """

    reason: str
    servers: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Range:
    """UUIDs after one and up to another; None: up to the end."""

    after: str
    until: str | None
    servers: int


class ServerPages(Generic[_Digest]):
    """Reads servers and hands on what a function makes of each page.

    The function runs in the threads that read, so that records do not outlive their page.

    :ivar expected: how many servers there are, about; None until the first page was read
    :ivar gaps: what could not be read
    :ivar of_down_cells: minimal records of servers whose cell is down, as far as Nova tells
    :ivar unlisted_cells: whether there may be more of those than Nova tells
    """

    def __init__(
        self,
        rest: Rest,
        microversion: str,
        filters: Mapping[str, str],
        workers: int,
        digest: Callable[[Sequence[ServerRecord]], _Digest],
        *,
        marker: str | None = None,
        limit: int | None = None,
    ) -> None:
        """Prepare to read.

        :param filters: of Nova's list of servers; ``all_tenants`` is one
        :param workers: the most requests at the same time
        :param marker: the ID of the server after which to begin
        :param limit: how many are wanted, about: nothing is read ahead then
        """
        self._rest = rest
        self._microversion = microversion
        self._filters = dict(filters)
        self._workers = workers if limit is None else 1
        self._marker = marker
        self._limit = limit
        self._digest = digest
        self._density = self._width = 0.0
        self._counted = 0
        self._page_size = 0
        # Servers that are being built come first in a list, whatever its order: they may
        # come again in their range.
        self._early: set[str] = set()
        self._sample: list[str] = []
        self._start: list[str] = []
        self.expected: int | None = None
        self.gaps: list[Gap] = []
        self.of_down_cells: list[ServerRecord] = []
        self.unlisted_cells = False

    def __iter__(self) -> Iterator[_Digest]:
        """Yield what the function makes of each page, in the order of the UUIDs."""
        sampling = background.start(self._read_sample) if self._workers > 1 else None
        try:
            first, more = self._first()
        except Unreadable as error:
            self.gaps.append(Gap(str(error)))
            first, more = [], False
        if not sampling:
            self._read_sample()
        try:
            yield self._made(first)
        except Unreadable as error:
            self.gaps.append(Gap(str(error), len(first)))
        if sampling:
            sampling.result()
        if not more:
            if not self.gaps:
                self.expected = len(first)
            return
        self._early = self._early_of(first)
        last = first[-1].id
        self._start = [record.id for record in first if record.id not in self._early]
        self._page_size = len(first)
        # Those that are being built say nothing of how many there are between two UUIDs.
        self._learn(self._marker or "", last, len(first) - len(self._early))
        left = self._density * (1 - _fraction(last))
        self.expected = len(first) + int(left)
        yield from self._ranges(last)

    # --- the parts ------------------------------------------------------

    def _first(self) -> tuple[list[ServerRecord], bool]:
        """Read from the start, to the end of a page that ends with a server in its place."""
        items, full = self._request(self._marker, self._limit)
        if not items or not items[-1].is_building:
            # Without a link there may be more only where servers were found twice.
            return items, full or any(item.status in _UNSETTLED for item in items)
        # Who asks for a few gets those that are being built first, and not all anyway.
        more, hidden = True, full and self._limit is None
        while more and items[-1].is_building:
            page, more = self._page(items[-1].id, None)
            known = {item.id for item in items}
            items += [item for item in page if item.id not in known]
            # Once that one is built, what Nova lists after it is something else.
            hidden = hidden or (bool(page) and self._limit is None)
            more = more and len(items) > len(known)
        if hidden:
            self.gaps.append(
                Gap("so many servers are being built that Nova may have left out others")
            )
        return items, more

    @staticmethod
    def _early_of(items: Sequence[ServerRecord]) -> set[str]:
        last = items[-1].id
        return {item.id for item in items if item.id > last or item.is_building}

    def _read_sample(self) -> None:
        """Read the one list that tells of down cells; its UUIDs are the markers."""
        everything = {key: self._filters[key] for key in ("all_tenants",) if key in self._filters}
        try:
            brief = self._rest.read(
                ServerList, "compute", "/servers", everything, self._microversion
            )
        except Unreadable as error:
            self.gaps.append(Gap(f"whether a cell is down is unknown: {error}", 0))
            return
        # As many as fit on the page, behind all others.
        self.unlisted_cells = bool(brief.links)
        self._sample = sorted(item.id for item in brief.servers if item.is_reachable)
        wanted = self._filters.get("project_id")
        self.of_down_cells = sorted(
            (
                item
                for item in brief.servers
                if not item.is_reachable and wanted in (None, item.project_id)
            ),
            key=lambda item: item.id,
        )

    def _ranges(self, after: str) -> Iterator[_Digest]:
        """Read the ranges, some ahead of the one that is handed on."""
        if self._limit is not None:
            yield from self._one_by_one(after)
            return
        ranges = self._split(after)
        running: deque[tuple[_Range, Future[tuple[list[_Digest], Gap | None]]]] = deque()
        failed = 0
        while ranges or running:
            while ranges and len(running) < self._workers:
                each = ranges.popleft()
                running.append((each, background.start(self._read_range, each)))
            _each, future = running.popleft()
            digests, gap = future.result()
            yield from digests
            if gap is None:
                failed = 0
                continue
            self.gaps.append(gap)
            failed += 1
            if failed >= _GIVE_UP and ranges:
                left = sum(each.servers for each in ranges)
                self.gaps.append(Gap(f"not tried any more after {failed} failures", left))
                ranges.clear()

    def _one_by_one(self, after: str) -> Iterator[_Digest]:
        """Read no page before it is wanted."""
        try:
            for records in self._walk(_Range(after, None, 0)):
                yield self._made(records)
        except Unreadable as error:
            self.gaps.append(Gap(str(error)))

    def _made(self, records: Sequence[ServerRecord]) -> _Digest:
        with parsing("compute"):
            return self._digest(records)

    def _split(self, after: str) -> deque[_Range]:
        begin = _fraction(after)
        # What is being built is no good marker: the list begins anew after it.
        self._sample = [each for each in self._sample if each not in self._early]
        marks = self._sample[bisect.bisect_right(self._sample, after) :]
        places = [_fraction(mark) for mark in marks]
        count = math.ceil(self._density * (1 - begin) / (self._page_size * _FILL))
        # UUIDs that are not random make it a bad guess.
        count = min(count, len(marks) + 1)
        # Ranges of one width: each ends at the marker that is nearest to its place.
        ends = []
        for number in range(1, count):
            place = begin + (1 - begin) * number / count
            at = bisect.bisect_left(places, place)
            near = marks[max(at - 1, 0) : at + 1]
            ends += [min(near, key=lambda mark: abs(_fraction(mark) - place))] if near else []
        ends = sorted(set(ends))
        starts = [after, *ends]
        untils: list[str | None] = [*ends, None]
        return deque(
            _Range(start, until, self._servers_between(start, until))
            for start, until in zip(starts, untils, strict=True)
        )

    def _servers_between(self, start: str, until: str | None) -> int:
        width = (1.0 if until is None else _fraction(until)) - _fraction(start)
        return math.ceil(self._density * max(width, 0.0))

    def _read_range(self, wanted: _Range) -> tuple[list[_Digest], Gap | None]:
        """Read one range; what was read before a failure is not lost."""
        digests = []
        read = 0
        try:
            for records in self._walk(wanted):
                read += len(records)
                digests.append(self._made(records))
        except Unreadable as error:
            return digests, Gap(str(error), max(wanted.servers - read, 0))
        return digests, None

    def _walk(self, wanted: _Range) -> Iterator[list[ServerRecord]]:
        position = wanted.after
        known = self._sample[: bisect.bisect_right(self._sample, position)]
        known.append(position)
        before = ""
        for number in itertools.count():
            # A little more than there should be: what is too much is read for nothing, and what
            # is missing costs another request. UUIDs that are not random make it a bad guess.
            left = self._servers_between(position, wanted.until)
            limit = int(left + 0.7 * math.sqrt(left)) + 2 if number < _GUESSES else None
            page, more = self._after(known, limit)
            if not page:
                return
            last = page[-1].id
            if more and last <= before:
                raise Unreadable("Nova (compute) returns the same servers again and again")
            before = last
            self._learn(position, last, len(page))
            yield self._within(page, position, wanted.until)
            if not more or (wanted.until is not None and last >= wanted.until):
                return
            position = max(position, last)
            known += [record.id for record in page]

    def _within(
        self, page: list[ServerRecord], after: str, until: str | None
    ) -> list[ServerRecord]:
        """Return the records of a page that are in a range, and were not there before."""
        found = [
            record for record in page if record.id > after and (until is None or record.id <= until)
        ]
        if self._early:
            found = [record for record in found if record.id not in self._early]
        # They are first on a page after another that is being built, and come again.
        self._early.update(record.id for record in found if record.is_building)
        return found

    def _learn(self, start: str, end: str, servers: int) -> None:
        """Count a page, for a better guess of how many there are between two UUIDs."""
        width = _fraction(end) - _fraction(start)
        if width > 0:
            self._counted += servers
            self._width += width
            self._density = self._counted / self._width

    def _after(self, known: Sequence[str], limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Read the page after the last known server that is still there."""
        # The nearest ones; in the end those of the first page, and the very start.
        near, far = known[: -_MARKERS - 1 : -1], self._start[: -_MARKERS - 1 : -1]
        for marker in (*near, *far, None):
            if marker in self._early:
                # It may be in the API's database still: the list begins anew after it.
                limit = None
                continue
            try:
                return self._page(marker, limit)
            except Unreadable as error:
                # Nova's answer where the marker was deleted meanwhile.
                if error.status != 400 or "marker" not in str(error):
                    raise
        raise Unreadable("Nova (compute) has none of the servers that it listed before", 400)

    def _page(self, marker: str | None, limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Read a page, and tell whether there may be another."""
        items, linked = self._request(marker, limit)
        if not items or linked:
            return items, bool(items)
        # Nova takes servers that it found twice out of a full page, and then gives no link:
        # those that just leave the API's database for a cell's, or one cell for another.
        twice = sum(item.status in _UNSETTLED for item in items)
        asked = limit or self._page_size
        return items, bool(twice) and (not asked or len(items) + twice >= asked)

    def _request(self, marker: str | None, limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Read a page, and tell whether Nova says that there is another."""
        query = {**self._filters, **_SORTED}
        if marker is not None:
            query["marker"] = marker
        if limit is not None and (limit < self._page_size or not self._page_size):
            query["limit"] = str(limit)
        page = self._rest.read(ServerList, "compute", "/servers/detail", query, self._microversion)
        project = self._filters.get("project_id")
        if project and any(item.project_id != project for item in page.servers):
            raise Unreadable(
                "Nova (compute) does not let this user select a project (servers:allow_all_filters)"
            )
        return page.servers, page.has_next


def _fraction(server_id: str) -> float:
    """Return which part of all UUIDs is below this one."""
    try:
        return int(server_id[:8] or "0", 16) / 2**32
    except ValueError:
        return 0.0
