"""A node that is far behind yields the processor to the members that serve clients (R23).

Where members share a host, a node that catches up takes processor time from the others just when fewer of
them decide. While they decide without it, no client waits for it; so it works only a third of the time while
the processor is scarce, that is, while its thread waits in the operating system's run queue. On a host of its
own, or while the others need its vote to decide, it works all the time.

Its rests are bounded in total, so it always catches up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

REST = 2
"""Rest, as a multiple of the time worked."""
REST_LONGEST = 50_000_000
REST_SHORTEST = 5_000_000
"""Nanoseconds of one rest. A longer one would look like a late turn and raise T (R31)."""
REST_IN_ALL = 60_000_000_000
"""Nanoseconds that a process rests at most in its life."""
SHORT = 8
"""The processor is scarce if the thread waited in the run queue for 1/SHORT of the time it worked."""
SHORT_FOR = 1_000_000_000
"""Nanoseconds for which the processor then counts as scarce: a resting thread waits in no run queue."""
ROWS = 500
"""Rows read or written between two rests."""

SCHEDULE = Path("/proc/thread-self/schedstat")

Row = TypeVar("Row")


def run_queue_wait() -> int | None:
    """Nanoseconds that this thread waited for a processor; None if the system does not report it."""
    try:
        return int(SCHEDULE.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None


class CpuYield:
    """Rests of one thread. Call `rest` between pieces of work, and `end` when there is no reason to rest."""

    def __init__(
        self,
        *,
        worked: Callable[[], int] = time.thread_time_ns,
        waited: Callable[[], int | None] = run_queue_wait,
        now: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._worked, self._waited, self._now, self._sleep = worked, waited, now, sleep
        self._since: tuple[int, int] | None = None
        """(worked, waited) at the last call of `rest`."""
        self._short_until = 0
        self._owed = 0
        self.left = REST_IN_ALL

    def rest(self) -> None:
        """Sleep in proportion to the time worked since the last call, if the processor is scarce."""
        waited = self._waited()
        if waited is None or self.left <= 0:
            return
        present = self._worked(), waited
        since, self._since = self._since, present
        if since is None:
            return
        spent, stood = present[0] - since[0], present[1] - since[1]
        now = self._now()
        if stood * SHORT > spent:
            self._short_until = now + SHORT_FOR
        if now >= self._short_until:
            self._owed = 0
            return
        self._owed += REST * spent
        if self._owed < REST_SHORTEST:
            return
        self._sleep(min(self._owed, REST_LONGEST, self.left) / 1e9)
        rested = self._now() - now
        self._owed = max(0, self._owed - rested)
        self.left -= rested

    def end(self) -> None:
        """Forget the work so far: the next call of `rest` starts anew."""
        self._since = None
        self._owed = 0

    def between(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, with rests between them."""
        self.end()
        for number, row in enumerate(rows):
            if number % ROWS == 0:
                self.rest()
            yield row
        self.end()
