"""How fast the network answers, and who is believed to be primary: the collector's two estimates. Pure.

Both steer only where and when bytes go, never what is believed.
"""

from __future__ import annotations

from collections import deque

from validators import quorum

__all__ = ["FIRST_TIMEOUT_MAX", "RETRY_MAX", "Latencies", "Views"]

MILLISECOND = 1_000_000

FIRST_TIMEOUT_MIN = 100 * MILLISECOND
FIRST_TIMEOUT_MAX = 300 * MILLISECOND
"""R34: after clamp(4 * p99, 100 ms, 300 ms) a bundle goes to all members."""

RETRY_MAX = 1_000 * MILLISECOND
"""Between two sendings of one bundle to all members, at the longest."""

SAMPLES_MAX = 256
SAMPLES_PER_ESTIMATE = 32
"""The percentile is taken anew after so many samples; sorting 256 integers costs 10 microseconds."""


class Latencies:
    """The newest round trips, nanoseconds."""

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES_MAX)
        self._fresh = 0
        self._p99 = FIRST_TIMEOUT_MAX
        self._patience = 0
        """4 * p99, once there is an estimate."""

    def add(self, sample: int) -> None:
        """Take one round trip into account."""
        self._samples.append(sample)
        self._fresh += 1
        if self._fresh >= SAMPLES_PER_ESTIMATE:
            self._fresh = 0
            ordered = sorted(self._samples)
            self._p99 = ordered[(len(ordered) * 99) // 100]
            self._patience = min(4 * self._p99, RETRY_MAX)

    def first_timeout(self) -> int:
        """How long the believed primary alone has the word (R34)."""
        return min(max(4 * self._p99, FIRST_TIMEOUT_MIN), FIRST_TIMEOUT_MAX)

    def next_timeout(self, pause: int) -> int:
        """How long a bundle that all members have been told of rests, if it rested `pause` before. What
        R34 caps is the first timeout: who is slow for everybody is not told of everything ever again."""
        return max(pause, self._patience)


class Views:
    """What each member says its view is. Believed: the highest view that f + 1 members have reached,
    so no f liars can name a primary of their choice."""

    def __init__(self, members: int) -> None:
        self._views = [0] * members
        self._needed = quorum.weak_quorum(members)

    def says(self, member: int, view: int) -> None:
        """A member's word about its own view; a lower one is late and ignored."""
        self._views[member] = max(self._views[member], view)

    def believed(self) -> int:
        """The view in which requests are sent."""
        return sorted(self._views, reverse=True)[self._needed - 1]

    def primary(self) -> int:
        """Index of its primary."""
        return quorum.primary(self.believed(), len(self._views))
