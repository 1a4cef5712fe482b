# SPDX-License-Identifier: Apache-2.0
"""What hosts would be by a desired state: only shown, since nova.conf is not written. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from osc_uniqserial import policy
from osc_uniqserial.desired.changes import Change, Problem
from osc_uniqserial.desired.document import HostEntry
from osc_uniqserial.desired.selectors import Selectors
from osc_uniqserial.model.cloud import Fleet, Host, Unchecked
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import Evidence, HostInput, HostMode
from osc_uniqserial.text import quoted, some

_FIELDS = ("mode", "driver", "server_may_ask", "image_may_show_host")


@dataclasses.dataclass(frozen=True, slots=True)
class WhatIf:
    """What hosts would be.

    :ivar hosts: the hosts that would be different, by name
    :ivar changes: each field of a host that would be different
    :ivar problems: entries that cannot be carried out as they are written
    """

    hosts: Mapping[str, HostInput]
    changes: Sequence[Change]
    problems: Sequence[Problem]


def of_hosts(entries: Sequence[HostEntry], fleet: Fleet | Unchecked) -> WhatIf:
    """Return what hosts would be by the entries."""
    if isinstance(fleet, Unchecked):
        reason = f"the hosts could not be read: {fleet.reason}"
        return WhatIf({}, (), [Problem(each.line, reason, is_wrong=False) for each in entries])
    fitting = _Fitting(entries)
    then: dict[str, HostInput] = {}
    changes: list[Change] = []
    problems: list[Problem] = []
    used: set[int] = set()
    idle: dict[tuple[int, str], list[str]] = {}
    for host in fleet.hosts if entries else ():
        numbers = fitting.of(host)
        used |= numbers
        entry = None
        for number in sorted(numbers):
            each = entries[number]
            if entry is None:
                entry = each
            else:
                problems += _contradictions(host, entry, each)
                entry = _joined(entry, each)
        if entry is None:
            continue
        would_be = planned(host, entry)
        if without_effect := _without_effect(entry, would_be):
            idle.setdefault((entry.line, without_effect), []).append(host.name)
        if found := [*_differences(host, would_be, entry.line)]:
            then[host.name] = would_be
            changes += found
    for (line, why), names in idle.items():
        text = f"host{'s' if len(names) > 1 else ''} {some(names)}: {why}"
        problems.append(Problem(line, text, is_wrong=False))
    for number, each in enumerate(entries):
        if number not in used:
            text = f"no host fits {_selected_by(each)}"
            problems.append(Problem(each.line, text, is_wrong=False, is_unmatched=True))
    return WhatIf(then, changes, problems)


class _Fitting:
    """The entries by what selects hosts."""

    def __init__(self, entries: Sequence[HostEntry]) -> None:
        self._names = Selectors()
        self._aggregates: dict[str, list[int]] = {}
        for number, entry in enumerate(entries):
            if entry.aggregate is None:
                self._names.add(number, entry.selector)
            else:
                self._aggregates.setdefault(entry.aggregate, []).append(number)

    def of(self, host: Host) -> set[int]:
        """Return the numbers of the entries that a host fits."""
        numbers = {*self._names.fitting(None, host.name, None)}
        for aggregate in host.aggregates:
            numbers.update(self._aggregates.get(aggregate.name, ()))
        return numbers


def _contradictions(host: Host, first: HostEntry, second: HostEntry) -> Iterator[Problem]:
    """Yield the fields that two entries give a host with different values."""
    for key in _FIELDS:
        value, other = getattr(first, key), getattr(second, key)
        if None not in (value, other) and value != other:
            text = (
                f"host {quoted(host.name)}: {key} {_text(other)}, but line {first.line} wants"
                f" {_text(value)}: keep one of them"
            )
            yield Problem(second.line, text, is_wrong=True)


def _joined(first: HostEntry, second: HostEntry) -> HostEntry:
    """Return two entries about a host as one; the first has precedence."""
    more = {key: getattr(second, key) for key in _FIELDS if getattr(first, key) is None}
    return dataclasses.replace(first, **more)


def planned(host: Host, entry: HostEntry) -> HostInput:
    """Return what a host would be by an entry, from the traits that it would report.

    Options of the driver that the entry does not give stay as they are; a new driver has its
    defaults.
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
        for trait, given_value, is_now in (
            (
                policy.TRAIT_IMAGE_MAY_SHOW_HOST,
                entry.image_may_show_host,
                known.image_may_show_host,
            ),
            (policy.TRAIT_SERVER_MAY_ASK, entry.server_may_ask, known.server_may_ask),
        ):
            if given_value or (given_value is None and (not known.honours or is_now)):
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


def _without_effect(entry: HostEntry, then: HostInput) -> str | None:
    """Return why options of the driver have no effect on a host, or may have none."""
    if then.honours or (entry.server_may_ask is None and entry.image_may_show_host is None):
        return None
    options = "server_may_ask and image_may_show_host are options of the driver"
    if then.honours is None:
        return f"{options}, and it is unknown whether it runs there: write driver: true or false"
    return f"{options}, which does not run there: add driver: true"


def _selected_by(entry: HostEntry) -> str:
    return f"aggregate {quoted(entry.aggregate)}" if entry.aggregate else str(entry.selector)


def _differences(host: Host, then: HostInput, line: int) -> Iterator[Change]:
    """Yield the fields of a host that the what-if changes."""
    now = host.input
    about = Resource("host", host.hypervisor.id, host.name)
    for key, before, after in (
        ("mode", now.mode, then.mode),
        ("driver", now.honours, then.honours),
        ("server_may_ask", now.server_may_ask, then.server_may_ask),
        ("image_may_show_host", now.image_may_show_host, then.image_may_show_host),
    ):
        # The last two are options of the driver.
        if before is not after and (then.honours or key in ("mode", "driver")):
            yield Change(about, key, _text(before), _text(after), line)


def _text(value: object) -> str | None:
    """Return a value as the file has it; None: unknown."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
