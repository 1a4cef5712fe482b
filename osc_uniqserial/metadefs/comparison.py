# SPDX-License-Identifier: Apache-2.0
"""Comparison of stored namespaces with ours, and of keys that other namespaces offer. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osc_uniqserial.metadefs.model import OWN_FIELDS, Association, Item, Kind, Namespace

#: The field of a detail about a key that is offered twice; such a detail has no expected value.
KEY = "key"
#: The name in comparisons of the list of namespaces itself.
EVERY_NAMESPACE = "*"
#: The effect of a replacement left by an interrupted installation.
INTERRUPTED = "an installation was interrupted; install again"


class Result(enum.Enum):
    """Result of the comparison of one item."""

    OK = "ok"
    MISSING = "missing"
    DIFFERS = "differs"
    CONFLICT = "conflict"
    NOT_OURS = "not ours"
    UNREADABLE = "unreadable"


#: The results that are a difference; ``not ours`` is information.
DIFFERENCES = frozenset({Result.MISSING, Result.DIFFERS, Result.CONFLICT})


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """A field that differs; ``effect`` describes the consequence."""

    field: str
    stored: Any = None
    expected: Any = None
    effect: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """The result for one item of a namespace."""

    namespace: str
    item: Item
    result: Result
    details: tuple[Detail, ...] = ()


def of_namespace(name: str, result: Result, effect: str, stored: str | None = None) -> Comparison:
    """Return the result for a namespace as a whole."""
    details = (Detail("namespace", stored, None, effect),)
    return Comparison(name, Item(Kind.NAMESPACE), result, details)


def compare(ours: Namespace, stored: Namespace | None) -> tuple[Comparison, ...]:
    """Compare a stored namespace with ours, item by item.

    Items that only the stored namespace has are not ours, which is no difference. A missing
    namespace is one difference.
    """
    if stored is None:
        effect = "missing, or private to a project that this user is not in"
        return (of_namespace(ours.name, Result.MISSING, effect),)
    return (
        _comparison(ours, Item(Kind.NAMESPACE), _own_field_details(ours, stored)),
        *_compare_content(ours, stored),
        *(Comparison(ours.name, item, Result.NOT_OURS) for item in foreign(ours, stored)),
    )


def foreign(ours: Namespace, stored: Namespace) -> tuple[Item, ...]:
    """Return the items of a stored namespace that ours does not have."""
    own = ours.content()
    return tuple(item for item in stored.content() if item not in own)


def _own_field_details(ours: Namespace, stored: Namespace) -> Iterator[Detail]:
    if stored.name != ours.name:
        yield Detail("namespace", stored.name, ours.name, INTERRUPTED)
    for field in OWN_FIELDS:
        is_now, should_be = getattr(stored, field), getattr(ours, field)
        if is_now != should_be:
            private = "only its project and administrators see it"
            yield Detail(field, is_now, should_be, private if field == "visibility" else None)


def _compare_content(ours: Namespace, stored: Namespace) -> Iterator[Comparison]:
    for name, association in ours.associations.items():
        found = stored.associations.get(name)
        details = None if found is None else _association_details(ours, found, association)
        yield _comparison(ours, Item(Kind.ASSOCIATION, name), details)
    for name, definition in ours.properties.items():
        held = stored.properties.get(name)
        details = None if held is None else _property_details(ours, name, held, definition)
        yield _comparison(ours, Item(Kind.PROPERTY, name), details)


def _comparison(ours: Namespace, item: Item, details: Iterable[Detail] | None) -> Comparison:
    """Return the result for one item.

    :param details: the fields that differ; None when the item is missing
    """
    if details is None:
        return Comparison(ours.name, item, Result.MISSING)
    found = tuple(details)
    return Comparison(ours.name, item, Result.DIFFERS if found else Result.OK, found)


def _association_details(
    ours: Namespace, stored: Association, expected: Association
) -> Iterator[Detail]:
    if stored.prefix != expected.prefix:
        keys = ", ".join(stored.key(each) for each in ours.properties)
        yield Detail("prefix", stored.prefix, expected.prefix, f"Horizon writes the key {keys}")
    if stored.target != expected.target:
        effect = "Horizon does not offer it for the properties that Nova reads"
        yield Detail("properties_target", stored.target, expected.target, effect)


def _property_details(
    ours: Namespace, name: str, stored: Mapping[str, Any], expected: Mapping[str, Any]
) -> Iterator[Detail]:
    for field in sorted(stored.keys() | expected.keys()):
        is_now, should_be = stored.get(field), expected.get(field)
        if field == "name" and all(is_now == each.key(name) for each in ours.associations.values()):
            # Harmless: the name inside the definition is the key on every resource type.
            continue
        if is_now != should_be:
            yield Detail(field, is_now, should_be, _effect(field, stored))


def _effect(field: str, stored: Mapping[str, Any]) -> str | None:
    """Return the effect in Horizon of a property's field that differs (observed)."""
    if field == "name":
        return f"Horizon writes the key {stored['name']}, without its prefix"
    if field == "type" and stored.get("type") == "boolean":
        return "Horizon stores null when it is added and saved untouched"
    if field == "enum" and not stored.get("enum"):
        return "Horizon takes any text"
    if field == "default":
        return "Horizon stores it when nothing was chosen"
    if field == "readonly":
        return "Horizon does not let users set it"
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a key is offered; the key is case-folded, as Horizon ignores case."""

    resource_type: str
    target: str | None
    key: str


def _places(namespace: Namespace, names: Iterable[str]) -> Iterator[tuple[_Place, str]]:
    """Yield the places and keys of properties that a namespace offers."""
    for name in names:
        for entry in namespace.associations.values():
            key = entry.key(name)
            yield _Place(entry.resource_type, entry.target, key.casefold()), key


def _owners(ours: Iterable[Namespace]) -> dict[_Place, str]:
    return {place: each.name for each in ours for place, _key in _places(each, each.properties)}


def may_conflict(ours: Iterable[Namespace], other: Namespace) -> bool:
    """Return whether the associations of a namespace allow a key of ours."""
    return any(
        place.resource_type == entry.resource_type
        and place.target == entry.target
        and place.key.startswith((entry.prefix or "").casefold())
        for place in _owners(ours)
        for entry in other.associations.values()
    )


def conflicts(ours: Iterable[Namespace], stored: Namespace) -> tuple[Comparison, ...]:
    """Find keys of ours that a stored namespace offers to the same resource type.

    Properties of objects count too. Our own namespaces can conflict: an association added to
    one may offer a key of the other.
    """
    owners = _owners(ours)
    parts: dict[Item, Iterable[str]] = {
        **{Item(Kind.PROPERTY, name): (name,) for name in stored.properties},
        **{
            Item(Kind.OBJECT, name): definition.get("properties") or ()
            for name, definition in stored.objects.items()
        },
    }
    found = []
    for item, names in parts.items():
        details = tuple(
            Detail(
                KEY,
                key,
                effect=f"{owners[place]} offers it to {place.resource_type} too: Horizon shows"
                " both, and reads and writes only one of them",
            )
            for place, key in _places(stored, names)
            # A property of ours is no conflict with itself.
            if place in owners and (item.kind is Kind.OBJECT or owners[place] != stored.name)
        )
        if details:
            found.append(Comparison(stored.name, item, Result.CONFLICT, details))
    return tuple(found)


def without_namespaces(ours: Iterable[Namespace], stored: Iterable[Namespace]) -> tuple[str, ...]:
    """Return our resource types that no stored namespace is associated with."""

    def targets(namespaces: Iterable[Namespace]) -> set[tuple[str, str | None]]:
        entries = (entry for each in namespaces for entry in each.associations.values())
        return {(entry.resource_type, entry.target) for entry in entries}

    return tuple(sorted({resource_type for resource_type, _ in targets(ours) - targets(stored)}))


def changes(seen: Namespace, now: Namespace) -> tuple[Item, ...]:
    """Return the items that were added to a namespace, removed from it or changed.

    The namespace's own fields do not count: unprotecting a namespace writes all of them.
    """
    before, after = seen.content(), now.content()
    items = sorted(before.keys() | after.keys(), key=str)
    return tuple(item for item in items if before.get(item) != after.get(item))


class Fault(enum.Enum):
    """A fault of a namespace; the values are finding IDs."""

    UNREADABLE = "metadefs-unreadable"
    MISSING = "metadefs-missing"
    PRIVATE = "metadefs-private"
    OUTDATED = "metadefs-outdated"
    CONFLICT = "metadefs-conflict"


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceFault:
    """The gravest fault of a namespace.

    :ivar name: name of the namespace, or :data:`EVERY_NAMESPACE`
    :ivar reason: why the namespace could not be read
    """

    name: str
    fault: Fault
    reason: str | None = None


def faults(definitions: Iterable[Comparison]) -> Iterator[NamespaceFault]:
    """Yield the gravest fault of each namespace that has one."""
    by_name: dict[str, list[Comparison]] = {}
    for each in definitions:
        by_name.setdefault(each.namespace, []).append(each)
    for name, comparisons in by_name.items():
        results = {each.result for each in comparisons}
        itself = [each for each in comparisons if each.item.kind is Kind.NAMESPACE]
        own = {each.result for each in itself}
        details = [detail for each in itself for detail in each.details]
        if Result.UNREADABLE in own:
            yield NamespaceFault(name, Fault.UNREADABLE, details[0].effect)
        elif Result.MISSING in own:
            yield NamespaceFault(name, Fault.MISSING)
        elif any(detail.field == "visibility" for detail in details):
            yield NamespaceFault(name, Fault.PRIVATE)
        elif results & {Result.MISSING, Result.DIFFERS}:
            yield NamespaceFault(name, Fault.OUTDATED)
        elif Result.CONFLICT in results:
            yield NamespaceFault(name, Fault.CONFLICT)
