# SPDX-License-Identifier: Apache-2.0
"""From API answers to facts: what decides the serial of a server.

Every request here reads. Raw JSON is parsed at this edge; no SDK resource is built.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from osc_uniqserial import hosts, policy
from osc_uniqserial.facts import GivenModes, HostView, Hypervisor, ServerFacts, has_sysinfo
from osc_uniqserial.policy import Evidence, HostInput, Setting, SettingInput, Value
from osc_uniqserial.rest import COMPUTE_OLDEST, CloudError, Json, Rest, Unreadable, parsing

if TYPE_CHECKING:
    from openstack.connection import Connection

_Asked = TypeVar("_Asked")
_Read = TypeVar("_Read")

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

    def find_server(self, name_or_id: str, all_projects: bool = False) -> Json:
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
        found = [
            record
            for record in self.rest.pages(
                "compute", "/servers/detail", "servers", params, microversion
            )
            if record.get("name") == name_or_id
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(sorted(str(record["id"]) for record in found))
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

    def _server(self, server_id: str, microversion: str) -> Json:
        path = f"/servers/{server_id}"
        try:
            answer = self.rest.get("compute", path, microversion=microversion)
        except Unreadable as error:
            if error.status != 500 or microversion != COMPUTE_NEWEST:
                raise
            # Nova 34 answers 500 at 2.98 for a server whose cell is down: it looks
            # for the frozen image properties in the very database that is down.
            answer = self.rest.get("compute", path, microversion=COMPUTE_NO_FROZEN)
        with parsing("compute"):
            record: Json = answer["server"]
        return record

    def read_server(self, record: Json, given: GivenModes) -> tuple[ServerFacts, HostView]:
        """Read what decides the serial of one server, the independent parts at once."""
        host = record.get("OS-EXT-SRV-ATTR:host") or None
        flavor_record: Json = record.get("flavor") or {}
        flavor_now = _in_background(self._flavor_now, flavor_record.get("original_name"))
        image_read = _in_background(self._image, record)
        hypervisors = self._hypervisors() if host else ()
        own = _own_hypervisor(hypervisors, host, record)
        traits = self._own_traits(host, own, record) if host else None
        image = image_read.result()

        specs: Mapping[str, str] | None = flavor_record.get("extra_specs")
        if specs is None:
            flavor = SettingInput(None, Evidence.UNREADABLE)
            self.notes.append(
                "the flavor's extra specs are hidden from this user"
                if flavor_record
                else "Nova did not return the server's flavor"
            )
        else:
            value = policy.parse(specs.get(policy.FLAVOR_KEY))
            flavor = SettingInput(value, Evidence.EMBEDDED_FLAVOR)
        requirements = _trait_requirements(specs or {}, image.properties if image.as_booted else {})
        facts = ServerFacts(
            id=str(record["id"]),
            name=record.get("name"),
            project_id=record.get("tenant_id"),
            status=str(record.get("status", "UNKNOWN")),
            host=host,
            # hostId is for everybody, and empty when there is no host.
            host_visible="OS-EXT-SRV-ATTR:host" in record or record.get("hostId") == "",
            reachable="name" in record,
            flavor=flavor,
            flavor_now=flavor_now.result(),
            image=image.input,
            image_now=image.now,
            traits={trait: need for trait, need in requirements.items() if trait in policy.TRAITS},
            bounded=_bounded(record, specs, set(requirements)) or not image.as_booted,
            guest_architecture=_architecture(image.properties),
        )
        for what, used in (("flavor", flavor.value), ("image", image.input.value)):
            if used is not None and used.setting is Setting.INVALID:
                self.notes.append(
                    f"the {what}'s value {used.raw!r} is no boolean and counts as unset;"
                    f" write true or false with 'openstack {what} set'"
                )
        placed = bool(host or record.get("hostId"))
        return facts, self._host_view(facts, own, hypervisors, traits, given, placed)

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

    def _image(self, record: Json) -> _ImagePart:
        """Read what the server's image, or its root volume, says."""
        image = record.get("image")
        if image == "":
            return self._root_volume(record)
        if not image:
            return _ImagePart(SettingInput(None, Evidence.UNREADABLE))
        frozen: Mapping[str, Any] = image.get("properties") or {}
        used: SettingInput | None = None
        if policy.IMAGE_KEY in frozen:
            used = SettingInput(policy.parse(frozen[policy.IMAGE_KEY]), Evidence.FROZEN)
        try:
            with parsing("image"):
                image_id = image["id"]
            current = self.rest.get("image", f"/images/{image_id}")
        except Unreadable as error:
            reason = "it was deleted" if error.status == 404 else str(error)
            self.notes.append(f"the server's image could not be read: {reason}")
            return _ImagePart(used or SettingInput(None, Evidence.UNREADABLE), properties=frozen)
        now = policy.parse(current.get(policy.IMAGE_KEY))
        # ISO 8601 in UTC from both services: text compares like time.
        unchanged = str(current.get("updated_at", "")) <= str(record.get("created", ""))
        properties = {**current, **frozen}
        if used is not None:
            return _ImagePart(used, now, properties, as_booted=unchanged)
        if unchanged:
            used = SettingInput(now, Evidence.CURRENT_IMAGE)
            return _ImagePart(used, None, properties, as_booted=True)
        self.notes.append(
            f"image {image_id} was changed after the server was created, and this Nova"
            " does not show what it said then"
        )
        return _ImagePart(SettingInput(None, Evidence.UNREADABLE), None, properties)

    def _root_volume(self, record: Json) -> _ImagePart:
        """Read the image metadata of the root volume, which Nova used at boot."""
        attached: list[Json] = record.get("os-extended-volumes:volumes_attached") or []
        try:
            volume_id = self._root_volume_id(record, attached)
            answer = self.rest.get("block_storage", f"/volumes/{volume_id}")
            with parsing("block_storage"):
                properties: Json = answer["volume"].get("volume_image_metadata") or {}
        except Unreadable as error:
            self.notes.append(f"the root volume could not be read: {error}")
            return _ImagePart(SettingInput(None, Evidence.UNREADABLE))
        value = policy.parse(properties.get(policy.IMAGE_KEY))
        return _ImagePart(SettingInput(value, Evidence.VOLUME), None, properties)

    def _root_volume_id(self, record: Json, attached: list[Json]) -> str:
        if not attached:
            raise Unreadable("Nova lists no volume of this server")
        if len(attached) == 1:
            return str(attached[0]["id"])
        attachments = self.rest.items(
            "compute",
            f"/servers/{record['id']}/os-volume_attachments",
            "volumeAttachments",
            microversion=COMPUTE_OLDEST,
        )
        root = record.get("OS-EXT-SRV-ATTR:root_device_name")
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

    def _own_traits(self, host: str, own: Hypervisor | None, record: Json) -> frozenset[str] | None:
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

    def _provider_id(self, record: Json) -> str:
        name = record.get("OS-EXT-SRV-ATTR:hypervisor_hostname") or ""
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
        required = placed and facts.traits.get(policy.TRAIT_UNIQUE) == "required"
        if traits is None:
            unread = Evidence.UNREADABLE if facts.host or not facts.host_visible else None
            if facts.reachable and not facts.host_visible:
                self.notes.append("the server's host is hidden from this user")
            host = HostInput(mode_evidence=unread, honours_evidence=unread)
            if required:
                host = dataclasses.replace(
                    host, meets_unique=True, meets_unique_evidence=Evidence.REQUIRED_TRAIT
                )
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
        if not has_sysinfo(facts.guest_architecture) or (
            own is not None and not own.writes_sysinfo(facts.guest_architecture)
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


@dataclasses.dataclass(frozen=True, slots=True)
class _ImagePart:
    """What was read of an image.

    :ivar now: what the image says now, where ``input`` is the frozen value
    :ivar as_booted: the image has not changed since the server was created
    """

    input: SettingInput
    now: Value | None = None
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    as_booted: bool = False


def _in_background(read: Callable[[_Asked], _Read], asked: _Asked) -> Future[_Read]:
    """Start a read in a thread of its own, which does not keep an interrupted command alive."""
    future: Future[_Read] = Future()

    def run() -> None:
        try:
            future.set_result(read(asked))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _own_hypervisor(
    hypervisors: tuple[Hypervisor, ...], host: str | None, record: Json
) -> Hypervisor | None:
    node = record.get("OS-EXT-SRV-ATTR:hypervisor_hostname")
    for hypervisor in hypervisors:
        if hypervisor.host == host and hypervisor.hostname == node:
            return hypervisor
    return None


def _trait_requirements(specs: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the traits that scheduling requires or forbids for a server."""
    found = {}
    for source in (properties, specs):
        for key, value in source.items():
            if key.startswith("trait:") and value in ("required", "forbidden"):
                found[key.removeprefix("trait:")] = str(value)
    return found


def _bounded(record: Json, specs: Mapping[str, str] | None, requirements: set[str]) -> bool:
    """Tell whether scheduling may keep a server from hosts in a way not looked at here."""
    # Nova tells from 2.96 on whether a server may leave its availability zone.
    if specs is None or record.get("pinned_availability_zone", "unknown") is not None:
        return True
    return bool(requirements - set(policy.TRAITS)) or any(
        # Keys that AggregateInstanceExtraSpecsFilter reads, and traits of request groups.
        ":" not in key or re.match(r"aggregate_instance_extra_specs:|trait[^:]+:", key)
        for key in specs
    )


def _architecture(properties: Mapping[str, Any]) -> str | None:
    """Return the guest's architecture as its image gives it.

    Source: nova/virt/libvirt/driver.py, _check_emulation_arch; ``architecture``
    is the old name of hw_architecture (nova/objects/image_meta.py).
    """
    for key in ("hw_emulation_architecture", "hw_architecture", "architecture"):
        if properties.get(key):
            return str(properties[key])
    return None
