# SPDX-License-Identifier: Apache-2.0
"""The parent of everything in one stack: PID 1 of a PID namespace of its own.

Whatever it starts ends when it ends, daemons too, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from devcloud import cloud, databases, state
from devcloud.children import Argument, wait_until
from devcloud.layout import SOURCE_ROOT
from devcloud.supervise import Supervisor, say
from tests.e2e.stack import brokers, environment, host_files, machine, nova_config
from tests.e2e.stack.hosts import HOSTS, Host
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.remote import RemoteHost
from tests.e2e.stack.stack import Stack

READY_TIMEOUT = 300.0


class StackSupervisor(Supervisor):
    """Starts the parts of a stack and ends them."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout, layout.cloud.clouds_yaml)
        self.layout = layout

    # --- starting ---------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until it works."""
        layout = self.layout
        environment.ensure(layout, say)
        say(f"starting everything but Nova (guests run with {machine.virt_type()})")
        host_files.write_shims(layout)
        rabbit_port = brokers.free_port()
        pool = ThreadPoolExecutor()
        parts: list[Future[object]] = [
            pool.submit(cloud.up, layout.cloud, lambda _text: None, ("nova",)),
            pool.submit(self._start_conductor, rabbit_port),
            pool.submit(self._start_libvirt),
        ]
        # The first failure ends everything, without waiting for the other parts.
        for part in as_completed(parts):
            part.result()
        say("starting the rest of Nova")
        ports = self._ports()
        self._start_nova(ports, rabbit_port)
        stack = Stack(layout)
        self._await_nova(stack, ports["nova"])
        stack.upload_guest()

    def _ports(self) -> dict[str, int]:
        """The embedded cloud's ports, which it chooses before it is up."""
        while True:
            current = state.read(self.layout.cloud.state_file)
            if current is not None and current.ports:
                return current.ports
            time.sleep(0.1)

    def _start_conductor(self, rabbit_port: int) -> None:
        """Start what only the conductor needs, and it: everybody else waits for it."""
        layout = self.layout
        children = self.children
        brokers.start_rabbitmq(children, layout, rabbit_port)
        template = brokers.ensure_template(layout, say)
        brokers.copy_template(template, layout)
        brokers.start_mariadb(children, layout)
        nova_config.write_controller(layout, self._ports(), rabbit_port)
        brokers.await_mariadb(children, layout)
        brokers.await_rabbitmq(children, layout, rabbit_port)
        self._start_console_script("nova-conductor")
        log = layout.log("nova-conductor")
        self._await(
            lambda: nova_config.READY in log.read_text(), "nova-conductor is not ready", log
        )

    def _start_libvirt(self) -> None:
        first, *others = HOSTS
        self._start_host(first)
        # libvirt looks at QEMU when it is first asked: once is enough for all hosts.
        RemoteHost(self.layout, first.name).virsh("domcapabilities")
        for host in others:
            host_files.write(self.layout, host)
            host_files.copy_cache(self.layout, first, host)
            self._start_agent(host)
        for host in others:
            self._await_agent(host)

    def _start_host(self, host: Host) -> None:
        host_files.write(self.layout, host)
        self._start_agent(host)
        self._await_agent(host)

    def _start_agent(self, host: Host) -> None:
        self.children.start(
            host.name,
            [
                *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"),
                *("--propagation", "private", sys.executable),
                *("-m", "tests.e2e.stack.agent", self.layout.root, host.name),
            ],
            self.layout.host(host.name).agent_log,
            bound=False,
            cwd=SOURCE_ROOT,
        )

    def _await_agent(self, host: Host) -> None:
        paths = self.layout.host(host.name)
        self._await(paths.agent_socket.exists, f"{host.name} does not start", paths.agent_log)

    def _start_nova(self, ports: dict[str, int], rabbit_port: int) -> None:
        layout = self.layout
        self._start_child(
            "nova-api",
            layout.python,
            *("-m", "tests.e2e.stack.nova_api", str(ports["nova"])),
            *(layout.venv / "etc" / "nova" / "api-paste.ini", layout.nova_conf),
        )
        for host in HOSTS:
            nova_config.write_host(layout, host, ports, rabbit_port, machine.virt_type())
            RemoteHost(layout, host.name).order("start-compute")
        self._start_console_script("nova-scheduler")

    def _start_console_script(self, name: str) -> None:
        script = self.layout.venv / "bin" / name
        self._start_child(name, script, "--config-file", self.layout.nova_conf)

    def _start_child(self, name: str, *argv: Argument) -> None:
        self.children.start(
            name,
            argv,
            self.layout.log(name),
            # Threads of a pool start some of these, and do not live as long.
            bound=False,
            env=databases.service_environment(self.layout.cloud),
            cwd=self.layout.root,
        )

    def _await_nova(self, stack: Stack, port: int) -> None:
        urls = {"nova-api": f"http://127.0.0.1:{port}/"}
        for name, _status in self.children.answers(urls, READY_TIMEOUT):
            say(f"{name} is ready")
        for host in HOSTS:
            stack.host(host.name).await_compute(0)
        # Known to the scheduler, too: until then nothing can be sent there.
        self._await(
            lambda: len(stack.get("nova", "/v2.1/os-hypervisors")["hypervisors"]) >= len(HOSTS),
            "the scheduler does not find all hosts",
            self.layout.log("nova-scheduler"),
        )

    def _await(self, ready: Callable[[], bool], failure: str, log: Path) -> None:
        wait_until(ready, failure, log, timeout=READY_TIMEOUT, check=self.children.check)

    # --- ending -----------------------------------------------------------

    def end(self) -> None:
        """End everything, and remove the stack's folder unless it holds the reason of a failure."""
        # Everything in the namespace but this process: there is nothing to save.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        layout = self.layout
        wanted = os.environ.get("E2E_LOGS")
        if wanted:
            _copy_logs(layout, Path(wanted))
        if self.state.phase == state.FAILED:
            # Whoever started this reads why, and removes the rest.
            self.save()
            return
        shutil.rmtree(layout.root, ignore_errors=True)


def _copy_logs(layout: Layout, target: Path) -> None:
    for log in layout.root.rglob("*.log"):
        copy = target / log.relative_to(layout.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, copy)


def main(root: str) -> int:
    """Run until told to end."""
    layout = Layout.of(root)
    # What is killed leaves its temporary files behind: here they go with everything else.
    layout.temporary.mkdir()
    os.environ["TMPDIR"] = os.fspath(layout.temporary)
    # With the machine's /proc: there this process has the number that others know it by.
    supervisor = StackSupervisor(layout)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], env={"PATH": machine.PATH}, check=True)
    return supervisor.run()


if __name__ == "__main__":
    _code = main(*sys.argv[1:])
    sys.stderr.flush()
    # Not sys.exit(), which would wait for threads that start what is no longer wanted.
    os._exit(_code)
