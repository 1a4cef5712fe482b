# SPDX-License-Identifier: Apache-2.0
"""The pages of Skyline, and its dialog for metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

_Found = TypeVar("_Found")
#: Seconds; a busy machine takes long to draw a page.
_WAIT = 60
ACTION = "Manage Metadata"


class Page:
    """Skyline in a browser."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self._url = url

    def open(self, path: str) -> None:
        """Open a page."""
        self.driver.get(self._url + path)

    def until(self, condition: Callable[[], _Found | None]) -> _Found:
        """Wait until a condition holds, and return what it found, which is not empty."""
        ignored = (
            ElementClickInterceptedException,
            NoSuchElementException,
            StaleElementReferenceException,
        )
        waiting = WebDriverWait(self.driver, _WAIT, 0.2, ignored)
        found: _Found = waiting.until(lambda _driver: condition() or False)
        return found

    def all(self, selector: str, within: WebElement | None = None) -> list[WebElement]:
        """Return what is shown and matches a CSS selector."""
        found: list[WebElement] = (within or self.driver).find_elements(By.CSS_SELECTOR, selector)
        return [each for each in found if each.is_displayed()]

    def one(self, selector: str, text: str = "", within: WebElement | None = None) -> WebElement:
        """Wait for the first that is shown, matches and has a text, and return it."""
        return self.until(
            lambda: next((each for each in self.all(selector, within) if text in each.text), None)
        )

    def click(self, selector: str, text: str = "", within: WebElement | None = None) -> None:
        """Click what is shown, matches and has a text, when nothing covers it any more."""

        def clicked() -> bool:
            self.one(selector, text, within).click()
            return True

        self.until(clicked)

    def metadata(self, name: str) -> Metadata:
        """Open the dialog of a row."""
        row = self.one("tbody tr", name)
        if not [each for each in self.all("button", row) if each.text.strip() == ACTION]:
            more = self.one("button, a", "More", row)
            ActionChains(self.driver).move_to_element(more).perform()
            self.click(".ant-dropdown button", ACTION)
        else:
            self.click("button", ACTION, row)
        return Metadata(self)


class Metadata:
    """The dialog Manage Metadata: on the left what may be added, on the right what is set."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._modal = page.one(".ant-modal-content", "Metadata")
        self._left, self._right = page.until(self._lists)

    def _lists(self) -> list[WebElement] | None:
        found = self._page.all(".ant-transfer-list", self._modal)
        return found if len(found) == 2 and self._page.all(".ant-tree-switcher", found[0]) else None

    def add(self, namespace: str) -> list[str]:
        """Add all properties of a namespace, and return the values that Skyline selects."""
        page = self._page
        page.one(".ant-tree-treenode", namespace, self._left)
        page.click(".ant-tree-checkbox", within=self._left)
        page.click(".ant-transfer-operation button", within=self._modal)
        page.one(".ant-select-selection-item", within=self._right)
        return [each.text for each in page.all(".ant-select-selection-item", self._right)]

    def choose_second(self) -> list[str]:
        """Select the second value of each property, and return the values."""
        # The inputs are transparent.
        for each in self._right.find_elements(By.CSS_SELECTOR, ".ant-select-selector input"):
            each.send_keys(Keys.ARROW_DOWN)
            self._page.one(".ant-select-item-option-active")
            each.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
            self._page.until(lambda: not self._page.all(".ant-select-dropdown"))
        return [each.text for each in self._page.all(".ant-select-selection-item", self._right)]

    def save(self) -> None:
        """Save, and wait until the dialog is closed."""
        self._page.click("button", "OK", self._modal)
        self._page.until(lambda: not self._page.all(".ant-modal-content"))
