"""Worlds with queues of locks: handed on in order, in time, also by a primary that never ticks."""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play, Task, run
from simulator.checkers.lock_order import LockOrder
from simulator.checkers.never_two_holders import NeverTwoHolders
from simulator.cluster import Cluster
from simulator.worlds import world_of

pytestmark = pytest.mark.ci


@pytest.mark.parametrize("world", ["lock-queues", "tickless-primary"])
def test_locks_are_handed_on_and_all_leases_end(world: str) -> None:
    plan = world_of(world, 1)
    play = Play(Cluster(1, plan.settings), plan, cut=Cut())
    play.run()
    (order,) = [each for each in play.cluster.checkers if isinstance(each, LockOrder)]
    (holders,) = [each for each in play.cluster.checkers if isinstance(each, NeverTwoHolders)]
    assert order.handed_on >= 10
    assert order.refused >= 20
    assert holders.claims >= 10
    views = len(play.cluster.history.entered)
    assert views == (1 if world == "tickless-primary" else 0), "only a primary that never ticks is deposed"


@pytest.mark.parametrize(
    ("mutant", "world", "checker"),
    [
        ("waiter-skipped", "lock-queues", "lock-order"),
        ("tick-never-ordered", "lock-queues", "liveness"),
        ("missing-tick-unnoticed", "tickless-primary", "liveness"),
    ],
)
def test_planted_bugs_of_queues_and_ticks_are_caught(mutant: str, world: str, checker: str) -> None:
    assert run(Task(0, world, mutant)).checker == checker
