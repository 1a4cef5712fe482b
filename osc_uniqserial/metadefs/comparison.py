# SPDX-License-Identifier: Apache-2.0
"""How stored namespaces differ from ours, and which other ones offer the same keys. Pure."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.metadefs.model import OWN_FIELDS, Item, Kind, Namespace

#: The field of a detail that names a key offered twice: nothing else is expected.
KEY = "key"


class Result(enum.Enum):
    """What a comparison found."""

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
    """One field that differs; ``effect`` says what comes of it."""

    field: str
    stored: Any = None
    expected: Any = None
    effect: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """What was found of one item."""

    namespace: str
    item: Item
    result: Result
    details: tuple[Detail, ...] = ()


def compare(ours: Namespace, stored: Namespace | None) -> tuple[Comparison, ...]:
    """Compare a stored namespace with ours, item by item.

    What is in the stored one and not in ours is somebody else's, and no
    difference. A namespace that is not there is one difference.
    """
    if stored is None:
        effect = "not there, or private to a project that this user is not in"
        details = (Detail("namespace", None, None, effect),)
        return (Comparison(ours.name, Item(Kind.NAMESPACE), Result.MISSING, details),)
    return (
        _comparison(ours, Item(Kind.NAMESPACE), _own_field_details(ours, stored)),
        *_compare_associations(ours, stored),
        *_compare_properties(ours, stored),
        *(Comparison(ours.name, item, Result.NOT_OURS) for item in foreign(ours, stored)),
    )


def foreign(ours: Namespace, stored: Namespace) -> tuple[Item, ...]:
    """Return what somebody else put into a namespace of ours."""
    extra = (
        (Kind.ASSOCIATION, stored.associations.keys() - ours.associations.keys()),
        (Kind.PROPERTY, stored.properties.keys() - ours.properties.keys()),
        (Kind.OBJECT, stored.objects.keys() - ours.objects.keys()),
        (Kind.TAG, set(stored.tags) - set(ours.tags)),
    )
    return tuple(Item(kind, name) for kind, names in extra for name in sorted(names))


def _comparison(ours: Namespace, item: Item, details: Iterable[Detail]) -> Comparison:
    found = tuple(details)
    return Comparison(ours.name, item, Result.DIFFERS if found else Result.OK, found)


def _own_field_details(ours: Namespace, stored: Namespace) -> Iterator[Detail]:
    if stored.name != ours.name:
        effect = "an installation was interrupted; install again"
        yield Detail("namespace", stored.name, ours.name, effect)
    for field in OWN_FIELDS:
        is_now, should_be = getattr(stored, field), getattr(ours, field)
        if is_now != should_be:
            private = field == "visibility"
            yield Detail(
                field,
                is_now,
                should_be,
                "only its project and administrators see it" if private else None,
            )


def _compare_associations(ours: Namespace, stored: Namespace) -> Iterator[Comparison]:
    for name, expected in ours.associations.items():
        item = Item(Kind.ASSOCIATION, name)
        found = stored.associations.get(name)
        if found is None:
            yield Comparison(ours.name, item, Result.MISSING)
            continue
        details = []
        if found.prefix != expected.prefix:
            keys = ", ".join(found.key(each) for each in ours.properties)
            effect = f"Horizon writes the key {keys}"
            details.append(Detail("prefix", found.prefix, expected.prefix, effect))
        if found.target != expected.target:
            effect = "Horizon offers it for other properties than those that Nova reads"
            details.append(Detail("properties_target", found.target, expected.target, effect))
        yield _comparison(ours, item, details)


def _compare_properties(ours: Namespace, stored: Namespace) -> Iterator[Comparison]:
    for name, expected in ours.properties.items():
        item = Item(Kind.PROPERTY, name)
        found = stored.properties.get(name)
        if found is None:
            yield Comparison(ours.name, item, Result.MISSING)
            continue
        yield _comparison(
            ours,
            item,
            (
                Detail(field, found.get(field), expected.get(field), _effect(field, found))
                for field in sorted(found.keys() | expected.keys())
                if found.get(field) != expected.get(field)
                and not (field == "name" and _harmless_name(ours, name, found["name"]))
            ),
        )


def _harmless_name(ours: Namespace, name: str, stored: object) -> bool:
    """Tell whether a name inside a definition is the key on every resource type."""
    return all(stored == entry.key(name) for entry in ours.associations.values())


def _effect(field: str, stored: Mapping[str, Any]) -> str | None:
    """Say what comes of a field of a property that differs (seen in Horizon)."""
    if field == "name":
        return f"Horizon writes the key {stored['name']}, without its prefix"
    if field == "type" and stored.get("type") == "boolean":
        return "Horizon stores null when it is added and saved untouched"
    if field == "enum" and not stored.get("enum"):
        return "Horizon takes any text"
    if field == "default":
        return "Horizon stores it when nothing was chosen"
    if field == "readonly":
        return "Horizon lets nobody set it"
    return None


# --- the same key offered twice -------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a key is offered. Horizon compares keys without regard to case."""

    resource_type: str
    target: str | None
    key: str


def _places(namespace: Namespace, names: Iterable[str]) -> Iterator[tuple[_Place, str, str]]:
    """Yield each place where a namespace offers properties, the key and the name."""
    for name in names:
        for entry in namespace.associations.values():
            key = entry.key(name)
            yield _Place(entry.resource_type, entry.target, key.casefold()), key, name


def _owners(ours: Iterable[Namespace]) -> dict[_Place, str]:
    return {
        place: namespace.name
        for namespace in ours
        for place, _key, _name in _places(namespace, namespace.properties)
    }


def may_conflict(ours: Iterable[Namespace], other: Namespace) -> bool:
    """Tell from its associations whether a namespace could offer a key of ours."""
    return any(
        place.resource_type == entry.resource_type
        and place.target == entry.target
        and place.key.startswith((entry.prefix or "").casefold())
        for place in _owners(ours)
        for entry in other.associations.values()
    )


def conflicts(ours: Iterable[Namespace], stored: Namespace) -> tuple[Comparison, ...]:
    """Find keys of ours that a stored namespace offers to the same resource type.

    Its objects offer properties too. Ours may conflict: an association that
    somebody added to one can offer a key that is the other's.
    """
    owners = _owners(ours)
    found: dict[Item, list[Detail]] = {}
    for place, key, name in _places(stored, stored.properties):
        owner = owners.get(place)
        if owner is not None and owner != stored.name:
            item = Item(Kind.PROPERTY, name)
            found.setdefault(item, []).append(_conflict(key, place, owner))
    for name, definition in stored.objects.items():
        item = Item(Kind.OBJECT, name)
        for place, key, _name in _places(stored, definition.get("properties") or {}):
            if place in owners:
                found.setdefault(item, []).append(_conflict(key, place, owners[place]))
    return tuple(
        Comparison(stored.name, item, Result.CONFLICT, tuple(details))
        for item, details in found.items()
    )


def leftover(name: str) -> Comparison:
    """Report a replacement that never took its place."""
    detail = Detail("namespace", name, None, "an installation was interrupted; install again")
    return Comparison(name, Item(Kind.NAMESPACE), Result.DIFFERS, (detail,))


def _conflict(key: str, place: _Place, owner: str) -> Detail:
    effect = (
        f"{owner} offers it to {place.resource_type} too:"
        " Horizon shows both, and what it reads and writes is up to one of them"
    )
    return Detail(KEY, key, None, effect)


def without_namespaces(ours: Iterable[Namespace], stored: Iterable[Namespace]) -> tuple[str, ...]:
    """Return those of our resource types that no stored namespace is for."""
    wanted = {
        (entry.resource_type, entry.target) for each in ours for entry in each.associations.values()
    }
    there = {
        (entry.resource_type, entry.target)
        for each in stored
        for entry in each.associations.values()
    }
    return tuple(sorted({resource_type for resource_type, _target in wanted - there}))


def changes(seen: Namespace, now: Namespace) -> tuple[Item, ...]:
    """Return what was put into a namespace, taken out of it or changed in it.

    The fields of the namespace itself do not count: they are ours to set, and
    unprotecting it writes them all.
    """
    parts: tuple[tuple[Kind, Mapping[str, object], Mapping[str, object]], ...] = (
        (Kind.ASSOCIATION, seen.associations, now.associations),
        (Kind.PROPERTY, seen.properties, now.properties),
        (Kind.OBJECT, seen.objects, now.objects),
        (Kind.TAG, dict.fromkeys(seen.tags, True), dict.fromkeys(now.tags, True)),
    )
    return tuple(
        Item(kind, name)
        for kind, was, is_now in parts
        for name in sorted(was.keys() | is_now.keys())
        if was.get(name) != is_now.get(name)
    )


# --- the gravest of each namespace ------------------------------------------

#: Stands for the list of all namespaces.
EVERY_NAMESPACE = "*"


class Fault(enum.Enum):
    """What is wrong with a namespace, by the ID of the finding."""

    UNREADABLE = "metadefs-unreadable"
    MISSING = "metadefs-missing"
    PRIVATE = "metadefs-private"
    OUTDATED = "metadefs-outdated"
    CONFLICT = "metadefs-conflict"


@dataclasses.dataclass(frozen=True, slots=True)
class NamespaceFault:
    """A namespace with the gravest thing that is wrong with it.

    :ivar name: of the namespace, or :data:`EVERY_NAMESPACE`
    :ivar reason: why it could not be read
    """

    name: str
    fault: Fault
    reason: str | None = None


def faults(definitions: Iterable[Comparison]) -> Iterator[NamespaceFault]:
    """Yield what is wrong with each namespace, the gravest only."""
    by_name: dict[str, list[Comparison]] = {}
    for each in definitions:
        by_name.setdefault(each.namespace, []).append(each)
    for name, comparisons in by_name.items():
        if found := _fault(name, comparisons):
            yield found


def _fault(name: str, comparisons: Sequence[Comparison]) -> NamespaceFault | None:
    results = {found.result for found in comparisons}
    itself = next((found for found in comparisons if found.item.kind is Kind.NAMESPACE), None)
    fields = {detail.field for detail in itself.details} if itself else set()
    if itself and itself.result is Result.UNREADABLE:
        return NamespaceFault(name, Fault.UNREADABLE, itself.details[0].effect)
    if itself and itself.result is Result.MISSING:
        return NamespaceFault(name, Fault.MISSING)
    if "visibility" in fields:
        return NamespaceFault(name, Fault.PRIVATE)
    if results & {Result.MISSING, Result.DIFFERS}:
        return NamespaceFault(name, Fault.OUTDATED)
    if Result.CONFLICT in results:
        return NamespaceFault(name, Fault.CONFLICT)
    return None
