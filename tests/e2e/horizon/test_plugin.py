# SPDX-License-Identifier: Apache-2.0
"""The plugin in Horizon: the tab of an instance, and the panel of administrators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.horizon.browser import Browser
from tests.e2e.horizon.conftest import ADMIN, MEMBER
from tests.e2e.horizon.test_metadata import boot_as_member
from tests.functional.cloud import Cloud

READER = "devcloud-reader"
#: Evaluated by AngularJS, and by a browser, where a page does not escape it.
HOSTILE = "{$ 7*191 $}<img src=x onerror=document.title='hacked'>"
TAB = "#unique-serial"


@pytest.fixture
def servers(cloud: Cloud, namer: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The IDs of a server on a host that obeys requests, and of one of the member."""
    name = namer("tab")
    obeyed = cloud.boot(name, cloud.new_flavor(name), cloud.new_image(name), host="keys-1")
    own = boot_as_member(cloud, namer("tab"))
    cloud.set_metadata(own, hw_unique_serial=HOSTILE)
    yield obeyed, own
    for each in (obeyed, own):
        cloud.raw("nova", "DELETE", f"/v2.1/servers/{each}").raise_for_status()


def open_tab(browser: Browser, dashboard: str, server: str) -> None:
    browser.open(f"/{dashboard}/instances/{server}/{'detail' if dashboard == 'admin' else ''}")
    # The page of Horizon comes first: the tab is read when it is opened.
    assert not browser.all(TAB)
    browser.one(".nav-tabs a", "Serial Number").click()
    browser.one(TAB)


def stored(cloud: Cloud, server: str) -> object:
    return cloud.get("nova", f"/v2.1/servers/{server}/metadata")["metadata"]


def test_the_tab_explains_and_asks(
    browsers: Callable[[str], Browser],
    cloud: Cloud,
    servers: tuple[str, str],
    shots: Path,
) -> None:
    obeyed, own = servers
    admin = browsers(ADMIN)
    open_tab(admin, "admin", own)
    shown = cloud.show(own)
    assert admin.one("#unique-serial-why").text == shown["why"]
    # Not evaluated: Horizon replaces the marks of AngularJS.
    assert HOSTILE.replace("$", "%") in admin.one("#unique-serial-inputs").text
    assert admin.driver.title != "hacked"

    open_tab(admin, "admin", obeyed)
    assert not admin.all("#unique-serial-partial")
    assert "unknown to you" not in admin.one("#unique-serial-ask").text
    admin.screenshot(shots / "tab-admin.png")
    admin.one("#unique-serial-ask button").click()
    assert "next hard reboot" in admin.one(".alert-success").text
    assert "/admin/instances/" in admin.driver.current_url
    assert stored(cloud, obeyed) == {"hw_unique_serial": "true"}
    assert admin.one("#unique-serial-expected").text == obeyed
    assert admin.all("#unique-serial-pending")
    assert not admin.all("#unique-serial-ask")

    reader = browsers(READER)
    open_tab(reader, "project", own)
    assert "partial" in reader.one("#unique-serial-partial").text
    assert not reader.all("#unique-serial-ask")

    member = browsers(MEMBER)
    open_tab(member, "project", own)
    assert "partial" in member.one("#unique-serial-partial").text
    assert "unknown to you" in member.one("#unique-serial-ask").text
    member.screenshot(shots / "tab-member.png")
    # Nova refuses it: the server is not in a status in which metadata can be changed.
    cloud.action(own, shelve=None)
    cloud.wait(own, "SHELVED_OFFLOADED")
    member.one("#unique-serial-ask button").click()
    assert "was not changed" in member.one(".alert-danger").text
    assert stored(cloud, own) == {"hw_unique_serial": HOSTILE}
