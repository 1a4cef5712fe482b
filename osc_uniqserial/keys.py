# SPDX-License-Identifier: Apache-2.0
"""The keys of flavors, images, host aggregates and servers, and the texts that are written. Pure.

What each key means, and which stored texts are understood, is in :mod:`osc_uniqserial.policy`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from osc_uniqserial.policy import (
    FLAVOR_KEY,
    IMAGE_KEY,
    TRAIT_UNIQUE,
    Setting,
    aggregate_values,
    parse,
)

LOWER: Mapping[Setting, str] = {Setting.UNIQUE: "true", Setting.HOST: "false"}
#: The values that Nova's image isolation filter compares with those of an aggregate: str(bool)
#: (nova/scheduler/filters/aggregate_image_properties_isolation.py).
TITLE: Mapping[Setting, str] = {Setting.UNIQUE: "True", Setting.HOST: "False"}

#: The keys that are valid on each kind of resource, with the texts to write.
SETTINGS: Mapping[str, Mapping[str, Mapping[Setting, str]]] = {
    "flavor": {FLAVOR_KEY: LOWER},
    "image": {IMAGE_KEY: LOWER},
    "aggregate": {FLAVOR_KEY: LOWER, IMAGE_KEY: TITLE},
    # Only true has a meaning: no tenant can show a host by the metadata of a server.
    "server": {IMAGE_KEY: {Setting.UNIQUE: "true"}},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Steering:
    """A property of flavors or images that restricts scheduling."""

    key: str
    value: str


#: The values of ``--unique-serial-hosts``, and what they write.
STEERING: Mapping[str, Steering] = {
    "supported": Steering(f"trait:{TRAIT_UNIQUE}", "required"),
    # Matches an aggregate whose hw:unique_serial is true, as either key writes it.
    "aggregate": Steering(f"aggregate_instance_extra_specs:{FLAVOR_KEY}", "<or> true <or> True"),
}
TRAIT_SPEC = STEERING["supported"].key
#: The ways to restrict scheduling that each kind of resource has.
STEERED: Mapping[str, tuple[str, ...]] = {
    "flavor": ("supported", "aggregate"),
    "image": ("supported",),
}
#: Commands that end a status in which Nova does not change metadata (nova/compute/api.py,
#: update_instance_metadata).
_ENDS: Mapping[str, tuple[str, ...]] = {
    "ERROR": ("reboot --hard",),
    "RESCUE": ("unrescue",),
    "SHELVED": ("unshelve",),
    "SHELVED_OFFLOADED": ("unshelve",),
    "VERIFY_RESIZE": ("resize confirm", "resize revert"),
}
#: The keys that restrict scheduling.
STEERING_KEYS = frozenset(each.key for each in STEERING.values())
#: The values of a trait that Nova accepts.
_TRAIT_VALUES = frozenset({"required", "forbidden"})
_LONGEST = 255


def is_key(kind: str, key: str) -> bool:
    """Whether a key is one of ours on a kind of resource."""
    return key in SETTINGS.get(kind, ()) or any(
        key == STEERING[way].key for way in STEERED.get(kind, ())
    )


def is_valid(kind: str, key: str, text: str) -> bool:
    """Whether a text is a valid value of a key of ours on a kind of resource.

    Nova splits the metadata of a host aggregate at commas. Its scheduler compares the key that
    requires an aggregate with any text: printable ASCII is valid.
    """
    if key == TRAIT_SPEC:
        return text in _TRAIT_VALUES
    if key in STEERING_KEYS:
        return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()
    values = aggregate_values(text) if kind == "aggregate" else (parse(text),)
    return all(value.setting in SETTINGS[kind][key] for value in values)


def before_metadata(status: str, server_id: str) -> str | None:
    """Return the commands that end a status in which Nova does not change metadata.

    :returns: None for other statuses
    """
    ends = (f"'openstack server {each} {server_id}'" for each in _ENDS.get(status, ()))
    return " or ".join(ends) or None
