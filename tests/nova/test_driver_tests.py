# SPDX-License-Identifier: Apache-2.0
"""Nova's own tests of its libvirt driver pass on ours as they pass on Nova's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcloud.children import Children
from tests.guide import page
from tests.nova.ends import DRIVER, INSIDE, End

OURS = "nova.virt." + DRIVER.replace(".", ":")
#: Fewer than these would mean that the tests were not found, not that Nova has fewer.
AT_LEAST = 1000
#: At once: as many as a usual machine has cores to spare.
PARTS = min(4, len(os.sched_getaffinity(0)))
#: Seconds for one part.
PATIENCE = 1200

Outcomes = dict[str, tuple[str, str]]


def judged(end: End, driver: str, folder: Path, only: str = "") -> Outcomes:
    """Run Nova's tests in as many processes as there are cores."""
    outcomes: Outcomes = {}
    with Children() as children:
        for part in range(PARTS):
            result = folder / f"{part}.json"
            children.start(
                str(part),
                end.command("driver_tests.py", driver, str(part), str(PARTS), result, only),
                folder / f"{part}.log",
                env=end.environment(),
                cwd=folder,
            )
        for name, process in children.processes.items():
            code = process.wait(timeout=PATIENCE)
            log = (folder / f"{name}.log").read_text()
            assert code == 0, f"{end.name}, {driver}: exit code {code}\n{log[-4000:]}"
            found = json.loads((folder / f"{name}.json").read_text())
            outcomes |= {test: tuple(outcome) for test, outcome in found.items()}
    return outcomes


def counts(outcomes: Outcomes) -> str:
    count = Counter(outcome for outcome, _ in outcomes.values())
    kinds = ("passed", "failed", "skipped")
    assert set(count) <= set(kinds)
    return ", ".join(f"{count[kind]} {kind}" for kind in kinds)


def worse(stock: Outcomes, ours: Outcomes) -> Iterator[str]:
    """Tell what our driver does worse than Nova's."""
    for name in sorted(stock.keys() | ours.keys()):
        theirs, _ = stock.get(name, ("missing", ""))
        outcome, details = ours.get(name, ("missing", ""))
        if outcome != theirs and theirs != "failed":
            yield f"{name}: {theirs} with Nova's driver, {outcome} with ours\n{details}"


def test_novas_own_tests_pass_as_with_the_stock_driver(
    stock: End, ours: End, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stock").mkdir()
    (tmp_path / "ours").mkdir()
    reference = judged(stock, "stock", tmp_path / "stock")
    found = judged(ours, OURS, tmp_path / "ours")
    with capsys.disabled():
        print(f"\n{stock.name} Nova, Nova's driver: {counts(reference)}")
        print(f"{stock.name} Nova, our driver:    {counts(found)}")
    assert len(reference) >= AT_LEAST
    difference = "\n".join(worse(reference, found))
    if difference:
        pytest.fail(difference, pytrace=False)


def test_our_own_tests_on_novas_objects(ours: End) -> None:
    command = (ours.python, "-m", "unittest", "test_uniqserial")
    # The guide's own advice is what the tests follow.
    text = page("admin/protect-hosts")
    (advice,) = re.findall(r"^ +non_inheritable_image_properties = (\S+)$", text, re.MULTILINE)
    environ = {**ours.environment(), "OPERATORS_GUIDE_NOT_INHERITED": advice}
    done = subprocess.run(
        command, env=environ, cwd=INSIDE, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None, done.stderr
    assert int(ran[1]) >= 30


def test_a_driver_that_breaks_something_is_found_out(ours: End, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "broken").mkdir()
    only = "sysinfo"
    found = judged(ours, OURS, tmp_path / "ours", only)
    broken = judged(ours, "broken_driver:Broken", tmp_path / "broken", only)
    assert found
    assert found.keys() == broken.keys()
    assert "failed with ours" in "\n".join(worse(found, broken))
    assert "missing with ours" in "\n".join(worse(found, {}))
