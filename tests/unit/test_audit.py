# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial audit``: the engine, and the command through the real shell."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial import metadefs, policy
from osc_uniqserial.api import evidence, hosts
from osc_uniqserial.checks import AUDIT
from osc_uniqserial.checks.engine import Audit
from osc_uniqserial.commands.findings import _LONG
from osc_uniqserial.effective.counts import ServerCounts
from osc_uniqserial.effective.explanation import HOST_SOURCES, Explanations
from osc_uniqserial.metadefs import Comparison, comparison
from osc_uniqserial.model.cloud import (
    Configuration,
    Flavor,
    FlavorPart,
    Fleet,
    Host,
    ImagePart,
    ServerFacts,
    Unchecked,
)
from osc_uniqserial.model.finding import Finding, ServerIds, Severity
from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY, HostInput, SerialSource, Setting
from tests.unit.builders import (
    AFTER,
    DRIVER,
    EVIL,
    HOST,
    IMAGE_FALSE,
    IMAGE_TRUE,
    M_AUTO,
    M_NONE,
    M_OS,
    M_UNIQUE,
    NUMBERS,
    OPEN,
    PLAIN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    TRUE,
    Json,
    aggregate,
    built_from,
    configuration,
    flavor,
    host,
    image,
    image_id,
    on,
    server_facts,
    server_id,
    volume_id,
)
from tests.unit.clouds import FAULTS, AuditCloud, Node, deny_all_projects
from tests.unit.fake_cloud import CINDER, GLANCE, KEYSTONE, NOVA, PLACEMENT, FakeCloud
from tests.unit.glance import BOOLEAN, MAIN, changed, definition
from tests.unit.strategies import MODES, NODES, FakeRest, parts, read_fleet
from tests.unit.strategies import Node as Kind

REQUIRED = {f"trait:{TRAIT_UNIQUE}": "required"}
UNCHECKED = {id_ for id_, check in AUDIT.items() if check.severity is Severity.UNCHECKED}


# --- a small cloud in memory ---------------------------------------------------


def found_in(known: Configuration, definitions: Iterable[Comparison] = ()) -> list[Finding]:
    return list(Audit(known, definitions).configuration())


def told(findings: Iterable[Finding]) -> Counter[tuple[str, str | None]]:
    return Counter((each.id, each.resource_name) for each in findings)


def audited(*servers: ServerFacts, known: Configuration | None = None, **summary: Any) -> Audit:
    """Return an audit that saw these servers; :attr:`found` is what it says of them."""
    if known is None:
        seen = {each.on.hypervisor.id: each.on for each in servers if each.on}
        known = configuration(*seen.values())
    audit = Audit(known)
    audit.add(servers)
    return audit


def of_servers(*servers: ServerFacts, **options: Any) -> dict[str, Finding]:
    """Return what is found about servers; each ID once."""
    found = list(audited(*servers, **options).summary())
    assert len({each.id for each in found}) == len(found)
    return {each.id: each for each in found}


# --- flavors, images, aggregates, hosts -----------------------------------------

GOOD, STOCK = host("a", *DRIVER), host("s", M_AUTO)

#: What is found once, and about what; the same without the fault is clean.
CONFIGURATIONS: dict[str, tuple[str, str | None, Configuration]] = {
    "flavor with null": (
        "invalid-value",
        "gold",
        configuration(GOOD, flavors=[flavor(**{FLAVOR_KEY: "null"})]),
    ),
    "blank flavor": ("invalid-value", "gold", configuration(flavors=[flavor(**{FLAVOR_KEY: ""})])),
    "image": ("invalid-value", "debian", configuration(images=[image(**{IMAGE_KEY: "banana"})])),
    "aggregate": (
        "invalid-value",
        "r",
        configuration(aggregates=[aggregate("r", **{IMAGE_KEY: "x"})]),
    ),
    "image key on a flavor": (
        "misplaced-key",
        "gold",
        configuration(flavors=[flavor(**{IMAGE_KEY: "true"})]),
    ),
    "near miss on a flavor": (
        "misplaced-key",
        "gold",
        configuration(flavors=[flavor(**{"hw:unique-serial": "true"})]),
    ),
    "flavor key on an image": (
        "misplaced-key",
        "debian",
        configuration(images=[image(**{FLAVOR_KEY: "true"})]),
    ),
    "a flavor with a key that is close": (
        "misspelt-key",
        "gold",
        configuration(flavors=[flavor(**{"hw:unqiue_serial": "true"})]),
    ),
    "an image with a key that is close": (
        "misspelt-key",
        "debian",
        configuration(images=[image(**{"hw_unique_seriel": "true"})]),
    ),
    "an aggregate with a key that is close": (
        "misspelt-key",
        "r",
        configuration(GOOD, aggregates=[aggregate("r", **{"hw:unique-serial": "true"})]),
    ),
    "flavor contradicts itself": (
        "contradicting-request",
        "gold",
        configuration(GOOD, flavors=[flavor(**{FLAVOR_KEY: "false"}, **REQUIRED)]),
    ),
    "image contradicts itself": (
        "contradicting-request",
        "debian",
        configuration(
            host("a", TRAIT_UNIQUE, TRAIT_KEYS, M_OS),
            images=[image(**{IMAGE_KEY: "false"}, **REQUIRED)],
        ),
    ),
    "no host gives unique": (
        "key-not-honoured",
        "gold",
        configuration(STOCK, flavors=[flavor(**{FLAVOR_KEY: "true"})]),
    ),
    "no host obeys": (
        "key-not-honoured",
        "debian",
        configuration(STOCK, images=[image(**{IMAGE_KEY: "false"})]),
    ),
    "no host has the trait": (
        "no-valid-host",
        "gold",
        configuration(STOCK, flavors=[flavor(**REQUIRED)]),
    ),
    "the one with the trait is disabled": (
        "no-valid-host",
        "debian",
        configuration(host("a", *DRIVER, enabled=False), images=[image(**REQUIRED)]),
    ),
    "the one with the trait is down": (
        "no-valid-host",
        "gold",
        configuration(host("a", *DRIVER, up=False), flavors=[flavor(**REQUIRED)]),
    ),
    "nothing keeps servers from a stock host": (
        "not-steered",
        "gold",
        configuration(GOOD, STOCK, flavors=[flavor(**{FLAVOR_KEY: "true"})]),
    ),
    "an image either": (
        "not-steered",
        "debian",
        configuration(GOOD, STOCK, images=[image(**{IMAGE_KEY: "true"})]),
    ),
    "snapshot": (
        "inherited-key",
        "debian",
        configuration(GOOD, images=[image("debian", "private", True, **{IMAGE_KEY: "true"})]),
    ),
    "aggregate contradicts itself": (
        "aggregate-conflict",
        "r",
        configuration(
            GOOD, aggregates=[aggregate("r", **{FLAVOR_KEY: "true", IMAGE_KEY: "False"})]
        ),
    ),
    "aggregate says both at once": (
        "aggregate-conflict",
        "r",
        configuration(GOOD, aggregates=[aggregate("r", **{FLAVOR_KEY: "true, False"})]),
    ),
    "aggregate says it twice, and is wrong": (
        "aggregate-host-mismatch",
        "r",
        configuration(STOCK, aggregates=[aggregate("r", ["s"], **{FLAVOR_KEY: "true,True"})]),
    ),
    "aggregate has one of two values that is no boolean": (
        "invalid-value",
        "r",
        configuration(GOOD, aggregates=[aggregate("r", **{FLAVOR_KEY: "true,banana"})]),
    ),
    "aggregate says too much": (
        "aggregate-host-mismatch",
        "r",
        configuration(STOCK, aggregates=[aggregate("r", ["s"], **{FLAVOR_KEY: "true"})]),
    ),
    "aggregate says too little": (
        "aggregate-host-mismatch",
        "r",
        configuration(GOOD, aggregates=[aggregate("r", **{FLAVOR_KEY: "false"})]),
    ),
    "two modes": ("contradicting-traits", "h", configuration(host("h", M_AUTO, M_OS))),
    "a promise that the mode breaks": (
        "contradicting-traits",
        "h",
        configuration(host("h", TRAIT_UNIQUE, M_OS)),
    ),
    "keys without a mode": (
        "incomplete-traits",
        "h",
        configuration(host("h", TRAIT_UNIQUE, TRAIT_KEYS)),
    ),
    "keys without the promise": (
        "incomplete-traits",
        "h",
        configuration(host("h", TRAIT_KEYS, M_OS)),
    ),
    "traits of a host without serials": (
        "wrong-traits",
        "h",
        configuration(host("h", TRAIT_UNIQUE, type="ironic")),
    ),
    "open to images": ("image-may-show-host", "h", configuration(host("h", *DRIVER, OPEN))),
}


@pytest.mark.parametrize("case", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_one_fault_makes_one_finding(case: tuple[str, str | None, Configuration]) -> None:
    id_, name, known = case
    assert told(found_in(known)) == {(id_, name): 1}


CLEAN: dict[str, Configuration] = {
    "nothing": configuration(),
    "a flavor that asks": configuration(GOOD, flavors=[flavor(**{FLAVOR_KEY: "True"})]),
    "a flavor that is steered": configuration(
        GOOD, STOCK, flavors=[flavor(**{FLAVOR_KEY: "true"}, **REQUIRED)]
    ),
    **{
        f"a flavor that {key} may keep from the other host": configuration(
            GOOD, STOCK, flavors=[flavor(**{FLAVOR_KEY: "true", key: value})]
        )
        for key, value in (
            ("ssd", "true"),
            ("trait:CUSTOM_LICENSED", "required"),
            ("trait_group1:CUSTOM_LICENSED", "required"),
            (f"aggregate_instance_extra_specs:{FLAVOR_KEY}", "true"),
        )
    },
    "an image that a trait of others may keep from the other host": configuration(
        GOOD, STOCK, images=[image(**{IMAGE_KEY: "true", "trait:CUSTOM_LICENSED": "required"})]
    ),
    "a stock host in mode unique gives it": configuration(
        host("a", TRAIT_UNIQUE, M_UNIQUE), flavors=[flavor(**{FLAVOR_KEY: "true"})]
    ),
    "the other host is disabled": configuration(
        GOOD, host("s", M_AUTO, enabled=False), flavors=[flavor(**{FLAVOR_KEY: "true"})]
    ),
    "the other host is not known": configuration(
        GOOD, host("s", unread=True), flavors=[flavor(**{FLAVOR_KEY: "true"})]
    ),
    "a driver that is not known": configuration(
        host("s", unread=True), flavors=[flavor(**{FLAVOR_KEY: "true"})], traits_unread="no"
    ),
    "traits unread": configuration(
        host("s", unread=True), flavors=[flavor(**{FLAVOR_KEY: "false"})]
    ),
    "hidden extra specs": configuration(flavors=[Flavor("1", "gold", None)]),
    "a snapshot without the key": configuration(images=[image("debian", "private", True)]),
    "a public image": configuration(
        host("a", TRAIT_UNIQUE, TRAIT_KEYS, M_OS),
        images=[image("debian", "public", **{IMAGE_KEY: "false"})],
    ),
    "aggregates agree": configuration(
        GOOD,
        aggregates=[aggregate("r", **{FLAVOR_KEY: "true"}), aggregate("q", **{IMAGE_KEY: "True"})],
    ),
    "aggregates apart": configuration(
        GOOD,
        STOCK,
        aggregates=[
            aggregate("r", **{FLAVOR_KEY: "true"}),
            aggregate("q", ["s"], **{FLAVOR_KEY: "false"}),
        ],
    ),
    "an aggregate of a host that is not known": configuration(
        host("a"), aggregates=[aggregate("r", **{FLAVOR_KEY: "true"})]
    ),
    "ironic without traits": configuration(host("h", type="ironic")),
    "open, and in a mode where it means nothing": configuration(
        host("h", TRAIT_UNIQUE, TRAIT_KEYS, M_OS, OPEN)
    ),
    "open, and stock": configuration(host("h", M_UNIQUE, OPEN)),
}


@pytest.mark.parametrize("known", CLEAN.values(), ids=CLEAN)
def test_no_fault_makes_no_finding(known: Configuration) -> None:
    assert [each for each in found_in(known) if each.severity is not Severity.UNCHECKED] == []


def test_a_declaration_of_an_aggregate_counts_as_in_the_list_of_hosts() -> None:
    declared = host("d")
    known = evidence.host_input(frozenset(), None, declared=True, smbios=True)
    declared = dataclasses.replace(declared, input=dataclasses.replace(known, honours=None))
    assert declared.meets_unique is True
    cloud = configuration(declared, STOCK, flavors=[flavor(**{FLAVOR_KEY: "true"})])
    assert told(found_in(cloud)) == {("not-steered", "gold"): 1}


def test_aggregates_that_contradict_each_other() -> None:
    known = configuration(
        host("a"),
        aggregates=[aggregate("r", **{FLAVOR_KEY: "true"}), aggregate("q", **{FLAVOR_KEY: "no"})],
    )
    assert told(found_in(known)) == {("aggregate-conflict", "r"): 1, ("aggregate-conflict", "q"): 1}


@pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
@pytest.mark.parametrize(
    "traits", [(*DRIVER, OPEN), DRIVER, (TRAIT_UNIQUE, TRAIT_KEYS, M_OS, OPEN), (M_UNIQUE, OPEN)]
)
def test_an_image_of_a_tenant_that_shows_a_host(visibility: str, traits: tuple[str, ...]) -> None:
    known = configuration(
        host("h", *traits), images=[image("x", visibility, **{IMAGE_KEY: "false"})]
    )
    found = {each.id: each for each in found_in(known)}
    exposed = visibility != "public" and traits == (*DRIVER, OPEN)
    assert ("tenant-image-shows-host" in found) is exposed
    if exposed:
        about = found["tenant-image-shows-host"]
        assert (about.project_id, about.type) == ("owner", "image")
        assert "h" in about.evidence


@pytest.mark.parametrize("required", policy.TRAITS)
def test_any_trait_of_ours_may_be_missing(required: str) -> None:
    rule = {f"trait:{required}": "required"}
    without = host("h", *(trait for trait in (TRAIT_UNIQUE, TRAIT_KEYS) if trait != required))
    known = configuration(without, flavors=[flavor(**rule)])
    assert ("no-valid-host", "gold") in told(found_in(known))
    known = configuration(host("h", required), flavors=[flavor(**rule)])
    assert ("no-valid-host", "gold") not in told(found_in(known))


@pytest.mark.parametrize(
    ("documents", "id_"),
    [
        ({}, "metadefs-missing"),
        ({"visibility": "private", "protected": False}, "metadefs-private"),
        (None, "metadefs-outdated"),
    ],
)
def test_metadata_definitions(documents: Json | None, id_: str) -> None:
    stored = None
    if documents is None:
        stored = metadefs.Namespace.parse(definition(type="boolean"))
    elif documents:
        stored = metadefs.Namespace.parse(changed(**documents))
    found = found_in(configuration(), comparison.compare(MAIN, stored))
    assert told(found) == {(id_, MAIN.name): 1}
    assert found[0].type == "namespace"
    assert "openstack unique serial metadef install" in str(found[0].remedy)


# --- servers ---------------------------------------------------------------------

LOSES, NONE = host("l", M_OS), host("n", M_NONE)


def test_servers_with_their_own_serial_are_clean() -> None:
    assert of_servers(server_facts(GOOD, TRUE), server_facts(GOOD)) == {}


def test_a_server_without_a_host_is_checked() -> None:
    audit = audited(server_facts(None, TRUE), server_facts(None, image=ImagePart()))
    assert list(audit.summary()) == []
    assert str(audit.coverage) == "2 of 2 servers checked"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_servers_that_show_the_host(count: int) -> None:
    found = of_servers(*(server_facts(LOSES) for _ in range(count)), server_facts(GOOD, TRUE))
    expected = {"host-identity-shown", *(["serial-shared"] if count > 1 else [])}
    # They move nowhere: the other one has a server that would.
    assert found.keys() - {"changes-on-move"} == expected
    for id_ in expected:
        about = found[id_]
        assert (about.type, about.resource_name, about.resource_id) == ("host", "l", "provider-l")
        assert about.servers is not None
        assert len(about.servers) == count


OBEYS = host("k", TRAIT_UNIQUE, TRAIT_KEYS, policy.TRAIT_SERVER_MAY_ASK, M_AUTO)
ASK = "openstack server set --unique-serial SERVER, then openstack server reboot --hard SERVER"


@pytest.mark.parametrize(
    ("on", "asked", "remedy"),
    [
        (LOSES, None, "Set [libvirt]sysinfo_serial = unique on the host"),
        # It is unique already: only the flavor or the image can be the cause.
        (
            host("q", TRAIT_UNIQUE, TRAIT_KEYS, M_UNIQUE),
            "false",
            "Resize them to another flavor without",
        ),
        # A server's own request wins over a false.
        (OBEYS, None, ASK),
        (OBEYS, "false", ASK),
    ],
)
def test_what_helps_servers_that_show_the_host(on: Host, asked: str | None, remedy: str) -> None:
    specs = {FLAVOR_KEY: asked} if asked else {}
    found = of_servers(server_facts(on, specs), server_facts(on, specs))
    for id_ in ("serial-shared", "host-identity-shown"):
        assert str(found[id_].remedy).startswith(remedy)


@pytest.mark.parametrize(("on", "lost"), [(LOSES, True), (NONE, True), (GOOD, False)])
def test_a_unique_serial_that_is_not_there(on: Host, lost: bool) -> None:
    found = of_servers(server_facts(on, TRUE))
    assert ("unique-not-effective" in found) is lost
    assert "unique-not-effective" not in of_servers(server_facts(on))
    if lost:
        assert found["unique-not-effective"].severity is Severity.HIGH
        assert found["unique-not-effective"].resource_name == on.hypervisor.host


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (LOSES, "does not honour the keys"),
        (NONE, "does not honour the keys"),
        (host("k", TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO), "does not obey the requests of servers"),
        (host("v", type="VMware vCenter Server"), "writes no serial number"),
    ],
)
def test_a_request_of_a_server_that_is_not_obeyed(on: Host, why: str) -> None:
    found = of_servers(server_facts(on, metadata="true"))
    assert found["server-request-not-obeyed"].severity is Severity.HIGH
    assert why in found["server-request-not-obeyed"].evidence
    assert "unique-not-effective" not in found
    # Where the flavor asks too, it is the flavor's.
    found = of_servers(server_facts(on, TRUE, metadata="true"))
    assert ("unique-not-effective" in found) is (policy.TRAIT_KEYS not in (on.traits or ()))
    assert "server-request-not-obeyed" not in found


def test_a_request_of_a_server_that_is_obeyed() -> None:
    found = of_servers(*(server_facts(OBEYS, metadata="true") for _ in range(2)))
    assert not {"server-request-not-obeyed", "serial-shared", "host-identity-shown"} & {*found}
    conflict = of_servers(server_facts(OBEYS, {FLAVOR_KEY: "false"}, metadata="true"))[
        "setting-conflict"
    ]
    assert "and the servers for one of their own" in conflict.evidence


@pytest.mark.parametrize(
    ("text", "said"), [("false", "have false as"), ("banana", "a value that is no boolean")]
)
def test_metadata_of_a_server_without_effect(text: str, said: str) -> None:
    found = of_servers(*(server_facts(GOOD, metadata=text) for _ in range(2)))
    assert said in found["server-value-without-effect"].evidence
    assert found["server-value-without-effect"].severity is Severity.LOW


def test_a_serial_that_changes_on_a_move() -> None:
    known = configuration(GOOD, STOCK, flavors=[flavor()])
    found = of_servers(server_facts(GOOD, TRUE), known=known)["changes-on-move"]
    assert (found.type, found.resource_id, found.resource_name) == ("flavor", "id-gold", "gold")
    assert "for example to s" in found.evidence
    for steady in (
        server_facts(GOOD, {**TRUE, **REQUIRED}),
        server_facts(GOOD, TRUE, pinned=True),
        server_facts(GOOD, {**TRUE, "trait:HW_X": "required"}),
        server_facts(STOCK, TRUE),
    ):
        assert "changes-on-move" not in of_servers(steady, known=known)
    assert "changes-on-move" not in of_servers(server_facts(GOOD, TRUE))


def test_a_server_that_no_other_host_may_take() -> None:
    bound = {**TRUE, **REQUIRED}
    found = of_servers(server_facts(GOOD, bound), known=configuration(GOOD, STOCK))
    assert list(found) == ["cannot-move"]
    assert found["cannot-move"].resource_name == "a"
    other = host("b", *DRIVER)
    assert of_servers(server_facts(GOOD, bound), known=configuration(GOOD, other)) == {}
    disabled = host("b", *DRIVER, enabled=False)
    assert "cannot-move" in of_servers(
        server_facts(GOOD, bound), known=configuration(GOOD, disabled)
    )


def test_a_server_whose_host_lost_the_trait() -> None:
    bound = {**TRUE, **REQUIRED}
    known = configuration(GOOD, LOSES)
    found = of_servers(server_facts(LOSES, bound), known=known)
    assert found["host-lacks-trait"].resource_name == "l"
    assert "cannot-move" not in found
    unread = host("u", unread=True)
    assert "host-lacks-trait" not in of_servers(
        server_facts(unread, bound), known=configuration(GOOD, unread)
    )


@pytest.mark.parametrize(
    ("now", "changed"), [("false", True), (None, True), ("True", False), ("banana", True)]
)
def test_what_changed_since_boot(now: str | None, changed: bool) -> None:
    found = of_servers(server_facts(GOOD, TRUE, flavor_now=policy.parse(now)))
    assert ("flavor-changed" in found) is changed
    found = of_servers(server_facts(GOOD, image=built_from("true", now, changed=True)))
    assert ("image-changed" in found) is changed
    if changed:
        about = found["image-changed"]
        assert (about.type, about.resource_id) == ("image", "id-debian")
        assert "'true'" in about.evidence


def test_flavor_and_image_that_ask_for_opposites() -> None:
    found = of_servers(
        server_facts(GOOD, TRUE, built_from("false")),
        server_facts(GOOD, {FLAVOR_KEY: "no"}, built_from("yes")),
        server_facts(GOOD, TRUE, built_from("true")),
        server_facts(GOOD, TRUE),
        server_facts(GOOD, {FLAVOR_KEY: "banana"}, built_from("false")),
    )
    about = found["setting-conflict"].servers
    assert about is not None
    assert len(about) == 2


def test_invalid_values_in_use() -> None:
    audit = audited(
        server_facts(GOOD, {FLAVOR_KEY: "null"}),
        server_facts(GOOD, {FLAVOR_KEY: "null"}),
        server_facts(GOOD, image=built_from("x")),
    )
    found = [(each.id, each.type, len(each.servers or ())) for each in audit.summary()]
    assert found == [("invalid-value-in-use", "flavor", 2), ("invalid-value-in-use", "image", 1)]


# --- what could not be checked ----------------------------------------------------


@pytest.mark.parametrize(
    ("known", "id_"),
    [
        (Configuration(Unchecked("no"), (), {}), "hosts-unreadable"),
        (configuration(hosts_of_down_cells=("d",)), "hosts-unreadable"),
        (configuration(traits_unread="no"), "traits-unreadable"),
        (configuration(aggregates_unread="no"), "aggregates-unreadable"),
        (configuration(flavors=Unchecked("no")), "flavors-unreadable"),
        (configuration(images=Unchecked("no")), "images-unreadable"),
    ],
)
def test_what_could_not_be_read(known: Configuration, id_: str) -> None:
    (found,) = found_in(known)
    assert (found.id, found.severity) == (id_, Severity.UNCHECKED)
    assert "no" in found.evidence or "d" in found.evidence
    assert found.servers is None


UNTOLD = host("u")
HIDDEN = dataclasses.replace(UNTOLD, input=HostInput())


@pytest.mark.parametrize(
    ("server", "ids", "note"),
    [
        (server_facts(UNTOLD), ["host-unknown"], "1 host unknown"),
        (
            server_facts(None, host_visible=False),
            ["host-unknown"],
            "1 on a host that is hidden from this user",
        ),
        (
            server_facts(host("k", TRAIT_UNIQUE, TRAIT_KEYS, M_OS), image=ImagePart()),
            ["image-unreadable"],
            "1 image",
        ),
        (
            server_facts(None, reachable=False, name=None),
            ["server-in-down-cell"],
            "1 in a down cell",
        ),
    ],
)
def test_servers_whose_serial_is_unknown(server: ServerFacts, ids: list[str], note: str) -> None:
    audit = audited(server)
    assert [each.id for each in audit.summary()] == ids
    assert str(audit.coverage).startswith("0 of 1 servers checked; ")
    assert note in str(audit.coverage)


def test_hosts_of_which_nothing_is_known_without_a_server_that_tells() -> None:
    silent, torn, given = host("s"), host("t", M_OS, M_UNIQUE), host("g", mode=policy.HostMode.OS)
    others = (host("f", type="fake"), host("n", M_NONE), GOOD, given)
    audit = audited(server_facts(UNTOLD), known=configuration(UNTOLD, silent, torn, *others))
    found = {(each.id, each.resource_name): each for each in audit.summary()}
    assert {*found} == {
        ("host-unknown", "u"),
        ("host-mode-unknown", "s"),
        ("host-mode-unknown", "t"),
    }
    about = found["host-mode-unknown", "s"]
    assert (about.type, about.resource_id, about.servers) == ("host", "provider-s", None)
    assert "--host-mode" in str(about.remedy)
    assert str(audit.coverage) == "0 of 1 servers checked; 1 host unknown"


def test_a_known_serial_does_not_make_its_host_known() -> None:
    """A host with the keys' driver gives who asks a serial of his own, in whatever mode."""
    modeless = host("m", TRAIT_UNIQUE, TRAIT_KEYS)
    found = of_servers(server_facts(modeless, TRUE))
    assert found["host-mode-unknown"].resource_name == "m"


def test_unread_traits_are_told_once() -> None:
    known = configuration(host("u", unread=True), host("v", unread=True), traits_unread="no")
    assert list(audited(known=known).summary()) == []


def test_flavors_whose_extra_specs_are_hidden() -> None:
    """Nova lists them all the same, to whoever may list flavors."""
    seen, hidden = flavor("seen"), dataclasses.replace(flavor("kept"), properties=None)
    assert found_in(configuration(flavors=[seen])) == []
    (found,) = found_in(configuration(flavors=[seen, hidden, hidden]))
    assert (found.id, found.severity) == ("flavors-unreadable", Severity.UNCHECKED)
    assert "(2 of them)" in found.evidence


def test_a_flavor_that_is_hidden() -> None:
    server = server_facts(host("k", TRAIT_UNIQUE, TRAIT_KEYS, M_OS))
    case = dataclasses.replace(server.case, flavor=FlavorPart())
    audit = audited(dataclasses.replace(server, case=case))
    assert [each.id for each in audit.summary()] == ["flavor-unreadable"]
    assert "1 flavor unreadable" in str(audit.coverage)


def test_a_root_volume_that_is_unknown() -> None:
    server = dataclasses.replace(
        server_facts(host("k", TRAIT_UNIQUE, TRAIT_KEYS, M_OS), image=ImagePart()), image=None
    )
    audit = audited(server)
    (found,) = audit.summary()
    assert (found.id, found.resource_name) == ("volume-unreadable", None)
    assert str(audit.coverage) == ("0 of 1 servers checked; 1 with an unreadable root volume")


def test_what_does_not_matter_is_not_missed() -> None:
    """On a stock host in a known mode the source is known whatever the image says."""
    audit = audited(server_facts(LOSES, image=ImagePart()))
    assert [each.id for each in audit.summary()] == ["host-identity-shown"]
    assert str(audit.coverage) == "1 of 1 servers checked"


def test_servers_that_were_not_read() -> None:
    audit = audited(server_facts(GOOD))
    found = list(
        audit.summary(
            [("Boom", 1200), ("Bang", None), ("nothing is known of cells", 0)],
            unlisted_cells=True,
            volumes_unread="no Cinder",
        )
    )
    assert told(found) == {("servers-unread", None): 4, ("volumes-unreadable", None): 1}
    assert str(audit.coverage) == (
        "1 of about 1,201 servers checked; 0 or more in a down cell;"
        " about 1,200 servers could not be read: Boom; some servers could not be read: Bang;"
        " nothing is known of cells"
    )


def test_every_finding_has_a_test() -> None:
    """Each ID is written in a test of this file."""
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    assert [id_ for id_ in AUDIT if text.count(f'"{id_}"') == 0] == []


# --- invariants ----------------------------------------------------------------


@st.composite
def cloud_of(draw: Any) -> tuple[Fleet, list[ServerFacts]]:
    """Return a fleet with servers of all kinds on it, some of them alike."""
    nodes: list[Kind] = draw(NODES)
    rest = FakeRest(nodes)
    fleet = read_fleet(rest, draw(MODES))
    known = sorted(hosts.existing_traits(rest))
    servers = []
    for _kind in range(draw(st.integers(1, 6))):
        on = draw(st.sampled_from([*fleet.hosts, None]))
        one, other = draw(parts(known))
        about = server_facts(on)
        case = dataclasses.replace(about.case, flavor=one, image=other)
        for number in range(draw(st.integers(1, 3))):
            fresh = str(uuid.UUID(int=next(NUMBERS)))
            servers.append(dataclasses.replace(about, id=fresh, name=f"w{number}", case=case))
    return fleet, servers


def ids_of(found: Iterable[Finding], id_: str) -> set[str]:
    return {server for each in found if each.id == id_ for server in each.servers or ()}


@given(cloud_of())
@settings(max_examples=100)
def test_the_audit_judges_as_list_does(cloud: tuple[Fleet, list[ServerFacts]]) -> None:
    fleet, servers = cloud
    audit = Audit(Configuration(fleet, (), {}))
    audit.add(servers)
    reports = Explanations(fleet)
    said = {each.id: reports.of(each) for each in servers}
    sources = Counter(about.policy.source for about in said.values())
    tally = ServerCounts()
    tally.add(servers)
    counted = sum((each.sources for each in tally.by_host(fleet)), Counter[SerialSource]())
    assert counted == sources
    found = list(audit.summary())
    shown = {id_ for id_, about in said.items() if about.policy.source in HOST_SOURCES}
    assert ids_of(found, "host-identity-shown") == shown
    lost = {
        id_
        for id_, about in said.items()
        if about.policy.requested is Setting.UNIQUE
        and about.policy.source not in (SerialSource.INSTANCE_UUID, SerialSource.UNKNOWN)
    }
    # Without a host there is nothing to lose.
    assert ids_of(found, "unique-not-effective") == lost
    moving = {
        id_
        for id_, about in said.items()
        if about.policy.source is SerialSource.INSTANCE_UUID and about.survives_move is False
    }
    assert ids_of(found, "changes-on-move") == moving
    by_host = Counter(said[id_].server.host for id_ in shown)
    shared = {id_ for id_ in shown if by_host[said[id_].server.host] > 1}
    assert ids_of(found, "serial-shared") == shared
    unknown = {
        each.id
        for each in servers
        if each.on and said[each.id].policy.source is SerialSource.UNKNOWN
    }
    assert audit.coverage.seen == len(servers)
    assert audit.coverage.checked == len(servers) - len(unknown)
    doubts = {server for each in found if each.id in UNCHECKED for server in each.servers or ()}
    assert doubts == unknown


@given(cloud_of(), st.integers(2, 5))
@settings(max_examples=50)
def test_findings_do_not_grow_with_servers(
    cloud: tuple[Fleet, list[ServerFacts]], times: int
) -> None:
    """More servers of the same kinds are in the same findings."""
    fleet, servers = cloud
    # The second one of each is what makes a serial shared.
    once, more = (Audit(Configuration(fleet, (), {})) for _ in range(2))
    for audit, count in ((once, 2), (more, 2 * times)):
        for _ in range(count):
            audit.add(
                dataclasses.replace(each, id=str(uuid.UUID(int=next(NUMBERS)))) for each in servers
            )
    few, many = list(once.summary()), list(more.summary())
    assert [(each.id, each.resource_name) for each in few] == [
        (each.id, each.resource_name) for each in many
    ]
    for one, other in zip(few, many, strict=True):
        assert len(other.servers or ()) == times * len(one.servers or ())


@given(st.lists(st.uuids().map(str)))
def test_server_ids_come_back(ids: list[str]) -> None:
    held = ServerIds()
    for id_ in ids:
        held.add(id_, f"n-{id_}")
    assert list(held) == ids
    assert len(held) == len(ids)
    assert held.some == tuple(f"n-{id_}" for id_ in ids[:3])


def test_server_ids_are_small() -> None:
    held = ServerIds()
    about = server_facts(None)
    for _ in range(10_000):
        held.add(about.id, about.name)
    assert sys.getsizeof(held._bytes) < 20 * 10_000


# --- the command ------------------------------------------------------------------


@pytest.fixture
def cloud(fake: FakeCloud) -> AuditCloud:
    return AuditCloud(fake)


@pytest.fixture
def faulty(cloud: AuditCloud) -> AuditCloud:
    """A finding of each severity."""
    cloud.add_faults()
    return cloud


def test_a_clean_cloud(cloud: AuditCloud) -> None:
    cloud.server(1)
    cloud.server(2, flavor=PLAIN, host="b")
    result = cloud.run("-f", "json")
    assert (result.code, result.json) == (0, [])
    assert result.err == "2 of 2 servers checked\n"


def test_no_server_at_all(cloud: AuditCloud) -> None:
    assert cloud.findings(code=0) == []
    assert cloud.notes == "0 of 0 servers checked\n"


def test_findings_are_sorted_by_severity(faulty: AuditCloud) -> None:
    rows = faulty.findings()
    assert [row["id"] for row in rows] == FAULTS
    rank = ["high", "medium", "low", "info", "unchecked"]
    assert [row["severity"] for row in rows] == sorted(
        (row["severity"] for row in rows), key=rank.index
    )
    assert faulty.notes == "2 of 2 servers checked\n"


@pytest.mark.parametrize(
    "key",
    [
        "hw:unique_serial",
        "hw-unique-serial",
        "Unique Serial",
        "UNIQUE_SERIAL",
        "hw_unqiue_serial",
        "hw_unique_serial_number",
    ],
)
def test_a_key_in_metadata_that_is_close(cloud: AuditCloud, key: str) -> None:
    others = {f"item-{number}": "sequence" for number in range(127)}
    for number in (1, 2):
        cloud.server(number, metadata={**others, key: "true"})
    for number, metadata in enumerate(
        ({}, {"a": "b"}, {"request": "hw:unique_serial"}, {"hw_unique_serial": "true"}), 3
    ):
        cloud.server(number, metadata=metadata)
    (row,) = cloud.findings(code=3)
    assert (row["id"], row["severity"]) == ("server-key-without-effect", "medium")
    assert row["server_ids"] == [server_id(1), server_id(2)]
    assert f"{key!r}, for example" in row["evidence"]
    assert "openstack server unset --property KEY SERVER" in row["remedy"]


def test_the_key_and_one_that_is_close(cloud: AuditCloud) -> None:
    cloud.server(1, metadata={"hw_unique_serial": "banana", "hw:unique_serial": "true"})
    assert {row["id"] for row in cloud.findings(code=3)} == {
        "server-key-without-effect",
        "server-value-without-effect",
    }


def test_a_finding_in_full(faulty: AuditCloud) -> None:
    row = faulty.findings()[0]
    assert row["servers"] == 1
    assert row["server_ids"] == [server_id(2)]
    assert (row["resource_type"], row["resource_name"]) == ("host", "c")
    assert "web-2" in row["evidence"]
    short = faulty.run("-f", "json").json[0]
    assert short == {name: value for name, value in row.items() if name not in _LONG}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("", 3),
        ("--fail-on high", 3),
        ("--fail-on never", 0),
        ("--only invalid-value --fail-on high", 0),
        ("--only invalid-value --fail-on medium", 3),
        ("--only invalid-value", 3),
        ("--only not-steered --fail-on medium", 0),
        ("--only not-steered", 3),
        ("--only image-may-show-host", 0),
        ("--only image-may-show-host --fail-on info", 3),
        ("--only cannot-move", 0),
        ("--skip unique-not-effective --fail-on high", 0),
        ("--only no-such", 2),
        ("--skip servers-unread", 2),
        ("--fail-on unchecked", 2),
    ],
)
def test_exit_codes(faulty: AuditCloud, options: str, code: int) -> None:
    assert faulty.run("-f", "json", *options.split()).code == code


def test_what_is_selected(faulty: AuditCloud) -> None:
    assert faulty.ids("--only", "invalid-value", "--only", "not-steered") == [
        "invalid-value",
        "not-steered",
    ]
    assert faulty.ids("--skip", "invalid-value", "--skip", "not-steered") == [
        each for each in FAULTS if each not in ("invalid-value", "not-steered")
    ]


@pytest.mark.parametrize(
    ("options", "code"), [("", 3), ("--only cannot-move", 4), ("--fail-on never", 4)]
)
def test_what_could_not_be_checked_stays(faulty: AuditCloud, options: str, code: int) -> None:
    faulty.fake.http.get(f"{GLANCE}/v2/images", status_code=403)
    found = faulty.findings(*options.split(), code=code)
    assert "images-unreadable" in {row["id"] for row in found}
    assert found[-1]["severity"] == "unchecked"


@pytest.mark.parametrize(
    ("url", "id_"),
    [
        (f"{NOVA}/os-hypervisors/detail", "hosts-unreadable"),
        (f"{NOVA}/os-aggregates", "aggregates-unreadable"),
        (f"{NOVA}/flavors/detail", "flavors-unreadable"),
        (f"{GLANCE}/v2/images", "images-unreadable"),
        (f"{PLACEMENT}/traits", "traits-unreadable"),
        (f"{NOVA}/servers", "servers-unread"),
        (f"{GLANCE}/v2/metadefs/namespaces", "metadefs-unreadable"),
    ],
)
def test_a_part_that_cannot_be_read(cloud: AuditCloud, url: str, id_: str) -> None:
    cloud.fake.http.get(url, status_code=403)
    row = next(row for row in cloud.findings(code=4) if row["id"] == id_)
    assert row["severity"] == "unchecked"
    assert "403" in row["evidence"]


def test_volumes_that_cannot_be_read(cloud: AuditCloud) -> None:
    cloud.fake.http.get(f"{CINDER}/volumes/detail", status_code=403)
    cloud.hosts(a=Node((TRAIT_UNIQUE, TRAIT_KEYS, M_OS)))
    cloud.server(1, flavor=PLAIN, image=None)
    assert cloud.ids(code=4) == ["volume-unreadable", "volumes-unreadable"]
    assert cloud.last == "0 of 1 servers checked; 1 with an unreadable root volume"


@pytest.mark.parametrize("key", ["hw_unqiue_serial", "unique-serial", FLAVOR_KEY])
def test_a_root_volume_with_a_key_that_does_nothing(cloud: AuditCloud, key: str) -> None:
    said = {key: "true"}
    cloud.server(1, flavor=PLAIN, image=None, **on([cloud.volume(1, said=said)]))
    (row,) = [row for row in cloud.findings() if row["resource_type"] == "volume"]
    assert (row["id"], row["resource_id"]) == ("misspelt-key", volume_id(1))
    assert row["remedy"] == f"openstack volume unset --image-property {key} {volume_id(1)}"


def test_an_image_that_was_deleted(cloud: AuditCloud) -> None:
    cloud.hosts(a=Node((TRAIT_UNIQUE, TRAIT_KEYS, M_OS)))
    cloud.server(1, flavor=PLAIN, image=9)
    (row,) = cloud.findings(code=4)
    assert (row["id"], row["resource_id"]) == ("image-unreadable", image_id(9))
    assert cloud.last == "0 of 1 servers checked; 1 image unreadable"


def test_what_changed_since(cloud: AuditCloud) -> None:
    cloud.image(1, updated=AFTER, **IMAGE_TRUE)
    cloud.server(1, flavor=PLAIN, specs=TRUE, frozen=IMAGE_FALSE)
    found = cloud.ids("--skip", "not-steered", "--skip", "tenant-image-shows-host")
    assert found == ["flavor-changed", "image-changed", "setting-conflict"]


def test_another_namespace_that_offers_a_key(cloud: AuditCloud) -> None:
    rival = {
        "namespace": "Rival",
        "resource_type_associations": [{"name": "OS::Nova::Flavor"}],
        "properties": {"hw:unique_serial": BOOLEAN},
    }
    cloud.glance.hold(rival)
    (row,) = cloud.findings()
    assert (row["id"], row["resource_name"]) == ("metadefs-conflict", "Rival")


def test_a_cell_that_is_down(cloud: AuditCloud) -> None:
    cloud.server(1)
    cloud.down.append({"id": server_id(2), "status": "UNKNOWN", "tenant_id": "p"})
    assert cloud.ids(code=4) == ["server-in-down-cell"]
    assert cloud.last == "1 of 2 servers checked; 1 in a down cell"


@pytest.mark.parametrize("workers", ["1", "4"])
def test_servers_that_cannot_be_read(cloud: AuditCloud, workers: str) -> None:
    cloud.page = 10
    for number in range(40):
        cloud.server(number)
    cloud.refuse[server_id(9)] = (500, "Boom")
    rows = cloud.findings("--max-workers", workers, code=4)
    assert {row["id"] for row in rows} == {"servers-unread"}
    assert "answered 500: Boom" in rows[0]["evidence"]
    assert re.match(r"\d+ of about \d+ servers checked; about \d+ servers could not", cloud.last)


def test_the_coverage_is_the_last_word(faulty: AuditCloud) -> None:
    faulty.run("--host-mode", "nowhere=os")
    assert "nowhere" in faulty.notes
    assert faulty.last == "2 of 2 servers checked"


def test_no_progress_without_a_terminal(faulty: AuditCloud) -> None:
    faulty.run()
    assert "\r" not in faulty.notes
    assert "read" not in faulty.notes


# --- which servers ---------------------------------------------------------------


def test_all_projects_where_that_is_allowed(cloud: AuditCloud) -> None:
    cloud.server(1)
    cloud.findings(code=0)
    lists = [r for r in cloud.fake.sent("GET") if r.path.startswith("/v2.1/servers")]
    assert {request.qs["all_tenants"][0] for request in lists} == {"true"}
    assert cloud.last == "1 of 1 servers checked"


def test_the_own_project_where_it_is_not(cloud: AuditCloud) -> None:
    cloud.server(1)
    deny_all_projects(cloud)
    cloud.findings(code=0)
    assert cloud.last == (
        "1 of 1 servers checked (own project only: this user may not list the servers of others)"
    )


def test_all_projects_that_may_not_be_seen(cloud: AuditCloud) -> None:
    cloud.server(1)
    deny_all_projects(cloud)
    result = cloud.run("--all-projects")
    assert (result.code, result.out) == (1, "")
    assert "This user may not list the servers of all projects" in result.err


def test_one_project(cloud: AuditCloud) -> None:
    cloud.fake.http.get(f"{KEYSTONE}/projects/p2", json={"project": {"id": "p2", "name": "p2"}})
    cloud.server(1)
    cloud.server(2, tenant_id="p2")
    cloud.findings("--project", "p2", code=0)
    assert cloud.last == "1 of 1 servers checked (project p2 only)"
    with_servers = [r for r in cloud.fake.sent("GET") if r.path == "/v2.1/servers/detail"]
    assert {request.qs["project_id"][0] for request in with_servers} == {"p2"}


def test_a_host_that_is_hidden(cloud: AuditCloud) -> None:
    record = cloud.server(1, flavor=PLAIN)
    del record[HOST], record["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    (row,) = cloud.findings(code=4)
    assert (row["id"], row["resource_type"], row["resource_name"]) == (
        "host-unknown",
        "cloud",
        None,
    )


@pytest.mark.parametrize("nova_newest", ["2.68"])
def test_a_nova_that_is_too_old(cloud: AuditCloud) -> None:
    result = cloud.run()
    assert (result.code, result.out) == (1, "")
    assert "2.69 (Stein)" in result.err


def test_the_requests_of_a_small_cloud_do_not_grow(cloud: AuditCloud) -> None:
    counts = []
    for number in (1, 50):
        cloud.hosts(**{f"h{each}": Node() for each in range(number)})
        cloud.records.clear()
        for each in range(number):
            cloud.server(each, host=f"h{each}")
            cloud.flavor(f"f{each}")
            cloud.image(each)
        before = len(cloud.fake.reads())
        cloud.run()
        counts.append(len(cloud.fake.reads()) - before)
    # Discovery may be repeated: services are asked at the same time.
    assert max(counts) < 26


# --- how it looks ----------------------------------------------------------------


@pytest.mark.parametrize("formatter", ["table", "csv", "value", "json", "yaml"])
def test_what_things_are_called_cannot_hurt(cloud: AuditCloud, formatter: str) -> None:
    cloud.hosts(a=Node((M_OS,), {"service": {"host": EVIL}, "hypervisor_hostname": EVIL}))
    cloud.flavors["gold"]["name"] = EVIL
    cloud.flavor("typo", {"hw:unique_serial": EVIL})
    cloud.image(2, name=EVIL, hw_unique_serial=EVIL)
    cloud.fake.aggregates({"hosts": [EVIL], "name": EVIL, "metadata": {"hw:unique_serial": "true"}})
    for number in (1, 2):
        record = cloud.server(number, name=EVIL, host=EVIL)
        record["OS-EXT-SRV-ATTR:hypervisor_hostname"] = EVIL
    result = cloud.run("-f", formatter, "--long")
    assert result.code == 3
    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out + result.err
    if formatter == "json":
        assert EVIL in {row["resource_name"] for row in json.loads(result.out)}
    if formatter == "csv":
        header, *rows = csv.reader(io.StringIO(result.out))
        names = [row[header.index("resource_name")] for row in rows]
        assert any(name.startswith("'=") for name in names)
        assert all(len(row) == len(header) for row in rows)
        # Numbers can be sorted.
        assert {row[header.index("servers")] for row in rows} == {"", "2"}
        assert all("\n" not in cell for row in rows for cell in row)


def test_a_table_fits(faulty: AuditCloud) -> None:
    out = faulty.run().out
    assert "evidence" in out
    assert max(map(len, out.splitlines())) < 280


@pytest.mark.parametrize("column", ["server_ids", "Resource ID"])
def test_a_column_can_be_chosen_without_long(faulty: AuditCloud, column: str) -> None:
    out = faulty.run("-f", "value", "-c", column, "--only", "unique-not-effective").out
    assert (server_id(2) if column == "server_ids" else "55555555") in out


def test_columns_can_be_sorted(faulty: AuditCloud) -> None:
    out = faulty.run("-f", "value", "-c", "id", "--sort-column", "id").out
    assert out.split() == sorted(FAULTS)


@pytest.mark.parametrize(("count", "words"), [(1, "1 server (web-"), (2, "2 servers (web-")])
def test_verbs_follow_the_number_of_servers(count: int, words: str) -> None:
    found = of_servers(*(server_facts(STOCK, TRUE) for _ in range(count)))["unique-not-effective"]
    assert words in found.evidence
    assert (" asks for " in found.evidence) is (count == 1)
    assert (" ask for " in found.evidence) is (count > 1)
