# SPDX-License-Identifier: Apache-2.0
"""Output that cannot hurt: text from a cloud is made safe for the chosen format."""

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
#: Sentences in a table are folded at this width.
_WIDTH = 76
#: Characters of a progress bar, and seconds between two looks at it.
_BAR, _EVERY = 30, 0.2
#: Exit codes: something was found; nothing was, but not all could be checked.
FINDINGS, UNCHECKED = 3, 4


def safe_cell(value: Any, formatter: str) -> Any:
    """Return a value of plain Python types as it may go out in this format.

    JSON and YAML escape what they carry and keep types. The shell format of
    cliff escapes double quotes only, which lets ``$(...)`` run; CSV opens in
    spreadsheets.
    """
    if formatter in ("json", "yaml"):
        return value
    if isinstance(value, int) and (formatter == "csv" or not isinstance(value, bool)):
        # As a number it can be sorted.
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
    """Return text as lines that fit into a table, safe to show."""
    return textwrap.wrap(safe_text(text), _WIDTH, break_long_words=False, break_on_hyphens=False)


def warn(notes: Iterable[str]) -> None:
    """Write notes to standard error, each once."""
    for note in dict.fromkeys(notes):
        LOG.warning("%s", safe_text(f"{note[:1].upper()}{note[1:]}".rstrip(".") + "."))


class Progress:
    """A line on a terminal that says how far long work has come; nothing elsewhere."""

    def __init__(self, *, among_rows: bool = False) -> None:
        """Prepare to tell.

        :param among_rows: rows are printed meanwhile: on the same terminal they would be mixed
        """
        alone = sys.stderr.isatty() and not (among_rows and sys.stdout.isatty())
        self._stream = sys.stderr if alone else None
        self._said = 0.0
        self._width = 0

    def say(self, done: int, expected: int | None) -> None:
        """Tell how many servers were read, a few times a second at most."""
        now = time.monotonic()
        if self._stream is None or now - self._said < _EVERY:
            return
        self._said = now
        text = f"{done:,} servers read"
        if expected and expected > done:
            filled = _BAR * done // expected
            text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {text} of about {expected:,}"
        self._put(text)

    def end(self) -> None:
        """Wipe the line."""
        if self._stream is not None and self._said:
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

    :ivar exit_code: what the command exits with once its rows are printed
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
            # cliff loses what it cannot sort and cannot read twice.
            rows = list(rows)
        return super().produce_output(parsed_args, column_names, rows)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then return :attr:`exit_code`: cliff's own run always returns 0."""
        return super().run(parsed_args) or self.exit_code
