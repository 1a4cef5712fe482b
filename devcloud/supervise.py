# SPDX-License-Identifier: Apache-2.0
"""The supervisor's side: the parent of all processes of one cloud, detached from the terminal.

It is started by a ``session.Session`` and inherits the cloud's lock and two pipes. Its standard
output carries progress to the caller. Its standard input ends when the caller no longer wants the
cloud: the end of the file before the word ``keep`` means that the caller was interrupted or
killed, and everything ends.
"""

import abc
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from devcloud import process, state
from devcloud.children import Children
from devcloud.errors import DevcloudError
from devcloud.layout import BaseLayout

KEEP = b"keep\n"
#: The last line of the progress.
UP = "up"


class _Stop(Exception):
    """The cloud is to end."""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise _Stop


def say(text: str) -> None:
    """Tell the caller about progress; it does not matter whether it still reads."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def _watch_caller() -> None:
    """End everything with the caller, unless it says to keep it."""
    if os.read(sys.stdin.fileno(), len(KEEP)) != KEEP:
        os.kill(os.getpid(), signal.SIGTERM)


class Supervisor(abc.ABC):
    """Starts child processes, waits until it is to end, and ends them."""

    def __init__(self, layout: BaseLayout, clouds_yaml: Path) -> None:
        # Not os.getpid(), which in a PID namespace is not the number that others know.
        pid = int(os.readlink("/proc/self"))
        self.children = Children()
        self.state = state.State(
            phase=state.STARTING,
            pid=pid,
            started=process.start_time(pid) or 0,
            venv=str(layout.venv),
            clouds_yaml=str(clouds_yaml),
        )
        self._state_file = layout.state_file

    @abc.abstractmethod
    def start(self) -> None:
        """Start everything and wait until it is ready."""

    def watch(self) -> None:
        """Wait for a signal; never return."""
        while True:
            signal.pause()

    def end(self) -> None:
        """End everything. The children have nothing to save."""
        self.children.end()
        self.save()

    def save(self) -> None:
        """Write the state file."""
        state.write(self._state_file, self.state)

    def run(self) -> int:
        """Start everything, wait until it is to end, and return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _on_signal)
        # The terminal may be closed.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            threading.Thread(target=_watch_caller, daemon=True).start()
            self.save()
            self.start()
            self.state.phase = state.READY
            self.save()
            say(UP)
            # Nobody reads the progress any more. Not sys.stdout.close(), which leaves the
            # descriptor open.
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            self.watch()
        except _Stop:
            self.state.phase = state.STOPPED
        except DevcloudError as error:
            self.state.phase = state.FAILED
            self.state.error = f"{error}\n{error.detail}"
        except Exception as error:
            self.state.phase = state.FAILED
            self.state.error = f"{type(error).__name__}: {error}"
        finally:
            # A second signal must not interrupt the end.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            self.end()
        return 0 if self.state.phase == state.STOPPED else 1
