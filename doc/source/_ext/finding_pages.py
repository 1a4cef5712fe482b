# SPDX-License-Identifier: Apache-2.0
"""A Sphinx extension that inserts the texts of ``osc_uniqserial.checks`` into pages.

``.. findings::`` becomes one section per finding. ``.. findings-table:: audit`` (or ``verify``)
becomes a table with links to these sections. Each directive is alone on its line. The extension
replaces source text before a page is parsed, and imports neither Sphinx nor docutils.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from osc_uniqserial import checks
from osc_uniqserial.checks import ALL, AUDIT, VERIFY
from osc_uniqserial.checks.check import TITLES, Check
from osc_uniqserial.model.finding import Severity

_COMMANDS = {"audit": AUDIT, "verify": VERIFY}
_DIRECTIVE = re.compile(r"^\.\. (findings|findings-table)::(?: +(audit|verify))?$", re.MULTILINE)
#: Options, keys, settings, traits, files and URIs: formatted as literals.
_CODE = re.compile(
    r"(?<![\w-])(?:--[a-z-]+(?: [A-Z]+=[A-Z]+)?|\[\w+\] ?\w+(?: = \w+)?|\w+(?::[\w-]+)+|\w*_\w+"
    r"|\w+\.(?:conf|yaml)|qemu\+ssh)(?!\w)"
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class App(Protocol):
    """The part of Sphinx that this extension uses."""

    env: Any

    def connect(self, event: str, callback: Callable[[App, str, list[str]], None]) -> int:
        """Register a callback for an event."""
        ...


def setup(app: App) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


def _read(app: App, _page: str, source: list[str]) -> None:
    expanded = expand(source[0])
    if expanded != source[0]:
        source[0] = expanded
        # Sphinx rebuilds the page if the texts change.
        texts = Path(checks.__file__).with_name("texts").iterdir()
        for file in (__file__, checks.__file__, *map(str, texts)):
            app.env.note_dependency(file)


def expand(text: str) -> str:
    """Return the source of a page with all directives replaced."""

    def lines(found: re.Match[str]) -> str:
        name, command = found.groups()
        if (name == "findings") != (command is None):
            return found[0]
        return "\n".join(table(_COMMANDS[command]) if command else sections())

    return _DIRECTIVE.sub(lines, text)


def sections() -> Iterator[str]:
    """Yield the lines of all findings, by severity and then by the commands that report them."""
    for severity, found in itertools.groupby(ALL.values(), lambda check: check.severity):
        by_command: dict[str, list[Check]] = {"audit": [], "verify": [], "audit and verify": []}
        for check in found:
            by_command[commands(check)].append(check)
        for words, members in by_command.items():
            if members:
                grade = "Could not be checked" if severity is Severity.UNCHECKED else severity.value
                yield from _title(f"{grade.capitalize()}: {words}", "=")
            for check in members:
                yield from section(check)


def section(check: Check) -> Iterator[str]:
    """Yield the lines of one finding."""
    yield from (f".. _finding-{check.id}:", "")
    yield from _title(check.id, "-")
    yield from (f"{_inline(check.summary)}.", "")
    for title, name in TITLES.items():
        yield from (f".. rubric:: {title}", "")
        for is_code, lines in itertools.groupby(
            check.texts[name].splitlines(), lambda line: line.startswith("    ")
        ):
            if is_code:
                yield from (".. code-block:: bash", "", *lines, "")
            else:
                for line in lines:
                    yield from (_inline(line), "")


def table(of: Mapping[str, Check]) -> Iterator[str]:
    """Yield the lines of a table of findings in the given order."""
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 30 14 56", "")
    rows = [("ID", "Severity", "Finding")]
    rows += [
        (f":ref:`{check.id} <finding-{check.id}>`", check.severity.value, _inline(check.summary))
        for check in of.values()
    ]
    for first, *others in rows:
        yield f"   * - {first}"
        yield from (f"     - {cell}" for cell in others)
    yield ""


def commands(check: Check) -> str:
    """Return the commands that report the finding."""
    return " and ".join(name for name, of in _COMMANDS.items() if check.id in of)


def _title(text: str, line: str) -> tuple[str, str, str]:
    return text, line * len(text), ""


def _inline(text: str) -> str:
    """Return plain text as reStructuredText: code becomes literals, all other text is escaped."""
    parts = []
    at = 0
    for found in _CODE.finditer(text):
        parts += [_PUNCTUATION.sub(r"\\\1", text[at : found.start()]), f"``{found[0]}``"]
        at = found.end()
    parts.append(_PUNCTUATION.sub(r"\\\1", text[at:]))
    return "".join(parts)
