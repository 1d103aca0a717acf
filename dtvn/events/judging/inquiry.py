"""One chunk of a run, from the question to certificates: whom to ask, what is decided, what is asked again.

    inquiry.outbox() -> [Ask]          questions to send now
    inquiry.receive(vote) -> Ignored | None
    inquiry.abstained(member, question)   no vote will come: the member said so
    inquiry.tick(now)                  the deadline has passed
    inquiry.deadline() -> float | None

A chunk on which enough members agree is one piece. Where votes differ, it is asked again in two parts: the
events before the first one that is judged differently, then the rest. So a certificate covers only events
that were voted on together, and a dispute narrows down to one event. Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.judging.decision_rules import DecisionRule
from dtvn.events.judging.tally import Decision, Ignored, Tally
from dtvn.events.judging.turns import MemberVote
from dtvn.events.judging.votes import CHUNK_EVENTS_MAX, Question, chunk_digest, first_difference


class RunPoint(msgspec.Struct, frozen=True, gc=False):
    """Where a run stands: everything that its next question names besides the events."""

    thread: str
    run: str
    position: int
    """Number of events so far, refused ones included."""
    state: bytes
    """Digest of the rule state."""
    rules: bytes

    def question(self, events: Sequence[bytes]) -> Question:
        """The question about the next events, given by their digests."""
        return Question(
            self.thread, self.run, self.position, len(events), self.state, chunk_digest(events), self.rules
        )

    def after(self, question: Question, state: bytes) -> RunPoint:
        """Where the run stands after the events of `question`; `state`: digest of the rule state there."""
        return msgspec.structs.replace(self, position=question.position + question.count, state=state)


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A question for one member. Its events are those of the chunk from `first` on."""

    member: int
    question: Question
    first: int


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Consecutive events of the chunk that were decided together."""

    first: int
    """Index of its first event in the chunk."""
    question: Question
    decision: Decision
    votes: tuple[MemberVote, ...]
    """The votes equal to `decision.certified`, from which `assemble` makes the certificate; empty without
    one."""
    given: tuple[MemberVote, ...] = ()
    """All votes that counted, whatever their verdict."""
    asked: frozenset[int] = frozenset()
    contradicted: frozenset[int] = frozenset()
    """Members that gave two different votes."""


class Inquiry:
    """The judging of one chunk under one rule."""

    def __init__(
        self,
        start: RunPoint,
        events: Sequence[bytes],
        rule: DecisionRule,
        candidates: Sequence[int],
        *,
        now: float,
        timeout: float,
        patience: float,
    ) -> None:
        """`events`: digests of the chunk's events. `candidates`: members in the order in which they are
        asked. After `patience` all of them are asked, after `timeout` the votes at hand decide (both from
        `now` on). Raises ValueError for an empty or too long chunk."""
        if not 0 < len(events) <= CHUNK_EVENTS_MAX:
            raise ValueError(f"events: {len(events)}, not 1 to {CHUNK_EVENTS_MAX}")
        self.point = start
        """Where the run stands after the settled pieces that have a certificate."""
        self.pieces: list[Piece] = []
        self._events = events
        self._rule = rule
        self._candidates = tuple(dict.fromkeys(candidates))
        self._patient_until = now + patience
        self._closes_at = now + timeout
        self._impatient = False
        self._outbox: list[Ask] = []
        self._ends = [len(events)]
        self._first = 0
        self._tallies: list[Tally] = []
        """Tallies of all questions so far; at most two for each event."""
        self._tally: Tally | None = None
        """Tally of the question under way; None once the inquiry is done."""
        self._begin()

    @property
    def done(self) -> bool:
        """Whether no further piece will be settled. `pieces` may then cover only a part of the chunk: after a
        piece without a certificate the rule state is unknown, so the rest cannot be asked."""
        return self._tally is None

    @property
    def settled(self) -> int:
        """Number of events in `pieces`."""
        return sum(piece.question.count for piece in self.pieces)

    @property
    def contradictions(self) -> list[tuple[MemberVote, MemberVote]]:
        """The two different votes on one question, for each member that contradicted itself."""
        return [pair for tally in self._tallies for pair in tally.contradictions.values()]

    def votes(self, question: Question) -> list[MemberVote]:
        """The votes on a question that counted."""
        return [
            vote for tally in self._tallies if tally.question == question for vote in tally.votes.values()
        ]

    def outbox(self) -> list[Ask]:
        """The questions to send now, each handed out once."""
        asks, self._outbox = self._outbox, []
        return asks

    def deadline(self) -> float | None:
        """Monotonic seconds at which `tick` is due; None once the inquiry is done."""
        if self._tally is None:
            return None
        return self._closes_at if self._impatient else min(self._patient_until, self._closes_at)

    def tick(self, now: float) -> None:
        """Asks all candidates when the patience with the first ones is over; at the time-out decides with
        the votes at hand."""
        if self._tally is None:
            return
        if now >= self._closes_at:
            self._tally.close()
        elif now >= self._patient_until and not self._impatient:
            self._impatient = True
        else:
            return
        self._go_on(self._tally, final=now >= self._closes_at)

    def receive(self, vote: MemberVote, warnings: Sequence[str] = ()) -> Ignored | None:
        """Counts a vote whose signature was checked; returns the reason if it does not count."""
        question = vote.vote.question
        tally = next((each for each in self._tallies if each.question == question), None)
        if tally is None:
            return Ignored.OTHER_QUESTION
        ignored = tally.add(vote, warnings)
        if tally is self._tally:
            self._go_on(tally)
        return ignored

    def abstained(self, member: int, question: Question) -> None:
        """No vote of this member on this question will come; another candidate is asked instead."""
        if self._tally is not None and question == self._tally.question:
            self._tally.abstain(member)
            self._go_on(self._tally)

    def _begin(self) -> None:
        events = self._events[self._first : self._ends[-1]]
        self._tally = Tally(self.point.question(events), self._rule)
        self._tallies.append(self._tally)
        self._ask(self._tally, len(self._candidates) if self._impatient else self._rule.asked_first)

    def _ask(self, tally: Tally, count: int) -> None:
        members = [member for member in self._candidates if member not in tally.asked][:count]
        tally.ask(members)
        self._outbox += [Ask(member, tally.question, self._first) for member in members]

    def _go_on(self, tally: Tally, *, final: bool = False) -> None:
        """Asks more members if votes are missing; once the question is decided, settles or splits its events
        and asks the next question. `final`: time is up, so no further question is asked."""
        if tally.decision is None:
            more = len(self._candidates) if self._impatient else tally.equal_votes_short()
            if more:
                self._ask(tally, more)
            if not tally.waiting and tally.asked.issuperset(self._candidates):
                tally.close()
        if tally.decision is None:
            return
        self._outbox = [ask for ask in self._outbox if ask.question != tally.question]
        if tally.decision.certified is not None:
            self._settle(tally, tally.decision)
            self.point = self.point.after(tally.question, tally.decision.certified.after)
            self._first = self._ends.pop()
            over = not self._ends or final
        else:
            over = final or not self._split(tally)
            if over:
                self._settle(tally, tally.decision)
        self._tally = None
        if not over:
            self._begin()

    def _settle(self, tally: Tally, decision: Decision) -> None:
        votes = tuple(
            vote for vote in tally.votes.values() if decision.certified and vote.vote == decision.certified
        )
        piece = Piece(
            self._first,
            tally.question,
            decision,
            votes,
            tuple(tally.votes.values()),
            frozenset(tally.asked),
            frozenset(tally.contradictions),
        )
        self.pieces.append(piece)

    def _split(self, tally: Tally) -> bool:
        """Plans to ask the events before the first disputed one apart from the rest, or the disputed one
        alone if it comes first. Returns False if the votes do not differ or there is only one event."""
        groups = tally.groups()
        if len(groups) < 2 or tally.question.count < 2:
            return False
        place = first_difference([group[0].vote for group in groups])
        self._ends.append(self._first + max(place, 1))
        return True
