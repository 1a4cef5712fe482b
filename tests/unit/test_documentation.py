# SPDX-License-Identifier: Apache-2.0
"""What the documentation claims is what is tested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from osc_uniqserial.findings import OF_AUDIT, OF_VERIFY

ROOT = Path(__file__).resolve().parents[2]


def test_every_operation_in_the_operators_guide_is_a_test_on_real_guests() -> None:
    guide = (ROOT / "doc" / "source" / "nova.rst").read_text()
    _, _, table = guide.partition("   * - Operation\n")
    table, _, _ = table.partition("\nRoll back\n")
    rows = set(re.findall(r"^   \* - (.*)$", table, re.MULTILINE))
    tests = ast.parse((ROOT / "tests" / "e2e" / "test_operations.py").read_text()).body
    names = {
        node.name.removeprefix("test_").replace("_", " ")
        for node in tests
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert rows == names
    assert len(rows) > 10


def test_every_finding_is_in_the_documentation_with_its_severity() -> None:
    page = (ROOT / "doc" / "source" / "audit.rst").read_text()
    found = dict(re.findall(r"^``([a-z-]+)`` +(high|medium|low|info) ", page, re.MULTILINE))
    _, _, rest = page.partition("These tell what could not be checked:")
    found |= dict.fromkeys(re.findall(r"^``([a-z-]+)`` ", rest, re.MULTILINE), "unchecked")
    assert found == {id_: severity.value for id_, severity in OF_AUDIT.items()}


def test_every_finding_of_verify_is_in_the_documentation_with_its_severity() -> None:
    page = (ROOT / "doc" / "source" / "verify.rst").read_text()
    _, _, table = page.partition("What it finds\n")
    found = dict(re.findall(r"^``([a-z-]+)`` +([a-z]+) ", table, re.MULTILINE))
    assert found == {id_: severity.value for id_, severity in OF_VERIFY.items()}
