# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive their parent.

``argv_bound`` puts a command behind this module run as a script: it asks the kernel to kill
it when its parent dies (PR_SET_PDEATHSIG, which exec keeps) and then becomes the command. So a
cloud needs no code that looks for leftovers: there are none, whatever way the parent ends.
"""

import ctypes
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies; exit at once if it is dead already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        os._exit(1)


def argv_bound(argv: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The command line that runs ``argv`` bound to the calling process's main thread."""
    # -I and the path of the file: the command itself may need another PYTHONPATH.
    return [sys.executable, "-I", __file__, str(os.getpid()), *(os.fspath(arg) for arg in argv)]


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name is in parentheses and may hold anything: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def open_process(pid: int, started: int) -> int | None:
    """A pidfd of the process that had this pid and start time; None when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return None
    # Compared after opening: from here on the descriptor cannot mean another process.
    if start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def wait_gone(pidfd: int, timeout: float) -> bool:
    """Wait until the process has ended; False when it has not in time."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def _main() -> None:
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    _main()
