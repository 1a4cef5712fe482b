# SPDX-License-Identifier: Apache-2.0
"""Files of guests, whatever is in them: every document is read or reported, in linear time."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.guests import domain_documents, domain_xml, json_objects
from osc_uniqserial.guests.domain_documents import documents
from osc_uniqserial.guests.facts import readings
from osc_uniqserial.guests.files import facts, saved_domains
from osc_uniqserial.model.guest import Reading, Seen, Unread
from tests.unit.builders import nova_domain

#: What surrounds documents of libvirt, and what looks like a part of one.
NOISE = st.sampled_from(
    [
        *("\n", " ", "x", "<", ">", "</", "/>", "<domain", "<domain>", "<domain >", "</domain>"),
        *(
            "<!--",
            "-->",
            "--",
            "<![CDATA[",
            "]]>",
            "<!DOCTYPE d [",
            "]>",
            "<?xml ",
            "?>",
            "\x1b[0m",
        ),
        *("<network>", "</network>", "<domainsnapshot>", "<domainsnapshot><x/>", "<domstatus>"),
        *("</domstatus>", "&", "&a;", "\0", "\ufeff", "'", '"', "web-1 | CHANGED | rc=0 >>\n"),
    ]
)
#: The same without what begins or ends a comment, or a document of another kind.
TEXT = NOISE.filter(lambda text: not re.search(r"<!|<domain|/domain|<network|<\?", text))
SIZES = st.integers(1, 700)


def chunks(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def server(number: int) -> str:
    return str(uuid.UUID(int=number + 1))


@given(st.lists(NOISE | st.text(max_size=5)), SIZES)
def test_any_text_is_split_without_an_exception(parts: list[str], size: int) -> None:
    text = "".join(parts).encode(errors="replace")
    found = list(documents([text]))
    # It does not matter where the text is cut when it is read.
    assert list(documents(chunks(text, size))) == found
    for each in found:
        if isinstance(each, bytes):
            with pytest.raises(domain_xml.BadDomain):
                domain_xml.parse(each)


@given(st.lists(st.tuples(st.lists(TEXT), st.integers(0, 1 << 20)), max_size=6), SIZES)
def test_every_domain_is_read_or_reported(plan: list[tuple[list[str], int]], size: int) -> None:
    """Documents break off at any place, with any text around them."""
    text = b""
    whole: list[str] = []
    cut: list[str] = []
    for number, (around, end) in enumerate(plan):
        domain = nova_domain(server(number)).rstrip()
        text += "".join(around).encode()
        # Every other document is whole.
        end = end % len(domain) if end % 2 else len(domain)
        (whole if end == len(domain) else cut).append(server(number))
        text += domain[:end]
    found = list(documents(chunks(text, size)))
    read = []
    bad = 0
    for each in found:
        try:
            assert isinstance(each, bytes)
            read.append(domain_xml.parse(each).id)
        except (AssertionError, domain_xml.BadDomain):
            bad += 1
    assert read == sorted(read)
    assert set(whole) <= set(read) <= {*whole, *cut}
    # Of a document that breaks off before "<domain " there is nothing to report.
    begun = [id_ for id_ in cut if f"<uuid>{id_}</uuid>".encode() in text]
    assert len(read) + bad >= len(whole) + len(begun)


class Counting:
    """A regular expression that counts the bytes that it searches."""

    searched = 0

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern

    def search(self, text: bytes, at: int) -> re.Match[bytes] | None:
        found = self._pattern.search(text, at)
        Counting.searched += (found.end() if found else len(text)) - at
        return found


@pytest.mark.parametrize(
    "unit",
    [
        *("<!--a-->", "<!--", "-->", "x<domain >", "<domain>", "</domain>", "<![CDATA[", "\n"),
        *("<network><x/>", "</network>", "<network>\n<domain ", "<?xml ", "<!DOCTYPE d ["),
        *("<domain><![CDATA[", "<domain><!--", "<domainsnapshot> <", "<", "x", "\x1b[", " "),
        nova_domain().decode(),
    ],
)
def test_the_time_is_linear_whatever_the_input_is(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_OUTSIDE", "_INSIDE", "_IN_COMMENT", "_IN_CDATA"):
        monkeypatch.setattr(domain_documents, name, Counting(getattr(domain_documents, name)))
    others = {kind: Counting(each) for kind, each in domain_documents._IN_OTHER.items()}
    monkeypatch.setattr(domain_documents, "_IN_OTHER", others)
    text = unit.encode() * (600_000 // len(unit))
    Counting.searched = 0
    for _document in documents(chunks(text, 1 << 16)):
        pass
    assert Counting.searched <= 1.1 * len(text)


# --- files ----------------------------------------------------------------------


def read(seen: Iterator[Seen]) -> tuple[list[str], list[str]]:
    """Return the IDs that were read, and what was not."""
    found = list(seen)
    return (
        [each.id for each in found if isinstance(each, Reading)],
        [each.reason for each in found if isinstance(each, Unread)],
    )


def test_a_folder_of_libvirt(tmp_path: Path) -> None:
    """/etc/libvirt/qemu: networks, and links to the files of domains that start by themselves."""
    for number in range(3):
        (tmp_path / f"instance-{number}.xml").write_bytes(nova_domain(server(number)))
    (tmp_path / "autostart").mkdir()
    (tmp_path / "autostart" / "instance-1.xml").symlink_to("../instance-1.xml")
    (tmp_path / "copy.xml").hardlink_to(tmp_path / "instance-2.xml")
    (tmp_path / "networks").mkdir()
    network = "<!-- generated -->\n<network>\n  <name>x</name>\n</network>\n"
    for number in range(10):
        (tmp_path / "networks" / f"{number}.xml").write_text(network)
    ids = [server(number) for number in (2, 0, 1)]
    assert read(saved_domains(str(tmp_path))) == (ids, [])
    # What may have been a domain is one row for all files.
    for number in range(10):
        (tmp_path / f"x{number}.xml").write_text("error: failed to get domain\n")
    found, unread = read(saved_domains(str(tmp_path)))
    assert found == ids
    names = ", ".join(str(tmp_path / f"x{number}.xml") for number in range(3))
    assert unread == [f"files without a domain: {names} and 7 more"]


def test_a_folder_with_many_files_that_are_broken(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"a{number}").write_text("<domain><name>")
        (tmp_path / f"b{number}").symlink_to(tmp_path / "gone")
    _found, unread = read(saved_domains(str(tmp_path)))
    assert len(unread) == 3 + 1 + 3 + 1
    assert "47 more documents could not be read" in unread
    assert "47 more files could not be opened" in unread


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "net.xml"
    path.write_text("<network>\n  <domain name='x'/>\n</network>\n")
    for source in (path, tmp_path):
        assert read(saved_domains(str(source))) == ([], ["it holds no domain, but <network>"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_of_domain_xml(encoding: str, tmp_path: Path) -> None:
    """Windows PowerShell redirects as UTF-16."""
    path = tmp_path / "x"
    text = (nova_domain(server(0)) * 3).decode().replace("<name>", "<name>ä\U0001f427")
    path.write_bytes(text.encode(encoding))
    found = list(itertools.islice(saved_domains(str(path)), 9))
    assert [each.name for each in found if isinstance(each, Reading)] == [
        "ä\U0001f427instance-00000001"
    ] * 3


# --- facts ----------------------------------------------------------------------

ID, SERIAL = "33333333-4444-4555-8666-777777777777", "ABC-1"


def facts_in(path: Path, text: str | bytes) -> tuple[dict[str, str | None], list[str]]:
    """Return the serial numbers by UUID, and what could not be read."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = list(facts(str(path)))
    return (
        {each.id: each.serial for each in found if isinstance(each, Reading)},
        [each.reason for each in found if isinstance(each, Unread)],
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts"


PLAIN = {"uuid": ID, "serial": SERIAL}
ANSIBLE = {"ansible_product_uuid": ID.upper(), "ansible_product_serial": SERIAL}


@pytest.mark.parametrize(
    "document",
    [
        PLAIN,
        {"UUID": f"{{{ID}}}", "Serial": f" {SERIAL} "},
        # osquery: table system_info; rows of a scheduled query.
        {"hardware_serial": SERIAL, "uuid": ID, "board_serial": "x"},
        {"name": "q", "columns": {"uuid": ID, "hardware_serial": SERIAL}, "action": "added"},
        {"snapshot": [{"uuid": ID, "hardware_serial": SERIAL}], "action": "snapshot"},
        {
            "diffResults": {
                "added": [{"uuid": ID, "hardware_serial": SERIAL}],
                "removed": [{"uuid": ID, "hardware_serial": "old"}],
            }
        },
        # Windows: Win32_ComputerSystemProduct.
        {"UUID": ID, "IdentifyingNumber": SERIAL, "CimClass": {"CimSystemProperties": "x"}},
        {"value": [{"IdentifyingNumber": SERIAL, "UUID": ID}], "Count": 1},
        # Ansible: facts, results, its cache, hostvars.
        ANSIBLE,
        {"product_uuid": ID, "product_serial": SERIAL},
        {"ansible_facts": {**ANSIBLE, "ansible_devices": {"uuid": ID, "serial": "disk"}}},
        {"__payload__": json.dumps(ANSIBLE)},
        {"web-1": {"ansible_facts": ANSIBLE}, "web-2": {"ansible_mounts": [{"uuid": ID}]}},
        {"plays": [{"tasks": [{"hosts": {"web-1": {"ansible_facts": ANSIBLE}}}]}]},
        # GLPI and FusionInventory.
        {
            "action": "inventory",
            "content": {
                "bios": {"ssn": SERIAL, "mmanufacturer": "x"},
                "hardware": {"uuid": ID.upper(), "name": "web-1"},
                "virtualmachines": [{"uuid": ID, "serial": "nested"}],
                "storages": [{"serial": "disk"}],
            },
        },
        {"CONTENT": {"BIOS": {"SSN": SERIAL}, "HARDWARE": {"UUID": ID}}},
        # Facter, Ohai, Salt, lshw, hostnamectl.
        {
            "dmi": {
                "board": {"serial_number": "x"},
                "product": {"uuid": ID, "serial_number": SERIAL},
            }
        },
        {"dmi": {"system": {"uuid": ID, "serial_number": SERIAL}}},
        {"web-1": {"uuid": ID, "serialnumber": SERIAL}},
        {
            "id": "web-1",
            "serial": SERIAL,
            "configuration": {"uuid": ID},
            "children": [{"serial": 1}],
        },
        {"HardwareSerial": SERIAL, "ProductUUID": ID},
    ],
)
def test_keys_of_agents(document: Any, file: Path) -> None:
    expected: tuple[dict[str, str], list[str]] = ({ID: SERIAL}, [])
    pretty = json.dumps(document, indent=2)
    for text in (
        json.dumps(document),
        f"web-1 | SUCCESS => {pretty}\n",
        f"[{pretty}]",
        f"\x1b[0;32mweb-1 | SUCCESS => {pretty.replace(chr(10), f'{chr(27)}[0m{chr(10)}')}\n",
        json.dumps([document], indent=0),
        json.dumps(document, indent="\t").replace("\n", "\r\n"),
    ):
        assert facts_in(file, text) == expected, text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_encodings_of_facts(encoding: str, file: Path) -> None:
    text = json.dumps([PLAIN, {**PLAIN, "uuid": server(1), "serial": "ä\U0001f427"}], indent=1)
    expected = {ID: SERIAL, server(1): "ä\U0001f427"}
    assert facts_in(file, text.encode(encoding)) == (expected, [])
    raw = text.encode("ascii").decode("unicode_escape").encode("utf-16", "surrogatepass")
    assert facts_in(file, raw) == (expected, [])


@pytest.mark.parametrize(
    "word",
    [
        *("NA", "N/A.", "(none)", "<none>", "[none]", "0000000000", "not set", "not found", "?"),
        *("Permission denied", "To be filled by O.E.M", "To Be Filled By OEM", "<nil>", "--", "-"),
        *("<unknown>", "Not Provided", "No Asset Tag", "INVALID", "{{ ansible_product_serial }}"),
        *("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "Default string", "<BAD INDEX>", "null", "0"),
    ],
)
def test_words_that_stand_for_no_serial_number(word: str, file: Path) -> None:
    text = json.dumps({"uuid": ID, "serial": f" {word} "})
    assert facts_in(file, text) == ({ID: None}, [])


@pytest.mark.parametrize(
    ("raw", "serial"),
    [
        *(("4711", "4711"), ("-1", None), ("1e400", "1e400"), ("1.50", "1.50")),
        *(("12345678901234567890123", "12345678901234567890123"), ("0", None), ('""', "")),
        *(("NaN", None), ("null", None), ('"NA"', None)),
    ],
)
def test_serial_numbers_that_are_numbers(raw: str, serial: str | None, file: Path) -> None:
    assert facts_in(file, f'{{"uuid": "{ID}", "serial": {raw}}}') == ({ID: serial}, [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it holds no facts: no JSON with uuid and serial"),
        ("uuid,serial\na,b\n", "it holds no facts: no JSON with uuid and serial"),
        (nova_domain().decode(), "it holds no facts: no JSON with uuid and serial"),
        ('{"unreachable": true, "msg": "x"}', "the machine was unreachable in line 1"),
        ('{"action": "removed", "columns": {"uuid": "x"}}', "no uuid and serial in line 1"),
        ('{"serial": "x"}', "no uuid and serial in line 1"),
        ('{"__payload__": "{"}', "no uuid and serial in line 1"),
        ('"serial": "x"}', "no JSON in line 1"),
        ('\n{"uuid":\n', "no JSON in line 2"),
        (f'{{"a": {"[" * 99}', "more than 64 levels in line 1"),
    ],
)
def test_what_is_no_fact_has_its_reason(text: str, reason: str, file: Path) -> None:
    assert facts_in(file, text) == ({}, [reason])


def line_of(number: int) -> str:
    return json.dumps({"uuid": server(number), "serial": str(number)})


def test_a_line_above_the_limit_is_skipped_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rest is no fact about another guest."""
    monkeypatch.setattr(json_objects, "MAX_BYTES", 1_000)
    monkeypatch.setattr(json_objects, "_PIECE", 100)
    long = json.dumps({"uuid": server(1), "x": "y" * 2_000, "serial": "1"})
    for line in (
        f"{long}{line_of(2)}",
        f"{long[:-1]}, {line_of(2)}}}",
        f'{{"x": "{"y" * 2_000}"{line_of(2)}',
        f'{{"x": {"y" * 2_000}{line_of(2)}',
        f'{{"x": "{"y" * 2_000} {line_of(2)}',
    ):
        reason = "more than 0 MiB in line 2"
        found = facts_in(file, f"{line_of(3)}\n{line}\n{line_of(4)}\n")
        assert found == ({server(3): "3", server(4): "4"}, [reason])


def test_an_array_of_any_length_is_read(file: Path) -> None:
    count = 70_000
    text = f"[{','.join(map(line_of, range(count)))}]"
    assert len(text) > json_objects.MAX_BYTES
    found, unread = facts_in(file, text)
    assert (len(found), unread) == (count, [])


JSON_NOISE = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"', "\\", "\n", "\r\n", " ", "x", "1", "null", "{}", '{"'),
        *('"uuid"', '"uuid":', '"serial": "x"', "web-1 | SUCCESS => ", "\x1b[0m", "\ufeff", "'"),
        '{"__payload__": "{}"}',
    ]
)


def objects_of(pieces: Iterable[bytes]) -> tuple[list[object], bytes]:
    """Return what is read, and the text between objects without blanks."""
    found = list(json_objects.objects(pieces))
    between = [each for each in found if isinstance(each, json_objects.Between)]
    text = b"".join(each.text for each in between).translate(None, json_objects.BLANKS)
    return [each for each in found if each not in between], text


@given(st.lists(JSON_NOISE | st.text(max_size=3)), st.integers(1, 30))
def test_any_text_is_read_for_facts_without_an_exception(parts: list[str], size: int) -> None:
    text = "".join(parts).encode(errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        whole, between = objects_of([text])
        # It does not matter where a line is cut when it is read.
        patch.setattr(json_objects, "_PIECE", size)
        assert objects_of(chunks(text, size)) == (whole, between)
    for each in whole:
        if isinstance(each, json_objects.Object):
            assert not [found for found in readings(each.value, "") if isinstance(found, Reading)]


@given(
    st.recursive(
        st.none() | st.text(max_size=5),
        lambda each: st.dictionaries(
            st.sampled_from(
                ["uuid", "serial", "hardware", "bios", "ssn", "__payload__", "x", "action"]
            ),
            each | st.lists(each),
        ),
    )
)
def test_any_document_is_read_or_has_a_reason(document: Any) -> None:
    assert list(readings(document, ""))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 20)), max_size=8),
    st.integers(1, 100),
    st.sampled_from([None, 0, 1]),
)
def test_every_fact_is_read_or_reported(
    plan: list[tuple[bool, int]], size: int, indent: int | None
) -> None:
    """Documents that break off, each at any place, do not hide others."""
    whole: list[str] = []
    cut: list[str] = []
    texts: list[str] = []
    for number, (breaks, end) in enumerate(plan):
        text = json.dumps(
            {"uuid": server(number), "x": [{"y": {}}, []], "serial": str(number)}, indent=indent
        )
        if breaks:
            text = text[: 2 + end % (len(text) - 2)]
        (cut if breaks else whole).append(server(number))
        texts.append(f"{text}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_objects, "_PIECE", size)
        found = list(json_objects.objects(chunks("".join(texts).encode(), size)))
    read = [each.value["uuid"] for each in found if isinstance(each, json_objects.Object)]
    bad = sum(isinstance(each, json_objects.Broken) for each in found)
    if indent is None:
        assert read == whole
    assert set(read) <= set(whole)
    assert len(read) + bad >= len(whole)
    assert bool(bad) == bool(cut) or indent is not None


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "{",
            "}",
            '{"',
            '"',
            "\\",
            '{"a":',
            "[",
            "]",
            "{}",
            "\n",
            '{"x\n',
            "{\n",
            '{"a": [\n',
            "'",
        ),
        *(
            '{"a": {}\n',
            "{ ",
            ", ",
            "1",
            "{'",
            '"}\n',
            '{"a":"\\',
            "{\r\n",
            f"{json.dumps(PLAIN)}\n",
        ),
    ],
)
def test_the_time_of_facts_is_linear(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in bytes that an expression or the decoder sees."""
    seen = 0

    class Seeing:
        def __init__(self, pattern: re.Pattern[bytes]) -> None:
            self._pattern = pattern

        def search(self, text: bytes, at: int) -> re.Match[bytes] | None:
            return self._see(self._pattern.search(text, at), text, at)

        def match(self, text: bytes, at: int) -> re.Match[bytes] | None:
            return self._see(self._pattern.match(text, at), text, at)

        def _see(
            self, found: re.Match[bytes] | None, text: bytes, at: int
        ) -> re.Match[bytes] | None:
            nonlocal seen
            seen += (found.end() if found else len(text)) - at
            return found

    def decoded(text: str) -> Any:
        nonlocal seen
        seen += len(text)
        return original(text)

    original = json_objects.decoded
    monkeypatch.setattr(json_objects, "decoded", decoded)
    for name in ("_OUTSIDE", "_TOKEN", "_TEXT"):
        monkeypatch.setattr(json_objects, name, Seeing(getattr(json_objects, name)))
    text = unit.encode() * (200_000 // len(unit))
    monkeypatch.setattr(json_objects, "_PIECE", 1 << 12)
    for _object in json_objects.objects(chunks(text, 1 << 12)):
        pass
    assert seen <= 4 * len(text)
