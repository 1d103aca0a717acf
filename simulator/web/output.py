"""Lines of a run as the seed keeps them: the same line twice within half a second is one line (spec 10)."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LINES_KEPT", "Distinct"]

LINES_KEPT = 500
"""Newest lines of a run that are shown."""
SAME_WITHIN = 0.5
"""Seconds."""


class Distinct:
    """Lets a line pass unless an equal one passed just now. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._passed: dict[str, float] = {}

    def passes(self, line: str) -> bool:
        """True the first time, and again when half a second is over; bounded by the lines of that time."""
        now = self._clock()
        self._passed = {known: at for known, at in self._passed.items() if now - at < SAME_WITHIN}
        if line in self._passed:
            return False
        self._passed[line] = now
        return True
