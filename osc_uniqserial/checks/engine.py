# SPDX-License-Identifier: Apache-2.0
"""Engine that runs the checks of an audit and yields findings lazily. Pure.

Servers that share a cause are one finding: the remedy is about a host, a flavor or an image, so
the number of findings does not depend on the number of servers. Checks run once for each case.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterable, Iterator, Sequence

from osc_uniqserial.checks import unread
from osc_uniqserial.checks.check import KEYS, Check, Detail, Group, Shared, checks_for, found_in
from osc_uniqserial.checks.cloud import Assessment, Cloud
from osc_uniqserial.checks.live import Verification
from osc_uniqserial.metadefs import EVERY_NAMESPACE, Comparison, faults
from osc_uniqserial.model.cloud import Case, Configuration, ServerFacts, Unchecked, Volume
from osc_uniqserial.model.finding import CLOUD, Coverage, Finding, Resource
from osc_uniqserial.text import counted


class Groups:
    """Servers grouped by check, cause and shared resource; iterable."""

    def __init__(self) -> None:
        self._causes: dict[tuple[Check, Shared, tuple[Hashable, ...]], _Cause] = {}

    def cause(self, check: Check, detail: Detail) -> _Cause:
        """Return where the servers with a detail are grouped."""
        key = (check, detail.shared or check.shared or Shared.CLOUD, detail.cause)
        return self._causes.setdefault(key, _Cause(*key))

    def __iter__(self) -> Iterator[Group]:
        """Yield the groups."""
        return (group for cause in self._causes.values() for group in cause.groups.values())

    def of(self, check: Check) -> Sequence[Group]:
        """Return the groups of a check."""
        return [group for group in self if group.check is check]

    def findings(self, cloud: Cloud) -> Iterator[Finding]:
        """Yield the findings of groups with enough servers, sorted."""
        for group in sorted(self, key=lambda g: (g.check.id, g.shared.value, g.key, repr(g.cause))):
            check = group.check
            if len(group.servers) >= check.at_least and check.explain:
                group.resource = _resource(group, cloud)
                problem = dataclasses.replace(check.explain(group, cloud), servers=group.servers)
                yield check.finding(group.resource, problem)


class _Cause:
    """Servers of one check with one cause, grouped by the resource that they share."""

    def __init__(self, check: Check, shared: Shared, cause: tuple[Hashable, ...]) -> None:
        self.groups: dict[tuple[str, str], Group] = {}
        self._group = functools.partial(Group, check, shared, cause)
        self._key = KEYS[shared]

    def add(self, server: ServerFacts, example: object) -> None:
        """Add a server to the group of its resource."""
        key = self._key(server)
        group = self.groups.get(key)
        if group is None:
            provider = server.on.hypervisor.id if server.on else None
            group = self.groups[key] = self._group(key, example, provider)
        group.servers.add(server.id, server.name)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _CaseFindings:
    """Results that hold for every server of a case.

    :ivar known: whether the serial source is known
    :ivar details: the problems, and where their servers are grouped
    """

    known: bool
    details: tuple[tuple[Detail, _Cause], ...]


def _resource(group: Group, cloud: Cloud) -> Resource:
    shared, name = group.shared, group.name
    if shared is Shared.HOST and name:
        return Resource("host", group.provider, name)
    if shared in (Shared.FLAVOR, Shared.FLAVOR_AND_IMAGE):
        return Resource("flavor", cloud.flavor_id(name), name or None)
    if shared is Shared.IMAGE:
        return Resource("image", name or None, cloud.image_name(name))
    return Resource("cloud")


class Audit:
    """Runs checks on a configuration, then on its servers, then on groups of servers.

    :ivar coverage: how much was checked, so far
    """

    def __init__(
        self, configuration: Configuration, definitions: Iterable[Comparison] = ()
    ) -> None:
        """Prepare; nothing is checked yet.

        :param definitions: Glance's metadata definitions, compared with ours
        """
        self._cloud = Cloud(configuration, definitions)
        self._cases: dict[Case, _CaseFindings] = {}
        self._groups = Groups()
        self.coverage = Coverage()

    def configuration(self) -> Iterator[Finding]:
        """Yield the findings that do not depend on servers."""
        cloud, known = self._cloud, self._cloud.configuration
        yield from found_in(cloud, cloud)
        for fault in faults(cloud.definitions):
            name = None if fault.name == EVERY_NAMESPACE else fault.name
            yield from found_in(fault, cloud, Resource("namespace", name, name))
        if not isinstance(known.flavors, Unchecked):
            for flavor in known.flavors:
                yield from found_in(flavor, cloud, flavor.resource)
        if not isinstance(known.images, Unchecked):
            images = known.images.values()
            for image in sorted(images, key=lambda each: (each.name or "", each.id)):
                yield from found_in(image, cloud, image.resource)
        for aggregate in cloud.fleet.aggregates:
            yield from found_in(aggregate, cloud, aggregate.resource)
        for host in cloud.fleet.hosts:
            yield from found_in(host, cloud, host.resource)

    def add(self, servers: Iterable[ServerFacts]) -> None:
        """Check servers and add them to their groups."""
        coverage = self.coverage
        for server in servers:
            coverage.seen += 1
            found = self._cases.get(server.case)
            if found is None:
                found = self._cases[server.case] = self._check(server.case)
            if found.known:
                coverage.checked += 1
            for detail, cause in found.details:
                if detail.applies is None or detail.applies(server):
                    cause.add(server, detail.example)

    def _check(self, case: Case) -> _CaseFindings:
        assessed = self._cloud.assess(case)
        details = tuple(
            (detail, self._groups.cause(check, detail))
            for check in checks_for(Assessment)
            for detail in check.find(assessed, self._cloud)
        )
        return _CaseFindings(not assessed.missing, details)

    def summary(
        self,
        gaps: Sequence[tuple[str, int | None]] = (),
        *,
        unlisted_cells: bool = False,
        volumes_unread: str | None = None,
        volumes: Iterable[Volume] = (),
    ) -> Iterator[Finding]:
        """Yield the findings about groups of servers, volumes and unread parts.

        :param gaps: why servers could not be read, and their approximate number
        :param unlisted_cells: Nova may have omitted servers of cells that are down
        :param volumes_unread: why the volumes could not be read; None when they were
        :param volumes: bootable volumes with wrong keys
        """
        for volume in volumes:
            yield from found_in(volume, self._cloud, volume.resource)
        yield from self._groups.findings(self._cloud)
        reported = {group.name for group in self._groups.of(unread.host_unknown)}
        read = unread.ServersRead(gaps, unlisted_cells, volumes_unread, reported)
        yield from found_in(read, self._cloud)
        self.coverage.unread += sum(count or 0 for _reason, count in gaps)
        self.coverage.notes += self._notes(read)

    def _notes(self, read: unread.ServersRead) -> Iterator[str]:
        """Yield why not all servers were checked."""
        down = sum(len(group.servers) for group in self._groups.of(unread.server_in_down_cell))
        if down or read.unlisted_cells:
            yield f"{down:,}{' or more' if read.unlisted_cells else ''} in a down cell"
        for reason, count in read.gaps:
            text = unread.gap(reason, count)
            yield text[:1].lower() + text[1:]
        for check, one, many in (
            (unread.image_unreadable, "image unreadable", "images unreadable"),
            (unread.host_unknown, "host unknown", "hosts unknown"),
            (unread.flavor_unreadable, "flavor unreadable", "flavors unreadable"),
        ):
            if count := sum(1 for group in self._groups.of(check) if group.name):
                yield counted(count, one, many)
        for group in self._groups.of(unread.volume_unreadable):
            yield f"{len(group.servers):,} with an unreadable root volume"
        for group in self._groups.of(unread.host_unknown):
            if not group.name:
                yield f"{len(group.servers):,} on a host that is hidden from this user"


def guest_findings(verification: Verification, cloud: Cloud) -> Iterator[Finding]:
    """Yield the findings about guests; servers with the same cause are one finding."""
    verification.settle()
    groups = Groups()
    for check in checks_for(Verification):
        if check.shared:
            for server, detail in check.find(verification, cloud):
                groups.cause(check, detail).add(server, detail.example)
    yield from groups.findings(cloud)
    for check in checks_for(Verification):
        if not check.shared:
            for problem in check.find(verification, cloud):
                yield check.finding(CLOUD, problem)
