# SPDX-License-Identifier: Apache-2.0
"""The outcome of each change of a plan that is applied. Pure."""

from __future__ import annotations

import dataclasses
import enum

from osc_uniqserial.desired.changes import Change


class Result(enum.Enum):
    """What became of a change.

    :cvar UNCHANGED: it was so already: somebody else did it after planning
    :cvar NOT_READ_BACK: the service accepted the write, but did not return what it stored
    :cvar CONFLICT: something else is stored than was planned for, and stays
    :cvar MISSING: the resource was deleted after planning
    :cvar UNKNOWN: it may have been carried out
    """

    DONE = "done"
    UNCHANGED = "unchanged"
    NOT_READ_BACK = "not-read-back"
    CONFLICT = "conflict"
    MISSING = "missing"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_TRIED = "not-tried"


#: The results of changes that are as planned, as far as known.
AS_PLANNED = frozenset({Result.DONE, Result.UNCHANGED, Result.NOT_READ_BACK})


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change.

    :ivar reason: why it is not done; None when it is
    """

    change: Change
    result: Result
    reason: str | None = None
