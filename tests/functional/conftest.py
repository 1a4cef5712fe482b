# SPDX-License-Identifier: Apache-2.0
"""One embedded cloud for all functional tests, and a proxy that breaks things."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.cloud import OPENSTACK, ROOT, Cloud, SeededCloud
from tests.functional.proxy import Proxy
from tests.functional.warm import WarmShell


def _folder() -> Path:
    return Path(os.environ.get("DEVCLOUD_DIR", ROOT / ".devcloud"))


def _devcloud(verb: str, folder: Path, *options: str) -> int:
    """Run devcloud; all clouds share the virtual environment of their services."""
    command = [sys.executable, "-m", "devcloud", verb, "--dir", str(folder), *options]
    environment = {"DEVCLOUD_VENV": str(_folder() / "venv"), **os.environ}
    # What seed prints is in a file too.
    output = subprocess.DEVNULL if verb == "seed" else None
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=output).returncode


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmShell]:
    """The shell with all its imports done."""
    with WarmShell(OPENSTACK) as running:
        yield running


@pytest.fixture(scope="session")
def cloud(warm: WarmShell) -> Iterator[Cloud]:
    """The cloud in DEVCLOUD_DIR (default: .devcloud); started and ended here unless it is up."""
    folder = _folder()
    was_up = _devcloud("status", folder) == 0
    if not was_up and _devcloud("up", folder) != 0:
        pytest.exit("the embedded cloud did not start; its output says why", returncode=1)
    try:
        yield Cloud(folder, warm)
    finally:
        if not was_up:
            _devcloud("down", folder)


@pytest.fixture(scope="session")
def seeded(warm: WarmShell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededCloud]:
    """A cloud of its own with 300 servers whose findings are known; look, do not touch.

    DEVCLOUD_SEEDED_DIR names one that is up and seeded already.
    """
    given = os.environ.get("DEVCLOUD_SEEDED_DIR")
    if given:
        yield SeededCloud(Path(given), warm)
        return
    folder = tmp_path_factory.mktemp("seeded")
    try:
        if _devcloud("up", folder) != 0 or _devcloud("seed", folder, "--servers", "300") != 0:
            pytest.exit("the seeded cloud did not start; its output says why", returncode=1)
        yield SeededCloud(folder, warm)
    finally:
        _devcloud("down", folder)


@pytest.fixture
def seeded_proxy(seeded: SeededCloud, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the services of the seeded cloud."""
    with Proxy(seeded, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Return a function that makes names which no other test uses, nor an earlier run."""
    numbers = itertools.count(1)
    run = f"{os.getpid():x}"
    return lambda prefix: f"{prefix}-{run}-{next(numbers)}"


@pytest.fixture(scope="session")
def plain_flavor(cloud: Cloud, unique_name: Callable[[str], str]) -> str:
    """The ID of a flavor that says nothing."""
    return cloud.new_flavor(unique_name("plain"))


@pytest.fixture(scope="session")
def plain_image(cloud: Cloud, unique_name: Callable[[str], str]) -> str:
    """The ID of an image that says nothing."""
    return cloud.new_image(unique_name("plain"))


@pytest.fixture
def proxy(cloud: Cloud, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before every service; ``proxy.clouds_yaml`` makes the shell use it."""
    with Proxy(cloud, tmp_path) as running:
        yield running
