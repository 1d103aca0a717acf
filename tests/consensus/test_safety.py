"""Forks that would happen with wrong thresholds, and do not (P1, P10, P11)."""

from __future__ import annotations

import pytest

from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster
from tests.consensus.test_voting import make_proposal

pytestmark = pytest.mark.ci


def divide(members: int, left: tuple[int, ...], right: tuple[int, ...]) -> Cluster:
    """The primary tells two halves two batches and votes for both; the halves do not hear each other."""
    cluster = Cluster(members)
    cluster.drop(
        lambda source, target, _m: (
            (source in left and target in right) or (source in right and target in left)
        )
    )
    for ticket, half in (("T-left", left), ("T-right", right)):
        frame = make_proposal(cluster, ticket)
        digest = cluster.verified(frame, 0).message.digest
        for index in half:
            cluster[index].hear(cluster[0], frame)
        cluster.stabilize()
        for index in half:
            cluster[index].hear(cluster[0], cluster.sign(m.Commit(0, 0, 0, 1, digest)))
        cluster.stabilize()
    return cluster


HALVES = [
    (5, (1, 2), (3, 4)),
    (6, (1, 2, 3), (4, 5)),
    (6, (1, 2), (3, 4, 5)),
    (9, (1, 2, 3, 4), (5, 6, 7, 8)),
]


@pytest.mark.parametrize(("members", "left", "right"), HALVES)
def test_row_1_a_lying_primary_cannot_fork_sizes_between_3f_plus_1(
    members: int, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    cluster = divide(members, left, right)
    values = {ticket for i in (*left, *right) for ticket in cluster[i].application.values}
    assert len(values) <= 1


def test_row_1_with_quorums_of_2f_plus_1_five_members_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant that the formula is there to kill: q = 2f + 1 is 3 of 5."""
    monkeypatch.setattr(quorum, "quorum", lambda members, mode: 2 * quorum.faults(members, mode) + 1)
    cluster = divide(5, (1, 2), (3, 4))
    assert "T-left" in cluster[1].application.values
    assert "T-right" in cluster[3].application.values


def test_row_10_a_proposal_of_another_epoch_is_refused() -> None:
    cluster = Cluster(4)
    frame = make_proposal(cluster, "T-1")
    message = cluster.verified(frame, 0).message
    later = m.PrePrepare(1, 0, 0, 1, message.digest)
    assert cluster[1].core.wants(cluster.header(cluster.sign(later), 0)) == "wrong_epoch"


@pytest.mark.parametrize("survivors", [(1, 2, 3), (2, 3), (3,)])
def test_row_11_nothing_acknowledged_is_lost_by_crashes_at_any_delivery(survivors: tuple[int, ...]) -> None:
    """Stop after every single delivery in turn, kill all but some, start all again: logs agree, and what
    f + 1 members answered stands."""
    for stop in range(1, 60):
        cluster = Cluster(4)
        cluster.request("T-1", to=[0, 1, 2, 3])
        cluster.deliver(stop)
        receipts = {
            (reply.entry.sequence, reply.request): set()  # type: ignore[var-annotated]
            for reply in cluster.answers(m.Reply)
        }
        for index, _reply in cluster.replies:
            for voters in receipts.values():
                voters.add(index)
        acknowledged = {key for key, voters in receipts.items() if len(voters) >= 2}
        cluster.waiting.clear()
        for index in range(4):
            if index not in survivors:
                cluster[index].crash()
        for index in range(4):
            if index not in survivors:
                cluster[index].restart()
        cluster.request("T-2", to=[0, 1, 2, 3])
        cluster.advance(4_000)
        cluster.agree()
        assert len(set(cluster.executed())) == 1, f"stopped after {stop} deliveries"
        done = cluster[1].application.executed
        for sequence, request in acknowledged:
            assert any(r.sequence == sequence and r.digest == request for r in done.values())
        assert "T-2" in cluster[2].application.values
