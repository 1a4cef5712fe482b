# SPDX-License-Identifier: Apache-2.0
"""A page as people see it: on a screen of some width, light, dark or printed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from selenium import webdriver

from tests.e2e import axe

#: A window that wide is a phone.
_PHONE = 500


class Page:
    """The report in a browser."""

    def __init__(self, driver: webdriver.Chrome, path: Path) -> None:
        self.driver = driver
        self._url = path.as_uri()

    def open(self, width: int = 1280, scheme: str = "light", media: str = "screen") -> None:
        """Open the page again."""
        self._emulate("setEmulatedMedia", media=media, features=_scheme(scheme))
        self._resize(width, 1000)
        self.driver.get(self._url)

    def _emulate(self, command: str, **options: Any) -> None:
        self.driver.execute_cdp_cmd(f"Emulation.{command}", options)

    def _resize(self, width: int, height: int) -> None:
        options = {"deviceScaleFactor": 1, "mobile": width < _PHONE}
        self._emulate("setDeviceMetricsOverride", width=width, height=height, **options)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script of the test, beside the page, which has none, and return what it does."""
        return self.driver.execute_script(script, *arguments)

    def messages(self) -> list[dict[str, Any]]:
        """Return what the browser had to say since it was last asked."""
        found: list[dict[str, Any]] = self.driver.execute("getLog", {"type": "browser"})["value"]
        return found

    def violations(self) -> list[dict[str, Any]]:
        """Return what axe-core has against it."""
        return axe.violations(self.driver)

    def screenshot(self, path: Path, width: int, height: int) -> None:
        """Write a picture of its upper part."""
        self._resize(width, height)
        self.driver.save_screenshot(str(path))

    def pdf(self) -> bytes:
        """Print it."""
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
        return base64.b64decode(printed["data"])


def _scheme(name: str) -> list[dict[str, str]]:
    return [{"name": "prefers-color-scheme", "value": name}]
