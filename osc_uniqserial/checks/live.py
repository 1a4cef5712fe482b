# SPDX-License-Identifier: Apache-2.0
"""Comparison of the policy of servers with live readings of their guests. Pure.

The cause of a wrong reading follows from the other guests of the host. Nova generates a guest's
XML at each build, hard reboot, stop and start, resize and cold migration, and writes the time
into it. If guests with later XML are correct, the guest is pending a restart. If only guests with
earlier XML are correct, the host no longer applies the policy. If no guest of the host is correct,
all of them may be pending a restart. A live migration generates no XML: the guest keeps the serial
number of its source host. (Source: nova/virt/libvirt/driver.py, _get_guest_config_meta.)

A UUID is taken for the identity of a host if libvirt reports it, or if guests of one host share it.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from osc_uniqserial.checks.servers import ASK, OBEY
from osc_uniqserial.effective.explanation import HOST_SOURCES, NOT_OBEYED, is_changed_by_request
from osc_uniqserial.model.cloud import Case, ServerFacts
from osc_uniqserial.model.finding import Remedy
from osc_uniqserial.model.guest import HostSeen, Reading, Seen, Unread
from osc_uniqserial.policy import (
    DecidedBy,
    EffectivePolicy,
    Evidence,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
)

#: Statuses of servers that may have no domain.
_WITHOUT_DOMAIN = frozenset({"BUILD", "ERROR", "DELETED", "SOFT_DELETED", "SHELVED_OFFLOADED"})
#: Statuses of servers that may have domains on two hosts.
_MOVING = frozenset({"MIGRATING", "RESIZE", "VERIFY_RESIZE", "REVERT_RESIZE"})
_RESTART = Remedy(
    "openstack server reboot --hard SERVER", ("openstack server reboot --hard SERVER",)
)

_READ_IT = Remedy("Read the serial number in the guest as root, or in libvirt (--libvirt-uri)")


def _try_one(otherwise: str) -> Remedy:
    """Return the remedy that shows by one restart what the host gives now.

    :param otherwise: what to do where that restart does not help
    """
    return Remedy(
        "openstack server reboot --hard SERVER, for one of the servers, and verify it again. If its"
        f" serial number is still wrong, {otherwise}",
        ("openstack server reboot --hard SERVER",),
    )


_WRONG_MODE = _try_one("correct the declaration of the mode: provider.yaml, or --host-mode")
#: Where no guest of the host shows what the host gives: one restart does.
_TRY_ONE = _try_one(
    "or if it was restarted since the driver or the mode was installed, the host does not do what"
    " it declares: check compute_driver and [libvirt]sysinfo_serial on the host, and its"
    " provider.yaml"
)
_NOT_HONOURED = _try_one(
    "install nova-uniqserial's compute driver on the host again and restart nova-compute, or remove"
    " the promise"
)
#: Nova returns no time for metadata.
_NO_TIME = "the request in its metadata may have been set or removed since it was last started"


class Kind(enum.Enum):
    """Kind of a live serial number.

    OWN: the server's UUID; HOST: the identity of a host; UUID: another UUID, of which nothing shows
    whether it is the identity of a host; NONE: no serial number; FOREIGN: a value that Nova never
    writes.
    """

    OWN = "own"
    HOST = "host"
    UUID = "uuid"
    NONE = "none"
    FOREIGN = "foreign"


class Whose(enum.Enum):
    """Owner of the host identity that a guest has.

    ITS_HOSTS: the guest's host; OTHER: another host; EITHER: the guest has the hardware UUID of
    its host where the machine ID is expected. The two are equal in most virtual machines
    (machine-id(5)); UNKNOWN: the owner is unknown, or the serial number is not a host's.
    """

    ITS_HOSTS = "its host's"
    OTHER = "other"
    EITHER = "either"
    UNKNOWN = "unknown"


_LIVE = {
    Kind.OWN: "its server's UUID",
    Kind.HOST: "the identity of a host",
    Kind.UUID: "a UUID that is not its server's",
    Kind.NONE: "no serial number",
    Kind.FOREIGN: "a serial number that Nova never writes",
}


def _live(kind: Kind, whose: Whose) -> str:
    if whose is Whose.OTHER:
        known = kind is Kind.HOST
        return "the identity of another host" if known else "another UUID than its host gives"
    return _LIVE[kind]


_HARDWARE_OR_OS = (
    "the hardware UUID of its host, where its machine ID is expected: whether the two are the same"
    " is unknown"
)
_NO_SMBIOS = (
    "where Nova writes none for the hypervisor and the architecture: the architecture of its image"
    " or its volume may have changed since the guest was built"
)
#: The expected serial number of a guest, by its source.
EXPECTED = {
    SerialSource.INSTANCE_UUID: "its server's UUID",
    SerialSource.ABSENT: "no serial number",
    **dict.fromkeys(HOST_SOURCES, "its host's identity"),
}
_MAY_BE_HOSTS = frozenset({Kind.HOST, Kind.UUID})
_FITTING = {
    SerialSource.INSTANCE_UUID: frozenset({Kind.OWN}),
    SerialSource.ABSENT: frozenset({Kind.NONE}),
    SerialSource.UNKNOWN: frozenset[Kind](),
    **dict.fromkeys(HOST_SOURCES, _MAY_BE_HOSTS),
}


class Cause(enum.Enum):
    """Cause of a reading that the policy does not explain; the values are finding IDs."""

    PENDING = "pending-restart"
    NOT_HONOURED = "not-honoured"
    KEY_IGNORED = "key-ignored"
    CHANGED_BY_HAND = "changed-by-hand"
    WRONG_MODE = "wrong-host-mode"
    UNEXPLAINED = "serial-unexplained"
    UNKNOWN = "expectation-unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """A server with the reading of its guest and its effective policy."""

    server: ServerFacts
    reading: Reading
    expected: EffectivePolicy
    kind: Kind
    whose: Whose

    @property
    def fits(self) -> bool:
        """Whether the live serial number is the expected one."""
        possible = self.whose not in (Whose.OTHER, Whose.EITHER)
        return possible and self.kind in _FITTING[self.expected.source]

    @property
    def live(self) -> str:
        """Description of the live serial number."""
        return _live(self.kind, self.whose)

    @property
    def serial(self) -> str:
        """The live serial number, normalised for comparison."""
        return _serial(self.reading)

    @property
    def ignores_request(self) -> bool:
        """Whether unique is requested and the guest does not have its UUID."""
        return self.expected.requested is Setting.UNIQUE and self.kind is not Kind.OWN


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The cause of a server's wrong reading.

    :ivar text: the evidence
    """

    server: ServerFacts
    cause: Cause
    text: str
    remedy: Remedy | None = None


class Readings:
    """The readings of all sources, by server and by serial number."""

    def __init__(self, seen: Iterable[Seen]) -> None:
        """Read all sources."""
        self.unread: list[Unread] = []
        #: Hosts whose guests were all read.
        self.hosts: set[str] = set()
        #: Hosts by known identity.
        self.identities: dict[str, set[str]] = {}
        self._hardware: dict[str, str] = {}
        self._by_id: dict[str, list[Reading]] = {}
        #: IDs of guests by serial number.
        self.owners: dict[str, set[str]] = defaultdict(set)
        for each in seen:
            if isinstance(each, Unread):
                self.unread.append(each)
            elif isinstance(each, HostSeen):
                self.hosts.add(each.host)
                for serial in each.identity:
                    self.identities.setdefault(serial, set()).add(each.host)
                    self._hardware[each.host] = serial
            else:
                found = self._by_id.setdefault(each.id, [])
                if not each.is_domain:
                    # Facts may be a log: of several lines about a guest the last one counts.
                    found[:] = (old for old in found if old.is_domain or old.source != each.source)
                found.append(each)
        #: IDs of facts by their ID in the other byte order.
        self.swapped = {
            found[0].swapped_id: id_
            for id_, found in self._by_id.items()
            if not any(each.is_domain for each in found)
        }
        for reading in itertools.chain.from_iterable(self._by_id.values()):
            if serial := _serial(reading):
                self.owners[serial].add(reading.id)

    def swap(self, id_: str) -> None:
        """Take the facts about the ID in the other byte order for facts about this one."""
        other = self.swapped[id_]
        for each in self._by_id.pop(other):
            self._by_id.setdefault(id_, []).append(dataclasses.replace(each, id=id_))
            if serial := _serial(each):
                self.owners[serial] -= {other}
                self.owners[serial].add(id_)

    def __iter__(self) -> Iterator[Reading]:
        """Yield one reading of each guest."""
        for readings in self._by_id.values():
            yield readings[0]

    def of(self, server: ServerFacts) -> Reading | None:
        """Return the reading of a server.

        Of several, best first: one from its host, one without a host (from a file), others; the
        latest definition; one with a serial number; the last one that was given.
        """
        found = self._by_id.get(server.id)
        if not found or len(found) == 1:
            return found[0] if found else None

        def rank(numbered: tuple[int, Reading]) -> tuple[int, str, bool, int]:
            number, each = numbered
            where = 2 if each.host == server.host else 1 if each.host is None else 0
            return where, each.generated or "", each.serial is not None, number

        return max(enumerate(found), key=rank)[1]

    def doubtful(self) -> Iterator[tuple[Reading, ...]]:
        """Yield the readings of guests on several hosts, or with different serial numbers."""
        for every in self._by_id.values():
            # A fact without a serial number: the agent may be unable to read it.
            readings = tuple(each for each in every if each.is_domain or each.serial is not None)
            serials = {_serial(each) for each in readings}
            if len(serials) > 1 or len({each.host for each in readings if each.host}) > 1:
                yield readings

    def classify(
        self, reading: Reading, host: str | None, source: SerialSource
    ) -> tuple[Kind, Whose]:
        """Return the kind of a live serial number, and the owner of a host's identity.

        :param host: the server's host
        :param source: the expected serial source
        """
        serial = _serial(reading)
        if not serial:
            return Kind.NONE, Whose.UNKNOWN
        if serial == reading.id:
            return Kind.OWN, Whose.UNKNOWN
        # Nova only writes UUIDs, and never that of another server.
        if serial not in self.identities and (serial in self._by_id or not _is_uuid(serial)):
            return Kind.FOREIGN, Whose.UNKNOWN
        kind = Kind.HOST if serial in self.identities else Kind.UUID
        return kind, self._whose(serial, host, source)

    def _whose(self, serial: str, host: str | None, source: SerialSource) -> Whose:
        if source not in HOST_SOURCES:
            return Whose.UNKNOWN
        owners = self.identities.get(serial, ())
        if host in owners:
            if source is SerialSource.HOST_HARDWARE:
                return Whose.ITS_HOSTS
            return Whose.EITHER if source is SerialSource.HOST_OS else Whose.UNKNOWN
        if owners or (source is SerialSource.HOST_HARDWARE and host in self._hardware):
            return Whose.OTHER
        return Whose.UNKNOWN


class Verification:
    """Comparison of servers with readings.

    :ivar without_domain: servers without a domain on their host, whose guests were all read, and
        the host that has the domain instead
    :ivar unread: servers without a reading, or with a fact that has no serial number only, and
        the reason in the fact
    :ivar complete: whether the servers of all projects were added
    """

    complete = False

    def __init__(self, readings: Readings) -> None:
        self.readings = readings
        self.without_domain: list[tuple[ServerFacts, str | None]] = []
        self.unread: list[tuple[ServerFacts, str]] = []
        #: Servers with facts in the other byte order.
        self._swapped: list[ServerFacts] = []
        self._known: set[str] = set()
        self._moving: set[str] = set()
        self._changed: Set[str] = frozenset()
        self._policies: dict[Case, EffectivePolicy] = {}
        #: Modes of the hosts of all servers.
        self._modes: set[HostMode | None] = set()
        #: Number of correct guests by host and expected source.
        self._fitting: Counter[tuple[str | None, SerialSource]] = Counter()
        #: The times of their first and last XML.
        self._right: dict[tuple[str | None, SerialSource], tuple[str, str]] = {}
        self._wrong: list[Compared] = []
        #: Correct guests with what may be the identity of a host, by the server's host.
        self._of_hosts: dict[str, list[Compared]] = defaultdict(list)
        #: Number of guests by such a serial number and the server's host.
        self._holders: Counter[tuple[str, str | None]] = Counter()
        self._compared: set[str] = set()
        self._nowhere = 0
        self._without_smbios = 0

    def __len__(self) -> int:
        """Return the number of servers."""
        return len(self._known)

    @property
    def compared(self) -> int:
        """Number of servers with a reading and a known serial source."""
        return len(self._compared)

    @property
    def comparable(self) -> int:
        """Number of servers that should have a guest with a serial number."""
        return len(self._known) - self._nowhere - self._without_smbios

    def add(self, servers: Iterable[ServerFacts]) -> None:
        """Compare servers with the readings."""
        for server in servers:
            if server.id in self._known:
                continue
            self._known.add(server.id)
            self._modes.add(server.case.host.mode)
            if server.status in _MOVING:
                self._moving.add(server.id)
            if server.id in self.readings.swapped:
                self._swapped.append(server)
            else:
                self._add(server)

    def settle(self) -> None:
        """Compare the servers that had to wait until all servers were known.

        A fact in the other byte order is about a server when no server has its ID as it is.
        """
        for server in self._swapped:
            if self.readings.swapped[server.id] not in self._known:
                self.readings.swap(server.id)
            self._add(server)
        self._swapped.clear()

    def _add(self, server: ServerFacts) -> None:
        was_read = server.host in self.readings.hosts
        reading = self.readings.of(server)
        if not server.case.host.smbios and not _has_serial(server, reading):
            # Nova writes no serial number with other hypervisors and architectures.
            self._without_smbios += 1
        elif reading:
            elsewhere = was_read and reading.host not in (None, server.host)
            if elsewhere and server.status not in _MOVING:
                self.without_domain.append((server, reading.host))
            else:
                self._compare(server, reading)
        elif not server.case.placed or server.status in _WITHOUT_DOMAIN:
            self._nowhere += 1
        elif was_read:
            self.without_domain.append((server, None))
        else:
            self.unread.append((server, ""))

    def _compare(self, server: ServerFacts, reading: Reading) -> None:
        case = server.case
        expected = self._policies.get(case)
        if expected is None:
            expected = case.resolve()
            self._policies[case] = expected
        kind, whose = self.readings.classify(reading, server.host, expected.source)
        if (
            kind is Kind.NONE
            and not reading.is_domain
            and not (
                # What a guest without a serial number reads.
                reading.serial == "" and kind in _FITTING[expected.source]
            )
        ):
            # The agent may be unable to read it: without root, or on Windows.
            self.unread.append((server, reading.why))
            return
        compared = Compared(server, reading, expected, kind, whose)
        if expected.source is not SerialSource.UNKNOWN:
            self._compared.add(server.id)
        if kind in _MAY_BE_HOSTS and server.host:
            self._holders[compared.serial, server.host] += 1
        if not compared.fits or reading.persistent is not None or compared.ignores_request:
            self._wrong.append(compared)
            return
        if not server.host:
            # Servers whose host is hidden may be on different ones.
            return
        key = (server.host, expected.source)
        self._fitting[key] += 1
        if time := reading.generated:
            first, last = self._right.get(key, (time, time))
            self._right[key] = min(first, time), max(last, time)
        if kind in _MAY_BE_HOSTS:
            self._of_hosts[server.host].append(compared)

    def doubtful(self) -> Iterator[tuple[Reading, ...]]:
        """Yield the readings of guests on several hosts, or with different serial numbers.

        Servers that are moving are skipped: they have domains on two hosts.
        """
        stable = self._known - self._moving - self._changed
        return (each for each in self.readings.doubtful() if each[0].id in stable)

    def shared(self) -> Iterator[tuple[str, Set[str]]]:
        """Yield serial numbers of several guests, at least one of a known server, and their IDs."""
        for serial, owners in self.readings.owners.items():
            if len(owners) > 1:
                owners = owners - self._changed
                if len(owners) > 1 and not owners.isdisjoint(self._known):
                    yield serial, owners

    def known(self, ids: Set[str]) -> Set[str]:
        """Return the IDs of servers that have not changed since the guests were read."""
        return (ids & self._known) - self._changed

    def unknown(self) -> Iterator[Reading]:
        """Yield the readings of domains and facts without a server."""
        for reading in self.readings:
            if reading.id not in self._known and reading.id not in self._changed:
                yield reading

    def exclude(self, changed: Set[str]) -> None:
        """Skip servers that changed after the guests were read."""
        self.settle()
        self._changed = changed
        self._compared -= changed
        self._wrong = [each for each in self._wrong if each.server.id not in changed]
        self.without_domain = [each for each in self.without_domain if each[0].id not in changed]
        for host, guests in self._of_hosts.items():
            self._of_hosts[host] = [each for each in guests if each.server.id not in changed]

    def coverage(self, gaps: Iterable[int]) -> str:
        """Return the number of compared servers, in one line.

        :param gaps: approximate numbers of servers that could not be read
        """
        missing = sum(gaps)
        about = "about " if missing else ""
        total = self.comparable + missing
        text = f"{self.compared:,} of {about}{total:,} servers compared"
        if self._nowhere:
            text += f"; {self._nowhere:,} on no host"
        if self._without_smbios:
            text += f"; {self._without_smbios:,} on hosts without SMBIOS serial numbers"
        if self.unread:
            text += f"; {len(self.unread):,} that no source has"
        if changed := len(self._known & self._changed):
            text += f"; {changed:,} changed meanwhile"
        return text

    @functools.cached_property
    def verdicts(self) -> Sequence[Verdict]:
        """The servers with wrong readings; valid after all servers were added."""
        found = [self._verdict(compared) for compared in self._wrong]
        for host, guests in self._of_hosts.items():
            found += self._of_several_hosts(host, guests)
        return found

    def _verdict(self, about: Compared) -> Verdict:
        if about.kind in _MAY_BE_HOSTS and about.serial in self._known:
            # The UUID of another server that has no reading.
            about = dataclasses.replace(about, kind=Kind.FOREIGN, whose=Whose.UNKNOWN)
        elif about.kind is Kind.UUID and about.serial in self._shared_on_a_host:
            about = dataclasses.replace(about, kind=Kind.HOST)
        if not about.server.case.host.smbios:
            return Verdict(about.server, Cause.UNKNOWN, f"the guest has {about.live}, {_NO_SMBIOS}")
        unknown = about.expected.source is SerialSource.UNKNOWN
        if about.reading.persistent is not None:
            return _by_hand(about)
        if about.kind is Kind.FOREIGN and not (unknown and about.server.on is None):
            is_word = not about.reading.is_domain and not _is_uuid(about.serial)
            return _odd_word(about) if is_word else _by_hand(about)
        if about.ignores_request and (about.fits or (unknown and _has_traits(about.server))):
            return _ignored(about)
        if unknown:
            return _unknown(about)
        if about.whose is Whose.EITHER:
            return Verdict(about.server, Cause.UNKNOWN, f"the guest has {_HARDWARE_OR_OS}")
        should = EXPECTED[about.expected.source]
        home = self._home(about.serial) if about.kind in _MAY_BE_HOSTS else None
        if home not in (None, about.server.host):
            return _pending(about, f"the identity of host {home}, and gets {should}")
        return self._by_the_others(about, should)

    def _by_the_others(self, about: Compared, should: str) -> Verdict:
        """Return what the other guests of the host show about a wrong serial number."""
        key = (about.server.host, about.expected.source)
        times, fitting = self._right.get(key), self._fitting[key]
        generated = about.reading.generated
        since = ""
        if generated and times:
            around = times[0] <= generated < times[1]
            by_hand = around and not self._may_give_none and not _may_be_new(about)
            if about.kind is Kind.NONE and by_hand:
                return _by_hand(about)
            if generated < times[1]:
                earliest = times[0] if times[0] > generated else times[1]
                since = f"guests of its host get that since {earliest} UTC at the latest"
        elif fitting:
            since = "other guests of its host have that; which was defined first is unknown"
        if about.kind is Kind.UUID and not _may_be_new(about):
            return _unexplained(about, should, may_wait=bool(since) or not fitting)
        if since:
            return _pending(about, f"{about.live}, and gets {should}", since)
        placed = about.ignores_request and about.server.case.is_bound_to_unique
        if not fitting and not placed:
            return _unproven(about, should)
        if _may_be_new(about):
            return _pending(about, f"{about.live}, and gets {should}", _NO_TIME)
        # Any host's identity meets a request for host: the mode decides which one it is.
        by_key = about.expected.decided_by in (DecidedBy.FLAVOR, DecidedBy.IMAGE)
        host = about.server.case.host
        promise = _promise(about.expected, host, placed=placed)
        earlier = (
            "; only guests that were defined earlier have that, or that came by live migration"
            if fitting
            else ""
        )
        if (by_key and about.whose is not Whose.OTHER) or promise:
            return Verdict(
                about.server,
                Cause.NOT_HONOURED,
                f"{promise or 'the traits of the host promise'} {should}, but the guest has"
                f" {about.live}{earlier}",
                _keep(about) if about.kind is Kind.OWN else _NOT_HONOURED,
            )
        return Verdict(
            about.server,
            Cause.WRONG_MODE,
            f"the host is taken for mode {host.mode.value if host.mode else 'unknown'}, which"
            f" gives {should}, but the guest has {about.live}{earlier}",
            _keep(about) if about.kind is Kind.OWN else _WRONG_MODE,
        )

    @functools.cached_property
    def _shared_on_a_host(self) -> Set[str]:
        """Serial numbers that several guests of one host have."""
        return {serial for (serial, _host), guests in self._holders.items() if guests > 1}

    @functools.cached_property
    def _may_give_none(self) -> bool:
        """Whether a guest without a serial number may come from a host of these servers."""
        return not self._modes.isdisjoint((None, HostMode.NONE))

    def _of_several_hosts(self, host: str, guests: list[Compared]) -> Iterator[Verdict]:
        """Yield verdicts on guests of one host that have different host identities.

        Some guests were live migrated to the host, or the host's identity has changed. The time
        of the XML does not decide: a migrated guest may have the newest XML.
        """
        by_serial: dict[str, list[Compared]] = defaultdict(list)
        for guest in guests:
            if guest.serial in self._known:
                yield self._verdict(guest)
            else:
                by_serial[guest.serial].append(guest)
        possible = []
        for serial, members in by_serial.items():
            home = self._home(serial)
            if home in (None, host):
                possible.append(members)
                continue
            for guest in members if len(by_serial) > 1 else ():
                what = f"the identity of host {home}, and gets that of its own host"
                yield _pending(guest, what)
        if len(possible) > 1:
            text = (
                f"guests of this host have {len(possible)} UUIDs that are not their servers', and"
                " the host gives one of them: some guests were live migrated, were changed by"
                " hand, or have not been restarted since the identity of the host changed"
            )
            for guest in (guest for members in possible for guest in members):
                yield Verdict(guest.server, Cause.UNKNOWN, text)

    def _home(self, serial: str) -> str | None:
        """Return the host with an identity; None when it is ambiguous.

        Without a known owner, the host is the one with most guests of the identity, if all its
        guests have it.
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
        """Number of guests with an identity, by identity and host."""
        homes: dict[str, Counter[str]] = defaultdict(Counter)
        for host, guests in self._of_hosts.items():
            for guest in guests:
                homes[guest.serial][host] += 1
        return homes


def _has_serial(server: ServerFacts, reading: Reading | None) -> bool:
    """Return whether a domain of libvirt has a serial number that is not expected at all."""
    on_libvirt = server.on is None or server.on.hypervisor.is_libvirt_qemu
    return on_libvirt and reading is not None and reading.is_domain and bool(reading.serial)


def _has_traits(server: ServerFacts) -> bool:
    """Return whether the traits were read that declare whether the host honours the keys."""
    evidence = server.case.host.honours_evidence
    return server.on is not None and evidence is not Evidence.UNREADABLE


def _unknown(about: Compared) -> Verdict:
    asks = f", where {EXPECTED[SerialSource.INSTANCE_UUID]} is asked for"
    return Verdict(
        about.server,
        Cause.UNKNOWN,
        f"the guest has {_LIVE[about.kind]}{asks if about.ignores_request else ''}; what it should"
        " have is unknown (openstack unique serial show SERVER shows the reason)",
    )


def _keep(about: Compared) -> Remedy:
    """Return the remedy of a guest that loses its UUID when it is next started.

    A licence may be bound to it.
    """
    otherwise = (
        "before the server is next started. Otherwise choose the time of the change: a hard reboot"
        " applies it"
    )
    host = about.server.case.host
    if host.server_may_ask:
        return Remedy(f"To keep the UUID, run {ASK} {otherwise}", (ASK,))
    resize = "resize it to another flavor made with --unique-serial (openstack server resize)"
    mode = "set [libvirt]sysinfo_serial = unique on the host and restart nova-compute"
    if about.expected.decided_by is not DecidedBy.HOST:
        how = resize
    elif host.honours:
        how = f"{mode}, or {resize}"
    else:
        how = mode
    return Remedy(f"To keep the UUID, {how}, {otherwise}")


def _pending(about: Compared, what: str, since: str = "") -> Verdict:
    text = f"the guest has {what} when it is next started{since and '; '}{since}"
    remedy = _keep(about) if about.kind is Kind.OWN else _RESTART
    return Verdict(about.server, Cause.PENDING, text, remedy)


def _may_be_new(about: Compared) -> bool:
    """Whether a change of the server's own request may be newer than the guest, and explains it."""
    case = about.server.case
    if about.kind is Kind.OWN:
        # By a request that was removed, or that the host no longer obeys.
        return case.asks or case.host.server_may_ask is not False
    if not is_changed_by_request(case, about.expected):
        return False
    before = case.without_request.source
    return before is SerialSource.UNKNOWN or about.kind in _FITTING[before]


def _unproven(about: Compared, should: str) -> Verdict:
    """Return the verdict on a guest of a host where no guest shows what the host gives."""
    text = (
        f"the guest has {about.live}. It gets {should} when it is next started, if its host does"
        " what it declares: no guest of the host shows that yet"
    )
    remedy = _keep(about) if about.kind is Kind.OWN else _TRY_ONE
    return Verdict(about.server, Cause.PENDING, text, remedy)


def _unexplained(about: Compared, should: str, *, may_wait: bool) -> Verdict:
    """Return the verdict on a guest with a UUID that is not known to be a host's identity.

    :param may_wait: nothing shows that the host gave the expected serial number when the guest was
        defined
    """
    text = (
        f"the guest has {about.live} and should have {should}:"
        f" {'it waits for a restart, ' if may_wait else ''}it was live migrated, it was changed by"
        " hand, or its host does not do what it declares. No second guest on its host has this UUID"
    )
    return Verdict(about.server, Cause.UNEXPLAINED, text, _TRY_ONE)


def _odd_word(about: Compared) -> Verdict:
    """Return the verdict on a fact with a serial number that is no UUID."""
    text = (
        f"the guest reports {_LIVE[Kind.FOREIGN]}: it was changed by hand, or it is a text that"
        " the agent has in place of a serial number"
    )
    return Verdict(about.server, Cause.UNEXPLAINED, text, _READ_IT)


def _by_hand(about: Compared) -> Verdict:
    remedy = _RESTART
    if about.reading.persistent is not None:
        text = (
            "the definition in libvirt has another serial number than the guest runs with; it"
            " counts when the guest is next started outside of Nova"
        )
        if about.kind is Kind.OWN and not about.fits:
            remedy = _keep(about)
    else:
        text = f"the guest has {_LIVE[about.kind]}"
        if about.expected.source is not SerialSource.UNKNOWN:
            text += f" instead of {EXPECTED[about.expected.source]}"
    return Verdict(about.server, Cause.CHANGED_BY_HAND, text, remedy)


def _ignored(about: Compared) -> Verdict:
    case = about.server.case
    asker = "the server asks" if case.asks_alone else "flavor or image ask"
    reason = "does not honour the keys" if about.fits else "declares neither mode nor driver"
    remedy = Remedy(
        "Install nova-uniqserial's compute driver on the host, or move the servers to hosts"
        " that have it (openstack unique serial host list)"
    )
    if case.host.honours and case.asks_alone:
        reason, remedy = f"does not obey the requests of servers: {NOT_OBEYED}", OBEY
    return Verdict(
        about.server,
        Cause.KEY_IGNORED,
        f"{asker} for {EXPECTED[SerialSource.INSTANCE_UUID]}, the guest has"
        f" {_LIVE[about.kind]}: the host {reason}",
        remedy,
    )


def _promise(expected: EffectivePolicy, host: HostInput, *, placed: bool) -> str | None:
    """Return what promises a unique serial number, other than the traits of the host.

    :param placed: the server was placed by the trait for its request
    """
    if placed:
        return "the trait by which it was placed promises"
    asked = expected.requested is Setting.UNIQUE and host.mode is None
    if asked and host.meets_unique_evidence is Evidence.DECLARED:
        return "a host aggregate declares that the guest gets"
    return None


def _serial(reading: Reading) -> str:
    """Return the live serial number, normalised for comparison."""
    return (reading.serial or "").lower()


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class LiveSerial:
    """The live serial number of one guest, compared with its policy.

    :ivar serial: None without a serial number, and when it could not be read
    :ivar matches: whether the serial number is the expected one; None: unknown
    :ivar why: the explanation
    """

    serial: str | None
    matches: bool | None
    why: str


def of_one(expected: EffectivePolicy, host: str | None, seen: Iterable[Seen]) -> LiveSerial:
    """Compare one server with its reading, without the other guests that show a cause.

    :param host: the server's host
    """
    readings = Readings(seen)
    reading = next(iter(readings), None)
    if reading is None:
        reasons = [f"The guest could not be read: {each.reason}." for each in readings.unread]
        why = " ".join(reasons) or "Libvirt has no domain of the server on its host."
        return LiveSerial(None, None, why)
    kind, whose = readings.classify(reading, host, expected.source)
    text = f"The guest has {_LIVE[kind]}"
    matches: bool | None = None
    if expected.source is SerialSource.UNKNOWN:
        # A value that Nova never writes is always wrong.
        matches = False if kind is Kind.FOREIGN else None
        text += "; what it should have is unknown."
    elif whose is Whose.EITHER:
        text = f"The guest has {_HARDWARE_OR_OS}."
    elif whose is Whose.OTHER or kind not in _FITTING[expected.source]:
        matches = False
        text = (
            f"The guest has {_live(kind, whose)} instead of {EXPECTED[expected.source]}:"
            " 'openstack unique serial verify' with all guests of the host shows whether it waits"
            " for a restart."
        )
    elif kind is Kind.UUID:
        matches = True
        text += (
            ", as expected. Whether it is the identity of its host is unknown: libvirt does not"
            " report the machine ID."
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
