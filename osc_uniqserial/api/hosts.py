# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of a cloud: hypervisors, traits, given modes and host aggregates.

All requests only read. Their number is constant, except for the pages of the list of hypervisors.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future

from osc_uniqserial import policy
from osc_uniqserial.api import background, evidence
from osc_uniqserial.api.evidence import Declarations
from osc_uniqserial.api.records import Provider, ProviderList
from osc_uniqserial.api.rest import COMPUTE_OLDEST, Json, Rest, Unreadable, or_default, parsing
from osc_uniqserial.model.cloud import Aggregate, Fleet, GivenModes, Host, Hypervisor, Unchecked

#: The last microversion with the CPU architecture of a hypervisor. 2.88 drops it, and requests
#: the uptime of every host instead.
COMPUTE_HYPERVISORS = "2.87"
_PLACEMENT_TRAITS = "1.6"
#: The first microversion that filters resource providers by a trait.
_PLACEMENT_REQUIRED = "1.18"
#: Concurrent requests for traits. With the concurrent requests for hypervisors, flavors, images
#: and the validator they are 10, the size of the connection pool of requests: above it urllib3
#: prints warnings where one endpoint serves all APIs.
_AT_ONCE = 3


def read_hosts(rest: Rest, given: GivenModes) -> tuple[Fleet | Unchecked, Declarations | None]:
    """Read every compute node: at most 11 requests, and one more for each page of hypervisors.

    Independent requests are concurrent.

    :returns: the fleet; where a cell is down, its hosts are services with their resource
        providers. Without a fleet, the declarations have the names of resource providers
    :raises CloudError: when Nova is too old
    """
    traits = background.start(_read_traits, rest)
    try:
        hypervisors = read_hypervisors(rest)
    except Unreadable as error:
        declared = _declarations(rest, traits)
        down = (hosts_of_down_cells(rest) or ()) if error.status == 500 else ()
        if down:
            with contextlib.suppress(Unreadable):
                return _past_down_cells(rest, declared, given, down), None
        return Unchecked(str(error), down, error.status), _by_name(rest, declared)
    return _fleet(rest, hypervisors, _declarations(rest, traits), given), None


def _past_down_cells(
    rest: Rest, declared: Declarations, given: GivenModes, down: Collection[str]
) -> Fleet:
    """Read the compute nodes where a cell is down: Nova lists no hypervisor at all then.

    The hosts are Nova's services with their resource providers. The type of their hypervisors is
    unknown, and so is the state of the services in the cell. A resource provider belongs to the
    service of its name, or of its name without the domain.

    :param down: the hosts of cells that are down
    :raises Unreadable: when Nova or Placement does not return them
    """
    services = {str(each["host"]): each for each in _services(rest)}
    hypervisors = []
    for provider in _root_providers(rest):
        name = provider.name
        host = name if name in services else name.partition(".")[0]
        if host in services:
            hypervisors.append(_of_service(provider.uuid, name, services[host]))
    if not hypervisors:
        raise Unreadable("Placement has no resource provider with the name of a host")
    fleet = _fleet(rest, hypervisors, declared, given)
    notes = fleet.notes
    if lost := sorted(services.keys() - {each.host for each in hypervisors}):
        notes += (f"no resource provider has the name of these hosts: {', '.join(lost)}",)
    return dataclasses.replace(fleet, notes=notes, hosts_of_down_cells=tuple(sorted(down)))


def _by_name(rest: Rest, declared: Declarations) -> Declarations:
    """Return declarations with the traits by the name of the resource provider."""
    if declared.traits_unread is not None:
        return declared
    roots, unread = or_default([], _root_providers, rest)
    traits = {each.name: declared.traits.get(each.uuid, frozenset()) for each in roots}
    return dataclasses.replace(declared, traits=traits, traits_unread=unread)


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


def _declarations(rest: Rest, reading: Future[dict[str, frozenset[str]]]) -> Declarations:
    """Read the host aggregates while the traits are read."""
    aggregates, aggregates_unread = or_default((), read_aggregates, rest)
    traits, traits_unread = or_default({}, reading.result)
    return Declarations(traits, aggregates, traits_unread, aggregates_unread)


def _fleet(
    rest: Rest, listed: Iterable[Hypervisor], declared: Declarations, given: GivenModes
) -> Fleet:
    hypervisors = sorted(listed, key=lambda each: (each.host, each.hostname))
    traits, unread = declared.traits, declared.traits_unread
    if unread is None:
        ids = {each.id for each in hypervisors}
        traits, unread = or_default({}, _with_bare, rest, traits, ids)
    hosts = []
    notes: dict[str, None] = {}
    for hypervisor in hypervisors:
        name, found = hypervisor.host, traits.get(hypervisor.id)
        mine = tuple(each for each in declared.aggregates if name in each.hosts)
        known = evidence.host_input(
            found,
            given.get(name),
            declared=policy.declared_by_aggregates(each.metadata for each in mine),
            smbios=hypervisor.writes_sysinfo(None),
        )
        notes |= dict.fromkeys(evidence.unused_mode(known, name, given))
        hosts.append(Host(hypervisor, known, found, mine))
    if names := {each.host for each in hypervisors}:
        unknown = sorted(given.by_host.keys() - names - {"*"})
        notes |= dict.fromkeys(
            f"a mode was given for host {name!r}, but there is no such host" for name in unknown
        )
    return Fleet(
        tuple(hosts), declared.aggregates, unread, declared.aggregates_unread, tuple(notes)
    )


def read_hypervisors(rest: Rest) -> tuple[Hypervisor, ...]:
    """Read every compute node, a page at a time.

    :raises CloudError: when Nova is too old; Unreadable when it does not return them
    """
    newest = rest.compute_microversion(COMPUTE_HYPERVISORS)
    with parsing("compute"):
        return tuple(
            _hypervisor(item)
            for item in rest.pages("compute", "/os-hypervisors/detail", "hypervisors", {}, newest)
        )


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


def existing_traits(rest: Rest) -> set[str]:
    """Read which traits of this project exist: Placement answers 400 to a filter by others."""
    ours = {"name": "in:" + ",".join(policy.TRAITS)}
    found = rest.items("placement", "/traits", "traits", ours, _PLACEMENT_TRAITS)
    return {trait for trait in policy.TRAITS if trait in found}


def _read_traits(rest: Rest) -> dict[str, frozenset[str]]:
    """Read this project's traits of each resource provider, by UUID; bare ones are missing.

    Placement has no list of them: each trait that exists is one request. The result may have
    nested providers, which are no hosts.
    """
    found: dict[str, frozenset[str]] = {}
    for trait, providers in background.each(
        lambda trait: _providers(rest, {"required": trait}), sorted(existing_traits(rest)), _AT_ONCE
    ):
        for provider in providers:
            found[provider.uuid] = found.get(provider.uuid, frozenset()) | {trait}
    return found


def _with_bare(
    rest: Rest, traits: Mapping[str, frozenset[str]], providers: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """Return the traits of these providers; those that are not in Placement are missing."""
    found = {each: traits[each] for each in providers if each in traits}
    if len(found) < len(providers):
        for provider in _providers(rest, {}):
            if provider.uuid in providers:
                found.setdefault(provider.uuid, frozenset())
    return found


def _root_providers(rest: Rest) -> list[Provider]:
    return [provider for provider in _providers(rest, {}) if provider.parent is None]


def _providers(rest: Rest, query: dict[str, str]) -> list[Provider]:
    path = "/resource_providers"
    found = rest.read(ProviderList, "placement", path, query, _PLACEMENT_REQUIRED)
    return found.resource_providers


def read_aggregates(rest: Rest) -> tuple[Aggregate, ...]:
    """Read every host aggregate, sorted by name: Nova has no pages of them.

    :raises Unreadable: when Nova does not return them
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


def hosts_of_down_cells(rest: Rest) -> tuple[str, ...] | None:
    """Return the names of hosts of cells that are down, sorted; None when they are unreadable.

    Nova lists no hypervisor at all while a cell is down, but from 2.69 on its services
    (nova/api/openstack/compute/services.py, _get_service_detail).
    """
    with contextlib.suppress(Unreadable), parsing("compute"):
        services = _services(rest)
        return tuple(sorted(str(each["host"]) for each in services if each["status"] == "UNKNOWN"))
    return None


def _services(rest: Rest) -> list[Json]:
    binary = {"binary": "nova-compute"}
    return rest.items("compute", "/os-services", "services", binary, COMPUTE_OLDEST)
