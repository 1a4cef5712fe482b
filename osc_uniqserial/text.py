# SPDX-License-Identifier: Apache-2.0
"""Text from a cloud, made safe to show."""

from __future__ import annotations

import unicodedata

#: Unicode categories that can change what a terminal shows: control, format
#: (right-to-left marks too), surrogate, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def safe_text(text: str) -> str:
    """Return text with every character that a terminal would obey made visible."""
    if text.isprintable():
        # Faster, and none of those characters is.
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE
        else char
        for char in text
    )
