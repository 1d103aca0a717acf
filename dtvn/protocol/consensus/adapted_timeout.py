"""T at rest, adapted to what this process and its links need (R31)."""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.config import Config

LATENESS_KEPT = 256
"""Ticks whose lateness is remembered: about a minute at five a second."""
ADAPT_EVERY = 16
"""Ticks between two adaptations of T, unless one is very late."""


class AdaptedTimeout:
    """Owns the measured round trip and the lateness of the own ticks, both in nanoseconds."""

    def __init__(self) -> None:
        self._round_trip = 0
        """Time within which a quorum answers."""
        self._lateness: deque[int] = deque(maxlen=LATENESS_KEPT)
        self._ticks = 0
        """Ticks since T was adapted."""

    def on_round_trip(self, nanoseconds: int) -> None:
        """Records the time within which a quorum answers (pinging)."""
        self._round_trip = nanoseconds

    def on_late(self, nanoseconds: int, base: int) -> bool:
        """Records by how much a tick was late; returns whether T, now `base`, should be adapted."""
        self._lateness.append(nanoseconds)
        self._ticks += 1
        return self._ticks >= ADAPT_EVERY or nanoseconds * 8 > base

    def base(self, config: Config) -> int:
        """T = clamp(base, 8 x (round trip + own p99 lateness), 5 s); the primary's speed never counts."""
        self._ticks = 0
        late = sorted(self._lateness)
        turn = late[(len(late) - 1) * 99 // 100] if late else 0
        wanted = 8 * (self._round_trip + turn)
        return max(config.timeout_base, min(wanted, config.timeout_adapted_max))
