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
from typing import Generic, NamedTuple, TypeVar

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
    """The operation at which a change reaches a server: first those on the hosts of today."""

    HARD_REBOOT = "hard reboot"
    RESIZE = "resize"
    REBUILD = "rebuild"
    NOVA_COMPUTE = "restart of nova-compute, then hard reboot"
    NOVA_COMPUTE_RESIZE = "restart of nova-compute, then resize"
    NOVA_COMPUTE_REBUILD = "restart of nova-compute, then rebuild"


@dataclasses.dataclass(eq=False, frozen=True, slots=True)
class Effect:
    """A change of the serial number of servers in the same situation; two are never equal.

    :ivar when: None: unknown, because Nova does not return what the server uses
    :ivar is_what_if: it needs that the host is changed as the what-if describes
    :ivar before: the inputs before
    :ivar after: the inputs after the operation
    """

    when: When | None
    is_what_if: bool
    before: Case
    after: Case
    now: EffectivePolicy
    then: EffectivePolicy

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the serial number changes."""
        return SerialSource.UNKNOWN in (self.now.source, self.then.source)


#: The operations of the what-if: the host is changed before.
_RESTARTED = {When.RESIZE: When.NOVA_COMPUTE_RESIZE, When.REBUILD: When.NOVA_COMPUTE_REBUILD}
_WHAT_IF = {When.NOVA_COMPUTE, *_RESTARTED.values()}
#: The kind of resource whose change a server meets at an operation.
_KINDS = {When.HARD_REBOOT: "server", When.RESIZE: "flavor", When.REBUILD: "image"}


class Impact(NamedTuple):
    """What a desired state does to servers in the same situation.

    :ivar kinds: ``server``, ``flavor``, ``image`` and ``host``: the kinds of resources whose change
        changes the serial number, or may change it: a host, when its what-if makes a difference;
        the others on the hosts of today
    """

    effects: Sequence[Effect] = ()
    kinds: Sequence[str] = ()


_NO_IMPACT = Impact()


class Effects:
    """Finds the effects of changes; servers in the same situation share the work."""

    def __init__(self, changes: Iterable[Change], hosts: Mapping[str, HostInput]) -> None:
        """Take the changes of flavors and images.

        :param hosts: the hosts of the what-if, by name: what they would be
        """
        # Hosts that would be equal share a number: it is compared faster than the host.
        self._inputs = list(dict.fromkeys(hosts.values()))
        numbers = {host: number for number, host in enumerate(self._inputs)}
        self._hosts: dict[str | None, int] = {name: numbers[host] for name, host in hosts.items()}
        self._flavors: dict[str | None, str] = {}
        self._images: dict[str | None, str] = {}
        for change in changes:
            if change.resource.type == "flavor" and change.key == FLAVOR_KEY:
                # Nova returns the name of a server's flavor, which is unique.
                self._flavors[change.resource.name] = _text(change)
            elif change.resource.type == "image" and change.key == IMAGE_KEY:
                self._images[change.resource.id] = _text(change)
        self._made: dict[object, Impact] = {}
        self._changes_requests = bool(self._flavors or self._images)

    def of(self, server: ServerFacts, requests: Iterable[Change] = ()) -> Impact:
        """Return what the changes do to a server.

        :param requests: the changes of its own metadata
        """
        case = server.case
        if not case.reachable and (self._changes_requests or self._hosts):
            # A minimal record has no flavor, image and host.
            now = case.resolve()
            return Impact([Effect(None, not self._changes_requests, case, case, now, now)])
        asks = None
        for each in requests:
            asks = _text(each)
        host = self._hosts.get(server.host)
        flavor, image = self._flavors.get(server.flavor), self._images.get(server.image)
        if asks is None and host is None and flavor is None and image is None:
            return _NO_IMPACT
        key = (case, host, asks, flavor, image)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            made = self._made[key] = _impact(
                case,
                _value(asks),
                None if host is None else self._inputs[host],
                _value(flavor),
                _value(image),
            )
        return made


def _text(change: Change) -> str:
    """Return the text that a change stores, which is never empty; empty: the key is removed."""
    return change.then or ""


def _value(text: str | None) -> Value | None:
    """Return what a text of :func:`_text` means; None: nothing is changed."""
    return None if text is None else parse(text or None)


@dataclasses.dataclass(eq=False, frozen=True, slots=True)
class _State:
    """The inputs of a server, and its policy."""

    case: Case
    policy: EffectivePolicy

    @classmethod
    def of(cls, case: Case) -> _State:
        return cls(case, case.resolve())

    def may_differ(self, other: _State) -> bool:
        """Whether the serial sources differ, or may differ."""
        source = self.policy.source
        return source is not other.policy.source or (
            source is SerialSource.UNKNOWN and _may_differ(self.case, other.case)
        )


def _impact(
    case: Case,
    asks: Value | None,
    host: HostInput | None,
    flavor: Value | None,
    image: Value | None,
) -> Impact:
    first = today = _State.of(case)
    if asks is not None:
        request = SettingInput(asks, Evidence.SERVER_METADATA)
        today = _State.of(dataclasses.replace(case, server=request))
    case = today.case
    operations: list[tuple[When, _State]] = []
    if flavor is not None:
        used = SettingInput(flavor, Evidence.EMBEDDED_FLAVOR)
        resized = dataclasses.replace(case, flavor=dataclasses.replace(case.flavor, used=used))
        operations.append((When.RESIZE, _State.of(resized)))
    if image is not None:
        used = SettingInput(image, Evidence.CURRENT_IMAGE)
        rebuilt = dataclasses.replace(case, image=dataclasses.replace(case.image, used=used))
        operations.append((When.REBUILD, _State.of(rebuilt)))
    effects = [*_effect(When.HARD_REBOOT, first, today)]
    for when, after in operations:
        effects += _effect(when, today, after)
    kinds = [_KINDS[effect.when] for effect in effects if effect.when]
    if host is not None:
        changed_host = dataclasses.replace(host, smbios=case.host.smbios)

        def restarted(state: _State) -> _State:
            return _State.of(dataclasses.replace(state.case, host=changed_host))

        base = restarted(today)
        effects += _effect(When.NOVA_COMPUTE, today, base)
        is_reached = today.may_differ(base)
        for when, after in operations:
            then = restarted(after)
            effects += _effect(_RESTARTED[when], base, then)
            is_reached = is_reached or after.may_differ(then)
        if is_reached:
            kinds.append("host")
    return Impact(effects, kinds)


def _effect(when: When, before: _State, after: _State) -> Iterator[Effect]:
    """Yield the effect of an operation, unless the serial number is known to stay."""
    if before.may_differ(after):
        yield Effect(when, when in _WHAT_IF, before.case, after.case, before.policy, after.policy)


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
