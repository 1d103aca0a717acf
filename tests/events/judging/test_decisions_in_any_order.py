"""Whatever is lost, doubled or late, and whatever f liars say: one decision or none, one certificate."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st

from dtvn.events.judging import (
    MemberVote,
    Tally,
    Vote,
    assemble,
    check_certificate,
    decode_certificate,
)
from dtvn.events.judging.decision_rules import Count, DecisionRule
from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from tests.events.judging.support import electorate, given, honest, lie, rule
from tests.support.table import table

TRUTHS = (honest(), honest("!FIRST_EVENT"))
SIZES = [1, 2, 3, 4, 5, 6, 7]
ALGORITHMS = ["majority", "unanimous", "pbft"]


def votes_on(truth: Vote) -> list[Vote]:
    """The true vote and lies about the same question."""
    return [truth, lie(truth), lie(truth, (0, "A")), lie(truth, (0, "B")), lie(truth, after=b"\x01" * 32)]


SIGNED = {
    (members, number, kind, member): given(member, vote, electorate(members))
    for members in SIZES
    for number, truth in enumerate(TRUTHS)
    for kind, vote in enumerate(votes_on(truth))
    for member in range(members)
}


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, int, list[MemberVote]]:
    """(members, number of the truth, votes as they arrive): liars say anything, several times."""
    members = draw(st.sampled_from(SIZES))
    number = draw(st.integers(0, 1))
    liars = draw(st.sets(st.integers(0, members - 1), max_size=quorum.faults(members, Mode.PBFT)))
    arriving: list[MemberVote] = []
    for member in range(members):
        honestly = [0] * draw(st.integers(0, 2))
        kinds = draw(st.lists(st.integers(0, 4), max_size=3)) if member in liars else honestly
        arriving += [SIGNED[members, number, kind, member] for kind in kinds]
    return members, number, draw(st.permutations(arriving))


def counted(rule_of: DecisionRule, votes: list[MemberVote], truth: Vote) -> Tally:
    tally = Tally(truth.question, rule_of)
    tally.ask(range(rule_of.members))
    for vote in votes:
        tally.add(vote)
    return tally


@settings(max_examples=400, deadline=None)
@generated(deliveries(), st.sampled_from(ALGORITHMS), st.randoms(use_true_random=False))
def test_order_loss_and_liars_never_give_two_decisions(
    case: tuple[int, int, list[MemberVote]], algorithm: str, random: object
) -> None:
    members, number, votes = case
    truth = TRUTHS[number]
    wanted = {"valid" if truth.valid else "invalid", "none"}
    if algorithm == "unanimous":
        wanted.add("invalid")  # one liar may veto
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for arriving in (votes, votes[::-1], shuffled, votes + votes):
        tally = counted(rule(algorithm, members), arriving, truth)
        decision = tally.close()
        assert decision.verdict in wanted
        assert decision.certified in (None, truth)
        if decision.certified is not None:
            assert decision.verdict == ("valid" if truth.valid else "invalid")
            assert decision.errors == tuple(code for _place, code in truth.errors)


@table("members", SIZES, count=7)
@table("algorithm", ALGORITHMS, count=3)
def test_all_honest_votes_decide_and_certify(algorithm: str, members: int) -> None:
    """With f liars that are silent, the honest ones suffice, but for unanimous."""
    liars = quorum.faults(members, Mode.PBFT) if algorithm != "unanimous" else 0
    for number, truth in enumerate(TRUTHS):
        votes = [SIGNED[members, number, 0, member] for member in range(liars, members)]
        tally = counted(rule(algorithm, members), votes, truth)
        assert tally.decision is not None
        assert tally.decision.certified == truth


@settings(max_examples=200, deadline=None)
@generated(st.sampled_from(SIZES), st.integers(0, 1), st.data())
def test_no_two_certificates_for_one_question(members: int, number: int, data: st.DataObject) -> None:
    """A gateway that lies too takes whatever votes there are, two of each liar, and assembles what it can."""
    truth = TRUTHS[number]
    liars = data.draw(st.sets(st.integers(0, members - 1), max_size=quorum.faults(members, Mode.PBFT)))
    proved: set[Vote] = set()
    for kind, vote in enumerate(votes_on(truth)):
        signers = [member for member in range(members) if kind == 0 or member in liars]
        votes = [SIGNED[members, number, kind, member] for member in signers]
        for needed in range(1, len(votes) + 1):
            certificate = decode_certificate(assemble(votes, needed, electorate(members)))
            if needed < electorate(members).quorum:
                with pytest.raises(ValueError, match="signatures; at least"):
                    check_certificate(certificate, electorate(members))
            else:
                proved.add(check_certificate(certificate, electorate(members)).vote)
        assert vote in proved or kind or not votes
    assert len(proved) <= 1


def completions(count: Count) -> list[Count]:
    """All that can become of the missing votes, if each is one of two valid or two invalid kinds, or lost."""
    found = []
    for valid, invalid in product(range(count.missing + 1), repeat=2):
        if valid + invalid <= count.missing:
            for same_valid, same_invalid in product((0, valid), (0, invalid)):
                found.append(
                    Count(
                        valid=count.valid + valid,
                        invalid=count.invalid + invalid,
                        largest_valid=max(count.largest_valid + same_valid, min(valid, 1)),
                        largest_invalid=max(count.largest_invalid + same_invalid, min(invalid, 1)),
                        missing=0,
                    )
                )
    return found


@table("members", [3, 4, 5, 7], count=4)
@table("algorithm", ALGORITHMS, count=3)
def test_a_verdict_comes_exactly_when_no_missing_vote_can_change_it(algorithm: str, members: int) -> None:
    """Against all completions, one by one."""
    decides = rule(algorithm, members)
    early = 0
    for valid, invalid in product(range(members + 1), repeat=2):
        for largest_valid, largest_invalid in product(range(valid + 1), range(invalid + 1)):
            if valid + invalid > members or bool(valid) > largest_valid or bool(invalid) > largest_invalid:
                continue
            missing = members - valid - invalid
            count = Count(valid, invalid, largest_valid, largest_invalid, missing)
            verdict = decides.verdict(count)
            ends = {decides.verdict(each) for each in completions(count)}
            assert None not in ends
            assert (verdict is not None) == (len(ends) == 1), count
            assert verdict is None or ends == {verdict}
            early += verdict is not None and missing > 0
    assert early
