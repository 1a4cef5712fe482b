# SPDX-License-Identifier: Apache-2.0
"""Filters of the templates."""

from __future__ import annotations

import itertools
import re

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

#: Characters of a word after which a browser may break the line.
_WORD = 24
_BREAK = mark_safe("<wbr>")


@register.filter  # type: ignore[untyped-decorator]  # Django has no types
def breakable(text: object) -> SafeString:
    """Return a text, escaped, whose long words may be broken: a table stays in its page.

    The breaks are no characters, so a command can be copied.
    """
    words = re.split(r"(\s+)", str(text))
    parts = itertools.chain.from_iterable(map(_parts, words))
    return format_html_join("", "{}{}", parts)


def _parts(word: str) -> list[tuple[str, str]]:
    """Return the parts of a word, each with what follows."""
    parts = [word[start : start + _WORD] for start in range(0, len(word), _WORD)]
    return [(part, _BREAK if part is not parts[-1] else "") for part in parts]
