"""Limits how many useless frames of each peer a node examines (P15).

An unwanted statement costs no signature check (decision 0155), but it is decoded before that is known.
Honest members send some too: several of them remind a peer of the same votes. A settled request (executed,
expired, or of no session) costs an answer (decision 0186). Honest clients send one after a lost answer.
"""

from __future__ import annotations

SECOND = 1_000_000_000


class RateLimiter:
    """A leaky bucket for each name (ITU-T I.371, Annex A). Only listed members and principals have one.

    `per_second`: frames that drain in a second, and parts of a frame in less, so that what comes a little
    faster is cut to this rate and not below it. `burst`: capacity of a bucket, in frames.

    The other limits are no buckets: consensus.throttle spaces equal answers, net.inbox mutes a peer after
    forged frames, node.watcher spaces equal lines of a log, and node.request_log counts what it left out.
    """

    def __init__(self, *, per_second: int, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._levels: dict[str, tuple[int, int]] = {}
        """Level in billionths of a frame, and the time at which it was measured."""

    def allows(self, name: str, now: int) -> bool:
        """Whether more frames of this peer are examined now (monotonic nanoseconds)."""
        return self._level(name, now) <= (self.burst - 1) * SECOND

    def takes(self, name: str, now: int) -> bool:
        """As `allows`; counts the frame if so."""
        allowed = self.allows(name, now)
        if allowed:
            self.consume(name, 1, now)
        return allowed

    def consume(self, name: str, frames: int, now: int) -> None:
        """Count useless frames of this peer."""
        if frames:
            self._levels[name] = (self._level(name, now) + frames * SECOND, now)

    def _level(self, name: str, now: int) -> int:
        level, since = self._levels.get(name, (0, now))
        return max(0, level - (now - since) * self.per_second)
