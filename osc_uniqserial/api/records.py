# SPDX-License-Identifier: Apache-2.0
"""Records of the APIs, with the fields that are read: msgspec decodes no others. Pure."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple

import msgspec

from osc_uniqserial.policy import IMAGE_KEY


class FlavorCopy(msgspec.Struct, gc=False):
    """A server's own copy of its flavor.

    :ivar extra_specs: None when they are hidden from this user
    """

    original_name: str | None = None
    extra_specs: dict[str, Any] | None = None


class ImageRef(msgspec.Struct, gc=False):
    """The image of a server.

    :ivar properties: the image properties at boot; None before microversion 2.98
    """

    id: str
    properties: dict[str, Any] | None = None


class AttachedVolume(msgspec.Struct, gc=False):
    """A volume of a server."""

    id: str


class ServerRecord(msgspec.Struct, gc=False):
    """A server as Nova returns it, with or without details.

    :ivar name: UNSET in the minimal record of a server whose cell is down
    :ivar host_id: visible to all users; empty without a host
    :ivar host: None without a host; UNSET when it is hidden from this user
    :ivar image: empty text when the server was booted from a volume
    :ivar metadata: as JSON; empty in the minimal record of a server whose cell is down
    :ivar zone: the availability zone that pins the server; None without one; UNSET before 2.96
    """

    id: str
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    project_id: str | None = msgspec.field(default=None, name="tenant_id")
    status: str = "UNKNOWN"
    created: str = ""
    host_id: str | None = msgspec.field(default=None, name="hostId")
    host: str | msgspec.UnsetType | None = msgspec.field(
        default=msgspec.UNSET, name="OS-EXT-SRV-ATTR:host"
    )
    node: str | None = msgspec.field(default=None, name="OS-EXT-SRV-ATTR:hypervisor_hostname")
    flavor: FlavorCopy | None = None
    image: ImageRef | str | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    zone: str | msgspec.UnsetType | None = msgspec.field(
        default=msgspec.UNSET, name="pinned_availability_zone"
    )
    volumes: list[AttachedVolume] | None = msgspec.field(
        default=None, name="os-extended-volumes:volumes_attached"
    )
    root_device: str | None = msgspec.field(default=None, name="OS-EXT-SRV-ATTR:root_device_name")

    @property
    def is_reachable(self) -> bool:
        """Whether this is not the minimal record of a server whose cell is down."""
        return self.name is not msgspec.UNSET

    @property
    def is_building(self) -> bool:
        """True while the build request exists and no cell has the instance yet."""
        return self.status == "BUILD" and not self.host_id

    @property
    def shows_host(self) -> bool:
        """Whether the host is visible to this user, or missing."""
        return self.host is not msgspec.UNSET or self.host_id == ""

    @property
    def has_host(self) -> bool:
        """Whether the server is on a host, hidden or not."""
        return bool(self.host or self.host_id)

    @property
    def is_pinned(self) -> bool:
        """Whether an availability zone may exclude hosts."""
        return self.zone is not None


_METADATA = msgspec.json.Decoder(dict[str, str])


class Metadata(NamedTuple):
    """The metadata of a server that are a request, or may look like one.

    :ivar request: the text of the request; None without one
    :ivar others: other keys that have a ``q``, as every key close to the right one
    """

    request: str | None = None
    others: Set[str] = frozenset()


def read_metadata(text: bytes) -> Metadata | None:
    """Return what is of interest in the metadata of a server; None: they are unreadable."""
    try:
        items = _METADATA.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    request = items.pop(IMAGE_KEY, None)
    return Metadata(request, {key for key in items if "q" in key or "Q" in key})


class Link(msgspec.Struct, gc=False):
    """A link of a list; ``next`` leads to its next page."""

    rel: str | None = None


class ServerList(msgspec.Struct, gc=False):
    """A page of the list of servers."""

    servers: list[ServerRecord]
    links: list[Link] | None = msgspec.field(default=None, name="servers_links")

    @property
    def has_next(self) -> bool:
        """Whether Nova links to a next page."""
        return any(link.rel == "next" for link in self.links or ())


class OneServer(msgspec.Struct, gc=False):
    """The answer of a request for one server."""

    server: ServerRecord


class FlavorRecord(msgspec.Struct, gc=False):
    """A flavor with all fields of a request that creates it.

    :ivar swap: in MiB; before microversion 2.75 empty text for none
    :ivar rxtx_factor: empty text or missing when it is hidden from this user
    :ivar extra_specs: None when they are hidden from this user
    """

    id: str
    name: str
    ram: int
    vcpus: int
    disk: int
    swap: int | str = 0
    ephemeral: int = msgspec.field(default=0, name="OS-FLV-EXT-DATA:ephemeral")
    rxtx_factor: float | str | None = None
    is_public: bool = msgspec.field(default=True, name="os-flavor-access:is_public")
    description: str | None = None
    extra_specs: dict[str, str] | None = None


class ImageList(msgspec.Struct, gc=False):
    """A page of the list of images, each with properties of any name.

    :ivar next: path of the next page; None on the last one
    """

    images: list[dict[str, Any]]
    next: str | None = None


class Provider(msgspec.Struct, gc=False):
    """A resource provider of Placement.

    :ivar parent: UUID of the parent of a nested provider; None for a root
    """

    uuid: str
    name: str = ""
    parent: str | None = msgspec.field(default=None, name="parent_provider_uuid")


class ProviderList(msgspec.Struct, gc=False):
    """Resource providers, all on one page."""

    resource_providers: list[Provider]


# msgspec prepares a type when it is first used. A thread that uses it at that moment reads memory
# that is not set, and the process crashes: prepare all types before there are threads.
for _kind in (ServerList, OneServer, FlavorRecord, ImageList, ProviderList):
    msgspec.json.Decoder(_kind)
