"""How each linked peer behaves: what of it was refused and why, and when its link is dropped (R45).

A peer has *points*, which it loses again by the second, linked or not: to hang up and call again wins
nothing. Only what no honest peer sends (a forged item, bytes that are no message) costs points; what one may
send that passes on another's items in good faith (an item twice, a stranger's, too many at once) is refused
and counted, no more: else one author made honest peers leave each other. Nothing that is refused is passed
on, so an honest peer is never blamed for another's lie.
"""

from __future__ import annotations

import enum

import msgspec

POINTS_MAX = 300
"""Points at which a link is dropped: three forgeries in five minutes."""
FORGIVEN = 1
"""Points lost again in each second."""
RATE = 100
"""Messages a second that one link may bring, each item of a list counted as one more."""
BURST = 400
"""Messages that may come at once."""
DROPPED_TIME = 60_000_000_000
"""Nanoseconds for which a peer whose link was dropped is not linked again; doubles each time, up to 16 times
as long."""
RECORDS_MAX = 1_024
"""Most peers whose points are remembered; who has fewest is forgotten."""
DROPPED_MAX = 1_024
"""Most peers of which that is remembered; the one forgiven first is forgotten."""
SECOND = 1_000_000_000


class Fault(enum.StrEnum):
    """What a peer did."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    FORGED = "forged"
    """An item that its author did not sign so: forged, or altered on the way."""
    STRANGER = "stranger"
    """An item of an author that is neither member nor counting principal, as far as the own log says."""
    REPLAYED = "replayed"
    """An item older than one that the store holds."""
    UNASKED = "unasked"
    """An answer to no question."""
    FLOODED = "flooded"
    """More messages than a link may bring."""
    LIED = "lied"
    """Something in the log that proves false, or entries held back."""


POINTS = {
    Fault.MALFORMED: 100,
    Fault.TOO_LARGE: 100,
    Fault.FORGED: 100,
    Fault.LIED: 100,
    Fault.UNASKED: 5,
    Fault.FLOODED: 0,
    Fault.REPLAYED: 0,
    Fault.STRANGER: 0,
}


class _Record(msgspec.Struct):
    """Of one peer. Times are monotonic nanoseconds."""

    seen_at: int
    """When points and room were brought up to date."""
    points: float = 0.0
    room: float = BURST
    """Messages that may come now."""
    counts: dict[Fault, int] = msgspec.field(default_factory=dict)

    @property
    def standing(self) -> tuple[float, int]:
        """The less of it, the sooner it is forgotten: whose points are run off first."""
        return self.points * SECOND / FORGIVEN + self.seen_at if self.points else 0.0, self.seen_at


class Conduct:
    """The conduct of all peers, by key."""

    def __init__(self) -> None:
        self._records: dict[bytes, _Record] = {}
        self._dropped: dict[bytes, tuple[int, int]] = {}
        """Key -> (how often its link was dropped, until when it is shunned)."""
        self.totals: dict[Fault, int] = dict.fromkeys(Fault, 0)

    def admits(self, key: bytes, now: int, count: int = 1) -> bool:
        """Whether a peer may bring so many more messages or items now; if so, they are counted. One that is
        shunned may bring none."""
        if self.is_shunned(key, now):
            return False
        record = self._up_to_date(key, now)
        if record.room < count:
            self.blame(key, Fault.FLOODED, now)
            return False
        record.room -= count
        return True

    def blame(self, key: bytes, fault: Fault, now: int) -> None:
        """Count a fault of a peer."""
        self.totals[fault] += 1
        record = self._up_to_date(key, now)
        record.counts[fault] = record.counts.get(fault, 0) + 1
        record.points += POINTS[fault]

    def must_drop(self, key: bytes) -> bool:
        """Whether the link to this peer is to be dropped."""
        record = self._records.get(key)
        return record is not None and record.points >= POINTS_MAX

    def on_dropped(self, key: bytes, now: int) -> None:
        """Remember that a link was dropped for its peer's conduct."""
        times, _until = self._dropped.pop(key, (0, 0))
        self._dropped[key] = (times + 1, now + (DROPPED_TIME << min(times, 4)))
        if len(self._dropped) > DROPPED_MAX:
            del self._dropped[min(self._dropped, key=lambda each: self._dropped[each][1])]

    def is_shunned(self, key: bytes, now: int) -> bool:
        """Whether this peer is not to be linked now."""
        return now < self._dropped.get(key, (0, 0))[1]

    def counts(self, key: bytes) -> dict[Fault, int]:
        """The faults of a peer."""
        record = self._records.get(key)
        return {} if record is None else dict(record.counts)

    def _up_to_date(self, key: bytes, now: int) -> _Record:
        record = self._records.get(key)
        if record is None:
            if len(self._records) >= RECORDS_MAX:
                del self._records[min(self._records, key=lambda each: self._records[each].standing)]
            record = self._records[key] = _Record(now)
        seconds = max(0, now - record.seen_at) / SECOND
        record.points = max(0.0, record.points - FORGIVEN * seconds)
        record.room = min(float(BURST), record.room + RATE * seconds)
        record.seen_at = max(now, record.seen_at)
        return record
