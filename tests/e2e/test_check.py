# SPDX-License-Identifier: Apache-2.0
"""``python3 -m nova_uniqserial check`` on running hosts, with a real libvirtd."""

from __future__ import annotations

import json
import uuid
from typing import Any

from devcloud.databases import service_environment
from tests.e2e.stack.remote import RemoteHost
from tests.e2e.stack.stack import Stack

Rows = dict[str, dict[str, Any]]


def check(host: RemoteHost) -> tuple[int, Rows]:
    python = str(host.layout.venv / "bin" / "python")
    # As the nova-compute of the host has it.
    path = f"PYTHONPATH={service_environment(host.layout.cloud).get('PYTHONPATH', '')}"
    command = ["env", path, python, "-m", "nova_uniqserial", "check", "-f", "json"]
    answer = host.order("run", argv=command)
    assert answer["code"] in (0, 3, 4), answer["stderr"]
    # The check has the form with dashes.
    dashed = str(uuid.UUID(host.host.machine_id))
    for identity in (host.host.machine_id, dashed, host.host.hardware_uuid):
        assert identity not in answer["stdout"]
    return answer["code"], {row["check"]: row for row in json.loads(answer["stdout"])}


def test_hosts_with_and_without_the_driver(stack: Stack) -> None:
    ours, stock = stack.host("auto-2"), stack.host("stock-1")
    code, rows = check(ours)
    assert {row["result"] for row in rows.values()} == {"ok"}, rows
    assert code == 0
    assert f"from {ours.paths.nova_conf}, line " in rows["compute-driver"]["reason"]
    assert f"the machine ID {ours.host.machine_id[:4]}***" in rows["host-mode"]["reason"]
    assert f"libvirt reports {ours.host.hardware_uuid[:4]}***" in rows["hardware-uuid"]["reason"]
    code, rows = check(stock)
    assert code == 3
    warned = {name for name, row in rows.items() if row["result"] != "ok"}
    assert warned == {"compute-driver", "provider-yaml"}, rows
    assert "libvirt.LibvirtDriver" in rows["compute-driver"]["reason"]


def test_a_host_without_a_machine_id(stack: Stack) -> None:
    """In mode auto its guests show the hardware UUID, as in a container."""
    host = stack.host("auto-2")
    try:
        host.set_machine_id(None)
        code, rows = check(host)
    finally:
        host.set_machine_id(host.host.machine_id)
    assert code == 3
    assert rows["host-mode"]["result"] == "warning"
    uuid = f"the hardware UUID ({host.host.hardware_uuid[:4]}***)"
    assert uuid in rows["host-mode"]["reason"]
