# SPDX-License-Identifier: Apache-2.0
"""Every server once, whatever happens while they are read."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial.api.pages import ServerPages
from osc_uniqserial.api.rest import Json, Rest, Unreadable

EVERYTHING = {"all_tenants": "true"}
LONG_AGO = "2020-01-01T00:00:00Z"


class FakeNova:
    """The list of servers as Nova gives it: nova/compute/api.py (get_all), servers.py.

    :ivar building: servers that are build requests yet: first in a list, in its order
    :ivar down: servers of a cell that is down
    :ivar before: called before each page, with the request's number
    :ivar fails: what a page fails with; None when it does not
    :ivar given: how many servers were in all pages
    :ivar changed: records of servers that were created or deleted while the others are read
    """

    def __init__(
        self,
        servers: Sequence[str],
        page_size: int,
        building: Sequence[str] = (),
        down: Sequence[str] = (),
    ) -> None:
        self.servers = list(servers)
        self.building = list(building)
        self.down = list(down)
        self.page_size = page_size
        self.before: Callable[[int], None] = lambda number: None
        self.fails: Callable[[Mapping[str, str]], Unreadable | None] = lambda query: None
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.given = 0
        self.changed: list[Json] = []
        self._lock = threading.Lock()

    def read(
        self,
        kind: type[Any],
        _service: str,
        path: str,
        params: Mapping[str, str],
        microversion: str,
    ) -> Any:
        assert microversion == "2.98"
        with self._lock:
            self.before(len(self.sent))
            self.sent.append((path, dict(params)))
            error = self.fails(params) if path == "/servers/detail" else None
            if error:
                raise error
            found = self._brief() if path == "/servers" else self._page(params)
            return msgspec.convert(found, kind)

    def pages(
        self, _service: str, path: str, key: str, params: Mapping[str, str], microversion: str
    ) -> Iterator[Json]:
        assert (path, key, microversion) == ("/servers/detail", "servers", "2.98")
        assert set(params) == {"all_tenants", "changes-since"}
        self.sent.append((path, dict(params)))
        if error := self.fails(params):
            raise error
        yield from self.changed

    def _brief(self) -> Json:
        # The newest first: another order than that of the UUIDs.
        live = [*self.building, *reversed(self.servers)][: self.page_size]
        room = self.page_size - len(live)
        items: list[Json] = [{"id": each, "status": "UNKNOWN"} for each in self.down[:room]]
        items += [{"id": each, "name": "x"} for each in live]
        links = [{"rel": "next"}] if len(items) == self.page_size else []
        return {"servers": items, "servers_links": links}

    def _page(self, params: Mapping[str, str]) -> Json:
        assert (params["sort_key"], params["sort_dir"]) == ("uuid", "asc")
        limit = min(int(params.get("limit", self.page_size)), self.page_size)
        marker = params.get("marker")
        building, servers = sorted(self.building), sorted(self.servers)
        if marker in building:
            building = building[building.index(marker) + 1 :]
        elif marker is not None:
            building = []
            if marker not in servers:
                raise Unreadable(f"Nova (compute) answered 400: marker [{marker}] not found", 400)
            servers = servers[servers.index(marker) + 1 :]
        building = building[:limit]
        # Found twice, it is shown once, and the page is one short: without a link.
        servers = [each for each in servers[: limit - len(building)] if each not in building]
        items = [{"id": each, "name": "x", "status": "BUILD", "hostId": ""} for each in building]
        items += [{"id": each, "name": "x", "status": "ACTIVE", "hostId": "h"} for each in servers]
        links = [{"rel": "next"}] if len(items) == limit else []
        self.given += len(items)
        return {"servers": items, "servers_links": links}


def reader(nova: FakeNova, workers: int = 4, **options: Any) -> ServerPages[list[str]]:
    return ServerPages(
        cast("Rest", nova),
        "2.98",
        EVERYTHING,
        workers,
        lambda records: [record.id for record in records],
        **options,
    )


def read(pages: ServerPages[list[str]]) -> list[str]:
    return [server for page in pages for server in page]


def uuids(count: int, seed: int = 1) -> list[str]:
    numbers = random.Random(seed)  # noqa: S311 - no secret
    return [_uuid(numbers.getrandbits(128)) for _ in range(count)]


def _uuid(number: int) -> str:
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


ANY_UUIDS = (
    st.sets(st.integers(0, 2**128 - 1), max_size=60)
    | st.sets(
        # All in a row, at one end of all that is possible.
        st.integers(0, 300) | st.integers(2**128 - 300, 2**128 - 1),
        max_size=60,
    )
    | st.sets(
        # All alike in the digits that are compared first.
        st.integers(0, 255).map(lambda number: (number << 96) + 1),
        max_size=60,
    )
)
SIZES = st.integers(1, 12)
WORKERS = st.integers(1, 5)


@given(ANY_UUIDS, ANY_UUIDS, SIZES, WORKERS, st.randoms())
@settings(max_examples=150)
def test_every_server_comes_once(
    numbers: set[int], building: set[int], size: int, workers: int, shuffle: random.Random
) -> None:
    servers = [_uuid(number) for number in numbers]
    shuffle.shuffle(servers)
    # Some are in the API's database and in a cell's already.
    early = [_uuid(number) for number in building]
    servers += [each for each in early if each[-1] in "01234567" and each not in servers]
    pages = reader(FakeNova(servers, size, early), workers)
    found = read(pages)
    if not pages.gaps:
        assert sorted(found) == sorted({*servers, *early})
    assert len(found) == len(set(found))
    # Those that are not just being built come in order.
    settled = [each for each in found if each not in early]
    assert settled == sorted(set(settled))
    # Never less than that is told; more only while servers are being built.
    assert bool(pages.gaps) <= bool(early)


@given(st.integers(20, 60), st.integers(5, 12), WORKERS, st.data())
@settings(max_examples=150)
def test_nothing_is_lost_or_doubled_while_servers_come_and_go(
    count: int, size: int, workers: int, data: st.DataObject
) -> None:
    servers, new = uuids(count), uuids(12, seed=2)
    nova = FakeNova(servers, size, building=new[:4])
    deleted: set[str] = set()
    doomed = data.draw(st.lists(st.sampled_from(servers), max_size=15))

    def change(number: int) -> None:
        if doomed and number > 1:
            gone = doomed.pop()
            deleted.add(gone)
            nova.changed.append({"id": gone, "status": "DELETED", "created": LONG_AGO})
            nova.servers = [each for each in nova.servers if each != gone]
        if number == 2:
            # They were scheduled: from the API's database into a cell's.
            nova.servers += nova.building
            nova.building = []
        if number == 3:
            nova.servers += new[4:]
            nova.changed += [
                {"id": each, "status": "ACTIVE", "created": "2100-01-01T00:00:00Z"} for each in new
            ]

    nova.before = change
    pages = reader(nova, workers)
    found = read(pages)
    assert len(found) == len(set(found))
    assert set(servers) - deleted <= set(found)
    assert set(new[:4]) <= set(found)
    assert pages.gaps == []


@pytest.mark.parametrize("workers", [1, 4])
def test_few_servers_are_read_for_nothing(workers: int) -> None:
    servers = uuids(20_000)
    nova = FakeNova(servers, 1_000)
    pages = reader(nova, workers)
    assert read(pages) == sorted(servers)
    assert nova.given < 1.1 * len(servers)
    assert len(nova.sent) < 2 * 20
    assert pages.expected is not None
    assert abs(pages.expected - 20_000) < 2_000


def test_a_small_cloud_takes_two_requests() -> None:
    nova = FakeNova(uuids(30), 100)
    assert len(read(reader(nova))) == 30
    assert sorted(path for path, _query in nova.sent) == ["/servers", "/servers/detail"]


def test_pages_that_stay_away_are_a_gap() -> None:
    servers = sorted(uuids(400))
    nova = FakeNova(servers, 50)
    calls = []

    def fails(query: Mapping[str, str]) -> Unreadable | None:
        marker = query.get("marker")
        if marker and servers.index(marker) in range(190, 240):
            calls.append(marker)
            return Unreadable("Nova (compute) answered 500: Boom", 500)
        return None

    nova.fails = fails
    pages = reader(nova)
    found = read(pages)
    assert calls
    assert found == sorted(found)
    missing = set(servers) - set(found)
    assert missing
    assert len(missing) < 200
    assert {gap.reason for gap in pages.gaps} == {"Nova (compute) answered 500: Boom"}
    told = sum(gap.servers or 0 for gap in pages.gaps)
    assert abs(told - len(missing)) < 60


def test_a_cloud_that_stays_away_is_not_asked_for_ever() -> None:
    nova = FakeNova(uuids(2_000), 50)
    nova.fails = lambda query: Unreadable("away") if "marker" in query else None
    pages = reader(nova)
    assert len(read(pages)) == 50
    assert len([path for path, _query in nova.sent if path == "/servers/detail"]) < 12
    assert 1_500 < sum(gap.servers or 0 for gap in pages.gaps) < 2_500


def test_nothing_can_be_read() -> None:
    nova = FakeNova(uuids(10), 5)
    nova.fails = lambda _query: Unreadable("away")
    pages = reader(nova)
    assert read(pages) == []
    assert [(gap.reason, gap.servers) for gap in pages.gaps] == [("away", None)]
    assert pages.expected is None


@pytest.mark.parametrize("workers", [1, 3])
def test_servers_of_down_cells_are_told_as_far_as_there_is_room(workers: int) -> None:
    down = ["dddddddd-0000-4000-8000-000000000001", "dddddddd-0000-4000-8000-000000000002"]
    pages = reader(FakeNova(uuids(3), 5, down=down), workers)
    assert len(read(pages)) == 3
    assert [record.id for record in pages.of_down_cells] == down
    assert pages.unlisted_cells
    pages = reader(FakeNova(uuids(3), 50, down=down), workers)
    read(pages)
    assert not pages.unlisted_cells


def test_a_marker_and_a_limit() -> None:
    servers = sorted(uuids(300))
    nova = FakeNova(servers, 100)
    pages = reader(nova, marker=servers[49], limit=20)
    iterator = iter(pages)
    assert next(iterator) == servers[50:70]
    # No more than that was read, but for the list with servers of down cells.
    assert len(nova.sent) == 2
    assert next(iterator)[0] == servers[70]
    assert read(reader(nova, marker=servers[49])) == servers[50:]


def contradicting(nova: FakeNova, change: Callable[[Json], None], number: int) -> None:
    """Let one page of details contradict itself."""
    page = nova._page
    count = itertools.count()

    def changed(params: Mapping[str, str]) -> Json:
        found = page(params)
        if next(count) == number:
            change(found)
        return found

    nova._page = changed  # type: ignore[method-assign]


def _emptied(page: Json) -> None:
    page.update(servers=[], servers_links=[{"rel": "next"}])


def _without_id(page: Json) -> None:
    page["servers"][0]["id"] = ""


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    ("change", "why"), [(_emptied, "an empty page with a link"), (_without_id, "ID is no UUID")]
)
def test_servers_that_a_page_leaves_out_are_a_gap(
    change: Callable[[Json], None], why: str, workers: int, number: int
) -> None:
    nova = FakeNova(uuids(40), 10)
    contradicting(nova, change, number)
    pages = reader(nova, workers)
    assert len(set(read(pages))) < 40
    assert [why in gap.reason for gap in pages.gaps] == [True]


def _without_link(page: Json) -> None:
    page.update(servers_links=None)


def _empty(page: Json) -> None:
    page.update(servers=[], servers_links=[])


def _short(page: Json) -> None:
    page.update(servers=page["servers"][:3], servers_links=[])


def _repeated(page: Json) -> None:
    first = sorted(uuids(40))[:10]
    items = [{"id": each, "name": "x", "status": "ACTIVE", "hostId": "h"} for each in first]
    page.update(servers=items, servers_links=[])


def _unsorted(page: Json) -> None:
    page["servers"].reverse()


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("change", [_without_link, _empty, _short, _repeated, _unsorted])
def test_no_page_loses_or_doubles_servers_silently(
    change: Callable[[Json], None], workers: int, number: int
) -> None:
    servers = uuids(40)
    nova = FakeNova(servers, 10)
    contradicting(nova, change, number)
    pages = reader(nova, workers)
    found = read(pages)
    assert len(found) == len({*found})
    assert {*found} == {*servers} or pages.gaps


def leaving_out(nova: FakeNova, lost: Sequence[str]) -> None:
    """Let every page of details leave servers out."""
    page = nova._page

    def changed(params: Mapping[str, str]) -> Json:
        found = page(params)
        found["servers"] = [each for each in found["servers"] if each["id"] not in lost]
        return found

    nova._page = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("size", [10, 100])
def test_servers_of_the_list_without_details_that_no_page_has_are_a_gap(
    size: int, workers: int
) -> None:
    servers = uuids(40)
    # The newest ones, which are on the list without details.
    lost = servers[-3:]
    nova = FakeNova(servers, size)
    leaving_out(nova, lost)
    # A server that changed is not lost for that; one that was deleted is not lost.
    nova.changed = [
        {"id": lost[0], "status": "DELETED", "created": LONG_AGO},
        {"id": lost[1], "status": "ACTIVE", "created": LONG_AGO},
    ]
    pages = reader(nova, workers)
    assert sorted(read(pages)) == sorted(set(servers) - set(lost))
    ((reason, count),) = pages.gaps
    assert count == 2
    assert min(lost[1:]) in reason


def test_that_servers_were_deleted_may_be_unreadable() -> None:
    servers = uuids(40)
    nova = FakeNova(servers, 100)
    leaving_out(nova, servers[:1])
    nova.fails = lambda query: Unreadable("away") if "changes-since" in query else None
    pages = reader(nova)
    assert len(read(pages)) == 39
    assert [(gap.reason.endswith("away"), gap.servers) for gap in pages.gaps] == [(True, 1)]


def test_a_part_of_the_servers_is_not_compared_with_the_list_of_all() -> None:
    servers = sorted(uuids(40))
    nova = FakeNova(servers, 100)
    pages = reader(nova, marker=servers[9])
    assert read(pages) == servers[10:]
    assert pages.gaps == []
    assert not [query for _path, query in nova.sent if "changes-since" in query]


def test_a_list_of_servers_without_end_is_a_gap() -> None:
    numbers = itertools.count(1)
    nova = FakeNova([], 1)

    def endless(params: Mapping[str, str]) -> Json:
        item = {"id": _uuid((1 << 124) + (next(numbers) << 64)), "name": "x", "status": "ACTIVE"}
        return {"servers": [item], "servers_links": [{"rel": "next"}]}

    nova._page = endless  # type: ignore[method-assign]
    pages = reader(nova)
    assert len(read(pages)) < 10_000
    assert ["without end" in gap.reason for gap in pages.gaps] == [True]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_server_twice_on_a_page_is_one(number: int) -> None:
    servers = uuids(40)
    nova = FakeNova(servers, 10)
    contradicting(nova, lambda page: page["servers"].insert(1, page["servers"][0]), number)
    pages = reader(nova, 1)
    assert read(pages) == sorted(servers)
    assert pages.gaps == []
