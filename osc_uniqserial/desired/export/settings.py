# SPDX-License-Identifier: Apache-2.0
"""The settings of a cloud today: the resources that carry one of the keys. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from osc_uniqserial import policy
from osc_uniqserial.keys import SETTINGS, STEERED, STEERING
from osc_uniqserial.model.cloud import Aggregate, Image
from osc_uniqserial.model.definition import FlavorDefinition, ServerRequest
from osc_uniqserial.model.finding import Resource
from osc_uniqserial.policy import Setting
from osc_uniqserial.text import counted, quoted, some

_Item = TypeVar("_Item", FlavorDefinition, Image, Aggregate, ServerRequest)


@dataclasses.dataclass(frozen=True, slots=True)
class CloudSettings:
    """Resources that carry one of the keys, sorted by name.

    :ivar unread: why some resources could not be read
    :ivar scope: which servers were read; empty: all, or none because they were not needed
    """

    flavors: tuple[FlavorDefinition, ...] = ()
    images: tuple[Image, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    servers: tuple[ServerRequest, ...] = ()
    unread: tuple[str, ...] = ()
    scope: str = ""

    @property
    def without_meaning(self) -> Iterator[str]:
        """Yield the stored texts that count as unset."""
        for request in (*self.flavors, *self.images):
            if request.value.setting is Setting.INVALID:
                yield _no_boolean(request.resource, request.key, request.value.raw)
        for aggregate in self.aggregates:
            for key, value in aggregate.invalid.items():
                yield _no_boolean(aggregate.resource, key, value.raw)
        for server in self.servers:
            if server.value.setting is not Setting.UNIQUE:
                yield (
                    f"{named(server.resource)}: {policy.IMAGE_KEY}={quoted(server.text)} counts as"
                    " unset: a server can only ask for a serial number of its own"
                )


def settings(
    flavors: Iterable[FlavorDefinition] = (),
    images: Iterable[Image] = (),
    aggregates: Iterable[Aggregate] = (),
    servers: Iterable[ServerRequest] = (),
    unread: Iterable[str] = (),
    scope: str = "",
) -> CloudSettings:
    """Return the settings in resources as they were read."""
    flavors = tuple(flavors)
    hidden = [each.name for each in flavors if each.properties is None]
    if hidden:
        what = counted(len(hidden), "flavor")
        unread = (*unread, f"the extra specs of {what} are hidden from this user: {some(hidden)}")
    return CloudSettings(
        _sorted(each for each in flavors if carries("flavor", each.stored)),
        _sorted(each for each in images if carries("image", each.stored)),
        _sorted(each for each in aggregates if carries("aggregate", each.metadata)),
        _sorted(servers),
        tuple(unread),
        scope,
    )


def keys(kind: str) -> frozenset[str]:
    """Return the keys of a kind of resource."""
    steering = (STEERING[way].key for way in STEERED.get(kind, ()))
    return frozenset({*SETTINGS[kind], *steering})


def carries(kind: str, stored: Mapping[str, str]) -> bool:
    """Whether one of the keys is stored."""
    return not keys(kind).isdisjoint(stored)


def named(about: Resource) -> str:
    """Return the name of a resource for a message."""
    name = f" {quoted(about.name)}" if about.name else ""
    return f"{about.type}{name} ({about.id})"


def _no_boolean(about: Resource, key: str, text: str | None) -> str:
    return f"{named(about)}: {key}={quoted(text)} is no boolean and counts as unset"


def _sorted(items: Iterable[_Item]) -> tuple[_Item, ...]:
    return tuple(sorted(items, key=lambda each: (each.resource.name or "", each.resource.id or "")))
