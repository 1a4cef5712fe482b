# SPDX-License-Identifier: Apache-2.0
"""The supervisor of one cloud: the parent of every service."""

import os
import select
import shutil
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from devcloud import databases, state
from devcloud.config import CATALOG, render
from devcloud.layout import DATABASES, SERVICES, Layout
from devcloud.supervise import Supervisor, say

READY_TIMEOUT = 180.0


class CloudSupervisor(Supervisor):
    """Starts the services, watches them, and ends them."""

    def __init__(self, layout: Layout, template: Path, without: Collection[str] = ()) -> None:
        super().__init__(layout, layout.clouds_yaml)
        self.layout = layout
        self.template = template
        self.services = tuple(service for service in SERVICES if service not in without)
        #: Keep the ports of the other services from being taken, as long as the cloud runs.
        self.reserved: list[socket.socket] = []

    def start(self) -> None:
        """Start the services and wait until all of them answer."""
        self._start_services()
        urls = {
            service: self.state.services[service].url + CATALOG[service][2]
            for service in self.services
        }
        for service, _status in self.children.answers(urls, READY_TIMEOUT):
            say(f"{service} is ready")

    def _start_services(self) -> None:
        layout = self.layout
        # Fake computes refuse to run on the databases of an earlier process: always fresh.
        shutil.rmtree(layout.run, ignore_errors=True)
        for folder in ("locks", "neutron", "cinder", "nova/instances"):
            (layout.run / folder).mkdir(parents=True)
        for folder in ("images", "staging", "tasks"):
            (layout.run / "glance" / folder).mkdir(parents=True)

        listeners = {service: _bind() for service in SERVICES}
        for service in self.services:
            listeners[service].listen(1024)
        ports = {service: sock.getsockname()[1] for service, sock in listeners.items()}
        databases.write_files(render(layout, ports))
        databases.write_keys(layout)
        databases.link_driver(layout)
        databases.install(self.template, layout, ports)
        self.state.ports = ports
        self.state.config = {name: str(layout.config_file(name)) for name in SERVICES}
        self.state.databases = {name: str(layout.database(name)) for name in DATABASES}
        # The slowest first.
        for service in sorted(self.services, key=("nova", "cinder", "neutron").__contains__)[::-1]:
            self._start_service(service, listeners[service].fileno())
        self.reserved = [listeners[name] for name in SERVICES if name not in self.services]
        for service in self.services:
            listeners[service].close()
            self.state.services[service] = state.ServiceState(
                self.children.processes[service].pid, f"http://127.0.0.1:{ports[service]}"
            )
        self.save()

    def _start_service(self, service: str, listener: int) -> None:
        layout = self.layout
        self.children.start(
            service,
            [layout.python, "-m", "devcloud.run_service", service, layout.root, str(listener)],
            layout.log(service),
            env={**databases.service_environment(layout), "DEVCLOUD_VENV": str(layout.venv)},
            cwd=layout.run,
            pass_fds=[listener],
        )

    def watch(self) -> None:
        """Note services that exit; never return, but by a signal."""
        running = {
            os.pidfd_open(child.pid): service for service, child in self.children.processes.items()
        }
        poller = select.poll()
        for pidfd in running:
            poller.register(pidfd, select.POLLIN)
        while True:
            for pidfd, _event in poller.poll():
                poller.unregister(pidfd)
                os.close(pidfd)
                self._note_exit(running.pop(pidfd))
                self.save()

    def end(self) -> None:
        """End the services. They have nothing to save, and Nova would take minutes to end."""
        self.children.end()
        for service in self.state.services:
            self._note_exit(service)
        self.save()

    def _note_exit(self, service: str) -> None:
        """Write down how a service ended, if that is not known yet."""
        known = self.state.services[service]
        if known.exit_code is None:
            known.exit_code = self.children.processes[service].wait()


def _bind() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


def main(root: str, template: str, *without: str) -> int:
    """Run until told to end."""
    return CloudSupervisor(Layout.of(root), Path(template), without).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
