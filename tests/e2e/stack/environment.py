# SPDX-License-Identifier: Apache-2.0
"""The services' virtual environment: the embedded cloud's, libvirt's bindings, our driver.

It is not the environment of the embedded cloud's own tests, which stays stock.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from devcloud import environment
from devcloud.environment import fingerprint
from devcloud.layout import SOURCE_ROOT
from devcloud.layout import Layout as CloudLayout
from devcloud.terminal import Progress
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.machine import libvirt_version

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DRIVER = SOURCE_ROOT / "nova_driver"

#: Left by builds in the tree; no part of what is installed.
_BUILT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*.pyc")


def ensure(layout: Layout, progress: Progress) -> None:
    """Make the environment, or renew what is out of date in it."""

    def step(name: str, wanted: str, install: Callable[[Layout], None]) -> None:
        def make() -> None:
            progress(f"installing the {name}")
            install(layout)

        environment.renew(layout.venv, f"e2e-{name}", wanted, make)

    with environment.locked(layout.cloud):
        _copy_services(layout, progress)
        environment.ensure(layout.cloud, progress)
        step("bindings", fingerprint(str(libvirt_version()), REQUIREMENTS), _install_bindings)
        step("driver", driver_fingerprint(), _install_driver)


def _copy_services(layout: Layout, progress: Progress) -> None:
    """Copy the environment of the embedded cloud if there is one: installing it takes longer."""
    cloud, wanted = CloudLayout.of(), environment.services_fingerprint()
    if not environment.is_current(cloud.venv, environment.SERVICES, wanted):
        return

    def make() -> None:
        progress(f"copying {cloud.venv}")
        environment.clear(layout.venv)
        # Stamps and templates of the databases are made again.
        ignored = shutil.ignore_patterns("devcloud-*")
        shutil.copytree(cloud.venv, layout.venv, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        for script in (layout.venv / "bin").iterdir():
            if script.is_file() and not script.is_symlink():
                text = script.read_bytes()
                moved = text.replace(bytes(cloud.venv), bytes(layout.venv))
                if moved != text:
                    script.write_bytes(moved)

    with environment.locked(cloud):
        environment.renew(layout.venv, environment.SERVICES, wanted, make)


def _install_bindings(layout: Layout) -> None:
    environment.pip_install(
        layout.cloud,
        layout.venv,
        *("-r", REQUIREMENTS, "-c", environment.CONSTRAINTS),
        # Published as source only. It builds with any libvirt that is not older than itself.
        f"libvirt-python<={libvirt_version()}",
    )


def driver_fingerprint() -> str:
    """What the installed driver was made from."""
    digest = hashlib.sha256()
    for path in sorted(DRIVER.rglob("*")):
        name = path.relative_to(DRIVER)
        built = any(part == "build" or part.endswith(".egg-info") for part in name.parts)
        # A link, such as the one to policy.py, counts with what it points to.
        if path.is_file() and not built and "__pycache__" not in name.parts:
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _install_driver(layout: Layout) -> None:
    # From a copy: a build in the tree leaves files behind, and takes old ones along.
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "nova_driver"
        shutil.copytree(DRIVER, source, ignore=_BUILT)
        environment.pip_install(
            layout.cloud,
            layout.venv,
            *("--no-deps", "--force-reinstall", source),
        )
