# SPDX-License-Identifier: Apache-2.0
"""Servers as Nova shows them, at any microversion and to anybody."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osc_uniqserial.api import records
from osc_uniqserial.api.evidence import ServerEvidence
from osc_uniqserial.api.hosts import existing_traits, hosts_of_down_cells, read_aggregates
from osc_uniqserial.api.inventory import read_flavors, read_images
from osc_uniqserial.api.records import (
    ImageList,
    OneServer,
    ProviderList,
    ServerList,
    ServerRecord,
)
from osc_uniqserial.api.rest import Rest, Unreadable, _decoded, parsing
from osc_uniqserial.effective.explanation import Explanations
from osc_uniqserial.model.cloud import GivenModes
from tests.unit.builders import HOST


def record(**fields: Any) -> ServerRecord:
    return msgspec.json.decode(json.dumps({"id": "a", **fields}), type=ServerRecord)


@pytest.mark.parametrize(
    ("fields", "reachable"),
    [
        ({"name": "web"}, True),
        # display_name may be null in Nova's database, and so in its answer.
        ({"name": None}, True),
        ({"name": ""}, True),
        ({"status": "UNKNOWN"}, False),
    ],
)
def test_what_a_server_of_a_down_cell_looks_like(fields: dict[str, Any], reachable: bool) -> None:
    made = record(**fields)
    assert made.is_reachable is reachable
    assert (made.name or None) == (fields.get("name") or None)


@pytest.mark.parametrize(
    ("metadata", "request_", "others"),
    [
        ("{}", None, ()),
        ('{ "a" : "b" }', None, ()),
        ('{"hw_unique_serial": "x", "a": "b"}', "x", ()),
        ('{"hw_unique_serial" :"\\u00e9", "Q": "", "a": "hw:unique_serial"}', "\u00e9", ("Q",)),
        ('{"a": "b", "hw:unique_serial": "q"}', None, ("hw:unique_serial",)),
        # Text in a value that looks like an item.
        (json.dumps({"a": '"hw:unique_serial": "true", "hw_unique_serial": "true"'}), None, ()),
        (json.dumps({"a": 'q": ', "b": '\\"q":'}), None, ()),
    ],
)
def test_metadata_of_interest(metadata: str, request_: str | None, others: tuple[str, ...]) -> None:
    made = msgspec.json.decode(f'{{"id": "a", "metadata": {metadata}}}', type=ServerRecord)
    assert records.read_metadata(bytes(made.metadata)) == (request_, {*others})


@given(
    st.dictionaries(
        st.sampled_from(["hw_unique_serial", "quota", "a"])
        | st.text("abqQ_:. -", min_size=1, max_size=8),
        st.text() | st.text('q":\\ {},', max_size=12),
        max_size=8,
    )
)
def test_metadata_are_read_as_json_reads_them(items: dict[str, str]) -> None:
    request = items.get("hw_unique_serial")
    others = {key for key in items if "q" in key.lower()} - {"hw_unique_serial"}
    for text in (json.dumps(items), json.dumps(items, ensure_ascii=False, separators=(",", ":"))):
        assert records.read_metadata(text.encode()) == (request, others)


def test_metadata_that_are_no_utf_8() -> None:
    """msgspec does not check what it leaves undecoded."""
    assert records.read_metadata(b'{"q\xff": "x"}') is None
    assert records.read_metadata(b'{"hw_unique_serial": "\xff"}') is None


@pytest.mark.parametrize("metadata", ["", "null", '["q"]', "7", '{"hw_unique_serial": 1}'])
def test_metadata_of_another_form(metadata: str) -> None:
    """The record of a server whose cell is down has none."""
    assert records.read_metadata(metadata.encode()) is None


@pytest.mark.parametrize(
    ("fields", "shows", "has"),
    [
        ({HOST: "h", "hostId": "x"}, True, True),
        ({HOST: None, "hostId": ""}, True, False),
        # What a tenant sees of a server on a host, and of one that is shelved.
        ({"hostId": "x"}, False, True),
        ({"hostId": ""}, True, False),
        ({}, False, False),
    ],
)
def test_a_host_that_is_hidden(fields: dict[str, Any], shows: bool, has: bool) -> None:
    made = record(**fields)
    assert (made.shows_host, made.has_host) == (shows, has)


@pytest.mark.parametrize(
    ("fields", "pinned"),
    [
        ({"pinned_availability_zone": None}, False),
        ({"pinned_availability_zone": "az"}, True),
        # Nova returns it from 2.96 on.
        ({}, True),
    ],
)
def test_an_availability_zone_may_pin(fields: dict[str, Any], pinned: bool) -> None:
    assert record(**fields).is_pinned is pinned


def test_nothing_that_may_be_null_costs_a_page() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(ServerRecord)]
    required = {"id", "status", "created"}
    made = record(**dict.fromkeys(set(names) - required))
    assert made.flavor is None
    assert made.volumes is None
    assert record(flavor={}).flavor == records.FlavorCopy()
    assert record(image="").image == ""


@pytest.mark.parametrize("odd", ['"\\ud83d"', "NaN", "1e400", "-Infinity"])
def test_what_only_python_reads_in_a_field_of_no_interest(odd: str) -> None:
    text = f'{{"servers": [{{"id": "a", "name": "web", "metadata": {{"x": {odd}}}}}]}}'
    assert json.loads(text)
    assert [each.name for each in _decoded(text.encode(), ServerList).servers] == ["web"]


@pytest.mark.parametrize("text", ["", "<html>", '{"server": ', "nul"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises((ValueError, msgspec.DecodeError)):
        _decoded(text.encode(), OneServer)


@pytest.mark.parametrize("text", ["[]", "{}", '{"server": {"id": 1}}', '{"server": null}'])
def test_another_form_than_a_server(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        _decoded(text.encode(), OneServer)


#: Loads the module again and again, and lets threads decode the first page at the same time.
FIRST_USE = """
import importlib, sys, threading
import msgspec
from osc_uniqserial.api import records

sys.setswitchinterval(1e-6)
for _attempt in range(300):
    kind = importlib.reload(records).ServerList
    ready = threading.Barrier(3)

    def decode():
        ready.wait()
        msgspec.json.decode(b'{"servers": [{"id": "a", "flavor": {}}]}', type=kind)

    threads = [threading.Thread(target=decode) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_decode_the_first_page_at_the_same_time() -> None:
    subprocess.run([sys.executable, "-c", FIRST_USE], check=True, timeout=300)


# --- anything that a cloud may answer -----------------------------------------------

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
WHOLE: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "web",
    "tenant_id": "p",
    "status": "ACTIVE",
    "created": "2026-01-02T00:00:00Z",
    "hostId": "h",
    HOST: "h",
    "OS-EXT-SRV-ATTR:hypervisor_hostname": "h.example.org",
    "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
    "os-extended-volumes:volumes_attached": [{"id": "v"}],
    "pinned_availability_zone": None,
    "flavor": {"original_name": "gold", "extra_specs": {"hw:unique_serial": "true"}},
    "image": {"id": "i", "properties": {"hw_unique_serial": "true"}},
}


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """Return a document in which some parts are anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ANY_JSON)
    if isinstance(document, dict):
        return {key: draw(damaged(value)) for key, value in document.items()}
    if isinstance(document, list):
        return [draw(damaged(each)) for each in document]
    return document


class Answering(Rest):
    """A service with one answer."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def _proxy(self, service: str) -> Any:
        answer = SimpleNamespace(status_code=200, content=self.content)
        return SimpleNamespace(get=lambda *_args, **_options: answer)


PAGE = {"servers": [WHOLE], "servers_links": [{"rel": "next", "href": "x"}]}
TEXTS = (
    damaged(PAGE).map(json.dumps).map(str.encode)
    | ANY_JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=50)
    | st.integers(1, 20_000).map(lambda depth: b'{"servers": ' + b"[" * depth)
    | st.integers(1, 20_000).map(
        lambda depth: b'{"servers": [{"id": "x", "x": ' + b"[" * depth + b"]" * depth + b"}]}"
    )
)


@given(TEXTS)
@settings(max_examples=300)
def test_any_page_gives_records_or_is_unreadable(text: bytes) -> None:
    rest = Answering(text)
    known = ServerEvidence(
        fleet=None,
        unlisted=None,
        flavors=(),
        images={},
        given=GivenModes({}),
        shows_frozen=False,
        root_volume=lambda _record: None,
    )
    found = []
    with contextlib.suppress(Unreadable):
        page = rest.read(ServerList, "compute", "/servers/detail")
        with parsing("compute"):
            found = [known.facts(each) for each in page.servers]
    for facts in found:
        assert Explanations(None).of(facts).why


@given(TEXTS, st.sampled_from([ProviderList, ImageList, OneServer]))
def test_any_answer_is_read_or_unreadable(text: bytes, kind: type[Any]) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(Answering(text).read(kind, "placement", "/x"), kind)


LISTS = ["flavors", "images", "aggregates", "traits", "services"]


@given(ANY_JSON.map(json.dumps).map(str.encode), st.sampled_from(LISTS))
def test_any_list_is_read_or_unreadable(text: bytes, key: str) -> None:
    for content in (text, b'{"%s": [%s]}' % (key.encode(), text)):
        rest = Answering(content)
        with contextlib.suppress(Unreadable):
            read_images(rest)
        with contextlib.suppress(Unreadable):
            read_flavors(rest)
        with contextlib.suppress(Unreadable):
            read_aggregates(rest)
        with contextlib.suppress(Unreadable):
            existing_traits(rest)
        assert hosts_of_down_cells(rest) in (None, ())
