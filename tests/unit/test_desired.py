# SPDX-License-Identifier: Apache-2.0
"""The desired state of a cloud: what a file says."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osc_uniqserial.desired import document
from osc_uniqserial.desired.document import BadDocument, Desired, Entry, HostEntry, Selector
from osc_uniqserial.policy import HostMode, Setting

CAMPAIGN = """\
# All images of Windows.
images:
  - glob: "Windows*"
    any_owner: true
    unique_serial: true
    hosts: supported
  - owner: 0471
    unique_serial: unset
flavors:
  - name: licensed
    hosts: any
  - id: "42"
    unique_serial: false
aggregates:
  - name: rack-1
    unique_serial: true
servers:
  - name: db
    owner: 0471
    unique_serial: true
hosts:
  - aggregate: rack-1
    mode: unique
    driver: true
    server_may_ask: false
metadefs: installed
"""


def test_a_campaign() -> None:
    assert document.parse(CAMPAIGN) == Desired(
        flavors=(
            Entry(10, Selector(name="licensed"), None, "any"),
            Entry(12, Selector(id="42"), Setting.HOST),
        ),
        images=(
            Entry(3, Selector(glob="Windows*"), Setting.UNIQUE, "supported"),
            Entry(7, Selector(owner="0471"), Setting.UNSET),
        ),
        aggregates=(Entry(15, Selector(name="rack-1"), Setting.UNIQUE),),
        servers=(Entry(18, Selector(name="db", owner="0471"), Setting.UNIQUE),),
        hosts=(
            HostEntry(
                22,
                Selector(),
                aggregate="rack-1",
                mode=HostMode.UNIQUE,
                driver=True,
                server_may_ask=False,
            ),
        ),
        metadefs=True,
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is empty: write entries of flavors, images, servers or others"),
        ("- a", "line 1: a list is not valid: write a mapping"),
        ("{}", "line 1: write at least one of flavors, images, aggregates, servers, hosts"),
        ("flavors: 3", "line 1: flavors: '3' is not valid: write a list"),
        ("flavors: [3]", "line 1: flavors, entry 1: '3' is not valid: write a mapping"),
        ("flavors:", "line 1: flavors: no value is not valid: write a list"),
        ("colours: []", "line 1: colours: 'colours' is not known: write one of flavors, images"),
        (
            "flavors:\n- name: a\n  glob: b\n  hosts: any",
            "line 2: flavors, entry 1: write exactly one of id, name and glob",
        ),
        (
            "flavors:\n- name: a\n- name: b\n  unique_serial: yes",
            "line 2: flavors, entry 1: write unique_serial, hosts, or both; line 4: flavors, entry"
            " 2, unique_serial: 'yes' is not valid: write true or false or unset",
        ),
        (
            "images:\n- name: a\n  unique_serial: true\n  hosts: aggregate",
            "line 2: images, entry 1: tenants choose the names: write owner, the ID of a project,"
            " or any_owner: true; line 4: images, entry 1, hosts: 'aggregate' is not valid: write"
            " supported or any",
        ),
        (
            "images:\n- name: a\n  owner: b\n  any_owner: true\n  unique_serial: true",
            "line 2: images, entry 1: tenants choose the names",
        ),
        (
            "servers:\n- id: a\n  unique_serial: false",
            "line 3: servers, entry 1, unique_serial: a server can only ask for a serial number of"
            " its own: write true, or unset to remove its request",
        ),
        ("servers:\n- id: ''\n  unique_serial: true", "write a text that is not empty"),
        ("servers:\n- unique_serial: true", "write exactly one of id, name and glob, or owner"),
        ("aggregates:\n- id: a", "line 2: aggregates, entry 1: write unique_serial"),
        ("hosts:\n- name: a", "write at least one of mode, driver, server_may_ask and image_may"),
        ("metadefs: absent", "line 1: metadefs: 'absent' is not valid: write installed"),
        ("a: 1\na: 2", "line 2: 'a' is in line 1 already: keep one of them"),
    ],
)
def test_a_document_that_is_refused(text: str, error: str) -> None:
    with pytest.raises(BadDocument) as raised:
        document.parse(text)
    assert error in str(raised.value)


def test_a_document_with_many_errors() -> None:
    with pytest.raises(BadDocument) as raised:
        document.parse("flavors:\n" + "- name: a\n" * 1000)
    assert str(raised.value).endswith("; and 980 more")


NAMES = st.text("ab*?[]!", max_size=5)


@given(NAMES, NAMES, st.sampled_from([None, "p", "q"]))
def test_what_a_selector_selects(name: str, pattern: str, owner: str | None) -> None:
    of_owner = owner in (None, "p")
    assert Selector(name=pattern, owner=owner).fits("1", name, "p") is (
        name == pattern and of_owner
    )
    fits = fnmatch.fnmatchcase(name, pattern)
    assert Selector(glob=pattern, owner=owner).fits("1", name, "p") is (fits and of_owner)
    assert Selector(id="1", owner=owner).fits("1", name, "p") is of_owner
    # A server of a cell that is down has no name.
    assert not Selector(glob="*").fits("1", None, "p")
