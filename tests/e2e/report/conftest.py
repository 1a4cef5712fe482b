# SPDX-License-Identifier: Apache-2.0
"""The HTML report of the seeded cloud, in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import chromium
from tests.e2e.report.page import Page
from tests.functional.cloud import SeededCloud

#: What guests of two hosts would tell: verify's part of the page is there too.
FACTS = '{"uuid": "%s", "serial": "%s"}\n'


@pytest.fixture(scope="session")
def report(seeded: SeededCloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an audit with guests and a baseline that accepts most of it."""
    folder = tmp_path_factory.mktemp("report")
    facts = folder / "facts.jsonl"
    guests = [each["id"] for each in seeded.manifest["servers"] if each["host"] == "seed-unique-1"]
    serials = ["4711", *guests[1:]]
    facts.write_text("".join(FACTS % pair for pair in zip(guests, serials, strict=True)))
    baseline, page = folder / "baseline.yaml", folder / "report.html"
    audit = ("unique", "serial", "audit", "--fail-on", "never")

    def run(*options: str) -> None:
        done = seeded.openstack(*audit, *options, check=False)
        assert done.returncode in (0, 4), done.stderr

    new = ("--skip=serial-shared", "--skip=misplaced-key")
    run(*new, "--write-baseline", str(baseline), "--baseline-reason=Ticket 4711")
    run(f"--facts={facts}", f"--baseline={baseline}", f"--report=html={page}")
    return page


@pytest.fixture(scope="session")
def page(report: Path) -> Iterator[Page]:
    """The report in a browser; each test sets what it wants of it."""
    driver = chromium.start()
    try:
        yield Page(driver, report)
    finally:
        driver.quit()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: REPORT_SCREENSHOTS, as for the docs, else a folder that passes."""
    folder = Path(os.environ.get("REPORT_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
