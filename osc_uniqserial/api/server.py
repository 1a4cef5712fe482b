# SPDX-License-Identifier: Apache-2.0
"""One server, with the facts that decide its serial. All requests only read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import msgspec

from osc_uniqserial import policy
from osc_uniqserial.api import background, evidence, hosts, inventory
from osc_uniqserial.api.evidence import Declarations, RootVolume, ServerEvidence
from osc_uniqserial.api.records import FlavorCopy, ImageRef, OneServer, ServerRecord
from osc_uniqserial.api.rest import (
    COMPUTE_SERVERS,
    CloudError,
    Rest,
    Unreadable,
    or_unchecked,
    parsing,
)
from osc_uniqserial.api.validator import extra_spec_validator
from osc_uniqserial.model.cloud import (
    Flavor,
    Fleet,
    GivenModes,
    Image,
    ServerFacts,
    Unchecked,
    Validator,
    requires_unique,
)
from osc_uniqserial.policy import Setting

#: The last microversion without the image properties that a server was built with.
COMPUTE_NO_FROZEN = "2.97"


def find_server(rest: Rest, name_or_id: str, all_projects: bool = False) -> ServerRecord:
    """Return the detailed record of one server.

    :param all_projects: search the name in every project (administrators)
    :raises CloudError: when no server is found, or more than one
    """
    microversion = rest.compute_microversion(COMPUTE_SERVERS)
    if _is_uuid(name_or_id):
        try:
            return _by_id(rest, name_or_id, microversion)
        except Unreadable as error:
            if error.status != 404:
                raise
    # Nova filters by a regular expression in the dialect of its database: send "." for every
    # special character, and compare the names here.
    pattern = re.sub(r"[^0-9A-Za-z_ -]", ".", name_or_id)
    params = {"name": f"^{pattern}$"}
    if all_projects:
        params["all_tenants"] = "true"
    with parsing("compute"):
        items = rest.pages("compute", "/servers/detail", "servers", params, microversion)
        named = [item for item in items if item.get("name") == name_or_id]
        found = msgspec.json.decode(msgspec.json.encode(named), type=list[ServerRecord])
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(sorted(record.id for record in found))
        raise CloudError(
            f"More than one server is named {name_or_id!r}; give the ID of one of them: {ids}"
        )
    here = "in this project (administrators: --all-projects searches all)"
    raise CloudError(
        f"There is no server with the name or ID {name_or_id!r}"
        f" {'in any project' if all_projects else here};"
        " a server of a cell that is down is found by its ID only"
    )


def _by_id(rest: Rest, server_id: str, microversion: str) -> ServerRecord:
    path = f"/servers/{server_id}"
    try:
        return rest.read(OneServer, "compute", path, None, microversion).server
    except Unreadable as error:
        if error.status != 500 or microversion != COMPUTE_SERVERS:
            raise
        # Nova 34 answers 500 at 2.98 for a server whose cell is down: it reads the frozen
        # image properties from the database that is down.
        return rest.read(OneServer, "compute", path, None, COMPUTE_NO_FROZEN).server


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def read_server(
    rest: Rest, record: ServerRecord, given: GivenModes
) -> tuple[ServerFacts, Fleet | None, list[str]]:
    """Read the facts that decide the serial of one server, concurrently.

    :returns: its facts; every host, or None when its own host is hidden or missing; messages
        about unreadable or wrong inputs
    """
    flavors_read = background.start(_flavors, rest, record)
    image_read = background.start(_image, rest, record)
    fleet: Fleet | Unchecked | None = None
    unlisted = None
    if record.host:
        fleet, unlisted = hosts.read_hosts(rest, given)
    flavors, (volume, image, shows_frozen) = flavors_read.result(), image_read.result()
    known = ServerEvidence(
        fleet=fleet if isinstance(fleet, Fleet) else None,
        unlisted=unlisted,
        flavors=() if isinstance(flavors, Unchecked) else flavors,
        images={image.id: image} if isinstance(image, Image) else {},
        given=given,
        shows_frozen=shows_frozen,
        root_volume=lambda _record: volume if isinstance(volume, RootVolume) else None,
    )
    facts = known.facts(record)
    notes = [
        *_flavor_notes(facts, record, flavors),
        *_image_notes(facts, volume, image),
        *_host_notes(facts, known.traits_of(record), fleet, unlisted, given),
    ]
    return facts, fleet if isinstance(fleet, Fleet) else None, notes


def _flavors(rest: Rest, record: ServerRecord) -> tuple[Flavor, ...] | Unchecked:
    if record.flavor is None or record.flavor.original_name is None:
        return ()
    return or_unchecked(inventory.read_flavors, rest)


def _image(
    rest: Rest, record: ServerRecord
) -> tuple[RootVolume | Unchecked | None, Image | Unchecked | None, bool]:
    """Return the root volume and the image that a server was built with.

    :returns: also whether Nova returns the frozen property of this project; False when not needed
    """
    volume: RootVolume | Unchecked | None = None
    if record.image == "":
        volume = or_unchecked(inventory.read_root_volume, rest, record)
        image_id = volume.source_image(record) if isinstance(volume, RootVolume) else None
    else:
        image_id = record.image.id if isinstance(record.image, ImageRef) else None
    if image_id is None:
        return volume, None, False
    image = or_unchecked(inventory.read_image, rest, image_id)
    if isinstance(image, Unchecked) and image.status == 404:
        image = Unchecked("it was deleted")
    as_booted = isinstance(image, Image) and evidence.is_as_booted(image, record)
    shows_frozen = (
        isinstance(record.image, ImageRef)
        and evidence.may_be_frozen_unset(record.image.properties, as_booted=as_booted)
        and or_unchecked(extra_spec_validator, rest) is Validator.LOADED
    )
    return volume, image, shows_frozen


def _flavor_notes(
    facts: ServerFacts, record: ServerRecord, flavors: tuple[Flavor, ...] | Unchecked
) -> Iterator[str]:
    copy = record.flavor or FlavorCopy()
    name = copy.original_name
    if isinstance(flavors, Unchecked):
        yield f"the present value of the flavor is unknown: {flavors.reason}"
    elif name is not None and all(each.name != name for each in flavors):
        yield (
            f"flavor {name!r} is missing, or hidden from this user;"
            " the server keeps the copy that it was built with"
        )
    if copy.extra_specs is None:
        yield (
            "Nova did not return the server's flavor"
            if name is None
            else "the flavor's extra specs are hidden from this user"
        )
    value = facts.case.flavor.used.value
    if value is not None and value.setting is Setting.INVALID:
        yield _invalid("flavor", value.raw)


def _image_notes(
    facts: ServerFacts, volume: RootVolume | Unchecked | None, image: Image | Unchecked | None
) -> Iterator[str]:
    value = facts.case.image.used.value
    if value is not None:
        if value.setting is Setting.INVALID:
            yield _invalid("image", value.raw)
    elif isinstance(volume, Unchecked):
        yield f"the root volume could not be read: {volume.reason}"
    elif isinstance(image, Unchecked):
        yield f"the server's image could not be read: {image.reason}"
    elif isinstance(volume, RootVolume) and image is None:
        yield (
            "the image properties at boot are unknown: Nova takes those of a root volume when it"
            " builds the server, and Cinder does not return whether they have changed since"
        )
    elif image is not None:
        yield (
            f"image {image.id} was changed after the server was created, and this Nova"
            " does not return the value at boot"
        )


def _invalid(what: str, raw: str | None) -> str:
    return (
        f"the {what}'s value {raw!r} is no boolean and counts as unset;"
        f" write true or false with 'openstack {what} set'"
    )


def _host_notes(
    facts: ServerFacts,
    traits: frozenset[str] | None,
    fleet: Fleet | Unchecked | None,
    unlisted: Declarations | None,
    given: GivenModes,
) -> Iterator[str]:
    case, host = facts.case, facts.host
    if isinstance(fleet, Unchecked):
        yield f"the hypervisors could not be read: {fleet.reason}"
        yield from evidence.unused_mode(case.host, host, given)
    elif fleet:
        yield from fleet.notes
        if fleet.hosts_of_down_cells:
            yield "a cell is down: all hosts are taken for KVM or QEMU on x86"
    if case.reachable and not case.host_visible:
        yield "the server's host is hidden from this user"
    about = fleet if isinstance(fleet, Fleet) else unlisted
    if host is None or about is None:
        return
    if traits is None:
        reason = about.traits_unread or "it has no resource provider in Placement"
        if isinstance(fleet, Fleet) and facts.on is None:
            reason = "Nova lists no such hypervisor"
        yield f"the traits of host {host} could not be read: {reason}"
    elif case.placed and requires_unique(case.needs) and policy.TRAIT_UNIQUE not in traits:
        yield (
            f"the server was placed by a required trait {policy.TRAIT_UNIQUE},"
            f" but host {host} no longer has it"
        )
    if case.host.contradiction:
        yield (
            f"the traits of host {host} contradict each other: {', '.join(case.host.contradiction)}"
        )
    if about.aggregates_unread and evidence.needs_declaration(case.host):
        yield f"the host aggregates could not be read: {about.aggregates_unread}"
