# SPDX-License-Identifier: Apache-2.0
"""Checks of an inventory: its serial numbers against the policy and the guests. Pure."""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from osc_uniqserial.checks.check import Check, Part, Problem
from osc_uniqserial.checks.live import EXPECTED, Verification
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import Case, ServerFacts
from osc_uniqserial.model.finding import Remedy, Resource, ServerIds, Severity
from osc_uniqserial.model.guest import GuestSource
from osc_uniqserial.model.inventory import Entry, Inventory
from osc_uniqserial.policy import EffectivePolicy, SerialSource
from osc_uniqserial.text import counted, some

#: Statuses of servers that no inventory needs to have.
_NOT_LISTED = frozenset({"BUILD", "DELETED", "SOFT_DELETED"})
#: The longest text of an inventory in a finding.
_LONGEST = 64
_LIST = "openstack unique serial list --all-projects --long"
_CORRECT = Remedy(
    f"Correct these entries; {_LIST} prints the serial number that the policy gives each server",
    (_LIST,),
)


class Result(enum.Enum):
    """Result of comparing an entry with its server.

    RIGHT: the serial number is the one that the server has or should have; WRONG: it is neither;
    UNKNOWN: what the server has and should have is not known well enough; NONE: the server has no
    serial number now: it is on no host, or on one that writes none.
    """

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """An entry with its server.

    :ivar text: the cause, for WRONG and UNKNOWN
    :ivar source: the expected serial source
    """

    entry: Entry
    server: ServerFacts
    result: Result
    text: str
    source: SerialSource


class InventoryComparison:
    """Comparison of an inventory with servers; the results are valid after all were added.

    :ivar complete: whether the servers of all projects were added
    """

    complete = False

    def __init__(self, inventory: Inventory, guests: Verification | None = None) -> None:
        """Index the entries.

        :param guests: the live serial numbers, where they are read
        """
        self.inventory = inventory
        #: The entries that may be of a server.
        self.entries = [entry for entry in inventory.entries if not entry.is_other]
        self._guests = guests
        self._changed: Set[str] = frozenset()
        self._policies: dict[Case, EffectivePolicy] = {}
        self._ids: set[str] = set()
        self._names: set[str] = set()
        self._entries_named = Counter(entry.name for entry in self.entries)
        for entry in self.entries:
            if entry.id:
                self._ids.add(entry.id)
            elif entry.name:
                self._names.add(entry.name)
                # It decides where several servers have the name, or none.
                self._ids.add(entry.serial.lower())
                if named_id := entry.named_id:
                    self._ids.add(named_id)
        self._known: set[str] = set()
        self._by_id: dict[str, ServerFacts] = {}
        self._by_name: dict[str, list[ServerFacts]] = defaultdict(list)
        self._missing = ServerIds()
        self._nameless = False

    def __len__(self) -> int:
        """Return the number of servers."""
        return len(self._known)

    def add(self, servers: Iterable[ServerFacts]) -> None:
        """Add servers."""
        for server in servers:
            if server.id in self._known:
                continue
            self._known.add(server.id)
            name = _name(server)
            self._nameless = self._nameless or not name
            by_id = server.id in self._ids
            if by_id:
                self._by_id[server.id] = server
            if name in self._names:
                self._by_name[name].append(server)
            elif not by_id and _is_listed(server):
                self._missing.add(server.id, server.name)

    def exclude(self, changed: Set[str]) -> None:
        """Skip servers that changed after the guests were read."""
        self._changed = changed

    @property
    def compared(self) -> int:
        """Number of servers that were compared."""
        return len({each.server.id for each in self.results if each.result in _COMPARED})

    @property
    def coverage(self) -> str:
        """The number of compared entries, in one line."""
        counts = Counter(each.result for each in self.results)
        done = sum(counts[result] for result in _COMPARED)
        text = f"{done:,} of {counted(len(self.inventory.entries), 'entry', 'entries')} compared"
        others = len(self.inventory.entries) - len(self.entries)
        for number, what in (
            (others, "of machines without a UUID"),
            (counts[Result.NONE], "of servers that have no serial number now"),
            (self._of_changed, "of servers that changed meanwhile"),
        ):
            if number:
                text += f"; {number:,} {what}"
        return text

    @property
    def _of_changed(self) -> int:
        """Number of entries of servers that changed or were deleted after the guests were read."""
        return sum(
            (self._matches[entry].id if entry in self._matches else entry.id) in self._changed
            for entry in self.entries
        )

    @functools.cached_property
    def _matches(self) -> Mapping[Entry, ServerFacts]:
        """The server of each entry that has one."""
        found = {}
        for entry in self.entries:
            server = self._by_id.get(entry.id) if entry.id else self._named(entry)
            if server is not None:
                found[entry] = server
        return found

    def _named(self, entry: Entry) -> ServerFacts | None:
        """Return the server of an entry without a UUID; None when it is unknown."""
        possible = self._possible(entry)
        # Of several entries with one name, some may be of servers of other projects or clouds.
        if len(possible) == 1 and self._entries_named[entry.name] == 1:
            return possible[0]
        # The serial number decides; it may be a UUID of one of them.
        server = self._by_id.get(entry.serial.lower())
        if server is None or not possible:
            return server
        return server if _name(server) == entry.name or server.id == entry.named_id else None

    def _possible(self, entry: Entry) -> Sequence[ServerFacts]:
        """Return the servers with the name of an entry, or with the UUID in this name."""
        named = self._by_name.get(entry.name, [])
        # Users choose the names of servers: a name may have the UUID of another server.
        other = self._by_id.get(entry.named_id) if entry.named_id else None
        return named if other is None or _name(other) == entry.name else [*named, other]

    @functools.cached_property
    def results(self) -> Sequence[Compared]:
        """The comparison of each entry that has a server."""
        return [
            self._compare(entry, server)
            for entry, server in self._matches.items()
            if server.id not in self._changed
        ]

    @functools.cached_property
    def unclear(self) -> Mapping[str, list[Entry]]:
        """The entries of which the server is not clear, by reason."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.id or entry in self._matches or not (possible := self._possible(entry)):
                continue
            if len(self._by_name.get(entry.name, ())) > 1:
                reason = "several servers have this name"
            elif len(possible) > 1:
                reason = "one server has this name, and another one the UUID in it"
            else:
                reason = "several entries have this name"
            found[reason].append(entry)
        return found

    @property
    def unusable(self) -> Iterator[Entry]:
        """Yield the entries without a UUID and a name."""
        return (entry for entry in self.entries if not (entry.id or entry.name))

    @property
    def gone(self) -> Iterator[Entry]:
        """Yield the entries of servers that do not exist."""
        for entry in self.entries if self.complete else ():
            if entry.id:
                is_gone = entry.id not in self._known and entry.id not in self._changed
            else:
                # A server of a cell that is down has no name.
                unknown = entry not in self._matches and not self._possible(entry)
                is_gone = bool(entry.name) and not self._nameless and unknown
            if is_gone:
                yield entry

    @property
    def missing(self) -> ServerIds:
        """The servers without an entry."""
        unclear = list(itertools.chain.from_iterable(self.unclear.values()))
        names = {entry.name for entry in unclear}
        done = {server.id for server in self._matches.values()}
        done |= {entry.named_id for entry in unclear if entry.named_id}
        missing = ServerIds()
        for id_ in self._missing:
            missing.add(id_)
        missing.some = self._missing.some
        # An ID that is only the serial number of an entry makes no server known.
        for server in itertools.chain(self._by_id.values(), *self._by_name.values()):
            if server.id not in done and _name(server) not in names and _is_listed(server):
                done.add(server.id)
                missing.add(server.id, server.name)
        return missing

    def servers_of(self, entries: Iterable[Entry]) -> Iterator[ServerFacts]:
        """Yield the servers of entries, each once."""
        found = (self._matches.get(entry) for entry in entries)
        return iter({each.id: each for each in found if each is not None}.values())

    def _compare(self, entry: Entry, server: ServerFacts) -> Compared:
        case = server.case
        expected = self._policies.get(case)
        if expected is None:
            expected = self._policies[case] = case.resolve()
        result, text = self._judge(entry.serial.lower(), server, expected.source)
        return Compared(entry, server, result, text, expected.source)

    def _judge(self, serial: str, server: ServerFacts, source: SerialSource) -> tuple[Result, str]:
        live = self._live(server)
        if live is not None and serial == live:
            return Result.RIGHT, ""
        if not server.case.host.smbios:
            return Result.NONE, ""
        if self._may_be(serial, server.id, source):
            if source in (SerialSource.INSTANCE_UUID, SerialSource.ABSENT):
                return Result.RIGHT, ""
            if not server.case.placed:
                return Result.NONE, ""
            # The identity that the guest has is the one that its host gives.
            shows_host = live not in (None, "", server.id) and source in HOST_SOURCES
            if not shows_host and (live is None or source is SerialSource.UNKNOWN):
                return Result.UNKNOWN, _unknown(source)
            if not shows_host:
                return Result.UNKNOWN, (
                    f"the guest has {self._described(live or '', server.id)} now, and gets"
                    f" {EXPECTED[source]} when it is next started: compare it again then"
                )
        text = f"the inventory has {self._described(serial, server.id)}"
        if source is not SerialSource.UNKNOWN:
            text += f", and the guest should have {EXPECTED[source]}"
        if live is not None:
            text += f"; it has {self._described(live, server.id)}"
        return Result.WRONG, text

    def _may_be(self, serial: str, own: str, source: SerialSource) -> bool:
        """Whether a server may have a serial number from a source."""
        if source is SerialSource.INSTANCE_UUID:
            return serial == own
        if source is SerialSource.ABSENT:
            return not serial
        of_a_host = serial != own and _is_uuid(serial) and serial not in self._known
        if source is SerialSource.UNKNOWN:
            return serial in ("", own) or of_a_host
        # Nobody who knows only the policy can write the identity of a host into an inventory.
        return not serial or of_a_host

    def _described(self, serial: str, own: str) -> str:
        if not serial:
            return "no serial number"
        if serial == own:
            return "the server's UUID"
        if serial in self._known:
            return "the UUID of another server"
        return "another UUID" if _is_uuid(serial) else "a text that Nova never writes"

    def _live(self, server: ServerFacts) -> str | None:
        """Return the live serial number; empty: the guest has none; None: unknown."""
        reading = self._guests.readings.of(server) if self._guests else None
        if reading is None or reading.host not in (None, server.host):
            return None
        if not reading.serial and not reading.is_domain:
            # The agent may be unable to read it.
            return None
        return (reading.serial or "").lower()


_COMPARED = frozenset({Result.RIGHT, Result.WRONG})


def _name(server: ServerFacts) -> str:
    return (server.name or "").strip()


def _is_listed(server: ServerFacts) -> bool:
    """Whether an inventory should have a server."""
    failed = server.status == "ERROR" and not server.case.placed
    return server.status not in _NOT_LISTED and not failed


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _unknown(source: SerialSource) -> str:
    if source is SerialSource.UNKNOWN:
        return (
            "what they should have is unknown (openstack unique serial show SERVER shows the"
            " reason)"
        )
    return (
        "they have the identity of their host, which only their guests show: add --libvirt-uri,"
        " --domain-xml or --facts"
    )


# --- checks -----------------------------------------------------------------------

_NEEDS = frozenset({Part.SERVERS, Part.INVENTORY})
_SOURCES = frozenset({GuestSource.INVENTORY})


#: The path is no part of it: a baseline accepts the findings of the file of the next night too.
_INVENTORY = Resource("inventory")


def _places(comparison: InventoryComparison, entries: Sequence[Entry]) -> str:
    """Return where the first entries are."""
    unit, source = comparison.inventory.unit, comparison.inventory.source
    noun = unit if len(entries) == 1 else {"line": "lines", "entry": "entries"}[unit]
    return f"{noun} {some([f'{entry.at:,}' for entry in entries])} of {source}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _ids(servers: Iterable[ServerFacts]) -> ServerIds:
    ids = ServerIds()
    for server in servers:
        ids.add(server.id, server.name)
    return ids


def _grouped(comparison: InventoryComparison, result: Result) -> Iterator[tuple[str, list[Entry]]]:
    """Yield the entries with a result by cause, sorted."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for each in comparison.results:
        if each.result is result:
            groups[each.text].append(each.entry)
    return iter(sorted(groups.items()))


@Check("inventory-serial-wrong", Severity.MEDIUM, rests_on=_NEEDS, sources=_SOURCES)
def inventory_serial_wrong(comparison: InventoryComparison, _cloud: object) -> Iterator[Problem]:
    """Entries whose serial number is not the one that the server has or should have."""
    for text, entries in _grouped(comparison, Result.WRONG):
        servers = _ids(comparison.servers_of(entries))
        yield Problem(
            f"{servers.counted}: {text} ({_places(comparison, entries)})",
            _CORRECT,
            _INVENTORY,
            servers,
        )


@Check("inventory-duplicate", Severity.MEDIUM, rests_on=_NEEDS, sources=_SOURCES)
def inventory_duplicate(comparison: InventoryComparison, _cloud: object) -> Iterator[Problem]:
    """Servers with several entries, and serial numbers of several servers."""
    by_server: dict[str, list[Entry]] = defaultdict(list)
    by_serial: dict[str, list[Compared]] = defaultdict(list)
    for each in comparison.results:
        by_server[each.server.id].append(each.entry)
        if each.entry.serial:
            by_serial[each.entry.serial.lower()].append(each)
    for id_, entries in sorted(by_server.items()):
        if len(entries) > 1:
            (server,) = comparison.servers_of(entries)
            yield Problem(
                f"The inventory has {len(entries):,} entries of it"
                f" ({_places(comparison, entries)})",
                Remedy("Remove all of them but one"),
                Resource("server", id_, server.name, server.project_id),
                _ids([server]),
            )
    for serial, results in sorted(by_serial.items()):
        if len({each.server.id for each in results}) < 2 or not _is_false(results):
            continue
        entries = [each.entry for each in results]
        yield Problem(
            f"{len(entries):,} entries of the inventory have the serial number {_short(serial)}"
            f" ({_places(comparison, entries)})",
            _CORRECT,
            Resource("serial", None, _short(serial)),
            _ids(comparison.servers_of(entries)),
        )


def _is_false(results: Sequence[Compared]) -> bool:
    """Return whether not all of several servers can have one serial number.

    Servers of one host share its identity. After a live migration those of several hosts may share
    it too: guests that have it show that.
    """
    found = {each.result for each in results}
    if Result.WRONG in found:
        return True
    hosts = {each.server.host for each in results}
    is_of_hosts = all(each.source in HOST_SOURCES for each in results)
    return found == {Result.UNKNOWN} and is_of_hosts and len(hosts) > 1


@Check("inventory-server-gone", Severity.LOW, rests_on=_NEEDS, sources=_SOURCES, all_projects=True)
def inventory_server_gone(comparison: InventoryComparison, _cloud: object) -> Iterator[Problem]:
    """Entries of servers that do not exist."""
    entries = list(comparison.gone)
    if entries:
        names = some([f"{_short(each.name or each.id or '')}" for each in entries])
        yield Problem(
            f"The inventory has {counted(len(entries), 'entry', 'entries')} of servers that do not"
            f" exist: {names} ({_places(comparison, entries)})",
            Remedy("Remove these entries, or export only the servers of this cloud"),
            _INVENTORY,
            entries=len(entries),
        )


@Check("inventory-server-missing", Severity.LOW, rests_on=_NEEDS, sources=_SOURCES)
def inventory_server_missing(comparison: InventoryComparison, _cloud: object) -> Iterator[Problem]:
    """Servers without an entry."""
    if missing := comparison.missing:
        command = "openstack unique serial export --as netbox --cluster CLUSTER"
        yield Problem(
            f"The inventory has no entry of {missing.counted}; it is {comparison.inventory.source}",
            Remedy(f"Add them; for NetBox: {command}", (command,)),
            _INVENTORY,
            missing,
        )


@Check(
    "inventory-not-compared",
    Severity.UNCHECKED,
    takes_away={Part.INVENTORY},
    sources=_SOURCES,
)
def inventory_not_compared(comparison: InventoryComparison, _cloud: object) -> Iterator[Problem]:
    """Entries that could not be compared."""
    for text, entries in _grouped(comparison, Result.UNKNOWN):
        servers = _ids(comparison.servers_of(entries))
        yield Problem(
            f"{servers.counted}: {text} ({_places(comparison, entries)})",
            about=_INVENTORY,
            servers=servers,
        )
    for entries, text in (
        *((each, f"{why}: add a column with the UUID") for why, each in comparison.unclear.items()),
        (list(comparison.unusable), "the entry has neither a UUID nor a name"),
    ):
        if entries:
            names = some([_short(each.name) for each in entries if each.name])
            where = _places(comparison, entries) + (names and f" ({names})")
            yield Problem(
                f"{where[:1].upper()}{where[1:]}: {text}", about=_INVENTORY, entries=len(entries)
            )
