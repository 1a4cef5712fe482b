# SPDX-License-Identifier: Apache-2.0
"""The effective policy of one server: facts in, an answer with its reasons out. Pure."""

from __future__ import annotations

import dataclasses
from typing import Literal

from osc_uniqserial.model.cloud import (
    Case,
    FlavorPart,
    ImagePart,
    Moves,
    ServerFacts,
    requires_unique,
)
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_UNIQUE,
    DecidedBy,
    EffectivePolicy,
    Evidence,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
    Value,
    resolve,
)

#: Sources that name the host: the serial changes when the guest changes its host.
HOST_SOURCES = frozenset({SerialSource.HOST_OS, SerialSource.HOST_HARDWARE, SerialSource.HOST_AUTO})

_SHOWS = {
    SerialSource.INSTANCE_UUID: "the serial is the server's own UUID",
    SerialSource.HOST_OS: "the guest shows the machine ID of the host's operating system",
    SerialSource.HOST_HARDWARE: "the guest shows the UUID of the host's hardware",
    SerialSource.HOST_AUTO: (
        "the guest shows its host's identity (the machine ID, or the hardware UUID without one)"
    ),
    SerialSource.ABSENT: "the guest has no serial number",
}


#: How a request for unique is known to be met where mode and driver are not.
_PROMISES: dict[Evidence | None, str] = {
    Evidence.DECLARED: "a host aggregate declares that its host meets this",
    Evidence.REQUIRED_TRAIT: (
        f"it was placed by a required trait {TRAIT_UNIQUE}, which only hosts that meet this have"
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """A change that is stored but not yet in the guest.

    :ivar now: the stored text that counts now; None when the key is not set
    :ivar next: the stored text that counts after ``applied_by``
    """

    input: Literal["flavor", "image"]
    now: str | None
    next: str | None
    applied_by: Literal["resize", "rebuild"]


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """The answer about one server, as ``show`` prints it."""

    server: ServerFacts
    policy: EffectivePolicy
    survives_move: bool | None
    pending: tuple[Pending, ...]
    why: str


def pending_changes(flavor: FlavorPart, image: ImagePart) -> tuple[Pending, ...]:
    """Return what flavor and image say now but the server does not use yet.

    A server keeps the flavor of its boot or last resize, and the image
    properties of its boot or last rebuild. Only a change of meaning counts:
    ``true`` and ``True`` are the same.
    """
    changes = []
    if _differs(flavor.used, flavor.now):
        changes.append(Pending("flavor", _raw(flavor.used.value), _raw(flavor.now), "resize"))
    if _differs(image.used, image.now):
        changes.append(Pending("image", _raw(image.used.value), _raw(image.now), "rebuild"))
    return tuple(changes)


def _differs(used: SettingInput, now: Value | None) -> bool:
    return used.value is not None and now is not None and _meaning(used.value) is not _meaning(now)


def _meaning(value: Value) -> Setting:
    return Setting.UNSET if value.setting is Setting.INVALID else value.setting


def _raw(value: Value | None) -> str | None:
    return value.raw if value else None


def needs_other_hosts(case: Case, policy: EffectivePolicy) -> bool:
    """Whether only a look at the other hosts can tell if the serial survives a move."""
    return policy.source is SerialSource.INSTANCE_UUID and not (
        policy.requested is Setting.UNIQUE and requires_unique(case.needs)
    )


def build(server: ServerFacts, moves: Moves | None) -> Explanation:
    """Judge one server.

    :param moves: what the other hosts would do; None when that is unknown
    """
    case = server.case
    policy = resolve(case.flavor.used, case.image.used, case.host)
    survives: bool | None = None
    if policy.source in HOST_SOURCES:
        survives = False
    elif policy.source is SerialSource.INSTANCE_UUID:
        if not needs_other_hosts(case, policy):
            survives = True
        elif moves:
            survives = moves.keeps
    pending = pending_changes(case.flavor, case.image)
    sentences = [_decision(server, policy)]
    second = _outlook(policy, survives, moves, pending)
    if second:
        sentences.append(second)
    return Explanation(server, policy, survives, pending, " ".join(sentences))


def _decision(server: ServerFacts, policy: EffectivePolicy) -> str:
    """Say in one sentence where the serial comes from and what decided it."""
    case, host = server.case, server.case.host
    where = f"host {server.host}" if server.host else "the host"
    if policy.source is SerialSource.UNKNOWN:
        return _unknown(server)
    if not host.smbios:
        return (
            f"The hypervisor of {where} gives its guests no SMBIOS serial number"
            f" ({IMAGE_KEY} and {FLAVOR_KEY} need libvirt with kvm or qemu on x86)."
        )
    shows = _SHOWS[policy.source]
    if policy.decided_by in (DecidedBy.FLAVOR, DecidedBy.IMAGE):
        decider = policy.decided_by.value
        wish = "a unique serial" if policy.requested is Setting.UNIQUE else "the host's own serial"
        own_mode = ""
        if policy.requested is Setting.HOST and host.mode is not None:
            mode = HostMode.AUTO if host.mode is HostMode.UNIQUE else host.mode
            own_mode = f" (mode {mode.value})"
        return f"The {decider} asks for {wish} and {where} honours the keys, so {shows}{own_mode}."
    if policy.decided_by is DecidedBy.NONE:
        if policy.requested is Setting.UNIQUE and host.meets_unique_evidence in _PROMISES:
            promise = _PROMISES[host.meets_unique_evidence]
            asker = _askers(case, policy.requested)
            return f"The {asker} for a unique serial, and {promise}, so {shows}."
        return f"Whatever the unknown inputs are, {shows}."
    mode_text = f"mode {host.mode.value}" if host.mode else "own mode"
    if policy.requested is Setting.UNSET:
        if _image_is_overruled(case):
            return (
                f"The image's false counts as not set on {where} ([unique_serial]"
                f" image_may_show_host = false), so the host ({mode_text}) decides: {shows}."
            )
        return (
            f"Neither flavor nor image asks for anything, so {where} ({mode_text})"
            f" decides: {shows}."
        )
    if policy.requested is None:
        return (
            f"{where[0].upper()}{where[1:]} ({mode_text}) does not honour the keys,"
            f" so it decides: {shows}."
        )
    asker = _askers(case, policy.requested)
    if host.mode is None and host.meets_unique_evidence in _PROMISES:
        promise = _PROMISES[host.meets_unique_evidence]
        return f"The {asker} for a unique serial, and {promise}, so {shows}."
    if policy.requested is Setting.UNIQUE and policy.source is SerialSource.INSTANCE_UUID:
        return (
            f"The {asker} for a unique serial. {where[0].upper()}{where[1:]} does not honour"
            f" the keys, but its {mode_text} gives the same: {shows}."
        )
    wish = "a unique serial" if policy.requested is Setting.UNIQUE else "the host's own serial"
    return (
        f"The {asker} for {wish}, but {where} ({mode_text}) does not honour the keys,"
        f" so it decides: {shows}."
    )


def _image_is_overruled(case: Case) -> bool:
    said = case.image.used.value
    return said is not None and said.setting is Setting.HOST and not case.host.image_may_show_host


def _askers(case: Case, wish: Setting) -> str:
    said = [
        name
        for name, used in (("flavor", case.flavor.used), ("image", case.image.used))
        if used.value is not None and used.value.setting is wish
    ]
    if len(said) > 1:
        return f"{' and the '.join(said)} ask"
    return f"{said[0] if said else 'server'} asks"


def _unknown(server: ServerFacts) -> str:
    """Say what is missing and how to make it known."""
    case, host = server.case, server.case.host
    if not case.reachable:
        return "The server's cell is down: Nova returns only a minimal record, without its host."
    if not server.host:
        if case.host_visible:
            return (
                f"The server has no host now (status {server.status}), so no host mode applies yet."
            )
        return (
            "The serial cannot be told: this user may not see the server's host, and so neither"
            " its mode nor whether it honours the keys (it takes an administrator)."
        )
    missing = []
    if case.flavor.used.value is None:
        missing.append("what the flavor says")
    if case.image.used.value is None:
        missing.append("what the image says")
    if host.mode is None:
        missing.append(f"the mode of host {server.host}")
    if host.honours is None:
        missing.append(f"whether host {server.host} honours the keys")
    hint = ""
    if host.mode is None:
        hint = (
            f" (give it with --host-mode {server.host}=MODE, or declare it"
            " as a CUSTOM_SYSINFO_SERIAL_ trait in the host's provider.yaml)"
        )
    elif host.honours is None:
        hint = " (its traits in Placement tell it; they take an administrator)"
    if host.contradiction:
        hint = f" (its traits contradict each other: {', '.join(host.contradiction)})"
    return f"The serial cannot be told without knowing {_and(missing)}{hint}."


def _outlook(
    policy: EffectivePolicy,
    survives: bool | None,
    moves: Moves | None,
    pending: tuple[Pending, ...],
) -> str | None:
    """Say in one sentence what would change it, the most certain change first."""
    if pending:
        change = pending[0]
        return (
            f"The {change.input} now says {_said(change.next)} where this server uses"
            f" {_said(change.now)}: a {change.applied_by} applies it."
        )
    if survives is True:
        return "It survives a move to another host."
    if survives is False and policy.source in HOST_SOURCES:
        return "It changes when the server moves to another host."
    if survives is False and moves:
        return f"It changes on a move to {_some(moves.hosts)}."
    if policy.source is SerialSource.INSTANCE_UUID:
        if moves and moves.hosts:
            return f"Whether it survives a move to {_some(moves.hosts)} is unknown."
        if moves:
            return "There is no other enabled host that it could move to."
        return "Whether it survives a move is unknown."
    return None


def _said(raw: str | None) -> str:
    return "nothing" if raw is None else repr(raw)


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


def _some(hosts: tuple[str, ...]) -> str:
    if len(hosts) <= 3:
        return _and(list(hosts))
    return f"{', '.join(hosts[:3])} and {len(hosts) - 3} more"
