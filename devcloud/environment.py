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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from devcloud.children import Argument, start
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.terminal import Progress

REQUIREMENTS = SOURCE_ROOT / "devcloud" / "requirements.txt"
CONSTRAINTS = SOURCE_ROOT / "devcloud" / "constraints.txt"

LOCK = "devcloud-lock"
#: The name of the stamp of the services.
SERVICES = "devcloud"

#: Published without wheels. Both build without a compiler: ovs leaves out its C parser then.
SOURCE_ONLY = "ovs,simplegeneric"


def interpreter() -> str:
    """The Python that an environment is made with: another one needs another environment."""
    return f"{sys.version} {os.path.realpath(sys.base_prefix)}"


def fingerprint(*parts: str | Path) -> str:
    """A digest of the interpreter, of texts and of what files hold."""
    digest = hashlib.sha256(interpreter().encode())
    for part in parts:
        digest.update((part.encode() if isinstance(part, str) else part.read_bytes()) + b"\0")
    return digest.hexdigest()


def is_current(home: Path, name: str, wanted: str) -> bool:
    """Tell whether something in a virtual environment is complete and has this fingerprint."""
    stamp = _stamp(home, name)
    return stamp.exists() and stamp.read_text() == wanted and (home / "bin" / "python").exists()


def renew(home: Path, name: str, wanted: str, make: Callable[[], None]) -> None:
    """Make something in a virtual environment that is missing or has another fingerprint."""
    if is_current(home, name, wanted):
        return
    stamp = _stamp(home, name)
    # Removed before anything changes: what is interrupted is never taken for complete.
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(wanted)


def _stamp(home: Path, name: str) -> Path:
    # In the root of the environment: making it again removes the stamps.
    return home / f"{name}-stamp"


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold the environment, which clouds may share, while it or its templates are changed."""
    layout.venv.mkdir(parents=True, exist_ok=True)
    with (layout.venv / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(layout: Layout, progress: Progress) -> None:
    """Make the environment if it is missing or out of date. Call it with the lock held."""

    def make() -> None:
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

    renew(layout.venv, SERVICES, services_fingerprint(), make)


def services_fingerprint() -> str:
    """A digest of what the services are installed from."""
    return fingerprint(REQUIREMENTS, CONSTRAINTS)


def clear(home: Path) -> None:
    """Remove what is in a virtual environment, but not its lock."""
    for path in home.iterdir() if home.exists() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def make_venv(layout: Layout, home: Path) -> None:
    """Make a new virtual environment; the output is in the cloud's install log."""
    clear(home)
    run_logged(
        [sys.executable, "-m", "venv", home],
        layout.log("install"),
        "python3 -m venv failed (on Debian and Ubuntu it needs the package python3-venv)",
    )


def pip_install(layout: Layout, home: Path, *args: Argument) -> None:
    """Run pip install in a virtual environment; the cloud's install log says what happened."""
    # Few of the modules are imported: compiling all takes longer.
    options = ("--disable-pip-version-check", "--no-input", "--no-compile")
    run_logged(
        [home / "bin" / "python", "-m", "pip", "install", *options, *args],
        layout.log("install"),
        f"pip install failed in {home}",
    )


def run_logged(
    argv: Sequence[Argument], log: Path, failure: str, env: Mapping[str, str] | None = None
) -> None:
    """Run a command that must succeed, with what it prints added to a log.

    :raises DevcloudError: it did not; with the failure and the end of the log
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Ctrl-C is for the caller, which then ends the child and what the child started.
    child = start(argv, log, append=True, env=env, start_new_session=True)
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
