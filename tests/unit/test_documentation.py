# SPDX-License-Identifier: Apache-2.0
"""What the documentation claims is what is tested."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from doc.source._ext import finding_pages
from osc_uniqserial import checks, reports
from osc_uniqserial.checks.check import TITLES, Check
from osc_uniqserial.model.finding import Severity
from osc_uniqserial.reports import baseline
from tests.guide import PAGES, page

ROOT = Path(__file__).resolve().parents[2]


def test_every_operation_in_the_operators_guide_is_a_test_on_real_guests() -> None:
    _, _, table = page("reference/operations").partition("   * - Operation\n")
    rows = {row.replace(",", "") for row in re.findall(r"^   \* - (.*)$", table, re.MULTILINE)}
    tests = ast.parse((ROOT / "tests" / "e2e" / "test_operations.py").read_text()).body
    names = {
        node.name.removeprefix("test_").replace("_", " ")
        for node in tests
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert rows == names
    assert len(rows) > 10


# --- findings -------------------------------------------------------------------


def plain(text: str) -> str:
    """Return what a reader sees of inline text."""
    return re.sub(r"\\(.)", r"\1", text.replace("``", ""))


def test_the_page_of_findings_has_every_finding_with_all_texts() -> None:
    text = finding_pages.expand(page("reference/findings"))
    _head, *sections = re.split(r"^\.\. _finding-(.*):$", text, flags=re.MULTILINE)
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    ranks = [list(Severity).index(checks.ALL[id_].severity) for id_ in found]
    assert ranks == sorted(ranks)
    assert found.keys() == checks.ALL.keys()
    for id_, check in checks.ALL.items():
        lines = found[id_].splitlines()
        at = lines.index(id_)
        assert lines[at + 1] == "-" * len(id_)
        assert f"{check.summary}." in map(plain, lines)
        parts = dict(
            re.findall(r"^\.\. rubric:: (.*)\n\n((?:(?!\.\. rubric).*\n)*)", found[id_], re.M)
        )
        assert parts.keys() == TITLES.keys()
        for title, name in TITLES.items():
            assert check.texts[name]
            shown = [
                line if line.startswith("    ") else plain(line)
                for line in parts[title].splitlines()
            ]
            for line in check.texts[name].splitlines():
                assert line in shown


def test_findings_are_grouped_by_severity_and_command() -> None:
    text = "\n".join(finding_pages.sections())
    groups = re.split(r"^(.+)\n=+$", text, flags=re.MULTILINE)
    for title, group in zip(groups[1::2], groups[2::2], strict=True):
        grade, _, words = title.partition(": ")
        severity = "unchecked" if grade == "Could not be checked" else grade.lower()
        names = re.findall(r"^\.\. _finding-(.*):$", group, re.MULTILINE)
        assert names
        for name in names:
            check = checks.ALL[name]
            assert check.severity.value == severity
            assert words.split(" and ") == [
                command
                for command, of in (("audit", checks.AUDIT), ("verify", checks.VERIFY))
                if name in of
            ]


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_the_page_of_a_command_has_every_finding_with_its_severity(command: str) -> None:
    source = page(f"cli/{command}")
    text = finding_pages.expand(source)
    assert text != source
    of = {"audit": checks.AUDIT, "verify": checks.VERIFY}[command]
    rows = re.findall(
        r"^   \* - :ref:`(.+) <finding-(.+)>`\n     - (\w+)\n     - (.+)$", text, re.MULTILINE
    )
    assert [(id_, target, severity, plain(summary)) for id_, target, severity, summary in rows] == [
        (id_, id_, check.severity.value, check.summary) for id_, check in of.items()
    ]


def test_no_text_of_a_finding_is_markup() -> None:
    check = Check("made-up", Severity.LOW)
    check.texts = {
        "summary": "a",
        "meaning": r"*a* |b| `c`_ d_ [e]_ http://f \\ {g} -- .. h:: **i**",
        "why": ".. raw:: html",
        "repair": "b",
        "accept": "c",
    }
    text = "\n".join(finding_pages.section(check))
    assert r"\*a\* \|b\| \`c\`\_" in text
    assert "\n\\.\\. raw\\:\\: html\n" in text


def test_other_text_is_not_touched() -> None:
    text = ".. findings-table::\n.. findings:: audit\n  .. findings::\n.. findings-table:: list\n"
    assert finding_pages.expand(text) == text


# --- reports --------------------------------------------------------------------


def test_the_baseline_of_the_page_is_one_and_all_its_keys_are_told() -> None:
    text = (PAGES / "admin" / "accept" / "baseline.yaml").read_text()
    entries = baseline.parse(text)
    keys = {field.name for field in dataclasses.fields(baseline.Entry)}
    assert len(entries) > 1
    assert {key for entry in yaml.safe_load(text)["accepted"] for key in entry} == keys
    _, include, table = page("admin/accept").partition("literalinclude:: accept/baseline.yaml")
    assert include
    table, _, _ = table.partition("With ``--baseline FILE``")
    assert set(re.findall(r"^``(\w+)``", table, re.MULTILINE)) == keys
    for entry in entries:
        # Nor is one accepted that never should be.
        assert not checks.ALL[entry.id].texts["accept"].startswith("Never")


def test_every_standing_is_told() -> None:
    _, _, table = page("admin/accept").partition("With ``--baseline FILE``")
    table, _, _ = table.partition("Standard error counts them")
    found = re.findall(r"^``(\w+)`` ", table, re.MULTILINE)
    assert found == [standing.value for standing in baseline.Standing]


def test_every_format_of_reports_is_told() -> None:
    table = page("reference/reports").partition("\nJUnit\n")[0]
    listed = re.findall(r"^``(\w+)`` {2,}", table, re.MULTILINE)
    assert listed == list(reports.FORMATS)
