# SPDX-License-Identifier: Apache-2.0
"""Bounds on what a cloud may send: the size and the time of an answer, waits, redirects.

keystoneauth sends the token after any redirect, waits as long as ``Retry-After`` asks for, and
reads whatever comes, as long as something comes within each timeout. The session of a connection
is shared with its owner, who may download images of any size: the bounds are in force inside of
:func:`bounded` only, for everything that the session sends there: tokens, version documents and
requests.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import http.client
import io
import socket
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import requests

#: The most bytes of an answer, as received and unpacked. 1,000 servers take 1 to 5 MB.
LARGEST = 128 << 20
#: The most bytes of the headers of an answer, with those of provisional answers (100).
_LARGEST_HEADERS = 1 << 20
#: Seconds that an answer may take beyond the timeout of the session.
LONGEST = 240
#: Bytes a second that an answer must have on average, once the timeout of the session is over.
SLOWEST = 100
#: The longest ``Retry-After``, in seconds, that is respected.
LONGEST_WAIT = 60
#: What keystoneauth follows. Keystone answers 300 for its versions, with a location that is often
#: the address behind a proxy.
_REDIRECTS = (301, 302, 303, 305, 307, 308)
_CHUNK = 1 << 16
_PORTS = {"http": 80, "https": 443}


class Refused(requests.exceptions.RequestException):
    """An answer that exceeds a bound; the message has the reason."""


class _Exceeded(Exception):
    """A bound is exceeded: no error that urllib3 handles, so that it is not retried."""


@dataclasses.dataclass
class Bounds:
    """The bounds in force.

    :ivar refusal: why an answer was refused; None when none was
    """

    refusal: str | None = None


_BOUNDS: contextvars.ContextVar[Bounds | None] = contextvars.ContextVar("bounds", default=None)


@contextlib.contextmanager
def bounded() -> Iterator[Bounds]:
    """Put the bounds in force for this thread."""
    bounds = Bounds()
    token = _BOUNDS.set(bounds)
    try:
        yield bounds
    finally:
        _BOUNDS.reset(token)


def install(session: requests.Session) -> None:
    """Make the requests of a session respect the bounds."""
    for prefix, adapter in list(session.adapters.items()):
        if not isinstance(adapter, _Adapter):
            session.mount(prefix, _Adapter(adapter))


class _Adapter(requests.adapters.BaseAdapter):
    """An adapter of requests that checks the answers of another one."""

    def __init__(self, inner: requests.adapters.BaseAdapter) -> None:
        super().__init__()
        self._inner = inner
        _bound_connections(getattr(inner, "poolmanager", None))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request.

        :raises Refused: when the answer exceeds a bound
        """
        bounds = _BOUNDS.get()
        if bounds is None:
            return self._inner.send(request, stream, timeout, verify, cert, proxies)
        self._bound_proxies(request, proxies)
        try:
            response = self._inner.send(request, True, timeout, verify, cert, proxies)
            try:
                _check(response)
                _read(response)
            finally:
                # Returns the connection to the pool when the answer was read to its end.
                response.close()
        except _Exceeded as error:
            # The address, because it may be that of Keystone.
            bounds.refusal = f"could not be read: {_origin(str(request.url))} {error}"
            raise Refused(bounds.refusal, request=request) from error
        return response

    def _bound_proxies(
        self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> None:
        utils: Any = requests.utils
        proxy = utils.select_proxy(request.url, proxies)
        make = getattr(self._inner, "proxy_manager_for", None)
        if proxy and make:
            _bound_connections(make(utils.prepend_scheme_if_needed(proxy, "http")))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def _check(response: requests.Response) -> None:
    """Check the headers of an answer, and cap what keystoneauth obeys in them."""
    location = response.headers.get("Location")
    if response.status_code in _REDIRECTS and location is not None:
        here = str(response.request.url)
        if not _is_same_origin(here, location):
            if not _only_adds_slash(here, location):
                raise _Exceeded(
                    f"redirects to another host ({_origin(location)}), which is not followed"
                )
            response.headers["Location"] = _with_slash(here)
    wait = response.headers.get("Retry-After", "")
    if not (wait.isascii() and wait.isdigit() and len(wait) < 4 and int(wait) <= LONGEST_WAIT):
        # keystoneauth waits between its retries for a time of its own then.
        response.headers.pop("Retry-After", None)


def _only_adds_slash(here: str, location: str) -> bool:
    """Whether a redirect adds no more than a slash to the path.

    Services redirect /v3 to /v3/ with the address by which they know themselves: behind a proxy
    that is another one (paste/urlmap.py). As for links in version documents, the path counts.
    """
    try:
        there = urllib.parse.urlsplit(location)
    except ValueError:
        return False
    return there.path == urllib.parse.urlsplit(here).path + "/"


def _with_slash(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(path=parts.path + "/").geturl()


def _is_same_origin(here: str, location: str) -> bool:
    """Whether a redirect stays on the host, or changes to TLS on it with the default ports.

    The URL is read as it is read when it is sent: http://a\\@b is host b to urllib alone.
    """
    there = requests.PreparedRequest()
    try:
        absolute = location if "://" in location else urllib.parse.urljoin(here, location)
        there.prepare_url(absolute, None)
        (scheme, name, port), to = (
            (url.scheme, url.hostname, url.port or _PORTS.get(url.scheme))
            for url in map(urllib.parse.urlsplit, (here, str(there.url)))
        )
    except ValueError:
        return False
    return to in ((scheme, name, port), ("https", name, 443 if port == 80 else port))


def _origin(url: str) -> str:
    """Return the address of a host, without a password."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "an invalid address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _read(response: requests.Response) -> None:
    """Read the body."""
    if "," in response.headers.get("Content-Encoding", ""):
        raise _Exceeded("answers with a body that is packed more than once")
    size, chunks = 0, []
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > LARGEST:
            raise _Exceeded(f"answers with more than {LARGEST >> 20} MB")
        chunks.append(chunk)
    # What Response.content does at its first use.
    response._content = b"".join(chunks)


def _bound_connections(manager: Any) -> None:
    """Make the connections of a pool manager of urllib3 read answers with the bounds."""
    if manager is None:
        return
    pools = {}
    for scheme, pool in manager.pool_classes_by_scheme.items():
        connection = pool.ConnectionCls
        if not issubclass(connection.response_class, _Answer):
            connection = type(connection.__name__, (connection,), {"response_class": _Answer})
            pool = type(pool.__name__, (pool,), {"ConnectionCls": connection})
        pools[scheme] = pool
    if pools != manager.pool_classes_by_scheme:
        manager.pool_classes_by_scheme = pools
        # Idle connections, as that to Keystone, are of the former classes.
        manager.clear()


class _Answer(http.client.HTTPResponse):
    """An answer whose headers and body are read with the bounds."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._received: _Received | None = None
        if _BOUNDS.get() is not None:
            self._received = _Received(self.fp.detach(), sock.gettimeout() or 0.0)
            self.fp = io.BufferedReader(self._received, _CHUNK)

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        if self._received is not None:
            self._received.largest = LARGEST


class _Received(io.RawIOBase):
    """What comes from a socket; each read waits for the timeout of the socket at most.

    :ivar largest: the most bytes
    """

    def __init__(self, raw: io.RawIOBase, timeout: float) -> None:
        super().__init__()
        self._raw = raw
        self._timeout = timeout
        self._began = time.monotonic()
        self._size = 0
        self.largest = _LARGEST_HEADERS

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into a buffer.

        :raises _Exceeded: when the answer is too slow or too large
        """
        seconds = time.monotonic() - self._began
        if seconds > self._timeout and (
            self._size < SLOWEST * seconds or seconds > self._timeout + LONGEST
        ):
            raise _Exceeded(f"did not complete its answer within {seconds:.0f} seconds")
        count = self._raw.readinto(buffer)
        self._size += count or 0
        if self._size > self.largest:
            raise _Exceeded(f"answers with more than {self.largest >> 20} MB")
        return count

    def close(self) -> None:
        """Close the socket's file."""
        self._raw.close()
        super().close()
