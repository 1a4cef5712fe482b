# SPDX-License-Identifier: Apache-2.0
"""The line that says how far long work has come."""

from __future__ import annotations

import io

import pytest

from osc_uniqserial.commands.output import Progress, print_to_stderr, safe_cell
from osc_uniqserial.text import safe_text


class Stream(io.StringIO):
    """A terminal, or something else."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("errors", "output", "among_rows", "shown"),
    [
        (True, True, False, True),
        (True, False, False, True),
        (True, False, True, True),
        # Rows come on the same terminal meanwhile.
        (True, True, True, False),
        (False, True, False, False),
        (False, False, True, False),
    ],
)
def test_progress_is_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, errors: bool, output: bool, among_rows: bool, shown: bool
) -> None:
    stream = Stream(errors)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", Stream(output))
    progress = Progress(among_rows=among_rows)
    progress.update(1_000, 4_000)
    said = stream.getvalue()
    assert ("1,000 servers read of about 4,000" in said) is shown
    progress.end()
    # Nothing of it stays on the line.
    assert stream.getvalue().rpartition("\r")[2] == ""


class Broken(io.StringIO):
    """A stream whose file is closed, or full."""

    def write(self, _text: str) -> int:
        raise OSError(9, "Bad file descriptor")


@pytest.mark.parametrize("stream", [None, Broken()])
def test_standard_error_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stream: Stream | None
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    Progress().update(1_000, 4_000)
    print_to_stderr("2 of 2 servers checked")
    # It is not mixed with the rows.
    assert capsys.readouterr().out == ""


SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62", "\ufe63"]
SIGNS += ["\ufe6b", "\u207a", "\u208b", "\u2212"]
BEFORE = [
    "",
    " ",
    "  ",
    "\t",
    "\r\n",
    "\xa0",
    "\u3000",
    "\u2003",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b",
]
BEFORE += ["\u202e", "\u2800", "\u3164", "\u2028", "\x85", "\u034f", " \t\u3000"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_spreadsheet_runs_no_cell(sign: str, before: str) -> None:
    cell = safe_cell(f"{before}{sign}cmd|' /C calc'!A0", "csv")
    assert cell == "'" + safe_text(f"{before}{sign}cmd|' /C calc'!A0")


@pytest.mark.parametrize(
    "text", ["web-1", "", " ", "a=b", "1+1", " x", "\u3000x", "'=1", "é=", "#@"]
)
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert safe_cell(text, "csv") == text
