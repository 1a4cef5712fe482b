# SPDX-License-Identifier: Apache-2.0
"""Live serial numbers from files: saved domain XML, and facts reported by guests."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from osc_uniqserial.guests import domain_xml, encodings
from osc_uniqserial.guests.domain_documents import Other, documents
from osc_uniqserial.guests.facts import readings
from osc_uniqserial.guests.json_objects import Between, Broken, objects
from osc_uniqserial.model.guest import Reading, Seen, Unread

#: How many bad documents, files or lines of a source are named.
_REPORTED = 3
#: Bytes that are read at once.
_CHUNK = 1 << 20


class _Counted:
    """The first items and the number of all."""

    def __init__(self) -> None:
        self.number = 0
        self._first: list[str] = []

    def add(self, item: str) -> bool:
        """Add an item; return whether it is one of the first."""
        self.number += 1
        if self.number <= _REPORTED:
            self._first.append(item)
        return self.number <= _REPORTED

    @property
    def more(self) -> int:
        """The number of items after the first ones."""
        return self.number - len(self._first)

    def __str__(self) -> str:
        """Return the first items, and the number of the others."""
        return ", ".join(self._first) + (f" and {self.more:,} more" if self.more else "")


class _SavedDomains:
    """One run over the files of a source."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._failed: list[Unread] = []
        #: Files that could not be opened, and files without any document of libvirt.
        self._unopened, self._without = _Counted(), _Counted()
        self._bad = _Counted()
        self._files = self._domains = 0
        #: Kinds of documents that are no domains.
        self._others: set[str] = set()

    def __iter__(self) -> Iterator[Seen]:
        """Read the files; yield readings, and at the end what is no domain."""
        for file in ["-"] if self._path == "-" else _files(self._path, self._fail):
            self._files += 1
            try:
                with opened(file) as stream:
                    yield from self._read(stream, named(file))
            except OSError as error:
                self._fail(error)
        yield from self._summary(named(self._path))

    def _fail(self, error: OSError) -> None:
        unread = _failed(error, self._path)
        if self._unopened.add(unread.source):
            self._failed.append(unread)

    def _read(self, stream: BinaryIO, name: str) -> Iterator[Seen]:
        number = 0
        for number, document in enumerate(documents(encodings.utf8(chunks_of(stream))), 1):
            if isinstance(document, Other):
                if not document.problem:
                    self._others.add(document.kind)
                    continue
                reason = f"{document.kind}: {document.problem}"
            else:
                self._domains += 1
                try:
                    yield domain_xml.parse(document, name)
                    continue
                except domain_xml.BadDomain as error:
                    reason = str(error)
            if self._bad.add(name):
                yield Unread(name, f"document {number}: {reason}")
        if not number:
            self._without.add(name)

    def _summary(self, name: str) -> Iterator[Unread]:
        if more := self._bad.more:
            noun = "document" if more == 1 else "documents"
            yield Unread(name, f"{more:,} more {noun} could not be read")
        yield from self._failed
        if more := self._unopened.more:
            noun = "file" if more == 1 else "files"
            yield Unread(name, f"{more:,} more {noun} could not be opened")
        if not self._files and not self._unopened.number:
            yield Unread(name, "it holds no files")
        elif self._files == 1 and self._without.number:
            yield Unread(str(self._without), "it holds no domain")
        elif self._without.number:
            yield Unread(name, f"files without a domain: {self._without}")
        elif not self._domains and self._others and not self._bad.number:
            yield Unread(name, f"it holds no domain, but <{'>, <'.join(sorted(self._others))}>")


def saved_domains(path: str) -> Iterator[Seen]:
    """Yield a reading for each domain in output of ``virsh dumpxml``.

    :param path: a file, a folder of files with any names, or ``-`` for standard input
    """
    yield from _SavedDomains(path)


def _files(path: str, failed: Callable[[OSError], None]) -> Iterator[str]:
    """Yield a file, or the regular files of a folder and its subfolders, sorted and each once."""
    if not os.path.isdir(path):
        yield path
        return
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(path, onerror=failed):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                found = os.stat(file)
            except OSError as error:
                failed(error)
                continue
            # Links lead to the same file. Reading a pipe without a writer would block.
            identity = (found.st_dev, found.st_ino)
            if stat.S_ISREG(found.st_mode) and identity not in seen:
                seen.add(identity)
                yield file


def opened(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    """Return an open file; ``-`` stands for standard input.

    :raises OSError: when it cannot be opened
    """
    if path != "-":
        return Path(path).open("rb")
    if sys.stdin is None:
        raise OSError(errno.EBADF, "It is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def named(path: str) -> str:
    """Return a path for messages."""
    return "standard input" if path == "-" else path


def _failed(error: OSError, path: str) -> Unread:
    return Unread(named(str(error.filename or path)), error.strerror or str(error))


def chunks_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces."""
    return iter(lambda: stream.read(_CHUNK), b"")


def facts(path: str) -> Iterator[Seen]:
    """Yield a reading for each UUID with its serial number in JSON, as reported by guests.

    :param path: a file, or ``-`` for standard input
    """
    try:
        with opened(path) as stream:
            yield from _facts(stream, named(path))
    except OSError as error:
        yield _failed(error, path)


def _facts(stream: BinaryIO, name: str) -> Iterator[Seen]:
    #: Lines by the reason why they could not be read.
    bad: dict[str, _Counted] = {}
    good = 0
    for each in objects(encodings.utf8(chunks_of(stream))):
        if isinstance(each, Between):
            continue
        for found in [each.reason] if isinstance(each, Broken) else readings(each.value, name):
            if isinstance(found, Reading):
                good += 1
                yield found
            else:
                bad.setdefault(found, _Counted()).add(f"{each.line:,}")
    if not good and not bad:
        yield Unread(name, "it holds no facts: no JSON with uuid and serial")
    for reason, lines in bad.items():
        noun = "line" if lines.number == 1 else "lines"
        yield Unread(name, f"{reason} in {noun} {lines}")
