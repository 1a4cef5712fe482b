# SPDX-License-Identifier: Apache-2.0
"""Ansible with the collection openstack.cloud, and openstack-flavor-manager, as PyPI has them.

Each has a virtual environment in .tox, made at the first use: they pin different versions of
openstacksdk.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from tests.functional.cloud import ROOT, Cloud

#: The release of PyPI's ansible that has the collection; nothing else of it is installed.
ANSIBLE = "ansible==12.3.0"
_COLLECTION = "ansible_collections/openstack/cloud/"
_RECAP = re.compile(r"^localhost +: (.*)$", re.MULTILINE)


def _run(*command: str | Path, **environment: str) -> str:
    run = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert run.returncode == 0, run.stdout
    return run.stdout


def _environment(name: str) -> Path:
    """Return the folder of an environment with what a file here lists."""
    folder = ROOT / ".tox" / "tools" / name
    listed = Path(__file__).parent / "tools" / f"{name}.txt"
    wanted = listed.read_text()
    made = folder / "made"
    if not made.exists() or made.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=False, symlinks=True)
        quiet = ("--disable-pip-version-check", "--quiet")
        pip = (sys.executable, "-m", "pip", *quiet, "--python", folder / "bin" / "python")
        # Few of the modules are imported: compiling all takes longer.
        _run(*pip, "install", "--no-compile", "-r", listed)
        if name == "ansible":
            _run(*pip, "download", "--no-deps", "--dest", folder, ANSIBLE)
            (wheel,) = folder.glob("ansible-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = archive.namelist()
                ours = [each for each in names if each.startswith(_COLLECTION)]
                archive.extractall(folder / "collections", ours)
            wheel.unlink()
        made.write_text(wanted)
    return folder


def _cloud_of(cloud: Cloud) -> dict[str, str]:
    return {"OS_CLIENT_CONFIG_FILE": str(cloud.state["clouds_yaml"]), "OS_CLOUD": "devcloud"}


def play(cloud: Cloud, playbook: Path) -> dict[str, int]:
    """Run a playbook, which must not fail, and return the numbers of its recap."""
    folder = _environment("ansible")
    output = _run(
        folder / "bin" / "ansible-playbook",
        playbook,
        ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"),
        ANSIBLE_HOME=str(folder / "home"),
        PYTHONPATH="",
        **_cloud_of(cloud),
    )
    (recap,) = _RECAP.findall(output)
    return {key: int(number) for key, number in re.findall(r"(\w+)=(\d+)", recap)}


def manage_flavors(cloud: Cloud, definitions: Path) -> str:
    """Run openstack-flavor-manager and return what it logged; it exits 0 after errors too."""
    folder = _environment("flavor-manager")
    return _run(
        folder / "bin" / "openstack-flavor-manager",
        *("--name", "local", "--url", definitions.as_uri(), "--cloud", "devcloud"),
        PYTHONPATH="",
        **_cloud_of(cloud),
    )
