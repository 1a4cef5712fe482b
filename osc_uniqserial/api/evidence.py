# SPDX-License-Identifier: Apache-2.0
"""The rules of evidence: from records to the facts that decide a server's serial. Pure.

``api/server.py`` reads documents about one server, ``api/servers.py`` reads lists of all servers.
Both use :class:`ServerEvidence`, so that ``show`` and ``list`` cannot differ.
"""

from __future__ import annotations

import calendar
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from osc_uniqserial import policy
from osc_uniqserial.api.records import (
    FlavorCopy,
    ImageRef,
    ServerRecord,
    read_metadata,
)
from osc_uniqserial.model.cloud import (
    UNREADABLE,
    Aggregate,
    Case,
    Flavor,
    FlavorPart,
    Fleet,
    GivenModes,
    Host,
    Image,
    ImagePart,
    ServerFacts,
    bounds_hosts,
    has_sysinfo,
    joined_needs,
    needs_of,
    requires_unique,
    wrong_key_of_server,
)
from osc_uniqserial.policy import Evidence, HostInput, HostMode, SettingInput, Value

_Thing = TypeVar("_Thing")

#: Image properties with the guest's architecture; the first one that is set counts.
#: Source: nova/virt/libvirt/driver.py, _check_emulation_arch; ``architecture`` is the
#: old name of hw_architecture (nova/objects/image_meta.py).
ARCHITECTURES = ("hw_emulation_architecture", "hw_architecture", "architecture")
_EVIDENCE = frozenset({policy.IMAGE_KEY, policy.FLAVOR_KEY, *ARCHITECTURES})
#: The length of a time in ISO 8601 up to the seconds.
_SECONDS = len("2026-01-01T00:00:00")
#: The longest time from the creation of a server until Nova makes its root volume, in seconds.
_BUILD = 600
#: Device name of the first disk, whatever its bus: sda, vda, hda.
_FIRST_DISK = re.compile(r"/dev/[a-z]+da")
_NO_FLAVOR = FlavorCopy()
#: The most combinations of host, flavor and image that are kept.
_KEPT = 20_000
#: What decides the case of a server: host, node, parts, request, wrong key, flags.
_Key = tuple[str | None, str | None, int, int, int, str | None, bool, bool, bool, bool]
#: As numbers: bytes are searched for them eight times faster than for text.
_SMALL_Q, _LARGE_Q = b"qQ"
_ASKS_NOTHING = SettingInput(policy.UNSET, Evidence.SERVER_METADATA)


def flavor_part(specs: Mapping[str, str] | None, now: Value | None) -> FlavorPart:
    """Return the request of a server's flavor.

    :param specs: the server's own copy of the extra specs; None when they are hidden
    :param now: the present value of the flavor
    """
    if specs is None:
        return FlavorPart(now=now)
    ours, _others = needs_of(specs)
    return FlavorPart(
        SettingInput(policy.parse(specs.get(policy.FLAVOR_KEY)), Evidence.EMBEDDED_FLAVOR),
        now,
        ours,
        bounds_hosts(specs),
    )


def flavor_now(current: Flavor | None) -> Value | None:
    """Return the present value of a flavor; None when it is missing or hides its extra specs."""
    return None if current is None or current.properties is None else current.value


def is_as_booted(image: Image | None, record: ServerRecord) -> bool:
    """Whether an image has not changed since the server was created.

    Nova and Glance return ISO 8601 in UTC: text compares like time.
    """
    return image is not None and image.updated <= record.created


def may_be_frozen_unset(frozen: Mapping[str, Any] | None, *, as_booted: bool) -> bool:
    """Whether the frozen image property is missing, and unset if Nova would return it.

    Nova returns it with nova-uniqserial, which also has the validator for the extra spec.

    :param frozen: the image properties of the server's boot; None before microversion 2.98
    """
    return frozen is not None and policy.IMAGE_KEY not in frozen and not as_booted


def image_part(
    current: Image | None,
    frozen: Mapping[str, Any] | None,
    *,
    as_booted: bool,
    shows_frozen: bool,
) -> ImagePart:
    """Return the request of a server's image, by the best evidence.

    Best first: the frozen property; the present image, if it is unchanged since the server was
    created (``as_booted``); a missing frozen property that Nova would return.

    :param current: the present image; None when it was deleted or could not be read
    :param frozen: the image properties of the server's boot; None before microversion 2.98
    :param shows_frozen: Nova returns the frozen property of this project
    """
    now = current.value if current else None
    properties = {**(current.stored if current else {}), **(frozen or {})}
    if frozen is not None and policy.IMAGE_KEY in frozen:
        used = SettingInput(policy.parse(frozen[policy.IMAGE_KEY]), Evidence.FROZEN)
    elif as_booted:
        used, now = SettingInput(now, Evidence.CURRENT_IMAGE), None
    elif shows_frozen and frozen is not None:
        used = SettingInput(policy.UNSET, Evidence.FROZEN)
    else:
        used, now = UNREADABLE, None
    return _image_part(used, now, properties, as_booted=as_booted)


@dataclasses.dataclass(frozen=True, slots=True)
class RootVolume:
    """A server's root volume.

    :ivar created: ISO 8601 in UTC
    :ivar image_id: of the image that the volume was made from; None for a copy of a volume or a
        snapshot, and for an empty volume
    :ivar architecture: of the guest, by its image metadata
    """

    created: str
    image_id: str | None
    architecture: str | None

    @classmethod
    def of(cls, volume: Mapping[str, Any]) -> RootVolume:
        """Return it from Cinder's record of the volume."""
        properties = volume.get("volume_image_metadata") or {}
        is_copy = volume.get("snapshot_id") or volume.get("source_volid")
        image_id = None if is_copy else properties.get("image_id")
        created = str(volume.get("created_at") or "")
        # Many volumes are made from few images.
        return cls(created, image_id and sys.intern(str(image_id)), architecture(properties))

    def source_image(self, record: ServerRecord) -> str | None:
        """Return the ID of the image whose properties the server was built with.

        Nova makes a volume while it builds the server, and then uses the properties of the image
        (nova/block_device.py, get_bdm_image_metadata). Of a volume that is older, Nova uses the
        image metadata. Those may have changed since: Cinder returns no time of such a change, and
        ``updated_at`` stays (cinder/db/api.py, volume_glance_metadata_bulk_create). A volume that
        is much younger has been migrated: it has the time of the copy then
        (cinder/objects/volume.py, finish_volume_migration).
        """
        try:
            age = _seconds(self.created) - _seconds(record.created)
        except ValueError:
            return None
        # Nova's time has no fractions: within one second nothing shows which was first.
        return self.image_id if 0 < age <= _BUILD else None


def _seconds(time: str) -> int:
    """Return a time in ISO 8601 and UTC as seconds; fractions and "Z" are left out."""
    year, month, day, hour, minute, second = map(int, re.split("[-T:]", time[:_SECONDS]))
    return calendar.timegm((year, month, day, hour, minute, second))


def volume_part(volume: RootVolume | None, source: Image | None) -> ImagePart:
    """Return the request of a root volume.

    :param source: the image that the server was built with, unchanged since; None when that is
        unknown
    """
    if source is not None:
        return image_part(source, None, as_booted=True, shows_frozen=False)
    return ImagePart(architecture=volume.architecture if volume else None)


def root_disk(devices: Sequence[str | None], root_device: str | None) -> int | None:
    """Return the number of the root disk among a server's volumes; None when it is unknown.

    :param devices: the device name of each attached volume; None when it is unknown
    :param root_device: ``OS-EXT-SRV-ATTR:root_device_name``, for administrators only; without
        it the first disk is the root disk
    """
    if len(devices) == 1:
        return 0
    for number, device in enumerate(devices):
        if device is not None and (
            device == root_device or (root_device is None and _FIRST_DISK.fullmatch(device))
        ):
            return number
    return None


def architecture(properties: Mapping[str, Any]) -> str | None:
    """Return the guest's architecture as its image sets it."""
    return next((str(properties[key]) for key in ARCHITECTURES if properties.get(key)), None)


def image_properties(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the image properties that are evidence or misspelt keys, as text."""
    return {key: str(value) for key, value in properties.items() if _is_evidence(key)}


# Clouds have many images and few keys.
@functools.lru_cache(maxsize=4096)
def _is_evidence(key: str) -> bool:
    return (
        key in _EVIDENCE
        or key.startswith("trait:")
        or policy.is_near_miss(key)
        or policy.is_misspelt(key)
    )


def _image_part(
    used: SettingInput, now: Value | None, properties: Mapping[str, Any], *, as_booted: bool
) -> ImagePart:
    ours, foreign = needs_of(properties) if as_booted else ((), False)
    return ImagePart(used, now, ours, foreign or not as_booted, architecture(properties))


@dataclasses.dataclass(frozen=True, slots=True)
class Declarations:
    """The traits and host aggregates of all hosts.

    :ivar traits: this project's traits, by the UUID of the resource provider; by its name where
        Nova lists no hypervisor
    :ivar traits_unread: why the traits could not be read; None when they were
    :ivar aggregates_unread: why the host aggregates could not be read; None when they were
    """

    traits: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    aggregates: tuple[Aggregate, ...] = ()
    traits_unread: str | None = None
    aggregates_unread: str | None = None


def host_input(
    traits: frozenset[str] | None,
    given: HostMode | None,
    *,
    declared: bool,
    smbios: bool,
    required: bool = False,
    unread: Evidence | None = Evidence.UNREADABLE,
) -> HostInput:
    """Join the evidence about a host, best first: traits, the given mode, declarations.

    :param traits: this project's traits; None when they could not be read
    :param given: the mode given by the user
    :param declared: host aggregates declare that a request for unique is met
    :param smbios: its guests get ``<sysinfo>``
    :param required: a server was placed here by a required trait, which tenants see too; it
        counts where the traits could not be read
    :param unread: the evidence where the traits could not be read; None without a host
    """
    if traits is not None:
        known = policy.host_from_traits(traits)
    else:
        known = HostInput(
            mode_evidence=unread,
            honours_evidence=unread,
            meets_unique=required,
            meets_unique_evidence=Evidence.REQUIRED_TRAIT if required else None,
        )
    if known.mode is None and given is not None:
        known = dataclasses.replace(known, mode=given, mode_evidence=Evidence.GIVEN)
    if known.smbios is not smbios:
        known = dataclasses.replace(known, smbios=smbios)
    if declared and needs_declaration(known):
        known = dataclasses.replace(
            known, meets_unique=True, meets_unique_evidence=Evidence.DECLARED
        )
    return known


def needs_declaration(known: HostInput) -> bool:
    """Whether a host aggregate is the best evidence that a request for unique is met."""
    return known.smbios and known.mode is None and not known.meets_unique


def declared(aggregates: Iterable[Aggregate], host: str | None) -> bool:
    """Whether the aggregates of a host declare that a request for unique is met."""
    return policy.declared_by_aggregates(each.metadata for each in aggregates if host in each.hosts)


def unused_mode(known: HostInput, host: str | None, given: GivenModes) -> Iterator[str]:
    """Yield a note when the mode that was given for a host was not used."""
    if host is not None and given.by_host.get(host, known.mode) is not known.mode:
        yield f"the given mode of host {host} was not used: its traits declare another"


class ServerEvidence:
    """Makes the facts of servers from their records.

    Equal parts are one object, so that servers in the same situation share one case.
    """

    def __init__(
        self,
        *,
        fleet: Fleet | None,
        unlisted: Declarations | None,
        flavors: Iterable[Flavor],
        images: Mapping[str, Image],
        given: GivenModes,
        shows_frozen: bool,
        root_volume: Callable[[ServerRecord], RootVolume | None],
    ) -> None:
        """Index the evidence.

        :param fleet: None when Nova lists no hypervisor
        :param unlisted: traits and aggregates of hosts in that case
        :param flavors: their names are unique
        :param images: by ID
        :param shows_frozen: Nova returns the frozen property of this project
        :param root_volume: returns a server's root volume; None when it is unknown
        """
        self._hosts: dict[tuple[str | None, str | None], Host] = {}
        if fleet is not None:
            self._hosts = {
                (each.hypervisor.host, each.hypervisor.hostname): each for each in fleet.hosts
            }
        self._unlisted = unlisted or Declarations()
        self._aggregates = self._unlisted.aggregates if fleet is None else fleet.aggregates
        self._flavors = {each.name: each for each in flavors}
        self._images = images
        self._given = given
        self._shows_frozen = shows_frozen
        self._root_volume = root_volume
        self._parts: dict[object, Any] = {}
        self._flavor_parts: dict[object, FlavorPart] = {}
        self._image_parts: dict[object, ImagePart] = {}
        self._requests: dict[str, SettingInput] = {}
        self._inputs: dict[object, HostInput] = {}
        self._by_parts: dict[object, Case] = {}
        self._cases: dict[_Key, tuple[Host | None, Case]] = {}

    def facts(self, record: ServerRecord) -> ServerFacts:
        """Return the facts of one server."""
        # The one place that runs for each server: every lookup counts.
        host = record.host or None
        copy = record.flavor or _NO_FLAVOR
        specs = copy.extra_specs
        flavor_key = (copy.original_name, None if specs is None else tuple(specs.items()))
        flavor = self._flavor_parts.get(flavor_key)
        if flavor is None:
            flavor = self._flavor(flavor_key, specs)
        image_id, image = self._image(record)
        metadata = bytes(record.metadata)
        request, wrong_key = _ASKS_NOTHING, None
        # Our key, and all that are close to it, have a q: nearly no metadata need to be parsed.
        if metadata != b"{}" and (
            _SMALL_Q in metadata or _LARGE_Q in metadata or not metadata.startswith(b"{")
        ):
            request, wrong_key = self._request(metadata)
        placed = visible = True
        if host is None:
            placed, visible = record.has_host, record.shows_host
        key = (
            host,
            record.node,
            id(flavor),
            id(image),
            id(request),
            wrong_key,
            placed,
            visible,
            record.is_reachable,
            record.is_pinned,
        )
        found = self._cases.get(key)
        if found is None:
            found = self._case(key, flavor, image, request)
        return ServerFacts(
            record.id,
            record.name or None,
            record.project_id,
            record.status,
            host,
            found[1],
            copy.original_name,
            image_id,
            found[0],
        )

    def traits_of(self, record: ServerRecord) -> frozenset[str] | None:
        """Return the traits of the host that a server is on; None when they are unknown."""
        on = self._hosts.get((record.host or None, record.node))
        return self._traits(on, record.node)

    def _traits(self, on: Host | None, node: str | None) -> frozenset[str] | None:
        return self._unlisted.traits.get(node or "") if on is None else on.traits

    def _flavor(
        self, key: tuple[str | None, object], specs: Mapping[str, str] | None
    ) -> FlavorPart:
        current = self._flavors.get(key[0]) if key[0] else None
        part = self._shared(flavor_part(specs, flavor_now(current)))
        self._flavor_parts[key] = part
        return part

    def _image(self, record: ServerRecord) -> tuple[str | None, ImagePart]:
        image = record.image
        if image == "":
            return None, self._volume(record)
        if not isinstance(image, ImageRef):
            return None, self._shared(ImagePart())
        image_id = image.id
        frozen = image.properties
        current = self._images.get(image_id)
        as_booted = is_as_booted(current, record)
        said = frozen.get(policy.IMAGE_KEY) if frozen else None
        guest = None
        if frozen and ("hw_architecture" in frozen or "hw_emulation_architecture" in frozen):
            guest = tuple(frozen.get(key) for key in ARCHITECTURES)
        key = (image_id, as_booted, said, guest, frozen is None)
        part = self._image_parts.get(key)
        if part is None:
            part = self._shared(
                image_part(current, frozen, as_booted=as_booted, shows_frozen=self._shows_frozen)
            )
            self._image_parts[key] = part
        return image_id, part

    def _volume(self, record: ServerRecord) -> ImagePart:
        volume = self._root_volume(record)
        image_id = volume.source_image(record) if volume else None
        source = self._images.get(image_id) if image_id else None
        if not is_as_booted(source, record):
            source = None
        key = (source and source.id, None if source else volume and volume.architecture)
        part = self._image_parts.get(key)
        if part is None:
            part = self._image_parts[key] = self._shared(volume_part(volume, source))
        return part

    def _request(self, text: bytes) -> tuple[SettingInput, str | None]:
        """Return the request of a server by its metadata, and a key there that is close to it."""
        metadata = read_metadata(text)
        if metadata is None:
            return UNREADABLE, None
        raw, others = metadata
        wrong_key = wrong_key_of_server(others) if others else None
        if raw is None:
            return _ASKS_NOTHING, wrong_key
        if known := self._requests.get(raw):
            return known, wrong_key
        if len(self._requests) >= _KEPT:
            # Tenants choose the texts. Cases refer to what is forgotten here.
            self._requests.clear()
            self._cases.clear()
        read = self._shared(SettingInput(policy.parse(raw), Evidence.SERVER_METADATA))
        self._requests[raw] = read
        return read, wrong_key

    def _case(
        self, key: _Key, flavor: FlavorPart, image: ImagePart, request: SettingInput
    ) -> tuple[Host | None, Case]:
        host, node, _flavor, _image, _request, wrong_key, placed, visible, reachable, pinned = key
        on = self._hosts.get((host, node))
        required = placed and requires_unique(joined_needs(flavor, image))
        where = (host, node, image.architecture, required, visible)
        known = self._inputs.get(where)
        if known is None:
            known = self._host_input(host, node, on, image.architecture, required, visible)
            known = self._inputs[where] = self._shared(known)
        flags = (visible, reachable, pinned, placed)
        same = (id(flavor), id(image), id(request), id(known), wrong_key, flags)
        case = self._by_parts.get(same)
        if case is None:
            case = Case(flavor, image, known, *flags, request, wrong_key)
            self._by_parts[same] = case
        if len(self._cases) >= _KEPT:
            self._cases.clear()
        self._cases[key] = (on, case)
        return on, case

    def _host_input(
        self,
        host: str | None,
        node: str | None,
        on: Host | None,
        architecture: str | None,
        required: bool,
        visible: bool,
    ) -> HostInput:
        may_have_host = host is not None or not visible
        return host_input(
            self._traits(on, node) if host else None,
            self._given.get(host) if may_have_host else None,
            declared=on.declared if on else declared(self._aggregates, host),
            smbios=(
                on.hypervisor.writes_sysinfo(architecture) if on else has_sysinfo(architecture)
            ),
            required=required,
            unread=Evidence.UNREADABLE if may_have_host else None,
        )

    def _shared(self, part: _Thing) -> _Thing:
        """Return the one object of this value, so that equal parts lead to one case."""
        shared: _Thing = self._parts.setdefault(part, part)
        return shared
