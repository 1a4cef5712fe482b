# SPDX-License-Identifier: Apache-2.0
"""The Glance metadata definitions: what they should be, what differs, what to do.

Pure: the only thing read here are this package's own JSON files. They have
the form that ``glance-manage db_load_metadefs``, POST /v2/metadefs/namespaces
and Horizon's Import Namespace take.

How Glance keeps them (glance/api/v2/metadef_namespaces.py, metadef_properties.py):

- PUT on a namespace sets its own fields and nothing else; a field left out is
  wiped, and the namespace becomes private and unprotected.
- PUT and POST on one property store its name inside its definition. Horizon
  lets that name win over the prefixed one (tree.service.js, ``angular.extend``)
  and then writes the key without its prefix: ``unique_serial``. Only POST of a
  whole namespace stores properties without the name.
- An association cannot be changed, and in a protected namespace nothing can be
  deleted.

So a namespace whose content differs is made anew beside the stored one, with
everything in it that is not ours, and then takes its place. A deletion names
what the plan knows of: it is not for what somebody added since.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib.resources
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

import jsonschema

Json = dict[str, Any]

#: The package that holds the JSON files.
PACKAGE = "osc_uniqserial.namespaces"
COLLECTION = "/metadefs/namespaces"
#: Where a namespace is made anew before it takes its place.
REPLACEMENT = "::Replacement"

#: The fields of a namespace itself, as far as the files say them.
_OWN_FIELDS = ("display_name", "description", "visibility", "protected")
#: What Glance adds to its answers and takes back from nobody.
_READ_ONLY = frozenset({"self", "schema", "created_at", "updated_at"})

_NAME = {"type": "string", "minLength": 1, "maxLength": 80}
_FILE_SCHEMA: Json = {
    "type": "object",
    "required": [
        *("namespace", "display_name", "description", "visibility", "protected"),
        *("resource_type_associations", "properties"),
    ],
    "additionalProperties": False,
    "properties": {
        "namespace": _NAME,
        "display_name": _NAME,
        "description": {"type": "string", "minLength": 1, "maxLength": 500},
        "visibility": {"const": "public"},
        "protected": {"const": True},
        "resource_type_associations": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {"name": _NAME, "prefix": _NAME, "properties_target": _NAME},
            },
        },
        "properties": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["title", "description", "type", "enum"],
                "additionalProperties": False,
                "properties": {
                    "title": _NAME,
                    "description": {"type": "string", "minLength": 1},
                    # Not boolean: Horizon stores null for one saved untouched.
                    "type": {"const": "string"},
                    "enum": {
                        "type": "array",
                        "items": {"enum": ["true", "false", "True", "False"]},
                        "minItems": 2,
                        "maxItems": 2,
                        "uniqueItems": True,
                    },
                },
            },
        },
    },
}
_TEXT = {"type": ["string", "null"]}
_PROPERTIES = {"type": "object", "additionalProperties": {"type": "object"}}


def _things(**properties: Json) -> Json:
    named = {"name": {"type": "string"}, **properties}
    return {
        "type": "array",
        "items": {"type": "object", "required": ["name"], "properties": named},
    }


_ANSWER_SCHEMA: Json = {
    "type": "object",
    "required": ["namespace"],
    "properties": {
        "namespace": {"type": "string"},
        "display_name": _TEXT,
        "description": _TEXT,
        "visibility": _TEXT,
        "protected": {"type": ["boolean", "null"]},
        "owner": _TEXT,
        "resource_type_associations": _things(prefix=_TEXT, properties_target=_TEXT),
        "properties": _PROPERTIES,
        "objects": _things(properties=_PROPERTIES),
        "tags": _things(),
    },
}


#: The field of a detail that names a key offered twice: nothing else is expected.
KEY = "key"

_PAGE_SCHEMA: Json = {
    "type": "object",
    "properties": {"namespaces": {"type": "array"}, "next": _TEXT},
}


class Malformed(Exception):
    """A document is no namespace; the text names every place in it."""


class NotOurs(Exception):
    """A namespace of ours holds things that somebody else put there.

    :ivar rows: those things
    """

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self.rows = rows
        things = ", ".join(f"{row.item} of {row.namespace}" for row in rows)
        super().__init__(f"not ours: {things}")


class Kind(enum.Enum):
    """What a namespace is made of."""

    NAMESPACE = "namespace"
    PROPERTY = "property"
    ASSOCIATION = "association"
    OBJECT = "object"
    TAG = "tag"


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One thing of a namespace; ``name`` is empty for the namespace itself."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return the words for it in a table."""
        return f"{self.kind.value} {self.name}".rstrip()


@dataclasses.dataclass(frozen=True, slots=True)
class Association:
    """A resource type that a namespace is for."""

    resource_type: str
    prefix: str | None = None
    target: str | None = None

    def key(self, name: str) -> str:
        """Return the key that a property has on this resource type."""
        return (self.prefix or "") + name

    def document(self) -> Json:
        """Return what Glance takes."""
        fields = {
            "name": self.resource_type,
            "prefix": self.prefix,
            "properties_target": self.target,
        }
        return {field: value for field, value in fields.items() if value is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, as a file or Glance has it.

    :ivar objects: the definition of each object, by name; the same for
        properties. Both are kept as they are: not all of it is ours to read.
    """

    name: str
    display_name: str | None = None
    description: str | None = None
    visibility: str = "private"
    protected: bool = False
    owner: str | None = None
    associations: Mapping[str, Association] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    objects: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @classmethod
    def parse(cls, document: object) -> Namespace:
        """Read an answer of Glance.

        :raises Malformed: when it is not a namespace
        """
        fields = _validated(document, _ANSWER_SCHEMA)
        associations = [
            Association(
                entry["name"], entry.get("prefix") or None, entry.get("properties_target") or None
            )
            for entry in fields.get("resource_type_associations", [])
        ]
        return cls(
            name=fields["namespace"],
            display_name=fields.get("display_name"),
            description=fields.get("description"),
            visibility=fields.get("visibility") or "private",
            protected=bool(fields.get("protected")),
            owner=fields.get("owner"),
            associations={entry.resource_type: entry for entry in associations},
            properties=dict(fields.get("properties", {})),
            objects={entry["name"]: _writable(entry) for entry in fields.get("objects", [])},
            tags=tuple(entry["name"] for entry in fields.get("tags", [])),
        )

    def own_fields(self) -> Json:
        """Return what PUT takes: everything that it would wipe otherwise."""
        fields = {
            "namespace": self.name,
            "display_name": self.display_name,
            "description": self.description,
            "visibility": self.visibility,
            "protected": self.protected,
            "owner": self.owner,
        }
        return {field: value for field, value in fields.items() if value is not None}

    def document(self) -> Json:
        """Return what POST takes: the whole namespace."""
        content = {
            "resource_type_associations": [
                entry.document() for _name, entry in sorted(self.associations.items())
            ],
            "properties": dict(self.properties),
            "objects": list(self.objects.values()),
            "tags": [{"name": name} for name in self.tags],
        }
        return self.own_fields() | {field: value for field, value in content.items() if value}


def _validated(document: object, schema: Json) -> Json:
    """Return a document that is as a schema says, which is always one of an object.

    :raises Malformed: with every error and its place
    """
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    found = sorted(f"{error.json_path}: {error.message}" for error in errors)
    if found:
        raise Malformed("; ".join(found))
    return cast("Json", document)


def _writable(entry: Mapping[str, Any]) -> Json:
    return {field: value for field, value in entry.items() if field not in _READ_ONLY}


def parse_file(text: str) -> Namespace:
    """Read and check the text of one of our files.

    :raises Malformed: when a file is not what Glance and Horizon need
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    _validated(document, _FILE_SCHEMA)
    return Namespace.parse(document)


def parse_page(document: object) -> tuple[list[Namespace], bool]:
    """Read a page of a list; the second value tells whether another one follows.

    :raises Malformed: when it is something else
    """
    page = _validated(document, _PAGE_SCHEMA)
    return [Namespace.parse(entry) for entry in page.get("namespaces", [])], bool(page.get("next"))


def load() -> tuple[Namespace, ...]:
    """Return our namespaces, sorted by name.

    :raises Malformed: naming the file that is not as it should be
    """
    found = []
    for file in importlib.resources.files(PACKAGE).iterdir():
        if file.name.endswith(".json"):
            try:
                found.append(parse_file(file.read_text(encoding="utf-8")))
            except Malformed as error:
                raise Malformed(f"{file.name}: {error}") from error
    if not found:
        raise Malformed("the package holds no metadata definitions; install it again")
    return tuple(sorted(found, key=lambda namespace: namespace.name))


# --- what differs ---------------------------------------------------------


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
    for field in _OWN_FIELDS:
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


# --- what to do -----------------------------------------------------------


class Action(enum.Enum):
    """What becomes of an item."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept (not ours)"
    REMOVED = "removed"
    REMOVED_NOT_OURS = "removed (not ours)"
    ABSENT = "absent"


_ACTIONS = {
    Result.OK: Action.UNCHANGED,
    Result.MISSING: Action.CREATED,
    Result.DIFFERS: Action.UPDATED,
    Result.NOT_OURS: Action.KEPT,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What a plan does to one item."""

    namespace: str
    item: Item
    action: Action
    details: tuple[Detail, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One request that writes.

    :ivar right: the rule of Glance's policy that allows it
    :ivar words: what it does
    :ivar seen: namespaces that must still hold what is in these when the step
        is taken: the one that a deletion takes, as it was planned from, and the
        one that holds the same and stays
    """

    method: Literal["POST", "PUT", "DELETE"]
    path: str
    right: str
    words: str
    body: Json | None = None
    seen: tuple[Namespace, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a command will do. A dry run shows the rows and takes no step."""

    rows: tuple[Row, ...] = ()
    steps: tuple[Step, ...] = ()

    def __add__(self, other: Plan) -> Plan:
        """Return one plan, then the other."""
        return Plan(self.rows + other.rows, self.steps + other.steps)


def names(ours: Iterable[Namespace]) -> tuple[str, ...]:
    """Return the names under which Glance may hold something of ours."""
    return tuple(name for each in ours for name in (each.name, each.name + REPLACEMENT))


def path(name: str) -> str:
    """Return the path of one namespace."""
    return f"{COLLECTION}/{quote(name, safe=':')}"


def plan_install(ours: Sequence[Namespace], stored: Mapping[str, Namespace]) -> Plan:
    """Plan what makes Glance hold our namespaces.

    :param stored: what Glance holds of :func:`names`
    :raises NotOurs: when a replacement that an interrupted installation left
        holds things that the namespace itself does not
    """
    plan = Plan()
    for each in ours:
        plan += _install(each, stored.get(each.name), stored.get(each.name + REPLACEMENT))
    return plan


def plan_remove(
    ours: Sequence[Namespace], stored: Mapping[str, Namespace], force: bool = False
) -> Plan:
    """Plan the removal of our namespaces.

    :param force: remove what somebody else put into them too
    :raises NotOurs: when there is such a thing and ``force`` is not given
    """
    plan = Plan()
    for each in ours:
        found = [stored[name] for name in names([each]) if name in stored]
        if not found:
            plan += Plan((Row(each.name, Item(Kind.NAMESPACE), Action.ABSENT),))
        for there in found:
            plan += _removal(each, there)
    extra = tuple(row for row in plan.rows if row.action is Action.REMOVED_NOT_OURS)
    if extra and not force:
        raise NotOurs(extra)
    return plan


def _install(ours: Namespace, stored: Namespace | None, spare: Namespace | None) -> Plan:
    """Plan one namespace.

    :param spare: a replacement that an interrupted installation left
    """
    if stored is not None:
        plan = Plan() if spare is None else _discard(ours, stored, spare)
        return plan + Plan(_rows(ours, stored), _steps(ours, stored))
    if spare is not None:
        # The stored one was deleted already: its replacement holds all that it held.
        moved = dataclasses.replace(
            spare, **{field: getattr(ours, field) for field in ("name", *_OWN_FIELDS)}
        )
        return Plan(_rows(ours, spare), (_move(spare, moved), *_steps(ours, moved)))
    return Plan((Row(ours.name, Item(Kind.NAMESPACE), Action.CREATED),), (_create(ours),))


def _discard(ours: Namespace, stored: Namespace, spare: Namespace) -> Plan:
    """Plan to delete a replacement that is a copy of the stored namespace."""
    held = foreign(ours, stored)
    lost = [item for item in foreign(ours, spare) if item not in held]
    if lost:
        # Somebody made the namespace again before the installation was repeated.
        raise NotOurs(tuple(Row(spare.name, item, Action.KEPT) for item in lost))
    row = Row(spare.name, Item(Kind.NAMESPACE), Action.REMOVED)
    return Plan((row,), (*_unprotect(spare), _delete(spare, stored)))


def _rows(ours: Namespace, stored: Namespace) -> tuple[Row, ...]:
    return tuple(
        Row(found.namespace, found.item, _ACTIONS[found.result], found.details)
        for found in compare(ours, stored)
    )


def _steps(ours: Namespace, stored: Namespace) -> tuple[Step, ...]:
    """Plan what turns a stored namespace into ours, with all that is not ours in it.

    At every moment one namespace in Glance holds everything: the replacement
    is complete before the stored one goes.
    """
    merged = dataclasses.replace(
        ours,
        owner=stored.owner,
        associations={**stored.associations, **ours.associations},
        properties={**stored.properties, **ours.properties},
        objects=stored.objects,
        tags=stored.tags,
    )
    itself, *content = compare(ours, stored)
    if DIFFERENCES.isdisjoint(found.result for found in content):
        if itself.result is Result.OK:
            return ()
        return (_put(stored.name, merged, f"update namespace {ours.name}"),)
    spare = dataclasses.replace(
        merged, name=ours.name + REPLACEMENT, visibility="private", protected=False
    )
    return (
        _create(spare),
        *_unprotect(stored),
        _delete(stored, spare),
        _move(spare, merged),
    )


def _removal(ours: Namespace, stored: Namespace) -> Plan:
    return Plan(
        (
            Row(stored.name, Item(Kind.NAMESPACE), Action.REMOVED),
            *(Row(stored.name, item, Action.REMOVED_NOT_OURS) for item in foreign(ours, stored)),
        ),
        (*_unprotect(stored), _delete(stored)),
    )


def _create(namespace: Namespace) -> Step:
    words = f"create namespace {namespace.name}"
    return Step("POST", COLLECTION, "add_metadef_namespace", words, namespace.document())


def _put(name: str, fields: Namespace, words: str) -> Step:
    return Step("PUT", path(name), "modify_metadef_namespace", words, fields.own_fields())


def _move(stored: Namespace, to: Namespace) -> Step:
    return _put(stored.name, to, f"rename namespace {stored.name} to {to.name}")


def _unprotect(stored: Namespace) -> tuple[Step, ...]:
    """A protected namespace answers 403 to a deletion."""
    if not stored.protected:
        return ()
    fields = dataclasses.replace(stored, protected=False)
    return (_put(stored.name, fields, f"unprotect namespace {stored.name}"),)


def _delete(*seen: Namespace) -> Step:
    """Delete the first namespace; the second one holds what is in it, and stays."""
    name = seen[0].name
    words = f"delete namespace {name}"
    return Step("DELETE", path(name), "delete_metadef_namespace", words, seen=seen)
