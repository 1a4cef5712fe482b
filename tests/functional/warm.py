# SPDX-License-Identifier: Apache-2.0
"""``openstack`` without the second that each start of it takes to import the same modules.

A server, ``warm_server``, has imported them, and forks a process for each call.
"""

from __future__ import annotations

import contextlib
import locale
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from devcloud import process
from tests.functional import warm_server

START_TIMEOUT = 120.0


def own_variable(name: str) -> bool:
    """Whether a call may have its own value: no module reads this variable at its import."""
    return name.startswith("OS_") or name in ("COLUMNS", "PYTEST_CURRENT_TEST")


class WarmShell:
    """A server for a console script, until the ``with`` block ends. One call at a time."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._environment = dict(os.environ)
        self._lock = threading.Lock()
        self._ready = False
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._server = subprocess.Popen(
                process.argv_bound(
                    [sys.executable, "-P", warm_server.__file__, str(other.fileno()), script]
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def __enter__(self) -> WarmShell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A call that is under way ends with the server.
        self._server.kill()
        self._server.wait()
        self._control.close()

    def run(
        self, args: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Return what ``subprocess.run`` of the script returns, with its output captured as text.

        :raises ValueError: for a variable that is read when Python starts or modules are imported
        """
        ours, theirs = self._environment.items(), environment.items()
        fixed = {name for name, _text in ours ^ theirs if not own_variable(name)}
        if fixed:
            raise ValueError(f"only a new process would see {', '.join(sorted(fixed))}")
        request = warm_server.Request(list(args), dict(environment), os.getcwd())
        with self._lock:
            status, output = self._call(request, timeout)
        command = [str(self._script), *args]
        if status is None:
            raise subprocess.TimeoutExpired(command, timeout, *output)
        encoding = locale.getencoding()
        stdout, stderr = (
            data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n") for data in output
        )
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    def _call(self, request: warm_server.Request, timeout: float) -> tuple[int | None, list[bytes]]:
        """Return the wait status of a call, None after the timeout, and its output."""
        if not self._ready:
            self._control.settimeout(START_TIMEOUT)
            self._answer()
            self._control.settimeout(None)
            self._ready = True
        with contextlib.ExitStack() as files:
            readers = []
            streams = [files.enter_context(open(os.devnull, "rb", buffering=0))]
            for _ in ("stdout", "stderr"):
                reader, writer = os.pipe()
                readers.append(files.enter_context(open(reader, "rb", buffering=0)))
                streams.append(files.enter_context(open(writer, "wb", buffering=0)))
            numbers = [stream.fileno() for stream in streams]
            socket.send_fds(self._control, [request.encoded()], numbers)
            child = int(self._answer())
            for stream in streams:
                stream.close()
            ended = False
            try:
                output, ended = read_all([reader.fileno() for reader in readers], timeout)
            finally:
                # The server waits for it: its number means no other process yet.
                if not ended:
                    os.kill(child, signal.SIGKILL)
                status = int(self._answer())
        return status if ended else None, output

    def _answer(self) -> bytes:
        answer = self._control.recv(64)
        if not answer:
            raise RuntimeError(f"the warm shell ended with {self._server.wait()}")
        return answer


def read_all(readers: Sequence[int], timeout: float) -> tuple[list[bytes], bool]:
    """Read pipes side by side; tell whether all ended in time."""
    deadline = time.monotonic() + timeout
    output = {reader: bytearray() for reader in readers}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _events in selector.select(left):
                data = os.read(key.fd, 1 << 16)
                output[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
        ended = not selector.get_map()
    return [bytes(data) for data in output.values()], ended
