# SPDX-License-Identifier: Apache-2.0
"""The parent of everything in one stack: PID 1 of a PID namespace of its own.

Whatever it starts ends when it ends, daemons too, however it ends. Its standard output carries
progress. Its standard input tells it whether the stack is still wanted: the end of the file before
the word ``keep`` ends everything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from types import FrameType

from devcloud import cloud, databases, process, state
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import SOURCE_ROOT
from tests.e2e.stack import brokers, environment, host_files, machine, nova_config
from tests.e2e.stack.hosts import HOSTS, Host
from tests.e2e.stack.layout import Layout
from tests.e2e.stack.remote import RemoteHost
from tests.e2e.stack.stack import Stack

KEEP = b"keep\n"
#: The last line of the progress.
UP = "the stack is up"
READY_TIMEOUT = 300.0


class _Stop(Exception):
    """The stack is to end."""


def _on_signal(_signum: int, _frame: FrameType | None) -> None:
    raise _Stop


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


class Supervisor:
    """Starts the parts of a stack and ends them."""

    def __init__(self, layout: Layout, pid: int, started: int) -> None:
        self.layout = layout
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.state = state.State(
            phase=state.STARTING,
            pid=pid,
            started=started,
            venv=str(layout.venv),
            clouds_yaml=str(layout.cloud.clouds_yaml),
        )

    def run(self) -> int:
        """Start everything, then wait until it is to end."""
        threading.Thread(target=self._watch_caller, daemon=True).start()
        try:
            self._save()
            self._start()
            self.state.phase = state.READY
            self._save()
            _say(UP)
            # Nobody reads any more.
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            while True:
                signal.pause()
        except _Stop:
            self.state.phase = state.STOPPED
        except DevcloudError as error:
            self.state.phase = state.FAILED
            self.state.error = f"{error}\n{error.detail}"
        except Exception as error:
            self.state.phase = state.FAILED
            self.state.error = f"{type(error).__name__}: {error}"
        finally:
            # A second signal must not interrupt the end.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            self._end()
        return 0 if self.state.phase == state.STOPPED else 1

    def _save(self) -> None:
        state.write(self.layout.state_file, self.state)

    def _watch_caller(self) -> None:
        """End the stack with whoever started it, until told to keep it."""
        if os.read(sys.stdin.fileno(), len(KEEP)) != KEEP:
            os.kill(os.getpid(), signal.SIGTERM)

    # --- starting ---------------------------------------------------------

    def _start(self) -> None:
        layout = self.layout
        environment.ensure(layout, _say)
        _say(f"starting everything but Nova (guests run with {machine.virt_type()})")
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
        _say("starting the rest of Nova")
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
        self.children["rabbitmq"] = brokers.start_rabbitmq(layout, rabbit_port)
        template = brokers.ensure_template(layout, _say)
        brokers.copy_template(template, layout)
        self.children["mariadb"] = brokers.start_mariadb(layout)
        nova_config.write_controller(layout, self._ports(), rabbit_port)
        brokers.await_mariadb(layout, self.children["mariadb"])
        brokers.await_rabbitmq(layout, self.children["rabbitmq"], rabbit_port)
        self._spawn_console_script("nova-conductor")
        deadline = time.monotonic() + READY_TIMEOUT
        log = layout.log("nova-conductor")
        while nova_config.READY not in log.read_text():
            self._check_children()
            if time.monotonic() > deadline:
                raise DevcloudError("nova-conductor is not ready", log_tail(log))
            time.sleep(0.1)

    def _start_libvirt(self) -> None:
        first, *others = HOSTS
        self._start_host(first)
        # libvirt looks at QEMU when it is first asked: once is enough for all hosts.
        RemoteHost(self.layout, first.name).virsh("domcapabilities")
        for host in others:
            host_files.write(self.layout, host)
            host_files.copy_cache(self.layout, first, host)
            self._spawn_agent(host)
        for host in others:
            self._await_agent(host)

    def _start_host(self, host: Host) -> None:
        host_files.write(self.layout, host)
        self._spawn_agent(host)
        self._await_agent(host)

    def _spawn_agent(self, host: Host) -> None:
        with self.layout.host(host.name).agent_log.open("wb") as log:
            self.children[host.name] = subprocess.Popen(
                [
                    *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"),
                    *("--propagation", "private", sys.executable),
                    *("-m", "tests.e2e.stack.agent", self.layout.root, host.name),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=SOURCE_ROOT,
            )

    def _await_agent(self, host: Host) -> None:
        paths = self.layout.host(host.name)
        deadline = time.monotonic() + READY_TIMEOUT
        while not paths.agent_socket.exists():
            self._check_children()
            if time.monotonic() > deadline:
                raise DevcloudError(f"{host.name} does not start", log_tail(paths.agent_log))
            time.sleep(0.05)

    def _start_nova(self, ports: dict[str, int], rabbit_port: int) -> None:
        layout = self.layout
        self._spawn(
            "nova-api",
            layout.python,
            *("-m", "tests.e2e.stack.nova_api", str(ports["nova"])),
            *(layout.venv / "etc" / "nova" / "api-paste.ini", layout.nova_conf),
        )
        for host in HOSTS:
            nova_config.write_host(layout, host, ports, rabbit_port, machine.virt_type())
            RemoteHost(layout, host.name).order("start-compute")
        self._spawn_console_script("nova-scheduler")

    def _spawn_console_script(self, name: str) -> None:
        script = self.layout.venv / "bin" / name
        self._spawn(name, script, "--config-file", self.layout.nova_conf)

    def _spawn(self, name: str, *argv: str | os.PathLike[str]) -> None:
        with self.layout.log(name).open("wb") as log:
            self.children[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=databases.service_environment(self.layout.cloud),
                cwd=self.layout.root,
            )

    def _await_nova(self, stack: Stack, port: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        _await_http(f"http://127.0.0.1:{port}/", deadline, self._check_children)
        for host in HOSTS:
            stack.host(host.name).await_compute(0)
        # Known to the scheduler, too: until then nothing can be sent there.
        while len(stack.get("nova", "/v2.1/os-hypervisors")["hypervisors"]) < len(HOSTS):
            self._check_children()
            if time.monotonic() > deadline:
                raise DevcloudError(
                    "the scheduler does not find all hosts",
                    log_tail(self.layout.log("nova-scheduler")),
                )
            time.sleep(0.2)

    def _check_children(self) -> None:
        for name, child in list(self.children.items()):
            if child.poll() is not None:
                log = self.layout.log(name)
                if not log.exists():
                    log = self.layout.host(name).agent_log
                raise DevcloudError(f"{name} ended with code {child.returncode}", log_tail(log))

    # --- ending -----------------------------------------------------------

    def _end(self) -> None:
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
            self._save()
            return
        shutil.rmtree(layout.root, ignore_errors=True)


def _copy_logs(layout: Layout, target: Path) -> None:
    for log in layout.root.rglob("*.log"):
        copy = target / log.relative_to(layout.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, copy)


def _await_http(url: str, deadline: float, check: object) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url, timeout=READY_TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            # 300 is a list of versions.
            if error.code < 500:
                return
            raise DevcloudError(f"{url} answers {error.code}") from error
        except OSError:
            if callable(check):
                check()
            if time.monotonic() > deadline:
                raise DevcloudError(f"{url} does not answer") from None
            time.sleep(0.1)


def main(root: str) -> int:
    """Run until told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    # The terminal may go away.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    layout = Layout.of(root)
    # What is killed leaves its temporary files behind: here they go with everything else.
    layout.temporary.mkdir()
    os.environ["TMPDIR"] = os.fspath(layout.temporary)
    # Still the machine's /proc: there this process has the number that others know it by.
    pid = int(os.readlink("/proc/self"))
    started = process.start_time(pid) or 0
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], env={"PATH": machine.PATH}, check=True)
    return Supervisor(layout, pid, started).run()


if __name__ == "__main__":
    _code = main(*sys.argv[1:])
    sys.stderr.flush()
    # Not sys.exit(), which would wait for threads that start what is no longer wanted.
    os._exit(_code)
