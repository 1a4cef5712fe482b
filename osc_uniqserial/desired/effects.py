# SPDX-License-Identifier: Apache-2.0
"""The servers whose serial number a desired state changes, and when. Pure.

The state afterwards is resolved by the same rules (:mod:`osc_uniqserial.policy`) from the changed
inputs: there is no second model.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from osc_uniqserial import policy
from osc_uniqserial.desired.changes import Change
from osc_uniqserial.effective import explanation
from osc_uniqserial.model.cloud import Case, ServerFacts
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    EffectivePolicy,
    Evidence,
    HostInput,
    HostMode,
    SerialSource,
    SettingInput,
    Value,
    parse,
)

Description = TypeVar("Description")
_Input = TypeVar("_Input")

#: What a setting that could not be read may be.
_VALUES = (parse("true"), parse("false"), policy.UNSET)
#: The most situations of servers whose effects, and whose descriptions, are kept.
_KEPT = 5_000


class When(enum.Enum):
    """The operation at which a change reaches a server, the least disturbing first."""

    HARD_REBOOT = "hard reboot"
    NOVA_COMPUTE = "restart of nova-compute, then hard reboot"
    RESIZE = "resize"
    REBUILD = "rebuild"


@dataclasses.dataclass(eq=False, frozen=True, slots=True)
class Effect:
    """A change of the serial number of servers in the same situation; two are never equal.

    :ivar when: None: unknown, because Nova does not return what the server uses
    :ivar before: the inputs before
    :ivar after: the inputs after the operation
    """

    when: When | None
    before: Case
    after: Case
    now: EffectivePolicy
    then: EffectivePolicy

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the serial number changes."""
        return SerialSource.UNKNOWN in (self.now.source, self.then.source)


class Effects:
    """Finds the effects of changes; servers in the same situation share the work."""

    def __init__(self, changes: Iterable[Change], hosts: Mapping[str, HostInput]) -> None:
        """Take the changes of flavors and images.

        :param hosts: the hosts of the what-if, by name: what they would be
        """
        self._hosts = hosts
        self._flavors: dict[str | None, Value] = {}
        self._images: dict[str | None, Value] = {}
        for change in changes:
            if change.resource.type == "flavor" and change.key == FLAVOR_KEY:
                # Nova returns the name of a server's flavor, which is unique.
                self._flavors[change.resource.name] = parse(change.then)
            elif change.resource.type == "image" and change.key == IMAGE_KEY:
                self._images[change.resource.id] = parse(change.then)
        self._made: dict[object, Sequence[Effect]] = {}
        self._any = bool(self._hosts or self._flavors or self._images)

    def of(self, server: ServerFacts, requests: Iterable[Change] = ()) -> Sequence[Effect]:
        """Return the effects on a server.

        :param requests: the changes of its own metadata
        """
        case = server.case
        if not case.reachable and self._any:
            # A minimal record has no flavor, image and host.
            now = case.resolve()
            return (Effect(None, case, case, now, now),)
        asks = None
        for each in requests:
            asks = parse(each.then)
        host = self._hosts.get(server.host) if server.host else None
        flavor, image = self._flavors.get(server.flavor), self._images.get(server.image)
        if asks is None and host is None and flavor is None and image is None:
            return ()
        # Texts are compared faster than values; no text that is written is empty.
        key = (
            case,
            server.host if host else None,
            "" if asks is None else asks.raw,
            "" if flavor is None else flavor.raw,
            "" if image is None else image.raw,
        )
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            made = self._made[key] = tuple(_effects(case, asks, host, flavor, image))
        return made


def _effects(
    case: Case,
    asks: Value | None,
    host: HostInput | None,
    flavor: Value | None,
    image: Value | None,
) -> Iterator[Effect]:
    changed = case
    if asks is not None:
        said = SettingInput(asks, Evidence.SERVER_METADATA)
        changed = dataclasses.replace(case, server=said)
        yield from _effect(When.HARD_REBOOT, case, changed)
    if host is not None:
        asked = changed
        changed = dataclasses.replace(
            changed, host=dataclasses.replace(host, smbios=case.host.smbios)
        )
        yield from _effect(When.NOVA_COMPUTE, asked, changed)
    if flavor is not None:
        used = SettingInput(flavor, Evidence.EMBEDDED_FLAVOR)
        resized = dataclasses.replace(
            changed, flavor=dataclasses.replace(changed.flavor, used=used)
        )
        yield from _effect(When.RESIZE, changed, resized)
    if image is not None:
        used = SettingInput(image, Evidence.CURRENT_IMAGE)
        rebuilt = dataclasses.replace(changed, image=dataclasses.replace(changed.image, used=used))
        yield from _effect(When.REBUILD, changed, rebuilt)


def _effect(when: When, before: Case, after: Case) -> Iterator[Effect]:
    """Yield the effect of an operation, unless the serial number is known to stay."""
    effect = Effect(when, before, after, before.resolve(), after.resolve())
    if effect.now.source is not effect.then.source or (
        effect.is_unknown and _may_differ(before, after)
    ):
        yield effect


def _may_differ(before: Case, after: Case) -> bool:
    """Whether two unknown policies differ for any value that the unknown inputs may have.

    What is unknown before and after has the same value in both: a flavor that asks for a unique
    serial changes nothing on a host that does not honour the keys, whatever its mode.
    """
    flavors = _pairs(before.flavor.used.value, after.flavor.used.value, _VALUES)
    images = _pairs(before.image.used.value, after.image.used.value, _VALUES)
    servers = _pairs(before.server.value, after.server.value, _VALUES)
    hosts = [*_hosts(before.host, after.host)]
    for flavor, image, server, host in itertools.product(flavors, images, servers, hosts):
        sources = {
            policy.resolve(
                SettingInput(flavor[side], Evidence.GIVEN),
                SettingInput(image[side], Evidence.GIVEN),
                host[side],
                SettingInput(server[side], Evidence.GIVEN),
            ).source
            for side in (0, 1)
        }
        if len(sources) > 1:
            return True
    return False


def _hosts(before: HostInput, after: HostInput) -> Iterator[tuple[HostInput, HostInput]]:
    """Yield what a host may be before and after, with every input known."""
    for mode, honours, may_ask in itertools.product(
        _pairs(before.mode, after.mode, tuple(HostMode)),
        _pairs(before.honours, after.honours, (True, False)),
        _pairs(before.server_may_ask, after.server_may_ask, (True, False)),
    ):
        both = [
            dataclasses.replace(
                host, mode=mode[side], honours=honours[side], server_may_ask=may_ask[side]
            )
            for side, host in enumerate((before, after))
        ]
        # A host is not of a kind that cannot give what it is known to give.
        if all(
            each.honours or each.mode is HostMode.UNIQUE or not each.meets_unique for each in both
        ):
            yield both[0], both[1]


def _pairs(
    before: _Input | None, after: _Input | None, values: Sequence[_Input]
) -> Sequence[tuple[_Input, _Input]]:
    """Return the values that an input may have before and after."""
    if before is None and after is None:
        return [(value, value) for value in values]
    return [
        (known_before, known_after)
        for known_before in (values if before is None else (before,))
        for known_after in (values if after is None else (after,))
    ]


class Described(Generic[Description]):
    """Describes effects; servers in the same situation share the work."""

    def __init__(self, describe: Callable[[Effect, str], Description]) -> None:
        """Take what makes a description of an effect and its reason, which is a sentence."""
        self._describe = describe
        self._made: dict[object, Description] = {}

    def of(self, server: ServerFacts, effect: Effect) -> Description:
        """Return the description of an effect on a server."""
        # The sentences name the host, or the status without a host.
        key = (effect, server.host or (server.status,))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            made = self._made[key] = self._describe(effect, _reason(server, effect))
        return made


def _reason(server: ServerFacts, effect: Effect) -> str:
    """Return why a server has the serial number of afterwards, or why it is unknown."""
    case, effective = effect.after, effect.then
    if effective.source is not SerialSource.UNKNOWN and effect.is_unknown:
        case, effective = effect.before, effect.now
    return explanation.decision(dataclasses.replace(server, case=case), effective)
