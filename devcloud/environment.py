# SPDX-License-Identifier: Apache-2.0
"""The services' virtual environment: made when missing, renewed when the pins change."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from devcloud import process
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import SOURCE_ROOT, Layout

REQUIREMENTS = SOURCE_ROOT / "devcloud" / "requirements.txt"
CONSTRAINTS = SOURCE_ROOT / "devcloud" / "constraints.txt"

LOCK = "devcloud-lock"

#: Published without wheels. Both build without a compiler: ovs leaves out its C parser then.
SOURCE_ONLY = "ovs,simplegeneric"


def fingerprint() -> str:
    """What a current environment's stamp says."""
    digest = hashlib.sha256(interpreter().encode())
    for path in (REQUIREMENTS, CONSTRAINTS):
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def interpreter() -> str:
    """The Python that an environment is made with: another one needs another environment."""
    return f"{sys.version} {os.path.realpath(sys.base_prefix)}"


def is_current(layout: Layout) -> bool:
    """Whether the environment is complete and has the versions that the pins ask for."""
    try:
        stamp = (layout.venv / "devcloud-stamp").read_text()
    except FileNotFoundError:
        return False
    return stamp == fingerprint() and layout.python.exists()


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the environment, which clouds may share, while it or its templates are changed."""
    layout.venv.mkdir(parents=True, exist_ok=True)
    with (layout.venv / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(layout: Layout, progress: Callable[[str], None]) -> None:
    """Make the environment if it is missing or out of date. Call it with the lock held."""
    if is_current(layout):
        return
    stamp = layout.venv / "devcloud-stamp"
    # Gone before anything changes: what is interrupted is never taken for complete.
    stamp.unlink(missing_ok=True)
    layout.log("install").unlink(missing_ok=True)
    progress(f"making a virtual environment in {layout.venv}")
    make_venv(layout, layout.venv)
    progress("installing the services from PyPI (some minutes)")
    pip_install(
        layout,
        layout.venv,
        # Nobody needs a compiler: fail with pip's own words rather than in a build.
        *("--only-binary", ":all:", "--no-binary", SOURCE_ONLY),
        *("-r", REQUIREMENTS, "-c", CONSTRAINTS),
    )
    stamp.write_text(fingerprint())


def make_venv(layout: Layout, home: Path) -> None:
    """Make a virtual environment anew; the cloud's install log says what happened."""
    for path in home.iterdir() if home.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
    _run(
        layout,
        [sys.executable, "-m", "venv", home],
        "python3 -m venv failed (on Debian and Ubuntu it needs the package python3-venv)",
    )


def pip_install(layout: Layout, home: Path, *args: str | os.PathLike[str]) -> None:
    """Run pip install in a virtual environment; the cloud's install log says what happened."""
    quiet = ("--disable-pip-version-check", "--no-input")
    _run(
        layout,
        [home / "bin" / "python", "-m", "pip", "install", *quiet, *args],
        f"pip install failed in {home}",
    )


def _run(layout: Layout, argv: Sequence[str | os.PathLike[str]], failure: str) -> None:
    log = layout.log("install")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            process.argv_bound(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the caller, which then ends the child and what pip started.
            start_new_session=True,
        )
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                # pip cleans up after an interrupt, if it gets the time.
                os.killpg(child.pid, signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=5)
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
    if code != 0:
        raise DevcloudError(failure, log_tail(log))
