# SPDX-License-Identifier: Apache-2.0
"""Horizon as people use it: Chromium, and the parts of pages that the tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.e2e import chromium

Kind = Literal["flavor", "image", "aggregate", "instance"]
_Found = TypeVar("_Found")

#: Seconds; a busy machine takes long to draw a page.
_WAIT = 60
#: More elements than a page of Horizon has that take the focus.
_FOCUSABLE = 200
_PANELS: dict[Kind, str] = {
    "flavor": "/admin/flavors/",
    "image": "/admin/images",
    "aggregate": "/admin/aggregates/",
    "instance": "/project/instances/",
}
DIALOG = ".modal-dialog"


class Browser:
    """A browser that is logged in to Horizon."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self.driver = chromium.start()
        try:
            self._log_in(user, password)
        except BaseException:
            self.driver.quit()
            raise

    def _log_in(self, user: str, password: str) -> None:
        self.open("/auth/login/")
        self.one("input[name=username]").send_keys(user)
        self.one("input[name=password]").send_keys(password)
        self.one("#loginBtn").click()
        self.until(lambda: "/auth/login" not in self.driver.current_url)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_error: object) -> None:
        self.driver.quit()

    # --- what is on a page ----------------------------------------------

    def open(self, path: str) -> None:
        """Open a page of Horizon."""
        self.driver.get(self.url + path)

    def until(self, condition: Callable[[], _Found | None]) -> _Found:
        """Wait until a condition holds, and return what it found, which is not empty."""
        waiting = WebDriverWait(
            self.driver,
            _WAIT,
            poll_frequency=0.1,
            ignored_exceptions=(NoSuchElementException, StaleElementReferenceException),
        )
        found: _Found = waiting.until(lambda _driver: condition() or False)
        return found

    def all(self, selector: str, within: WebElement | None = None) -> list[WebElement]:
        """Return what is shown and matches a CSS selector."""
        found: list[WebElement] = (within or self.driver).find_elements(By.CSS_SELECTOR, selector)
        return [each for each in found if each.is_displayed()]

    def one(self, selector: str, text: str = "", within: WebElement | None = None) -> WebElement:
        """Wait for the first that is shown, matches and has a text, and return it."""
        return self.first(lambda each: text in each.text.strip(), selector, within)

    def first(
        self,
        wanted: Callable[[WebElement], object],
        selector: str,
        within: WebElement | None = None,
    ) -> WebElement:
        """Wait for the first that is shown, matches and is wanted, and return it."""
        return self.until(
            lambda: next((each for each in self.all(selector, within) if wanted(each)), None)
        )

    def script(self, code: str, *arguments: object) -> Any:
        """Run JavaScript."""
        return self.driver.execute_script(code, *arguments)

    def screenshot(self, path: Path, of: WebElement | None = None) -> None:
        """Save what is shown."""
        if of:
            of.screenshot(str(path))
        else:
            self.driver.save_screenshot(str(path))

    def tab_to(self, selector: str) -> WebElement:
        """Press the Tab key until an element that matches has the focus, and return it."""
        for _ in range(_FOCUSABLE):
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            focused = self.driver.switch_to.active_element
            if self.script("return arguments[0].matches(arguments[1])", focused, selector):
                return focused
        raise AssertionError(f"the Tab key reaches no {selector}")

    # --- metadata of one resource ---------------------------------------

    def row(self, name: str, *, exact: bool = False) -> WebElement:
        """Return the row of a table that is about a resource.

        :param exact: a link in it has this very text
        """
        if not exact:
            return self.one("tbody tr", name)
        return self.first(
            lambda row: any(link.text.strip() == name for link in self.all("a", row)), "tbody tr"
        )

    def choose(self, name: str, action: str) -> None:
        """Choose an action of a row: its button, or one of the menu behind it."""

        def click() -> bool:
            # A table may be drawn again at any time: its elements do not stay valid.
            row = self.row(name)
            found = [each for each in self._actions(row) if each.text.strip() == action]
            if found:
                found[0].click()
            else:
                self._open_menu(row)
            return bool(found)

        self.until(click)

    def actions(self, name: str) -> list[str]:
        """Return the actions that a row offers."""

        def shown() -> list[str]:
            row = self.row(name)
            self._open_menu(row)
            return [each.text.strip() for each in self._actions(row)]

        return self.until(shown)

    def _open_menu(self, row: WebElement) -> None:
        self.script("arguments[0].scrollIntoView({block: 'center'})", row)
        for toggle in self.all(".dropdown-toggle", row):
            if toggle.get_attribute("aria-expanded") != "true":
                toggle.click()

    def _actions(self, row: WebElement) -> list[WebElement]:
        return [
            each for each in self.all(".btn-group a, .btn-group button", row) if each.text.strip()
        ]

    def metadata(self, kind: Kind, name: str) -> Dialog:
        """Open Update Metadata of a resource."""
        self.update_metadata(kind, name)
        return Dialog(self)

    def update_metadata(self, kind: Kind, name: str) -> None:
        """Choose Update Metadata of a resource, without waiting for the dialog."""
        self.open(_PANELS[kind])
        self.choose(name, "Update Metadata")

    # --- wizards ---------------------------------------------------------

    def step(self, title: str) -> None:
        """Go to a step of a wizard."""
        self.one(f"{DIALOG} .nav a", title).click()

    def allocate(self, name: str) -> None:
        """Move a row of a wizard's table of available items to the table of chosen ones."""
        # The table has pages.
        self.one(f"{DIALOG} input.search-input").send_keys(name, Keys.ENTER)
        row = self.first(
            lambda each: name in each.text and self.all(".fa-arrow-up", each), f"{DIALOG} tbody tr"
        )
        self.one(".fa-arrow-up", within=row).click()


class Tree:
    """The two lists of metadata: what may be added, and what is there."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.element = browser.one(f"{DIALOG} .metadata-tree")
        # They come one after the other.
        self._available, self._existing = browser.until(self._both)

    def _both(self) -> tuple[WebElement, WebElement] | None:
        match self._browser.all(".metadata-list-group", self.element):
            case [available, existing]:
                return available, existing
        return None

    def available(self) -> list[str]:
        """Return the labels on the left; the steps of wizards are drawn before they come."""
        return self._browser.until(self._labels)

    def _labels(self) -> list[str]:
        items = self._browser.all("li:not(.disabled)", self._available)
        return [item.text.strip() for item in items][1:]  # the first is for custom keys

    def _item(self, label: str) -> WebElement:
        return self._browser.first(lambda each: each.text.strip() == label, "li", self._available)

    def expand(self, namespace: str) -> None:
        """Show what a namespace offers."""
        item = self._item(namespace)
        if self._browser.all(".fa-chevron-right", item):
            item.find_element(By.CSS_SELECTOR, ".pull-left").click()

    def select(self, label: str) -> str:
        """Click on something on the left, and return what the dialog says of it."""
        self._item(label).find_element(By.CSS_SELECTOR, ".pull-left").click()
        return self.said

    @property
    def said(self) -> str:
        """What the dialog says of what is selected."""
        said: str = self._browser.one(".well", within=self.element).text
        return said

    def add(self, namespace: str, title: str) -> None:
        """Take a property of a namespace over to the right."""
        self.expand(namespace)
        self._item(title).find_element(By.CSS_SELECTOR, ".pull-right a").click()

    def add_custom(self, key: str, value: str) -> None:
        """Add a key that no namespace offers."""
        self._browser.one("input[name=customItem]", within=self._available).send_keys(key)
        self._browser.one("button", within=self._available).click()
        field = self._browser.one("input[name=property]", within=self._entry(key))
        field.send_keys(value)

    def existing(self) -> list[str]:
        """Return the keys on the right."""
        addons = self._browser.all(".input-group-addon[title]", self._existing)
        return [str(each.get_attribute("title")) for each in addons]

    def _entry(self, key: str) -> WebElement:
        return self._browser.first(
            lambda each: self._browser.all(f".input-group-addon[title='{key}']", each),
            "li.list-group-item",
            self._existing,
        )

    def options(self, key: str) -> list[str]:
        """Return what one may choose from for a key."""
        field = self._browser.one("select[name=property]", within=self._entry(key))
        return [each.text for each in Select(field).options if each.text]

    def choose(self, key: str, value: str) -> None:
        """Choose a value for a key on the right."""
        field = self._browser.one("select[name=property]", within=self._entry(key))
        Select(field).select_by_visible_text(value)

    def chosen(self, key: str) -> str:
        """Return the value that is chosen for a key; empty where none is."""
        field = self._browser.one("select[name=property]", within=self._entry(key))
        chosen: str = Select(field).first_selected_option.text
        return chosen

    def remove(self, key: str) -> None:
        """Remove a key from the right."""
        self._browser.one(".input-group-btn a", within=self._entry(key)).click()


class Dialog(Tree):
    """Update Metadata."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.window = browser.one(DIALOG)

    @property
    def _button(self) -> WebElement:
        return self._browser.one(".modal-footer button.btn-primary")

    @property
    def can_save(self) -> bool:
        """Whether Save can be clicked."""
        return bool(self._button.is_enabled())

    def save(self) -> None:
        """Click Save, and wait until the dialog is gone."""
        self._browser.until(lambda: self.can_save)
        self._button.click()
        self._gone()

    def cancel(self) -> None:
        """Leave without saving."""
        self._browser.one(".modal-footer .cancel").click()
        self._gone()

    def _gone(self) -> None:
        self._browser.until(lambda: not self._browser.all(DIALOG))
