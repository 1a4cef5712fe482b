# SPDX-License-Identifier: Apache-2.0
"""Child processes: start them with a log each, wait until they are ready, and end them."""

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from devcloud import process
from devcloud.errors import DevcloudError, log_tail

Argument = str | os.PathLike[str]

#: Seconds between two looks at something that is not ready yet.
_PAUSE = 0.1


def start(
    argv: Sequence[Argument],
    log: Path,
    *,
    bound: bool = True,
    append: bool = False,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child that reads nothing and writes to a log.

    :param bound: the kernel kills it when the calling thread ends (``process.argv_bound``)
    :param append: keep what is in the log
    :param options: of ``subprocess.Popen``
    """
    with log.open("ab" if append else "wb") as output:
        return subprocess.Popen(
            process.argv_bound(argv) if bound else argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **options,
        )


def end(processes: Iterable[subprocess.Popen[Any]], grace: float = 0.0) -> None:
    """End child processes and wait until all have exited.

    :param grace: seconds between SIGTERM and SIGKILL; 0: no SIGTERM
    """
    processes = tuple(processes)
    if grace:
        for child in processes:
            child.terminate()
        deadline = time.monotonic() + grace
        for child in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
    for child in processes:
        child.kill()
    for child in processes:
        child.wait()


def listens(address: Path | tuple[str, int]) -> bool:
    """Tell whether a process accepts connections at a socket file, or at a host and port."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as client:
        where = os.fspath(address) if isinstance(address, Path) else address
        return client.connect_ex(where) == 0


def wait_until(
    ready: Callable[[], bool],
    failure: str,
    log: Path,
    *,
    timeout: float,
    check: Callable[[], object],
) -> None:
    """Wait until something is ready.

    :param check: raises an exception when it can no longer become ready
    :raises DevcloudError: it was not ready in time; with the failure and the end of the log
    """
    deadline = time.monotonic() + timeout
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise DevcloudError(failure, log_tail(log))
        time.sleep(_PAUSE)


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path


class Children:
    """Child processes by name. As a context manager it ends them with the block."""

    def __init__(self, grace: float = 0.0) -> None:
        """Begin without any.

        :param grace: seconds between SIGTERM and SIGKILL at the end; 0: no SIGTERM
        """
        self._grace = grace
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    @property
    def processes(self) -> dict[str, subprocess.Popen[bytes]]:
        """The processes that were started, by name."""
        return {name: child.process for name, child in list(self._children.items())}

    def start(
        self, name: str, argv: Sequence[Argument], log: Path, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start one more, as the function ``start`` does."""
        child = start(argv, log, **options)
        self._children[name] = _Child(child, log)
        return child

    def check(self) -> None:
        """Check that all of them still run.

        :raises DevcloudError: one has exited
        """
        # A copy: other threads may start children meanwhile.
        for name, (child, log) in list(self._children.items()):
            if child.poll() is not None:
                raise DevcloudError(
                    f"{name} exited with code {child.returncode} while starting", log_tail(log)
                )

    def succeed(self, failure: str) -> None:
        """Wait until all of them have exited with code 0.

        :raises DevcloudError: one exited with another code
        """
        for name, (child, log) in self._children.items():
            if child.wait() != 0:
                raise DevcloudError(
                    f"{failure}: {name} exited with code {child.returncode}", log_tail(log)
                )

    def answers(self, urls: Mapping[str, str], timeout: float) -> Iterator[tuple[str, int]]:
        """Ask children at the same time and yield name and HTTP status of each that answers.

        :param urls: by the name of the child
        :raises DevcloudError: one did not answer in time, one has an error, or a child exited
        """
        statuses: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        deadline = time.monotonic() + timeout
        for name, url in urls.items():
            threading.Thread(target=_ask, args=(name, url, deadline, statuses), daemon=True).start()
        waiting = set(urls)
        while waiting:
            self.check()
            if time.monotonic() > deadline:
                slow = sorted(waiting)
                raise DevcloudError(
                    f"not ready after {timeout:.0f} s: {', '.join(slow)}",
                    log_tail(self._children[slow[0]].log),
                )
            with contextlib.suppress(queue.Empty):
                name, status = statuses.get(timeout=_PAUSE)
                if status >= 500:
                    raise DevcloudError(
                        f"{name} answered {status}", log_tail(self._children[name].log)
                    )
                waiting.remove(name)
                yield name, status

    def end(self) -> None:
        """End all of them, the last one first, and wait until they have exited."""
        end(reversed(self.processes.values()), self._grace)


def _ask(
    name: str, url: str, deadline: float, statuses: "queue.SimpleQueue[tuple[str, int]]"
) -> None:
    """Put the status of the first answer; a refused connection is tried again."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while (left := deadline - time.monotonic()) > 0:
        try:
            with opener.open(url, timeout=left) as answer:
                statuses.put((name, answer.status))
                return
        except urllib.error.HTTPError as error:
            # 300 is a list of versions, 401 asks for a token.
            statuses.put((name, error.code))
            return
        except OSError:
            time.sleep(_PAUSE)
