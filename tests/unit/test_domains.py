# SPDX-License-Identifier: Apache-2.0
"""Domain XML, which may come from anywhere."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.guests import domain_xml
from osc_uniqserial.guests.domain_documents import OTHER_KINDS, Other, documents
from osc_uniqserial.guests.domain_xml import BadDomain
from osc_uniqserial.model.guest import Reading
from tests.unit.builders import DOMAIN_ID, ENTITY, nova_domain


def domains(*chunks: bytes) -> list[Reading]:
    """Return the domains of a text; nothing else may be there."""
    found = list(documents(chunks))
    return [domain_xml.parse(each) for each in found if isinstance(each, bytes)]


def test_a_domain_that_nova_made() -> None:
    assert domain_xml.parse(nova_domain(), "file") == Reading(
        DOMAIN_ID,
        DOMAIN_ID,
        "file",
        generated="2026-11-22 10:11:12",
        name="instance-00000001",
        nova="34.0.0",
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (f"<domain><uuid>{DOMAIN_ID}</uuid></domain>".encode(), Reading(DOMAIN_ID, None, "")),
        (
            f"<domain><name>x</name><uuid>{DOMAIN_ID.upper()}</uuid></domain>".encode(),
            Reading(DOMAIN_ID, None, "", name="x"),
        ),
        (nova_domain(serial=None).replace(b"nova/1.1", b"nova/2.0"), None),
    ],
)
def test_domains_of_others_and_of_other_novas(document: bytes, expected: Reading | None) -> None:
    found = domain_xml.parse(document)
    if expected:
        assert found == expected
    else:
        assert (found.serial, found.nova) == (None, "34.0.0")


def test_a_serial_of_another_thing_is_none() -> None:
    board = "<baseBoard><entry name='serial'>board</entry></baseBoard>"
    disk = "<devices><disk><serial>disk</serial></disk></devices>"
    assert domain_xml.parse(nova_domain(serial=None, sysinfo=board, after=disk)).serial is None


OUTSIDE = b'<!DOCTYPE d SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "no XML"),
        (b"<domain>", "no XML"),
        (b"<network/>", "<network>"),
        (f"<domain><uuid>{DOMAIN_ID}x</uuid></domain>".encode(), "no UUID"),
        (b"<domain/>", "no UUID"),
        (ENTITY + nova_domain(), "DTD or entities"),
        (OUTSIDE + nova_domain(), "DTD or entities"),
        (f"<domain><uuid>{DOMAIN_ID}</uuid><uuid>{DOMAIN_ID}</uuid></domain>".encode(), "twice"),
        (nova_domain(before="<x>" * 50), "no XML"),
        (nova_domain(before="<x>" * (1 << 20)), "more than 64 levels"),
        (b"\xff\xfe\x00", "no XML"),
        (b"<?xml version='1.0' encoding='klingon'?><domain/>", "no XML"),
        (nova_domain(before="x" * (domain_xml.MAX_BYTES + 1)), "MiB"),
    ],
)
def test_documents_that_are_refused(document: bytes, why: str) -> None:
    with pytest.raises(BadDomain, match=why):
        domain_xml.parse(document)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_domain_or_refused(document: bytes) -> None:
    with contextlib.suppress(BadDomain):
        assert uuid.UUID(domain_xml.parse(document).id)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


@given(TEXT)
def test_any_text_may_be_a_serial(text: str) -> None:
    assert domain_xml.parse(nova_domain(serial=escape(text))).serial == text.strip()


@given(
    st.lists(TEXT.filter(str.strip), min_size=1, max_size=5), st.sampled_from(["", "\n", "\r\n \n"])
)
def test_a_stream_comes_apart_where_domains_end(serials: list[str], between: str) -> None:
    ids = [str(uuid.UUID(int=number + 1)) for number in range(len(serials))]
    stream = between.encode().join(
        nova_domain(id_, escape(serial)) for id_, serial in zip(ids, serials, strict=True)
    )
    assert [each.id for each in domains(*stream.splitlines(True))] == ids


def test_a_document_without_an_end_does_not_take_the_memory() -> None:
    line = b"x" * 1_000_000 + b"\n"
    (found,) = documents(itertools.chain([b"<domain><name>"], (line for _ in range(50))))
    assert isinstance(found, bytes)
    assert len(found) < domain_xml.MAX_BYTES + 2 * len(line)
    with pytest.raises(BadDomain):
        domain_xml.parse(found)


def test_a_document_that_breaks_off_does_not_take_the_next_one_with_it() -> None:
    first, second, third = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
    cut = nova_domain(first).partition(b"</devices>")[0]
    broken = cut + nova_domain(second) + nova_domain(third)
    found = [first, second, third]
    assert [each.id for each in domains(broken)] == found
    # Those that begin like others do.
    declared = b"<?xml version='1.0'?>\n<!-- made by hand: <b> -->\n" + broken
    assert [each.id for each in domains(declared)] == found


@pytest.mark.parametrize("kind", sorted(OTHER_KINDS))
def test_a_domain_inside_of_something_else_is_none(kind: str) -> None:
    saved = f"<{kind}><name>x</name>".encode() + nova_domain() + f"</{kind}>\n".encode()
    assert list(documents([saved])) == [Other(kind)]
    # Of a document that breaks off, libvirt's next one is not a part.
    broken = f"<{kind} a='b'>\n  <name>\n".encode()
    assert list(documents([broken + nova_domain()])) == [
        Other(kind, "it has no end"),
        nova_domain().rstrip(),
    ]


@pytest.mark.parametrize("smbios", ["", "<smbios mode='emulate'/>", "<smbios/>"])
def test_sysinfo_counts_only_where_smbios_says_so(smbios: str) -> None:
    assert domain_xml.parse(nova_domain(smbios=smbios)).serial is None


def test_smbios_of_the_host_tells_no_serial() -> None:
    with pytest.raises(BadDomain, match="a copy of the host's"):
        domain_xml.parse(nova_domain(smbios="<smbios mode='host'/>"))


QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"


def with_options(*arguments: str, **domain: str) -> bytes:
    """Return a domain that passes options through to QEMU."""
    options = "".join(f"<qemu:arg value={quoteattr(each)}/>" for each in arguments)
    after = f"<qemu:commandline xmlns:qemu='{QEMU_NAMESPACE}'>{options}</qemu:commandline>"
    return nova_domain(after=after, **domain)


@pytest.mark.parametrize(
    ("arguments", "serial"),
    [
        (("-smbios", "type=1,serial=LICENCE-0815"), "LICENCE-0815"),
        (("--smbios", "serial=x,type=1"), "x"),
        (("-smbios", "type=0x1,serial=x"), "x"),
        (("-smbios", "type=01,serial=a,,b,uuid=1"), "a,b"),
        (("-smbios", "type=1,serial="), ""),
        (("-smbios", "type=1,serial=a", "-smbios", "type=1,serial=b"), "b"),
        (("-smbios", "type=1,serial=a", "-smbios", "type=1,sku=b"), "a"),
        # Not the system's, or no option at all.
        (("-smbios", "type=2,serial=board"), DOMAIN_ID),
        (("-smbios", "type=11,value=serial=x"), DOMAIN_ID),
        (("-smbios", "type=1,product=x,,serial=y"), DOMAIN_ID),
        (("-device", "virtio-blk,serial=disk"), DOMAIN_ID),
        (("-smbios",), DOMAIN_ID),
        ((), DOMAIN_ID),
    ],
)
def test_qemu_takes_the_last_serial(arguments: tuple[str, ...], serial: str) -> None:
    assert domain_xml.parse(with_options(*arguments)).serial == serial


@pytest.mark.parametrize("smbios", ["", "<smbios mode='emulate'/>", "<smbios mode='host'/>"])
def test_options_count_whatever_libvirt_gives(smbios: str) -> None:
    document = with_options("-smbios", "type=1,serial=x", smbios=smbios)
    assert domain_xml.parse(document).serial == "x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-smbios", "file=/t"),
        ("-readconfig", "/etc/qemu.conf"),
        # QEMU takes these for "on" and "off".
        ("-smbios", "type=1,serial"),
        ("-smbios", "type=1,noserial"),
    ],
)
def test_options_that_read_a_file_are_not_judged(arguments: tuple[str, ...]) -> None:
    with pytest.raises(BadDomain, match="QEMU options may set the serial number: -"):
        domain_xml.parse(with_options(*arguments))


def test_options_count_however_the_document_is_encoded() -> None:
    document = with_options("-smbios", "type=1,serial=x")
    named = document.replace(b"domain/qemu", b"domain&#47;qemu")
    assert named != document
    assert domain_xml.parse(named).serial == "x"
    assert domain_xml.parse(document.decode().encode("utf-16")).serial == "x"


def test_elements_of_the_same_name_are_no_options() -> None:
    after = "<commandline><arg value='-smbios'/><arg value='type=1,serial=x'/></commandline>"
    document = nova_domain(after=f"<x xmlns='{QEMU_NAMESPACE}'/>{after}")
    assert domain_xml.parse(document).serial == DOMAIN_ID


def test_firmware_configuration_is_no_system_table() -> None:
    other = "<sysinfo type='fwcfg'><system><entry name='serial'>x</entry></system></sysinfo>"
    document = nova_domain().replace(b"<os>", other.encode() + b"<os>")
    assert domain_xml.parse(document).serial == DOMAIN_ID


@pytest.mark.parametrize(
    "document",
    [
        nova_domain(sysinfo="<system><entry name='serial'>x</entry></system>"),
        nova_domain(smbios="<smbios mode='sysinfo'/><smbios mode='emulate'/>"),
    ],
)
def test_two_answers_are_not_judged(document: bytes) -> None:
    with pytest.raises(BadDomain, match="twice"):
        domain_xml.parse(document)


@pytest.mark.parametrize(
    "between",
    [
        "unique-1 | CHANGED | rc=0 >>\n",
        "(nova-libvirt)[root@compute005 /]# virsh dumpxml 23\n",
        "root@a:~# for d in $(virsh list --uuid); do virsh dumpxml $d; done\r\n",
        "error: failed to get domain '23'\n\n",
        "error: command 'dumpxml' requires <domain> option\n",
        "  SYNOPSIS\n    dumpxml <domain> [--inactive]\n    net-dumpxml <network>\n",
        "\x1b[0;33munique-1 | CHANGED | rc=0 >>\x1b[0m\n\x1b[0;33m",
        "<domstatus state='running' pid='1'>\n  <monitor path='x'/>\n  ",
        "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE: <domain type='kvm'>\n-->\n\n",
        "<!-- that breaks off\n<!-- another -->\n",
        "<pool><name>x</name></pool>\n",
        "a < b > c </end>\n",
        "\ufeff\0\xff",
        "\0",
    ],
)
def test_text_around_domains_is_passed_over(between: str) -> None:
    first, second = (str(uuid.UUID(int=number)) for number in (1, 2))
    stream = between.join(["", nova_domain(first).decode(), nova_domain(second).decode(), ""])
    assert [each.id for each in domains(stream.encode())] == [first, second]


@pytest.mark.parametrize(
    "other",
    [
        "<network>\n  <domain name='example.org'/>\n</network>\n",
        "<device><capability type='pci'><domain>0</domain></capability></device>\n",
        "<domainCapabilities><path>qemu</path><domain>kvm</domain></domainCapabilities>\n",
        "<capabilities><guest><arch><domain type='kvm'/></arch></guest></capabilities>\n",
    ],
)
def test_domains_of_other_documents_are_none(other: str) -> None:
    (kind, found) = documents([other.encode() + nova_domain()])
    assert isinstance(kind, Other)
    assert found == nova_domain().rstrip()
    assert [each.id for each in domains(nova_domain() + other.encode())] == [DOMAIN_ID]


def test_a_document_whose_beginning_is_missing_is_reported() -> None:
    rest = nova_domain().partition(b"</metadata>")[2]
    lost, found = documents([rest + nova_domain()])
    assert lost == Other("domain", "it has no beginning")
    assert found == nova_domain().rstrip()


def test_ends_of_documents_in_text_are_none() -> None:
    hidden = "<![CDATA[ </domain> <domain> ]]><!-- </domain> <domain> -->"
    assert [each.id for each in domains(nova_domain(before=hidden) * 2)] == [DOMAIN_ID] * 2


def test_a_declared_encoding_counts() -> None:
    head = "<?xml version='1.0' encoding='iso-8859-1'?>\n"
    named = head + nova_domain().decode().replace("instance-00000001", "müller")
    assert [each.name for each in domains(named.encode("iso-8859-1") * 2)] == ["müller"] * 2
