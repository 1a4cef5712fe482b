# SPDX-License-Identifier: Apache-2.0
"""The journal of an apply: what each key was before. It is read for undoing the changes.

A file of JSON lines. The first line names the format and the cloud. A line with ``entry`` is on the
disk before its write is sent; the line with the same number as ``result`` follows the answer:
``done``, ``failed`` (surely not carried out) or ``unknown``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osc_uniqserial.desired.changes import Change
from osc_uniqserial.keys import is_key, is_valid
from osc_uniqserial.model.finding import Resource

_FORMAT, _VERSION = "osc-uniqserial", 1
#: The largest journal that is read. An entry with its result takes about 300 bytes.
MAX_BYTES = 128 << 20
#: What is left for the results of entries when no more entries are written.
_RESULTS = 1 << 16
#: The most characters of a name, which nothing is found by.
_LONGEST_NAME = 255
_LONGEST_ID = 255
_CLOUD = ("compute", "image", "region")
_RESOURCE = ("kind", "id", "name", "project_id")
_ENTRY = ("entry", *_RESOURCE, "key", "before", "after")
#: Results of writes.
DONE, FAILED, UNKNOWN = "done", "failed", "unknown"

#: What identifies a cloud: of each key of _CLOUD a text, or None.
Identity = Mapping[str, str | None]


class BadJournal(Exception):
    """The content is no journal; the message has the line and the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A write that was sent, or was about to be sent.

    :ivar line: number of its line in the file, from 1
    :ivar before: the text that was stored; None: the key was not set
    :ivar after: the text that was written; None: the key was removed
    :ivar result: ``done``, ``failed`` or ``unknown``; None: the journal ends before the answer
    """

    line: int
    resource: Resource
    key: str
    before: str | None
    after: str | None
    result: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """The content of a journal.

    :ivar is_torn: the last line is incomplete: that of a write that was not sent, or of a result
    """

    cloud: Identity
    entries: tuple[Entry, ...]
    is_torn: bool = False


class Journal:
    """A new journal; threads may share it."""

    def __init__(self, path: str, cloud: Identity) -> None:
        """Create the file, for its owner only.

        :raises OSError: when it exists, as a link too, or cannot be written
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._lock = threading.Lock()
        self._number = self._size = 0
        self._broken: OSError | None = None
        try:
            # The mask of the process may take rights away from the owner.
            os.fchmod(self._file, 0o600)
            self._append({"journal": _FORMAT, "version": _VERSION, "cloud": dict(cloud)}, sync=True)
            _sync_folder(Path(path).parent)
        except OSError:
            self.close()
            raise

    def begin(self, change: Change) -> int:
        """Record a change that is about to be written, and return its number.

        :raises OSError: when the entry is not on the disk, or the journal would be too large to be
            read; all later entries are refused then
        """
        about = change.resource
        name = about.name and about.name[:_LONGEST_NAME]
        texts = (about.type, about.id, name, about.project_id, change.key, change.now, change.then)
        with self._lock:
            if self._size > MAX_BYTES - _RESULTS:
                self._broken = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            self._append(
                dict(zip(_ENTRY, (self._number + 1, *map(_clean, texts)), strict=True)), sync=True
            )
            self._number += 1
            return self._number

    def end(self, number: int, result: str) -> None:
        """Record the result of an entry; without it, the entry is undone if it was carried out."""
        with self._lock, contextlib.suppress(OSError):
            self._append({"result": number, "outcome": result}, sync=False)

    def close(self) -> None:
        """Write what is not on the disk yet; later entries are refused."""
        with self._lock:
            self._broken = OSError("it is closed")
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)

    def _append(self, document: Mapping[str, Any], *, sync: bool) -> None:
        if self._broken is not None:
            # After a part of a line nothing may follow.
            raise self._broken
        content = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        self._size += len(content)
        try:
            while content:
                content = content[os.write(self._file, content) :]
            if sync:
                os.fsync(self._file)
        except OSError as error:
            self._broken = error
            raise


def _clean(text: str | None) -> str | None:
    """Return a text without lone surrogates, which are no characters."""
    return None if text is None else text.encode(errors="replace").decode()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: str) -> Record:
    """Return the content of a journal.

    :raises BadJournal: when the content is malformed or too large
    :raises OSError: when the file cannot be read
    """
    with Path(path).open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadJournal(f"it is larger than {MAX_BYTES >> 20} MiB")
    return parse(content)


def parse(content: bytes) -> Record:
    """Return the content of a journal.

    Only keys, kinds and values are accepted that ``apply`` writes; a text that was stored before
    may be any. The last line may be incomplete: the process or its host ended while writing it.

    :raises BadJournal: when it is malformed
    """
    first, *lines = content.split(b"\n")
    if not lines:
        raise BadJournal("line 1: it is not complete: nothing was applied with this journal")
    try:
        cloud = _header(_document(first))
    except ValueError as error:
        raise BadJournal(f"line 1: it is not the first line of a journal: {error}") from error
    entries: list[Entry] = []
    last = lines.pop()
    for line, text in enumerate(lines, 2):
        try:
            _add(entries, line, _document(text))
        except ValueError as error:
            raise BadJournal(f"line {line}: {error}") from error
    is_torn = False
    if last:
        try:
            _add(entries, len(lines) + 2, _document(last))
        except ValueError:
            is_torn = True
    return Record(cloud, tuple(entries), is_torn)


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text.decode())
        # Escapes of lone surrogates are valid JSON.
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def _header(document: dict[str, Any]) -> Identity:
    if document.get("journal") != _FORMAT:
        raise ValueError(f"journal is not {_FORMAT}")
    if document.get("version") != _VERSION:
        raise ValueError("it has another version of the format")
    cloud = document.get("cloud")
    if not isinstance(cloud, dict):
        raise ValueError("it names no cloud")
    _check(cloud, _CLOUD)
    return cloud


def _check(document: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Check that a document has these keys, each with a text or null."""
    if set(document) != set(keys):
        raise ValueError(f"its keys are not {', '.join(keys)}")
    wrong = [key for key in keys if not isinstance(document[key], str | None)]
    if wrong:
        raise ValueError(f"{wrong[0]} is neither a text nor null")


def _add(entries: list[Entry], line: int, document: dict[str, Any]) -> None:
    """Add an entry, or the result of one.

    :raises ValueError: when the document is neither
    """
    if "result" in document:
        number, result = document["result"], document.get("outcome")
        if set(document) != {"result", "outcome"} or result not in (DONE, FAILED, UNKNOWN):
            raise ValueError("it is not a result of done, failed or unknown")
        if type(number) is not int or not 0 < number <= len(entries):
            raise ValueError("it is the result of no entry before it")
        if entries[number - 1].result is not None:
            raise ValueError(f"it is a second result of entry {number}")
        entries[number - 1] = dataclasses.replace(entries[number - 1], result=result)
        return
    number = document.pop("entry", None)
    _check(document, _ENTRY[1:])
    if type(number) is not int or number != len(entries) + 1:
        raise ValueError(f"entry {len(entries) + 1} is missing")
    kind, id_, key, after = (document[name] for name in ("kind", "id", "key", "after"))
    if not (kind and key and is_key(kind, key)):
        raise ValueError(f"{key!r} of kind {kind!r} is not a key that apply writes")
    if not id_ or len(id_) > _LONGEST_ID:
        raise ValueError("its id is not an ID")
    if after is not None and not is_valid(kind, key, after):
        raise ValueError(f"after: {after!r} is not a value that apply writes")
    resource = Resource(*(document[name] for name in _RESOURCE))
    entries.append(Entry(line, resource, key, document["before"], after))
