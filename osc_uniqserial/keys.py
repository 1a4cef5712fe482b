# SPDX-License-Identifier: Apache-2.0
"""The keys of flavors, images, host aggregates and servers, and the texts that are written. Pure.

What each key means, and which stored texts are understood, is in :mod:`osc_uniqserial.policy`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from osc_uniqserial.policy import FLAVOR_KEY, IMAGE_KEY, TRAIT_UNIQUE, Setting

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
STEERING_KEYS = frozenset(each.key for each in STEERING.values())
TRAIT_SPEC = STEERING["supported"].key
#: The ways to restrict scheduling that each kind of resource has.
STEERED: Mapping[str, tuple[str, ...]] = {
    "flavor": ("supported", "aggregate"),
    "image": ("supported",),
}
