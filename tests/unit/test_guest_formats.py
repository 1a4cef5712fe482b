# SPDX-License-Identifier: Apache-2.0
"""Files of guests, whatever is in them: every document is read or reported, in linear time."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.guests import domain_documents, domain_xml
from osc_uniqserial.guests.domain_documents import documents
from osc_uniqserial.guests.files import saved_domains
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
    assert unread == [f"no domain in 10 files: {names} and 7 more"]


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
