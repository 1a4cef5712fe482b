# SPDX-License-Identifier: Apache-2.0
"""The DevStack plugin: bashate and shellcheck, and its phases under bash.

Functions of DevStack are replaced at their edge (devstack_functions.sh): pip installs as DevStack
lets it, configuration files are written.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import environment
from tests.deploy.environment import DRIVER, ROOT, STOCK, Environment

PLUGIN = ROOT / "devstack"
FUNCTIONS = Path(__file__).with_name("devstack_functions.sh")
BIN = Path(sys.executable).parent

_NOVA_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "nova"
version = "34.0.0"
[tool.setuptools]
packages = ["nova", "nova.virt"]
"""


@pytest.mark.parametrize("file", ["plugin.sh", "settings"])
def test_style(file: str) -> None:
    # The options of DevStack's own tox.ini. A file of settings begins without an interpreter.
    bashate = (BIN / "bashate", "-iE005,E006", "-eE042", PLUGIN / file)
    for command in (bashate, (BIN / "shellcheck", "--shell=bash", PLUGIN / file)):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


class Stack:
    """A folder as DevStack makes it.

    :ivar environment: the virtual environment, empty until :meth:`install_nova`
    :ivar nova: the folder of the package nova
    """

    def __init__(self, folder: Path) -> None:
        self.source = folder / "nova"
        self.nova = environment.write_nova(self.source)
        self.conf = folder / "nova.conf"
        self.conf.write_text(f"[DEFAULT]\ncompute_driver = {STOCK}\n")
        self.environment = Environment(folder / "venv")

    def install_nova(self) -> None:
        """Install Nova as DevStack does: editable."""
        (self.source / "pyproject.toml").write_text(_NOVA_PROJECT)
        environment.make(self.environment.home, pip=True)
        # What builds the distributions, so that pip needs no network.
        tools = Environment(Path(sys.prefix)).site
        (self.environment.site / "tools.pth").write_text(f"{tools}\n")
        self.pip("-e", str(self.source))

    def pip(self, *requirement: str) -> None:
        """Install as DevStack does, except for the constraints."""
        self.bash(f"pip_install {' '.join(requirement)}")

    def bash(self, script: str, **variables: str) -> str:
        """Run a script with the functions of DevStack and return what it printed."""
        environ = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "DEVSTACK_VENV": str(self.environment.home),
            "GLOBAL_VENV": "True",
            "NOVA_CONF": str(self.conf),
            "NOVA_DIR": str(self.source),
            "PYTHON": str(self.environment.python),
            "SERVICES": "n-api n-cpu",
            "VIRT_DRIVER": "libvirt",
            **variables,
        }
        command = ("bash", "-o", "errexit", "-c", f"source {FUNCTIONS}; {script}")
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def phase(self, arguments: str, **variables: str) -> str:
        """Run a phase of the plugin."""
        script = f"source {PLUGIN}/settings; source {PLUGIN}/plugin.sh {arguments}"
        return self.bash(script, **variables)

    def check(self, name: str) -> dict[str, str]:
        """Return a row of ``python3 -m nova_uniqserial check``."""
        command = (self.environment.python, "-m", "nova_uniqserial", "check")
        options = ("--config-file", self.conf, "-f", "json")
        done = subprocess.run((*command, *options), cwd="/", capture_output=True, text=True)
        assert done.returncode == 3, done.stderr
        (row,) = [row for row in json.loads(done.stdout) if row["check"] == name]
        return dict(row)

    @property
    def options(self) -> dict[str, str]:
        """The options that the plugin sets, of nova.conf."""
        config = configparser.ConfigParser()
        config.read(self.conf)
        mode = config.get("libvirt", "sysinfo_serial", fallback="")
        return {"driver": config["DEFAULT"]["compute_driver"], "mode": mode}


def test_the_driver_is_found_beside_an_editable_nova(wheel: Path, tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.install_nova()
    shim = ROOT / "nova_driver" / "nova" / "virt" / "uniqserial"
    nova = str(stack.nova / "__init__.py")
    assert stack.environment.look()["nova"] == nova
    # The reason for the link: pip alone hides Nova.
    stack.pip(str(wheel))
    assert stack.environment.look()["nova"] is None
    row = stack.check("nova")
    assert row["result"] == "failed"
    hiding = stack.environment.site / "nova"
    assert f"editable from {stack.source}" in row["reason"]
    assert f"{hiding}, which has only the driver" in row["reason"]
    _, _, command = row["remedy"].rpartition(": ")
    stack.bash(command)
    stack.environment.assert_complete(stack.nova, stack.nova / "virt" / "uniqserial")
    # The plugin is run again at each stack.sh.
    for _ in range(2):
        stack.phase("stack install")
        stack.environment.assert_complete(stack.nova, shim)
    assert (stack.environment.site / "osc_uniqserial" / "commands" / "show.py").exists()
    # unstack.sh ends the services only.
    stack.phase("unstack")
    stack.environment.assert_complete(stack.nova, shim)
    # Without a virtual environment, which clean.sh removes.
    stack.phase("clean", GLOBAL_VENV="False")
    stack.environment.assert_removed(stack.nova)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"driver": DRIVER, "mode": "auto"}),
        ({"UNIQSERIAL_HOST_MODE": "os"}, {"driver": DRIVER, "mode": "os"}),
        ({"VIRT_DRIVER": "fake"}, {"driver": STOCK, "mode": ""}),
        ({"SERVICES": "n-api"}, {"driver": STOCK, "mode": ""}),
    ],
)
def test_only_libvirt_hosts_get_the_driver(
    tmp_path: Path, variables: dict[str, str], expected: dict[str, str]
) -> None:
    stack = Stack(tmp_path)
    stack.phase("stack post-config", **variables)
    assert stack.options == expected
