# SPDX-License-Identifier: Apache-2.0
"""The plugin in Horizon: the tab of an instance, and the panel of administrators."""

from __future__ import annotations

import contextlib
import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import axe
from tests.e2e.horizon.browser import Browser
from tests.e2e.horizon.conftest import ADMIN, MEMBER
from tests.e2e.horizon.test_metadata import boot_as_member
from tests.functional.cloud import Cloud
from tests.functional.test_show import broken_cell

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


PANEL = "/admin/serial_numbers/"
FINDINGS = "#unique-serial-findings"


@pytest.fixture
def report(cloud: Cloud, reports: Path) -> Iterator[Path]:
    """A report of the command with 5,000 findings, one of which is hostile."""
    path = reports / "audit.json"
    html = reports / "audit.html"
    written = ("--report", f"json={path}", "--report", f"html={html}")
    run = cloud.openstack("unique", "serial", "audit", *written, check=False)
    assert run.returncode in (3, 4), run.stderr
    document = json.loads(path.read_text())
    found = document["findings"]
    document["findings"] = [found[number % len(found)] for number in range(4_999)]
    server = {"resource_type": "server", "resource_name": HOSTILE, "resource_id": '../"x'}
    hostile = {**found[0], **server, "evidence": f"={HOSTILE}", "severity": "high"}
    document["findings"].insert(0, hostile)
    path.write_text(json.dumps(document))
    yield path
    path.unlink()
    html.unlink()


def download(browser: Browser, path: str) -> dict[str, Any]:
    """Return the headers and the text of a download."""
    found: dict[str, Any] = browser.driver.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0]).then(async answer => done({"
        "headers: Object.fromEntries(answer.headers), text: await answer.text()}))",
        path,
    )
    return found


def seconds(browser: Browser, path: str) -> float:
    """Return how long the server needs for a page, the least of three times."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        download(browser, path)
        times.append(time.monotonic() - start)
    return min(times)


def test_the_panel_of_administrators(
    browsers: Callable[[str], Browser], reports: Path, report: Path, shots: Path
) -> None:
    admin = browsers(ADMIN)
    admin.open(PANEL)
    assert "ago" in admin.one("#unique-serial-age").text
    assert admin.one("#unique-serial-found").text == "5000 findings"
    rows = admin.all("#unique-serial-table tbody tr")
    assert len(rows) == 50
    # Not evaluated, and no link to another page by its ID.
    assert HOSTILE.replace("$", "%") in rows[0].text
    assert not admin.all("a[href*='..']", rows[0])
    assert admin.driver.title.startswith("Serial Numbers")
    admin.screenshot(shots / "panel-findings.png")
    for violation in axe.violations(admin.driver, FINDINGS):
        # The theme of Horizon has the colour of links.
        assert violation["id"] == "color-contrast"
        assert all(each["html"].startswith("<a ") for each in violation["nodes"])
    took, horizon = seconds(admin, PANEL), seconds(admin, "/admin/instances/")
    assert took <= 1.5 * horizon

    admin.one("#unique-serial-next").click()
    assert "Page 2 of 100" in admin.one(f"{FINDINGS} nav").text
    admin.one("#filter-text").send_keys(HOSTILE)
    admin.one("#unique-serial-filter button").click()
    admin.until(lambda: admin.one("#unique-serial-found").text == "One finding")

    told = download(admin, f"{PANEL}findings.csv")
    assert told["headers"]["content-disposition"].startswith("attachment;")
    assert told["headers"]["x-content-type-options"] == "nosniff"
    lines = list(csv.DictReader(told["text"].splitlines()))
    assert len(lines) == 5_000
    assert lines[0]["evidence"] == f"'={HOSTILE}"
    told = download(admin, f"{PANEL}report.html")
    assert told["headers"]["content-disposition"].startswith("attachment;")
    assert told["headers"]["x-content-type-options"] == "nosniff"
    assert told["text"] == (reports / "audit.html").read_text()

    admin.one(".nav-tabs a", "Hosts").click()
    hosts = admin.one("#unique-serial-hosts").text
    assert "keys-1" in hosts
    admin.screenshot(shots / "panel-hosts.png")

    report.write_text("{")
    admin.open(PANEL)
    assert "not a complete JSON report" in admin.one("#unique-serial-unusable").text
    report.unlink()
    admin.open(f"{PANEL}findings.csv")
    assert "missing" in admin.one("#unique-serial-unusable").text
    report.touch()

    member = browsers(MEMBER)
    member.open(f"{PANEL}findings.csv")
    assert not member.all("#unique-serial-unusable")
    assert "not authorized" in member.one("body").text.lower()


@contextlib.contextmanager
def without_placement(cloud: Cloud) -> Iterator[None]:
    """Let the endpoints of Placement in the service catalog lead nowhere."""
    services = cloud.get("keystone", "/v3/services?type=placement")["services"]
    path = f"/v3/endpoints?service_id={services[0]['id']}"
    endpoints = cloud.get("keystone", path)["endpoints"]

    def change(endpoint: dict[str, Any], url: str) -> None:
        body = {"endpoint": {"url": url}}
        answer = cloud.raw("keystone", "PATCH", f"/v3/endpoints/{endpoint['id']}", body)
        answer.raise_for_status()

    try:
        for each in endpoints:
            change(each, "http://127.0.0.1:1")
        yield
    finally:
        for each in endpoints:
            change(each, each["url"])


def test_faults_of_the_cloud_are_texts(
    browsers: Callable[[str], Browser], horizon: str, cloud: Cloud, servers: tuple[str, str]
) -> None:
    admin = browsers(ADMIN)
    with broken_cell(cloud):
        admin.open(PANEL)
        admin.one(".nav-tabs a", "Hosts").click()
        assert "A cell is down, with one host" in admin.one("#unique-serial-hosts").text
    auth = cloud.clouds["clouds"][ADMIN]["auth"]
    # The catalog comes with the token.
    with (
        without_placement(cloud),
        Browser(horizon, auth["username"], auth["password"]) as fresh,
    ):
        open_tab(fresh, "admin", servers[0])
        assert "could not be read: Placement" in fresh.one("#unique-serial-partial").text
        fresh.open(PANEL)
        fresh.one(".nav-tabs a", "Hosts").click()
        assert "Placement" in fresh.one("#unique-serial-hosts .alert").text
