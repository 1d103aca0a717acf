"""Worlds with runs of agent events: what is recorded in them, and what liars and rivals leave behind."""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play
from simulator.checkers.one_history import OneHistory
from simulator.checkers.one_holder import OneHolder
from simulator.cluster import Cluster
from simulator.worlds import world_of


def played(world: str, seed: int) -> tuple[Play, OneHistory]:
    plan = world_of(world, seed)
    play = Play(Cluster(seed, plan.settings), plan, cut=Cut())
    play.run()
    (checker,) = [each for each in play.cluster.checkers if isinstance(each, OneHistory)]
    return play, checker


@pytest.mark.parametrize("world", ["recorded-runs", "two-votes"])
def test_runs_are_recorded_and_rivals_refused(world: str) -> None:
    play, checker = played(world, 1)
    assert play.event_runs is not None
    assert checker.recorded >= 10
    assert checker.refused >= 10
    (locks,) = [each for each in play.cluster.checkers if isinstance(each, OneHolder)]
    assert locks.leases >= 20
    assert locks.refused >= 10
    assert not play.event_runs.in_two_ways or world == "two-votes"


def test_a_liar_in_two_ways_is_convicted_and_changes_no_verdict() -> None:
    play, _checker = played("two-votes", 0)
    runs = play.event_runs
    assert runs is not None
    assert {member for _number, member, _question in runs.in_two_ways} == {3}
    pieces = [piece for inquiry in runs.inquiries for piece in inquiry.pieces]
    certified = [piece.decision.certified for piece in pieces if piece.decision.certified is not None]
    assert len(certified) > 30
    assert all(runs.judged[vote.question] == vote for vote in certified)
