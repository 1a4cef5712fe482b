# SPDX-License-Identifier: Apache-2.0
"""Output that is safe in the chosen format, progress, and exit codes."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import Any

from openstackclient import command

from osc_uniqserial.text import safe_text

LOG = logging.getLogger(__name__)

#: First characters that make a spreadsheet run a cell as a formula.
_FORMULA = ("=", "+", "-", "@")
#: Width of sentences in a table.
_WIDTH = 76
#: Width of the progress bar in characters, and seconds between two updates.
_BAR, _EVERY = 30, 0.2
#: Exit codes: findings; no findings, but something could not be checked.
FINDINGS, UNCHECKED = 3, 4


def safe_cell(value: Any, formatter: str) -> Any:
    """Return a value of plain Python types, made safe for a format.

    JSON and YAML escape strings themselves and keep types. cliff's shell format escapes double
    quotes only, so that ``$(...)`` would run. Spreadsheets open CSV.
    """
    if formatter in ("json", "yaml"):
        return value
    if isinstance(value, int) and (formatter == "csv" or not isinstance(value, bool)):
        # Numbers stay sortable.
        return value
    if formatter in ("csv", "shell", "value"):
        text = _machine_text(value)
    else:
        return _human_text(value)
    if formatter == "shell":
        for char in "\\$`":
            text = text.replace(char, "\\" + char)
    if formatter == "csv" and text.startswith(_FORMULA):
        text = "'" + text
    return text


def _machine_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return safe_text(str(value))


def _human_text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_human_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(_human_line(item) for item in value) or "-"
    return safe_text(str(value))


def _human_line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_human_text(item)}" for key, item in value.items())
    return _human_text(value)


def folded(text: str) -> list[str]:
    """Return safe text as lines that fit into a table."""
    return textwrap.wrap(safe_text(text), _WIDTH, break_long_words=False, break_on_hyphens=False)


def warn(notes: Iterable[str]) -> None:
    """Write notes to standard error, each once."""
    for note in dict.fromkeys(notes):
        LOG.warning("%s", safe_text(f"{note[:1].upper()}{note[1:]}".rstrip(".") + "."))


class Progress:
    """A progress line on a terminal; without a terminal nothing is printed."""

    def __init__(self, *, among_rows: bool = False) -> None:
        """Prepare the line.

        :param among_rows: rows are printed at the same time: no progress on the same terminal
        """
        alone = sys.stderr.isatty() and not (among_rows and sys.stdout.isatty())
        self._stream = sys.stderr if alone else None
        self._updated = 0.0
        self._width = 0

    def update(self, done: int, expected: int | None) -> None:
        """Show the number of servers that were read, at most every ``_EVERY`` seconds."""
        now = time.monotonic()
        if self._stream is None or now - self._updated < _EVERY:
            return
        self._updated = now
        text = f"{done:,} servers read"
        if expected and expected > done:
            filled = _BAR * done // expected
            text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {text} of about {expected:,}"
        self._put(text)

    def end(self) -> None:
        """Erase the line."""
        if self._stream is not None and self._updated:
            self._put("")
            self._stream.write("\r")
            self._stream.flush()

    def _put(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)


class ShowOne(command.ShowOne):
    """One resource; ``take_action`` returns plain Python values."""

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any
    ) -> int:
        """Make every value safe for the chosen format, then print."""
        cells = [safe_cell(value, parsed_args.formatter) for value in data]
        if parsed_args.formatter == "table":
            cells = [
                "\n".join(part for line in str(cell).splitlines() for part in folded(line))
                for cell in cells
            ]
        return super().produce_output(parsed_args, column_names, cells)


class Lister(command.Lister):
    """Many resources; ``take_action`` returns rows of plain Python values.

    :ivar exit_code: exit code after the rows were printed
    """

    exit_code = 0

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any
    ) -> int:
        """Make every value safe for the chosen format, row by row, then print."""
        rows: Iterable[list[Any]] = (
            [safe_cell(value, parsed_args.formatter) for value in row] for row in data
        )
        if parsed_args.sort_columns:
            # cliff reads the rows again when sorting fails.
            rows = list(rows)
        return super().produce_output(parsed_args, column_names, rows)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then return :attr:`exit_code`: cliff's own run always returns 0."""
        return super().run(parsed_args) or self.exit_code
