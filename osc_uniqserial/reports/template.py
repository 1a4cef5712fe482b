# SPDX-License-Identifier: Apache-2.0
"""The environment of the HTML templates: all text is escaped, and no page loads anything."""

from __future__ import annotations

from functools import partial

import jinja2

from osc_uniqserial.text import counted, safe_text

#: The longest name and the longest text, in characters.
_NAME, _TEXT = 80, 600


def environment() -> jinja2.Environment:
    """Return a new environment with the filters that pages share."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("osc_uniqserial", "reports"),
        autoescape=True,
        # Control characters in names must not hide or reorder text.
        finalize=lambda value: safe_text(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {
        "number": "{:,}".format,
        "counted": counted,
        "as_name": partial(_clip, most=_NAME),
        "as_text": partial(_clip, most=_TEXT),
    }
    return made


def _clip(text: str, most: int) -> str:
    # Escaping makes the text longer.
    shown = safe_text(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[:most]}..."
