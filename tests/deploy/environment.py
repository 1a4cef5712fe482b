# SPDX-License-Identifier: Apache-2.0
"""Paths, and virtual environments with a package that is named nova."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import venv
from pathlib import Path

from oslo_config import cfg

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
NOVA_DRIVER = ROOT / "nova_driver"
DASHBOARD = ROOT / "dashboard"
DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
STOCK = "libvirt.LibvirtDriver"

_LOOK = """
import importlib.metadata, importlib.util, json, os
def where(name):
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return spec.origin and os.path.realpath(spec.origin) if spec else None
names = ("nova", "nova.virt.driver", "nova.virt.uniqserial", "nova_uniqserial.policy")
points = importlib.metadata.entry_points(group="nova.api.extra_spec_validators")
print(json.dumps({**{n: where(n) for n in names}, "validators": [p.value for p in points]}))
"""


@dataclasses.dataclass(frozen=True)
class Environment:
    """A virtual environment.

    :ivar home: its folder
    """

    home: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.home / "bin" / "python3"

    @property
    def site(self) -> Path:
        """The folder site-packages."""
        (found,) = self.home.glob("lib/python3*/site-packages")
        return found

    def look(self) -> dict[str, str | list[str] | None]:
        """Return the file of each module, None if it is not found, and the validators."""
        command = (self.python, "-c", _LOOK)
        done = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True)
        found: dict[str, str | list[str] | None] = json.loads(done.stdout)
        return found

    def assert_complete(self, nova: Path, shim: Path) -> None:
        """Check that Nova and nova-uniqserial are found.

        :param nova: the folder of the package nova
        :param shim: the folder of the package nova.virt.uniqserial
        """
        found = self.look()
        policy = str(found.pop("nova_uniqserial.policy"))
        assert policy.endswith("/nova_uniqserial/policy.py")
        assert found == {
            "nova": str(nova / "__init__.py"),
            "nova.virt.driver": str(nova / "virt" / "driver.py"),
            "nova.virt.uniqserial": str(shim / "__init__.py"),
            "validators": ["nova_uniqserial.extra_specs"],
        }

    def assert_removed(self, nova: Path) -> None:
        """Check that Nova is found, and that no file of nova-uniqserial is left.

        :param nova: the folder of the package nova
        """
        assert self.look() == {
            "nova": str(nova / "__init__.py"),
            "nova.virt.driver": str(nova / "virt" / "driver.py"),
            "nova.virt.uniqserial": None,
            "nova_uniqserial.policy": None,
            "validators": [],
        }
        assert not [*self.site.rglob("*uniqserial*"), *nova.rglob("*uniqserial*")]


def resolve(arguments: list[str]) -> dict[str, str | None]:
    """Read configuration files as nova-compute does.

    :returns: the driver and the mode
    """
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt("compute_driver"))
    conf.register_opt(cfg.StrOpt("sysinfo_serial", default="unique"), group="libvirt")
    conf(arguments, project="nova", prog="nova-compute", default_config_dirs=[])
    return {"driver": conf.compute_driver, "mode": conf.libvirt.sysinfo_serial}


def make(home: Path, *, pip: bool) -> Environment:
    """Make a virtual environment."""
    venv.create(home, with_pip=pip, symlinks=True)
    return Environment(home)


def write_nova(folder: Path) -> Path:
    """Write a package that is named nova and return its folder.

    Where a driver is found depends on the folders only; tests/nova load it with Nova itself.
    """
    package = folder / "nova"
    (package / "virt").mkdir(parents=True)
    for name in ("__init__.py", "virt/__init__.py", "virt/driver.py"):
        (package / name).touch()
    return package


def build_sdist(source: Path, folder: Path) -> Path:
    """Build a source distribution without a network, in an empty folder, and return it.

    :param source: the folder of the distribution
    """
    command = (sys.executable, "-m", "build", "--quiet", "--no-isolation", "--sdist")
    subprocess.run((*command, "--outdir", folder, source), check=True)
    (archive,) = folder.iterdir()
    return archive


def build(source: str, folder: Path) -> Path:
    """Build a wheel without a network and return it.

    :param source: what pip accepts as a requirement
    """
    command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run((*command, "--wheel-dir", folder, source), check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def ansible(folder: Path) -> dict[str, str]:
    """Return the variables that keep Ansible from the files of the user: it uses this folder."""
    configuration = folder / "ansible.cfg"
    configuration.touch()
    return {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_CONFIG": str(configuration)}
