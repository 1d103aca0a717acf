"""Tells a server that hangs from a statement that takes long, for all threads of a process at once.

A server that hangs (stopped, or its disk does not answer) keeps its connections open, so that neither libpq's
timeouts nor TCP's end a wait for it, and it cannot end statements by its own timeouts either. But it answers
no new connection: a statement that waits for long makes the breaker ask for one, in a thread of its own.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable

ANSWERS_WITHIN = 1.0
"""Seconds after which a server that has not answered a new connection counts as silent."""


class CircuitBreaker:
    """Open while the server is silent: callers then fail at once, and one thread keeps asking."""

    def __init__(self, ask: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`ask` makes a new connection and returns whether the server answered, even if with a refusal; it
        returns False after a time of its own, and is called again."""
        self._ask = ask
        self.clock = clock
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._asked_at: float | None = None
        """Monotonic seconds of the first question that is not answered yet."""
        _breakers.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the server is silent."""
        asked_at = self._asked_at
        return asked_at is not None and self.clock() - asked_at > ANSWERS_WITHIN

    def suspect(self) -> None:
        """Ask the server, unless a thread does that already. Returns at once."""
        with self._lock:
            if self._asking is None:
                self._asked_at = self.clock()
                self._asking = threading.Thread(
                    target=self._until_answered, name="database-asker", daemon=True
                )
                self._asking.start()

    def _until_answered(self) -> None:
        try:
            while not self._ask():
                pass
        finally:
            self.reset()

    def reset(self) -> None:
        """Closed, and no thread asks."""
        with self._lock:
            self._asking = self._asked_at = None


_breakers: weakref.WeakSet[CircuitBreaker] = weakref.WeakSet()


def _forked() -> None:
    """A child process has none of its parent's threads, which may have held a lock."""
    for breaker in _breakers:
        breaker._lock = threading.Lock()
        breaker.reset()


os.register_at_fork(after_in_child=_forked)
