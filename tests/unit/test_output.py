# SPDX-License-Identifier: Apache-2.0
"""The line that says how far long work has come."""

from __future__ import annotations

import io

import pytest

from osc_uniqserial.commands.output import Progress, print_to_stderr


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
