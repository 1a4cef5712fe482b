# SPDX-License-Identifier: Apache-2.0
"""What libvirt's domain XML tells of a guest: facts about domains. Reads text, opens nothing.

The text is untrusted: documents with a DTD or entities are refused (defusedxml), and of a
document only what is before its devices is read.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
import uuid
import xml.sax.handler
from collections.abc import Iterable, Iterator
from xml.sax import SAXException
from xml.sax.xmlreader import AttributesNSImpl

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

#: The most that one document may have; Nova's have some KiB.
MAX_BYTES = 4 << 20
#: Nova's metadata, of any version (nova/virt/libvirt/config.py, NOVA_NS).
_NOVA = "http://openstack.org/xmlns/libvirt/nova/"
_UUID, _NAME = "uuid", "name"
_SERIAL = "sysinfo/system/entry/serial"
_GENERATED = "metadata/nova:instance/nova:creationTime"
#: Where the guest's SMBIOS comes from (libvirt, formatdomain, smbios).
_SMBIOS = "os/smbios"
_LOOKED_AT = frozenset({_UUID, _NAME, _SERIAL, _GENERATED})
#: The first element behind everything that is looked at.
_END = "devices"
_END_TAG = b"</domain>"
#: What a document begins with: an XML declaration and comments may be before it.
_BEGIN = re.compile(rb"<domain[\s>]")
_BEFORE = re.compile(rb"\s*(<\?.*?\?>\s*|<!--.*?-->\s*)*", re.DOTALL)
#: Elements inside of each other. Those that are looked at are three deep.
_DEPTH = 64


class BadDomain(Exception):
    """A document that is no domain; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """A guest as libvirt has it.

    :ivar id: its UUID, which is the server's where Nova made it
    :ivar serial: what ``<sysinfo>`` gives it as serial number; None when it gives none, or
        when ``<os>`` does not say that it counts
    :ivar generated: when Nova made this definition: "2026-01-01 00:00:00", in UTC; None when
        it is not told
    :ivar nova: the version of Nova that made it; None when Nova did not
    """

    id: str
    name: str
    serial: str | None = None
    generated: str | None = None
    nova: str | None = None


class _Enough(Exception):
    """Nothing that follows is of interest."""


class _Reader(xml.sax.handler.ContentHandler):
    """Keeps the few texts that matter, by the path of their element."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.nova: str | None = None
        self._path: list[str] = []
        self._key: str | None = None
        self._text: list[str] = []

    def startElementNS(
        self, name: tuple[str | None, str], _qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        """Note where this is."""
        space, tag = name
        if not self._path and tag != "domain":
            raise BadDomain(f"it is about <{tag}>, not <domain>")
        if len(self._path) == 1 and tag == _END:
            raise _Enough
        if len(self._path) >= _DEPTH:
            raise BadDomain(f"it has more than {_DEPTH} elements inside of each other")
        ours = (space or "").startswith(_NOVA)
        self._path.append(f"nova:{tag}" if ours else tag)
        self._key = "/".join(self._path[1:])
        if self._key.endswith("system/entry"):
            self._key = f"{self._key}/{attrs.get((None, 'name'), '')}"
        if self._key == _SMBIOS:
            self.texts[_SMBIOS] = attrs.get((None, "mode"), "")
        if self._key.endswith("nova:package"):
            self.nova = attrs.get((None, "version"), "")
        self._text = []

    def characters(self, content: str) -> None:
        """Collect text."""
        self._text.append(content)

    def endElementNS(self, _name: tuple[str | None, str], _qname: str | None) -> None:
        """Keep the text of an element without others in it."""
        if self._key in _LOOKED_AT:
            if self._key in self.texts:
                raise BadDomain(f"it has {self._key} twice")
            self.texts[self._key] = "".join(self._text).strip()
        self._key = None
        self._path.pop()


def parse(document: bytes) -> Domain:
    """Read one document.

    :raises BadDomain: when it is no domain, or not safe to read
    """
    if len(document) > MAX_BYTES:
        raise BadDomain(f"it has more than {MAX_BYTES >> 20} MiB")
    reader = _Reader()
    parser = DefusedExpatParser(namespaceHandling=1, forbid_dtd=True)
    parser.setContentHandler(reader)
    try:
        parser.parse(io.BytesIO(document))
    except _Enough:
        pass
    except DefusedXmlException as error:
        raise BadDomain("it has a DTD or entities, which are not read") from error
    except (SAXException, ValueError, LookupError) as error:
        raise BadDomain(f"it is no XML: {error}") from error
    text = reader.texts.get
    try:
        id_ = str(uuid.UUID(text(_UUID, "")))
    except ValueError as error:
        raise BadDomain("it has no UUID") from error
    smbios = text(_SMBIOS)
    if smbios == "host":
        raise BadDomain("its SMBIOS is a copy of the host's, and does not tell its serial number")
    return Domain(
        id_,
        text(_NAME, ""),
        text(_SERIAL) if smbios == "sysinfo" else None,
        text(_GENERATED),
        reader.nova,
    )


def documents(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Split what ``virsh dumpxml`` printed, one domain after the other, into documents.

    A document that is too big comes cut off, so that memory stays bounded. One that breaks off
    does not take the next one with it.
    """
    kept = bytearray()
    for chunk in chunks:
        # The end tag may begin in the chunk before.
        start = max(len(kept) - len(_END_TAG), 0)
        kept += chunk
        while (found := kept.find(_END_TAG, start)) >= 0:
            end = found + len(_END_TAG)
            yield from _pieces(bytes(kept[:end]).lstrip())
            del kept[:end]
            start = 0
        del kept[MAX_BYTES + 1 : -len(_END_TAG)]
    if rest := bytes(kept).strip():
        yield from _pieces(rest)


def _pieces(document: bytes) -> Iterator[bytes]:
    """Part documents of which all but the last one have no end."""
    begins = [found.start() for found in _BEGIN.finditer(document)]
    # In one about something else, a domain may be inside.
    if len(begins) < 2 or not _BEFORE.fullmatch(document, 0, begins[0]):
        yield document
        return
    begins[0] = 0
    for begin, end in itertools.pairwise([*begins, len(document)]):
        yield document[begin:end]
