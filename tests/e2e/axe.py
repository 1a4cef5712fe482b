# SPDX-License-Identifier: Apache-2.0
"""Accessibility of a page, by axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_core_python
from selenium import webdriver

_AXE = Path(axe_core_python.__file__).with_name("axe.min.js")


def violations(driver: webdriver.Chrome, selector: str = "html") -> list[dict[str, Any]]:
    """Return what axe-core reports about the part of a page that matches a CSS selector."""
    driver.execute_script(_AXE.read_text())
    found: dict[str, list[dict[str, Any]]] = driver.execute_async_script(
        "axe.run(arguments[0]).then(arguments[1])", selector
    )
    assert found["passes"], "axe-core looked at nothing"
    return found["violations"]
