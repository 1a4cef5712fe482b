# SPDX-License-Identifier: Apache-2.0
"""YAML files that a user gives: one document of texts, lists and mappings.

Scalars stay texts: ``012`` is no octal number and ``2030-01-01`` no date. Tags, aliases, duplicate
keys and further documents are refused where they begin, so that a small file cannot become a large
object. Every error has the line and what to write.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

#: The largest file, in bytes. 100,000 findings take about 20 MB.
MAX_BYTES = 32 * 2**20
#: The most values and keys of a document.
_MAX_NODES = 3_000_000
#: The most levels of lists and mappings.
_MAX_DEPTH = 8
#: The longest value that a message quotes, in characters.
_QUOTED = 60
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
#: The loader of libyaml, None where PyYAML is built without it: five times faster, but it refuses
#: escaped surrogates, which a written baseline may have.
_FAST: Any = getattr(yaml, "CSafeLoader", None)


class BadYaml(Exception):
    """The text is refused; the message has the line, the reason and what to write."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar, as it is written.

    :ivar line: number of its line, from 1
    :ivar plain: whether it is written without quotes
    """

    text: str
    line: int
    plain: bool = False

    @property
    def is_null(self) -> bool:
        """Whether it stands for no value: empty, ``~`` or ``null`` without quotes."""
        return self.plain and self.text in _NULLS

    def __str__(self) -> str:
        """Return the text for a message; a long one is shortened."""
        return quoted(self.text)


@dataclasses.dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: list[Node]
    line: int

    def __str__(self) -> str:
        """Return what it is, for a message."""
        return "a list"


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping.

    :ivar items: the key and the value, by the text of the key
    """

    items: dict[str, tuple[Scalar, Node]]
    line: int

    def text(self, key: str) -> str | None:
        """Return a value that is a scalar; None for others, for null and for a missing one."""
        _key, value = self.items.get(key, (None, None))
        return value.text if isinstance(value, Scalar) and not value.is_null else None

    def __str__(self) -> str:
        """Return what it is, for a message."""
        return "a mapping"


Node = Scalar | Sequence | Mapping


def quoted(text: str) -> str:
    """Return a text in quotes for a message; a long one is shortened."""
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")


def read(path: str) -> str:
    """Return the text of a file.

    :raises BadYaml: when it is too large, or not UTF-8
    :raises OSError: when it cannot be read
    """
    with Path(path).open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadYaml(f"it is larger than {MAX_BYTES // 2**20} MiB: give a smaller file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadYaml(f"line {line}: it is not UTF-8: save the file in UTF-8") from error


def load(text: str) -> Node | None:
    """Return the document; None for an empty one.

    :raises BadYaml: when it is no YAML, or YAML that is refused
    """
    if bad := Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise BadYaml(
            f"line {line}: it is not YAML: the character {bad[0]!a} is not allowed there: remove it"
        )
    if _FAST is not None:
        with contextlib.suppress(yaml.YAMLError):
            return _document(yaml.parse(text, Loader=_FAST))
    try:
        return _document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        why = ", ".join(filter(None, (error.context, error.problem)))
        raise BadYaml(
            f"{where}it is not YAML: {why}: write a text with special characters in quotes"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadYaml(f"it is not YAML: {error}") from error


def _document(events: Iterator[Any]) -> Node | None:
    """Build the only document from the events of the parser."""
    found: Node | None = None
    documents = nodes = 0
    #: The lists and mappings that are open, each mapping with the key whose value comes next.
    containers: list[Sequence | Mapping] = []
    keys: list[Scalar | None] = []
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise BadYaml(f"line {line}: a second document begins: write one document only")
        elif isinstance(event, yaml.CollectionEndEvent):
            containers.pop()
            keys.pop()
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            node = _node(event, line)
            if nodes > _MAX_NODES:
                raise BadYaml(f"line {line}: it has more than {_MAX_NODES:,} values")
            if not containers:
                found = node
            elif isinstance(parent := containers[-1], Sequence):
                parent.items.append(node)
            elif (key := keys[-1]) is None:
                keys[-1] = _key(node, parent)
            else:
                parent.items[key.text] = (key, node)
                keys[-1] = None
            if not isinstance(node, Scalar):
                containers.append(node)
                keys.append(None)
                if len(containers) > _MAX_DEPTH:
                    raise BadYaml(
                        f"line {line}: lists and mappings are nested more than {_MAX_DEPTH} deep"
                    )
    return None if isinstance(found, Scalar) and found.is_null else found


def _node(event: Any, line: int) -> Node:
    """Return the scalar, or the empty list or mapping, that an event begins."""
    if event.anchor is not None:
        sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
        raise BadYaml(
            f"line {line}: {quoted(sign + event.anchor)}: anchors and aliases are refused: write"
            " the value itself, in quotes if it begins with that sign"
        )
    if event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise BadYaml(f"line {line}: the tag {quoted(tag)} is refused: write the value without it")
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, line, not event.style)
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence([], line)
    return Mapping({}, line)


def _key(node: Node, parent: Mapping) -> Scalar:
    """Return the key of a mapping.

    :raises BadYaml: when it is no text, or there already
    """
    if not isinstance(node, Scalar):
        raise BadYaml(f"line {node.line}: a key is {node}: write a text")
    if node.is_null:
        raise BadYaml(f"line {node.line}: a key is empty: write a text, {node} in quotes")
    if node.text in parent.items:
        first = parent.items[node.text][0].line
        raise BadYaml(f"line {node.line}: {node} is in line {first} already: keep one of them")
    return node
