# SPDX-License-Identifier: Apache-2.0
"""What ``devcloud seed`` writes, and what must be found about it. Pure.

A plan is made of scenarios (``devcloud.seed_scenarios``). Each creates a few resources and says at
once what they mean, from the table of findings and not by the rules of the code under test: what
is expected is known by construction.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from devcloud import hosts

FLAVOR_KEY = "hw:unique_serial"
IMAGE_KEY = "hw_unique_serial"
KEYS = "CUSTOM_UNIQUE_SERIAL_KEYS"
MAY_SHOW = "CUSTOM_UNIQUE_SERIAL_IMAGE_MAY_SHOW_HOST"
MAY_ASK = "CUSTOM_UNIQUE_SERIAL_SERVER_MAY_ASK"
#: The trait of a disabled host, which Nova sets when somebody disables it through the API.
DISABLED = "COMPUTE_STATUS_DISABLED"

UUID = "instance-uuid"
ABSENT = "absent"
UNKNOWN = "unknown"
HOST_SOURCES = ("host-os", "host-hardware", "host-auto")

#: Finding -> severity.
SEVERITIES: Mapping[str, str] = {
    "invalid-value": "medium",
    "misplaced-key": "medium",
    "misspelt-key": "medium",
    "contradicting-request": "low",
    "setting-conflict": "low",
    "no-valid-host": "high",
    "not-steered": "low",
    "inherited-key": "low",
    "tenant-image-shows-host": "medium",
    "aggregate-conflict": "medium",
    "aggregate-host-mismatch": "medium",
    "contradicting-traits": "medium",
    "incomplete-traits": "medium",
    "wrong-traits": "medium",
    "image-may-show-host": "info",
    "serial-shared": "high",
    "host-identity-shown": "medium",
    "unique-not-effective": "high",
    "server-request-not-obeyed": "high",
    "server-key-without-effect": "medium",
    "server-value-without-effect": "low",
    "changes-on-move": "medium",
    "cannot-move": "medium",
    "host-lacks-trait": "medium",
    "flavor-changed": "medium",
    "invalid-value-in-use": "info",
    "metadefs-missing": "low",
    "metadefs-private": "low",
    "metadefs-conflict": "low",
}

_Option = TypeVar("_Option")


@dataclass
class Host:
    """A compute host without a compute: records in Nova and a provider in Placement."""

    kind: str
    name: str
    node: str
    traits: tuple[str, ...]
    cell: str = "cell1"
    hypervisor_type: str = hosts.QEMU
    architecture: str = "x86_64"
    disabled: bool = False
    zone: str | None = None

    @property
    def uuid(self) -> str:
        """Of its compute node and resource provider, made as the fake driver makes it."""
        return node_uuid(self.node)


@dataclass
class Flavor:
    """A flavor; ``temporary`` ones are deleted when the servers are there."""

    id: str
    name: str
    specs: dict[str, str]
    ram: int
    vcpus: int
    disk: int
    temporary: bool = False


@dataclass
class Image:
    """An image; ``temporary`` ones are deleted when the servers are there."""

    id: str
    name: str
    properties: dict[str, str]
    visibility: str
    owner: str | None
    hidden: bool = False
    temporary: bool = False


@dataclass
class Aggregate:
    """A host aggregate; Nova chooses its ID."""

    name: str
    metadata: dict[str, str]
    hosts: list[str]
    zone: str | None = None


@dataclass
class Volume:
    """A volume, attached; without ``exists`` only Nova has it.

    :ivar older: it was there before its server; else Nova made it for the server
    """

    id: str
    attachment_id: str
    device: str
    metadata: dict[str, str]
    root: bool
    exists: bool = True
    older: bool = False


@dataclass
class Server:
    """A server, and what must be told of it.

    :ivar specs: the extra specs of its embedded flavor
    :ivar project: the name of its project
    :ivar age: days since it was created
    :ivar survives: what ``survives_move`` must be, None included
    :ivar unchecked: why its serial source cannot be told, as an ID of the table
    :ivar asks_alone: its metadata ask for a unique serial, and neither flavor nor image do
    """

    id: str
    name: str
    project: str
    host: str | None
    cell: str
    flavor: str
    specs: dict[str, str]
    image: str | None
    volumes: list[Volume]
    status: str
    zone: str | None
    age: int
    requested: str | None
    source: str
    survives: bool | None
    metadata: dict[str, str]
    asks_alone: bool
    unchecked: str | None = None


@dataclass
class Finding:
    """A row that an audit must give.

    ``resource_id`` is None for an aggregate until Nova has chosen it.
    """

    id: str
    resource_type: str
    resource_id: str | None
    resource_name: str
    server_ids: list[str] | None = None
    image_id: str | None = None


@dataclass
class Unchecked:
    """A row about something that an audit must say it could not check."""

    id: str
    resource_type: str
    resource_id: str
    resource_name: str
    server_ids: list[str] | None = None


@dataclass
class Plan:
    """Everything to be written, and everything that must be found."""

    seed: int
    projects: list[str] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    #: Hosts of the cloud's own that are disabled through the API.
    disabled: list[str] = field(default_factory=list)
    flavors: list[Flavor] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    namespaces: list[dict[str, Any]] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)


def node_uuid(node: str) -> str:
    """The UUID of a compute node."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, node))


class Builder:
    """What scenarios make resources with; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - deterministic on purpose
        self.plan = Plan(seed)
        self._hosts: dict[str, Host] = {}
        self._flavors: dict[str, Flavor] = {}
        self._numbers: dict[str, int] = {}

    def uuid(self) -> str:
        """A random UUID, of version 4 as the services make them."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def choice(self, options: Sequence[_Option]) -> _Option:
        """One of them."""
        return options[self.random.randrange(len(options))]

    def number(self, prefix: str) -> str:
        """A name that is used once."""
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}-{self._numbers[prefix]}"

    # --- resources --------------------------------------------------------

    def host(self, kind: str, traits: Sequence[str], **more: Any) -> Host:
        """Add a host; its name has its kind."""
        name = self.number(f"seed-{kind}")
        more.setdefault("node", name)
        made = Host(kind=kind, name=name, traits=tuple(traits), **more)
        self._hosts[name] = made
        self.plan.hosts.append(made)
        return made

    def of_kind(self, *kinds: str) -> list[Host]:
        """The hosts of these kinds."""
        return [host for host in self.plan.hosts if host.kind in kinds]

    def flavor(
        self, name: str, specs: Mapping[str, str] | None = None, temporary: bool = False
    ) -> Flavor:
        """Add a flavor of a usual size."""
        ram, vcpus, disk = self.choice([(2048, 1, 20), (4096, 2, 40), (8192, 4, 80)])
        made = Flavor(self.uuid(), name, dict(specs or {}), ram, vcpus, disk, temporary)
        if name in self._flavors:
            raise ValueError(f"two flavors are named {name!r}")
        self._flavors[name] = made
        self.plan.flavors.append(made)
        return made

    def image(
        self,
        name: str,
        properties: Mapping[str, str] | None = None,
        visibility: str = "public",
        hidden: bool = False,
        temporary: bool = False,
    ) -> Image:
        """Add an image; all but public ones belong to a project of the seed."""
        owner = None if visibility == "public" else self.choice(self.plan.projects)
        made = Image(
            self.uuid(), name, dict(properties or {}), visibility, owner, hidden, temporary
        )
        self.plan.images.append(made)
        return made

    def aggregate(
        self, name: str, metadata: Mapping[str, str], *members: Host, zone: str | None = None
    ) -> Aggregate:
        """Add a host aggregate."""
        made = Aggregate(name, dict(metadata), [host.name for host in members], zone)
        for host in members:
            host.zone = zone or host.zone
        self.plan.aggregates.append(made)
        return made

    def volume(
        self,
        metadata: Mapping[str, str] | None = None,
        root: bool = True,
        device: str = "/dev/vda",
        exists: bool = True,
        older: bool = False,
    ) -> Volume:
        """A volume for a server."""
        return Volume(self.uuid(), self.uuid(), device, dict(metadata or {}), root, exists, older)

    def server(
        self,
        host: Host | None,
        flavor: Flavor,
        image: Image | None = None,
        *,
        requested: str | None,
        source: str,
        survives: bool | None = None,
        specs: Mapping[str, str] | None = None,
        volumes: Sequence[Volume] = (),
        status: str = "ACTIVE",
        pinned: bool = False,
        age: int = 0,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        asks_alone: bool = False,
        unchecked: str | None = None,
    ) -> Server:
        """Add a server; without an image it needs volumes.

        :param specs: what its flavor said at boot, if not what it says now
        :param pinned: it was booted into the availability zone of its host
        """
        if source == UNKNOWN and host is not None and unchecked is None:
            unchecked = "host-unknown"
        made = Server(
            id=self.uuid(),
            name=self.number(self.choice(_ROLES)) if name is None else name,
            project=self.choice(self.plan.projects),
            host=host.name if host else None,
            cell=host.cell if host else ("cell0" if status == "ERROR" else "cell1"),
            flavor=flavor.name,
            specs=dict(flavor.specs if specs is None else specs),
            image=image.id if image else None,
            volumes=list(volumes),
            status=status,
            zone=host.zone if pinned and host else None,
            age=age,
            requested=requested,
            source=source,
            survives=False if source in HOST_SOURCES else survives,
            metadata=dict(metadata or {}),
            asks_alone=asks_alone,
            unchecked=unchecked,
        )
        self.plan.servers.append(made)
        return made

    # --- what must be found -----------------------------------------------

    def found(
        self,
        finding: str,
        resource: Host | Flavor | Image | Aggregate | Server,
        servers: Sequence[Server] | None = None,
        image: Image | None = None,
    ) -> None:
        """Note a finding about a resource."""
        if isinstance(resource, Server) and servers is None:
            servers = [resource]
        self.plan.findings.append(
            Finding(
                finding,
                type(resource).__name__.lower(),
                _id(resource),
                resource.name,
                _ids(servers),
                image.id if image else None,
            )
        )

    def found_of_all(self, finding: str, servers: Sequence[Server]) -> None:
        """Note a finding about servers that share no resource."""
        self.plan.findings.append(Finding(finding, "cloud", None, "cloud", _ids(servers)))

    def found_elsewhere(self, finding: str, resource_type: str, name: str, known_as: str) -> None:
        """Note a finding about something that the plan does not make."""
        self.plan.findings.append(Finding(finding, resource_type, known_as, name))

    def unknown_elsewhere(self, host: str, known_as: str) -> None:
        """Note that the mode of a host that the plan does not make is unknown."""
        self.plan.unchecked.append(Unchecked("host-mode-unknown", "host", known_as, host))

    def finish(self) -> Plan:
        """Note what follows from the servers, and return the plan."""
        for server in self.plan.servers:
            if server.requested == "unique" and server.source not in (UUID, UNKNOWN):
                asker = "server-request-not-obeyed" if server.asks_alone else "unique-not-effective"
                self.found(asker, server)
            if server.source == UUID and server.survives is False:
                self.found("changes-on-move", server)
        for host in self.plan.hosts:
            shown = [
                server
                for server in self.plan.servers
                if server.host == host.name and server.source in HOST_SOURCES
            ]
            if shown:
                self.found("host-identity-shown", host, shown)
            if len(shown) > 1:
                self.found("serial-shared", host, shown)
        self._note_unchecked()
        self.plan.findings.sort(key=lambda row: (row.id, row.resource_type, row.resource_name))
        return self.plan

    def _note_unchecked(self) -> None:
        servers: dict[tuple[str, str, str, str], list[str]] = {}
        for server in self.plan.servers:
            if server.unchecked == "host-unknown":
                host = self._hosts[str(server.host)]
                about = ("host", host.uuid, host.name)
            elif server.unchecked == "image-unreadable":
                image = next(each for each in self.plan.images if each.id == server.image)
                about = ("image", image.id, image.name)
            elif server.unchecked:
                about = ("server", server.id, server.name)
            else:
                continue
            servers.setdefault((server.unchecked, *about), []).append(server.id)
        self.plan.unchecked += [Unchecked(*key, sorted(ids)) for key, ids in servers.items()]
        self.plan.unchecked.sort(key=lambda row: (row.id, row.resource_id))


#: What servers are called after.
_ROLES = ("web", "app", "db", "cache", "queue", "build", "mail", "licence", "gpu", "desktop")


def _id(resource: Host | Flavor | Image | Aggregate | Server) -> str | None:
    if isinstance(resource, Aggregate):
        return None
    return resource.uuid if isinstance(resource, Host) else resource.id


def _ids(servers: Sequence[Server] | None) -> list[str] | None:
    return None if servers is None else sorted(server.id for server in servers)


def manifest(
    plan: Plan, project_ids: Mapping[str, str], aggregate_ids: Mapping[str, str]
) -> dict[str, Any]:
    """What was written and what must be found about it, for tests.

    :param project_ids: by name
    :param aggregate_ids: by name
    """
    findings = []
    for row in plan.findings:
        entry = {**asdict(row), "severity": SEVERITIES[row.id]}
        if row.resource_type == "aggregate":
            entry["resource_id"] = aggregate_ids[row.resource_name]
        if row.image_id is None:
            del entry["image_id"]
        findings.append(entry)
    return {
        "seed": plan.seed,
        "projects": {name: project_ids[name] for name in plan.projects},
        "hosts": [
            {
                "name": host.name,
                "hypervisor_hostname": host.node,
                "id": host.uuid,
                "kind": host.kind,
                "cell": host.cell,
                "traits": sorted(host.traits),
                "hypervisor_type": host.hypervisor_type,
                "architecture": host.architecture,
                "status": "disabled" if host.disabled else "enabled",
                "zone": host.zone,
            }
            for host in plan.hosts
        ],
        "disabled_hosts": plan.disabled,
        "servers": [
            {
                "id": server.id,
                "name": server.name,
                "project_id": project_ids[server.project],
                "host": server.host,
                "cell": server.cell,
                "status": server.status,
                "flavor": server.flavor,
                "extra_specs": server.specs,
                "image": server.image,
                "volumes": [volume.id for volume in server.volumes],
                "metadata": server.metadata,
                "pinned_availability_zone": server.zone,
                "requested": server.requested,
                "serial_source": server.source,
                "survives_move": server.survives,
            }
            for server in plan.servers
        ],
        "findings": findings,
        "unchecked": [asdict(row) for row in plan.unchecked],
    }
