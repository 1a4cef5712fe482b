# SPDX-License-Identifier: Apache-2.0
"""Checks of live guests: their serial numbers against the policy of their servers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osc_uniqserial.checks.check import Check, Detail, Group, Part, Problem, Shared
from osc_uniqserial.checks.live import Cause, Verification
from osc_uniqserial.model.cloud import ServerFacts
from osc_uniqserial.model.finding import Remedy, Resource, ServerIds, Severity
from osc_uniqserial.model.guest import LIVE_SOURCES, GuestSource, Reading
from osc_uniqserial.text import NAMES_SHOWN, counted, some

_LIVE = frozenset({Part.SERVERS, Part.GUESTS})
_GUESTS = frozenset({Part.GUESTS})
#: The longest serial number in a text; SMBIOS allows longer ones.
_LONGEST = 64

_Found = Iterator[tuple[ServerFacts, Detail]]


def _short(serial: str) -> str:
    return serial if len(serial) <= _LONGEST else f"{serial[:_LONGEST]}..."


def _ids(of: Iterable[str]) -> ServerIds:
    servers = ServerIds()
    for id_ in sorted(of):
        servers.add(id_)
    return servers


def _with_cause(cause: Cause, severity: Severity) -> None:
    """Register the check for a cause of wrong readings."""
    doubt = severity is Severity.UNCHECKED

    def find(verification: Verification, _cloud: object) -> _Found:
        for each in verification.verdicts:
            if each.cause is cause:
                yield each.server, Detail((each.text, each.remedy))

    check = Check(
        cause.value,
        severity,
        Shared.HOST,
        rests_on=frozenset() if doubt else _LIVE,
        takes_away=_GUESTS if doubt else frozenset(),
        sources=LIVE_SOURCES,
    )
    check(find).explained_by(_explained)


def _explained(group: Group, _cloud: object) -> Problem:
    text, remedy = group.cause
    return Problem(f"{group.servers.counted}: {text}", remedy)


_with_cause(Cause.NOT_HONOURED, Severity.HIGH)
_with_cause(Cause.KEY_IGNORED, Severity.HIGH)
_with_cause(Cause.CHANGED_BY_HAND, Severity.HIGH)
_with_cause(Cause.WRONG_MODE, Severity.HIGH)
_with_cause(Cause.PENDING, Severity.MEDIUM)
_with_cause(Cause.UNEXPLAINED, Severity.MEDIUM)
_with_cause(Cause.UNKNOWN, Severity.UNCHECKED)


@Check("no-domain", Severity.MEDIUM, Shared.HOST, rests_on=_LIVE, sources={GuestSource.LIBVIRT})
def no_domain(verification: Verification, _cloud: object) -> _Found:
    """Servers without a domain on their host."""
    for server, elsewhere in verification.without_domain:
        yield server, Detail((elsewhere,))


@no_domain.explained_by
def _(group: Group, _cloud: object) -> Problem:
    (elsewhere,) = group.cause
    more = f", and host {elsewhere} has" if elsewhere else ""
    return Problem(f"{group.servers.counted}: their host has no domain of them{more}")


@Check(
    "server-not-read",
    Severity.UNCHECKED,
    Shared.HOST,
    takes_away=_GUESTS,
    sources=LIVE_SOURCES,
)
def server_not_read(verification: Verification, _cloud: object) -> _Found:
    """Servers without a reading."""
    for server, why in verification.unread:
        yield server, Detail((why,))


@server_not_read.explained_by
def _(group: Group, _cloud: object) -> Problem:
    (why,) = group.cause
    text = (
        f"the facts have none: {why}" if why else "no source has the serial numbers of their guests"
    )
    return Problem(f"{group.servers.counted}: {text}")


@Check("live-host-identity", Severity.MEDIUM, rests_on=_GUESTS, sources={GuestSource.LIBVIRT})
def live_host_identity(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Guests that have the hardware UUID of a host."""
    readings = verification.readings
    for serial, hosts in sorted(readings.identities.items()):
        if owners := verification.known(readings.owners.get(serial, frozenset())):
            servers = _ids(owners)
            # Some machines are delivered with the same UUID.
            first, *others = sorted(hosts)
            more = f" and of {len(others):,} more" if others else ""
            yield Problem(
                f"{servers.counted}: the serial number is {serial}, the hardware UUID of host"
                f" {first}{more}",
                about=Resource("host", None, first),
                servers=servers,
            )


@Check("live-serial-shared", Severity.HIGH, rests_on=_GUESTS, sources=LIVE_SOURCES)
def live_serial_shared(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Guests that have one serial number."""
    for serial, owners in sorted(verification.shared()):
        servers = _ids(owners)
        yield Problem(
            f"{servers.counted} have the serial number {_short(serial)}: licences and"
            " inventories take them for one machine",
            about=Resource("serial", None, _short(serial)),
            servers=servers,
        )


def _hosts_of(readings: Iterable[Reading]) -> list[str]:
    return sorted({each.host for each in readings if each.host})


@Check("domain-twice", Severity.MEDIUM, rests_on=_GUESTS, sources={GuestSource.LIBVIRT})
def domain_twice(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Guests that are on several hosts."""
    for found in verification.doubtful():
        hosts = _hosts_of(found)
        if len(hosts) > 1:
            yield Problem(
                f"It has a domain on several hosts: {', '.join(hosts)}",
                Remedy(
                    "Find out which one is the server's (openstack server show); the other is left"
                    " from a move or an evacuation"
                ),
                Resource("server", found[0].id),
            )


@Check("sources-disagree", Severity.MEDIUM, rests_on=_GUESTS, sources=LIVE_SOURCES)
def sources_disagree(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Guests on one host whose serial number differs between sources."""
    for found in verification.doubtful():
        if len(_hosts_of(found)) > 1:
            continue
        # Different serial numbers, with the first reading of each.
        serials: dict[str, Reading] = {}
        for each in found:
            serials.setdefault((each.serial or "").lower(), each)
        listed = "; ".join(
            f"{each.source}: {_short(each.serial or 'none')}"
            for each in list(serials.values())[:NAMES_SHOWN]
        )
        if len(serials) == 2 and "" in serials and not serials[""].is_domain:
            yield Problem(
                "The guest reports an empty serial number, and not the one that it is given:"
                f" {listed}",
                Remedy(
                    "Read the serial number in the guest as root; Windows shows none on some"
                    " machine types"
                ),
                Resource("server", found[0].id),
            )
            continue
        if len(serials) > NAMES_SHOWN:
            listed += f"; and {len(serials) - NAMES_SHOWN:,} others"
        yield Problem(
            f"Its serial number is not the same everywhere: {listed}",
            Remedy("Read the sources again: saved data may be older"),
            Resource("server", found[0].id),
        )


_DOMAINS = frozenset({GuestSource.LIBVIRT, GuestSource.DOMAINS})


def _unknown_domains(verification: Verification, *, by_nova: bool) -> Iterator[Reading]:
    """Yield domains without a server."""
    # Without the servers of all projects, the domain may belong to a server of another one.
    for reading in verification.unknown() if verification.complete else ():
        if reading.is_domain and (reading.nova is not None) is by_nova:
            yield reading


def _domain(reading: Reading) -> Resource:
    return Resource("domain", reading.id, _short(reading.name) or None)


@Check("orphaned-domain", Severity.LOW, rests_on=_LIVE, sources=_DOMAINS, all_projects=True)
def orphaned_domain(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Domains that Nova made, without a server."""
    for reading in _unknown_domains(verification, by_nova=True):
        text = f"{reading.host or reading.source} has a domain that Nova made, and no server has"
        yield Problem(f"{text} its UUID", about=_domain(reading))


@Check("other-domain", Severity.INFO, rests_on=_LIVE, sources=_DOMAINS, all_projects=True)
def other_domain(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Domains that Nova did not make: those of saved XML together, whose host is unknown."""
    saved: list[Reading] = []
    for reading in _unknown_domains(verification, by_nova=False):
        if reading.host:
            text = f"{reading.host} has a domain that Nova did not make"
            yield Problem(text, about=_domain(reading))
        else:
            saved.append(reading)
    if saved:
        names = some([_short(each.name or each.id) for each in saved])
        text = f"Saved XML has {counted(len(saved), 'domain')} that Nova did not make: {names}"
        yield Problem(text)


@Check("fact-without-server", Severity.INFO, rests_on=_LIVE, sources={GuestSource.FACTS})
def fact_without_server(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Facts about machines that are no server that was read, by their source."""
    by_source: dict[str, list[str]] = {}
    for reading in verification.unknown():
        if not reading.is_domain:
            by_source.setdefault(reading.source, []).append(reading.id)
    for source, ids in sorted(by_source.items()):
        machines = counted(len(ids), "machine")
        yield Problem(f"{source} has facts about {machines} that no server is: {some(ids)}")


@Check("live-unread", Severity.UNCHECKED, takes_away=_GUESTS, sources=LIVE_SOURCES)
def live_unread(verification: Verification, _cloud: object) -> Iterator[Problem]:
    """Parts of a source that could not be read."""
    for unread in verification.readings.unread:
        about = Resource("host", None, unread.host) if unread.host else None
        yield Problem(f"{unread.source}: {unread.reason}", about=about)
