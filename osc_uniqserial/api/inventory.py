# SPDX-License-Identifier: Apache-2.0
"""Flavors, images and root volumes, each list read once: what they say now."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from osc_uniqserial import policy
from osc_uniqserial.api import background, records
from osc_uniqserial.api.records import ServerRecord
from osc_uniqserial.api.rest import Json, Rest, Unreadable, parsing
from osc_uniqserial.model.cloud import Flavor, Image, ImagePart, Unchecked, Volume
from osc_uniqserial.policy import Evidence, SettingInput

#: 2.61 adds extra specs to flavors; newer ones are not needed.
COMPUTE_FLAVORS = "2.61"
#: The most that Glance and Cinder give in one page by default.
_PAGE = "1000"
#: A list of more pages than this does not end.
_PAGES = 10_000
#: Images are in different lists; the last two hold those that the first leaves out.
_IMAGE_LISTS: tuple[Mapping[str, str], ...] = (
    {"visibility": "all"},
    {"visibility": "all", "os_hidden": "true"},
    {"visibility": "community"},
    {"visibility": "community", "os_hidden": "true"},
)


def read_flavors(rest: Rest) -> tuple[Flavor, ...]:
    """Read every flavor that this user sees, sorted by name.

    :raises Unreadable: when Nova does not tell
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
    """Read every image that this user sees, by ID: hidden and community images too.

    :raises Unreadable: when Glance does not tell
    """
    reads = [background.start(_read_images, rest, query) for query in _IMAGE_LISTS]
    found: dict[str, Image] = {}
    for read in reads:
        found.update(read.result())
    return found


def _read_images(rest: Rest, query: Mapping[str, str]) -> dict[str, Image]:
    found: dict[str, Image] = {}
    asked = {**query, "limit": _PAGE}
    for _page in range(_PAGES):
        document = rest.get("image", "/images", asked)
        with parsing("image"):
            for item in document["images"]:
                image = _image(item)
                found[image.id] = image
            if not document.get("next") or not document["images"]:
                return found
            asked["marker"] = str(document["images"][-1]["id"])
    raise Unreadable("Glance (image) lists images without end")


def _image(item: Json) -> Image:
    return Image(
        id=str(item["id"]),
        name=item.get("name"),
        owner=item.get("owner"),
        visibility=str(item.get("visibility", "")),
        updated=str(item.get("updated_at", "")),
        is_snapshot=item.get("image_type") == "snapshot",
        properties={key: str(value) for key, value in item.items() if _matters(key)},
    )


def _matters(key: str) -> bool:
    return (
        key in (policy.IMAGE_KEY, policy.FLAVOR_KEY)
        or key in records.ARCHITECTURES
        or key.startswith("trait:")
        or policy.is_near_miss(key)
        or policy.is_misspelt(key)
    )


class Volumes:
    """What root volumes were made from, by volume; read when the first one is asked for.

    One entry a bootable volume: small, because there may be as many as servers.
    """

    def __init__(self, rest: Rest, *, all_projects: bool) -> None:
        self._rest = rest
        self._all_projects = all_projects
        self._lock = threading.Lock()
        self._kinds: dict[tuple[object, ...], tuple[ImagePart, str]] = {}
        self._volumes: dict[bytes, tuple[ImagePart, str]] | None = None
        #: Why they could not be read; None when they were, or nobody asked.
        self.unread: Unchecked | None = None
        #: Those with keys that are wrong there.
        self.with_wrong_keys: list[Volume] = []

    def root_of(self, record: ServerRecord) -> ImagePart | None:
        """Return what the root volume of a server says; None when that is unknown."""
        with self._lock:
            if self._volumes is None:
                self._volumes = {}
                try:
                    self._read(self._volumes)
                except Unreadable as error:
                    self.unread = Unchecked(str(error))
        attached = [self._volumes.get(_key(volume.id)) for volume in record.volumes or ()]
        if len(attached) == 1:
            return attached[0][0] if attached[0] else None
        root = record.root_device
        for volume in attached:
            # Without the root device's name (not for tenants) it is the first disk.
            if volume and (
                volume[1] == root or (root is None and re.fullmatch(r"/dev/[a-z]+da", volume[1]))
            ):
                return volume[0]
        return None

    def _read(self, found: dict[bytes, tuple[ImagePart, str]]) -> None:
        query = {"bootable": "true", "limit": _PAGE}
        if self._all_projects:
            query["all_tenants"] = "true"
        with parsing("block_storage"):
            for item in self._rest.pages("block_storage", "/volumes/detail", "volumes", query):
                attachments = item.get("attachments") or ()
                device = str(attachments[0].get("device") or "") if attachments else ""
                properties = item.get("volume_image_metadata") or {}
                found[_key(item["id"])] = self._shared(properties, device)
                self._note_wrong_keys(item, properties)

    def _note_wrong_keys(self, item: Json, properties: Json) -> None:
        said = {key: str(value) for key, value in properties.items() if _matters(key)}
        project = item.get("os-vol-tenant-attr:tenant_id")
        volume = Volume(str(item["id"]), item.get("name") or None, project, said)
        if any(volume.misplaced) or any(volume.misspelt):
            self.with_wrong_keys.append(volume)

    def _shared(self, properties: Mapping[str, Any], device: str) -> tuple[ImagePart, str]:
        said = {key: str(value) for key, value in properties.items() if _matters(key)}
        known = (*sorted(said.items()), device)
        if known not in self._kinds:
            used = SettingInput(policy.parse(said.get(policy.IMAGE_KEY)), Evidence.VOLUME)
            part = records.image_part(used, None, said, as_booted=False)
            self._kinds[known] = (part, device)
        return self._kinds[known]


def _key(volume_id: object) -> bytes:
    return uuid.UUID(str(volume_id)).bytes
