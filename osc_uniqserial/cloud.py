# SPDX-License-Identifier: Apache-2.0
"""From API answers to facts: what decides the serial of a server.

Every request here reads. Raw JSON is parsed at this edge; no SDK resource is built.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osc_uniqserial import policy
from osc_uniqserial.facts import Hypervisor, Moves, ServerFacts
from osc_uniqserial.policy import Evidence, HostInput, HostMode, Setting, SettingInput, Value
from osc_uniqserial.rest import CloudError, Json, Rest, Unreadable, version

if TYPE_CHECKING:
    from openstack.connection import Connection

#: Train, the oldest Nova API that is supported.
COMPUTE_OLDEST = "2.69"
#: 2.98 shows the image properties that a server was built with. Later ones add
#: scheduler hints, which cost more and tell nothing here.
COMPUTE_NEWEST = "2.98"
#: The last one that does not look for them.
COMPUTE_NO_FROZEN = "2.97"
#: The last one with the CPU architecture of a hypervisor. 2.88 drops it, and asks
#: every host for its uptime instead.
COMPUTE_HYPERVISORS = "2.87"
#: The last one that OpenStackClient uses for flavors; 2.61 adds extra specs.
COMPUTE_FLAVORS = "2.61"
PLACEMENT_TRAITS = "1.6"
PLACEMENT_FORBIDDEN_TRAITS = "1.22"
PLACEMENT_ANY_TRAITS = "1.39"


@dataclasses.dataclass(frozen=True, slots=True)
class GivenModes:
    """Host modes that the user gave, by host; ``*`` stands for all others."""

    by_host: Mapping[str, HostMode] = dataclasses.field(default_factory=dict)

    def get(self, host: str | None) -> HostMode | None:
        """Return the given mode of a host, None when none was given."""
        default = self.by_host.get("*")
        return default if host is None else self.by_host.get(host, default)


@dataclasses.dataclass(frozen=True, slots=True)
class HostView:
    """The present host of a server and the cloud around it, as far as it was read."""

    input: HostInput
    own: Hypervisor | None = None
    hypervisors: tuple[Hypervisor, ...] = ()
    aggregates_read: bool = False
    declaring_hosts: frozenset[str] = frozenset()


class Cloud:
    """Reads facts through an SDK connection.

    :ivar notes: what could not be read or looks wrong, in words for people
    """

    def __init__(self, connection: Connection) -> None:
        self._rest = Rest(connection)
        self.notes: list[str] = []

    def _compute_microversion(self) -> str:
        newest = self._rest.microversion("compute", COMPUTE_NEWEST)
        if newest is None or version(newest) < version(COMPUTE_OLDEST):
            found = f"offers {newest} at most" if newest else "did not tell its microversions"
            raise CloudError(
                f"Nova (compute) {found}; microversion {COMPUTE_OLDEST} (Train) or newer is needed"
            )
        return newest

    # --- one server -----------------------------------------------------

    def find_server(self, name_or_id: str, all_projects: bool = False) -> Json:
        """Return the detailed record of one server.

        :param all_projects: look for a name in every project (administrators)
        :raises CloudError: when there is no such server, or more than one
        """
        microversion = self._compute_microversion()
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
            for record in self._rest.pages(
                "compute", "/servers/detail", "servers", params, microversion
            )
            if record.get("name") == name_or_id
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(sorted(str(record["id"]) for record in found))
            raise CloudError(
                f"more than one server is named {name_or_id!r}; give the ID of one of them: {ids}"
            )
        where = (
            "in any project" if all_projects else "in this project (--all-projects looks in all)"
        )
        raise CloudError(
            f"no server with the name or ID {name_or_id!r} {where};"
            " a server of a cell that is down is found by its ID only"
        )

    def _server(self, server_id: str, microversion: str) -> Json:
        path = f"/servers/{server_id}"
        try:
            record: Json = self._rest.get("compute", path, microversion=microversion)["server"]
        except Unreadable as error:
            if error.status != 500 or microversion != COMPUTE_NEWEST:
                raise
            # Nova 34 answers 500 at 2.98 for a server whose cell is down: it looks
            # for the frozen image properties in the very database that is down.
            record = self._rest.get("compute", path, microversion=COMPUTE_NO_FROZEN)["server"]
        return record

    def read_server(self, record: Json, given: GivenModes) -> tuple[ServerFacts, HostView]:
        """Read what decides the serial of one server, the independent parts at once."""
        host = record.get("OS-EXT-SRV-ATTR:host") or None
        flavor_record: Json = record.get("flavor") or {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            flavor_now = pool.submit(self._flavor_now, flavor_record.get("original_name"))
            image = pool.submit(self._image, record)
            hypervisors = self._hypervisors() if host else ()
            own = _own_hypervisor(hypervisors, host, record)
            traits = self._own_traits(host, own, record) if host else None
            image_part = image.result()
            flavor_now_value = flavor_now.result()

        specs: Mapping[str, str] | None = flavor_record.get("extra_specs")
        if specs is None:
            flavor = SettingInput(None, Evidence.UNREADABLE)
            self.notes.append(
                "the flavor's extra specs are hidden from this user"
                if flavor_record
                else "Nova did not return the server's flavor"
            )
        else:
            flavor = SettingInput(
                policy.parse(specs.get(policy.FLAVOR_KEY)), Evidence.EMBEDDED_FLAVOR
            )
        placed = bool(host or record.get("hostId"))
        facts = ServerFacts(
            id=str(record["id"]),
            name=record.get("name"),
            project_id=record.get("tenant_id"),
            status=str(record.get("status", "UNKNOWN")),
            host=host,
            hypervisor_hostname=record.get("OS-EXT-SRV-ATTR:hypervisor_hostname") or None,
            host_visible="OS-EXT-SRV-ATTR:host" in record,
            reachable="name" in record,
            pinned_zone=record.get("pinned_availability_zone") or None,
            flavor_name=flavor_record.get("original_name"),
            flavor=flavor,
            flavor_now=flavor_now_value,
            image=image_part.input,
            image_now=image_part.now,
            traits=None if specs is None else _trait_requirements(specs, image_part.properties),
            met_by_placement=placed
            and (
                policy.requires_unique(specs or {})
                or (image_part.as_booted and policy.requires_unique(image_part.properties))
            ),
            guest_architecture=_architecture(image_part.properties),
        )
        for what, used in (("flavor", flavor.value), ("image", image_part.input.value)):
            if used is not None and used.setting is Setting.INVALID:
                self.notes.append(
                    f"the {what}'s value {used.raw!r} is no boolean and counts as unset;"
                    f" write true or false with 'openstack {what} set'"
                )
        return facts, self._host_view(facts, own, hypervisors, traits, given)

    def _flavor_now(self, name: str | None) -> Value | None:
        """Return what the flavor of this name says today; None when it is not there."""
        if name is None:
            return None
        try:
            for flavor in self._rest.pages(
                "compute", "/flavors/detail", "flavors", {"is_public": "None"}, COMPUTE_FLAVORS
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
            current = self._rest.get("image", f"/images/{image['id']}")
        except Unreadable as error:
            reason = "it was deleted" if error.status == 404 else str(error)
            self.notes.append(f"image {image['id']} could not be read: {reason}")
            return _ImagePart(used or SettingInput(None, Evidence.UNREADABLE), properties=frozen)
        now = policy.parse(current.get(policy.IMAGE_KEY))
        # ISO 8601 in UTC from both services: text compares like time.
        unchanged = str(current.get("updated_at", "")) <= str(record.get("created", ""))
        properties = {**current, **frozen}
        if used is None:
            return _ImagePart(
                SettingInput(now, Evidence.CURRENT_IMAGE), None, properties, as_booted=unchanged
            )
        return _ImagePart(used, now, properties, as_booted=unchanged)

    def _root_volume(self, record: Json) -> _ImagePart:
        """Read the image metadata of the root volume, which Nova used at boot."""
        attached: list[Json] = record.get("os-extended-volumes:volumes_attached") or []
        try:
            volume_id = self._root_volume_id(record, attached)
            volume: Json = self._rest.get("block_storage", f"/volumes/{volume_id}")["volume"]
        except Unreadable as error:
            self.notes.append(f"the root volume could not be read: {error}")
            return _ImagePart(SettingInput(None, Evidence.UNREADABLE))
        properties: Json = volume.get("volume_image_metadata") or {}
        value = policy.parse(properties.get(policy.IMAGE_KEY))
        return _ImagePart(SettingInput(value, Evidence.VOLUME), None, properties)

    def _root_volume_id(self, record: Json, attached: list[Json]) -> str:
        if not attached:
            raise Unreadable("Nova lists no volume of this server")
        if len(attached) == 1:
            return str(attached[0]["id"])
        attachments: list[Json] = self._rest.get(
            "compute", f"/servers/{record['id']}/os-volume_attachments", microversion=COMPUTE_OLDEST
        )["volumeAttachments"]
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
            return tuple(
                _hypervisor(item)
                for item in self._rest.pages(
                    "compute",
                    "/os-hypervisors/detail",
                    "hypervisors",
                    {},
                    self._hypervisor_version(),
                )
            )
        except Unreadable as error:
            self.notes.append(f"the hypervisors could not be read: {error}")
            return ()

    def _hypervisor_version(self) -> str:
        return min(COMPUTE_HYPERVISORS, self._compute_microversion(), key=version)

    def _own_traits(self, host: str, own: Hypervisor | None, record: Json) -> frozenset[str] | None:
        """Return the traits of a host's resource provider, None when unreadable."""
        try:
            provider = own.id if own else self._provider_id(record)
            answer = self._rest.get(
                "placement", f"/resource_providers/{provider}/traits", microversion=PLACEMENT_TRAITS
            )
            return frozenset(answer["traits"])
        except Unreadable as error:
            reason = (
                "it has no resource provider in Placement" if error.status == 404 else str(error)
            )
            self.notes.append(f"the traits of host {host} could not be read: {reason}")
            return None

    def _provider_id(self, record: Json) -> str:
        name = record.get("OS-EXT-SRV-ATTR:hypervisor_hostname") or ""
        providers: list[Json] = self._rest.get(
            "placement", "/resource_providers", {"name": name}, PLACEMENT_TRAITS
        )["resource_providers"]
        if not providers:
            raise Unreadable("no such resource provider", 404)
        return str(providers[0]["uuid"])

    def _host_view(
        self,
        facts: ServerFacts,
        own: Hypervisor | None,
        hypervisors: tuple[Hypervisor, ...],
        traits: frozenset[str] | None,
        given: GivenModes,
    ) -> HostView:
        """Join the evidence about a host, best first: traits, given, declared."""
        if traits is None:
            unread = Evidence.UNREADABLE if facts.host or not facts.host_visible else None
            host = HostInput(mode_evidence=unread, honours_evidence=unread)
        else:
            host = policy.host_from_traits(traits)
        if host.contradiction:
            self.notes.append(
                f"the traits of host {facts.host} contradict each other:"
                f" {', '.join(host.contradiction)}"
            )
        may_have_host = facts.host is not None or not facts.host_visible
        mode = given.get(facts.host) if may_have_host else None
        if host.mode is None and mode is not None:
            host = dataclasses.replace(host, mode=mode, mode_evidence=Evidence.GIVEN)
        if own is not None and not own.writes_sysinfo(facts.guest_architecture):
            host = dataclasses.replace(host, smbios=False)
        if facts.met_by_placement and not host.meets_unique:
            host = dataclasses.replace(
                host, meets_unique=True, meets_unique_evidence=Evidence.REQUIRED_TRAIT
            )
        view = HostView(host, own, hypervisors)
        if facts.host and host.smbios and host.mode is None and not host.meets_unique:
            view = self._with_declarations(view, facts.host)
        return view

    def _with_declarations(self, view: HostView, host: str) -> HostView:
        """Add what host aggregates declare."""
        try:
            aggregates: list[Json] = self._rest.get(
                "compute", "/os-aggregates", microversion=COMPUTE_OLDEST
            )["aggregates"]
        except Unreadable as error:
            self.notes.append(f"the host aggregates could not be read: {error}")
            return view
        by_host: dict[str, list[Mapping[str, str]]] = {}
        for aggregate in aggregates:
            for member in aggregate["hosts"]:
                by_host.setdefault(member, []).append(aggregate["metadata"])
        declaring = frozenset(
            name for name, metadata in by_host.items() if policy.declared_by_aggregates(metadata)
        )
        known = view.input
        if host in declaring:
            known = dataclasses.replace(
                known, meets_unique=True, meets_unique_evidence=Evidence.DECLARED
            )
        return dataclasses.replace(
            view, input=known, aggregates_read=True, declaring_hosts=declaring
        )

    # --- the other hosts ------------------------------------------------

    def read_moves(
        self, facts: ServerFacts, wish: Setting | None, view: HostView, given: GivenModes
    ) -> Moves | None:
        """Tell whether every other host would also give the server its UUID as serial.

        At most three requests to Placement, whatever the number of hosts.

        :returns: None when the other hosts could not be read
        """
        if wish is None or not view.hypervisors or view.own is None:
            return None
        others = {
            hypervisor.id: hypervisor.host
            for hypervisor in view.hypervisors
            if hypervisor.enabled and hypervisor.is_libvirt_qemu and hypervisor.id != view.own.id
        }
        try:
            return self._judge_moves(facts, wish, view, given, others)
        except Unreadable as error:
            self.notes.append(f"the other hosts could not be judged: {error}")
            return None

    def _judge_moves(
        self,
        facts: ServerFacts,
        wish: Setting,
        view: HostView,
        given: GivenModes,
        others: Mapping[str, str],
    ) -> Moves:
        known = set(
            self._rest.get(
                "placement", "/traits", {"name": "in:" + ",".join(policy.TRAITS)}, PLACEMENT_TRAITS
            )["traits"]
        )
        unique_mode = policy.mode_trait(HostMode.UNIQUE)
        host_modes = sorted((set(policy.MODE_TRAITS) - {unique_mode}) & known)
        # Which traits say that a host gives the UUID depends on the request.
        steady = {unique_mode}
        if wish is Setting.UNIQUE:
            steady |= {policy.TRAIT_UNIQUE, policy.TRAIT_KEYS}
        look_closer = bool(host_modes) and not view.aggregates_read
        if wish is Setting.HOST and policy.TRAIT_KEYS in known:
            look_closer = False
            obeying = self._providers(others, facts, required=[policy.TRAIT_KEYS])
            if obeying:
                # A host that honours the keys would show its own identity.
                return Moves(False, _names(obeying))
        left = self._providers(others, facts, forbidden=sorted(steady & known))
        # A host of another mode that claims a steady trait too contradicts itself.
        other_mode: dict[str, str] = {}
        if look_closer and (left or wish is not Setting.HOST):
            any_of = self._placement_any_of(host_modes)
            obey = {policy.TRAIT_KEYS} & known if wish is Setting.UNIQUE else set()
            if any_of:
                other_mode = self._providers(others, facts, [any_of], sorted(obey))
        for provider, host in {**left, **other_mode}.items():
            if given.get(host) is HostMode.UNIQUE or (
                wish is Setting.UNIQUE and host in view.declaring_hosts
            ):
                left.pop(provider, None)
                other_mode.pop(provider, None)
        doubtful = {**left, **other_mode}
        if not doubtful:
            return Moves(True)
        changing = {
            provider: host
            for provider, host in left.items()
            if provider in other_mode or given.get(host)
        }
        # Some of these hosts may be out of bounds for a server that is pinned.
        if changing and not facts.pinned_zone and facts.traits is not None:
            return Moves(False, _names(changing))
        return Moves(None, _names(doubtful))

    def _placement_any_of(self, traits: list[str]) -> str | None:
        """Return the query for any of these traits; None before Placement 1.39."""
        if len(traits) == 1:
            return traits[0]
        newest = self._rest.microversion("placement", PLACEMENT_ANY_TRAITS)
        return f"in:{','.join(traits)}" if newest == PLACEMENT_ANY_TRAITS else None

    def _providers(
        self,
        among: Mapping[str, str],
        facts: ServerFacts,
        required: Iterable[str] = (),
        forbidden: Iterable[str] = (),
    ) -> dict[str, str]:
        """Return those of the providers that match, and that the server may use."""
        needs = facts.traits or {}
        terms = [f"!{trait}" for trait in forbidden]
        terms += [
            name if need == "required" else f"!{name}"
            for name, need in needs.items()
            if name not in policy.TRAITS
        ]
        microversion = PLACEMENT_FORBIDDEN_TRAITS
        query = []
        for term in required:
            if term.startswith("in:"):
                query.append(("required", term))
                microversion = PLACEMENT_ANY_TRAITS
            else:
                terms.append(term)
        if terms:
            query.append(("required", ",".join(terms)))
        answer = self._rest.get("placement", "/resource_providers", query, microversion)
        return {
            provider["uuid"]: among[provider["uuid"]]
            for provider in answer["resource_providers"]
            if provider["uuid"] in among
        }


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


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _hypervisor(item: Json) -> Hypervisor:
    cpu = item.get("cpu_info")
    return Hypervisor(
        id=str(item["id"]),
        hostname=str(item["hypervisor_hostname"]),
        host=str(item["service"]["host"]),
        enabled=item.get("status") == "enabled",
        type=str(item.get("hypervisor_type", "")),
        architecture=cpu.get("arch") if isinstance(cpu, dict) else None,
    )


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


def _architecture(properties: Mapping[str, Any]) -> str | None:
    """Return the guest's architecture as its image gives it.

    Source: nova/virt/libvirt/driver.py, _check_emulation_arch; ``architecture``
    is the old name of hw_architecture (nova/objects/image_meta.py).
    """
    for key in ("hw_emulation_architecture", "hw_architecture", "architecture"):
        if properties.get(key):
            return str(properties[key])
    return None


def _names(providers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(set(providers.values())))
