# SPDX-License-Identifier: Apache-2.0
"""Inventories in CSV or JSON, as NetBox, GLPI, ServiceNow and Snipe-IT export them.

Names of columns are compared without case, spaces and punctuation. Sources of the names: NetBox,
virtualization/tables/virtualmachines.py and the REST API; GLPI, src/Computer.php
(rawSearchOptions) and the REST API; ServiceNow, tables cmdb_ci_computer and cmdb_ci_vm_instance;
Snipe-IT, ReportsController.php and the REST API.

The file is not trusted: it is read in pieces, and any error in it ends the reading.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.guests.encodings import utf8
from osc_uniqserial.guests.facts import stands_for_none
from osc_uniqserial.guests.files import chunks_of, named, opened
from osc_uniqserial.guests.json_objects import BLANKS, Between, Broken, objects
from osc_uniqserial.model.inventory import Entry, Inventory

#: The largest file in bytes, the longest line in bytes, and the most entries.
MAX_BYTES, MAX_LINE, MAX_ENTRIES = 512 << 20, 1 << 20, 2_000_000
#: The columns of each field; of several in one file the first counts.
COLUMNS: Mapping[str, Sequence[str]] = {
    "uuid": ("uuid", "cf_uuid", "object_id"),
    "name": ("name", "asset_name", "item_name"),
    "serial": ("serial_number", "serial"),
}
_DELIMITERS = (",", ";", "\t")
#: Keys of JSON objects that hold a page of entries: NetBox, ServiceNow, Snipe-IT.
_PAGES = ("results", "result", "rows")
#: Keys of a page: the number of all entries (NetBox, Snipe-IT), and the next page (NetBox).
_TOTALS, _NEXT = ("count", "total"), "next"
_NUMBER = re.compile(r"[0-9]{1,9}")
_ADD_PAGES = (
    "write all pages of the API into one file, one after the other (for example cat page-*.json)"
)
#: Keys of the errors of APIs: ServiceNow and GLPI, NetBox, Snipe-IT.
_ERRORS = ("error", "detail", "messages", "message")
#: The key of JSON objects that holds more fields: NetBox, Snipe-IT.
_CUSTOM = "custom_fields"
#: The most columns that a message lists, and the longest name of one.
_SHOWN, _LONGEST = 12, 40
_LONGEST_ERROR = 200


class BadInventory(Exception):
    """The file is no inventory; the message has the line and what to do."""


def read(path: str) -> Inventory:
    """Return the entries of a file.

    :param path: a file, or ``-`` for standard input
    :raises BadInventory: when the file cannot be read, or any line of it is wrong
    """
    try:
        with opened(path) as stream:
            unit, found = parse(_limited(chunks_of(stream)))
            entries = tuple(_bounded(found))
    except OSError as error:
        raise BadInventory(f"it cannot be read: {error.strerror or error}") from error
    if not entries:
        raise BadInventory("it holds no entries")
    return Inventory(named(path), unit, entries)


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise BadInventory(f"it has more than {MAX_BYTES >> 20} MiB: export fewer columns")
        yield chunk


def _bounded(entries: Iterable[Entry]) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if number == MAX_ENTRIES:
            raise BadInventory(f"it has more than {MAX_ENTRIES:,} entries: split it")
        yield entry


def parse(chunks: Iterable[bytes]) -> tuple[str, Iterator[Entry]]:
    """Return what numbers the entries of an inventory, ``line`` or ``entry``, and the entries.

    :param chunks: CSV or JSON in UTF-8, or in UTF-16 or UTF-32 with a byte order mark
    :raises BadInventory: at the first line that is wrong, also while the entries are read
    """
    decoded = utf8(chunks)
    blank, first = _first_line(decoded)
    text = itertools.chain([first], decoded)
    if first.lstrip()[:1] in (b"{", b"["):
        return "entry", _of_json(text, blank)
    return "line", _of_csv(_lines(text, blank), blank)


def _first_line(chunks: Iterator[bytes]) -> tuple[int, bytes]:
    """Skip the blank lines at the beginning.

    :returns: their number, and the chunk from the next line on
    """
    number, first = 0, b""
    for chunk in chunks:
        first += chunk
        blanks = len(first) - len(first.lstrip())
        begin = first.rfind(b"\n", 0, blanks) + 1
        number += first.count(b"\n", 0, begin)
        first = first[begin:]
        if begin + len(first) > blanks:
            break
        if len(first) > MAX_LINE:
            raise BadInventory(_too_long(number + 1))
    return number, first


# --- CSV ------------------------------------------------------------------------


def _lines(chunks: Iterable[bytes], number: int) -> Iterator[str]:
    """Yield lines with their ends; their length is bounded.

    :param number: of the line before the first one
    """
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield _text(line + b"\n", number)
        if len(rest) > MAX_LINE:
            _text(rest, number + 1)
    if rest:
        yield _text(rest, number + 1)


def _too_long(number: int) -> str:
    return f"line {number:,} has more than {MAX_LINE >> 20} MiB: it is no CSV"


def _text(line: bytes, number: int) -> str:
    if len(line) > MAX_LINE:
        raise BadInventory(_too_long(number))
    if b"\0" in line:
        raise BadInventory(f"line {number:,} has a null character: it is no CSV")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BadInventory(
            f"line {number:,} is not in UTF-8: export it again in UTF-8, or convert it (for"
            " example with iconv -f WINDOWS-1252 -t UTF-8)"
        ) from None


def _of_csv(lines: Iterator[str], before: int) -> Iterator[Entry]:
    """Yield the entries of lines.

    :param before: number of the line before the first one
    """
    first = ""
    for first in lines:
        if first.strip():
            break
        before += 1
    delimiter = max(_DELIMITERS, key=lambda each: _score(first, each))
    reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    columns: Mapping[str, int] = {}
    width = 0
    for line_number, cells in _rows(reader, before):
        if not columns:
            columns, width = _columns(cells, line_number), len(cells)
        elif len(cells) != width:
            raise BadInventory(
                f"line {line_number:,} has {len(cells):,} cells, and the header has {width:,}:"
                " check the quotes and the delimiter"
            )
        else:
            yield _entry(line_number, {field: cells[at] for field, at in columns.items()})


def _rows(reader: Any, before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with the number of the line on which each begins."""
    while True:
        begin = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadInventory(
                f"line {begin:,} cannot be read as CSV: {error}; check the quotes"
            ) from error
        if cells is None:
            return
        if cells and (len(cells) > 1 or cells[0].strip()):
            yield begin, cells


def _score(header: str, delimiter: str) -> int:
    """Return how many fields a header has with a delimiter."""
    try:
        cells = next(csv.reader([header], delimiter=delimiter))
    except csv.Error:
        return 0
    return len(_positions(cells))


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


_FIELDS = {
    _plain(name): (field, rank)
    for field, names in COLUMNS.items()
    for rank, name in enumerate(names)
}


def _positions(names: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    """Return the ranks and positions of the columns of each field, best first."""
    found: dict[str, list[tuple[int, int]]] = {}
    for at, name in enumerate(names):
        if field := _FIELDS.get(_plain(name[:_LONGEST])):
            found.setdefault(field[0], []).append((field[1], at))
    return {field: sorted(each) for field, each in found.items()}


def _columns(header: Sequence[str], line: int) -> Mapping[str, int]:
    """Return the position of each field.

    :raises BadInventory: when a field is missing, or two columns have one name
    """
    found = _positions(header)
    if "serial" not in found or not found.keys() & {"uuid", "name"}:
        names = ", ".join(repr(each[:_LONGEST]) for each in header[:_SHOWN])
        more = f" and {len(header) - _SHOWN:,} more" if len(header) > _SHOWN else ""
        raise BadInventory(f"line {line:,} has the columns {names}{more}: {_NEEDED}")
    for each in found.values():
        if len(each) > 1 and each[0][0] == each[1][0]:
            name = repr(header[each[0][1]][:_LONGEST])
            raise BadInventory(f"line {line:,} has the column {name} twice: leave one of them out")
    return {field: each[0][1] for field, each in found.items()}


_NEEDED = (
    f"it needs one of {', '.join(COLUMNS['serial'])}, and one of"
    f" {', '.join((*COLUMNS['uuid'], *COLUMNS['name']))}"
)


# --- JSON -----------------------------------------------------------------------


def _of_json(chunks: Iterable[bytes], before: int) -> Iterator[Entry]:
    """Yield the entries of JSON.

    :param before: number of the line before the first one
    """
    number = 0
    array, pages = _Array(), _Pages()
    for each in objects(chunks):
        line = before + each.line
        if isinstance(each, Broken):
            raise BadInventory(
                f"line {line:,} cannot be read as JSON: {each.reason}; write one entry on each"
                " line (for example with jq -c '.results[]')"
            )
        if isinstance(each, Between):
            array.add(each.text, line)
            continue
        for item in pages.entries(each.value):
            number += 1
            yield _entry(number, _fields(item, f"entry {number:,} (line {line:,})"))
    array.end()
    pages.end(number)


class _Array:
    """The brackets around the objects of a file."""

    def __init__(self) -> None:
        self._is_open = False

    def add(self, text: bytes, line: int) -> None:
        """Check text between objects.

        :raises BadInventory: when it has more than the brackets of an array
        """
        brackets = text.translate(None, BLANKS).replace(b"[]", b"")
        expected = (b"]", b"][") if self._is_open else (b"[",)
        if brackets and brackets not in expected:
            shown = text[:_LONGEST].decode(errors="replace")
            raise BadInventory(
                f"line {line:,} has {shown!r} where an entry is expected: it may be an error of the"
                " API"
            )
        if brackets:
            self._is_open = brackets != b"]"

    def end(self) -> None:
        """Check that no array is open at the end of the file.

        :raises BadInventory: when one is
        """
        if self._is_open:
            raise BadInventory("its array has no end: it was cut off; export it again")


class _Pages:
    """The pages of APIs in a file."""

    def __init__(self) -> None:
        self._total = 0
        #: Whether a page has the address of another one, and whether any page is the last one.
        self._continues = self._ends = False

    def entries(self, value: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the entries of an object: itself, or those of a page."""
        pages = [value[key] for key in _PAGES if isinstance(value.get(key), list)]
        if not pages:
            yield value
            return
        for page in pages:
            yield from page
        for key in _TOTALS:
            total = value.get(key)
            # Numbers are texts here.
            if isinstance(total, str) and _NUMBER.fullmatch(total):
                self._total = max(self._total, int(total))
        if _NEXT in value:
            self._continues |= bool(value[_NEXT])
            self._ends |= not value[_NEXT]

    def end(self, read: int) -> None:
        """Check that the pages are complete.

        :param read: number of entries that the file has
        :raises BadInventory: when entries are missing
        """
        if read < self._total:
            raise BadInventory(f"it has {read:,} of {self._total:,} entries: {_ADD_PAGES}")
        if self._continues and not self._ends:
            raise BadInventory(f"it has no last page: {_ADD_PAGES}")


def _fields(item: Any, where: str) -> dict[str, str]:
    """Return the fields of an object.

    :raises BadInventory: when one is missing or no text
    """
    if not isinstance(item, dict):
        raise BadInventory(f"{where} is no object")
    custom = item.get(_CUSTOM)
    flat = {**(custom if isinstance(custom, dict) else {}), **item}
    names = list(flat)
    found = _positions(names)
    if "serial" not in found or not found.keys() & {"uuid", "name"}:
        for error in (item[key] for key in _ERRORS if item.get(key)):
            shown = json.dumps(error, ensure_ascii=False)[:_LONGEST_ERROR]
            raise BadInventory(f"{where} is an error of the API: {shown}")
        raise BadInventory(f"{where} lacks keys: {_NEEDED}")
    fields = {}
    for field, each in found.items():
        value = flat[names[each[0][1]]]
        if isinstance(value, dict):
            # A custom field of Snipe-IT.
            value = value.get("value")
        if value is not None and not isinstance(value, str):
            raise BadInventory(f"{where} has a {field} that is no text")
        fields[field] = value or ""
    return fields


# --- entries ----------------------------------------------------------------------


def _entry(at: int, fields: Mapping[str, str]) -> Entry:
    name = fields.get("name", "").strip()
    serial = _meaning(fields["serial"])
    text = _meaning(fields.get("uuid", ""))
    id_ = _uuid(text)
    return Entry(at, id_, name, serial, is_other=bool(text) and id_ is None)


def _meaning(text: str) -> str:
    """Return a text without blanks; empty when it stands for no value."""
    text = text.strip()
    return "" if stands_for_none(text) else text


def _uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
