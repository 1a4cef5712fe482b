# SPDX-License-Identifier: Apache-2.0
"""Bring a stack up and down."""

from __future__ import annotations

import os
import shutil
import sys

from devcloud import session, state
from devcloud.errors import DevcloudError
from devcloud.layout import SOURCE_ROOT
from devcloud.terminal import Progress
from tests.e2e.stack import machine
from tests.e2e.stack.layout import MAX_ROOT, Layout

STOP_TIMEOUT = 60.0


def start(layout: Layout, progress: Progress) -> session.Session:
    """Start a stack, which ends with the session unless that is told to keep it."""
    machine.check()
    if len(os.fspath(layout.root)) > MAX_ROOT:
        raise DevcloudError(f"choose a folder with a shorter path than {layout.root}")
    lock = state.try_lock(layout.lock_file)
    if lock is None:
        raise DevcloudError(f"a stack runs or starts in {layout.root}")
    try:
        _clear(layout)
        started = session.Session(
            [
                *("unshare", "--pid", "--mount", "--fork", "--kill-child"),
                *("--propagation", "private", sys.executable),
                *("-m", "tests.e2e.stack.supervisor", layout.root),
            ],
            layout,
            lock,
            progress,
            cwd=SOURCE_ROOT,
            env={**os.environ, "E2E_VENV": str(layout.venv)},
        )
    finally:
        os.close(lock)
    progress("the stack is up")
    return started


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
    current = session.running(layout)
    return current is not None and current.phase == state.READY


def down(layout: Layout) -> bool:
    """End the stack and wait until it is gone; False when it was not up."""
    return session.stop(layout, STOP_TIMEOUT)
