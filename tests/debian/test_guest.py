# SPDX-License-Identifier: Apache-2.0
"""A compute node of Debian 12 through installation, upgrade and rollback, as a guest sees it.

One test: each step continues on the host of the step before, as on a real one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.debian.cloud import MACHINE_ID, DebianCloud, running
from tests.debian.packages import (
    CONF,
    DRIVER,
    MODULES,
    STOCK,
    Build,
    Rows,
    check,
)
from tests.debian.root import Root
from tests.e2e.conftest import progress_line

OURS = "nova-compute-uniqserial-qemu"
STOCK_PACKAGE = "nova-compute-qemu"
HOST_SERIAL = str(uuid.UUID(MACHINE_ID))
HONOURED = "hw:unique_serial and hw_unique_serial are honoured on this host"


def loaded(log: str) -> str:
    """Return the driver that nova-compute loaded last, by its log."""
    return log.rpartition("Loading compute driver '")[2].partition("'")[0]


def findings(cloud: DebianCloud) -> tuple[int, Rows]:
    """Return the exit code of the check of the running node, and the rows that are not ok."""
    code, rows = check(cloud.root, given=())
    return code, {name: row for name, row in rows.items() if row["result"] != "ok"}


def test_installation_upgrade_and_rollback(
    request: pytest.FixtureRequest, first: Build, second: Build, mount: Callable[[str], Root]
) -> None:
    progress = progress_line(request, "Debian's Nova")
    root = mount("nova-compute")
    with running(root, progress) as cloud:
        flavor = cloud.new_flavor("asks", {"hw:unique_serial": "true"})

        progress("a driver in nova.conf, which Debian's nova-compute.conf overrides")
        root.install(*first.put(root, MODULES))
        nova_conf = root.read("/etc/nova/nova.conf")
        root.write("/etc/nova/nova.conf", f"{nova_conf}[DEFAULT]\ncompute_driver = {DRIVER}\n")
        cloud.service("nova-compute", "start")
        assert loaded(cloud.await_compute(0)) == STOCK
        code, found = findings(cloud)
        assert (code, found["compute-driver"]["result"]) == (3, "failed"), found
        reason = found["compute-driver"]["reason"]
        assert f"is {STOCK}, from {CONF}, line 2. It replaces {DRIVER}" in reason
        root.write("/etc/nova/nova.conf", nova_conf)
        cloud.await_host()
        server = cloud.boot("guest", flavor)
        boot, serial = cloud.guest_serial(server)
        assert serial == HOST_SERIAL
        assert cloud.traits() == set()

        progress("installation: the package restarts nova-compute")
        offset = cloud.log_offset()
        root.install(*first.put(root, OURS))
        log = cloud.await_compute(offset)
        assert loaded(log) == DRIVER
        assert HONOURED in log
        assert f"from {CONF}, line 3" in log
        assert findings(cloud) == (0, {})
        # The guest kept running.
        assert cloud.guest_serial(server) == (boot, HOST_SERIAL)
        cloud.hard_reboot(server)
        boot, serial = cloud.guest_serial(server, after=boot)
        assert serial == server
        new = cloud.boot("new guest", flavor)
        assert cloud.guest_serial(new)[1] == new
        assert {"CUSTOM_UNIQUE_SERIAL", "CUSTOM_SYSINFO_SERIAL_AUTO"} < cloud.traits()

        progress("upgrade")
        offset = cloud.log_offset()
        root.install(*second.put(root, MODULES, OURS))
        assert loaded(cloud.await_compute(offset)) == DRIVER
        assert findings(cloud) == (0, {})
        assert cloud.guest_serial(server) == (boot, server)

        progress("rollback")
        root.install(STOCK_PACKAGE)
        assert f"compute_driver={STOCK}\n" in root.read(CONF)
        offset = cloud.log_offset()
        cloud.service("nova-compute", "restart")
        log = cloud.await_compute(offset)
        assert loaded(log) == STOCK
        assert HONOURED not in log
        code, found = findings(cloud)
        assert (code, found["compute-driver"]["result"]) == (3, "warning"), found
        assert f"{STOCK}, from {CONF}, line 2" in found["compute-driver"]["reason"]
        assert cloud.guest_serial(server) == (boot, server)
        cloud.hard_reboot(server)
        assert cloud.guest_serial(server, after=boot)[1] == HOST_SERIAL
        # They stay: the guide removes them.
        assert "CUSTOM_UNIQUE_SERIAL" in cloud.traits()
        root.call("apt-get", "-qq", "purge", MODULES, OURS)
        offset = cloud.log_offset()
        cloud.service("nova-compute", "restart")
        assert loaded(cloud.await_compute(offset)) == STOCK
