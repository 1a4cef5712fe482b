# SPDX-License-Identifier: Apache-2.0
"""The bounds on the answers of a cloud, over sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from osc_uniqserial.api import transport

Writes = Callable[[socket.socket], None]


class Server:
    """A server on the loopback interface that writes the same bytes to each request."""

    def __init__(self, writes: Writes) -> None:
        self.requests: list[str] = []
        self._writes = writes
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._socket.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            text = b""
            while b"\r\n\r\n" not in text:
                text += client.recv(4096)
            self.requests.append(text.decode())
            self._writes(client)

    def close(self) -> None:
        self._socket.close()


Serve = Callable[[Writes], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as running:

        def start(writes: Writes) -> Server:
            server = Server(writes)
            running.callback(server.close)
            return server

        yield start


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    length = f"Content-Length: {len(body)}"
    # Each connection is for one request.
    lines = (f"HTTP/1.1 {status}", length, "Connection: close", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def always(text: bytes) -> Writes:
    return lambda client: client.sendall(text)


def session(timeout: float = 30) -> Session:
    made = Session(timeout=timeout)
    transport.install(made.session)
    return made


def get(url: str, timeout: float = 30, **options: bool) -> requests.Response:
    with transport.bounded():
        return session(timeout).get(url, authenticated=False, **options)


def refusal(url: str, timeout: float = 30) -> str:
    """Return why an answer is refused."""
    with transport.bounded() as bounds, pytest.raises(ksa.UnknownConnectionError) as raised:
        session(timeout).get(url, authenticated=False)
    assert isinstance(raised.value.original, transport.Refused)
    assert bounds.refusal == str(raised.value.original)
    return bounds.refusal


@pytest.mark.parametrize("size", [0, 1, 70_000, 5 << 20])
def test_an_answer_is_whole(serve: Serve, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    plain = serve(always(answer(body)))
    assert get(plain.url).content == body
    packed = serve(always(answer(gzip.compress(body), "Content-Encoding: gzip")))
    assert get(packed.url).content == body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body,) if part)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert get(serve(always(head + chunks + b"0\r\n\r\n")).url).content == body


def test_a_connection_serves_several_requests() -> None:
    ours, theirs = session(), socket.create_server(("127.0.0.1", 0))
    accepted = []

    def run() -> None:
        client, _address = theirs.accept()
        accepted.append(client)
        for _request in range(3):
            while b"\r\n\r\n" not in client.recv(4096):
                pass
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")

    threading.Thread(target=run, daemon=True).start()
    url = f"http://127.0.0.1:{theirs.getsockname()[1]}"
    for _request in range(3):
        with transport.bounded():
            assert ours.get(url, authenticated=False).json() == [1]
    assert len(accepted) == 1
    accepted[0].close()
    theirs.close()


@pytest.mark.parametrize(
    "location",
    [
        "{other}/x",
        "https://127.0.0.1/x",
        "https://example.org/",
        "//example.org/x",
        "http://u:secret@127.0.0.1:9/x",
        "http://127.0.0.1:99999/",
        "http://[/",
        "ftp://127.0.0.1/",
    ],
)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "305 Proxy", "307 x", "308 x"])
def test_a_redirect_to_another_host_is_refused(serve: Serve, location: str, status: str) -> None:
    other = serve(always(answer(b"{}")))
    text = answer(b"", f"Location: {location.format(other=other.url)}", status=status)
    found = refusal(serve(always(text)).url)
    assert "redirects to another host" in found
    assert "secret" not in found
    assert other.requests == []


def test_the_choices_of_a_version_document_are_no_redirect(serve: Serve) -> None:
    text = answer(b"[1]", "Location: http://10.0.0.1:5000/v3/", status="300 Multiple Choices")
    assert get(serve(always(text)).url).json() == [1]


def test_a_redirect_on_the_same_host_is_followed(serve: Serve) -> None:
    def writes(client: socket.socket) -> None:
        if "/there" in server.requests[-1].splitlines()[0]:
            client.sendall(answer(b"[1]"))
        else:
            text = answer(b"", f"Location: {server.url}/there", status="302 Found")
            client.sendall(text)

    server = serve(writes)
    assert get(f"{server.url}/here").json() == [1]


def test_a_redirect_that_only_adds_a_slash_stays_on_the_host(serve: Serve) -> None:
    """Services redirect /v3 to /v3/ at the address by which they know themselves."""
    other = serve(always(answer(b"[2]")))

    def writes(client: socket.socket) -> None:
        if "GET /v3/?a=b " in server.requests[-1]:
            client.sendall(answer(b"[1]"))
        else:
            text = answer(b"", f"Location: {other.url}/v3/", status="302 Found")
            client.sendall(text)

    server = serve(writes)
    assert get(f"{server.url}/v3?a=b").json() == [1]
    assert other.requests == []


@pytest.mark.parametrize(
    ("here", "location", "same"),
    [
        ("http://a/x", "/y", True),
        ("http://a/x", "http://A:80/y", True),
        ("https://a/x", "https://a:443/y", True),
        # An upgrade to TLS on the default ports.
        ("http://a/x", "https://a/y", True),
        ("http://a:8774/x", "https://a:8774/y", True),
        ("http://a:8774/x", "https://a/y", False),
        ("https://a/x", "http://a/y", False),
        ("http://a/x", "http://a:8774/y", False),
        ("http://a/x", "http://b/y", False),
        ("http://a/x", "http://a@b/y", False),
        ("http://a/x", "http://a.b/y", False),
        # urllib and urllib3 disagree on the host.
        ("http://a/x", "http://b\\@a/y", False),
        ("http://a/x", "http://b\\\\@a/y", False),
        ("http://a/x", "http://b#@a/y", False),
        ("http://a/x", "http:///b", False),
        ("http://a/x", "http://", False),
    ],
)
def test_what_the_same_host_is(here: str, location: str, same: bool) -> None:
    assert transport._is_same_origin(here, location) is same


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("0", True),
        ("60", True),
        ("61", False),
        ("3600", False),
        ("-1", False),
        ("9" * 5000, False),
        ("1e1", False),
        ("\u0661", False),
        ("Fri, 31 Dec 2100 23:59:59 GMT", False),
    ],
)
def test_the_wait_that_a_service_asks_for_is_capped(serve: Serve, value: str, kept: bool) -> None:
    text = answer(b"{}", status="503 No").replace(b"\r\n\r\n", b"\r\nRetry-After: %s\r\n\r\n")
    server = serve(always(text % value.encode()))
    assert ("Retry-After" in get(server.url, raise_exc=False).headers) is kept


def drip(begin: bytes, each: bytes = b" ") -> Writes:
    def writes(client: socket.socket) -> None:
        client.sendall(begin)
        for _part in range(200):
            client.sendall(each)
            time.sleep(0.05)

    return writes


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b""])
def test_a_slow_answer_is_refused(serve: Serve, begin: bytes) -> None:
    assert "did not complete" in refusal(serve(drip(begin, b"H")).url, timeout=0.4)


def test_an_answer_is_bounded_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LONGEST", 0.3)
    server = serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000))
    assert "did not complete" in refusal(server.url, timeout=0.3)


def test_a_service_may_think_before_it_answers(serve: Serve) -> None:
    def writes(client: socket.socket) -> None:
        time.sleep(0.5)
        client.sendall(answer(b"[1]")[:20])
        time.sleep(0.5)
        client.sendall(answer(b"[1]")[20:])

    # Each wait is within the timeout, the sum of them is not.
    assert get(serve(writes).url, timeout=0.8).json() == [1]


def flood(begin: bytes, part: bytes) -> Writes:
    def writes(client: socket.socket) -> None:
        client.sendall(begin)
        while True:
            client.sendall(part)

    return writes


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nxxxx\r\n" * 9999),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999),
        # Packed blocks without content.
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff",
            b"\0\0\0\xff\xff" * 9999,
        ),
    ],
)
def test_an_endless_answer_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, begin: bytes, part: bytes
) -> None:
    monkeypatch.setattr(transport, "LARGEST", 4 << 20)
    assert "more than" in refusal(serve(flood(begin, part)).url)


@pytest.mark.parametrize("encodings", ["gzip", "gzip, gzip"])
def test_an_answer_that_unpacks_to_too_much_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, encodings: str
) -> None:
    monkeypatch.setattr(transport, "LARGEST", 4 << 20)
    body = b" " * (5 << 20)
    for _layer in encodings.split(","):
        body = gzip.compress(body)
    server = serve(always(answer(body, f"Content-Encoding: {encodings}")))
    assert "more than" in refusal(server.url)


def test_other_requests_of_the_session_have_no_bounds(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LARGEST", 1000)
    server = serve(always(answer(b"x" * 5000, "Retry-After: 3600")))
    shared = session()
    found = shared.get(server.url, authenticated=False)
    assert (len(found.content), found.headers["Retry-After"]) == (5000, "3600")
    with transport.bounded(), pytest.raises(ksa.UnknownConnectionError):
        shared.get(server.url, authenticated=False)
    # A connection that was opened with bounds, too.
    assert len(shared.get(server.url, authenticated=False).content) == 5000
    shared.get(server.url, authenticated=False, stream=True).close()


def test_installing_twice_changes_nothing() -> None:
    made = session()
    before = dict(made.session.adapters)
    transport.install(made.session)
    assert made.session.adapters == before


def test_answers_through_a_proxy_have_bounds(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", serve(drip(b"HTTP/1.1 200 OK\r\n\r\n")).url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "did not complete" in refusal("http://nova.example.org/", timeout=0.3)
