# SPDX-License-Identifier: Apache-2.0
"""The HTML report of the seeded cloud: looked at, listened to, printed, used by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.report.page import Page
from tests.functional.cloud import SeededCloud

WIDTHS = (1280, 768, 375)
SCHEMES = ("light", "dark")
#: Those that are in the documentation.
PICTURES = ((1280, "light"), (375, "dark"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_read_it(page: Page, shots: Path, width: int, scheme: str) -> None:
    page.open(width, scheme)
    violations = page.violations()
    assert violations == [], [(each["id"], each["nodes"][0]["html"]) for each in violations]
    # Tables scroll, the page does not.
    assert page.run("return document.documentElement.scrollWidth") <= width
    if (width, scheme) in PICTURES:
        page.screenshot(shots / f"report-{width}-{scheme}.png", width, 1400)


def test_with_everything_unfolded(page: Page) -> None:
    page.open()
    page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.violations() == []


def test_it_is_one_file_without_scripts(page: Page) -> None:
    page.messages()
    page.open()
    assert page.run("return document.scripts.length") == 0
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    # A browser says here what the page's own policy forbids, and what could not be loaded.
    assert page.messages() == []


def test_light_and_dark_differ(page: Page) -> None:
    colours = set()
    for scheme in SCHEMES:
        page.open(scheme=scheme)
        colours.add(page.run("return getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_by_keyboard(page: Page) -> None:
    page.open()
    focused = "return document.activeElement"
    ActionChains(page.driver).send_keys(Keys.TAB).perform()
    first = page.run(focused)
    assert first.get_attribute("href").endswith("#findings")
    assert first.rect["x"] >= 0, "the link that skips is out of sight"
    reached = []
    for _ in range(len(page.driver.find_elements(By.CSS_SELECTOR, "a, summary, [tabindex]"))):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        now = page.run(focused)
        reached.append(now.tag_name)
        if now.tag_name == "summary":
            ActionChains(page.driver).send_keys(Keys.ENTER).perform()
            assert page.run("return arguments[0].parentElement.open", now)
    # Links, what scrolls, and what unfolds.
    assert {"a", "div", "summary"} <= set(reached)


def test_a_command_is_selected_whole(page: Page) -> None:
    page.open()
    first, second = page.driver.find_elements(By.CSS_SELECTOR, ".group .commands code")[:2]
    for command in (second, first):
        command.click()
        assert page.run("return getSelection().toString()").strip() == command.text
        assert command.text.startswith("openstack ")


def test_a_link_unfolds_what_a_finding_means(page: Page) -> None:
    page.open()
    page.driver.find_element(By.CSS_SELECTOR, ".group h3 a").click()
    goal = page.run("return document.querySelector(':target')")
    assert page.run("return arguments[0].closest('details').open", goal)


def test_hosts_where_serials_are_shared_stand_out(page: Page, seeded: SeededCloud) -> None:
    page.open()
    shared = {
        row["resource_name"]: len(row["server_ids"])
        for row in seeded.manifest["findings"]
        if row["id"] == "serial-shared"
    }
    assert shared
    titles = page.run(
        "return Array.from(document.querySelectorAll('rect.s-bad > title'), e => e.textContent)"
    )
    assert {title.partition(":")[0] for title in titles} == shared.keys()
    rows = page.run(
        "return Array.from(document.querySelectorAll('.map tbody tr'),"
        " row => [row.cells[0].textContent, Array.from(row.cells, c => c.textContent)"
        ".filter(text => text.endsWith(' share'))])"
    )
    for host, cells in rows:
        counts = [int(text.split()[0].replace(",", "")) for text in cells]
        assert sum(counts) == shared.get(host, 0), host


def test_what_is_new_and_what_is_accepted(page: Page) -> None:
    page.open()
    sections = {
        each.get_attribute("aria-labelledby"): each.text
        for each in page.driver.find_elements(By.CSS_SELECTOR, "main > section")
    }
    assert "serial-shared" in sections["findings"]
    assert "serial-unexplained" in sections["findings"]
    assert "invalid-value" not in sections["findings"]
    assert "invalid-value" in sections["accepted"]
    assert "Ticket 4711" in sections["accepted"]


def test_on_paper(page: Page) -> None:
    page.open(media="print")
    # As wide as a page of A4, at 96 dots an inch, without its margins.
    page.screenshot(Path("/dev/null"), 718, 1000)
    clipped = (
        "return Array.from(document.querySelectorAll('.scroll'))"
        ".filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert page.run(clipped) == 0
    folded = (
        "return Array.from(document.querySelectorAll('details > :not(summary)'))"
        ".filter(e => !e.checkVisibility({contentVisibilityAuto: true})).length"
    )
    assert page.run("return document.querySelectorAll('details').length")
    assert page.run(folded) == 0
    assert page.pdf().startswith(b"%PDF-")
