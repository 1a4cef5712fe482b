# SPDX-License-Identifier: Apache-2.0
"""Findings that somebody accepted, and why. Text in, text out: opens no file."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from osc_uniqserial.checks import ALL
from osc_uniqserial.model.finding import Finding, Severity

_KEYS = ("id", "resource_type", "resource", "name", "reason", "expires", "servers")
#: How much is told of what is wrong.
_TOLD = 20
#: More servers than any cloud has.
_MOST = 10**9
#: The longest text that is told.
_LONGEST = 60
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_HEAD = """\
# Findings that are accepted. "reason" is required. The optional "expires" is the last day on
# which an entry counts; "servers" is how many servers a finding may be about: with more it is
# told again. "resource" is an ID or a name; "name" is for people.
"""


class BadBaseline(Exception):
    """A text that is no baseline; the text says what is wrong in every entry."""


class Standing(enum.Enum):
    """What the baseline says of a finding.

    NEW: nothing; GREW: it was accepted for fewer servers; EXPIRED: it was accepted until a day
    that is past; ACCEPTED: it is accepted.
    """

    NEW = "new"
    GREW = "grew"
    EXPIRED = "expired"
    ACCEPTED = "accepted"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A finding that is accepted.

    :ivar resource: ID or name of what the finding is about; None for a finding about no single
        resource
    :ivar name: for people; it is not compared. Where it is there, resource is an ID
    :ivar reason: never empty
    :ivar expires: the last day on which it counts; None: it always does
    :ivar servers: the most servers that it may be about; None: any number
    """

    id: str
    resource_type: str
    resource: str | None
    reason: str
    name: str | None = None
    expires: datetime.date | None = None
    servers: int | None = None

    def __str__(self) -> str:
        """Return which one it is, for people."""
        about = f" of {self.resource_type} {self.name or self.resource}" if self.resource else ""
        return f"{self.id}{about}"

    def counts_on(self, day: datetime.date) -> bool:
        """Whether it accepts anything on a day."""
        return self.expires is None or day <= self.expires


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A finding with what the baseline says of it.

    :ivar standing: None: there is no baseline
    :ivar entry: the one that it meets
    """

    finding: Finding
    standing: Standing | None = None
    entry: Entry | None = None

    @property
    def counts(self) -> bool:
        """Whether it is more than was accepted."""
        return self.standing is not Standing.ACCEPTED


def parse(text: str) -> tuple[Entry, ...]:
    """Read a baseline.

    :raises BadBaseline: with everything that is wrong
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: what looks like a date, and is none.
        raise BadBaseline(f"it is not YAML: {error}") from error
    if document is None:
        return ()
    if not isinstance(document, dict) or not isinstance(document.get("accepted"), list):
        raise BadBaseline("it has no list 'accepted'")
    wrong = [f"{_shown(key)} is not known" for key in document if key != "accepted"]
    entries = []
    for number, item in enumerate(document["accepted"], 1):
        faults = list(_faults(item))
        wrong += [f"entry {number}{_which(item)}: {fault}" for fault in faults]
        if not faults:
            entries.append(_entry(item))
    if wrong:
        more = f"; and {len(wrong) - _TOLD:,} more" if len(wrong) > _TOLD else ""
        raise BadBaseline("; ".join(wrong[:_TOLD]) + more)
    return tuple(entries)


def _which(item: Any) -> str:
    id_ = item.get("id") if isinstance(item, dict) else None
    return f" ({id_})" if isinstance(id_, str) and len(id_) <= _LONGEST else ""


def _shown(value: Any) -> str:
    """Return a value as it is told to people: a file may hold anything, of any size."""
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...")
    if isinstance(value, bool | float | datetime.date | None):
        return str(value)
    if isinstance(value, int) and abs(value) <= _MOST:
        return str(value)
    return f"a {'number' if isinstance(value, int) else type(value).__name__} like that"


def _faults(item: Any) -> Iterator[str]:
    """Yield what is wrong with an entry."""
    if not isinstance(item, dict):
        yield "it is no mapping"
        return
    for key in item:
        if key not in _KEYS:
            yield f"{_shown(key)} is not one of {', '.join(_KEYS)}"
    if "id" not in item:
        yield "it has no id"
    elif not isinstance(item["id"], str) or item["id"] not in ALL:
        yield f"{_shown(item['id'])} is no ID of a finding"
    if not isinstance(item.get("resource_type"), str):
        yield "it has no resource_type"
    for key in ("resource", "name"):
        if not isinstance(item.get(key), str | None):
            yield f"its {key} is no text"
    reason = item.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        yield "it has no reason"
    if item.get("expires") is not None and _day(item["expires"]) is None:
        yield f"its expires {_shown(item['expires'])} is no date such as 2030-12-31"
    servers = item.get("servers")
    if servers is not None and (type(servers) is not int or not 0 <= servers <= _MOST):
        yield f"its servers {_shown(servers)} is no number of servers"


def _day(value: Any) -> datetime.date | None:
    if type(value) is datetime.date:
        return value
    # fromisoformat() takes weeks too.
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return datetime.date.fromisoformat(value)
    except ValueError:
        return None


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(
        item["id"],
        item["resource_type"],
        item.get("resource"),
        item["reason"].strip(),
        item.get("name"),
        None if item.get("expires") is None else _day(item["expires"]),
        item.get("servers"),
    )


def judge(
    findings: Sequence[Finding], entries: Iterable[Entry], today: datetime.date
) -> list[Judged]:
    """Tell of each finding whether it is accepted."""
    index = _Index(entries, today)
    met = [index.of(each) for each in findings]
    # Several findings may be about one resource.
    servers: Counter[Entry] = Counter()
    for each, accepted in zip(findings, met, strict=True):
        if accepted is not None:
            servers[accepted] += len(each.servers or ())
    judged = []
    for each, accepted in zip(findings, met, strict=True):
        standing = Standing.NEW
        if accepted is not None:
            standing = Standing.ACCEPTED
            if accepted.servers is not None and servers[accepted] > accepted.servers:
                standing = Standing.GREW
            if not accepted.counts_on(today):
                standing = Standing.EXPIRED
        judged.append(Judged(each, standing, accepted))
    return judged


class _Index:
    """Finds the entry that is about a finding: by its ID, or else by its name."""

    def __init__(self, entries: Iterable[Entry], today: datetime.date) -> None:
        self._today = today
        self._by_resource: dict[tuple[str, str, str | None], list[Entry]] = {}
        self._by_name: dict[tuple[str, str, str | None], list[Entry]] = {}
        for entry in entries:
            about = (entry.id, entry.resource_type)
            self._by_resource.setdefault((*about, entry.resource), []).append(entry)
            if entry.name is not None:
                self._by_name.setdefault((*about, entry.name), []).append(entry)

    def of(self, finding: Finding) -> Entry | None:
        """Return the entry; one that still counts, if there are several."""
        called = (finding.id, finding.type, finding.resource_name)
        if finding.resource_id is None:
            # Its list could not be read, or it has none.
            entries = self._by_resource.get(called) or self._by_name.get(called, [])
        else:
            identified = (finding.id, finding.type, finding.resource_id)
            # Who may name something must not be able to call it like what is accepted.
            entries = self._by_resource.get(identified) or [
                entry
                for entry in self._by_resource.get(called, ())
                if entry.name is None and entry.resource is not None and not _is_id(entry.resource)
            ]
        valid = [entry for entry in entries if entry.counts_on(self._today)]
        return next(iter(valid or entries), None)


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def unmet(entries: Iterable[Entry], judged: Iterable[Judged], ids: Collection[str]) -> list[Entry]:
    """Return the entries that no finding meets, of IDs that were looked for everywhere."""
    met = {each.entry for each in judged}
    return [entry for entry in entries if entry.id in ids and entry not in met]


def write(
    judged: Iterable[Judged], entries: Iterable[Entry], ids: Collection[str], reason: str
) -> str:
    """Return a baseline that accepts what was found.

    What is accepted already keeps its reason and its last day; what was not looked for, or not
    everywhere, stays. What could not be checked is accepted only where an entry says so already.

    :param ids: those that were looked for everywhere
    :param reason: of entries that are new; where it is empty, somebody must write one
    """
    new: dict[tuple[str, str, str | None], Entry] = {}
    made: dict[Entry, int | None] = {}
    for each in judged:
        finding, entry = each.finding, each.entry
        if entry is None:
            if finding.severity is Severity.UNCHECKED:
                continue
            about = (finding.id, finding.type, finding.resource_id or finding.resource_name)
            entry = new.setdefault(about, Entry(*about, reason, finding.resource_name))
        counted = made.get(entry)
        if finding.servers is not None and (each.entry is None or entry.servers is not None):
            counted = (counted or 0) + len(finding.servers)
        made[entry] = counted
    for entry in entries:
        if entry.id not in ids:
            counted = made.get(entry)
            made[entry] = entry.servers if counted is None else max(counted, entry.servers or 0)
    renewed = [dataclasses.replace(entry, servers=servers) for entry, servers in made.items()]
    renewed.sort(key=lambda entry: (entry.id, entry.resource_type, entry.resource or ""))
    document = {"accepted": [_plain(entry) for entry in renewed]}
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=96)


def _plain(entry: Entry) -> dict[str, Any]:
    fields = {key: getattr(entry, key) for key in _KEYS}
    if fields["name"] == fields["resource"]:
        del fields["name"]
    return {key: value for key, value in fields.items() if value is not None}
