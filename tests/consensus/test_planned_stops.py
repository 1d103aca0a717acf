"""A leader that stops on purpose hands over first (R29, R44; Ongaro 2014, 3.10)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster, Node


def resigned(cluster: Cluster, node: Node) -> None:
    node.take(node.core.resign(node.now()))
    cluster.advance(100)


@pytest.mark.parametrize(("mode", "members"), [(Mode.RAFT, 3), (Mode.PBFT, 4)])
def test_one_leader_after_the_other_stops_and_no_time_out_is_waited_for_or_doubled(
    mode: Mode, members: int
) -> None:
    cluster = Cluster(members, mode=mode)
    cluster.advance(400)
    for number in range(members):
        first = next(node for node in cluster.nodes if node.core.leads)
        resigned(cluster, first)
        assert first.core.settled, "it may end its process now"
        cluster.request(f"T-{number}")
        cluster.advance(100)
        assert len(set(cluster.executed())) == 1
        assert all(
            node.core.state.timeouts.timeout == node.core.config.timeout_base for node in cluster.nodes
        )
        first.crash()
        first.restart()
        cluster.advance(400)
    cluster.agree()


def test_r44_only_a_follower_with_all_of_the_log_is_told_to_campaign() -> None:
    cluster = Cluster(3, mode=Mode.RAFT)
    cluster.advance(400)
    cluster.drop(lambda _source, target, message: target == 2 and isinstance(message, m.AppendEntries))
    cluster.request("T-1")
    cluster.advance(100)
    cluster.heal()
    cluster.drop(lambda _source, target, message: target == 2 and getattr(message, "bodies", ()) != ())
    resigned(cluster, cluster[0])
    assert cluster.messages(m.TimeoutNow, 0)
    assert cluster[1].core.leads


def test_r44_a_word_to_campaign_counts_only_from_the_leader_of_the_term() -> None:
    cluster = Cluster(3, mode=Mode.RAFT)
    cluster.advance(400)
    told: Any = m.TimeoutNow(0, 0)
    cluster[2].hear(cluster[1], cluster[1].signer.link(told))
    cluster.advance(100)
    assert cluster[0].core.leads


def test_r29_a_stop_that_another_member_relays_is_no_cause() -> None:
    """Only on the primary's own link: an old one could be shown again."""
    cluster = Cluster(4)
    cluster.advance(400)
    frame = cluster[0].signer.sign(m.Suspect(0, 0, 1, "primary_stops"))
    for node in cluster.nodes[1:3]:
        node.hear(cluster[3], cluster[3].signer.link(m.SupplyFrames((frame,))))
    cluster.advance(100)
    assert {node.core.state.views.view for node in cluster.nodes} == {0}
