"""When each member heard each other one during the last hour: spans for every ordered pair. Pure."""

from __future__ import annotations

from collections import deque

import msgspec

from validators.network_watch.hearing import Hearing, Pair, State

HOUR = 3_600.0
"""Seconds that spans reach back."""
UNSEEN_MAX = 15.0
"""Seconds between two looks after which nothing is known of what was between them."""
CHANGES_MAX = 120
"""Changes kept of one pair: 30 members that come and go all the time take some ten megabytes. Before the
oldest one kept, nothing is known."""


class Span(msgspec.Struct, frozen=True):
    """One state of one pair, from `start` to `end`, Unix seconds."""

    state: State
    start: float
    end: float


class Hour:
    """Spans of the last hour, from one look after the other. One thread adds; any thread reads."""

    def __init__(self) -> None:
        self._changes: dict[Pair, deque[tuple[float, State]]] = {}
        """When each state of a pair began, oldest first."""
        self._at = 0.0
        """Unix seconds of the newest look."""

    def add(self, hearing: Hearing) -> None:
        """Take a look. Pairs with somebody who is no member any more are forgotten. A look that is older than
        the one before (the clock was set back) begins anew."""
        if hearing.at < self._at:
            self._changes = {}
        missed = self._at and hearing.at - self._at > UNSEEN_MAX
        kept: dict[Pair, deque[tuple[float, State]]] = {}
        for pair in hearing.pairs():
            changes = self._changes.get(pair)
            if changes is None:
                changes = deque(maxlen=CHANGES_MAX)
            elif missed:
                _change(changes, self._at, State.UNKNOWN)
            _change(changes, _began(hearing, pair, changes), hearing.state(pair))
            while len(changes) > 1 and changes[1][0] <= hearing.at - HOUR:
                changes.popleft()
            kept[pair] = changes
        self._changes, self._at = kept, hearing.at

    def since(self, pair: Pair) -> float | None:
        """When the present state of a pair began, Unix seconds; None for a pair that was never looked at."""
        changes = self._changes.get(pair)
        return None if changes is None else changes[-1][0]

    def spans(self, pair: Pair) -> list[Span]:
        """The spans of a pair within the last hour, oldest first, up to the newest look."""
        changes = tuple(self._changes.get(pair, ()))
        ends = [*(at for at, _ in changes), self._at][1:]
        first = self._at - HOUR
        return [
            Span(state, max(start, first), end)
            for (start, state), end in zip(changes, ends, strict=True)
            if end > first
        ]


def _began(hearing: Hearing, pair: Pair, changes: deque[tuple[float, State]]) -> float:
    """When the state of a pair began that is seen now: silence with the last word that was heard, though the
    hearer could not report it at once."""
    if hearing.state(pair) is not State.SILENT:
        return hearing.at
    last = hearing.last_heard(pair)
    if last is None:
        return hearing.at
    while changes and changes[-1][1] is State.UNKNOWN and changes[-1][0] >= last:
        changes.pop()
    return max(last, changes[-1][0]) if changes else last


def _change(changes: deque[tuple[float, State]], at: float, state: State) -> None:
    """Note a state from `at` on, unless it lasts. A state that would have had no time is replaced."""
    if changes and changes[-1][0] >= at and changes[-1][1] is not state:
        changes.pop()
    if not changes or changes[-1][1] is not state:
        changes.append((at, state))
