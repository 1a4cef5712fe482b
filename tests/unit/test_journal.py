# SPDX-License-Identifier: Apache-2.0
"""The journal: what is written is read, and nothing else."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial import keys
from osc_uniqserial.desired import journal
from osc_uniqserial.desired.changes import Change
from osc_uniqserial.desired.journal import BadJournal, Entry, Journal
from osc_uniqserial.keys import SETTINGS, STEERED, STEERING
from osc_uniqserial.model.finding import Resource

CLOUD = {"compute": "c1", "image": None, "region": "R"}
WRITTEN = [
    (kind, key, text)
    for kind, keys in SETTINGS.items()
    for key, texts in keys.items()
    for text in texts.values()
] + [
    (kind, STEERING[way].key, STEERING[way].value) for kind, ways in STEERED.items() for way in ways
]
#: Texts as JSON has them; surrogates are no characters.
TEXTS = st.text()
HEADER = json.dumps({"journal": "osc-uniqserial", "version": 1, "cloud": CLOUD}).encode() + b"\n"


@st.composite
def an_entry(draw: st.DrawFn) -> Entry:
    kind, key, text = draw(st.sampled_from(WRITTEN))
    about = Resource(
        kind,
        draw(st.text(min_size=1, max_size=255)),
        draw(st.none() | TEXTS),
        draw(st.none() | TEXTS),
    )
    after = draw(st.sampled_from([text, None]))
    result = draw(st.sampled_from(["done", "failed", "unknown", None]))
    return Entry(0, about, key, draw(st.none() | TEXTS), after, result)


@given(st.lists(an_entry(), max_size=5), st.data())
def test_what_is_written_is_read(written: list[Entry], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "journal")
        new = Journal(path, CLOUD)
        for each in written:
            number = new.begin(Change(each.resource, each.key, each.before, each.after, 1))
            if each.result:
                new.end(number, each.result)
        new.close()
        content = Path(path).read_bytes()
        record = journal.read(path)
    assert record.cloud == CLOUD
    found = [(each.resource, each.key, each.before, each.after) for each in record.entries]
    assert found == [(each.resource, each.key, each.before, each.after) for each in written]
    assert [each.result for each in record.entries] == [each.result for each in written]
    # However it was torn, what was complete is read.
    cut = data.draw(st.integers(min_value=content.index(b"\n") + 1, max_value=len(content)))
    whole = content[:cut].count(b'\n{"entry"')
    assert len(journal.parse(content[:cut]).entries) in (whole, whole - 1)


@given(st.binary() | st.binary().map(HEADER.__add__))
def test_anything_else_is_refused(content: bytes) -> None:
    entries: tuple[Entry, ...] = ()
    with contextlib.suppress(BadJournal):
        entries = journal.parse(content).entries
    assert entries == ()


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b"1" * 10_000, b"NaN", b"{}", b"[]", b'{"entry": 1}', b'{"result": true}'],
)
def test_odd_json_is_refused(line: bytes) -> None:
    with pytest.raises(BadJournal, match=r"^line 2: "):
        journal.parse(HEADER + line + b"\n")


def test_a_journal_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with path.open("wb") as stream:
        stream.truncate(journal.MAX_BYTES + 1)
    with pytest.raises(BadJournal, match="larger than 128 MiB"):
        journal.read(str(path))


@pytest.mark.parametrize(
    ("kind", "key", "text", "valid"),
    [
        ("server", "hw_unique_serial", "true", True),
        # It has no meaning there.
        ("server", "hw_unique_serial", "false", False),
        ("image", "hw_unique_serial", "false", True),
        # Nova splits it.
        ("aggregate", "hw:unique_serial", "true,false", True),
        ("aggregate", "hw:unique_serial", "true,banana", False),
        ("flavor", "hw:unique_serial", "true,false", False),
    ],
)
def test_values_by_kind(kind: str, key: str, text: str, *, valid: bool) -> None:
    assert keys.is_valid(kind, key, text) is valid
