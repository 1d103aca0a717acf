"""Limits how many unwanted statements of each peer a node decodes (P15).

An unwanted statement costs no signature check (decision 0155), but it is decoded before that is known.
Honest members send some too: several of them remind a peer of the same votes.
"""

from __future__ import annotations

PER_SECOND = 4_096
"""Statements that drain in a second: two full SupplyFrames in most rounds in which a member may send them."""
BURST = 8_192
"""Capacity of a bucket, in statements."""
SECOND = 1_000_000_000


class RateLimiter:
    """A leaky bucket for each peer name; only members get here, so there are few.

    The other limits are no buckets: consensus.throttle spaces equal answers, net.inbox mutes a peer after
    forged frames, node.watcher spaces equal lines of a log, and node.request_log counts what it left out.
    """

    def __init__(self) -> None:
        self._levels: dict[str, tuple[int, int]] = {}
        """Level in statements, and the time at which it was measured."""

    def allows(self, name: str, now: int) -> bool:
        """Whether more statements of this peer are decoded now (monotonic nanoseconds)."""
        return self._level(name, now) < BURST

    def consume(self, name: str, statements: int, now: int) -> None:
        """Count unwanted statements of this peer."""
        self._levels[name] = (self._level(name, now) + statements, now)

    def _level(self, name: str, now: int) -> int:
        level, since = self._levels.get(name, (0, now))
        return max(0, level - (now - since) * PER_SECOND // SECOND)
