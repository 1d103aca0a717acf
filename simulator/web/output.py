"""Output lines of a run, as in the Go DTVN: equal lines within half a second are reduced to one."""

from __future__ import annotations

from collections.abc import Callable

LINES_KEPT = 500
"""Newest lines of a run that are shown."""
SAME_WITHIN = 0.5
"""Seconds within which an equal line is dropped."""


class Distinct:
    """Lets a line pass unless an equal one passed within SAME_WITHIN. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._passed: dict[str, float] = {}

    def passes(self, line: str) -> bool:
        """True the first time, and again after half a second; memory is bounded by the lines of that time."""
        now = self._clock()
        self._passed = {known: at for known, at in self._passed.items() if now - at < SAME_WITHIN}
        if line in self._passed:
            return False
        self._passed[line] = now
        return True
