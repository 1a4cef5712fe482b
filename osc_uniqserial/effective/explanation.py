# SPDX-License-Identifier: Apache-2.0
"""The effective policy of servers: facts in, an answer with its reasons out. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from osc_uniqserial import policy
from osc_uniqserial.effective.migration_targets import MigrationTargets
from osc_uniqserial.model.cloud import Case, FlavorPart, Fleet, ImagePart, Moves, ServerFacts
from osc_uniqserial.policy import DecidedBy, EffectivePolicy, Evidence, SerialSource, Setting
from osc_uniqserial.text import NAMES_SHOWN, quoted, some

#: The most explanations that are kept for servers in the same situation.
_KEPT = 5_000
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
#: Why a request for unique is met where mode and driver are unknown.
_PROMISES: dict[Evidence | None, str] = {
    Evidence.DECLARED: "a host aggregate declares that its host meets this",
    Evidence.REQUIRED_TRAIT: (
        f"it was placed by a required trait {policy.TRAIT_UNIQUE},"
        " which only hosts that meet this have"
    ),
}
#: Why a host that honours the keys does not obey the request of a server.
NOT_OBEYED = "its driver is older, or has [unique_serial] server_may_ask = false"
#: Nova changes no time of a server with its metadata.
_SINCE_WHEN = (
    "If the request is newer than the last start of the guest, it counts from the next start on:"
    " Nova does not return when it was made (openstack unique serial verify reads the guest)."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """A change that is stored but not yet in the guest.

    :ivar input: ``flavor`` or ``image``
    :ivar now: the stored text that counts now; None when the key is not set
    :ivar next: the stored text that counts after ``applied_by``
    :ivar applied_by: ``resize`` or ``rebuild``
    """

    input: Literal["flavor", "image"]
    now: str | None
    next: str | None
    applied_by: Literal["resize", "rebuild"]


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """The answer about one server, as ``show`` prints it.

    :ivar server: the server: ``id``, ``name``, ``project_id``, ``status``, ``host``
    :ivar policy: what is requested, the serial source, and what decided it
    :ivar survives_move: whether a cold move to any other enabled host keeps the serial; None: that
        is unknown, or there is no serial
    :ivar pending: changes that are stored but not yet in the guest; None where that is unknown:
        the request of the server changes the serial, and Nova does not return when it was made
    :ivar why: an explanation in a few sentences
    """

    server: ServerFacts
    policy: EffectivePolicy
    survives_move: bool | None
    pending: tuple[Pending, ...] | None
    why: str


class Explanations:
    """Explains servers of a fleet; servers in the same situation share the work."""

    def __init__(self, fleet: Fleet | None) -> None:
        self._targets = None if fleet is None else MigrationTargets(fleet)
        self._made: dict[object, Explanation] = {}

    def of(self, server: ServerFacts) -> Explanation:
        """Return the explanation of one server."""
        # The sentences name the host, or the status without a host.
        key = (server.case, server.host or (server.status,), id(server.on))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            made = self._made[key] = self._make(server)
        return dataclasses.replace(made, server=server)

    def _make(self, server: ServerFacts) -> Explanation:
        case = server.case
        effective = case.resolve()
        moves = None
        if self._targets and needs_other_hosts(case, effective):
            moves = self._targets.moves(case, server.on)
        return build(server, effective, moves)


def pending_changes(flavor: FlavorPart, image: ImagePart) -> tuple[Pending, ...]:
    """Return the present values of flavor and image that the server does not use yet.

    A server keeps the flavor of its boot or last resize, and the image properties of its boot
    or last rebuild. Only a change of meaning counts: ``true`` and ``True`` are the same.
    """
    changes = []
    if change := _change(flavor):
        changes.append(Pending("flavor", *change, "resize"))
    if change := _change(image):
        changes.append(Pending("image", *change, "rebuild"))
    return tuple(changes)


def _change(part: FlavorPart | ImagePart) -> tuple[str | None, str | None] | None:
    used, now = part.used.value, part.now
    if used is None or now is None or _meaning(used) is _meaning(now):
        return None
    return used.raw, now.raw


def _meaning(value: policy.Value) -> Setting:
    return Setting.UNSET if value.setting is Setting.INVALID else value.setting


def needs_other_hosts(case: Case, effective: EffectivePolicy) -> bool:
    """Whether the other hosts decide if the serial survives a move."""
    return effective.source is SerialSource.INSTANCE_UUID and not case.is_bound_to_unique


def is_changed_by_request(case: Case, effective: EffectivePolicy) -> bool:
    """Whether the server would have another serial without its own request."""
    return (
        case.asks
        and effective.source is SerialSource.INSTANCE_UUID
        and case.without_request.source is not SerialSource.INSTANCE_UUID
    )


def build(server: ServerFacts, effective: EffectivePolicy, moves: Moves | None) -> Explanation:
    """Explain one server.

    :param effective: the resolved policy of its case
    :param moves: the effect of a move to the other hosts; None when it is unknown
    """
    case = server.case
    survives: bool | None = None
    if effective.source in HOST_SOURCES:
        survives = False
    elif effective.source is SerialSource.INSTANCE_UUID:
        if not needs_other_hosts(case, effective):
            survives = True
        elif moves:
            survives = moves.keeps
    pending = pending_changes(case.flavor, case.image)
    sentences = [decision(server, effective), _outlook(effective, survives, moves, pending)]
    asked = is_changed_by_request(case, effective)
    if asked:
        sentences.append(_SINCE_WHEN)
    return Explanation(
        server,
        effective,
        survives,
        pending or (None if asked else ()),
        " ".join(filter(None, sentences)),
    )


def decision(server: ServerFacts, effective: EffectivePolicy) -> str:
    """Return the sentence about the source of the serial and what decided it.

    :param effective: the effective policy of the server's case
    """
    case, host = server.case, server.case.host
    where = f"host {server.host}" if server.host else "the host"
    if effective.source is SerialSource.UNKNOWN:
        return _unknown(server)
    if not host.smbios:
        return (
            f"The hypervisor of {where} gives its guests no SMBIOS serial number"
            f" ({policy.IMAGE_KEY} and {policy.FLAVOR_KEY} need libvirt with kvm or qemu on x86)."
        )
    shows = _SHOWS[effective.source]
    asks_unique = effective.requested is Setting.UNIQUE
    wish = "a unique serial" if asks_unique else "the host's own serial"
    deciding = {
        DecidedBy.FLAVOR: case.flavor.used.value,
        DecidedBy.IMAGE: case.image.used.value,
        DecidedBy.SERVER: case.server.value,
    }.get(effective.decided_by)
    if deciding:
        own_mode = ignored = ""
        if deciding.setting is Setting.HOST:
            wish = "the host's own serial"
            if host.mode is not None:
                mode = policy.HostMode.AUTO if host.mode is policy.HostMode.UNIQUE else host.mode
                own_mode = f" (mode {mode.value})"
            if asks_unique:
                ignored = (
                    f", and does not obey the server, which asks for a unique one ({NOT_OBEYED})"
                )
        return (
            f"The {effective.decided_by.value} asks for {wish} and {where} honours the keys"
            f"{ignored}, so {shows}{own_mode}."
        )
    if asks_unique and host.meets_unique_evidence in _PROMISES:
        promise = _PROMISES[host.meets_unique_evidence]
        return f"The {_askers(case, Setting.UNIQUE)} for {wish}, and {promise}, so {shows}."
    if effective.decided_by is DecidedBy.NONE:
        return f"Whatever the unknown inputs are, {shows}."
    mode_text = f"mode {host.mode.value}" if host.mode else "own mode"
    if effective.requested is Setting.UNSET:
        value = case.image.used.value
        if value is not None and value.setting is Setting.HOST and not host.image_may_show_host:
            return (
                f"The image's false counts as not set on {where} ([unique_serial]"
                f" image_may_show_host = false), so the host ({mode_text}) decides: {shows}."
            )
        return (
            f"Neither flavor nor image nor server asks for anything, so {where} ({mode_text})"
            f" decides: {shows}."
        )
    upper = f"{where[0].upper()}{where[1:]}"
    if effective.requested is None and host.honours:
        return (
            f"{upper} ({mode_text}) does not obey the requests of servers ({NOT_OBEYED}), so it"
            f" decides: {shows}."
        )
    if effective.requested is None:
        return f"{upper} ({mode_text}) does not honour the keys, so it decides: {shows}."
    asker = _askers(case, effective.requested)
    if host.honours:
        return (
            f"The {asker} for {wish}, but {where} ({mode_text}) does not obey the requests of"
            f" servers ({NOT_OBEYED}), so it decides: {shows}."
        )
    if asks_unique and effective.source is SerialSource.INSTANCE_UUID:
        return (
            f"The {asker} for {wish}. {upper} does not honour the keys,"
            f" but its {mode_text} gives the same: {shows}."
        )
    return (
        f"The {asker} for {wish}, but {where} ({mode_text}) does not honour the keys,"
        f" so it decides: {shows}."
    )


def _askers(case: Case, wish: Setting) -> str:
    parts = (
        ("flavor", case.flavor.used),
        ("image", case.image.used),
        # Only true has a meaning on a server.
        ("server", case.server if wish is Setting.UNIQUE else policy.NOTHING_SAID),
    )
    names = [name for name, said in parts if said.value and said.value.setting is wish]
    return f"{' and the '.join(names) or 'server'} {'ask' if len(names) > 1 else 'asks'}"


def _unknown(server: ServerFacts) -> str:
    """Return the sentence about the missing inputs and how to make them known."""
    case, host = server.case, server.case.host
    if not case.reachable:
        return "The server's cell is down: Nova returns only a minimal record, without its host."
    if not server.host:
        if case.host_visible:
            return (
                f"The server has no host now (status {server.status}), so no host mode applies yet."
            )
        return (
            "The serial is unknown: the server's host is hidden from this user, and so are its mode"
            " and whether it honours the keys (administrators see them)."
        )
    inputs = {
        "the flavor's value": case.flavor.used.value,
        "the image's value": case.image.used.value,
        "the server's metadata": case.server.value,
        f"the mode of host {server.host}": host.mode,
        f"whether host {server.host} honours the keys": host.honours,
    }
    missing = [name for name, value in inputs.items() if value is None]
    hint = ""
    if host.contradiction:
        hint = f" (its traits contradict each other: {', '.join(host.contradiction)})"
    elif host.mode is None:
        hint = (
            f" (give it with --host-mode {server.host}=MODE, or declare it"
            " as a CUSTOM_SYSINFO_SERIAL_ trait in the host's provider.yaml)"
        )
    elif host.honours is None:
        hint = " (administrators see it in the host's traits in Placement)"
    return f"The serial is unknown: it depends on {_and(missing)}{hint}."


_APPLIES = {
    # Nova answers 400 to a resize to the same flavor.
    "resize": "a resize to another flavor with the same setting applies it",
    "rebuild": "a rebuild applies it, and erases the root disk",
}


def _outlook(
    effective: EffectivePolicy,
    survives: bool | None,
    moves: Moves | None,
    pending: Sequence[Pending],
) -> str | None:
    """Return the sentence about the next change of the serial, the most certain change first."""
    if pending:
        change = pending[0]
        return (
            f"The {change.input} now has {quoted(change.next)} where this server uses"
            f" {quoted(change.now)}: {_APPLIES[change.applied_by]}."
        )
    if survives is True:
        return "It survives a move to another host."
    if survives is False and effective.source in HOST_SOURCES:
        return "It changes when the server moves to another host."
    if survives is False and moves:
        return f"It changes on a move to {_hosts(moves.hosts)}."
    if effective.source is not SerialSource.INSTANCE_UUID:
        return None
    if moves is None:
        return "Whether it survives a move is unknown."
    if not moves.hosts:
        return "There is no other enabled host that it could move to."
    return f"Whether it survives a move to {_hosts(moves.hosts)} is unknown."


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


def _hosts(names: Sequence[str]) -> str:
    return _and(names) if len(names) <= NAMES_SHOWN else some(names)
