"""Which principals asked of late, and since when they wait (R30).

A primary that several ask keeps little in flight, or a modest client would wait behind all that a greedy one
has open (0118). Whoever has much open waits long by its own doing, and its wait says nothing (0168).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

__all__ = ["Askers"]

LATELY = 1_000_000_000
"""Nanoseconds for which a principal that asked counts as one that goes on asking."""


class Askers:
    """Principals, and since when they wait for what. Times are monotonic."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, int] = OrderedDict()
        """When principals asked last, who did so long ago first."""
        self._arrivals: dict[str, dict[Hashable, int]] = {}
        """Of each that waits for something: when that came, the oldest first."""

    def came(self, principal: str, key: Hashable, now: int) -> None:
        """It asks, and waits for this from now on."""
        self._asked[principal] = now
        self._asked.move_to_end(principal)
        self._arrivals.setdefault(principal, {})[key] = now

    def left(self, principal: str, key: Hashable) -> None:
        """It waits for this no more."""
        arrivals = self._arrivals[principal]
        del arrivals[key]
        if not arrivals:
            del self._arrivals[principal]

    def several(self, now: int) -> bool:
        """Whether more than one asked of late: then each waits for what the others ask."""
        self._forget(now)
        return len(self._asked) > 1

    def all_wait_since(self, now: int) -> int | None:
        """Since when whoever asked of late waits for an answer: who waits least of them. None if one of them
        waits for nothing, or nobody asked."""
        self._forget(now)
        if any(name not in self._arrivals for name in self._asked):
            return None
        return max((next(iter(each.values())) for each in self._arrivals.values()), default=None)

    def _forget(self, now: int) -> None:
        while self._asked and now - next(iter(self._asked.values())) > LATELY:
            self._asked.popitem(last=False)
