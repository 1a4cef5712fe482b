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
    """Start work in a thread of its own, which is a daemon."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def each(
    work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int
) -> list[tuple[_Item, _Result]]:
    """Do the same work on each item, some at the same time, and return the results in order.

    :param at_once: the most threads at the same time; where the system starts fewer, those
    """
    done: list[tuple[_Item, _Result]] = []
    running: deque[tuple[_Item, Future[_Result]]] = deque()

    def await_first() -> None:
        first, future = running.popleft()
        done.append((first, future.result()))

    for item in items:
        if len(running) == at_once:
            await_first()
        while True:
            try:
                running.append((item, start(work, item)))
            except RuntimeError:
                # No more threads: after the end of one there may be one.
                if running:
                    await_first()
                    continue
                done.append((item, work(item)))
            break
    while running:
        await_first()
    return done
