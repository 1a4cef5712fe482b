# SPDX-License-Identifier: Apache-2.0
"""Our namespaces and others, and a Glance that holds them: in memory and over HTTP."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import requests_mock

from osc_uniqserial import metadefs
from osc_uniqserial.metadefs import Namespace, comparison, plan
from osc_uniqserial.metadefs.plan import REPLACEMENT, Plan, Step
from tests.unit.builders import Json
from tests.unit.fake_cloud import GLANCE, FakeCloud, Result

#: The namespaces that the plugin installs; the first one is for flavors and more.
OURS = metadefs.load()
MAIN, AGGREGATE, SERVER = OURS
MAIN_SPARE = MAIN.name + REPLACEMENT
#: All but the first, as Glance has them.
OTHERS = tuple(each.document() for each in OURS[1:])
BOOLEAN = {"type": "boolean", "title": "Unique"}


def changed(**fields: Any) -> Json:
    """Return our first namespace as Glance has it, with other fields."""
    return copy.deepcopy(MAIN.document()) | fields


def definition(**fields: Any) -> Json:
    """Return our first namespace with other fields in its property."""
    document = changed()
    document["properties"]["unique_serial"] |= fields
    return document


class Glance:
    """What Glance does with namespaces, as measured on Glance 33.

    PUT wipes what it is not given; deletions in a protected namespace are
    403; the name that PUT on a property needs is stored in its definition.
    """

    def __init__(self, *documents: Json) -> None:
        self.stored: dict[str, Json] = {}
        for document in documents:
            assert self.request("POST", plan.COLLECTION, document)[0] == 201

    def request(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Return the status and the answer to one request."""
        body = copy.deepcopy(body)
        if path == plan.COLLECTION:
            assert method == "POST"
            assert body is not None
            return self._create(body)
        name = unquote(path.removeprefix(plan.COLLECTION + "/"))
        if name not in self.stored:
            return 404, {}
        if method == "GET":
            return 200, copy.deepcopy(self.stored[name])
        if method == "DELETE":
            if self.stored[name]["protected"]:
                return 403, {}
            del self.stored[name]
            return 204, {}
        assert body is not None
        return self._put(name, body)

    def _create(self, body: Json) -> tuple[int, Json]:
        assert not body.keys() & {"self", "schema", "created_at", "updated_at"}
        if body["namespace"] in self.stored:
            return 409, {}
        read_only = {"created_at": "2026", "updated_at": "2026", "self": "/", "schema": "/"}
        body = {"visibility": "private", "protected": False, "owner": "p1", **read_only, **body}
        for part in ("resource_type_associations", "objects"):
            for entry in body.get(part, []):
                assert "created_at" not in entry
                entry.update(created_at="2026", updated_at="2026")
        self.stored[body["namespace"]] = body
        return 201, body

    def _put(self, name: str, body: Json) -> tuple[int, Json]:
        assert not body.keys() & {"self", "schema", "created_at", "updated_at"}
        if body["namespace"] != name and body["namespace"] in self.stored:
            return 409, {}
        document = self.stored.pop(name)
        for field in ("display_name", "description"):
            document.pop(field, None)
        document |= {"visibility": "private", "protected": False, "owner": "caller"} | body
        self.stored[body["namespace"]] = document
        return 200, document

    def carry_out(self, plan: Plan, stop_before: int | None = None) -> None:
        """Take the steps of a plan; none may fail, nor meet what it was not made for."""
        for step in plan.steps[:stop_before]:
            assert self.changes(step) == []
            status, _answer = self.request(step.method, step.path, step.body)
            assert status < 300, (status, step)

    def changes(self, step: Step) -> list[str]:
        """Return what a step was not made for."""
        return [
            item
            for seen in step.seen
            for item in (
                map(str, comparison.changes(seen, Namespace.parse(self.stored[seen.name])))
                if seen.name in self.stored
                else [f"{seen.name} is gone"]
            )
        ]

    def namespaces(self) -> dict[str, Namespace]:
        """Return what a reader of our names gets."""
        return {
            name: Namespace.parse(self.stored[name])
            for name in plan.names(OURS)
            if name in self.stored
        }

    def plan(self) -> Plan:
        """Plan an installation on what is stored now."""
        return plan.plan_install(OURS, self.namespaces())


BASE = f"{GLANCE}/v2"


class HttpGlance(Glance):
    """The model of Glance, over HTTP.

    :ivar fail: number of the write that fails, from 1; 0 for none
    :ivar how: its status, or the exception that the connection ends with
    :ivar carried_out: the failing write has its effect all the same
    :ivar meanwhile: what somebody else does right before a write, by its number
    """

    def __init__(self, fake: FakeCloud) -> None:
        super().__init__()
        self.fake = fake
        self.fail = 0
        self.how: int | Exception = 500
        self.carried_out = False
        self.meanwhile: dict[int, Callable[[], object]] = {}
        self.page = 1000
        self._writes = 0
        pattern = re.compile(re.escape(BASE + plan.COLLECTION))
        fake.http.register_uri(requests_mock.ANY, pattern, text=self._answer)

    def _answer(self, request: Any, context: Any) -> str:
        url = urlparse(request.url)
        path = unquote(url.path).removeprefix("/v2")
        if request.method == "GET" and path == plan.COLLECTION:
            return json.dumps(self._list(parse_qs(url.query)))
        if request.method != "GET":
            self._writes += 1
            self.meanwhile.pop(self._writes, lambda: None)()
            if self._writes == self.fail:
                if self.carried_out:
                    self.request(request.method, path, request.text and request.json())
                if isinstance(self.how, Exception):
                    raise self.how
                context.status_code = self.how
                context.headers["Content-Type"] = "text/html"
                return "<html><h1>X</h1>\n Not&nbsp;today.<br /></html>"
        context.status_code, answer = self.request(
            request.method, path, request.text and request.json()
        )
        return json.dumps(answer)

    def _list(self, query: dict[str, list[str]]) -> Json:
        types = set(query["resource_types"][0].split(","))
        found = [
            {field: value for field, value in stored.items() if field != "properties"}
            for _name, stored in sorted(self.stored.items())
            if types & {entry["name"] for entry in stored.get("resource_type_associations", [])}
        ]
        names = [each["namespace"] for each in found]
        start = names.index(query["marker"][0]) + 1 if "marker" in query else 0
        page = found[start : start + self.page]
        # Like Glance: a full page promises another one.
        return {"namespaces": page, **({"next": "/v2/x"} if len(page) == self.page else {})}

    def hold(self, *documents: Json) -> None:
        """Store namespaces."""
        for document in documents:
            self.stored[document["namespace"]] = copy.deepcopy(document)

    def run(self, *args: str) -> Result:
        """Run one of the commands."""
        return self.fake.openstack("unique", "serial", "metadef", *args)

    def rows(self, *args: str) -> list[Json]:
        """Run one of the commands and return its rows."""
        result = self.run(*args, "-f", "json")
        assert result.code in (0, 3, 4), result.err
        rows: list[Json] = result.json
        return rows
