# SPDX-License-Identifier: Apache-2.0
"""The file with the desired state. Text in, entries out: no file is opened. Pure."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osc_uniqserial import strict_yaml
from osc_uniqserial.policy import HostMode, Setting

if TYPE_CHECKING:
    import jsonschema

#: The most errors that a message lists.
_ERRORS_SHOWN = 20
_SCHEMA = Path(__file__).with_name("schema.json")
_SETTINGS = {"true": Setting.UNIQUE, "false": Setting.HOST, "unset": Setting.UNSET}

Path_ = tuple[str | int, ...]


class BadDocument(Exception):
    """The text is no desired state; the message lists the errors with their lines."""


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """Selects resources: one that is selected fits all that is given.

    :ivar id: an ID
    :ivar name: a name, exactly
    :ivar glob: a pattern for names: ``*``, ``?`` and ``[seq]``, with case (:mod:`fnmatch`)
    :ivar project: the ID of a project: the owner of an image, or the project of a server
    """

    id: str | None = None
    name: str | None = None
    glob: str | None = None
    project: str | None = None

    def __str__(self) -> str:
        """Return what is given, for a message."""
        given = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return ", ".join(f"{key} {strict_yaml.quoted(text)}" for key, text in given if text)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What flavors, images, aggregates or servers should have.

    :ivar line: number of its line in the file, from 1
    :ivar setting: None: it stays as it is
    :ivar hosts: ``supported``, ``aggregate`` or ``any``: what their servers require of hosts; None:
        it stays as it is
    """

    line: int
    selector: Selector
    setting: Setting | None
    hosts: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class HostEntry:
    """What hosts would be: None: as they are.

    :ivar aggregate: the name of a host aggregate that they are in
    :ivar driver: whether nova-uniqserial's driver runs there
    """

    line: int
    selector: Selector
    aggregate: str | None = None
    mode: HostMode | None = None
    driver: bool | None = None
    server_may_ask: bool | None = None
    image_may_show_host: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of a cloud.

    :ivar metadefs: the line that requires the metadata definitions; None: they stay as they
        are
    """

    flavors: tuple[Entry, ...] = ()
    images: tuple[Entry, ...] = ()
    aggregates: tuple[Entry, ...] = ()
    servers: tuple[Entry, ...] = ()
    hosts: tuple[HostEntry, ...] = ()
    metadefs: int | None = None


def parse(text: str) -> Desired:
    """Return the desired state in a text of YAML.

    :raises BadDocument: with the first errors
    """
    try:
        document = strict_yaml.load(text)
    except strict_yaml.BadYaml as error:
        raise BadDocument(str(error)) from error
    if document is None:
        raise BadDocument("it is empty: write entries of flavors, images, servers or others")
    lines: dict[Path_, int] = {}
    plain = _plain(document, (), lines)
    errors = _errors(plain, lines)
    shown = list(itertools.islice(errors, _ERRORS_SHOWN))
    if shown:
        left = sum(1 for _error in errors)
        raise BadDocument("; ".join(shown) + (f"; and {left:,} more" if left else ""))
    return _desired(plain, lines)


def _plain(node: strict_yaml.Node, path: Path_, lines: dict[Path_, int]) -> Any:
    """Return the values of a document, and the line of each by its path."""
    lines[path] = node.line
    if isinstance(node, strict_yaml.Scalar):
        return None if node.is_null else node.text
    if isinstance(node, strict_yaml.Sequence):
        return [_plain(item, (*path, number), lines) for number, item in enumerate(node.items)]
    values = {}
    for key, (written, value) in node.items.items():
        values[key] = _plain(value, (*path, key), lines)
        # An error about a value is found faster at its key.
        lines[(*path, key)] = written.line
    return values


def _errors(plain: Any, lines: dict[Path_, int]) -> Iterator[str]:
    """Yield the errors in the order of the lines."""
    validator = _validator()
    if validator.is_valid(_samples(plain)):
        return
    errors = list(validator.iter_errors(plain))
    # What is of the wrong type breaks other rules too.
    odd = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    found = (
        (lines[path], f"{_where(path)}{text}")
        for error in errors
        if error.validator == "type" or tuple(error.absolute_path) not in odd
        for path, text in _explained(error)
    )
    for line, text in sorted(set(found)):
        yield f"line {line}: {text}"


def _samples(plain: Any) -> Any:
    """Return a document with one of the entries that the schema does not distinguish.

    A file may have an entry for each of 100,000 servers, and validating an entry takes 0.1 ms.
    """
    if not isinstance(plain, dict):
        return plain
    return {
        kind: [*{_shape(kind, each): each for each in value}.values()]
        if isinstance(value, list)
        else value
        for kind, value in plain.items()
    }


def _shape(kind: str, entry: Any) -> object:
    """Return what the schema distinguishes entries by: their keys, and values of few choices."""
    if not isinstance(entry, dict) or not all(isinstance(each, str) for each in entry.values()):
        return id(entry)
    texts = _texts(kind)
    return tuple((key, bool(text) if key in texts else text) for key, text in entry.items())


@functools.cache
def _texts(kind: str) -> frozenset[str]:
    """Return the keys of entries that may have any text that is not empty (``$defs/text``)."""
    # jsonschema types a schema as anything that it may be.
    schema: Any = _validator().schema
    rules = schema["properties"].get(kind, {}).get("items", {}).get("properties", {})
    return frozenset(key for key, rule in rules.items() if rule == {"$ref": "#/$defs/text"})


def _explained(error: jsonschema.ValidationError) -> Iterator[tuple[Path_, str]]:
    """Yield where an error is, and what to write."""
    path = tuple(error.absolute_path)
    # jsonschema types all of these as anything that a schema may have.
    value: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        for key in value.keys() - schema["properties"].keys():
            known = ", ".join(schema["properties"])
            yield (*path, key), f"{strict_yaml.quoted(key)} is not known: write one of {known}"
    elif error.validator == "type":
        kinds = {"array": "a list", "object": "a mapping", "string": "a text"}
        yield path, f"{_described(value)} is not valid: write {kinds[rule]}"
    elif message := schema.get("errorMessage"):
        yield path, message
    elif error.validator == "enum":
        yield path, f"{_described(value)} is not valid: write {' or '.join(rule)}"
    elif error.validator == "required":
        yield path, f"write {' and '.join(key for key in rule if key not in value)}"
    else:
        yield path, error.message


def _where(path: Path_) -> str:
    """Return the entry of an error, as ``flavors, entry 2:``."""
    if not path:
        return ""
    number = f", entry {int(path[1]) + 1}" if len(path) > 1 else ""
    key = f", {path[2]}" if len(path) > 2 else ""
    return f"{path[0]}{number}{key}: "


def _described(value: Any) -> str:
    if isinstance(value, str):
        return strict_yaml.quoted(value)
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "no value"


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    # Importing jsonschema takes half as long as importing the rest of the Python API.
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def _desired(plain: dict[str, Any], lines: dict[Path_, int]) -> Desired:
    """Return a document that is valid."""

    def entries(kind: str) -> tuple[Entry, ...]:
        return tuple(
            Entry(
                lines[kind, number],
                _selector(item),
                _SETTINGS.get(item.get("unique_serial")),
                item.get("hosts"),
            )
            for number, item in enumerate(plain.get(kind, ()))
        )

    hosts = (
        HostEntry(
            lines["hosts", number],
            _selector(item),
            item.get("aggregate"),
            HostMode(item["mode"]) if "mode" in item else None,
            *(
                item[key] == "true" if key in item else None
                for key in ("driver", "server_may_ask", "image_may_show_host")
            ),
        )
        for number, item in enumerate(plain.get("hosts", ()))
    )
    return Desired(
        entries("flavors"),
        entries("images"),
        entries("aggregates"),
        entries("servers"),
        tuple(hosts),
        lines.get(("metadefs",)),
    )


def _selector(item: dict[str, str]) -> Selector:
    project = item.get("owner", item.get("project"))
    return Selector(item.get("id"), item.get("name"), item.get("glob"), project)
