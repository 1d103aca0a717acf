"""What a gateway counts of the runs that it has judged (contract 2.8). Pure."""

from __future__ import annotations

from collections import Counter

from dtvn.events.asking import Asker
from dtvn.gateway.events_face import EventFigures, Given, Judged


class EventCounts:
    """Counters since the gateway was opened."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._answers: Counter[tuple[str, Given]] = Counter()
        self._seconds = 0.0

    def add(self, judged: Judged, seconds: float) -> None:
        """Count a call that took `seconds` from its begin to its answer."""
        self._calls[judged.verdict.value] += 1
        self._seconds += seconds
        for piece in judged.pieces:
            self._events[piece.verdict.value] += piece.count
            self._answers.update((answer.member, answer.given) for answer in piece.members)

    def figures(self, live: int, asker: Asker) -> EventFigures:
        """A copy; `live`: number of runs that have begun and not ended; `asker`: what members answered."""
        counts = asker.counts
        answers: dict[str, dict[str, int]] = {}
        for (member, given), count in self._answers.items():
            answers.setdefault(member, {})[given.value] = count
        return EventFigures(
            live,
            dict(self._calls),
            dict(self._events),
            answers,
            self._seconds,
            dict(counts.answered),
            dict(counts.unanswered),
            counts.error_rates(),
            asker.awaited(),
        )
