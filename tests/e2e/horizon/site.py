# SPDX-License-Identifier: Apache-2.0
"""Horizon from PyPI with the plugin, before the services of an embedded cloud."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from devcloud import environment
from devcloud.children import Children
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import SOURCE_ROOT, Layout
from devcloud.terminal import Progress

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = HERE / "constraints.txt"
SETTINGS = HERE / "settings"
PLUGIN = SOURCE_ROOT / "dashboard"

#: Seconds until Horizon must answer.
_START = 120


def venv_of(layout: Layout) -> Path:
    """Return Horizon's environment: HORIZON_VENV, else one in the cloud's folder."""
    return Path(os.environ.get("HORIZON_VENV", layout.root / "horizon-venv"))


def ensure(layout: Layout, progress: Progress) -> None:
    """Make Horizon's environment and its static files, or renew what is out of date."""
    home = venv_of(layout)

    def make() -> None:
        progress(f"making Horizon's environment in {home}")
        environment.make_venv(layout, home)
        environment.pip_install(layout, home, "-r", REQUIREMENTS, "-c", CONSTRAINTS)
        # Horizon's environment has what they are built with.
        plugin = ("--no-build-isolation", "-c", CONSTRAINTS, SOURCE_ROOT, PLUGIN)
        environment.pip_install(layout, home, *plugin)
        progress("making Horizon's static files")
        for command in (("collectstatic", "--noinput"), ("compress", "--force")):
            environment.run_logged(
                [home / "bin" / "python", "-m", "django", *command],
                layout.log("install"),
                f"Horizon's {command[0]} failed",
                {**_environment(home), "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings"},
            )

    settings = SETTINGS / "local" / "local_settings.py"
    setups = (SOURCE_ROOT / "setup.cfg", PLUGIN / "setup.cfg")
    wanted = environment.fingerprint(REQUIREMENTS, CONSTRAINTS, settings, *setups)
    environment.renew(home, "horizon", wanted, make)
    _enable(home)


def _enable(home: Path) -> None:
    """Copy the files of the plugin to where Horizon reads them, as its README says."""
    (local,) = home.glob("lib/python3*/site-packages/openstack_dashboard/local")
    for folder in ("enabled", "local_settings.d"):
        for file in (PLUGIN / "uniqserial_dashboard" / folder).glob("_*.py"):
            if file.name != "__init__.py":
                shutil.copy(file, local / folder)


def _environment(home: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
        # The sources, which are newer than what is installed.
        "PYTHONPATH": os.pathsep.join(map(str, (SETTINGS, SOURCE_ROOT, PLUGIN))),
        "HORIZON_TEST_STATIC": str(home / "horizon-static"),
    }


@contextlib.contextmanager
def serve(layout: Layout, keystone: str, folder: Path, reports: Path) -> Iterator[str]:
    """Serve Horizon and yield its URL, which is on the loopback interface.

    :param keystone: the URL of the cloud's identity service, with its version
    :param folder: for what one run writes
    :param reports: the folder of the nightly reports
    """
    home = venv_of(layout)
    log = folder / "horizon.log"
    sessions = folder / "sessions"
    sessions.mkdir()
    # It has nothing to save when it is ended.
    with Children() as children:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            children.start(
                "Horizon",
                [home / "bin" / "python", HERE / "serve.py", str(listener.fileno())],
                log,
                env={
                    **_environment(home),
                    "HORIZON_TEST_KEYSTONE": keystone,
                    "HORIZON_TEST_SESSIONS": str(sessions),
                    "HORIZON_TEST_REPORTS": str(reports),
                },
                pass_fds=[listener.fileno()],
            )
        for name, status in children.answers({"Horizon": f"{url}/auth/login/"}, _START):
            if status != 200:
                raise DevcloudError(f"{name} answered {status}", log_tail(log))
        yield url
