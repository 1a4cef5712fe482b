# SPDX-License-Identifier: Apache-2.0
"""Build both wheels, hold their files against lists, and use the client in a clean environment.

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
    "top_level.txt",
}
COMMANDS = (
    "unique serial show",
    "unique serial list",
    "unique serial host list",
    "unique serial audit",
    "unique serial plan",
    "unique serial apply",
    "unique serial verify",
    "unique serial status",
    "unique serial export",
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


def build(python: Path, source: Path, folder: Path, expected: set[str]) -> Path:
    """Build a wheel, which must hold these files and nothing else, and return it."""
    run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
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
    print(f"{wheel.name}: {len(files)} files, as expected")
    return wheel


def check_driver(wheel: Path) -> None:
    """The part inside Nova: the client's own rules, nothing of Nova's, and no requirements."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        if "Requires-Dist" in archive.read(metadata).decode():
            sys.exit(f"{wheel.name} requires something: pip could bring another Nova")
        rules = (ROOT / "osc_uniqserial" / "policy.py").read_bytes()
        if archive.read("nova_uniqserial/policy.py") != rules:
            sys.exit(f"{wheel.name} has other rules than the client")


def main() -> None:
    """Check everything; exit with a message at the first thing that is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "venv"
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        pip = (python, "-m", "pip", "--disable-pip-version-check")
        inside = run("git", "ls-files", "nova_uniqserial", "nova", folder=ROOT / "nova_driver")
        check_driver(
            build(python, ROOT / "nova_driver", Path(scratch) / "driver", set(inside.split()))
        )
        client = set(run("git", "ls-files", "osc_uniqserial").split())
        wheel = build(python, ROOT, Path(scratch) / "client", client)
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
            "from osc_uniqserial import metadefs; assert len(list(metadefs.load())) == 3",
            folder=home,
        )
        extras = {"jinja2", "junitparser", "prometheus-client", "prometheus_client", "markupsafe"}
        if installed & extras:
            sys.exit(f"the client pulls in {sorted(installed & extras)} without the extra reports")
        run(*pip, "install", "--quiet", f"{wheel}[reports]")
        run(
            *(home / "bin" / "python", "-c"),
            "from osc_uniqserial.reports import html, junit, plan, prometheus; import jinja2;"
            " loader = jinja2.PackageLoader('osc_uniqserial', 'reports');"
            " loader.get_source(jinja2.Environment(autoescape=True), 'skeleton.html.j2')",
            folder=home,
        )
    print("the client works in a clean environment")


if __name__ == "__main__":
    main()
