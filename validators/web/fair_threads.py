"""Calls that may wait long, of many callers, in a bounded number of threads."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

_Call = tuple[asyncio.Future[Any], Callable[[], Any]]
"""Where the result goes, and what makes it."""


class FairThreads:
    """At most `threads_max` threads. Of the last `spare` free ones a caller gets only its first, so that
    callers whose calls all wait leave each other caller a thread."""

    def __init__(self, threads_max: int, spare: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads_max, name)
        self._free = threads_max
        self._spare = spare
        self._held: Counter[str] = Counter()
        """Number of threads of each caller."""
        self._waiting: dict[str, deque[_Call]] = {}
        """Calls of each caller that wait for a thread, in order; never empty."""

    def run(self, caller: str, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Make the call in a context of its own, the calls of one caller in order. For the event loop."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        call = partial(contextvars.copy_context().run, function, *arguments)
        self._waiting.setdefault(caller, deque()).append((future, call))
        self._begin(caller)
        return future

    def _begin(self, caller: str) -> None:
        """Make the caller's next calls, as many as it may have threads."""
        while caller in self._waiting and self._free > (self._spare if self._held[caller] else 0):
            calls = self._waiting[caller]
            future, call = calls.popleft()
            if not calls:
                del self._waiting[caller]
            if not future.cancelled():
                self._free -= 1
                self._held[caller] += 1
                running = asyncio.get_running_loop().run_in_executor(self._pool, call)
                running.add_done_callback(partial(self._ended, caller, future))

    def _ended(self, caller: str, future: asyncio.Future[Any], running: asyncio.Future[Any]) -> None:
        self._free += 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        error = running.exception()
        if future.cancelled():
            pass
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(running.result())
        for waiting in list(self._waiting):
            self._begin(waiting)
