# SPDX-License-Identifier: Apache-2.0
"""``openstack unique serial metadef ...`` against a Glance of written answers."""

from __future__ import annotations

import re

import pytest
import requests
import requests_mock

from osc_uniqserial.metadefs import plan
from tests.unit.builders import Json
from tests.unit.fake_cloud import FakeCloud
from tests.unit.glance import (
    AGGREGATE,
    BASE,
    BOOLEAN,
    MAIN,
    MAIN_SPARE,
    OTHERS,
    OURS,
    SERVER,
    HttpGlance,
    changed,
    definition,
)


@pytest.fixture
def glance(fake: FakeCloud) -> HttpGlance:
    """An empty Glance."""
    return HttpGlance(fake)


@pytest.fixture
def installed(glance: HttpGlance) -> HttpGlance:
    """A Glance that holds our namespaces."""
    glance.hold(*(each.document() for each in OURS))
    return glance


# --- install --------------------------------------------------------------


def test_install_posts_the_files_as_they_are(glance: HttpGlance) -> None:
    assert {row["Action"] for row in glance.rows("install")} == {"created"}
    bodies = [request.json() for request in glance.fake.sent("POST")]
    assert bodies == [each.document() for each in OURS]
    assert len(glance.fake.reads()) == 6
    assert glance.run("check").code == 0


def test_install_again_writes_nothing(installed: HttpGlance) -> None:
    assert {row["Action"] for row in installed.rows("install")} == {"unchanged"}
    assert installed.fake.writes() == []


def test_install_adds_a_namespace_that_an_earlier_version_did_not_have(glance: HttpGlance) -> None:
    glance.hold(MAIN.document(), AGGREGATE.document())
    result = glance.run("check", "-f", "json")
    assert result.code == 3
    (row,) = [row for row in result.json if row["Result"] != "ok"]
    assert (row["Namespace"], row["Item"], row["Result"]) == (SERVER.name, "namespace", "missing")
    actions = {(row["Namespace"], row["Action"]) for row in glance.rows("install")}
    assert actions == {
        (MAIN.name, "unchanged"),
        (AGGREGATE.name, "unchanged"),
        (SERVER.name, "created"),
    }
    assert len(glance.fake.writes()) == 1
    (written,) = glance.fake.sent("POST")
    assert written.json() == SERVER.document()
    assert glance.run("check").code == 0


@pytest.mark.parametrize(
    ("command", "code"), [(["install"], 1), (["remove", "--force"], 1), (["check"], 4)]
)
@pytest.mark.parametrize("scope", ["system", "domain"])
def test_a_token_without_a_project_sees_no_namespaces(
    installed: HttpGlance, command: list[str], code: int, scope: str
) -> None:
    installed.fake.catalog("identity", "image", "compute", scope=scope)
    run = installed.run(*command)
    assert run.code == code
    said = " ".join((run.out + run.err).split())
    assert "Glance (image) returns no namespaces to a token without a project" in said
    assert "missing" not in said
    assert installed.fake.writes() == []


@pytest.mark.parametrize("command", [["install"], ["remove", "--force"]])
@pytest.mark.parametrize(
    "documents",
    [
        [],
        [changed(), *OTHERS],
        [definition(type="boolean"), AGGREGATE.document() | {"visibility": "private"}],
        [changed(tags=[{"name": "t"}])],
        [changed(namespace=MAIN_SPARE, protected=False)],
        [changed(namespace=MAIN_SPARE, protected=False), changed()],
    ],
)
def test_a_dry_run_shows_what_the_real_run_does_and_writes_nothing(
    glance: HttpGlance, documents: list[Json], command: list[str]
) -> None:
    glance.hold(*documents)
    dry = glance.rows(*command, "--dry-run")
    assert glance.fake.writes() == []
    assert glance.rows(*command) == dry


def test_install_keeps_what_is_not_ours(glance: HttpGlance) -> None:
    document = definition(type="boolean") | {
        "objects": [{"name": "o", "required": ["p"], "properties": {"p": BOOLEAN}}],
        "tags": [{"name": "t"}],
        "owner": "p9",
    }
    document["properties"]["extra"] = BOOLEAN
    document["resource_type_associations"].append({"name": "OS::Nova::Server", "prefix": "s:"})
    glance.hold(document)
    rows = {row["Item"]: row["Action"] for row in glance.rows("install")}
    kept = ["association OS::Nova::Server", "property extra", "object o", "tag t"]
    assert [rows[item] for item in kept] == ["kept (not ours)"] * 4
    assert rows["property unique_serial"] == "updated"
    stored = glance.stored[MAIN.name]
    assert stored["properties"]["extra"] == BOOLEAN
    assert stored["objects"][0]["required"] == ["p"]
    assert {"name": "OS::Nova::Server", "prefix": "s:"}.items() <= (
        stored["resource_type_associations"][-1].items()
    )
    assert (stored["tags"], stored["owner"]) == ([{"name": "t"}], "p9")
    assert set(glance.stored) == {each.name for each in OURS}


@pytest.mark.parametrize("fail", [1, 2, 3, 4])
@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("how", [503, requests.exceptions.ReadTimeout("slow")])
def test_an_installation_that_fails_half_way_says_how_far_it_came(
    glance: HttpGlance, fail: int, carried_out: bool, how: int | Exception
) -> None:
    glance.hold(definition(type="boolean") | {"tags": [{"name": "t"}]}, *OTHERS)
    glance.fail, glance.how, glance.carried_out = fail, how, carried_out
    words = [
        f"create namespace {MAIN_SPARE}",
        f"unprotect namespace {MAIN.name}",
        f"delete namespace {MAIN.name}",
        f"rename namespace {MAIN_SPARE} to {MAIN.name}",
    ]
    result = glance.run("install")
    assert (result.code, result.out) == (1, "")
    assert f"could not {words[fail - 1]}: Glance (image)" in result.err
    assert "it may have been carried out all the same" in result.err
    assert f"Done before: {', '.join(words[: fail - 1]) or 'nothing'}." in result.err
    assert f"Not done: {', '.join(words[fail - 1 :])}." in result.err
    assert len(glance.fake.writes()) == fail, "a write is sent once"
    glance.run("install")
    assert glance.run("check").code == 0
    assert glance.stored[MAIN.name]["tags"] == [{"name": "t"}]
    assert set(glance.stored) == {each.name for each in OURS}


def test_a_missing_right_is_named(glance: HttpGlance) -> None:
    glance.fail, glance.how = 1, 403
    result = glance.run("install")
    assert result.code == 1
    assert "answered 403: Not today." in result.err
    assert "the right add_metadef_namespace in Glance's policy" in result.err
    assert "all the same" not in result.err


def test_somebody_else_created_it_meanwhile(glance: HttpGlance) -> None:
    glance.fail, glance.how = 2, 409
    result = glance.run("install")
    assert f"Done before: create namespace {MAIN.name}." in result.err
    not_done = f"create namespace {AGGREGATE.name}, create namespace {SERVER.name}"
    assert f"Not done: {not_done}." in result.err


ADDED: dict[str, Json] = {
    "tag new": {"tags": [{"name": "t"}, {"name": "new"}]},
    "object new": {"objects": [{"name": "new", "properties": {"p": BOOLEAN}}]},
    "property new": {"properties": {**MAIN.document()["properties"], "new": BOOLEAN}},
    "association OS::Nova::Server": {
        "resource_type_associations": [
            *MAIN.document()["resource_type_associations"],
            {"name": "OS::Nova::Server", "prefix": "s:"},
        ]
    },
}


@pytest.mark.parametrize("write", [1, 2])
@pytest.mark.parametrize("item", ADDED)
def test_install_does_not_delete_what_somebody_adds_meanwhile(
    glance: HttpGlance, item: str, write: int
) -> None:
    glance.hold(definition(type="boolean") | {"tags": [{"name": "t"}]}, *OTHERS)
    glance.meanwhile[write] = lambda: glance.stored[MAIN.name].update(ADDED[item])
    result = glance.run("install")
    assert (result.code, result.out) == (1, "")
    assert f"could not delete namespace {MAIN.name}: somebody else changed" in result.err
    assert item in result.err
    assert "nothing of it was deleted" in result.err
    done = f"create namespace {MAIN_SPARE}, unprotect namespace {MAIN.name}"
    not_done = f"delete namespace {MAIN.name}, rename namespace {MAIN_SPARE} to {MAIN.name}"
    assert f"Done before: {done}. Not done: {not_done}." in result.err
    assert "run the same command again" in result.err
    assert glance.fake.sent("DELETE") == []
    rows = {
        row["Item"]: row["Action"]
        for row in glance.rows("install")
        if row["Namespace"] == MAIN.name
    }
    assert (rows[item], rows["tag t"]) == ("kept (not ours)", "kept (not ours)")
    assert glance.run("check").code == 0
    assert set(glance.stored) == {each.name for each in OURS}


def test_install_reads_twice_before_it_deletes(glance: HttpGlance) -> None:
    glance.hold(definition(type="boolean"), *OTHERS)
    glance.run("install")
    reads = [*plan.names(OURS), MAIN_SPARE, MAIN.name]
    paths = [f"/v2{plan.path(name)}".lower() for name in reads]
    assert [path.lower() for path in glance.fake.reads()] == paths
    assert len(glance.fake.writes()) == 4


def test_install_deletes_nothing_whose_replacement_is_gone(glance: HttpGlance) -> None:
    # A second installation took it for the rest of an interrupted one.
    glance.hold(definition(type="boolean") | {"tags": [{"name": "t"}]}, *OTHERS)
    glance.meanwhile[2] = lambda: glance.stored.pop(MAIN_SPARE)
    result = glance.run("install")
    assert f"somebody else deleted or renamed namespace {MAIN_SPARE} meanwhile." in result.err
    assert glance.fake.sent("DELETE") == []
    assert glance.run("install").code == 0
    assert glance.run("check").code == 0
    assert glance.stored[MAIN.name]["tags"] == [{"name": "t"}]


def test_a_replacement_that_took_its_place_meanwhile_is_not_thrown_away(
    installed: HttpGlance,
) -> None:
    # Its installation was not interrupted: it was still running.
    installed.hold(changed(namespace=MAIN_SPARE, protected=True))
    installed.meanwhile[1] = lambda: installed.stored.pop(MAIN.name)
    result = installed.run("install")
    assert f"could not delete namespace {MAIN_SPARE}: somebody else deleted" in result.err
    assert installed.fake.sent("DELETE") == []
    assert installed.run("install").code == 0
    assert installed.run("check").code == 0


def test_install_does_not_delete_what_it_cannot_read_again(glance: HttpGlance) -> None:
    glance.hold(definition(type="boolean"), *OTHERS)
    path = BASE + plan.path(MAIN.name)
    glance.meanwhile[2] = lambda: glance.fake.http.get(path, status_code=500)
    result = glance.run("install")
    assert f"could not delete namespace {MAIN.name}: Glance (image) answered 500" in result.err
    assert "all the same" not in result.err
    assert glance.fake.sent("DELETE") == []


def test_install_does_not_write_on_what_it_cannot_read(glance: HttpGlance) -> None:
    glance.fake.http.get(BASE + plan.path(AGGREGATE.name), status_code=500)
    result = glance.run("install")
    assert result.code == 1
    assert "Glance (image) answered 500" in result.err
    assert glance.fake.writes() == []


def test_a_replacement_with_more_in_it_stops_the_installation(installed: HttpGlance) -> None:
    installed.hold(changed(namespace=MAIN_SPARE, protected=False, tags=[{"name": "\x1b[2Jt"}]))
    result = installed.run("install")
    assert result.code == 1
    assert f"tag \\x1b[2Jt of {MAIN_SPARE}" in result.err
    assert installed.fake.writes() == []


# --- check ----------------------------------------------------------------


def test_check_is_clean(installed: HttpGlance) -> None:
    result = installed.run("check", "-f", "json")
    assert (result.code, result.err) == (0, "")
    assert {row["Result"] for row in result.json} == {"ok"}
    assert len(installed.fake.reads()) == 4


def test_check_of_an_empty_glance_says_what_follows(glance: HttpGlance) -> None:
    result = glance.run("check", "-f", "json")
    assert result.code == 3
    assert [row["Result"] for row in result.json] == ["missing"] * 3
    assert "OS::Nova::Flavor, OS::Nova::Server: Horizon's Update Metadata dialog" in result.err


def test_check_shows_stored_and_expected(installed: HttpGlance) -> None:
    installed.hold(definition(type="boolean"))
    result = installed.run("check", "-f", "json")
    assert result.code == 3
    (row,) = [row for row in result.json if row["Result"] != "ok"]
    assert row == {
        "Namespace": MAIN.name,
        "Item": "property unique_serial",
        "Result": "differs",
        "Details": [
            {
                "field": "type",
                "stored": "boolean",
                "expected": "string",
                "effect": "Horizon stores null when it is added and saved untouched",
            }
        ],
    }


def test_check_shows_people_one_line_a_field(installed: HttpGlance) -> None:
    document = definition(type="boolean", enum=["yes"], title="\x1b[31m" + "x" * 200)
    document["resource_type_associations"][0].pop("prefix")
    installed.hold(document)
    out = installed.run("check").out
    assert "type: boolean, expected string (Horizon stores null" in out
    assert 'enum: ["yes"], expected ["true", "false"]' in out
    assert "prefix: not set, expected hw" in out
    assert "\x1b" not in out
    assert "x" * 61 not in out


def test_check_reads_every_page(installed: HttpGlance) -> None:
    rivals = [
        {
            "namespace": f"Rival{number}",
            "resource_type_associations": [{"name": "OS::Nova::Flavor"}],
            "properties": {"hw:unique_serial": BOOLEAN},
        }
        for number in range(5)
    ]
    installed.hold(*rivals)
    installed.page = 2
    rows = installed.rows("check")
    assert [row["Namespace"] for row in rows if row["Result"] == "conflict"] == [
        f"Rival{number}" for number in range(5)
    ]


def test_check_does_not_read_a_list_without_end(glance: HttpGlance) -> None:
    entry = {"namespace": "N", "resource_type_associations": []}
    answer = {"namespaces": [entry], "next": "/v2/again"}
    glance.fake.http.get(BASE + plan.COLLECTION, json=answer)
    rows = glance.rows("check")
    assert rows[-1]["Result"] == "unreadable"
    assert len(glance.fake.reads()) == 20 + len(OURS)


def test_check_skips_namespaces_that_cannot_offer_the_keys(installed: HttpGlance) -> None:
    installed.hold(
        {
            "namespace": "Far",
            "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "quota:"}],
            "properties": {"x": BOOLEAN},
        }
    )
    assert installed.run("check").code == 0
    assert len(installed.fake.reads()) == 4


def test_check_finds_an_interrupted_installation(installed: HttpGlance) -> None:
    installed.hold(changed(namespace=MAIN_SPARE, protected=False))
    result = installed.run("check", "-f", "json")
    assert result.code == 3
    (row,) = [row for row in result.json if row["Result"] != "ok"]
    assert row["Namespace"] == MAIN_SPARE
    assert "install again" in row["Details"][0]["effect"]
    installed.run("install")
    assert installed.run("check").code == 0


def test_what_cannot_be_read_is_no_difference(installed: HttpGlance) -> None:
    installed.fake.http.get(BASE + plan.path(AGGREGATE.name), status_code=403)
    result = installed.run("check", "-f", "json")
    assert result.code == 4
    (row,) = [row for row in result.json if row["Result"] != "ok"]
    assert (row["Namespace"], row["Result"]) == (AGGREGATE.name, "unreadable")
    assert "answered 403" in row["Details"][0]["effect"]


def test_a_difference_outranks_what_cannot_be_read(glance: HttpGlance) -> None:
    glance.fake.http.get(BASE + plan.path(AGGREGATE.name), status_code=403)
    assert glance.run("check").code == 3


def test_a_list_that_cannot_be_read_does_not_hide_ours(installed: HttpGlance) -> None:
    installed.fake.http.get(BASE + plan.COLLECTION, status_code=403)
    result = installed.run("check", "-f", "json")
    assert result.code == 4
    assert [row["Result"] for row in result.json].count("ok") == 12
    assert result.json[-1]["Namespace"] == "*"


def test_a_glance_that_is_away_is_asked_once(glance: HttpGlance) -> None:
    away = requests.exceptions.ConnectionError("refused")
    glance.fake.http.register_uri(
        requests_mock.ANY, re.compile(f"{re.escape(BASE)}/metadefs"), exc=away
    )
    result = glance.run("check", "-f", "json")
    assert result.code == 4
    assert {row["Result"] for row in result.json} == {"unreadable"}
    assert len(glance.fake.reads()) == 3, "one read and two retries"


@pytest.mark.parametrize("text", ["<html>", "[]", "null", '{"namespace": 1}', '"x"'])
def test_an_answer_of_another_form_is_unreadable(installed: HttpGlance, text: str) -> None:
    installed.fake.http.get(BASE + plan.path(MAIN.name), text=text)
    result = installed.run("check", "-f", "json")
    assert result.code == 4
    assert result.json[0]["Result"] == "unreadable"


@pytest.mark.parametrize("text", ["[]", '{"namespaces": 1}', '{"namespaces": ["x"]}'])
def test_a_list_of_another_form_is_unreadable(installed: HttpGlance, text: str) -> None:
    installed.fake.http.get(BASE + plan.COLLECTION, text=text)
    result = installed.run("check", "-f", "json")
    assert result.code == 4
    assert result.json[-1]["Result"] == "unreadable"


# --- remove ---------------------------------------------------------------


def test_remove(installed: HttpGlance) -> None:
    assert {row["Action"] for row in installed.rows("remove")} == {"removed"}
    assert installed.stored == {}
    assert {row["Action"] for row in installed.rows("remove")} == {"absent"}


def test_unprotecting_wipes_nothing(installed: HttpGlance) -> None:
    installed.fail, installed.how = 2, 500
    assert "Not done: delete namespace" in installed.run("remove").err
    assert installed.stored[MAIN.name] == changed(protected=False) | {"owner": "caller"}


def test_remove_refuses_before_any_write(installed: HttpGlance) -> None:
    installed.hold(AGGREGATE.document() | {"tags": [{"name": "t"}]})
    result = installed.run("remove")
    assert result.code == 1
    assert f"tag t of {AGGREGATE.name}" in result.err
    assert "--force" in result.err
    assert installed.fake.writes() == []
    assert installed.run("remove", "--force").code == 0
    assert installed.stored == {}


@pytest.mark.parametrize("item", ADDED)
def test_remove_does_not_delete_what_somebody_adds_meanwhile(
    installed: HttpGlance, item: str
) -> None:
    installed.meanwhile[1] = lambda: installed.stored[MAIN.name].update(ADDED[item])
    result = installed.run("remove", "--force")
    assert (result.code, result.out) == (1, "")
    assert f"could not delete namespace {MAIN.name}: somebody else changed" in result.err
    assert item in result.err
    assert f"Done before: unprotect namespace {MAIN.name}. Not done: delete" in result.err
    assert installed.fake.sent("DELETE") == []
    result = installed.run("remove")
    assert result.code == 1
    assert f"{item} of {MAIN.name}" in result.err
    assert installed.fake.sent("DELETE") == []
    assert installed.run("remove", "--force").code == 0
    assert installed.stored == {}


def test_a_name_in_what_somebody_changed_is_made_safe(installed: HttpGlance) -> None:
    tags = {"tags": [{"name": "\x1b[2Jt"}]}
    installed.meanwhile[1] = lambda: installed.stored[MAIN.name].update(tags)
    assert "(tag \\x1b[2Jt)" in installed.run("remove").err


def test_remove_reads_again_what_it_deletes(installed: HttpGlance) -> None:
    installed.run("remove")
    assert len(installed.fake.reads()) == 6 + 3
    assert len(installed.fake.writes()) == 6


def test_remove_takes_a_left_replacement_along(installed: HttpGlance) -> None:
    installed.hold(changed(namespace=MAIN_SPARE, protected=False))
    installed.run("remove")
    assert installed.stored == {}
