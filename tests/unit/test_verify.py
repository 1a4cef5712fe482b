# SPDX-License-Identifier: Apache-2.0
"""What guests have against what they should have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from osc_uniqserial.api import evidence
from osc_uniqserial.checks.cloud import Cloud
from osc_uniqserial.checks.engine import guest_findings
from osc_uniqserial.checks.live import LiveSerial, Readings, Verification, of_one
from osc_uniqserial.model.cloud import (
    UNREADABLE,
    Configuration,
    Fleet,
    Host,
    ImagePart,
    ServerFacts,
)
from osc_uniqserial.model.finding import Finding
from osc_uniqserial.model.guest import HostSeen, Reading, Seen, Unread
from osc_uniqserial.policy import (
    TRAIT_KEYS,
    TRAIT_SERVER_MAY_ASK,
    TRAIT_UNIQUE,
    HostMode,
    mode_trait,
    resolve,
)
from tests.unit.builders import FALSE, TRUE, built_from, host, server_facts

EARLY, NOON, LATE = (f"2026-11-22 {hour}:00:00" for hour in ("08", "12", "16"))
MACHINE_ID, HARDWARE = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "ab")

DRIVER = host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.AUTO))
DRIVER_UNIQUE = host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.UNIQUE))
STOCK_UNIQUE = host("a", TRAIT_UNIQUE, mode_trait(HostMode.UNIQUE))
STOCK = host("a", mode_trait(HostMode.AUTO))
NOTHING = host("a", mode_trait(HostMode.NONE))
UNTOLD = host("a")
NO_SMBIOS = host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.AUTO), type="ironic")


def server(on: Host | None, specs: dict[str, str] | None = None, **changes: Any) -> ServerFacts:
    return server_facts(on, specs, built_from(None), **changes)


def declared(on: Host) -> Host:
    """Return a host of an aggregate that declares that it meets a request."""
    known = evidence.host_input(on.traits, None, declared=True, smbios=on.input.smbios)
    return dataclasses.replace(on, input=known)


def reading(of: ServerFacts, serial: str | None = "own", when: str = NOON, **more: Any) -> Reading:
    text = of.id if serial == "own" else serial
    return Reading(of.id, text, "test", more.pop("host", of.host), when, **more)


def shared(on: Host, specs: dict[str, str] | None = None) -> list[ServerFacts]:
    """Return two servers, whose guests show by one serial number that it is their host's."""
    return [server(on, specs) for _ in range(2)]


def seen_with(
    servers: Iterable[ServerFacts], serial: str | None, when: str = NOON
) -> list[tuple[ServerFacts, Reading | None]]:
    return [(each, reading(each, serial, when)) for each in servers]


def ids_of(servers: Iterable[ServerFacts]) -> list[str]:
    return sorted(each.id for each in servers)


def only(guests: Iterable[tuple[ServerFacts, Reading | None]], *seen: Seen) -> Finding:
    """Return the one finding about the policy; guests that share a serial are one, too."""
    about_sharing = ("live-serial-shared", "live-host-identity")
    (row,) = [row for row in found(guests, *seen) if row.id not in about_sharing]
    return row


def findings_of(verification: Verification, *, everything: bool) -> Iterator[Finding]:
    verification.complete = everything
    return guest_findings(verification, Cloud(Configuration(Fleet(()), (), {})))


def found(
    guests: Iterable[tuple[ServerFacts, Reading | None]], *seen: Seen, everything: bool = True
) -> list[Finding]:
    guests = list(guests)
    readings = Readings([*(each for _server, each in guests if each), *seen])
    verification = Verification(readings)
    verification.add([each for each, _reading in guests])
    return list(findings_of(verification, everything=everything))


def ids(guests: Iterable[tuple[ServerFacts, Reading | None]], *seen: Seen) -> list[str]:
    return [each.id for each in found(guests, *seen)]


@pytest.mark.parametrize(
    ("on", "specs", "serial"),
    [
        (DRIVER, TRUE, "own"),
        (DRIVER, {}, MACHINE_ID),
        (DRIVER_UNIQUE, {}, "own"),
        (DRIVER_UNIQUE, FALSE, MACHINE_ID),
        (STOCK_UNIQUE, FALSE, "own"),
        (STOCK, {}, MACHINE_ID),
        (STOCK, FALSE, MACHINE_ID),
        (NOTHING, {}, None),
        (NOTHING, {}, ""),
        (NO_SMBIOS, TRUE, None),
        (NO_SMBIOS, TRUE, "VMware-42 1d"),
    ],
)
def test_guests_that_have_what_they_should(on: Host, specs: dict[str, str], serial: str) -> None:
    one = server(on, specs)
    assert ids([(one, reading(one, serial))]) == []


def test_a_guest_that_waits_for_its_restart() -> None:
    """The host's mode became unique; one guest was restarted since."""
    old, new = shared(DRIVER_UNIQUE), server(DRIVER_UNIQUE)
    row = only([*seen_with(old, MACHINE_ID, EARLY), (new, reading(new, "own", LATE))])
    assert (row.id, list(row.servers or ())) == ("pending-restart", ids_of(old))
    assert "the identity of a host" in row.evidence
    assert f"since {LATE} UTC at the latest" in row.evidence
    assert "reboot --hard" in str(row.remedy)


@pytest.mark.parametrize(
    ("on", "specs", "serial"),
    [
        (DRIVER, TRUE, MACHINE_ID),
        (DRIVER_UNIQUE, {}, MACHINE_ID),
        (DRIVER_UNIQUE, {}, None),
        (STOCK_UNIQUE, {}, MACHINE_ID),
        (host("a", mode=HostMode.UNIQUE), {}, MACHINE_ID),
        (declared(host("a", unread=True)), TRUE, MACHINE_ID),
        (NOTHING, {}, MACHINE_ID),
        (STOCK, {}, "own"),
        (DRIVER, FALSE, "own"),
    ],
)
def test_no_guest_was_started_since_the_driver_or_the_mode_came(
    on: Host, specs: dict[str, str], serial: str | None
) -> None:
    """Whether the host does what it declares is unknown: it is not accused."""
    guests = shared(on, specs)
    row = only(seen_with(guests, serial))
    assert (row.id, list(row.servers or ())) == ("pending-restart", ids_of(guests))
    assert "if its host does what it declares: no guest of the host shows that yet" in row.evidence
    keeps = str(row.remedy).startswith("To keep the UUID, ")
    assert keeps is (serial == "own")
    assert keeps or "for one of the servers, and verify it again" in str(row.remedy)


@pytest.mark.parametrize("specs", [TRUE, {}], ids=["key", "mode"])
def test_a_host_that_no_longer_does_what_it_declares(specs: dict[str, str]) -> None:
    """Guests from before are right, and those that were started since are not."""
    on = DRIVER if specs else DRIVER_UNIQUE
    old, new = server(on, specs), shared(on, specs)
    row = only([(old, reading(old, "own", EARLY)), *seen_with(new, MACHINE_ID, LATE)])
    wrong = "not-honoured" if specs else "wrong-host-mode"
    assert (row.id, list(row.servers or ())) == (wrong, ids_of(new))
    assert row.severity.value == "high"


def test_servers_that_were_placed_by_the_trait() -> None:
    """It was promised when they were placed: a restart that they wait for is no excuse."""
    for on in (DRIVER, host("a", unread=True)):
        guests = shared(on, {**TRUE, f"trait:{TRAIT_UNIQUE}": "required"})
        if on is not DRIVER:
            on = dataclasses.replace(
                on,
                input=evidence.host_input(None, None, declared=False, smbios=True, required=True),
            )
            guests = [
                dataclasses.replace(each, case=dataclasses.replace(each.case, host=on.input))
                for each in guests
            ]
        row = only(seen_with(guests, MACHINE_ID))
        assert (row.id, list(row.servers or ())) == ("not-honoured", ids_of(guests))
        assert "the trait by which it was placed promises" in row.evidence


@pytest.mark.parametrize("when", [EARLY, NOON, LATE, ""])
@pytest.mark.parametrize("asks", [True, False], ids=["set", "removed"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_request_of_a_server_has_no_time(when: str, asks: bool, count: int) -> None:
    """Since it was set or removed, the guest may not have been started: no host is accused."""
    on = host("a", TRAIT_UNIQUE, TRAIT_KEYS, TRAIT_SERVER_MAY_ASK, mode_trait(HostMode.AUTO))
    for early in ([], ["beside"]):
        right = server(on, metadata="true" if asks else None)
        wrong = [server(on, metadata="true" if asks else None) for _ in range(count)]
        serials = ("own", MACHINE_ID) if asks else (MACHINE_ID, "own")
        beside = seen_with([right], serials[0], EARLY) if early else []
        rows = found([*beside, *seen_with(wrong, serials[1], when)])
        ids_found = {row.id for row in rows} - {"live-serial-shared"}
        assert ids_found == {"pending-restart"}


MAY_ASK = host("m", TRAIT_UNIQUE, TRAIT_KEYS, TRAIT_SERVER_MAY_ASK, mode_trait(HostMode.AUTO))


@pytest.mark.parametrize("count", [1, 2])
def test_a_new_request_beside_an_unreadable_image(count: int) -> None:
    """The request decides, but whether it changes anything is unknown."""
    right, *wrong = (
        server_facts(MAY_ASK, None, ImagePart(UNREADABLE), metadata="true")
        for _ in range(1 + count)
    )
    rows = found([*seen_with([right], "own", EARLY), *seen_with(wrong, MACHINE_ID, NOON)])
    assert {row.id for row in rows} - {"live-serial-shared"} == {"pending-restart"}


def test_a_guest_with_its_uuid_where_requests_count_no_more() -> None:
    """The option was turned off after its last start."""
    host_now = host("m", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.AUTO))
    plain, asking = server(host_now), server(host_now, metadata="true")
    guests = [*seen_with([plain], MACHINE_ID, NOON), *seen_with([asking], "own", LATE)]
    row = only(guests)
    assert (row.id, list(row.servers or ())) == ("pending-restart", [asking.id])


def test_a_request_that_a_host_does_not_obey() -> None:
    older = host("m", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.AUTO))
    asking = server(older, metadata="true")
    row = only(seen_with([asking], MACHINE_ID))
    assert row.id == "key-ignored"
    assert "the server asks for its server's UUID" in row.evidence
    assert "does not obey the requests of servers" in row.evidence
    assert str(row.remedy).startswith("Upgrade nova-uniqserial on the host, or set")


def test_a_new_request_explains_no_serial_that_the_host_never_gave() -> None:
    read = ((None, NOON), ("own", EARLY), ("own", LATE))
    asking = [server(MAY_ASK, metadata="true") for _ in read]
    guests = [(each, reading(each, *what)) for each, what in zip(asking, read, strict=True)]
    assert ids(guests) == ["changed-by-hand"]


def test_a_request_that_changes_nothing_explains_nothing() -> None:
    """Without it the guest would have its UUID too."""
    unique = host("a", TRAIT_UNIQUE, TRAIT_KEYS, TRAIT_SERVER_MAY_ASK, mode_trait(HostMode.UNIQUE))
    one = server(unique, metadata="true")
    assert ids([(one, reading(one, MACHINE_ID))]) == ["serial-unexplained"]
    # The host gave a serial number before the guest was defined, and gives one since.
    guests = [
        (each := server(unique, metadata="true"), reading(each, serial, when))
        for serial, when in ((None, NOON), ("own", EARLY), ("own", LATE))
    ]
    assert ids(guests) == ["changed-by-hand"]


@pytest.mark.parametrize("when", [EARLY, NOON, LATE, ""])
@pytest.mark.parametrize(
    ("on", "specs"), [(DRIVER, TRUE), (DRIVER_UNIQUE, {}), (STOCK_UNIQUE, {}), (NOTHING, {})]
)
def test_a_uuid_that_is_known_of_no_host(on: Host, specs: dict[str, str], when: str) -> None:
    """It may have been written by hand, or be the machine ID of a host."""
    one, other = server(on, specs), server(on, specs)
    right = None if on is NOTHING else "own"
    for beside in ([], [(other, reading(other, right))]):
        (row,) = found([*beside, (one, reading(one, MACHINE_ID, when))])
        assert (row.id, list(row.servers or ())) == ("serial-unexplained", [one.id])
        assert row.severity.value == "medium"
        assert "the guest has a UUID that is not its server's" in row.evidence
        assert "changed by hand" in row.evidence
    # Known of a host, by another guest of that host, or by libvirt.
    third = server(on, specs)
    row = only([(each, reading(each, MACHINE_ID, when)) for each in (one, third)])
    assert (row.id, len(row.servers or ())) == ("pending-restart", 2)
    row = only([(one, reading(one, MACHINE_ID, when))], HostSeen("uri", "a", (MACHINE_ID,)))
    assert row.id == "pending-restart"


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        (DRIVER, "changed-by-hand"),
        # A guest of one of these hosts may have no serial number, and may come from there.
        (NOTHING, "pending-restart"),
        (UNTOLD, "pending-restart"),
    ],
)
def test_a_serial_that_was_removed(beside: Host, expected: str) -> None:
    """The host gave one before the guest was defined, and gives one since."""
    one, before, after, elsewhere = *(server(DRIVER, TRUE) for _ in range(3)), server(beside, {})
    guests = [
        (one, reading(one, None, NOON)),
        (before, reading(before, "own", EARLY)),
        (after, reading(after, "own", LATE)),
        (elsewhere, None),
    ]
    rows = {row.id: row for row in found(guests)}
    assert list(rows[expected].servers or ()) == [one.id]
    # No guest shows that the host gave one when this guest was defined.
    assert ids([(one, reading(one, None, NOON)), guests[2]]) == ["pending-restart"]
    # The host may have stopped to give one.
    assert ids([(one, reading(one, None, NOON)), guests[1]]) == ["not-honoured"]


def test_the_reading_that_counts() -> None:
    one = server(DRIVER, TRUE)
    old, new = reading(one, "x", EARLY), reading(one, "own", LATE)
    for order in ([old, new], [new, old]):
        assert ids([(one, None)], *order) == ["sources-disagree"]
    # Of facts, which have no time, the last one that has a serial number.
    facts = [Reading(one.id, serial, name) for serial, name in (("x", "1"), (one.id, "2"))]
    unread = Reading(one.id, None, "3")
    assert ids([(one, None)], *facts, unread) == ["sources-disagree"]
    assert ids([(one, None)], unread, facts[1]) == []
    assert ids([(one, None)], unread, facts[0]) == ["serial-unexplained"]


def test_a_server_that_is_listed_twice_is_compared_once() -> None:
    one = server(STOCK)
    verification = Verification(Readings([reading(one, MACHINE_ID)]))
    verification.add([one, one])
    verification.add([one])
    assert list(findings_of(verification, everything=True)) == []
    assert verification.coverage([]) == "1 of 1 servers compared"


def test_servers_of_hidden_hosts_show_nothing_of_each_other() -> None:
    """They may be on different hosts."""
    given = host("a", mode=HostMode.UNIQUE)
    right, wrong, same = (server(given) for _ in range(3))
    for each in (right, wrong, same):
        each.host = None
    guests = [(right, reading(right)), *seen_with([wrong, same], MACHINE_ID)]
    row = only(guests)
    assert row.id == "serial-unexplained"


def test_a_serial_number_where_nova_writes_none() -> None:
    """The architecture of an image or a volume may have changed since the guest was built."""
    arm = dataclasses.replace(DRIVER, input=dataclasses.replace(DRIVER.input, smbios=False))
    one, other = server(arm), server(arm)
    (row,) = found([(one, reading(one, MACHINE_ID)), (other, reading(other, None))])
    assert (row.id, list(row.servers or ())) == ("expectation-unknown", [one.id])
    assert "where Nova writes none" in row.evidence


def test_a_host_that_tells_nothing_ignores_the_key() -> None:
    one = server(UNTOLD, TRUE)
    assert ids([(one, reading(one, MACHINE_ID))]) == ["key-ignored"]
    # Whatever the host is, this one has its own.
    assert ids([(one, reading(one))]) == ["expectation-unknown"]


@pytest.mark.parametrize(("on", "serial"), [(STOCK, MACHINE_ID), (NOTHING, None)])
def test_stock_nova_ignores_the_key(on: Host, serial: str | None) -> None:
    """The guest is as the policy says, and not as was asked for."""
    asks, other = server(on, TRUE), server(on)
    (row,) = found([(asks, reading(asks, serial)), (other, reading(other, serial))][:1])
    assert (row.id, list(row.servers or ())) == ("key-ignored", [asks.id])
    assert "does not honour the keys" in row.evidence


def test_a_declaration_that_is_not_kept() -> None:
    on = declared(host("a", unread=True))
    old, new = server(on, TRUE), shared(on, TRUE)
    row = only([(old, reading(old, "own", EARLY)), *seen_with(new, MACHINE_ID)])
    assert (row.id, list(row.servers or ())) == ("not-honoured", ids_of(new))
    assert "a host aggregate declares" in row.evidence


def test_a_guest_that_came_by_live_migration_shows_the_host_it_came_from() -> None:
    came, here = server(STOCK), server(STOCK)
    there = [server(host("b", mode_trait(HostMode.AUTO))) for _ in range(2)]
    guests = [
        (came, reading(came, HARDWARE, LATE)),
        (here, reading(here, MACHINE_ID, EARLY)),
        *((each, reading(each, HARDWARE, NOON)) for each in there),
    ]
    pending, shared = found(guests)
    assert (pending.id, list(pending.servers or ())) == ("pending-restart", [came.id])
    assert "the identity of host b" in pending.evidence
    assert (shared.id, len(shared.servers or ())) == ("live-serial-shared", 3)


def test_an_empty_host_whose_guests_all_left() -> None:
    """Those that came were defined later than those that were always here."""
    guests = [(each, reading(each, MACHINE_ID, EARLY)) for each in map(server, [STOCK] * 3)]
    guests += [(each, reading(each, HARDWARE, LATE)) for each in map(server, [STOCK] * 2)]
    rows = found(guests, HostSeen("uri", "a"), HostSeen("uri", "b"))
    assert rows[0].id == "expectation-unknown"
    assert len(rows[0].servers or ()) == 5
    # As where fewer stayed than left.
    stayed = server(host("b", mode_trait(HostMode.AUTO)))
    rows = found([*guests, (stayed, reading(stayed, HARDWARE))])
    assert rows[0].id == "expectation-unknown"
    # Where more stayed, it is clear.
    others = map(server, [host("b", mode_trait(HostMode.AUTO))] * 2)
    rows = found([*guests, *((each, reading(each, HARDWARE)) for each in (stayed, *others))])
    assert (rows[0].id, len(rows[0].servers or ())) == ("pending-restart", 2)
    assert "the identity of host b" in rows[0].evidence


@pytest.mark.parametrize(
    ("on", "specs", "mine"),
    [
        (host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.HARDWARE)), FALSE, MACHINE_ID),
        (host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.HARDWARE)), {}, MACHINE_ID),
        (DRIVER, TRUE, "own"),
        (host("a", mode_trait(HostMode.HARDWARE)), {}, MACHINE_ID),
        (STOCK_UNIQUE, {}, "own"),
        (STOCK, {}, MACHINE_ID),
    ],
)
def test_a_guest_that_is_known_to_have_come_from_elsewhere(
    on: Host, specs: dict[str, str], mine: str
) -> None:
    here, came = [server(on, specs) for _ in range(3)], server(on, specs)
    guests = [(each, reading(each, mine, EARLY)) for each in here]
    seen = (HostSeen("uri", "a", (MACHINE_ID,)), HostSeen("uri", "b", (HARDWARE,)))
    for beside in ([], guests):
        rows = [
            row
            for row in found([*beside, (came, reading(came, HARDWARE, LATE))], *seen)
            if not row.id.startswith("live-")
        ]
        assert [(row.id, list(row.servers or ())) for row in rows] == [
            ("pending-restart", [came.id])
        ]
        assert "the identity of host b" in rows[0].evidence


def test_guests_tell_no_times() -> None:
    """Others of the host are right: no host is accused."""
    guests = [(each, reading(each, "own", "")) for each in map(server, [DRIVER] * 3, [TRUE] * 3)]
    old = shared(DRIVER, TRUE)
    row = only([*guests, *seen_with(old, MACHINE_ID, "")])
    assert (row.id, list(row.servers or ())) == ("pending-restart", ids_of(old))
    assert "which was defined first is unknown" in row.evidence


def test_a_domain_on_another_host_only() -> None:
    one = server(DRIVER, TRUE)
    seen = (HostSeen("uri", "a"), HostSeen("uri", "b"))
    (row,) = found([(one, reading(one, host="b"))], *seen)
    assert (row.id, list(row.servers or ())) == ("no-domain", [one.id])
    assert row.evidence.endswith("their host has no domain of them, and host b has")
    one.status = "MIGRATING"
    assert ids([(one, reading(one, host="b"))], *seen) == []


def test_the_uuid_of_a_server_that_no_source_told_of() -> None:
    for on in (DRIVER, STOCK):
        one, other = server(on), server(on)
        rows = {row.id: row for row in found([(one, None), (other, reading(other, one.id))])}
        assert set(rows) == {"changed-by-hand", "server-not-read"}
        assert list(rows["changed-by-hand"].servers or ()) == [other.id]


def test_of_a_host_that_is_hidden_nobody_knows_what_it_writes() -> None:
    one = server(None, host_visible=False)
    assert ids([(one, reading(one, "VMware-42 1d"))]) == ["expectation-unknown"]


@pytest.mark.parametrize("on", [host("a", unread=True), None])
def test_nobody_is_blamed_for_traits_that_could_not_be_read(on: Host | None) -> None:
    one = server(on, TRUE)
    (row,) = found([(one, reading(one, MACHINE_ID))])
    assert row.id == "expectation-unknown"
    assert "where its server's UUID is asked for" in row.evidence


def test_machines_that_come_with_one_hardware_uuid() -> None:
    one = server(STOCK)
    for names in (("a", "b"), ("b", "a")):
        seen = [HostSeen("uri", name, (HARDWARE,)) for name in names]
        (row,) = found([(one, reading(one, HARDWARE))], *seen)
        assert (row.id, row.resource_name) == ("live-host-identity", "a")
        assert row.evidence.endswith("the hardware UUID of host a and of 1 more")


def test_hosts_that_are_clones_of_each_other() -> None:
    """Both give the same identity: nothing is pending."""
    guests = []
    for on, count in ((STOCK, 1), (host("b", mode_trait(HostMode.AUTO)), 2)):
        guests += [(each, reading(each, MACHINE_ID)) for each in map(server, [on] * count)]
    assert ids(guests) == ["live-serial-shared"]


def test_the_identity_of_a_host_changed() -> None:
    """The mode went from os to hardware; one guest was restarted since."""
    hardware = host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.HARDWARE))
    old, new = server(hardware), server(hardware)
    guests = [(old, reading(old, MACHINE_ID, EARLY)), (new, reading(new, HARDWARE, LATE))]
    stray, shown = found(guests, HostSeen("uri", "a", (HARDWARE,)))
    assert (stray.id, list(stray.servers or ())) == ("serial-unexplained", [old.id])
    assert (shown.id, list(shown.servers or ())) == ("live-host-identity", [new.id])
    # Of a host without a known hardware UUID it is unknown which of the two it gives now: what was
    # defined later may have come from elsewhere.
    (row,) = found(guests)
    assert (row.id, sorted(row.servers or ())) == ("expectation-unknown", [old.id, new.id])
    assert "have 2 UUIDs that are not their servers'" in row.evidence


def test_the_hardware_uuid_tells_whose_identity_it_is() -> None:
    """The mode went from auto to hardware; no guest was restarted."""
    for specs in ({}, FALSE):
        on = host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(HostMode.HARDWARE))
        guests = shared(on, specs)
        one = guests[0]
        row = only(seen_with(guests, MACHINE_ID), HostSeen("uri", "a", (HARDWARE,)))
        assert (row.id, list(row.servers or ())) == ("pending-restart", ids_of(guests))
        assert "the identity of another host" in row.evidence
        assert ids([(one, reading(one, MACHINE_ID))], HostSeen("uri", "a", (HARDWARE,))) == [
            "serial-unexplained"
        ]
        # Nothing is known of this host.
        assert ids([(one, reading(one, MACHINE_ID))], HostSeen("uri", "b", (HARDWARE,))) == []


def test_a_machine_id_may_be_the_hardware_uuid() -> None:
    """As in a virtual machine: no finding, and no assumption."""
    one = server(host("a", mode_trait(HostMode.OS)))
    unknown, shown = found([(one, reading(one, HARDWARE))], HostSeen("uri", "a", (HARDWARE,)))
    assert (unknown.id, shown.id) == ("expectation-unknown", "live-host-identity")
    assert "whether the two are the same" in unknown.evidence


@pytest.mark.parametrize("serial", ["ABC-123", "own-1", "22222222-2222-4222-8222-22222222222"])
def test_a_serial_that_nova_never_writes(serial: str) -> None:
    one = server(DRIVER, TRUE)
    assert ids([(one, reading(one, serial))]) == ["changed-by-hand"]


def test_the_uuid_of_another_server() -> None:
    one, other = server(DRIVER, TRUE), server(DRIVER, TRUE)
    rows = found([(one, reading(one)), (other, reading(other, one.id))])
    assert [row.id for row in rows] == ["changed-by-hand", "live-serial-shared"]
    assert list(rows[0].servers or ()) == [other.id]
    assert sorted(rows[1].servers or ()) == sorted([one.id, other.id])


def test_a_definition_that_was_edited_and_not_started_yet() -> None:
    one = server(DRIVER, TRUE)
    (row,) = found([(one, reading(one, persistent="EDITED"))])
    assert row.id == "changed-by-hand"
    assert "definition in libvirt" in row.evidence


def test_a_serial_that_several_guests_have_whatever_the_policy_says() -> None:
    one, other = server(STOCK), server(STOCK)
    guests = [(each, reading(each, MACHINE_ID.upper())) for each in (one, other)]
    (row,) = found(guests)
    assert (row.id, len(row.servers or ())) == ("live-serial-shared", 2)


def test_domains_without_servers_and_servers_without_domains() -> None:
    one, gone, shelved, other = server(DRIVER), server(DRIVER), server(None), server(STOCK)
    there = HostSeen("uri", "a")
    left, foreign = (
        Reading(f"{digit * 8}-3333-4333-8333-333333333333", None, "uri", "a", nova=nova)
        for digit, nova in (("3", "34.0.0"), ("4", None))
    )
    elsewhere = dataclasses.replace(other, host="b")
    guests = [(one, reading(one, MACHINE_ID)), (gone, None), (shelved, None), (elsewhere, None)]
    rows = {row.id: row for row in found(guests, there, left, foreign)}
    assert set(rows) == {"orphaned-domain", "other-domain", "no-domain", "server-not-read"}
    assert list(rows["no-domain"].servers or ()) == [gone.id]
    assert list(rows["server-not-read"].servers or ()) == [other.id]
    assert rows["orphaned-domain"].resource_id == left.id
    assert rows["other-domain"].resource_id == foreign.id
    # Of other projects' servers nothing is known, and nothing is said.
    others = [dataclasses.replace(left, serial="x"), dataclasses.replace(foreign, serial="x")]
    assert ids([(one, reading(one, MACHINE_ID))], *others) == ["orphaned-domain", "other-domain"]
    limited = {row.id for row in found(guests, there, left, foreign, everything=False)}
    assert limited == {"no-domain", "server-not-read"}


def test_servers_that_changed_since_the_guests_were_read_are_not_judged() -> None:
    restarted, made, same = server(DRIVER, TRUE), server(DRIVER), server(DRIVER, TRUE)
    deleted = Reading("33333333-3333-4333-8333-333333333333", None, "uri", "a", nova="34.0.0")
    old = [reading(each, MACHINE_ID) for each in (restarted, same)]
    verification = Verification(Readings([*old, deleted, HostSeen("uri", "a")]))
    verification.add([restarted, made, same])
    verification.exclude({restarted.id, made.id, deleted.id})
    rows = list(findings_of(verification, everything=True))
    # With whom it shared its serial number may have another one by now.
    assert [row.id for row in rows] == ["pending-restart"]
    assert list(rows[0].servers or ()) == [same.id]
    said = verification.coverage([])
    assert said.startswith("1 of 3 servers compared")
    assert said.endswith("; 2 changed meanwhile")


def test_a_server_whose_host_is_hidden_is_not_on_no_host() -> None:
    hidden = server(DRIVER, host_visible=False)
    hidden.host = None
    (row,) = found([(hidden, None)])
    assert (row.id, row.type) == ("server-not-read", "cloud")


def test_a_guest_on_two_hosts_is_judged_where_nova_has_it() -> None:
    one = server(DRIVER, TRUE)
    left = reading(one, MACHINE_ID, host="b")
    assert ids([(one, reading(one))], left) == ["domain-twice"]
    # Until the move is confirmed, both are right.
    one.status = "VERIFY_RESIZE"
    assert ids([(one, reading(one))], left) == []


def test_the_remedy_of_a_guest_that_loses_its_uuid_keeps_it_first() -> None:
    one, other = server(DRIVER, FALSE), server(DRIVER, FALSE)
    (row,) = found(
        [(one, reading(one, when=EARLY)), (other, reading(other, MACHINE_ID))], everything=False
    )
    assert (row.id, list(row.servers or ())) == ("pending-restart", [one.id])
    assert str(row.remedy).startswith("To keep the UUID, ")
    assert row.remedy
    # No command that loses it is offered to be run.
    assert row.remedy.commands == ()


@pytest.mark.parametrize(
    ("on", "specs", "how"),
    [
        # The mode is unique already: a false supersedes it.
        (DRIVER_UNIQUE, FALSE, "resize it to another flavor made with --unique-serial"),
        (DRIVER, {}, "= unique on the host and restart nova-compute, or resize it to another"),
        # There a resize loses the UUID too.
        (STOCK, {}, "= unique on the host and restart nova-compute, before the server"),
    ],
)
def test_how_a_guest_keeps_its_uuid(on: Host, specs: dict[str, str], how: str) -> None:
    one = server(on, specs)
    edited = reading(one, persistent="EDITED")
    for what in (reading(one), edited):
        (row,) = found([(one, what)])
        assert row.remedy
        assert how in row.remedy.text
        assert row.remedy.commands == ()


@pytest.mark.parametrize("specs", [FALSE, {}])
def test_a_guest_keeps_its_uuid_by_a_request_of_its_server(specs: dict[str, str]) -> None:
    on = host("a", TRAIT_UNIQUE, TRAIT_KEYS, TRAIT_SERVER_MAY_ASK, mode_trait(HostMode.AUTO))
    one = server(on, specs)
    (row,) = found([(one, reading(one))])
    assert row.remedy
    assert row.remedy.text.startswith("To keep the UUID, run ")
    # It restarts nothing, and keeps the UUID for the next start.
    assert row.remedy.commands == ("openstack server set --unique-serial SERVER",)


def test_the_last_fact_of_a_file_counts() -> None:
    one, other = server(DRIVER, TRUE), server(DRIVER, {})
    log = [Reading(one.id, serial, "facts.jsonl") for serial in (MACHINE_ID, "x", one.id)]
    # The earlier serial number is not shared either.
    assert ids([(one, None), (other, reading(other, MACHINE_ID))], *log) == []
    assert ids([(one, None)], *reversed(log)) == ["serial-unexplained"]
    # Another source is no log of this one.
    assert "sources-disagree" in ids([(one, reading(one))], log[0])


@pytest.mark.parametrize("serial", [None, ""])
@pytest.mark.parametrize(
    ("on", "specs", "expected"),
    [
        (DRIVER, TRUE, ["server-not-read"]),
        (DRIVER, {}, ["server-not-read"]),
        (STOCK, {}, ["server-not-read"]),
        (UNTOLD, {}, ["server-not-read"]),
        (NOTHING, {}, ["server-not-read"]),
    ],
)
def test_a_fact_without_a_serial_number_is_no_accusation(
    on: Host, specs: dict[str, str], expected: list[str], serial: str | None
) -> None:
    one = server(on, specs)
    if serial == "" and on is NOTHING:
        # What root reads in a guest without a serial number.
        expected = []
    assert ids([(one, None)], Reading(one.id, serial, "facts.jsonl")) == expected


def test_a_fact_that_is_no_uuid() -> None:
    """It may be a text of the agent that is not known here: nobody changed anything by hand."""
    one, other = server(DRIVER, TRUE), server(DRIVER, TRUE)
    (row,) = found([(one, None)], Reading(one.id, "No serial here", "facts.jsonl"))
    assert (row.id, row.severity.value) == ("serial-unexplained", "medium")
    assert "a text that the agent has in place of a serial number" in row.evidence
    fact = Reading(one.id, other.id, "facts.jsonl")
    assert ids([(one, None), (other, reading(other))], fact) == [
        "changed-by-hand",
        "live-serial-shared",
    ]


@pytest.mark.parametrize(("serial", "expected"), [(None, []), ("", ["sources-disagree"])])
def test_a_guest_that_does_not_see_what_libvirt_gives(
    serial: str | None, expected: list[str]
) -> None:
    one = server(DRIVER, TRUE)
    assert ids([(one, reading(one))], Reading(one.id, serial, "facts.jsonl")) == expected


def test_a_guest_that_reports_an_empty_serial_number_has_its_own_evidence() -> None:
    one = server(DRIVER, TRUE)
    (row,) = found([(one, reading(one))], Reading(one.id, "", "facts.jsonl"))
    assert (row.id, row.resource_id) == ("sources-disagree", one.id)
    assert row.evidence.endswith(f"not the one that it is given: test: {one.id}; facts.jsonl: none")
    assert "Windows" in str(row.remedy)
    # Without libvirt it is unknown what the guest is given.
    (row,) = found([(one, None)], Reading(one.id, "", "facts.jsonl", why="it is empty"))
    assert (row.id, row.evidence.partition(": ")[2]) == (
        "server-not-read",
        "the facts have none: it is empty",
    )


def fact(of: ServerFacts, serial: str | None = "own", *, swapped: bool = False) -> Reading:
    own = Reading(of.id, of.id if serial == "own" else serial, "facts.jsonl")
    return dataclasses.replace(own, id=own.swapped_id) if swapped else own


def servers_with(*ids: str) -> list[ServerFacts]:
    return [dataclasses.replace(server(DRIVER, TRUE), id=id_) for id_ in ids]


SOME = "0123abcd-4567-489a-8bcd-ef0123456789"


def test_the_other_byte_order_of_a_uuid() -> None:
    assert Reading(SOME, None, "").swapped_id == "cdab2301-6745-9a48-8bcd-ef0123456789"
    (one,) = servers_with(SOME)
    assert ids([(one, None)], fact(one, swapped=True)) == []
    # The guest has it once, not shared with another guest.
    assert ids([(one, reading(one))], fact(one, swapped=True)) == []
    assert ids([(one, None)], fact(one, swapped=True), fact(one)) == []
    (row,) = found([(one, None)], fact(one, MACHINE_ID, swapped=True))
    assert (row.id, list(row.servers or ())) == ("serial-unexplained", [one.id])
    assert ids([(one, reading(one))], fact(one, "x", swapped=True)) == ["sources-disagree"]


@pytest.mark.parametrize("reverse", [False, True])
def test_both_byte_orders_may_be_servers(reverse: bool) -> None:
    both = servers_with(SOME, Reading(SOME, None, "").swapped_id)
    one, other = reversed(both) if reverse else both
    (row,) = found([(one, None), (other, None)], fact(one))
    assert (row.id, list(row.servers or ())) == ("server-not-read", [other.id])
    assert ids([(one, None), (other, None)], fact(one), fact(other)) == []


def test_servers_that_changed_are_not_judged_by_swapped_facts() -> None:
    (one,) = servers_with(SOME)
    verification = Verification(Readings([fact(one, MACHINE_ID, swapped=True)]))
    verification.add([one])
    verification.exclude({one.id})
    assert list(findings_of(verification, everything=True)) == []
    assert verification.coverage([]).startswith("0 of 1 servers compared")


def test_facts_about_no_server_are_counted_by_source() -> None:
    one = server(DRIVER, TRUE)
    strange = [
        Reading(f"{number:08x}-0000-4000-8000-000000000000", "x", "a") for number in range(9)
    ]
    alone = dataclasses.replace(strange[0], id=SOME, source="b")
    for everything in (True, False):
        rows = found([(one, reading(one))], *strange, alone, everything=everything)
        assert [row.evidence for row in rows if row.id == "fact-without-server"] == [
            "a has facts about 9 machines that no server is:"
            f" {', '.join(each.id for each in strange[:3])} and 6 more",
            f"b has facts about 1 machine that no server is: {SOME}",
        ]


def test_saved_domains_that_nova_did_not_make_are_one_row() -> None:
    one = server(DRIVER, TRUE)
    saved = [
        Reading(
            f"{number:08x}-0000-4000-8000-000000000000", None, f"{number}.xml", name=f"vm{number}"
        )
        for number in range(9)
    ]
    (row,) = found([(one, reading(one))], *saved)
    assert (row.id, row.type) == ("other-domain", "cloud")
    assert row.evidence == (
        "Saved XML has 9 domains that Nova did not make: vm0, vm1, vm2 and 6 more"
    )


def test_sources_that_tell_different_things() -> None:
    one = server(DRIVER, TRUE)
    fact = Reading(one.id, "x\u202e" * 99, "facts.jsonl")
    (row,) = found([(one, reading(one))], fact)
    assert (row.id, row.resource_id) == ("sources-disagree", one.id)
    assert "facts.jsonl: x" in row.evidence
    assert len(row.evidence) < 250
    many = [
        dataclasses.replace(fact, serial=str(number), source=f"{number}.jsonl")
        for number in range(1_000)
    ]
    (row,) = found([(one, reading(one))], *many)
    assert row.evidence.endswith("; and 998 others")
    assert len(row.evidence) < 250
    same = dataclasses.replace(fact, serial=one.id.upper())
    assert ids([(one, reading(one))], same) == []


def test_what_could_not_be_read_is_told() -> None:
    (row,) = found([], Unread("qemu+ssh://b/system", "no answer within 5 s", "b"))
    assert (row.id, row.severity.value, row.resource_name) == ("live-unread", "unchecked", "b")
    assert "no answer within 5 s" in row.evidence


def test_the_coverage() -> None:
    one, two, shelved, other = map(server, (DRIVER, DRIVER, None, NO_SMBIOS))
    readings = Readings([reading(one, MACHINE_ID)])
    verification = Verification(readings)
    verification.add([one, two, shelved, other])
    said = (
        "1 of 2 servers compared; 1 on no host; 1 on hosts without SMBIOS serial numbers;"
        " 1 that no source has"
    )
    assert verification.coverage([]) == said
    assert verification.coverage([3]).startswith("1 of about 5 servers")


def test_an_image_that_is_unknown_makes_no_false_alarm() -> None:
    one = server_facts(DRIVER, {}, ImagePart())
    assert ids([(one, reading(one, MACHINE_ID))]) == ["expectation-unknown"]


# --- one server -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "serial", "persistent", "matches", "said"),
    [
        (DRIVER_UNIQUE, "own", None, True, "its server's UUID, as it should."),
        (DRIVER_UNIQUE, MACHINE_ID, None, False, "a UUID that is not its server's instead of its"),
        (STOCK, MACHINE_ID, None, True, "a UUID that is not its server's, as expected. Whether it"),
        (NOTHING, None, None, True, "no serial number, as it should."),
        (UNTOLD, MACHINE_ID, None, None, "what it should have is unknown."),
        (DRIVER_UNIQUE, "own", "EDITED", True, "Its definition in libvirt has another one"),
    ],
)
def test_one_server(
    on: Host, serial: str | None, persistent: str | None, matches: bool | None, said: str
) -> None:
    one = server(on)
    expected = resolve(one.case.flavor.used, one.case.image.used, one.case.host)
    seen: list[Seen] = [reading(one, serial, persistent=persistent), HostSeen("uri", "a")]
    live = of_one(expected, "a", seen)
    assert live.serial == (one.id if serial == "own" else serial)
    assert live.matches is matches
    assert said in live.why
    unread = of_one(expected, "a", [Unread("uri", "no answer within 5 s", "a")])
    assert unread == LiveSerial(None, None, "The guest could not be read: no answer within 5 s.")
    elsewhere = HostSeen("uri", "b", (MACHINE_ID,))
    if serial == MACHINE_ID and on is STOCK:
        live = of_one(expected, "a", [*seen, elsewhere])
        assert live.matches is False
        assert "the identity of another host instead of its host's" in live.why
    gone = of_one(expected, "a", [HostSeen("uri", "a")])
    assert gone == LiveSerial(None, None, "Libvirt has no domain of the server on its host.")


@pytest.mark.parametrize(
    ("mode", "serial", "matches"),
    [
        (HostMode.HARDWARE, HARDWARE, True),
        (HostMode.HARDWARE, MACHINE_ID, False),
        (HostMode.OS, HARDWARE, None),
        (HostMode.OS, MACHINE_ID, True),
    ],
)
def test_one_server_beside_what_is_known_of_its_host(
    mode: HostMode, serial: str, matches: bool | None
) -> None:
    one = server(host("a", TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(mode)))
    expected = resolve(one.case.flavor.used, one.case.image.used, one.case.host)
    seen: list[Seen] = [reading(one, serial), HostSeen("uri", "a", (HARDWARE,))]
    assert of_one(expected, "a", seen).matches is matches


def test_one_server_with_what_nova_never_writes() -> None:
    one = server(UNTOLD)
    expected = resolve(one.case.flavor.used, one.case.image.used, one.case.host)
    live = of_one(expected, "a", [reading(one, "4711"), HostSeen("uri", "a")])
    assert live.matches is False
