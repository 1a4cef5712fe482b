# SPDX-License-Identifier: Apache-2.0
"""The results of the checks. Standard library only: Nova may be broken."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Optional

#: A longer text comes from a file or an exception, and is cut.
_LONGEST = 300
#: How many of several files a row names.
_NAMED = 3

#: The remedy for what keeps nova-compute from starting.
WILL_NOT_START = "Correct it: nova-compute does not start with it."


class CheckError(Exception):
    """The check cannot run; the text has the reason and the way out."""


class OptionError(Exception):
    """An option has a value that Nova refuses; the text names the option and the reason."""


class Result(enum.Enum):
    """Result of a check; UNKNOWN: the check had no input."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Row:
    """One result of a check.

    :ivar check: stable ID of the check, for scripts
    :ivar reason: one or more sentences
    :ivar remedy: None when no action is needed
    """

    check: str
    result: Result
    reason: str
    remedy: Optional[str] = None  # noqa: UP045 - dataclasses of Python 3.8


def exit_code(rows: list[Row]) -> int:
    """Return the exit code: 3 for a failure or a warning, else 4 for an unknown result, else 0."""
    results = {row.result for row in rows}
    if results & {Result.FAILED, Result.WARNING}:
        return 3
    return 4 if Result.UNKNOWN in results else 0


def listed(values: Iterable[object]) -> str:
    """Return safe texts, separated by commas. The list is not cut."""
    return ", ".join(map(safe, values))


def first_of(values: Sequence[object]) -> str:
    """Return the first few of several texts, and how many more there are."""
    more = len(values) - _NAMED
    return listed(values[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def safe(value: object) -> str:
    """Return text of a file or an exception on one line, without control characters."""
    text = " ".join(str(value).split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def reason(error: BaseException) -> str:
    """Return the kind of an exception, and its text unless that may have a line of a file."""
    name = type(error).__name__
    if type(error).__module__.startswith("oslo_config."):
        return name
    return f"{name}: {safe(error)}"
