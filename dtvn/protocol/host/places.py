"""Assigns a node's limited places for subscribers to its log, and queues the others (R23, P15).

A subscriber keeps its place while no other waits for it. If another waits, a subscriber that has had its
place for `PLACE_TIME` gives it up: if the waiting one's principal has its full share, one of that principal,
else one of the principal with the most places. The subscriber that has waited longest, and still asks, is
next; so each gets a place after at most `PLACE_TIME` for each one ahead of it.
"""

from __future__ import annotations

from collections import Counter

PLACE_TIME = 10_000_000_000
"""Nanoseconds for which a subscriber is sure to keep its place."""

ASKS = 3_000_000_000
"""Nanoseconds without a request after which a waiting subscriber loses its turn. It is long enough to ask
every other member in between, and shorter than PLACE_TIME: a subscriber that had a place elsewhere in the
meantime goes to the end of the queue."""

WAITING_MAX = 1_024
"""Most names in the queue, at most a quarter of them of one principal. Among further ones chance decides."""


class Places:
    """Assigns `most` places, at most `share` of them to the connections of one principal. Names have the form
    `principal/route`."""

    def __init__(self, *, most: int, share: int) -> None:
        self._most = most
        self._share = share
        self._since: dict[str, int] = {}
        """Name -> when it got its place, monotonic nanoseconds."""
        self._waiting: dict[str, tuple[int, int]] = {}
        """Name -> (waits since, asked last)."""

    def take(self, name: str, now: int) -> tuple[bool, str]:
        """Whether `name` has a place now, and the name that lost its place for it ("": none)."""
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
        """Free the place of a subscriber that no longer follows."""
        self._since.pop(name, None)

    def _of_the_largest(self) -> list[str]:
        held = Counter(map(_principal, self._since))
        largest = held.most_common(1)[0][0]
        return [name for name in self._since if _principal(name) == largest]

    def _wait(self, name: str, now: int) -> None:
        known = self._waiting.get(name)
        if known is None and not self._has_room(_principal(name), now):
            return
        since = known[0] if known is not None and now < known[1] + ASKS else now
        self._waiting[name] = (since, now)

    def _has_room(self, principal: str, now: int) -> bool:
        """Whether one more name of this principal fits the queue; drops names that no longer ask."""
        self._waiting = {name: times for name, times in self._waiting.items() if now < times[1] + ASKS}
        same = sum(_principal(other) == principal for other in self._waiting)
        return same < WAITING_MAX // 4 and len(self._waiting) < WAITING_MAX

    def _is_behind(self, name: str, now: int, *, own: bool) -> bool:
        """Whether another name that competes for the same place has waited longer, and still asks. A name
        whose principal has its full share (`own`) competes only for that principal's places."""
        waits = self._waiting.get(name, (now, now))[0]
        held = Counter(map(_principal, self._since))
        principal = _principal(name)
        return any(
            since < waits
            and now < asked + ASKS
            and (_principal(other) == principal if own else held[_principal(other)] < self._share)
            for other, (since, asked) in self._waiting.items()
        )


def _principal(name: str) -> str:
    return name.rpartition("/")[0]
