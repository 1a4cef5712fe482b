# SPDX-License-Identifier: Apache-2.0
"""What was read from a cloud about its servers and hosts, typed and inert.

Text in these objects is as the cloud stored it: untrusted. Make it safe where
it is shown (``osc_uniqserial.commands.output``).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from osc_uniqserial import policy
from osc_uniqserial.policy import HostInput, HostMode, SettingInput, Value

#: A setting that this user cannot see.
UNREADABLE = SettingInput(None, policy.Evidence.UNREADABLE)

#: Guest architectures that get ``<sysinfo>``: i686 and x86_64 under every name
#: that Nova folds into them (nova/objects/fields.py, Architecture.canonicalize).
_SYSINFO_ARCHITECTURES = frozenset({"i386", "i486", "i586", "i686", "amd64", "x86_64"})


#: Requirements of this project's own traits that scheduling follows: the trait, and
#: ``required`` or ``forbidden``; sorted.
Needs = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class FlavorPart:
    """What the flavor of a server says; many servers and flavors say the same.

    :ivar used: what the server's own copy says
    :ivar now: what the flavor of its boot or last resize says now; None when it
        was not found or not read
    :ivar bounded: it may keep the server from some hosts by what is not looked at
        here: other traits, aggregates; or it is hidden
    """

    used: SettingInput = UNREADABLE
    now: Value | None = None
    needs: Needs = ()
    bounded: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class ImagePart:
    """What the image of a server, or its root volume, says; many say the same.

    :ivar used: what the server was built with
    :ivar now: what the image says now; None when not read, or when it is itself
        the evidence
    :ivar bounded: it may keep the server from some hosts by what is not looked at
        here: other traits, or it is not as it was at boot
    :ivar architecture: of the guest; None when it follows the host
    """

    used: SettingInput = UNREADABLE
    now: Value | None = None
    needs: Needs = ()
    bounded: bool = True
    architecture: str | None = None


def joined_needs(flavor: FlavorPart, image: ImagePart) -> Needs:
    """Return the requirements of flavor and image; the flavor's outrank the image's."""
    if not image.needs:
        return flavor.needs
    return tuple(sorted(dict(image.needs + flavor.needs).items()))


def requires_unique(needs: Needs) -> bool:
    """Whether requirements keep a server on hosts that meet a request for unique."""
    return (policy.TRAIT_UNIQUE, "required") in needs


@dataclasses.dataclass(frozen=True, slots=True)
class Hypervisor:
    """A compute node: the resource provider and the service behind it.

    :ivar id: UUID of its resource provider
    :ivar hostname: hypervisor_hostname, the name of its resource provider
    :ivar host: the name of its compute service
    :ivar enabled: whether the scheduler may use it
    :ivar up: whether its compute service reports
    :ivar type: what the driver reports: QEMU, VMware vCenter Server, ironic...
    :ivar architecture: of its CPU; None when it is not told
    :ivar servers: how many there are on it, stopped ones too; None when it is not told
    """

    id: str
    hostname: str
    host: str
    enabled: bool
    up: bool
    type: str
    architecture: str | None
    servers: int | None = None

    @property
    def is_libvirt_qemu(self) -> bool:
        """Whether it is libvirt with virt_type kvm or qemu; both report QEMU."""
        return self.type.upper() in ("QEMU", "KVM")

    def writes_sysinfo(self, guest_architecture: str | None) -> bool:
        """Whether its guests get ``<sysinfo>``, and so a BIOS serial number.

        Source: nova/virt/libvirt/driver.py, _configure_guest_by_virt_type:
        only virt_type kvm or qemu, and only for i686 and x86_64.
        """
        return self.is_libvirt_qemu and has_sysinfo(guest_architecture or self.architecture)


def has_sysinfo(architecture: str | None) -> bool:
    """Whether guests of this architecture get ``<sysinfo>``; unknown ones are taken for x86."""
    return architecture is None or architecture.lower() in _SYSINFO_ARCHITECTURES


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """A flavor as it is now.

    :ivar extra_specs: None when they are hidden from this user
    """

    id: str
    name: str
    extra_specs: Mapping[str, str] | None


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image as it is now.

    :ivar visibility: public, private, shared or community
    :ivar updated: ISO 8601 in UTC
    :ivar properties: those that matter here, as text
    """

    id: str
    name: str | None
    owner: str | None
    visibility: str
    updated: str
    is_snapshot: bool
    properties: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class GivenModes:
    """Host modes that the user gave, by host; ``*`` stands for all others."""

    by_host: Mapping[str, HostMode] = dataclasses.field(default_factory=dict)

    def get(self, host: str | None) -> HostMode | None:
        """Return the given mode of a host, None when none was given."""
        default = self.by_host.get("*")
        return default if host is None else self.by_host.get(host, default)


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """A host aggregate.

    :ivar zone: the availability zone that it makes; None when it makes none
    :ivar hosts: names of compute services
    """

    id: str
    name: str
    zone: str | None
    metadata: Mapping[str, str]
    hosts: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A compute node with what is known of it, without a look at any server.

    :ivar traits: this project's traits on its resource provider; None when it has no
        provider, or when they were not read (:attr:`Fleet.traits_unread`)
    :ivar aggregates: those that it is in, by name
    """

    hypervisor: Hypervisor
    input: HostInput
    traits: frozenset[str] | None
    aggregates: tuple[Aggregate, ...] = ()

    @property
    def declared(self) -> bool:
        """Whether host aggregates declare that a request for unique is met here."""
        return policy.declared_by_aggregates(each.metadata for each in self.aggregates)


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """Every compute node of the cloud.

    :ivar hosts: sorted by the name of their service
    :ivar aggregates: sorted by name
    :ivar traits_unread: why the traits could not be read; None when they were
    :ivar aggregates_unread: why the host aggregates could not be read; None when they were
    :ivar notes: what looks wrong with what the user gave, in words for people
    :ivar hosts_of_down_cells: where a cell is down: its hosts, sorted; Nova lists no
        hypervisor then, and what the hosts run is taken for KVM or QEMU on x86
    """

    hosts: tuple[Host, ...]
    aggregates: tuple[Aggregate, ...] = ()
    traits_unread: str | None = None
    aggregates_unread: str | None = None
    notes: tuple[str, ...] = ()
    hosts_of_down_cells: tuple[str, ...] = ()


class Validator(enum.Enum):
    """What Nova's API does with the extra spec; NONE: it is too old to look at any."""

    LOADED = "loaded"
    MISSING = "missing"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Unchecked:
    """Something could not be checked.

    :ivar hosts: the hosts that this is about, as far as known
    """

    reason: str
    hosts: tuple[str, ...] = ()


@dataclasses.dataclass(eq=False, frozen=True, slots=True)
class Case:
    """A situation that many servers are in; two cases are never equal.

    :ivar host: what is known of the host, as it is for guests of this architecture
    :ivar host_visible: False when this user may not see the host
    :ivar reachable: False when the server's cell is down and Nova returned a minimal record
    :ivar pinned: an availability zone may keep the server from some hosts
    :ivar placed: the server is on a host, which this user need not see
    """

    flavor: FlavorPart
    image: ImagePart
    host: HostInput
    host_visible: bool
    reachable: bool
    pinned: bool
    placed: bool

    @property
    def needs(self) -> Needs:
        """Requirements of this project's traits; the flavor's outrank the image's."""
        return joined_needs(self.flavor, self.image)

    @property
    def bounded(self) -> bool:
        """Whether something that is not looked at here may keep the server from some hosts."""
        return self.pinned or self.flavor.bounded or self.image.bounded


@dataclasses.dataclass(slots=True)
class Sighting:
    """A server as Nova shows it, with the case that decides its serial.

    :ivar name: None for a server of a cell that is down
    :ivar host: ``OS-EXT-SRV-ATTR:host``; None when it has none now, or when this user may not
        see it
    :ivar flavor: the name of its flavor; None when it is not told
    :ivar image: the ID of its image; None when it has none
    :ivar on: its host, where the fleet is known
    """

    id: str
    name: str | None
    project_id: str | None
    status: str
    host: str | None
    case: Case
    flavor: str | None
    image: str | None
    on: Host | None


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """What the servers of a cloud rest on; a part that could not be read says why.

    :ivar flavors: sorted by name
    :ivar images: by ID
    """

    fleet: Fleet | Unchecked
    flavors: tuple[Flavor, ...] | Unchecked
    images: Mapping[str, Image] | Unchecked


@dataclasses.dataclass(frozen=True, slots=True)
class Moves:
    """What a cold move to another host would do to a serial that is unique now.

    :ivar keeps: True when every other enabled host gives the same serial, False
        when one is known that does not, None when unknown
    :ivar hosts: hosts that decided a False or that could not be judged, sorted;
        none with an unknown means that there is no other host
    """

    keeps: bool | None
    hosts: tuple[str, ...] = ()
