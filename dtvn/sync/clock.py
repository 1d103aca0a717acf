"""A hybrid clock: wall time that never goes back, later than all that was seen (Kulkarni et al., 2014)."""

from __future__ import annotations

AHEAD_US_MAX = 600 * 1_000_000
"""How far ahead of this peer's clock a version may be and count. One that is further moves no clock either,
else one wrong clock would carry all others with it, the known flaw of hybrid clocks (R46)."""


class HybridClock:
    """Versions of one author, Unix microseconds: in the order of cause and effect between peers whose clocks
    differ."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self, now: int) -> int:
        """The version of something that is written now."""
        self._last = max(now, self._last + 1)
        return self._last

    def see(self, version: int, now: int) -> None:
        """An item of this version came: what is written from now on is later, unless it is too far ahead."""
        if version <= now + AHEAD_US_MAX:
            self._last = max(self._last, version)
