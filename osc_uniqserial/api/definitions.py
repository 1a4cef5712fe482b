# SPDX-License-Identifier: Apache-2.0
"""Flavors with all their fields, and the requests of servers: what an export needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from osc_uniqserial.api.hosts import hosts_of_down_cells
from osc_uniqserial.api.inventory import COMPUTE_FLAVORS
from osc_uniqserial.api.pages import ServerPages
from osc_uniqserial.api.records import FlavorRecord, ServerRecord, read_metadata
from osc_uniqserial.api.rest import COMPUTE_SERVERS, Rest, parsing
from osc_uniqserial.api.servers import few_collections, may_omit_servers, sees_all_projects
from osc_uniqserial.model.definition import FlavorDefinition, ServerRequest
from osc_uniqserial.model.finding import Resource


def read_flavor_definitions(rest: Rest) -> tuple[FlavorDefinition, ...]:
    """Read every flavor that is visible to this user, sorted by name.

    :raises Unreadable: when Nova does not return them
    """
    everything = {"is_public": "None"}
    with parsing("compute"):
        found = [
            _flavor(msgspec.convert(item, FlavorRecord))
            for item in rest.pages(
                "compute", "/flavors/detail", "flavors", everything, COMPUTE_FLAVORS
            )
        ]
    return tuple(sorted(found, key=lambda each: (each.name, each.id)))


def _flavor(record: FlavorRecord) -> FlavorDefinition:
    return FlavorDefinition(
        record.id,
        record.name,
        record.extra_specs,
        ram=record.ram,
        vcpus=record.vcpus,
        disk=record.disk,
        swap=int(record.swap or 0),
        ephemeral=record.ephemeral,
        rxtx_factor=None if record.rxtx_factor in (None, "") else float(record.rxtx_factor),
        is_public=record.is_public,
        description=record.description or None,
    )


class _Page(NamedTuple):
    """What is of interest on a page of servers.

    :ivar unread: the number of servers whose metadata are hidden, or whose cell is down
    """

    servers: int
    requests: Sequence[ServerRequest]
    unread: int


class RequestReader:
    """Reads the servers that have a request of their own."""

    def __init__(self, rest: Rest) -> None:
        """Ask Nova for its microversion.

        :raises CloudError: when Nova is too old or does not answer
        """
        self._rest = rest
        self._microversion = rest.compute_microversion(COMPUTE_SERVERS)

    def sees_all_projects(self) -> bool:
        """Whether Nova lets this user list the servers of all projects; True when unknown."""
        return sees_all_projects(self._rest, self._microversion)

    def read(
        self,
        filters: Mapping[str, str],
        workers: int,
        progress: Callable[[int, int | None], None] | None,
    ) -> tuple[tuple[ServerRequest, ...], tuple[str, ...]]:
        """Read all servers, and keep those with a request, in the order of their IDs.

        :param filters: query of Nova's list of servers, with ``all_tenants``
        :param workers: the most concurrent requests
        :param progress: called with the number of servers that were read, and their approximate
            total or None
        :returns: the servers, and why others could not be read
        """
        before = hosts_of_down_cells(self._rest)
        pages = ServerPages(self._rest, self._microversion, filters, workers, _page)
        found: list[ServerRequest] = []
        read = unread = 0
        with few_collections():
            for page in pages:
                read += page.servers
                unread += page.unread
                found += page.requests
                if progress:
                    progress(read, pages.expected)
        unread += len(pages.of_down_cells)
        reasons = [f"some servers could not be read: {gap.reason}" for gap in pages.gaps]
        if unread:
            reasons.append(f"servers whose metadata Nova does not return: {unread:,}")
        after = hosts_of_down_cells(self._rest)
        if may_omit_servers(pages.unlisted_cells, before or (), after):
            reasons.append("a cell is down, and Nova omits its servers from a long list")
        return tuple(found), tuple(reasons)


def _page(records: Sequence[ServerRecord]) -> _Page:
    requests = []
    unread = 0
    for record in records:
        metadata = read_metadata(record.metadata) if record.is_reachable else None
        if metadata is None:
            unread += 1
        elif metadata.request is not None:
            name = record.name if isinstance(record.name, str) else None
            about = Resource("server", record.id, name, record.project_id)
            requests.append(ServerRequest(about, metadata.request))
    return _Page(len(records), requests, unread)
