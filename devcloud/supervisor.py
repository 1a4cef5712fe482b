# SPDX-License-Identifier: Apache-2.0
"""The supervisor: the parent of every service of one cloud, detached from the terminal.

It inherits the cloud's lock and two pipes from ``up``. Its standard output carries progress to
``up``. Its standard input tells it whether ``up`` still wants the cloud: the end of the file
before the word ``keep`` means that ``up`` was interrupted or killed, and everything ends.
"""

import contextlib
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from pathlib import Path
from types import FrameType

from devcloud import databases, process, state
from devcloud.config import CATALOG, render
from devcloud.errors import DevcloudError, log_tail
from devcloud.layout import DATABASES, SERVICES, Layout

KEEP = b"keep\n"
READY_TIMEOUT = 180.0


class _Stop(Exception):
    """The cloud is to end."""


def _on_signal(_signum: int, _frame: FrameType | None) -> None:
    raise _Stop


def _say(text: str) -> None:
    # Nobody may be reading any more: that is for the caller of this process to care about.
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


class Supervisor:
    """Starts the services, watches them, and ends them."""

    def __init__(self, layout: Layout, without: Collection[str] = ()) -> None:
        self.layout = layout
        self.services = tuple(service for service in SERVICES if service not in without)
        #: Keep the ports of the other services from being taken, as long as the cloud runs.
        self.reserved: list[socket.socket] = []
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.state = state.State(
            phase=state.STARTING,
            pid=os.getpid(),
            started=process.start_time(os.getpid()) or 0,
            venv=str(layout.venv),
            clouds_yaml=str(layout.clouds_yaml),
        )

    def run(self, template: Path) -> int:
        """Start everything, then wait for a signal or the end of a service."""
        try:
            self._save()
            self._start(template)
            self._await_ready()
            self.state.phase = state.READY
            self._save()
            self._release_caller()
            self._watch()
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
            self._save()
        return 0 if self.state.phase == state.STOPPED else 1

    def _save(self) -> None:
        state.write(self.layout.state_file, self.state)

    def _start(self, template: Path) -> None:
        layout = self.layout
        # Fake computes refuse to run on the databases of an earlier process: always fresh.
        shutil.rmtree(layout.run, ignore_errors=True)
        for folder in ("locks", "neutron", "cinder", "nova/instances"):
            (layout.run / folder).mkdir(parents=True)
        for folder in ("images", "staging", "tasks"):
            (layout.run / "glance" / folder).mkdir(parents=True)
        layout.logs.mkdir(exist_ok=True)

        listeners = {service: _bind() for service in SERVICES}
        for service in self.services:
            listeners[service].listen(1024)
        ports = {service: sock.getsockname()[1] for service, sock in listeners.items()}
        databases.write_files(render(layout, ports))
        databases.write_keys(layout)
        databases.link_driver(layout)
        databases.install(template, layout, ports)
        self.state.ports = ports
        self.state.config = {name: str(layout.config_file(name)) for name in SERVICES}
        self.state.databases = {name: str(layout.database(name)) for name in DATABASES}
        # The slowest first.
        for service in sorted(self.services, key=("nova", "cinder", "neutron").__contains__)[::-1]:
            self._spawn(service, listeners[service])
        self.reserved = [listeners[name] for name in SERVICES if name not in self.services]
        for service in self.services:
            listeners[service].close()
            self.state.services[service] = state.ServiceState(
                self.children[service].pid, f"http://127.0.0.1:{ports[service]}"
            )
        self._save()

    def _spawn(self, service: str, listener: socket.socket) -> None:
        layout = self.layout
        env = databases.service_environment(layout)
        env["DEVCLOUD_VENV"] = str(layout.venv)
        with layout.log(service).open("wb") as log:
            self.children[service] = subprocess.Popen(
                process.argv_bound(
                    [
                        layout.python,
                        *("-m", "devcloud.run_service", service, layout.root),
                        str(listener.fileno()),
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=layout.run,
                pass_fds=[listener.fileno()],
            )

    def _await_ready(self) -> None:
        answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        for service in self.services:
            threading.Thread(
                target=_probe,
                args=(service, self.state.services[service].url, answers),
                daemon=True,
            ).start()
        deadline = time.monotonic() + READY_TIMEOUT
        waiting = set(self.services)
        while waiting:
            if _caller_left():
                raise _Stop
            for service, child in self.children.items():
                if child.poll() is not None:
                    raise DevcloudError(
                        f"{service} ended with exit code {child.returncode} while starting",
                        log_tail(self.layout.log(service)),
                    )
            if time.monotonic() > deadline:
                slow = sorted(waiting)
                raise DevcloudError(
                    f"not ready after {READY_TIMEOUT:.0f} s: {', '.join(slow)}",
                    log_tail(self.layout.log(slow[0])),
                )
            with contextlib.suppress(queue.Empty):
                service = answers.get(timeout=0.2)
                waiting.remove(service)
                _say(f"{service} is ready")

    def _release_caller(self) -> None:
        """Let ``up`` return: from here on the cloud stands on its own."""
        # Not sys.stdout.close(), which leaves the descriptor open.
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        # ``up`` answers, or has died meanwhile.
        if sys.stdin.buffer.readline() != KEEP:
            raise _Stop

    def _watch(self) -> None:
        """Note services that end; return never, but by a signal."""
        running = {process_fd(child): service for service, child in self.children.items()}
        poller = select.poll()
        for fd in running:
            poller.register(fd, select.POLLIN)
        while True:
            for fd, _event in poller.poll():
                poller.unregister(fd)
                service = running.pop(fd)
                os.close(fd)
                self.state.services[service].exit_code = self.children[service].wait()
                self._save()

    def _end(self) -> None:
        # The services have nothing to save, and Nova takes minutes to end by itself.
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
        for service, child in self.children.items():
            code = child.wait()
            known = self.state.services.get(service)
            if known is not None and known.exit_code is None:
                known.exit_code = code


def process_fd(child: subprocess.Popen[bytes]) -> int:
    """A descriptor that becomes readable when the child ends."""
    return os.pidfd_open(child.pid)


def _bind() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


def _probe(service: str, url: str, answers: "queue.SimpleQueue[str]") -> None:
    """Ask once: the answer comes when the service is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + CATALOG[service][2], timeout=READY_TIMEOUT):
            pass
    except urllib.error.HTTPError as error:
        # 300 is a list of versions, 401 asks for a token: both are answers.
        if error.code >= 500:
            return
    except OSError:
        # The process ended, which is noticed elsewhere.
        return
    answers.put(service)


def _caller_left() -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable)


def main(root: str, template: str, *without: str) -> int:
    """Run until told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    # The terminal may go away.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return Supervisor(Layout.of(root), without).run(Path(template))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
