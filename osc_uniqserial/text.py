# SPDX-License-Identifier: Apache-2.0
"""Text from a cloud, made safe to show; counted nouns and lists of names for sentences."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

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


# --- words ------------------------------------------------------------------

#: How many names a sentence has.
NAMES_SHOWN = 3


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 server``, ``1,200 servers``.

    :param many: the plural; with an s where it is empty
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are: ``a, b, c and 7 more``."""
    named = ", ".join(names[:NAMES_SHOWN])
    left = len(names) - NAMES_SHOWN
    return f"{named} and {left:,} more" if left > 0 else named


def conjugated(verb: str, number: int) -> str:
    """Return a verb in the number of its subject: ``have`` or ``has``.

    :param verb: in the plural
    """
    if number > 1:
        return verb
    return {"have": "has", "carry": "carries"}.get(verb, f"{verb}s")


def quoted(raw: str | None) -> str:
    """Return a stored value in quotes; ``nothing`` where none is stored."""
    return "nothing" if raw is None else repr(raw)
