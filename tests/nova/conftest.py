# SPDX-License-Identifier: Apache-2.0
"""Both ends of the range of Novas, each stock and with the driver."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nova import ends
from tests.nova.ends import End

#: Runs with the Python of a Nova, in processes of its own.
collect_ignore = ["inside"]

_MAKERS: dict[str, Callable[[], End]] = {"newest": ends.newest, "oldest": ends.oldest}


@pytest.fixture(scope="session", params=["newest", "oldest"])
def stock(request: pytest.FixtureRequest) -> End:
    """A Nova as it was published."""
    try:
        return _MAKERS[str(request.param)]()
    except ends.Unusable as error:
        # Not skipped: a skipped half would not be noticed.
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, built."""
    return ends.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def ours(stock: End, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> End:
    """The same Nova with the driver, in one environment."""
    home = tmp_path_factory.mktemp(stock.name) / "venv"
    return ends.installed(Path(sys.executable), stock, wheel, home)
