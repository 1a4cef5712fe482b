# SPDX-License-Identifier: Apache-2.0
"""policy.py against a table written out by hand from the specification."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_utils import strutils

from osc_uniqserial import policy
from osc_uniqserial.policy import (
    DecidedBy,
    Evidence,
    HostInput,
    HostMode,
    SerialSource,
    Setting,
    SettingInput,
    Value,
)
from tests.unit.builders import TRAIT_KEYS, TRAIT_UNIQUE

# Columns: flavor, image, requested | the driver honours the keys: host mode
# unique, os, hardware, auto, none, unknown | it does not | unknown.
# A cell is the serial source (U instance-uuid, O host-os, H host-hardware,
# A host-auto, N absent, ? unknown) and what decided it (f flavor, i image,
# h host, - no single input).
TABLE = """
true  true  unique | Uf Uf Uf Uf Uf Uf | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
true  false unique | Uf Uf Uf Uf Uf Uf | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
true  unset unique | Uf Uf Uf Uf Uf Uf | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
true  junk  unique | Uf Uf Uf Uf Uf Uf | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
true  ?     unique | Uf Uf Uf Uf Uf Uf | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
false true  unique | Ui Ui Ui Ui Ui Ui | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
false false host   | Af Of Hf Af Nf ?  | Uh Oh Hh Ah Nh ?  | ?  O- H- A- N- ?
false unset host   | Af Of Hf Af Nf ?  | Uh Oh Hh Ah Nh ?  | ?  O- H- A- N- ?
false junk  host   | Af Of Hf Af Nf ?  | Uh Oh Hh Ah Nh ?  | ?  O- H- A- N- ?
false ?     ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
unset true  unique | Ui Ui Ui Ui Ui Ui | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
unset false host   | Ai Oi Hi Ai Ni ?  | Uh Oh Hh Ah Nh ?  | ?  O- H- A- N- ?
unset unset unset  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?
unset junk  unset  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?
unset ?     ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
junk  true  unique | Ui Ui Ui Ui Ui Ui | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
junk  false host   | Ai Oi Hi Ai Ni ?  | Uh Oh Hh Ah Nh ?  | ?  O- H- A- N- ?
junk  unset unset  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?
junk  junk  unset  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?  | Uh Oh Hh Ah Nh ?
junk  ?     ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
?     true  unique | U- U- U- U- U- U- | Uh Oh Hh Ah Nh ?  | U- ?  ?  ?  ?  ?
?     false ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
?     unset ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
?     junk  ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
?     ?     ?      | ?  ?  ?  ?  ?  ?  | Uh Oh Hh Ah Nh ?  | ?  ?  ?  ?  ?  ?
"""

TEXTS = {"true": "true", "false": "false", "unset": None, "junk": "banana"}
SOURCES = {
    "U": SerialSource.INSTANCE_UUID,
    "O": SerialSource.HOST_OS,
    "H": SerialSource.HOST_HARDWARE,
    "A": SerialSource.HOST_AUTO,
    "N": SerialSource.ABSENT,
    "?": SerialSource.UNKNOWN,
}
DECIDERS = {
    "f": DecidedBy.FLAVOR,
    "i": DecidedBy.IMAGE,
    "s": DecidedBy.SERVER,
    "h": DecidedBy.HOST,
    "-": DecidedBy.NONE,
    "": DecidedBy.NONE,
}
MODES: list[HostMode | None] = [
    HostMode.UNIQUE,
    HostMode.OS,
    HostMode.HARDWARE,
    HostMode.AUTO,
    HostMode.NONE,
    None,
]
HONOURS: list[bool | None] = [True, False, None]


def said(word: str) -> SettingInput:
    return SettingInput(None if word == "?" else policy.parse(TEXTS[word]))


def rows() -> Iterator[tuple[str, str, str, HostMode | None, bool | None, str]]:
    for line in TABLE.strip().splitlines():
        head, *blocks = line.split("|")
        flavor, image, wish = head.split()
        for honours, block in zip(HONOURS, blocks, strict=True):
            for mode, cell in zip(MODES, block.split(), strict=True):
                yield flavor, image, wish, mode, honours, cell


def test_the_table_holds_every_combination_once() -> None:
    words = [*TEXTS, "?"]
    expected = set(itertools.product(words, words, MODES, HONOURS))
    found = [(flavor, image, mode, honours) for flavor, image, _, mode, honours, _ in rows()]
    assert len(found) == len(expected) == 450
    assert set(found) == expected


@pytest.mark.parametrize(("flavor", "image", "wish", "mode", "honours", "cell"), list(rows()))
def test_resolve_follows_the_table(
    flavor: str, image: str, wish: str, mode: HostMode | None, honours: bool | None, cell: str
) -> None:
    result = policy.resolve(said(flavor), said(image), HostInput(mode, honours))
    assert result.requested == (None if wish == "?" else Setting(wish))
    assert result.source is SOURCES[cell[0]]
    assert result.decided_by is DECIDERS[cell[1:]]


#: Of each block in policy_server.txt: whether the driver honours the keys, and whether the server
#: may ask.
SERVER_BLOCKS: list[tuple[bool | None, bool | None]] = [
    (True, True),
    (True, False),
    (True, None),
    (False, None),
    (None, None),
]
ServerRow = tuple[str, str, str, str, HostMode | None, bool | None, bool | None, str]


def server_rows() -> Iterator[ServerRow]:
    server = ""
    for line in Path(__file__).with_name("policy_server.txt").read_text().splitlines():
        if line.startswith("server "):
            server = line.split()[1]
        elif not line.startswith("#"):
            head, *blocks = line.split("|")
            flavor, image, wish = head.split()
            for (honours, may_ask), block in zip(SERVER_BLOCKS, blocks, strict=True):
                for mode, cell in zip(MODES, block.split(), strict=True):
                    yield flavor, image, server, wish, mode, honours, may_ask, cell


def test_the_table_of_servers_holds_every_combination_once() -> None:
    words = [*TEXTS, "?"]
    expected = set(itertools.product(words, words, ("true", "?"), MODES, SERVER_BLOCKS))
    found = [(f, i, s, mode, (honours, may)) for f, i, s, _, mode, honours, may, _ in server_rows()]
    assert len(found) == len(expected) == 1500
    assert set(found) == expected


def test_resolve_follows_the_table_of_servers() -> None:
    for row in server_rows():
        flavor, image, server, wish, mode, honours, may_ask, cell = row
        host = HostInput(mode, honours, server_may_ask=may_ask)
        result = policy.resolve(said(flavor), said(image), host, said(server))
        assert result.requested == (None if wish == "?" else Setting(wish)), row
        assert result.source is SOURCES[cell[0]], row
        assert result.decided_by is DECIDERS[cell[1:]], row


@pytest.mark.parametrize("server", ["false", "unset", "junk"])
@pytest.mark.parametrize("may_ask", [True, False, None])
def test_only_true_has_a_meaning_on_a_server(server: str, may_ask: bool | None) -> None:
    for flavor, image, _wish, mode, honours, _cell in rows():
        without = policy.resolve(said(flavor), said(image), HostInput(mode, honours))
        host = HostInput(mode, honours, server_may_ask=may_ask)
        assert policy.resolve(said(flavor), said(image), host, said(server)) == without


def test_only_the_server_uuid_can_be_predicted() -> None:
    for *_, cell in rows():
        result = policy.EffectivePolicy(None, SOURCES[cell[0]], DecidedBy.NONE)
        assert result.expected_serial("the-uuid") == ("the-uuid" if cell[0] == "U" else None)


settings = st.sampled_from([*TEXTS, "?"]).map(said)
modes = st.sampled_from(MODES)
honours_values = st.sampled_from(HONOURS)


@given(settings, settings, modes, honours_values)
def test_unknown_only_where_outcomes_differ(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None, honours: bool | None
) -> None:
    """Filling in what is unknown never contradicts, and unknown means: it matters."""
    whole = policy.resolve(flavor, image, HostInput(mode, honours))
    filled = {
        policy.resolve(one_flavor, one_image, HostInput(one_mode, obeys)).source
        for one_flavor in ([flavor] if flavor.value else [said(w) for w in TEXTS])
        for one_image in ([image] if image.value else [said(w) for w in TEXTS])
        for one_mode in ([mode] if mode else list(HostMode))
        for obeys in ([honours] if honours is not None else [True, False])
    }
    assert SerialSource.UNKNOWN not in filled
    if whole.source is SerialSource.UNKNOWN:
        assert len(filled) > 1
    else:
        assert filled == {whole.source}


hosts = st.builds(
    HostInput,
    modes,
    honours_values,
    meets_unique=st.booleans(),
    smbios=st.booleans(),
    image_may_show_host=st.booleans(),
    server_may_ask=honours_values,
)


@given(settings, settings, hosts, settings)
def test_a_server_never_takes_a_serial_away_and_never_shows_a_host(
    flavor: SettingInput, image: SettingInput, host: HostInput, server: SettingInput
) -> None:
    without = policy.resolve(flavor, image, host)
    asked = policy.resolve(flavor, image, host, server)
    if without.source is SerialSource.INSTANCE_UUID:
        assert asked.source is SerialSource.INSTANCE_UUID
    # Otherwise its own serial number, or what it would be without the server's word, or either.
    possible = {without.source, SerialSource.INSTANCE_UUID, SerialSource.UNKNOWN}
    assert asked.source in possible


@given(modes, honours_values, honours_values)
def test_no_promise_proves_that_a_servers_request_is_met(
    mode: HostMode | None, honours: bool | None, may_ask: bool | None
) -> None:
    """An aggregate or CUSTOM_UNIQUE_SERIAL promises what flavor and image ask for."""
    host = HostInput(mode, honours, server_may_ask=may_ask)
    promised = dataclasses.replace(host, meets_unique=True)
    unset, true = SettingInput(), said("true")
    without = policy.resolve(unset, unset, host, true)
    assert policy.resolve(unset, unset, promised, true) == without
    if without.source is SerialSource.INSTANCE_UUID:
        assert mode is HostMode.UNIQUE or (honours and may_ask)


@given(settings, settings, hosts, settings)
def test_unknown_inputs_of_a_server_matter(
    flavor: SettingInput, image: SettingInput, host: HostInput, server: SettingInput
) -> None:
    whole = policy.resolve(flavor, image, host, server).source
    filled = {
        policy.resolve(
            flavor, image, dataclasses.replace(host, server_may_ask=may_ask), one_server
        ).source
        for one_server in ([server] if server.value else [said(word) for word in TEXTS])
        for may_ask in ([True, False] if host.server_may_ask is None else [host.server_may_ask])
    }
    assert whole is (filled.pop() if len(filled) == 1 else SerialSource.UNKNOWN)


@given(settings, settings, modes)
def test_either_true_gives_the_uuid_where_keys_are_honoured(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None
) -> None:
    result = policy.resolve(flavor, image, HostInput(mode, True))
    if Setting.UNIQUE in {used.value.setting for used in (flavor, image) if used.value}:
        assert result.requested is Setting.UNIQUE
        assert result.source is SerialSource.INSTANCE_UUID


@given(settings, settings, modes)
def test_a_setting_supersedes_the_host_mode(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None
) -> None:
    """An explicit false never leaves a server with its own UUID on an honouring host."""
    result = policy.resolve(flavor, image, HostInput(mode, True))
    if result.requested is Setting.HOST:
        assert result.source is not SerialSource.INSTANCE_UUID


@given(settings, settings, modes)
def test_a_host_that_does_not_honour_the_keys_uses_its_mode(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None
) -> None:
    unset = SettingInput()
    asked = policy.resolve(flavor, image, HostInput(mode, False))
    assert asked.source is policy.resolve(unset, unset, HostInput(mode, False)).source


@given(settings, settings, modes, honours_values)
def test_a_guest_without_sysinfo_has_no_serial(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None, honours: bool | None
) -> None:
    result = policy.resolve(flavor, image, HostInput(mode, honours, smbios=False))
    assert (result.source, result.decided_by) == (SerialSource.ABSENT, DecidedBy.NONE)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(HostMode.UNIQUE, SerialSource.INSTANCE_UUID), (HostMode.OS, SerialSource.HOST_OS)],
)
def test_image_may_show_host_false_makes_the_image_false_count_as_unset(
    mode: HostMode, expected: SerialSource
) -> None:
    host = HostInput(mode, True, image_may_show_host=False)
    result = policy.resolve(said("unset"), said("false"), host)
    assert result == policy.EffectivePolicy(Setting.UNSET, expected, DecidedBy.HOST)
    # The flavor belongs to the operator: its false still counts.
    kept = policy.resolve(said("false"), said("false"), host)
    assert (kept.requested, kept.decided_by) == (Setting.HOST, DecidedBy.FLAVOR)


@pytest.mark.parametrize(
    ("flavor", "expected"),
    [
        ("true", SerialSource.INSTANCE_UUID),
        ("false", SerialSource.UNKNOWN),
        ("unset", SerialSource.UNKNOWN),
        ("?", SerialSource.UNKNOWN),
    ],
)
def test_a_host_known_to_meet_unique_tells_nothing_else(
    flavor: str, expected: SerialSource
) -> None:
    host = HostInput(meets_unique=True)
    assert policy.resolve(said(flavor), said("unset"), host).source is expected


def test_a_promise_counts_for_nothing_where_mode_and_driver_are_known() -> None:
    host = HostInput(HostMode.AUTO, False, meets_unique=True)
    assert policy.resolve(said("true"), said("true"), host).source is SerialSource.HOST_AUTO


# --- parse ---------------------------------------------------------------

words = st.sampled_from([*policy.TRUE_WORDS, *policy.FALSE_WORDS])
spelled = st.builds(
    lambda word, upper, before, after: (
        before
        + "".join(c.upper() if up else c for c, up in zip(word, upper, strict=False))
        + word[len(upper) :]
        + after
    ),
    words,
    st.lists(st.booleans(), max_size=5),
    st.text(" \t\n", max_size=2),
    st.text(" \t\n", max_size=2),
)


@given(st.one_of(st.text(), spelled))
def test_parse_equals_the_strict_truth_table_of_oslo(text: str) -> None:
    try:
        expected = Setting.UNIQUE if strutils.bool_from_string(text, strict=True) else Setting.HOST
    except ValueError:
        expected = Setting.INVALID
    assert policy.parse(text) == Value(expected, text)


@pytest.mark.parametrize(
    ("raw", "setting", "kept"),
    [
        (None, Setting.UNSET, None),
        (True, Setting.UNIQUE, "True"),
        (False, Setting.HOST, "False"),
        ("", Setting.INVALID, ""),
        ("null", Setting.INVALID, "null"),
        ("  YES ", Setting.UNIQUE, "  YES "),
    ],
)
def test_parse_keeps_the_raw_text(
    raw: str | bool | None, setting: Setting, kept: str | None
) -> None:
    assert policy.parse(raw) == Value(setting, kept)


# --- hosts ---------------------------------------------------------------


def mode_trait(mode: str) -> str:
    return f"CUSTOM_SYSINFO_SERIAL_{mode}"


@pytest.mark.parametrize("mode", list(HostMode))
def test_one_mode_trait_is_the_mode(mode: HostMode) -> None:
    host = policy.host_from_traits({mode_trait(mode.name), "HW_CPU_X86_AVX"})
    assert (host.mode, host.mode_evidence) == (mode, Evidence.TRAIT)
    assert (host.honours, host.honours_evidence) == (False, Evidence.TRAIT_ABSENT)
    assert host.meets_unique is (mode is HostMode.UNIQUE)


def test_no_trait_tells_only_that_the_keys_are_not_honoured() -> None:
    assert policy.host_from_traits(()) == HostInput(
        mode=None, honours=False, server_may_ask=False, honours_evidence=Evidence.TRAIT_ABSENT
    )


@pytest.mark.parametrize("may_ask", [True, False])
def test_a_driver_reports_whether_a_server_may_ask(may_ask: bool) -> None:
    traits = {TRAIT_UNIQUE, TRAIT_KEYS, mode_trait("AUTO")}
    if may_ask:
        traits.add(policy.TRAIT_SERVER_MAY_ASK)
    assert policy.host_from_traits(traits).server_may_ask is may_ask
    # Without our driver nothing obeys a server.
    assert policy.host_from_traits({policy.TRAIT_SERVER_MAY_ASK}).server_may_ask is False


@pytest.mark.parametrize("mode", list(HostMode))
def test_a_driver_meets_unique_in_every_mode(mode: HostMode) -> None:
    host = policy.host_from_traits({TRAIT_UNIQUE, TRAIT_KEYS, mode_trait(mode.name)})
    assert (host.mode, host.honours, host.meets_unique) == (mode, True, True)
    assert host.contradiction == ()


@pytest.mark.parametrize("open_to_images", [True, False])
def test_a_driver_tells_whether_an_image_may_show_its_host(open_to_images: bool) -> None:
    traits = {TRAIT_UNIQUE, TRAIT_KEYS, mode_trait("AUTO")}
    if open_to_images:
        traits.add(policy.TRAIT_IMAGE_MAY_SHOW_HOST)
    assert policy.host_from_traits(traits).image_may_show_host is open_to_images


@given(settings, settings, modes)
def test_an_unknown_driver_needs_no_third_value_of_its_option(
    flavor: SettingInput, image: SettingInput, mode: HostMode | None
) -> None:
    possible = {
        policy.resolve(flavor, image, HostInput(mode, obeys, image_may_show_host=may)).source
        for obeys in (True, False)
        for may in (True, False)
    }
    told = policy.resolve(flavor, image, HostInput(mode, None)).source
    assert told is (possible.pop() if len(possible) == 1 else SerialSource.UNKNOWN)


def test_a_stock_host_that_meets_unique_is_in_mode_unique() -> None:
    host = policy.host_from_traits({TRAIT_UNIQUE})
    assert (host.mode, host.honours, host.contradiction) == (HostMode.UNIQUE, False, ())


@pytest.mark.parametrize(
    ("traits", "contradiction"),
    [
        (
            {mode_trait("AUTO"), mode_trait("UNIQUE")},
            (mode_trait("AUTO"), mode_trait("UNIQUE")),
        ),
        ({TRAIT_UNIQUE, mode_trait("AUTO")}, (TRAIT_UNIQUE, mode_trait("AUTO"))),
    ],
)
def test_traits_that_contradict_each_other_tell_no_mode(
    traits: set[str], contradiction: tuple[str, ...]
) -> None:
    host = policy.host_from_traits(traits)
    assert (host.mode, host.meets_unique, host.contradiction) == (None, False, contradiction)
    assert policy.resolve(said("true"), said("unset"), host).source is SerialSource.UNKNOWN


def test_a_driver_with_two_modes_still_meets_unique() -> None:
    host = policy.host_from_traits({TRAIT_UNIQUE, TRAIT_KEYS, mode_trait("AUTO"), mode_trait("OS")})
    assert (host.mode, host.honours, host.meets_unique) == (None, True, True)
    assert len(host.contradiction) == 2
    unique = policy.resolve(said("true"), said("unset"), host)
    assert (unique.source, unique.decided_by) == (SerialSource.INSTANCE_UUID, DecidedBy.FLAVOR)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([], False),
        ([{"hw:unique_serial": "true"}], True),
        ([{"hw_unique_serial": "True"}], True),
        ([{}, {"hw:unique_serial": "yes"}], True),
        ([{"hw:unique_serial": "false"}], False),
        ([{"hw:unique_serial": "banana"}], False),
        ([{"hw:unique_serial": "true"}, {"hw_unique_serial": "False"}], False),
        # Nova splits values at commas.
        ([{"hw:unique_serial": "true,True"}], True),
        ([{"hw:unique_serial": "banana, yes"}], True),
        ([{"hw:unique_serial": "true,false"}], False),
        ([{"hw:unique_serial": "true", "hw_unique_serial": "True, False"}], False),
        ([{"hw:unique_serial": ","}], False),
    ],
)
def test_what_aggregates_declare(metadata: list[dict[str, str]], expected: bool) -> None:
    assert policy.declared_by_aggregates(metadata) is expected


@pytest.mark.parametrize(("value", "expected"), [("required", True), ("forbidden", False)])
def test_required_trait(value: str, expected: bool) -> None:
    assert policy.requires_unique({f"trait:{TRAIT_UNIQUE}": value}) is expected
    assert policy.requires_unique({"trait:CUSTOM_OTHER": value}) is False


def test_the_mode_traits_are_those_of_the_design() -> None:
    assert {policy.mode_trait(mode) for mode in HostMode} == {
        mode_trait(name) for name in ("UNIQUE", "OS", "HARDWARE", "AUTO", "NONE")
    }


@pytest.mark.parametrize(
    "key",
    [
        "hw:unqiue_serial",
        "hw_unique_seriel",
        "hw:uniq_serial",
        "hw:unique_serial_number",
        "os:unique_serial",
        "HW:UNIQUE_SERIALS",
        "hw:serial_unique",
        "unique_serial_no",
    ],
)
def test_keys_that_are_close(key: str) -> None:
    assert policy.is_misspelt(key)
    assert not policy.is_near_miss(key)


@pytest.mark.parametrize(
    "key",
    [
        policy.FLAVOR_KEY,
        policy.IMAGE_KEY,
        *(f"trait:{trait}" for trait in policy.TRAITS),
        f"trait_group1:{TRAIT_UNIQUE}",
        f"aggregate_instance_extra_specs:{policy.FLAVOR_KEY}",
        "hw:serial_port_count",
        "hw_serial_port_count",
        "serial",
        "unique",
        "",
        "hw:",
        "x" * 10_000,
        "unique_serial_numbers_of_another_tool",
    ],
)
def test_keys_that_are_others(key: str) -> None:
    assert not policy.is_misspelt(key)


@given(
    st.sampled_from([policy.FLAVOR_KEY, policy.IMAGE_KEY]),
    st.integers(4, 15),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789_-"),
    st.booleans(),
)
def test_one_wrong_character_is_noticed(key: str, at: int, char: str, more: bool) -> None:
    """Inserted or in the place of another one: no key gives both findings, or none."""
    wrong = key[:at] + char + key[at if more else at + 1 :]
    found = (policy.is_misspelt(wrong), policy.is_near_miss(wrong))
    assert sum(found) == (wrong not in (policy.FLAVOR_KEY, policy.IMAGE_KEY))


@given(st.text(max_size=40))
def test_any_text_can_be_a_key(text: str) -> None:
    assert not (policy.is_misspelt(text) and policy.is_near_miss(text))
