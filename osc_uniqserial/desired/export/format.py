# SPDX-License-Identifier: Apache-2.0
"""A format of exports, and the comment that all of them begin with. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from osc_uniqserial.desired.export.quoting import comment
from osc_uniqserial.desired.export.settings import CloudSettings

#: Called with a sentence about what the format cannot express.
Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format of exports; comments begin with ``#``.

    :ivar kinds: the kinds of resources that it has: ``flavor``, ``image``, ``aggregate``,
        ``server``; others are not read
    :ivar about: lines of the comment at the top
    :ivar lines: yields the lines after that comment
    """

    kinds: frozenset[str]
    about: tuple[str, ...]
    lines: Callable[[CloudSettings, Report], Iterator[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """The settings of a cloud as a text.

    :ivar lines: safe on a terminal
    :ivar odd: what is stored and has no meaning, or cannot be expressed
    """

    lines: tuple[str, ...]
    odd: tuple[str, ...]


def render(form: Format, settings: CloudSettings) -> Exported:
    """Return the settings of a cloud in a format."""
    inexpressible: list[str] = []
    body = list(form.lines(settings, inexpressible.append))
    odd = tuple(dict.fromkeys([*settings.without_meaning, *inexpressible]))
    notes = [
        *form.about,
        *([f"Servers: {settings.scope}."] if settings.scope else ()),
        *(f"Not read: {reason}" for reason in settings.unread),
        *(f"Check: {text}" for text in odd),
    ]
    return Exported((*(f"# {comment(note)}" for note in notes), *body), odd)
