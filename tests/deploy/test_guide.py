# SPDX-License-Identifier: Apache-2.0
"""The commands of the manual that install, select and remove the driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import environment
from tests.deploy.environment import DRIVER, STOCK
from tests.guide import block

#: /etc/nova/nova-compute.conf of nova-compute-kvm 26.2.2 in Debian 12, without its comments.
CONFFILE = """\
[DEFAULT]
compute_driver=libvirt.LibvirtDriver
neutron_ovs_bridge=br-int
[libvirt]
virt_type=kvm
vif_driver=nova.virt.libvirt.vif.LibvirtGenericVIFDriver
use_virtio_for_bridges=true
"""


def shell(script: str, folder: Path) -> None:
    """Run commands, with "y" for each question."""
    command = ("sh", "-e", "-c", script)
    done = subprocess.run(command, cwd=folder, input="y\n" * 9, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pip_in_a_virtual_environment(wheel: Path, tmp_path: Path) -> None:
    made = environment.make(tmp_path / "venv", pip=False)
    nova = environment.write_nova(made.site)
    pip = f"{sys.executable} -m pip --python {made.python}"

    def guide(page: str, command: str) -> str:
        return block(page, f"/path/to/nova-venv/bin/pip {command}").replace(
            "/path/to/nova-venv/bin/pip", pip
        )

    shell(guide("install/nova", "install").replace("./nova_driver", str(wheel)), tmp_path)
    made.assert_complete(nova, nova / "virt" / "uniqserial")
    shell(guide("admin/roll-back", "uninstall"), tmp_path)
    made.assert_removed(nova)


def test_an_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    made = environment.make(tmp_path / "venv", pip=False)
    nova = environment.write_nova(made.site)
    (tmp_path / wheel.name).write_bytes(wheel.read_bytes())
    unpack = block("install/nova", "/usr/bin/python3 -m zipfile")
    unpack = unpack.replace("/usr/bin/python3", str(made.python))
    shell(unpack, tmp_path)
    made.assert_complete(nova, nova / "virt" / "uniqserial")
    shell(block("admin/roll-back", "rm -r nova/virt/uniqserial"), made.site)
    made.assert_removed(nova)


def test_the_conffile_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nova, compute = tmp_path / "nova.conf", tmp_path / "nova-compute.conf"
    compute.write_text(CONFFILE)
    # The order of /etc/init.d/nova-compute.
    arguments = [f"--config-file={path}" for path in (nova, compute)]

    def driver() -> str | None:
        return environment.resolve(arguments)["driver"]

    nova.write_text(f"[DEFAULT]\ncompute_driver = {DRIVER}\n")
    assert driver() == STOCK
    nova.write_text(f"[DEFAULT]\ncompute_driver = {STOCK}\n")
    for page, name in (("configuration/nova", DRIVER), ("admin/roll-back", STOCK)):
        edit = block(page, f"sed -i 's/^compute_driver *=.*/compute_driver={name}/'")
        shell(edit.replace("/etc/nova/nova-compute.conf", str(compute)), tmp_path)
        assert driver() == name
    assert compute.read_text() == CONFFILE
    monkeypatch.setenv("OS_DEFAULT__COMPUTE_DRIVER", DRIVER)
    assert driver() == DRIVER
