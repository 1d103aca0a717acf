"""Events that this process answered by its rules alone, until the members have judged them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.utils import timezone

from dtvn.events.judging import SALT_SIZE, Event
from dtvn.gateway import Difference, differences
from events.models import Owed

KEPT_BYTES = 256 * 1024
"""Bytes of a run's earlier events that are kept while it is judged call by call, since the members judge a
run from its first event on."""
TOO_LONG = "its earlier events are no longer kept: have the whole run judged again"


class AnsweredHere:
    """Of one run: its events from the first one on, and what the rules here said to the last of them."""

    def __init__(self, bound: int = 0) -> None:
        """`bound`: most bytes of events that are kept; 0: the run is never answered here."""
        self.state = ""
        """A value of Owed; "" if the rules here never answered alone."""
        self.refusal = ""
        """Why the members will not judge, where the state is REFUSED."""
        self.at: datetime | None = None
        """When the rules here first answered alone, of the newest time that they did."""
        self.code = ""
        """Rule id of the first event that they refused then; "" if they refused none."""
        self.settled_at: datetime | None = None
        self.differences: list[Difference] = []
        self.codes: dict[int, str | None] = {}
        """Index -> rule id of each event that waits for the members; "" if it was accepted here, None if the
        rules here were not asked."""
        self.size = 0
        """Bytes of the events."""
        self._bound = bound
        self._events: list[Event] | None = []
        """None: they were too many."""
        self._written = 0

    @property
    def waiting(self) -> list[Event]:
        """The events that wait, the last ones of the run."""
        return [] if self._events is None or not self.codes else self._events[-len(self.codes) :]

    @property
    def unwritten(self) -> tuple[int, list[Event]]:
        """(index of the first, the events that no row holds yet)."""
        return self._written, [] if self._events is None else self._events[self._written :]

    def restore(self, events: list[Event], codes: Mapping[int, str], at: datetime, code: str) -> None:
        """Begin with what rows hold of a run, all of which waits: what the members had judged of it is
        judged again."""
        self.state, self.at, self.code = Owed.WAITING.value, at, code
        self._events, self.size = [], 0
        self._keep(events)
        self.codes = {index: codes.get(index) for index in range(len(events))}
        self.written(len(events))

    def answer(self, events: Sequence[Event], refused: Mapping[int, str], position: int) -> None:
        """The rules here answered these events, the first of which has index `position`, and refused those in
        `refused`."""
        if self._events is None or len(self._events) != position:
            self.refuse(TOO_LONG)
            return
        if not self.codes:
            self.at, self.code = timezone.now(), ""
        self._keep(events)
        self.codes |= {index: refused.get(index, "") for index in range(position, position + len(events))}
        self.code = self.code or next((refused[index] for index in sorted(refused)), "")
        self.state = Owed.WAITING.value

    def certify(self, events: Sequence[Event], refused: Mapping[int, str], position: int) -> None:
        """The members judged these events, and refused those in `refused`."""
        for index, event in enumerate(events, position):
            if index in self.codes:
                self._compare(index, refused)
            elif self._events is not None:
                self._keep([event])
        if self._events is not None and not self.codes and self.size > self._bound:
            self._events = None
        self._look_settled()

    def settle(self, refused: Mapping[int, str]) -> None:
        """The members decided about all that waits, without a certificate."""
        for index in list(self.codes):
            self._compare(index, refused)
        self._look_settled()

    def refuse(self, reason: str) -> None:
        """The members will not judge what the rules here answered."""
        self.state, self.refusal = Owed.REFUSED.value, reason
        self.at = self.at or timezone.now()
        self.codes, self._events = {}, None

    def withdraw(self) -> str:
        """Why these events are refused a place, "" if they are not; they count as not answered then, for
        their caller is told so."""
        if self.state != Owed.REFUSED:
            return ""
        self.state = Owed.SETTLED.value if self.settled_at else ""
        return self.refusal

    def written(self, until: int) -> None:
        """Rows hold the events before index `until`."""
        self._written = until

    def _keep(self, events: Sequence[Event]) -> None:
        if self._events is not None:
            self._events += events
            self.size += sum(len(event.text) for event in events)

    def _compare(self, index: int, refused: Mapping[int, str]) -> None:
        here = self.codes.pop(index)
        if here is not None:
            self.differences += differences({index: here}, refused, [index])

    def _look_settled(self) -> None:
        if self.state == Owed.WAITING and not self.codes:
            self.state, self.settled_at = Owed.SETTLED.value, timezone.now()


def salted(texts: Sequence[bytes], salts: Sequence[bytes]) -> list[Event]:
    """These texts with their salts, random ones if there are none."""
    drawn = os.urandom(SALT_SIZE * len(texts))
    salts = salts or [drawn[at : at + SALT_SIZE] for at in range(0, len(drawn), SALT_SIZE)]
    return [Event(salt, text) for salt, text in zip(salts, texts, strict=True)]
