# SPDX-License-Identifier: Apache-2.0
"""Nova's own tests of its libvirt driver, on a driver of choice.

Usage, with the Python of a Nova: driver_tests.py DRIVER PART PARTS RESULT [ONLY]

DRIVER is ``stock`` or ``module:class``; PART of PARTS (from 0) takes every PARTS-th test; RESULT
is the JSON file to write: test id -> [outcome, details]. ONLY keeps tests whose id has the word.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from pathlib import Path
from typing import Any

TESTS = "nova.tests.unit.virt.libvirt.test_driver"


class Outcomes(unittest.TestResult):
    """Keeps one outcome a test: the worst of those that are reported for it."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, tuple[str, str]] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        # Kept where a test ends without saying how.
        self.of[test.id()] = ("failed", "no outcome was reported")

    def _keep(self, test: Any, outcome: str, details: str = "") -> None:
        # A class or module that cannot be set up reports itself, without startTest.
        self.of[test.id()] = (outcome, details)

    def addSuccess(self, test: unittest.TestCase) -> None:
        if self.of[test.id()][1] == "no outcome was reported":
            self._keep(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._keep(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._keep(test, "passed")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._keep(test, "failed", "unexpected success")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._keep(test, "failed", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._keep(test, "failed", self.errors[-1][1])

    def addSubTest(self, test: Any, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._keep(test, "failed", (self.failures + self.errors)[-1][1])


def replace_driver(name: str) -> None:
    """Put another class in the place of LibvirtDriver, wherever Nova's tests find it."""
    from nova.virt import libvirt
    from nova.virt.libvirt import driver

    stock = driver.LibvirtDriver
    module, _, attribute = name.partition(":")
    replacement = getattr(importlib.import_module(module), attribute)
    if not issubclass(replacement, stock) or replacement is stock:
        sys.exit(f"{name} is no subclass of Nova's LibvirtDriver")
    # mock's autospec does not see static methods that are inherited.
    for parent in stock.__mro__:
        for key, value in vars(parent).items():
            if isinstance(value, staticmethod) and key not in vars(replacement):
                setattr(replacement, key, value)
    # Up to Nova 32 the constructor says super(LibvirtDriver, self), which reads the name that is
    # replaced here and would call itself without end. Newer ones say super().
    code = stock.__init__.__code__
    names = ["StockLibvirtDriver" if name == "LibvirtDriver" else name for name in code.co_names]
    stock.__init__.__code__ = code.replace(co_names=tuple(names))
    driver.StockLibvirtDriver = stock
    driver.LibvirtDriver = libvirt.LibvirtDriver = replacement


def complete_instances() -> None:
    """Let an instance without a context have no metadata.

    Some of Nova's tests make such instances. Nova's services do not: there a driver that cannot
    load the metadata of an instance has to fail.
    """
    from nova.objects import instance

    load = instance.Instance.obj_load_attr

    def obj_load_attr(self: Any, name: str) -> None:
        if name == "metadata" and self._context is None:
            self.metadata = {}
            self.obj_reset_changes([name])
        else:
            load(self, name)

    instance.Instance.obj_load_attr = obj_load_attr


def flatten(suite: Any) -> list[Any]:
    """Return the tests of a suite of suites."""
    if not isinstance(suite, unittest.TestSuite):
        return [suite]
    return [test for part in suite for test in flatten(part)]


def main() -> None:
    """Run a part of the tests and write down how they ended."""
    driver, part, parts, result, only = [*sys.argv[1:], ""][:5]
    # Before anything of Nova: it sets up what the tests rely on.
    importlib.import_module("nova.tests.unit")
    complete_instances()
    if driver != "stock":
        replace_driver(driver)
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromModule(importlib.import_module(TESTS))
    if loader.errors:
        sys.exit("\n".join(map(str, loader.errors)))
    chosen = [test for test in flatten(suite) if only in test.id()]
    tests = sorted(chosen, key=lambda test: str(test.id()))
    outcomes = Outcomes()
    unittest.TestSuite(tests[int(part) :: int(parts)]).run(outcomes)
    Path(result).write_text(json.dumps(outcomes.of))


if __name__ == "__main__":
    main()
