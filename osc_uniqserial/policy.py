# SPDX-License-Identifier: Apache-2.0
"""The rules of per-instance serial numbers, pure and without dependencies.

Source of the rules: the Nova specification "Per-instance serial number" and
its released part, the host option ``[libvirt]sysinfo_serial``
(nova/conf/libvirt.py; nova/virt/libvirt/driver.py, _get_guest_config_sysinfo).

The client and the compute driver run this same text, so that a report and a
guest cannot disagree. Keep it valid on the oldest Python of the oldest Nova
that is supported: standard library only, no I/O, no clock, no logging.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import string
from collections.abc import Collection, Iterable, Mapping

#: The flavor extra spec. Aggregates carry it too.
FLAVOR_KEY = "hw:unique_serial"
#: The image property, and the key of a server's own request in its metadata. Aggregates carry it
#: too.
IMAGE_KEY = "hw_unique_serial"

#: What :func:`parse` accepts, in any case and with blanks around it: the strict
#: truth table of oslo.utils (oslo_utils/strutils.py, bool_from_string).
TRUE_WORDS = ("1", "t", "true", "on", "y", "yes")
FALSE_WORDS = ("0", "f", "false", "off", "n", "no")

#: A guest that asks for a unique serial gets it on this host.
TRAIT_UNIQUE = "CUSTOM_UNIQUE_SERIAL"
#: The host's compute driver obeys the keys.
TRAIT_KEYS = "CUSTOM_UNIQUE_SERIAL_KEYS"
#: On a host that honours the keys, an image's false may show the host's own serial: its compute
#: option ``[unique_serial] image_may_show_host``, which no API shows otherwise.
TRAIT_IMAGE_MAY_SHOW_HOST = "CUSTOM_UNIQUE_SERIAL_IMAGE_MAY_SHOW_HOST"
#: On a host that honours the keys, the request of a server counts: its compute option
#: ``[unique_serial] server_may_ask``. Older drivers do not report it.
TRAIT_SERVER_MAY_ASK = "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK"


class Setting(enum.Enum):
    """What a flavor, an image or a server says."""

    UNIQUE = "unique"
    HOST = "host"
    UNSET = "unset"
    INVALID = "invalid"


class HostMode(enum.Enum):
    """``[libvirt]sysinfo_serial`` of a compute host (nova/conf/libvirt.py)."""

    UNIQUE = "unique"
    OS = "os"
    HARDWARE = "hardware"
    AUTO = "auto"
    NONE = "none"


class SerialSource(enum.Enum):
    """Where a guest's serial number comes from."""

    INSTANCE_UUID = "instance-uuid"
    HOST_OS = "host-os"
    HOST_HARDWARE = "host-hardware"
    HOST_AUTO = "host-auto"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class DecidedBy(enum.Enum):
    """The input that decided the serial source; NONE when no single one did."""

    FLAVOR = "flavor"
    IMAGE = "image"
    SERVER = "server"
    HOST = "host"
    NONE = "none"


class Evidence(enum.Enum):
    """Where the value of an input was read."""

    FROZEN = "frozen"
    CURRENT_IMAGE = "current-image"
    EMBEDDED_FLAVOR = "embedded-flavor"
    SERVER_METADATA = "server-metadata"
    REQUIRED_TRAIT = "required-trait"
    TRAIT = "trait"
    TRAIT_ABSENT = "trait-absent"
    GIVEN = "given"
    DECLARED = "declared"
    UNREADABLE = "unreadable"


#: The trait that declares a host mode. A host has exactly one of them.
MODE_TRAITS: Mapping[str, HostMode] = {
    "CUSTOM_SYSINFO_SERIAL_" + mode.name: mode for mode in HostMode
}
#: Every trait of this project.
TRAITS = (
    TRAIT_UNIQUE,
    TRAIT_KEYS,
    TRAIT_IMAGE_MAY_SHOW_HOST,
    TRAIT_SERVER_MAY_ASK,
    *MODE_TRAITS,
)

_SOURCE_OF_MODE = {
    HostMode.UNIQUE: SerialSource.INSTANCE_UUID,
    HostMode.OS: SerialSource.HOST_OS,
    HostMode.HARDWARE: SerialSource.HOST_HARDWARE,
    HostMode.AUTO: SerialSource.HOST_AUTO,
    HostMode.NONE: SerialSource.ABSENT,
}


@dataclasses.dataclass(frozen=True)
class Value:
    """A stored value: its meaning, and the text it was read from.

    :ivar setting: what it says
    :ivar raw: the stored text; None when nothing is stored
    """

    setting: Setting
    raw: str | None = None


UNSET = Value(Setting.UNSET)


def parse(raw: str | bool | None) -> Value:
    """Parse the stored text of a key.

    :param raw: the stored text, None when the key is not there; Nova's API
        returns a frozen image property as a JSON boolean
    :returns: unique for a true word, host for a false word (specification,
        "Proposed change"), invalid for anything else, blank text included
    """
    if raw is None:
        return UNSET
    text = str(raw)
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return Value(Setting.UNIQUE, text)
    if word in FALSE_WORDS:
        return Value(Setting.HOST, text)
    return Value(Setting.INVALID, text)


@dataclasses.dataclass(frozen=True)
class SettingInput:
    """What a flavor, an image or a server says; ``value`` is None when it is unknown."""

    value: Value | None = UNSET
    evidence: Evidence | None = None


NOTHING_SAID = SettingInput()


@dataclasses.dataclass(frozen=True)
class HostInput:
    """What is known of a compute host.

    :ivar mode: its ``[libvirt]sysinfo_serial``; None when unknown
    :ivar honours: whether its driver obeys the keys; None when unknown
    :ivar meets_unique: True when a guest that asks for unique is known to get
        it here, whatever mode and honours are
    :ivar smbios: False when its guests have no ``<sysinfo>`` at all (not
        kvm/qemu, or neither i686 nor x86_64)
    :ivar image_may_show_host: its compute option of that name; False makes an image's false
        count as unset. Means something only where honours is True
    :ivar server_may_ask: its compute option of that name; None when unknown. Means something only
        where honours is not False
    :ivar contradiction: traits that cannot all be true, sorted
    """

    mode: HostMode | None = None
    honours: bool | None = None
    meets_unique: bool = False
    smbios: bool = True
    image_may_show_host: bool = True
    server_may_ask: bool | None = None
    mode_evidence: Evidence | None = None
    honours_evidence: Evidence | None = None
    meets_unique_evidence: Evidence | None = None
    contradiction: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class EffectivePolicy:
    """Where the serial of a guest comes from, and what decided it.

    :ivar requested: UNIQUE, HOST or UNSET; None when an unknown input could
        change it
    :ivar source: the serial source; UNKNOWN when unknown inputs could change it
    :ivar decided_by: the input that decided; NONE when the source is unknown,
        when the guest has no SMBIOS, or when several inputs lead to it
    """

    requested: Setting | None
    source: SerialSource
    decided_by: DecidedBy

    def expected_serial(self, server_id: str) -> str | None:
        """Return the serial that can be predicted: the server's UUID or None."""
        return server_id if self.source is SerialSource.INSTANCE_UUID else None


def requested(
    flavor: Setting, image: Setting, server: Setting = Setting.UNSET
) -> tuple[Setting, DecidedBy]:
    """Join what flavor, image and server ask for, and say which of them decided.

    Specification: a true of flavor or image asks for unique, even against an explicit false; else a
    false of either asks for the host's own serial. Beyond the specification, a true of the server
    asks for unique too; its false means nothing, so that no tenant can show a host by it. An
    invalid value counts as unset: a typo must never take a serial away.
    """
    if flavor is Setting.UNIQUE:
        return Setting.UNIQUE, DecidedBy.FLAVOR
    if image is Setting.UNIQUE:
        return Setting.UNIQUE, DecidedBy.IMAGE
    if server is Setting.UNIQUE:
        return Setting.UNIQUE, DecidedBy.SERVER
    if flavor is Setting.HOST:
        return Setting.HOST, DecidedBy.FLAVOR
    if image is Setting.HOST:
        return Setting.HOST, DecidedBy.IMAGE
    return Setting.UNSET, DecidedBy.HOST


def _outcome(
    wish: Setting, by: DecidedBy, mode: HostMode, honours: bool
) -> tuple[SerialSource, DecidedBy]:
    """Decide with every input known."""
    if honours and wish is Setting.UNIQUE:
        return SerialSource.INSTANCE_UUID, by
    if honours and wish is Setting.HOST:
        own = HostMode.AUTO if mode is HostMode.UNIQUE else mode
        return _SOURCE_OF_MODE[own], by
    return _SOURCE_OF_MODE[mode], DecidedBy.HOST


def resolve(
    flavor: SettingInput,
    image: SettingInput,
    host: HostInput,
    server: SettingInput = NOTHING_SAID,
) -> EffectivePolicy:
    """Resolve the effective policy of one guest on one host.

    Every value that an unknown input could have is tried; what all of them
    lead to is the answer, and where they differ the answer is unknown. Never
    a guess.
    """
    flavors = _settings(flavor.value)
    images = _settings(image.value)
    servers = _settings(server.value)
    if not host.image_may_show_host:
        images = {Setting.UNSET if said is Setting.HOST else said for said in images}
    requests = list(itertools.product(flavors, images, servers))
    wishes = {requested(*request)[0] for request in requests}
    wish = wishes.pop() if len(wishes) == 1 else None

    if not host.smbios:
        return EffectivePolicy(wish, SerialSource.ABSENT, DecidedBy.NONE)

    modes = list(HostMode) if host.mode is None else [host.mode]
    honours = [True, False] if host.honours is None else [host.honours]
    may_ask = [True, False] if host.server_may_ask is None else [host.server_may_ask]
    # What the host is known to meet says nothing of its mode, and nothing at all
    # where mode and driver are known.
    promised = host.meets_unique and (host.mode is None or host.honours is None)
    outcomes = set()
    for (said_flavor, said_image, said_server), mode, obeys, asks in itertools.product(
        requests, modes, honours, may_ask
    ):
        counts = requested(said_flavor, said_image, said_server if asks else Setting.UNSET)
        source, by = _outcome(*counts, mode, obeys)
        # It was promised for what flavor and image ask for.
        if promised and requested(said_flavor, said_image)[0] is Setting.UNIQUE:
            source = SerialSource.INSTANCE_UUID
        outcomes.add((source, by))
    sources = {source for source, _by in outcomes}
    if len(sources) != 1:
        return EffectivePolicy(wish, SerialSource.UNKNOWN, DecidedBy.NONE)
    deciders = {by for _source, by in outcomes}
    return EffectivePolicy(
        wish, sources.pop(), deciders.pop() if len(deciders) == 1 else DecidedBy.NONE
    )


def _settings(value: Value | None) -> set[Setting]:
    """Return what a value may say once invalid text counts as unset."""
    if value is None:
        return {Setting.UNIQUE, Setting.HOST, Setting.UNSET}
    return {Setting.UNSET if value.setting is Setting.INVALID else value.setting}


def host_from_traits(traits: Collection[str]) -> HostInput:
    """Read a host's mode and driver from the traits of its resource provider.

    A provider that can be read and lacks :data:`TRAIT_KEYS` does not honour
    the keys. Traits that cannot all be true tell nothing about the mode.
    """
    honours = TRAIT_KEYS in traits
    promises = TRAIT_UNIQUE in traits
    mode_traits = sorted(trait for trait in traits if trait in MODE_TRAITS)
    modes = {MODE_TRAITS[trait] for trait in mode_traits}
    contradiction: tuple[str, ...] = ()
    if promises and not honours:
        # Without our driver only a host in mode unique can keep the promise.
        modes.add(HostMode.UNIQUE)
        if len(modes) > 1:
            contradiction = (TRAIT_UNIQUE, *mode_traits)
    elif len(modes) > 1:
        contradiction = tuple(mode_traits)
    mode = modes.pop() if len(modes) == 1 else None
    meets_unique = honours or mode is HostMode.UNIQUE
    return HostInput(
        mode=mode,
        honours=honours,
        meets_unique=meets_unique,
        image_may_show_host=not honours or TRAIT_IMAGE_MAY_SHOW_HOST in traits,
        server_may_ask=honours and TRAIT_SERVER_MAY_ASK in traits,
        mode_evidence=Evidence.TRAIT if mode else None,
        honours_evidence=Evidence.TRAIT if honours else Evidence.TRAIT_ABSENT,
        meets_unique_evidence=Evidence.TRAIT if meets_unique else None,
        contradiction=contradiction,
    )


def is_incomplete(traits: Collection[str]) -> bool:
    """Tell whether a host's traits lack what the driver reports with :data:`TRAIT_KEYS`."""
    return TRAIT_KEYS in traits and not (
        TRAIT_UNIQUE in traits and any(trait in MODE_TRAITS for trait in traits)
    )


def aggregate_values(text: str | None) -> tuple[Value, ...]:
    """Return the values in the metadata of a host aggregate; none where it is not set.

    Nova splits them at commas (nova/scheduler/filters/utils.py, aggregate_metadata_get_by_host).
    """
    return () if text is None else tuple(parse(part.strip()) for part in text.split(","))


def said_by_aggregate(metadata: Mapping[str, str]) -> frozenset[Setting]:
    """Return what a host aggregate declares by either key: UNIQUE, HOST, both or nothing.

    Text that is no boolean declares nothing.
    """
    said = {
        value.setting
        for key in (FLAVOR_KEY, IMAGE_KEY)
        for value in aggregate_values(metadata.get(key))
    }
    return frozenset(said & {Setting.UNIQUE, Setting.HOST})


def declared_by_aggregates(metadata: Iterable[Mapping[str, str]]) -> bool:
    """Tell whether host aggregates declare that a request for unique is met.

    :param metadata: the metadata of every aggregate that the host is in
    :returns: True when one says true and none says false
    """
    said: frozenset[Setting] = frozenset().union(*map(said_by_aggregate, metadata))
    return said == {Setting.UNIQUE}


def is_near_miss(key: str) -> bool:
    """Tell whether a property is another spelling of the keys, which nothing obeys."""
    word = "".join(char for char in key.lower() if char in string.ascii_lowercase + string.digits)
    return key not in (FLAVOR_KEY, IMAGE_KEY) and word in ("hwuniqueserial", "uniqueserial")


#: Longer words only begin like the keys.
_LONGEST_WORD = 24


@functools.lru_cache(maxsize=4096)
def is_misspelt(key: str) -> bool:
    """Tell whether a property is close to the keys in its letters, and nothing obeys it.

    Another spelling of the same letters is a near miss (:func:`is_near_miss`), and not this.
    Only keys without a scope or with a short one are close: ``trait:`` and
    ``aggregate_instance_extra_specs:`` are others' (nova/api/validation/extra_specs).
    """
    scope, _, rest = key.lower().rpartition(":")
    if len(scope) > 3 or key in (FLAVOR_KEY, IMAGE_KEY) or is_near_miss(key):
        return False
    word = "".join(char for char in rest if char in string.ascii_lowercase + string.digits)
    if word[:2] in ("hw", "os"):
        word = word[2:]
    if len(word) > _LONGEST_WORD:
        return False
    import difflib

    return word.startswith("uniqueserial") or bool(
        difflib.get_close_matches(word, ("uniqueserial", "serialunique"), cutoff=0.83)
    )


def requires_unique(properties: Mapping[str, str]) -> bool:
    """Tell whether extra specs or image properties require :data:`TRAIT_UNIQUE`."""
    return properties.get("trait:" + TRAIT_UNIQUE) == "required"


def mode_trait(mode: HostMode) -> str:
    """Return the trait that declares a host mode."""
    return next(trait for trait, declared in MODE_TRAITS.items() if declared is mode)
