# SPDX-License-Identifier: Apache-2.0
"""Bring a cloud up and down: what the command line offers, as functions."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from devcloud import databases, environment, process, state
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.supervisor import KEEP

STOP_TIMEOUT = 20.0

Progress = Callable[[str], None]


def up(layout: Layout, progress: Progress, without: Collection[str] = ()) -> bool:
    """Start the cloud; False when it was up already.

    :param without: services that the caller runs itself. The catalog names their ports, which
        stay reserved: whoever binds with SO_REUSEADDR may listen there.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    lock = state.try_lock(layout.lock_file)
    if lock is None:
        current = state.read(layout.state_file)
        if current is not None and current.phase == state.READY:
            return False
        raise DevcloudError(f"another 'up' is under way in {layout.root}")
    try:
        with environment.locked(layout):
            environment.ensure(layout, progress)
            template = databases.ensure_templates(layout, progress)
        _start(layout, template, lock, progress, without)
    finally:
        os.close(lock)
    return True


def _start(
    layout: Layout, template: Path, lock: int, progress: Progress, without: Collection[str]
) -> None:
    progress("starting the services")
    layout.logs.mkdir(exist_ok=True)
    with layout.log("supervisor").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "devcloud.supervisor", layout.root, template, *without],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=layout.root,
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCE_ROOT),
                "DEVCLOUD_VENV": str(layout.venv),
            },
            # A session of its own: neither Ctrl-C nor the end of the terminal reaches it.
            start_new_session=True,
            pass_fds=[lock],
        )
    assert supervisor.stdin is not None  # noqa: S101 - for the type checker
    assert supervisor.stdout is not None  # noqa: S101
    try:
        for line in supervisor.stdout:
            progress(line.decode().rstrip())
        current = state.read(layout.state_file)
        if current is None or current.pid != supervisor.pid or current.phase != state.READY:
            supervisor.wait()
            current = state.read(layout.state_file)
            if current is not None and current.phase == state.STOPPED:
                raise DevcloudError("stopped before it was up, by 'down'")
            error = current.error if current is not None else None
            headline, _, detail = (error or "the supervisor died").partition("\n")
            raise DevcloudError(headline, detail)
        supervisor.stdin.write(KEEP)
    finally:
        # Without the word above this tells the supervisor to end everything.
        supervisor.stdin.close()
        if sys.exc_info()[0] is not None:
            supervisor.wait()
        else:
            # It lives on, and not as this process's business.
            supervisor.returncode = 0


def down(layout: Layout) -> bool:
    """End the cloud and wait until it is gone; False when it was not up."""
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if current is None or pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not process.wait_gone(pidfd, STOP_TIMEOUT):
            # Its children are bound to it: they end with it.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            process.wait_gone(pidfd, STOP_TIMEOUT)
    finally:
        os.close(pidfd)
    _verify_released(layout)
    return True


def _verify_released(layout: Layout) -> None:
    """The lock is free when the supervisor, and whoever inherited from it, is gone."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while (lock := state.try_lock(layout.lock_file)) is None:
        if time.monotonic() > deadline:
            raise DevcloudError(f"something still holds {layout.lock_file}")
        time.sleep(0.05)
    os.close(lock)


def running(layout: Layout) -> state.State | None:
    """The state of the cloud if its supervisor runs."""
    current = state.read(layout.state_file)
    pidfd = current.supervisor() if current is not None else None
    if pidfd is None:
        return None
    os.close(pidfd)
    return current


def client_environment(layout: Layout, cloud: str = "devcloud") -> dict[str, str]:
    """What a client needs in its environment."""
    return {"OS_CLIENT_CONFIG_FILE": str(layout.clouds_yaml), "OS_CLOUD": cloud}
