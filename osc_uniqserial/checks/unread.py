# SPDX-License-Identifier: Apache-2.0
"""Checks of what could not be checked: parts of a cloud that could not be read. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from osc_uniqserial.checks.check import Detail, Group, Part, Problem, Shared, check
from osc_uniqserial.checks.cloud import Assessment, Cloud, Missing
from osc_uniqserial.model.cloud import ServerFacts, Unchecked
from osc_uniqserial.model.finding import Remedy, Severity
from osc_uniqserial.text import some

_TELL_MODE = Remedy(
    "Tell it with --host-mode HOST=MODE, or everybody with a trait CUSTOM_SYSINFO_SERIAL_... in the"
    " host's provider.yaml"
)


# --- lists ------------------------------------------------------------------


@check(
    "flavors-unreadable",
    Severity.UNCHECKED,
    looks_at=Cloud,
    takes_away=(Part.FLAVORS,),
)
def flavors_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Flavors, or what they say."""
    flavors = cloud.configuration.flavors
    if isinstance(flavors, Unchecked):
        yield Problem(f"Could not read the flavors: {flavors.reason}")
    elif hidden := sum(1 for flavor in flavors if flavor.properties is None):
        yield Problem(f"Nova hides the extra specs of flavors from this user ({hidden:,} of them)")


@check(
    "hosts-unreadable",
    Severity.UNCHECKED,
    looks_at=Cloud,
    takes_away=(Part.HOSTS, Part.TRAITS, Part.AGGREGATES, Part.SERVERS),
)
def hosts_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Compute hosts, or what their hypervisors are."""
    fleet = cloud.configuration.fleet
    if isinstance(fleet, Unchecked):
        yield Problem(f"Could not read the hypervisors: {fleet.reason}")
    elif fleet.hosts_of_down_cells:
        yield Problem(
            f"A cell is down, with {some(fleet.hosts_of_down_cells)}: Nova lists no"
            " hypervisor then, so all hosts are taken for libvirt with KVM or QEMU on x86",
            Remedy("See the log of nova-api for the cell's database, then run the audit again"),
        )


@check(
    "traits-unreadable",
    Severity.UNCHECKED,
    looks_at=Cloud,
    takes_away=(Part.TRAITS, Part.HOSTS, Part.SERVERS),
)
def traits_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """The traits of resource providers."""
    if reason := cloud.fleet.traits_unread:
        yield Problem(f"Could not read the traits of the hosts: {reason}")


@check(
    "aggregates-unreadable",
    Severity.UNCHECKED,
    looks_at=Cloud,
    takes_away=(Part.AGGREGATES,),
)
def aggregates_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Host aggregates."""
    if reason := cloud.fleet.aggregates_unread:
        yield Problem(f"Could not read the host aggregates: {reason}")


@check(
    "images-unreadable",
    Severity.UNCHECKED,
    looks_at=Cloud,
    takes_away=(Part.IMAGES, Part.SERVERS),
)
def images_unreadable(cloud: Cloud, _same: Cloud) -> Iterator[Problem]:
    """Images."""
    images = cloud.configuration.images
    if isinstance(images, Unchecked):
        yield Problem(f"Could not read the images: {images.reason}")


# --- servers ----------------------------------------------------------------


@check(
    "host-unknown",
    Severity.UNCHECKED,
    looks_at=Assessment,
    shared=Shared.HOST,
    takes_away=(Part.HOSTS, Part.SERVERS),
)
def host_unknown(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers whose host has an unknown mode or driver, where that matters."""
    if Missing.HOST in server.missing:
        yield Detail()


@host_unknown.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    if not group.name:
        return Problem(f"{group.servers.counted}: their host is hidden from this user")
    return Problem(
        f"{group.servers.counted}: which serial they have is unknown, because the mode or the"
        " driver of their host is",
        _TELL_MODE,
    )


@check(
    "image-unreadable",
    Severity.UNCHECKED,
    looks_at=Assessment,
    shared=Shared.IMAGE,
    takes_away=(Part.SERVERS,),
)
def image_unreadable(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers of which it is unknown what their image said when they were built."""
    if Missing.IMAGE in server.missing:
        yield Detail(applies=_has_image)


def _has_image(server: ServerFacts) -> bool:
    return bool(server.image)


@image_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(
        f"{group.servers.counted}: what the image said when they were built is unknown (it was"
        " deleted, changed since, or is hidden), and on their host it matters",
        Remedy(
            "Install nova-uniqserial on the controllers: from microversion 2.98 (2025.1) on,"
            " Nova's API then tells what a server was built with"
        ),
    )


@check(
    "volume-unreadable",
    Severity.UNCHECKED,
    looks_at=Assessment,
    shared=Shared.CLOUD,
    takes_away=(Part.VOLUMES, Part.SERVERS),
)
def volume_unreadable(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers without an image, of which it is unknown what their root volume says."""
    if Missing.IMAGE in server.missing:
        yield Detail(applies=lambda found: not _has_image(found))


@volume_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    return Problem(f"{group.servers.counted}: what their root volume says is unknown")


@check(
    "flavor-unreadable",
    Severity.UNCHECKED,
    looks_at=Assessment,
    shared=Shared.FLAVOR,
    takes_away=(Part.FLAVORS, Part.SERVERS),
)
def flavor_unreadable(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers whose flavor is hidden, where that matters."""
    if Missing.FLAVOR in server.missing:
        yield Detail()


@flavor_unreadable.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    text = f"{group.servers.counted}: what the flavor says is hidden from this user"
    return Problem(text, about=group.resource._replace(id=None))


@check(
    "server-in-down-cell",
    Severity.UNCHECKED,
    looks_at=Assessment,
    shared=Shared.CLOUD,
    takes_away=(Part.SERVERS,),
)
def server_in_down_cell(server: Assessment, _cloud: Cloud) -> Iterator[Detail]:
    """Servers of a cell that is down."""
    if Missing.CELL in server.missing:
        yield Detail()


@server_in_down_cell.explained_by
def _(group: Group, _cloud: Cloud) -> Problem:
    text = f"{group.servers.counted}: their cell is down, and Nova tells nothing of them"
    return Problem(text)


# --- once the servers are read ----------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class ServersRead:
    """What came of reading the servers.

    :ivar gaps: why servers could not be read, and how many they are, about; None: unknown
    :ivar unlisted_cells: Nova may have left out servers of cells that are down
    :ivar volumes_unread: why the volumes could not be read; None when they were
    :ivar hosts_reported: the names of the hosts that a ``host-unknown`` finding is about
    """

    gaps: Sequence[tuple[str, int | None]] = ()
    unlisted_cells: bool = False
    volumes_unread: str | None = None
    hosts_reported: Collection[str] = ()


@check(
    "host-mode-unknown",
    Severity.UNCHECKED,
    looks_at=ServersRead,
    takes_away=(Part.HOSTS,),
)
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
                _TELL_MODE,
                host.resource,
            )


@check(
    "volumes-unreadable",
    Severity.UNCHECKED,
    looks_at=ServersRead,
    takes_away=(Part.VOLUMES, Part.SERVERS),
)
def volumes_unreadable(read: ServersRead, _cloud: Cloud) -> Iterator[Problem]:
    """Volumes."""
    if read.volumes_unread:
        yield Problem(f"Could not read the volumes: {read.volumes_unread}")


@check(
    "servers-unread",
    Severity.UNCHECKED,
    looks_at=ServersRead,
    takes_away=(Part.SERVERS, Part.GUESTS),
)
def servers_unread(read: ServersRead, _cloud: Cloud) -> Iterator[Problem]:
    """Servers that Nova did not return."""
    if read.unlisted_cells:
        yield Problem(
            "A cell is down, and Nova leaves its servers out where a list is longer than a page:"
            " how many they are is unknown"
        )
    for reason, count in read.gaps:
        yield Problem(gap(reason, count))


def gap(reason: str, count: int | None) -> str:
    """Return a sentence about servers that could not be read.

    :param count: how many they are, about; None: unknown
    """
    many = "Some" if count is None else f"About {count:,}"
    return f"{many} servers could not be read: {reason}" if count != 0 else reason
