# SPDX-License-Identifier: Apache-2.0
"""Readiness of a cloud: one row for each result of a check. Pure.

``readiness.toml`` has the result, the message and the remedy of each row.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from osc_uniqserial.metadefs import EVERY_NAMESPACE, Comparison, faults
from osc_uniqserial.model.cloud import Fleet, Host, Unchecked, Validator
from osc_uniqserial.policy import TRAIT_UNIQUE, Evidence, HostMode
from osc_uniqserial.text import counted, some

_Key = TypeVar("_Key")
_Thing = TypeVar("_Thing")

METADEFS = "Metadata definitions"
VALIDATION = "Extra-spec validation"
HOSTS = "Compute hosts"
IMAGES = "Images and host identity"
SCHEDULING = "Scheduling"

_VALIDATION = {
    Validator.NONE: "validator-not-applicable",
    Validator.MISSING: "validator-missing",
    Validator.LOADED: "validator-loaded",
}
_SHOWING_HOST = (HostMode.OS, HostMode.HARDWARE, HostMode.AUTO)
#: The serial numbers on a host that honours the keys, by mode.
_PLAIN_GUESTS: dict[HostMode | None, str] = {
    HostMode.UNIQUE: "A server that asks for nothing gets its own UUID",
    HostMode.NONE: "A server that asks for nothing has no serial number",
    None: "What a server gets that asks for nothing is not known",
    **dict.fromkeys(_SHOWING_HOST, "A server that asks for nothing shows the host's identity"),
}
#: The serial numbers on a stock host, by mode.
_EVERY_GUEST = {
    HostMode.UNIQUE: "Every guest gets its server's UUID",
    HostMode.NONE: "No guest has a serial number",
    **dict.fromkeys(_SHOWING_HOST, "Every guest shows the host's identity"),
}


class Result(enum.Enum):
    """Result of a check; UNKNOWN: the check had no input."""

    SUCCESS = "Success"
    INFO = "Info"
    WARNING = "Warning"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One result of a check.

    :ivar id: stable ID of the result, for scripts
    :ivar message: one or two sentences
    :ivar remedy: None when no action is needed
    :ivar hosts: the affected hosts, sorted
    """

    check: str
    result: Result
    id: str
    message: str
    remedy: str | None = None
    hosts: tuple[str, ...] = ()


@functools.cache
def _wordings() -> dict[str, dict[str, dict[str, str]]]:
    """Return the results, messages and remedies by check and key; read on first use."""
    file = importlib.resources.files(__package__).joinpath("readiness.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _row(check: str, key: str, hosts: Iterable[Host | str] = (), **values: object) -> Row:
    """Return a row.

    :param values: what replaces the words in braces in the message
    """
    wording = _wordings()[check][key]
    names = {host if isinstance(host, str) else host.name for host in hosts}
    return Row(
        check,
        Result(wording["result"]),
        wording.get("id", key),
        wording["message"].format(**values),
        wording.get("remedy"),
        tuple(sorted(names)),
    )


def _if_any(check: str, key: str, hosts: Iterable[Host | str], **values: object) -> Iterator[Row]:
    """Yield a row if there are hosts."""
    row = _row(check, key, hosts, **values)
    if row.hosts:
        yield row


def assess(
    definitions: Iterable[Comparison],
    validator: Validator | Unchecked,
    fleet: Fleet | Unchecked,
) -> tuple[Row, ...]:
    """Return the rows, at least one for each check.

    :param definitions: Glance's metadata definitions, compared with ours
    """
    return (
        *(_definitions(definitions) or [_row(METADEFS, "metadefs-current")]),
        _row(VALIDATION, "validator-unreadable", reason=validator.reason)
        if isinstance(validator, Unchecked)
        else _row(VALIDATION, _VALIDATION[validator]),
        *(_unread_hosts(fleet) if isinstance(fleet, Unchecked) else _all_hosts(fleet)),
    )


def summary(hosts: Sequence[str]) -> str:
    """Return the number of hosts and their first names."""
    return f"{counted(len(hosts), 'host')}: {some(hosts)}"


def _definitions(definitions: Iterable[Comparison]) -> list[Row]:
    """Return a row for each kind of fault; only the gravest fault of a namespace counts."""
    rows = []
    found = _groups(faults(definitions), lambda each: (each.fault, each.reason))
    for (fault, reason), namespaces in found:
        names = ", ".join(
            "the list of all" if each.name == EVERY_NAMESPACE else each.name for each in namespaces
        )
        rows.append(_row(METADEFS, fault.value, names=names, reason=reason))
    return rows


def _unread_hosts(why: Unchecked) -> Iterator[Row]:
    reason = why.reason
    if why.hosts:
        reason = f"{reason.rstrip('.')}. These are in a cell that is down"
    yield _row(HOSTS, "hosts-unreadable", why.hosts, reason=reason)
    yield _row(IMAGES, "hosts-unreadable")
    yield _row(SCHEDULING, "hosts-unreadable")


def _all_hosts(fleet: Fleet) -> Iterator[Row]:
    unidentified = [host for host in fleet.hosts if host.unidentified]
    able = [host for host in fleet.hosts if host.input.smbios and not host.unidentified]
    yield from _if_any(HOSTS, "hosts-in-down-cell", fleet.hosts_of_down_cells)
    yield from _if_any(HOSTS, "hosts-unidentified", unidentified)
    yield from _drivers_and_modes(able, fleet.traits_unread)
    yield from _states(able)
    yield from _without_serials([host for host in fleet.hosts if not host.input.smbios])
    if not able and not unidentified:
        yield _row(HOSTS, "no-hosts")
    yield _images(able, fleet.traits_unread)
    yield from _scheduling(able, fleet)


def _drivers_and_modes(hosts: Sequence[Host], unread: str | None) -> Iterator[Row]:
    """Yield the drivers and modes of hosts; :func:`_states` covers contradicting traits."""
    for (honours, mode, given, obeys), group in sorted(
        _groups(hosts, _driver_and_mode), key=lambda entry: _rank(*entry[0])
    ):
        known = f"mode {mode.value}{', as given' if given else ''}" if mode else "mode unknown"
        if honours:
            guests, also = _PLAIN_GUESTS[mode], "and" if obeys else "but not"
            yield _row(HOSTS, "honours-keys", group, guests=guests, mode=known, also=also)
        elif honours is False and mode:
            yield _row(HOSTS, "ignores-keys", group, guests=_EVERY_GUEST[mode], mode=known)
    undeclared = [
        host
        for host in hosts
        if host.input.honours is False and host.input.mode is None and not host.contradicting_traits
    ]
    # A stock host of unknown mode meets a request only by the declaration of an aggregate.
    declared = [host for host in undeclared if host.input.meets_unique]
    unknown = [host for host in undeclared if not host.input.meets_unique]
    yield from _if_any(HOSTS, "declared-by-aggregates", declared)
    yield from _if_any(HOSTS, "unknown-mode", unknown)
    without_traits = [host for host in hosts if host.traits is None]
    key = "traits-unreadable" if unread else "no-resource-provider"
    yield from _if_any(HOSTS, key, without_traits, reason=unread)


def _driver_and_mode(host: Host) -> tuple[bool | None, HostMode | None, bool, bool]:
    known = host.input
    obeys = bool(known.honours and known.server_may_ask)
    return known.honours, known.mode, known.mode_evidence is Evidence.GIVEN, obeys


def _rank(
    honours: bool | None, mode: HostMode | None, given: bool, obeys: bool
) -> tuple[bool, int, bool, bool]:
    """Return a sort key: hosts that honour the keys first, then by mode."""
    return not honours, [None, *HostMode].index(mode), given, not obeys


def _states(hosts: Sequence[Host]) -> Iterator[Row]:
    """Yield hosts with wrong traits of the driver, and hosts that are down or disabled."""
    for traits, group in _groups(hosts, lambda host: host.contradicting_traits):
        if traits:
            yield _row(HOSTS, "contradicting-traits", group, traits=", ".join(traits))
    partial = [host for host in hosts if host.has_incomplete_traits]
    down = [host for host in hosts if host.hypervisor.enabled and host.hypervisor.up is False]
    disabled = [host for host in hosts if host.hypervisor.enabled is False]
    yield from _if_any(HOSTS, "incomplete-traits", partial)
    yield from _if_any(HOSTS, "host-down", down)
    yield from _if_any(HOSTS, "host-disabled", disabled)


def _without_serials(hosts: Sequence[Host]) -> Iterator[Row]:
    for kind, group in _groups(hosts, _kind):
        yield _row(HOSTS, "no-serial-number", group, kind=kind)
    yield from _if_any(HOSTS, "wrong-traits", [host for host in hosts if host.wrong_traits])


def _kind(host: Host) -> str:
    hypervisor = host.hypervisor
    if hypervisor.is_libvirt_qemu:
        return f"Not x86 ({hypervisor.architecture})"
    return f"Hypervisor {hypervisor.type or 'of unknown type'}"


def _images(hosts: Sequence[Host], unread: str | None) -> Row:
    honouring = [host for host in hosts if host.input.honours]
    exposed = [host for host in honouring if host.exposed_by_images]
    if exposed:
        return _row(IMAGES, "image-may-show-host", exposed)
    if unread:
        return _row(IMAGES, "traits-unreadable")
    return _row(IMAGES, "image-shows-nothing" if honouring else "image-is-ignored")


def _scheduling(hosts: Sequence[Host], fleet: Fleet) -> Iterator[Row]:
    targets = [host for host in hosts if host.ready]
    supported = [
        host for host in hosts if TRAIT_UNIQUE in (host.traits or ()) and host.input.meets_unique
    ]
    marked = [host for host in supported if host.ready]
    perhaps = [host for host in supported if host.ready is None]
    others = [host for host in targets if host not in marked]
    if fleet.traits_unread:
        yield _row(SCHEDULING, "traits-unreadable")
    elif marked:
        yield _row(SCHEDULING, "supported-hosts", marked)
    elif perhaps:
        yield _row(SCHEDULING, "host-states-unknown", perhaps)
    else:
        yield _row(SCHEDULING, "no-supported-host")
    if marked:
        yield from _if_any(SCHEDULING, "other-hosts", others)
    unmarked = [host for host in others if host.input.meets_unique_evidence is Evidence.TRAIT]
    yield from _if_any(SCHEDULING, "trait-missing", unmarked)
    if fleet.aggregates_unread:
        yield _row(SCHEDULING, "aggregates-unreadable", reason=fleet.aggregates_unread)
    else:
        declared = [host for host in targets if host.declared]
        yield from _if_any(SCHEDULING, "declared-hosts", declared)


def _groups(
    things: Iterable[_Thing], key: Callable[[_Thing], _Key]
) -> Iterator[tuple[_Key, list[_Thing]]]:
    """Group things by key, in the order of the first thing of each group."""
    found: dict[_Key, list[_Thing]] = {}
    for thing in things:
        found.setdefault(key(thing), []).append(thing)
    yield from found.items()
