# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/ and devstack/, used by the code of the installers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.environment import NOVA_DRIVER, build, build_sdist


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of nova-uniqserial."""
    return build_sdist(NOVA_DRIVER, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of nova-uniqserial."""
    return build(str(sdist), tmp_path_factory.mktemp("wheel"))
