"""Lines between members that are slow, or delay or lose messages. Pure.

A line is good or bad by one look after the other, and stays bad for CLEAR seconds after it was last seen so:
what is said of it lasts as long as the trouble does, not as long as one lost message. Its figures are told in
few steps, and anew only when they halve or double.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import msgspec

from dtvn.watch.report import MemberReport

CLEAR = 600.0
"""Seconds without trouble after which a line is good again."""
SLOW_MS = 300.0
"""Milliseconds of a round trip; a line that is slow is so until it takes half of that."""
LATE = 0.08
"""Share of answers that come late or not at all: more than two of the newest 32."""
NAMED_MAX = 3
"""Lines that sentences name one by one."""
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The figures that are told."""

Pair = tuple[str, str]


class Line(msgspec.Struct):
    """What is known of the line between two members, in both directions."""

    slow: bool = False
    lossy_at: float | None = None
    """When answers were last late, in seconds; None: they never were, or it is long ago."""
    round_trip_ms: float = 0.0
    """As told; 0.0: not yet."""
    late_percent: float = 0.0

    def add(self, round_trip_ms: float, late: float, now: float) -> None:
        """Take a look."""
        self.slow = round_trip_ms > (SLOW_MS / 2 if self.slow else SLOW_MS)
        if late > LATE:
            self.lossy_at = now
        elif self.lossy_at is not None and now - self.lossy_at > CLEAR:
            self.lossy_at = None
        self.round_trip_ms = _told(self.round_trip_ms, round_trip_ms)
        self.late_percent = _told(self.late_percent, 100 * late)

    @property
    def is_bad(self) -> bool:
        """Whether anything is to be said of it."""
        return self.slow or self.lossy_at is not None

    def sentence(self, pair: Pair) -> str:
        """What is wrong with it, without a full stop."""
        words = [
            "is slow" if self.slow else "",
            "delays or loses messages" if self.lossy_at is not None else "",
        ]
        known = " and ".join(filter(None, words))
        figures = [f"round trip {self.round_trip_ms:g} ms"] if self.round_trip_ms else []
        figures += [f"{self.late_percent:g} % of answers late"] if self.lossy_at is not None else []
        more = f" ({', '.join(figures)})" if figures else ""
        return f"the line between {pair[0]} and {pair[1]} {known}{more}"


class Lines:
    """All lines of the members that report, by one look after the other."""

    def __init__(self) -> None:
        self._lines: dict[Pair, Line] = {}

    def add(self, reports: Sequence[MemberReport], now: float) -> None:
        """Take a look, at `now` in seconds."""
        known = {each.id: each for each in reports}
        kept: dict[Pair, Line] = {}
        for pair in combinations(known, 2):
            one, other = (known[name] for name in pair)
            line = kept[pair] = self._lines.get(pair) or Line()
            line.add(
                max(one.round_trips.get(other.id, 0.0), other.round_trips.get(one.id, 0.0)),
                max(one.late.get(other.id, 0.0), other.late.get(one.id, 0.0)),
                now,
            )
        self._lines = kept

    def bad(self) -> dict[Pair, Line]:
        """Those of which anything is to be said."""
        return {pair: line for pair, line in self._lines.items() if line.is_bad}

    def sentences(self) -> list[str]:
        """What is wrong with lines, each without a full stop."""
        bad = [line.sentence(pair) for pair, line in self.bad().items()]
        more = len(bad) - NAMED_MAX + 1
        return bad if more < 2 else [*bad[: NAMED_MAX - 1], f"{more} more lines are bad"]


def _told(before: float, measured: float) -> float:
    """The figure to tell: the nearest step; another than before only once it has halved or doubled."""
    if not measured:
        return before
    if before and before / 2 < measured < before * 2:
        return before
    return float(min(STEPS, key=lambda step: abs(step - measured)))
