# SPDX-License-Identifier: Apache-2.0
"""The reason in an error answer, whatever a service or a proxy answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.api import error_pages


def reason(body: str | bytes, kind: str = "application/json", status: int = 403) -> str:
    response = requests.Response()
    response.status_code = status
    response.reason = "Forbidden"
    response.headers["Content-Type"] = kind
    response._content = body if isinstance(body, bytes) else body.encode()
    return error_pages.ErrorAnswer(response).reason.removeprefix(f"answered {status}: ")


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ('{"forbidden": {"code": 403, "message": "Policy"}}', "application/json", "Policy"),
        ('{"message": "At the root"}', "application/json", "At the root"),
        ('{"a": {"message": "1"}, "b": {"message": "2"}}', "application/json", "1\n2"),
        ('{"error": {"message": {"a": 1}}}', "application/json", "Forbidden"),
        ('{"errors": [{"title": "x"}]}', "application/json", "Forbidden"),
        ("[" * 100_000, "application/json", "Forbidden"),
        ("null", "application/json", "Forbidden"),
        ("[1]", "application/json", "Forbidden"),
        ("{", "application/json", "Forbidden"),
        ("", "", "Forbidden"),
        ("<h1>403</h1> <p>You &amp; me<br>", "text/html", "You & me"),
        ("<h1>403</h1>", "text/html", "Forbidden"),
        ("<title>Bad gateway</title>", "text/html", "Bad gateway"),
    ],
)
def test_reasons(body: str, kind: str, expected: str) -> None:
    assert reason(body, kind) == expected


@pytest.mark.parametrize("part", ["<", "<a", "<a>", "&", "&amp;", "</h1>", " ", '"', "[", "{"])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_the_time_is_linear_in_the_length(part: str, kind: str) -> None:
    began = time.process_time()
    assert len(reason("<h1>x</h1>" + part * 1_000_000, kind)) < 1100
    assert time.process_time() - began < 5


ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("message"), inner),
    max_leaves=10,
)


@given(ANY_JSON.map(json.dumps) | st.binary(), st.sampled_from(["application/json", "text/html"]))
def test_anything_has_a_reason(body: str | bytes, kind: str) -> None:
    assert reason(body, kind)
