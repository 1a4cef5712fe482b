# SPDX-License-Identifier: Apache-2.0
"""A cloud with Debian 12's Nova: its control plane and one compute node in a root file system.

Keystone, Glance, Placement and Neutron are those of the embedded cloud. Nova's services are
started by the init scripts of their packages. Nothing listens outside of the network namespace.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from devcloud import cloud, state
from devcloud.children import Children, listens, wait_until
from devcloud.errors import log_tail
from devcloud.layout import Layout as CloudLayout
from tests.debian.root import Root
from tests.e2e.stack import brokers, nova_config
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.stack import Stack

HOST = "debian-1"
#: The text of /etc/machine-id.
MACHINE_ID = "5e1c8a3f7d2b49046a8c1e5f3b7d9024"
READY_TIMEOUT = 300.0
LOG = "/var/log/nova/nova-compute.log"

#: Added to the nova.conf of Debian, after what reaches the other services.
_NOVA_CONF = f"""
[DEFAULT]
host = {HOST}
state_path = /var/lib/nova
instances_path = /var/lib/nova/instances
# Guests do not listen to the power button.
shutdown_timeout = 0
reserved_host_memory_mb = 0
cpu_allocation_ratio = 64
ram_allocation_ratio = 4
disk_allocation_ratio = 1000
sync_power_state_interval = -1
[libvirt]
sysinfo_serial = auto
cpu_mode = none
images_type = raw
[vnc]
enabled = false
[cinder]
# Of the form that Zed accepts. There is no Cinder.
catalog_info = volumev3:cinderv3:publicURL
[oslo_concurrency]
lock_path = /var/lock/nova
[workarounds]
# Nova would take a kernel for a disk image that lies about its format.
disable_deep_image_inspection = true
"""
#: Without D-Bus there is no polkit. The group is the one that the packages put nova into.
_LIBVIRTD_CONF = """
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
"""
#: QEMU without cgroups and namespaces of its own: there is no systemd.
_QEMU_CONF = 'cgroup_controllers = []\nnamespaces = []\nsecurity_driver = "none"\n'


class DebianCloud(Stack):
    """The running cloud.

    :ivar root: the root file system that holds Nova
    """

    #: Zed's newest.
    MICROVERSIONS = {**Stack.MICROVERSIONS, "nova": "compute 2.93"}  # noqa: RUF012 - a mapping

    def __init__(self, layout: Layout, root: Root) -> None:
        super().__init__(layout)
        self.root = root

    @property
    def log(self) -> Path:
        """The log of nova-compute."""
        return self.root.path / LOG.lstrip("/")

    def console(self, server_id: str) -> str:
        """Return what the guest printed since its last start."""
        log = self.root.path / "var/lib/nova/instances" / server_id / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def hard_reboot(self, server_id: str) -> None:
        """Reboot a server, so that Nova generates its domain again."""
        body = {"reboot": {"type": "HARD"}}
        answer = self.raw("nova", "POST", f"/v2.1/servers/{server_id}/action", body)
        assert answer.status_code == 202, answer.text
        self.wait(server_id, "ACTIVE")

    def log_offset(self) -> int:
        """Return the present end of the log of nova-compute."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, offset: int) -> str:
        """Return what nova-compute logged after an offset."""
        with self.log.open(errors="replace") as file:
            file.seek(offset)
            return file.read()

    def await_compute(self, offset: int) -> str:
        """Wait until nova-compute is ready and return its log since the offset."""
        wait_until(
            lambda: self.log.exists() and nova_config.READY in self.log_since(offset),
            "nova-compute is not ready",
            self.log,
            timeout=READY_TIMEOUT,
            check=self._check_compute,
        )
        return self.log_since(offset)

    def await_host(self) -> None:
        """Wait until the scheduler finds the host."""
        wait_until(
            lambda: bool(self.get("nova", "/v2.1/os-hypervisors")["hypervisors"]),
            "the scheduler does not find the host",
            self.root.path / "var/log/nova/nova-scheduler.log",
            timeout=READY_TIMEOUT,
            check=self._check_compute,
        )

    def _check_compute(self) -> None:
        """Check that nova-compute runs: its init script reports success before it does."""
        pid = self.root.path / "run/nova/nova-compute.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            if not Path("/proc", str(int(pid.read_text()))).exists():
                raise AssertionError(f"nova-compute exited\n{log_tail(self.log, 30)}")

    def service(self, name: str, action: str) -> None:
        """Run the init script of a service."""
        done = subprocess.run(
            self.root.command(f"/etc/init.d/{name}", action),
            stdin=subprocess.DEVNULL,
            # Files, not pipes: the service keeps them.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert done.returncode == 0, (name, action)

    def traits(self) -> set[str]:
        """Return the traits of this project on the resource provider of the host."""
        (provider,) = self.get("placement", "/resource_providers")["resource_providers"]
        found = self.get("placement", f"/resource_providers/{provider['uuid']}/traits")["traits"]
        prefixes = ("CUSTOM_UNIQUE_SERIAL", "CUSTOM_SYSINFO_SERIAL_")
        return {name for name in found if name.startswith(prefixes)}


@contextlib.contextmanager
def running(root: Root, progress: Callable[[str], None]) -> Iterator[DebianCloud]:
    """Start the control plane and libvirt, but not nova-compute.

    :param progress: is called with a line of text for each step
    """
    folder = Path(tempfile.mkdtemp(prefix="debc-"))
    # The sockets are for the user of Nova, too.
    folder.chmod(0o755)
    layout = Layout(folder, CloudLayout.of().venv)
    layout.logs.mkdir()
    try:
        with Children() as children:
            progress("starting everything but Nova")
            rabbit_port = brokers.free_port()
            brokers.start_rabbitmq(children, layout, rabbit_port)
            brokers.make_data(layout, layout.log("mariadb-data"))
            brokers.start_mariadb(children, layout)
            cloud.up(layout.cloud, lambda _text: None, ("nova",))
            try:
                current = state.read(layout.cloud.state_file)
                assert current is not None
                brokers.await_mariadb(children, layout)
                brokers.await_rabbitmq(children, layout, rabbit_port)
                progress("making Nova's databases")
                _configure(root, layout, current.ports, rabbit_port)
                _make_databases(root, layout)
                progress("starting Nova's control plane and libvirt")
                started = DebianCloud(layout, root)
                for name in ("nova-conductor", "nova-scheduler", "nova-api"):
                    started.service(name, "start")
                _start_libvirt(root)
                _await(root, "nova-api", ("127.0.0.1", current.ports["nova"]))
                started.upload_guest()
                yield started
            finally:
                cloud.down(layout.cloud)
    finally:
        if "DEBIAN_LOGS" in os.environ:
            for source in (root.path / "var/log/nova", layout.logs):
                shutil.copytree(source, Path(os.environ["DEBIAN_LOGS"]) / source.name)
        shutil.rmtree(folder)


def _configure(root: Root, layout: Layout, ports: dict[str, int], rabbit_port: int) -> None:
    nova_config.write_controller(layout, ports, rabbit_port)
    conf = "/etc/nova/nova.conf"
    root.write(conf, root.read(conf) + layout.nova_conf.read_text() + _NOVA_CONF)
    # The port of the catalog, and fewer processes.
    args = f"--http-socket 127.0.0.1:{ports['nova']} --ini /etc/nova/nova-api-uwsgi.ini"
    root.write("/etc/default/nova-api", f'DAEMON_ARGS="{args}"\n')
    ini = "/etc/nova/nova-api-uwsgi.ini"
    root.write(ini, root.read(ini).replace("processes = 16", "processes = 2"))
    root.write("/etc/machine-id", f"{MACHINE_ID}\n")
    # A root file system that is an overlay is a sign of a container: there the check warns of a
    # machine ID that is not mounted.
    machine_id = root.path / "etc/machine-id"
    subprocess.run(["mount", "--bind", machine_id, machine_id], check=True)
    root.write("/etc/hosts", f"127.0.0.1 localhost {os.uname().nodename}\n")
    for name, text in (("qemu.conf", _QEMU_CONF), ("libvirtd.conf", _LIBVIRTD_CONF)):
        root.write(f"/etc/libvirt/{name}", root.read(f"/etc/libvirt/{name}") + text)
    # The same path inside, for the socket of the databases.
    inside = root.path / layout.root.relative_to("/")
    inside.mkdir(parents=True)
    subprocess.run(["mount", "--bind", layout.root, inside], check=True)


def _make_databases(root: Root, layout: Layout) -> None:
    names = ("nova_api", "nova_cell0", "nova_cell1")
    sql = "".join(f"CREATE DATABASE {name};" for name in names)
    subprocess.run(["mariadb", f"--socket={layout.mysql_socket}", "-e", sql], check=True)
    url = f"mysql+pymysql://root@localhost/nova_cell0?unix_socket={layout.mysql_socket}"
    for command in (
        "api_db sync",
        f"cell_v2 map_cell0 --database_connection {url}",
        "db sync",
        "cell_v2 create_cell --name cell1",
    ):
        root.call("runuser", "-u", "nova", "--", "nova-manage", *command.split())


def _start_libvirt(root: Root) -> None:
    for name in ("virtlogd", "libvirtd"):
        root.call(name, "-d")
    _await(root, "libvirtd", root.path / "run/libvirt/libvirt-sock")


def _await(root: Root, name: str, address: Path | tuple[str, int]) -> None:
    log = root.path / f"var/log/nova/{name}.log"
    wait_until(
        lambda: listens(address),
        f"{name} does not answer",
        log,
        timeout=READY_TIMEOUT,
        check=lambda: None,
    )
