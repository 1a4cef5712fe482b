# SPDX-License-Identifier: Apache-2.0
"""Work in threads that do not keep an interrupted command alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

_Asked = ParamSpec("_Asked")
_Result = TypeVar("_Result")


def start(
    work: Callable[_Asked, _Result], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> Future[_Result]:
    """Start work in a thread of its own, which is a daemon."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
