# SPDX-License-Identifier: Apache-2.0
"""The commands in the text of the operator's guide."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

GUIDE = (
    Path(__file__).resolve().parents[1] / "doc" / "source" / "install" / "nova.rst"
).read_text()


def block(start: str) -> str:
    """Return the indented block of the guide that begins with these lines."""
    lines = "".join(rf"\1{re.escape(line)}.*\n" for line in start.splitlines())
    found = re.search(rf"^(?=( +))({lines}(?:\1.*\n|\n)*)", GUIDE, re.MULTILINE)
    assert found, f"the guide has no block that begins with {start!r}"
    return textwrap.dedent(found[2])
