# SPDX-License-Identifier: Apache-2.0
"""Chromium, without a screen."""

from __future__ import annotations

import shutil

from selenium import webdriver


def start() -> webdriver.Chrome:
    """Start a browser; who calls it ends it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    # Tests may run as root, which Chromium's sandbox refuses; /dev/shm may be small.
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    options.add_argument("--window-size=1200,1200")
    options.add_argument("--hide-scrollbars")
    # What is loaded from elsewhere would be a defect: nothing is looked up.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver") or "chromedriver")
    return webdriver.Chrome(options=options, service=service)
