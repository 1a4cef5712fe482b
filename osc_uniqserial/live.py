# SPDX-License-Identifier: Apache-2.0
"""Where live serial numbers are read: libvirt, domain XML that was saved, facts from guests.

A source yields readings, and what it could not read; it raises nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import queue
import re
import stat
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from osc_uniqserial import domains
from osc_uniqserial.domains import BadDomain, Domain
from osc_uniqserial.guests import HostSeen, Reading, Seen, Unread

#: Hosts that are read at the same time.
HOSTS_AT_ONCE = 64
#: Seconds that one connection may take for all that it does, unless told otherwise.
TIMEOUT = 60.0
#: How many bad documents or lines of a file are told one by one.
_TOLD = 3
#: With so many bad documents a file is something else, and is not read to its end.
_TOO_BAD = 1_000
#: Bytes that are read at once; the longest line of a file of facts.
_CHUNK = _LINE = 1 << 20


class Source(Protocol):
    """Something that live serial numbers are read from."""

    def __iter__(self) -> Iterator[Seen]:
        """Yield what there is."""


def _of_domain(domain: Domain, source: str, host: str | None = None) -> Reading:
    return Reading(
        domain.id,
        domain.serial,
        source,
        host,
        domain.generated,
        name=domain.name,
        nova=domain.nova,
    )


# --- files ------------------------------------------------------------------


class SavedDomains:
    """What ``virsh dumpxml`` printed: a file, a folder of files, or standard input (``-``)."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Seen]:
        """Yield a reading for each domain; names of files do not matter."""
        unread: list[OSError] = []
        anything = False
        for path in ["-"] if self._path == "-" else _files(self._path, unread.append):
            anything = True
            try:
                with _opened(path) as stream:
                    yield from _of_stream(stream, _named(path))
            except OSError as error:
                unread.append(error)
        for failure in unread:
            yield _failed(failure, self._path)
        if not anything and not unread:
            yield Unread(self._path, "it holds no files")


def _files(path: str, failed: Callable[[OSError], None]) -> Iterator[str]:
    """Yield a file, or the regular files of a folder and those in it, sorted."""
    if not os.path.isdir(path):
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=failed):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            try:
                # Nobody may write into a pipe for ever.
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


def _of_stream(stream: BinaryIO, name: str) -> Iterator[Seen]:
    chunks = iter(lambda: stream.read(_CHUNK), b"")
    number = bad = 0
    for number, document in enumerate(domains.documents(chunks), 1):
        try:
            yield _of_domain(domains.parse(document), name)
        except BadDomain as error:
            bad += 1
            if bad <= _TOLD:
                yield Unread(name, f"document {number}: {error}")
            if bad == _TOO_BAD:
                yield Unread(name, f"{bad:,} documents could not be read, and no more were tried")
                return
    if bad > _TOLD:
        yield Unread(name, f"{bad - _TOLD:,} more documents could not be read")
    if not number:
        yield Unread(name, "it holds no domain")


#: What agents tell of a guest without a serial number: Ansible "NA", dmidecode the others.
_NO_SERIAL = frozenset({"", "na", "n/a", "none", "not present", "not specified"})


class Facts:
    """What guests tell of themselves: JSON lines with ``uuid`` and ``serial``."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Seen]:
        """Yield a reading for each line."""
        try:
            with _opened(self._path) as stream:
                yield from self._lines(stream, _named(self._path))
        except OSError as error:
            yield _failed(error, self._path)

    def _lines(self, stream: BinaryIO, name: str) -> Iterator[Seen]:
        bad: list[int] = []
        number = facts = 0
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
            facts += 1
            serial = (serial or "").strip()
            yield Reading(id_, None if serial.lower() in _NO_SERIAL else serial, name)
        if not facts and not bad:
            yield Unread(name, "it holds no facts")
        if bad:
            lines = "line" if len(bad) == 1 else "lines"
            which = ", ".join(map(str, bad[:_TOLD]))
            more = f" and {len(bad) - _TOLD:,} more" if len(bad) > _TOLD else ""
            yield Unread(name, f"no uuid and serial in {lines} {which}{more}")


# --- libvirt ----------------------------------------------------------------

#: The ID of a domain that does not run (virDomainGetID); it takes no request.
_NOT_RUNNING = -1


class Libvirt:
    """Read-only connections to libvirt, each given the same time to answer."""

    def __init__(
        self,
        uris: Mapping[str, str | None],
        timeout: float,
        names: Mapping[str, str] | None = None,
        only: str | None = None,
    ) -> None:
        """Prepare to connect; nothing is done yet.

        :param uris: the host that each is for; None where that is not known
        :param timeout: seconds for all that one connection does
        :param names: of hosts as Nova has them, by what libvirt calls them
        :param only: the UUID of the one guest that is read; None: all are
        """
        self._uris = uris
        self._timeout = timeout
        self._names = names or {}
        self._only = only

    def __iter__(self) -> Iterator[Seen]:
        """Yield what hosts tell, as they answer; one that hangs keeps nobody waiting."""
        waiting = iter(self._uris.items())
        answers: queue.SimpleQueue[tuple[str, Sequence[Seen]]] = queue.SimpleQueue()
        running: dict[str, float] = {}
        left = len(self._uris)
        while left:
            while len(running) < HOSTS_AT_ONCE and (entry := next(waiting, None)):
                running[entry[0]] = time.monotonic() + self._timeout
                threading.Thread(target=self._ask, args=(*entry, answers), daemon=True).start()
            late = min(running.values()) - time.monotonic()
            try:
                uri, seen = answers.get(timeout=max(late, 0.01))
            except queue.Empty:
                now = time.monotonic()
                for uri in [uri for uri, end in running.items() if end <= now]:
                    del running[uri]
                    left -= 1
                    reason = f"no answer within {self._timeout:g} s"
                    yield Unread(uri, reason, self._uris[uri])
                continue
            # One that was given up may answer yet.
            if running.pop(uri, None) is not None:
                left -= 1
                yield from seen

    def _ask(
        self,
        uri: str,
        host: str | None,
        answers: queue.SimpleQueue[tuple[str, Sequence[Seen]]],
    ) -> None:
        try:
            seen: Sequence[Seen] = list(self._read(uri, host))
        except Exception as error:
            # Whatever it is, one host must not end the others.
            seen = [Unread(uri, str(error) or type(error).__name__, host)]
        answers.put((uri, seen))

    def _read(self, uri: str, host: str | None) -> Iterator[Seen]:
        try:
            import libvirt
        except ImportError:
            yield Unread(
                uri, "libvirt-python is not installed (pip install 'osc-uniqserial[libvirt]')"
            )
            return
        # It prints errors to standard error, which are told otherwise here.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.openReadOnly(_without_questions(uri))
        try:
            name = host
            if name is None:
                told = str(connection.getHostname())
                name = self._names.get(told, told)
            whole = True
            for each in _guests(libvirt, connection, self._only):
                guest = _of_guest(libvirt, each, uri, name)
                whole = whole and isinstance(guest, Reading)
                yield guest
            if whole:
                yield HostSeen(uri, name, _identity(libvirt, connection))
        finally:
            connection.close()


def expand(
    templates: Iterable[str], hosts: Iterable[str]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Return the URIs, and the hosts that get none: ``{host}`` stands for each host.

    :param hosts: names of compute services, which may hold anything
    """
    uris: dict[str, str | None] = {}
    odd: dict[str, None] = {}
    for template in templates:
        if "{host}" not in template:
            uris.setdefault(template, None)
            continue
        for host in hosts:
            # It becomes part of a URI, which may name commands and files.
            if re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z._-]*", host):
                uris[template.replace("{host}", host)] = host
            else:
                odd[host] = None
    return uris, tuple(odd)


def _without_questions(uri: str) -> str:
    """Return a URI whose ssh asks nobody for a password: that would wait for ever."""
    if "+ssh:" not in uri or "no_tty=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}no_tty=1"


def _guests(libvirt: Any, connection: Any, only: str | None) -> Sequence[Any]:
    if only is None:
        found: Sequence[Any] = connection.listAllDomains(0)
        return found
    try:
        return [connection.lookupByUUIDString(only)]
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return []
        raise


def _identity(libvirt: Any, connection: Any) -> tuple[str, ...]:
    """Return the hardware UUID that libvirt has of its host, where it tells one."""
    try:
        found = re.search(r"<uuid>([0-9A-Fa-f-]{36})</uuid>", connection.getCapabilities())
    except libvirt.libvirtError:
        return ()
    return (found[1].lower(),) if found else ()


def _sysinfo(text: str) -> tuple[str, str]:
    """Return the parts of a domain that decide its serial number, as libvirt writes them."""
    # Metadata come before, and may hold anything.
    tail = text.rpartition("</metadata>")[2]
    return (
        tail.partition("<sysinfo")[2].partition("</sysinfo>")[0],
        tail.partition("<smbios")[2].partition(">")[0],
    )


def _of_guest(libvirt: Any, guest: Any, uri: str, host: str) -> Seen:
    try:
        text = guest.XMLDesc(0)
        live = persistent = domains.parse(text.encode())
        if guest.ID() != _NOT_RUNNING:
            inactive = guest.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            # Parsing is most of what a guest costs here.
            if _sysinfo(inactive) != _sysinfo(text):
                persistent = domains.parse(inactive.encode())
    except BadDomain as error:
        return Unread(uri, f"domain {guest.name()}: {error}", host)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return Unread(uri, f"domain {guest.name()} went away while it was read", host)
        return Unread(uri, f"domain {guest.name()}: {error}", host)
    reading = _of_domain(live, uri, host)
    if persistent.serial != live.serial:
        reading = dataclasses.replace(reading, persistent=persistent.serial or "")
    return reading
