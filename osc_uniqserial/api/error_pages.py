# SPDX-License-Identifier: Apache-2.0
"""The reason in an error answer: JSON of several forms, or an HTML page.

The text may come from any proxy. It is cut, and the time is linear in its length.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

#: Bytes of an error answer that are read.
_READ = 1 << 20
#: Characters of a reason.
_LONGEST = 1000
#: A tag; without its end up to the next one, so that each character is read once.
_TAG = re.compile(r"<[^<>]*>?")
_HEADING = "</h1>"


class ErrorAnswer(Exception):
    """An answer with the HTTP status of an error.

    :ivar status: the HTTP status
    :ivar reason: the status and the reason, as a predicate of the service
    """

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.reason = f"answered {self.status}: {_reason(response)}"
        super().__init__(self.reason)


def _reason(response: requests.Response) -> str:
    """Return the reason; without any, the words for the HTTP status, or the whole text."""
    text = response.content[:_READ].decode(errors="replace")
    if _HEADING in text:
        # Glance answers with an HTML page; the reason is below its heading.
        found = _without_tags(text.rpartition(_HEADING)[2])
    elif "json" in response.headers.get("Content-Type", ""):
        found = "\n".join(_messages(text))
    elif "html" in response.headers.get("Content-Type", ""):
        found = _without_tags(text)
    else:
        found = ""
    found = found or response.reason or text or "no reason"
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."


def _without_tags(page: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", page)).split())


def _messages(text: str) -> Iterator[str]:
    """Yield the messages of a JSON document, of services with and without one root key."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        found = [_message(each) for each in document.values()]
        yield from filter(None, found if any(found) else [_message(document)])


def _message(item: Any) -> str | None:
    message = item.get("message") if isinstance(item, dict) else None
    return message if isinstance(message, str) else None
