# SPDX-License-Identifier: Apache-2.0
"""Escaping of text from a cloud; counted nouns and lists of names for sentences."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

#: The most names in a sentence.
NAMES_SHOWN = 3
#: Unicode categories that can change what a terminal shows: control, format
#: (right-to-left marks too), surrogate, line and paragraph separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: First characters that make a spreadsheet run a cell as a formula.
_FORMULA = frozenset("=+-@\u2212")
#: Characters that show nothing and are neither blanks nor control characters.
_INVISIBLE = "\u115f\u1160\u2800\u3164\uffa0"


def safe_text(text: str) -> str:
    """Return text with the characters escaped that a terminal interprets."""
    # Printable text has no such character; this test is faster.
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE
        else char
        for char in text
    )


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 server``, ``1,200 servers``.

    :param many: the plural; empty: the singular with an s
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def some(names: Sequence[str]) -> str:
    """Return the first names and the number of the others: ``a, b, c and 7 more``."""
    named = ", ".join(names[:NAMES_SHOWN])
    left = len(names) - NAMES_SHOWN
    return f"{named} and {left:,} more" if left > 0 else named


def conjugated(verb: str, number: int) -> str:
    """Return the verb form for a number of subjects: ``have`` or ``has``.

    :param verb: in the plural
    """
    if number > 1:
        return verb
    return {"have": "has", "carry": "carries"}.get(verb, f"{verb}s")


def quoted(raw: str | None) -> str:
    """Return a stored value in quotes; ``nothing`` for None."""
    return "nothing" if raw is None else repr(raw)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may run a text, though with other characters before it.

    Spreadsheets skip blanks and control characters, and take fullwidth, small and raised signs
    for the plain ones.
    """
    for char in text:
        if char in _FORMULA or unicodedata.normalize("NFKC", char)[0] in _FORMULA:
            return True
        if not (char.isspace() or char in _INVISIBLE or unicodedata.category(char)[0] in "CM"):
            return False
    return False
