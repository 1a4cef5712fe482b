# SPDX-License-Identifier: Apache-2.0
"""The real reason why a service cannot be used, and lists without end."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import requests

from tests.unit.clouds import AuditCloud
from tests.unit.fake_cloud import NOVA, FakeCloud

AUDIT = ("unique", "serial", "audit")
COMMANDS = [AUDIT, ("unique", "serial", "list"), ("unique", "serial", "show", "x")]
VERSIONS = (NOVA, f"{NOVA}/", "http://nova.test/", "http://nova.test")


def break_versions(fake: FakeCloud, **answer: Any) -> None:
    """Answer so to each request for the version document of Nova."""
    for url in VERSIONS:
        fake.http.get(url, **answer)


REASONS = [
    ({"exc": requests.ConnectionError("Connection refused")}, "could not be reached: .*refused"),
    ({"exc": requests.ConnectTimeout()}, "could not be reached: .*timed out"),
    ({"status_code": 503}, "answered 503"),
    ({"status_code": 404, "json": {"x": {"message": "Gone"}}}, "answered 404"),
    ({"text": "<html><h1>It works</h1></html>"}, "not JSON"),
    ({"json": [1]}, "something unexpected"),
]
#: Documents with which the SDK makes no client at all.
WORSE = [
    ({"text": "null"}, "something unexpected"),
    ({"json": {"versions": []}}, "does not report its microversions.*2.69"),
    ({"text": "[" * 100_000}, "something unexpected"),
    ({"json": {"version": None}}, "something unexpected"),
    ({"json": {"versions": [None]}}, "something unexpected"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[2])
@pytest.mark.parametrize(("answer", "reason"), REASONS + WORSE)
def test_nova_without_a_version_document(
    fake: FakeCloud, command: tuple[str, ...], answer: dict[str, Any], reason: str
) -> None:
    break_versions(fake, **answer)
    result = fake.openstack(*command)
    assert result.code == 1
    (line,) = [each for each in result.err.splitlines() if each.startswith("Nova (compute)")]
    assert re.search(reason, line), line


def test_a_region_without_nova(fake: FakeCloud) -> None:
    fake.catalog("image", "placement", "identity")
    result = fake.openstack(*AUDIT)
    assert (result.code, "no usable endpoint in the service catalog" in result.err) == (1, True)


@pytest.mark.parametrize("answer", [answer for answer, _reason in REASONS])
def test_an_explicit_version_is_used_without_a_document(
    fake: FakeCloud, answer: dict[str, Any]
) -> None:
    cloud = AuditCloud(fake)
    cloud.server(1)
    break_versions(fake, **answer)
    listed = fake.openstack(
        "--os-compute-api-version", "2.90", "unique", "serial", "list", "-f", "json"
    )
    assert listed.code == 0, listed.err
    assert len(listed.json) == 1
    sent = [
        request.headers["OpenStack-API-Version"]
        for request in fake.http.request_history
        if request.path.endswith("/servers/detail")
    ]
    assert set(sent) == {"compute 2.90"}


def test_an_explicit_version_that_is_too_old(fake: FakeCloud) -> None:
    break_versions(fake, status_code=503)
    result = fake.openstack("--os-compute-api-version", "2.60", *AUDIT)
    assert result.code == 1
    assert "--os-compute-api-version 2.60 is too old" in result.err
    assert "2.69 (Stein)" in result.err


@pytest.mark.parametrize(("size", "most"), [(1, 120), (20, 2_100)])
def test_a_list_without_end_is_given_up(fake: FakeCloud, size: int, most: int) -> None:
    cloud = AuditCloud(fake)
    numbers = itertools.count()

    def page(_request: Any, _context: Any) -> Any:
        flavors = [{"id": str(next(numbers)), "name": "x", "extra_specs": {}} for _ in range(size)]
        return {"flavors": flavors, "flavors_links": [{"rel": "next", "href": "x"}]}

    fake.http.get(f"{NOVA}/flavors/detail", json=page)
    findings = cloud.findings(code=4)
    assert "lists flavors without end" in json.dumps(findings)
    assert next(numbers) < most * size
