"""Ticks: batches without requests that an idle primary orders when the state is due to change (R30)."""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.rejoin_sequences import TOLERATED
from tests.consensus.helpers import WALL_START, Cluster
from tests.consensus.test_voting import make_proposal

SECOND = 1_000


def due_in(cluster: Cluster, milliseconds: int, *later: int) -> int:
    """Something becomes due on all members; `later`: and again. Returns the moment in microseconds."""
    now = (WALL_START + cluster.time) // 1_000
    for node in cluster.nodes:
        node.application.due_at = now + milliseconds * 1_000
        node.application.due_next = [now + each * 1_000 for each in later]
    return now + milliseconds * 1_000


def test_ticks_follow_each_other_at_the_tick_interval_at_most() -> None:
    cluster = Cluster(4)
    due_in(cluster, 100, *range(101, 200))
    cluster.advance(300)
    assert 3 <= cluster.executed()[0] <= 5


def test_an_empty_batch_needs_a_reason_once_too_many_came_without_one() -> None:
    cluster = Cluster(4)
    due_in(cluster, 700)
    most = TOLERATED * cluster[1].core.rejoin_sequences.grant
    for _ in range(most):
        cluster[1].core.rejoin_sequences.note(0)
    cluster[1].hear(cluster[0], make_proposal(cluster, "", sequence=1, requests=()))
    assert [each["reason"] for each in cluster[1].told("abstained")] == [Reason.BAD_BATCH.value]


def test_a_backup_judges_a_tick_once_it_has_the_state_before() -> None:
    cluster = Cluster(4)
    cluster.drop(lambda _source, target, message: target == 3 and isinstance(message, m.Commit))
    due_in(cluster, 10, 20)
    cluster.advance(70)
    assert Reason.STATE_BEHIND.value in [each["reason"] for each in cluster[3].told("abstained")]
    assert not [vote for vote in cluster.messages(m.Prepare, source=3) if vote.sequence == 2]
    for commit in [each for each in cluster.messages(m.Commit) if each.sequence == 1][:9:3]:
        cluster[3].hear(cluster[commit.sender], cluster.sign(commit))
    assert cluster[3].core.executed == 1
    assert [vote for vote in cluster.messages(m.Prepare, source=3) if vote.sequence == 2]


def test_a_primary_that_never_ticks_is_deposed_after_the_drift_bound_and_t() -> None:
    cluster = Cluster(4)
    cluster[0].core.proposing.tick_at = lambda: None
    due_in(cluster, 500)
    cluster.advance(500 + 2_000 + 700)
    assert not cluster.messages(m.Suspect)
    cluster.advance(800)
    assert {suspect.reason for suspect in cluster.messages(m.Suspect)} <= {"no_progress", "joined"}
    assert [node.core.snapshot().view for node in cluster.nodes] == [1] * 4
    assert cluster.executed() == [1] * 4


def test_r3_nobody_is_blamed_for_a_tick_that_is_due_by_too_few_clocks() -> None:
    """By two clocks of four it is due: the primary may not propose that time, and its view lasts."""
    cluster = Cluster(4)
    for node in cluster.nodes[1:3]:
        node.skew = -60 * SECOND * 1_000_000
    cluster.advance(1_500)
    cluster.request("T-1")
    due_in(cluster, 500)
    cluster.advance(20 * SECOND)
    assert not cluster.messages(m.Suspect)
    assert cluster.executed() == [1] * 4
    cluster.advance(42 * SECOND)
    assert not cluster.messages(m.Suspect)
    assert cluster.executed() == [2] * 4
