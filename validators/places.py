"""Who of all that follow a node's log has a place, and who waits for one (R23, PITFALLS row 15).

A place is kept while nobody waits for it. Where somebody does, whoever has had one for `PLACE_TIME` gives it
up: of a principal over its share one of its own, else one of the principal that has most. Who has waited
longest, and still asks, is next; so each gets a place after at most `PLACE_TIME` for each one ahead of it.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["PLACE_TIME", "Places"]

PLACE_TIME = 10_000_000_000
"""Nanoseconds for which a place is safe."""

ASKS = 3_000_000_000
"""Nanoseconds after which who asked no more lets others go ahead."""

WAIT_KEPT = 60_000_000_000
"""Nanoseconds for which its turn is remembered: it may ask every other member meanwhile."""


class Places:
    """`most` places, `share` of them for the connections of one principal. Names are `principal/route`."""

    def __init__(self, *, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._since: dict[str, int] = {}
        """Name -> since when it has a place, monotonic nanoseconds."""
        self._waiting: dict[str, tuple[int, int]] = {}
        """Name -> (waits since, asked last)."""

    def take(self, name: str, now: int) -> tuple[bool, str]:
        """Whether `name` has a place now, and who lost it for that ("": nobody)."""
        if name in self._since:
            return True, ""
        principal = _principal(name)
        mine = [other for other in self._since if _principal(other) == principal]
        own = len(mine) >= self._share
        loser = ""
        if own or len(self._since) >= self._most:
            self._wait(name, now)
            loser = min(mine if own else self._of_the_largest(), key=self._since.__getitem__)
            if now < self._since[loser] + PLACE_TIME or self._is_behind(name, now, own=own):
                return False, ""
            del self._since[loser]
        self._waiting.pop(name, None)
        self._since[name] = now
        return True, loser

    def leave(self, name: str) -> None:
        """It follows no more."""
        self._since.pop(name, None)

    def _of_the_largest(self) -> list[str]:
        held = Counter(map(_principal, self._since))
        largest = held.most_common(1)[0][0]
        return [name for name in self._since if _principal(name) == largest]

    def _wait(self, name: str, now: int) -> None:
        self._waiting = {
            n: (since, asked) for n, (since, asked) in self._waiting.items() if now < asked + WAIT_KEPT
        }
        others = sum(_principal(other) == _principal(name) for other in self._waiting)
        if name in self._waiting or (others < self._share and len(self._waiting) < self._most):
            self._waiting[name] = (self._waiting.get(name, (now, now))[0], now)

    def _is_behind(self, name: str, now: int, *, own: bool) -> bool:
        """Whether somebody who competes for the same place has waited longer, and still asks."""
        waits = self._waiting.get(name, (now, now))[0]
        return any(
            since < waits and now < asked + ASKS and (not own or _principal(other) == _principal(name))
            for other, (since, asked) in self._waiting.items()
            if other != name
        )


def _principal(name: str) -> str:
    return name.rpartition("/")[0]
