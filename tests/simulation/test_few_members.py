"""Clusters of one to three members grow and shrink, and each follower has a name of its own (R36, R37)."""

from __future__ import annotations

import pytest

from simulator.campaign import Cut, Play, Task, run
from simulator.clock import MILLISECOND
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.faults import FaultInjector, FaultPlan
from simulator.world import Settings
from simulator.worlds import world_of

pytestmark = pytest.mark.ci


def test_r37_a_cluster_grows_from_one_to_four_and_shrinks_among_faults() -> None:
    drawn = world_of("few-members", 12)
    cluster = Cluster(12, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    sizes = [len(epoch.members) for _number, epoch in sorted(cluster.world.epochs.items())]
    assert sizes[0] == 1
    grown = sizes.index(4)
    assert {1, 2, 3} <= set(sizes[:grown])
    assert {1, 2, 3} <= set(sizes[grown:])


def test_r11_of_three_an_older_disk_waits_beside_a_lost_one() -> None:
    """Else the other two replace acknowledged entries, of which both know nothing any more."""
    assert run(Task(0, "older-and-lost-disk")).violation is None
    assert run(Task(0, "older-and-lost-disk", "word-of-a-lost-ledger-counts")).checker == "agreement"


def test_r36_each_follower_has_a_name_and_a_key_of_its_own() -> None:
    cluster = Cluster(0, Settings(learners=2, spares=4))
    world = cluster.world
    names = [world.peer(node.name, world.present).name for node in world.learners()]
    assert sorted(names) == ["learner", "learner-1", "n0", "n1", "n2", "n3"]
    keys = {each.name: each.public_key for each in world.genesis.principals}
    assert len({keys[name] for name in names}) == len(names)


def test_r37_a_cluster_of_one_member_tolerates_no_lost_disk() -> None:
    """Asking how many the members without one more bear ended a campaign: none would be left."""
    cluster = Cluster(7, Settings(members=1, spares=1))
    fault_injector = FaultInjector(
        cluster.world, cluster.gateways, Dice("lost"), FaultPlan(disk_lost=1), spare=1
    )
    cluster.start()
    cluster.world.run_for(MILLISECOND)
    for _ in range(20):
        fault_injector._disk_lost()
    assert fault_injector.lost == 0
