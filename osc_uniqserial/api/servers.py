# SPDX-License-Identifier: Apache-2.0
"""The servers of a whole cloud, each with what decides its serial.

What many servers share is read once, as lists, before the servers: hosts, flavors and
images. Raw records end here: each server becomes a small object that points to the case
that it is in, which it shares with many others.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.api import background, hosts, inventory
from osc_uniqserial.api.evidence import ServerEvidence
from osc_uniqserial.api.pages import Gap, ServerPages
from osc_uniqserial.api.records import ServerRecord
from osc_uniqserial.api.rest import COMPUTE_SERVERS, CloudError, Rest, Unreadable, parsing
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.model.cloud import (
    Configuration,
    Fleet,
    GivenModes,
    ServerFacts,
    Unchecked,
    Validator,
    Volume,
)


class Servers:
    """The servers of a cloud or a part of it; they can be read once."""

    def __init__(
        self,
        survey: CloudReader,
        pages: ServerPages[Sequence[ServerFacts]],
        volumes: inventory.Volumes,
    ) -> None:
        self._survey = survey
        self._pages = pages
        self._volumes = volumes
        self._down: tuple[str, ...] | None = ()

    def __iter__(self) -> Iterator[Sequence[ServerFacts]]:
        """Yield all servers in the order of their IDs, some at a time.

        Those of cells that are down come last.
        """
        with _few_collections():
            yield from self._pages
            # Nova leaves out a cell that went down meanwhile without a word.
            self._down = hosts.known_of_down_cells(self._survey.rest)
            if self._pages.of_down_cells:
                yield self._survey.digest(self._pages.of_down_cells)

    @property
    def expected(self) -> int | None:
        """About how many servers there are; None until the first page was read."""
        return self._pages.expected

    @property
    def gaps(self) -> Sequence[Gap]:
        """What could not be read, so far."""
        return self._pages.gaps

    @property
    def unlisted_cells(self) -> bool:
        """Whether Nova may have left out servers of cells that are down."""
        listed = not self._pages.unlisted_cells
        if self._down is None:
            # Whether one is down is hidden from this user; a short list tells it all.
            return not listed
        fleet = self._survey.configuration.fleet
        before = fleet.hosts_of_down_cells if isinstance(fleet, Fleet) else fleet.hosts
        return bool(before or self._down) and not (listed and set(self._down) <= set(before))

    @property
    def volumes_unread(self) -> str | None:
        """Why the volumes could not be read; None when they were, or nobody needed them."""
        return self._volumes.unread.reason if self._volumes.unread else None

    @property
    def volumes_with_wrong_keys(self) -> Sequence[Volume]:
        """Bootable volumes with keys that are wrong there, as far as volumes were read."""
        return self._volumes.with_wrong_keys


class CloudReader:
    """Reads a cloud, or a part of it.

    :ivar configuration: hosts, flavors and images
    """

    def __init__(self, rest: Rest, given: GivenModes) -> None:
        """Read what the servers rest on, the independent parts at once.

        :raises CloudError: when Nova is too old, or tells nothing at all
        """
        self.rest = rest
        self._microversion = rest.compute_microversion(COMPUTE_SERVERS)
        reading = background.start(hosts.read_hosts, rest, given)
        flavors = background.start(_unless_unreadable, inventory.read_flavors, rest)
        images = background.start(_unless_unreadable, inventory.read_images, rest)
        validator = background.start(_validator, rest)
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
        """Tell whether Nova lets this user list the servers of all projects.

        Where it does not tell, the list itself will.
        """
        query = {"all_tenants": "true", "limit": "1"}
        try:
            self.rest.get("compute", "/servers/detail", query, self._microversion)
        except Unreadable as error:
            return error.status != 403
        return True

    def servers(
        self,
        filters: Mapping[str, str],
        workers: int,
        *,
        marker: str | None = None,
        limit: int | None = None,
    ) -> Servers:
        """Return the servers, to be read.

        :param filters: of Nova's list of servers; ``all_tenants`` is one
        :param workers: the most requests at the same time
        :param marker: the ID of the server after which to begin
        :param limit: how many are wanted, about; all of them where it is None
        """
        self._volumes = inventory.Volumes(self.rest, all_projects="all_tenants" in filters)
        pages = ServerPages(
            self.rest,
            self._microversion,
            filters,
            workers,
            self.digest,
            marker=marker,
            limit=limit,
        )
        return Servers(self, pages, self._volumes)

    def changed_since(self, filters: Mapping[str, str], when: datetime.datetime) -> frozenset[str]:
        """Return the IDs of servers that were made, changed or deleted since.

        :param filters: of Nova's list of servers; ``all_tenants`` is one
        :param when: in UTC, as Nova's clock has it
        :raises Unreadable: when Nova does not tell
        """
        since = {**filters, "changes-since": when.strftime("%Y-%m-%dT%H:%M:%SZ")}
        with parsing("compute"):
            return frozenset(
                item["id"]
                for item in self.rest.pages(
                    "compute", "/servers", "servers", since, self._microversion
                )
            )

    def digest(self, items: Sequence[ServerRecord]) -> Sequence[ServerFacts]:
        """Return what records of servers tell."""
        facts = self._evidence.facts
        return [facts(record) for record in items]


@contextlib.contextmanager
def _few_collections() -> Iterator[None]:
    """Let Python look for reference cycles seldom: a page has many objects and no cycle.

    It would look at everything that a page is made of several times while it is parsed, and
    at all else again and again.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _validator(rest: Rest) -> Validator | Unchecked:
    try:
        return extra_spec_validator(rest)
    except CloudError as error:
        return Unchecked(str(error))


def _unless_unreadable(read: Any, rest: Rest) -> Any:
    try:
        return read(rest)
    except Unreadable as error:
        return Unchecked(str(error))
