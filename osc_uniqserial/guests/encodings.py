# SPDX-License-Identifier: Apache-2.0
"""Encodings of saved output. Bytes in, UTF-8 out: no file is opened.

Windows PowerShell redirects output as UTF-16 with a byte order mark.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator

#: The longest byte order mark.
_MARK = 4
#: Colours and cursor movements of a terminal; ESC is legal in neither JSON nor XML.
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks in UTF-8 without a byte order mark.

    UTF-16 and UTF-32 are recognised by their mark, or by the zero bytes of an ASCII character
    at the beginning. Other encodings are passed on as they are.
    """
    left = iter(chunks)
    first = b""
    for chunk in left:
        first += chunk
        if len(first) >= _MARK:
            break
    name = json.detect_encoding(first)
    if name in ("utf-8", "utf-8-sig"):
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from left
        return
    decoder = codecs.getincrementaldecoder(name)("replace")
    yield _encoded(decoder.decode(first)).removeprefix(codecs.BOM_UTF8)
    for chunk in left:
        yield _encoded(decoder.decode(chunk))
    yield _encoded(decoder.decode(b"", final=True))


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


def without_escapes(text: bytes) -> bytes:
    """Return text without the escape sequences of a terminal."""
    return _ESCAPES.sub(b"", text) if b"\x1b" in text else text
