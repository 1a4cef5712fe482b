# SPDX-License-Identifier: Apache-2.0
"""The pages of the manual, and the commands in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

#: The folder of the manual.
PAGES = Path(__file__).resolve().parents[1] / "doc" / "source"


def page(name: str) -> str:
    """Return the text of a page, by its name as in links, such as ``admin/roll-back``."""
    return (PAGES / f"{name}.rst").read_text()


def block(name: str, start: str) -> str:
    """Return the indented block of a page that begins with these lines."""
    lines = "".join(rf"\1{re.escape(line)}.*\n" for line in start.splitlines())
    found = re.search(rf"^(?=( +))({lines}(?:\1.*\n|\n)*)", page(name), re.MULTILINE)
    assert found, f"the page {name} has no block that begins with {start!r}"
    return textwrap.dedent(found[2])
