# SPDX-License-Identifier: Apache-2.0
"""The embedded clouds of the functional tests, and a proxy that injects faults.

With ``pytest -n 3`` each cloud has a process of its own for its tests.
"""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.functional.cloud import OPENSTACK, ROOT, Cloud, SeededCloud
from tests.functional.proxy import Proxy
from tests.functional.warm import WarmShell

#: The modules whose tests need a seeded cloud, for each of two such clouds. The tests of all
#: other modules need the plain one.
SEEDED = (
    ("audit", "nightly", "plan", "reports", "verify"),
    (
        "auditor",
        "export",
        "faults",
        "inventory",
        "list",
        "python_api",
        "several_clouds",
        "warm",
        "campaign",
    ),
)
#: Modules that change a seeded cloud: others know what it has.
LAST = ("campaign",)


def _module(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).stem.removeprefix("test_")


def _cloud_of(nodeid: str) -> str:
    module = _module(nodeid)
    return next((f"seeded-{n}" for n, names in enumerate(SEEDED) if module in names), "cloud")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check that the tests of each module need one cloud; put those that change it last."""
    for item in items:
        needed = {"seeded", "cloud"} & {*getattr(item, "fixturenames", ())}
        if not needed <= {_cloud_of(item.nodeid).partition("-")[0]}:
            raise pytest.UsageError(f"{item.nodeid} needs {needed}: see SEEDED in {__file__}")
    items.sort(key=lambda item: _module(item.nodeid) in LAST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send all tests of a cloud to one process: they change it, one after the other.

    What ``--dist loadgroup`` is for, but its groups get lost with pytest 9.2 and xdist 3.8.
    """
    scheduler = importlib.import_module("xdist.scheduler").LoadScopeScheduling(config, log)
    # The method that others override, too.
    scheduler._split_scope = _cloud_of
    return scheduler


def _folder() -> Path:
    return Path(os.environ.get("DEVCLOUD_DIR", ROOT / ".devcloud"))


def _devcloud(verb: str, folder: Path, *options: str) -> int:
    """Run devcloud; all clouds share the virtual environment of their services."""
    command = [sys.executable, "-m", "devcloud", verb, "--dir", str(folder), *options]
    environment = {"DEVCLOUD_VENV": str(_folder() / "venv"), **os.environ}
    # What seed prints is in a file too.
    output = subprocess.DEVNULL if verb == "seed" else None
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=output).returncode


def _give_up(request: pytest.FixtureRequest, cloud: str) -> NoReturn:
    """End the session; pytest.exit does not show the reason in a process of xdist."""
    reason = f"{cloud} did not start; its output says why"
    request.session.shouldfail = reason
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmShell]:
    """The shell with all its imports done."""
    with WarmShell(OPENSTACK) as running:
        yield running


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest, warm: WarmShell) -> Iterator[Cloud]:
    """The cloud in DEVCLOUD_DIR (default: .devcloud); started and ended here unless it is up."""
    folder = _folder()
    was_up = _devcloud("status", folder) == 0
    if not was_up and _devcloud("up", folder) != 0:
        _give_up(request, "the embedded cloud")
    try:
        yield Cloud(folder, warm)
    finally:
        if not was_up:
            _devcloud("down", folder)


@pytest.fixture(scope="session")
def seeded(
    request: pytest.FixtureRequest, warm: WarmShell, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SeededCloud]:
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
            _give_up(request, "the seeded cloud")
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
