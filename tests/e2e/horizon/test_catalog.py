# SPDX-License-Identifier: Apache-2.0
"""The catalog of messages for translators, as Django's makemessages writes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from devcloud.layout import Layout
from tests.e2e.horizon import site
from tests.functional.cloud import Cloud

PACKAGE = site.PLUGIN / "uniqserial_dashboard"
COMMAND = ("makemessages", "--all", "--keep-pot", "--add-location=never")


def without_time(catalog: Path) -> list[str]:
    """Return the lines of a catalog without the time of its creation."""
    lines = catalog.read_text().splitlines()
    return [line for line in lines if not line.startswith('"POT-Creation-Date:')]


@pytest.mark.usefixtures("serve_horizon")
def test_the_catalog_is_current(cloud: Cloud, tmp_path: Path) -> None:
    python = site.venv_of(Layout.of(cloud.folder)) / "bin" / "python"
    copy = tmp_path / "package"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pot"))
    done = subprocess.run(
        (python, "-m", "django", *COMMAND), cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    catalog = Path("locale", "django.pot")
    expected = without_time(copy / catalog)
    assert 'msgid "Serial Number"' in expected
    assert without_time(PACKAGE / catalog) == expected, (
        f"Run 'python -m django {' '.join(COMMAND)}' in {PACKAGE.name}"
    )
