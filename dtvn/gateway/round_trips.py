"""The collector's two estimates: round trip times, and which member is the primary. Pure.

Both affect only where and when frames are sent, never which outcomes are accepted.
"""

from __future__ import annotations

from collections import deque

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode

MILLISECOND = 1_000_000

FIRST_TIMEOUT_MIN = 100 * MILLISECOND
FIRST_TIMEOUT_MAX = 300 * MILLISECOND
"""R34: after clamp(4 * p99, 100 ms, 300 ms) a bundle goes to all members."""

RETRY_MAX = 1_000 * MILLISECOND
"""Longest pause between two sendings of one bundle to all members."""

SAMPLES_MAX = 256
SAMPLES_PER_ESTIMATE = 32
"""Samples after which the percentile is recomputed; sorting 256 integers costs 10 microseconds."""


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
        """Time that a bundle waits for the believed primary alone (R34)."""
        return min(max(4 * self._p99, FIRST_TIMEOUT_MIN), FIRST_TIMEOUT_MAX)

    def next_timeout(self, pause: int) -> int:
        """Time that a bundle that went to all members waits before it is sent again, if it last waited
        `pause`. R34 caps only the first timeout: a slow cluster must not get every bundle many times."""
        return max(pause, self._patience)


class Views:
    """The view that each member reports. Believed is the highest view that f + 1 members have reached,
    so f lying members cannot name a primary of their choice."""

    def __init__(self, members: int, mode: Mode) -> None:
        self._views = [0] * members
        self._needed = quorum.weak_quorum(members, mode)

    def says(self, member: int, view: int) -> None:
        """Note the view that a member reports; a lower one than before is late and ignored."""
        self._views[member] = max(self._views[member], view)

    def believed(self) -> int:
        """The view in which requests are sent."""
        return sorted(self._views, reverse=True)[self._needed - 1]

    def primary(self) -> int:
        """Index of the believed view's primary."""
        return quorum.primary(self.believed(), len(self._views))
