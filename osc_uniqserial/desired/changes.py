# SPDX-License-Identifier: Apache-2.0
"""The changes of flavors, images, aggregates and servers that a desired state needs. Pure."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.desired.document import Desired, Entry, Selector
from osc_uniqserial.desired.selectors import Selectors
from osc_uniqserial.keys import SETTINGS, STEERED, STEERING, STEERING_KEYS, before_metadata
from osc_uniqserial.metadefs.comparison import Result
from osc_uniqserial.metadefs.model import Namespace
from osc_uniqserial.metadefs.plan import Action, NotOurs, plan_install
from osc_uniqserial.model.cloud import Aggregate, Configuration, Request, ServerFacts, Unchecked
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import IMAGE_KEY, parse
from osc_uniqserial.text import counted, quoted, some

#: An ID that Keystone gives a project.
_PROJECT_ID = re.compile("[0-9a-f]{32}")
#: What an installation of metadata definitions does to an item, as ``metadef check`` names it
#: before and after.
_INSTALLED: Mapping[Action, tuple[Result, Result]] = {
    Action.CREATED: (Result.MISSING, Result.OK),
    Action.UPDATED: (Result.DIFFERS, Result.OK),
    Action.REMOVED: (Result.DIFFERS, Result.MISSING),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A key of a resource that gets another value.

    :ivar resource: of the type ``metadef``: a namespace of metadata definitions, where the key is
        an item that is installed
    :ivar now: the stored text; None: the key is not set
    :ivar then: the text to store; None: the key is removed
    :ivar line: the line of the entry that asks for it
    :ivar note: why the service is expected to refuse it, and what to do first
    """

    resource: Resource
    key: str
    now: str | None
    then: str | None
    line: int
    note: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be carried out as it is written.

    :ivar is_wrong: nothing may be applied: the entry contradicts another one, or is ambiguous.
        Otherwise it selects nothing, or what it selects could not be read
    :ivar is_unmatched: everything was read, and it selects nothing
    """

    line: int
    text: str
    is_wrong: bool
    is_unmatched: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A resource, as entries are compared with it.

    :ivar stored: its extra specs, properties or metadata; None when they are hidden
    :ivar canonical: keys whose stored text is compared, not its meaning
    :ivar note: the note of its changes
    """

    resource: Resource
    stored: Mapping[str, str] | None
    canonical: frozenset[str] = frozenset()
    note: str | None = None


class Selection:
    """The entries of one kind, and what they select."""

    def __init__(self, kind: str, entries: Sequence[Entry]) -> None:
        self._kind = kind
        self._entries = entries
        self._selectors = Selectors()
        for number, entry in enumerate(entries):
            self._selectors.add(number, entry.selector)
        #: The IDs that each entry selected: of an entry with a name all, of others the last one.
        self._selected: list[list[str]] = [[] for _entry in entries]
        #: The servers without a name by project: Nova returns none while their cell is down.
        self._nameless = Counter[str | None]()

    def fitting(self, id_: str | None, name: str | None, project: str | None) -> Sequence[int]:
        """Return the numbers of the entries that a resource fits, for :meth:`changes`.

        :param name: None: unknown, because the cell of the server is down
        """
        if name is None and self._kind == "server":
            self._nameless[project] += 1
        return self._selectors.fitting(id_, name, project)

    def changes(self, subject: Subject, numbers: Iterable[int]) -> Iterator[Change | Problem]:
        """Yield the changes of a resource, and contradictions about it.

        :param numbers: the entries that it fits
        """
        about = subject.resource
        wanted: dict[str, tuple[str | None, int]] = {}
        for number in numbers:
            entry, selected = self._entries[number], self._selected[number]
            if entry.selector.name is None:
                selected.clear()
            selected.append(about.id or "")
            for key, text in _texts(about.type, entry):
                first, line = wanted.setdefault(key, (text, entry.line))
                if first != text:
                    yield Problem(
                        entry.line,
                        f"{about.type} {_named(about)}: {_value(key, text)}, but line {line} wants"
                        f" {_value(key, first)}: keep one of them",
                        is_wrong=True,
                    )
        if wanted and subject.stored is None:
            line = min(line for _text, line in wanted.values())
            yield Problem(
                line, f"{about.type} {_named(about)}: its properties are hidden", is_wrong=False
            )
            return
        stored = subject.stored or {}
        for key, (text, line) in wanted.items():
            if not _is_stored(stored.get(key), text, exactly=key in subject.canonical):
                yield Change(about, key, stored.get(key), text, line, subject.note)

    def _may_fit(self, selector: Selector) -> int:
        """Return the number of servers without a name that may fit a selector."""
        if not (selector.name or selector.glob):
            return 0
        if selector.project is None:
            return self._nameless.total()
        return self._nameless[selector.project]

    def problems(self, *, complete: bool, scope: str = "") -> Iterator[Problem]:
        """Yield the entries that selected nothing, and names that several resources have.

        :param complete: all resources were read
        :param scope: which resources were read; empty: all
        """
        for entry, found in zip(self._entries, self._selected, strict=True):
            if nameless := self._may_fit(entry.selector):
                yield Problem(
                    entry.line,
                    f"{counted(nameless, 'server')} of a cell that is down may fit"
                    f" {entry.selector}: Nova returns no name",
                    is_wrong=False,
                )
            elif not found and complete:
                yield Problem(
                    entry.line,
                    f"no {self._kind} fits {entry.selector or 'the entry'}"
                    + (f" ({scope})" if scope else "")
                    + _hint(entry.selector),
                    is_wrong=False,
                    is_unmatched=True,
                )
            if entry.selector.name is not None and len(found) > 1:
                many = counted(len(found), self._kind)
                yield Problem(
                    entry.line,
                    f"{many} have the name {quoted(entry.selector.name)} ({some(found)}): write the"
                    " id, or glob if all are meant",
                    is_wrong=True,
                )
            elif entry.selector.name is not None and found and not complete:
                yield Problem(
                    entry.line,
                    f"not every {self._kind} could be read, so that others may have the name"
                    f" {quoted(entry.selector.name)}: write the id",
                    is_wrong=True,
                )


def _hint(selector: Selector) -> str:
    """Return what may be wrong with the project of a selector that fits nothing."""
    project = selector.project
    if project is None or _PROJECT_ID.fullmatch(project):
        return ""
    return (
        ": the ID of a project is needed, not its name (openstack project show -f value -c id"
        f" {shlex.quote(project)})"
    )


def of_configuration(desired: Desired, configuration: Configuration) -> Iterator[Change | Problem]:
    """Yield the changes of flavors, images and aggregates, and what is wrong with the entries."""
    fleet, images = configuration.fleet, configuration.images
    aggregates: Iterable[Aggregate] | Unchecked
    if isinstance(fleet, Unchecked):
        aggregates = fleet
    elif fleet.aggregates_unread is not None:
        aggregates = Unchecked(fleet.aggregates_unread)
    else:
        aggregates = fleet.aggregates
    parts: tuple[tuple[str, Sequence[Entry], Iterable[Any] | Unchecked], ...] = (
        ("flavor", desired.flavors, configuration.flavors),
        ("image", desired.images, images if isinstance(images, Unchecked) else images.values()),
        ("aggregate", desired.aggregates, aggregates),
    )
    for kind, entries, resources in parts:
        if not entries:
            continue
        if isinstance(resources, Unchecked):
            lines = (entry.line for entry in entries)
            yield from (
                Problem(line, f"the {kind}s could not be read: {resources.reason}", is_wrong=False)
                for line in lines
            )
            continue
        selection = Selection(kind, entries)
        for each in resources:
            about = each.resource
            if numbers := selection.fitting(about.id, about.name, about.project_id):
                yield from selection.changes(_subject(each), numbers)
        yield from selection.problems(complete=True)


def of_metadefs(
    line: int, ours: Sequence[Namespace], stored: Mapping[str, Namespace] | Unchecked
) -> Iterator[Change | Problem]:
    """Yield the changes of an installation of the metadata definitions.

    :param line: the line of the file that requires them
    :param ours: the namespaces of this version
    :param stored: those of them that Glance has
    """
    if isinstance(stored, Unchecked):
        text = f"the metadata definitions could not be read: {stored.reason}"
        yield Problem(line, text, is_wrong=False)
        return
    try:
        plan = plan_install(ours, stored)
    except NotOurs as error:
        text = (
            f"the metadata definitions: {error}: left from an interrupted installation: add it to"
            " the namespace itself or remove it"
        )
        yield Problem(line, text, is_wrong=False)
        return
    for row in plan.rows:
        if row.action in _INSTALLED:
            now, then = _INSTALLED[row.action]
            about = Resource("metadef", None, row.namespace)
            yield Change(about, str(row.item), now.value, then.value, line)


def subject_of_server(server: ServerFacts) -> Subject:
    """Return a server, as entries are compared with it."""
    value = server.case.server.value
    raw = None if value is None else value.raw
    stored = None if value is None else ({} if raw is None else {IMAGE_KEY: raw})
    note = None
    if first := before_metadata(server.status, server.id):
        note = f"Nova changes no metadata in status {server.status}: first use {first}"
    about = Resource("server", server.id, server.name, server.project_id)
    return Subject(about, stored, note=note)


def _subject(each: Request | Aggregate) -> Subject:
    if isinstance(each, Aggregate):
        return Subject(each.resource, each.metadata, frozenset(SETTINGS["aggregate"]))
    return Subject(each.resource, each.properties, STEERING_KEYS)


def _texts(kind: str, entry: Entry) -> Iterator[tuple[str, str | None]]:
    """Yield the keys of an entry with the texts to store."""
    if entry.setting is not None:
        for key, texts in SETTINGS[kind].items():
            yield key, texts.get(entry.setting)
    if entry.hosts is not None:
        for way in STEERED[kind]:
            yield STEERING[way].key, STEERING[way].value if way == entry.hosts else None


def _is_stored(now: str | None, then: str | None, *, exactly: bool) -> bool:
    """Whether the stored text is the planned one, or means the same."""
    if exactly or now is None or then is None:
        return now == then
    return parse(now).setting is parse(then).setting


def _named(about: Resource) -> str:
    return f"{quoted(about.name)} ({about.id})" if about.name else f"{about.id}"


def _value(key: str, text: str | None) -> str:
    return f"{key} unset" if text is None else f"{key}={text}"
