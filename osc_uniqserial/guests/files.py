# SPDX-License-Identifier: Apache-2.0
"""Live serial numbers from files: saved domain XML, and facts reported by guests."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from osc_uniqserial.guests import domain_xml
from osc_uniqserial.model.guest import Reading, Seen, Unread

#: How many bad documents or lines of a file are reported one by one.
_REPORTED = 3
#: Reading of a file stops after this number of bad documents.
_MAX_BAD = 1_000
#: Bytes that are read at once; the longest line of a file of facts.
_CHUNK = _LINE = 1 << 20


def saved_domains(path: str) -> Iterator[Seen]:
    """Yield a reading for each domain in output of ``virsh dumpxml``.

    :param path: a file, a folder of files with any names, or ``-`` for standard input
    """
    unread: list[OSError] = []
    empty = True
    for file in ["-"] if path == "-" else _files(path, unread.append):
        empty = False
        try:
            with _opened(file) as stream:
                yield from _domains(stream, _named(file))
        except OSError as error:
            unread.append(error)
    for failure in unread:
        yield _failed(failure, path)
    if empty and not unread:
        yield Unread(path, "it holds no files")


def _files(path: str, failed: Callable[[OSError], None]) -> Iterator[str]:
    """Yield a file, or the regular files of a folder and its subfolders, sorted."""
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=failed):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                # Reading a pipe without a writer would block.
                if stat.S_ISREG(os.stat(file).st_mode):
                    yield file
            except OSError as error:
                failed(error)


def _opened(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if path != "-":
        return Path(path).open("rb")
    if sys.stdin is None:
        raise OSError(errno.EBADF, "It is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def _named(path: str) -> str:
    return "standard input" if path == "-" else path


def _failed(error: OSError, path: str) -> Unread:
    return Unread(_named(str(error.filename or path)), error.strerror or str(error))


def _domains(stream: BinaryIO, name: str) -> Iterator[Seen]:
    chunks = iter(lambda: stream.read(_CHUNK), b"")
    number = bad = 0
    for number, document in enumerate(domain_xml.documents(chunks), 1):
        try:
            yield domain_xml.parse(document, name)
        except domain_xml.BadDomain as error:
            bad += 1
            if bad <= _REPORTED:
                yield Unread(name, f"document {number}: {error}")
            if bad == _MAX_BAD:
                yield Unread(name, f"{bad:,} documents could not be read, and no more were tried")
                return
    if bad > _REPORTED:
        yield Unread(name, f"{bad - _REPORTED:,} more documents could not be read")
    if not number:
        yield Unread(name, "it holds no domain")


#: Texts that agents and firmware have in place of a serial number, in lower case: Ansible reports
#: "NA" without root, dmidecode "Not Specified" and "<BAD INDEX>", firmware the others.
_NO_SERIAL = frozenset(
    {
        *("-", "0", "<bad index>", "bad index", "default", "default string", "empty", "n/a", "na"),
        *("nil", "none", "not applicable", "not available", "not present", "not specified", "null"),
        *("o.e.m.", "oem", "serial number", "system serial number", "to be filled by o.e.m."),
        *("undefined", "unknown", "unspecified"),
    }
)


def facts(path: str) -> Iterator[Seen]:
    """Yield a reading for each JSON line with ``uuid`` and ``serial``, as reported by guests.

    :param path: a file, or ``-`` for standard input
    """
    try:
        with _opened(path) as stream:
            yield from _facts(stream, _named(path))
    except OSError as error:
        yield _failed(error, path)


def _facts(stream: BinaryIO, name: str) -> Iterator[Seen]:
    bad: list[int] = []
    number = good = 0
    while line := stream.readline(_LINE):
        number += 1
        if not line.strip():
            continue
        try:
            fact: Any = json.loads(line)
            id_, serial = str(uuid.UUID(fact["uuid"])), fact["serial"]
            if serial is not None and not isinstance(serial, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            bad.append(number)
            continue
        good += 1
        if serial is not None:
            serial = serial.strip()
        without = serial is None or serial.lower() in _NO_SERIAL
        yield Reading(id_, None if without else serial, name)
    if not good and not bad:
        yield Unread(name, "it holds no facts")
    if bad:
        lines = "line" if len(bad) == 1 else "lines"
        which = ", ".join(map(str, bad[:_REPORTED]))
        more = f" and {len(bad) - _REPORTED:,} more" if len(bad) > _REPORTED else ""
        yield Unread(name, f"no uuid and serial in {lines} {which}{more}")
