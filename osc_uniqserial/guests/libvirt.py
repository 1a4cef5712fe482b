# SPDX-License-Identifier: Apache-2.0
"""Live serial numbers from libvirt, through read-only connections."""

from __future__ import annotations

import dataclasses
import queue
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osc_uniqserial.guests import children, domain_xml
from osc_uniqserial.masking import without_secrets
from osc_uniqserial.model.guest import HostSeen, Reading, Seen, Unread

#: Hosts that are read at the same time.
HOSTS_AT_ONCE = 64
#: Default timeout of one connection, for all its requests together, in seconds.
TIMEOUT = 60.0
#: ID of a domain that is not running (virDomainGetID); reading it sends no request.
_NOT_RUNNING = -1
_Answers = queue.SimpleQueue[tuple[str, Sequence[Seen]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Libvirt:
    """Read-only connections to libvirt; iterating opens them.

    :ivar uris: the compute host of each URI; None where it is unknown
    :ivar timeout: seconds for all requests of one connection
    :ivar names: Nova's names of hosts, by the host name that libvirt reports
    :ivar only: UUID of the only guest to read; None: all guests
    """

    uris: Mapping[str, str | None]
    timeout: float
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    only: str | None = None

    def __iter__(self) -> Iterator[Seen]:
        """Yield the readings of hosts as they answer; a host that hangs delays no other."""
        threads: dict[str, threading.Thread] = {}
        with children.ended_by_sigterm():
            try:
                yield from self._answers(threads)
            finally:
                # After an interruption, connections are still open.
                children.end(threads.values())

    def _answers(self, threads: dict[str, threading.Thread]) -> Iterator[Seen]:
        """Yield the readings.

        :param threads: gets the thread of each URI
        """
        waiting = iter(self.uris.items())
        answers: _Answers = queue.SimpleQueue()
        running: dict[str, float] = {}
        left = len(self.uris)
        while left:
            while len(running) < HOSTS_AT_ONCE and (entry := next(waiting, None)):
                running[entry[0]] = time.monotonic() + self.timeout
                thread = threading.Thread(target=self._connect, args=(*entry, answers), daemon=True)
                threads[entry[0]] = thread
                thread.start()
            wait = min(running.values()) - time.monotonic()
            try:
                uri, seen = answers.get(timeout=max(wait, 0.01))
            except queue.Empty:
                now = time.monotonic()
                late = [uri for uri, end in running.items() if end <= now]
                children.end(threads[uri] for uri in late)
                for uri in late:
                    del running[uri]
                    left -= 1
                    yield Unread(
                        without_secrets(uri), f"no answer within {self.timeout:g} s", self.uris[uri]
                    )
                continue
            # A connection may answer after its timeout.
            if running.pop(uri, None) is not None:
                left -= 1
                yield from seen

    def _connect(self, uri: str, host: str | None, answers: _Answers) -> None:
        try:
            seen: Sequence[Seen] = list(self._read(uri, host))
        except Exception as error:
            # An error on one host must not stop the others.
            reason = without_secrets(str(error)) or type(error).__name__
            seen = [Unread(without_secrets(uri), reason, host)]
        answers.put((uri, seen))

    def _read(self, uri: str, host: str | None) -> Iterator[Seen]:
        source = without_secrets(uri)
        try:
            import libvirt
        except ImportError:
            yield Unread(
                source, "libvirt-python is not installed (pip install 'osc-uniqserial[libvirt]')"
            )
            return
        # By default libvirt prints errors to standard error; here they are readings.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connection = libvirt.openReadOnly(_without_prompts(uri))
        try:
            name = host
            if name is None:
                hostname = str(connection.getHostname())
                name = self.names.get(hostname, hostname)
            whole = True
            for each in _guests(libvirt, connection, self.only):
                guest = _of_guest(libvirt, each, source, name)
                whole = whole and isinstance(guest, Reading)
                yield guest
            if whole:
                yield HostSeen(source, name, _identity(libvirt, connection))
        finally:
            connection.close()


def expand(
    templates: Iterable[str], hosts: Iterable[str]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Replace ``{host}`` in URIs with each host.

    :param hosts: names of compute services
    :returns: the URIs with their hosts, and the hosts whose names cannot be part of a URI
    """
    uris: dict[str, str | None] = {}
    unusable: dict[str, None] = {}
    for template in templates:
        if "{host}" not in template:
            uris.setdefault(template, None)
            continue
        for host in hosts:
            # Names are untrusted, and parameters of a URI can name commands and files.
            if re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z._-]*", host):
                uris[template.replace("{host}", host)] = host
            else:
                unusable[host] = None
    return uris, tuple(unusable)


def _without_prompts(uri: str) -> str:
    """Return a URI with ``no_tty=1`` where ssh could otherwise prompt for a password."""
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
    """Return the host's hardware UUID as reported by libvirt; empty without one."""
    try:
        found = re.search(r"<uuid>([0-9A-Fa-f-]{36})</uuid>", connection.getCapabilities())
    except libvirt.libvirtError:
        return ()
    return (found[1].lower(),) if found else ()


def _sysinfo(text: str) -> tuple[str, str, str]:
    """Return the parts of a domain's XML that decide its serial number."""
    # Metadata precede these elements and may have any content.
    tail = text.rpartition("</metadata>")[2]
    return (
        tail.partition("<sysinfo")[2].partition("</sysinfo>")[0],
        tail.partition("<smbios")[2].partition(">")[0],
        # The last element (libvirt, docs/schemas/domaincommon.rng, qemucmdline).
        tail.partition("<qemu:commandline")[2],
    )


def _of_guest(libvirt: Any, guest: Any, source: str, host: str) -> Seen:
    try:
        text = guest.XMLDesc(0)
        reading = persistent = domain_xml.parse(text.encode(), source, host)
        if guest.ID() != _NOT_RUNNING:
            inactive = guest.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            # Parse only what differs: parsing takes most of the time of a guest.
            if _sysinfo(inactive) != _sysinfo(text):
                persistent = domain_xml.parse(inactive.encode())
    except domain_xml.BadDomain as error:
        return Unread(source, f"domain {guest.name()}: {error}", host)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
        reason = " went away while it was read" if gone else f": {error}"
        return Unread(source, f"domain {guest.name()}{reason}", host)
    if persistent.serial == reading.serial:
        return reading
    return dataclasses.replace(reading, persistent=persistent.serial or "")
