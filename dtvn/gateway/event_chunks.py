"""One chunk of a run on its way to certificates: its events, its inquiry, and the rules here. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.events.judging import (
    Abstention,
    Ask,
    DecisionRule,
    Electorate,
    Event,
    Inquiry,
    MemberVote,
    Piece,
    Question,
    RunPoint,
    assemble,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Violation
from dtvn.gateway.events_face import STATE_DIFFERS, Given, JudgedPiece, MemberAnswer

SECOND = 1_000_000_000


class Panel(msgspec.Struct, frozen=True):
    """The members of an epoch, and the indexes of those that are connected."""

    electorate: Electorate
    connected: frozenset[int]

    def order(self, placed: Sequence[str]) -> list[int]:
        """Indexes of the members in the order in which they are asked: connected ones first, and of these the
        members of the run's placement (`placed`: member ids, the preferred one first)."""
        members = self.electorate.members
        first = {name: place for place, name in enumerate(placed)}

        def rank(index: int) -> tuple[bool, int, int]:
            return index not in self.connected, first.get(members[index].id, len(first)), index

        return sorted(range(len(members)), key=rank)


class Track:
    """The rules of one run in this process, advanced to the point that certificates prove."""

    def __init__(self, point: RunPoint, rules: RuledRun) -> None:
        self.point = point
        self.rules = rules
        self.differs = False
        """Whether the certified state differs from the one computed here: then the run cannot go on."""

    def state(self, digest: bytes) -> bytes:
        """Canonical bytes of the rule state if it has this digest; b"" if it is another one."""
        return self.rules.state if not self.differs and self.rules.state_digest() == digest else b""

    def follow(self, piece: Piece, events: Sequence[Event]) -> list[Violation]:
        """Advance by the events of a certified piece. Returns the violations that the rules find here."""
        found: list[Violation] = []
        position = self.point.position
        for index, event in enumerate(events):
            found += self.rules.judge(event.text, position + index)
        certified = piece.decision.certified
        if certified is not None:
            self.point = self.point.after(piece.question, certified.after)
            self.differs = self.rules.state_digest() != certified.after
        return found

    def look_ahead(self, events: Sequence[Event]) -> list[Violation]:
        """The violations in further events; the track does not advance."""
        ahead = self.rules.copy()
        position = self.point.position
        return [each for i, event in enumerate(events) for each in ahead.judge(event.text, position + i)]


class Settled(msgspec.Struct, frozen=True, gc=False):
    """A decided piece and its events."""

    piece: JudgedPiece
    events: tuple[Event, ...]
    violations: list[Violation]
    digests: tuple[bytes, ...]
    encoded: bytes
    """Canonical bytes of the certified vote; b"" without one."""
    state: bytes
    """Canonical bytes of the rule state after it; b"" without a certificate, or where the track differs."""


class Chunk:
    """The judging of one chunk of a run; it goes on in the next epoch if one ends."""

    def __init__(
        self, track: Track, events: Sequence[Event], digests: Sequence[bytes], placed: Sequence[str]
    ) -> None:
        self.track = track
        self.events = events
        self._digests = digests
        self._placed = placed
        self.retired = False
        """Whether the chunk is decided; its questions are forgotten at the run's next decision."""
        self._base = 0
        """Index of the event with which the present inquiry begins."""
        self._inquiry: Inquiry | None = None
        self._taken = 0
        """Number of pieces of the present inquiry that `settled` has returned."""
        self._reasons: dict[tuple[Question, int], Abstention] = {}

    def begin(self, panel: Panel, rule: DecisionRule, now: int, *, wait: int, patience: int) -> None:
        """Begin an inquiry about the events without a certificate; called again in each epoch. Times are
        nanoseconds, `now` monotonic; see Inquiry."""
        if self._inquiry is not None:
            self._base += self._inquiry.settled
        self._electorate, self._rule = panel.electorate, rule
        self._taken = 0
        self._inquiry = Inquiry(
            self.track.point,
            self._digests[self._base :],
            rule,
            panel.order(self._placed),
            now=now / SECOND,
            timeout=wait / SECOND,
            patience=patience / SECOND,
        )

    @property
    def inquiry(self) -> Inquiry:
        """The present inquiry; `begin` must have been called."""
        assert self._inquiry is not None, "begin was called"  # noqa: S101
        return self._inquiry

    def asks(self) -> list[tuple[Ask, Sequence[Event]]]:
        """Questions to send now, each with its events."""
        return [
            (ask, self.events[self._base + ask.first : self._base + ask.first + ask.question.count])
            for ask in self.inquiry.outbox()
        ]

    def receive(self, vote: MemberVote) -> None:
        """See Inquiry."""
        self.inquiry.receive(vote)

    def abstained(self, member: int, question: Question, reason: Abstention) -> None:
        """See Inquiry."""
        self._reasons[question, member] = reason
        self.inquiry.abstained(member, question)

    def tick(self, now: int) -> None:
        """See Inquiry."""
        self.inquiry.tick(now / SECOND)

    def deadline(self) -> int | None:
        """See Inquiry; monotonic nanoseconds."""
        due = self.inquiry.deadline()
        return None if due is None else int(due * SECOND) + 1

    def settled(self) -> list[Settled]:
        """The pieces decided since the last call, in order; each certified one advances the track."""
        pieces = self.inquiry.pieces[self._taken :]
        self._taken += len(pieces)
        return [self._settle(piece) for piece in pieces]

    def _settle(self, piece: Piece) -> Settled:
        first = self._base + piece.first
        events = tuple(self.events[first : first + piece.question.count])
        decision = piece.decision
        certificate, encoded, violations = b"", b"", []
        if decision.certified is not None:
            needed = self._rule.needed_equal(decision.certified.valid)
            certificate = assemble(piece.votes, needed, self._electorate)
            encoded = piece.votes[0].encoded
            violations = self.track.follow(piece, events)
        else:
            violations = self.track.look_ahead(events)
        differs = self.track.differs
        return Settled(
            JudgedPiece(
                position=piece.question.position,
                count=piece.question.count,
                verdict=decision.verdict,
                code=STATE_DIFFERS if differs else decision.code,
                text="The members' state of the rules is another one than the one here."
                if differs
                else decision.text,
                errors=decision.errors,
                certificate=certificate,
                epoch=self._electorate.epoch,
                members=self._said(piece),
                quorum=self._electorate.quorum,
                believable=self._rule.believable,
                partial=decision.partial,
            ),
            events,
            violations,
            tuple(self._digests[first : first + len(events)]),
            encoded,
            b"" if differs or not encoded else self.track.rules.state,
        )

    def _said(self, piece: Piece) -> tuple[MemberAnswer, ...]:
        votes = {vote.member: vote.vote for vote in piece.given}
        position = piece.question.position
        said = []
        for index, member in enumerate(self._electorate.members):
            vote, reason = votes.get(index), self._reasons.get((piece.question, index))
            errors: tuple[tuple[int, str], ...] = ()
            if vote is not None:
                given = Given.VALID if vote.valid else Given.INVALID
                errors = tuple((position + place, code) for place, code in vote.errors)
            elif index in piece.contradicted:
                given = Given.CONTRADICTED
            elif reason is not None:
                given = Given.ABSTAINED
            elif index not in piece.asked:
                given = Given.NOT_ASKED
            else:
                given = Given.SILENT if piece.decision.partial else Given.NOT_WAITED_FOR
            said.append(MemberAnswer(member.id, given, errors, reason or ""))
        return tuple(said)
