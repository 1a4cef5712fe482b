# SPDX-License-Identifier: Apache-2.0
"""The commands of the manual are parsed by the parsers of the commands, and files exist."""

from __future__ import annotations

import argparse
import re
import shlex
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from openstackclient import shell

from tests.guide import PAGES, blocks, commands

ROOT = PAGES.parents[1]
#: The groups of commands that the shell loads with a cloud.
GROUPS = (
    "openstack.common",
    "openstack.compute.v2",
    "openstack.identity.v3",
    "openstack.image.v2",
    "openstack.volume.v3",
    "openstack.extension",
)
#: Commands of the plugin osc-placement, which this environment does not have.
PLACEMENT = "resource provider"
#: The pages with these commands, which the functional tests run.
PLACEMENT_PAGES = ("doc/source/admin/roll-back.rst", "doc/source/admin/roll-out.rst")
TEXTS = [
    *sorted(PAGES.rglob("*.rst")),
    *sorted(PAGES.glob("admin/nightly/*")),
    *sorted(PAGES.glob("admin/several-clouds/*")),
    ROOT / "README.rst",
    *sorted(ROOT.glob("deploy/*/README.rst")),
    ROOT / "devstack" / "README.rst",
    ROOT / "nova_driver" / "README.rst",
]


@cache
def parser_of(*words: str) -> tuple[argparse.ArgumentParser, tuple[str, ...]]:
    """Return the parser of a command with its hooks, and the words that are its arguments."""
    app = openstack()
    factory, name, arguments = app.command_manager.find_command([*words])
    command = factory(app, None, cmd_name=name)
    return command.get_parser(name), tuple(arguments)


@cache
def openstack() -> Any:
    """Return the real shell with the commands of all services, without a cloud."""
    app = shell.OpenStackShell()
    for group in GROUPS:
        app.command_manager.add_command_group(group)
    return app


def in_pages() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each command of a literal block with its page."""
    for path in TEXTS:
        text = path.read_text()
        for script in blocks(text) if path.suffix == ".rst" else [text]:
            for words in commands(script):
                yield str(path.relative_to(ROOT)), tuple(words)


def mentioned() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each command in running text with its page."""
    for path in TEXTS:
        for found in re.finditer(r"(?<!`)``openstack\s+([^`]+)``(?!`)", path.read_text()):
            words = shlex.split(found[1])
            if PLACEMENT not in " ".join(words):
                yield str(path.relative_to(ROOT)), tuple(words)


ALL = sorted({*in_pages()})
MENTIONED = sorted({*mentioned()})


def test_commands_are_found() -> None:
    """Commands are found in a pipe, in a list, in quotes and in a substitution."""
    script = textwrap.dedent(
        """\
        $ openstack unique serial show db-1 -f json | jq .why
        test "$(openstack a b)" = 1
        NAME=$(openstack c d) && ~/osc/bin/openstack e > f
        # openstack g
        helm upgrade openstack h
        """
    )
    assert [*commands(script)] == [
        ["unique", "serial", "show", "db-1", "-f", "json"],
        ["a", "b"],
        ["c", "d"],
        ["e"],
    ]
    assert len({page for page, _words in ALL}) > 20


@pytest.mark.parametrize(
    ("page", "words"), ALL, ids=[f"{page}: {' '.join(words)}" for page, words in ALL]
)
def test_a_command_is_parsed(page: str, words: tuple[str, ...]) -> None:
    if PLACEMENT in " ".join(words):
        assert page in PLACEMENT_PAGES
        return
    _options, rest = openstack().parser.parse_known_args([*words])
    parser, arguments = parser_of(*rest)
    try:
        parser.parse_args([*arguments])
    except SystemExit as ended:
        # --explain ends here, without an error.
        if ended.code:
            raise


@pytest.mark.parametrize(("page", "words"), MENTIONED, ids=map(str, MENTIONED))
def test_a_mentioned_command_exists(page: str, words: tuple[str, ...]) -> None:
    """In running text, arguments may be left out."""
    app = openstack()
    try:
        factory, name, arguments = app.command_manager.find_command([*words])
    except ValueError:
        # A group of commands.
        assert any(" ".join(words) in command for command, _entry in app.command_manager)
        return
    described = factory(app, None, cmd_name=name).get_parser(name).format_help()
    for word in arguments:
        if word.startswith("-"):
            assert word.partition("=")[0] in described


def test_pages_that_other_files_name_exist() -> None:
    named = set()
    for path in [*TEXTS, *ROOT.glob("*.rst"), ROOT / "tools" / "constraints.txt"]:
        named |= {*re.findall(r"doc/source/[\w./-]*\w", path.read_text())}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_no_row_of_a_table_is_split() -> None:
    """A simple table starts a row at each line with a first cell: that cell cannot be wrapped."""
    tables = 0
    for path in PAGES.rglob("*.rst"):
        for table in re.finditer(
            r"^( *)(=+) +=[= ]*\n((?:.*\n)+?)\1\2 +=[= ]*\n(?=\n|\Z)", path.read_text(), re.M
        ):
            start = len(table[1])
            cells = [line[start : start + len(table[2])].rstrip() for line in table[3].splitlines()]
            assert [cell for cell in cells if cell.endswith(",")] == [], path
            tables += 1
    assert tables > 10
