"""Followers over relays: they hold the log, know their age, and believe nobody (R28, R45)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Parameters
from simulator.campaign import Cut, Play, Task, run
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.follower_worlds import FOLLOWERS
from simulator.mutants import MUTANTS
from simulator.names import RELAY_LIES
from simulator.network import kind_of_frame
from simulator.world import Settings
from simulator.worlds import world_of
from tests.consensus.world import Callers

pytestmark = pytest.mark.exhaustive

HERE = [name for name, mutant in MUTANTS.items() if "R45" in mutant.rule]


OLD = ("old-head-signer", "old-heads-of-two")


@pytest.mark.parametrize("world", [*FOLLOWERS, *OLD])
def test_r45_followers_catch_up_whatever_a_relay_does(world: str) -> None:
    assert run(Task(1, world)).violation is None


def test_every_lie_of_a_relay_has_a_world() -> None:
    played = {world_of(name, 0).settings.relay_lies for name in (*FOLLOWERS, *OLD)}
    assert played == {"", *RELAY_LIES}


@pytest.mark.parametrize("name", HERE)
def test_r45_planted_bugs_are_caught(name: str) -> None:
    mutant = MUTANTS[name]
    assert run(Task(mutant.seed, mutant.world, name)).violation


def test_r45_a_late_follower_takes_a_state_from_relays_and_members() -> None:
    drawn = world_of("followers-over-relays", 0)
    cluster = Cluster(0, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    late = cluster.world.nodes["follower-0"]
    assert late.disk.base is not None
    assert late.disk.base.entry.sequence > 100, "not the state of the beginning"
    assert None in late.disk.log


@pytest.mark.parametrize("brings", [True, False])
def test_r45_an_archive_takes_a_state_only_if_nobody_brings_the_log(brings: bool) -> None:
    """It is far behind all the time; exports and proofs read its log."""
    parameters = Parameters(checkpoint_interval=5)
    cluster = Cluster(3, Settings(learners=1, gateways=1, transfer_lag=10, parameters=parameters))
    archive = cluster.world.nodes["learner-0"]
    cluster.start()
    cluster.world.run_for(200 * MILLISECOND)
    Callers(cluster.gateways[0], 1, pause=400 * MILLISECOND)
    archive.receive_filter = lambda inbound: kind_of_frame(inbound.frame) is not m.Entries
    cluster.world.run_for(50 * SECOND)
    assert (len(archive.disk.log), archive.disk.base) == (0, None)
    if brings:
        archive.receive_filter = None
    cluster.world.run_for(30 * SECOND)
    assert len(archive.disk.log) > 80
    assert (archive.disk.base is None) == brings
