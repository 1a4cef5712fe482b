# SPDX-License-Identifier: Apache-2.0
"""The baseline: accepted findings with their reasons. Text in, text out: no file is opened."""

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
#: The most errors that a message lists.
_ERRORS_SHOWN = 20
#: Upper bound of a number of servers.
_MAX_SERVERS = 10**9
#: The longest value that a message quotes, in characters.
_QUOTED = 60
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
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
    :ivar servers: the most servers that the finding may have; None: any number
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

    :raises BadBaseline: with all errors
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # PyYAML raises ValueError for impossible dates.
        raise BadBaseline(f"it is not YAML: {error}") from error
    if document is None:
        return ()
    if not isinstance(document, dict) or not isinstance(document.get("accepted"), list):
        raise BadBaseline("it has no list 'accepted'")
    errors = [f"{_quoted(key)} is not known" for key in document if key != "accepted"]
    for number, item in enumerate(document["accepted"], 1):
        id_ = item.get("id") if isinstance(item, dict) else None
        named = f" ({id_})" if isinstance(id_, str) and len(id_) <= _QUOTED else ""
        errors += [f"entry {number}{named}: {error}" for error in _errors(item)]
    if errors:
        left = len(errors) - _ERRORS_SHOWN
        more = f"; and {left:,} more" if left > 0 else ""
        raise BadBaseline("; ".join(errors[:_ERRORS_SHOWN]) + more)
    return tuple(_entry(item) for item in document["accepted"])


def _quoted(value: Any) -> str:
    """Return a value for a message; long values are shortened or named by their type."""
    if isinstance(value, str):
        return repr(value if len(value) <= _QUOTED else f"{value[:_QUOTED]}...")
    if isinstance(value, bool | float | datetime.date | None):
        return str(value)
    if isinstance(value, int) and abs(value) <= _MAX_SERVERS:
        return str(value)
    return f"a {'number' if isinstance(value, int) else type(value).__name__} like that"


def _errors(item: Any) -> Iterator[str]:
    """Yield the errors of an entry."""
    if not isinstance(item, dict):
        yield "it is no mapping"
        return
    for key in item:
        if key not in _KEYS:
            yield f"{_quoted(key)} is not one of {', '.join(_KEYS)}"
    if "id" not in item:
        yield "it has no id"
    elif not isinstance(item["id"], str) or item["id"] not in ALL:
        yield f"{_quoted(item['id'])} is no ID of a finding"
    if not isinstance(item.get("resource_type"), str):
        yield "it has no resource_type"
    for key in ("resource", "name"):
        if not isinstance(item.get(key), str | None):
            yield f"its {key} is no text"
    reason = item.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        yield "it has no reason"
    if item.get("expires") is not None and _day(item["expires"]) is None:
        yield f"its expires {_quoted(item['expires'])} is no date such as 2030-12-31"
    servers = item.get("servers")
    if servers is not None and (type(servers) is not int or not 0 <= servers <= _MAX_SERVERS):
        yield f"its servers {_quoted(servers)} is no number of servers"


def _day(value: Any) -> datetime.date | None:
    """Return a date, also of a text such as 2030-12-31; None for other values."""
    if type(value) is datetime.date:
        return value
    # fromisoformat() accepts ISO weeks too.
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return datetime.date.fromisoformat(value)
    except ValueError:
        return None


def _entry(item: Mapping[str, Any]) -> Entry:
    fields: dict[str, Any] = {key: item.get(key) for key in _KEYS}
    fields |= {"reason": item["reason"].strip(), "expires": _day(item.get("expires"))}
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
            servers[entry] += len(each.servers or ())

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
        if finding.servers is not None and (each.entry is None or entry.servers is not None):
            count = (count or 0) + len(finding.servers)
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
    fields = {key: getattr(entry, key) for key in _KEYS}
    if fields["name"] == fields["resource"]:
        del fields["name"]
    return {key: value for key, value in fields.items() if value is not None}
