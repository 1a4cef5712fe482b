# SPDX-License-Identifier: Apache-2.0
"""The files of a compute host that differ from the machine's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.e2e.stack import nova_config, ssh
from tests.e2e.stack.hosts import HOSTS, Host
from tests.e2e.stack.layout import Layout

#: Folders of the machine that every host has for itself, empty at first.
BOUND = ("/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")

#: Below a host's folder: where it finds the machine's /etc.
MACHINE_ETC = "machine-etc"

#: Entries of /etc that a host has for itself.
OWN = ("hostname", "hosts", "libvirt", "machine-id")


def write(layout: Layout, host: Host) -> None:
    """Make the folder of one host."""
    paths = layout.host(host.name)
    for folder in (paths.etc / "libvirt", paths.root / MACHINE_ETC, paths.instances):
        folder.mkdir(parents=True)
    (paths.state / "locks").mkdir()
    for name in BOUND:
        paths.bound(name).mkdir()
    _link_machine_etc(paths.etc, paths.root / MACHINE_ETC)
    (paths.etc / "hostname").write_text(f"{host.name}\n")
    (paths.etc / "hosts").write_text(nova_config.hosts_file(layout))
    paths.machine_id.write_text(f"{host.machine_id}\n")
    (paths.etc / "libvirt" / "libvirtd.conf").write_text(_libvirtd_conf(host.address(layout), host))
    (paths.etc / "libvirt" / "qemu.conf").write_text(_qemu_conf(host.address(layout)))
    (paths.etc / "libvirt" / "virtlogd.conf").write_text("log_level = 3\n")


def _link_machine_etc(etc: Path, machine_etc: Path) -> None:
    """Fill a host's /etc with links, so that a file in it can be missing."""
    for entry in Path("/etc").iterdir():
        if entry.name in OWN:
            continue
        # A link is copied: where it leads must not depend on where it lies.
        target = os.readlink(entry) if entry.is_symlink() else machine_etc / entry.name
        (etc / entry.name).symlink_to(target)


def _libvirtd_conf(address: str, host: Host) -> str:
    return (
        f'host_uuid = "{host.hardware_uuid}"\n'
        "listen_tls = 0\n"
        "listen_tcp = 1\n"
        f'listen_addr = "{address}"\n'
        'auth_tcp = "none"\n'
        'auth_unix_ro = "none"\n'
        'auth_unix_rw = "none"\n'
        'log_outputs = "3:stderr"\n'
    )


def _qemu_conf(address: str) -> str:
    return (
        # Whoever starts the stack owns every file in it.
        'user = "root"\n'
        'group = "root"\n'
        "dynamic_ownership = 0\n"
        "remember_owner = 0\n"
        'security_driver = "none"\n'
        # Nothing that outlives the host: its namespaces contain its guests.
        "cgroup_controllers = []\n"
        "namespaces = []\n"
        # Not every interface of the machine.
        f'migration_address = "{address}"\n'
        f'migration_host = "{address}"\n'
    )


def write_shims(layout: Layout) -> None:
    """Install what takes the place of ssh and scp."""
    layout.shims.mkdir()
    text = f"#!{layout.python} -I\n{Path(ssh.__file__).read_text()}"
    for name in ("ssh", "scp"):
        shim = layout.shims / name
        shim.write_text(text)
        shim.chmod(0o755)
    table = {host.address(layout): os.fspath(layout.host(host.name).state) for host in HOSTS}
    (layout.shims / "hosts.json").write_text(json.dumps(table))


def copy_cache(layout: Layout, source: Host, target: Host) -> None:
    """Hand on what libvirt found out about QEMU: finding out takes seconds."""
    cache = BOUND[-1]
    shutil.copytree(
        layout.host(source.name).bound(cache),
        layout.host(target.name).bound(cache),
        dirs_exist_ok=True,
    )
