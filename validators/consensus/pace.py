"""How much work this replica executes a second while work waits, and how much may wait therefore (R30)."""

from __future__ import annotations

from collections import deque

__all__ = ["REQUEST_WORK", "Pace", "work_of"]

REQUEST_WORK = 6
"""A request costs as much as so many of its operations: its signature is checked once, each operation is
executed. Measured: 2,013 requests of one operation a second, and 13,472 operations in requests of 100."""

INTERVAL = 100_000_000
"""Nanoseconds over which a rate is taken; only if something waited all the time."""
SAMPLES_KEPT = 8
SECOND = 1_000_000_000


def work_of(operations: int, requests: int = 1) -> int:
    """Cost of requests in units of one operation."""
    return operations + REQUEST_WORK * requests


class Pace:
    """The best rate of the newest busy intervals: one slow fsync is no reason to turn people away."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._work = 0
        self._rates: deque[int] = deque(maxlen=SAMPLES_KEPT)

    def on_executed(self, work: int, now: int, *, waiting: bool) -> None:
        """So much was executed just now; `waiting`: more waits."""
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
        """Units a second, None while nothing was measured."""
        return max(self._rates, default=None)

    def shift(self) -> None:
        """This process was paused: the interval under way measures nothing."""
        self._since = None
