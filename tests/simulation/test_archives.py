"""Whoever took a state has the whole log in the end, whatever a member sends (R23, P17)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Parameters
from simulator.adversary.bad_archive_server import ARCHIVE_LIES, BadArchiveServer
from simulator.campaign import Cut, Play, Task, run
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.mutants import MUTANTS
from simulator.network import PERFECT
from simulator.world import Settings
from simulator.worlds import world_of
from tests.consensus.world import Callers

pytestmark = pytest.mark.exhaustive

WORLDS = ("bad-archive-server", "archives-among-crashes", "archives-of-newcomers")
HERE = [
    name
    for name, mutant in MUTANTS.items()
    if mutant.world in (*WORLDS, "poisoned-archives", "misshapen-archives")
]


@pytest.mark.parametrize("world", WORLDS)
def test_r23_the_log_below_a_state_is_filled_among_faults(world: str) -> None:
    drawn = world_of(world, 0)
    cluster = Cluster(0, drawn.settings)
    Play(cluster, drawn, Cut()).run()
    members = cluster.world.honest_members()
    assert any(node.disk.base is not None for node in members), "nobody took a state"
    assert not any(None in node.disk.log for node in members)


@pytest.mark.parametrize("lie", ARCHIVE_LIES)
def test_p17_no_lie_of_a_member_keeps_the_log_below_a_state_from_being_filled(lie: str) -> None:
    """r0 is asked first."""
    parameters = Parameters(checkpoint_interval=5)
    settings = Settings(
        quality=PERFECT, transfer_lag=10, archives=True, learners=0, gateways=1, parameters=parameters
    )
    cluster = Cluster(5, settings)
    world, liar, wiped = cluster.world, cluster.world.nodes["r0"], cluster.world.nodes["r3"]
    liar.honest = False
    server = BadArchiveServer(cluster, liar, world.dice.fork("liar"), lie)
    liar.send_hook = server
    cluster.start()
    world.run_for(200 * MILLISECOND)
    callers = Callers(cluster.gateways[0], 1, pause=20 * MILLISECOND)
    world.run_for(SECOND)
    wiped.crash()
    wiped.lose_disk()
    world.run_for(SECOND)
    no_log = world.network.when(kind=m.Entries, receiver="r3").drop()
    world.start(wiped)
    assert world.run_for(20 * SECOND, done=lambda: None in wiped.disk.log), "it takes a state"
    world.network.forget(no_log)
    callers.busy = False
    assert world.run_for(30 * SECOND, done=lambda: cluster.settled() and None not in wiped.disk.log)
    assert server.told
    cluster.finish()


@pytest.mark.parametrize("name", HERE)
def test_r23_planted_bugs_are_caught(name: str) -> None:
    mutant = MUTANTS[name]
    assert run(Task(mutant.seed, mutant.world, name)).violation
