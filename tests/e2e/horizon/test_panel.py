# SPDX-License-Identifier: Apache-2.0
"""The panel Admin > Compute > Serial Numbers, with a report of 5,000 findings."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.horizon.browser import Browser
from tests.e2e.horizon.conftest import ADMIN, MEMBER
from tests.e2e.horizon.plugin import (
    HOSTILE,
    HOSTILE_SHOWN,
    PANEL,
    PANEL_TABS,
    READER,
    WIDTHS,
    check_accessible,
    check_width,
    download,
    open_panel,
    resized,
    without_placement,
)
from tests.functional.cloud import Cloud
from tests.functional.test_show import broken_cell

FINDINGS = 5_000


@pytest.fixture(scope="module")
def written(cloud: Cloud, reports: Path) -> Iterator[str]:
    """The text of a JSON report with 5,000 findings, one of which is hostile; the HTML report."""
    path, html = reports / "audit.json", reports / "audit.html"
    options = ("--report", f"json={path}", "--report", f"html={html}")
    run = cloud.openstack("unique", "serial", "audit", *options, check=False)
    assert run.returncode in (3, 4), run.stderr
    document = json.loads(path.read_text())
    found = document["findings"]
    document["findings"] = [found[number % len(found)] for number in range(FINDINGS - 1)]
    server = {"resource_type": "server", "resource_name": HOSTILE, "resource_id": '../"x'}
    hostile = {**found[0], **server, "evidence": f"={HOSTILE}", "severity": "high"}
    document["findings"].insert(0, hostile)
    yield json.dumps(document)
    path.unlink(missing_ok=True)
    html.unlink()


@pytest.fixture(autouse=True)
def report(written: str, reports: Path) -> Path:
    """The path of the JSON report."""
    path = reports / "audit.json"
    path.write_text(written)
    return path


def test_findings_filters_and_pages(browsers: Callable[[str], Browser]) -> None:
    admin = browsers(ADMIN)
    admin.open(PANEL)
    assert "ago" in admin.one("#unique-serial-age").text
    assert admin.one("#unique-serial-found").text == f"{FINDINGS} findings"
    rows = admin.all("#unique-serial-table tbody tr")
    assert len(rows) == 50
    # Not evaluated, and no link to another page by its ID.
    assert HOSTILE_SHOWN in rows[0].text
    assert not admin.all("a[href*='..']", rows[0])
    assert admin.driver.title.startswith("Serial Numbers")
    admin.one("#unique-serial-next").click()
    assert "Page 2 of 100" in admin.one("#unique-serial-findings nav").text
    # By keyboard: the text, and Enter.
    admin.tab_to("#filter-text").send_keys(HOSTILE, Keys.ENTER)
    admin.until(lambda: admin.one("#unique-serial-found").text == "One finding")
    assert admin.one("#filter-text").get_attribute("value") == HOSTILE_SHOWN


def test_downloads(browsers: Callable[[str], Browser], reports: Path) -> None:
    admin = browsers(ADMIN)
    admin.open(PANEL)
    for name in ("findings.csv", "report.html"):
        headers = download(admin, f"{PANEL}{name}")["headers"]
        assert headers["content-disposition"].startswith("attachment;")
        assert headers["x-content-type-options"] == "nosniff"
    lines = list(csv.DictReader(download(admin, f"{PANEL}findings.csv")["text"].splitlines()))
    assert len(lines) == FINDINGS
    assert lines[0]["evidence"] == f"'={HOSTILE}"
    html = download(admin, f"{PANEL}report.html")["text"]
    assert html == (reports / "audit.html").read_text()


def test_the_readiness(browsers: Callable[[str], Browser], cloud: Cloud, shots: Path) -> None:
    admin = browsers(ADMIN)
    status = cloud.openstack("unique", "serial", "status", "-f", "json", check=False)
    open_panel(admin, "Readiness")
    shown = [row.text for row in admin.all(f"{PANEL_TABS['Readiness']} tbody tr")]
    expected = json.loads(status.stdout)
    assert len(shown) == len(expected)
    for text, row in zip(shown, expected, strict=True):
        assert text.startswith(row["Check"])
        assert row["Details"]["message"] in text
        assert (row["Details"]["remedy"] or "") in text
        assert ", ".join(row["Details"]["hosts"][:5]) in text
    admin.screenshot(shots / "panel-readiness.png")


def test_the_tabs_by_keyboard_in_three_widths(browsers: Callable[[str], Browser]) -> None:
    admin = browsers(ADMIN)
    admin.open(PANEL)
    for name, selector in PANEL_TABS.items():
        link = f".nav-tabs a[href$='serial_numbers__{name.lower()}']"
        admin.tab_to(link).send_keys(Keys.ENTER)
        admin.one(selector)
        check_accessible(admin, selector)
        for width in WIDTHS:
            with resized(admin, width):
                check_width(admin, selector, width)
    assert "keys-1" in admin.one(PANEL_TABS["Hosts"]).text


def test_a_report_that_cannot_be_shown(browsers: Callable[[str], Browser], report: Path) -> None:
    admin = browsers(ADMIN)
    report.write_text("{")
    admin.open(PANEL)
    assert "not a complete JSON report" in admin.one("#unique-serial-unusable").text
    report.unlink()
    admin.open(f"{PANEL}findings.csv")
    assert "missing" in admin.one("#unique-serial-unusable").text
    # The other tabs do not need it.
    assert open_panel(admin, "Readiness").text


@pytest.mark.parametrize("user", [MEMBER, READER])
def test_other_users_do_not_see_it(browsers: Callable[[str], Browser], user: str) -> None:
    other = browsers(user)
    other.open("/project/")
    assert not other.all("a[href*='serial_numbers']")
    for path in ("", "findings.csv", "report.html"):
        answer = download(other, f"{PANEL}{path}")
        assert "not authorized" in answer["text"].lower()
        assert HOSTILE not in answer["text"]


def test_faults_of_the_cloud_are_texts(
    browsers: Callable[[str], Browser], horizon: str, cloud: Cloud
) -> None:
    admin = browsers(ADMIN)
    with broken_cell(cloud):
        hosts = open_panel(admin, "Hosts").text
        assert "A cell is down, with one host" in hosts
        assert "in a cell that is down" in open_panel(admin, "Readiness").text
    auth = cloud.clouds["clouds"][ADMIN]["auth"]
    # The catalog comes with the token.
    with (
        without_placement(cloud),
        Browser(horizon, auth["username"], auth["password"]) as fresh,
    ):
        open_panel(fresh, "Hosts")
        assert "Placement" in fresh.one(f"{PANEL_TABS['Hosts']} .alert").text
        open_panel(fresh, "Readiness")
        assert "Placement" in fresh.one("tr[data-result=traits-unreadable]").text
