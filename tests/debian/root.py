# SPDX-License-Identifier: Apache-2.0
"""A root file system of Debian 12 with Debian's Nova, and copies of it for tests.

mmdebstrap makes it in ``.tox/debian-root`` or where ``DEBIAN_ROOT`` says. It is never changed:
tests change overlays of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devcloud.environment import fingerprint
from devcloud.layout import SOURCE_ROOT

SUITE = "bookworm"
SOURCES = (
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
)
#: A compute node, a controller, and what the tests run inside.
PACKAGES = ("nova-compute-qemu", "nova-compute", "nova-api", "nova-conductor", "nova-scheduler")
#: Stay in apt's cache: tests have no network.
CACHED = ("nova-compute-qemu", "nova-compute-kvm")

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
APT = ("apt-get", "-qq", "--yes", "--no-install-recommends")
#: Services that the scripts of packages may start.
_POLICY = """#!/bin/sh
echo "$@" >>/var/log/policy-rc.d.log
case "$1" in {allowed}) exit 104 ;; esac
exit 101
"""


def home() -> Path:
    """Return the folder of the root file system."""
    return Path(os.environ.get("DEBIAN_ROOT") or SOURCE_ROOT / ".tox" / "debian-root").absolute()


def _stamp() -> Path:
    return home().with_name(f"{home().name}.stamp")


def _command() -> list[str]:
    cached = " ".join(CACHED)
    return [
        *("mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}"),
        "--dpkgopt=force-unsafe-io",
        # Keeps the lists of packages, and in apt's cache what the tests install.
        "--skip=cleanup/apt",
        '--customize-hook=chroot "$1" apt-get clean',
        '--customize-hook=chroot "$1" sh -c "cd /var/cache/apt/archives &&'
        f' apt-get -qq download {cached}"',
        *(SUITE, os.fspath(home()), *SOURCES),
    ]


def _wanted() -> str:
    return fingerprint(*_command())


def ready() -> bool:
    """Return True if the root file system is complete and of this version."""
    return _stamp().is_file() and _stamp().read_text() == _wanted()


def make() -> None:
    """Make the root file system.

    :raises subprocess.CalledProcessError: mmdebstrap failed
    """
    target = home()
    if target.exists() and not _stamp().exists():
        sys.exit(f"{target} (DEBIAN_ROOT) holds something else: it is not overwritten")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Ours from here on, but not complete.
    _stamp().write_text("")
    if target.exists():
        shutil.rmtree(target)
    subprocess.run(_command(), check=True)
    _stamp().write_text(_wanted())


@dataclass(frozen=True)
class Root:
    """A root file system that a test may change, mounted in this mount namespace.

    :ivar path: where it is mounted
    """

    path: Path

    @classmethod
    def mount(cls, folder: Path, allowed: str = "-") -> Root:
        """Mount a copy of the root file system.

        :param folder: an empty folder for what changes
        :param allowed: the service that the scripts of packages may start
        """
        upper, work, path = (folder / name for name in ("upper", "work", "root"))
        for made in (upper, work, path):
            made.mkdir()
        options = f"lowerdir={home()},upperdir={upper},workdir={work}"
        _call("mount", "-t", "overlay", "-o", options, "overlay", path)
        root = cls(path)
        _call("mount", "-t", "proc", "proc", path / "proc")
        _call("mount", "--rbind", "/sys", path / "sys")
        _call("mount", "--rbind", "/dev", path / "dev")
        _call("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path / "run")
        policy = root.path / "usr/sbin/policy-rc.d"
        policy.write_text(_POLICY.format(allowed=allowed))
        policy.chmod(0o755)
        return root

    def unmount(self) -> None:
        """Unmount it, with what is mounted inside."""
        _call("umount", "--recursive", "--lazy", self.path)

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs a command inside."""
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        return ["chroot", os.fspath(self.path), "env", "-i", *variables, *argv]

    def run(self, *argv: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it printed."""
        return subprocess.run(
            self.command(*argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def call(self, *argv: str) -> str:
        """Run a command inside that must succeed and return its output."""
        done = self.run(*argv)
        assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def install(self, *packages: str, options: Sequence[str] = ()) -> str:
        """Install packages with apt-get and return its output.

        :param packages: names, or paths of files inside
        """
        return self.call(*APT, *options, "install", *packages)

    def read(self, path: str) -> str:
        """Return the text of a file inside."""
        return (self.path / path.lstrip("/")).read_text()

    def write(self, path: str, text: str) -> None:
        """Write a file inside and keep its owner and mode if it exists."""
        (self.path / path.lstrip("/")).write_text(text)


def _call(*argv: str | Path) -> None:
    subprocess.run(argv, check=True)
