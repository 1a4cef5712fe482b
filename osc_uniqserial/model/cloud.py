# SPDX-License-Identifier: Apache-2.0
"""What was read from a cloud about its servers and hosts, typed and inert.

Text in these objects is as the cloud stored it: untrusted. Make it safe where
it is shown (``osc_uniqserial.commands.output``).
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from osc_uniqserial import policy
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
    Value,
)

#: A setting that this user cannot see.
UNREADABLE = SettingInput(None, policy.Evidence.UNREADABLE)

#: Guest architectures that get ``<sysinfo>``: i686 and x86_64 under every name
#: that Nova folds into them (nova/objects/fields.py, Architecture.canonicalize).
_SYSINFO_ARCHITECTURES = frozenset({"i386", "i486", "i586", "i686", "amd64", "x86_64"})


#: Requirements of this project's own traits that scheduling follows: the trait, and
#: ``required`` or ``forbidden``; sorted.
Needs = tuple[tuple[str, str], ...]
#: Extra specs that AggregateInstanceExtraSpecsFilter reads, and traits of request groups.
_BOUNDING = re.compile(r"[^:]*$|aggregate_instance_extra_specs:|trait[^:]+:")


def needs_of(properties: Mapping[str, Any]) -> tuple[Needs, bool]:
    """Return what extra specs or image properties require of our traits.

    :returns: the requirements, and whether there are requirements of other traits
    """
    found = {
        key.removeprefix("trait:"): str(value)
        for key, value in properties.items()
        if key.startswith("trait:") and value in ("required", "forbidden")
    }
    ours = {trait: need for trait, need in found.items() if trait in policy.TRAITS}
    return tuple(sorted(ours.items())), len(ours) < len(found)


def bounds_hosts(extra_specs: Mapping[str, Any]) -> bool:
    """Tell whether extra specs may keep servers from some hosts by what is not judged here.

    Traits of others, and what AggregateInstanceExtraSpecsFilter compares with aggregates.
    """
    _ours, others = needs_of(extra_specs)
    return others or any(_BOUNDING.match(key) for key in extra_specs)


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

    While a cell is down Nova lists no hypervisor, and no state of the services of that cell:
    what is unknown then is None.

    :ivar id: UUID of its resource provider
    :ivar hostname: hypervisor_hostname, the name of its resource provider
    :ivar host: the name of its compute service
    :ivar enabled: whether the scheduler may use it; None when unknown
    :ivar up: whether its compute service reports; None when unknown
    :ivar type: what the driver reports: QEMU, VMware vCenter Server, ironic...; None when unknown
    :ivar architecture: of its CPU; None when unknown
    :ivar servers: how many there are on it, stopped ones too; None when unknown
    """

    id: str
    hostname: str
    host: str
    enabled: bool | None
    up: bool | None
    type: str | None
    architecture: str | None
    servers: int | None = None

    @property
    def is_libvirt_qemu(self) -> bool:
        """Whether it is libvirt with virt_type kvm or qemu; both report QEMU.

        A hypervisor of an unknown type is taken for one.
        """
        return self.type is None or self.type.upper() in ("QEMU", "KVM")

    def writes_sysinfo(self, guest_architecture: str | None) -> bool:
        """Whether its guests get ``<sysinfo>``, and so a BIOS serial number.

        Source: nova/virt/libvirt/driver.py, _configure_guest_by_virt_type:
        only virt_type kvm or qemu, and only for i686 and x86_64.
        """
        return self.is_libvirt_qemu and has_sysinfo(guest_architecture or self.architecture)


def has_sysinfo(architecture: str | None) -> bool:
    """Whether guests of this architecture get ``<sysinfo>``; unknown ones are taken for x86."""
    return architecture is None or architecture.lower() in _SYSINFO_ARCHITECTURES


class Request(abc.ABC):
    """A flavor, an image or a bootable volume: what may ask for a serial number.

    :cvar kind: its name in commands
    :cvar key: the key that counts on it
    """

    __slots__ = ()
    kind: ClassVar[str]
    key: ClassVar[str]
    id: str

    @property
    @abc.abstractmethod
    def stored(self) -> Mapping[str, str]:
        """Its extra specs or properties; empty when they are hidden."""

    @property
    @abc.abstractmethod
    def resource(self) -> Resource:
        """What a finding about it names."""

    @property
    def value(self) -> Value:
        """What it says."""
        return policy.parse(self.stored.get(self.key))

    @property
    def requires_unique(self) -> bool:
        """Whether it keeps servers on hosts that give a unique serial."""
        return policy.requires_unique(self.stored)

    @property
    def required(self) -> frozenset[str]:
        """The traits of this project that it requires."""
        needs, _others = needs_of(self.stored)
        return frozenset(trait for trait, need in needs if need == "required")

    @property
    def misplaced(self) -> Iterator[str]:
        """Yield keys that have no effect here: that of the other resource, other spellings."""
        other = FLAVOR_KEY if self.key == IMAGE_KEY else IMAGE_KEY
        for key in sorted(self.stored):
            if key == other or policy.is_near_miss(key):
                yield key

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield keys that are close to ours in their letters, and have no effect."""
        return (key for key in sorted(self.stored) if policy.is_misspelt(key))


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor(Request):
    """A flavor as it is now.

    :ivar extra_specs: None when they are hidden from this user
    """

    kind = "flavor"
    key = FLAVOR_KEY

    id: str
    name: str
    extra_specs: Mapping[str, str] | None

    @property
    def stored(self) -> Mapping[str, str]:
        """Its extra specs; empty when they are hidden."""
        return self.extra_specs or {}

    @property
    def resource(self) -> Resource:
        """What a finding about it names."""
        return Resource("flavor", self.id, self.name)

    @property
    def bounds_hosts(self) -> bool:
        """Whether it may keep servers from some hosts by what is not judged here."""
        return bounds_hosts(self.stored)


@dataclasses.dataclass(frozen=True, slots=True)
class Image(Request):
    """An image as it is now.

    :ivar visibility: public, private, shared or community
    :ivar updated: ISO 8601 in UTC
    :ivar properties: those that matter here, as text
    """

    kind = "image"
    key = IMAGE_KEY

    id: str
    name: str | None
    owner: str | None
    visibility: str
    updated: str
    is_snapshot: bool
    properties: Mapping[str, str]

    @property
    def stored(self) -> Mapping[str, str]:
        """Those of its properties that matter here."""
        return self.properties

    @property
    def resource(self) -> Resource:
        """What a finding about it names."""
        return Resource("image", self.id, self.name, self.owner)

    @property
    def bounds_hosts(self) -> bool:
        """Whether it requires traits of others, which may keep servers from some hosts."""
        return needs_of(self.stored)[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Volume(Request):
    """A bootable volume with the image properties that its servers are built with.

    :ivar properties: those that matter here, as text
    """

    kind = "volume"
    key = IMAGE_KEY

    id: str
    name: str | None
    project_id: str | None
    properties: Mapping[str, str]

    @property
    def stored(self) -> Mapping[str, str]:
        """Those of its image properties that matter here."""
        return self.properties

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield keys that are close to ours, in any way, and have no effect."""
        for key in sorted(self.stored):
            if key == FLAVOR_KEY or policy.is_near_miss(key) or policy.is_misspelt(key):
                yield key

    @property
    def resource(self) -> Resource:
        """What a finding about it names."""
        return Resource("volume", self.id, self.name, self.project_id)


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

    @property
    def resource(self) -> Resource:
        """What a finding about it names."""
        return Resource("aggregate", self.id, self.name)

    @property
    def values(self) -> Mapping[str, Value]:
        """What each of the keys says."""
        return {key: policy.parse(self.metadata.get(key)) for key in (FLAVOR_KEY, IMAGE_KEY)}

    @property
    def invalid(self) -> Mapping[str, Value]:
        """The keys whose text is no boolean: they say nothing."""
        return {key: each for key, each in self.values.items() if each.setting is Setting.INVALID}

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield other spellings of the keys, which declare nothing."""
        for key in sorted(self.metadata):
            if policy.is_near_miss(key) or policy.is_misspelt(key):
                yield key

    @property
    def declares(self) -> frozenset[Setting]:
        """What it says about its hosts by either key: nothing, one thing, or both."""
        return policy.said_by_aggregate(self.metadata)


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
    def name(self) -> str:
        """The name of its compute service."""
        return self.hypervisor.host

    @property
    def resource(self) -> Resource:
        """What a finding about it names."""
        return Resource("host", self.hypervisor.id, self.hypervisor.host)

    @property
    def unidentified(self) -> bool:
        """Whether nothing shows what it runs: no type, no trait that was read, no given mode."""
        no_trait = self.traits is not None and not self.traits
        return self.hypervisor.type is None and no_trait and self.input.mode is None

    @property
    def writes_serials(self) -> bool | None:
        """Whether Nova writes serial numbers into guests of its architecture; None: unknown."""
        return None if self.hypervisor.type is None else self.input.smbios

    @property
    def ready(self) -> bool | None:
        """Whether it is enabled and up; None when unknown."""
        known = (self.hypervisor.enabled, self.hypervisor.up)
        return None if None in known and False not in known else all(known)

    @property
    def meets_unique(self) -> bool | None:
        """Whether a server whose flavor or image asks for unique gets it; None: unknown.

        A declaration of host aggregates counts; :attr:`HostInput.meets_unique_evidence` tells.
        """
        return self.input.smbios and _meets_unique(self.input)

    @property
    def wrong_traits(self) -> frozenset[str]:
        """Traits of this project on a host whose guests have no serial number."""
        return frozenset() if self.input.smbios else self.traits or frozenset()

    @property
    def contradicting_traits(self) -> tuple[str, ...]:
        """Traits that cannot all be true, sorted."""
        return self.input.contradiction if self.input.smbios else ()

    @property
    def has_incomplete_traits(self) -> bool:
        """Whether it lacks traits that the driver reports with those that it has."""
        return self.input.smbios and policy.is_incomplete(self.traits or frozenset())

    @property
    def exposed_by_images(self) -> bool:
        """Whether an image's false shows the host, where a guest would have another serial.

        In any other mode a guest that asks for nothing has the host's serial already.
        """
        return (
            bool(self.input.honours)
            and self.input.image_may_show_host
            and self.input.mode in (HostMode.UNIQUE, None)
        )

    @property
    def declared_unique(self) -> tuple[str, ...]:
        """The host aggregates that declare true, by name."""
        return self._declaring(Setting.UNIQUE)

    @property
    def declared_host(self) -> tuple[str, ...]:
        """The host aggregates that declare false, by name."""
        return self._declaring(Setting.HOST)

    def _declaring(self, setting: Setting) -> tuple[str, ...]:
        return tuple(each.name for each in self.aggregates if setting in each.declares)

    @property
    def declared(self) -> bool:
        """Whether host aggregates declare that a request for unique is met here."""
        return policy.declared_by_aggregates(each.metadata for each in self.aggregates)


@functools.lru_cache(maxsize=256)
def _meets_unique(host: HostInput) -> bool | None:
    unique = SettingInput(Value(Setting.UNIQUE))
    source = policy.resolve(unique, SettingInput(), host).source
    return None if source is SerialSource.UNKNOWN else source is SerialSource.INSTANCE_UUID


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """Every compute node of the cloud.

    :ivar hosts: sorted by the name of their service
    :ivar aggregates: sorted by name
    :ivar traits_unread: why the traits could not be read; None when they were
    :ivar aggregates_unread: why the host aggregates could not be read; None when they were
    :ivar notes: what looks wrong with what the user gave, in words for people
    :ivar hosts_of_down_cells: where a cell is down: its hosts, sorted; Nova lists no
        hypervisor of any cell then, and the type of all is unknown
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
    :ivar status: the HTTP status of the answer; None when there was none
    """

    reason: str
    hosts: tuple[str, ...] = ()
    status: int | None = None


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
class ServerFacts:
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
