# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of a cloud: hypervisors, traits, what the user gave, what aggregates declare.

Every request here reads. The number of requests does not grow with the number of hosts,
but for the pages of the list of hypervisors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator

from osc_uniqserial import policy
from osc_uniqserial.api.rest import COMPUTE_OLDEST, Json, Rest, Unreadable, parsing
from osc_uniqserial.model.cloud import Aggregate, Fleet, GivenModes, Host, Hypervisor
from osc_uniqserial.policy import Evidence, HostInput

#: The last one with the CPU architecture of a hypervisor. 2.88 drops it, and asks
#: every host for its uptime instead.
COMPUTE_HYPERVISORS = "2.87"
PLACEMENT_TRAITS = "1.6"
#: The first one that finds resource providers by a trait.
_PLACEMENT_REQUIRED = "1.18"


def read_fleet(rest: Rest, given: GivenModes) -> Fleet:
    """Read every compute node: at most 11 requests, and one more for each page of hypervisors.

    The evidence about a host is joined as for one server, best first: traits, given
    modes, declarations of aggregates.

    :raises CloudError: when the hypervisors cannot be read
    """
    return _fleet(rest, read_hypervisors(rest), given)


def read_fleet_past_down_cells(rest: Rest, given: GivenModes, down: Collection[str]) -> Fleet:
    """Read the compute nodes where a cell is down: Nova lists no hypervisor at all then.

    Its services and Placement tell of the hosts, though not what their hypervisors are: they
    are taken for libvirt with KVM or QEMU on x86. A resource provider belongs to the service
    of its name, or of its name without the domain.

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
    with parsing("placement"):
        for provider in rest.items(
            "placement", "/resource_providers", "resource_providers", {}, _PLACEMENT_REQUIRED
        ):
            name = str(provider["name"])
            host = name if name in services else name.partition(".")[0]
            if host in services and provider["parent_provider_uuid"] is None:
                hypervisors.append(_of_service(str(provider["uuid"]), name, services[host]))
                found.add(host)
    lost = sorted(services.keys() - found)
    if not found:
        raise Unreadable("Placement has no resource provider with the name of a host")
    fleet = _fleet(rest, hypervisors, given)
    if lost:
        note = f"no resource provider has the name of these hosts: {', '.join(lost)}"
        fleet = dataclasses.replace(fleet, notes=(*fleet.notes, note))
    return dataclasses.replace(fleet, hosts_of_down_cells=tuple(sorted(down)))


def _of_service(provider: str, name: str, service: Json) -> Hypervisor:
    return Hypervisor(
        id=provider,
        hostname=name,
        host=str(service["host"]),
        enabled=service.get("status") != "disabled",
        up=service.get("state") != "down",
        type="QEMU",
        architecture=None,
    )


def _fleet(rest: Rest, listed: Iterable[Hypervisor], given: GivenModes) -> Fleet:
    hypervisors = sorted(listed, key=lambda each: (each.host, each.hostname))
    traits: dict[str, frozenset[str]] = {}
    aggregates: tuple[Aggregate, ...] = ()
    traits_unread = aggregates_unread = None
    try:
        traits = read_traits(rest, {each.id for each in hypervisors})
    except Unreadable as error:
        traits_unread = str(error)
    try:
        aggregates = read_aggregates(rest)
    except Unreadable as error:
        aggregates_unread = str(error)
    hosts = []
    notes: dict[str, None] = {}
    for hypervisor in hypervisors:
        name, found = hypervisor.host, traits.get(hypervisor.id)
        known = evidence(found, Evidence.UNREADABLE)
        known, note = with_given(known, name, given)
        if note:
            notes[note] = None
        known = dataclasses.replace(known, smbios=hypervisor.writes_sysinfo(None))
        host = Host(hypervisor, known, found, tuple(of_host(aggregates, name)))
        if host.declared and needs_declaration(known):
            host = dataclasses.replace(host, input=with_declaration(known))
        hosts.append(host)
    return Fleet(
        tuple(hosts),
        aggregates,
        traits_unread,
        aggregates_unread,
        (*notes, *strangers(given, hypervisors)),
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
    found = rest.items("placement", "/traits", "traits", ours, PLACEMENT_TRAITS)
    return {trait for trait in policy.TRAITS if trait in found}


def read_traits(rest: Rest, providers: Collection[str]) -> dict[str, frozenset[str]]:
    """Read which of this project's traits each of these resource providers has.

    Placement has no list of them: it is asked once for each trait that exists. A nested
    provider may match too; it is none of these.

    :param providers: UUIDs
    :returns: by UUID; a provider that Placement does not have has no entry
    :raises Unreadable: when Placement does not tell all of it
    """
    found: dict[str, set[str]] = {}
    for trait in sorted(existing_traits(rest)):
        for provider in _provider_ids(rest, {"required": trait}) & set(providers):
            found.setdefault(provider, set()).add(trait)
    if len(found) < len(providers):
        for provider in _provider_ids(rest, {}) & set(providers):
            found.setdefault(provider, set())
    return {provider: frozenset(traits) for provider, traits in found.items()}


def _provider_ids(rest: Rest, query: dict[str, str]) -> set[str]:
    items = rest.items(
        "placement", "/resource_providers", "resource_providers", query, _PLACEMENT_REQUIRED
    )
    with parsing("placement"):
        return {str(item["uuid"]) for item in items}


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


def of_host(aggregates: Iterable[Aggregate], host: str) -> Iterator[Aggregate]:
    """Yield the aggregates that a host is in."""
    return (each for each in aggregates if host in each.hosts)


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


# --- evidence, joined -------------------------------------------------------


def evidence(
    traits: frozenset[str] | None, unread: Evidence | None, *, required: bool = False
) -> HostInput:
    """Return what the traits of a host tell.

    :param traits: None when they could not be read
    :param unread: the evidence in that case
    :param required: a server was placed here by a required trait, which even a plain
        tenant sees
    """
    if traits is not None:
        return policy.host_from_traits(traits)
    return HostInput(
        mode_evidence=unread,
        honours_evidence=unread,
        meets_unique=required,
        meets_unique_evidence=Evidence.REQUIRED_TRAIT if required else None,
    )


def with_given(
    known: HostInput, host: str | None, given: GivenModes
) -> tuple[HostInput, str | None]:
    """Add the mode that the user gave where the traits do not tell it.

    :returns: what is known then, and a note when a mode given for this host was not used
    """
    mode = given.get(host)
    if known.mode is None and mode is not None:
        return dataclasses.replace(known, mode=mode, mode_evidence=Evidence.GIVEN), None
    if host in given.by_host and known.mode is not mode:
        return known, f"the given mode of host {host} was not used: its traits tell another"
    return known, None


def strangers(given: GivenModes, hypervisors: Iterable[Hypervisor]) -> list[str]:
    """Note the modes that were given for hosts that are not there."""
    hosts = {hypervisor.host for hypervisor in hypervisors}
    if not hosts:
        return []
    return [
        f"a mode was given for host {name!r}, but there is no such host"
        for name in sorted(set(given.by_host) - hosts - {"*"})
    ]


def needs_declaration(known: HostInput) -> bool:
    """Tell whether nothing better than an aggregate's word says what a host meets."""
    return known.smbios and known.mode is None and not known.meets_unique


def with_declaration(known: HostInput) -> HostInput:
    """Add what an aggregate declares: a request for unique is met, and nothing else."""
    return dataclasses.replace(known, meets_unique=True, meets_unique_evidence=Evidence.DECLARED)
