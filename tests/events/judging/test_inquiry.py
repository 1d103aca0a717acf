"""One chunk from question to certificates: whom to ask, time-outs, disputes, and what liars cannot do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dtvn.events.judging import (
    Ask,
    Event,
    Ignored,
    Inquiry,
    MemberVote,
    Vote,
    assemble,
    cast_vote,
    check_certificate,
    decode_certificate,
)
from tests.events.judging.support import (
    START,
    SimpleRun,
    digests,
    electorate,
    events,
    given,
    honest,
    lie,
    rule,
)

Lies = Callable[[Vote], Vote]


class Asked:
    """A gateway with one chunk, and members that answer by the rules unless told to lie or be silent."""

    def __init__(self, *texts: str, algorithm: str = "pbft", members: int = 4, timeout: float = 5.0) -> None:
        self.chunk = events(*texts)
        self.members = members
        self.states: dict[bytes, SimpleRun] = {}
        self.liars: dict[int, Lies] = {}
        self.silent: set[int] = set()
        self.asks: list[Ask] = []
        self.inquiry = Inquiry(
            START,
            digests(self.chunk),
            rule(algorithm, members),
            range(members),
            now=0.0,
            timeout=timeout,
            patience=1.0,
        )

    def vote(self, ask: Ask) -> MemberVote:
        part: Sequence[Event] = self.chunk[ask.first : ask.first + ask.question.count]
        run = SimpleRun()
        for event in self.chunk[: ask.first]:
            run.feed(event.text)
        vote = cast_vote(ask.question, part, run)
        told = self.liars.get(ask.member, lambda vote: vote)(vote)
        return given(ask.member, told, electorate(self.members))

    def run(self) -> Asked:
        """Answers all questions, round after round."""
        while asks := self.inquiry.outbox():
            self.asks += asks
            for ask in asks:
                if ask.member not in self.silent:
                    self.inquiry.receive(self.vote(ask))
        return self

    def found(self) -> list[tuple[int, int, str, bool]]:
        """(first event, events, verdict, certified) of each piece."""
        return [
            (piece.first, piece.question.count, piece.decision.verdict, piece.decision.certified is not None)
            for piece in self.inquiry.pieces
        ]


def says_event_is_bad(index: int) -> Lies:
    """Calls this event of the run bad, whatever the question about it."""

    def told(vote: Vote) -> Vote:
        place = index - vote.question.position
        return lie(vote, (place, "LIE")) if 0 <= place < vote.question.count else vote

    return told


def test_a_chunk_on_which_all_agree_is_one_piece() -> None:
    asked = Asked("a", "!FIRST_EVENT", "b").run()
    assert asked.found() == [(0, 3, "invalid", True)]
    assert asked.inquiry.done
    assert (asked.inquiry.point.position, asked.inquiry.point.state) == (3, honest("a", "b").after)
    (piece,) = asked.inquiry.pieces
    proof = decode_certificate(assemble(piece.votes, asked.inquiry._rule.needed, electorate()))
    assert check_certificate(proof, electorate()).vote == honest("a", "!FIRST_EVENT", "b")


def test_f_liars_neither_split_a_chunk_nor_turn_its_verdict() -> None:
    asked = Asked("a", "b", "c")
    asked.liars[0] = says_event_is_bad(1)
    assert asked.run().found() == [(0, 3, "valid", True)]


def test_majority_asks_another_member_only_where_one_differs_or_fails() -> None:
    asked = Asked("a", algorithm="majority", members=7)
    assert [ask.member for ask in asked.inquiry._outbox] == [0, 1, 2, 3, 4]
    asked.liars[1] = says_event_is_bad(0)
    asked.silent = {2}
    asked.run()
    assert [ask.member for ask in asked.asks] == [0, 1, 2, 3, 4, 5]
    assert asked.found() == []
    asked.inquiry.abstained(2, asked.asks[0].question)
    asked.run()
    assert [ask.member for ask in asked.asks][5:] == [5, 6]
    assert asked.found() == [(0, 1, "valid", True)]


def test_a_disputed_chunk_is_asked_as_prefix_then_as_rest() -> None:
    """Two of four differ on event 2: the two before it get their certificate, then the dispute is alone."""
    asked = Asked("a", "b", "c", "d")
    asked.liars = dict.fromkeys((1, 2), says_event_is_bad(2))
    asked.run()
    counts = [(ask.first, ask.question.count) for ask in asked.asks if ask.member == 0]
    assert counts == [(0, 4), (0, 2), (2, 2), (2, 1)]
    assert asked.found() == [(0, 2, "valid", True), (2, 1, "none", False)]
    assert asked.inquiry.pieces[1].decision.code == "PBFT_NO_CONSENSUS"
    assert (asked.inquiry.point.position, asked.inquiry.point.state) == (2, honest("a", "b").after)
    assert (asked.inquiry.done, asked.inquiry.settled) == (True, 3)


def test_a_dispute_that_ends_lets_the_rest_be_judged() -> None:
    """Who differed on the whole chunk agrees when the event is asked alone, as after an upgrade of rules."""
    asked = Asked("a", "b", "c")
    once = {1, 2}

    def at_first(member: int) -> Lies:
        def told(vote: Vote) -> Vote:
            if member in once:
                once.remove(member)
                return lie(vote, (1, "LIE"))
            return vote

        return told

    asked.liars = {member: at_first(member) for member in (1, 2)}
    assert asked.run().found() == [(0, 1, "valid", True), (1, 2, "valid", True)]
    assert asked.inquiry.point.position == 3


def test_votes_that_differ_only_in_the_state_are_asked_one_by_one() -> None:
    asked = Asked("a", "b")
    asked.liars = {member: lambda vote: lie(vote, after=b"\x01" * 32) for member in (0, 3)}
    asked.run()
    assert asked.found() == [(0, 1, "none", False)]


def test_unanimous_veto_ends_at_the_vetoed_event() -> None:
    asked = Asked("a", "b", "c", algorithm="unanimous")
    asked.liars[3] = says_event_is_bad(1)
    asked.run()
    assert asked.found() == [(0, 1, "valid", True), (1, 1, "invalid", False)]
    decision = asked.inquiry.pieces[1].decision
    assert (decision.errors, decision.text[:28]) == ((), "1 of 4 members refuses this,")


def test_after_the_patience_all_candidates_are_asked_a28() -> None:
    asked = Asked("a", algorithm="majority", members=3)
    asked.silent = {1}
    asked.run()
    assert asked.inquiry.deadline() == 1.0
    asked.inquiry.tick(0.9)
    assert asked.inquiry.outbox() == []
    asked.inquiry.tick(1.0)
    assert asked.inquiry.deadline() == 5.0
    assert asked.run().found() == [(0, 1, "valid", True)]
    assert asked.inquiry.deadline() is None


def test_a_dispute_of_two_waits_for_the_timeout_a28() -> None:
    asked = Asked("a", algorithm="majority", members=3)
    asked.silent, asked.liars = {2}, {1: says_event_is_bad(0)}
    asked.run().inquiry.tick(4.9)
    assert asked.run().found() == []
    asked.inquiry.tick(5.0)
    assert asked.found() == [(0, 1, "invalid", False)]
    decision = asked.inquiry.pieces[0].decision
    assert (decision.partial, decision.silent) == (True, (2,))


def test_silent_members_end_in_a_timeout_by_name_a29() -> None:
    asked = Asked("a", "b", algorithm="majority", members=3)
    asked.silent = {1, 2}
    asked.run().inquiry.tick(5.0)
    decision = asked.inquiry.pieces[0].decision
    assert (decision.code, decision.partial) == ("NO_QUORUM", True)
    assert (decision.voters, decision.silent) == ((0,), (1,))
    assert (asked.inquiry.done, asked.inquiry.point) == (True, START)


def test_late_answers_change_nothing_and_may_convict_a30() -> None:
    asked = Asked("a").run()
    pieces = list(asked.inquiry.pieces)
    again = asked.asks[0]
    assert asked.inquiry.receive(asked.vote(again)) is Ignored.LATE
    asked.liars[0] = says_event_is_bad(0)
    assert asked.inquiry.receive(asked.vote(again)) is Ignored.CONTRADICTION
    assert asked.inquiry.receive(given(1, honest("other"))) is Ignored.OTHER_QUESTION
    assert asked.inquiry.pieces == pieces
    assert [(one.member, other.member) for one, other in asked.inquiry.contradictions] == [(0, 0)]


def test_an_inquiry_ends_once_every_candidate_abstained() -> None:
    asked = Asked("a")
    asks = asked.inquiry.outbox()
    for ask in asks:
        asked.inquiry.abstained(ask.member, ask.question)
    assert asked.inquiry.pieces[0].decision.code == "NO_DECISIONS"


def test_a_late_abstention_from_an_earlier_question_is_none_from_the_next() -> None:
    """As from a member that restarted, and was asked again for a chunk that is disputed by now."""
    asked = Asked("a", "b", "c", "d")
    asked.liars = dict.fromkeys((1, 2), says_event_is_bad(2))
    whole = asked.inquiry.outbox()
    for ask in whole:
        asked.inquiry.receive(asked.vote(ask))
    asks = asked.inquiry.outbox()
    assert {ask.question.count for ask in asks} == {2}
    for ask in whole:
        asked.inquiry.abstained(ask.member, ask.question)
    for ask in asks:
        asked.inquiry.receive(asked.vote(ask))
    assert asked.found()[0] == (0, 2, "valid", True)


@pytest.mark.parametrize("count", [0, 257])
def test_a_chunk_has_a_bounded_number_of_events(count: int) -> None:
    with pytest.raises(ValueError, match=f"events: {count}, not 1 to 256"):
        Inquiry(START, [bytes(32)] * count, rule("pbft"), range(4), now=0, timeout=1, patience=1)
