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

from tests.functional.cloud import ROOT, Cloud
from tests.functional.proxy import Proxy


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """The cloud in DEVCLOUD_DIR (default: .devcloud); started and ended here unless it is up."""
    folder = Path(os.environ.get("DEVCLOUD_DIR", ROOT / ".devcloud"))

    def devcloud(verb: str) -> int:
        command = [sys.executable, "-m", "devcloud", verb, "--dir", str(folder)]
        return subprocess.run(command, cwd=ROOT).returncode

    was_up = devcloud("status") == 0
    if not was_up and devcloud("up") != 0:
        pytest.exit("the embedded cloud did not start; its output says why", returncode=1)
    try:
        yield Cloud(folder)
    finally:
        if not was_up:
            devcloud("down")


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
