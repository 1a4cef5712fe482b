# SPDX-License-Identifier: Apache-2.0
"""A compute host as others see it: what can be done with it while the stack is up."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from devcloud.children import wait_until
from devcloud.errors import DevcloudError, log_tail
from tests.e2e.stack import nova_config
from tests.e2e.stack.hosts import BY_NAME
from tests.e2e.stack.layout import Layout

READY_TIMEOUT = 180.0

#: Options that tests change -> their section.
SECTIONS: Mapping[str, str] = {
    "sysinfo_serial": "libvirt",
    "virt_type": "libvirt",
    "image_may_show_host": "unique_serial",
    "server_may_ask": "unique_serial",
    "endpoint_override": "placement",
}


class RemoteHost:
    """One compute host of a running stack.

    Whoever changes a host puts it back: ``reset()`` does.
    """

    def __init__(self, layout: Layout, name: str) -> None:
        self.host = BY_NAME[name]
        self.name = name
        self.layout = layout
        self.paths = layout.host(name)

    def order(self, what: str, **details: Any) -> dict[str, Any]:
        """Have the host's agent do something."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(300)
            client.connect(os.fspath(self.paths.agent_socket))
            with client.makefile("rw") as stream:
                stream.write(json.dumps({"do": what, **details}) + "\n")
                stream.flush()
                line = stream.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "no answer"}
        if "error" in answer:
            raise DevcloudError(
                f"{self.name}: {what}: {answer['error']}", log_tail(self.paths.agent_log)
            )
        return answer

    def run(self, *argv: str) -> str:
        """Run a command on the host and return its output."""
        answer = self.order("run", argv=argv)
        if answer["code"] != 0:
            raise DevcloudError(f"{self.name}: {' '.join(argv)}", answer["stderr"])
        return str(answer["stdout"])

    def virsh(self, *args: str) -> str:
        """Ask the host's libvirt."""
        return self.run("virsh", "--connect", "qemu:///system", *args)

    # --- nova-compute -----------------------------------------------------

    def stop(self) -> None:
        """Kill nova-compute. The guests stay."""
        self.order("stop-compute")

    def start(self) -> None:
        """Start nova-compute and wait until it takes requests."""
        offset = self.paths.compute_log.stat().st_size
        self.order("start-compute")
        self.await_compute(offset)

    def restart(self, **options: object) -> None:
        """Restart nova-compute with these options in place of those that it started with.

        Options of [DEFAULT], and those that SECTIONS names.
        """
        self.stop()
        sections: dict[str, dict[str, object]] = {}
        for name, value in options.items():
            sections.setdefault(SECTIONS.get(name, "DEFAULT"), {})[name] = value
        nova_config.write(self.paths.override_conf, sections)
        self.start()

    def await_compute(self, offset: int) -> None:
        """Wait until nova-compute says in its log, after the offset, that it is ready."""
        log = self.paths.compute_log
        compute = f"nova-compute of {self.name}"

        def ready() -> bool:
            with log.open("rb") as file:
                file.seek(offset)
                return nova_config.READY.encode() in file.read()

        def check() -> None:
            if not self.order("compute")["running"]:
                raise DevcloudError(f"{compute} exited", log_tail(log))

        wait_until(ready, f"{compute} is not ready", log, timeout=READY_TIMEOUT, check=check)

    # --- the machine ------------------------------------------------------

    def power_off(self) -> None:
        """End everything on the host at once: nova-compute, libvirt and all guests."""
        self.order("power-off")

    def power_on(self) -> None:
        """Start libvirt and nova-compute."""
        self.order("power-on")
        self.start()

    def set_machine_id(self, text: str | None) -> None:
        """Change /etc/machine-id, with a newline at its end as usual; None removes it."""
        if text is None:
            self.paths.machine_id.unlink(missing_ok=True)
        else:
            self.paths.machine_id.write_text(f"{text}\n" if text else "")

    def reset(self) -> None:
        """Give the host its machine ID and its configuration back."""
        self.set_machine_id(self.host.machine_id)
        self.restart()
