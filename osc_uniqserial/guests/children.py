# SPDX-License-Identifier: Apache-2.0
"""Child processes of threads, such as the ``ssh`` of a connection to libvirt.

libvirt starts ``ssh`` in the thread that connects, and waits for it without a limit. Processes are
found in Linux's ``/proc``; elsewhere none is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Seconds after which processes are killed, and after which they are left alone.
_KILL, _GIVE_UP = 0.5, 2.0
_INTERVAL = 0.05
_PROC = Path("/proc")


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, as Ctrl-C raises KeyboardInterrupt, so that cleanup runs."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    # Another handler stays, and only the main thread can set one.
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end(threads: Iterable[threading.Thread]) -> None:
    """End the processes below threads, and wait until they have ended.

    A thread that libvirt holds returns from its request then.
    """
    threads = list(threads)
    began = time.monotonic()
    #: The processes by ID, with their start time: IDs are used again.
    found: dict[int, str] = {}
    signalled: set[tuple[int, int]] = set()
    idle = 0
    # A thread may start a process while this runs: look twice.
    while any(thread.is_alive() for thread in threads) or found:
        for thread in threads:
            if thread.is_alive():
                found |= _below(_PROC / "self" / "task" / str(thread.native_id))
        found = {pid: started for pid, started in found.items() if _start_time(pid) == started}
        seconds = time.monotonic() - began
        idle = 0 if found else idle + 1
        if idle > 1 or seconds > _GIVE_UP:
            return
        number = signal.SIGTERM if seconds < _KILL else signal.SIGKILL
        for pid in found:
            if (pid, number) not in signalled:
                signalled.add((pid, number))
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        time.sleep(_INTERVAL)


def _below(task: Path) -> dict[int, str]:
    """Return the processes that a task started, and those below them, parents first."""
    found: dict[int, str] = {}
    for pid in _children(task):
        if started := _start_time(pid):
            found[pid] = started
            with contextlib.suppress(OSError):
                for below in (_PROC / str(pid) / "task").iterdir():
                    found |= _below(below)
    return found


def _children(task: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from map(int, (task / "children").read_text().split())


def _start_time(pid: int) -> str | None:
    """Return when a process was started; None when it has ended."""
    try:
        # The name, in parentheses, may contain anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
