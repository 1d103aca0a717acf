"""Sequences of one AG-UI thread wait for each other within this process, any OS thread of which may call.

Contract 2.5 names a lock, `sequence:<threadId>`, that all processes share. In the log it would cost two
operations a run, one more each time that a waiter asks, and after a crash the rest of a lease; and it would
protect nothing: each run has a state of its own, so that no verdict depends on another run; two runs of one
name cannot be live in one gateway; and the log refuses a record that does not continue its run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress

from dtvn.gateway.calls import Overloaded

WAITING_MAX = 1_024
"""Most sequences of one thread that wait; a further one raises Overloaded."""


class ThreadQueues:
    """Who is next, by thread. A thread without a name has no queue: its sequences wait for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Future[None]]] = {}

    @contextmanager
    def place(self, thread: str) -> Iterator[Future[None]]:
        """A place in the thread's queue until the block ends; the future is done when those before it have
        left. Raises Overloaded."""
        own: Future[None] = Future()
        with self._lock:
            queue = self._queues.setdefault(thread, deque()) if thread else deque()
            if len(queue) > WAITING_MAX:
                raise Overloaded(f"{WAITING_MAX} sequences of this thread wait already")
            queue.append(own)
        if queue[0] is own:
            _call(own)
        try:
            yield own
        finally:
            with self._lock:
                queue.remove(own)
                following = queue[0] if queue else None
                if following is None and thread:
                    del self._queues[thread]
            if following is not None:
                _call(following)


def _call(place: Future[None]) -> None:
    """Tell a place that it is first; it may know, or have been given up."""
    with suppress(InvalidStateError):
        place.set_result(None)
