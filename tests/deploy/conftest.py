# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/ and devstack/, used by the code of the installers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.environment import NOVA_DRIVER, build


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of nova-uniqserial."""
    folder = tmp_path_factory.mktemp("sdist")
    command = (sys.executable, "-m", "build", "--quiet", "--no-isolation", "--sdist")
    subprocess.run((*command, "--outdir", folder, NOVA_DRIVER), check=True)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of nova-uniqserial."""
    return build(str(sdist), tmp_path_factory.mktemp("wheel"))
