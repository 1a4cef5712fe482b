# SPDX-License-Identifier: Apache-2.0
"""Build the wheel, hold its files against the list, and use it in a clean environment.

Usage: python3 tests/package.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METADATA = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "pbr.json",
    "top_level.txt",
}
COMMANDS = (
    "unique serial show",
    "unique serial metadef install",
    "unique serial metadef check",
    "unique serial metadef remove",
)


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Check everything; exit with a message at the first thing that is wrong."""
    expected = set(run("git", "ls-files", "osc_uniqserial").split())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "venv"
        venv.create(home, with_pip=True)
        pip = (home / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
        run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, ".")
        (wheel,) = Path(folder).glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        info = f"{wheel.name.split('-')[0]}-{wheel.name.split('-')[1]}.dist-info/"
        about = {name.removeprefix(info) for name in names if name.startswith(info)}
        files = {name for name in names if not name.startswith(info)}
        for what, found, wanted in (("files", files, expected), ("metadata", about, METADATA)):
            if found != wanted:
                sys.exit(
                    f"{what} in {wheel.name}: unexpected {sorted(found - wanted)},"
                    f" missing {sorted(wanted - found)}"
                )
        run(*pip, "install", "--quiet", wheel)
        installed = {line.split("==")[0] for line in run(*pip, "freeze").lower().splitlines()}
        pulled_in = installed & {"nova", "glance", "pytest", "hypothesis", "requests-mock"}
        if pulled_in:
            sys.exit(f"the client pulls in {sorted(pulled_in)}")
        openstack = home / "bin" / "openstack"
        for command in COMMANDS:
            run(openstack, *command.split(), "--help")
        for stock in ("flavor set", "image set", "aggregate set"):
            if "--unique-serial" not in run(openstack, *stock.split(), "--help"):
                sys.exit(f"'openstack {stock}' does not offer --unique-serial")
        run(
            *(home / "bin" / "python", "-c"),
            "from osc_uniqserial import metadefs; assert len(list(metadefs.load())) == 2",
            folder=home,
        )
    print(f"{wheel.name}: {len(files)} files, as expected; it works in a clean environment")


if __name__ == "__main__":
    main()
