# SPDX-License-Identifier: Apache-2.0
"""A cloud over HTTP whose flavors, images, aggregates and servers can be written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlparse

from tests.unit.builders import Json
from tests.unit.clouds import Estate
from tests.unit.fake_cloud import GLANCE, NOVA, FakeCloud

#: Called with a request; returns the status of the answer, or None for that of the service.
Event = Callable[[], int | None]
_JSON = {"Content-Type": "application/json"}


class WritableCloud(Estate):
    """Keeps what is written, as the services do.

    :ivar racks: host aggregates by ID
    :ivar before: what happens before a request "METHOD /path" is carried out, by a pattern
    :ivar after: the same after it was carried out
    :ivar headers: of the answers with the status of an event
    """

    def __init__(self, fake: FakeCloud) -> None:
        super().__init__(fake)
        self.racks: dict[int, Json] = {}
        self.before: dict[str, Event] = {}
        self.after: dict[str, Event] = {}
        self.headers: dict[str, str] = {}
        http = fake.http
        for path, answer in (
            (rf"{NOVA}/flavors/id-[^/]+/os-extra_specs(/[^/]+)?$", self._specs),
            (rf"{NOVA}/servers/[^/]+/metadata(/[^/]+)?$", self._metadata),
            (rf"{NOVA}/os-aggregates(/[^/]+)?(/action)?$", self._racks),
            (rf"{GLANCE}/v2/images/[^/?]+$", self._one_image),
        ):
            http.register_uri("GET", re.compile(path), json=self._with_events(answer))
            for method in ("POST", "DELETE", "PATCH"):
                http.register_uri(method, re.compile(path), json=self._with_events(answer))

    def rack(self, number: int, **metadata: str) -> None:
        """Add a host aggregate."""
        self.racks[number] = {
            "id": number,
            "name": f"rack-{number}",
            "availability_zone": None,
            "hosts": [],
            "metadata": metadata,
        }

    def metadata(self, number: int) -> dict[str, str]:
        """Return the metadata of the server that was added as this one, to read or to change."""
        stored: dict[str, str] = self.records[number - 1]["metadata"]
        return stored

    # --- what is answered -------------------------------------------------

    def _with_events(self, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def answered(request: Any, context: Any) -> Any:
            line = f"{request.method} {unquote(urlparse(request.url).path)}"
            if status := _happens(self.before, line):
                return self._refused(status, context)
            document = answer(request, context)
            if status := _happens(self.after, line):
                return self._refused(status, context)
            return document

        return answered

    def _refused(self, status: int, context: Any) -> Json:
        context.status_code = status
        context.headers.update(_JSON | self.headers)
        return {"x": {"message": f"refused with {status}"}}

    def _changed(self, stored: dict[str, str], request: Any, context: Any, wrapper: str) -> Any:
        """Carry out a request on the keys of a flavor or a server."""
        key = unquote(urlparse(request.url).path.rpartition("/")[2])
        if request.method == "GET":
            return {wrapper: stored}
        if request.method == "DELETE":
            if key not in stored:
                return self._refused(404, context)
            del stored[key]
            context.status_code = 204
            return None
        stored.update(request.json()[wrapper])
        return {wrapper: stored} if wrapper == "metadata" else request.json()

    def _specs(self, request: Any, context: Any) -> Any:
        id_ = urlparse(request.url).path.split("/")[3]
        flavor = self.flavors.get(id_.removeprefix("id-"))
        if flavor is None:
            return self._refused(404, context)
        return self._changed(flavor["extra_specs"], request, context, "extra_specs")

    def _metadata(self, request: Any, context: Any) -> Any:
        id_ = urlparse(request.url).path.split("/")[3]
        found = [each for each in self.records if each["id"] == id_]
        if not found:
            return self._refused(404, context)
        return self._changed(found[0]["metadata"], request, context, "metadata")

    def _racks(self, request: Any, context: Any) -> Any:
        parts = urlparse(request.url).path.split("/")[3:]
        if not parts:
            return {"aggregates": [*self.racks.values()]}
        rack = self.racks.get(int(parts[0]))
        if rack is None:
            return self._refused(404, context)
        if request.method == "POST":
            for key, text in request.json()["set_metadata"]["metadata"].items():
                if text is None:
                    rack["metadata"].pop(key, None)
                else:
                    rack["metadata"][key] = text
        return {"aggregate": rack}

    def _one_image(self, request: Any, context: Any) -> Any:
        image = self.images.get(urlparse(request.url).path.rpartition("/")[2])
        if image is None:
            return self._refused(404, context)
        if request.method == "PATCH":
            media_type = request.headers["Content-Type"]
            assert media_type == "application/openstack-images-v2.1-json-patch"
            (operation,) = request.json()
            key = operation["path"].removeprefix("/")
            if operation["op"] != "add" and key not in image:
                return self._refused(409, context)
            if operation["op"] == "remove":
                del image[key]
            else:
                image[key] = operation["value"]
        return image


def _happens(events: dict[str, Event], line: str) -> int | None:
    """Let the event of a request happen, once."""
    for pattern in [pattern for pattern in events if re.search(pattern, line)]:
        return events.pop(pattern)()
    return None
