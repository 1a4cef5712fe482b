# SPDX-License-Identifier: Apache-2.0
"""Run as a script: it imports the shell once, and forks a child for each call of it.

Each child is what ``openstack`` is: a process with arguments, an environment, a working folder
and standard streams of its own, which runs the console script and ends as Python ends. The
plugin is not imported here: each child does that, as every run of ``openstack`` does.

The other end of its socket is ``warm``; this ends when that is closed.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import importlib
import importlib.metadata
import json
import os
import runpy
import signal
import socket
import sys
import threading

PLUGIN = "osc_uniqserial"
#: Modules of others that the shell and the plugin import only where they need them.
LATE = (
    "cliff.formatters.table",
    "jinja2",
    "jsonschema",
    "junitparser",
    "msgspec",
    "openstack.connection",
    "prometheus_client",
)
#: The most bytes of a request.
LIMIT = 1 << 17
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Request:
    """What a call has of its own, besides its standard streams."""

    args: list[str]
    environment: dict[str, str]
    folder: str

    def encoded(self) -> bytes:
        """Return the message for ``decoded``."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @staticmethod
    def decoded(message: bytes) -> Request:
        """Return the request that is in a message."""
        return Request(**json.loads(message))


def import_shell() -> None:
    """Import the shell and the modules of all commands but the plugin's."""
    importlib.import_module("openstackclient.shell")
    points = importlib.metadata.entry_points()
    for group in sorted(group for group in points.groups if group.startswith("openstack.")):
        for point in points.select(group=group):
            if not point.module.startswith(PLUGIN):
                importlib.import_module(point.module)
    for name in LATE:
        importlib.import_module(name)
    # cliff reads the metadata of every distribution once, and keeps what it found.
    importlib.import_module("cliff.command")._get_distributions_by_modules()
    if PLUGIN in sys.modules:
        raise RuntimeError(f"another plugin imports {PLUGIN}")


def serve(control: socket.socket) -> list[str] | None:
    """Answer requests. Return None when there are no more, and in each child its arguments.

    The answers to a request are the child's process ID and, when it has ended, its wait status.
    """
    libc = ctypes.CDLL(None)
    # The memory of what was imported is shared until it is written to.
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    server = os.getpid()
    while True:
        message, streams, _flags, _address = socket.recv_fds(control, LIMIT, 3)
        if not message:
            return None
        # A child would get the locks of other threads, but not the threads.
        if threading.active_count() != 1 or len(os.listdir("/proc/self/task")) != 1:
            raise RuntimeError("an import started a thread")
        child = os.fork()
        if child == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != server:
                os._exit(1)
            control.close()
            become(request := Request.decoded(message), streams)
            return request.args
        for stream in streams:
            os.close(stream)
        control.send(str(child).encode())
        _pid, status = os.waitpid(child, 0)
        control.send(str(status).encode())


def become(request: Request, streams: list[int]) -> None:
    """Take over what the caller of a process gives it."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)


def main(descriptor: str, script: str) -> None:
    """Serve; in a child, run the console script."""
    # Ctrl-C in a terminal ends the tests, and this without a word; nohup and others ignore it.
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What Python does for a script, and modules look at.
    sys.path.insert(0, os.path.dirname(script))
    sys.argv = [script]
    import_shell()
    args = serve(socket.socket(fileno=int(descriptor)))
    if args is not None:
        signal.signal(signal.SIGINT, interrupt)
        sys.argv += args
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
