# SPDX-License-Identifier: Apache-2.0
"""Every server of a cloud, once, in the order of the UUIDs, a page at a time.

Servers are read in ranges of UUIDs, several concurrently. A UUID never changes: a server that
moves, is shelved or fails during the run stays in its range, so that no server is read twice or
missed, as it could be with one list for each host.

The markers between the ranges are random UUIDs: those of the newest servers, from a list without
details. Only this list has the servers of cells that are down: Nova omits them from lists that
are sorted, filtered or have a marker (nova/api/openstack/compute/servers.py,
_is_cell_down_supported).

A server of that list that no range returns, and that was neither created nor deleted meanwhile, is
a gap.
"""

from __future__ import annotations

import bisect
import dataclasses
import datetime
import itertools
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

from osc_uniqserial.api import background
from osc_uniqserial.api.records import ServerList, ServerRecord
from osc_uniqserial.api.rest import PageCount, Rest, Unreadable, parsing

_Digest = TypeVar("_Digest")

#: Filters of a list of all servers that a user may see.
_EVERYONE = {"all_tenants"}
_SORTED = {"sort_key": "uuid", "sort_dir": "asc"}
#: Expected fill of the page of a range, so that few ranges need a second page.
_FILL = 0.88
#: Statuses of servers that may be in two databases.
_UNSETTLED = ("BUILD", "ERROR", "MIGRATING", "RESIZE", "REVERT_RESIZE", "VERIFY_RESIZE")
#: Pages of a range with an estimated limit.
_GUESSES = 2
#: Consecutive failures of ranges before the others are skipped.
_GIVE_UP = 3
#: Consecutive deleted markers before older ones are tried.
_MARKERS = 20
#: How much the clocks of Nova and of this machine may differ.
_CLOCKS = datetime.timedelta(minutes=10)


class Gap(NamedTuple):
    """Servers that could not be read.

    :ivar servers: their approximate number; None when it is unknown
    """

    reason: str
    servers: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Range:
    """UUIDs after one and up to another (None: up to the end), with the estimated servers."""

    after: str
    until: str | None
    servers: int


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ServerPages(Generic[_Digest]):
    """Pages of servers, each converted by a function.

    The function runs in the reading threads, so that records do not outlive their page.

    :ivar expected: the approximate number of servers; None until the first page was read
    :ivar gaps: servers that could not be read
    :ivar of_down_cells: minimal records of servers whose cell is down, as far as Nova lists them
    :ivar unlisted_cells: whether Nova may have omitted some of these
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
        """Prepare the requests; iterating sends them.

        :param filters: query of Nova's list of servers, with ``all_tenants``
        :param workers: the most concurrent requests
        :param digest: converts the records of a page
        :param marker: ID of the server after which to begin
        :param limit: the approximate number of servers to read; pages are not read ahead then
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
        # Build requests come first in a list, whatever its order. Their servers may appear again
        # in their range.
        self._early: set[str] = set()
        self._sample: list[str] = []
        self._start: list[str] = []
        # Servers of the sample that no page has returned yet.
        self._unseen: set[str] = set()
        self.expected: int | None = None
        self.gaps: list[Gap] = []
        self.of_down_cells: list[ServerRecord] = []
        self.unlisted_cells = False

    def __iter__(self) -> Iterator[_Digest]:
        """Yield the result of the function for each page, in the order of the UUIDs."""
        began = datetime.datetime.now(datetime.UTC)
        sampling = background.start(self._read_sample) if self._workers > 1 else None
        try:
            first, more = self._first()
        except Unreadable as error:
            # The reason of all other gaps.
            self.gaps.insert(0, Gap(str(error)))
            first, more = [], False
        if not sampling:
            self._read_sample()
        try:
            yield self._made(first)
        except Unreadable as error:
            self.gaps.append(Gap(str(error), len(first)))
        if sampling:
            sampling.result()
        self._unseen = {*self._sample}.difference(record.id for record in first)
        if not more:
            if not self.gaps:
                self.expected = len(first)
            self._check_sample(began)
            return
        last = first[-1].id
        self._early = {item.id for item in first if item.id > last or item.is_building}
        self._start = [record.id for record in first if record.id not in self._early]
        self._page_size = len(first)
        # Build requests are not part of the density of UUIDs.
        self._learn(self._marker or "", last, len(first) - len(self._early))
        self.expected = len(first) + int(self._density * (1 - _fraction(last)))
        yield from self._ranges(last)
        self._check_sample(began)

    def _first(self) -> tuple[list[ServerRecord], bool]:
        """Read from the start, to the end of the first page that ends in the order of UUIDs."""
        items, full = self._request(self._marker, self._limit)
        if not items or not items[-1].is_building:
            # Without a link there are more only where Nova removed duplicates from the page.
            return items, full or any(item.status in _UNSETTLED for item in items)
        # With a limit, build requests come first and the list is incomplete anyway.
        more, hidden = True, full and self._limit is None
        while more and items[-1].is_building:
            page, more = self._page(items[-1].id, None)
            known = {item.id for item in items}
            items += [item for item in page if item.id not in known]
            # Once the marker is built, the list after it has other servers.
            hidden = hidden or (bool(page) and self._limit is None)
            more = more and len(items) > len(known)
        if hidden:
            self.gaps.append(
                Gap("so many servers are being built that Nova may have left out others")
            )
        return items, more

    def _read_sample(self) -> None:
        """Read the only list with servers of down cells; its UUIDs are the markers."""
        query = {key: self._filters[key] for key in ("all_tenants",) if key in self._filters}
        try:
            brief = self._read("/servers", query)
        except Unreadable as error:
            self.gaps.append(Gap(f"whether a cell is down is unknown: {error}", 0))
            return
        # Servers of down cells come last, as many as fit on the page.
        self.unlisted_cells = bool(brief.links)
        project = self._filters.get("project_id")
        for item in sorted(brief.servers, key=lambda item: item.id):
            if item.is_reachable:
                self._sample.append(item.id)
            elif project in (None, item.project_id):
                self.of_down_cells.append(item)

    def _check_sample(self, began: datetime.datetime) -> None:
        """Record the servers of the sample that no page returned.

        Those that were created or deleted during the run are none of them: one list has all that
        changed.
        """
        whole = self._marker is None and self._limit is None and not {*self._filters} - _EVERYONE
        if not self._unseen or self.gaps or not whole:
            return
        since = (began - _CLOCKS).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {**self._filters, "changes-since": since}
        try:
            with parsing("compute"):
                for item in self._rest.pages(
                    "compute", "/servers/detail", "servers", query, self._microversion
                ):
                    if item["status"] == "DELETED" or item["created"] >= since:
                        self._unseen.discard(item["id"])
        except Unreadable as error:
            reason = f"whether servers on no page were deleted is unknown: {error}"
            self.gaps.append(Gap(reason, len(self._unseen)))
            return
        if self._unseen:
            reason = (
                "Nova (compute) lists servers without details that are not on its pages with"
                f" details, for example {min(self._unseen)}"
            )
            self.gaps.append(Gap(reason, len(self._unseen)))

    def _ranges(self, after: str) -> Iterator[_Digest]:
        """Read the ranges, some ahead of the one that is yielded."""
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
        """Read each page when the caller requests it."""
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
        # A build request is no marker: the list would start again after it.
        self._sample = [each for each in self._sample if each not in self._early]
        marks = self._sample[bisect.bisect_right(self._sample, after) :]
        places = [_fraction(mark) for mark in marks]
        count = math.ceil(self._density * (1 - begin) / (self._page_size * _FILL))
        # The estimate is wrong for UUIDs that are not random.
        count = min(count, len(marks) + 1)
        # Ranges of equal width: each ends at the marker that is nearest to its place.
        ends = []
        for number in range(1, count):
            place = begin + (1 - begin) * number / count
            at = bisect.bisect_left(places, place)
            near = marks[max(at - 1, 0) : at + 1]
            ends += [min(near, key=lambda mark: abs(_fraction(mark) - place))] if near else []
        ends = sorted(set(ends))
        return deque(
            _Range(start, until, self._servers_between(start, until))
            for start, until in zip([after, *ends], [*ends, None], strict=True)
        )

    def _servers_between(self, start: str, until: str | None) -> int:
        width = (1.0 if until is None else _fraction(until)) - _fraction(start)
        return math.ceil(self._density * max(width, 0.0))

    def _read_range(self, wanted: _Range) -> tuple[list[_Digest], Gap | None]:
        """Return the pages of a range; after a failure those before it, and the gap."""
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
        count = PageCount("compute", "servers")
        for number in itertools.count():
            # A little above the estimate: surplus servers are read in vain, and missing ones
            # need another request. The estimate is wrong for UUIDs that are not random.
            left = self._servers_between(position, wanted.until)
            limit = int(left + 0.7 * math.sqrt(left)) + 2 if number < _GUESSES else None
            page, more = self._after(known, limit)
            if not page:
                return
            count.add(len(page))
            last = page[-1].id
            if more and last <= before:
                raise Unreadable("Nova (compute) returns the same servers again and again")
            if any(record.id > last and not record.is_building for record in page):
                raise Unreadable("Nova (compute) returns servers that are not sorted by ID")
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
        """Return the records of a page that are in a range and are not duplicates."""
        found = [
            record for record in page if record.id > after and (until is None or record.id <= until)
        ]
        if self._early:
            found = [record for record in found if record.id not in self._early]
        # Build requests come first on a page after another build request, and appear again.
        self._early.update(record.id for record in found if record.is_building)
        if self._unseen:
            self._unseen.difference_update([record.id for record in found])
        return found

    def _learn(self, start: str, end: str, servers: int) -> None:
        """Count a page for the estimate of the density of UUIDs."""
        width = _fraction(end) - _fraction(start)
        if width > 0:
            self._counted += servers
            self._width += width
            self._density = self._counted / self._width

    def _after(self, known: Sequence[str], limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Read the page after the last known server that still exists."""
        # The nearest markers first, then those of the first page, then the start.
        near, far = known[: -_MARKERS - 1 : -1], self._start[: -_MARKERS - 1 : -1]
        for marker in (*near, *far, None):
            if marker in self._early:
                # It may still be a build request: the list would start again after it.
                limit = None
                continue
            try:
                return self._page(marker, limit)
            except Unreadable as error:
                # Nova answers so when the marker was deleted.
                if error.status != 400 or "marker" not in str(error):
                    raise
        raise Unreadable("Nova (compute) has none of the servers that it listed before", 400)

    def _page(self, marker: str | None, limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Return a page, and whether there may be a next one."""
        items, linked = self._request(marker, limit)
        if not items or linked:
            return items, bool(items)
        # Nova removes duplicates from a full page and then omits the link: servers that are in
        # two databases, because they leave the API's for a cell's, or one cell for another.
        twice = sum(item.status in _UNSETTLED for item in items)
        asked = limit or self._page_size
        return items, bool(twice) and (not asked or len(items) + twice >= asked)

    def _request(self, marker: str | None, limit: int | None) -> tuple[list[ServerRecord], bool]:
        """Return a page, and whether Nova links to a next one."""
        query = {**self._filters, **_SORTED}
        if marker is not None:
            query["marker"] = marker
        if limit is not None and (limit < self._page_size or not self._page_size):
            query["limit"] = str(limit)
        page = self._read("/servers/detail", query)
        project = self._filters.get("project_id")
        if project and any(item.project_id != project for item in page.servers):
            raise Unreadable(
                "Nova (compute) does not let this user select a project (servers:allow_all_filters)"
            )
        return page.servers, page.has_next

    def _read(self, path: str, query: Mapping[str, str]) -> ServerList:
        """Return a page with each of its servers once.

        :raises Unreadable: also when the page contradicts itself
        """
        page = self._rest.read(ServerList, "compute", path, query, self._microversion)
        if page.has_next and not page.servers:
            raise Unreadable("Nova (compute) returns an empty page with a link to the next page")
        if not all(_UUID.fullmatch(record.id) for record in page.servers):
            raise Unreadable("Nova (compute) returns a server whose ID is no UUID")
        found = {record.id: record for record in page.servers}
        if len(found) < len(page.servers):
            page.servers = list(found.values())
        return page


def _fraction(server_id: str) -> float:
    """Return the fraction of all UUIDs that are below this one."""
    try:
        return int(server_id[:8] or "0", 16) / 2**32
    except ValueError:
        return 0.0
