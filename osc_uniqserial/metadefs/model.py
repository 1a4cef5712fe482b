# SPDX-License-Identifier: Apache-2.0
"""Metadata definition namespaces: their items, our JSON files, and Glance's answers. Pure.

Only this package's JSON files are read. Their format is that of ``glance-manage
db_load_metadefs``, POST /v2/metadefs/namespaces and Horizon's Import Namespace.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import jsonschema

Json = dict[str, Any]

#: The package that holds the JSON files.
PACKAGE = "osc_uniqserial.metadefs"

#: The fields of a namespace itself that our files set.
OWN_FIELDS = ("display_name", "description", "visibility", "protected")
#: Fields of Glance's answers that requests must not have.
_READ_ONLY = frozenset({"self", "schema", "created_at", "updated_at"})


class Malformed(Exception):
    """The document is not a namespace; the message has every error and its place."""


class Kind(enum.Enum):
    """Kind of an item."""

    NAMESPACE = "namespace"
    PROPERTY = "property"
    ASSOCIATION = "association"
    OBJECT = "object"
    TAG = "tag"


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """A part of a namespace; ``name`` is empty for the namespace itself."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return the kind and the name, as shown in tables."""
        return f"{self.kind.value} {self.name}".rstrip()


def _without_none(**fields: Any) -> Json:
    return {field: value for field, value in fields.items() if value is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class Association:
    """An association of a namespace with a resource type."""

    resource_type: str
    prefix: str | None = None
    target: str | None = None

    def key(self, name: str) -> str:
        """Return the key of a property on this resource type."""
        return (self.prefix or "") + name

    def document(self) -> Json:
        """Return the JSON that Glance accepts."""
        return _without_none(
            name=self.resource_type, prefix=self.prefix, properties_target=self.target
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, from a file or from Glance.

    :ivar properties: the definitions of properties by name, unchanged
    :ivar objects: the definitions of objects by name, unchanged
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
        """Return the namespace of an answer of Glance.

        :raises Malformed: when the document is not a namespace
        """
        fields = _validated(document, "namespace")
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
            objects={
                entry["name"]: {key: entry[key] for key in entry if key not in _READ_ONLY}
                for entry in fields.get("objects", [])
            },
            tags=tuple(entry["name"] for entry in fields.get("tags", [])),
        )

    def content(self) -> Mapping[Item, object]:
        """Return the definition of every item, sorted by name within each kind."""
        parts: tuple[tuple[Kind, Mapping[str, object]], ...] = (
            (Kind.ASSOCIATION, self.associations),
            (Kind.PROPERTY, self.properties),
            (Kind.OBJECT, self.objects),
            (Kind.TAG, dict.fromkeys(self.tags, True)),
        )
        return {Item(kind, name): part[name] for kind, part in parts for name in sorted(part)}

    def own_fields(self) -> Json:
        """Return the body of PUT, which resets every field that is missing."""
        own = {field: getattr(self, field) for field in (*OWN_FIELDS, "owner")}
        return _without_none(namespace=self.name, **own)

    def document(self) -> Json:
        """Return the body of POST: the whole namespace."""
        content = {
            "resource_type_associations": [
                entry.document() for _name, entry in sorted(self.associations.items())
            ],
            "properties": dict(self.properties),
            "objects": list(self.objects.values()),
            "tags": [{"name": name} for name in self.tags],
        }
        return self.own_fields() | {field: value for field, value in content.items() if value}


def _validated(document: object, schema: str) -> Json:
    """Return a document that is valid by the schema ``schemas/<schema>.json``.

    :raises Malformed: with every error and its place
    """
    errors = _validator(schema).iter_errors(document)
    found = sorted(f"{error.json_path}: {error.message}" for error in errors)
    if found:
        raise Malformed("; ".join(found))
    return cast("Json", document)


@functools.cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    # Importing jsonschema takes half as long as importing the rest of the Python API.
    import jsonschema

    path = importlib.resources.files(PACKAGE) / "schemas" / f"{schema}.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def parse_file(text: str) -> Namespace:
    """Return the namespace of one of our files.

    :raises Malformed: when the text is not a namespace that Glance and Horizon accept
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Malformed(f"not JSON: {error}") from error
    _validated(document, "file")
    return Namespace.parse(document)


def parse_page(document: object) -> tuple[list[Namespace], bool]:
    """Return the namespaces of a page of Glance's list, and whether another page follows.

    :raises Malformed: when the document is not such a page
    """
    page = _validated(document, "page")
    return [Namespace.parse(entry) for entry in page.get("namespaces", [])], bool(page.get("next"))


def load() -> tuple[Namespace, ...]:
    """Return our namespaces, sorted by name.

    :raises Malformed: when a file is not valid; the message names the file
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
