"""A node that is far behind leaves the processor to those that serve (R23).

Where members share a host, whatever a returning one needs is taken from the others just when there are fewer
of them. While they decide without it, nobody waits for it; so it works a third of the time where the
processor is short: where its thread stood in line for one, as the operating system tells. On a host of its
own it works all the time, and so it does when the others need it in order to decide.

It rests a bounded time in all, so it always arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = ["Courtesy", "stood_in_line"]

REST = 2
"""Times what it worked."""
REST_LONGEST = 50_000_000
REST_SHORTEST = 5_000_000
"""Nanoseconds of one rest. A longer one would look like a late turn and raise T (R31)."""
REST_IN_ALL = 60_000_000_000
"""Nanoseconds that a process rests in its life."""
SHORT = 8
"""The processor is short when a thread stood in line for one part in so many of what it worked ..."""
SHORT_FOR = 1_000_000_000
"""... and so long afterwards: while it rests there is no line."""
ROWS = 500
"""Between two rests while rows are read or written."""

SCHEDULE = Path("/proc/thread-self/schedstat")

Row = TypeVar("Row")


def stood_in_line() -> int | None:
    """Nanoseconds for which this thread could have run and had no processor; None where nobody tells."""
    try:
        return int(SCHEDULE.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None


class Courtesy:
    """Of one thread. `rest` is called between pieces of work, `end` when there is no reason to rest."""

    def __init__(
        self,
        *,
        worked: Callable[[], int] = time.thread_time_ns,
        waited: Callable[[], int | None] = stood_in_line,
        now: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._worked, self._waited, self._now, self._sleep = worked, waited, now, sleep
        self._since: tuple[int, int] | None = None
        """(worked, waited) up to the newest look."""
        self._short_until = 0
        self._owed = 0
        self.left = REST_IN_ALL

    def rest(self) -> None:
        """Rest for what was worked since the last call, if others want the processor."""
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
        """What comes now is not to be rested for."""
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
