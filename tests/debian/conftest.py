# SPDX-License-Identifier: Apache-2.0
"""Builds of the packages, and root file systems to install them in."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcloud.layout import SOURCE_ROOT
from tests.debian import root as roots
from tests.debian.packages import Build, build, copy_tree
from tests.debian.root import Root


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Refuse to run on the machine itself: the tests mount, and start servers."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.exit("run these tests with: tox -e debian", returncode=1)
    if not roots.ready():
        pytest.exit("make the root file system: python3 -m tests.debian.prepare", returncode=1)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The packages of this tree."""
    return build(SOURCE_ROOT, tmp_path_factory.mktemp("first"), 1)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The next revision, built from an sdist, with another configuration file."""
    tree = copy_tree(tmp_path_factory.mktemp("tree"))
    for conf in tree.glob("deploy/debian/nova-uniqserial/*/nova-compute.conf"):
        conf.write_text(conf.read_text() + "# Revision 2.\n")
    # Debian's own tools, which are there for the build.
    command = ("/usr/bin/python3", "setup.py", "-q", "sdist")
    subprocess.run(command, cwd=tree / "nova_driver", check=True)
    (sdist,) = (tree / "nova_driver" / "dist").iterdir()
    return build(tree, tmp_path_factory.mktemp("second"), 2, sdist)


@pytest.fixture(scope="module")
def mount() -> Iterator[Callable[[str], Root]]:
    """Return a function that mounts a root file system.

    Its argument is the service that the scripts of packages may start.
    """
    made: list[tuple[Root, Path]] = []

    def mount_one(allowed: str = "-") -> Root:
        # Short: the path of a socket is in it.
        folder = Path(tempfile.mkdtemp(prefix="deb-"))
        made.append((Root.mount(folder, allowed), folder))
        return made[-1][0]

    yield mount_one
    for root, folder in made:
        root.unmount()
        shutil.rmtree(folder)
