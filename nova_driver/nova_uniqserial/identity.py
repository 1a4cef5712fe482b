# SPDX-License-Identifier: Apache-2.0
"""The identity of a host, which guests show in the modes os, auto and hardware."""

from __future__ import annotations

import os
from collections.abc import Iterator

#: What Nova reads in mode os, and in mode auto where it exists (nova/virt/libvirt/driver.py).
MACHINE_ID = "/etc/machine-id"

#: Files that container engines make (Podman, Docker, systemd-nspawn).
_CONTAINER = ("/run/.containerenv", "/.dockerenv", "/run/systemd/container")


#: What to do where guests cannot have the machine ID of the host.
HOW_TO_REPAIR = (
    "Run systemd-machine-id-setup on the host; in a container, mount the host's /etc/machine-id"
    " read-only. Or choose another [libvirt]sysinfo_serial. Then restart nova-compute."
)


def masked(identity: str) -> str:
    """Return so much of a host's identity that hosts can be told apart, and no more."""
    return f"{identity[:4]}***"


def why_no_serials(virt_type: str, arch: str) -> str | None:
    """Return why guests have no ``<sysinfo>``; None: they have it.

    Source: LibvirtDriver._configure_guest_by_virt_type.

    :param virt_type: ``[libvirt]virt_type``
    :param arch: the architecture of the host in libvirt's capabilities
    """
    if virt_type not in ("kvm", "qemu"):
        return f"[libvirt]virt_type is {virt_type}"
    if arch not in ("i686", "x86_64"):
        return f"its architecture is {arch}"
    return None


def container() -> str | None:
    """Return words for a machine ID that is a file of this container, else None."""
    mounts = list(_mounts())
    # A link may lead to a file that is mounted elsewhere.
    if any(place in (MACHINE_ID, os.path.realpath(MACHINE_ID), "/etc") for place, _ in mounts):
        # From the host, or from whoever runs the container.
        return None
    sign = next(filter(os.path.exists, _CONTAINER), None) or _overlay(mounts)
    if sign is None:
        return None
    return f"a file of this container ({sign}): hosts with the same image may have the same"


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the mount points of this process, and the types of their file systems."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                first, _, second = line.partition(" - ")
                yield first.split()[4], second.split()[0]
    except OSError:
        # /proc is not mounted: only the files of the container engines are left as signs.
        return


def _overlay(mounts: list[tuple[str, str]]) -> str | None:
    """Return the sign of a container whose engine makes no file, such as containerd."""
    kinds = [kind for place, kind in mounts if place == "/"]
    return "the root file system is an overlay" if kinds[-1:] == ["overlay"] else None
