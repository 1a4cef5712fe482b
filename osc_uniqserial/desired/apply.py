# SPDX-License-Identifier: Apache-2.0
"""Writes the changes of a plan: each key is read right before it is written, and after it."""

from __future__ import annotations

import dataclasses
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from osc_uniqserial.api import background
from osc_uniqserial.api.rest import CloudError, Unreadable, WriteFailed
from osc_uniqserial.api.settings import Settings, Stored
from osc_uniqserial.desired import journal as journals
from osc_uniqserial.desired.changes import Change, of_metadefs
from osc_uniqserial.desired.journal import Journal
from osc_uniqserial.desired.outcome import AS_PLANNED, Outcome, Result
from osc_uniqserial.keys import STEERING_KEYS
from osc_uniqserial.metadefs.catalog import Catalog
from osc_uniqserial.metadefs.model import Namespace
from osc_uniqserial.metadefs.plan import NotOurs, names, plan_install
from osc_uniqserial.model.cloud import Unchecked
from osc_uniqserial.text import quoted

_AGAIN = "plan again"
#: How often a write is sent again to a service that is too busy.
_BUSY = 2
#: HTTP statuses of writes that fail because something else was stored, or deleted, meanwhile.
_STALE = (404, 409)


class _Settled(Exception):
    """A change is not to be written any more."""

    def __init__(self, outcome: Outcome, stored: Stored | None) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.stored = stored


class Apply:
    """One run of changes; resources are written at the same time, the keys of each in order."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        *,
        journal: Journal | None = None,
        workers: int,
        max_failures: int,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """Prepare a run.

        :param stop: once set, requests in flight end and nothing new is begun
        :param journal: records each write before it is sent
        :param workers: the most resources at the same time
        :param max_failures: after so many changes that are not as planned, nothing new is begun
        :param progress: called with the number of changes with an outcome, and of all
        """
        self._settings = settings
        self._stop = stop
        self._journal = journal
        self._workers = workers
        self._max_failures = max_failures
        self._progress = progress
        self._lock = threading.Lock()
        self._failures = self._ended = self._total = 0
        self._journal_failure: str | None = None

    def run(self, changes: Sequence[Change]) -> list[Outcome]:
        """Carry out changes, and return the outcome of each, in their order."""
        self._total += len(changes)
        groups: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for number, change in enumerate(changes):
            groups[change.resource.type, change.resource.id].append(number)

        def carry_out(numbers: Sequence[int]) -> list[tuple[int, Outcome]]:
            ordered = sorted(numbers, key=lambda number: _rank(changes[number]))
            try:
                outcomes = self._resource([changes[number] for number in ordered])
            except Exception as error:  # the others must have their rows
                reason = f"{type(error).__name__}: {error}"
                outcomes = [Outcome(changes[number], Result.UNKNOWN, reason) for number in ordered]
            return list(zip(ordered, outcomes, strict=True))

        found: dict[int, Outcome] = {}
        for _numbers, outcomes in background.each(carry_out, groups.values(), self._workers):
            found.update(outcomes)
        return self._read_back([found[number] for number in range(len(changes))])

    def install(
        self, catalog: Catalog, ours: Sequence[Namespace], changes: Sequence[Change]
    ) -> list[Outcome]:
        """Install the metadata definitions, and return the outcome of each planned change."""
        self._total += len(changes)
        outcomes = []
        for namespace in ours:
            planned = [each for each in changes if each.resource.name in names([namespace])]
            if planned:
                result, reason = self._namespace(catalog, namespace, planned)
                for change in planned:
                    outcomes.append(Outcome(change, result, reason))
                    self._count(outcomes[-1])
        return outcomes

    def _namespace(
        self, catalog: Catalog, namespace: Namespace, planned: Sequence[Change]
    ) -> tuple[Result, str | None]:
        """Install a namespace, and return what became of its planned changes, which are one write.

        The requests that replace a namespace are not interrupted: until the last one its items have
        another name.
        """
        if reason := self._why_stopped():
            return Result.NOT_TRIED, reason
        try:
            stored = catalog.read_ours([namespace])
            plan = plan_install([namespace], stored)
        except (CloudError, NotOurs) as error:
            return Result.FAILED, f"could not be read before writing: {error}"
        if not plan.steps:
            return Result.UNCHANGED, "already installed"
        found = (each for each in of_metadefs(0, [namespace], stored) if isinstance(each, Change))
        others = {_item(each) for each in found}.difference(map(_item, planned))
        if others:
            items = ", ".join(sorted(item for item, _now in others))
            return Result.CONFLICT, f"somebody changed {items} after planning: {_AGAIN}"
        failure: CloudError | None = None
        try:
            catalog.carry_out(plan)
        except CloudError as error:
            failure = error
        try:
            left = plan_install([namespace], catalog.read_ours([namespace])).steps
        except (CloudError, NotOurs) as error:
            if failure is None:
                return Result.NOT_READ_BACK, f"accepted, but could not be read back: {error}"
            return Result.UNKNOWN, f"{failure}; then it could not be read: {error}"
        if not left:
            return Result.DONE, None
        if failure is not None:
            return Result.FAILED, str(failure)
        return Result.CONFLICT, f"written, but somebody changed it again: {_AGAIN}"

    def _why_stopped(self) -> str | None:
        """Return why nothing new is begun; None while changes are carried out."""
        if self._stop.is_set():
            return "interrupted"
        if self._journal_failure is not None:
            return f"the journal cannot be written: {self._journal_failure}"
        if self._failures >= self._max_failures:
            return f"{self._failures} changes before were not carried out (--max-failures)"
        return None

    def _resource(self, changes: Sequence[Change]) -> list[Outcome]:
        """Carry out the changes of one resource, in order.

        After one that is not as planned the others are not tried: the first keys are why the later
        ones are set.
        """
        outcomes: list[Outcome] = []
        stored: Stored | None = None
        for change in changes:
            outcome = _after(outcomes, change) or self._unless_stopped(change)
            if outcome is None and stored is None:
                try:
                    stored = self._settings.read(change.resource)
                except Unreadable as error:
                    text = f"could not be read before writing: {error}"
                    outcome = Outcome(change, Result.FAILED, text)
                else:
                    outcomes = [self._settle(each, stored) for each in outcomes]
                    outcome = _after(outcomes, change)
            if outcome is None:
                outcome, stored = self._change(change, stored)
            self._count(outcome)
            outcomes.append(outcome)
        return outcomes

    def _unless_stopped(self, change: Change) -> Outcome | None:
        reason = self._why_stopped()
        return Outcome(change, Result.NOT_TRIED, reason) if reason else None

    def _settle(self, outcome: Outcome, stored: Stored | None) -> Outcome:
        """Return the outcome of an earlier change of a resource, by what is stored now."""
        if outcome.result is not Result.NOT_READ_BACK:
            return outcome
        settled = _read(outcome.change, stored)
        if settled.result not in AS_PLANNED:
            with self._lock:
                self._failures += 1
        return settled

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            self._ended += 1
            if outcome.result not in (*AS_PLANNED, Result.NOT_TRIED):
                self._failures += 1
            if self._progress:
                self._progress(self._ended, self._total)

    def _change(self, change: Change, stored: Stored | None) -> tuple[Outcome, Stored | None]:
        """Carry out a change; return what is stored with the resource then, as far as known."""
        if outcome := _settled(change, stored):
            return outcome, stored
        number = 0
        if self._journal:
            try:
                number = self._journal.begin(change)
            except OSError as error:
                self._journal_failure = error.strerror or str(error)
                return Outcome(change, Result.NOT_TRIED, self._why_stopped()), stored
        try:
            answer = self._write(change)
        except _Settled as settled:
            # Nothing was written.
            outcome, answer, written = settled.outcome, settled.stored, journals.FAILED
        except WriteFailed as error:
            outcome, answer = self._after_failure(change, error), None
            written = journals.UNKNOWN if error.unsure else journals.FAILED
        else:
            outcome = Outcome(change, Result.NOT_READ_BACK)
            if answer is not None:
                outcome = _read(change, answer)
            written = journals.DONE
        if self._journal:
            self._journal.end(number, written)
        return outcome, answer

    def _write(self, change: Change) -> Stored | None:
        """Write a change, and return what the service answers.

        A service that is too busy did not write: the value is read once more after the time
        that it asks for.

        :raises WriteFailed: when the service refuses it, or gives no answer
        :raises _Settled: when there is nothing to write any more
        """
        for _attempt in range(_BUSY):
            try:
                return self._settings.write(change.resource, change.key, change.now, change.then)
            except WriteFailed as error:
                if error.wait is None or self._stop.wait(error.wait):
                    raise
            try:
                stored = self._settings.read(change.resource)
            except Unreadable as error:
                raise WriteFailed(f"the service was too busy; then: {error}") from error
            if outcome := _settled(change, stored):
                raise _Settled(outcome, stored)
        return self._settings.write(change.resource, change.key, change.now, change.then)

    def _after_failure(self, change: Change, error: WriteFailed) -> Outcome:
        """Return the outcome of a write that failed, by what is stored now."""
        if not error.unsure and error.status not in _STALE:
            return Outcome(change, Result.FAILED, str(error))
        try:
            stored = self._settings.read(change.resource)
        except Unreadable as unread:
            result = Result.UNKNOWN if error.unsure else Result.FAILED
            return Outcome(change, result, f"{error}; then it could not be read: {unread}")
        outcome = _settled(change, stored)
        if outcome is None:
            return Outcome(change, Result.FAILED, f"{error}; the value is stored as before")
        if outcome.result is Result.UNCHANGED and error.unsure:
            return Outcome(change, Result.DONE)
        return outcome

    def _read_back(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Read back what services did not answer with."""
        waiting = [each for each in outcomes if each.result is Result.NOT_READ_BACK]
        if self._stop.is_set() or not waiting:
            return [
                dataclasses.replace(each, reason="interrupted before it was read back")
                if each.result is Result.NOT_READ_BACK
                else each
                for each in outcomes
            ]
        resources = dict.fromkeys(each.change.resource for each in waiting)
        stored = self._settings.read_each(resources, self._workers)
        return [
            _read(each.change, stored[each.change.resource])
            if each.result is Result.NOT_READ_BACK
            else each
            for each in outcomes
        ]


def _rank(change: Change) -> int:
    """Return the position of a key among those of its resource.

    A flavor never restricts scheduling without a reason: the restriction is set after the setting,
    and removed before it.
    """
    if change.key not in STEERING_KEYS:
        return 1
    return 0 if change.then is None else 2


def _after(outcomes: Iterable[Outcome], change: Change) -> Outcome | None:
    """Return the outcome of a change after one of its resource that is not as planned."""
    for each in outcomes:
        if each.result not in AS_PLANNED:
            return Outcome(change, Result.NOT_TRIED, f"{each.change.key} is not as planned")
    return None


def _item(change: Change) -> tuple[str, str | None]:
    """Return an item of the metadata definitions, and how it is stored."""
    return f"{change.key} of {change.resource.name}", change.now


def _settled(change: Change, stored: Stored | None) -> Outcome | None:
    """Return the outcome of a change that is not to be written; None for others."""
    if stored is None:
        return Outcome(
            change, Result.MISSING, f"the {change.resource.type} does not exist any more"
        )
    now = stored.get(change.key)
    if now == change.then:
        reason = "already unset" if change.then is None else "already set"
        return Outcome(change, Result.UNCHANGED, reason)
    if now != change.now:
        return Outcome(
            change,
            Result.CONFLICT,
            f"{quoted(now)} is stored, not {quoted(change.now)}: somebody changed it after"
            f" planning: {_AGAIN}",
        )
    return None


def _read(change: Change, stored: Stored | Unchecked | None) -> Outcome:
    """Return the outcome of a write that was accepted, by what is stored now."""
    if isinstance(stored, Unchecked):
        reason = f"accepted, but it could not be read back: {stored.reason}"
        return Outcome(change, Result.NOT_READ_BACK, reason)
    if stored is None:
        reason = f"written; then the {change.resource.type} was deleted"
        return Outcome(change, Result.MISSING, reason)
    now = stored.get(change.key)
    if now == change.then:
        return Outcome(change, Result.DONE)
    reason = f"written, but {quoted(now)} is stored: somebody changed it again: {_AGAIN}"
    return Outcome(change, Result.CONFLICT, reason)
