# SPDX-License-Identifier: Apache-2.0
"""Encodings of saved output. Bytes in, UTF-8 out: no file is opened.

Windows PowerShell redirects output as UTF-16 with a byte order mark.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

#: Byte order marks; that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST = 4
#: Two characters of ASCII in UTF-16.
_ASCII = (
    (re.compile(rb"[^\0]\0[^\0]\0", re.DOTALL), "utf-16-le"),
    (re.compile(rb"\0[^\0]\0[^\0]", re.DOTALL), "utf-16-be"),
)
#: Colours and cursor movements of a terminal; ESC is legal in neither JSON nor XML.
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]{0,12}[A-Za-z]")
#: The bytes of the longest one.
_ESCAPE = 15


def utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks in UTF-8 without a byte order mark.

    UTF-16 and UTF-32 are recognised by their mark, and UTF-16 by two ASCII characters at the
    beginning. Other encodings are passed on as they are.
    """
    left = iter(chunks)
    first = b""
    for chunk in left:
        first += chunk
        if len(first) >= _LONGEST:
            break
    name = _detected(first)
    if name is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from left
        return
    decoder = codecs.getincrementaldecoder(name)("replace")
    yield _encoded(decoder.decode(first)).removeprefix(codecs.BOM_UTF8)
    for chunk in left:
        yield _encoded(decoder.decode(chunk))
    yield _encoded(decoder.decode(b"", final=True))


def _detected(first: bytes) -> str | None:
    """Return the encoding of a text by its first bytes; None for UTF-8 and others."""
    for mark, name in _MARKS:
        if first.startswith(mark):
            return name
    return next((name for pattern, name in _ASCII if pattern.match(first)), None)


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


def without_escapes(text: bytes) -> bytes:
    """Return text without the escape sequences of a terminal."""
    return _ESCAPES.sub(b"", text) if b"\x1b" in text else text


def end_before_escape(text: bytes) -> int:
    """Return where a text can be cut without cutting an escape sequence."""
    begin = text.rfind(b"\x1b", max(len(text) - _ESCAPE, 0))
    return len(text) if begin < 0 else begin
