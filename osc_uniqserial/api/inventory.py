# SPDX-License-Identifier: Apache-2.0
"""Present flavors, images and root volumes; each list is read once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence

from osc_uniqserial.api import background, evidence
from osc_uniqserial.api.evidence import RootVolume
from osc_uniqserial.api.records import ImageList, ServerRecord
from osc_uniqserial.api.rest import (
    COMPUTE_OLDEST,
    Json,
    PageCount,
    Rest,
    Unreadable,
    or_default,
    parsing,
)
from osc_uniqserial.model.cloud import Flavor, Image, Volume

#: 2.61 adds extra specs to flavors; newer ones are not needed.
COMPUTE_FLAVORS = "2.61"
#: The largest page of Glance and Cinder by default.
_PAGE = "1000"
#: Queries for all images; the last two return community images, which the first ones leave out.
_IMAGE_LISTS: tuple[Mapping[str, str], ...] = (
    {"visibility": "all"},
    {"visibility": "all", "os_hidden": "true"},
    {"visibility": "community"},
    {"visibility": "community", "os_hidden": "true"},
)


def read_flavors(rest: Rest) -> tuple[Flavor, ...]:
    """Read every flavor that is visible to this user, sorted by name.

    :raises Unreadable: when Nova does not return them
    """
    everything = {"is_public": "None"}
    with parsing("compute"):
        found = [
            Flavor(str(item["id"]), str(item["name"]), item.get("extra_specs"))
            for item in rest.pages(
                "compute", "/flavors/detail", "flavors", everything, COMPUTE_FLAVORS
            )
        ]
    return tuple(sorted(found, key=lambda each: (each.name, each.id)))


def read_images(rest: Rest) -> dict[str, Image]:
    """Read every image that is visible to this user, with hidden and community ones, by ID.

    :raises Unreadable: when Glance does not return them
    """
    reads = [background.start(_read_images, rest, query) for query in _IMAGE_LISTS]
    found: dict[str, Image] = {}
    for read in reads:
        found.update(read.result())
    return found


def _read_images(rest: Rest, query: Mapping[str, str]) -> dict[str, Image]:
    found: dict[str, Image] = {}
    asked = {**query, "limit": _PAGE}
    count = PageCount("image", "images")
    while True:
        page = rest.read(ImageList, "image", "/images", asked)
        count.add(len(page.images))
        with parsing("image"):
            for item in page.images:
                found[str(item["id"])] = _image(item)
            if not page.next or not page.images:
                return found
            asked["marker"] = str(page.images[-1]["id"])


def _image(item: Json) -> Image:
    return Image(
        id=str(item["id"]),
        name=item.get("name"),
        project_id=item.get("owner"),
        visibility=str(item.get("visibility", "")),
        updated=str(item.get("updated_at", "")),
        is_snapshot=item.get("image_type") == "snapshot",
        is_hidden=item.get("os_hidden") is True,
        properties=evidence.image_properties(item),
    )


def read_image(rest: Rest, image_id: str) -> Image:
    """Read one image.

    :raises Unreadable: with status 404 when it was deleted
    """
    document = rest.get("image", f"/images/{image_id}")
    with parsing("image"):
        return _image(document)


def read_root_volume(rest: Rest, record: ServerRecord) -> RootVolume:
    """Read the root volume of one server.

    :raises Unreadable: when Nova or Cinder does not return it
    """
    volume_id = _root_volume_id(rest, record)
    answer = rest.get("block_storage", f"/volumes/{volume_id}")
    with parsing("block_storage"):
        return RootVolume.of(answer["volume"])


def _root_volume_id(rest: Rest, record: ServerRecord) -> str:
    volumes = record.volumes or ()
    if not volumes:
        raise Unreadable("Nova lists no volume of this server")
    if len(volumes) == 1:
        return volumes[0].id
    path = f"/servers/{record.id}/os-volume_attachments"
    attachments = rest.items("compute", path, "volumeAttachments", microversion=COMPUTE_OLDEST)
    with parsing("compute"):
        found = {str(each["volumeId"]): each.get("device") for each in attachments}
    root = evidence.root_disk([found.get(each.id) for each in volumes], record.root_device)
    if root is None:
        raise Unreadable("Nova does not return which of the server's volumes is its root disk")
    return volumes[root].id


#: Servers that a volume is attached to, and its device name there.
_Devices = tuple[tuple[str, str], ...]


class Volumes:
    """All bootable volumes, read at the first use.

    Entries are small: there may be as many bootable volumes as servers.

    :ivar unread: why the volumes could not be read; None when they were, or were not needed
    :ivar with_wrong_keys: bootable volumes with misspelt keys
    """

    def __init__(self, rest: Rest, *, all_projects: bool) -> None:
        self._rest = rest
        self._all_projects = all_projects
        self._lock = threading.Lock()
        self._devices: dict[_Devices, _Devices] = {}
        self._volumes: dict[bytes, tuple[RootVolume, _Devices]] | None = None
        self.unread: str | None = None
        self.with_wrong_keys: list[Volume] = []

    def root_of(self, record: ServerRecord) -> RootVolume | None:
        """Return a server's root volume; None when it is unknown."""
        with self._lock:
            if self._volumes is None:
                self._volumes = {}
                _, self.unread = or_default(None, self._read, self._volumes)
        attached = [self._volumes.get(_key(volume.id)) for volume in record.volumes or ()]
        devices = [found and _device(found[1], record.id) for found in attached]
        root = evidence.root_disk(devices, record.root_device)
        found = None if root is None else attached[root]
        return found[0] if found else None

    def _read(self, found: dict[bytes, tuple[RootVolume, _Devices]]) -> None:
        query = {"bootable": "true", "limit": _PAGE}
        if self._all_projects:
            query["all_tenants"] = "true"
        with parsing("block_storage"):
            for item in self._rest.pages("block_storage", "/volumes/detail", "volumes", query):
                devices = _devices(item.get("attachments") or ())
                devices = self._devices.setdefault(devices, devices)
                found[_key(item["id"])] = (RootVolume.of(item), devices)
                properties = evidence.image_properties(item.get("volume_image_metadata") or {})
                project = item.get("os-vol-tenant-attr:tenant_id")
                volume = Volume(str(item["id"]), item.get("name") or None, properties, project)
                if any(volume.misspelt):
                    self.with_wrong_keys.append(volume)


def _device(devices: _Devices, server_id: str) -> str | None:
    """Return the device name of a volume in a server."""
    return devices[0][1] if len(devices) == 1 else dict(devices).get(server_id)


def _devices(attachments: Sequence[Json]) -> _Devices:
    """Return the device names by server; a single attachment needs no server ID."""
    if len(attachments) == 1:
        return (("", str(attachments[0].get("device") or "")),)
    return tuple(
        (str(each.get("server_id") or ""), str(each.get("device") or "")) for each in attachments
    )


def _key(volume_id: object) -> bytes:
    return uuid.UUID(str(volume_id)).bytes
