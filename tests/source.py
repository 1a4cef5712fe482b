# SPDX-License-Identifier: Apache-2.0
"""Install the client from its source distribution, and run the unit tests that it has.

Usage: python -m tests.source FOLDER [PYTEST_ARGUMENT...]

The installed requirements must include setuptools and build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Return the exit code of pytest."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    build = (sys.executable, "-m", "build", "--sdist", "--no-isolation")
    subprocess.run((*build, "--outdir", folder, ROOT), check=True)
    (sdist,) = folder.iterdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    options = ("--force-reinstall", "--no-deps", "--no-build-isolation")
    subprocess.run((*pip, *options, sdist), check=True)
    with tarfile.open(sdist) as archive:
        # Python 3.11.2, which Debian 12 has, knows no filters.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)  # noqa: S202 - filtered
    tests = (sys.executable, "-m", "pytest", "tests/unit", *sys.argv[2:])
    return subprocess.run(tests, cwd=folder / sdist.name.removesuffix(".tar.gz")).returncode


if __name__ == "__main__":
    sys.exit(main())
