# SPDX-License-Identifier: Apache-2.0
"""Both ends of the range of Novas that the driver is for, stock and with it installed.

The newest Nova comes from PyPI into a virtual environment that is kept between runs, in
``.tox/novatest`` or where ``NOVATEST_VENV`` says. The oldest is Debian 12's packages.
Neither is ever changed: the driver goes into copies made of links.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcloud import environment
from devcloud.layout import SOURCE_ROOT

DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
INSIDE = Path(__file__).parent / "inside"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
#: As constraints, both: Nova's own version stands among the requirements of the embedded cloud.
PINS = (environment.CONSTRAINTS, environment.REQUIREMENTS)
STAMP = "novatest-stamp"

DEBIAN_PYTHON = Path("/usr/bin/python3")
DEBIAN_SITE = Path("/usr/lib/python3/dist-packages")
#: Nova's major version in Debian 12.
OLDEST = "26"
#: What the oldest end imports -> the Debian package that has it (also in bindep.txt).
DEBIAN_PACKAGES = {
    "nova": "python3-nova",
    "ddt": "python3-ddt",
    "fixtures": "python3-fixtures",
    "oslotest": "python3-oslotest",
    "requests_mock": "python3-requests-mock",
    "testtools": "python3-testtools",
    "wsgi_intercept": "python3-wsgi-intercept",
}


class Unusable(Exception):
    """The machine lacks what an end is made of; the text says what to do."""


@dataclass(frozen=True)
class End:
    """A Python with a Nova, and where that Nova lies."""

    name: str
    python: Path
    site: Path
    #: What this Nova wants in its environment.
    environ: Mapping[str, str] = field(default_factory=dict)

    def command(self, script: str, *args: str | Path) -> list[str]:
        """Return the command line of a script in the folder ``inside``."""
        return [str(self.python), str(INSIDE / script), *map(str, args)]

    def environment(self) -> dict[str, str]:
        """Return the environment for a process of this end: nothing of ours leaks in."""
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "OS_"))
        }
        return {**keep, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore", **self.environ}

    def run(self, script: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a script in the folder ``inside`` with this Nova."""
        return subprocess.run(
            self.command(script, *args),
            env=self.environment(),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
        )


def run(*command: str | Path) -> str:
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unusable(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def newest() -> End:
    """Return the newest Nova; make its environment when it is missing or out of date.

    :raises Unusable: it cannot be made
    """
    home = Path(os.environ.get("NOVATEST_VENV") or SOURCE_ROOT / ".tox" / "novatest").absolute()
    wanted = environment.fingerprint(REQUIREMENTS, *PINS)
    stamp = home / STAMP
    python = home / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        if home.exists() and any(home.iterdir()) and not stamp.exists():
            raise Unusable(f"{home} (NOVATEST_VENV) holds something else: it is not overwritten")
        venv.create(home, clear=True, with_pip=False, symlinks=True)
        # Ours from here on, but not complete.
        stamp.write_text("")
        constraints = [word for path in PINS for word in ("-c", path)]
        # Its processes write no bytecode, and there are many of them.
        options = ("--no-input", "--compile")
        pip = (sys.executable, "-m", "pip", "--python", python)
        run(*pip, "install", *options, "-r", REQUIREMENTS, *constraints)
        stamp.write_text(wanted)
    # Nova's own switch: threads as its services use them now, not eventlet.
    threads = {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
    return End("newest", python, site_of(python), threads)


def oldest() -> End:
    """Return the oldest Nova, Debian's.

    :raises Unusable: the machine does not have it
    """
    wanted = " ".join(sorted(DEBIAN_PACKAGES.values()))
    hint = (
        "The oldest Nova that is tested is Debian 12's. On Debian 12: apt-get install"
        f" --no-install-recommends {wanted}"
    )
    if not DEBIAN_PYTHON.exists():
        raise Unusable(f"There is no {DEBIAN_PYTHON}. {hint}")
    code = (
        "import importlib.metadata as m, importlib.util as u, json, sys\n"
        "missing = [name for name in sys.argv[1:] if u.find_spec(name) is None]\n"
        "print(json.dumps([missing, None if 'nova' in missing else m.version('nova')]))"
    )
    answer = run(DEBIAN_PYTHON, "-I", "-c", code, *DEBIAN_PACKAGES)
    missing, version = json.loads(answer)
    if missing:
        raise Unusable(f"Missing: {' '.join(DEBIAN_PACKAGES[name] for name in missing)}. {hint}")
    if version.split(".")[0] != OLDEST:
        raise Unusable(f"The Nova in {DEBIAN_SITE} is {version}. {hint}")
    # This Nova's services and tests run on eventlet.
    return End("oldest", DEBIAN_PYTHON, DEBIAN_SITE)


def site_of(python: Path) -> Path:
    """Return the folder that a Python installs into."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python, "-I", "-c", code).strip())


def build(folder: Path) -> Path:
    """Build the driver's source distribution, and its wheel from that.

    :returns: the wheel
    """
    # From a copy: a build leaves files behind.
    source = folder / "source"
    litter = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(SOURCE_ROOT / "nova_driver", source, ignore=litter)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, source)
    (sdist,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, sdist)
    (wheel,) = folder.glob("*.whl")
    return wheel


def linked(stock: End, folder: Path) -> Path:
    """Copy a Nova and its libraries, as links."""
    run("cp", "-rs", f"{stock.site}/.", folder)
    return folder


def installed(pip: Path, stock: End, wheel: Path, home: Path) -> End:
    """Return an environment that has a Nova and, installed by pip, the driver.

    :param pip: a Python that has pip
    :param home: the folder to make it in
    """
    bare(stock, home)
    python = home / "bin" / "python"
    end = End(f"{stock.name} with the driver", python, site_of(python), stock.environ)
    linked(stock, end.site)
    install(pip, end.python, wheel)
    return end


def bare(stock: End, home: Path, *options: str) -> None:
    """Make an empty virtual environment of the Python of a Nova."""
    run(stock.python, "-I", "-m", "venv", "--without-pip", *options, home)


def install(pip: Path, python: Path, wheel: Path) -> None:
    """Install the driver as operators do, into the environment of a Python."""
    run(pip, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
