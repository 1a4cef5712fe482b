# SPDX-License-Identifier: Apache-2.0
"""How many servers there are of which serial source, by host."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.effective.counts import HostCounts, ServerCounts
from osc_uniqserial.effective.explanation import HOST_SOURCES
from osc_uniqserial.model.cloud import Fleet, Host, ServerFacts
from osc_uniqserial.policy import HostMode, SerialSource, Setting
from tests.unit.builders import (
    M_AUTO,
    M_NONE,
    M_UNIQUE,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    built_from,
    host,
    server_facts,
)

HOSTS = [
    host("driver", TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE),
    host("auto", M_AUTO),
    host("none", M_NONE),
    host("untold"),
    host("unread", unread=True),
    host("vmware", type="VMware vCenter Server"),
]
FLEET = Fleet(tuple(sorted(HOSTS, key=lambda each: each.hypervisor.host)))
SPECS: list[dict[str, str]] = [
    {},
    {"hw:unique_serial": "true"},
    {"hw:unique_serial": "false"},
    {"hw:unique_serial": "banana"},
]
#: Servers of one case are many: the objects are shared, as the survey shares them.
KINDS = [
    server_facts(on, specs, built_from(raw))
    for on in (*HOSTS, None)
    for specs in SPECS
    for raw in (None, "true", "false")
]


def hidden(of: ServerFacts) -> ServerFacts:
    """Return a server whose host this user may not see."""
    copy = server_facts(None, host_visible=False)
    copy.case = of.case
    return copy


def tallied(*servers: ServerFacts, fleet: Fleet | None = FLEET) -> list[HostCounts]:
    tally = ServerCounts()
    tally.add(servers)
    return tally.by_host(fleet)


def by_name(*servers: ServerFacts, fleet: Fleet | None = FLEET) -> dict[str | None, HostCounts]:
    found = tallied(*servers, fleet=fleet)
    names = [each.name for each in found]
    assert len({(each.name, each.placed) for each in found}) == len(names)
    assert names == sorted(names, key=lambda name: (name is None, name or ""))
    return {each.name: each for each in found}


@given(
    st.lists(st.lists(st.sampled_from([*KINDS, *map(hidden, KINDS)]))),
    st.sampled_from([FLEET, Fleet(()), None]),
)
@settings(max_examples=50)
def test_the_numbers_are_those_of_counting_one_by_one(
    pages: list[list[ServerFacts]], fleet: Fleet | None
) -> None:
    tally = ServerCounts()
    sources: dict[tuple[str | None, bool], Counter[SerialSource]] = {}
    requests: dict[tuple[str | None, bool], Counter[Setting | None]] = {}
    for page in pages:
        tally.add(page)
        for each in page:
            case = each.case
            effective = policy.resolve(case.flavor.used, case.image.used, case.host)
            key = (each.host, each.host is not None or case.placed)
            sources.setdefault(key, Counter())[effective.source] += 1
            requests.setdefault(key, Counter())[effective.requested] += 1
    names = {(each.hypervisor.host, True) for each in (fleet.hosts if fleet else ())}
    found = {(each.name, each.placed): each for each in tally.by_host(fleet)}
    assert set(found) == names | set(sources)
    for key, about in found.items():
        assert about.sources == sources.get(key, Counter())
        assert about.requested == requests.get(key, Counter())
        assert about.servers == sources.get(key, Counter[SerialSource]()).total()
        assert about.showing == sum(about.sources[source] for source in HOST_SOURCES)


def test_hosts_without_servers_are_there() -> None:
    found = by_name(server_facts(HOSTS[0]))
    assert set(found) == {each.hypervisor.host for each in HOSTS}
    empty = found["auto"]
    assert (empty.servers, empty.sharing, empty.mode, empty.honours) == (
        0,
        0,
        HostMode.AUTO,
        False,
    )
    assert (found["driver"].servers, found["driver"].honours) == (1, True)
    assert (found["unread"].mode, found["unread"].honours) == (None, None)


def test_servers_on_no_host_are_no_servers_of_a_hidden_one() -> None:
    found = tallied(server_facts(None), hidden(server_facts(HOSTS[1])), fleet=None)
    assert [(each.name, each.placed, each.servers) for each in found] == [
        (None, False, 1),
        (None, True, 1),
    ]
    # Whether they are on one host is hidden too.
    (alone,) = tallied(*(hidden(server_facts(HOSTS[1])) for _ in range(2)), fleet=None)
    assert (alone.showing, alone.sharing) == (2, 0)
    assert tallied(server_facts(None), server_facts(HOSTS[0]))[-1].name is None


def test_a_host_that_the_fleet_does_not_have() -> None:
    found = by_name(server_facts(HOSTS[0]), fleet=None)
    assert list(found) == ["driver"]
    assert (found["driver"].mode, found["driver"].honours) == (HostMode.UNIQUE, True)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_who_shows_the_host_shares(count: int) -> None:
    found = by_name(*(server_facts(HOSTS[1]) for _ in range(count)), server_facts(HOSTS[2]))
    assert found["auto"].showing == found["auto"].servers == count
    assert found["auto"].sharing == (count if count > 1 else 0)
    assert found["auto"].sources == {SerialSource.HOST_AUTO: count}
    assert (found["none"].sharing, found["none"].servers) == (0, 1)


def test_nothing_at_all() -> None:
    assert tallied(fleet=None) == []
    assert tallied(fleet=Fleet(())) == []
    assert by_name()["auto"].servers == 0


def test_two_compute_nodes_of_one_service_are_one_host() -> None:
    twins: tuple[Host, ...] = (HOSTS[1], HOSTS[1])
    (both,) = tallied(server_facts(HOSTS[1]), fleet=Fleet(twins))
    assert (both.name, both.servers) == ("auto", 1)


def test_a_host_that_writes_no_serial_numbers() -> None:
    known = dataclasses.replace(HOSTS[0].input, smbios=False)
    silent = dataclasses.replace(HOSTS[0], input=known)
    found = ServerCounts().by_host(Fleet((silent, HOSTS[1])))
    assert sorted(each.smbios for each in found) == [False, True]
