# SPDX-License-Identifier: Apache-2.0
"""The baseline: accepted findings with their reasons. Text in, text out: no file is opened."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import itertools
import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from osc_uniqserial import strict_yaml
from osc_uniqserial.checks import ALL
from osc_uniqserial.model.finding import RESOURCE_TYPES, Finding, Severity

#: The most errors that a message lists.
_ERRORS_SHOWN = 20
#: The longest ID that names an entry in a message, in characters.
_NAMED = 60
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: A number of servers; YAML readers disagree about leading zeros and underscores.
_SERVERS = re.compile(r"0|[1-9][0-9]{0,8}")
_HEAD = """\
# Findings that are accepted. "reason" is required. The optional "expires" is the last day on
# which an entry is valid. With more servers than "servers", a finding is reported again.
# "resource" is an ID or a name; "name" is only a comment.
"""


class BadBaseline(Exception):
    """The text is not a baseline; the message lists the errors of every entry."""


class Standing(enum.Enum):
    """State of a finding in the baseline.

    NEW: no entry matches; GREW: the entry accepts fewer servers; EXPIRED: the entry's last day
    is past; ACCEPTED: the entry accepts the finding.
    """

    NEW = "new"
    GREW = "grew"
    EXPIRED = "expired"
    ACCEPTED = "accepted"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the baseline: one accepted finding.

    :ivar resource: ID or name of the finding's resource; None for a finding about no single
        resource
    :ivar name: name of the resource where ``resource`` is its ID
    :ivar reason: never empty
    :ivar expires: the last day on which the entry is valid; None: it never expires
    :ivar servers: the most servers, or entries of an inventory, that the finding may have; None:
        any number
    """

    id: str
    resource_type: str
    resource: str | None
    reason: str
    name: str | None = None
    expires: datetime.date | None = None
    servers: int | None = None

    def __str__(self) -> str:
        """Return the finding ID and the resource."""
        about = f" of {self.resource_type} {self.name or self.resource}" if self.resource else ""
        return f"{self.id}{about}"

    def is_valid(self, day: datetime.date) -> bool:
        """Whether the entry has not expired on a day."""
        return self.expires is None or day <= self.expires


@dataclasses.dataclass(frozen=True, slots=True)
class Assessed:
    """A finding with its state in the baseline.

    :ivar standing: None without a baseline
    :ivar entry: the entry that matches the finding
    """

    finding: Finding
    standing: Standing | None = None
    entry: Entry | None = None

    @property
    def counts(self) -> bool:
        """Whether the baseline does not accept the finding."""
        return self.standing is not Standing.ACCEPTED


def parse(text: str) -> tuple[Entry, ...]:
    """Return the entries of a baseline in YAML.

    :raises BadBaseline: with the first errors
    """
    try:
        document = strict_yaml.load(text)
    except strict_yaml.BadYaml as error:
        raise BadBaseline(str(error)) from error
    if document is None:
        return ()
    errors = _document_errors(document)
    shown = list(itertools.islice(errors, _ERRORS_SHOWN))
    if shown:
        left = sum(1 for _error in errors)
        more = f"; and {left:,} more" if left else ""
        raise BadBaseline("; ".join(shown) + more)
    return tuple(_entry(item) for item in _items(document) if isinstance(item, strict_yaml.Mapping))


def _items(document: strict_yaml.Node) -> list[strict_yaml.Node]:
    """Return the list 'accepted'.

    :raises BadBaseline: when it is missing
    """
    found = document.items.get("accepted") if isinstance(document, strict_yaml.Mapping) else None
    if found and isinstance(found[1], strict_yaml.Sequence):
        return found[1].items
    line = found[0].line if found else document.line
    raise BadBaseline(
        f"line {line}: it has no list 'accepted': write 'accepted:' and below it a list of entries"
    )


def _document_errors(document: strict_yaml.Node) -> Iterator[str]:
    """Yield all errors."""
    items = _items(document)
    if isinstance(document, strict_yaml.Mapping):
        for key, _value in document.items.values():
            if key.text != "accepted":
                yield f"line {key.line}: {key} is not known: remove it"
    for number, item in enumerate(items, 1):
        id_ = item.text("id") if isinstance(item, strict_yaml.Mapping) else None
        named = f" ({id_})" if id_ and len(id_) <= _NAMED else ""
        for line, error in _errors(item):
            yield f"line {line}: entry {number}{named}: {error}"


def _errors(item: strict_yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield the errors of an entry with their lines."""
    if not isinstance(item, strict_yaml.Mapping):
        yield item.line, f"it is {item}: write a mapping with {', '.join(_FIELDS)}"
        return
    for key, value in item.items.values():
        field = _FIELDS.get(key.text)
        if field is None:
            yield key.line, f"{key} is not one of {', '.join(_FIELDS)}: remove it"
        elif not isinstance(value, strict_yaml.Scalar):
            yield key.line, f"its {key.text} is {value}: write {field.example}"
        elif value.is_null or (field.required and _is_missing(item, key.text)):
            continue
        elif not field.accepts(value.text):
            yield key.line, f"its {key.text} {value} is no {field.noun}: write {field.example}"
    for name, field in _FIELDS.items():
        if field.required and _is_missing(item, name):
            yield item.line, f"it has no {name}: write {field.example}"


def _is_missing(item: strict_yaml.Mapping, name: str) -> bool:
    _key, value = item.items.get(name, (None, None))
    if isinstance(value, strict_yaml.Scalar):
        return value.is_null or not value.text.strip()
    return value is None


def _day(text: str) -> datetime.date | None:
    """Return the date of a text such as 2030-12-31; None for other texts."""
    # fromisoformat() accepts ISO weeks too.
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """A field of an entry.

    :ivar accepts: whether a text is a value of it
    :ivar noun: what a value is, for a message
    :ivar example: what to write
    """

    accepts: Callable[[str], object]
    noun: str
    example: str
    required: bool = False


_FIELDS: Mapping[str, _Field] = {
    "id": _Field(ALL.__contains__, "ID of a finding", "the ID that the finding has", True),
    "resource_type": _Field(
        RESOURCE_TYPES.__contains__,
        "type of a resource",
        f"one of {', '.join(RESOURCE_TYPES)}",
        True,
    ),
    "resource": _Field(lambda _text: True, "text", "an ID or a name"),
    "name": _Field(lambda _text: True, "text", "a name"),
    "reason": _Field(lambda _text: True, "text", "why the finding is accepted", True),
    "expires": _Field(_day, "date", "one such as 2030-12-31"),
    "servers": _Field(_SERVERS.fullmatch, "number of servers", "one such as 10"),
}


def _entry(item: strict_yaml.Mapping) -> Entry:
    """Return an entry without errors."""
    fields: dict[str, Any] = {name: item.text(name) for name in _FIELDS}
    expires, servers = fields["expires"], fields["servers"]
    fields |= {
        "reason": fields["reason"].strip(),
        "expires": expires and _day(expires),
        "servers": servers and int(servers),
    }
    return Entry(**fields)


def assess(
    findings: Sequence[Finding], entries: Iterable[Entry], today: datetime.date
) -> list[Assessed]:
    """Return each finding with its state in the baseline."""
    index = _Index(entries, today)
    matched = [(each, index.match(each)) for each in findings]
    # One entry may match several findings.
    servers: Counter[Entry] = Counter()
    for each, entry in matched:
        if entry is not None:
            servers[entry] += each.number or 0

    def standing(entry: Entry | None) -> Standing:
        if entry is None:
            return Standing.NEW
        if not entry.is_valid(today):
            return Standing.EXPIRED
        if entry.servers is not None and servers[entry] > entry.servers:
            return Standing.GREW
        return Standing.ACCEPTED

    return [Assessed(each, standing(entry), entry) for each, entry in matched]


def standings(assessed: Iterable[Assessed]) -> Counter[Standing]:
    """Return the number of findings by state, without those about parts that are unchecked."""
    return Counter(
        each.standing
        for each in assessed
        if each.standing and each.finding.severity is not Severity.UNCHECKED
    )


class _Index:
    """The entries by resource: by ID first, then by name."""

    def __init__(self, entries: Iterable[Entry], today: datetime.date) -> None:
        self._today = today
        self._by_resource: dict[tuple[str, str, str | None], list[Entry]] = {}
        self._by_name: dict[tuple[str, str, str | None], list[Entry]] = {}
        for entry in entries:
            about = (entry.id, entry.resource_type)
            self._by_resource.setdefault((*about, entry.resource), []).append(entry)
            if entry.name is not None:
                self._by_name.setdefault((*about, entry.name), []).append(entry)

    def match(self, finding: Finding) -> Entry | None:
        """Return the entry of a finding; a valid one is preferred to an expired one."""
        by_name = (finding.id, finding.type, finding.resource_name)
        if finding.resource_id is None:
            # The list of resources could not be read, or the resource has no ID.
            entries = self._by_resource.get(by_name) or self._by_name.get(by_name, [])
        else:
            by_id = (finding.id, finding.type, finding.resource_id)
            # An entry with an ID never matches by name: a tenant chooses the names of resources.
            entries = self._by_resource.get(by_id) or [
                entry
                for entry in self._by_resource.get(by_name, ())
                if entry.name is None and entry.resource is not None and not _is_id(entry.resource)
            ]
        valid = [entry for entry in entries if entry.is_valid(self._today)]
        return next(iter(valid or entries), None)


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def unmet(
    entries: Iterable[Entry], assessed: Iterable[Assessed], ids: Collection[str]
) -> list[Entry]:
    """Return the entries that match no finding.

    :param ids: IDs of the checks that ran on the whole cloud; entries of others are skipped
    """
    matched = {each.entry for each in assessed}
    return [entry for entry in entries if entry.id in ids and entry not in matched]


def write(
    assessed: Iterable[Assessed], entries: Iterable[Entry], ids: Collection[str], reason: str
) -> str:
    """Return a baseline that accepts the findings.

    Entries that match keep their reason and last day. Entries of checks that did not run on the
    whole cloud stay. New entries are written for findings only, not for unchecked parts.

    :param ids: IDs of the checks that ran on the whole cloud
    :param reason: the reason of new entries; an empty one must be filled in by hand
    """
    new: dict[tuple[str, str, str | None], Entry] = {}
    counts: dict[Entry, int | None] = {}
    for each in assessed:
        finding, entry = each.finding, each.entry
        if entry is None:
            if finding.severity is Severity.UNCHECKED:
                continue
            about = (finding.id, finding.type, finding.resource_id or finding.resource_name)
            entry = new.setdefault(about, Entry(*about, reason, finding.resource_name))
        count = counts.get(entry)
        if finding.number is not None and (each.entry is None or entry.servers is not None):
            count = (count or 0) + finding.number
        counts[entry] = count
    for entry in entries:
        if entry.id not in ids:
            count = counts.get(entry)
            counts[entry] = entry.servers if count is None else max(count, entry.servers or 0)
    renewed = [dataclasses.replace(entry, servers=servers) for entry, servers in counts.items()]
    renewed.sort(key=lambda entry: (entry.id, entry.resource_type, entry.resource or ""))
    document = {"accepted": [_plain(entry) for entry in renewed]}
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=96)


def _plain(entry: Entry) -> dict[str, Any]:
    fields = {key: getattr(entry, key) for key in _FIELDS}
    if fields["name"] == fields["resource"]:
        del fields["name"]
    return {key: value for key, value in fields.items() if value is not None}
