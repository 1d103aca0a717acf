"""Measures the work that this replica executes a second while work waits, which limits the work that may wait
(R30)."""

from __future__ import annotations

from collections import deque

REQUEST_WORK = 6
"""Cost of a request, mainly of its signature check, in units of one executed operation. Measured: 2,013
requests of one operation a second, and 13,472 operations a second in requests of 100."""

INTERVAL = 100_000_000
"""Nanoseconds over which a rate is measured, provided that work waited all the time."""
SAMPLES_KEPT = 8
"""Newest rates kept."""
SECOND = 1_000_000_000


def work_of(operations: int, requests: int = 1) -> int:
    """Cost of requests in units of one operation."""
    return operations + REQUEST_WORK * requests


LEAST = 8 * work_of(1)
"""Units of work that may always be in flight while several principals are active (`batching`): eight requests
of one operation each."""


class Throughput:
    """The best rate of the newest busy intervals, so that one slow fsync does not make clients be refused."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._work = 0
        self._rates: deque[int] = deque(maxlen=SAMPLES_KEPT)

    def on_executed(self, work: int, now: int, *, waiting: bool) -> None:
        """Counts work that was executed just now. `waiting`: whether more work waits."""
        if self._since is not None:
            self._work += work
            if now - self._since >= INTERVAL:
                self._rates.append(self._work * SECOND // (now - self._since))
                self._since = None
        if not waiting:
            self._since = None
        elif self._since is None:
            self._since, self._work = now, 0

    def rate(self) -> int | None:
        """Units of work a second; None while nothing was measured."""
        return max(self._rates, default=None)

    def shift(self, _gap: int) -> None:
        """Discards the current interval, since this process was paused."""
        self._since = None
