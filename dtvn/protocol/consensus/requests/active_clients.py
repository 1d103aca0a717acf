"""Principals with recent requests, and when each of them began to wait (R30).

A primary keeps few batches in flight while several principals are active; otherwise a modest client would
wait behind all open requests of a greedy one (0118). A client with many open requests causes its own long
wait, so that wait is no evidence against the primary (0168).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

LATELY = 1_000_000_000
"""Nanoseconds for which a principal counts as active after its newest request."""


class ActiveClients:
    """The active principals, and the arrival times of their waiting requests. Times are monotonic."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, int] = OrderedDict()
        """Time of each principal's newest request, the oldest first."""
        self._arrivals: dict[str, dict[Hashable, int]] = {}
        """Arrival times of each waiting principal's requests, the oldest first."""

    def came(self, principal: str, key: Hashable, now: int) -> None:
        """Note that a request of this principal arrived and waits."""
        self.executed(principal, now)
        self._arrivals.setdefault(principal, {})[key] = now

    def executed(self, principal: str, now: int) -> None:
        """Note that a request of this principal was executed just now: it may wait at the primary alone."""
        self._asked[principal] = now
        self._asked.move_to_end(principal)

    def left(self, principal: str, key: Hashable) -> None:
        """Note that a request of this principal no longer waits."""
        arrivals = self._arrivals[principal]
        del arrivals[key]
        if not arrivals:
            del self._arrivals[principal]

    def several(self, now: int) -> bool:
        """Whether more than one principal asked in the last second: each then waits for the others too."""
        return self.count(now) > 1

    def count(self, now: int) -> int:
        """Number of principals that asked in the last second."""
        self._forget(now)
        return len(self._asked)

    def all_wait_since(self, now: int) -> int | None:
        """The latest start of waiting among principals active in the last second; None if any of them has no
        waiting request, or none is active."""
        self._forget(now)
        if any(name not in self._arrivals for name in self._asked):
            return None
        return max((next(iter(each.values())) for each in self._arrivals.values()), default=None)

    def _forget(self, now: int) -> None:
        while self._asked and now - next(iter(self._asked.values())) > LATELY:
            self._asked.popitem(last=False)
