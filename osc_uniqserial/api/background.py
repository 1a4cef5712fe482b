# SPDX-License-Identifier: Apache-2.0
"""Work in threads that do not keep an interrupted command alive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

_Asked = ParamSpec("_Asked")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def start(
    work: Callable[_Asked, _Result], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> Future[_Result]:
    """Start work in a thread of its own, which is a daemon.

    Where the system starts no more threads, the work is done before this returns.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError:  # can't start new thread
        run()
    return future


def each(
    work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int
) -> list[tuple[_Item, _Result]]:
    """Do the same work on each item, some at the same time, and return the results in order.

    :param at_once: the most threads at the same time
    """
    done: list[tuple[_Item, _Result]] = []
    running: deque[tuple[_Item, Future[_Result]]] = deque()
    for item in items:
        if len(running) == at_once:
            first, future = running.popleft()
            done.append((first, future.result()))
        running.append((item, start(work, item)))
    return done + [(item, future.result()) for item, future in running]
