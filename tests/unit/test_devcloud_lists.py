# SPDX-License-Identifier: Apache-2.0
"""Lists of servers that the embedded cloud's second process of Nova's API makes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from devcloud.nova_lists import Spread


class Other(http.server.BaseHTTPRequestHandler):
    """The other process: it answers what it was asked."""

    def do_GET(self) -> None:
        """Answer with two headers of one name, and one that is the connection's own."""
        asked = self.headers
        text = f"{self.path} {asked['Host']} {asked['X-Auth-Token']} {asked['Keep-Alive']}"
        self.send_response(203, "From There")
        for name, value in (("Vary", "a"), ("Vary", "b"), ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Here:
    """This process: while it is busy with one list, others go elsewhere."""

    def __init__(self, port: int) -> None:
        self.spread = Spread(self._application, port)
        self.asked: list[str] = []
        self.meanwhile: dict[str, Any] | None = None
        self.answers: list[tuple[str, list[tuple[str, str]], bytes]] = []

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            self.get(**meanwhile)
        start_response("200 OK", [])
        return [b"here"]

    def get(self, path: str, query: str = "", method: str = "GET") -> None:
        """Ask, and keep the answer."""
        started: list[Any] = []
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_HOST": "nova.test:1",
            "HTTP_X_AUTH_TOKEN": "secret",
            "HTTP_KEEP_ALIVE": "mine",
        }
        body = self.spread(environ, lambda *answer: started.extend(answer))
        self.answers.append((started[0], started[1], b"".join(body)))


LIST = "/v2.1/servers/detail"


def test_one_list_at_a_time_is_made_here(port: int) -> None:
    here = Here(port)
    here.get(LIST)
    here.get(LIST)
    assert here.asked == [LIST, LIST]


def test_another_one_is_made_there_with_all_that_was_asked(port: int) -> None:
    here = Here(port)
    here.meanwhile = {"path": "/v2.1/a b/servers", "query": "limit=1&marker=x%20y"}
    here.get(LIST)
    there, mine = here.answers
    assert there[0] == "203 From There"
    kept = [item for item in there[1] if item[0] == "Vary" or item[0] == "Connection"]
    assert kept == [("Vary", "a"), ("Vary", "b")]
    said = b"/v2.1/a%20b/servers?limit=1&marker=x%20y nova.test:1 secret None"
    assert there[2] == said
    assert mine[2] == b"here"


@pytest.mark.parametrize(
    ("path", "method"),
    [(LIST, "POST"), (LIST, "HEAD"), ("/v2.1/servers/1", "GET"), ("/v2.1/flavors", "GET")],
)
def test_all_else_is_for_the_one_that_speaks_rpc(port: int, path: str, method: str) -> None:
    here = Here(port)
    here.meanwhile = {"path": path, "method": method}
    here.get(LIST)
    assert here.asked == [LIST, path]


def test_a_dead_process_is_made_up_for() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as gone:
        port = gone.server_address[1]
    here = Here(port)
    here.meanwhile = {"path": LIST}
    here.get(LIST)
    assert [answer[2] for answer in here.answers] == [b"here", b"here"]
