# SPDX-License-Identifier: Apache-2.0
"""The servers whose serial number a desired state changes, and when. Pure.

The state afterwards is resolved by the same rules (:mod:`osc_uniqserial.policy`) from the changed
inputs: there is no second model.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence

from osc_uniqserial import policy
from osc_uniqserial.desired.changes import Change
from osc_uniqserial.desired.document import HostEntry
from osc_uniqserial.model.cloud import Case, Host, ServerFacts
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

#: The most situations of servers whose effects are kept.
_KEPT = 5_000


class When(enum.Enum):
    """The operation at which a change reaches a server, the least disturbing first."""

    HARD_REBOOT = "hard reboot"
    NOVA_COMPUTE = "restart of nova-compute, then hard reboot"
    RESIZE = "resize"
    REBUILD = "rebuild"


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """A change of the serial number of a server.

    :ivar now: the effective policy before
    :ivar then: the effective policy after the operation
    """

    when: When
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

    def of(self, server: ServerFacts, requests: Iterable[Change] = ()) -> Sequence[Effect]:
        """Return the effects on a server.

        :param requests: the changes of its own metadata
        """
        case = server.case
        asks = next((parse(each.then) for each in requests if each.key == IMAGE_KEY), None)
        host = self._hosts.get(server.host) if server.host else None
        flavor, image = self._flavors.get(server.flavor), self._images.get(server.image)
        if (asks, host, flavor, image) == (None, None, None, None):
            return ()
        key = (case, asks, server.host if host else None, flavor, image)
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
    now = case.resolve()
    changed = case
    if asks is not None:
        said = SettingInput(asks, Evidence.SERVER_METADATA)
        changed = dataclasses.replace(changed, server=said)
    if host is not None:
        changed = dataclasses.replace(
            changed, host=dataclasses.replace(host, smbios=case.host.smbios)
        )
    rebooted = changed.resolve()
    when = When.HARD_REBOOT if host is None else When.NOVA_COMPUTE
    yield from _effect(when, now, rebooted)
    if flavor is not None:
        used = SettingInput(flavor, Evidence.EMBEDDED_FLAVOR)
        resized = dataclasses.replace(
            changed, flavor=dataclasses.replace(changed.flavor, used=used)
        )
        yield from _effect(When.RESIZE, rebooted, resized.resolve())
    if image is not None:
        used = SettingInput(image, Evidence.CURRENT_IMAGE)
        rebuilt = dataclasses.replace(changed, image=dataclasses.replace(changed.image, used=used))
        yield from _effect(When.REBUILD, rebooted, rebuilt.resolve())


def _effect(when: When, now: EffectivePolicy, then: EffectivePolicy) -> Iterator[Effect]:
    effect = Effect(when, now, then)
    if now.source is not then.source or effect.is_unknown:
        yield effect


def planned(host: Host, entry: HostEntry) -> HostInput:
    """Return what a host would be by an entry: the traits that it would report decide.

    Options of the driver that nothing is said of stay as they are, and are those of a new driver
    by default.
    """
    known = host.input
    mode = entry.mode or known.mode
    honours = known.honours if entry.driver is None else entry.driver
    given = Evidence.GIVEN
    if honours is None:
        return dataclasses.replace(known, mode=mode, mode_evidence=given if mode else None)
    traits = {policy.mode_trait(mode)} if mode else set()
    if honours:
        traits |= {policy.TRAIT_UNIQUE, policy.TRAIT_KEYS}
        for trait, said, is_now in (
            (
                policy.TRAIT_IMAGE_MAY_SHOW_HOST,
                entry.image_may_show_host,
                known.image_may_show_host,
            ),
            (policy.TRAIT_SERVER_MAY_ASK, entry.server_may_ask, known.server_may_ask),
        ):
            if said or (said is None and (not known.honours or is_now)):
                traits.add(trait)
    elif mode is HostMode.UNIQUE:
        traits.add(policy.TRAIT_UNIQUE)
    then = policy.host_from_traits(traits)
    return dataclasses.replace(
        then,
        smbios=known.smbios,
        mode_evidence=given if then.mode else None,
        honours_evidence=given,
        meets_unique_evidence=given if then.meets_unique else None,
    )
