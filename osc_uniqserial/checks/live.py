# SPDX-License-Identifier: Apache-2.0
"""Compares the policy of servers with live readings of their guests. Pure.

A reading that is not what the policy leads to has a cause, and the guests beside it tell
which. Nova makes a definition anew at each build, hard reboot, stop and start, resize and
migration, and writes the time into it. So where guests that were defined later are right, this
one waits for a restart; where only guests that were defined earlier are right, the host has
stopped to do it. A live migration makes no definition: the guest keeps the one of the host
that it came from. (Source: nova/virt/libvirt/driver.py, _get_guest_config_meta.)
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from osc_uniqserial import policy
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import Case, Sighting
from osc_uniqserial.model.finding import Remedy
from osc_uniqserial.model.guest import HostSeen, Reading, Seen, Unread
from osc_uniqserial.policy import (
    DecidedBy,
    EffectivePolicy,
    Evidence,
    HostInput,
    SerialSource,
    Setting,
)

#: Without a domain by their nature, or for the moment.
_WITHOUT_DOMAIN = frozenset({"BUILD", "ERROR", "DELETED", "SOFT_DELETED", "SHELVED_OFFLOADED"})
#: On two hosts at the same time, as long as it takes.
_MOVING = frozenset({"MIGRATING", "RESIZE", "VERIFY_RESIZE", "REVERT_RESIZE"})
_RESTART = Remedy(
    "openstack server reboot --hard SERVER", ("openstack server reboot --hard SERVER",)
)


class Kind(enum.Enum):
    """What a live serial number is.

    OWN: the server's UUID; HOST: an identity of a host, or, for all that is known, one;
    NONE: there is none; FOREIGN: what Nova never writes.
    """

    OWN = "own"
    HOST = "host"
    NONE = "none"
    FOREIGN = "foreign"


class Whose(enum.Enum):
    """Whose identity it is, where a guest has that of a host.

    ITS_HOSTS: what its host gives; OTHER: not that; EITHER: the hardware UUID of its host, where
    the machine ID is expected. The two may be the same, and are in a virtual machine
    (machine-id(5)); UNTOLD: nothing is known of it, or it is no host's
    """

    ITS_HOSTS = "its host's"
    OTHER = "other"
    EITHER = "either"
    UNTOLD = "untold"


_LIVE = {
    Kind.OWN: "its server's UUID",
    Kind.HOST: "the identity of a host",
    Kind.NONE: "no serial number",
    Kind.FOREIGN: "a serial number that Nova never writes",
}
_EXPECTED = {
    SerialSource.INSTANCE_UUID: "its server's UUID",
    SerialSource.ABSENT: "no serial number",
    SerialSource.UNKNOWN: "what is unknown",
    **dict.fromkeys(HOST_SOURCES, "its host's identity"),
}


class Cause(enum.Enum):
    """Why a reading is not what the policy leads to; the values are finding IDs."""

    PENDING = "pending-restart"
    NOT_HONOURED = "not-honoured"
    KEY_IGNORED = "key-ignored"
    CHANGED_BY_HAND = "changed-by-hand"
    WRONG_MODE = "wrong-host-mode"
    UNKNOWN = "expectation-unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """A server, the guest that it is, and what the policy says."""

    sighting: Sighting
    reading: Reading
    expected: EffectivePolicy
    kind: Kind
    whose: Whose

    @property
    def fits(self) -> bool:
        """Whether the guest has what the policy says."""
        known = self.whose not in (Whose.OTHER, Whose.EITHER)
        return _fits(self.expected.source, self.kind) and known

    @property
    def live(self) -> str:
        """What the guest has, in words."""
        if self.whose is Whose.OTHER:
            return "another identity than its host gives"
        return _LIVE[self.kind]

    @property
    def serial(self) -> str:
        """Its serial number, as it is compared with others."""
        return (self.reading.serial or "").lower()

    @property
    def misses_its_key(self) -> bool:
        """Whether it is as expected, but not as flavor or image ask."""
        return self.expected.requested is Setting.UNIQUE and self.kind is not Kind.OWN


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Why a server's reading is not what the policy leads to.

    :ivar text: what was seen, in words for people
    """

    server: Sighting
    cause: Cause
    text: str
    remedy: Remedy | None = None


@dataclasses.dataclass(slots=True)
class _Span:
    """When the first and the last definition of a kind were made."""

    first: str
    last: str

    def add(self, time: str) -> None:
        self.first, self.last = min(self.first, time), max(self.last, time)

    def since(self, time: str) -> str:
        """Return when it was so at the latest, for a definition of a time before."""
        return self.first if self.first > time else self.last


class Readings:
    """Live serial numbers, by server and by what they are."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        """Take in everything that the sources tell."""
        self.unread: list[Unread] = []
        #: Hosts whose guests were all read.
        self.hosts: set[str] = set()
        #: The hosts that a serial number is known to be the identity of.
        self.identities: dict[str, set[str]] = {}
        self._hardware: dict[str, str] = {}
        self._by_id: dict[str, list[Reading]] = {}
        self._owners: dict[str, set[str]] = defaultdict(set)
        for each in seen:
            if isinstance(each, Unread):
                self.unread.append(each)
            elif isinstance(each, HostSeen):
                self.hosts.add(each.host)
                for serial in each.identity:
                    self.identities.setdefault(serial, set()).add(each.host)
                    self._hardware[each.host] = serial
            else:
                self._by_id.setdefault(each.id, []).append(each)
                if each.serial:
                    self._owners[each.serial.lower()].add(each.id)

    def __iter__(self) -> Iterator[Reading]:
        """Yield one of each guest."""
        for readings in self._by_id.values():
            yield readings[0]

    def of(self, sighting: Sighting) -> Reading | None:
        """Return the reading of a server: where there are several, the one of its host."""
        found = self._by_id.get(sighting.id, ())
        # One that tells of no host is about the guest wherever it is.
        for host in (sighting.host, None):
            for each in found:
                if each.host == host:
                    return each
        return found[0] if found else None

    def with_serial(self, serial: str) -> Set[str]:
        """Return the guests that have a serial number."""
        return self._owners.get(serial, frozenset())

    def shared(self) -> Mapping[str, Set[str]]:
        """Return the serial numbers that several guests have, and which."""
        return {serial: owners for serial, owners in self._owners.items() if len(owners) > 1}

    def doubtful(self) -> Iterator[tuple[Reading, ...]]:
        """Yield guests that are on several hosts, or of which sources tell different things."""
        for readings in self._by_id.values():
            serials = {(each.serial or "").lower() for each in readings}
            if len(serials) > 1 or len({each.host for each in readings if each.host}) > 1:
                yield tuple(readings)

    def whose(self, reading: Reading, host: str | None, source: SerialSource) -> Whose:
        """Tell whose identity a serial number is, of which a host's is expected."""
        if source not in HOST_SOURCES:
            return Whose.UNTOLD
        serial = (reading.serial or "").lower()
        owners = self.identities.get(serial, ())
        if host in owners:
            if source is SerialSource.HOST_HARDWARE:
                return Whose.ITS_HOSTS
            return Whose.EITHER if source is SerialSource.HOST_OS else Whose.UNTOLD
        if owners or (source is SerialSource.HOST_HARDWARE and host in self._hardware):
            return Whose.OTHER
        return Whose.UNTOLD

    def kind(self, reading: Reading) -> Kind:
        """Tell what a serial number is."""
        if not reading.serial:
            return Kind.NONE
        serial = reading.serial.lower()
        if serial == reading.id:
            return Kind.OWN
        if serial in self.identities:
            return Kind.HOST
        if not _is_uuid(serial) or serial in self._by_id:
            # Nova writes UUIDs only, and never another server's.
            return Kind.FOREIGN
        return Kind.HOST


class Verification:
    """Compares servers with readings, and says what became of each.

    :ivar without_domain: servers that their host has no domain of, though it was read, and the
        host that has one instead
    :ivar unread: servers that no source told of
    :ivar complete: whether the servers of all projects were added
    """

    complete = False

    def __init__(self, readings: Readings) -> None:
        self.readings = readings
        self.without_domain: list[tuple[Sighting, str | None]] = []
        self.unread: list[Sighting] = []
        self._known: set[str] = set()
        self._moving: set[str] = set()
        self._changed: Set[str] = frozenset()
        self._policies: dict[Case, EffectivePolicy] = {}
        #: Guests that are right, by host and expected source; and when they were defined.
        self._fitting: Counter[tuple[str | None, SerialSource]] = Counter()
        self._right: dict[tuple[str | None, SerialSource], _Span] = {}
        self._wrong: list[Compared] = []
        #: Guests that have the identity of a host, as they should, by their server's host.
        self._of_hosts: dict[str, list[Compared]] = defaultdict(list)
        self._compared: set[str] = set()
        self._nowhere = 0
        self._apart = 0

    def __len__(self) -> int:
        """Return how many servers were seen."""
        return len(self._known)

    @property
    def compared(self) -> int:
        """How many servers have a reading, and should have something that is known."""
        return len(self._compared)

    @property
    def comparable(self) -> int:
        """How many servers have, or should have, a guest with something to compare."""
        return len(self._known) - self._nowhere - self._apart

    def add(self, servers: Iterable[Sighting]) -> None:
        """Compare servers with the readings."""
        for sighting in servers:
            self._known.add(sighting.id)
            if sighting.status in _MOVING:
                self._moving.add(sighting.id)
            if not sighting.case.host.smbios:
                # What other hypervisors do, and other architectures, is not ruled here.
                self._apart += 1
            elif reading := self.readings.of(sighting):
                if self._is_elsewhere(sighting, reading):
                    self.without_domain.append((sighting, reading.host))
                else:
                    self._compare(sighting, reading)
            else:
                self._without(sighting)

    def _is_elsewhere(self, sighting: Sighting, reading: Reading) -> bool:
        """Whether its host has no domain of it, and another one has."""
        return (
            reading.host not in (None, sighting.host)
            and sighting.host in self.readings.hosts
            and sighting.status not in _MOVING
        )

    def _compare(self, sighting: Sighting, reading: Reading) -> None:
        case = sighting.case
        expected = self._policies.get(case)
        if expected is None:
            expected = policy.resolve(case.flavor.used, case.image.used, case.host)
            self._policies[case] = expected
        kind, whose = self.readings.kind(reading), Whose.UNTOLD
        if kind is Kind.HOST:
            whose = self.readings.whose(reading, sighting.host, expected.source)
        compared = Compared(sighting, reading, expected, kind, whose)
        if expected.source is not SerialSource.UNKNOWN:
            self._compared.add(sighting.id)
        if not compared.fits or reading.persistent is not None or compared.misses_its_key:
            self._wrong.append(compared)
            return
        key = (sighting.host, expected.source)
        self._fitting[key] += 1
        if reading.generated:
            span = self._right.setdefault(key, _Span(reading.generated, reading.generated))
            span.add(reading.generated)
        if compared.kind is Kind.HOST and sighting.host:
            self._of_hosts[sighting.host].append(compared)

    def _without(self, sighting: Sighting) -> None:
        if not sighting.case.placed or sighting.status in _WITHOUT_DOMAIN:
            self._nowhere += 1
        elif sighting.host in self.readings.hosts:
            self.without_domain.append((sighting, None))
        else:
            self.unread.append(sighting)

    def doubtful(self) -> Iterator[tuple[Reading, ...]]:
        """Yield guests that are on several hosts, or of which sources tell different things.

        A server that moves is on two hosts until the move is over, or confirmed.
        """
        judged = self._known - self._moving - self._changed
        for readings in self.readings.doubtful():
            if readings[0].id in judged:
                yield readings

    def shared(self) -> Iterator[tuple[str, Set[str]]]:
        """Yield the serial numbers that several guests have, servers among them, and which."""
        for serial, owners in self.readings.shared().items():
            owners = owners - self._changed
            if len(owners) > 1 and not owners.isdisjoint(self._known):
                yield serial, owners

    def known(self, ids: Set[str]) -> Set[str]:
        """Return those that are servers, and have not changed meanwhile."""
        return (ids & self._known) - self._changed

    def unknown_domains(self) -> Iterator[Reading]:
        """Yield the guests that no server is."""
        for reading in self.readings:
            # Facts may be of machines that are no guests at all.
            is_domain = reading.name or reading.host
            if is_domain and reading.id not in self._known and reading.id not in self._changed:
                yield reading

    def exclude(self, changed: Set[str]) -> None:
        """Skip servers that changed after the guests were read."""
        self._changed = changed
        self._compared -= changed
        self._wrong = [each for each in self._wrong if each.sighting.id not in changed]
        self.without_domain = [each for each in self.without_domain if each[0].id not in changed]
        for host, guests in self._of_hosts.items():
            self._of_hosts[host] = [each for each in guests if each.sighting.id not in changed]

    def coverage(self, gaps: Iterable[int]) -> str:
        """Return how many servers were compared, in one line.

        :param gaps: how many servers Nova did not tell of, about
        """
        missing = sum(gaps)
        about = "about " if missing else ""
        total = self.comparable + missing
        text = f"{self.compared:,} of {about}{total:,} servers compared"
        if self._nowhere:
            text += f"; {self._nowhere:,} on no host"
        if self._apart:
            text += f"; {self._apart:,} on hosts without SMBIOS serial numbers"
        if self.unread:
            text += f"; {len(self.unread):,} that no source told of"
        if changed := len(self._known & self._changed):
            text += f"; {changed:,} changed meanwhile"
        return text

    # --- verdicts -------------------------------------------------------

    @functools.cached_property
    def verdicts(self) -> Sequence[Verdict]:
        """The servers whose guests are not as they should be, once all servers were added."""
        return tuple(self._verdicts())

    def _verdicts(self) -> Iterator[Verdict]:
        for compared in self._wrong:
            yield self._verdict(compared)
        for host, guests in self._of_hosts.items():
            yield from self._of_several_hosts(host, guests)

    def _verdict(self, about: Compared) -> Verdict:
        if about.kind is Kind.HOST and about.serial in self._known:
            # It is another server's UUID, of which no source told.
            about = dataclasses.replace(about, kind=Kind.FOREIGN, whose=Whose.UNTOLD)
        unknown = about.expected.source is SerialSource.UNKNOWN
        host = about.sighting.case.host
        if about.reading.persistent is not None:
            return _by_hand(about)
        if about.kind is Kind.FOREIGN and not (unknown and about.sighting.on is None):
            return _by_hand(about)
        if about.misses_its_key and (about.fits or (unknown and _is_told(about.sighting))):
            return _ignored(about)
        if unknown:
            return _unknown(about)
        if about.whose is Whose.EITHER:
            return Verdict(
                about.sighting,
                Cause.UNKNOWN,
                "the guest has the hardware UUID of its host, where its machine ID is expected:"
                " nothing tells whether the two are the same",
            )
        should = _EXPECTED[about.expected.source]
        home = self._home(about.serial) if about.kind is Kind.HOST else None
        if home not in (None, about.sighting.host):
            return _pending(about.sighting, f"the identity of host {home}, and gets {should}")
        key = (about.sighting.host, about.expected.source)
        right, fitting = self._right.get(key), self._fitting[key]
        made = about.reading.generated
        if made and right and made < right.last:
            since = f"guests of its host get that since {right.since(made)} UTC at the latest"
            return _pending(about.sighting, f"{about.live}, and gets {should}", since)
        if fitting and not (made and right):
            since = "other guests of its host have that; when each was defined is not told"
            return _pending(about.sighting, f"{about.live}, and gets {should}", since)
        # A host's identity is what the key asks for, whichever one the mode gives.
        by_key = about.expected.decided_by in (DecidedBy.FLAVOR, DecidedBy.IMAGE)
        promise = _promise(about.expected, host)
        if (by_key and about.whose is not Whose.OTHER) or promise:
            more = "" if fitting else "; no guest of this host shows that it honours the keys"
            return Verdict(
                about.sighting,
                Cause.NOT_HONOURED,
                f"{promise or 'the traits of the host promise'} {should}, but the guest has"
                f" {about.live}{more}",
                Remedy(
                    "Install nova-uniqserial's compute driver on the host again and restart"
                    f" nova-compute, then {_RESTART}; or take back what promises it"
                ),
            )
        if not fitting and host.honours and host.mode_evidence is Evidence.TRAIT:
            # The driver tells the mode that it runs with: guests have not followed yet.
            return _pending(about.sighting, f"{about.live}, and gets {should}")
        return Verdict(
            about.sighting,
            Cause.WRONG_MODE,
            f"the host is taken for mode {host.mode.value if host.mode else 'unknown'}, which"
            f" gives {should}, but the guest has {about.live}",
            Remedy("Correct what declares the mode: provider.yaml, or --host-mode"),
        )

    def _of_several_hosts(self, host: str, guests: list[Compared]) -> Iterator[Verdict]:
        """Yield guests of a host that do not all show the same identity.

        Some came by live migration, or the host's identity has changed. When they were defined
        does not tell which: one that came may have been defined later than all others.
        """
        by_serial: dict[str, list[Compared]] = defaultdict(list)
        for guest in guests:
            if guest.serial in self._known:
                yield self._verdict(guest)
            else:
                by_serial[guest.serial].append(guest)
        left = []
        for serial, members in by_serial.items():
            home = self._home(serial)
            if home in (None, host):
                left.append(members)
                continue
            for guest in members if len(by_serial) > 1 else ():
                what = f"the identity of host {home}, and gets that of its own host"
                yield _pending(guest.sighting, what)
        if len(left) > 1:
            text = (
                f"guests of this host have {len(left)} identities of hosts, and it gives one of"
                " them: some came by live migration, or have not been restarted since it changed"
            )
            for guest in (guest for members in left for guest in members):
                yield Verdict(guest.sighting, Cause.UNKNOWN, text)

    def _home(self, serial: str) -> str | None:
        """Return the host whose identity this is; None when that is not clear.

        A host whose guests all show it, and more of them than there are elsewhere.
        """
        if known := self.readings.identities.get(serial):
            return next(iter(known)) if len(known) == 1 else None
        counts = self._homes.get(serial, Counter[str]()).most_common(2)
        if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
            return None
        host = counts[0][0]
        return host if {guest.serial for guest in self._of_hosts[host]} == {serial} else None

    @functools.cached_property
    def _homes(self) -> Mapping[str, Counter[str]]:
        """How many guests on which hosts show an identity."""
        homes: dict[str, Counter[str]] = defaultdict(Counter)
        for host, guests in self._of_hosts.items():
            for guest in guests:
                homes[guest.serial][host] += 1
        return homes


def _is_told(sighting: Sighting) -> bool:
    """Whether a host could have said that it honours the keys."""
    evidence = sighting.case.host.honours_evidence
    return sighting.on is not None and evidence is not Evidence.UNREADABLE


def _unknown(about: Compared) -> Verdict:
    asks = f", where {_EXPECTED[SerialSource.INSTANCE_UUID]} is asked for"
    return Verdict(
        about.sighting,
        Cause.UNKNOWN,
        f"the guest has {_LIVE[about.kind]}{asks if about.misses_its_key else ''}; what it should"
        " have is unknown (openstack unique serial show SERVER tells why)",
    )


def _pending(sighting: Sighting, what: str, since: str = "") -> Verdict:
    text = f"the guest has {what} when it is next started{since and '; '}{since}"
    return Verdict(sighting, Cause.PENDING, text, _RESTART)


def _by_hand(about: Compared) -> Verdict:
    if about.reading.persistent is not None:
        text = (
            "the definition in libvirt has another serial number than the guest runs with; it"
            " counts when the guest is next started outside of Nova"
        )
    else:
        text = f"the guest has {_LIVE[about.kind]}"
        if about.expected.source is not SerialSource.UNKNOWN:
            text += f" instead of {_EXPECTED[about.expected.source]}"
    return Verdict(about.sighting, Cause.CHANGED_BY_HAND, text, _RESTART)


def _ignored(about: Compared) -> Verdict:
    told = "does not honour the keys" if about.fits else "tells nothing of itself"
    return Verdict(
        about.sighting,
        Cause.KEY_IGNORED,
        f"flavor or image ask for {_EXPECTED[SerialSource.INSTANCE_UUID]}, the guest has"
        f" {_LIVE[about.kind]}: the host {told}",
        Remedy(
            "Install nova-uniqserial's compute driver on the host, or move the servers to hosts"
            " that have it (openstack unique serial host list)"
        ),
    )


def _promise(expected: EffectivePolicy, host: HostInput) -> str | None:
    """Return who promises a unique serial number where mode and driver are not known."""
    if expected.requested is not Setting.UNIQUE or host.mode is not None:
        return None
    if host.meets_unique_evidence is Evidence.DECLARED:
        return "a host aggregate declares that the guest gets"
    if host.meets_unique_evidence is Evidence.REQUIRED_TRAIT:
        return "the trait by which it was placed promises"
    return None


def _fits(source: SerialSource, kind: Kind) -> bool:
    if source is SerialSource.INSTANCE_UUID:
        return kind is Kind.OWN
    if source in HOST_SOURCES:
        return kind is Kind.HOST
    return source is SerialSource.ABSENT and kind is Kind.NONE


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


# --- one server -------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class LiveSerial:
    """The serial number of one guest, compared with its policy.

    :ivar serial: None when it has none, or when it could not be read
    :ivar matches: whether that is what the policy says; None: unknown
    :ivar why: in words for people
    """

    serial: str | None
    matches: bool | None
    why: str


def of_one(expected: EffectivePolicy, host: str | None, seen: Iterable[Seen]) -> LiveSerial:
    """Compare one server with what a source tells of it alone.

    :param host: the server's

    Why it differs is told by the guests beside it, which nobody looked at here.
    """
    readings = Readings(seen)
    reading = next(iter(readings), None)
    if reading is None:
        told = [f"The guest could not be read: {each.reason}." for each in readings.unread]
        return LiveSerial(None, None, " ".join(told) or "Libvirt has no domain of it there.")
    kind, whose = readings.kind(reading), Whose.UNTOLD
    if kind is Kind.HOST:
        whose = readings.whose(reading, host, expected.source)
    text = f"The guest has {_LIVE[kind]}"
    matches: bool | None = None
    if expected.source is SerialSource.UNKNOWN:
        # What Nova never writes is wrong whatever is expected.
        matches = False if kind is Kind.FOREIGN else None
        text += "; what it should have is unknown."
    elif whose is Whose.EITHER:
        text = (
            "The guest has the hardware UUID of its host, where its machine ID is expected:"
            " nothing tells whether the two are the same."
        )
    elif whose is Whose.OTHER or not _fits(expected.source, kind):
        matches = False
        other = "another host" if whose is Whose.OTHER else "a host"
        text = (
            f"The guest has {_LIVE[kind].replace('a host', other)} instead of"
            f" {_EXPECTED[expected.source]}: 'openstack unique serial verify' with all guests of"
            " the host tells whether it waits for a restart."
        )
    else:
        matches = True
        text += ", as it should."
    if reading.persistent is not None:
        text += (
            " Its definition in libvirt has another one, which counts when it is started outside"
            " of Nova."
        )
    return LiveSerial(reading.serial or None, matches, text)
