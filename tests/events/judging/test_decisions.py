"""Decision rules over votes: acceptance cases A1 to A10, A14, A30, A36 of the contract, and their limits."""

from __future__ import annotations

import pytest

from dtvn.events.config import Algorithm, ConfigError, ConsensusConfig, from_profile
from dtvn.events.judging import AlgorithmNotOffered, Decision, Ignored, Verdict, Vote, decision_rule
from dtvn.events.judging.decision_rules import Count
from dtvn.protocol.quorum import Mode
from tests.events.judging.support import electorate, given, honest, lie, rule, tally
from tests.support.table import table

VALID = honest()
INVALID = lie(VALID, (0, "FIRST_EVENT"))
OTHER = lie(VALID, (0, "MESSAGE_NOT_OPEN"))


def decided(algorithm: str, votes: list[Vote], members: int = 4, **settings: int | bool) -> Decision:
    """The decision with these votes of n0, n1, ... when the time is over."""
    counted = tally(algorithm, members, **settings)
    for member, vote in enumerate(votes):
        counted.add(given(member, vote, electorate(members)))
    return counted.close()


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [([VALID, INVALID, VALID], "valid"), ([INVALID, INVALID, VALID], "invalid")],
)
def test_majority_of_three_decides_a1(votes: list[Vote], verdict: str) -> None:
    found = decided("majority", votes, members=3, quorum_size=2)
    assert (found.verdict, found.code) == (verdict, "")
    assert found.certified == (VALID if verdict == "valid" else INVALID)


def test_majority_tie_is_invalid_a2() -> None:
    found = decided("majority", [VALID, INVALID], members=3, quorum_size=2)
    assert (found.verdict, found.certified, found.partial) == ("invalid", None, True)


def test_majority_of_one_vote_has_no_quorum_a3() -> None:
    found = decided("majority", [VALID], members=3, quorum_size=2)
    assert (found.verdict, found.code) == ("none", "NO_QUORUM")
    assert "1 of 2" in found.text


def test_unanimous_needs_all_valid_votes_a4() -> None:
    assert decided("unanimous", [VALID] * 3, members=3, min_nodes=3).verdict == "valid"
    assert decided("unanimous", [VALID, INVALID, VALID], members=3, min_nodes=3).verdict == "invalid"
    two = decided("unanimous", [VALID] * 2, members=3, min_nodes=3)
    assert (two.verdict, two.code) == ("none", "INSUFFICIENT_NODES")
    assert "2 of 3" in two.text


@table("algorithm", ["majority", "unanimous", "pbft"], count=3)
def test_no_votes_are_no_decisions_a5(algorithm: str) -> None:
    found = decided(algorithm, [])
    assert (found.verdict, found.code, found.silent) == ("none", "NO_DECISIONS", (0, 1, 2, 3))


def test_pbft_decides_by_equal_votes_a6() -> None:
    assert decided("pbft", [VALID, VALID, INVALID, VALID]).verdict == "valid"
    split = decided("pbft", [VALID, INVALID, VALID, INVALID])
    assert (split.verdict, split.code) == ("none", "PBFT_NO_CONSENSUS")
    refused = decided("pbft", [INVALID, VALID, INVALID, INVALID])
    assert (refused.verdict, refused.errors) == ("invalid", ("FIRST_EVENT",))
    apart = decided("pbft", [INVALID, OTHER, INVALID, OTHER])
    assert apart.code == "PBFT_NO_CONSENSUS"


def test_pbft_counts_a_member_once_a7() -> None:
    counted = tally("pbft")
    assert counted.add(given(0, VALID)) is None
    assert counted.add(given(0, VALID)) is Ignored.DUPLICATE
    assert counted.add(given(1, VALID)) is None
    assert counted.close().code == "PBFT_NO_CONSENSUS"


def test_required_nodes_follow_the_settings_a8() -> None:
    def required(**settings: object) -> int:
        return ConsensusConfig(**settings).get_required_nodes()  # type: ignore[arg-type]

    assert required(algorithm="unanimous", min_nodes=3) == 3
    assert required(algorithm="pbft", min_nodes=4, byzantine_fault_tolerance=1) == 4
    assert required(algorithm="pbft", min_nodes=7, byzantine_fault_tolerance=2) == 7
    assert required(algorithm="majority", quorum_size=2) == 2


def test_majority_keeps_warnings_or_errors_once_a9() -> None:
    counted = tally("majority", 3)
    counted.add(given(0, VALID, electorate(3)), ["EMPTY_DELTA", "EMPTY_ID"])
    counted.add(given(1, VALID, electorate(3)), ["EMPTY_DELTA"])
    assert counted.decision is not None
    assert (counted.decision.warnings, counted.decision.errors) == (("EMPTY_DELTA", "EMPTY_ID"), ())
    refused = decided("majority", [INVALID, OTHER, VALID], members=3)
    assert (refused.verdict, refused.errors) == ("invalid", ("FIRST_EVENT", "MESSAGE_NOT_OPEN"))
    assert refused.warnings == ()


def test_unanimous_errors_are_sorted_and_unique_a10() -> None:
    both = lie(honest("a", "b"), (0, "MESSAGE_NOT_OPEN"), (1, "FIRST_EVENT"))
    counted = tally("unanimous", 3, about=both)
    for member, vote in enumerate([both, both, lie(both, (0, "MESSAGE_NOT_OPEN"))]):
        counted.add(given(member, vote, electorate(3)))
    assert counted.close().errors == ("MESSAGE_NOT_OPEN", "FIRST_EVENT"), "by their first event"


def test_what_fewer_than_f_plus_1_members_name_is_no_reason() -> None:
    """A liar names a rule of its own, or a true one for an earlier event."""
    honest_refusal = lie(honest("a", "b"), (1, "FIRST_EVENT"))
    invented = lie(honest_refusal, (0, "FIRST_EVENT"), (1, "A_LIE"))

    def refused(algorithm: str, *votes: Vote) -> Decision:
        counted = tally(algorithm, 4, about=honest_refusal)
        for member, vote in enumerate(votes):
            counted.add(given(member, vote))
        return counted.close()

    alone = refused("unanimous", invented)
    assert (alone.verdict, alone.errors) == ("invalid", ())
    assert alone.text.startswith("1 of 4 members refuses this, and fewer than 2 name the same rule")
    beside = refused("majority", invented, honest_refusal, honest_refusal)
    assert (beside.certified, beside.errors) == (None, ("FIRST_EVENT",))
    assert beside.text == "3 of 4 members refuse this; too few votes are equal for a certificate."
    certified = refused("majority", honest_refusal, honest_refusal, honest_refusal)
    assert (certified.errors, certified.text) == (("FIRST_EVENT",), "")


def test_a_quorum_of_one_is_raised_to_what_is_safe_a14() -> None:
    two = decided("majority", [VALID, VALID], members=4, quorum_size=1)
    assert (two.verdict, two.code) == ("none", "NO_QUORUM")
    assert decided("majority", [VALID] * 3, members=4, quorum_size=1).verdict == "valid"


@table("members, needed", [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (7, 5), (10, 7)], count=7)
def test_needed_votes_leave_an_honest_member_in_two_sets(members: int, needed: int) -> None:
    assert rule("majority", members).needed == rule("pbft", members).needed == needed
    assert 2 * needed - members > (members - 1) // 3
    assert rule("majority", members, quorum_size=members).needed == members
    assert rule("unanimous", members).needed == members


def test_late_and_double_answers_change_nothing_a30() -> None:
    counted = tally("pbft")
    for member in range(3):
        counted.add(given(member, VALID))
    decision = counted.decision
    assert decision is not None
    assert decision.certified == VALID
    assert counted.add(given(3, INVALID)) is Ignored.LATE
    assert counted.add(given(2, VALID)) is Ignored.LATE
    assert (counted.decision, counted.close()) == (decision, decision)


def test_answers_to_others_or_other_questions_do_not_count() -> None:
    counted = tally("majority")
    counted.asked = {0, 1, 2}
    assert counted.add(given(3, VALID)) is Ignored.NOT_ASKED
    assert counted.add(given(0, honest("another"))) is Ignored.OTHER_QUESTION
    assert counted.close().code == "NO_DECISIONS"


def test_unanimous_majority_is_ended_by_one_invalid_vote_a36() -> None:
    counted = tally("majority", 3, require_unanimous=True)
    counted.add(given(0, VALID, electorate(3)))
    assert counted.verdict is None
    counted.add(given(1, INVALID, electorate(3)))
    assert counted.verdict == "invalid"


def test_one_to_one_is_not_decided_before_the_third_a27_a28() -> None:
    counted = tally("majority", 3)
    counted.add(given(0, VALID, electorate(3)))
    counted.add(given(1, INVALID, electorate(3)))
    assert counted.verdict is None
    counted.add(given(2, INVALID, electorate(3)))
    assert counted.decision is not None
    assert (counted.decision.verdict, counted.decision.partial) == ("invalid", False)


def test_a_verdict_waits_for_its_certificate_only_within_reach() -> None:
    """Two codes for one event: the verdict is known, and the fourth vote still completes a certificate."""
    counted = tally("majority")
    for member, vote in enumerate([INVALID, OTHER, INVALID]):
        counted.add(given(member, vote))
    assert (counted.verdict, counted.decision) == ("invalid", None)
    counted.add(given(3, INVALID))
    assert counted.decision is not None
    assert (counted.decision.certified, counted.decision.errors) == (INVALID, ("FIRST_EVENT",))
    failed = tally("majority")
    for member, vote in enumerate([INVALID, OTHER, INVALID]):
        failed.add(given(member, vote))
    failed.abstain(3)
    assert failed.decision is not None
    assert failed.decision.certified is None


def test_members_that_fail_are_not_waited_for() -> None:
    counted = tally("pbft")
    for member in (0, 1):
        counted.abstain(member)
    assert counted.decision is not None
    assert counted.decision.code == "NO_DECISIONS"


def test_a_member_that_contradicts_itself_has_no_vote() -> None:
    counted = tally("pbft")
    counted.add(given(0, VALID))
    counted.add(given(1, VALID))
    assert counted.add(given(0, INVALID)) is Ignored.CONTRADICTION
    assert counted.add(given(0, VALID)) is Ignored.CONTRADICTION
    counted.add(given(2, VALID))
    assert counted.decision is None
    counted.add(given(3, VALID))
    assert counted.decision is not None
    assert (counted.decision.voters, counted.decision.certified) == ((1, 2, 3), VALID)
    assert [vote.member for vote in counted.contradictions[0]] == [0, 0]


@pytest.mark.parametrize("order", [(VALID, INVALID), (INVALID, VALID)])
def test_no_verdict_rests_on_a_vote_that_does_not_count(order: tuple[Vote, Vote]) -> None:
    counted = tally("unanimous")
    for vote in order:
        counted.add(given(0, vote))
    for member in (1, 2, 3):
        counted.add(given(member, VALID))
    assert counted.decision is not None
    assert (counted.decision.verdict, counted.decision.code) == (Verdict.NONE, "INSUFFICIENT_NODES")


def test_two_late_votes_of_a_member_contradict_each_other() -> None:
    counted = tally("pbft")
    for member in range(3):
        counted.add(given(member, VALID))
    decision = counted.decision
    assert counted.add(given(3, VALID)) is Ignored.LATE
    assert counted.add(given(3, INVALID)) is Ignored.CONTRADICTION
    assert list(counted.contradictions) == [3]
    assert counted.decision is decision


@pytest.mark.parametrize(
    ("mode", "asked", "said"),
    [
        (
            Mode.PBFT,
            Algorithm.RAFT,
            "raft is not offered here (this cluster was founded with pbft; another one is founded with "
            "`make up CONSENSUS=raft` or `manage.py genesis init --consensus raft`); "
            "offered: majority, unanimous, pbft",
        ),
        (
            Mode.RAFT,
            Algorithm.PBFT,
            "pbft is not offered here (this cluster was founded with raft, crash-only: a lying member is not "
            "tolerated; one that tolerates liars is founded with `make up CONSENSUS=pbft` or "
            "`manage.py genesis init --consensus pbft`); offered: majority, unanimous, raft",
        ),
    ],
)
def test_the_other_modes_algorithm_is_refused_with_what_to_do(
    mode: Mode, asked: Algorithm, said: str
) -> None:
    config = ConsensusConfig(algorithm=asked, min_nodes=4)
    for algorithm in (None, asked):
        with pytest.raises(AlgorithmNotOffered) as told:
            decision_rule(config, 7, mode, algorithm)
        assert str(told.value) == f"algorithm: {said}"
        assert told.value.code == "algorithm_not_offered"


@pytest.mark.parametrize(("members", "needed"), [(5, 3), (6, 4), (10, 6), (11, 6)])
def test_profile_large_decides_by_a_majority_of_a_raft_cluster(members: int, needed: int) -> None:
    config = from_profile("large", "n0").consensus_config
    rule = decision_rule(config, members, Mode.RAFT)
    assert (rule.algorithm, rule.needed, rule.asked_first) == ("raft", needed, needed)
    with pytest.raises(ConfigError, match="min_nodes: 5 is more than the 4 members"):
        decision_rule(config, 4, Mode.RAFT)


def test_without_a_majority_of_equal_votes_raft_says_no_quorum() -> None:
    rule = decision_rule(ConsensusConfig(algorithm=Algorithm.RAFT), 3, Mode.RAFT)
    count = Count(valid=1, invalid=1, largest_valid=1, largest_invalid=1, missing=0)
    assert rule.verdict(count) is Verdict.NONE
    assert rule.failure(count) == ("NO_QUORUM", "Only 1 of 2 votes are equal.")
    assert rule.believable == 1, "no member of such a cluster lies"


@pytest.mark.parametrize("algorithm", [Algorithm.PBFT, Algorithm.RAFT])
def test_equal_votes_that_are_too_few_are_not_called_different(algorithm: Algorithm) -> None:
    mode = Mode(algorithm.value)
    rule = decision_rule(ConsensusConfig(algorithm=algorithm, min_nodes=4), 4, mode)
    code = "NO_QUORUM" if mode is Mode.RAFT else "PBFT_NO_CONSENSUS"
    silent = Count(valid=2, invalid=0, largest_valid=2, largest_invalid=0, missing=0)
    assert rule.failure(silent) == (code, "Only 2 of 3 members have voted.")
    differing = Count(valid=2, invalid=0, largest_valid=1, largest_invalid=0, missing=0)
    assert rule.failure(differing) == (code, "Only 1 of 3 votes are equal.")


def test_a_cluster_of_the_other_mode_names_what_it_offers_whatever_the_profile_needs() -> None:
    config = from_profile("large", "n0").consensus_config
    with pytest.raises(AlgorithmNotOffered, match=r"founded with pbft.*offered: majority, unanimous, pbft$"):
        decision_rule(config, 4, Mode.PBFT)


def test_a_request_may_name_an_offered_algorithm() -> None:
    config = ConsensusConfig(min_nodes=3, quorum_size=2)
    assert decision_rule(config, 4, Mode.PBFT, Algorithm.PBFT).algorithm is Algorithm.PBFT
    with pytest.raises(AlgorithmNotOffered, match="pbft is not offered"):
        decision_rule(config, 3, Mode.PBFT, Algorithm.PBFT)


@pytest.mark.parametrize(
    ("settings", "members", "said"),
    [
        ({"min_nodes": 3}, 2, "min_nodes: 3 is more than the 2 members"),
        ({"quorum_size": 4}, 3, "quorum_size: 4 is more than the 3 members"),
    ],
)
def test_a_cluster_too_small_for_its_settings_is_refused(settings: dict, members: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decision_rule(ConsensusConfig(**settings), members, Mode.PBFT)


def test_a_member_that_gives_no_vote_gives_none_later_and_one_that_voted_has_voted() -> None:
    counted = tally("pbft")
    counted.abstain(3)
    assert counted.add(given(3, VALID)) is Ignored.DUPLICATE
    for member in (0, 1):
        assert counted.add(given(member, VALID)) is None
        counted.abstain(member)
    assert (counted.decision, counted.waiting) == (None, {2}), "the third vote may still come"
    assert counted.add(given(2, VALID)) is None
    assert counted.decision is not None
    assert (counted.decision.verdict, counted.decision.voters) == ("valid", (0, 1, 2))


def test_what_comes_after_a_decision_changes_nothing_in_it() -> None:
    counted = tally("pbft")
    for member in range(3):
        counted.add(given(member, VALID))
    before = counted.decision
    assert before is not None
    assert (before.partial, before.silent) == (False, (3,)), "nobody stopped waiting"
    counted.abstain(3)
    assert counted.add(given(2, INVALID)) is Ignored.CONTRADICTION
    assert counted.decision is before
    assert counted.close() is before
    assert sorted(counted.votes) == [0, 1, 2]


def test_a_decision_is_partial_if_somebody_was_waited_for_in_vain() -> None:
    assert decided("pbft", [VALID, VALID, INVALID, INVALID]).partial is False
    assert decided("pbft", [VALID, VALID]).partial is True


def test_warnings_belong_to_a_valid_verdict() -> None:
    counted = tally("majority", 3)
    for member in range(3):
        counted.add(given(member, INVALID, electorate(3)), ["EMPTY_ID"])
    found = counted.close()
    assert (found.verdict, found.warnings, found.errors) == ("invalid", (), ("FIRST_EVENT",))


@pytest.mark.parametrize(
    ("algorithm", "needed"),
    [("majority", 3), ("raft", 3), ("unanimous", 5)],
)
def test_r44_in_a_raft_cluster_a_verdict_needs_the_quorum_of_the_log(algorithm: str, needed: int) -> None:
    """Five members: three instead of the four that PBFT needs, since none may lie."""
    found = rule(algorithm, 5, Mode.RAFT)
    assert (found.needed, found.quorum, found.needed_equal(valid=False)) == (needed, 3, 3)
    assert rule("majority", 5).quorum == 4
