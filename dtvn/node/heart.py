"""The heartbeat of a process to its supervisor, about once a second, also in the middle of long work.

The supervisor ends a process that has beaten once and is then silent for half a minute, since it seems to
hang. Writing and reading the state of a million tickets takes as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

Beat = Callable[[Mapping[str, Any]], None]

BEAT_NS = 1_000_000_000
"""Nanoseconds between two heartbeats."""


class Heart:
    """The heartbeat of one process, through all its epochs. `beat` None: there is no supervisor."""

    def __init__(self, beat: Beat | None, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._beat = beat
        self._now = now
        self._due = 0
        self._last: Mapping[str, Any] | None = None

    def is_due(self, now: int) -> bool:
        """Whether the next heartbeat is due."""
        return now >= self._due

    def tell(self, report: Mapping[str, Any], now: int) -> None:
        """Send a heartbeat with a status report."""
        self._due = now + BEAT_NS
        self._last = report
        if self._beat is not None:
            self._beat(report)

    def alive(self) -> None:
        """Repeat the last report if a heartbeat is due: cheap, to be called between pieces of long work. Does
        nothing before the first report, for which the supervisor waits."""
        if self._last is not None and self.is_due(now := self._now()):
            self.tell(self._last, now)
