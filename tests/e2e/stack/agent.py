# SPDX-License-Identifier: Apache-2.0
"""One compute host: PID 1 of PID, mount and UTS namespaces, which ends with it.

It starts virtlogd, libvirtd and nova-compute and takes orders at a socket: one JSON object a
connection, answered by one. SO_PEERCRED shows which process this is.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from devcloud.children import Argument, listens, wait_until
from devcloud.databases import service_environment
from tests.e2e.stack.host_files import BOUND, MACHINE_ETC
from tests.e2e.stack.hosts import BY_NAME, Host
from tests.e2e.stack.layout import HostLayout, Layout
from tests.e2e.stack.machine import ENVIRONMENT, PATH

Answer = dict[str, Any]

LIBVIRT_SOCKET = Path("/run/libvirt/libvirt-sock")
READY_TIMEOUT = 120.0


class Reaper:
    """Waits for every child: ours, and those that daemons leave to PID 1, such as QEMU."""

    environment: Mapping[str, str] = {**ENVIRONMENT, "HOME": "/root"}

    def __init__(self) -> None:
        self._ended: dict[int, int] = {}
        #: Kept, so that the module does not wait for the processes of forgotten objects itself.
        self._started: list[subprocess.Popen[str]] = []
        self._change = threading.Condition()
        threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.05)
                continue
            with self._change:
                self._ended[pid] = os.waitstatus_to_exitcode(status)
                self._change.notify_all()

    def start(self, argv: Sequence[Argument], **options: Any) -> subprocess.Popen[str]:
        """Start a child."""
        child = subprocess.Popen(
            argv,
            **{
                "stdin": subprocess.DEVNULL,
                "cwd": "/",
                "env": {**ENVIRONMENT, "HOME": "/root"},
                **options,
            },
        )
        self._started.append(child)
        return child

    def call(self, *argv: Argument) -> None:
        """Run a child that must succeed."""
        code = self.wait(self.start(argv).pid)
        if code != 0:
            raise RuntimeError(f"{' '.join(map(str, argv))} ended with exit code {code}")

    def exit_code(self, pid: int) -> int | None:
        """The exit code of a child that ended."""
        with self._change:
            return self._ended.get(pid)

    def wait(self, pid: int) -> int:
        """Wait until a child has ended."""
        with self._change:
            self._change.wait_for(lambda: pid in self._ended)
            return self._ended[pid]


class Agent:
    """Carries out orders, one at a time where they start or end something."""

    def __init__(self, layout: Layout, host: Host) -> None:
        self.layout = layout
        self.host = host
        self.paths = layout.host(host.name)
        self.children = Reaper()
        self.compute: int | None = None
        self.turn = threading.Lock()
        self.orders: dict[str, Callable[[Answer], Answer]] = {
            "start-compute": self.start_compute,
            "stop-compute": self.stop_compute,
            "compute": self.compute_state,
            "power-off": self.power_off,
            "power-on": self.power_on,
            "run": self.run,
        }

    # --- the host as a machine --------------------------------------------

    def mount(self) -> None:
        """Take the place of the machine's folders that belong to one host."""
        mount = partial(self.children.call, "mount")
        mount("-t", "proc", "proc", "/proc")
        mount("--bind", "/etc", self.paths.root / MACHINE_ETC)
        mount("--bind", self.paths.etc, "/etc")
        for folder in BOUND:
            mount("--bind", self.paths.bound(folder), folder)
        socket.sethostname(self.host.name)

    def power_on(self, _order: Answer) -> Answer:
        """Start libvirt on an empty /run, as after a boot."""
        with self.turn:
            mount = partial(self.children.call, "mount")
            mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
            HostLayout.STATE_INSIDE.mkdir()
            mount("--bind", self.paths.state, HostLayout.STATE_INSIDE)
            self._spawn("virtlogd", "-f", "/etc/libvirt/virtlogd.conf")
            libvirtd = self._spawn("libvirtd", "--listen", "-f", "/etc/libvirt/libvirtd.conf")

            def check() -> None:
                if self.children.exit_code(libvirtd) is not None:
                    raise RuntimeError("libvirtd exited while starting")

            wait_until(
                lambda: listens(LIBVIRT_SOCKET),
                "libvirtd does not answer",
                self.paths.agent_log,
                timeout=READY_TIMEOUT,
                check=check,
            )
        return {}

    def power_off(self, _order: Answer) -> Answer:
        """End everything on the host at once, guests too, as when the power fails."""
        with self.turn:
            os.kill(-1, signal.SIGKILL)
            while any(name.isdigit() and name != "1" for name in os.listdir("/proc")):
                time.sleep(0.02)
            self.compute = None
            self.children.call("umount", "--recursive", "/run")
        return {}

    def _spawn(self, *argv: str) -> int:
        with self.paths.agent_log.open("ab") as log:
            return self.children.start(argv, stdout=log, stderr=subprocess.STDOUT).pid

    # --- nova-compute -----------------------------------------------------

    def start_compute(self, _order: Answer) -> Answer:
        """Start nova-compute unless it runs."""
        with self.turn:
            if self.compute is None or self.children.exit_code(self.compute) is not None:
                env = service_environment(self.layout.cloud)
                env["PATH"] = f"{self.layout.shims}:{self.layout.venv / 'bin'}:{PATH}"
                with self.paths.compute_log.open("ab") as log:
                    self.compute = self.children.start(
                        [
                            self.layout.venv / "bin" / "nova-compute",
                            *("--config-file", self.paths.nova_conf),
                            *("--config-file", self.paths.override_conf),
                        ],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env=env,
                        # Its helpers go with it.
                        start_new_session=True,
                    ).pid
        return {}

    def stop_compute(self, _order: Answer) -> Answer:
        """Kill nova-compute: asked to end, it takes minutes."""
        with self.turn:
            if self.compute is not None and self.children.exit_code(self.compute) is None:
                os.killpg(self.compute, signal.SIGKILL)
                self.children.wait(self.compute)
            self.compute = None
        return {}

    def compute_state(self, _order: Answer) -> Answer:
        """Tell whether nova-compute runs."""
        pid = self.compute
        return {"running": pid is not None and self.children.exit_code(pid) is None}

    # --- anything else ----------------------------------------------------

    def run(self, order: Answer) -> Answer:
        """Run a command on the host and return what it said."""
        # Files, not pipes: reading those, the module would wait for the child, too.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = self.children.start(order["argv"], stdout=output, stderr=errors)
            code = self.children.wait(child.pid)
            output.seek(0)
            errors.seek(0)
            return {"code": code, "stdout": output.read(), "stderr": errors.read()}

    def serve(self) -> None:
        """Carry out orders until the process ends."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(self.paths.agent_socket))
            listener.listen(16)
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _serve_one(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as stream:
            line = stream.readline()
            if not line:
                return
            try:
                order = json.loads(line)
                answer = self.orders[order["do"]](order)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            stream.write(json.dumps(answer) + "\n")


def main(root: str, name: str) -> None:
    """Become the host."""
    # What Ctrl-C is for decides whoever started the stack.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    layout = Layout.of(root)
    agent = Agent(layout, BY_NAME[name])
    agent.mount()
    agent.power_on({})
    agent.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
