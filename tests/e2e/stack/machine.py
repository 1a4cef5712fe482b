# SPDX-License-Identifier: Apache-2.0
"""What the machine must have, and what it can do."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from devcloud.errors import DevcloudError

#: The server programs of Debian are not in everybody's PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: The environment of such programs: nothing of the caller's.
ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}

#: Program -> the Debian package that brings it.
PROGRAMS = {
    "busybox": "busybox-static",
    "cpio": "cpio",
    "gcc": "gcc",
    "libvirtd": "libvirt-daemon-system",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "mount": "mount",
    "pkg-config": "pkg-config",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "rabbitmq-server": "rabbitmq-server",
    "unshare": "util-linux",
    "virsh": "libvirt-clients",
}

KVM_CREATE_VM = 0xAE01


def check() -> None:
    """Refuse a machine on which the stack cannot run, and say what it lacks."""
    if os.geteuid() != 0:
        raise DevcloudError("the end-to-end stack needs root: it mounts and makes namespaces")
    missing = {package for name, package in PROGRAMS.items() if not shutil.which(name, path=PATH)}
    if not kernels():
        missing.add("linux-image-cloud-amd64")
    if shutil.which("pkg-config", path=PATH) and not libvirt_version():
        missing.add("libvirt-dev")
    if missing:
        packages = " ".join(sorted(missing))
        raise DevcloudError(
            f"the end-to-end stack needs more Debian packages: apt-get install {packages}"
            " (bindep.txt lists all of them with the profile e2e)"
        )


def kernels() -> list[Path]:
    """Kernels that a guest can boot: small ones, with virtio and the serial console built in."""
    return sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))


@functools.cache
def libvirt_version() -> str | None:
    """The version of the installed libvirt; None when its headers are not there."""
    run = subprocess.run(
        ["pkg-config", "--modversion", "libvirt"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH},
    )
    return run.stdout.strip() if run.returncode == 0 else None


def virt_type() -> str:
    """The [libvirt]virt_type: E2E_VIRT_TYPE, or kvm where it is of use, or else qemu."""
    wanted = os.environ.get("E2E_VIRT_TYPE")
    if wanted:
        if wanted not in ("kvm", "qemu"):
            raise DevcloudError(f"E2E_VIRT_TYPE is {wanted}, not kvm or qemu")
        return wanted
    # Some machines have /dev/kvm without a processor for it: guests take minutes to boot there.
    if not re.search(r"^flags\b.* (vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
        return "qemu"
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return "qemu"
    try:
        os.close(fcntl.ioctl(fd, KVM_CREATE_VM, 0))
    except OSError:
        return "qemu"
    finally:
        os.close(fd)
    return "kvm"
