"""Worlds with runs of agent events: what is judged and recorded in them, and what liars leave behind."""

from __future__ import annotations

from itertools import product
from typing import TypeVar

import pytest

from dtvn.events.judging import Verdict
from simulator.adversary.voter import Voter
from simulator.campaign import Cut, Play, Task, run
from simulator.checkers import Checker
from simulator.checkers.decision_rules import DecisionRules
from simulator.checkers.honest_quorum import HonestQuorum
from simulator.checkers.one_history import OneHistory
from simulator.checkers.one_holder import OneHolder
from simulator.checkers.vote_evidence import VoteEvidence
from simulator.cluster import Cluster
from simulator.event_worlds import BY_VOTES
from simulator.worlds import world_of

pytestmark = pytest.mark.exhaustive

Kind = TypeVar("Kind", bound=Checker)


def played(world: str, seed: int) -> Play:
    plan = world_of(world, seed)
    play = Play(Cluster(seed, plan.settings), plan, cut=Cut())
    play.run()
    return play


def checker(play: Play, kind: type[Kind]) -> Kind:
    (found,) = [each for each in play.cluster.checkers if isinstance(each, kind)]
    return found


@pytest.mark.parametrize(
    "world", ["recorded-runs", "equivocating-voter", "false-voter", "late-voter", "runs-over-epochs"]
)
def test_members_judge_runs_and_the_log_refuses_forgeries(world: str) -> None:
    play = played(world, 3)
    votes, history = checker(play, HonestQuorum), checker(play, OneHistory)
    assert votes.certificates >= 20
    assert 0 < votes.invalid < votes.certificates
    assert history.recorded >= 5
    assert history.refused["not_next"] >= 5
    assert history.refused["not_permitted"] >= 1
    if world == "runs-over-epochs":
        assert len(play.cluster.world.epochs) > 1
        assert history.refused["wrong_epoch"] >= 1


def test_locks_are_held_by_one_beside_runs() -> None:
    locks = checker(played("recorded-runs", 1), OneHolder)
    assert locks.leases >= 20
    assert locks.refused >= 10


def test_unlike_rules_abstain_and_chunks_are_certified_in_parts() -> None:
    play = played("unlike-rules", 1)
    judge = play.cluster.world.nodes["r0"].host.judge  # type: ignore[union-attr]
    assert judge is not None
    assert (judge.votes, judge.abstentions > 20) == (0, True)  # type: ignore[attr-defined]
    assert isinstance(play.cluster.world.nodes["r3"].send_hook, Voter)
    assert checker(play, HonestQuorum).parts >= 1


def test_a_member_that_votes_in_two_ways_is_convicted_by_each_gateway() -> None:
    play = played("equivocating-voter", 0)
    assert checker(play, VoteEvidence).in_two_ways > 5
    assert play.event_runs is not None
    for client in play.event_runs.clients:
        assert [each.member for each in client.runs.questions.evidence] == ["r3"]


def test_runs_are_judged_by_any_algorithm_beside_a_liar() -> None:
    found = {
        (algorithm, verdict)
        for seed in range(4)
        for algorithm, verdict, certified in checker(played("any-algorithm", seed), DecisionRules).verdicts
        if certified
    }
    assert found == set(product(BY_VOTES, (Verdict.VALID, Verdict.INVALID)))


@pytest.mark.parametrize(
    ("mutant", "seed", "world", "name"),
    [
        ("unanimous-certificate-of-a-quorum", 0, "any-algorithm", "decision-rules"),
        ("unanimous-over-an-objection", 0, "any-algorithm", "decision-rules"),
        ("majority-of-the-first-vote", 0, "any-algorithm", "decision-rules"),
        ("part-certified-whole", 0, "unlike-rules", "honest-quorum"),
        ("voter-counted-twice", 0, "false-voter", "honest-quorum"),
        ("second-history-recorded", 0, "false-voter", "one-history"),
        ("second-vote-forgotten", 0, "equivocating-voter", "vote-evidence"),
        ("verdict-of-a-vote-taken-back", 0, "votes-taken-back", "decision-rules"),
        ("record-of-another-writer", 2, "false-voter", "one-history"),
        ("refused-record-called-recorded", 4, "runs-over-epochs", "run-answers"),
        ("votes-awaited-for-ever", 0, "recorded-runs", "run-answers"),
    ],
)
def test_planted_bugs_of_judging_and_recording_are_caught(
    mutant: str, seed: int, world: str, name: str
) -> None:
    assert run(Task(seed, world, mutant)).checker == name
