# SPDX-License-Identifier: Apache-2.0
"""The pages of the manual, and the commands in them."""

from __future__ import annotations

import itertools
import re
import shlex
import textwrap
from collections.abc import Iterator
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


def blocks(text: str) -> Iterator[str]:
    """Yield the literal blocks of a page, with continued lines joined."""
    for found in re.finditer(r"(?:::|code-block:: \w+)\n(?: +:.*\n)*\n((?: +.*\n|\n)+)", text):
        yield textwrap.dedent(found[1]).replace("\\\n", " ")


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each ``openstack`` command in a shell script."""
    for line in text.splitlines():
        if "openstack " not in line or line.lstrip().startswith(("#", "|", "+")):
            continue
        # A quoted substitution would be one word.
        line = line.replace('"$(', "$(").replace(')"', ")").removeprefix("$ ")
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        try:
            words = [*lexer]
        except ValueError:
            # An unfinished quotation: an output, or text.
            continue
        for at, word in enumerate(words):
            before = words[at - 1] if at else "&&"
            starts = is_operator(before) or before == "xargs" or re.match(r"[A-Z_]+=", before)
            if starts and word.rpartition("/")[2] == "openstack":
                rest = words[at + 1 :]
                yield [*itertools.takewhile(lambda each: not is_operator(each), rest)]


def is_operator(word: str) -> bool:
    """Whether a word of a script separates commands or redirects."""
    return set(word) <= set("();<>|&")
