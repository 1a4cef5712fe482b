# SPDX-License-Identifier: Apache-2.0
"""Output that is safe in the chosen format, progress, and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import string
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, TextIO

from openstackclient import command
from osc_lib import exceptions

from osc_uniqserial.masking import mask_logs
from osc_uniqserial.text import is_formula, safe_text

LOG = logging.getLogger(__name__)

_PLAIN = frozenset(string.ascii_letters + string.digits)
#: Width of sentences in a table.
_WIDTH = 76
#: Width of the progress bar in characters, and seconds between two updates.
_BAR, _EVERY = 30, 0.2
#: Last sentence of an error before the first request.
NOTHING = "Nothing was checked."
#: Exit codes: options that do not fit together, as argparse; findings; no findings, but something
#: could not be checked.
USAGE, FINDINGS, UNCHECKED = 2, 3, 4


def error(text: str) -> exceptions.CommandError:
    """Return the error of a command, with a text that is safe on a terminal."""
    return exceptions.CommandError(safe_text(text))


class WrongUsage(Exception):
    """Options that argparse accepts one by one do not fit together."""


def word(value: Enum | None) -> str | None:
    """Return the value of an enumeration's member as text; None for None."""
    return None if value is None else str(value.value)


def column_names(names: Iterable[str]) -> set[str]:
    """Return the keys of columns; cliff accepts any case, and spaces for underscores."""
    return {name.strip().lower().replace(" ", "_") for name in names}


def safe_cell(value: Any, formatter: str) -> Any:
    """Return a value of plain Python types, made safe for a format.

    JSON and YAML escape strings themselves and keep types. cliff's shell format escapes double
    quotes only, so that ``$(...)`` would run. Spreadsheets open CSV.
    """
    if formatter in ("json", "yaml"):
        return value
    # Nearly all cells of long lists.
    if type(value) is str and value[:1] in _PLAIN and value.isprintable() and formatter != "shell":
        return value
    if isinstance(value, int) and (formatter == "csv" or not isinstance(value, bool)):
        # Numbers stay sortable.
        return value
    if formatter not in ("csv", "shell", "value"):
        return _human_text(value)
    if value is None:
        return ""
    text = json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)
    runs = formatter == "csv" and is_formula(text)
    text = safe_text(text)
    if formatter == "shell":
        for char in "\\$`":
            text = text.replace(char, "\\" + char)
    return f"'{text}" if runs else text


def _human_text(value: Any, separator: str = "\n") -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return separator.join(f"{key}: {_human_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(_human_text(item, ", ") for item in value) or "-"
    return safe_text(str(value))


def folded(text: str) -> list[str]:
    """Return safe text as lines that fit into a table."""
    return textwrap.wrap(safe_text(text), _WIDTH, break_long_words=False, break_on_hyphens=False)


def warn(notes: Iterable[str]) -> None:
    """Write notes to standard error, each once."""
    for note in dict.fromkeys(notes):
        LOG.warning("%s", safe_text(f"{note[:1].upper()}{note[1:]}".rstrip(".") + "."))


def print_to_stderr(line: str) -> None:
    """Write a line to standard error, where the stream can be written.

    It may be closed: the rows and the exit code are not lost then.
    """
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(safe_text(line), file=sys.stderr, flush=True)


class Progress:
    """A progress line on a terminal; without a terminal nothing is printed."""

    def __init__(self, done: str = "servers read", *, among_rows: bool = False) -> None:
        """Prepare the line.

        :param done: what is counted
        :param among_rows: rows are printed at the same time: no progress on the same terminal
        """
        alone = is_terminal(sys.stderr) and not (among_rows and is_terminal(sys.stdout))
        self._stream = sys.stderr if alone else None
        self._done = done
        self._updated = 0.0
        self._width = 0

    def update(self, done: int, expected: int | None) -> None:
        """Show the number that is done, at most every ``_EVERY`` seconds."""
        now = time.monotonic()
        if self._stream is None or now - self._updated < _EVERY:
            return
        self._updated = now
        text = f"{done:,} {self._done}"
        if expected and expected > done:
            filled = _BAR * done // expected
            text = f"[{'#' * filled}{'.' * (_BAR - filled)}] {text} of about {expected:,}"
        self._put(text)

    def end(self) -> None:
        """Erase the line."""
        if self._updated:
            self._put("")
            # The cursor is behind the spaces that erased the text.
            self._put("")

    def _put(self, text: str) -> None:
        if self._stream is not None:
            # The terminal may be gone. The work goes on.
            with contextlib.suppress(OSError):
                self._stream.write("\r" + text.ljust(self._width))
                self._stream.flush()
            self._width = len(text)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal."""
    # A stream that was closed before the start is None.
    return stream is not None and stream.isatty()


class Command(command.Command):
    """A command that reads a cloud; ``take_action`` may return an exit code."""

    # cliff gives the name of the command to a parameter of this name only.
    def __init__(self, app: Any, app_args: Any, cmd_name: str | None = None) -> None:
        super().__init__(app, app_args, cmd_name)
        mask_logs()

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return 2 for wrong usage.

        :raises CommandError: when a service does not answer, or policy forbids a request
        """
        from osc_uniqserial.api.rest import CloudError

        try:
            return super().run(parsed_args)
        except WrongUsage as wrong:
            # Not SystemExit as argparse: it would end the interactive shell.
            LOG.error("%s", safe_text(str(wrong)))
            return USAGE
        except CloudError as failure:
            raise error(str(failure)) from failure


class ShowOne(Command, command.ShowOne):
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


class Lister(Command, command.Lister):
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

    def set_exit_code(self, found: bool, unchecked: bool) -> None:
        """Set the exit code: for findings, else for something that could not be checked."""
        self.exit_code = FINDINGS if found else UNCHECKED if unchecked else 0

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print, then return :attr:`exit_code`: cliff's own run always returns 0."""
        return super().run(parsed_args) or self.exit_code
