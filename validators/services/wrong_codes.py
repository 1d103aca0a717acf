"""Codes that no ticket has, by caller and minute: what a reader that is set wrongly, and a guesser, send.

Above MISSES_MAX a minute a caller's misses are answered late, one a second; a code that a ticket has is
answered at once, whatever the caller sent before. A hint costs several look-ups, so a caller gets HINTS_MAX a
second. Counts are each web process's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from django.db import DatabaseError

from validators.services import audit

MISSES_MAX = 300
"""Misses of a caller in a minute that are answered at once: one in ten codes of a venue's forty gates."""
LATE_MAX = 5.0
"""Seconds by which an answer is late at most: a gate's program gives up later."""
HINTS_MAX = 5
CALLERS_MAX = 1_024
"""Callers that are counted; the earliest are dropped."""
AUDIT_EVERY = 600.0
"""Seconds between two audited actions of one caller."""
READER = "Many codes in the last minute are of no ticket: check how the reader is set, and the event."


class _Caller(msgspec.Struct):
    minute: int = 0
    misses: int = 0
    """Within this minute."""
    second: int = 0
    hints: int = 0
    """Within this second."""
    free_at: float = 0.0
    """When its next late answer is due, in Unix seconds."""
    audited_at: float = 0.0


class WrongCodes:
    """The counts of a process. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: dict[str, _Caller] = {}

    def note(self, actor: str) -> None:
        """Count a miss."""
        now = self._clock()
        with self._lock:
            caller = self._of(actor, now)
            caller.misses += 1
            audited = caller.misses > MISSES_MAX and now - caller.audited_at >= AUDIT_EVERY
            if audited:
                caller.audited_at = now
        if audited:
            with suppress(DatabaseError):  # gates go on without it
                audit.record(actor, "wrong codes", f"more than {MISSES_MAX} in a minute", "answered late")

    def late(self, actor: str) -> float:
        """Seconds by which the answer to a miss, which was counted, is late."""
        now = self._clock()
        with self._lock:
            caller = self._of(actor, now)
            if caller.misses <= MISSES_MAX:
                return 0.0
            caller.free_at = max(caller.free_at, now) + 1.0
            return min(caller.free_at - now, LATE_MAX)

    def allows_hint(self, actor: str) -> bool:
        """Whether this caller gets another hint now."""
        now = self._clock()
        with self._lock:
            caller = self._of(actor, now)
            caller.hints += 1
            return caller.hints <= HINTS_MAX

    def told(self) -> list[dict[str, Any]]:
        """`caller`, `misses` in this minute and whether they are answered `late`, the most first."""
        minute = int(self._clock()) // 60
        with self._lock:
            found = [(one.misses, name) for name, one in self._callers.items() if one.minute == minute]
        rows = sorted(((misses, name) for misses, name in found if misses), reverse=True)
        return [{"caller": name, "misses": misses, "late": misses > MISSES_MAX} for misses, name in rows]

    def _of(self, actor: str, now: float) -> _Caller:
        if actor not in self._callers:
            while len(self._callers) >= CALLERS_MAX:
                del self._callers[next(iter(self._callers))]
            self._callers[actor] = _Caller()
        caller = self._callers[actor]
        if caller.minute != (minute := int(now) // 60):
            caller.minute, caller.misses, caller.free_at = minute, 0, 0.0
        if caller.second != (second := int(now)):
            caller.second, caller.hints = second, 0
        return caller


wrong_codes = WrongCodes()
"""Those of this process."""
