"""The contract's golden cases decided by the votes of four judges that run the real rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from dtvn.events.judging import (
    Abstains,
    Abstention,
    Ask,
    DecisionRule,
    Event,
    Inquiry,
    Piece,
    RunPoint,
    Verdict,
    Vote,
    assemble,
    cast_vote,
    check_certificate,
    decode_certificate,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import SUGGESTIONS, Limits, Stream
from dtvn.events.rules.state import RunState
from tests.events.judging.support import SALT, digests, electorate, given, lie, rule
from tests.support.table import table

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "rules" / "golden_cases.json").read_bytes()
)
LIMITS = Limits()


class Conversation:
    """A run that a gateway has judged in chunks. Judges keep nothing: each gets state and events anew."""

    def __init__(self, told: list[dict[str, Any]], algorithm: str = "pbft", members: int = 4) -> None:
        self.algorithm, self.members = algorithm, members
        fresh = RuledRun(LIMITS)
        self.events = [Event(SALT, json.dumps(event).encode()) for event in told]
        self.states = {fresh.state_digest(): fresh.state}
        self.point = RunPoint("t", "r", 0, fresh.state_digest(), fresh.rules_digest())
        self.pieces: list[Piece] = []
        self.liars: dict[int, dict[int, str]] = {}
        """Member -> index of an event in the run -> the rule that it pretends the event breaks."""

    @property
    def rule(self) -> DecisionRule:
        return rule(self.algorithm, self.members)

    def judge(self, size: int) -> Conversation:
        """All events, `size` at a time."""
        while self.point.position < len(self.events):
            begun = self.point.position
            chunk = self.events[begun : begun + size]
            inquiry = Inquiry(
                self.point, digests(chunk), self.rule, range(self.members), now=0.0, timeout=5.0, patience=1.0
            )
            while asks := inquiry.outbox():
                for ask in asks:
                    inquiry.receive(given(ask.member, self.vote(ask, chunk), electorate(self.members)))
            self.pieces += inquiry.pieces
            self.point = inquiry.point
            if self.point.position < begun + len(chunk):
                break
        return self

    def vote(self, ask: Ask, chunk: list[Event]) -> Vote:
        part = chunk[ask.first : ask.first + ask.question.count]
        run = RuledRun(LIMITS, self.states[ask.question.before])
        vote = cast_vote(ask.question, part, run)
        self.states[vote.after] = run.state
        asked = range(ask.question.position, ask.question.position + ask.question.count)
        lies = {
            index - asked.start: code
            for index, code in self.liars.get(ask.member, {}).items()
            if index in asked
        }
        return lie(vote, *sorted((dict(vote.errors) | lies).items())) if lies else vote

    def refused(self) -> list[tuple[int, str]]:
        """(index in the run, rule id) of what the checked certificates refuse."""
        found = []
        for piece in self.pieces:
            voters = electorate(self.members)
            needed = self.rule.needed_equal(piece.votes[0].vote.valid)
            vote = check_certificate(decode_certificate(assemble(piece.votes, needed, voters)), voters).vote
            found += [(vote.question.position + place, code) for place, code in vote.errors]
        return found


def locally(told: list[dict[str, Any]]) -> tuple[list[tuple[int, str]], bytes]:
    """(index, rule id) of each refused event, and the digest of the state, as one machine finds them."""
    stream = Stream(LIMITS)
    codes = [stream.feed(json.dumps(event).encode()).code for event in told]
    return [(index, code) for index, code in enumerate(codes) if code], stream.state.digest()


def locally_voted(text: bytes) -> Vote:
    """The vote on one event at the start of a run."""
    chunk, run = [Event(SALT, text)], RuledRun(LIMITS)
    start = RunPoint("t", "r", 0, run.state_digest(), run.rules_digest())
    return cast_vote(start.question(digests(chunk)), chunk, run)


@table("size", [1, 3, 256], count=3)
@table("case", CASES, ids=lambda case: case["id"], count=87)
def test_a_golden_case_by_votes_is_as_on_one_machine_a77(case: dict[str, Any], size: int) -> None:
    judged = Conversation(case["events"])
    judged.liars = {3: {0: "LIE", 2: "LIE"}}
    judged.judge(size)
    assert (judged.refused(), judged.point.state) == locally(case["events"])
    assert judged.point.position == len(case["events"])


@table("algorithm", ["majority", "unanimous"], count=2)
@table("case", CASES, ids=lambda case: case["id"], count=87)
def test_a_golden_case_by_three_members_is_as_on_one_machine_a77(
    case: dict[str, Any], algorithm: str
) -> None:
    judged = Conversation(case["events"], algorithm, 3).judge(256)
    assert (judged.refused(), judged.point.state) == locally(case["events"])
    verdicts = [piece.decision.verdict for piece in judged.pieces]
    assert verdicts == [Verdict.INVALID if judged.refused() else Verdict.VALID] * bool(case["events"])


@settings(max_examples=60, deadline=None)
@drawn(
    case=st.sampled_from([case for case in CASES if len(case["events"]) > 2]),
    size=st.integers(1, 6),
    false=st.dictionaries(st.integers(0, 11), st.sampled_from(["LIE", "OTHER_LIE"]), min_size=1),
)
def test_where_two_of_four_lie_what_is_certified_is_true(
    case: dict[str, Any], size: int, false: dict[int, str]
) -> None:
    """The events before the first lie keep their certificates; the one that it is about gets none."""
    judged = Conversation(case["events"])
    judged.liars = {1: false, 2: false}
    judged.judge(size)
    truth, _state = locally(case["events"])
    until = min(*false, len(case["events"]))
    certified = [piece for piece in judged.pieces if piece.decision.certified is not None]
    assert sum(piece.question.count for piece in certified) == judged.point.position == until
    errors = [
        (piece.question.position + place, code)
        for piece in certified
        for place, code in piece.votes[0].vote.errors
    ]
    assert errors == [(index, code) for index, code in truth if index < until]


def test_a_judge_without_the_state_takes_it_by_its_digest() -> None:
    told = next(case["events"] for case in CASES if len(case["events"]) > 3)
    first = RuledRun(LIMITS)
    assert first.feed(json.dumps(told[0]).encode()) == ""
    rest = [Event(SALT, json.dumps(event).encode()) for event in told[1:]]
    question = RunPoint("t", "r", 1, first.state_digest(), first.rules_digest()).question(digests(rest))
    with pytest.raises(Abstains) as refused:
        cast_vote(question, rest, RuledRun(LIMITS))
    assert refused.value.reason is Abstention.STATE_UNKNOWN
    assert cast_vote(question, rest, RuledRun(LIMITS, first.state)) == cast_vote(question, rest, first)


def test_judges_with_unlike_rules_abstain_from_each_others_questions() -> None:
    other = Limits(owners=4096)
    assert RuledRun(LIMITS).rules_digest() != RuledRun(LIMITS, drop_unknown=True).rules_digest()
    chunk = [Event(SALT, b"{}")]
    start = RuledRun(other)
    question = RunPoint("t", "r", 0, start.state_digest(), start.rules_digest()).question(digests(chunk))
    with pytest.raises(Abstains) as refused:
        cast_vote(question, chunk, RuledRun(LIMITS))
    assert refused.value.reason is Abstention.OTHER_RULES


def test_every_rule_id_fits_a_vote_and_the_fresh_state_is_one() -> None:
    vote = locally_voted(b"{}")
    assert vote.errors == ((0, "FIELD_MISSING"),)
    for code in SUGGESTIONS:
        given(0, lie(vote, (0, code)))
    assert vote.after == vote.question.before == RunState(LIMITS).digest()
