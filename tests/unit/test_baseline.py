# SPDX-License-Identifier: Apache-2.0
"""Findings that somebody accepted: reading, judging and writing a baseline."""

from __future__ import annotations

import dataclasses
import datetime
import re
import sys
from collections.abc import Collection, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial.checks import ALL
from osc_uniqserial.model.finding import Finding, Severity
from osc_uniqserial.reports import baseline
from osc_uniqserial.reports.baseline import BadBaseline, Entry, Standing
from tests.unit.builders import servers

TODAY = datetime.date(2026, 11, 23)
DAY = datetime.timedelta(days=1)
#: Lists in lists, more than Python can call functions in functions.
TOO_DEEP = 2 * sys.getrecursionlimit()
IDS = [id_ for id_, check in ALL.items() if check.severity is not Severity.UNCHECKED]


def finding(
    name: str | None = "gold",
    resource: str | None = "id-gold",
    *,
    id: str = "not-steered",
    type: str = "flavor",
    count: int | None = None,
) -> Finding:
    held = None if count is None else servers(count)
    return Finding(id, ALL[id].severity, type, resource, name, "seen", servers=held)


def entry(resource: str | None = "id-gold", **changes: Any) -> Entry:
    made = Entry("not-steered", "flavor", resource, "known")
    return dataclasses.replace(made, **changes)


def standings(
    findings: Sequence[Finding], entries: Sequence[Entry], today: datetime.date = TODAY
) -> list[str]:
    assessed = baseline.assess(findings, entries, today)
    assert [each.finding for each in assessed] == list(findings)
    assert all(each.counts is (each.standing is not Standing.ACCEPTED) for each in assessed)
    assert all((each.entry is None) is (each.standing is Standing.NEW) for each in assessed)
    return [each.standing.value for each in assessed if each.standing]


def wrong(text: str) -> str:
    with pytest.raises(BadBaseline) as caught:
        baseline.parse(text)
    return str(caught.value)


GOOD = """
accepted:
- id: not-steered
  resource_type: flavor
  resource: id-gold
  name: gold
  reason: "  Known. "
  expires: 2030-12-31
  servers: 2
"""

# --- reading ------------------------------------------------------------------


def test_all_of_an_entry() -> None:
    (one,) = baseline.parse(GOOD)
    assert one == Entry(
        "not-steered",
        "flavor",
        "id-gold",
        "Known.",
        "gold",
        datetime.date(2030, 12, 31),
        2,
    )
    assert str(one) == "not-steered of flavor gold"


def test_the_least_of_an_entry() -> None:
    (one,) = baseline.parse(
        "accepted: [{id: hosts-unreadable, resource_type: cloud, reason: Known}]"
    )
    assert one == Entry("hosts-unreadable", "cloud", None, "Known")
    assert str(one) == "hosts-unreadable"


def test_a_date_as_text_is_a_date() -> None:
    assert baseline.parse(GOOD.replace("2030-12-31", "'2030-12-31'")) == baseline.parse(GOOD)


def test_what_is_null_is_not_there() -> None:
    nulls = "resource: null, name: null, expires: null, servers: null"
    text = f"accepted: [{{id: not-steered, resource_type: flavor, reason: x, {nulls}}}]"
    assert baseline.parse(text) == (Entry("not-steered", "flavor", None, "x"),)


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "accepted: []\n"])
def test_nothing_is_accepted(text: str) -> None:
    assert baseline.parse(text) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accepted: [", "line 1: it is not YAML"),
        ("\n\x00", "line 2: it is not YAML: the character '\\x00'"),
        ("a: b: c", "line 1: it is not YAML"),
        ("? [a]\n: 1\n", "line 1: a key is a list: write a text"),
        ("accepted: []\n---\naccepted: []", "line 2: a second document begins"),
        ("accepted: !!python/object/apply:os.getcwd []", "line 1: the tag '!!python/object"),
        ("accepted: !!bool 'zz'", "line 1: the tag '!!bool' is refused"),
        ("accepted: !!set {a}", "line 1: the tag '!!set' is refused"),
        ("accepted: " + "[" * TOO_DEEP, "line 1: lists and mappings are nested more than 8 deep"),
        ("accepted: " + "[" * TOO_DEEP + "]" * TOO_DEEP, "nested more than 8 deep"),
        ("[]", "line 1: it has no list 'accepted'"),
        ("text", "it has no list 'accepted'"),
        ("5", "it has no list 'accepted'"),
        ("{}", "it has no list 'accepted'"),
        ("accepted:", "it has no list 'accepted'"),
        ("accepted: {a: 1}", "it has no list 'accepted'"),
        ("accept: []", "it has no list 'accepted'"),
        ("accepted: []\nversion: 1", "line 2: 'version' is not known"),
        ("accepted: []\n5: 1", "'5' is not known"),
        ("accepted: []\n~: 1", "line 2: a key is empty: write a text, '~' in quotes"),
        ("accepted: []\naccepted: []", "line 2: 'accepted' is in line 1 already"),
        ("accepted: [5]", "line 1: entry 1: it is '5': write a mapping with id"),
        ("accepted: [null]", "entry 1: it is 'null'"),
        ("accepted: [[]]", "entry 1: it is a list"),
        ("accepted: &a [*a]", "line 1: '&a': anchors and aliases are refused"),
        ("accepted:\n- *a", "line 2: '*a': anchors and aliases are refused"),
        ("accepted:\n- {id: a, id: a}", "line 2: 'id' is in line 2 already"),
    ],
    ids=range(27),
)
def test_what_is_no_baseline(text: str, said: str) -> None:
    assert said in wrong(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: not-steered\n", "id: no-such\n", "entry 1 (no-such): its id 'no-such' is no ID"),
        ("id: not-steered\n", "id: 5\n", "line 3: entry 1 (5): its id '5' is no ID"),
        ("id: not-steered\n", "id: [a]\n", "entry 1: its id is a list: write the ID"),
        ("id: not-steered\n", "ID: not-steered\n", "it has no id"),
        ("resource_type: flavor", "resource_type:", "it has no resource_type"),
        ("resource_type: flavor", "resource_type: 5", "its resource_type '5' is no type"),
        ("resource_type: flavor", "resource_type: Flavor", "write one of flavor, image"),
        ("  resource_type: flavor\n", "", "it has no resource_type"),
        ("name: gold", "name: [gold]", "line 6: entry 1 (not-steered): its name is a list"),
        ('reason: "  Known. "', "reason:", "it has no reason"),
        ('reason: "  Known. "', 'reason: ""', "it has no reason: write why"),
        ('reason: "  Known. "', r'reason: " \t\n\u2003"', "write why the finding is accepted"),
        ('reason: "  Known. "', "reason: [Known]", "its reason is a list: write why"),
        ('  reason: "  Known. "\n', "", "it has no reason"),
        ("2030-12-31", "'2030-02-31'", "its expires '2030-02-31' is no date"),
        ("2030-12-31", "2030-02-31", "its expires '2030-02-31' is no date: write one such as"),
        ("2030-12-31", "soon", "its expires 'soon' is no date"),
        ("2030-12-31", "2030", "its expires '2030' is no date"),
        ("2030-12-31", "2030-12-31 10:00:00", "is no date"),
        ("2030-12-31", "true", "its expires 'true' is no date"),
        ("2030-12-31", '""', "its expires '' is no date"),
        ("servers: 2", 'servers: ""', "its servers '' is no number"),
        ("servers: 2", "servers: -1", "its servers '-1' is no number"),
        ("servers: 2", "servers: true", "its servers 'true' is no number"),
        ("servers: 2", "servers: 1.5", "its servers '1.5' is no number"),
        ("servers: 2", "servers: .nan", "its servers '.nan' is no number"),
        ("servers: 2", "servers: 010", "its servers '010' is no number"),
        ("servers: 2", "servers: 1_0", "its servers '1_0' is no number"),
        ("servers: 2", "servers: 9" + "9" * 5000, "9...' is no number of servers"),
        ("servers: 2", "server: 2", "line 9: entry 1 (not-steered): 'server' is not one of id"),
        ("servers: 2", "5: 2", "'5' is not one of id, resource_type"),
    ],
)
def test_what_is_no_entry(old: str, new: str, said: str) -> None:
    assert GOOD.count(old) == 1
    assert said in wrong(GOOD.replace(old, new))


@pytest.mark.parametrize("text", ["012", "2030-12-31", "yes", "1.0", "0x1f", "1:30", "=", "<<"])
def test_scalars_are_the_text_that_is_written(text: str) -> None:
    (one,) = baseline.parse(GOOD.replace("id-gold", text).replace('"  Known. "', text))
    assert (one.resource, one.reason) == (text, text)


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = """
    extra: 1
    accepted:
    - {id: not-steered, resource_type: flavor, reason: fine}
    - {id: not-steered, resource_type: flavor, servers: -1}
    - text
    - {id: no-such, reason: x, expires: soon, more: 1}
    """
    fields = "id, resource_type, resource, name, reason, expires, servers"
    assert [each.partition(": write")[0] for each in wrong(text).split("; ")] == [
        "line 2: 'extra' is not known: remove it",
        "line 5: entry 2 (not-steered): its servers '-1' is no number of servers",
        "line 5: entry 2 (not-steered): it has no reason",
        "line 6: entry 3: it is 'text'",
        "line 7: entry 4 (no-such): its id 'no-such' is no ID of a finding",
        "line 7: entry 4 (no-such): its expires 'soon' is no date",
        f"line 7: entry 4 (no-such): 'more' is not one of {fields}: remove it",
        "line 7: entry 4 (no-such): it has no resource_type",
    ]


def test_many_errors_are_counted() -> None:
    assert wrong("accepted:\n" + "- x\n" * 1000).endswith("; and 980 more")


#: Words with which YAML changes the meaning of a text.
WORDS = (
    st.sampled_from([*"[]{},:-?&*!|>'\"%@`#~ \n\t\x85\ufeff"])
    | st.sampled_from(
        [": ", "- ", "\n  ", "---\n", "...\n", "&a ", "*a", "!!bool ", "<<", "012", "null"]
    )
    | st.sampled_from(
        [
            "accepted:\n",
            "id: not-steered",
            "resource_type: flavor",
            "reason: x",
            "expires: 2030-02-31",
        ]
    )
)


@given(st.text() | st.lists(WORDS).map("".join))
@settings(max_examples=300)
def test_any_text_is_a_baseline_or_refused(text: str) -> None:
    for each in (text, f"accepted: {text}", f"accepted:\n- {text}", f"accepted:\n- id: {text}"):
        try:
            entries = baseline.parse(each)
        except BadBaseline:
            continue
        # A valid one is written and read as the same.
        again = baseline.parse(baseline.write([], entries, [], ""))
        assert set(again) == set(entries)


# --- judging ------------------------------------------------------------------


def test_what_no_entry_is_about_is_new() -> None:
    others = [
        entry("id-other"),
        entry(None),
        entry(id="serial-shared"),
        entry(resource_type="image"),
    ]
    assert standings([finding()], others) == ["new"]
    assert standings([finding()], []) == ["new"]
    assert standings([], others) == []


@pytest.mark.parametrize("resource", ["gold", "id-gold"])
def test_a_resource_is_met_by_id_or_name(resource: str) -> None:
    assert standings([finding()], [entry(resource)]) == ["accepted"]


def test_the_name_of_an_entry_is_for_people() -> None:
    assert standings([finding()], [entry("id-other", name="gold")]) == ["new"]


def test_names_are_met_whole_and_as_they_are() -> None:
    entries = [entry(name) for name in ("Gold", "gol", "gold ", "*", ".*", "")]
    assert standings([finding()], entries) == ["new"]


def test_a_finding_about_no_resource_is_met_by_an_entry_about_none() -> None:
    assert standings([finding(None, None)], [entry(None)]) == ["accepted"]
    assert standings([finding(None, None)], [entry("gold")]) == ["new"]
    assert standings([finding("gold", None), finding(None, "id-gold")], [entry(None)]) == [
        "new",
        "new",
    ]


@pytest.mark.parametrize(
    ("limit", "count", "standing"),
    [
        (None, 1000, "accepted"),
        (2, 0, "accepted"),
        (2, 2, "accepted"),
        (2, 3, "grew"),
        (0, 0, "accepted"),
        (0, 1, "grew"),
        (0, None, "accepted"),
    ],
)
def test_more_servers_than_were_accepted(
    limit: int | None, count: int | None, standing: str
) -> None:
    assert standings([finding(count=count)], [entry(servers=limit)]) == [standing]


def test_findings_about_one_resource_count_together() -> None:
    both = [finding(count=2), finding("gold", "id-gold", count=3), finding("x", "x", count=9)]
    assert standings(both, [entry(servers=5)]) == ["accepted", "accepted", "new"]
    assert standings(both, [entry(servers=4)]) == ["grew", "grew", "new"]


@pytest.mark.parametrize(
    ("days", "standing"), [(-1000, "accepted"), (-1, "accepted"), (0, "accepted"), (1, "expired")]
)
def test_an_entry_counts_to_the_end_of_its_last_day(days: int, standing: str) -> None:
    assert standings([finding()], [entry(expires=TODAY)], TODAY + days * DAY) == [standing]


def test_what_expired_and_grew_has_expired() -> None:
    old = entry(expires=TODAY - DAY, servers=1)
    assert standings([finding(count=2)], [old]) == ["expired"]


def test_unmet_entries_are_those_of_what_was_looked_for() -> None:
    met, gone, elsewhere = entry(), entry("gone"), entry("gone", id="serial-shared")
    assessed = baseline.assess([finding()], [met, gone, elsewhere], TODAY)
    assert baseline.unmet([met, gone, elsewhere], assessed, {"not-steered"}) == [gone]
    assert baseline.unmet([met, gone, elsewhere], assessed, set(IDS)) == [gone, elsewhere]
    assert baseline.unmet([met, gone, elsewhere], assessed, ()) == []


@pytest.mark.parametrize("changes", [{"expires": TODAY - DAY}, {"servers": 0}])
def test_an_entry_that_accepts_no_more_is_met_all_the_same(changes: dict[str, Any]) -> None:
    entries = [entry(**changes)]
    assessed = baseline.assess([finding(count=1)], entries, TODAY)
    assert baseline.unmet(entries, assessed, IDS) == []


# --- writing ------------------------------------------------------------------

#: YAML has to write all of it: control characters, lone surrogates, line separators.
HOSTILE = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [
        "null",
        "~",
        "true",
        "5",
        "2030-01-01",
        "=",
        "<<",
        "- a",
        "a: b",
        "# a",
        "*a",
        "&a",
        "!!a",
        "%a",
        "---",
        "...",
        " a ",
        "a\n\n b",
        "\ufeff",
        "\x85\u2028\u2029",
        "\ud83d\ude00",
        "x" * 300,
        "a b " * 50,
        "'\"",
        "\\",
    ]
)
#: A name that is the ID of another resource would be met by the entry of that one.
FINDINGS = st.lists(
    st.builds(
        finding,
        st.none() | HOSTILE.map("n{}".format),
        st.none() | HOSTILE.map("i{}".format),
        id=st.sampled_from(IDS),
        type=st.sampled_from(["flavor", "image", "host"]),
        count=st.none() | st.integers(0, 5),
    ),
    max_size=5,
)
REASON = HOSTILE.map("r{}".format)


@given(FINDINGS, REASON)
@settings(max_examples=100)
def test_all_that_is_written_is_accepted(findings: list[Finding], reason: str) -> None:
    text = written(findings, (), IDS, reason)
    assert text.isascii()
    entries = baseline.parse(text)
    assert {each.reason for each in entries} <= {reason.strip()}
    assessed = baseline.assess(findings, entries, TODAY)
    assert {each.standing for each in assessed} <= {Standing.ACCEPTED}
    assert baseline.unmet(entries, assessed, IDS) == []


@given(HOSTILE, HOSTILE, REASON)
@settings(max_examples=100)
def test_any_name_and_id_come_back(name: str, resource: str, reason: str) -> None:
    text = written([finding(name, resource or None)], (), IDS, reason)
    (one,) = baseline.parse(text)
    assert one.resource == (resource or name)
    assert one.name == (None if name == one.resource else name)
    assert one.reason == reason.strip()
    assert standings([finding(name, resource or None)], [one]) == ["accepted"]


def written(
    findings: Sequence[Finding], entries: Sequence[Entry], ids: Collection[str], reason: str
) -> str:
    return baseline.write(baseline.assess(findings, entries, TODAY), entries, ids, reason)


@pytest.mark.parametrize("reason", ["", " ", "\n\t"])
def test_without_a_reason_it_is_refused(reason: str) -> None:
    both = [finding(), finding("other", "id-other")]
    text = written(both, (), IDS, reason)
    why = "it has no reason: write why the finding is accepted"
    assert re.sub(r"line [0-9]+: ", "", wrong(text)) == (
        f"entry 1 (not-steered): {why}; entry 2 (not-steered): {why}"
    )


def test_nothing_found_makes_an_empty_baseline() -> None:
    assert baseline.parse(written([], (), IDS, "x")) == ()


def test_it_begins_with_what_it_is() -> None:
    text = written([finding(count=2)], (), IDS, "Known")
    assert text.startswith("# Findings that are accepted.")
    assert yaml.safe_load(text) == {
        "accepted": [
            {
                "id": "not-steered",
                "resource_type": "flavor",
                "resource": "id-gold",
                "name": "gold",
                "reason": "Known",
                "servers": 2,
            }
        ]
    }


def test_what_could_not_be_checked_is_not_accepted() -> None:
    for id_, check in ALL.items():
        text = written([finding(id=id_)], (), ALL, "Known")
        assert len(baseline.parse(text)) == (check.severity is not Severity.UNCHECKED), id_


def test_findings_about_one_resource_make_one_entry() -> None:
    both = [finding(count=2), finding(count=3), finding("x", "x", count=9)]
    first, second = baseline.parse(written(both, (), IDS, "Known"))
    assert (first.resource, first.servers) == ("id-gold", 5)
    assert (second.resource, second.servers) == ("x", 9)
    assert standings(both, [first, second]) == ["accepted"] * 3


def test_entries_are_sorted() -> None:
    mixed = [finding("b", "b"), finding(None, None), finding("a", "a"), finding(id="cannot-move")]
    texts = {written(each, (), IDS, "Known") for each in (mixed, mixed[::-1])}
    assert len(texts) == 1
    found = [(each.id, each.resource) for each in baseline.parse(texts.pop())]
    assert found == [
        ("cannot-move", "id-gold"),
        ("not-steered", None),
        ("not-steered", "a"),
        ("not-steered", "b"),
    ]


@given(FINDINGS, REASON, REASON)
@settings(max_examples=50)
def test_writing_again_changes_nothing(findings: list[Finding], first: str, second: str) -> None:
    text = written(findings, (), IDS, first)
    again = written(findings, baseline.parse(text), IDS, second)
    assert baseline.parse(again) == baseline.parse(text)


def test_what_is_accepted_already_keeps_its_reason_and_its_day() -> None:
    old = entry(reason="Old", expires=TODAY - DAY, servers=1, name="people")
    text = written([finding(count=3), finding("new", "new")], [old], IDS, "New")
    kept, new = baseline.parse(text)
    assert kept == dataclasses.replace(old, servers=3)
    assert (new.resource, new.reason, new.expires) == ("new", "New", None)
    assert standings([finding(count=3)], [kept]) == ["expired"]


def test_what_is_not_met_goes_and_what_was_not_looked_for_stays() -> None:
    gone, elsewhere = entry("gone"), entry("gone", id="serial-shared", servers=7)
    assert baseline.parse(written([], [gone, elsewhere], {"not-steered"}, "x")) == (elsewhere,)


def test_what_was_accepted_though_nobody_could_check_it_stays() -> None:
    unread = finding(None, None, id="images-unreadable", type="cloud")
    old = entry(None, id="images-unreadable", resource_type="cloud")
    assert baseline.parse(written([unread], [old], ALL, "New")) == (old,)


def test_an_entry_for_any_number_of_servers_stays_so() -> None:
    old = entry()
    assert baseline.parse(written([finding(count=3)], [old], IDS, "New")) == (old,)


def test_what_is_called_as_another_one_is_identified() -> None:
    both = [finding("Y", "Z", count=1), finding("Y", "Y", count=1)]
    assert standings(both, baseline.parse(written(both, (), IDS, "Known"))) == ["accepted"] * 2


def test_an_entry_for_several_of_one_name_counts_them_together() -> None:
    legacy = entry("legacy", servers=1)
    both = [finding("legacy", "f1", count=3), finding("legacy", "f2", count=3)]
    assert standings(both, [legacy]) == ["grew", "grew"]
    (renewed,) = baseline.parse(written(both, [legacy], IDS, "New"))
    assert renewed == dataclasses.replace(legacy, servers=6)
    assert standings(both, [renewed]) == ["accepted", "accepted"]


def test_an_entry_that_is_valid_outweighs_one_that_expired() -> None:
    expired, valid = entry(expires=TODAY - DAY), entry(expires=TODAY, reason="renewed")
    for entries in ([expired, valid], [valid, expired]):
        assert standings([finding()], entries) == ["accepted"]


@pytest.mark.parametrize("field", ["id", "servers", "expires", "resource_type", "more"])
@pytest.mark.parametrize("value", ["-0x1" + "0" * 5_000, "x" * 5_000])
def test_what_is_told_is_short_whatever_is_in_the_file(field: str, value: str) -> None:
    lines = "".join(f"- {{reason: x, {field}: {value}}}\n" for _ in range(100))
    told = wrong(f"accepted:\n{lines}")
    assert len(told) < 5_000
    assert told.endswith(" more")


@pytest.mark.parametrize("text", ["2030-W05-1", "20300101", "2030-1-1", "2030-02-30"])
def test_a_date_is_written_in_one_way(text: str) -> None:
    entry = f"{{id: not-steered, resource_type: flavor, reason: x, expires: '{text}'}}"
    told = wrong(f"accepted:\n- {entry}")
    assert "is no date: write one such as 2030-12-31" in told


@pytest.mark.parametrize("name", ["id-gold", "gold"])
def test_nobody_is_accepted_by_a_name_that_is_an_id(name: str) -> None:
    """Tenants may call an image like the ID of another one, or like it."""
    (written_entry,) = baseline.parse(written([finding()], (), IDS, "Known"))
    assert standings([finding(name, "id-evil")], [written_entry]) == ["new"]
    uuid_entry = entry("11111111-1111-4111-8111-111111111111")
    assert standings([finding(uuid_entry.resource, "id-evil")], [uuid_entry]) == ["new"]


def test_what_was_not_looked_for_everywhere_stays_as_it_is() -> None:
    seen, unseen = entry(servers=9, reason="Old"), entry("elsewhere", servers=7)
    text = written([finding(count=2), finding("b", "b")], [seen, unseen], (), "New")
    kept = {each.resource: each for each in baseline.parse(text)}
    assert kept["id-gold"] == seen
    assert kept["elsewhere"] == unseen
    assert kept["b"].reason == "New"
    # More than there were is more.
    (grown, _other) = baseline.parse(written([finding(count=20)], [seen, unseen], (), "New"))[::-1]
    assert grown.servers == 20
