# SPDX-License-Identifier: Apache-2.0
"""Checks that report which parts of a cloud could not be read. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence, Set

from osc_uniqserial.checks.check import Check, Detail, Group, Part, Problem, Shared
from osc_uniqserial.checks.cloud import Assessment, Cloud, Missing
from osc_uniqserial.model.cloud import ServerFacts, Unchecked
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.text import some

_DECLARE_MODE = Remedy(
    "Give the mode with --host-mode HOST=MODE, or declare it to all users with a trait"
    " CUSTOM_SYSINFO_SERIAL_... in the host's provider.yaml"
)


@Check("flavors-unreadable", Severity.UNCHECKED, takes_away={Part.FLAVORS})
def flavors_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Flavors, or their extra specs."""
    flavors = cloud.configuration.flavors
    if isinstance(flavors, Unchecked):
        yield Problem(f"Could not read the flavors: {flavors.reason}")
    elif hidden := sum(1 for flavor in flavors if flavor.properties is None):
        yield Problem(f"Nova hides the extra specs of flavors from this user ({hidden:,} of them)")


@Check(
    "hosts-unreadable",
    Severity.UNCHECKED,
    takes_away={Part.HOSTS, Part.TRAITS, Part.AGGREGATES, Part.SERVERS},
)
def hosts_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Compute hosts, or the types of their hypervisors."""
    fleet = cloud.configuration.fleet
    if isinstance(fleet, Unchecked):
        yield Problem(f"Could not read the hypervisors: {fleet.reason}")
    elif fleet.hosts_of_down_cells:
        yield Problem(
            f"A cell is down, with {some(fleet.hosts_of_down_cells)}: Nova lists no"
            " hypervisor then, so all hosts are taken for libvirt with KVM or QEMU on x86",
            Remedy("See the log of nova-api for the cell's database, then run the audit again"),
        )


@Check("traits-unreadable", Severity.UNCHECKED, takes_away={Part.TRAITS, Part.HOSTS, Part.SERVERS})
def traits_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """The traits of resource providers."""
    if reason := cloud.fleet.traits_unread:
        yield Problem(f"Could not read the traits of the hosts: {reason}")


@Check("aggregates-unreadable", Severity.UNCHECKED, takes_away={Part.AGGREGATES})
def aggregates_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Host aggregates."""
    if reason := cloud.fleet.aggregates_unread:
        yield Problem(f"Could not read the host aggregates: {reason}")


@Check("images-unreadable", Severity.UNCHECKED, takes_away={Part.IMAGES, Part.SERVERS})
def images_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Images."""
    images = cloud.configuration.images
    if isinstance(images, Unchecked):
        yield Problem(f"Could not read the images: {images.reason}")


def _servers(
    id_: str,
    missing: Missing,
    shared: Shared,
    takes_away: Set[Part],
    applies: Callable[[ServerFacts], bool] | None = None,
) -> Check:
    """Register the check of servers with an unknown input, where the input matters."""

    def find(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
        if missing in server.missing:
            yield Detail(applies=applies)

    return Check(id_, Severity.UNCHECKED, shared, takes_away=takes_away)(find)


host_unknown = _servers(
    "host-unknown", Missing.HOST, Shared.HOST, takes_away={Part.HOSTS, Part.SERVERS}
)
image_unreadable = _servers(
    "image-unreadable",
    Missing.IMAGE,
    Shared.IMAGE,
    takes_away={Part.SERVERS},
    applies=lambda server: bool(server.image),
)
volume_unreadable = _servers(
    "volume-unreadable",
    Missing.IMAGE,
    Shared.CLOUD,
    takes_away={Part.VOLUMES, Part.SERVERS},
    applies=lambda server: not server.image,
)
flavor_unreadable = _servers(
    "flavor-unreadable", Missing.FLAVOR, Shared.FLAVOR, takes_away={Part.FLAVORS, Part.SERVERS}
)
server_in_down_cell = _servers(
    "server-in-down-cell", Missing.CELL, Shared.CLOUD, takes_away={Part.SERVERS}
)


@host_unknown.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    if not group.name:
        return Problem(f"{group.servers.counted}: their host is hidden from this user")
    return Problem(
        f"{group.servers.counted}: the serial source is unknown, because the mode or the driver of"
        " the host is",
        _DECLARE_MODE,
    )


@image_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.servers.counted}: the setting of the image when they were built is unknown (it was"
        " deleted, changed since, or is hidden), and on their host it matters",
        Remedy(
            "Install nova-uniqserial on the controllers: from microversion 2.98 (2025.1) on,"
            " Nova's API then returns what a server was built with"
        ),
    )


@volume_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.servers.counted}: the image properties that they were built with are unknown:"
        " Nova took them from a root volume or an image that may have changed since, or that could"
        " not be read"
    )


@flavor_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    text = f"{group.servers.counted}: the setting of the flavor is hidden from this user"
    return Problem(text, about=group.resource._replace(id=None))


@server_in_down_cell.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(f"{group.servers.counted}: their cell is down, and Nova returns no details")


@dataclasses.dataclass(frozen=True, slots=True)
class ServersRead:
    """Result of reading the servers.

    :ivar gaps: why servers could not be read, and their approximate number; None: unknown
    :ivar unlisted_cells: Nova may have omitted servers of cells that are down
    :ivar volumes_unread: why the volumes could not be read; None when they were
    :ivar hosts_reported: the names of the hosts with a ``host-unknown`` finding
    """

    gaps: Sequence[tuple[str, int | None]] = ()
    unlisted_cells: bool = False
    volumes_unread: str | None = None
    hosts_reported: Collection[str] = ()


@Check("host-mode-unknown", Severity.UNCHECKED, takes_away={Part.HOSTS})
def host_mode_unknown(read: ServersRead, cloud: Cloud) -> Iterator[Problem]:
    """Hosts of unknown mode or driver that no server reports."""
    if cloud.fleet.traits_unread:
        return
    for host in cloud.able:
        known = host.input.mode is not None and host.input.honours is not None
        if not known and host.name not in read.hosts_reported:
            yield Problem(
                "Which serial servers would get here is unknown, because the mode or the driver"
                " of the host is",
                _DECLARE_MODE,
                host.resource,
            )


@Check("volumes-unreadable", Severity.UNCHECKED, takes_away={Part.VOLUMES, Part.SERVERS})
def volumes_unreadable(read: ServersRead, _cloud: Cloud) -> Iterator[Problem]:
    """The list of volumes."""
    if read.volumes_unread:
        yield Problem(f"Could not read the volumes: {read.volumes_unread}")


@Check("servers-unread", Severity.UNCHECKED, takes_away={Part.SERVERS, Part.GUESTS})
def servers_unread(read: ServersRead, _cloud: Cloud) -> Iterator[Problem]:
    """Servers that Nova did not return."""
    if read.unlisted_cells:
        yield Problem(
            "A cell is down, and Nova omits its servers where a list is longer than a page:"
            " their number is unknown"
        )
    for reason, count in read.gaps:
        yield Problem(gap(reason, count))


def gap(reason: str, count: int | None) -> str:
    """Return a sentence about servers that could not be read.

    :param count: their approximate number; None: unknown
    """
    many = "Some" if count is None else f"About {count:,}"
    return f"{many} servers could not be read: {reason}" if count != 0 else reason
