# SPDX-License-Identifier: Apache-2.0
"""JSON objects in a stream of text. Bytes in, objects out: no file is opened.

Objects may be on one line each, in an array, or on several lines, with other text between them,
such as ``web-1 | SUCCESS =>`` of Ansible. Arrays around objects are passed over, so that their
length has no limit. Memory is bounded by one object, and each byte is scanned a fixed number of
times. After an object that is broken or too large, the rest of its line is skipped: no part of a
line that cannot be read counts.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from osc_uniqserial.guests.encodings import end_before_escape, without_escapes

#: The largest object, and the longest piece of a line that is held.
MAX_BYTES = 4 << 20
_PIECE = 1 << 20
#: The deepest nesting of objects and arrays.
_DEPTH = 64
#: Numbers keep their digits: they may be serial numbers.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
#: The beginning of an object in other text, or the end of one whose beginning is missing.
_OUTSIDE = re.compile(rb"[{}]")
#: What separates objects of one array or of several lines.
BLANKS = b" \t\r\n,"
#: A structural character, the beginning of a text, or another value.
_TOKEN = re.compile(rb'[{}\[\],:"]|[^\s{}\[\],:"]++')
#: The rest of a text that is no longer than its line.
_TEXT = re.compile(rb'(?:[^"\\\n]|\\[^\n])*+')
_CLOSES = {b"}": b"{", b"]": b"["}


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """Text that is no object, and the rest of its line.

    :ivar line: number of the line on which it begins
    """

    line: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Between:
    """Text that is not in an object, other than white space and commas.

    :ivar line: number of the line on which it is
    """

    line: int
    text: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """An object.

    :ivar line: number of the line on which it begins
    """

    line: int
    value: Any


def decoded(text: str) -> Any:
    """Return the value of JSON; numbers are texts.

    :raises ValueError: when it is no JSON, or nested too deeply
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def objects(chunks: Iterable[bytes]) -> Iterator[Object | Broken | Between]:
    """Yield the objects of a text, what could not be read, and the text between objects.

    :param chunks: text in UTF-8
    """
    scanner = _Scanner()
    for piece in _pieces(chunks):
        yield from scanner.feed(without_escapes(piece))
    yield from scanner.end()


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; long lines in several pieces."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) >= _PIECE and (end := end_before_escape(rest)):
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _whole(line: bytes) -> Any:
    """Return the object of a line that has nothing else; None otherwise."""
    line = line.strip()
    if line[:1] != b"{" or line[-1:] != b"}" or len(line) > MAX_BYTES:
        return None
    try:
        return decoded(line.decode())
    except ValueError:
        return None


class _Scanner:
    """State of the scan."""

    def __init__(self) -> None:
        self._line = 1
        #: Whether the next piece begins a line, and whether the rest of this line is skipped.
        self._new = True
        self._skips = False
        #: Open braces of other text in this line.
        self._braces = 0
        #: The end of the previous piece: a backslash whose meaning depends on the next one.
        self._carry = b""
        self._reset()

    def _reset(self) -> None:
        #: The open objects and arrays, from the outside.
        self._open: list[bytes] = []
        #: The previous token of the object.
        self._last = b""
        self._in_text = False
        self._parts: list[bytes] = []
        self._size = 0
        self._begin = 0

    def feed(self, piece: bytes) -> Iterator[Object | Broken | Between]:
        """Process a line, or a piece of a long one."""
        piece = self._carry + piece
        self._carry = b""
        ends = piece.endswith(b"\n")
        if not self._skips:
            if self._new and not self._open and (value := _whole(piece)) is not None:
                yield Object(self._line, value)
            else:
                yield from self._scan(piece)
        self._new = ends
        if ends:
            self._line += 1
            self._skips = False
            self._braces = 0

    def end(self) -> Iterator[Object | Broken]:
        """Yield the object that has no end."""
        if self._open:
            yield from self._broken("no JSON")

    def _scan(self, piece: bytes) -> Iterator[Object | Broken | Between]:
        at = 0
        while at < len(piece) and not self._skips:
            if not self._open:
                found = _OUTSIDE.search(piece, at)
                if text := piece[at : found.start() if found else None].strip(BLANKS):
                    yield Between(self._line, text)
                if found is None:
                    return
                at = found.start()
                if found[0] == b"}":
                    at += 1
                    if self._braces:
                        self._braces -= 1
                        continue
                    self._skips = True
                    yield Broken(self._line, "no JSON")
                    return
                # Most objects have no other ones, and the decoder is faster.
                end = piece.find(b"}", at) + 1
                if (value := _whole(piece[at:end])) is not None:
                    yield Object(self._line, value)
                    at = end
                    continue
                self._begin = self._line
            start = at
            at, reason = self._inside(piece, at)
            if reason is None:
                self._keep(piece[start:at])
                if not self._open:
                    yield from self._object()
                elif self._carry:
                    return
                continue
            if not reason:
                yield Between(self._line, b"{")
                self._braces += 1
                self._reset()
                continue
            # What does not continue the object may begin the next one.
            begins = self._new and self._begin != self._line and not piece[:at].strip()
            self._keep(piece[start:at])
            yield from self._broken(reason)
            if not begins:
                self._skips = True
            elif (value := _whole(piece)) is not None:
                yield Object(self._line, value)
                return

    def _inside(self, piece: bytes, at: int) -> tuple[int, str | None]:
        """Continue the object until its end or that of the piece.

        :returns: the position, and why the object is broken; an empty text for other text
        """
        while at < len(piece):
            if self._in_text:
                rest = _TEXT.match(piece, at)
                # It matches an empty text too; the types do not show that.
                at = rest.end() if rest else at
                next_ = piece[at : at + 1]
                if next_ == b'"':
                    self._in_text = False
                    at += 1
                elif next_ and at + 1 == len(piece) and next_ != b"\n":
                    self._carry = next_
                    return at, None
                elif next_:
                    return at, "no JSON"
                continue
            found = _TOKEN.search(piece, at)
            if found is None:
                return len(piece), None
            token = found[0]
            if self._open == [b"{"] == [self._last] and token not in b'"}':
                # Text such as ${HOME}, and Python's dictionaries in messages of Ansible.
                return found.start(), ""
            # A piece may begin in the middle of a value.
            if not self._fits(token) and (self._new or found.start() or token in b'{["'):
                return found.start(), "no JSON"
            at = found.end()
            self._last = token
            if token == b'"':
                self._in_text = True
            elif token in (b"{", b"["):
                if len(self._open) == _DEPTH:
                    return at, f"more than {_DEPTH} levels"
                self._open.append(token)
            elif token in _CLOSES:
                self._open.pop()
                if not self._open:
                    return at, None
        return at, None

    def _fits(self, token: bytes) -> bool:
        """Return whether a token may follow; the decoder is stricter, but reads the whole."""
        if token in _CLOSES:
            return self._open[-1] == _CLOSES[token]
        if token in b",:" or not self._open:
            return True
        if self._last == b"," and token == b"{":
            return self._open[-1] == b"["
        return self._last in (b",", b":", b"[", b"{") and (self._last, token) != (b"{", b"{")

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= MAX_BYTES:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _object(self) -> Iterator[Object | Broken]:
        if self._size > MAX_BYTES:
            self._skips = True
            yield from self._broken("")
            return
        try:
            value = decoded(b"".join(self._parts).decode())
        except ValueError:
            self._skips = True
            yield from self._broken("no JSON")
            return
        yield Object(self._begin, value)
        self._reset()

    def _broken(self, reason: str) -> Iterator[Object | Broken]:
        """Yield a broken object, and lines in it that are objects of their own."""
        if self._size > MAX_BYTES:
            reason = f"more than {MAX_BYTES >> 20} MiB"
        yield Broken(self._begin, reason)
        for number, line in enumerate(b"".join(self._parts).split(b"\n")[1:], self._begin + 1):
            if (value := _whole(line)) is not None:
                yield Object(number, value)
        self._reset()
