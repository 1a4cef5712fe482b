# SPDX-License-Identifier: Apache-2.0
"""Horizon from PyPI, before the services of an embedded cloud."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from devcloud import environment, process
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import Layout

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = HERE / "constraints.txt"
SETTINGS = HERE / "settings"

#: Seconds until Horizon must answer.
_START = 120
_MADE = "horizon-stamp"


def venv_of(layout: Layout) -> Path:
    """Return Horizon's environment: HORIZON_VENV, else one in the cloud's folder."""
    return Path(os.environ.get("HORIZON_VENV", layout.root / "horizon-venv"))


def ensure(layout: Layout, progress: Callable[[str], None]) -> None:
    """Make Horizon's environment and its static files, or renew what is out of date."""
    home = venv_of(layout)
    stamp = home / _MADE
    fingerprint = _fingerprint()
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    stamp.unlink(missing_ok=True)
    progress(f"making Horizon's environment in {home}")
    home.mkdir(parents=True, exist_ok=True)
    environment.make_venv(layout, home)
    environment.pip_install(layout, home, "-r", REQUIREMENTS, "-c", CONSTRAINTS)
    progress("making Horizon's static files")
    for command in (("collectstatic", "--noinput"), ("compress", "--force")):
        made = subprocess.run(
            [home / "bin" / "python", "-m", "django", *command],
            env={**_environment(home), "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings"},
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            raise DevcloudError(f"Horizon's {command[0]} failed", made.stdout + made.stderr)
    stamp.write_text(fingerprint)


def _fingerprint() -> str:
    files = (REQUIREMENTS, CONSTRAINTS, SETTINGS / "local" / "local_settings.py")
    parts = [environment.interpreter().encode(), *(path.read_bytes() for path in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _environment(home: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
        "PYTHONPATH": str(SETTINGS),
        "HORIZON_TEST_STATIC": str(home / "horizon-static"),
    }


class Site:
    """A running Horizon.

    :ivar url: where it is, on the loopback interface
    :ivar log: what it says
    """

    def __init__(self, layout: Layout, keystone: str, folder: Path) -> None:
        """Prepare to serve.

        :param keystone: the URL of the cloud's identity service, with its version
        :param folder: for what one run writes
        """
        self._home = venv_of(layout)
        self._keystone = keystone
        self._folder = folder
        self.log = folder / "horizon.log"
        self.url = ""

    def __enter__(self) -> Site:
        sessions = self._folder / "sessions"
        sessions.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("wb") as log:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._child = subprocess.Popen(
                process.argv_bound(
                    [self._home / "bin" / "python", HERE / "serve.py", str(listener.fileno())]
                ),
                env={
                    **_environment(self._home),
                    "HORIZON_TEST_KEYSTONE": self._keystone,
                    "HORIZON_TEST_SESSIONS": str(sessions),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
            )
        try:
            self._await()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def _await(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _START
        while True:
            if self._child.poll() is not None:
                raise DevcloudError("Horizon ended while starting", log_tail(self.log))
            try:
                with opener.open(f"{self.url}/auth/login/", timeout=_START):
                    return
            except urllib.error.HTTPError as error:
                raise DevcloudError(f"Horizon answered {error.code}", log_tail(self.log)) from error
            except OSError:
                if time.monotonic() > deadline:
                    raise DevcloudError("Horizon did not start", log_tail(self.log)) from None
                time.sleep(0.2)

    def _end(self) -> None:
        # Nothing to save.
        self._child.kill()
        self._child.wait()
