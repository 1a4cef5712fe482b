# SPDX-License-Identifier: Apache-2.0
"""A host with processes and mounts of its own: other nova-computes of the machine are not seen."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.nova.ends import End

#: A nova-compute by its name and arguments.
_PROGRAM = """\
import os, time
user = int(os.environ["TEST_USER"])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
print(os.getpid(), flush=True)
time.sleep(600)
"""
_UNSHARE = ("unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc")

#: Root without its capabilities: for files and processes of others it is another user.
UNPRIVILEGED = ("setpriv", "--inh-caps", "-all", "--bounding-set", "-all")


class Host:
    """A PID and mount namespace, which needs root.

    :ivar enter: the start of a command line that runs in it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._first = self._start(*_UNSHARE, "sh", "-c", "echo; exec sleep infinity")
        assert self._first.stdout is not None
        assert self._first.stdout.readline(), "unshare failed: these tests need root"
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children")
        inside = children.read_text().split()[0]
        self.enter = ("nsenter", f"--target={inside}", "--pid", "--mount")
        self._running = [self._first]

    @staticmethod
    def _start(*command: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)

    def start(
        self,
        end: End,
        *args: str | Path,
        python: str | Path = "",
        user: int = 0,
        prefix: tuple[str, ...] = (),
        **environ: str,
    ) -> int:
        """Start a nova-compute, and return its process ID inside.

        :param python: the interpreter as it is called, if not by its path
        :param user: the user and the group that it takes
        :param prefix: a command that runs it
        """
        program = self.folder / "nova-compute"
        program.write_text(_PROGRAM)
        process = self._start(
            *(*self.enter, *prefix, "env", "-C", str(self.folder)),
            *(str(python or end.python), str(program), *map(str, args)),
            environ={**end.environment(), "TEST_USER": str(user), **environ},
        )
        self._running.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())

    def run(self, *command: str | Path) -> None:
        """Run a command inside, which must succeed."""
        subprocess.run((*self.enter, *command), check=True)

    def close(self) -> None:
        """End all processes."""
        # Ends the first process inside, and with it all others.
        self._first.kill()
        for process in self._running:
            process.communicate()
