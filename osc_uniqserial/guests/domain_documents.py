# SPDX-License-Identifier: Apache-2.0
"""Splits saved output into documents of libvirt. Bytes in, documents out: no file is opened.

Text between documents is passed over: prompts, messages, headers of Ansible, and the elements
around the domain in a status file (``<domstatus>``). Each byte is scanned once: a search always
continues where the previous one ended, and no expression can backtrack.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from osc_uniqserial.guests.domain_xml import MAX_BYTES
from osc_uniqserial.guests.encodings import without_escapes

#: Documents of libvirt that may contain ``<domain>`` elements which are no running domain.
OTHER_KINDS = frozenset(
    {
        *("capabilities", "device", "domainCapabilities", "domainbackup", "domaincheckpoint"),
        *("domainsnapshot", "network", "networkstatus"),
    }
)
#: Bytes of the longest token: the start tag of a document and what follows it.
_LONGEST = 512
_DOMAIN = rb"(?P<domain>domain)(?=[\s>/])"
_COMMENT = rb"(?P<comment>!--)"
_CDATA = rb"(?P<cdata>!\[CDATA\[)"
_DTD = rb"(?P<dtd>!DOCTYPE)"
_END = rb"(?P<end>/domain\s{0,9}>)"
_DECLARATION = rb"(?P<declaration>\?xml\s[^<>?]{0,200}\?>)"
#: Text such as "<network> is required" begins no document.
_OTHER = rb"(?P<other>%s)(?=(?:\s[^<>]{0,200})?>\s{0,200}<)" % b"|".join(
    kind.encode() for kind in sorted(OTHER_KINDS)
)
_OUTSIDE = re.compile(
    rb"<(?:%s)" % b"|".join((_DOMAIN, _COMMENT, _OTHER, _DECLARATION, _DTD, _END))
)
_INSIDE = re.compile(rb"<(?:%s)" % b"|".join((_DOMAIN, _COMMENT, _CDATA, _END)))
#: A comment has no "--": a second one begins where the first one has no end.
_IN_COMMENT = re.compile(rb"(?P<comment><!--)|(?P<end>-->)")
_IN_CDATA = re.compile(rb"(?P<end>\]\]>)")
#: In a document of another kind libvirt indents all elements. A domain at the beginning of a line
#: is a document of its own, and the other document has no end.
_IN_OTHER = {
    kind: re.compile(rb"\n<%s|(?P<end></%s\s{0,9}>)" % (_DOMAIN, kind.encode()))
    for kind in OTHER_KINDS
}
_NO_END = "it has no end"
#: Text such as "dumpxml <domain> [--inactive]", and elements such as ``<domain>0</domain>``.
_NO_DOCUMENT = re.compile(rb"<domain\s*>\s*[^<\s\\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Other:
    """A document that is no domain, or a part of one.

    :ivar kind: the name of its element
    :ivar problem: why it cannot be read; empty when it is complete
    """

    kind: str
    problem: str = ""


def documents(chunks: Iterable[bytes]) -> Iterator[bytes | Other]:
    """Yield the domains, and what else libvirt prints with ``<domain>`` elements.

    Domains that are too large are truncated, so that memory stays bounded. A domain that is cut
    off ends where the next one begins.

    :param chunks: text in UTF-8
    """
    splitter = _Splitter()
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.end()


class _Splitter:
    """State of the scan."""

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        #: The domain so far; None outside of one.
        self._domain: bytearray | None = None
        self._declaration = self._dtd = b""
        self._other = ""
        self._comment = self._cdata = False

    def _expression(self) -> re.Pattern[bytes]:
        if self._comment:
            return _IN_COMMENT
        if self._cdata:
            return _IN_CDATA
        if self._other:
            return _IN_OTHER[self._other]
        return _OUTSIDE if self._domain is None else _INSIDE

    def feed(self, chunk: bytes) -> Iterator[bytes | Other]:
        """Scan a chunk and yield what ends in it."""
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        # A token may continue in the next chunk.
        yield from self._scan(len(self._buffer) - _LONGEST)

    def end(self) -> Iterator[bytes | Other]:
        """Scan the rest and yield what has no end."""
        yield from self._scan(len(self._buffer))
        if self._domain is not None:
            yield from self._taken()
        elif self._other or self._comment:
            yield Other(self._other or "comment", _NO_END)

    def _scan(self, until: int) -> Iterator[bytes | Other]:
        """Process the tokens that begin before a position."""
        while self._at < until:
            found = self._expression().search(self._buffer, self._at)
            if found is None or found.start() >= until:
                self._pass(until)
                return
            yield from self._token(found)

    def _pass(self, to: int) -> None:
        """Continue at a position; inside of a domain keep the bytes before it."""
        if self._domain is not None and len(self._domain) <= MAX_BYTES:
            self._domain += self._buffer[self._at : min(to, self._at + MAX_BYTES + 1)]
        self._at = to

    def _token(self, found: re.Match[bytes]) -> Iterator[bytes | Other]:
        name = found.lastgroup
        if name == "domain":
            begin = found.start("domain") - 1
            self._pass(begin)
            if self._domain is not None:
                yield from self._taken()
            elif self._other:
                yield Other(self._other, _NO_END)
                self._other = ""
            self._domain = bytearray(self._declaration + self._dtd)
            self._declaration = self._dtd = b""
        self._pass(found.end())
        if name == "comment":
            # Of a comment in a comment the first one has no end.
            self._comment = True
        elif name == "cdata":
            self._cdata = True
        elif name == "other":
            self._other = found["other"].decode()
            self._declaration = self._dtd = b""
        elif name == "declaration":
            # The text is in UTF-8 by now, whatever it was saved in.
            self._declaration = b"" if b"utf" in found[0].lower() else found[0]
        elif name == "dtd":
            # Enough to be refused; what it declares is not read.
            self._dtd = b"<!DOCTYPE domain>"
        elif name == "end":
            yield from self._ended()

    def _ended(self) -> Iterator[bytes | Other]:
        if self._comment or self._cdata:
            self._comment = self._cdata = False
        elif self._other:
            yield Other(self._other)
            self._other = ""
        elif self._domain is None:
            yield Other("domain", "it has no beginning")
        else:
            yield from self._taken()

    def _taken(self) -> Iterator[bytes]:
        """Yield the domain, and continue outside of it."""
        document = without_escapes(bytes(self._domain or b""))
        self._domain = None
        self._comment = self._cdata = False
        if not _NO_DOCUMENT.match(document):
            yield document
