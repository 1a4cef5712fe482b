# SPDX-License-Identifier: Apache-2.0
"""Parser of libvirt's domain XML. Text in, values out: no file is opened.

The text is untrusted: documents with a DTD or entities are refused (defusedxml), and parsing
stops at ``<devices>`` unless options for QEMU may follow.
"""

from __future__ import annotations

import io
import uuid
import xml.sax.handler
from xml.sax import SAXException
from xml.sax.xmlreader import AttributesNSImpl

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from osc_uniqserial.guests import qemu_options
from osc_uniqserial.model.guest import Reading

#: The largest document; Nova's have some KiB.
MAX_BYTES = 4 << 20
#: Nova's metadata, of any version (nova/virt/libvirt/config.py, NOVA_NS).
_NOVA = "http://openstack.org/xmlns/libvirt/nova/"
#: Options that libvirt hands to QEMU as they are (libvirt, drvqemu).
_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
_UUID, _NAME = "uuid", "name"
_SERIAL = "sysinfo/system/entry/serial"
_GENERATED = "metadata/nova:instance/nova:creationTime"
#: The version of Nova is an attribute of this element.
_PACKAGE = "nova:package"
#: The source of the guest's SMBIOS (libvirt, formatdomain, smbios).
_SMBIOS = "os/smbios"
_ARGUMENT = "qemu:commandline/qemu:arg"
#: Paths of the elements whose text is kept.
_KEPT = frozenset({_UUID, _NAME, _SERIAL, _GENERATED})
#: The first element after all elements that are read, but for those of ``_QEMU``.
_END = "devices"
#: The deepest nesting of elements. The elements that are read are three levels deep.
_DEPTH = 64


class BadDomain(Exception):
    """The document is not a domain; the message has the reason."""


class _Enough(Exception):
    """Ends parsing: the rest of the document is not needed."""


class _Reader(xml.sax.handler.ContentHandler):
    """Collects the text of the elements in ``_KEPT``, by path."""

    def __init__(self, *, whole: bool) -> None:
        """Prepare.

        :param whole: whether to read what follows ``<devices>``
        """
        super().__init__()
        self.texts: dict[str, str] = {}
        #: The values of ``<qemu:arg>``.
        self.arguments: list[str] = []
        self._whole = whole
        self._path: list[str] = []
        self._key: str | None = None
        self._text: list[str] = []

    def startElementNS(
        self, name: tuple[str | None, str], _qname: str | None, attrs: AttributesNSImpl
    ) -> None:
        """Record the path of the element, and attributes that are needed."""
        space, tag = name
        if not self._path and tag != "domain":
            raise BadDomain(f"it is about <{tag}>, not <domain>")
        if len(self._path) == 1 and tag == _END and not self._whole:
            raise _Enough
        if len(self._path) >= _DEPTH:
            raise BadDomain(f"it has more than {_DEPTH} levels of elements")
        if (space or "").startswith(_NOVA):
            tag = f"nova:{tag}"
        elif space == _QEMU:
            tag = f"qemu:{tag}"
        elif tag == "sysinfo" and attrs.get((None, "type"), "smbios") != "smbios":
            # Firmware configuration, which the SMBIOS tables are not made from.
            tag = "sysinfo:other"
        self._path.append(tag)
        self._key = "/".join(self._path[1:])
        if self._key.endswith("system/entry"):
            self._key = f"{self._key}/{attrs.get((None, 'name'), '')}"
        if self._key == _SMBIOS:
            if _SMBIOS in self.texts:
                raise BadDomain(f"it has {_SMBIOS} twice")
            self.texts[_SMBIOS] = attrs.get((None, "mode"), "")
        if self._key == _ARGUMENT:
            self.arguments.append(attrs.get((None, "value"), ""))
        if self._key.endswith(_PACKAGE):
            self.texts[_PACKAGE] = attrs.get((None, "version"), "")
        self._text = []

    def characters(self, content: str) -> None:
        """Collect text."""
        self._text.append(content)

    def endElementNS(self, _name: tuple[str | None, str], _qname: str | None) -> None:
        """Keep the text of an element that has no child elements."""
        if self._key in _KEPT:
            if self._key in self.texts:
                raise BadDomain(f"it has {self._key} twice")
            self.texts[self._key] = "".join(self._text).strip()
        self._key = None
        self._path.pop()


def parse(document: bytes, source: str = "", host: str | None = None) -> Reading:
    """Return the reading of one document.

    The serial number of ``<sysinfo>`` counts only with ``<smbios mode='sysinfo'>``, and where
    ``<qemu:commandline>`` sets no other.

    :param source: the file or URI of the document, for messages
    :param host: name of the host's compute service; None when it is unknown
    :raises BadDomain: when the document is not a domain, or not safe to parse
    """
    if len(document) > MAX_BYTES:
        raise BadDomain(f"it has more than {MAX_BYTES >> 20} MiB")
    # The name of an element is written as it is, other than its namespace.
    reader = _Reader(whole=b"commandline" in document or b"\0" in document)
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
    try:
        serial = qemu_options.serial(reader.arguments)
    except qemu_options.UnknownOptions as error:
        raise BadDomain(f"its QEMU options may set the serial number: {error}") from error
    smbios = text(_SMBIOS)
    if serial is None and smbios == "host":
        raise BadDomain("its SMBIOS is a copy of the host's, without a serial number in the XML")
    if serial is None and smbios == "sysinfo":
        serial = text(_SERIAL)
    generated = text(_GENERATED)
    return Reading(id_, serial, source, host, generated, name=text(_NAME, ""), nova=text(_PACKAGE))
