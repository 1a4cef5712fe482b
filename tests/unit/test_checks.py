# SPDX-License-Identifier: Apache-2.0
"""What findings mean: every text is there, in its form, and names commands that exist."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from osc_uniqserial.checks import ALL, AUDIT, VERIFY
from osc_uniqserial.checks.check import Check, Part
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.model.guest import LIVE_SOURCES, GuestSource

ROOT = Path(__file__).resolve().parents[2]
BOTH = {"servers-unread"}
TEXTS = ("summary", "meaning", "why", "repair", "accept")
COMMAND = "    "

#: Commands of OpenStackClient and osc-placement, of those that texts name.
STOCK = {
    "aggregate list",
    "aggregate remove host",
    "aggregate set",
    "aggregate unset",
    "compute service list",
    "compute service set",
    "flavor create",
    "flavor list",
    "flavor set",
    "flavor unset",
    "hypervisor list",
    "image list",
    "image set",
    "image unset",
    "resource provider allocation show",
    "resource provider trait list",
    "resource provider trait set",
    "server migrate",
    "server migration confirm",
    "server reboot",
    "server rebuild",
    "server resize",
    "server resize confirm",
    "server set",
    "server unset",
    "server show",
    "volume list",
    "volume unset",
}


#: Where the client's default is too old for the command.
VERSION = re.compile(r" --os-(placement|compute)-api-version [\d.]+")


def ours() -> set[str]:
    """Return the commands of this plugin."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["openstack.extension"].split("\n")
    return {line.partition(" =")[0].replace("_", " ") for line in lines if line}


def commands(check: Check) -> Iterator[str]:
    """Yield the command lines of a check."""
    for line in check.texts["repair"].splitlines():
        if line.startswith(COMMAND):
            yield line.removeprefix(COMMAND)


def prose(check: Check) -> Iterator[str]:
    """Yield all paragraphs of a check."""
    for name in TEXTS:
        for line in check.texts[name].splitlines():
            if not line.startswith(COMMAND):
                yield line


def of_each(mapping: Mapping[str, Check] = ALL) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("check", mapping.values(), ids=mapping)


# --- which there are ----------------------------------------------------------


def test_each_id_is_there_once_under_its_own_name() -> None:
    for mapping in (AUDIT, VERIFY, ALL):
        assert [check.id for check in mapping.values()] == list(mapping)
    assert AUDIT.keys() & VERIFY.keys() == BOTH
    assert all(ALL[id_] is AUDIT[id_] is VERIFY[id_] for id_ in BOTH)
    assert ALL.keys() == AUDIT.keys() | VERIFY.keys()


@pytest.mark.parametrize("mapping", [AUDIT, VERIFY, ALL], ids=["audit", "verify", "all"])
def test_the_gravest_come_first_then_by_id(mapping: Mapping[str, Check]) -> None:
    rank = ["high", "medium", "low", "info", "unchecked"]
    order = [(rank.index(check.severity.value), id_) for id_, check in mapping.items()]
    assert order == sorted(order)


def test_no_check_has_the_id_of_another_one() -> None:
    with pytest.raises(ValueError, match="two checks serial-shared"):
        Check("serial-shared", Severity.LOW)(lambda _what, _cloud: iter(()))


def test_each_check_about_servers_explains_them_and_no_other_does() -> None:
    for each in ALL.values():
        assert (each.explain is not None) == (each.shared is not None), each.id


def test_each_check_has_a_text_and_each_text_a_check() -> None:
    files = (ROOT / "osc_uniqserial" / "checks" / "texts").iterdir()
    assert {file.name for file in files} == {f"{id_}.md" for id_ in ALL}


def test_texts_are_read_when_they_are_needed() -> None:
    code = (
        "from osc_uniqserial import checks\n"
        "print(any('texts' in each.__dict__ for each in checks.ALL.values()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


# --- texts --------------------------------------------------------------------


@of_each()
def test_texts_are_there_and_plain(check: Check) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check.id)
    for name in TEXTS:
        text = check.texts[name]
        assert text
        assert text == text.strip()
        assert text.isascii()
        assert "\n\n" not in text
        assert not any(line != line.rstrip() for line in text.splitlines())
        # Neither Markdown nor RST means anything by it: no roles, no references.
        assert not re.search(r"[`*|!]|::|\w_(?!\w)|  \S", text.replace(f"\n{COMMAND}", "\n"))


@of_each()
def test_a_summary_is_one_short_line(check: Check) -> None:
    assert len(check.summary) <= 100
    assert "\n" not in check.summary
    assert not check.summary.endswith(".")
    assert check.summary[0].isupper()
    assert sum(each.summary == check.summary for each in ALL.values()) == 1


@of_each()
def test_the_rest_is_sentences(check: Check) -> None:
    for line in prose(check):
        if line != check.summary:
            assert line.endswith(".")
            assert line[0].isupper()
    for name in ("meaning", "why"):
        text = check.texts[name]
        assert "\n" not in text
        assert 1 <= len(re.findall(r"[.](?= [A-Z]|$)", text)) <= 3
    assert "\n" not in check.texts["accept"]
    if "Never" in check.texts["accept"]:
        assert check.texts["accept"].startswith("Never: ")


@of_each()
def test_commands_are_on_lines_of_their_own_and_exist(check: Check) -> None:
    known = STOCK | ours()
    for command in commands(check):
        words = VERSION.sub("", command)
        verb = re.match(r"openstack ((?:[a-z]+ ?)+)", words)
        assert verb, command
        assert verb[1].strip() in known, command
        placeholders = re.findall(r"(?<![\w=-])[A-Z]+(?![\w-])", words)
        assert set(placeholders) <= {
            "AGGREGATE",
            "CLUSTER",
            "DISK",
            "FILE",
            "FLAVOR",
            "HOST",
            "IMAGE",
            "KEY",
            "PROVIDER",
            "RAM",
            "SERVER",
            "TRAIT",
            "VCPUS",
            "VOLUME",
        }
    assert not any(re.search(r"\bopenstack [a-z]", line) for line in prose(check))


def test_the_list_of_stock_commands_is_no_longer_than_needed() -> None:
    lines = {line for check in ALL.values() for line in commands(check)}
    text = VERSION.sub("", "\n".join(lines))
    assert [each for each in STOCK if not re.search(rf"(?m)^openstack {each}\b", text)] == []


# --- what they rest on --------------------------------------------------------


@of_each()
def test_a_check_rests_on_something_or_takes_something_away(check: Check) -> None:
    if check.severity is Severity.UNCHECKED:
        assert check.takes_away
        assert not check.rests_on
    else:
        assert check.rests_on
        assert not check.takes_away


@pytest.mark.parametrize("mapping", [AUDIT, VERIFY], ids=["audit", "verify"])
def test_what_a_check_rests_on_can_be_taken_away_by_the_same_command(
    mapping: Mapping[str, Check],
) -> None:
    """Else "nothing found" could never be doubted."""
    needed = {part for check in mapping.values() for part in check.rests_on}
    taken = {part for check in mapping.values() for part in check.takes_away}
    assert needed <= taken


def test_every_part_is_rested_on_and_taken_away() -> None:
    assert {part for check in ALL.values() for part in check.rests_on} == set(Part)
    assert {part for check in ALL.values() for part in check.takes_away} == set(Part)


def untouched(*ids: str) -> set[str]:
    """Return what audit's "nothing found" is still worth something of."""
    away = {part for id_ in ids for part in AUDIT[id_].takes_away}
    return {
        id_
        for id_, check in AUDIT.items()
        if check.severity is not Severity.UNCHECKED and not check.rests_on & away
    }


METADEFS = {"metadefs-conflict", "metadefs-missing", "metadefs-outdated", "metadefs-private"}
ABOUT_TRAITS = {"contradicting-traits", "incomplete-traits", "wrong-traits"}


def test_without_hosts_nothing_is_known_but_flavors_and_images() -> None:
    """Audit then has neither traits nor host aggregates: its fleet is empty."""
    assert untouched("hosts-unreadable") == METADEFS | {
        "contradicting-request",
        "inherited-key",
        "misplaced-key",
    }


def test_an_unknown_host_leaves_the_traits_of_all_hosts_known() -> None:
    left = untouched("host-unknown")
    assert left >= ABOUT_TRAITS | {"no-valid-host", "invalid-value", "aggregate-conflict"}
    assert not left & {"key-not-honoured", "not-steered", "serial-shared", "changes-on-move"}


def test_a_silent_host_takes_away_what_is_about_hosts_and_nothing_about_servers_there() -> None:
    gone = untouched() - untouched("host-mode-unknown")
    assert gone == {
        "aggregate-host-mismatch",
        "changes-on-move",
        "image-may-show-host",
        "key-not-honoured",
        "not-steered",
        "tenant-image-shows-host",
    }


def test_servers_that_are_missing_take_away_all_that_is_about_servers() -> None:
    about_servers = {
        "cannot-move",
        "changes-on-move",
        "flavor-changed",
        "host-identity-shown",
        "host-lacks-trait",
        "image-changed",
        "invalid-value-in-use",
        "serial-shared",
        "server-key-without-effect",
        "server-request-not-obeyed",
        "server-value-without-effect",
        "setting-conflict",
        "unique-not-effective",
    }
    everything = untouched()
    for id_ in ("servers-unread", "server-in-down-cell", "image-unreadable"):
        assert everything - untouched(id_) == about_servers


def test_policies_of_servers_need_no_list_of_flavors() -> None:
    """Each server has a copy of its own; only a change of the flavor needs the list."""
    left = untouched("flavors-unreadable")
    assert left >= {"serial-shared", "unique-not-effective", "host-identity-shown"}
    assert "flavor-changed" not in left


def test_volumes_matter_for_servers_alone() -> None:
    left = untouched("volumes-unreadable")
    assert left >= METADEFS | ABOUT_TRAITS | {"invalid-value", "no-valid-host", "not-steered"}
    assert "serial-shared" not in left


def test_guests_that_were_not_read_take_away_all_of_verify() -> None:
    assert all(
        Part.GUESTS in check.rests_on
        for check in VERIFY.values()
        if check.severity is not Severity.UNCHECKED and check.sources & LIVE_SOURCES
    )
    assert Part.GUESTS in VERIFY["servers-unread"].takes_away


def test_entries_that_were_not_compared_take_away_the_checks_of_an_inventory() -> None:
    of_inventory = {
        id_: check for id_, check in VERIFY.items() if check.sources == {GuestSource.INVENTORY}
    }
    assert len(of_inventory) > 1
    for check in of_inventory.values():
        parts = check.rests_on if check.severity is not Severity.UNCHECKED else check.takes_away
        assert Part.INVENTORY in parts
