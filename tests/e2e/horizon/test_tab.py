# SPDX-License-Identifier: Apache-2.0
"""The tab Serial Number on the page of an instance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.horizon.browser import Browser
from tests.e2e.horizon.conftest import ADMIN, MEMBER
from tests.e2e.horizon.plugin import (
    HOSTILE,
    HOSTILE_SHOWN,
    READER,
    TAB,
    WIDTHS,
    check_accessible,
    check_width,
    logged_in,
    open_tab,
    resized,
    show_tab,
    tab_path,
    without_placement,
)
from tests.functional.cloud import Cloud

UNIQUE, FALSE = {"hw:unique_serial": "true"}, {"hw:unique_serial": "false"}
REQUIRED = {"trait:CUSTOM_UNIQUE_SERIAL": "required"}
#: Server -> host, extra specs of the flavor, and the serial source that the tab shows.
ADMIN_SERVERS: Mapping[str, tuple[str, dict[str, str], str]] = {
    "obeyed": ("keys-1", UNIQUE, "UUID of the server"),
    "silent": ("keys-1", {}, "Host: machine ID, or hardware UUID without one"),
    "pending": ("keys-1", UNIQUE, "UUID of the server"),
    "os": ("os-1", UNIQUE, "Machine ID of the host's operating system"),
    "hardware": ("hardware-1", {}, "UUID of the host's hardware"),
    "none": ("none-1", {}, "No serial number"),
    "undeclared": ("undeclared-1", {}, "Unknown"),
    "no-image": ("keys-1", {}, "Unknown"),
    "offloaded": ("keys-1", UNIQUE, "Unknown"),
}
#: Server of the member -> extra specs of its flavor, and its serial source for a tenant.
MEMBER_SERVERS: Mapping[str, tuple[dict[str, str], str]] = {
    "own": ({}, "Unknown"),
    "steered": ({**UNIQUE, **REQUIRED}, "UUID of the server"),
}


@pytest.fixture(scope="module")
def servers(cloud: Cloud, namer: Callable[[str], str]) -> Iterator[Mapping[str, str]]:
    """The IDs of the servers in each state; those of the member have hostile metadata."""

    def boot(word: str) -> str:
        host, specs, _ = ADMIN_SERVERS[word]
        name = namer(word)
        flavor, image = cloud.new_flavor(name, specs), cloud.new_image(name)
        server = cloud.boot(name, flavor, image, host)
        if word == "pending":
            cloud.set_extra_specs(flavor, FALSE)
        elif word == "no-image":
            cloud.raw("glance", "DELETE", f"/v2/images/{image}").raise_for_status()
        elif word == "offloaded":
            cloud.action(server, shelve=None)
            cloud.wait(server, "SHELVED_OFFLOADED")
        return server

    # The token is asked for once.
    assert cloud.token
    with ThreadPoolExecutor(4) as pool:
        made = dict(zip(ADMIN_SERVERS, pool.map(boot, ADMIN_SERVERS), strict=True))
    for word, (specs, _) in MEMBER_SERVERS.items():
        name = namer(word)
        run = cloud.openstack(
            *("--os-compute-api-version", "2.74", "server", "create", "--nic", "none", "--wait"),
            *("--flavor", cloud.new_flavor(name, specs), "--image", cloud.new_image(name), name),
            *("-f", "value", "-c", "id"),
            cloud=MEMBER,
        )
        made[word] = run.stdout.strip()
        cloud.set_metadata(made[word], hw_unique_serial=HOSTILE)
    yield made
    for each in made.values():
        assert cloud.raw("nova", "DELETE", f"/v2.1/servers/{each}").status_code in (204, 404)


def stored(cloud: Cloud, server: str) -> object:
    return cloud.get("nova", f"/v2.1/servers/{server}/metadata")["metadata"]


def test_every_state_for_an_administrator(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str]
) -> None:
    admin = browsers(ADMIN)
    open_tab(admin, "admin", servers["obeyed"])
    for word, (_, _, source) in ADMIN_SERVERS.items():
        server = servers[word]
        show_tab(admin, "admin", server)
        shown = cloud.show(server)
        assert admin.one("#unique-serial-source").text == source, word
        assert admin.one("#unique-serial-why").text == shown["why"]
        assert admin.one("#unique-serial-expected").text == (shown["expected_serial"] or "-")
        survives = {True: "Yes", False: "No", None: "Unknown"}[shown["survives_move"]]
        assert admin.one("#unique-serial-survives").text == survives
        pending = [each.text for each in admin.all("#unique-serial-pending li")]
        assert len(pending) == len(shown["pending"]), word
        assert all("Applied by a resize" in text for text in pending)
        unknown = source == "Unknown"
        assert bool(admin.all("#unique-serial-partial")) is unknown, word
        # The button is offered where a request may have an effect that it has not yet.
        assert bool(admin.all("#unique-serial-ask")) is (word in ("silent", "no-image")), word
    assert cloud.show(servers["pending"])["pending"]


def test_every_state_for_a_tenant(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str], shots: Path
) -> None:
    for user in (MEMBER, READER):
        browser = browsers(user)
        open_tab(browser, "project", servers["own"])
        for word, (_, source) in MEMBER_SERVERS.items():
            if word != "own":
                show_tab(browser, "project", servers[word])
            assert browser.one("#unique-serial-source").text == source
            why = cloud.show(servers[word], cloud=user)["why"]
            assert browser.one("#unique-serial-why").text == why
            assert "partial" in browser.one("#unique-serial-partial").text
            # A stored text that is no boolean counts as unset, and is escaped.
            assert HOSTILE_SHOWN in browser.one("#unique-serial-inputs").text
            assert browser.driver.title != "hacked"
            asks = browser.all("#unique-serial-ask")
            assert bool(asks) is (user == MEMBER and word == "own")
            if asks:
                assert "unknown to you" in asks[0].text
                browser.screenshot(shots / "tab-member.png")


def test_the_button_stores_the_request(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str], shots: Path
) -> None:
    admin, silent = browsers(ADMIN), servers["silent"]
    open_tab(admin, "admin", silent)
    assert "unknown to you" not in admin.one("#unique-serial-ask").text
    admin.screenshot(shots / "tab-admin.png")
    admin.one("#unique-serial-ask button").click()
    assert "next hard reboot" in admin.one(".alert-success").text
    assert "/admin/instances/" in admin.driver.current_url
    assert stored(cloud, silent) == {"hw_unique_serial": "true"}
    assert admin.one("#unique-serial-expected").text == silent
    # Nova does not return whether the guest was started since.
    assert admin.all("#unique-serial-pending")
    assert not admin.all("#unique-serial-ask")


def test_a_request_that_nova_refuses(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str]
) -> None:
    member, own = browsers(MEMBER), servers["own"]
    open_tab(member, "project", own)
    # The server is not in a status in which metadata can be changed.
    cloud.action(own, shelve=None)
    cloud.wait(own, "SHELVED_OFFLOADED")
    member.one("#unique-serial-ask button").click()
    assert "was not changed" in member.one(".alert-danger").text
    assert stored(cloud, own) == {"hw_unique_serial": HOSTILE}
    cloud.action(own, unshelve=None)
    cloud.wait(own, "ACTIVE")


def test_the_keyboard_alone(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str]
) -> None:
    member, own = browsers(MEMBER), servers["own"]
    member.open(f"/project/instances/{own}/")
    member.tab_to(".nav-tabs a[href$='unique_serial']").send_keys(Keys.ENTER)
    member.one(TAB)
    member.tab_to("#unique-serial-ask button").send_keys(Keys.ENTER)
    member.one(".alert-success")
    assert stored(cloud, own) == {"hw_unique_serial": "true"}


def test_three_widths_and_accessibility(
    browsers: Callable[[str], Browser], cloud: Cloud, servers: Mapping[str, str]
) -> None:
    admin = browsers(ADMIN)
    # The longest word that metadata may have.
    cloud.set_metadata(servers["pending"], hw_unique_serial="x" * 255)
    open_tab(admin, "admin", servers["pending"])
    assert admin.all("#unique-serial-pending")
    check_accessible(admin, TAB)
    for width in WIDTHS:
        with resized(admin, width):
            check_width(admin, TAB, width)


def test_a_fault_of_placement_is_a_text(
    horizon: str, cloud: Cloud, servers: Mapping[str, str]
) -> None:
    auth = cloud.clouds["clouds"][ADMIN]["auth"]
    # The catalog comes with the token; a browser of its own would take a minute.
    with without_placement(cloud), logged_in(horizon, auth["username"], auth["password"]) as user:
        text = user.get(horizon + tab_path("admin", servers["obeyed"])).text
    (partial,) = re.findall(r'id="unique-serial-partial".*?</div>', text, re.DOTALL)
    assert "could not be read: Placement" in partial
