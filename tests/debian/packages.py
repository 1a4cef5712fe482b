# SPDX-License-Identifier: Apache-2.0
"""Builds of the packages, and what is installed in a root file system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcloud.layout import SOURCE_ROOT
from tests.debian.root import Root

STOCK = "libvirt.LibvirtDriver"
DRIVER = "uniqserial.UniqueSerialLibvirtDriver"
MODULES = "python3-nova-uniqserial"
CONF = "/etc/nova/nova-compute.conf"
#: As /etc/init.d/nova-compute has them.
CONFIG_FILES = ("--config-file", "/etc/nova/nova.conf", "--config-file", CONF)
#: dpkg's answer to its question about an edited file: the default of the package manager.
KEEP = ("-o", "Dpkg::Options::=--force-confdef")
REPLACE = ("-o", "Dpkg::Options::=--force-confnew")

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Build:
    """One build of all packages.

    :ivar folder: what ``deploy/debian/build`` wrote
    """

    folder: Path

    def put(self, root: Root, *names: str) -> list[str]:
        """Copy packages into a root file system and return their paths there."""
        inside = root.path / "srv"
        paths = []
        for name in names:
            (package,) = self.folder.glob(f"{name}_*.deb")
            shutil.copy(package, inside)
            paths.append(f"/srv/{package.name}")
        return paths


def build(tree: Path, folder: Path, revision: int, sdist: Path | None = None) -> Build:
    """Build the packages of a tree, or of an sdist with the packaging of the tree."""
    subprocess.run(
        [tree / "deploy" / "debian" / "build", folder, *([sdist] if sdist else [])],
        env={"PATH": os.environ["PATH"], "REVISION": str(revision)},
        check=True,
    )
    return Build(folder)


def copy_tree(target: Path) -> Path:
    """Copy what the build reads, so that a test can change it."""
    litter = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(SOURCE_ROOT / "nova_driver", target / "nova_driver", ignore=litter)
    shutil.copytree(SOURCE_ROOT / "deploy" / "debian", target / "deploy" / "debian", symlinks=True)
    return target


def check(root: Root, given: Sequence[str] = CONFIG_FILES) -> tuple[int, Rows]:
    """Run ``python3 -m nova_uniqserial check`` inside."""
    done = root.run("python3", "-m", "nova_uniqserial", "check", "-f", "json", *given)
    assert done.returncode in (0, 3, 4), done.stderr
    return done.returncode, {row["check"]: row for row in json.loads(done.stdout)}


def status(root: Root, package: str) -> str:
    """Return dpkg's abbreviated state of a package, such as ``ii``; empty if it is unknown."""
    return root.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package).stdout.strip()
