# SPDX-License-Identifier: Apache-2.0
"""The changes that take back what a journal records. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from osc_uniqserial.desired.changes import Change
from osc_uniqserial.desired.journal import FAILED, Entry
from osc_uniqserial.desired.outcome import Outcome, Result
from osc_uniqserial.keys import is_valid
from osc_uniqserial.model.cloud import Unchecked
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.text import quoted

if TYPE_CHECKING:
    Stored = Mapping[str, str] | Unchecked | None


@dataclasses.dataclass(frozen=True, slots=True)
class _Written:
    """What the entries of one key record: the first text before, and the last one after."""

    line: int
    resource: Resource
    key: str
    before: str | None
    after: str | None


@dataclasses.dataclass(slots=True)
class Undo:
    """The plan of an undo.

    :ivar changes: what is to be written
    :ivar kept: changes that are not tried, with the reason
    :ivar notes: messages about values that are removed, because they are invalid
    """

    changes: list[Change] = dataclasses.field(default_factory=list)
    kept: list[Outcome] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def resources(entries: Iterable[Entry]) -> list[Resource]:
    """Return the resources that were written, each once."""
    found = {(each.type, each.id): each for each in (entry.resource for entry in _sent(entries))}
    return [*found.values()]


def plan(entries: Iterable[Entry], stored: Mapping[Resource, Stored]) -> Undo:
    """Plan to take back the writes that were carried out, where nobody changed the value since.

    :param stored: what is stored with each of :func:`resources` now
    """
    now = {(about.type, about.id): each for about, each in stored.items()}
    undo = Undo()
    for written in _by_key(entries):
        _add(undo, written, now[written.resource.type, written.resource.id])
    return undo


def _sent(entries: Iterable[Entry]) -> Iterable[Entry]:
    """Return the entries whose writes may have been carried out."""
    return (entry for entry in entries if entry.result != FAILED)


def _by_key(entries: Iterable[Entry]) -> Iterable[_Written]:
    found: dict[object, _Written] = {}
    for entry in _sent(entries):
        key = (entry.resource.type, entry.resource.id, entry.key)
        first = found.get(key)
        before = entry.before if first is None else first.before
        found[key] = _Written(entry.line, entry.resource, entry.key, before, entry.after)
    return found.values()


def _add(undo: Undo, written: _Written, stored: Stored) -> None:
    about, key, after = written.resource, written.key, written.after
    is_junk = written.before is not None and not is_valid(
        written.resource.type, key, written.before
    )
    before = None if is_junk else written.before
    change = Change(about, key, after, before, written.line)
    if isinstance(stored, Unchecked):
        reason = f"it could not be read: {stored.reason}"
        undo.kept.append(Outcome(change, Result.FAILED, reason))
        return
    if stored is None:
        reason = f"the {about.type} does not exist any more"
        undo.kept.append(Outcome(change, Result.MISSING, reason))
        return
    text = stored.get(key)
    if text == written.before:
        return
    if is_junk and text in (before, after):
        undo.notes.append(
            f"{about.type} {quoted(about.name)} ({about.id}): {key} was {quoted(written.before)},"
            " which is not valid and is not stored again: the key is removed"
        )
    if text == before:
        return
    if text == after:
        undo.changes.append(change)
        return
    reason = f"changed since: {quoted(text)} is stored, not {quoted(after)}: it stays"
    undo.kept.append(Outcome(change, Result.CONFLICT, reason))
