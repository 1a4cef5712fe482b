# SPDX-License-Identifier: Apache-2.0
"""Run a command, and write what it cost: seconds of wall and CPU time, KiB of memory, exit code.

A process of its own: Linux counts the memory of the process that starts a command as the
command's (fs/exec.c, exec_mmap), and a bench with a synthetic cloud is larger than a client.

Usage: python -I -S bench/measured.py FILE COMMAND [ARGUMENT ...]
"""

import os
import sys
import time


def main(file: str, *command: str) -> None:
    """Run the command, and write to the file."""
    began = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            os.execvp(command[0], command)  # noqa: S606 # a shell would be measured too
        finally:
            os._exit(127)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    cost = (wall, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status))
    with open(file, "w") as stream:
        print(*cost, file=stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
