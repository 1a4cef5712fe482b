# SPDX-License-Identifier: Apache-2.0
"""Build the files of a release, the same bytes for the same commit.

Usage: python -m tools.release FOLDER

For each distribution the folder gets a source distribution, a wheel that is built from it, and an
SBOM (CycloneDX) with the required dependencies. SHA256SUMS has the checksums of all of them.

The files are built from the commit that is checked out, with SOURCE_DATE_EPOCH set to its time, and
with the versions in constraints.txt.
"""

from __future__ import annotations

import copy
import email.parser
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
#: Below the root of the repository.
DISTRIBUTIONS = (".", "nova_driver", "dashboard")


def run(*command: str | Path, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed and return what it printed.

    :raises SystemExit: it failed; with its output
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **(environ or {})},
        capture_output=True,
        text=True,
        umask=0o022,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def commit_time(root: Path) -> int:
    """Return the time of the commit in seconds since 1970.

    :raises SystemExit: the checkout has changes that are in no commit
    """
    changed = run("git", "status", "--porcelain", folder=root)
    if changed:
        sys.exit(
            f"A release is built from a commit, and {root} has other changes. Nothing was built."
            f" Commit or remove them:\n{changed}"
        )
    return int(run("git", "log", "-1", "--format=%ct", folder=root))


def build(root: Path, folder: Path) -> list[Path]:
    """Build the source distributions, and the wheels from them.

    :param root: a checkout without changes
    :param folder: an empty folder for them
    :returns: the wheels
    """
    time = commit_time(root)
    environ = {"SOURCE_DATE_EPOCH": str(time)}
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        archive = Path(scratch) / "tree.tar"
        run("git", "archive", "--output", archive, "HEAD", folder=root)
        with tarfile.open(archive) as opened:
            # Python 3.11.2, which Debian 12 has, knows no filters.
            opened.extraction_filter = getattr(tarfile, "data_filter", None)
            opened.extractall(tree)  # noqa: S202 - filtered
        for place in DISTRIBUTIONS:
            made = Path(scratch) / "made"
            command = (sys.executable, "-m", "build", "--sdist", "--no-isolation")
            run(*command, "--outdir", made, tree / place, folder=tree)
            (sdist,) = made.iterdir()
            normalise(sdist, folder / sdist.name, time)
            sdist.unlink()
            wheel = (*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
            run(*wheel, folder / sdist.name, folder=tree, environ=environ)
    return sorted(folder.glob("*.whl"))


def normalise(sdist: Path, target: Path, time: int) -> None:
    """Write a source distribution again, without what depends on the build.

    setuptools writes the time of the build into the gzip header, and the times, the modes and the
    owner of the files that it finds; SOURCE_DATE_EPOCH has no effect
    (https://github.com/pypa/setuptools/issues/2133).
    """
    with (
        tarfile.open(sdist) as old,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=time) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            entry = copy.copy(member)
            entry.mtime = time
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            # Times with fractions.
            entry.pax_headers = {}
            entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(entry, old.extractfile(member) if member.isfile() else None)


def install(wheel: Path, home: Path) -> Path:
    """Install a wheel and its required dependencies, from the index of pip.

    A dependency that was built beside the wheel is installed from there, in that version.

    :param home: the virtual environment, which must not exist yet
    :returns: its interpreter
    """
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    beside = map(metadata, wheel.parent.glob("*.whl"))
    versions = {about["Name"]: about["Version"] for about in beside}
    pins = [f"{name}=={versions[name]}" for name in requirements(wheel) if name in versions]
    options = ("--constraint", CONSTRAINTS, "--find-links", wheel.parent)
    run(*pip, "install", *options, wheel, *pins, folder=home)
    return python


def metadata(wheel: Path) -> email.message.Message:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.Parser().parsestr(archive.read(name).decode())


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel requires without its extras, as in ``cliff>=4.13``."""
    found = metadata(wheel).get_all("Requires-Dist", [])
    return [text for text in found if "extra ==" not in text]


def write_sbom(wheel: Path, python: Path, folder: Path) -> Path:
    """Write the SBOM of a distribution, which cyclonedx-py validates, and return it.

    :param python: the interpreter of the environment where :func:`install` put the wheel
    :param folder: the folder for the SBOM
    """
    about = metadata(wheel)
    # cyclonedx-py reads the main component from a pyproject.toml, not from setup.cfg. The values
    # are strings and lists of strings, which JSON and TOML write alike.
    project = {
        "name": about["Name"],
        "version": about["Version"],
        "description": about["Summary"],
        "license": about["License-Expression"] or about["License"],
        "dependencies": requirements(wheel),
    }
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in project.items()]
    sbom = folder / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "pyproject.toml"
        described.write_text("[project]\n" + "".join(lines))
        command = (sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible")
        options = ("--mc-type", "library", "--pyproject", described, "--validate")
        run(*command, *options, "--output-file", sbom, python, folder=folder)
    return sbom


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files in a folder, for ``sha256sum --check``."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    """Build the files of a release; exit with a message if something fails."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty. Nothing was built. Remove its files, or give another.")
    with tempfile.TemporaryDirectory() as scratch:
        for wheel in build(ROOT, folder):
            write_sbom(wheel, install(wheel, Path(scratch) / wheel.name), folder)
    write_checksums(folder)
    print((folder / "SHA256SUMS").read_text(), end="")


if __name__ == "__main__":
    main()
