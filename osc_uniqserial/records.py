# SPDX-License-Identifier: Apache-2.0
"""From the records of the APIs, as JSON has them, to facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osc_uniqserial import policy
from osc_uniqserial.facts import FlavorPart, ImagePart, Needs, Server
from osc_uniqserial.policy import Evidence, SettingInput, Value

Json = dict[str, Any]

HOST = "OS-EXT-SRV-ATTR:host"
NODE = "OS-EXT-SRV-ATTR:hypervisor_hostname"

#: Where an image tells the guest's architecture, the first that is set counts.
#: Source: nova/virt/libvirt/driver.py, _check_emulation_arch; ``architecture`` is the
#: old name of hw_architecture (nova/objects/image_meta.py).
ARCHITECTURES = ("hw_emulation_architecture", "hw_architecture", "architecture")
#: Keys that AggregateInstanceExtraSpecsFilter reads, and traits of request groups.
_BOUNDING = re.compile(r"[^:]*$|aggregate_instance_extra_specs:|trait[^:]+:")


def server(record: Json) -> Server:
    """Return which server a record is about."""
    return Server(
        str(record["id"]),
        record.get("name"),
        record.get("tenant_id"),
        str(record.get("status", "UNKNOWN")),
        record.get(HOST) or None,
    )


def is_reachable(record: Json) -> bool:
    """Tell whether it is more than the minimal record of a server whose cell is down."""
    return "name" in record


def shows_host(record: Json) -> bool:
    """Tell whether the user may see the server's host, or there is none."""
    # hostId is for everybody, and empty when there is no host.
    return HOST in record or record.get("hostId") == ""


def has_host(record: Json) -> bool:
    """Tell whether the server is on a host, which this user need not see."""
    return bool(record.get(HOST) or record.get("hostId"))


def is_pinned(record: Json) -> bool:
    """Tell whether an availability zone may keep the server from hosts: told from 2.96 on."""
    return record.get("pinned_availability_zone", "unknown") is not None


def flavor_part(specs: Mapping[str, str] | None, now: Value | None) -> FlavorPart:
    """Return what a server's flavor says.

    :param specs: the server's own copy of the extra specs; None when they are hidden
    :param now: what the flavor says now
    """
    if specs is None:
        return FlavorPart(now=now)
    ours, foreign = _needs(specs)
    return FlavorPart(
        SettingInput(policy.parse(specs.get(policy.FLAVOR_KEY)), Evidence.EMBEDDED_FLAVOR),
        now,
        ours,
        foreign or any(_BOUNDING.match(key) for key in specs),
    )


def image_part(
    used: SettingInput,
    now: Value | None,
    properties: Mapping[str, Any],
    *,
    as_booted: bool,
) -> ImagePart:
    """Return what a server's image says.

    :param properties: those that are known, of the image or of the root volume
    :param as_booted: they have not changed since the server was created
    """
    ours, foreign = _needs(properties) if as_booted else ((), False)
    return ImagePart(used, now, ours, foreign or not as_booted, architecture(properties))


def architecture(properties: Mapping[str, Any]) -> str | None:
    """Return the guest's architecture as its image gives it."""
    for key in ARCHITECTURES:
        if properties.get(key):
            return str(properties[key])
    return None


def _needs(properties: Mapping[str, Any]) -> tuple[Needs, bool]:
    """Return the requirements of our traits, and whether there are others."""
    found = {
        key.removeprefix("trait:"): str(value)
        for key, value in properties.items()
        if key.startswith("trait:") and value in ("required", "forbidden")
    }
    ours = {trait: need for trait, need in found.items() if trait in policy.TRAITS}
    return tuple(sorted(ours.items())), len(ours) < len(found)
