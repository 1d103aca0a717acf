"""More subscribers to a log than a node has places for: none of them starves (R23, R28)."""

from __future__ import annotations

import pytest

from dtvn.protocol.host.log_server import CONNECTIONS_MAX
from dtvn.protocol.host.places import PLACE_TIME
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.world import Settings
from tests.consensus.world import Callers

pytestmark = pytest.mark.exhaustive


def ends(cluster: Cluster) -> list[int]:
    return [len(node.disk.log) for node in cluster.world.learners()]


def followed(members: int, learners: int, *, pause: int = 200 * MILLISECOND) -> Cluster:
    cluster = Cluster(7, Settings(members=members, learners=learners, one_platform=True, gateways=1))
    cluster.start()
    cluster.world.run_for(200 * MILLISECOND)
    Callers(cluster.gateways[0], 1, pause=pause)
    return cluster


def test_r28_a_follower_without_a_place_goes_to_another_member() -> None:
    """All begin at the first one; they need not lag behind to change the source."""
    cluster = followed(2, 2 * CONNECTIONS_MAX)
    cluster.world.run_for(500 * MILLISECOND)
    sources = [node.core.source for node in cluster.world.learners()]
    assert sorted(sources) == [0] * CONNECTIONS_MAX + [1] * CONNECTIONS_MAX
    assert min(ends(cluster)) >= max(ends(cluster)) - 1


def test_r23_each_of_seventy_followers_of_one_platform_is_served() -> None:
    """Four members have sixteen places. A follower without one asks other members for entries; it gets a
    place within ten seconds for each sixteen ahead of it.
    """
    cluster = followed(4, 70, pause=2 * SECOND)
    members = [node for name, node in cluster.world.nodes.items() if name.startswith("r")]
    had: set[str] = set()
    rounds = 70 // (4 * CONNECTIONS_MAX) + 1
    for second in range(rounds * PLACE_TIME // SECOND):
        cluster.world.run_for(SECOND)
        for node in members:
            assert node.host is not None
            had |= set(node.host.log_server._subscribers)
        assert second < 5 or min(ends(cluster)) >= max(ends(cluster)) - 2
    assert len(had) == 70


def test_r23_followers_of_a_lone_node_starve_neither() -> None:
    """No other node can be asked: the fifth and sixth ask for what it announces, until they have a place."""
    cluster = followed(1, CONNECTIONS_MAX + 2)
    cluster.world.run_for(5 * SECOND)
    assert min(ends(cluster)) > 10
    cluster.world.run_for(10 * SECOND)
    assert min(ends(cluster)) > 20
