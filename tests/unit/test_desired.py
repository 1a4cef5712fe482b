# SPDX-License-Identifier: Apache-2.0
"""The desired state of a cloud: what a file says."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial import policy
from osc_uniqserial.desired import changes, document, effects, hosts
from osc_uniqserial.desired.changes import Change, Problem, Selection, Subject
from osc_uniqserial.desired.document import BadDocument, Desired, Entry, HostEntry, Selector
from osc_uniqserial.desired.effects import When
from osc_uniqserial.desired.plan import Plan
from osc_uniqserial.desired.selectors import Selectors
from osc_uniqserial.model.cloud import (
    Aggregate,
    Configuration,
    Flavor,
    Fleet,
    Host,
    Image,
    Unchecked,
)
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
)
from tests.unit.builders import M_AUTO, built_from, host, server_facts

TRAIT = f"trait:{TRAIT_UNIQUE}"
AGGREGATE = f"aggregate_instance_extra_specs:{FLAVOR_KEY}"
UNREAD = Unchecked("no answer")

CAMPAIGN = """\
# All images of Windows.
images:
  - glob: "Windows*"
    any_owner: true
    unique_serial: true
    hosts: supported
  - owner: 0471
    unique_serial: unset
flavors:
  - name: licensed
    hosts: any
  - id: "42"
    unique_serial: false
aggregates:
  - name: rack-1
    unique_serial: true
servers:
  - name: db
    project: 0471
    unique_serial: true
hosts:
  - aggregate: rack-1
    mode: unique
    driver: true
    server_may_ask: false
metadefs: installed
"""


def test_a_campaign() -> None:
    assert document.parse(CAMPAIGN) == Desired(
        flavors=(
            Entry(10, Selector(name="licensed"), None, "any"),
            Entry(12, Selector(id="42"), Setting.HOST),
        ),
        images=(
            Entry(3, Selector(glob="Windows*"), Setting.UNIQUE, "supported"),
            Entry(7, Selector(project="0471"), Setting.UNSET),
        ),
        aggregates=(Entry(15, Selector(name="rack-1"), Setting.UNIQUE),),
        servers=(Entry(18, Selector(name="db", project="0471"), Setting.UNIQUE),),
        hosts=(
            HostEntry(
                22,
                Selector(),
                aggregate="rack-1",
                mode=HostMode.UNIQUE,
                driver=True,
                server_may_ask=False,
            ),
        ),
        metadefs=26,
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is empty: write entries of flavors, images, servers or others"),
        ("- a", "line 1: a list is not valid: write a mapping"),
        ("{}", "line 1: write at least one of flavors, images, aggregates, servers, hosts"),
        ("flavors: 3", "line 1: flavors: '3' is not valid: write a list"),
        ("flavors: [3]", "line 1: flavors, entry 1: '3' is not valid: write a mapping"),
        ("flavors:", "line 1: flavors: no value is not valid: write a list"),
        ("colours: []", "line 1: colours: 'colours' is not known: write one of flavors, images"),
        (
            "flavors:\n- name: a\n  glob: b\n  hosts: any",
            "line 2: flavors, entry 1: write exactly one of id, name and glob",
        ),
        (
            "flavors:\n- name: a\n- name: b\n  unique_serial: yes",
            "line 2: flavors, entry 1: write unique_serial, hosts, or both; line 4: flavors, entry"
            " 2, unique_serial: 'yes' is not valid: write true or false or unset",
        ),
        (
            "images:\n- name: a\n  unique_serial: true\n  hosts: aggregate",
            "line 2: images, entry 1: tenants choose the names: write owner, the ID of a project,"
            " or any_owner: true; line 4: images, entry 1, hosts: 'aggregate' is not valid: write"
            " supported or any",
        ),
        (
            "images:\n- name: a\n  owner: b\n  any_owner: true\n  unique_serial: true",
            "line 2: images, entry 1: tenants choose the names",
        ),
        (
            "servers:\n- id: a\n  unique_serial: false",
            "line 3: servers, entry 1, unique_serial: a server can only ask for a serial number of"
            " its own: write true, or unset to remove its request",
        ),
        ("servers:\n- id: ''\n  unique_serial: true", "write a text that is not empty"),
        (
            "servers:\n- name: a\n  unique_serial: true",
            "line 2: servers, entry 1: tenants choose the names: write project, the ID of one, or"
            " any_owner: true",
        ),
        ("servers:\n- owner: a\n  unique_serial: true", "'owner' is not known: write one of id"),
        (
            "flavors:\n- name: a\n  unique_serial: false\n  hosts: aggregate",
            "line 2: flavors, entry 1: unique_serial: false needs no host that gives a unique",
        ),
        (
            "images:\n- id: a\n  unique_serial: false\n  hosts: supported",
            "line 2: images, entry 1: unique_serial: false needs no host that gives a unique",
        ),
        ("servers:\n- unique_serial: true", "write exactly one of id, name and glob, or project"),
        ("aggregates:\n- id: a", "line 2: aggregates, entry 1: write unique_serial"),
        ("hosts:\n- name: a", "write at least one of mode, driver, server_may_ask and image_may"),
        ("metadefs: absent", "line 1: metadefs: 'absent' is not valid: write installed"),
        ("a: 1\na: 2", "line 2: 'a' is in line 1 already: keep one of them"),
    ],
)
def test_a_document_that_is_refused(text: str, error: str) -> None:
    with pytest.raises(BadDocument) as raised:
        document.parse(text)
    assert error in str(raised.value)


def test_a_document_with_many_errors() -> None:
    with pytest.raises(BadDocument) as raised:
        document.parse("flavors:\n" + "- name: a\n" * 1000)
    assert str(raised.value).endswith("; and 980 more")


def is_refused(kind: str, entries: list[dict[str, str]]) -> bool:
    try:
        document.parse(json.dumps({kind: entries}))
    except BadDocument:
        return True
    return False


#: Entries that are right with a text for each empty one.
RIGHT = [
    ("flavors", {"glob": "", "unique_serial": "true", "hosts": "any"}),
    ("images", {"glob": "", "owner": "", "unique_serial": "unset"}),
    ("images", {"id": "", "hosts": "supported"}),
    ("aggregates", {"name": "", "unique_serial": "false"}),
    ("servers", {"name": "", "any_owner": "true", "unique_serial": "true"}),
    ("servers", {"project": "", "unique_serial": "true"}),
    ("hosts", {"aggregate": "", "mode": "os"}),
]


@given(st.sampled_from(RIGHT), st.data())
def test_a_document_is_refused_for_one_of_its_entries(
    right: tuple[str, dict[str, str]], data: st.DataObject
) -> None:
    kind, entry = right
    texts = st.sampled_from(["", "a", "b", "c", "true"])
    entries = [
        {key: text or data.draw(texts) for key, text in entry.items()}
        for _entry in range(data.draw(st.integers(1, 4)))
    ]
    # A value of few choices may be wrong too.
    entries[-1][data.draw(st.sampled_from(sorted(entry)))] = data.draw(texts)
    assert is_refused(kind, entries) == any(is_refused(kind, [each]) for each in entries)


def test_the_line_of_one_entry_among_many_of_its_kind() -> None:
    entries = [f"- {{id: '{number}', unique_serial: true}}\n" for number in range(1000)]
    entries[500] = "- {id: '', unique_serial: true}\n"
    with pytest.raises(BadDocument) as raised:
        document.parse("servers:\n" + "".join(entries))
    assert str(raised.value) == ("line 502: servers, entry 501, id: write a text that is not empty")


NAMES = st.text("ab*?[]!", max_size=6)
PROJECTS = st.sampled_from([None, "p", "q"])
SELECTORS = st.one_of(
    st.builds(Selector, id=st.sampled_from("12"), project=PROJECTS),
    st.builds(Selector, name=NAMES, project=PROJECTS),
    st.builds(Selector, glob=NAMES, project=PROJECTS),
    st.builds(Selector, project=PROJECTS),
)


def fits(selector: Selector, id_: str, name: str | None, project: str | None) -> bool:
    """Whether a selector fits, as the documentation defines it."""
    return (
        selector.id in (None, id_)
        and selector.name in (None, name)
        and selector.project in (None, project)
        and (
            selector.glob is None
            # Nova returns no name of a server whose cell is down.
            or (name is not None and fnmatch.fnmatchcase(name, selector.glob))
        )
    )


@given(
    st.lists(SELECTORS, max_size=12), st.sampled_from("12"), st.one_of(st.none(), NAMES), PROJECTS
)
def test_what_selectors_select(
    given: list[Selector], id_: str, name: str | None, project: str | None
) -> None:
    selectors = Selectors()
    for number, selector in enumerate(given):
        selectors.add(number, selector)
    assert selectors.fitting(id_, name, project) == [
        number for number, selector in enumerate(given) if fits(selector, id_, name, project)
    ]


@given(st.lists(st.text("ab*", min_size=1, max_size=6), min_size=1, max_size=40), st.text("ab"))
def test_globs_that_share_literals(globs: list[str], name: str) -> None:
    selectors = Selectors()
    for number, glob in enumerate(globs):
        selectors.add(number, Selector(glob=glob))
    assert selectors.fitting("1", name, "p") == [
        number for number, glob in enumerate(globs) if fnmatch.fnmatchcase(name, glob)
    ]


@pytest.mark.parametrize(
    "pattern",
    ["win-{}-*", "*-{}.test", "*db-{}-*", "web-*-{}", "web-*-{}-*", "?{}*", "[ab]-{}-*"],
)
def test_many_globs_are_found_without_trying_each(pattern: str) -> None:
    selectors, number = Selectors(), 3_000
    for each in range(number):
        selectors.add(each, Selector(glob=pattern.format(f"{each:05}")))
    name = pattern.format("01234").replace("*", "x").replace("?", "x").replace("[ab]", "a")

    tried = [re.compile(fnmatch.translate(pattern.format(f"{each:05}"))) for each in range(number)]

    def seconds(find: Callable[[], list[int]]) -> float:
        began = time.process_time()
        for _time in range(10):
            assert find() == [1234]
        return time.process_time() - began

    of_each = seconds(lambda: [each for each, glob in enumerate(tried) if glob.match(name)])
    assert seconds(lambda: selectors.fitting("1", name, None)) < of_each / 2


# --- changes --------------------------------------------------------------------


def parsed(text: str) -> Desired:
    return document.parse(text)


def changes_of(text: str, cloud: Configuration) -> tuple[list[tuple[Any, ...]], list[Problem]]:
    found = list(changes.of_configuration(parsed(text), cloud))
    made = [
        (each.resource.name, each.key, each.now, each.then)
        for each in found
        if isinstance(each, Change)
    ]
    return made, [each for each in found if isinstance(each, Problem)]


def cloud_of(
    flavors: dict[str, dict[str, str]] | Unchecked,
    images: dict[str, dict[str, str]] | Unchecked = UNREAD,
    aggregates: dict[str, dict[str, str]] | None = None,
) -> Configuration:
    made = [
        Aggregate(name, name, None, metadata, frozenset())
        for name, metadata in (aggregates or {}).items()
    ]
    return Configuration(
        Fleet((), tuple(made)),
        flavors
        if isinstance(flavors, Unchecked)
        else tuple(Flavor(f"id-{name}", name, specs) for name, specs in flavors.items()),
        images
        if isinstance(images, Unchecked)
        else {
            f"id-{name}": Image(
                f"id-{name}", name.partition("/")[2], stored, name.partition("/")[0]
            )
            for name, stored in images.items()
        },
    )


@pytest.mark.parametrize(
    ("wanted", "stored", "then"),
    [
        ("true", None, "true"),
        ("true", "false", "true"),
        ("true", "banana", "true"),
        ("false", None, "false"),
        ("unset", "false", None),
        ("unset", "banana", None),
        # The same meaning.
        ("true", "Yes", "Yes"),
        ("unset", None, None),
    ],
)
@pytest.mark.parametrize("kind", ["flavor", "image"])
def test_a_setting(kind: str, wanted: str, stored: str | None, then: str | None) -> None:
    key = FLAVOR_KEY if kind == "flavor" else IMAGE_KEY
    properties = {"other": "x"} if stored is None else {"other": "x", key: stored}
    if kind == "flavor":
        text, cloud = f"flavors: [{{name: a, unique_serial: {wanted}}}]", {"a": properties}
        made, problems = changes_of(text, cloud_of(cloud))
    else:
        text = f"images: [{{name: a, owner: p, unique_serial: {wanted}}}]"
        made, problems = changes_of(text, cloud_of({}, {"p/a": properties, "q/a": {}}))
    assert problems == []
    assert made == ([] if then == stored else [("a", key, stored, then)])


def test_an_aggregate_has_both_keys_as_nova_compares_them() -> None:
    text = "aggregates: [{name: a, unique_serial: true}]"
    stored = {FLAVOR_KEY: "true", IMAGE_KEY: "true"}
    assert changes_of(text, cloud_of({}, {}, {"a": stored}))[0] == [
        ("a", IMAGE_KEY, "true", "True")
    ]


@pytest.mark.parametrize(
    ("wanted", "specs"),
    [
        ("supported", {TRAIT: "required"}),
        ("aggregate", {AGGREGATE: "<or> true <or> True"}),
        ("any", {}),
    ],
)
def test_hosts_of_a_flavor(wanted: str, specs: dict[str, str]) -> None:
    for stored in ({}, {TRAIT: "required"}, {TRAIT: "forbidden", AGGREGATE: "true"}, specs):
        found = changes.of_configuration(
            parsed(f"flavors: [{{glob: '*', hosts: {wanted}}}]"), cloud_of({"a": stored})
        )
        applied = dict(stored)
        for change in found:
            assert isinstance(change, Change)
            assert change.now == applied.pop(change.key, None) != change.then
            if change.then is not None:
                applied[change.key] = change.then
        assert applied == specs


@pytest.mark.parametrize(
    ("text", "problem", "is_wrong"),
    [
        ("flavors: [{name: b, hosts: any}]", "no flavor fits name 'b'", False),
        (
            "images: [{name: a, any_owner: true, unique_serial: true}]",
            "2 images have the name 'a' (id-p/a, id-q/a): write the id, or glob",
            True,
        ),
        (
            "flavors:\n- {name: a, unique_serial: true}\n- {glob: 'a*', unique_serial: unset}",
            "flavor 'a' (id-a): hw:unique_serial unset, but line 2 wants hw:unique_serial=true",
            True,
        ),
        ("flavors: [{name: hidden, hosts: any}]", "its properties are hidden", False),
    ],
)
def test_an_entry_that_cannot_be_carried_out(text: str, problem: str, is_wrong: bool) -> None:
    cloud = cloud_of({"a": {}}, {"p/a": {}, "q/a": {}})
    assert isinstance(cloud.flavors, tuple)
    hidden = Flavor("id-hidden", "hidden", None)
    cloud = dataclasses.replace(cloud, flavors=(*cloud.flavors, hidden))
    (found,) = changes_of(text, cloud)[1]
    assert problem in found.text
    assert found.is_wrong is is_wrong


def test_what_could_not_be_read() -> None:
    text = "flavors: [{name: a, hosts: any}]\nimages: [{id: a, hosts: any}]"
    found = changes_of(text, cloud_of(UNREAD))
    assert found[0] == []
    assert [(each.line, each.text) for each in found[1]] == [
        (1, "the flavors could not be read: no answer"),
        (2, "the images could not be read: no answer"),
    ]


# --- effects --------------------------------------------------------------------

VALUES = st.sampled_from([None, "true", "false", "banana"])
TRAIT_SETS = st.sets(st.sampled_from(policy.TRAITS)).map(tuple)
BOOLEANS = st.sampled_from([None, True, False])


@given(
    st.tuples(VALUES, VALUES, VALUES),
    st.tuples(VALUES, VALUES, VALUES),
    TRAIT_SETS,
    st.sampled_from([None, *HostMode]),
    st.tuples(BOOLEANS, BOOLEANS, BOOLEANS),
)
def test_effects_are_the_policy_of_the_changed_inputs(
    now: tuple[str | None, str | None, str | None],
    then: tuple[str | None, str | None, str | None],
    traits: tuple[str, ...],
    mode: HostMode | None,
    options: tuple[bool | None, bool | None, bool | None],
) -> None:
    def policies(
        texts: tuple[str | None, str | None, str | None], on: policy.HostInput
    ) -> policy.EffectivePolicy:
        flavor, image, request = (SettingInput(policy.parse(text)) for text in texts)
        return policy.resolve(flavor, image, on, request)

    on = host("a", *traits)
    image_part = dataclasses.replace(built_from(None), used=SettingInput(policy.parse(now[1])))
    specs = {} if now[0] is None else {FLAVOR_KEY: now[0]}
    about = server_facts(on, specs, image_part, metadata=now[2])
    about.flavor, about.image = "gold", "image-1"
    entry = HostEntry(1, Selector(), None, mode, *options)
    host_then = hosts.planned(on, entry)
    planned = [
        Change(Resource("flavor", "f", "gold"), FLAVOR_KEY, now[0], then[0], 1),
        Change(Resource("image", "image-1"), IMAGE_KEY, now[1], then[1], 1),
    ]
    request = Change(Resource("server", about.id), IMAGE_KEY, now[2], then[2], 1)
    impact = effects.Effects(planned, {on.name: host_then}).of(about, [request])
    asked, resized, rebuilt = (
        (now[0], now[1], then[2]),
        (then[0], now[1], then[2]),
        (now[0], then[1], then[2]),
    )
    steps = {
        When.HARD_REBOOT: ((now, on.input), (asked, on.input)),
        When.RESIZE: ((asked, on.input), (resized, on.input)),
        When.REBUILD: ((asked, on.input), (rebuilt, on.input)),
        When.NOVA_COMPUTE: ((asked, on.input), (asked, host_then)),
        When.NOVA_COMPUTE_RESIZE: ((asked, host_then), (resized, host_then)),
        When.NOVA_COMPUTE_REBUILD: ((asked, host_then), (rebuilt, host_then)),
    }

    def differ(first: tuple[Any, policy.HostInput], second: tuple[Any, policy.HostInput]) -> bool:
        """Whether two serial sources differ, also when they are unknown: in any mode."""
        sources = [policies(*first).source, policies(*second).source]
        if sources[0] is not sources[1]:
            return True
        return sources[0] is SerialSource.UNKNOWN and any(
            policies(first[0], dataclasses.replace(first[1], mode=mode)).source
            is not policies(second[0], dataclasses.replace(second[1], mode=mode)).source
            for mode in HostMode
            # What a host is known to meet needs the driver or mode unique.
            if mode is HostMode.UNIQUE
            or all(each.honours or not each.meets_unique for each in (first[1], second[1]))
        )

    assert {each.when: (each.now, each.then) for each in impact.effects} == {
        when: (policies(*first), policies(*second))
        for when, (first, second) in steps.items()
        if differ(first, second)
    }
    assert [each.when for each in impact.effects if not each.is_what_if] == [
        when for when in (When.HARD_REBOOT, When.RESIZE, When.REBUILD) if differ(*steps[when])
    ]
    kinds = {
        "server": differ(*steps[When.HARD_REBOOT]),
        "flavor": differ(*steps[When.RESIZE]),
        "image": differ(*steps[When.REBUILD]),
        "host": any(
            differ((texts, on.input), (texts, host_then)) for texts in (asked, resized, rebuilt)
        ),
    }
    assert [*impact.kinds] == [kind for kind, is_reached in kinds.items() if is_reached]


@pytest.mark.parametrize(
    ("given", "then", "may_change"),
    [
        # A host that does not honour the keys keeps its serial numbers, in any mode.
        (policy.HostInput(honours=False), "true", False),
        (policy.HostInput(), "true", True),
        # Junk counts as unset, which it was.
        (policy.HostInput(), "banana", False),
        (policy.HostInput(mode=HostMode.UNIQUE), "true", False),
        (policy.HostInput(mode=HostMode.UNIQUE), "false", True),
        # Declared by an aggregate: only the request is known to be met.
        (policy.HostInput(meets_unique=True), "true", True),
        (policy.HostInput(meets_unique=True, mode=HostMode.UNIQUE), "true", False),
    ],
)
def test_an_unknown_policy_that_a_change_leaves_alone(
    given: policy.HostInput, then: str, *, may_change: bool
) -> None:
    about = server_facts(host("a", M_AUTO), {}, built_from(None))
    about.case = dataclasses.replace(about.case, host=given)
    about.flavor = "gold"
    change = Change(Resource("flavor", "f", "gold"), FLAVOR_KEY, None, then, 1)
    found = effects.Effects([change], {}).of(about)
    assert bool(found.effects) is may_change


def test_servers_that_nothing_reaches() -> None:
    about = server_facts(host("a", M_AUTO))
    other = Change(Resource("flavor", "f", "other"), FLAVOR_KEY, None, "true", 1)
    assert effects.Effects([other], {"b": about.case.host}).of(about) == effects.Impact()


@pytest.mark.parametrize(
    ("traits", "entry", "expected"),
    [
        # A new driver has its default options.
        ((M_AUTO,), {"driver": True}, (HostMode.AUTO, True, True, True)),
        ((M_AUTO,), {"mode": HostMode.UNIQUE}, (HostMode.UNIQUE, False, True, False)),
        (
            (M_AUTO, TRAIT_UNIQUE, TRAIT_KEYS),
            {"mode": HostMode.NONE},
            (HostMode.NONE, True, False, False),
        ),
        (
            (M_AUTO, TRAIT_UNIQUE, TRAIT_KEYS),
            {"server_may_ask": True},
            (HostMode.AUTO, True, False, True),
        ),
        (
            (M_AUTO, TRAIT_UNIQUE, TRAIT_KEYS),
            {"driver": False},
            (HostMode.AUTO, False, True, False),
        ),
    ],
)
def test_what_a_host_would_be(
    traits: tuple[str, ...], entry: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    then = hosts.planned(host("a", *traits), HostEntry(1, Selector(), **entry))
    assert (then.mode, then.honours, then.image_may_show_host, then.server_may_ask) == expected
    assert then.contradiction == ()


def test_a_flavor_that_only_the_driver_of_the_what_if_obeys() -> None:
    """The driver, a flavor that asks, or both: which of them changes the serial number."""
    stock = host("a", M_AUTO)
    about = server_facts(stock)
    about.flavor = "gold"
    change = Change(Resource("flavor", "f", "gold"), FLAVOR_KEY, None, "true", 1)
    then = hosts.planned(stock, HostEntry(1, Selector(), driver=True))
    impact = effects.Effects([change], {"a": then}).of(about)
    (effect,) = impact.effects
    assert (effect.when, effect.now.source, effect.then.source) == (
        When.NOVA_COMPUTE_RESIZE,
        SerialSource.HOST_AUTO,
        SerialSource.INSTANCE_UUID,
    )
    # Today the flavor changes nothing.
    assert impact.kinds == ["host"]


def test_a_flavor_that_the_what_if_does_not_obey() -> None:
    honouring = host("a", TRAIT_UNIQUE, TRAIT_KEYS, M_AUTO)
    about = server_facts(honouring)
    about.flavor = "gold"
    change = Change(Resource("flavor", "f", "gold"), FLAVOR_KEY, None, "true", 1)
    then = hosts.planned(honouring, HostEntry(1, Selector(), driver=False))
    impact = effects.Effects([change], {"a": then}).of(about)
    assert [(each.when, each.then.source) for each in impact.effects] == [
        (When.RESIZE, SerialSource.INSTANCE_UUID)
    ]
    assert impact.kinds == ["flavor", "host"]


# --- a plan ---------------------------------------------------------------------

RACK = Aggregate("1", "rack-1", None, {}, frozenset({"a"}))


def fleet() -> tuple[Host, Host]:
    driver = (TRAIT_UNIQUE, TRAIT_KEYS, policy.TRAIT_SERVER_MAY_ASK, M_AUTO)
    return dataclasses.replace(host("a", M_AUTO), aggregates=(RACK,)), host("b", *driver)


def test_a_plan() -> None:
    stock, honouring = fleet()
    cloud = cloud_of({"gold": {}, "other": {}}, {})
    cloud = dataclasses.replace(cloud, fleet=Fleet((stock, honouring), (RACK,)))
    made = Plan(
        parsed(
            "flavors: [{name: gold, unique_serial: true}]\n"
            "servers: [{project: p, unique_serial: true}, {id: gone, unique_serial: unset}]\n"
            "hosts: [{aggregate: rack-1, mode: unique}, {name: c, mode: os}]\n"
        ),
        cloud,
    )
    on_stock, asking, moving = server_facts(stock), server_facts(honouring), server_facts(honouring)
    asking.flavor, moving.project_id = "other", "q"
    reached = list(made.add([on_stock, asking, moving]))
    made.end(complete=True)
    assert [
        (each.server.id, [(one.when, one.then.source) for one in each.effects]) for each in reached
    ] == [
        (on_stock.id, [(When.NOVA_COMPUTE, SerialSource.INSTANCE_UUID)]),
        (asking.id, [(When.HARD_REBOOT, SerialSource.INSTANCE_UUID)]),
        (moving.id, [(When.RESIZE, SerialSource.INSTANCE_UUID)]),
    ]
    rows = [
        (each.resource.type, each.resource.name, each.key, each.now, each.then, made.servers(each))
        for each in made.changes
    ]
    assert rows == [
        ("flavor", "gold", FLAVOR_KEY, None, "true", 1),
        ("host", "a", "mode", "auto", "unique", 1),
        ("server", on_stock.name, IMAGE_KEY, None, "true", 0),
        ("server", asking.name, IMAGE_KEY, None, "true", 1),
    ]
    assert [(each.line, each.text) for each in made.problems] == [
        (2, "no server fits id 'gone'"),
        (3, "no host fits name 'c'"),
    ]
    assert not any(each.is_wrong for each in made.problems)


def test_entries_of_one_host_are_joined_or_contradict_each_other() -> None:
    cloud = dataclasses.replace(cloud_of({}, {}), fleet=Fleet(fleet()))
    text = "hosts:\n- {name: a, driver: true}\n- {glob: '*', server_may_ask: false}"
    made = Plan(parsed(text), cloud)
    assert [(each.resource.name, each.key, each.then) for each in made.changes] == [
        ("a", "driver", "true"),
        ("b", "server_may_ask", "false"),
    ]
    assert made.problems == []
    wrong = Plan(parsed(f"{text}\n- {{aggregate: rack-1, driver: false}}"), cloud)
    assert [(each.text, each.is_wrong) for each in wrong.problems] == [
        ("host 'a': driver false, but line 2 wants true: keep one of them", True)
    ]


def test_hosts_that_could_not_be_read() -> None:
    cloud = dataclasses.replace(cloud_of({}, {}), fleet=UNREAD)
    made = Plan(parsed("hosts: [{name: a, mode: os}]"), cloud)
    assert [each.text for each in made.problems] == ["the hosts could not be read: no answer"]
    assert made.changes == []


def test_a_name_of_which_not_every_server_is_known() -> None:
    desired = document.parse("servers: [{name: web, project: p, unique_serial: true}]")
    selection = Selection("server", desired.servers)
    about = Resource("server", "1", "web", "p")
    numbers = selection.fitting("1", "web", "p")
    assert [type(found) for found in selection.changes(Subject(about, {}), numbers)] == [Change]
    (problem,) = selection.problems(complete=False)
    assert problem.is_wrong
    assert "others may have the name 'web': write the id" in problem.text
    assert [*selection.problems(complete=True)] == []
