"""A hybrid clock: wall time that never goes back, later than all that was seen (Kulkarni et al., 2014)."""

from __future__ import annotations


class HybridClock:
    """Timestamps of one author, Unix microseconds. Below the wall clock's resolution they count, so that they
    stay in the order of cause and effect between peers whose clocks differ."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self, now: int) -> int:
        """The timestamp of something that happens now."""
        self._last = max(now, self._last + 1)
        return self._last

    def see(self, timestamp: int) -> None:
        """An item of this timestamp came: what happens from now on is later."""
        self._last = max(self._last, timestamp)
