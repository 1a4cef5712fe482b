# SPDX-License-Identifier: Apache-2.0
"""Servers as Nova shows them, at any microversion and to anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from osc_uniqserial.api import records
from osc_uniqserial.api.records import OneServer, ServerList, ServerRecord
from osc_uniqserial.api.rest import _decoded
from tests.unit.builders import HOST


def record(**fields: Any) -> ServerRecord:
    return msgspec.convert({"id": "a", **fields}, ServerRecord)


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
