# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of a cloud: hypervisors, traits, what the user gave, what aggregates declare.

Every request here reads. The number of requests does not grow with the number of hosts,
but for the pages of the list of hypervisors.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future

from osc_uniqserial import policy
from osc_uniqserial.api import background, evidence
from osc_uniqserial.api.evidence import UnlistedHosts
from osc_uniqserial.api.records import Provider, ProviderList
from osc_uniqserial.api.rest import COMPUTE_OLDEST, Json, Rest, Unreadable, parsing
from osc_uniqserial.model.cloud import Aggregate, Fleet, GivenModes, Host, Hypervisor, Unchecked

#: The last one with the CPU architecture of a hypervisor. 2.88 drops it, and asks
#: every host for its uptime instead.
COMPUTE_HYPERVISORS = "2.87"
_PLACEMENT_TRAITS = "1.6"
#: The first one that finds resource providers by a trait.
_PLACEMENT_REQUIRED = "1.18"
#: The most requests for traits at the same time. With those that read hypervisors, flavors,
#: images and the validator meanwhile they are 10, the size of the connection pool of requests:
#: beyond it urllib3 prints warnings where one endpoint serves all APIs.
_AT_ONCE = 3


def read_hosts(rest: Rest, given: GivenModes) -> tuple[Fleet | Unchecked, UnlistedHosts | None]:
    """Read every compute node: at most 11 requests, and one more for each page of hypervisors.

    The independent ones are sent at the same time.

    :returns: the fleet, of services and resource providers where a cell is down; where it could
        not be read, what Placement and the aggregates show without the list of hypervisors
    :raises CloudError: when Nova is too old
    """
    traits = background.start(_read_traits, rest)
    try:
        hypervisors = read_hypervisors(rest)
    except Unreadable as error:
        around = _around(rest, traits)
        down = of_down_cells(rest) if error.status == 500 else ()
        if down:
            with contextlib.suppress(Unreadable):
                return _past_down_cells(rest, around, given, down), None
        return Unchecked(str(error), down, error.status), _unlisted(rest, around)
    return _fleet(rest, hypervisors, _around(rest, traits), given), None


def _past_down_cells(
    rest: Rest, around: _Around, given: GivenModes, down: Collection[str]
) -> Fleet:
    """Read the compute nodes where a cell is down: Nova lists no hypervisor at all then.

    Its services and Placement show the hosts, but not the type of their hypervisors, nor the
    state of the services of that cell. A resource provider belongs to the service of its name,
    or of its name without the domain.

    :param down: the hosts of cells that are down
    :raises Unreadable: when Nova or Placement does not tell
    """
    services = {
        str(each["host"]): each
        for each in rest.items(
            "compute", "/os-services", "services", {"binary": "nova-compute"}, COMPUTE_OLDEST
        )
    }
    hypervisors = []
    found = set()
    for provider in _root_providers(rest):
        name = provider.name
        host = name if name in services else name.partition(".")[0]
        if host in services:
            hypervisors.append(_of_service(provider.uuid, name, services[host]))
            found.add(host)
    lost = sorted(services.keys() - found)
    if not found:
        raise Unreadable("Placement has no resource provider with the name of a host")
    fleet = _fleet(rest, hypervisors, around, given)
    if lost:
        note = f"no resource provider has the name of these hosts: {', '.join(lost)}"
        fleet = dataclasses.replace(fleet, notes=(*fleet.notes, note))
    return dataclasses.replace(fleet, hosts_of_down_cells=tuple(sorted(down)))


def _unlisted(rest: Rest, around: _Around) -> UnlistedHosts:
    traits: dict[str, frozenset[str]] = {}
    unread = around.traits_unread
    if unread is None:
        try:
            traits = {
                provider.name: frozenset(around.traits.get(provider.uuid, ()))
                for provider in _root_providers(rest)
            }
        except Unreadable as error:
            unread = str(error)
    return UnlistedHosts(traits, around.aggregates, unread, around.aggregates_unread)


def _of_service(provider: str, name: str, service: Json) -> Hypervisor:
    return Hypervisor(
        id=provider,
        hostname=name,
        host=str(service["host"]),
        enabled={"enabled": True, "disabled": False}.get(str(service.get("status"))),
        up={"up": True, "down": False}.get(str(service.get("state"))),
        type=None,
        architecture=None,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Around:
    """What is read of all hosts besides the hypervisors.

    :ivar traits: this project's traits of the resource providers that have any, by UUID
    :ivar traits_unread: why they could not be read; None when they were
    :ivar aggregates_unread: why the host aggregates could not be read; None when they were
    """

    traits: Mapping[str, Collection[str]]
    aggregates: tuple[Aggregate, ...]
    traits_unread: str | None
    aggregates_unread: str | None


def _around(rest: Rest, reading: Future[dict[str, set[str]]]) -> _Around:
    """Read the host aggregates while the traits are read."""
    traits: dict[str, set[str]] = {}
    aggregates: tuple[Aggregate, ...] = ()
    traits_unread = aggregates_unread = None
    try:
        aggregates = read_aggregates(rest)
    except Unreadable as error:
        aggregates_unread = str(error)
    try:
        traits = reading.result()
    except Unreadable as error:
        traits_unread = str(error)
    return _Around(traits, aggregates, traits_unread, aggregates_unread)


def _fleet(rest: Rest, listed: Iterable[Hypervisor], around: _Around, given: GivenModes) -> Fleet:
    hypervisors = sorted(listed, key=lambda each: (each.host, each.hostname))
    traits: dict[str, frozenset[str]] = {}
    unread = around.traits_unread
    if unread is None:
        try:
            traits = _with_bare(rest, around.traits, {each.id for each in hypervisors})
        except Unreadable as error:
            unread = str(error)
    hosts = []
    notes: dict[str, None] = {}
    for hypervisor in hypervisors:
        name, found = hypervisor.host, traits.get(hypervisor.id)
        mine = tuple(each for each in around.aggregates if name in each.hosts)
        known = evidence.host_input(
            found,
            given.get(name),
            declared=policy.declared_by_aggregates(each.metadata for each in mine),
            smbios=hypervisor.writes_sysinfo(None),
        )
        note = evidence.unused_mode(known, name, given)
        if note:
            notes[note] = None
        hosts.append(Host(hypervisor, known, found, mine))
    return Fleet(
        tuple(hosts),
        around.aggregates,
        unread,
        around.aggregates_unread,
        (*notes, *unknown_hosts(given, hypervisors)),
    )


# --- what is read -----------------------------------------------------------


def read_hypervisors(rest: Rest) -> tuple[Hypervisor, ...]:
    """Read every compute node, a page at a time.

    :raises CloudError: when Nova is too old; Unreadable when it does not tell
    """
    newest = rest.compute_microversion(COMPUTE_HYPERVISORS)
    with parsing("compute"):
        return tuple(
            _hypervisor(item)
            for item in rest.pages("compute", "/os-hypervisors/detail", "hypervisors", {}, newest)
        )


def existing_traits(rest: Rest) -> set[str]:
    """Read which traits of this project exist: Placement answers 400 to the name of another."""
    ours = {"name": "in:" + ",".join(policy.TRAITS)}
    found = rest.items("placement", "/traits", "traits", ours, _PLACEMENT_TRAITS)
    return {trait for trait in policy.TRAITS if trait in found}


def _read_traits(rest: Rest) -> dict[str, set[str]]:
    """Read which of this project's traits each resource provider has.

    Placement has no list of them: it is asked once for each trait that exists. A nested
    provider may match too; it is no host.

    :returns: by UUID; a provider without any has no entry
    :raises Unreadable: when Placement does not return all of it
    """
    found: dict[str, set[str]] = {}
    for trait, providers in background.each(
        lambda trait: _providers(rest, {"required": trait}), sorted(existing_traits(rest)), _AT_ONCE
    ):
        for provider in providers:
            found.setdefault(provider.uuid, set()).add(trait)
    return found


def _with_bare(
    rest: Rest, traits: Mapping[str, Collection[str]], providers: Collection[str]
) -> dict[str, frozenset[str]]:
    """Return the traits of these providers; one that Placement does not have has no entry."""
    found = {each: frozenset(traits[each]) for each in providers if each in traits}
    if len(found) < len(providers):
        for each in _providers(rest, {}):
            if each.uuid in providers:
                found.setdefault(each.uuid, frozenset())
    return found


def _root_providers(rest: Rest) -> Iterator[Provider]:
    return (provider for provider in _providers(rest, {}) if provider.parent is None)


def _providers(rest: Rest, query: dict[str, str]) -> list[Provider]:
    return rest.read(
        ProviderList, "placement", "/resource_providers", query, _PLACEMENT_REQUIRED
    ).resource_providers


def read_aggregates(rest: Rest) -> tuple[Aggregate, ...]:
    """Read every host aggregate, sorted by name: Nova has no pages of them.

    :raises Unreadable: when Nova does not tell
    """
    items = rest.items("compute", "/os-aggregates", "aggregates", microversion=COMPUTE_OLDEST)
    with parsing("compute"):
        found = [
            Aggregate(
                id=str(item["id"]),
                name=str(item["name"]),
                zone=item.get("availability_zone"),
                metadata={str(key): str(value) for key, value in item["metadata"].items()},
                hosts=frozenset(map(str, item["hosts"])),
            )
            for item in items
        ]
    return tuple(sorted(found, key=lambda each: (each.name, each.id)))


def of_down_cells(rest: Rest) -> tuple[str, ...]:
    """Name the hosts of cells that are down, sorted; none when Nova does not tell."""
    return known_of_down_cells(rest) or ()


def known_of_down_cells(rest: Rest) -> tuple[str, ...] | None:
    """Name the hosts of cells that are down, sorted; None when Nova does not tell.

    Nova lists no hypervisor at all while a cell is down, but from 2.69 on its services
    (nova/api/openstack/compute/services.py, _get_service_detail).
    """
    try:
        services = rest.items(
            "compute",
            "/os-services",
            "services",
            {"binary": "nova-compute"},
            COMPUTE_OLDEST,
        )
        with parsing("compute"):
            return tuple(
                sorted(str(each["host"]) for each in services if each["status"] == "UNKNOWN")
            )
    except Unreadable:
        return None


def _hypervisor(item: Json) -> Hypervisor:
    cpu = item.get("cpu_info")
    return Hypervisor(
        id=str(item["id"]),
        hostname=str(item["hypervisor_hostname"]),
        host=str(item["service"]["host"]),
        enabled=item.get("status") == "enabled",
        up=item.get("state") != "down",
        type=str(item.get("hypervisor_type", "")),
        architecture=cpu.get("arch") if isinstance(cpu, dict) else None,
        servers=item.get("running_vms"),
    )


def unknown_hosts(given: GivenModes, hypervisors: Iterable[Hypervisor]) -> list[str]:
    """Note the modes that were given for hosts that are not there."""
    hosts = {hypervisor.host for hypervisor in hypervisors}
    if not hosts:
        return []
    return [
        f"a mode was given for host {name!r}, but there is no such host"
        for name in sorted(set(given.by_host) - hosts - {"*"})
    ]
