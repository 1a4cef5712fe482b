# SPDX-License-Identifier: Apache-2.0
"""What nginx does for Skyline: the console, skyline-apiserver and the services on one port."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import requests

#: skyline-apiserver 9.0.0 wants a token for it, but the page to log in has none yet.
_DOMAINS = "/contrib/domains"
#: Headers that belong to one connection.
_OWN = {"connection", "content-encoding", "content-length", "host", "transfer-encoding"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: The prefixes of paths, and what replaces them.
    targets: Mapping[str, str]
    console: Path

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""

    def _answer(self, status: int, kind: str, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith(_DOMAINS):
            self._answer(200, "application/json", json.dumps(["Default"]).encode())
            return
        for prefix, target in self.targets.items():
            if self.path.startswith(prefix):
                self._forward(target + self.path.removeprefix(prefix), content)
                return
        file = self.console / urlsplit(self.path).path.lstrip("/")
        if not file.is_file():
            # A page: the console has one file for all of them.
            file = self.console / "index.html"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self._answer(200, kind, file.read_bytes())

    def _forward(self, url: str, content: bytes) -> None:
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                str(self.command), url, data=content, headers=sent, timeout=120
            )
        self.send_response(answer.status_code)
        for name, value in answer.raw.headers.items():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = _serve


@contextlib.contextmanager
def serve(console: Path, targets: Mapping[str, str]) -> Iterator[str]:
    """Serve on the loopback interface and yield the URL.

    :param console: the folder of the pages
    :param targets: the prefixes of paths, and the URLs that replace them
    """
    kind = type("Handler", (_Handler,), {"console": console, "targets": dict(targets)})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
