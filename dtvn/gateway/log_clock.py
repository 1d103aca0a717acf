"""The gateway's reckoning of log time, by which it dates what it sends (R14). Pure.

Whether an operation is still valid is judged by the effective time of the batch that holds it. That time
may be far from this host's clock: it never goes back, so after the members' clocks ran ahead for a while it
stands until they catch up (R3). So an operation is dated by the newest effective time that this gateway has
verified, plus the monotonic time since then; by this host's clock only before the first one.
"""

from __future__ import annotations

from msgspec import structs

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.messages import Operation

MICROSECOND = 1_000
VALID_AFTER_WAIT = 5_000_000_000
"""Nanoseconds for which an operation stays valid after its caller stopped waiting."""

VALID_FOR = 590_000_000_000
"""Most nanoseconds for which an operation is valid: below the ten minutes that the log allows, since it is
executed later than it is dated, but log time may stand meanwhile."""


class LogClock:
    """All times that are verified are Unix microseconds."""

    def __init__(self) -> None:
        self.newest = 0
        """The newest effective time that was verified; 0: none yet. Read by other threads."""
        self._at = 0
        """Monotonic nanoseconds when it was verified."""

    def verified(self, timestamp: int, now: Now) -> None:
        """Note an effective time that f + 1 members vouch for; an older one than the newest has no effect."""
        if timestamp > self.newest:
            self.newest, self._at = timestamp, now.monotonic

    def read(self, now: Now) -> int:
        """Log time as this gateway reckons it."""
        if not self.newest:
            return now.wall // MICROSECOND
        return self.newest + (now.monotonic - self._at) // MICROSECOND

    def until(self, now: Now, wait: int) -> int:
        """`valid_until` of an operation sent now whose caller waits for another `wait` nanoseconds."""
        return self.read(now) + min(max(wait, 0) + VALID_AFTER_WAIT, VALID_FOR) // MICROSECOND

    def left(self, now: Now, valid_until: int) -> int:
        """Nanoseconds until an operation can no longer be valid; at least 0."""
        return max(valid_until - self.read(now), 0) * MICROSECOND


def dated(operation: Operation, until: int) -> Operation:
    """The operation with this `valid_until`, unless its caller has dated it."""
    return operation if operation.valid_until else structs.replace(operation, valid_until=until)
