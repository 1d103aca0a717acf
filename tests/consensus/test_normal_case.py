"""The normal case: every size of cluster orders, executes, answers and checkpoints."""

from __future__ import annotations

import pytest

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from tests.consensus.helpers import Cluster


@pytest.mark.parametrize("members", range(1, 32))
def test_a_cluster_of_every_size_commits(members: int) -> None:
    """1 to 31 members (R37 and P1)."""
    cluster = Cluster(members)
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert cluster.executed() == [3] * members
    cluster.agree()


@pytest.mark.parametrize("members", [4, 5, 6, 7])
def test_a_cluster_commits_with_n_minus_q_members_down(members: int) -> None:
    """n - q may be down, one more may not (R37)."""
    cluster = Cluster(members)
    dead = quorum.crashes_tolerated(members, Mode.PBFT)
    for index in range(members - dead, members):
        cluster[index].crash()
    cluster.request("T-1")
    cluster.stabilize()
    assert [len(node.journal.log) for node in cluster.up()] == [1] * (members - dead)
    cluster[members - dead - 1].crash()
    cluster.request("T-2")
    cluster.stabilize()
    assert max(cluster.executed()) == 1


def test_checkpoints_become_stable_and_prune() -> None:
    """Every K = 10 sequences, with q equal CHECKPOINTs (R24)."""
    cluster = Cluster(4)
    for number in range(25):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    for node in cluster.nodes:
        assert node.core.snapshot().stable == 20
        assert [c.sequence for c in node.journal.checkpoints] == [10, 20]
        assert min(record.sequence for record in node.journal.slots.values()) > 20


def test_a_client_can_check_its_reply_by_itself() -> None:
    """Reply: subtree, path, entry and receipt fit together (R16, R26)."""
    cluster = Cluster(4)
    for number in range(5):
        cluster.request(f"T-{number}")
    cluster.stabilize()
    cluster.advance(5)
    replies = cluster.answers(m.Reply)
    assert len(replies) == 4 * 5
    for reply in replies:
        receipt = cluster.verified(reply.receipt, 0).message
        assert receipt.entry_hash == m.entry_hash(reply.entry)
        leaf = canonical.digest(
            b"\0" + canonical.encode((reply.first_index, reply.outcomes[0], reply.entry.timestamp))
        )
        node = leaf
        for left, sibling in reply.path:
            node = canonical.node_hash(sibling, node) if left else canonical.node_hash(node, sibling)
        assert node == reply.entry.results_root


def test_a_restarted_cluster_continues_where_it_stopped() -> None:
    """All stop and start; nothing acknowledged is lost (R6, R7)."""
    cluster = Cluster(4)
    for number in range(13):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    for node in cluster.nodes:
        node.crash()
    for node in cluster.nodes:
        node.restart()
    cluster.stabilize()
    cluster.request("T-after")
    cluster.stabilize()
    assert cluster.executed() == [14] * 4
    cluster.agree()
    roots = {node.application.root() for node in cluster.nodes}
    assert len(roots) == 1
