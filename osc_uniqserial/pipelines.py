# SPDX-License-Identifier: Apache-2.0
"""The functions of the Python API, and those that only commands call: plan and export."""

from __future__ import annotations

import abc
import dataclasses
import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Generic, TypeVar

from osc_uniqserial import checks, metadefs
from osc_uniqserial.api import background
from osc_uniqserial.api.definitions import RequestReader, read_flavor_definitions
from osc_uniqserial.api.hosts import read_aggregates, read_hosts
from osc_uniqserial.api.inventory import read_images
from osc_uniqserial.api.rest import CloudError, Rest, Unreadable, or_unchecked
from osc_uniqserial.api.server import find_server, read_server
from osc_uniqserial.api.servers import CloudReader, Servers
from osc_uniqserial.api.settings import Settings
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.checks.check import Check, by_severity, found_in
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.checks.engine import Audit, guest_findings
from osc_uniqserial.checks.inventory import InventoryComparison
from osc_uniqserial.checks.live import Readings, Verification
from osc_uniqserial.checks.readiness import Row, assess
from osc_uniqserial.checks.unread import ServersRead
from osc_uniqserial.desired.document import Desired
from osc_uniqserial.desired.export.settings import CloudSettings, settings
from osc_uniqserial.desired.plan import Plan, Reached
from osc_uniqserial.effective.counts import ServerCounts
from osc_uniqserial.effective.explanation import Explanation, Explanations
from osc_uniqserial.guests.options import CannotOpen, GuestSources
from osc_uniqserial.keys import SETTINGS
from osc_uniqserial.metadefs.catalog import Catalog
from osc_uniqserial.model.cloud import Fleet, GivenModes, ServerFacts, Unchecked
from osc_uniqserial.model.definition import ServerRequest
from osc_uniqserial.model.finding import Covered, Finding, Resource
from osc_uniqserial.model.inventory import Inventory
from osc_uniqserial.policy import IMAGE_KEY, HostMode, Setting

if TYPE_CHECKING:
    from openstack.connection import Connection

_Item = TypeVar("_Item")

#: Concurrent requests to Nova.
WORKERS = 4
#: Called with the number of servers that were read, and their approximate total or None.
Progress = Callable[[int, int | None], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Which servers are read.

    :ivar project_id: read the servers of this project; None: see ``all_projects``
    :ivar all_projects: True: all projects, with an error where policy forbids it; False: the
        user's project; None: all projects where policy allows it, else the user's project
    """

    project_id: str | None = None
    all_projects: bool | None = None

    def filters(self, reader: CloudReader | RequestReader) -> tuple[dict[str, str], str]:
        """Return the filters for Nova's list of servers, and their description.

        :returns: the description is empty when the list has the servers of all projects
        :raises CloudError: when ``all_projects`` is True and policy forbids it
        """
        if self.project_id:
            filters = {"all_tenants": "true", "project_id": self.project_id}
            return filters, f"project {self.project_id} only"
        if self.all_projects is False:
            return {}, "own project only"
        if reader.sees_all_projects():
            return {"all_tenants": "true"}, ""
        if self.all_projects:
            raise CloudError(
                "This user may not list the servers of all projects; without --all-projects"
                " those of the own project are checked"
            )
        return {}, "own project only: this user may not list the servers of others"


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """The effective policy of one server.

    :ivar explanation: the policy with its reasons
    :ivar notes: messages about unreadable or wrong inputs
    """

    explanation: Explanation
    notes: Sequence[str]


def explain(
    connection: Connection,
    server: str,
    *,
    all_projects: bool = False,
    host_modes: Mapping[str, HostMode] | None = None,
) -> Explained:
    """Return the serial source of a server and the reason.

    :param connection: a connection of openstacksdk
    :param server: name or ID
    :param all_projects: search the name in all projects
    :param host_modes: the ``[libvirt]sysinfo_serial`` of hosts whose traits do not declare it;
        ``*`` stands for all others
    :returns: the policy of the server, and what could not be read
    :raises CloudError: when the server is missing, or a service does not answer
    """
    rest = Rest(connection)
    record = find_server(rest, server, all_projects)
    facts, fleet, notes = read_server(rest, record, GivenModes(host_modes or {}))
    return Explained(Explanations(fleet).of(facts), notes)


def ask_unique(connection: Connection, server_id: str) -> None:
    """Ask for a unique serial in the metadata of a server.

    It counts when the guest's XML is generated next, such as by a hard reboot.

    :param connection: a connection of openstacksdk
    :param server_id: the ID, not the name
    :raises CloudError: when Nova does not store it
    """
    text = SETTINGS["server"][IMAGE_KEY][Setting.UNIQUE]
    stored = Settings(Rest(connection)).write(Resource("server", server_id), IMAGE_KEY, None, text)
    if stored is not None and stored.get(IMAGE_KEY) != text:
        raise CloudError(f"Nova (compute) did not store {IMAGE_KEY} with server {server_id}")


def hosts(
    connection: Connection, *, host_modes: Mapping[str, HostMode] | None = None
) -> Fleet | Unchecked:
    """Return the hosts of a cloud, or the reason why they cannot be read.

    The number of requests does not grow with the hosts, except for the pages of the hypervisors.

    :param connection: a connection of openstacksdk
    :param host_modes: the ``[libvirt]sysinfo_serial`` of hosts whose traits do not declare it;
        ``*`` stands for all others
    """
    given = GivenModes(host_modes or {})
    return or_unchecked(lambda: read_hosts(Rest(connection), given)[0])


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a cloud can give servers a serial number of their own.

    :ivar rows: the results, at least one for each check
    :ivar notes: messages about wrong given modes
    """

    rows: tuple[Row, ...]
    notes: Sequence[str]


def readiness(
    connection: Connection, *, host_modes: Mapping[str, HostMode] | None = None
) -> Readiness:
    """Check whether a cloud can give servers a serial number of their own.

    Parts that this user may not read, or that a service does not return, have the result Unknown.

    :param connection: a connection of openstacksdk
    :param host_modes: the ``[libvirt]sysinfo_serial`` of hosts whose traits do not declare it;
        ``*`` stands for all others
    """
    definitions = background.start(Catalog(connection).compare, our_metadefs())
    fleet = hosts(connection, host_modes=host_modes)
    validator = or_unchecked(extra_spec_validator, Rest(connection))
    rows = assess(definitions.result().comparisons, validator, fleet)
    return Readiness(rows, fleet.notes if isinstance(fleet, Fleet) else ())


def _pages(servers: Servers, progress: Progress | None) -> Iterator[Sequence[ServerFacts]]:
    """Yield the servers while they are read, and report the progress after each page."""
    read = 0
    for page in servers:
        yield page
        read += len(page)
        if progress:
            progress(read, servers.expected)


def _unread(servers: Servers) -> Iterator[str]:
    """Yield why servers could not be read."""
    for gap in servers.gaps:
        yield f"some servers could not be read: {gap.reason}"
    if servers.unlisted_cells:
        yield "a cell is down, and Nova omits its servers from a long list"


class CloudRun(abc.ABC):
    """One run over the servers of a cloud; iterate once for the findings.

    :ivar checks: the checks of the run by ID, the gravest first
    :ivar scope: which servers are read; empty: all servers of the cloud
    :ivar notes: messages about wrong options or hosts
    :ivar counts: servers by host and serial source, so far
    :ivar covered: how many servers were checked; None before the end
    """

    def __init__(
        self,
        reader: CloudReader,
        which: Scope,
        wanted: Mapping[str, Check],
        sources: GuestSources,
        inventory: Inventory | None,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self._filters, self.scope = which.filters(reader)
        self._reader = reader
        self._progress = progress
        self.checks = wanted
        self.counts = ServerCounts()
        self.covered: Covered | None = None
        fleet = reader.configuration.fleet
        self.fleet = fleet if isinstance(fleet, Fleet) else None
        self.notes: list[str] = [*(self.fleet.notes if self.fleet else ())]
        self._cloud = Cloud(reader.configuration)
        # Guests are read before the servers that they are compared with.
        self._began = datetime.datetime.now(datetime.UTC)
        self._guests: Verification | None = None
        if sources.live:
            try:
                opened, notes = sources.opened(self.fleet)
            except CannotOpen as error:
                raise CloudError(str(error)) from error
            self.notes += notes
            self._guests = Verification(Readings(itertools.chain.from_iterable(opened)))
        self._inventory = InventoryComparison(inventory, self._guests) if inventory else None
        self._servers = reader.servers(self._filters, workers)

    @property
    def is_whole(self) -> bool:
        """Whether the servers of all projects are read."""
        return not self.scope

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Finding]:
        """Yield the findings."""

    def _pages(self) -> Iterator[Sequence[ServerFacts]]:
        for servers in _pages(self._servers, self._progress):
            self.counts.add(servers)
            for comparison in (self._guests, self._inventory):
                if comparison is not None:
                    comparison.add(servers)
            yield servers

    def _compared(self) -> Iterator[Finding]:
        """Yield the findings about guests and the inventory."""
        servers, guests, inventory = self._servers, self._guests, self._inventory
        complete = self.is_whole and not servers.gaps and not servers.unlisted_cells
        if guests is not None:
            # Servers may have been created, moved, restarted or deleted after the guests were read.
            try:
                changed = self._reader.changed_since(self._filters, self._began)
                guests.exclude(changed)
                if inventory is not None:
                    inventory.exclude(changed)
            except Unreadable as error:
                reason = (
                    f"Servers that changed after the guests were read are not excluded: {error}"
                )
                yield from found_in(ServersRead(((reason, 0),)), self._cloud)
            guests.complete = complete
            yield from guest_findings(guests, self._cloud)
        if inventory is not None:
            inventory.complete = complete
            yield from found_in(inventory, self._cloud)

    def _coverage(self) -> Iterator[str]:
        """Yield the coverage of guests and of the inventory."""
        if self._guests is not None:
            gaps = [gap.servers or 0 for gap in self._servers.gaps]
            yield f"Guests: {self._guests.coverage(gaps)}"
        if self._inventory is not None:
            yield f"Inventory: {self._inventory.coverage}"

    def _with_scope(self, text: str) -> str:
        return f"{text} ({self.scope})" if self.scope else text


class AuditRun(CloudRun):
    """An audit of a cloud; with a source of live serial numbers, also of its guests."""

    audit: Audit

    def __iter__(self) -> Iterator[Finding]:
        """Yield the findings while the servers are read."""
        audit, servers = self.audit, self._servers
        yield from audit.configuration()
        for page in self._pages():
            audit.add(page)
        yield from audit.summary(
            servers.gaps,
            unlisted_cells=servers.unlisted_cells,
            volumes_unread=servers.volumes_unread,
            volumes=servers.volumes.with_wrong_keys,
        )
        coverage = audit.coverage
        text, compared = str(coverage), None
        yield from self._compared()
        text = ". ".join((text, *self._coverage()))
        if self._guests is not None:
            compared = (self._guests.compared, self._guests.comparable)
        self.covered = Covered(
            self._with_scope(text), coverage.seen, coverage.checked, coverage.unread, compared
        )


class VerifyRun(CloudRun):
    """A comparison of live serial numbers and of an inventory with the policy."""

    def __iter__(self) -> Iterator[Finding]:
        """Yield the findings after the servers were read."""
        for _page in self._pages():
            pass
        yield from self._compared()
        guests, inventory, servers = self._guests, self._inventory, self._servers
        yield from found_in(ServersRead(servers.gaps, servers.unlisted_cells), self._cloud)
        text = ". ".join(self._coverage())
        if inventory is None:
            text = text.removeprefix("Guests: ")
        counts = (0, 0)
        if guests is not None:
            counts = (guests.comparable, guests.compared)
        elif inventory is not None:
            counts = (len(inventory), inventory.compared)
        unread = sum(gap.servers or 0 for gap in servers.gaps)
        self.covered = Covered(self._with_scope(text), *counts, unread)


class PlanRun:
    """A plan for a cloud; iterate once for the servers whose serial number changes.

    :ivar plan: the changes; complete after the iteration
    :ivar scope: which servers are read; empty: all servers of the cloud
    :ivar notes: messages about wrong options
    :ivar unread: why servers or their root volumes could not be read, so far
    """

    def __init__(
        self,
        reader: CloudReader,
        desired: Desired,
        which: Scope,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self._filters, self.scope = which.filters(reader)
        self._progress = progress
        self.plan = Plan(desired, reader.configuration)
        fleet = reader.configuration.fleet
        self.notes = fleet.notes if isinstance(fleet, Fleet) else ()
        self._servers = reader.servers(self._filters, workers)
        self.unread: list[str] = []

    def __iter__(self) -> Iterator[Reached]:
        """Yield the servers whose serial number changes, or may change, while they are read."""
        for page in _pages(self._servers, self._progress):
            yield from self.plan.add(page)
        self.unread += _unread(self._servers)
        if volumes := self._servers.volumes_unread:
            self.unread.append(f"the volumes could not be read: {volumes}")
        self.plan.end(complete=not self.unread, scope=self.scope)


def our_metadefs() -> tuple[metadefs.Namespace, ...]:
    """Return the metadata definitions of this version.

    :raises CloudError: when a file of the package is not valid
    """
    try:
        return metadefs.load()
    except metadefs.Malformed as error:
        raise CloudError(str(error)) from error


def audit_checks(sources: GuestSources) -> Mapping[str, Check]:
    """Return the checks of an audit; those of guests and of an inventory only with a source."""
    guests = verify_checks(sources)
    return by_severity({**guests, **checks.AUDIT}.values()) if sources else checks.AUDIT


def verify_checks(sources: GuestSources) -> Mapping[str, Check]:
    """Return the checks of a verification that the sources have the facts for."""
    kinds = sources.kinds
    return {id_: check for id_, check in checks.VERIFY.items() if check.sources & kinds}


def audit(
    connection: Connection,
    *,
    scope: Scope | None = None,
    sources: GuestSources | None = None,
    host_modes: Mapping[str, HostMode] | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> AuditRun:
    """Start an audit: find misconfiguration, and parts that could not be checked.

    The call reads hosts, flavors, images, aggregates and metadata definitions. Iterating over
    the result reads the servers.

    :param connection: a connection of openstacksdk
    :param scope: which servers; None: those of all projects where policy allows it
    :param sources: sources of serial numbers to compare; None: guests are not checked
    :param host_modes: the ``[libvirt]sysinfo_serial`` of hosts whose traits do not declare it;
        ``*`` stands for all others
    :param workers: the most concurrent requests to Nova
    :param progress: called after each page with the number of servers that were read, and the
        approximate number of all servers (None: unknown)
    :returns: the run; iterate over it once for the findings
    :raises CloudError: when a required service does not answer; the message names the service;
        when the inventory cannot be read
    """
    sources = sources or GuestSources()
    inventory = _inventory(sources)
    rest, given = Rest(connection), GivenModes(host_modes or {})
    ours = our_metadefs()
    definitions = background.start(Catalog(connection).compare, ours)
    reader = CloudReader(rest, given)
    wanted = audit_checks(sources)
    run = AuditRun(reader, scope or Scope(), wanted, sources, inventory, workers, progress)
    run.audit = Audit(reader.configuration, definitions.result().comparisons)
    return run


def verify(
    connection: Connection,
    sources: GuestSources,
    *,
    scope: Scope | None = None,
    host_modes: Mapping[str, HostMode] | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> VerifyRun:
    """Start a comparison of live serial numbers with the policy; the call reads the guests.

    The other parameters are those of :func:`audit`.

    :param sources: sources of serial numbers to compare; at least one
    :returns: the run; iterate over it once for the findings
    :raises CloudError: when a required service does not answer; the message names the service;
        when the inventory cannot be read
    :raises ValueError: without a source
    """
    if not sources:
        raise ValueError("there is no source of serial numbers to compare with")
    inventory = _inventory(sources)
    reader = CloudReader(Rest(connection), GivenModes(host_modes or {}))
    wanted = verify_checks(sources)
    return VerifyRun(reader, scope or Scope(), wanted, sources, inventory, workers, progress)


def _inventory(sources: GuestSources) -> Inventory | None:
    """Return the inventory, read before any request."""
    try:
        return sources.read_inventory()
    except CannotOpen as error:
        raise CloudError(f"{error}. Nothing was checked.") from error


def plan(
    connection: Connection,
    desired: Desired,
    *,
    scope: Scope | None = None,
    host_modes: Mapping[str, HostMode] | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> PlanRun:
    """Start a plan: what a desired state changes, and on which servers; nothing is changed.

    The other parameters are those of :func:`audit`.

    :raises CloudError: when a required service does not answer; the message names the service
    """
    rest, given = Rest(connection), GivenModes(host_modes or {})
    line = desired.metadefs
    ours = our_metadefs() if line else ()
    # Read while the rest of the configuration is read.
    stored = line and background.start(or_unchecked, Catalog(connection).read_ours, ours)
    run = PlanRun(CloudReader(rest, given), desired, scope or Scope(), workers, progress)
    if line and stored:
        run.plan.add_metadefs(line, ours, stored.result())
    return run


def export(
    connection: Connection,
    kinds: Set[str],
    *,
    scope: Scope | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> CloudSettings:
    """Read the settings of today; no request is sent for a single resource.

    :param kinds: what is read: ``flavor``, ``image``, ``aggregate``, ``server``
    :param scope: which servers; None: those of all projects where policy allows it
    :param workers: the most concurrent requests for servers
    :param progress: called with the number of servers that were read so far
    :raises CloudError: when Nova is too old or does not answer
    """
    rest = Rest(connection)
    reader = RequestReader(rest)
    flavors = _Part("flavor", kinds, read_flavor_definitions, rest)
    images = _Part("image", kinds, lambda rest: read_images(rest).values(), rest)
    aggregates = _Part("aggregate", kinds, read_aggregates, rest)
    servers: Sequence[ServerRequest] = ()
    unread: Sequence[str] = ()
    described = ""
    if "server" in kinds:
        filters, described = (scope or Scope()).filters(reader)
        servers, unread = reader.read(filters, workers, progress)
    parts = (flavors, images, aggregates)
    return settings(
        flavors.items(),
        images.items(),
        aggregates.items(),
        servers,
        [*(reason for part in parts for reason in part.unread()), *unread],
        described,
    )


class MachinesRun:
    """The servers of a cloud for an inventory; iterate once.

    :ivar scope: which servers are read; empty: all servers of the cloud
    :ivar unread: why servers could not be read, so far
    """

    def __init__(
        self, reader: CloudReader, which: Scope, workers: int, progress: Progress | None
    ) -> None:
        self._filters, self.scope = which.filters(reader)
        self._progress = progress
        self._servers = reader.servers(self._filters, workers)
        self.unread: list[str] = []

    def __iter__(self) -> Iterator[Sequence[ServerFacts]]:
        """Yield the servers while they are read."""
        yield from _pages(self._servers, self._progress)
        self.unread += _unread(self._servers)


def machines(
    connection: Connection,
    *,
    scope: Scope | None = None,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> MachinesRun:
    """Start reading the servers of a cloud for an inventory.

    The parameters are those of :func:`export`.

    :raises CloudError: when a required service does not answer; the message names the service
    """
    reader = CloudReader(Rest(connection), GivenModes())
    return MachinesRun(reader, scope or Scope(), workers, progress)


class _Part(Generic[_Item]):
    """Resources of one kind, read meanwhile; none when the kind is not wanted."""

    def __init__(
        self, kind: str, kinds: Set[str], read: Callable[[Rest], Iterable[_Item]], rest: Rest
    ) -> None:
        self._kind = kind
        self._reading = background.start(or_unchecked, read, rest) if kind in kinds else None

    def items(self) -> Iterable[_Item]:
        """Return the resources; none when they could not be read."""
        found = self._reading.result() if self._reading else ()
        return () if isinstance(found, Unchecked) else found

    def unread(self) -> Iterator[str]:
        """Yield why they could not be read."""
        found = self._reading.result() if self._reading else ()
        if isinstance(found, Unchecked):
            yield f"the {self._kind}s could not be read: {found.reason}"
