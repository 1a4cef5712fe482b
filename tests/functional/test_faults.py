# SPDX-License-Identifier: Apache-2.0
"""Faults between the real shell and the APIs of a cloud whose servers are known.

Each row breaks one thing. Whatever breaks, no server is lost without a word, no command hangs, no
Python error is printed, no exit code is that of a complete run, and no token goes to another host.
"""

from __future__ import annotations

import dataclasses
import gzip
import http.server
import itertools
import json
import re
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.functional.cloud import Json, SeededCloud
from tests.functional.proxy import Fault, Proxy

Handler = http.server.BaseHTTPRequestHandler

LIST = ("list", "--all-projects", "-f", "json")
AUDIT = ("audit", "-f", "json")
HOSTS = ("host", "list", "-f", "json")
STATUS = ("status", "-f", "json")
METADEF = ("metadef", "check", "-f", "json")
SHOW = ("show", "-f", "json", "-c", "serial_source")

VERSION = r"^GET (/|/v2\.1/?)$"
SERVERS = r"^GET /v2\.1/servers/detail"
FLAVORS = r"^GET /v2\.1/flavors/detail"
HYPERVISORS = r"^GET /v2\.1/os-hypervisors"
AGGREGATES = r"^GET /v2\.1/os-aggregates"
SERVICES = r"^GET /v2\.1/os-services"
IMAGES = r"^GET /v2/images\?"
NAMESPACES = r"^GET /v2/metadefs"
TRAITS = r"^GET /traits"
PROVIDERS = r"^GET /resource_providers"
VOLUMES = r"^GET /v3/[^/]*/volumes"
GLANCE_VERSION = r"^GET /(versions|v2/?)?$"

#: Seconds after which a command counts as hanging; the rows with a slow cloud wait for 2.
HANGS = 25.0
#: Texts of Python errors, which are no reason for an administrator.
PYTHON = re.compile(r"Traceback|recursion|out of range|NoneType|object is not|has no attribute")
DEEP = "[" * 100_000 + "]" * 100_000
PARTS = (FLAVORS, AGGREGATES, IMAGES, NAMESPACES, TRAITS)
#: JSON of another form.
OTHER = {
    SERVERS: '{"servers": null}',
    FLAVORS: '{"flavors": [7]}',
    HYPERVISORS: '{"hypervisors": [{"id": 1, "service": null}], "hypervisors_links": 7}',
    AGGREGATES: '{"aggregates": [{"metadata": []}]}',
    TRAITS: "[[1], 2, null]",
    IMAGES: '{"images": {}, "next": [1]}',
    NAMESPACES: '{"namespaces": [[]]}',
    VERSION: "null",
}


class Elsewhere:
    """Another origin: it gives believable answers, and records the requests with a token.

    :ivar url: its address; below it the name of a service and the path
    :ivar tokens: paths of the requests that had a token
    """

    def __init__(self, cloud: SeededCloud) -> None:
        self.tokens: list[str] = []
        others = self

        class Answering(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

            def do_GET(self) -> None:
                if self.headers.get("X-Auth-Token"):
                    others.tokens.append(self.path)
                _empty, service, path = self.path.split("/", 2)
                backend = cloud.state["services"][service]["url"]
                headers = {key: self.headers[key] for key in self.headers if key.startswith("X-")}
                answer = requests.get(f"{backend}/{path}", headers=headers, timeout=60)
                _answer(self, answer.content, answer.status_code)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


def _answer(
    handler: Handler, body: bytes, status: int = 200, kind: str = "application/json", **more: str
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    for name, value in more.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


# --- scripts: each writes an answer -----------------------------------------------


def _says(body: str, status: int = 200, kind: str = "application/json", **more: str) -> Any:
    return lambda handler: _answer(handler, body.encode(), status, kind, **more)


def _slow_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    _drip(handler)


def _slow_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler)


def _drip(handler: Handler) -> None:
    for _second in range(4 * int(HANGS)):
        handler.wfile.write(b" ")
        time.sleep(0.5)


def _many_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))


def _continues(handler: Handler) -> None:
    for _number in range(3_000_000):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _endless_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    for _megabyte in range(400):
        handler.wfile.write(b" " * (1 << 20))


#: 300 kB of gzip, 300 MB of text.
_BOMB = gzip.compress(b" " * (300 << 20), 9)


def _bomb(handler: Handler) -> None:
    _answer(handler, _BOMB, Content_Encoding="gzip")


def _endless_pages(key: str, make: Callable[[int], Json]) -> Callable[[Handler], None]:
    numbers = itertools.count(1)

    def page(handler: Handler) -> None:
        items = [make(next(numbers))]
        links = [{"rel": "next", "href": "http://127.0.0.1/x"}]
        document = {key: items, f"{key}_links": links, "next": "/v2/x", "first": "/v2/x"}
        _answer(handler, json.dumps(document).encode())

    return page


def _flavor(number: int) -> Json:
    return {"id": str(number), "name": f"f{number}", "extra_specs": {}}


def _hypervisor(number: int) -> Json:
    name = f"h{number}"
    return {"id": name, "hypervisor_hostname": name, "service": {"host": name}}


def _server(number: int) -> Json:
    return {"id": str(uuid.UUID(int=(1 << 124) + (number << 64))), "name": "x", "status": "ACTIVE"}


def _image(number: int) -> Json:
    return {"id": str(uuid.UUID(int=number)), "name": "x"}


def _namespace(number: int) -> Json:
    return {"namespace": f"n{number}", "resource_type_associations": []}


# --- rows -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    """One fault and one command.

    :ivar point: the group in the table
    :ivar faults: made for the URL of another host
    :ivar codes: exit codes that are right
    :ivar text: what the output must have
    :ivar changes: of the entry in clouds.yaml; a value of None removes a key
    :ivar whole: whether all servers must be listed
    """

    point: str
    name: str
    args: Sequence[str]
    faults: Callable[[str], list[Fault]]
    codes: Sequence[int] = (1, 4)
    text: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    before: Sequence[str] = ()
    whole: bool = False


def script(pattern: str, writes: Any) -> Callable[[str], list[Fault]]:
    """Answer with a script."""
    return lambda _url: [Fault(pattern, script=writes)]


def together(*faults: Callable[[str], list[Fault]]) -> Callable[[str], list[Fault]]:
    """Break several things."""
    return lambda url: [fault for each in faults for fault in each(url)]


def every(*texts: str) -> str:
    """Return a pattern for all of these texts, in any order."""
    return "(?s)" + "".join(f"(?=.*{text})" for text in texts)


def edit(pattern: str, change: Callable[[Any], Any]) -> Callable[[str], list[Fault]]:
    """Change the documents of a service."""
    return lambda _url: [Fault(pattern, edit=change)]


def redirect(pattern: str, service: str) -> Callable[[str], list[Fault]]:
    """Redirect to the same path of a service on the other host."""

    def go(handler: Handler, url: str) -> None:
        _answer(handler, b"", 302, Location=f"{url}/{service}{handler.path}")

    return lambda url: [Fault(pattern, script=lambda handler: go(handler, url))]


def nothing(_url: str) -> list[Fault]:
    """Break nothing."""
    return []


def _closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


REFUSED = {"compute_endpoint_override": f"http://127.0.0.1:{_closed_port()}/v2.1"}
UNKNOWN_NAME = {"compute_endpoint_override": "http://nova.invalid/v2.1"}
OVERRIDES = ("compute", "image", "placement", "block_storage")
NO_REGION = {**{f"{each}_endpoint_override": None for each in OVERRIDES}, "region_name": "nowhere"}
UNSCOPED = {
    **{f"{each}_endpoint_override": None for each in OVERRIDES},
    "auth": {"project_name": None, "project_domain_id": None},
}
HTML = "<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
IMPATIENT = {"api_timeout": 2}
VERSIONED = ("--os-compute-api-version", "2.90")


def _self_link_elsewhere(url: str) -> list[Fault]:
    def change(document: Any) -> Any:
        version = document.get("version") or document["versions"][-1]
        version["links"] = [{"rel": "self", "href": f"{url}/nova/v2.1/"}]
        return document

    return [Fault(VERSION, edit=change)]


def _same_origin(_url: str) -> list[Fault]:
    def go(handler: Handler) -> None:
        there = f"http://{handler.headers['Host']}{handler.path}&moved=1"
        _answer(handler, b"", 307, Location=there.replace("&moved=1", "&limit=1000"))

    return [Fault(SERVERS + r"(?!.*limit=1000)", script=go)]


def _without_one(document: Any) -> Any:
    """Leave out one of the servers, whatever the page."""
    document["servers"] = [each for each in document["servers"] if each["id"][0] != "7"]
    return document


def _each_name_a_number(key: str) -> Callable[[Any], Any]:
    def change(document: Any) -> Any:
        document[key] = [{**each, "name": 7} for each in document[key]]
        return document

    return change


NOVA = r"Nova \(compute\)"

ROWS = [
    # 16: the reason
    Row("16", "refused", LIST, nothing, (1,), rf"{NOVA}.*refused", REFUSED),
    Row("16", "refused-show", (*SHOW, "x"), nothing, (1,), rf"{NOVA}.*refused", REFUSED),
    Row("16", "refused-hosts", HOSTS, nothing, (1,), rf"{NOVA}.*refused", REFUSED),
    Row("16", "refused-status", STATUS, nothing, (3, 4), rf"{NOVA}.*refused", REFUSED),
    Row("16", "name", LIST, nothing, (1,), rf"{NOVA}.*(resol|known)", UNKNOWN_NAME),
    Row("16", "region", LIST, nothing, (1,), rf"{NOVA} has no usable endpoint", NO_REGION),
    Row("16", "unscoped", LIST, nothing, (1,), r"(?i)scope", UNSCOPED),
    Row("16", "503", LIST, lambda _: [Fault("GET /v2.1", 503)], (1,), rf"{NOVA} answered 503"),
    Row("16", "html", LIST, script(VERSION, _says(HTML, kind="text/html")), (1,), rf"{NOVA}.*JSON"),
    Row(
        "16",
        "html-explicit",
        LIST,
        script(VERSION, _says(HTML, kind="text/html")),
        (0,),
        before=VERSIONED,
        whole=True,
    ),
    Row(
        "16",
        "html-explicit-old",
        LIST,
        script(VERSION, _says(HTML, kind="text/html")),
        (1,),
        r"2\.60.*2\.69",
        before=("--os-compute-api-version", "2.60"),
    ),
    Row("16", "too-old", LIST, nothing, (0,), before=("--os-compute-api-version", "2.60")),
    # 17: other hosts
    Row("17", "servers", LIST, redirect(SERVERS, "nova"), text=f"{NOVA}.*redirect"),
    Row("17", "nova", LIST, redirect("GET /v2.1", "nova"), (1,), f"{NOVA}.*redirect"),
    Row("17", "version", LIST, redirect(VERSION, "nova"), (1,), f"{NOVA}.*redirect"),
    Row(
        "17",
        "parts",
        AUDIT,
        together(
            redirect("^GET /v2/", "glance"),
            redirect(TRAITS, "placement"),
            redirect(VOLUMES, "cinder"),
        ),
        (3,),
        every("images-unr", "metadefs-unr", "traits-unr", "volumes-unr", "redirects to another"),
    ),
    Row("17", "self-link", LIST, _self_link_elsewhere, (0,), whole=True),
    Row("17", "same-origin", LIST, _same_origin, (0,), whole=True),
    # 18: waiting, size, lists without an end
    Row("18", "retry-3600", LIST, script(SERVERS, _says("{}", 429, Retry_After="3600"))),
    Row("18", "retry-absurd", LIST, script(SERVERS, _says("{}", 503, Retry_After="9" * 30))),
    Row("18", "retry-negative", LIST, script(SERVERS, _says("{}", 503, Retry_After="-1"))),
    Row("18", "retry-version", LIST, script(VERSION, _says("{}", 503, Retry_After="3600")), (1,)),
    Row("18", "slow-body", LIST, script(SERVERS, _slow_body), changes=IMPATIENT),
    Row("18", "slow-headers", LIST, script(SERVERS, _slow_headers), changes=IMPATIENT),
    Row("18", "slow-version", LIST, script(VERSION, _slow_body), (1,), changes=IMPATIENT),
    Row("18", "many-headers", LIST, script(SERVERS, _many_headers)),
    Row("18", "continues", LIST, script(SERVERS, _continues), changes=IMPATIENT),
    Row("18", "endless-body", LIST, script(SERVERS, _endless_body), text="more than"),
    Row("18", "bomb", LIST, script(SERVERS, _bomb), text="more than"),
    Row(
        "18",
        "lists",
        AUDIT,
        together(
            script(FLAVORS, _endless_pages("flavors", _flavor)),
            script(IMAGES, _endless_pages("images", _image)),
            script(r"^GET /v2/metadefs/namespaces\?", _endless_pages("namespaces", _namespace)),
        ),
        (3,),
        every("flavors without end", "images without end", "pages of namespaces"),
    ),
    Row(
        "18",
        "hypervisors",
        HOSTS,
        script(HYPERVISORS, _endless_pages("hypervisors", _hypervisor)),
        (1, 4),
        "end",
    ),
    Row("18", "servers", LIST, script(SERVERS, _endless_pages("servers", _server)), text="end"),
    # 19: documents of another form
    *(
        Row("19", f"{form}-{name}", args, script(pattern, _says(body)), codes, service)
        for name, args, pattern, codes, service in (
            ("servers", LIST, SERVERS, (1,), NOVA),
            ("hypervisors", HOSTS, HYPERVISORS, (1, 4), NOVA),
            ("version", LIST, VERSION, (1,), NOVA),
        )
        for form, body in (("deep", DEEP), ("other", OTHER[pattern]))
    ),
    *(
        Row(
            "19",
            f"{form}-parts",
            AUDIT,
            together(*(script(each, _says(body or OTHER[each])) for each in PARTS)),
            (3,),
            every("flavors-unr", "aggregates-unr", "images-unr", "metadefs-unr", "traits-unr"),
        )
        for form, body in (("deep", DEEP), ("other", ""))
    ),
    Row("19", "no-version", LIST, script(VERSION, _says('{"version": null}')), (1,), NOVA),
    Row("19", "no-versions", LIST, script(VERSION, _says('{"versions": [null]}')), (1,), NOVA),
    Row("19", "names", LIST, edit(SERVERS, _each_name_a_number("servers")), (1,), NOVA),
    Row("19", "flavor-names", LIST, edit(FLAVORS, _each_name_a_number("flavors")), (0, 4)),
    Row("19", "deep-error", LIST, script(SERVERS, _says(DEEP, 403)), text=f"{NOVA} answered 403"),
    Row(
        "19",
        "html-error",
        LIST,
        script(SERVERS, _says("<h1>No</h1>" + "<" * 2_000_000, 403, "text/html")),
        text=f"{NOVA} answered 403",
    ),
    # 7: servers that the sample names and no page returns
    Row("7", "lost", LIST, edit(SERVERS, _without_one), text="not"),
]


@dataclasses.dataclass
class Outcome:
    """What happened in a row; each kind counts once."""

    row: Row
    faults: list[str] = dataclasses.field(default_factory=list)


KINDS = ("lost", "hang", "python", "exit code", "token elsewhere", "reason")


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[list[Outcome]]:
    """Outcomes of the rows; the table of them is printed at the end."""
    found: list[Outcome] = []
    yield found
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("", *_table(found), sep="\n")


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield f"| point | attempts | survived | failed | {' | '.join(KINDS)} |"
    yield "|---" * (4 + len(KINDS)) + "|"
    points = sorted({each.row.point for each in outcomes}, key=int)
    for point in (*points, "all"):
        those = [each for each in outcomes if point in (each.row.point, "all")]
        failed = sum(bool(each.faults) for each in those)
        kinds = [str(sum(kind in each.faults for each in those)) for kind in KINDS]
        counts = f"{len(those)} | {len(those) - failed} | {failed}"
        yield f"| {point} | {counts} | {' | '.join(kinds)} |"


@pytest.fixture(scope="module")
def elsewhere(seeded: SeededCloud) -> Iterator[Elsewhere]:
    """Another host, which gives the answers of the cloud."""
    running = Elsewhere(seeded)
    yield running
    running.close()


def _clouds_yaml(proxy: Proxy, changes: Mapping[str, Any], folder: Path) -> Path:
    entry = {**proxy.clouds["clouds"]["devcloud"]}
    for key, value in changes.items():
        if isinstance(value, dict):
            entry[key] = {k: v for k, v in {**entry[key], **value}.items() if v is not None}
        elif value is None:
            del entry[key]
        else:
            entry[key] = value
    path = folder / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": {"devcloud": entry}}))
    return path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.point}-{row.name}")
def test_fault(
    row: Row,
    seeded: SeededCloud,
    seeded_proxy: Proxy,
    elsewhere: Elsewhere,
    outcomes: list[Outcome],
    tmp_path: Path,
) -> None:
    elsewhere.tokens.clear()
    seeded_proxy.faults += row.faults(elsewhere.url)
    outcome = Outcome(row)
    outcomes.append(outcome)
    try:
        run = seeded.openstack(
            *row.before,
            "unique",
            "serial",
            *row.args,
            check=False,
            clouds_yaml=_clouds_yaml(seeded_proxy, row.changes, tmp_path),
            timeout=HANGS,
        )
    except subprocess.TimeoutExpired:
        outcome.faults += ["hang"]
        if elsewhere.tokens:
            outcome.faults.append("token elsewhere")
        raise
    text = run.stdout + run.stderr
    listed = len(json.loads(run.stdout)) if row.args == LIST and run.stdout.strip() else 0
    complete = listed == len(seeded.manifest["servers"])
    seen = {
        "lost": row.args == LIST and run.returncode == 0 and not complete,
        "hang": False,
        "python": bool(PYTHON.search(text)),
        "exit code": run.returncode not in row.codes,
        "token elsewhere": bool(elsewhere.tokens),
        "reason": not re.search(row.text, text),
    }
    outcome.faults += [kind for kind, happened in seen.items() if happened]
    assert not outcome.faults, f"{run.returncode}\n{text[-3000:]}"
    assert complete or not row.whole
