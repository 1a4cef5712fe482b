# SPDX-License-Identifier: Apache-2.0
"""The caller's side: start a supervisor, and find and end one that runs."""

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from devcloud import process, state
from devcloud.children import Argument
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import BaseLayout
from devcloud.supervise import KEEP, UP
from devcloud.terminal import Progress


class Session:
    """A supervisor and all that it started.

    They end with this object, and with this process, however it ends; after ``keep`` with neither.
    """

    def __init__(
        self,
        argv: Sequence[Argument],
        layout: BaseLayout,
        lock: int,
        progress: Progress,
        **options: Any,
    ) -> None:
        """Start a supervisor and wait until everything is up.

        :param lock: the descriptor of the lock file, which the supervisor inherits
        :param options: of ``subprocess.Popen``
        :raises DevcloudError: it failed
        """
        self._layout = layout
        # What is read below is of this supervisor.
        layout.state_file.unlink(missing_ok=True)
        layout.logs.mkdir(exist_ok=True)
        with layout.log("supervisor").open("wb") as log:
            self._supervisor = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # A session of its own: neither Ctrl-C nor the end of the terminal reaches it.
                start_new_session=True,
                pass_fds=[lock],
                **options,
            )
        try:
            self._wait(progress)
        except BaseException:
            self.close()
            raise

    def _wait(self, progress: Progress) -> None:
        assert self._supervisor.stdout is not None  # noqa: S101 - for the type checker
        for line in self._supervisor.stdout:
            text = line.decode().rstrip()
            if text == UP:
                return
            progress(text)
        self._supervisor.wait()
        current = state.read(self._layout.state_file)
        if current is not None and current.phase == state.STOPPED:
            raise DevcloudError("stopped before it was up, by 'down'")
        if current is None or not current.error:
            raise DevcloudError("the supervisor died", log_tail(self._layout.log("supervisor")))
        headline, _, detail = current.error.partition("\n")
        raise DevcloudError(headline, detail)

    def keep(self) -> None:
        """Let everything outlive this object and this process."""
        assert self._supervisor.stdin is not None  # noqa: S101 - for the type checker
        with self._supervisor.stdin as pipe:
            pipe.write(KEEP)
        # Nobody is to wait for it here.
        self._supervisor.returncode = 0

    def close(self) -> None:
        """End everything and wait for it."""
        # Closes its standard input, which makes it end, and waits.
        self._supervisor.communicate()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def running(layout: BaseLayout) -> state.State | None:
    """The state that the supervisor wrote, if it runs."""
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if pidfd is None:
        return None
    os.close(pidfd)
    return current


def stop(layout: BaseLayout, timeout: float) -> bool:
    """End the supervisor that runs and wait until it is gone; False when none runs.

    :param timeout: seconds until it is killed
    """
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not process.wait_gone(pidfd, timeout):
            # The kernel ends its children with it.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            process.wait_gone(pidfd, timeout)
    finally:
        os.close(pidfd)
    return True
