# SPDX-License-Identifier: Apache-2.0
"""A cloud of any size without OpenStack behind it, for benchmarks that Nova would slow down.

Usage: python3 -m bench.fake_cloud --clouds-yaml FILE [--servers N] [--hosts H] [--flavors F]
[--images I] [--metadata M] [--delay MS] [--page-delay MS] [--port PORT] [--seed SEED]

It reads only: what commands ask of Keystone, Nova, Placement, Glance and Cinder to list and to
show. Prints its URL when it is ready, and serves on loopback until SIGTERM. The cloud in FILE is
``fake``. The same arguments make the same cloud, but for the port in its links.

``GET /_count`` returns the requests since the last ``POST /_reset``, and what they cost here.

Client and server share the machine, so this one does next to nothing for each request: servers
are rendered once, laid end to end in order of their UUIDs, and a page in that order is one piece
of memory. Records have the form of Nova 34 at microversion 2.98 (hypervisors: 2.87), whatever
version is asked for. What a real service would filter by, and this one does not know, is 400: a
benchmark must not measure the wrong answer.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import bisect
import dataclasses
import hashlib
import http
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from devcloud.children import end
from devcloud.layout import SOURCE_ROOT
from devcloud.process import argv_bound

Json = dict[str, Any]
Query = dict[str, str]
Piece = bytes | memoryview

#: The name of the cloud in clouds.yaml.
CLOUD = "fake"
#: The most that Nova, Glance and Cinder give in one page by default.
PAGE = 1000
#: Glance's page size without a limit (limit_param_default).
IMAGE_PAGE = 25
PROJECTS = 50
COMPUTE_NEWEST = (2, 98)
#: When the newest server was created: 2026-06-01. Each other one is a minute older than the last.
_NEWEST = 1780272000
_BETWEEN = 60
_EARLIER = "2020-01-01T00:00:00Z"
_COMMON_TRAITS = ("COMPUTE_NODE", "COMPUTE_TRUSTED_CERTS", "HW_CPU_X86_AVX2")
#: Traits of a host with the driver of nova-uniqserial, and of a stock one with a provider.yaml.
_DRIVER_TRAITS = (
    "CUSTOM_UNIQUE_SERIAL",
    "CUSTOM_UNIQUE_SERIAL_KEYS",
    "CUSTOM_SYSINFO_SERIAL_UNIQUE",
)
_STOCK_TRAITS = ("CUSTOM_SYSINFO_SERIAL_AUTO",)
_TRAIT_REQUIRED = "trait:CUSTOM_UNIQUE_SERIAL"


@dataclasses.dataclass(frozen=True)
class Size:
    """How much there is of everything, and what makes two clouds of one size differ.

    :ivar metadata: items of each server; none is a request
    """

    servers: int = 1000
    hosts: int = 50
    flavors: int = 40
    images: int = 60
    metadata: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.servers, self.metadata) < 0 or min(self.hosts, self.flavors, self.images) < 1:
            raise ValueError("a cloud has at least one host, one flavor and one image")


# --- what is stored ---------------------------------------------------------


class Table:
    """Records as JSON, rendered once and laid end to end as they stand in a list."""

    def __init__(self, ids: Sequence[str], records: Iterable[bytes]) -> None:
        self.ids = ids
        self._positions = {each: position for position, each in enumerate(ids)}
        text = bytearray()
        self._starts = array.array("Q")
        for record in records:
            self._starts.append(len(text))
            text += record
            text += b", "
        self._starts.append(len(text))
        self._text = memoryview(text)

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, identifier: str) -> int | None:
        """Return the position of a record."""
        return self._positions.get(identifier)

    def record(self, position: int) -> memoryview:
        """Return one record."""
        return self._text[self._starts[position] : self._starts[position + 1] - 2]

    def records(self, positions: Sequence[int]) -> Piece:
        """Return records as they stand in a list, uncopied where they are neighbours."""
        if isinstance(positions, range) and positions.step == 1:
            if not positions:
                return b""
            return self._text[self._starts[positions[0]] : self._starts[positions[-1] + 1] - 2]
        return b", ".join(map(self.record, positions))


@dataclasses.dataclass(frozen=True)
class Order:
    """Positions of a table in some order, and where each position comes in it."""

    positions: Sequence[int]
    rank: Sequence[int]

    def after(self, chosen: Sequence[int], position: int) -> int:
        """Return where in some positions of this order those after a position begin."""
        return bisect.bisect_right(chosen, self.rank[position], key=self.rank.__getitem__)


@dataclasses.dataclass(frozen=True)
class Host:
    """A compute host; the name of its hypervisor may differ from that of its service."""

    name: str
    hypervisor: str
    provider: str
    service: str
    traits: frozenset[str]


class Cloud:
    """Everything that the APIs tell, rendered.

    :param url: what links begin with
    """

    def __init__(self, size: Size, url: str) -> None:
        self._random = random.Random(size.seed)  # noqa: S311 - the same cloud each time
        self._compute = f"{url}/compute"
        self._volume = f"{url}/volume"
        self.projects = [self._uuid().replace("-", "") for _ in range(PROJECTS)]
        self._users = [self._uuid().replace("-", "") for _ in range(PROJECTS)]
        self.hosts = [self._host(number) for number in range(1, size.hosts + 1)]
        self._flavors = [_flavor(number) for number in range(size.flavors)]
        # The later images change when half of the servers are there.
        changed = _time(_NEWEST - size.servers // 2 * _BETWEEN)
        self._images = [self._image(number, changed) for number in range(size.images)]
        self.flavors = self._render_flavors()
        self.images = Table(
            [image["id"] for image in self._images], map(_dump, map(_image_record, self._images))
        )
        self.hidden_images = frozenset(
            position for position, image in enumerate(self._images) if image["os_hidden"]
        )
        self._items = range(size.metadata)
        self._place(size.servers)
        self.volumes = self._render_volumes()
        self.servers = Table(self._ids, map(self._server, range(size.servers)))
        self.hypervisors = Table(
            [host.provider for host in self.hosts],
            [_dump(self._hypervisor(number)) for number in range(size.hosts)],
        )
        self.providers = Table(self.hypervisors.ids, map(_dump, map(_provider, self.hosts)))
        self.services = _dump({"services": list(self._services())})
        self.aggregates = _dump({"aggregates": list(self._aggregates())})
        self.traits = sorted({trait for host in self.hosts for trait in host.traits})

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    # --- hosts ----------------------------------------------------------

    def _host(self, number: int) -> Host:
        name = f"compute-{number:05}"
        return Host(
            name=name,
            hypervisor=name if number % 4 else f"{name}.example.org",
            provider=self._uuid(),
            service=self._uuid(),
            traits=frozenset(
                (*_COMMON_TRAITS, *(_DRIVER_TRAITS if number % 10 else _STOCK_TRAITS))
            ),
        )

    def _hypervisor(self, number: int) -> Json:
        host = self.hosts[number]
        running = len(self.by_host.get(host.name, ()))
        return {
            "id": host.provider,
            "hypervisor_hostname": host.hypervisor,
            "state": "up",
            "status": "enabled",
            "hypervisor_type": "QEMU",
            "hypervisor_version": 10000000,
            "host_ip": f"192.0.2.{number % 254 + 1}",
            "service": {"id": host.service, "host": host.name, "disabled_reason": None},
            "vcpus": 256,
            "memory_mb": 2097152,
            "local_gb": 20000,
            "vcpus_used": running,
            "memory_mb_used": 512 + 64 * running,
            "local_gb_used": running,
            "free_ram_mb": 2096640 - 64 * running,
            "free_disk_gb": 20000 - running,
            "current_workload": 0,
            "running_vms": running,
            "disk_available_least": 20000 - running,
            "cpu_info": {
                "arch": "x86_64",
                "model": "Nehalem",
                "vendor": "Intel",
                "features": ["pge", "clflush"],
                "topology": {"cores": 1, "threads": 1, "sockets": 4},
            },
        }

    def _services(self) -> Iterable[Json]:
        rows = [("nova-conductor", "controller", "internal", self._uuid())]
        rows += [("nova-scheduler", "controller", "internal", self._uuid())]
        rows += [("nova-compute", host.name, "nova", host.service) for host in self.hosts]
        for binary, host, zone, identifier in rows:
            yield {
                "binary": binary,
                "host": host,
                "id": identifier,
                "zone": zone,
                "status": "enabled",
                "state": "up",
                "updated_at": "2026-06-01T00:00:00.000000",
                "disabled_reason": None,
                "forced_down": False,
            }

    def _aggregates(self) -> Iterable[Json]:
        """Yield one aggregate of the hosts with the trait, and one for each 40 hosts."""
        unique = [host.name for host in self.hosts if "CUSTOM_UNIQUE_SERIAL" in host.traits]
        rows: list[tuple[str, list[str], dict[str, str]]] = [
            ("unique-serial", unique, {"hw:unique_serial": "true", "hw_unique_serial": "True"})
        ]
        for number, first in enumerate(range(0, len(self.hosts), 40), 1):
            hosts = [host.name for host in self.hosts[first : first + 40]]
            rows.append((f"rack-{number:03}", hosts, {"rack": f"{number:03}"}))
        for number, (name, hosts, metadata) in enumerate(rows, 1):
            yield {
                "created_at": "2020-01-01T00:00:00.000000",
                "updated_at": None,
                "deleted_at": None,
                "deleted": False,
                "id": number,
                "uuid": self._uuid(),
                "name": name,
                "hosts": hosts,
                "metadata": metadata,
                "availability_zone": None,
            }

    # --- flavors and images ---------------------------------------------

    def _render_flavors(self) -> Table:
        ids = [self._uuid() for _ in self._flavors]
        return Table(
            ids,
            (
                _dump(
                    {
                        "id": identifier,
                        "name": flavor["original_name"],
                        "ram": flavor["ram"],
                        "disk": flavor["disk"],
                        "swap": flavor["swap"],
                        "OS-FLV-EXT-DATA:ephemeral": flavor["ephemeral"],
                        "OS-FLV-DISABLED:disabled": False,
                        "vcpus": flavor["vcpus"],
                        "os-flavor-access:is_public": True,
                        "rxtx_factor": 1.0,
                        "links": self._links("flavors", identifier),
                        "description": None,
                        "extra_specs": flavor["extra_specs"],
                    }
                )
                for identifier, flavor in zip(ids, self._flavors, strict=True)
            ),
        )

    def _image(self, number: int, changed: str) -> Json:
        properties: dict[str, str] = {"hw_disk_bus": "virtio", "os_distro": "debian"}
        said = {1: "true", 4: "false"}.get(number % 10)
        if said:
            properties["hw_unique_serial"] = said
        return {
            "id": self._uuid(),
            "name": f"image-{number:03}",
            "owner": self.projects[0],
            "os_hidden": number % 30 == 29,
            "updated_at": changed if number % 12 == 7 else _EARLIER,
            "properties": properties,
        }

    def _links(self, collection: str, identifier: str) -> list[Json]:
        return [
            {"rel": "self", "href": f"{self._compute}/v2.1/{collection}/{identifier}"},
            {"rel": "bookmark", "href": f"{self._compute}/{collection}/{identifier}"},
        ]

    # --- servers and their volumes --------------------------------------

    def _place(self, servers: int) -> None:
        """Choose what servers are made of, in order of their UUIDs, and index them."""
        self._ids = sorted(self._uuid() for _ in range(servers))
        newest_first = array.array("L", range(servers))
        self._random.shuffle(newest_first)
        ranks = array.array("L", bytes(newest_first.itemsize * servers))
        for rank, position in enumerate(newest_first):
            ranks[position] = rank
        last = servers - 1
        self.orders = {
            ("uuid", "asc"): Order(range(servers), range(servers)),
            ("uuid", "desc"): Order(range(last, -1, -1), range(last, -1, -1)),
            ("created_at", "desc"): Order(newest_first, ranks),
            ("created_at", "asc"): Order(
                newest_first[::-1], array.array("L", (last - rank for rank in ranks))
            ),
        }
        self._ranks = ranks
        self._flavor_of = array.array("L", self._choices(len(self._flavors), servers))
        self._image_of = array.array("L", self._choices(len(self._images), servers))
        self._project_of = array.array("L", self._choices(PROJECTS, servers))
        #: Positions of servers.
        self.by_host: dict[str, array.array[int]] = {}
        self.by_project: dict[str, array.array[int]] = {}
        #: Volume of each volume-backed server.
        self._volume_of: dict[int, str] = {}
        self._host_of: list[Host | None] = []
        everywhere = self.hosts
        trait = _TRAIT_REQUIRED.removeprefix("trait:")
        with_trait = [host for host in everywhere if trait in host.traits] or everywhere
        for position in range(servers):
            required = _TRAIT_REQUIRED in self._flavors[self._flavor_of[position]]["extra_specs"]
            host = self._random.choice(with_trait if required else everywhere)
            if self._random.random() < 0.02:
                self._volume_of[position] = self._uuid()
            project = self.projects[self._project_of[position]]
            self.by_project.setdefault(project, array.array("L")).append(position)
            if self._random.random() < 0.005:
                self._host_of.append(None)
                continue
            self._host_of.append(host)
            self.by_host.setdefault(host.name, array.array("L")).append(position)
        # Parts of records, as JSON.
        self._flavor_json = [_dump(flavor).decode() for flavor in self._flavors]
        self._image_json = [_dump(self._image_of_server(each)).decode() for each in self._images]
        self._template = self._server_template()

    def _choices(self, kinds: int, count: int) -> Iterable[int]:
        return (int(self._random.random() * kinds) for _ in range(count))

    def _image_of_server(self, image: Json) -> Json:
        """Return an image as servers show it, with its frozen properties."""
        properties: Json = dict(image["properties"])
        if "hw_unique_serial" in properties:
            # Nova with the field of nova-uniqserial shows what it made of the text.
            properties["hw_unique_serial"] = properties["hw_unique_serial"] == "true"
        bookmark = {"rel": "bookmark", "href": f"{self._compute}/images/{image['id']}"}
        return {"id": image["id"], "links": [bookmark], "properties": properties}

    def _server_template(self) -> str:
        """Return a record of GET /servers/detail, an administrator's, to be filled with ``%``."""
        record = {
            "accessIPv4": "",
            "accessIPv6": "",
            "addresses": {},
            "created": "%(created)sZ",
            "flavor": "@flavor@",
            "hostId": "%(host_id)s",
            "id": "%(id)s",
            "image": "@image@",
            "links": self._links("servers", "%(id)s"),
            "metadata": "@metadata@",
            "name": "%(name)s",
            "status": "%(status)s",
            "tenant_id": "%(project)s",
            "user_id": "%(user)s",
            "updated": "%(created)sZ",
            "OS-DCF:diskConfig": "MANUAL",
            "progress": 0,
            "OS-EXT-AZ:availability_zone": "%(zone)s",
            "config_drive": "",
            "key_name": None,
            "OS-SRV-USG:launched_at": "%(created)s.000000",
            "OS-SRV-USG:terminated_at": None,
            "OS-EXT-SRV-ATTR:host": "@host@",
            "OS-EXT-SRV-ATTR:instance_name": "instance-%(number)08x",
            "OS-EXT-SRV-ATTR:hypervisor_hostname": "@hypervisor@",
            "OS-EXT-SRV-ATTR:hostname": "%(name)s",
            "OS-EXT-SRV-ATTR:kernel_id": "",
            "OS-EXT-SRV-ATTR:launch_index": 0,
            "OS-EXT-SRV-ATTR:ramdisk_id": "",
            "OS-EXT-SRV-ATTR:reservation_id": "r-%(number)08x",
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "OS-EXT-SRV-ATTR:user_data": None,
            "OS-EXT-STS:task_state": None,
            "OS-EXT-STS:vm_state": "%(vm_state)s",
            "OS-EXT-STS:power_state": "@power_state@",
            "os-extended-volumes:volumes_attached": "@volumes@",
            "locked": False,
            "description": None,
            "tags": [],
            "trusted_image_certificates": None,
            "locked_reason": None,
            "pinned_availability_zone": None,
            "host_status": "%(host_status)s",
        }
        return re.sub(r'"@(\w+)@"', r"%(\1)s", json.dumps(record))

    def server_name(self, position: int) -> str:
        """Return the name of a server."""
        return f"vm-{len(self._ids) - self._ranks[position]:07}"

    def _created(self, position: int) -> str:
        return _time(_NEWEST - self._ranks[position] * _BETWEEN)[:-1]

    def _server(self, position: int) -> bytes:
        host = self._host_of[position]
        project = self._project_of[position]
        volume = self._volume_of.get(position)
        tenant = self.projects[project]
        text = self._template % {
            "created": self._created(position),
            "flavor": self._flavor_json[self._flavor_of[position]],
            "id": self._ids[position],
            "metadata": self._metadata(position),
            "image": '""' if volume else self._image_json[self._image_of[position]],
            "name": self.server_name(position),
            "number": len(self._ids) - self._ranks[position],
            "project": tenant,
            "user": self._users[project],
            "volumes": f'[{{"id": "{volume}", "delete_on_termination": false}}]'
            if volume
            else "[]",
            "host": f'"{host.name}"' if host else "null",
            "hypervisor": f'"{host.hypervisor}"' if host else "null",
            # nova/utils.py, generate_hostid
            "host_id": hashlib.sha224((tenant + host.name).encode()).hexdigest() if host else "",
            "status": "ACTIVE" if host else "SHELVED_OFFLOADED",
            "vm_state": "active" if host else "shelved_offloaded",
            "power_state": 1 if host else 4,
            "zone": "nova" if host else "",
            "host_status": "UP" if host else "",
        }
        return text.encode()

    def _metadata(self, position: int) -> str:
        return _dump(
            {f"item-{number}": f"{position:08x}-{number:08x}" for number in self._items}
        ).decode()

    def _render_volumes(self) -> Table:
        """Render the root volumes, newest first, and index them by project."""
        newest_first = sorted(self._volume_of, key=self._ranks.__getitem__)
        self.volumes_by_project: dict[str, list[int]] = {}
        for number, position in enumerate(newest_first):
            project = self.projects[self._project_of[position]]
            self.volumes_by_project.setdefault(project, []).append(number)
        return Table(
            [self._volume_of[position] for position in newest_first],
            [_dump(self._volume_record(position)) for position in newest_first],
        )

    def _volume_record(self, position: int) -> Json:
        identifier = self._volume_of[position]
        image = self._images[self._image_of[position]]
        project = self.projects[self._project_of[position]]
        host = self._host_of[position]
        # Nova makes the volume while it builds the server.
        made = _NEWEST - self._ranks[position] * _BETWEEN + 30
        created = f"{_time(made)[:-1]}.000000"
        return {
            "id": identifier,
            "status": "in-use",
            "size": 1,
            "availability_zone": "nova",
            "created_at": created,
            "updated_at": created,
            "name": "",
            "description": None,
            "volume_type": "__DEFAULT__",
            "snapshot_id": None,
            "source_volid": None,
            "metadata": {},
            "links": [
                {"rel": "self", "href": f"{self._volume}/v3/{project}/volumes/{identifier}"},
                {"rel": "bookmark", "href": f"{self._volume}/{project}/volumes/{identifier}"},
            ],
            "user_id": self._users[self._project_of[position]],
            "bootable": "true",
            "encrypted": False,
            "replication_status": None,
            "consistencygroup_id": None,
            "multiattach": False,
            "attachments": [
                {
                    "id": identifier,
                    "attachment_id": identifier,
                    "volume_id": identifier,
                    "server_id": self._ids[position],
                    "host_name": host.name if host else None,
                    "device": "/dev/vda",
                    "attached_at": created,
                }
            ],
            "migration_status": None,
            "os-vol-tenant-attr:tenant_id": project,
            "os-vol-mig-status-attr:migstat": None,
            "os-vol-mig-status-attr:name_id": None,
            "os-vol-host-attr:host": "controller@fake#fake",
            "volume_image_metadata": {
                **image["properties"],
                "image_id": image["id"],
                "image_name": image["name"],
                "container_format": "bare",
                "disk_format": "raw",
                "min_disk": "0",
                "min_ram": "0",
                "size": "1",
            },
        }


def _dump(document: object) -> bytes:
    return json.dumps(document).encode()


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _flavor(number: int) -> Json:
    """Return a flavor as servers show it: of eight, three ask for something."""
    specs = {"hw:cpu_policy": "shared"}
    said = {1: "true", 3: "true", 5: "false"}.get(number % 8)
    if said:
        specs["hw:unique_serial"] = said
    if number % 8 == 1:
        specs[_TRAIT_REQUIRED] = "required"
    return {
        "vcpus": 1,
        "ram": 64,
        "disk": 1,
        "ephemeral": 0,
        "swap": 0,
        "original_name": f"flavor-{number:03}",
        "extra_specs": specs,
    }


def _image_record(image: Json) -> Json:
    """Return an image as Glance shows it."""
    path = f"/v2/images/{image['id']}"
    return {
        **image["properties"],
        "name": image["name"],
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "size": 1,
        "virtual_size": 1,
        "status": "active",
        "checksum": "9dd4e461268c8034f5c8564e155c67a6",
        "protected": False,
        "min_ram": 0,
        "min_disk": 0,
        "owner": image["owner"],
        "os_hidden": image["os_hidden"],
        "os_hash_algo": "sha512",
        "os_hash_value": "0" * 128,
        "id": image["id"],
        "created_at": _EARLIER,
        "updated_at": image["updated_at"],
        "tags": [],
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
        "stores": "files",
    }


def _provider(host: Host) -> Json:
    """Return the resource provider of a host as Placement shows it."""
    path = f"/resource_providers/{host.provider}"
    parts = ("inventories", "usages", "aggregates", "traits", "allocations")
    return {
        "uuid": host.provider,
        "name": host.hypervisor,
        "generation": 3,
        "links": [
            {"rel": "self", "href": path},
            *({"rel": part, "href": f"{path}/{part}"} for part in parts),
        ],
        "parent_provider_uuid": None,
        "root_provider_uuid": host.provider,
    }


# --- the APIs ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    :ivar servers: how many servers of a page it holds, for the delay; None: it is no such page
    """

    pieces: Sequence[Piece]
    status: int = 200
    headers: str = ""
    content_type: str = "application/json"
    servers: int | None = None


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, document: Json) -> None:
        super().__init__(status)
        self.answer = _json(document, status)


Handler = Callable[..., Answer]


class Apis:
    """The services, each below a path of its own."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self._cloud = cloud
        self._url = url
        compute, volume = "/compute/v2.1", r"/volume/v3(?:/[0-9a-f]{32})?"
        image, placement = "/image/v2", "/placement/resource_providers"
        one = "([^/]+)"
        table: list[tuple[str, Handler]] = [
            ("GET /identity", self._identity_versions),
            ("GET /identity/v3", self._identity),
            ("POST /identity/v3/auth/tokens", self._token),
            ("GET /identity/v3/projects", self._projects),
            (f"GET /identity/v3/projects/{one}", self._project),
            ("GET /compute", self._compute_versions),
            (f"GET {compute}", self._compute_version),
            (f"GET {compute}/servers/detail", self._servers_detail),
            (f"GET {compute}/servers", self._servers),
            (f"GET {compute}/servers/{one}", self._server),
            (f"GET {compute}/flavors/detail", self._flavors),
            (f"GET {compute}/flavors/{one}", self._flavor),
            (f"POST {compute}/flavors/{one}/os-extra_specs", self._new_extra_specs),
            (f"GET {compute}/os-hypervisors/detail", self._hypervisors),
            (f"GET {compute}/os-aggregates", self._aggregates),
            (f"GET {compute}/os-services", self._services),
            ("GET /placement", self._placement_versions),
            ("GET /placement/traits", self._traits),
            (f"GET {placement}", self._providers),
            (f"GET {placement}/{one}/traits", self._provider_traits),
            ("GET /image", self._image_versions),
            (f"GET {image}/images", self._images),
            (f"GET {image}/images/{one}", self._image),
            (f"GET {image}/metadefs/namespaces", self._namespaces),
            (f"GET {image}/metadefs/namespaces/{one}", self._namespace),
            ("GET /volume", self._volume_versions),
            (f"GET {volume}", self._volume_versions),
            (f"GET {volume}/volumes/detail", self._volumes),
            (f"GET {volume}/volumes/{one}", self._volume),
        ]
        self._plain = {line: handler for line, handler in table if "(" not in line}
        self._patterns = [(re.compile(line), handler) for line, handler in table if "(" in line]

    def answer(self, method: str, path: str, query: str) -> Answer:
        """Answer one request."""
        line = f"{method} {path.rstrip('/')}"
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)) if query else {}
        try:
            if handler := self._plain.get(line):
                return handler(asked)
            for pattern, handler in self._patterns:
                if match := pattern.fullmatch(line):
                    return handler(asked, *map(urllib.parse.unquote, match.groups()))
        except Refused as refused:
            return refused.answer
        return _json({"error": {"code": 404, "message": f"No such thing here: {line}"}}, 404)

    def _page(
        self,
        key: str,
        table: Table,
        chosen: Sequence[int],
        query: Query,
        *,
        path: str,
        start: int | None = None,
    ) -> tuple[Sequence[int], bytes]:
        """Return the positions of a page of Nova or Cinder and the end of its document.

        :param start: where in the chosen ones it begins; None to look for the marker
        """
        if start is None:
            marker = query.get("marker")
            start = 0
            if marker is not None:
                found = table.find(marker)
                if found is None or found not in chosen:
                    raise _bad_request(f"marker [{marker}] not found")
                start = chosen.index(found) + 1
        limit = _limit(query, PAGE)
        page = chosen[start : start + limit]
        end = b"]}"
        # As Nova and Cinder do, a full page has a link even where nothing follows.
        if len(page) == limit:
            further = urllib.parse.urlencode(
                sorted({**query, "marker": table.ids[page[-1]]}.items())
            )
            link = {"rel": "next", "href": f"{self._url}{path}?{further}"}
            end = b'], "%b_links": [%b]}' % (key.encode(), _dump(link))
        return page, end

    def _listed(
        self, key: str, table: Table, chosen: Sequence[int], query: Query, path: str
    ) -> Answer:
        page, end = self._page(key, table, chosen, query, path=path)
        return Answer([b'{"%b": [' % key.encode(), table.records(page), end])

    # --- Keystone -------------------------------------------------------

    def _identity_version(self) -> Json:
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{self._url}/identity/v3/"}],
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.identity-v3+json",
                }
            ],
        }

    def _identity_versions(self, _query: Query) -> Answer:
        return _json({"versions": {"values": [self._identity_version()]}}, 300)

    def _identity(self, _query: Query) -> Answer:
        return _json({"version": self._identity_version()})

    def _token(self, _query: Query) -> Answer:
        """Let anybody in, as administrator of the first project, for good."""
        domain = {"id": "default", "name": "Default"}
        paths = {
            ("identity", "keystone"): "/identity/v3",
            ("compute", "nova"): "/compute/v2.1",
            ("image", "glance"): "/image",
            ("placement", "placement"): "/placement",
            ("block-storage", "cinder"): "/volume/v3",
        }
        catalog = [
            {
                "id": name,
                "type": kind,
                "name": name,
                "endpoints": [
                    {
                        "id": f"{name}-{interface}",
                        "interface": interface,
                        "region": CLOUD,
                        "region_id": CLOUD,
                        "url": self._url + path,
                    }
                    for interface in ("public", "internal", "admin")
                ],
            }
            for (kind, name), path in paths.items()
        ]
        token = {
            "methods": ["password"],
            "user": {
                "domain": domain,
                "id": "admin",
                "name": "admin",
                "password_expires_at": None,
            },
            "audit_ids": [CLOUD],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2020-01-01T00:00:00.000000Z",
            "project": {"domain": domain, "id": self._cloud.projects[0], "name": "admin"},
            "is_domain": False,
            "roles": [{"id": role, "name": role} for role in ("admin", "member", "reader")],
            "catalog": catalog,
        }
        return _json({"token": token}, 201, f"X-Subject-Token: {CLOUD}\r\n")

    def _project_record(self, number: int) -> Json:
        identifier = self._cloud.projects[number]
        return {
            "id": identifier,
            "name": f"project-{number:02}" if number else "admin",
            "domain_id": "default",
            "description": "",
            "enabled": True,
            "parent_id": "default",
            "is_domain": False,
            "tags": [],
            "options": {},
            "links": {"self": f"{self._url}/identity/v3/projects/{identifier}"},
        }

    def _projects(self, query: Query) -> Answer:
        rows = [self._project_record(number) for number in range(PROJECTS)]
        found = [row for row in rows if query.get("name") in (None, row["name"])]
        links = {"next": None, "self": f"{self._url}/identity/v3/projects", "previous": None}
        return _json({"projects": found, "links": links})

    def _project(self, _query: Query, identifier: str) -> Answer:
        if identifier not in self._cloud.projects:
            raise Refused(404, {"error": {"code": 404, "message": "Could not find project"}})
        return _json({"project": self._project_record(self._cloud.projects.index(identifier))})

    # --- Nova -----------------------------------------------------------

    def _compute_record(self) -> Json:
        return {
            "id": "v2.1",
            "status": "CURRENT",
            "version": "{}.{}".format(*COMPUTE_NEWEST),
            "min_version": "2.1",
            "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": f"{self._url}/compute/v2.1/"}],
        }

    def _compute_versions(self, _query: Query) -> Answer:
        return _json({"versions": [self._compute_record()]})

    def _compute_version(self, _query: Query) -> Answer:
        kind = "application/vnd.openstack.compute+json;version=2.1"
        media = [{"base": "application/json", "type": kind}]
        return _json({"version": {**self._compute_record(), "media-types": media}})

    def _servers_page(
        self, query: Query, path: str, render: Callable[[Sequence[int]], Piece]
    ) -> Answer:
        cloud = self._cloud
        _only(query, {"sort_key", "sort_dir", "marker", "limit", "deleted", *_SERVER_FILTERS})
        order = cloud.orders.get(
            (query.get("sort_key", "created_at"), query.get("sort_dir", "desc"))
        )
        if order is None:
            raise _bad_request("servers are sorted by uuid or created_at here, asc or desc")
        everywhere = query.get("all_tenants", "0").lower() in ("", "1", "true", "yes")
        # Without all_tenants it is the caller's own project, whatever was asked for.
        project = query.get("project_id", query.get("tenant_id"))
        if not everywhere:
            project = cloud.projects[0]
        chosen = order.positions
        wanted: list[Collection[int]] = []
        if project is not None:
            wanted.append(cloud.by_project.get(project, ()))
        if "host" in query:
            wanted.append(cloud.by_host.get(query["host"], ()))
        if wanted:
            found = set(wanted[0]).intersection(*wanted[1:])
            chosen = sorted(found, key=order.rank.__getitem__)
        if "name" in query:
            name = re.compile(query["name"])
            chosen = [each for each in chosen if name.search(cloud.server_name(each))]
        start = 0
        if "marker" in query:
            position = cloud.servers.find(query["marker"])
            if position is None:
                raise _bad_request(f"marker [{query['marker']}] not found")
            start = order.after(chosen, position)
        page, end = self._page("servers", cloud.servers, chosen, query, path=path, start=start)
        return Answer([b'{"servers": [', render(page), end], servers=len(page))

    def _servers_detail(self, query: Query) -> Answer:
        return self._servers_page(
            query, "/compute/v2.1/servers/detail", self._cloud.servers.records
        )

    def _servers(self, query: Query) -> Answer:
        return self._servers_page(query, "/compute/v2.1/servers", self._brief)

    def _brief(self, positions: Sequence[int]) -> bytes:
        url = f"{self._url}/compute"
        template = (
            '{"id": "%(id)s", "name": "%(name)s", "links": ['
            f'{{"rel": "self", "href": "{url}/v2.1/servers/%(id)s"}}, '
            f'{{"rel": "bookmark", "href": "{url}/servers/%(id)s"}}]}}'
        )
        cloud = self._cloud
        rows = (
            {"id": cloud.servers.ids[each], "name": cloud.server_name(each)} for each in positions
        )
        return ", ".join(template % row for row in rows).encode()

    def _server(self, _query: Query, identifier: str) -> Answer:
        servers = self._cloud.servers
        position = servers.find(identifier)
        if position is None:
            raise _not_found(f"Instance {identifier} could not be found.")
        # Only this answer has it.
        record = bytes(servers.record(position)).replace(
            b'"locked_reason": ', b'"server_groups": [], "locked_reason": '
        )
        return Answer([b'{"server": ', record, b"}"])

    def _flavors(self, query: Query) -> Answer:
        _only(query, {"is_public", "limit", "marker"})
        flavors = self._cloud.flavors
        path = "/compute/v2.1/flavors/detail"
        return self._listed("flavors", flavors, range(len(flavors)), query, path)

    def _flavor(self, _query: Query, identifier: str) -> Answer:
        flavors = self._cloud.flavors
        position = flavors.find(identifier)
        if position is None:
            raise _not_found(f"Flavor {identifier} could not be found.")
        return Answer([b'{"flavor": ', flavors.record(position), b"}"])

    def _new_extra_specs(self, _query: Query, identifier: str) -> Answer:
        """Answer as Nova with the validator of nova-uniqserial to the probe of ``status``."""
        if self._cloud.flavors.find(identifier) is None:
            raise _not_found(f"Flavor {identifier} could not be found.")
        raise Refused(403, {"forbidden": {"code": 403, "message": "This cloud only reads."}})

    def _hypervisors(self, query: Query) -> Answer:
        _only(query, {"limit", "marker"})
        hypervisors = self._cloud.hypervisors
        path = "/compute/v2.1/os-hypervisors/detail"
        return self._listed("hypervisors", hypervisors, range(len(hypervisors)), query, path)

    def _aggregates(self, _query: Query) -> Answer:
        return Answer([self._cloud.aggregates])

    def _services(self, query: Query) -> Answer:
        _only(query, {"binary", "host"})
        if not query:
            return Answer([self._cloud.services])
        rows = json.loads(self._cloud.services)["services"]
        return _json({"services": [row for row in rows if query.items() <= row.items()]})

    # --- Placement ------------------------------------------------------

    def _placement_versions(self, _query: Query) -> Answer:
        version = {
            "id": "v1.0",
            "max_version": "1.39",
            "min_version": "1.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": ""}],
        }
        return _json({"versions": [version]})

    def _traits(self, query: Query) -> Answer:
        _only(query, {"name"})
        kind, _, value = query.get("name", "startswith:").partition(":")
        names = value.split(",")
        found = [
            trait
            for trait in self._cloud.traits
            if (trait in names if kind == "in" else trait.startswith(value))
        ]
        return _json({"traits": found})

    def _providers(self, query: Query) -> Answer:
        _only(query, {"required", "name"})
        cloud = self._cloud
        chosen: Sequence[int] = range(len(cloud.hosts))
        if "name" in query:
            chosen = [each for each in chosen if cloud.hosts[each].hypervisor == query["name"]]
        for trait in query["required"].split(",") if "required" in query else ():
            name = trait.removeprefix("!")
            if name not in cloud.traits:
                detail = f"Invalid trait(s) in 'required' parameter: No such trait(s): {name}."
                error = {"status": 400, "title": "Bad Request", "detail": detail}
                raise Refused(400, {"errors": [error]})
            there = name == trait
            chosen = [each for each in chosen if (name in cloud.hosts[each].traits) is there]
        return Answer([b'{"resource_providers": [', cloud.providers.records(chosen), b"]}"])

    def _provider_traits(self, _query: Query, identifier: str) -> Answer:
        position = self._cloud.providers.find(identifier)
        if position is None:
            detail = f"No resource provider with uuid {identifier} found"
            error = {"status": 404, "title": "Not Found", "detail": detail}
            raise Refused(404, {"errors": [error]})
        traits = sorted(self._cloud.hosts[position].traits)
        return _json({"traits": traits, "resource_provider_generation": 3})

    # --- Glance ---------------------------------------------------------

    def _image_versions(self, _query: Query) -> Answer:
        versions = [
            {
                "id": f"v2.{minor}",
                "status": "CURRENT" if minor == 17 else "SUPPORTED",
                "links": [{"rel": "self", "href": f"{self._url}/image/v2/"}],
            }
            for minor in range(17, -1, -1)
        ]
        return _json({"versions": versions}, 300)

    def _images(self, query: Query) -> Answer:
        # All are public and active: what cannot hide any of them changes nothing.
        neutral = {"visibility", "member_status", "sort_key", "sort_dir", "sort"}
        _only(query, {"limit", "marker", "os_hidden", "name", "id", *neutral})
        images, hidden = self._cloud.images, self._cloud.hidden_images
        wanted = query.get("os_hidden", "false").lower() == "true"
        chosen = [each for each in range(len(images)) if (each in hidden) is wanted]
        if "id" in query:
            ids = query["id"].removeprefix("in:").split(",")
            chosen = [each for each in chosen if images.ids[each] in ids]
        if "name" in query:
            name = _dump({"name": query["name"]})[1:-1]
            chosen = [each for each in chosen if name in bytes(images.record(each))]
        limit = _limit(query, IMAGE_PAGE)
        start = 0
        if "marker" in query:
            found = images.find(query["marker"])
            if found is None or found not in chosen:
                return _html(400, f"Invalid marker {query['marker']}")
            start = chosen.index(found) + 1
        page = chosen[start : start + limit]
        here = f"?{urllib.parse.urlencode(query)}" if query else ""
        end: Json = {"first": f"/v2/images{here}", "schema": "/v2/schemas/images"}
        if len(page) == limit:
            further = urllib.parse.urlencode({**query, "marker": images.ids[page[-1]]})
            end["next"] = f"/v2/images?{further}"
        return Answer([b'{"images": [', images.records(page), b"], ", _dump(end)[1:]])

    def _image(self, _query: Query, identifier: str) -> Answer:
        position = self._cloud.images.find(identifier)
        if position is None:
            return _html(404, f"No image found with ID {identifier}")
        return Answer([self._cloud.images.record(position)])

    def _namespaces(self, query: Query) -> Answer:
        first = "/v2/metadefs/namespaces"
        return _json(
            {
                "namespaces": [],
                "schema": "/v2/schemas/metadefs/namespaces",
                "first": f"{first}?{urllib.parse.urlencode(query)}" if query else first,
            }
        )

    def _namespace(self, _query: Query, name: str) -> Answer:
        return _html(404, f"Metadata definition namespace={name} was not found.")

    # --- Cinder ---------------------------------------------------------

    def _volume_versions(self, _query: Query) -> Answer:
        kind = "application/vnd.openstack.volume+json;version=3"
        version = {
            "id": "v3.0",
            "status": "CURRENT",
            "version": "3.71",
            "min_version": "3.0",
            "updated": "2023-08-31T00:00:00Z",
            "links": [{"rel": "self", "href": f"{self._url}/volume/v3/"}],
            "media-types": [{"base": "application/json", "type": kind}],
        }
        return _json({"versions": [version]})

    def _volumes(self, query: Query) -> Answer:
        _only(query, {"limit", "marker", "all_tenants", "bootable"})  # all of them are
        volumes, own = self._cloud.volumes, self._cloud.projects[0]
        everywhere = query.get("all_tenants", "0").lower() in ("1", "true", "yes")
        chosen = range(len(volumes)) if everywhere else self._cloud.volumes_by_project.get(own, [])
        path = f"/volume/v3/{own}/volumes/detail"
        return self._listed("volumes", volumes, chosen, query, path)

    def _volume(self, _query: Query, identifier: str) -> Answer:
        position = self._cloud.volumes.find(identifier)
        if position is None:
            raise _not_found(f"Volume {identifier} could not be found.")
        return Answer([b'{"volume": ', self._cloud.volumes.record(position), b"}"])


_SERVER_FILTERS = ("all_tenants", "host", "name", "project_id", "tenant_id")


def _json(document: Json, status: int = 200, headers: str = "") -> Answer:
    return Answer([_dump(document)], status, headers)


def _html(status: int, reason: str) -> Answer:
    """Refuse as Glance does, with a page."""
    title = f"{status} {http.HTTPStatus(status).phrase}"
    page = (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
        f"  {reason}<br /><br />\n\n\n\n </body>\n</html>"
    )
    return Answer([page.encode()], status, content_type="text/html; charset=UTF-8")


def _bad_request(message: str) -> Refused:
    return Refused(400, {"badRequest": {"code": 400, "message": message}})


def _not_found(message: str) -> Refused:
    return Refused(404, {"itemNotFound": {"code": 404, "message": message}})


def _only(query: Query, known: Collection[str]) -> None:
    unknown = sorted(query.keys() - known)
    if unknown:
        raise _bad_request(f"not supported here: {', '.join(unknown)}")


def _limit(query: Query, default: int) -> int:
    given = query.get("limit", "")
    if given and not given.isdecimal():
        raise _bad_request(f"limit is {given}, not a number")
    return min(int(given or default) or default, PAGE)


# --- HTTP -------------------------------------------------------------------


class Server:
    """HTTP/1.1 with persistent connections, as little of it as clients need.

    One thread: an answer takes less than a switch between two. Large pieces go from where
    they are to the socket, which asyncio's own streams would copy first.

    :param delay: seconds of waiting for each 1,000 servers of a page
    :param page_delay: seconds of waiting for each page of servers, however few it holds
    """

    def __init__(self, apis: Apis, delay: float, page_delay: float) -> None:
        self._apis = apis
        self._delay = delay
        self._page_delay = page_delay
        self._connections: set[asyncio.Task[None]] = set()
        self._pages = 0
        self._reset()

    def _reset(self) -> None:
        self._requests: Counter[str] = Counter()
        self._sent = 0
        self._opened = 0
        self._pages_at_once = 0
        self._cpu = time.process_time()

    def _count(self) -> Json:
        return {
            "requests": dict(sorted(self._requests.items())),
            "total": self._requests.total(),
            "bytes": self._sent,
            "connections": self._opened,
            "server_pages_at_once": self._pages_at_once,
            "cpu_seconds": round(time.process_time() - self._cpu, 6),
        }

    async def serve(self, listener: socket.socket) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._opened += 1
            task = loop.create_task(self._converse(connection))
            # The loop itself holds tasks weakly.
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _converse(self, connection: socket.socket) -> None:
        """Answer the requests of one connection, in order."""
        loop = asyncio.get_running_loop()
        received = b""
        with connection:
            try:
                while True:
                    while (end := received.find(b"\r\n\r\n")) < 0:
                        more = await loop.sock_recv(connection, 65536)
                        if not more:
                            return
                        received += more
                    first, _, rest = received[:end].decode("latin-1").partition("\r\n")
                    received = received[end + 4 :]
                    headers = {
                        name.lower(): value.strip()
                        for name, _, value in (line.partition(":") for line in rest.split("\r\n"))
                    }
                    length = int(headers.get("content-length", 0))
                    while len(received) < length:
                        more = await loop.sock_recv(connection, 65536)
                        if not more:
                            return
                        received += more
                    received = received[length:]
                    await self._respond(connection, first, headers)
                    if headers.get("connection", "").lower() == "close":
                        return
            except (ConnectionError, ValueError):
                # The client went away, or does not speak HTTP.
                return

    async def _respond(
        self, connection: socket.socket, first: str, headers: Mapping[str, str]
    ) -> None:
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        if path == "/_count":
            await self._send(connection, _json(self._count()), "")
            return
        if path == "/_reset":
            self._reset()
            await self._send(connection, _json({}), "")
            return
        self._requests[f"{method} {re.sub(_UUID, '{id}', path.rstrip('/'))}"] += 1
        version = headers.get("openstack-api-version", "")
        if _too_new(version):
            message = f"Version {version.removeprefix('compute ')} is not supported by the API."
            error = {"computeFault": {"code": 406, "message": message}}
            self._sent += await self._send(connection, _json(error, 406), "")
            return
        answer = self._apis.answer(method, path, query)
        echo = f"OpenStack-API-Version: {version}\r\n" if version else ""
        if answer.servers is None:
            self._sent += await self._send(connection, answer, echo)
            return
        self._pages += 1
        self._pages_at_once = max(self._pages_at_once, self._pages)
        try:
            seconds = self._page_delay + self._delay * answer.servers / 1000
            if seconds:
                await asyncio.sleep(seconds)
            self._sent += await self._send(connection, answer, echo)
        finally:
            self._pages -= 1

    async def _send(self, connection: socket.socket, answer: Answer, headers: str) -> int:
        """Send an answer and return how many bytes it has."""
        length = sum(map(len, answer.pieces))
        head = (
            f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {length}\r\n"
            f"{headers}{answer.headers}\r\n"
        ).encode()
        loop = asyncio.get_running_loop()
        if length < 65536:
            await loop.sock_sendall(connection, b"".join((head, *answer.pieces)))
        else:
            start, *rest = answer.pieces
            await loop.sock_sendall(connection, b"".join((head, start)))
            for piece in rest:
                await loop.sock_sendall(connection, piece)
        return len(head) + length


_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?<=/)[0-9a-f]{32}")


def _too_new(version: str) -> bool:
    """Tell whether a request wants a microversion of Nova that is not offered."""
    service, _, number = version.partition(" ")
    if service != "compute" or number == "latest":
        return False
    return tuple(map(int, number.split("."))) > COMPUTE_NEWEST


def _clouds(url: str) -> Json:
    return {
        "clouds": {
            CLOUD: {
                "auth": {
                    "auth_url": f"{url}/identity/v3",
                    "username": "admin",
                    "password": CLOUD,
                    "project_name": "admin",
                    "user_domain_id": "default",
                    "project_domain_id": "default",
                },
                "region_name": CLOUD,
                "identity_api_version": 3,
            }
        }
    }


async def _run(server: Server, listener: socket.socket, url: str) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(server.serve(listener))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    print(url, flush=True)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def main() -> int:
    """Make the cloud and serve it."""
    parser = argparse.ArgumentParser(
        prog="python3 -m bench.fake_cloud",
        description="A cloud of any size without OpenStack behind it.",
    )
    for field in dataclasses.fields(Size):
        parser.add_argument(f"--{field.name}", type=int, default=field.default, metavar="N")
    parser.add_argument(
        "--delay",
        type=float,
        default=0.0,
        metavar="MS",
        help="wait so many milliseconds for each 1,000 servers of a page",
    )
    parser.add_argument(
        "--page-delay",
        type=float,
        metavar="MS",
        help="and so many for each page, however small (default: a tenth of --delay)",
    )
    parser.add_argument("--port", type=int, default=0, help="0 (default): any free one")
    parser.add_argument("--clouds-yaml", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    try:
        size = Size(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Size)})
    except ValueError as error:
        parser.error(str(error))
    page_delay = args.delay / 10 if args.page_delay is None else args.page_delay
    with socket.create_server(("127.0.0.1", args.port), backlog=128) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = Server(Apis(Cloud(size, url), url), args.delay / 1000, page_delay / 1000)
        # JSON is YAML.
        args.clouds_yaml.write_text(json.dumps(_clouds(url), indent=2) + "\n")
        asyncio.run(_run(server, listener, url))
    return 0


# --- from Python ------------------------------------------------------------


class FakeCloud:
    """A fake cloud in a process of its own, until the ``with`` block ends.

    :param delay: milliseconds for each 1,000 servers of a page
    :param page_delay: milliseconds for each page; None: a tenth of ``delay``
    :ivar url: where it is
    :ivar pid: its process
    :ivar clouds_yaml: the file that leads ``openstack`` there
    """

    def __init__(
        self, size: Size | None = None, delay: float = 0.0, page_delay: float | None = None
    ) -> None:
        options: Json = dataclasses.asdict(size or Size()) | {"delay": delay}
        if page_delay is not None:
            options["page-delay"] = page_delay
        self._options = [f"--{name}={value}" for name, value in options.items()]

    def __enter__(self) -> FakeCloud:
        self._folder = tempfile.TemporaryDirectory()
        self.clouds_yaml = Path(self._folder.name) / "clouds.yaml"
        module = [sys.executable, "-m", "bench.fake_cloud"]
        self._process = subprocess.Popen(
            argv_bound([*module, *self._options, f"--clouds-yaml={self.clouds_yaml}"]),
            cwd=SOURCE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            self._end()
            raise RuntimeError("the fake cloud did not start; its output says why")
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def _end(self) -> None:
        with self._process:
            end([self._process], grace=10)
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make ``openstack`` use this cloud."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml), "OS_CLOUD": CLOUD}

    def count(self) -> Json:
        """Return what was asked since the last reset, and what it cost."""
        return self._ask("GET", "/_count")

    def reset(self) -> None:
        """Count from nothing again."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str) -> Json:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        try:
            connection.request(method, path)
            document: Json = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return document


if __name__ == "__main__":
    sys.exit(main())
