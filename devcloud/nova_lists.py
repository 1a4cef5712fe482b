# SPDX-License-Identifier: Apache-2.0
"""A second process of Nova's API, which answers some of the requests for lists of servers.

Nova spends seconds of Python on a page of 1,000 servers, and a process computes one at a time.
Every deployment runs several workers; here the fake transport keeps all services that use RPC in
one process. Lists need the databases only, so another process can make them.
"""

import http.client
import logging
import os
import socket
import sys
import threading
import traceback
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from devcloud import process

LOG = logging.getLogger(__name__)

#: Seconds; a page of a big cloud takes long.
_TIMEOUT = 600
#: Headers of one connection, or that are made again (RFC 9110, 7.6.1).
_OF_CONNECTION = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


def fork(serve: Callable[[socket.socket], None]) -> int:
    """Serve in a process of its own, which ends with this one; return the port.

    The caller must have no threads yet.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    parent = os.getpid()
    if os.fork():
        port: int = listener.getsockname()[1]
        listener.close()
        return port
    try:
        process.die_with_parent(parent)
        serve(listener)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    # Nothing of the caller's goes on here.
    os._exit(1)


class Spread:
    """Hands lists of servers to the other process while this one makes some."""

    def __init__(self, application: Any, port: int) -> None:
        self._application = application
        self._port = port
        self._lock = threading.Lock()
        #: Lists that are being made, here and in the other process.
        self._running = [0, 0]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ["PATH_INFO"].rstrip("/")
        if environ["REQUEST_METHOD"] != "GET" or not path.endswith(("/servers", "/servers/detail")):
            return self._here(environ, start_response)
        with self._lock:
            other = int(self._running[0] > self._running[1])
            self._running[other] += 1
        try:
            return (self._there if other else self._here)(environ, start_response)
        finally:
            with self._lock:
                self._running[other] -= 1

    def _here(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer

    def _there(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {
            name[5:].replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name[5:].replace("_", "-").lower() not in _OF_CONNECTION
        }
        # WSGI has it decoded, as Latin-1.
        path = urllib.parse.quote(environ["SCRIPT_NAME"] + environ["PATH_INFO"], encoding="latin-1")
        path += f"?{environ['QUERY_STRING']}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            LOG.exception("the process for lists gave no answer")
            return self._here(environ, start_response)
        finally:
            connection.close()
        kept = [item for item in answer.getheaders() if item[0].lower() not in _OF_CONNECTION]
        start_response(f"{answer.status} {answer.reason}", kept)
        return [body]
