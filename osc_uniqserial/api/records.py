# SPDX-License-Identifier: Apache-2.0
"""Records of the APIs: the fields that are read. Pure.

msgspec builds them from the text of an answer, and nothing of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class FlavorCopy(msgspec.Struct, gc=False):
    """A server's own copy of its flavor.

    :ivar extra_specs: None when they are hidden from this user
    """

    original_name: str | None = None
    extra_specs: dict[str, Any] | None = None


class ImageRef(msgspec.Struct, gc=False):
    """Which image a server was made from.

    :ivar properties: those that it was built with; None before microversion 2.98
    """

    id: str
    properties: dict[str, Any] | None = None


class AttachedVolume(msgspec.Struct, gc=False):
    """A volume of a server."""

    id: str


class ServerRecord(msgspec.Struct, gc=False):
    """A server as Nova shows it, whole or in brief.

    :ivar name: UNSET in the minimal record of a server whose cell is down
    :ivar host_id: for everybody, and empty when there is no host
    :ivar host: None when there is none now; UNSET when it is hidden from this user
    :ivar image: empty text when the server was booted from a volume
    :ivar zone: the availability zone that it is pinned to; None: none; told from 2.96 on
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
    zone: str | msgspec.UnsetType | None = msgspec.field(
        default=msgspec.UNSET, name="pinned_availability_zone"
    )
    volumes: list[AttachedVolume] | None = msgspec.field(
        default=None, name="os-extended-volumes:volumes_attached"
    )
    root_device: str | None = msgspec.field(default=None, name="OS-EXT-SRV-ATTR:root_device_name")

    @property
    def is_reachable(self) -> bool:
        """Whether it is more than the minimal record of a server whose cell is down."""
        return self.name is not msgspec.UNSET

    @property
    def is_building(self) -> bool:
        """Whether it may be in the API's database still, before any cell has it."""
        return self.status == "BUILD" and not self.host_id

    @property
    def shows_host(self) -> bool:
        """Whether the user may see the server's host, or there is none."""
        return self.host is not msgspec.UNSET or self.host_id == ""

    @property
    def has_host(self) -> bool:
        """Whether the server is on a host, which this user need not see."""
        return bool(self.host or self.host_id)

    @property
    def is_pinned(self) -> bool:
        """Whether an availability zone may keep the server from hosts."""
        return self.zone is not None


def server_record(item: Mapping[str, Any]) -> ServerRecord:
    """Return the record of a server from what JSON has of it.

    :raises msgspec.ValidationError: when its form is unexpected
    """
    return msgspec.convert(item, ServerRecord)


class Link(msgspec.Struct, gc=False):
    """A link of a list; ``next`` leads to its next page."""

    rel: str | None = None


class ServerList(msgspec.Struct, gc=False):
    """A page of the list of servers."""

    servers: list[ServerRecord]
    links: list[Link] | None = msgspec.field(default=None, name="servers_links")

    @property
    def has_next(self) -> bool:
        """Whether Nova says that there is another page."""
        return any(link.rel == "next" for link in self.links or ())


class OneServer(msgspec.Struct, gc=False):
    """The answer about one server."""

    server: ServerRecord


class Provider(msgspec.Struct, gc=False):
    """A resource provider of Placement.

    :ivar parent: of a nested one; None for a root
    """

    uuid: str
    name: str = ""
    parent: str | None = msgspec.field(default=None, name="parent_provider_uuid")


class ProviderList(msgspec.Struct, gc=False):
    """Resource providers, all on one page."""

    resource_providers: list[Provider]
