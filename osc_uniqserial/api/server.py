# SPDX-License-Identifier: Apache-2.0
"""From API answers to facts: what decides the serial of a server.

Every request here reads. Raw JSON is parsed at this edge; no SDK resource is built.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from typing import TYPE_CHECKING

from osc_uniqserial import policy
from osc_uniqserial.api import background, hosts, records
from osc_uniqserial.api.records import ImageRef, ServerRecord
from osc_uniqserial.api.rest import COMPUTE_OLDEST, CloudError, Json, Rest, Unreadable, parsing
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.model.cloud import (
    UNREADABLE,
    GivenModes,
    HostView,
    Hypervisor,
    ImagePart,
    Server,
    ServerFacts,
    Validator,
    has_sysinfo,
)
from osc_uniqserial.policy import Evidence, HostInput, Setting, SettingInput, Value

if TYPE_CHECKING:
    from openstack.connection import Connection

#: 2.98 shows the image properties that a server was built with. Later ones add
#: scheduler hints, which cost more and tell nothing here.
COMPUTE_NEWEST = "2.98"
#: The last one that does not look for them.
COMPUTE_NO_FROZEN = "2.97"
#: The last one that OpenStackClient uses for flavors; 2.61 adds extra specs.
COMPUTE_FLAVORS = "2.61"


class Cloud:
    """Reads facts through an SDK connection.

    :ivar rest: the APIs
    :ivar notes: what could not be read or looks wrong, in words for people
    """

    def __init__(self, connection: Connection) -> None:
        self.rest = Rest(connection)
        self.notes: list[str] = []

    # --- one server -----------------------------------------------------

    def find_server(self, name_or_id: str, all_projects: bool = False) -> ServerRecord:
        """Return the detailed record of one server.

        :param all_projects: look for a name in every project (administrators)
        :raises CloudError: when there is no such server, or more than one
        """
        microversion = self.rest.compute_microversion(COMPUTE_NEWEST)
        if _is_uuid(name_or_id):
            try:
                return self._server(name_or_id, microversion)
            except Unreadable as error:
                if error.status != 404:
                    raise
        # Nova takes a regular expression, in the dialect of its database: ask
        # with "." for every special character and compare here.
        pattern = re.sub(r"[^0-9A-Za-z_ -]", ".", name_or_id)
        params = {"name": f"^{pattern}$"}
        if all_projects:
            params["all_tenants"] = "true"
        with parsing("compute"):
            found = [
                records.server_record(item)
                for item in self.rest.pages(
                    "compute", "/servers/detail", "servers", params, microversion
                )
                if item.get("name") == name_or_id
            ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(sorted(record.id for record in found))
            raise CloudError(
                f"More than one server is named {name_or_id!r}; give the ID of one of them: {ids}"
            )
        where = (
            "in any project"
            if all_projects
            else "in this project (administrators: --all-projects looks in all)"
        )
        raise CloudError(
            f"There is no server with the name or ID {name_or_id!r} {where};"
            " a server of a cell that is down is found by its ID only"
        )

    def _server(self, server_id: str, microversion: str) -> ServerRecord:
        path = f"/servers/{server_id}"
        try:
            return self._read_server(path, microversion)
        except Unreadable as error:
            if error.status != 500 or microversion != COMPUTE_NEWEST:
                raise
            # Nova 34 answers 500 at 2.98 for a server whose cell is down: it looks
            # for the frozen image properties in the very database that is down.
            return self._read_server(path, COMPUTE_NO_FROZEN)

    def _read_server(self, path: str, microversion: str) -> ServerRecord:
        return self.rest.read(records.OneServer, "compute", path, microversion=microversion).server

    def read_server(
        self, record: ServerRecord, given: GivenModes
    ) -> tuple[Server, ServerFacts, HostView]:
        """Read what decides the serial of one server, the independent parts at once."""
        server = record.server
        copy = record.flavor or records.FlavorCopy()
        flavor_now = background.start(self._flavor_now, copy.original_name)
        image_read = background.start(self._image, record)
        hypervisors = self._hypervisors() if server.host else ()
        own = _own_hypervisor(hypervisors, server.host, record)
        traits = self._own_traits(server.host, own, record) if server.host else None

        specs = copy.extra_specs
        if specs is None:
            self.notes.append(
                "the flavor's extra specs are hidden from this user"
                if copy.original_name
                else "Nova did not return the server's flavor"
            )
        facts = ServerFacts(
            status=server.status,
            host=server.host,
            host_visible=record.shows_host,
            reachable=record.is_reachable,
            pinned=record.is_pinned,
            flavor=records.flavor_part(specs, flavor_now.result()),
            image=image_read.result(),
        )
        for what, used in (("flavor", facts.flavor.used), ("image", facts.image.used)):
            if used.value is not None and used.value.setting is Setting.INVALID:
                self.notes.append(
                    f"the {what}'s value {used.value.raw!r} is no boolean and counts as unset;"
                    f" write true or false with 'openstack {what} set'"
                )
        placed = record.has_host
        return server, facts, self._host_view(facts, own, hypervisors, traits, given, placed)

    def _flavor_now(self, name: str | None) -> Value | None:
        """Return what the flavor of this name says today; None when it is not there."""
        if name is None:
            return None
        everything = {"is_public": "None"}
        try:
            with parsing("compute"):
                for flavor in self.rest.pages(
                    "compute", "/flavors/detail", "flavors", everything, COMPUTE_FLAVORS
                ):
                    if flavor.get("name") == name:
                        specs = flavor.get("extra_specs")
                        return None if specs is None else policy.parse(specs.get(policy.FLAVOR_KEY))
        except Unreadable as error:
            self.notes.append(f"what the flavor says now is unknown: {error}")
            return None
        self.notes.append(
            f"flavor {name!r} is not there any more, or hidden from this user;"
            " the server keeps the copy that it was built with"
        )
        return None

    def _image(self, record: ServerRecord) -> ImagePart:
        """Read what the server's image, or its root volume, says."""
        image = record.image
        if image == "":
            return self._root_volume(record)
        if not isinstance(image, ImageRef):
            return ImagePart()
        frozen = image.properties or {}
        used: SettingInput | None = None
        if policy.IMAGE_KEY in frozen:
            used = SettingInput(policy.parse(frozen[policy.IMAGE_KEY]), Evidence.FROZEN)
        try:
            current = self.rest.get("image", f"/images/{image.id}")
        except Unreadable as error:
            used = used or self._frozen_unset(image)
            if used is UNREADABLE:
                reason = "it was deleted" if error.status == 404 else str(error)
                self.notes.append(f"the server's image could not be read: {reason}")
            return records.image_part(used, None, frozen, as_booted=False)
        now = policy.parse(current.get(policy.IMAGE_KEY))
        # ISO 8601 in UTC from both services: text compares like time.
        unchanged = str(current.get("updated_at", "")) <= record.created
        properties = {**current, **frozen}
        if used is not None:
            return records.image_part(used, now, properties, as_booted=unchanged)
        if unchanged:
            used = SettingInput(now, Evidence.CURRENT_IMAGE)
            return records.image_part(used, None, properties, as_booted=True)
        used = self._frozen_unset(image)
        if used is not UNREADABLE:
            return records.image_part(used, now, properties, as_booted=False)
        self.notes.append(
            f"image {image.id} was changed after the server was created, and this Nova"
            " does not show what it said then"
        )
        return records.image_part(UNREADABLE, None, properties, as_booted=False)

    def _frozen_unset(self, image: ImageRef) -> SettingInput:
        """Return what it means that Nova shows no frozen value: none where it would show it.

        It shows those that it knows, and an API server that knows the extra spec knows the
        image property too: both are parts of nova-uniqserial.
        """
        try:
            known = image.properties is not None and extra_spec_validator(self.rest)
        except CloudError:
            return UNREADABLE
        if known is Validator.LOADED:
            return SettingInput(policy.UNSET, Evidence.FROZEN)
        return UNREADABLE

    def _root_volume(self, record: ServerRecord) -> ImagePart:
        """Read the image metadata of the root volume, which Nova used at boot."""
        try:
            volume_id = self._root_volume_id(record)
            answer = self.rest.get("block_storage", f"/volumes/{volume_id}")
            with parsing("block_storage"):
                properties: Json = answer["volume"].get("volume_image_metadata") or {}
        except Unreadable as error:
            self.notes.append(f"the root volume could not be read: {error}")
            return ImagePart()
        value = policy.parse(properties.get(policy.IMAGE_KEY))
        used = SettingInput(value, Evidence.VOLUME)
        return records.image_part(used, None, properties, as_booted=False)

    def _root_volume_id(self, record: ServerRecord) -> str:
        if not record.volumes:
            raise Unreadable("Nova lists no volume of this server")
        if len(record.volumes) == 1:
            return record.volumes[0].id
        attachments = self.rest.items(
            "compute",
            f"/servers/{record.id}/os-volume_attachments",
            "volumeAttachments",
            microversion=COMPUTE_OLDEST,
        )
        root = record.root_device
        for attachment in attachments:
            device = str(attachment.get("device") or "")
            # Without the root device's name (not for tenants) it is the first disk.
            if device == root or (root is None and re.fullmatch(r"/dev/[a-z]+da", device)):
                return str(attachment["volumeId"])
        raise Unreadable("Nova does not tell which of the server's volumes is its root disk")

    # --- its host -------------------------------------------------------

    def _hypervisors(self) -> tuple[Hypervisor, ...]:
        try:
            return hosts.read_hypervisors(self.rest)
        except Unreadable as error:
            self.notes.append(f"the hypervisors could not be read: {error}")
            return ()

    def _own_traits(
        self, host: str, own: Hypervisor | None, record: ServerRecord
    ) -> frozenset[str] | None:
        """Return the traits of a host's resource provider, None when unreadable."""
        try:
            provider = own.id if own else self._provider_id(record)
            path = f"/resource_providers/{provider}/traits"
            return frozenset(
                self.rest.items("placement", path, "traits", microversion=hosts.PLACEMENT_TRAITS)
            )
        except Unreadable as error:
            reason = (
                "it has no resource provider in Placement" if error.status == 404 else str(error)
            )
            self.notes.append(f"the traits of host {host} could not be read: {reason}")
            return None

    def _provider_id(self, record: ServerRecord) -> str:
        name = record.node or ""
        providers = self.rest.items(
            "placement",
            "/resource_providers",
            "resource_providers",
            {"name": name},
            hosts.PLACEMENT_TRAITS,
        )
        if not providers:
            raise Unreadable("no such resource provider", 404)
        with parsing("placement"):
            return str(providers[0]["uuid"])

    def _host_view(
        self,
        facts: ServerFacts,
        own: Hypervisor | None,
        hypervisors: tuple[Hypervisor, ...],
        traits: frozenset[str] | None,
        given: GivenModes,
        placed: bool,
    ) -> HostView:
        """Join the evidence about a host, best first: traits, given, declared."""
        required = placed and facts.needs.get(policy.TRAIT_UNIQUE) == "required"
        if traits is None:
            unread = Evidence.UNREADABLE if facts.host or not facts.host_visible else None
            if facts.reachable and not facts.host_visible:
                self.notes.append("the server's host is hidden from this user")
            host = hosts.evidence(None, unread, required=required)
        else:
            host = policy.host_from_traits(traits)
            if required and policy.TRAIT_UNIQUE not in traits:
                self.notes.append(
                    f"the server was placed by a required trait {policy.TRAIT_UNIQUE},"
                    f" but host {facts.host} does not have it any more"
                )
        if host.contradiction:
            self.notes.append(
                f"the traits of host {facts.host} contradict each other:"
                f" {', '.join(host.contradiction)}"
            )
        may_have_host = facts.host is not None or not facts.host_visible
        if may_have_host:
            host, note = hosts.with_given(host, facts.host, given)
            self.notes += [note] if note else []
        self.notes += hosts.strangers(given, hypervisors)
        if not has_sysinfo(facts.image.architecture) or (
            own is not None and not own.writes_sysinfo(facts.image.architecture)
        ):
            host = dataclasses.replace(host, smbios=False)
        if facts.host and hosts.needs_declaration(host):
            host = self._with_declaration(host, facts.host)
        return HostView(host, own, hypervisors)

    def _with_declaration(self, known: HostInput, host: str) -> HostInput:
        """Add what the aggregates of a host declare."""
        try:
            found = hosts.of_host(hosts.read_aggregates(self.rest), host)
        except Unreadable as error:
            self.notes.append(f"the host aggregates could not be read: {error}")
            return known
        declared = policy.declared_by_aggregates(each.metadata for each in found)
        return hosts.with_declaration(known) if declared else known


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _own_hypervisor(
    hypervisors: tuple[Hypervisor, ...], host: str | None, record: ServerRecord
) -> Hypervisor | None:
    for hypervisor in hypervisors:
        if hypervisor.host == host and hypervisor.hostname == record.node:
            return hypervisor
    return None
