# SPDX-License-Identifier: Apache-2.0
"""The servers of a whole cloud, each with the case that decides its serial.

Lists that many servers share are read once, before the servers: hosts, flavors and images. Raw
records end here: each server becomes a small object that refers to its case.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
from collections.abc import Iterator, Mapping, Sequence

from osc_uniqserial.api import background, hosts, inventory
from osc_uniqserial.api.evidence import ServerEvidence
from osc_uniqserial.api.pages import ServerPages
from osc_uniqserial.api.records import ServerRecord
from osc_uniqserial.api.rest import COMPUTE_SERVERS, Rest, Unreadable, or_unchecked, parsing
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.model.cloud import (
    Configuration,
    Fleet,
    GivenModes,
    ServerFacts,
    Unchecked,
    Validator,
)


class Servers:
    """The servers of a cloud or a part of it; iterate once.

    :ivar gaps: servers that could not be read, so far
    :ivar volumes: root volumes, read when a server needs them
    """

    def __init__(
        self,
        reader: CloudReader,
        pages: ServerPages[Sequence[ServerFacts]],
        volumes: inventory.Volumes,
    ) -> None:
        self._reader = reader
        self._pages = pages
        self._down: tuple[str, ...] | None = ()
        self.gaps = pages.gaps
        self.volumes = volumes

    def __iter__(self) -> Iterator[Sequence[ServerFacts]]:
        """Yield all servers a page at a time, in the order of their IDs.

        Servers of cells that are down come last.
        """
        with few_collections():
            yield from self._pages
            # Nova omits the servers of a cell that went down during the run without an error.
            self._down = hosts.hosts_of_down_cells(self._reader.rest)
            if self._pages.of_down_cells:
                yield self._reader.digest(self._pages.of_down_cells)

    @property
    def expected(self) -> int | None:
        """The approximate number of servers; None until the first page was read."""
        return self._pages.expected

    @property
    def unlisted_cells(self) -> bool:
        """Whether Nova may have omitted servers of cells that are down."""
        fleet = self._reader.configuration.fleet
        before = fleet.hosts_of_down_cells if isinstance(fleet, Fleet) else fleet.hosts
        return may_omit_servers(self._pages.unlisted_cells, before, self._down)

    @property
    def volumes_unread(self) -> str | None:
        """Why the volumes could not be read; None when they were, or were not needed."""
        return self.volumes.unread


class CloudReader:
    """Reader of a cloud or a part of it.

    :ivar configuration: hosts, flavors and images
    """

    def __init__(self, rest: Rest, given: GivenModes) -> None:
        """Read hosts, flavors and images concurrently.

        :raises CloudError: when Nova is too old or does not answer
        """
        self.rest = rest
        self._microversion = rest.compute_microversion(COMPUTE_SERVERS)
        reading = background.start(hosts.read_hosts, rest, given)
        flavors = background.start(or_unchecked, inventory.read_flavors, rest)
        images = background.start(or_unchecked, inventory.read_images, rest)
        validator = background.start(or_unchecked, extra_spec_validator, rest)
        fleet, unlisted = reading.result()
        known = Configuration(fleet, flavors.result(), images.result())
        self.configuration = known
        self._evidence = ServerEvidence(
            fleet=fleet if isinstance(fleet, Fleet) else None,
            unlisted=unlisted,
            flavors=() if isinstance(known.flavors, Unchecked) else known.flavors,
            images={} if isinstance(known.images, Unchecked) else known.images,
            given=given,
            shows_frozen=validator.result() is Validator.LOADED,
            root_volume=lambda record: self._volumes.root_of(record),
        )

    def sees_all_projects(self) -> bool:
        """Whether Nova lets this user list the servers of all projects; True when unknown."""
        return sees_all_projects(self.rest, self._microversion)

    def servers(
        self,
        filters: Mapping[str, str],
        workers: int,
        *,
        marker: str | None = None,
        limit: int | None = None,
    ) -> Servers:
        """Return the servers; iterating over them reads them.

        :param filters: query of Nova's list of servers, with ``all_tenants``
        :param workers: the most concurrent requests
        :param marker: ID of the server after which to begin
        :param limit: the approximate number of servers to read; None: all
        """
        self._volumes = inventory.Volumes(self.rest, all_projects="all_tenants" in filters)
        pages = ServerPages(
            self.rest, self._microversion, filters, workers, self.digest, marker=marker, limit=limit
        )
        return Servers(self, pages, self._volumes)

    def changed_since(self, filters: Mapping[str, str], when: datetime.datetime) -> frozenset[str]:
        """Return the IDs of servers that were created, changed or deleted since a time.

        :param filters: query of Nova's list of servers, with ``all_tenants``
        :param when: in UTC
        :raises Unreadable: when Nova does not return them
        """
        since = {**filters, "changes-since": when.strftime("%Y-%m-%dT%H:%M:%SZ")}
        with parsing("compute"):
            items = self.rest.pages("compute", "/servers", "servers", since, self._microversion)
            return frozenset(item["id"] for item in items)

    def digest(self, items: Sequence[ServerRecord]) -> Sequence[ServerFacts]:
        """Return the facts of servers from their records."""
        facts = self._evidence.facts
        return [facts(record) for record in items]


def sees_all_projects(rest: Rest, microversion: str) -> bool:
    """Whether Nova lets this user list the servers of all projects; True when unknown."""
    query = {"all_tenants": "true", "limit": "1"}
    try:
        rest.get("compute", "/servers/detail", query, microversion)
    except Unreadable as error:
        return error.status != 403
    return True


def may_omit_servers(is_long: bool, before: Sequence[str], after: Sequence[str] | None) -> bool:
    """Whether Nova may have omitted servers of cells that are down.

    :param is_long: the list with these servers has another page (:class:`ServerPages`)
    :param before: the hosts of cells that were down before the servers were read
    :param after: those of cells that are down since; None when they are hidden from this user
    """
    if after is None:
        # A list without next page is complete.
        return is_long
    return bool(before or after) and (is_long or not set(after) <= set(before))


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Collect garbage less often while pages are parsed.

    They hold many objects and no reference cycles, and each collection scans them all.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
