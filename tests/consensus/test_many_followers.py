"""More followers than a node has places for: none of them starves (R23, R28)."""

from __future__ import annotations

from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.world import Settings
from tests.consensus.world import Callers
from validators.log_server import CONNECTIONS_MAX


def ends(cluster: Cluster) -> list[int]:
    return [len(node.disk.log) for node in cluster.world.learners()]


def followed(members: int, learners: int) -> Cluster:
    cluster = Cluster(7, Settings(members=members, learners=learners, one_platform=True, gateways=1))
    cluster.start()
    cluster.world.run_for(200 * MILLISECOND)
    Callers(cluster.gateways[0], 1, pause=200 * MILLISECOND)
    return cluster


def test_r28_who_finds_no_place_goes_to_another_member() -> None:
    """All begin at the first one; nothing has to be overtaken for that."""
    cluster = followed(2, 2 * CONNECTIONS_MAX)
    cluster.world.run_for(500 * MILLISECOND)
    sources = [node.core.source for node in cluster.world.learners()]
    assert sorted(sources) == [0] * CONNECTIONS_MAX + [1] * CONNECTIONS_MAX
    assert min(ends(cluster)) >= max(ends(cluster)) - 1


def test_r23_places_of_a_lone_node_go_round() -> None:
    """Nobody else could be asked: the fifth and sixth got nothing at all."""
    cluster = followed(1, CONNECTIONS_MAX + 2)
    cluster.world.run_for(5 * SECOND)
    assert sum(end == 0 for end in ends(cluster)) == 2
    cluster.world.run_for(10 * SECOND)
    assert min(ends(cluster)) > 20
