# SPDX-License-Identifier: Apache-2.0
"""The pages of the plugin: how tests open and check them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

import requests
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e import axe
from tests.e2e.horizon.browser import Browser
from tests.functional.cloud import Cloud

READER = "devcloud-reader"
#: Evaluated by AngularJS, and by a browser, where a page does not escape it.
HOSTILE = "{$ 7*191 $}<img src=x onerror=document.title='hacked'>"
#: As a page shows it: the filter of Horizon against AngularJS replaces its marks.
HOSTILE_SHOWN = HOSTILE.replace("$", "%")
#: A desktop, a tablet and a phone, in pixels.
WIDTHS = (1280, 768, 375)

TAB = "#unique-serial"
PANEL = "/admin/serial_numbers/"
#: The tabs of the panel by name, and their contents.
PANEL_TABS = {
    "Findings": "#unique-serial-findings",
    "Readiness": "#unique-serial-readiness",
    "Hosts": "#unique-serial-hosts",
}


def instance_path(dashboard: str, server: str) -> str:
    """Return the path of the page of an instance."""
    return f"/{dashboard}/instances/{server}/{'detail' if dashboard == 'admin' else ''}"


def tab_path(dashboard: str, server: str) -> str:
    """Return the path of the tab alone, which Horizon's script puts into the page."""
    return f"{instance_path(dashboard, server)}?tab=instance_details__unique_serial"


@contextlib.contextmanager
def logged_in(url: str, name: str, password: str) -> Iterator[requests.Session]:
    """Log in to Horizon without a browser; requests are those of Horizon's script."""
    with requests.Session() as session:
        page = session.get(f"{url}/auth/login/").text
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        form = {**hidden, "username": name, "password": password}
        answer = session.post(f"{url}/auth/login/", form, headers={"Referer": url})
        answer.raise_for_status()
        assert "/auth/login" not in answer.url
        session.headers["X-Requested-With"] = "XMLHttpRequest"
        yield session


def open_tab(browser: Browser, dashboard: str, server: str) -> WebElement:
    """Open the tab Serial Number of an instance and return its content."""
    browser.open(instance_path(dashboard, server))
    # The page of Horizon comes first: the tab is read when it is opened.
    assert not browser.all(TAB)
    browser.one(".nav-tabs a", "Serial Number").click()
    return browser.one(TAB)


def show_tab(browser: Browser, dashboard: str, server: str) -> WebElement:
    """Show the tab of another instance in the open page of one: Horizon's own part takes long.

    Horizon puts the same answer into the page when the tab is opened.
    """
    browser.driver.execute_async_script(
        "const [selector, path, done] = arguments;"
        "fetch(path, {headers: {'X-Requested-With': 'XMLHttpRequest'}})"
        ".then(answer => answer.text()).then(text => {"
        " document.querySelector(selector).outerHTML = text; done(); })",
        *(TAB, tab_path(dashboard, server)),
    )
    return browser.one(TAB)


def open_panel(browser: Browser, name: str) -> WebElement:
    """Open a tab of the panel and return its content."""
    browser.open(PANEL)
    browser.one(".nav-tabs a", name).click()
    return browser.one(PANEL_TABS[name])


def download(browser: Browser, path: str) -> dict[str, Any]:
    """Return the status, the headers and the text of a page or download."""
    found: dict[str, Any] = browser.driver.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0]).then(async answer => done({"
        "status: answer.status, headers: Object.fromEntries(answer.headers),"
        " text: await answer.text()}))",
        path,
    )
    return found


def seconds(browser: Browser, path: str) -> float:
    """Return how long the server needs for a page, the least of three times."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        assert download(browser, path)["status"] == 200
        times.append(time.monotonic() - start)
    return min(times)


def check_accessible(browser: Browser, selector: str) -> None:
    """Check a part of a page with axe-core: nothing but the colour of Horizon's links."""
    for violation in axe.violations(browser.driver, selector):
        nodes = [each["html"] for each in violation["nodes"]]
        assert violation["id"] == "color-contrast", (violation["id"], nodes)
        assert all(html.startswith("<a ") for html in nodes), nodes


@contextlib.contextmanager
def resized(browser: Browser, width: int) -> Iterator[None]:
    """Let the screen have a width in pixels for a while."""
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def check_width(browser: Browser, selector: str, width: int) -> None:
    """Check that a part of a page fits into the screen; its tables scroll."""
    box: dict[str, int] = browser.script(
        "const part = document.querySelector(arguments[0]);"
        "return {right: Math.ceil(part.getBoundingClientRect().right),"
        " own: part.clientWidth, needed: part.scrollWidth}",
        selector,
    )
    assert box["own"] > 0, box
    assert box["right"] <= width, box
    assert box["needed"] <= box["own"], box


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
