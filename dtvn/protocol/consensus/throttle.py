"""Limits how often one member gets the same answer (P15): a small question must not make a
replica send a large answer at the rate of the questions."""

from __future__ import annotations

from dtvn.protocol.consensus.context import Context

REMEMBERED_MAX = 4_096
"""Maximum answers remembered; the oldest is forgotten first."""


class Throttle:
    """Allows each (member, thing) once per interval, in nanoseconds."""

    def __init__(self, context: Context, interval: int) -> None:
        self._context = context
        self._interval = interval
        self._last: dict[tuple[int, bytes], int] = {}

    def allow(self, member: int, thing: bytes, parts: int = 0) -> bool:
        """Whether `thing` may be sent to `member` now; if so, counts it as sent. A large thing, of `parts`
        parts, waits 1 + `parts` intervals, at most 20."""
        now = self._context.now.monotonic
        key = (member, thing)
        last = self._last.get(key)
        if last is not None and now < last + self._interval * min(1 + parts, 20):
            return False
        self._last.pop(key, None)
        self._last[key] = now
        if len(self._last) > REMEMBERED_MAX:
            del self._last[next(iter(self._last))]
        return True
