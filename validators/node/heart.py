"""What the supervisor of a process hears: how it is, about once a second, and in the middle of long work too.

A process that turned once and then says nothing for half a minute is taken for hung, and ended. The state of
a million tickets takes as long to be written and read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["BEAT_NS", "Beat", "Heart"]

Beat = Callable[[Mapping[str, Any]], None]

BEAT_NS = 1_000_000_000
"""Between two heartbeats."""


class Heart:
    """Of one process, through all its epochs. `beat` None: nobody listens."""

    def __init__(self, beat: Beat | None, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._beat = beat
        self._now = now
        self._due = 0
        self._last: Mapping[str, Any] | None = None

    def is_due(self, now: int) -> bool:
        """Whether it is time to say how this process is."""
        return now >= self._due

    def tell(self, report: Mapping[str, Any], now: int) -> None:
        """How it is."""
        self._due = now + BEAT_NS
        self._last = report
        if self._beat is not None:
            self._beat(report)

    def alive(self) -> None:
        """It is as it was, and works: cheap, to be called between any two pieces of long work. Before its
        first word it says nothing: whoever started it waits for that."""
        if self._last is not None and self.is_due(now := self._now()):
            self.tell(self._last, now)
