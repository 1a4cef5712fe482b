# SPDX-License-Identifier: Apache-2.0
"""Servers, hosts, flavors, images and aggregates as read from a cloud: typed and inert.

Text in these objects is untrusted: it is as the cloud stored it. Commands escape it for display
(``osc_uniqserial.commands.output``).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from osc_uniqserial import policy
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    NOTHING_SAID,
    HostMode,
    Setting,
    SettingInput,
    Value,
)

#: A setting that is hidden from this user.
UNREADABLE = SettingInput(None, policy.Evidence.UNREADABLE)

#: Guest architectures that get ``<sysinfo>``: i686 and x86_64 under every name
#: that Nova folds into them (nova/objects/fields.py, Architecture.canonicalize).
_SYSINFO_ARCHITECTURES = frozenset({"i386", "i486", "i586", "i686", "amd64", "x86_64"})

#: Requirements of this project's traits, sorted: the trait, and ``required`` or ``forbidden``.
Needs = tuple[tuple[str, str], ...]
#: Extra specs that AggregateInstanceExtraSpecsFilter reads, and traits of request groups.
_BOUNDING = re.compile(r"[^:]*$|aggregate_instance_extra_specs:|trait[^:]+:")


def needs_of(properties: Mapping[str, Any]) -> tuple[Needs, bool]:
    """Return the requirements of this project's traits in extra specs or image properties.

    :returns: the requirements, and whether other traits are required or forbidden
    """
    found = {
        key.removeprefix("trait:"): str(value)
        for key, value in properties.items()
        if key.startswith("trait:") and value in ("required", "forbidden")
    }
    ours = {trait: need for trait, need in found.items() if trait in policy.TRAITS}
    return tuple(sorted(ours.items())), len(ours) < len(found)


def bounds_hosts(extra_specs: Mapping[str, Any]) -> bool:
    """Whether extra specs may exclude hosts by rules that are not evaluated here.

    These are traits of others, and what AggregateInstanceExtraSpecsFilter compares.
    """
    _ours, others = needs_of(extra_specs)
    return others or any(_BOUNDING.match(key) for key in extra_specs)


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """The request of a server's flavor or image; many servers have equal parts.

    :ivar used: the setting that the server uses: its own copy, or the image at boot
    :ivar now: the present value of the flavor or image; None when it is missing or unread,
        and for an image that is itself the evidence
    :ivar needs: requirements of this project's traits
    :ivar bounded: True when rules that are not evaluated here may exclude hosts: other traits,
        aggregates, hidden extra specs, an image that changed after boot
    """

    used: SettingInput = UNREADABLE
    now: Value | None = None
    needs: Needs = ()
    bounded: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class FlavorPart(_Part):
    """The request of a server's flavor."""


@dataclasses.dataclass(frozen=True, slots=True)
class ImagePart(_Part):
    """The request of a server's image or root volume.

    :ivar architecture: of the guest; None: that of the host
    """

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
    """A compute node: its resource provider and its compute service.

    While a cell is down Nova lists no hypervisor, and no state of the services of that cell:
    unknown values are None.

    :ivar id: UUID of its resource provider
    :ivar hostname: hypervisor_hostname, the name of its resource provider
    :ivar host: name of its compute service
    :ivar enabled: whether the scheduler may use it
    :ivar up: whether its compute service reports
    :ivar type: as the driver reports it: QEMU, VMware vCenter Server, ironic...
    :ivar architecture: of its CPU
    :ivar servers: number of its servers, with stopped ones
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
        """Whether it is libvirt with virt_type kvm or qemu (both report QEMU), or unknown."""
        return self.type is None or self.type.upper() in ("QEMU", "KVM")

    def writes_sysinfo(self, guest_architecture: str | None) -> bool:
        """Whether its guests get ``<sysinfo>``, and so a BIOS serial number.

        Source: nova/virt/libvirt/driver.py, _configure_guest_by_virt_type.
        """
        return self.is_libvirt_qemu and has_sysinfo(guest_architecture or self.architecture)


def has_sysinfo(architecture: str | None) -> bool:
    """Whether guests of this architecture get ``<sysinfo>``; unknown ones are taken for x86."""
    return architecture is None or architecture.lower() in _SYSINFO_ARCHITECTURES


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A flavor, an image or a bootable volume: a resource that can ask for a serial number.

    :cvar kind: its name in commands
    :cvar key: the key that has an effect on it
    :ivar properties: extra specs; of images and volumes the properties that are evidence, as
        text. None when they are hidden from this user
    :ivar project_id: of the owner
    """

    kind: ClassVar[str]
    key: ClassVar[str] = IMAGE_KEY

    id: str
    name: str | None
    properties: Mapping[str, str] | None
    project_id: str | None = None

    @property
    def stored(self) -> Mapping[str, str]:
        """The properties; empty when they are hidden."""
        return self.properties or {}

    @property
    def resource(self) -> Resource:
        """The subject of its findings."""
        return Resource(self.kind, self.id, self.name, self.project_id)

    @property
    def value(self) -> Value:
        """The value of the key."""
        return policy.parse(self.stored.get(self.key))

    @property
    def bounds_hosts(self) -> bool:
        """Whether it may exclude hosts by rules that are not evaluated here."""
        return needs_of(self.stored)[1]

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
        """Yield keys without effect here: the key of the other resource, and its spellings."""
        other = FLAVOR_KEY if self.key == IMAGE_KEY else IMAGE_KEY
        return (key for key in sorted(self.stored) if key == other or policy.is_near_miss(key))

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield keys without effect whose letters are close to those of the right key."""
        return (key for key in sorted(self.stored) if policy.is_misspelt(key))


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor(Request):
    """A flavor as it is now."""

    kind = "flavor"
    key = FLAVOR_KEY

    name: str

    @property
    def bounds_hosts(self) -> bool:
        """Whether it may exclude hosts by rules that are not evaluated here."""
        return bounds_hosts(self.stored)


@dataclasses.dataclass(frozen=True, slots=True)
class Image(Request):
    """An image as it is now.

    :ivar visibility: public, private, shared or community
    :ivar updated: ISO 8601 in UTC
    :ivar is_hidden: left out of Glance's list, unless hidden images are asked for
    """

    kind = "image"

    visibility: str = ""
    updated: str = ""
    is_snapshot: bool = False
    is_hidden: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Volume(Request):
    """A bootable volume with the image properties that its servers are built with."""

    kind = "volume"

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield all keys without effect: misplaced ones are misspelt too."""
        return filter(_is_wrong, sorted(self.stored))


# Users choose the keys of metadata, and choose the same ones again.
@functools.lru_cache(maxsize=4096)
def _is_wrong(key: str) -> bool:
    """Whether a key is misplaced or misspelt where the right one is that of images."""
    return key == FLAVOR_KEY or policy.is_near_miss(key) or policy.is_misspelt(key)


def wrong_key_of_server(keys: Iterable[str]) -> str | None:
    """Return the first key in the metadata of a server that is misplaced or misspelt."""
    return min(filter(_is_wrong, keys), default=None)


@dataclasses.dataclass(frozen=True, slots=True)
class GivenModes:
    """Host modes given by the user, by host; ``*`` stands for all others."""

    by_host: Mapping[str, HostMode] = dataclasses.field(default_factory=dict)

    def get(self, host: str | None) -> HostMode | None:
        """Return the given mode of a host; None without one."""
        default = self.by_host.get("*")
        return default if host is None else self.by_host.get(host, default)


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """A host aggregate.

    :ivar zone: its availability zone; None without one
    :ivar hosts: names of compute services
    """

    id: str
    name: str
    zone: str | None
    metadata: Mapping[str, str]
    hosts: frozenset[str]

    @property
    def resource(self) -> Resource:
        """The subject of its findings."""
        return Resource("aggregate", self.id, self.name)

    @property
    def values(self) -> Mapping[str, str]:
        """The stored text of each of the keys that is set; commas separate values."""
        keys = (FLAVOR_KEY, IMAGE_KEY)
        return {key: self.metadata[key] for key in keys if self.metadata.get(key) is not None}

    @property
    def invalid(self) -> Mapping[str, Value]:
        """The keys with a value that is no boolean, which declares nothing."""
        return {
            key: policy.parse(text)
            for key, text in self.values.items()
            if any(each.setting is Setting.INVALID for each in policy.aggregate_values(text))
        }

    @property
    def misspelt(self) -> Iterator[str]:
        """Yield other spellings of the keys, which declare nothing."""
        keys = sorted(self.metadata)
        return (key for key in keys if policy.is_near_miss(key) or policy.is_misspelt(key))

    @property
    def declares(self) -> frozenset[Setting]:
        """The declarations about its hosts: none, one setting, or both."""
        return policy.said_by_aggregate(self.metadata)


@dataclasses.dataclass(frozen=True, slots=True)
class Host:
    """A compute node with its traits, aggregates and given mode.

    :ivar traits: this project's traits on its resource provider; None without a provider, or
        when they were not read (:attr:`Fleet.traits_unread`)
    :ivar aggregates: those that it is in, by name
    """

    hypervisor: Hypervisor
    input: policy.HostInput
    traits: frozenset[str] | None
    aggregates: tuple[Aggregate, ...] = ()

    @property
    def name(self) -> str:
        """The name of its compute service."""
        return self.hypervisor.host

    @property
    def resource(self) -> Resource:
        """The subject of its findings."""
        return Resource("host", self.hypervisor.id, self.hypervisor.host)

    @property
    def unidentified(self) -> bool:
        """Whether its hypervisor is unknown: no type, no trait, no given mode."""
        no_trait = self.traits is not None and not self.traits
        return self.hypervisor.type is None and no_trait and self.input.mode is None

    @property
    def writes_serials(self) -> bool | None:
        """Whether Nova writes serial numbers into guests of its architecture; None: unknown."""
        return None if self.hypervisor.type is None else self.input.smbios

    @property
    def ready(self) -> bool | None:
        """Whether it is enabled and up; None when unknown."""
        states = (self.hypervisor.enabled, self.hypervisor.up)
        return None if None in states and False not in states else all(states)

    @property
    def meets_unique(self) -> bool | None:
        """Whether a server whose flavor or image asks for unique gets it; None: unknown."""
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
        """Whether traits are missing that the driver reports together with the others."""
        return self.input.smbios and policy.is_incomplete(self.traits or frozenset())

    @property
    def exposed_by_images(self) -> bool:
        """Whether an image's false can replace a unique serial by the host's.

        In other modes a guest without a request has the host's serial anyway.
        """
        known = self.input
        may_be_unique = known.mode in (HostMode.UNIQUE, None)
        return bool(known.honours) and known.image_may_show_host and may_be_unique

    @property
    def declared_unique(self) -> tuple[str, ...]:
        """The host aggregates that declare true, by name."""
        return tuple(each.name for each in self.aggregates if Setting.UNIQUE in each.declares)

    @property
    def declared_host(self) -> tuple[str, ...]:
        """The host aggregates that declare false, by name."""
        return tuple(each.name for each in self.aggregates if Setting.HOST in each.declares)

    @property
    def declared(self) -> bool:
        """Whether host aggregates declare that a request for unique is met here."""
        return policy.declared_by_aggregates(each.metadata for each in self.aggregates)


@functools.lru_cache(maxsize=256)
def _meets_unique(host: policy.HostInput) -> bool | None:
    source = policy.resolve(SettingInput(Value(Setting.UNIQUE)), SettingInput(), host).source
    if source is policy.SerialSource.UNKNOWN:
        return None
    return source is policy.SerialSource.INSTANCE_UUID


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """Every compute node of the cloud.

    :ivar hosts: sorted by the name of their service
    :ivar aggregates: sorted by name
    :ivar traits_unread: why the traits could not be read; None when they were
    :ivar aggregates_unread: why the host aggregates could not be read; None when they were
    :ivar notes: messages about wrong given modes
    :ivar hosts_of_down_cells: sorted; with any, the type of every hypervisor is unknown,
        because Nova lists no hypervisor of any cell
    """

    hosts: tuple[Host, ...]
    aggregates: tuple[Aggregate, ...] = ()
    traits_unread: str | None = None
    aggregates_unread: str | None = None
    notes: tuple[str, ...] = ()
    hosts_of_down_cells: tuple[str, ...] = ()


class Validator(enum.Enum):
    """Whether Nova's API validates the extra spec; NONE: it is too old to validate any."""

    LOADED = "loaded"
    MISSING = "missing"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Unchecked:
    """Something could not be checked.

    :ivar hosts: the affected hosts, as far as known
    :ivar status: the HTTP status of the answer; None without an answer
    """

    reason: str
    hosts: tuple[str, ...] = ()
    status: int | None = None


@dataclasses.dataclass(eq=False, frozen=True, slots=True)
class Case:
    """The inputs that decide a serial, shared by many servers; two cases are never equal.

    :ivar server: the request of the server itself, in its metadata
    :ivar wrong_key: the first key there that is close to the right one, and has no effect
    :ivar host: facts about the host, for guests of this architecture
    :ivar host_visible: False when the host is hidden from this user
    :ivar reachable: False when the server's cell is down and Nova returned a minimal record
    :ivar pinned: True when an availability zone may exclude hosts
    :ivar placed: True when the server is on a host, hidden or not
    """

    flavor: FlavorPart
    image: ImagePart
    host: policy.HostInput
    host_visible: bool
    reachable: bool
    pinned: bool
    placed: bool
    server: SettingInput = NOTHING_SAID
    wrong_key: str | None = None

    def resolve(self, host: policy.HostInput | None = None) -> policy.EffectivePolicy:
        """Return the effective policy on a host, by default on its own."""
        return policy.resolve(
            self.flavor.used, self.image.used, self.host if host is None else host, self.server
        )

    @property
    def asks(self) -> bool:
        """Whether the server asks for unique in its metadata."""
        value = self.server.value
        return value is not None and value.setting is Setting.UNIQUE

    @property
    def asks_alone(self) -> bool:
        """Whether the server asks for unique, and neither flavor nor image do."""
        others = (self.flavor.used.value, self.image.used.value)
        return self.asks and not any(each and each.setting is Setting.UNIQUE for each in others)

    @property
    def without_request(self) -> policy.EffectivePolicy:
        """The effective policy without the server's own request."""
        return dataclasses.replace(self, server=NOTHING_SAID).resolve()

    @property
    def is_bound_to_unique(self) -> bool:
        """Whether flavor or image ask for unique, and keep the server on hosts that give it.

        The trait for that proves nothing about a request of the server itself.
        """
        # Few servers have the requirement, and looking it up costs less than the request.
        return requires_unique(self.needs) and (
            policy.resolve(self.flavor.used, self.image.used, policy.HostInput()).requested
            is Setting.UNIQUE
        )

    @property
    def needs(self) -> Needs:
        """Requirements of this project's traits; the flavor's outrank the image's."""
        return joined_needs(self.flavor, self.image)

    @property
    def bounded(self) -> bool:
        """Whether rules that are not evaluated here may exclude hosts."""
        return self.pinned or self.flavor.bounded or self.image.bounded


@dataclasses.dataclass(slots=True)
class ServerFacts:
    """A server as Nova returns it, with the case that decides its serial.

    :ivar name: None for a server of a cell that is down
    :ivar host: ``OS-EXT-SRV-ATTR:host``; None without a host, or when it is hidden
    :ivar flavor: name of its flavor; None when Nova does not return it
    :ivar image: ID of its image; None without one
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
    """Flavors, images, hosts and aggregates; unreadable parts carry the reason.

    :ivar flavors: sorted by name
    :ivar images: by ID
    """

    fleet: Fleet | Unchecked
    flavors: tuple[Flavor, ...] | Unchecked
    images: Mapping[str, Image] | Unchecked


@dataclasses.dataclass(frozen=True, slots=True)
class Moves:
    """The effect of a cold move to another host on a serial that is unique now.

    :ivar keeps: True when every other enabled host gives the same serial, False when one is
        known to give another, None when unknown
    :ivar hosts: names of the hosts behind a False or None, sorted; None without hosts: there
        is no other host
    """

    keeps: bool | None
    hosts: tuple[str, ...] = ()
