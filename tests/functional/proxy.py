# SPDX-License-Identifier: Apache-2.0
"""A proxy between the shell and the cloud: it counts, and it breaks things on demand."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import yaml

from tests.functional.cloud import Cloud

#: Endpoint overrides of clouds.yaml by service, and the path below each.
_OVERRIDES = {
    "nova": ("compute", "/v2.1"),
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "cinder": ("block_storage", "/v3/{project}"),
}

_SERVERS = "/v2.1/servers"
_SERVERS_DETAIL = f"{_SERVERS}/detail"


@dataclasses.dataclass
class Fault:
    """What happens to requests whose "METHOD /path" matches the pattern.

    :ivar status: answered instead of the service; 0 closes the connection
    :ivar times: how often; None means always
    :ivar delay: seconds to wait first
    :ivar headers: of the answer that is given instead
    :ivar truncated: the service's answer breaks off in its middle
    :ivar script: writes the answer instead of the service
    :ivar edit: returns the changed form of the service's JSON document
    """

    pattern: str
    status: int | None = None
    times: int | None = None
    delay: float = 0.0
    body: str = '{"error": {"message": "broken on purpose"}}'
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    truncated: bool = False
    script: Callable[[http.server.BaseHTTPRequestHandler], None] | None = None
    edit: Callable[[Any], Any] | None = None


class Proxy:
    """One loopback server for each service, until the ``with`` block ends.

    :ivar requests: "METHOD /path?query" of all requests, in order, by service
    :ivar faults: what to break
    :ivar nova_newest: newest microversion that Nova seems to offer; None: its own
    :ivar page_limit: the most servers that Nova seems to give in one page; None: its own. A list
        without an order of its own is as if they had been created in a random order.
    """

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.nova_newest: str | None = None
        self.page_limit: int | None = None
        self.clouds_yaml = folder / "proxied.yaml"
        self._servers: list[http.server.ThreadingHTTPServer] = []
        self.clouds = clouds = copy.deepcopy(cloud.clouds)
        for service, (key, path) in _OVERRIDES.items():
            server = self._serve(service, cloud.state["services"][service]["url"])
            endpoint = (
                f"http://127.0.0.1:{server.server_port}{path.format(project=cloud.project_id)}"
            )
            for entry in clouds["clouds"].values():
                entry[f"{key}_endpoint_override"] = endpoint
        self.clouds_yaml.write_text(yaml.safe_dump(clouds))

    def __enter__(self) -> Proxy:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def api_requests(self) -> list[str]:
        """Return what was asked after discovery, as "service METHOD /path?query"."""
        return [
            f"{service} {line}"
            for service, line in self.requests
            if not re.fullmatch(r"GET (/|/v2\.1/?|/v2/?|/v3/?|/v3/[0-9a-f]{32}/?)?", line)
        ]

    def _fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if re.search(fault.pattern, line) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def _with_page_limit(self, path: str) -> str:
        url = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if self.page_limit is None or url.path != _SERVERS_DETAIL:
            return path
        query["limit"] = str(min(int(query.get("limit", self.page_limit)), self.page_limit))
        return f"{url.path}?{urllib.parse.urlencode(query)}"

    def _newest(self, path: str, content: bytes) -> bytes:
        """Return a list of the newest servers, cut to one page."""
        if self.page_limit is None or urllib.parse.urlsplit(path).path != _SERVERS:
            return content
        document = json.loads(content)
        known = [item for item in document.get("servers", ()) if "name" in item]
        known.sort(key=lambda item: hashlib.sha256(item["id"].encode()).digest())
        # Servers of cells that are down come behind all others.
        found = known + [item for item in document.get("servers", ()) if "name" not in item]
        if len(found) > self.page_limit:
            document["servers"] = found[: self.page_limit]
            marker = document["servers"][-1]["id"]
            href = f"{_SERVERS}?marker={marker}"
            document["servers_links"] = [{"rel": "next", "href": href}]
        return json.dumps(document).encode()

    def _serve(self, service: str, backend: str) -> http.server.ThreadingHTTPServer:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else None
                line = f"{self.command} {self.path}"
                proxy.requests.append((service, line))
                fault = proxy._fault(line)
                if fault:
                    time.sleep(fault.delay)
                    if fault.script:
                        self.close_connection = True
                        with contextlib.suppress(OSError):
                            fault.script(self)
                        return
                    if fault.status == 0:
                        self.close_connection = True
                        return
                    if fault.status is not None:
                        self.reply(
                            fault.status,
                            {"Content-Type": "application/json", **fault.headers},
                            fault.body.encode(),
                        )
                        return
                headers = {
                    key: value
                    for key, value in self.headers.items()
                    if key.lower() not in ("host", "connection", "accept-encoding")
                }
                asked = self.headers.get("OpenStack-API-Version", "").removeprefix("compute ")
                newest = proxy.nova_newest if service == "nova" else None
                if newest and asked and _version(asked) > _version(newest):
                    message = f"Version {asked} is not supported by the API."
                    self.reply(406, {"Content-Type": "text/plain"}, message.encode())
                    return
                answer = requests.request(
                    self.command,
                    backend + proxy._with_page_limit(self.path),
                    headers={**headers, "Accept-Encoding": "identity"},
                    data=body,
                    timeout=120,
                    allow_redirects=False,
                )
                content = answer.content
                if service == "nova" and answer.ok:
                    content = proxy._newest(self.path, content)
                if newest and re.fullmatch(r"/(v2\.1/?)?", self.path):
                    content = re.sub(
                        rb'"version": "2\.\d+"', f'"version": "{newest}"'.encode(), content
                    )
                # Links in version documents must lead back through this proxy.
                here = "http://" + self.headers["Host"]
                content = content.replace(backend.encode(), here.encode())
                if fault and fault.edit and answer.ok:
                    content = json.dumps(fault.edit(json.loads(content))).encode()
                truncated = fault is not None and fault.truncated
                self.reply(answer.status_code, dict(answer.headers), content, truncated)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

            def reply(
                self, status: int, headers: dict[str, str], content: bytes, truncated: bool = False
            ) -> None:
                self.send_response(status)
                for key, value in headers.items():
                    if key.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if truncated:
                    content = content[: len(content) // 2]
                    self.close_connection = True
                if self.command != "HEAD":
                    self.wfile.write(content)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self._servers.append(server)
        return server


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
