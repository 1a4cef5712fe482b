# SPDX-License-Identifier: Apache-2.0
"""Bring a cloud up and down: what the command line offers, as functions."""

import os
import sys
import time
from collections.abc import Collection

from devcloud import databases, environment, session, state
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.terminal import Progress

STOP_TIMEOUT = 20.0


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
        progress("starting the services")
        session.Session(
            [sys.executable, "-m", "devcloud.supervisor", layout.root, template, *without],
            layout,
            lock,
            progress,
            cwd=layout.root,
            env={
                **os.environ,
                "PYTHONPATH": str(SOURCE_ROOT),
                "DEVCLOUD_VENV": str(layout.venv),
            },
        ).keep()
    finally:
        os.close(lock)
    return True


def down(layout: Layout) -> bool:
    """End the cloud and wait until it is gone; False when it was not up."""
    if not session.stop(layout, STOP_TIMEOUT):
        return False
    # The lock is free when the supervisor, and whoever inherited from it, is gone.
    deadline = time.monotonic() + STOP_TIMEOUT
    while (lock := state.try_lock(layout.lock_file)) is None:
        if time.monotonic() > deadline:
            raise DevcloudError(f"something still holds {layout.lock_file}")
        time.sleep(0.05)
    os.close(lock)
    return True


def client_environment(layout: Layout, cloud: str = "devcloud") -> dict[str, str]:
    """What a client needs in its environment."""
    return {"OS_CLIENT_CONFIG_FILE": str(layout.clouds_yaml), "OS_CLOUD": cloud}
