# SPDX-License-Identifier: Apache-2.0
"""Clouds of hosts and servers, over HTTP, for the commands that look at a whole cloud."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlparse

from osc_uniqserial.commands.findings import COLUMNS
from tests.unit.builders import (
    BEFORE,
    CREATED,
    DRIVER,
    GOLD,
    HOST,
    M_AUTO,
    MADE,
    OPEN,
    PLAIN,
    TRAIT_KEYS,
    TRAIT_UNIQUE,
    TRUE,
    Json,
    image_id,
    server_id,
    volume_id,
)
from tests.unit.fake_cloud import (
    ANY_EXTRA_SPECS,
    CINDER,
    GLANCE,
    NOVA,
    PROJECT_ID,
    FakeCloud,
    Result,
    other_provider,
)
from tests.unit.glance import OURS, HttpGlance


@dataclasses.dataclass(frozen=True)
class Node:
    """A compute node; ``traits`` is None where it has no resource provider."""

    traits: tuple[str, ...] | None = DRIVER
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class StatusCloud:
    """A cloud on which all is well, until a test changes that."""

    def __init__(self, fake: FakeCloud) -> None:
        self.fake = fake
        self.glance = HttpGlance(fake)
        self.glance.hold(*(each.document() for each in OURS))
        self.knows_the_key()
        self.hosts(a=Node())
        self.fake.aggregates()

    def knows_the_key(self) -> None:
        """Answer the probe as a Nova with our validator."""

        def answer(request: Any, context: Any) -> Json:
            context.status_code = 404
            flavor = request.path.split("/")[3]
            return {"itemNotFound": {"message": f"Flavor {flavor} could not be found."}}

        self.fake.http.post(ANY_EXTRA_SPECS, json=answer)

    def answers_the_probe(self, code: int, message: str) -> None:
        """Answer the probe with this status and message."""
        self.fake.http.post(
            ANY_EXTRA_SPECS,
            status_code=code,
            json={"x": {"message": message}},
            headers={"Content-Type": "application/json"},
        )

    def hosts(self, **nodes: Node) -> None:
        ids = {name: other_provider(number) for number, name in enumerate(nodes, 1)}
        hypervisors = [
            {
                "id": ids[name],
                "hypervisor_hostname": f"{name}.example.org",
                "hypervisor_type": "QEMU",
                "state": "up",
                "status": "enabled",
                "service": {"host": name},
                "cpu_info": {"arch": "x86_64"},
                **node.changes,
            }
            for name, node in nodes.items()
        ]
        self.fake.http.get(f"{NOVA}/os-hypervisors/detail", json={"hypervisors": hypervisors})
        providers = {
            ids[name]: set(node.traits) for name, node in nodes.items() if node.traits is not None
        }
        # Nested providers, of a device and of storage; they are no hosts.
        names = {ids[name]: f"{name}.example.org" for name in nodes}
        nested = {"nested": {TRAIT_UNIQUE, TRAIT_KEYS}, "elsewhere": {"HW_X"}}
        self.fake.placement({**providers, **nested}, names)

    def rows(self, *options: str, code: int) -> list[Json]:
        result = self.fake.openstack("unique", "serial", "status", "-f", "json", *options)
        assert result.code == code, result.out + result.err
        self.notes = result.err
        rows: list[Json] = result.json
        assert all(list(row) == ["Check", "Result", "Details"] for row in rows)
        assert all(list(row["Details"]) == ["id", "message", "remedy", "hosts"] for row in rows)
        return rows

    def found(self, *options: str, code: int) -> dict[str, tuple[str, list[str]]]:
        """Return the result and the hosts of each row, by what was found."""
        rows = self.rows(*options, code=code)
        return {row["Details"]["id"]: (row["Result"], row["Details"]["hosts"]) for row in rows}


UUID = "[0-9a-f]{8}-[0-9a-f-]{27}"


class Estate(StatusCloud):
    """A cloud with many servers, as Nova, Glance and Cinder list them.

    :ivar page: how many servers Nova gives at most
    :ivar down: minimal records of servers whose cell is down
    :ivar events: what was asked of the list of servers: a marker, "first" or "bare"
    :ivar refuse: what a page fails with, by such an event: status and message
    """

    def __init__(self, fake: FakeCloud) -> None:
        super().__init__(fake)
        self.records: list[Json] = []
        self.flavors: dict[str, Json] = {}
        self.images: dict[str, Json] = {}
        self.volumes: list[Json] = []
        self.down: list[Json] = []
        self.page = 1000
        self.events: list[str] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        http = fake.http
        http.get(f"{NOVA}/servers", json=self._bare)
        http.get(f"{NOVA}/servers/detail", json=self._detail)
        http.get(re.compile(re.escape(f"{NOVA}/servers/") + UUID + "$"), json=self._server)
        http.get(re.compile(f"{NOVA}/servers/{UUID}/os-volume_attachments"), json=self._attached)
        http.get(f"{NOVA}/flavors/detail", json=lambda *_: {"flavors": [*self.flavors.values()]})
        http.get(f"{GLANCE}/v2/images", json=self._images)
        http.get(re.compile(f"{GLANCE}/v2/images/{UUID}$"), json=self._image)
        http.get(f"{NOVA}/os-services", json={"services": []})
        http.get(f"{CINDER}/volumes/detail", json=lambda *_: {"volumes": self.volumes})
        http.get(re.compile(f"{CINDER}/volumes/{UUID}$"), json=self._volume)
        self.flavor(GOLD, TRUE)
        self.flavor(PLAIN)
        self.image(1)

    # --- what there is ----------------------------------------------------

    def flavor(self, name: str, specs: Mapping[str, str] | None = None) -> None:
        """Add a flavor, or change it."""
        self.flavors[name] = {
            "id": f"id-{name}",
            "name": name,
            "ram": 512,
            "vcpus": 1,
            "disk": 1,
            "extra_specs": {**(specs or {})},
        }

    def image(self, number: int, updated: str = BEFORE, **properties: str) -> None:
        """Add an image, or change it."""
        self.images[image_id(number)] = {
            "id": image_id(number),
            "name": f"image-{number}",
            "owner": PROJECT_ID,
            "visibility": "public",
            "updated_at": updated,
            **properties,
        }

    def server(
        self,
        number: int,
        *,
        flavor: str = GOLD,
        specs: Mapping[str, str] | None = None,
        image: int | None = 1,
        frozen: Mapping[str, str] | None = None,
        host: str | None = "a",
        **changes: Any,
    ) -> Json:
        """Add a server; ``frozen`` is None where Nova shows no image properties."""
        if specs is None:
            specs = self.flavors[flavor]["extra_specs"]
        shown = {} if frozen is None else {"properties": {**frozen}}
        record: Json = {
            "id": server_id(number),
            "name": f"web-{number}",
            "tenant_id": PROJECT_ID,
            "status": "ACTIVE" if host else "SHELVED_OFFLOADED",
            "created": CREATED,
            "metadata": {},
            "hostId": "h" if host else "",
            "pinned_availability_zone": None,
            HOST: host,
            "OS-EXT-SRV-ATTR:hypervisor_hostname": host and f"{host}.example.org",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "os-extended-volumes:volumes_attached": [],
            "flavor": {"original_name": flavor, "extra_specs": {**specs}},
            "image": "" if image is None else {"id": image_id(image), **shown},
            **changes,
        }
        self.records.append(record)
        return record

    def volume(
        self,
        number: int,
        device: str = "/dev/vda",
        said: Mapping[str, str] | None = None,
        *,
        image: int | None = None,
        created: str = MADE,
        **changes: Any,
    ) -> Json:
        """Add a volume that is attached, and return its entry in the server.

        :param image: the image that it was made from
        :param created: MADE by Nova with the server; BEFORE for a volume that was there already
        """
        source = {} if image is None else {"image_id": image_id(image)}
        volume = {
            "id": volume_id(number),
            "created_at": created.replace("Z", ".000000"),
            "attachments": [{"device": device}],
            "volume_image_metadata": {**source, **(said or {})},
            "snapshot_id": None,
            "source_volid": None,
            **changes,
        }
        self.volumes.append(volume)
        return {"id": volume["id"]}

    # --- what is answered -------------------------------------------------

    def _bare(self, request: Any, context: Any) -> Json:
        return self._fails("bare", context) or self._page([*self.down, *self.records], self.page)

    def _detail(self, request: Any, context: Any) -> Json:
        query = {key: found[0] for key, found in parse_qs(urlparse(request.url).query).items()}
        found = sorted(self.records, key=lambda each: str(each["id"]))
        if "name" in query:
            return {"servers": [each for each in found if f"^{each['name']}$" == query["name"]]}
        refusal = self._fails(query.get("marker", "first"), context)
        if refusal:
            return refusal
        if "marker" in query:
            ids = [each["id"] for each in found]
            if query["marker"] not in ids:
                context.status_code = 400
                message = f"marker [{query['marker']}] not found"
                return {"badRequest": {"code": 400, "message": message}}
            found = found[ids.index(query["marker"]) + 1 :]
        if query.get("host"):
            found = [each for each in found if each.get(HOST) == query["host"]]
        if query.get("project_id"):
            found = [each for each in found if each["tenant_id"] == query["project_id"]]
        if query.get("flavor"):
            name = query["flavor"].removeprefix("id-")
            found = [each for each in found if each["flavor"]["original_name"] == name]
        if query.get("image"):
            found = [
                each for each in found if each["image"] and each["image"]["id"] == query["image"]
            ]
        return self._page(found, min(self.page, int(query.get("limit", self.page))))

    def _fails(self, event: str, context: Any) -> Json | None:
        self.events.append(event)
        if event not in self.refuse:
            return None
        context.status_code, message = self.refuse[event]
        context.headers["Content-Type"] = "application/json"
        return {"x": {"message": message}}

    @staticmethod
    def _page(found: list[Json], limit: int) -> Json:
        links = [{"rel": "next", "href": "x"}] if len(found) >= limit else []
        return {"servers": found[:limit], "servers_links": links}

    def _server(self, request: Any, context: Any) -> Json:
        wanted = request.path.rpartition("/")[2]
        return {"server": next(each for each in self.records if each["id"] == wanted)}

    def _attached(self, request: Any, context: Any) -> Json:
        return {
            "volumeAttachments": [
                {"volumeId": each["id"], "device": each["attachments"][0]["device"]}
                for each in self.volumes
            ]
        }

    def _images(self, request: Any, context: Any) -> Json:
        query = parse_qs(urlparse(request.url).query)
        first = query["visibility"] == ["all"] and "os_hidden" not in query
        return {"images": [*self.images.values()] if first else []}

    def _image(self, request: Any, context: Any) -> Json:
        found = self.images.get(request.path.rpartition("/")[2])
        context.status_code = 200 if found else 404
        return found or {}

    def _volume(self, request: Any, context: Any) -> Json:
        wanted = request.path.rpartition("/")[2]
        found = [each for each in self.volumes if each["id"] == wanted]
        context.status_code = 200 if found else 404
        return {"volume": found[0]} if found else {}

    # --- runs -------------------------------------------------------------

    def listed(self, *options: str, code: int = 0) -> list[Json]:
        """Return the rows of a list."""
        result = self.fake.openstack("unique", "serial", "list", "-f", "json", *options)
        assert result.code == code, result.out + result.err
        self.notes = result.err
        # The probe of the validator cannot write.
        assert all("os-extra_specs" in each for each in self.fake.writes())
        rows: list[Json] = result.json
        return rows

    def numbers(self, *options: str, code: int = 0) -> list[int]:
        """Return which servers a list has, in its order."""
        return [int(row["id"][-12:], 16) for row in self.listed(*options, code=code)]

    def one(self, *options: str) -> Json:
        """Return the only server, as ``show`` and ``list`` both tell of it."""
        (row,) = self.listed("--long", *options)
        assert row == self.shown(row["id"], *options)
        return row

    def shown(self, wanted: str, *options: str) -> Json:
        """Return the output of ``show`` for a server."""
        result = self.fake.openstack("unique", "serial", "show", wanted, "-f", "json", *options)
        assert result.code == 0, result.err
        told: Json = result.json
        return told


#: What is found in a cloud with faults, the worst first.
FAULTS = [
    "unique-not-effective",
    "invalid-value",
    "changes-on-move",
    "host-identity-shown",
    "not-steered",
    "image-may-show-host",
]


FORBIDDEN = {"forbidden": {"code": 403, "message": "Policy doesn't allow get_all_tenants"}}


class AuditCloud(Estate):
    """A cloud with two hosts of the driver, and servers, without any finding."""

    def __init__(self, fake: FakeCloud) -> None:
        super().__init__(fake)
        self.hosts(a=Node(), b=Node())

    def add_faults(self) -> None:
        """Add what :data:`FAULTS` are found in: a finding of each severity, on two servers."""
        self.hosts(a=Node(), b=Node((*DRIVER, OPEN)), c=Node((M_AUTO,)))
        self.flavor("typo", {"hw:unique_serial": "banana"})
        self.server(1)
        self.server(2, host="c")

    def run(self, *options: str) -> Result:
        result = self.fake.openstack("unique", "serial", "audit", *options)
        assert all("os-extra_specs" in each for each in self.fake.writes())
        self.notes = result.err
        return result

    def findings(self, *options: str, code: int = 3) -> list[Json]:
        result = self.run("-f", "json", "--long", *options)
        assert result.code == code, result.out + result.err
        rows: list[Json] = result.json
        assert all(list(row) == [name for name in COLUMNS if name != "baseline"] for row in rows)
        return rows

    def ids(self, *options: str, code: int = 3) -> list[str]:
        return [row["id"] for row in self.findings(*options, code=code)]

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return self.notes.splitlines()[-1]


class QuietCloud(AuditCloud):
    """One in which no server changes while it is read, except for those in ``changed``."""

    changed: tuple[str, ...] = ()

    def _bare(self, request: Any, context: Any) -> Json:
        if "changes-since" in request.url:
            return {"servers": [{"id": id_} for id_ in self.changed]}
        return super()._bare(request, context)


def deny_all_projects(cloud: Estate) -> None:
    """Refuse lists of the servers of all projects."""
    for path in ("servers", "servers/detail"):
        cloud.fake.http.get(
            f"{NOVA}/{path}?all_tenants=true",
            status_code=403,
            json=FORBIDDEN,
            headers={"Content-Type": "application/json"},
        )


def take_cell_down(fake: FakeCloud, down: str, *, a: str, code: int = 200) -> None:
    """Make Nova list no hypervisors, and services without state in one cell.

    :param down: the hosts of the cell, a letter each
    :param a: the status of host a, which is in another cell
    :param code: the HTTP status of the list of services
    """
    services = [
        {"host": "a", "status": a, "state": "up"},
        *({"host": name, "status": "UNKNOWN"} for name in down),
    ]
    fake.http.get(f"{NOVA}/os-hypervisors/detail", status_code=500)
    fake.http.get(f"{NOVA}/os-services", status_code=code, json={"services": services})
