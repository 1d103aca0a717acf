"""Keeps one kind of answers to at most an eighth of a node's time, however many peers ask (P15).

Times are monotonic nanoseconds. The cost of an answer is counted, not measured, so that a simulated run
repeats (decision 0117).
"""

from __future__ import annotations

SHARE = 8
"""The work takes at most 1/8 of the time."""

SAVED_MAX = 400_000_000
"""Nanoseconds of unused time that are saved up, so that the first few answers are given at once."""


class TimeShare:
    """An account of the time that one kind of work may take."""

    def __init__(self) -> None:
        self.rested_at = -SAVED_MAX
        """Time from which on the work may go on."""

    def save(self, now: int) -> None:
        """Give up unused time above SAVED_MAX; call it before the work of a turn."""
        self.rested_at = max(self.rested_at, now - SAVED_MAX)

    def spend(self, cost: int) -> None:
        """Rest until work of `cost` nanoseconds has taken at most 1/SHARE of the time."""
        self.rested_at += SHARE * cost
