# SPDX-License-Identifier: Apache-2.0
"""Text of a cloud as comments and as quoted strings of YAML and HCL. Pure.

What is printable stays as it is; everything else is escaped, so that no text ends its string or
comment, or changes what a terminal shows.
"""

from __future__ import annotations

#: What a template of Terraform begins with. The brace is escaped, because python-hcl2 does not read
#: the usual escape, a doubled sign, without a closing brace.
_TEMPLATES = ("${", "%{")
_SIGNS = {"\\": "\\\\", '"': '\\"'}


def comment(text: str) -> str:
    """Return text for the rest of a line after ``#``."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def yaml_string(text: str) -> str:
    """Return a double-quoted scalar of YAML."""
    # The escapes of Python are escapes of YAML too.
    return f'"{"".join(_SIGNS.get(char) or comment(char) for char in text)}"'


def hcl_string(text: str) -> str:
    """Return a quoted string of HCL without templates."""
    escaped = "".join(_SIGNS.get(char) or _hcl(char) for char in text)
    for template in _TEMPLATES:
        escaped = escaped.replace(template, f"{template[0]}\\u007b")
    return f'"{escaped}"'


def _hcl(char: str) -> str:
    # HCL has no \xNN.
    return char if char.isprintable() else _escaped(char).replace("\\x", "\\u00")


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
