# SPDX-License-Identifier: Apache-2.0
"""Bring a stack up and down."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType

from devcloud import process, state
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import SOURCE_ROOT
from tests.e2e.stack import machine
from tests.e2e.stack.layout import MAX_ROOT, Layout
from tests.e2e.stack.supervisor import KEEP, UP

STOP_TIMEOUT = 60.0

Progress = Callable[[str], None]


class Session:
    """A stack that ends with this object, or with this process, however it ends."""

    def __init__(self, layout: Layout, progress: Progress) -> None:
        machine.check()
        if len(os.fspath(layout.root)) > MAX_ROOT:
            raise DevcloudError(f"choose a folder with a shorter path than {layout.root}")
        self.layout = layout
        lock = state.try_lock(layout.lock_file)
        if lock is None:
            raise DevcloudError(f"a stack runs or starts in {layout.root}")
        try:
            _clear(layout)
            layout.logs.mkdir()
            self._supervisor = self._start(lock)
        finally:
            os.close(lock)
        try:
            self._await(progress)
        except BaseException:
            self.close()
            raise

    def _start(self, lock: int) -> subprocess.Popen[bytes]:
        with self.layout.log("supervisor").open("wb") as log:
            return subprocess.Popen(
                [
                    *("unshare", "--pid", "--mount", "--fork", "--kill-child"),
                    *("--propagation", "private", sys.executable),
                    *("-m", "tests.e2e.stack.supervisor", self.layout.root),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=SOURCE_ROOT,
                env={**os.environ, "E2E_VENV": str(self.layout.venv)},
                # Neither Ctrl-C nor the end of the terminal reaches it.
                start_new_session=True,
                pass_fds=[lock],
            )

    def _await(self, progress: Progress) -> None:
        assert self._supervisor.stdout is not None
        for line in self._supervisor.stdout:
            text = line.decode().rstrip()
            progress(text)
            if text == UP:
                return
        self._supervisor.wait()
        current = state.read(self.layout.state_file)
        error = current.error if current is not None else None
        headline, _, detail = (error or "the stack's supervisor died").partition("\n")
        raise DevcloudError(headline, detail or log_tail(self.layout.log("supervisor")))

    def keep(self) -> None:
        """Let the stack outlive this process."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.write(KEEP)
        self._supervisor.stdin.close()
        # No longer this process's business.
        self._supervisor.returncode = 0

    def close(self) -> None:
        """End the stack and wait until it is gone."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        self._supervisor.wait()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _clear(layout: Layout) -> None:
    """Remove what a stack left that failed or was killed. Call it with the lock held."""
    found = [path for path in layout.root.iterdir() if path != layout.lock_file]
    if found and not layout.state_file.exists():
        raise DevcloudError(f"{layout.root} is not empty and holds no stack: choose another folder")
    # The state last: as long as anything is left, it says whose that is.
    for path in sorted(found, key=layout.state_file.__eq__):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def running(layout: Layout) -> bool:
    """Whether a stack is up in this folder."""
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if current is None or pidfd is None:
        return False
    os.close(pidfd)
    return current.phase == state.READY


def down(layout: Layout) -> bool:
    """End the stack and wait until it is gone; False when it was not up."""
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not process.wait_gone(pidfd, STOP_TIMEOUT):
            # The kernel ends the rest of its namespace with it.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            process.wait_gone(pidfd, STOP_TIMEOUT)
    finally:
        os.close(pidfd)
    return True
