# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, in words for the user."""

from collections import deque
from pathlib import Path


class DevcloudError(Exception):
    """A failure that the user can act on; ``detail`` may hold the end of a log."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def log_tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, with its name."""
    try:
        with path.open(errors="replace") as file:
            tail = deque(file, maxlen=lines)
    except FileNotFoundError:
        return f"(there is no {path})"
    return f"--- the end of {path}\n" + "".join(tail)
