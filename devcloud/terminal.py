# SPDX-License-Identifier: Apache-2.0
"""What the command lines print."""

import shlex
import sys
import time
from collections.abc import Callable, Mapping

#: Takes one line about what is being done.
Progress = Callable[[str], None]


def timed_progress() -> Progress:
    """Return a function that writes lines to standard error, with the seconds since this call."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    return say


def exports(environment: Mapping[str, str]) -> str:
    """The lines for a shell that set variables of the environment."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in environment.items())
