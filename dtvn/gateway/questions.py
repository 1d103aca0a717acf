"""Questions to single members about their status and data, outside consensus. Pure.

Only the asked member vouches for an answer. It is shown to operators as such, and affects where bundles are
sent (round_trips.Views); it never decides an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire import link_frame
from dtvn.watch import MemberReport, read_report

STATUS_EVERY = 1_000_000_000
"""Nanoseconds between two status questions to every member."""

STATUS_URGENT = 100_000_000
"""Nanoseconds between two status questions when a bundle was not answered in time."""

REST_AFTER = 10 * STATUS_EVERY
"""Nanoseconds without a question or an operation of a caller after which a gateway is at rest: longer than
face.DEFAULT_WAIT, so none is open then."""

STATUS_LENGTH_MAX = 64 * 1024
"""Characters of a status answer; an honest one has a few thousand at the largest cluster."""

QUESTIONS_MAX = 1_024
"""Open questions; further ones time out at once."""


class Answered(msgspec.Struct, frozen=True):
    """The end of a question: JSON text and code "", or a code ("timeout", "down", or the member's own)."""

    question: int
    code: str
    text: str


class MemberStatus(msgspec.Struct):
    """The newest report of a member about itself."""

    heard_at: int | None = None
    """Monotonic nanoseconds of its newest status answer; None: never."""
    report: MemberReport = MemberReport(id="")
    """Its newest status answer."""
    answered: int = 0
    """Status questions that it answered."""
    missed: int = 0
    """Those that it left unanswered, and polls that found it without a link."""
    round_trip: int = 0
    """Nanoseconds of its newest status answer; 0: never."""


class _Question(msgspec.Struct):
    member: int
    deadline: int
    polled_at: int | None
    """Monotonic nanoseconds of the status poll that it belongs to; None: a caller's question."""


class Questions:
    """Numbers questions, matches answers, and polls every member's status once a second, or every
    `poll_at_rest` nanoseconds while no caller asks anything. `first`: number of the first question, higher
    than all used before."""

    def __init__(self, members: int, first: int = 1, *, poll_at_rest: int = STATUS_EVERY) -> None:
        self.statuses = [MemberStatus() for _ in range(members)]
        """By member, newest answers."""
        self.settled = tuple(self.statuses)
        """Statuses after the newest poll that all members answered or whose time is over: only these compare.
        During a poll, members that have not answered yet would seem to lag."""
        self.polled = 0
        """Sum of `answered` and `missed` of all members."""
        self._awaited: set[int] = set()
        """Members whose answer to the newest poll is due."""
        self._open: dict[int, _Question] = {}
        self.following = first
        """Number of the next question."""
        self._poll_at = 0
        self._polled_at = -STATUS_EVERY
        self._poll_at_rest = poll_at_rest
        self._used_at = -REST_AFTER

    def ask(
        self,
        member: int,
        what: str,
        arguments: tuple[str, ...],
        now: int,
        wait: int,
        *,
        polls: bool = False,
    ) -> tuple[int, bytes]:
        """Open a question to a member for `wait` nanoseconds; return its number and frame. `polls`: it
        belongs to a poll, and is not reported to any caller."""
        if not polls:
            self.used(now)
        number = self.following
        self.following += 1
        deadline = 0 if len(self._open) >= QUESTIONS_MAX else now + wait
        self._open[number] = _Question(member, deadline, now if polls else None)
        return number, link_frame(m.Query(number=number, what=what, arguments=arguments))

    def on_answer(self, member: int, body: bytes, now: int, wall: int = 0) -> Answered | None:
        """Handle the body of an Answer; None for a status poll or without an open question to the member.
        `wall`: Unix nanoseconds; 0: unknown."""
        try:
            answer = canonical.decode(m.Answer, body)
        except canonical.CanonicalError:
            return None
        question = self._open.get(answer.number)
        if question is None or question.member != member:
            return None
        del self._open[answer.number]
        if question.polled_at is None:
            return Answered(answer.number, answer.code, answer.text)
        round_trip = now - question.polled_at
        self._awaited.discard(member)
        taken = self._take(member, answer, now, wall, round_trip)
        self._settle()
        self._count(member, round_trip if taken else None)
        return None

    def lost(self, members: frozenset[int]) -> list[Answered]:
        """End the questions to members that are no longer connected."""
        if not members:
            return []
        return self._end([n for n, question in self._open.items() if question.member in members], "down")

    def found(self, members: Iterable[int]) -> None:
        """Poll at once: members that have connected again may have restarted."""
        if any(member < len(self.statuses) for member in members):
            self._poll_at = 0

    def overdue(self, now: int) -> list[Answered]:
        """End the questions whose deadline has passed."""
        return self._end([n for n, question in self._open.items() if question.deadline <= now], "timeout")

    def used(self, now: int) -> None:
        """Note that a caller asks or submits something: the members are polled once a second again, now if
        the newest poll is older."""
        self._used_at = now
        self._poll_at = min(self._poll_at, self._polled_at + STATUS_EVERY)

    def poll(self, members: frozenset[int], now: int, *, urgent: bool = False) -> list[tuple[int, bytes]]:
        """Status questions to `members`, if the next poll is due; else []."""
        if now < (self._polled_at + STATUS_URGENT if urgent else self._poll_at):
            return []
        rests = now - self._used_at >= REST_AFTER
        self._polled_at, self._poll_at = now, now + (self._poll_at_rest if rests else STATUS_EVERY)
        self._awaited.clear()
        self._settle()
        self._awaited.update(members)
        if not urgent:
            for member in set(range(len(self.statuses))) - members:
                self._count(member, None)
        return [
            (member, self.ask(member, "status", (), now, STATUS_EVERY, polls=True)[1])
            for member in sorted(members)
        ]

    def deadline(self) -> int:
        """Monotonic nanoseconds at which `overdue` or `poll` has something to do."""
        return min([self._poll_at, *(question.deadline for question in self._open.values())])

    def _end(self, numbers: list[int], code: str) -> list[Answered]:
        ended = [(number, self._open.pop(number)) for number in numbers]
        for _number, question in ended:
            if question.polled_at is not None:
                self._count(question.member, None)
            if question.polled_at == self._polled_at:
                self._awaited.discard(question.member)
                self._settle()
        return [Answered(number, code, "") for number, question in ended if question.polled_at is None]

    def _count(self, member: int, round_trip: int | None) -> None:
        """Count a status question that was answered after `round_trip` nanoseconds, or missed (None). Just
        after a new epoch has begun, one may be to a member that is gone."""
        if member >= len(self.statuses):
            return
        status = self.statuses[member]
        self.polled += 1
        if round_trip is None:
            status.missed += 1
        else:
            status.answered, status.round_trip = status.answered + 1, round_trip

    def _settle(self) -> None:
        if not self._awaited:
            self.settled = tuple(msgspec.structs.replace(status) for status in self.statuses)

    def _take(self, member: int, answer: m.Answer, now: int, wall: int, round_trip: int) -> bool:
        if answer.code or len(answer.text) > STATUS_LENGTH_MAX:
            return False
        try:
            fields = msgspec.json.decode(answer.text, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        status = self.statuses[member]
        status.heard_at = now
        status.report = read_report("", fields, clock_ahead=_ahead(fields.get("clock"), wall, round_trip))
        return True


def _ahead(clock: object, wall: int, round_trip: int) -> float | None:
    """Seconds by which a member's clock (Unix microseconds) is ahead of this one, which showed `wall` half a
    round trip later; None: unknown."""
    if not wall or type(clock) is not int or not 0 <= clock < 1 << 63:
        return None
    return clock / 1e6 - (wall - round_trip // 2) / 1e9
