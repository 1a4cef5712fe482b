# SPDX-License-Identifier: Apache-2.0
"""Where servers could move, and what that does to their serial number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.api import evidence, hosts
from osc_uniqserial.api.rest import Json
from osc_uniqserial.commands.show import COLUMNS
from osc_uniqserial.effective import explanation
from osc_uniqserial.effective.explanation import Explanations
from osc_uniqserial.effective.migration_targets import MigrationTargets
from osc_uniqserial.model.cloud import (
    Case,
    FlavorPart,
    Fleet,
    GivenModes,
    Host,
    ImagePart,
    Moves,
    ServerFacts,
)
from osc_uniqserial.policy import HostMode, SettingInput
from tests.unit.builders import M_OS, M_UNIQUE, OPEN, TRAIT_KEYS, TRAIT_UNIQUE
from tests.unit.strategies import MODES, NODES, RARELY, FakeRest, Node, parts, read_fleet


def case_of(
    own: Host,
    *,
    flavor: FlavorPart | None = None,
    image: ImagePart | None = None,
    pinned: bool = False,
) -> Case:
    return Case(
        flavor or evidence.flavor_part({}, None),
        image or ImagePart(SettingInput(), bounded=False),
        own.input,
        host_visible=True,
        reachable=True,
        pinned=pinned,
        placed=True,
    )


def server_facts(
    case: Case, on: Host | None, number: int = 0, status: str = "ACTIVE"
) -> ServerFacts:
    host = on.hypervisor.host if on else None
    return ServerFacts(
        f"server-{number}", f"web-{number}", "p", status, host, case, "gold", "i", on
    )


# --- random clouds --------------------------------------------------------------


# --- examples -----------------------------------------------------------------


def fleet_of(*nodes: Node, modes: GivenModes = GivenModes()) -> Fleet:  # noqa: B008 - frozen
    return read_fleet(FakeRest(nodes), modes)


def flavor(setting: str | None = None, **specs: str) -> FlavorPart:
    wish = {} if setting is None else {policy.FLAVOR_KEY: setting}
    return evidence.flavor_part({**wish, **specs}, None)


DRIVER = Node(frozenset({TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE}))
OPEN_DRIVER = Node(frozenset({TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE, OPEN}))
UNIQUE = Node(frozenset({M_UNIQUE, TRAIT_UNIQUE}))
STOCK = Node(frozenset({M_OS}))
UNTOLD = Node(frozenset())


@pytest.mark.parametrize(
    ("setting", "nodes", "expected"),
    [
        ("true", (DRIVER, UNIQUE), Moves(True)),
        ("true", (DRIVER, STOCK), Moves(False, ("h1",))),
        ("true", (DRIVER, STOCK, STOCK, UNTOLD), Moves(False, ("h1", "h2"))),
        ("true", (DRIVER, UNTOLD), Moves(None, ("h1",))),
        ("true", (DRIVER, UNTOLD, UNIQUE), Moves(None, ("h1",))),
        # An aggregate's word is about the servers that are there.
        ("true", (DRIVER, Node(declared=True)), Moves(None, ("h1",))),
        ("true", (DRIVER,), Moves(None)),
        ("true", (DRIVER, Node(STOCK.traits, enabled=False)), Moves(None)),
        ("true", (DRIVER, Node(STOCK.traits, type="ironic")), Moves(None)),
        # A host that is disabled can be left.
        ("true", (Node(DRIVER.traits, enabled=False), STOCK), Moves(False, ("h1",))),
        (None, (UNIQUE, DRIVER), Moves(True)),
        (None, (UNIQUE, Node(frozenset({TRAIT_UNIQUE, TRAIT_KEYS, M_OS}))), Moves(False, ("h1",))),
        ("false", (UNIQUE, DRIVER), Moves(False, ("h1",))),
        ("false", (UNIQUE, UNIQUE), Moves(True)),
    ],
)
def test_what_a_move_would_do(
    setting: str | None, nodes: tuple[Node, ...], expected: Moves
) -> None:
    fleet = fleet_of(*nodes)
    own = fleet.hosts[0]
    assert MigrationTargets(fleet).moves(case_of(own, flavor=flavor(setting)), own) == expected


@pytest.mark.parametrize(("node", "keeps"), [(DRIVER, True), (OPEN_DRIVER, False)])
def test_a_host_may_overrule_an_image(node: Node, keeps: bool) -> None:
    fleet = fleet_of(UNIQUE, node)
    own = fleet.hosts[0]
    image = ImagePart(SettingInput(policy.parse("false")), bounded=False)
    moved = MigrationTargets(fleet).moves(case_of(own, image=image), own)
    assert moved
    assert moved.keeps is keeps


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({}, Moves(None, ("h1",))),
        ({"h1": HostMode.UNIQUE}, Moves(True)),
        ({"*": HostMode.AUTO}, Moves(False, ("h1",))),
        ({"*": HostMode.AUTO, "h1": HostMode.UNIQUE}, Moves(True)),
    ],
)
def test_given_modes_count_where_traits_do_not_tell(
    mode: Mapping[str, HostMode], expected: Moves
) -> None:
    fleet = fleet_of(DRIVER, UNTOLD, modes=GivenModes(mode))
    own = fleet.hosts[0]
    assert MigrationTargets(fleet).moves(case_of(own, flavor=flavor("true")), own) == expected


@pytest.mark.parametrize("what", ["pinned", "flavor", "image"])
def test_what_is_not_looked_at_may_keep_a_server_from_a_host(what: str) -> None:
    fleet = fleet_of(DRIVER, STOCK)
    own = fleet.hosts[0]
    case = case_of(
        own,
        flavor=flavor("true", **({"trait:HW_X": "required"} if what == "flavor" else {})),
        image=ImagePart(SettingInput(), bounded=what == "image"),
        pinned=what == "pinned",
    )
    assert MigrationTargets(fleet).moves(case, own) == Moves(None, ("h1",))


def test_a_required_trait_keeps_servers_where_it_is() -> None:
    fleet = fleet_of(DRIVER, STOCK, UNIQUE, Node(DRIVER.traits, enabled=False))
    own = fleet.hosts[0]
    required = flavor("true", **{f"trait:{TRAIT_UNIQUE}": "required"})
    destinations = MigrationTargets(fleet)
    assert destinations.moves(case_of(own, flavor=required), own) == Moves(True)
    ids = {host.hypervisor.host: host.hypervisor.id for host in fleet.hosts}
    assert destinations.other_with(((TRAIT_UNIQUE, "required"),), ids["h0"])
    assert destinations.other_with(((TRAIT_UNIQUE, "required"),), ids["h1"])
    assert not destinations.other_with(((TRAIT_KEYS, "required"),), ids["h0"])
    # A disabled host takes no server, but its servers can move.
    assert destinations.other_with(((TRAIT_KEYS, "required"),), ids["h3"])
    assert not destinations.other_with((("CUSTOM_NO_SUCH", "required"),), ids["h0"])


def test_an_own_host_that_is_not_known() -> None:
    fleet = fleet_of(DRIVER, STOCK)
    case = case_of(fleet.hosts[0], flavor=flavor("true"))
    assert MigrationTargets(fleet).moves(case, None) is None


# --- one report a case ----------------------------------------------------------

STATUSES = st.sampled_from(["ACTIVE", "ERROR", "SHELVED_OFFLOADED"])


def shown(about: explanation.Explanation) -> Json:
    return {name: getter(about) for name, getter in COLUMNS.items()}


@given(NODES, MODES, st.data())
@settings(max_examples=60)
def test_a_report_of_many_is_the_report_of_one(
    nodes: list[Node], modes: GivenModes, data: st.DataObject
) -> None:
    """What is kept of one server does not show in another one's report."""
    rest = FakeRest(nodes)
    fleet = read_fleet(rest, modes)
    known = sorted(hosts.existing_traits(rest))
    # Two hosts may have one input, and so may servers of two hosts be one case.
    inputs = {host.input: case_of(host) for host in fleet.hosts}
    cases = []
    for _case in range(2):
        one, other = data.draw(parts(known))
        cases += [
            dataclasses.replace(case, flavor=one, image=other, pinned=data.draw(RARELY))
            for case in inputs.values()
        ]
    nowhere = dataclasses.replace(cases[0], host=policy.HostInput(), placed=False)
    made = Explanations(fleet)
    for number in range(20):
        on = data.draw(st.sampled_from([None, *fleet.hosts]))
        fitting = [case for case in cases if on and case.host == on.input] or [nowhere]
        case = data.draw(st.sampled_from(fitting))
        about = server_facts(case, on, number, data.draw(STATUSES))
        moved = MigrationTargets(fleet).moves(case, on)
        expected = explanation.build(about, about.case.resolve(), moved)
        assert shown(made.of(about)) == shown(expected)


def test_reports_without_a_fleet() -> None:
    own = fleet_of(DRIVER).hosts[0]
    about = server_facts(case_of(own, flavor=flavor("true")), own)
    said = Explanations(None).of(about)
    assert shown(said) == shown(explanation.build(about, about.case.resolve(), None))
    assert said.survives_move is None


def test_few_reports_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osc_uniqserial.effective.explanation._KEPT", 3)
    own = fleet_of(DRIVER, STOCK).hosts[0]
    made = Explanations(fleet_of(DRIVER, STOCK))
    for number in range(10):
        case = case_of(own, flavor=flavor("true", **{f"x:{number}": "y"}))
        said = made.of(server_facts(case, own, number))
        assert (said.server.id, said.survives_move) == (f"server-{number}", False)
        assert len(made._made) <= 3
