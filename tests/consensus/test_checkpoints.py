"""Checkpoints: what stops a replica, and what it keeps of others' (R24; P7 and P15)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol import canonical
from dtvn.protocol.consensus import InvariantBreach
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.contradiction import read
from dtvn.protocol.consensus.effects import Reason
from tests.consensus.helpers import Cluster, is_kind
from tests.support.table import table


def busy(cluster: Cluster, count: int) -> None:
    for number in range(count):
        cluster.request(f"T-{cluster.executed()[0]}-{number}")
        cluster.stabilize()


def unstable() -> Cluster:
    """Ten sequences executed by all; every CHECKPOINT is lost."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames))
    busy(cluster, 10)
    cluster.heal()
    return cluster


def said(cluster: Cluster, sender: int, **changes: Any) -> m.Checkpoint:
    """The CHECKPOINT of a member, or one that differs."""
    (own,) = (c for c in {c.sequence: c for c in cluster.messages(m.Checkpoint, source=sender)}.values())
    return replace(own, **changes)


OTHER = {"state_root": b"x" * 32, "log_root": b"x" * 32, "timestamp": 1}


@table("how", ["voted", "in a VIEW-CHANGE"], count=2)
@table("field", OTHER, count=3)
def test_r24_a_different_state_signed_by_q_members_stops_a_replica(field: str, how: str) -> None:
    """A flipped bit in its memory, or a program that is not deterministic: it neither goes on nor adopts, and
    keeps what was signed."""
    cluster = unstable()
    frames = [cluster.sign(said(cluster, sender, **{field: OTHER[field]})) for sender in (0, 1, 2)]
    if how == "voted":
        for sender in (0, 1):
            cluster[3].hear(cluster[sender], frames[sender])
        last = frames[2]
    else:
        last = cluster.sign(m.ViewChange(0, 2, 1, tuple(frames), ()))
    cluster[3].hear(cluster[2], last)
    assert cluster[3].core.state.log.stable == 0
    assert "another state than this node reached after sequence 10" in cluster[3].halted
    kept = read(cluster[3].journal.states.values())
    assert kept is not None
    assert sorted(kept.theirs) == sorted(frames)
    assert kept.mine == (cluster[3].journal.slots[0, 0, 10, "checkpoint"].frames[0],)


def test_r24_f_members_that_sign_other_states_stop_no_member() -> None:
    cluster = unstable()
    victim = cluster[3]
    victim.hear(cluster[0], cluster.sign(said(cluster, 0, state_root=b"x" * 32)))
    for sender in (1, 2):
        victim.hear(cluster[sender], cluster.sign(said(cluster, sender)))
    assert victim.core.state.log.stable == 10


def test_row_15_past_or_far_future_checkpoints_are_refused_unverified() -> None:
    """One liar that signs a million of them costs no memory and no signature check."""
    cluster = Cluster(4)
    busy(cluster, 25)
    core = cluster[3].core
    assert (core.state.log.stable, core.executed) == (20, 25)
    span = core.state.log.watermark_span

    def verdict(sequence: int) -> Reason | None:
        frame = cluster.sign(m.Checkpoint(0, 1, sequence, b"s" * 32, b"l" * 32, 7))
        return cluster[3].hear(cluster[1], frame)

    kept = len(core.checkpoints._votes)
    assert [verdict(10), verdict(20)] == [None, None], "what is stable is compared, once for each member"
    for sequence in (0, 10, 20, 25 + span + 1, 1 << 40):
        assert verdict(sequence) is Reason.OUTSIDE_WINDOW, sequence
    for sequence in range(21, 26):
        assert verdict(sequence) is Reason.MALFORMED, f"none is due at {sequence}"
    assert len(core.checkpoints._votes) == kept
    assert verdict(25 + span) is None


def test_row_3_a_second_state_after_one_sequence_is_evidence_once() -> None:
    cluster = unstable()
    victim = cluster[3]
    first = said(cluster, 1)

    def hear(message: m.Checkpoint) -> Reason | None:
        return victim.hear(cluster[1], cluster.sign(message))

    assert hear(first) is None
    assert hear(first) is Reason.SECOND_MESSAGE
    assert hear(replace(first, state_root=b"x" * 32)) is None
    assert [note["code"] for note in victim.told("evidence")] == ["checkpoint"]
    for letter in (b"x", b"y", b"z"):
        assert hear(replace(first, state_root=letter * 32)) is Reason.SECOND_MESSAGE, "told once"
    assert len(victim.told("evidence")) == 1
    victim.hear(cluster[0], cluster.sign(said(cluster, 0)))
    assert victim.core.state.log.stable == 10, "the first word of m1 counts"


@pytest.mark.parametrize("what", ["a row", "an entry"])
def test_r9_a_ledger_that_differs_from_its_checkpoint_is_refused(what: str) -> None:
    """Its rows or its log rotted while the node was down: it must not sign what comes of them."""
    cluster = Cluster(4)
    busy(cluster, 10)
    node = cluster[3]
    assert node.core.state.log.stable == 10
    node.journal.materialise(node.application.changes())
    node.crash()
    if what == "a row":
        (key,) = [key for key in node.journal.rows if key[0] == "value" and "T-0-0" in key]
        node.journal.rows[key] = replace(node.journal.rows[key], row=b"rot")
    else:
        node.journal.log[4] = replace(node.journal.log[4], entry_hash=b"r" * 32)
    with pytest.raises(InvariantBreach, match="the state is not that of checkpoint 10"):
        node.restart()


def test_r9_an_entry_beside_another_batch_is_not_replayed() -> None:
    """Its outcomes are the same: only the digest tells that it was proposed at another time."""
    cluster = Cluster(4)
    busy(cluster, 3)
    node = cluster[3]
    node.crash()
    record = node.journal.log[2]
    batch = canonical.decode(m.Batch, record.body)
    other = canonical.encode(replace(batch, proposed=batch.proposed + 1))
    node.journal.log[2] = replace(record, body=other)
    with pytest.raises(InvariantBreach, match="replay of 3 gives other results"):
        node.restart()


def test_r33_a_restart_keeps_the_certificate_of_the_highest_view() -> None:
    """Prepared in view 0, carried and prepared again in view 1: the older one could lose to another batch."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    cluster[0].crash()
    while not (
        cluster[2].core.state.views.is_active(1) and cluster[2].core.state.log.certificates[1].view == 1
    ):
        cluster.advance(50)
    cluster[2].crash()
    cluster[2].restart()
    assert cluster[2].core.state.log.certificates[1].view == 1
