# SPDX-License-Identifier: Apache-2.0
"""Readiness of a cloud: one row for each result of a check. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from osc_uniqserial.checks.metadefs import COMPARE, INSTALL
from osc_uniqserial.metadefs import EVERY_NAMESPACE, Comparison, Fault, faults
from osc_uniqserial.model.cloud import Fleet, Host, Unchecked, Validator
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    Evidence,
    HostMode,
)
from osc_uniqserial.text import counted, some

_Key = TypeVar("_Key")
_Thing = TypeVar("_Thing")

METADEFS = "Metadata definitions"
VALIDATION = "Extra-spec validation"
HOSTS = "Compute hosts"
IMAGES = "Images and host identity"
SCHEDULING = "Scheduling"

_INSTALL = f"Run: {INSTALL}"
#: Stands for the list of namespaces in messages.
_LIST = "the list of all"
_COMPARE = f"Run: {COMPARE}"
_SPEAK = (
    "Install the compute driver of nova-uniqserial there, declare the mode in the host's"
    " provider.yaml, or give --host-mode HOST=MODE"
)
_REMOVE_TRAITS = (
    "Remove the wrong ones (openstack resource provider trait), and from the host's"
    " provider.yaml: Nova keeps traits that nobody removes"
)


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


def assess(
    definitions: Iterable[Comparison],
    validator: Validator | Unchecked,
    fleet: Fleet | Unchecked,
) -> tuple[Row, ...]:
    """Return the rows, at least one for each check.

    :param definitions: Glance's metadata definitions, compared with ours
    """
    return (
        *_definitions(definitions),
        _validation(validator),
        *(_unread_hosts(fleet) if isinstance(fleet, Unchecked) else _all_hosts(fleet)),
    )


def summary(hosts: Sequence[str]) -> str:
    """Return the number of hosts and their first names."""
    return f"{counted(len(hosts), 'host')}: {some(hosts)}"


# --- Glance and Nova's API --------------------------------------------------


def _definitions(definitions: Iterable[Comparison]) -> Iterator[Row]:
    """Yield a row for each kind of fault; only the gravest fault of a namespace counts."""
    clean = True
    for (fault, reason), found in _groups(
        faults(definitions), lambda each: (each.fault, each.reason)
    ):
        clean = False
        result, text, remedy = _FAULTS[fault]
        names = (_LIST if each.name == EVERY_NAMESPACE else each.name for each in found)
        message = f"{text}: {', '.join(names)}"
        if reason:
            message += f" ({reason})"
        yield Row(METADEFS, result, fault.value, message, remedy)
    if clean:
        yield Row(METADEFS, Result.SUCCESS, "metadefs-current", "They are installed and current")


_FAULTS = {
    Fault.MISSING: (
        Result.WARNING,
        "Horizon does not offer the keys; these namespaces are not there, or private to another"
        " project",
        _INSTALL,
    ),
    Fault.PRIVATE: (
        Result.WARNING,
        "Only one project and administrators see these namespaces, which are private",
        _INSTALL,
    ),
    Fault.OUTDATED: (
        Result.WARNING,
        "These namespaces differ from those of this version"
        " (openstack unique serial metadef check tells how)",
        _INSTALL,
    ),
    Fault.CONFLICT: (
        Result.WARNING,
        "Horizon shows a key twice, because these namespaces offer it too",
        _COMPARE,
    ),
    Fault.UNREADABLE: (Result.UNKNOWN, "These namespaces could not be read", None),
}


def _validation(validator: Validator | Unchecked) -> Row:
    if isinstance(validator, Unchecked):
        return Row(
            VALIDATION,
            Result.UNKNOWN,
            "validator-unreadable",
            f"Nova's API could not be asked about {FLAVOR_KEY}: {validator.reason}",
        )
    if validator is Validator.NONE:
        return Row(
            VALIDATION,
            Result.INFO,
            "validator-not-applicable",
            "Nova's API is too old to validate extra specs (microversion 2.86, Ussuri):"
            " it stores any text",
        )
    if validator is Validator.MISSING:
        return Row(
            VALIDATION,
            Result.WARNING,
            "validator-missing",
            f"Stock API: Horizon, and API clients that use microversion 2.86 or newer, cannot set"
            f" {FLAVOR_KEY} (one API server was asked)",
            "Install nova-uniqserial on the controllers and restart nova-api; if it is there,"
            " nova-api's log says why its validator was not loaded",
        )
    return Row(
        VALIDATION,
        Result.SUCCESS,
        "validator-loaded",
        f"Nova's API knows {FLAVOR_KEY} (one API server was asked)",
    )


# --- compute hosts ----------------------------------------------------------


def _unread_hosts(why: Unchecked) -> Iterator[Row]:
    reason = why.reason
    if why.hosts:
        reason = f"{reason.rstrip('.')}. These are in a cell that is down"
    yield Row(
        HOSTS,
        Result.UNKNOWN,
        "hosts-unreadable",
        f"The hypervisors could not be read: {reason}",
        hosts=why.hosts,
    )
    for check in (IMAGES, SCHEDULING):
        yield Row(
            check,
            Result.UNKNOWN,
            "hosts-unreadable",
            "Not known without the compute hosts (see there)",
        )


def _all_hosts(fleet: Fleet) -> Iterator[Row]:
    unidentified = [host for host in fleet.hosts if host.unidentified]
    able = [host for host in fleet.hosts if host.input.smbios and not host.unidentified]
    yield from _of_down_cells(fleet.hosts_of_down_cells, unidentified)
    yield from _drivers_and_modes(able, fleet.traits_unread)
    yield from _broken(able)
    yield from _absent(able)
    yield from _without_serials([host for host in fleet.hosts if not host.input.smbios])
    if not able and not unidentified:
        yield Row(
            HOSTS,
            Result.WARNING,
            "no-hosts",
            "Nova lists no compute host with libvirt and KVM or QEMU on x86:"
            " no guest has a serial number",
        )
    yield _images(able, fleet.traits_unread)
    yield from _scheduling(able, fleet)


def _of_down_cells(down: tuple[str, ...], unidentified: Sequence[Host]) -> Iterator[Row]:
    """Report what Nova does not return while a cell is down."""
    if down:
        yield Row(
            HOSTS,
            Result.UNKNOWN,
            "hosts-unreadable",
            "They are in a cell that is down: whether they are up and enabled is unknown, and Nova"
            " lists no hypervisor of any cell",
            "See nova-api's log for the cell's database",
            down,
        )
    if unidentified:
        text = (
            "Whether their guests have serial numbers is unknown: Nova lists no hypervisor while a"
            " cell is down, and they have no trait of this project"
        )
        yield _row(HOSTS, Result.UNKNOWN, "hosts-unreadable", text, unidentified)


def _drivers_and_modes(hosts: Sequence[Host], unread: str | None) -> Iterator[Row]:
    """Yield the drivers and modes of hosts; :func:`_broken` covers contradicting traits."""
    for (honours, mode, given), group in sorted(
        _groups(hosts, _driver_and_mode), key=lambda entry: _rank(*entry[0])
    ):
        told = f"mode {mode.value}{', as given' if given else ''}" if mode else "mode unknown"
        if honours:
            text = f"They honour the keys. {_PLAIN_GUESTS[mode]} ({told})"
            yield _row(HOSTS, Result.SUCCESS, "honours-keys", text, group)
        elif honours is None:
            continue
        elif mode:
            text = f"Stock driver: they ignore the keys. {_EVERY_GUEST[mode]} ({told})"
            yield _row(HOSTS, Result.INFO, "ignores-keys", text, group)
    silent = [host for host in hosts if host.input.honours is False and host.input.mode is None]
    silent = [host for host in silent if not host.contradicting_traits]
    # A stock host of unknown mode meets a request only by the declaration of an aggregate.
    declared = [host for host in silent if host.input.meets_unique]
    unknown = [host for host in silent if not host.input.meets_unique]
    if declared:
        text = (
            "Host aggregates declare that a request for unique is met here; nothing tells"
            " what a server gets that asks for nothing"
        )
        yield _row(HOSTS, Result.INFO, "declared-by-aggregates", text, declared)
    if unknown:
        text = "Stock driver and unknown mode: which serial number their guests have is not known"
        yield _row(HOSTS, Result.WARNING, "unknown-mode", text, unknown, _SPEAK)
    hidden = [host for host in hosts if host.traits is None]
    if hidden and unread:
        text = f"Their traits could not be read: {unread}"
        yield _row(HOSTS, Result.UNKNOWN, "traits-unreadable", text, hidden)
    elif hidden:
        text = (
            "They have no resource provider in Placement, so nothing tells what they do with"
            " the keys, and Nova cannot schedule to them; nova-compute's log says why"
        )
        yield _row(HOSTS, Result.UNKNOWN, "no-resource-provider", text, hidden)


_PLAIN_GUESTS: dict[HostMode | None, str] = {
    HostMode.UNIQUE: "A server that asks for nothing gets its own UUID",
    HostMode.NONE: "A server that asks for nothing has no serial number",
    None: "What a server gets that asks for nothing is not known",
    **dict.fromkeys(
        (HostMode.OS, HostMode.HARDWARE, HostMode.AUTO),
        "A server that asks for nothing shows the host's identity",
    ),
}
_EVERY_GUEST = {
    HostMode.UNIQUE: "Every guest gets its server's UUID",
    HostMode.NONE: "No guest has a serial number",
    **dict.fromkeys(
        (HostMode.OS, HostMode.HARDWARE, HostMode.AUTO), "Every guest shows the host's identity"
    ),
}


def _driver_and_mode(host: Host) -> tuple[bool | None, HostMode | None, bool]:
    known = host.input
    return known.honours, known.mode, known.mode_evidence is Evidence.GIVEN


def _rank(honours: bool | None, mode: HostMode | None, given: bool) -> tuple[bool, int, bool]:
    """Return a sort key: hosts that honour the keys first, then by mode."""
    return not honours, -1 if mode is None else list(HostMode).index(mode), given


def _broken(hosts: Sequence[Host]) -> Iterator[Row]:
    """Yield hosts with contradicting traits, and with an incomplete set of the driver's traits."""
    for traits, group in _groups(hosts, lambda host: host.contradicting_traits):
        if traits:
            text = f"Their traits contradict each other: {', '.join(traits)}"
            yield _row(HOSTS, Result.WARNING, "contradicting-traits", text, group, _REMOVE_TRAITS)
    partial = [host for host in hosts if host.has_incomplete_traits]
    if partial:
        text = (
            f"They have {TRAIT_KEYS}, but not all that the compute driver reports with it:"
            " it was not the driver that set it, or it does not work"
        )
        remedy = (
            f"See nova-compute's log on these hosts; never set {TRAIT_KEYS} by hand, and"
            " remove it where the driver is gone"
        )
        yield _row(HOSTS, Result.WARNING, "incomplete-traits", text, partial, remedy)


def _absent(hosts: Sequence[Host]) -> Iterator[Row]:
    down = [host for host in hosts if host.hypervisor.enabled and host.hypervisor.up is False]
    if down:
        text = "They are enabled but down; what is said of them is from before and may be stale"
        remedy = (
            "See nova-compute's log on these hosts: a compute driver that cannot be loaded stops"
            " it. Disable hosts that are down on purpose"
        )
        yield _row(HOSTS, Result.WARNING, "host-down", text, down, remedy)
    disabled = [host for host in hosts if host.hypervisor.enabled is False]
    if disabled:
        text = (
            "They are disabled and get no new servers; where they are down too, what is said of"
            " them may be stale"
        )
        yield _row(HOSTS, Result.INFO, "host-disabled", text, disabled)


def _without_serials(hosts: Sequence[Host]) -> Iterator[Row]:
    for kind, group in _groups(hosts, _kind):
        text = f"{kind}: the keys do nothing here, and Nova writes no serial number"
        yield _row(HOSTS, Result.INFO, "no-serial-number", text, group)
    marked = [host for host in hosts if host.wrong_traits]
    if marked:
        text = (
            "Nova writes no serial number here, but they have traits that promise or describe one"
        )
        yield _row(HOSTS, Result.WARNING, "wrong-traits", text, marked, _REMOVE_TRAITS)


def _kind(host: Host) -> str:
    hypervisor = host.hypervisor
    if hypervisor.is_libvirt_qemu:
        return f"Not x86 ({hypervisor.architecture})"
    return f"Hypervisor {hypervisor.type or 'of unknown type'}"


# --- what follows for images and scheduling ---------------------------------


def _images(hosts: Sequence[Host], unread: str | None) -> Row:
    honouring = [host for host in hosts if host.input.honours]
    exposed = [host for host in honouring if host.exposed_by_images]
    if exposed:
        return _row(
            IMAGES,
            Result.WARNING,
            "image-may-show-host",
            f"A tenant's image with {IMAGE_KEY}=false shows the host's identity to its guests"
            " (OSSN-0028), where they would have their own UUID",
            exposed,
            "Set [unique_serial] image_may_show_host = false in these hosts' nova.conf",
        )
    if unread:
        return Row(
            IMAGES, Result.UNKNOWN, "traits-unreadable", "Not known without the hosts' traits"
        )
    if honouring:
        return Row(
            IMAGES,
            Result.SUCCESS,
            "image-shows-nothing",
            "No image can show a host's identity that the host does not show anyway",
        )
    return Row(
        IMAGES,
        Result.INFO,
        "image-is-ignored",
        f"No host honours the keys: {IMAGE_KEY}=false does nothing",
    )


def _scheduling(hosts: Sequence[Host], fleet: Fleet) -> Iterator[Row]:
    targets = [host for host in hosts if host.ready]
    supported = [
        host for host in hosts if TRAIT_UNIQUE in (host.traits or ()) and host.input.meets_unique
    ]
    marked = [host for host in supported if host.ready]
    perhaps = [host for host in supported if host.ready is None]
    others = [host for host in targets if host not in marked]
    if fleet.traits_unread:
        yield Row(
            SCHEDULING, Result.UNKNOWN, "traits-unreadable", "Not known without the hosts' traits"
        )
    elif perhaps and not marked:
        text = f"They have {TRAIT_UNIQUE}, but whether they are up and enabled is unknown"
        yield _row(SCHEDULING, Result.UNKNOWN, "hosts-unreadable", text, perhaps)
    elif not marked:
        yield Row(
            SCHEDULING,
            Result.WARNING,
            "no-supported-host",
            f"No host that is up and enabled has {TRAIT_UNIQUE}: a server whose flavor or image"
            " requires it (--unique-serial-hosts supported) finds no valid host",
            "Install the compute driver of nova-uniqserial, or declare the trait on stock hosts in"
            " mode unique",
        )
    else:
        text = f"--unique-serial-hosts supported keeps servers on hosts with {TRAIT_UNIQUE}"
        yield _row(SCHEDULING, Result.SUCCESS, "supported-hosts", text, marked)
    if marked and others:
        text = "Without that requirement in flavor or image, a server may land here too"
        yield _row(SCHEDULING, Result.INFO, "other-hosts", text, others)
    unmarked = [host for host in others if host.input.meets_unique_evidence is Evidence.TRAIT]
    if unmarked:
        text = f"They meet a request for unique but lack {TRAIT_UNIQUE}: no server is steered here"
        remedy = f"Add {TRAIT_UNIQUE} to the provider.yaml of stock hosts in mode unique"
        yield _row(SCHEDULING, Result.INFO, "trait-missing", text, unmarked, remedy)
    declared = [host for host in targets if host.declared]
    if fleet.aggregates_unread:
        yield Row(
            SCHEDULING,
            Result.UNKNOWN,
            "aggregates-unreadable",
            f"The host aggregates could not be read: {fleet.aggregates_unread}",
        )
    elif declared:
        text = (
            "Host aggregates declare them: --unique-serial-hosts aggregate keeps servers on them"
            " where AggregateInstanceExtraSpecsFilter is enabled, which no API shows"
        )
        yield _row(SCHEDULING, Result.INFO, "declared-hosts", text, declared)


def _groups(
    things: Iterable[_Thing], key: Callable[[_Thing], _Key]
) -> Iterator[tuple[_Key, list[_Thing]]]:
    """Group things by key, in the order of the first thing of each group."""
    found: dict[_Key, list[_Thing]] = {}
    for thing in things:
        found.setdefault(key(thing), []).append(thing)
    yield from found.items()


def _row(
    check: str,
    result: Result,
    id: str,
    message: str,
    hosts: Iterable[Host],
    remedy: str | None = None,
) -> Row:
    names = tuple(sorted({host.hypervisor.host for host in hosts}))
    return Row(check, result, id, message, remedy, names)
