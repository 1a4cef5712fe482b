# SPDX-License-Identifier: Apache-2.0
"""Nova is what the driver was written for; and the check would see it if not."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from devcloud.layout import SOURCE_ROOT
from tests.nova import contract
from tests.nova.contract import Part
from tests.nova.ends import End

PARTS = contract.parts()


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_nova_is_what_the_driver_was_written_for(stock: End, part: Part) -> None:
    text = contract.problem(stock.site, part)
    if text is not None:
        pytest.fail(text, pytrace=False)


def copied(stock: End, part: Part, folder: Path, change: Callable[[str], str]) -> Path:
    path = folder / "nova" / part.file
    path.parent.mkdir(parents=True)
    path.write_text(change((stock.site / "nova" / part.file).read_text()))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("sysinfo.system_serial = instance.uuid", "sysinfo.system_serial = None", True),
        ("def _get_guest_config_sysinfo(self, instance)", "def _sysinfo(self, instance)", True),
        ("def _get_guest_config_sysinfo(", "def z(self):\n        x.sysinfo = 1\n\n    def _get_guest_config_sysinfo(", True),  # noqa: E501
        ("sysinfo = vconfig.LibvirtConfigGuestSysinfo()\n", "sysinfo = (  # new\n            vconfig.LibvirtConfigGuestSysinfo())\n", False),  # noqa: E501
    ],
    ids=["another value", "renamed", "a new place", "comments and layout"],
)  # fmt: skip
def test_a_change_is_shown(stock: End, tmp_path: Path, old: str, new: str, shown: bool) -> None:
    part = PARTS[0]

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    text = contract.problem(copied(stock, part, tmp_path, change), part)
    assert (text is not None) is shown
    if text is not None:
        assert "\n+ " in text
        assert part.look in text


def test_a_part_that_is_gone_is_shown(tmp_path: Path) -> None:
    for part in PARTS:
        if part.name:
            assert "is gone" in str(contract.problem(tmp_path, part))


def test_the_driver_is_valid_on_the_python_of_the_oldest_nova() -> None:
    """Nova 26 (Zed) supports Python 3.8."""
    paths = [
        path
        for path in (SOURCE_ROOT / "nova_driver").glob("**/*.py")
        if "build" not in path.relative_to(SOURCE_ROOT).parts
    ]
    assert len(paths) > 5
    for path in paths:
        ast.parse(path.read_text(), str(path), feature_version=(3, 8))
