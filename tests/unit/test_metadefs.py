# SPDX-License-Identifier: Apache-2.0
"""The namespaces, what differs, and plans carried out on a model of Glance."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from osc_uniqserial import metadefs, policy
from osc_uniqserial.metadefs import comparison, model
from osc_uniqserial.metadefs.comparison import Result
from osc_uniqserial.metadefs.model import Item, Kind, Namespace
from osc_uniqserial.metadefs.plan import (
    REPLACEMENT,
    Action,
    NotOurs,
    Plan,
    Step,
    path,
    plan_remove,
)
from tests.unit.builders import Json
from tests.unit.glance import (
    AGGREGATE,
    BOOLEAN,
    MAIN,
    MAIN_SPARE,
    OTHERS,
    OURS,
    SERVER,
    Glance,
    changed,
    definition,
)


def actions(plan: Plan) -> dict[str, str]:
    """Return what a plan does to each item of the first namespace."""
    return {
        str(row.item): row.action.value for row in plan.rows if row.namespace.startswith(MAIN.name)
    }


def steps(plan: Plan) -> list[str]:
    """Return the steps of a plan as method and last part of the path."""
    return [f"{step.method} {step.path.rpartition('/')[2]}" for step in plan.steps]


# --- the files ------------------------------------------------------------


def test_names() -> None:
    assert [each.name for each in OURS] == [
        "OS::Compute::UniqueSerial",
        "OS::Compute::UniqueSerialAggregate",
        "OS::Compute::UniqueSerialServer",
    ]


def test_each_resource_type_gets_its_keys_and_canonical_values() -> None:
    offered = {
        (entry.resource_type, entry.target, entry.key(name)): tuple(definition["enum"])
        for each in OURS
        for entry in each.associations.values()
        for name, definition in each.properties.items()
    }
    lower, title = ("true", "false"), ("True", "False")
    assert offered == {
        ("OS::Nova::Flavor", None, policy.FLAVOR_KEY): lower,
        ("OS::Glance::Image", None, policy.IMAGE_KEY): lower,
        ("OS::Cinder::Volume", "image", policy.IMAGE_KEY): lower,
        ("OS::Nova::Aggregate", None, policy.FLAVOR_KEY): lower,
        ("OS::Nova::Aggregate", None, policy.IMAGE_KEY): title,
        ("OS::Nova::Server", "metadata", policy.IMAGE_KEY): ("true",),
    }


def test_every_offered_value_is_understood() -> None:
    for each in OURS:
        for offered in each.properties.values():
            said = [policy.parse(value).setting for value in offered["enum"]]
            # A server can only ask for unique: its false has no effect.
            false = [] if each is SERVER else [policy.Setting.HOST]
            assert said == [policy.Setting.UNIQUE, *false]


def test_everybody_sees_them_and_nobody_removes_them_by_accident() -> None:
    assert all(each.visibility == "public" and each.protected for each in OURS)


def test_a_boolean_is_no_file_of_ours() -> None:
    document = MAIN.document()
    document["properties"]["unique_serial"] = {
        **document["properties"]["unique_serial"],
        "type": "boolean",
    }
    with pytest.raises(metadefs.Malformed, match=r"\$.properties.unique_serial.type"):
        model.parse_file(json.dumps(document))


def test_every_error_of_a_file_is_named_with_its_place() -> None:
    document = MAIN.document() | {"protected": False, "visibility": "private", "more": 1}
    with pytest.raises(metadefs.Malformed) as caught:
        model.parse_file(json.dumps(document))
    for place in ("$.protected", "$.visibility", "'more' was unexpected"):
        assert place in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}"])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(metadefs.Malformed):
        model.parse_file(text)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"namespace": 1},
        {"namespace": "n", "properties": []},
        {"namespace": "n", "properties": {"p": "x"}},
        {"namespace": "n", "objects": [{"properties": {}}]},
        {"namespace": "n", "objects": [{"name": "o", "properties": {"p": 1}}]},
        {"namespace": "n", "resource_type_associations": [{"prefix": "hw:"}]},
        {"namespace": "n", "tags": ["t"]},
    ],
)
def test_an_answer_that_is_no_namespace_is_refused(document: object) -> None:
    with pytest.raises(metadefs.Malformed):
        Namespace.parse(document)


# --- what differs ---------------------------------------------------------


def found(document: Json) -> dict[str, comparison.Comparison]:
    """Compare the first namespace, by item."""
    return {str(each.item): each for each in comparison.compare(MAIN, Namespace.parse(document))}


def test_what_is_as_it_should_be() -> None:
    assert {each.result for each in found(changed()).values()} == {Result.OK}


def test_a_namespace_that_is_not_there_is_one_difference() -> None:
    (only,) = comparison.compare(MAIN, None)
    assert (only.result, only.item) == (Result.MISSING, Item(Kind.NAMESPACE))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("visibility", "private"),
        ("protected", False),
        ("description", None),
        ("display_name", "Other"),
    ],
)
def test_a_field_of_the_namespace(field: str, value: object) -> None:
    (detail,) = found(changed(**{field: value}))["namespace"].details
    assert (detail.field, detail.stored, detail.expected) == (field, value, getattr(MAIN, field))


@pytest.mark.parametrize(
    ("fields", "effect"),
    [
        ({"type": "boolean"}, "Horizon stores null"),
        ({"enum": []}, "any text"),
        ({"default": "true"}, "nothing was chosen"),
        ({"readonly": True}, "does not let users set it"),
        ({"name": "unique_serial"}, "the key unique_serial, without its prefix"),
    ],
)
def test_what_comes_of_a_changed_property_is_said(fields: Json, effect: str) -> None:
    (detail,) = found(definition(**fields))["property unique_serial"].details
    assert detail.effect is not None
    assert effect in detail.effect


def test_a_stored_name_is_harmless_where_there_is_no_prefix() -> None:
    document = copy.deepcopy(AGGREGATE.document())
    document["properties"]["hw:unique_serial"]["name"] = "hw:unique_serial"
    results = comparison.compare(AGGREGATE, Namespace.parse(document))
    assert {each.result for each in results} == {Result.OK}


def test_a_property_that_is_missing() -> None:
    assert found(changed(properties={}))["property unique_serial"].result is Result.MISSING


@pytest.mark.parametrize(
    ("prefix", "key"), [(None, "unique_serial"), ("hw_", "hw_unique_serial"), ("", "unique_serial")]
)
def test_a_prefix_that_differs(prefix: str | None, key: str) -> None:
    document = changed()
    for entry in document["resource_type_associations"]:
        if entry["name"] == "OS::Nova::Flavor":
            entry["prefix"] = prefix
    (detail,) = found(document)["association OS::Nova::Flavor"].details
    assert (detail.stored, detail.expected) == (prefix or None, "hw:")
    assert detail.effect == f"Horizon writes the key {key}"


def test_an_association_for_other_properties_of_a_volume() -> None:
    document = changed()
    for entry in document["resource_type_associations"]:
        entry.pop("properties_target", None)
    (detail,) = found(document)["association OS::Cinder::Volume"].details
    assert (detail.field, detail.stored, detail.expected) == ("properties_target", None, "image")


def test_what_is_not_ours_is_no_difference() -> None:
    document = changed(objects=[{"name": "o"}], tags=[{"name": "t"}])
    document["properties"]["extra"] = {"type": "string", "title": "Extra"}
    document["resource_type_associations"].append({"name": "OS::Nova::Server"})
    results = found(document)
    for item in ("property extra", "association OS::Nova::Server", "object o", "tag t"):
        assert results[item].result is Result.NOT_OURS
    assert not comparison.DIFFERENCES & {each.result for each in results.values()}


# --- what changed since the plan was made ---------------------------------

FULL = changed(
    objects=[{"name": "o", "description": "d"}, {"name": "p"}],
    tags=[{"name": "t"}, {"name": "u"}],
)


def meanwhile(**fields: Any) -> list[str]:
    """Return the items that changed in a namespace with everything in it."""
    now = copy.deepcopy(FULL) | fields
    return [str(each) for each in comparison.changes(Namespace.parse(FULL), Namespace.parse(now))]


def test_nothing_changed() -> None:
    assert meanwhile() == []


@pytest.mark.parametrize(
    ("fields", "items"),
    [
        ({"tags": [*FULL["tags"], {"name": "new"}]}, ["tag new"]),
        ({"tags": FULL["tags"][:1]}, ["tag u"]),
        ({"objects": [*FULL["objects"], {"name": "new"}]}, ["object new"]),
        ({"objects": [{"name": "o", "description": "e"}, {"name": "p"}]}, ["object o"]),
        (
            {"properties": {**FULL["properties"], "new": {"title": "N", "type": "string"}}},
            ["property new"],
        ),
        ({"properties": {"unique_serial": {"type": "string"}}}, ["property unique_serial"]),
        (
            {
                "resource_type_associations": [
                    *FULL["resource_type_associations"],
                    {"name": "OS::Nova::Server"},
                ]
            },
            ["association OS::Nova::Server"],
        ),
        (
            {
                "resource_type_associations": [
                    entry | {"prefix": "x:"} if entry["name"] == "OS::Nova::Flavor" else entry
                    for entry in FULL["resource_type_associations"]
                ]
            },
            ["association OS::Nova::Flavor"],
        ),
        (
            {"tags": [], "objects": FULL["objects"][1:]},
            ["object o", "tag t", "tag u"],
        ),
    ],
)
def test_what_somebody_changed(fields: Json, items: list[str]) -> None:
    assert meanwhile(**fields) == items


@pytest.mark.parametrize(
    "fields",
    [
        {"protected": False, "owner": "caller", "updated_at": "2027"},
        {"display_name": None, "description": "other", "visibility": "private"},
        {"objects": [entry | {"updated_at": "2027"} for entry in reversed(FULL["objects"])]},
        {"tags": FULL["tags"][::-1]},
        {"resource_type_associations": FULL["resource_type_associations"][::-1]},
    ],
)
def test_what_is_no_change_of_content(fields: Json) -> None:
    assert meanwhile(**fields) == []


# --- the same key offered twice -------------------------------------------


def rival(association: Json, properties: Json | None = None, **fields: Any) -> Namespace:
    """Return somebody else's namespace."""
    document = {
        "namespace": "Rival",
        "resource_type_associations": [association],
        "properties": properties or {},
    }
    return Namespace.parse(document | fields)


@pytest.mark.parametrize(
    ("association", "name"),
    [
        ({"name": "OS::Nova::Flavor"}, "hw:unique_serial"),
        ({"name": "OS::Nova::Flavor", "prefix": "hw:"}, "unique_serial"),
        ({"name": "OS::Nova::Flavor", "prefix": "HW:"}, "Unique_Serial"),
        ({"name": "OS::Nova::Flavor", "prefix": "hw:unique_"}, "serial"),
        ({"name": "OS::Nova::Aggregate", "prefix": ""}, "hw_unique_serial"),
        ({"name": "OS::Cinder::Volume", "properties_target": "image"}, "hw_unique_serial"),
        ({"name": "OS::Nova::Server", "properties_target": "metadata"}, "hw_unique_serial"),
    ],
)
def test_a_key_that_another_namespace_offers(association: Json, name: str) -> None:
    other = rival(association, {name: BOOLEAN, "more": BOOLEAN})
    assert comparison.may_conflict(OURS, other)
    (conflict,) = comparison.conflicts(OURS, other)
    assert conflict.item == Item(Kind.PROPERTY, name)
    assert conflict.result is Result.CONFLICT


@pytest.mark.parametrize(
    ("association", "name", "candidate"),
    [
        ({"name": "OS::Nova::Flavor", "prefix": "hw_"}, "unique_serial", False),
        ({"name": "OS::Nova::Server"}, "hw:unique_serial", False),
        ({"name": "OS::Cinder::Volume"}, "hw_unique_serial", False),
        ({"name": "OS::Nova::Server"}, "hw_unique_serial", False),
        (
            {"name": "OS::Nova::Server", "properties_target": "scheduler_hints"},
            "hw_unique_serial",
            False,
        ),
        ({"name": "OS::Nova::Flavor", "prefix": "hw:"}, "unique", True),
        ({"name": "OS::Glance::Image"}, "hw:unique_serial", True),
    ],
)
def test_what_is_another_key(association: Json, name: str, candidate: bool) -> None:
    other = rival(association, {name: BOOLEAN})
    assert comparison.may_conflict(OURS, other) is candidate
    assert comparison.conflicts(OURS, other) == ()


def test_objects_offer_keys_too() -> None:
    other = rival(
        {"name": "OS::Nova::Flavor", "prefix": "hw:"},
        objects=[{"name": "thing", "properties": {"unique_serial": BOOLEAN}}],
    )
    (conflict,) = comparison.conflicts(OURS, other)
    assert conflict.item == Item(Kind.OBJECT, "thing")


def test_one_of_ours_can_offer_the_keys_of_the_other() -> None:
    document = changed()
    document["resource_type_associations"].append({"name": "OS::Nova::Aggregate", "prefix": "hw:"})
    (conflict,) = comparison.conflicts(OURS, Namespace.parse(document))
    assert (conflict.namespace, conflict.details[0].stored) == (MAIN.name, "hw:unique_serial")


def test_ours_do_not_conflict() -> None:
    assert [comparison.conflicts(OURS, each) for each in OURS] == [(), (), ()]


# --- plans ----------------------------------------------------------------


def test_a_plan_for_an_empty_glance() -> None:
    glance = Glance()
    plan = glance.plan()
    assert [step.method for step in plan.steps] == ["POST"] * 3
    assert [row.action for row in plan.rows] == [Action.CREATED] * 3
    glance.carry_out(plan)
    assert glance.plan().steps == ()


def test_fields_of_the_namespace_take_one_request_and_keep_its_owner() -> None:
    glance = Glance(changed(visibility="private", owner="p9"), *OTHERS)
    plan = glance.plan()
    assert steps(plan) == [f"PUT {MAIN.name}"]
    glance.carry_out(plan)
    assert glance.stored[MAIN.name]["owner"] == "p9"
    assert glance.stored[MAIN.name]["visibility"] == "public"


def test_changed_content_is_made_anew_before_the_old_one_goes() -> None:
    plan = Glance(definition(type="boolean"), *OTHERS).plan()
    assert steps(plan) == [
        "POST namespaces",
        f"PUT {MAIN.name}",
        f"DELETE {MAIN.name}",
        f"PUT {MAIN_SPARE}",
    ]
    assert plan.steps[0].body is not None
    assert plan.steps[0].body["namespace"] == MAIN_SPARE
    assert plan.steps[0].body["visibility"] == "private"


def test_a_deletion_rests_on_what_it_takes_and_on_the_copy_that_stays() -> None:
    spare = changed(namespace=MAIN_SPARE, protected=False)
    plan = Glance(definition(type="boolean"), spare, *OTHERS).plan()
    seen = {f"{step.method} {step.path.rpartition('/')[2]}": step.seen for step in plan.steps}
    names = {name: [each.name for each in namespaces] for name, namespaces in seen.items()}
    assert names == {
        f"DELETE {MAIN_SPARE}": [MAIN_SPARE, MAIN.name],
        "POST namespaces": [],
        f"PUT {MAIN.name}": [],
        f"DELETE {MAIN.name}": [MAIN.name, MAIN_SPARE],
        f"PUT {MAIN_SPARE}": [],
    }
    stored, copied = seen[f"DELETE {MAIN.name}"]
    assert stored.properties["unique_serial"]["type"] == "boolean"
    assert copied.properties == MAIN.properties


def test_no_step_writes_a_property_by_itself() -> None:
    # Glance would store its name in it, and Horizon would drop the prefix.
    plan = Glance(definition(name="unique_serial"), *OTHERS).plan()
    assert not any("/properties" in step.path for step in plan.steps)
    assert "name" not in str(plan.steps[0].body and plan.steps[0].body["properties"])


def test_a_copy_that_was_imported_by_hand_is_left_public() -> None:
    glance = Glance(definition(title="old") | {"visibility": "private", "protected": False})
    glance.carry_out(glance.plan())
    stored = glance.stored[MAIN.name]
    assert (stored["visibility"], stored["protected"]) == ("public", True)


def test_a_replacement_that_holds_more_than_the_namespace_is_not_thrown_away() -> None:
    spare = changed(namespace=MAIN_SPARE, protected=False, tags=[{"name": "theirs"}])
    with pytest.raises(NotOurs, match="tag theirs of OS::Compute::UniqueSerial::Replacement"):
        Glance(changed(), spare).plan()


def test_removal() -> None:
    glance = Glance(*(each.document() for each in OURS))
    plan = plan_remove(OURS, glance.namespaces())
    assert [step.method for step in plan.steps] == ["PUT", "DELETE"] * 3
    glance.carry_out(plan)
    assert glance.stored == {}
    again = plan_remove(OURS, glance.namespaces())
    assert (again.steps, {row.action for row in again.rows}) == ((), {Action.ABSENT})


def test_removal_of_what_is_not_ours_takes_force() -> None:
    glance = Glance(changed(tags=[{"name": "theirs"}]), *OTHERS)
    with pytest.raises(NotOurs, match=f"tag theirs of {MAIN.name}"):
        plan_remove(OURS, glance.namespaces())
    plan = plan_remove(OURS, glance.namespaces(), force=True)
    assert actions(plan)["tag theirs"] == "removed (not ours)"
    glance.carry_out(plan)
    assert glance.stored == {}


def test_a_name_cannot_leave_its_place_in_a_path() -> None:
    assert path("../a/b?c#d") == "/metadefs/namespaces/..%2Fa%2Fb%3Fc%23d"


# --- any stored state -----------------------------------------------------

WORDS = st.text("abc:_\x1b\u202eÄ", min_size=1, max_size=4)
DEFINITIONS = st.fixed_dictionaries(
    {"title": WORDS, "type": st.sampled_from(["string", "boolean", "integer"])},
    optional={
        "name": WORDS,
        "enum": st.lists(WORDS, max_size=2),
        "default": WORDS,
        "readonly": st.booleans(),
        "description": WORDS,
    },
)
ENTRIES = st.fixed_dictionaries(
    {}, optional={"prefix": st.sampled_from(["", "hw:", "hw_", "x"]), "properties_target": WORDS}
)


@st.composite
def stored_namespaces(draw: st.DrawFn, ours: Namespace) -> Json:
    """Draw a namespace of ours as somebody may have left it."""
    document: Json = {"namespace": ours.name}
    for field in ("display_name", "description", "visibility", "protected"):
        if draw(st.booleans()):
            document[field] = getattr(ours, field)
    document.setdefault("visibility", draw(st.sampled_from(["public", "private"])))
    document["owner"] = draw(WORDS)
    properties: Json = draw(st.dictionaries(WORDS, DEFINITIONS, max_size=2))
    for name, expected in ours.properties.items():
        kind = draw(st.integers(0, 2))
        if kind == 1:
            properties[name] = {**expected}
        elif kind == 2:
            properties[name] = draw(DEFINITIONS)
    entries: Json = draw(st.dictionaries(WORDS, ENTRIES, max_size=2))
    for resource_type, entry in ours.associations.items():
        kind = draw(st.integers(0, 2))
        if kind == 1:
            entries[resource_type] = entry.document()
        elif kind == 2:
            entries[resource_type] = draw(ENTRIES)
    document["properties"] = properties
    document["resource_type_associations"] = [
        {**entry, "name": name} for name, entry in entries.items()
    ]
    document["objects"] = [
        {"name": name, "properties": draw(st.dictionaries(WORDS, DEFINITIONS, max_size=1))}
        for name in draw(st.lists(WORDS, max_size=2, unique=True))
    ]
    document["tags"] = [{"name": name} for name in draw(st.lists(WORDS, max_size=2, unique=True))]
    return document


@st.composite
def glances(draw: st.DrawFn) -> Glance:
    """Draw a Glance that holds any of our namespaces, in any state."""
    return Glance(*(draw(stored_namespaces(each)) for each in OURS if draw(st.integers(0, 3))))


def theirs(stored: Mapping[str, Namespace]) -> set[str]:
    """Return everything that is not ours, with its whole definition."""
    return set(itertools.chain.from_iterable(_theirs(each) for each in stored.values()))


def _theirs(stored: Namespace) -> Iterator[str]:
    ours = next(each for each in reversed(OURS) if stored.name.startswith(each.name))
    parts: dict[Kind, Mapping[str, object]] = {
        Kind.PROPERTY: stored.properties,
        Kind.ASSOCIATION: stored.associations,
        Kind.OBJECT: stored.objects,
        Kind.TAG: dict.fromkeys(stored.tags),
    }
    for item in comparison.foreign(ours, stored):
        yield f"{ours.name} {item} {parts[item.kind][item.name]}"


def assert_installed(glance: Glance) -> None:
    stored = glance.namespaces()
    assert set(stored) == {each.name for each in OURS}
    for each in OURS:
        results = {found.result for found in comparison.compare(each, stored[each.name])}
        assert not results & comparison.DIFFERENCES
    assert glance.plan().steps == ()


@given(glances())
def test_an_installation_leaves_no_difference_and_keeps_what_is_not_ours(glance: Glance) -> None:
    before = glance.namespaces()
    owners = {name: each.owner for name, each in before.items()}
    plan = glance.plan()
    glance.carry_out(plan)
    assert_installed(glance)
    assert theirs(glance.namespaces()) == theirs(before)
    assert owners.items() <= {n: each.owner for n, each in glance.namespaces().items()}.items()
    assert all(row.action is not Action.KEPT or not row.details for row in plan.rows)


@given(glances(), st.data())
def test_an_interrupted_installation_loses_nothing_and_can_be_repeated(
    glance: Glance, data: st.DataObject
) -> None:
    before = theirs(glance.namespaces())
    for _attempt in range(3):
        plan = glance.plan()
        glance.carry_out(plan, data.draw(st.integers(0, len(plan.steps))))
        assert theirs(glance.namespaces()) == before
    glance.carry_out(glance.plan())
    assert_installed(glance)
    assert theirs(glance.namespaces()) == before


@given(glances(), st.data())
def test_what_somebody_adds_meanwhile_is_not_lost(glance: Glance, data: st.DataObject) -> None:
    plan = glance.plan()
    moment = data.draw(st.integers(0, len(plan.steps)))
    glance.carry_out(plan, moment)
    # Not to a replacement beside its namespace: that one stops the next run too.
    names = {name.removesuffix(REPLACEMENT) for name in glance.stored}
    assume(names)
    name = data.draw(st.sampled_from(sorted(names)))
    document = glance.stored[name if name in glance.stored else name + REPLACEMENT]
    document["tags"] = [*document.get("tags", []), {"name": "meanwhile"}]
    before = theirs(glance.namespaces())
    for step in plan.steps[moment:]:
        if glance.changes(step):
            assert glance.changes(step) == ["tag meanwhile"]
            break
        assert glance.request(step.method, step.path, step.body)[0] < 300
    glance.carry_out(glance.plan())
    assert_installed(glance)
    assert theirs(glance.namespaces()) == before


@given(glances(), st.data())
def test_an_interrupted_removal_can_be_repeated(glance: Glance, data: st.DataObject) -> None:
    plan = plan_remove(OURS, glance.namespaces(), force=True)
    glance.carry_out(plan, data.draw(st.integers(0, len(plan.steps))))
    glance.carry_out(plan_remove(OURS, glance.namespaces(), force=True))
    assert glance.stored == {}


@given(
    st.sampled_from(OURS).flatmap(lambda each: st.tuples(st.just(each), stored_namespaces(each)))
)
def test_a_namespace_never_differs_from_itself(pair: tuple[Namespace, Json]) -> None:
    stored = Namespace.parse(pair[1])
    assert {each.result for each in comparison.compare(stored, stored)} == {Result.OK}


def test_steps_name_the_right_that_they_take() -> None:
    step = Step("DELETE", path(MAIN.name), "delete_metadef_namespace", "")
    plan = plan_remove(OURS, {MAIN.name: Namespace.parse(changed(protected=False))})
    assert (plan.steps[0].path, plan.steps[0].right) == (step.path, step.right)
