"""Lost messages are sent again and verified (R23, R30; P6, P7, P17)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST
from tests.consensus.helpers import Cluster, is_kind
from tests.consensus.test_log_ranges import Source, busy


def test_row_6_all_checkpoints_lost_once_do_not_stall_the_window() -> None:
    """The window is full, the primary waits, no member changes the view; then ordering continues."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames))
    for number in range(60):
        cluster.request(f"T-{number}", to=[0, 1, 2, 3])
        cluster.stabilize()
    assert cluster.executed() == [32] * 4
    cluster.advance(3_000)
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}
    cluster.heal()
    cluster.advance(1_000)
    # The 28 waiting requests are few batches now.
    assert all("T-59" in node.application.values for node in cluster.nodes)
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}


def test_row_6_f_frozen_replicas_do_not_stall_ten_windows() -> None:
    cluster = Cluster(4)
    cluster[3].crash()
    for _ in range(10):
        busy(cluster, 32)
    assert cluster.executed()[:3] == [320] * 3
    core = cluster[0].core
    assert len(core.state.log.slots) <= 32
    assert len(cluster[0].journal.slots) < 200


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_replica_that_missed_many_windows_fetches_the_log(forgotten: bool) -> None:
    """With COMMITs of each entry, or (where they were dropped) up to a certified log root."""
    cluster = Cluster(4)
    cluster[3].crash()
    busy(cluster, 105)
    if forgotten:
        for node in cluster.nodes:
            node.journal.forget_commits()
    cluster.waiting.clear()
    cluster[3].restart()
    cluster.advance(3_000)
    assert cluster.executed() == [105] * 4
    assert cluster[3].core.snapshot().stable == 100
    assert cluster[3].application.root() == cluster[0].application.root()
    busy(cluster, 1)
    assert cluster.executed() == [106] * 4
    assert cluster.messages(m.Commit, source=3)[-1].sequence == 106, "and it votes again"


def test_a_lagging_member_does_not_suspect_while_it_catches_up() -> None:
    """R30."""
    cluster = Cluster(4)
    cluster.cut(3)
    busy(cluster, 200)
    cluster.heal()
    cluster.advance(2_000)
    assert cluster.executed() == [200] * 4
    assert not [s for s in cluster[3].told("suspected") if s["reason"] != "silent_primary"]
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}


def test_row_17_one_of_f_plus_one_reports_is_honest_so_the_lower_one_is_the_target() -> None:
    cluster = Cluster(4)
    for sender, executed in ((3, 10**15), (1, 7)):
        cluster[0].hear(
            cluster[sender], cluster.sign(m.Status(0, sender, 0, False, executed, 0, 0, (), True))
        )
    assert cluster[0].core.snapshot().catching_up_to == 7


def test_row_17_a_lying_source_is_left_for_another() -> None:
    """Member 1 answers every fetch with rubbish."""
    source = Source(forgotten=False)
    cluster = source.cluster
    cluster[1].journal.log = []
    cluster[1].journal.range = lambda first, last: m.Entries(  # type: ignore[method-assign]
        ((m.Entry(0, first, b"d" * 32, b"r" * 32, 1, bytes(32)), b"", ()),), ()
    )
    cluster.advance(3_000)
    assert cluster.executed()[3] == 10


def test_r23_a_member_takes_no_invented_batch_under_true_commits() -> None:
    """The source says that the first entry was empty, and shows the COMMITs of the batch that it hides."""
    source = Source(forgotten=False)
    cluster, honest = source.cluster, source.cluster[1].journal.range

    def invented(first: int, last: int) -> m.Entries | None:
        found = honest(first, last)
        if found is None:
            return None
        rows = [
            (msgspec.structs.replace(entry, batch_digest=NULL_BATCH_DIGEST), b"", commits)
            for entry, _body, commits in found.entries
        ]
        return m.Entries(tuple(rows), ())

    cluster[1].journal.range = invented  # type: ignore[method-assign]
    cluster.advance(3_000)
    assert "bad_proof" in [told["reason"] for told in cluster[3].told("refused")]
    assert cluster[3].log == cluster[0].log


def test_r23_answers_slower_than_the_retry_interval_are_read() -> None:
    """Round trips of 300 ms and more: the first source answers when the next one is asked."""
    cluster = Cluster(4)
    cluster[3].crash()
    busy(cluster, 105)
    cluster.waiting.clear()
    cluster[3].restart()
    cluster.advance_far(15, 300)
    assert cluster.executed() == [105] * 4


def test_row_7_every_replica_can_prove_its_low_mark() -> None:
    """After each delivery: stable 0, or a certificate of q CHECKPOINTs for it."""
    cluster = Cluster(4)
    for number in range(25):
        cluster.request(f"T-{number}")
        while cluster.deliver():
            for node in cluster.nodes:
                stable = node.core.state.log.stable
                assert len(node.core.state.checkpoint.frames) == (3 if stable else 0)
                for frame in node.core.state.checkpoint.frames:
                    assert cluster.verified(frame, 0).message.sequence == stable


def test_row_7_a_polluted_replica_executes_the_decided_batch() -> None:
    """hyperledger/fabric dc5fc64: r3 holds another PRE-PREPARE for a sequence that a checkpoint covers."""
    cluster = Cluster(4)
    busy(cluster, 5)
    from tests.consensus.test_voting import make_proposal

    cluster[3].hear(cluster[0], make_proposal(cluster, "T-polluted", sequence=6))
    cluster.cut(3)
    busy(cluster, 8)
    cluster.heal()
    cluster.advance(3_000)
    assert len(set(cluster.executed())) == 1
    assert "T-polluted" not in cluster[3].application.values
    cluster.agree()


def test_r11_a_replica_that_lost_its_disk_follows_and_reports_it() -> None:
    """Started without a vote: executes and answers, gives no vote."""
    cluster = Cluster(4)
    busy(cluster, 12)
    cluster[3].crash()
    cluster[3].journal.__init__()  # type: ignore[misc]
    cluster.waiting.clear()
    cluster.sent.clear()
    cluster[3].restart(voting=False)
    cluster.advance(2_000)
    busy(cluster, 12)
    cluster.advance(2_000)
    assert len(set(cluster.executed())) == 1
    assert cluster[3].told("follower")
    for kind in (m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.Suspect, m.ViewChange):
        assert not cluster.messages(kind, source=3)
    assert not cluster.messages(m.Status, source=3)[-1].voting
    cluster[3].crash()
    cluster[3].restart(voting=True)
    assert not cluster[3].core.voting, "its ledger remembers (R11)"


def test_r11_a_replica_with_an_old_disk_stops_voting_when_shown_its_votes() -> None:
    """A disk image from before its newest votes: a member that remembers them reminds it."""
    cluster = Cluster(4)
    busy(cluster, 3)
    old_log = list(cluster[3].journal.log)
    busy(cluster, 3)
    cluster[3].crash()
    cluster[3].journal.__init__()  # type: ignore[misc]
    cluster[3].journal.log = old_log
    cluster.waiting.clear()
    cluster[3].restart()
    assert cluster[3].core.voting
    cluster.advance(500)
    assert not cluster[3].core.voting
    assert "not in its ledger" in cluster[3].core.state.voting_right.reason
    cluster.advance(2_000)
    assert min(cluster.executed()) >= 6
    cluster.agree()


def test_r23_a_member_far_behind_is_dispensable_while_the_others_decide() -> None:
    """It yields the processor to those that decide, but not while they wait for it."""
    cluster = Cluster(4)
    late = cluster[3]
    late.crash()
    busy(cluster, 100)
    cluster.drop(is_kind(m.Entries))
    late.restart()
    assert not late.core.catch_up.is_dispensable(), "it knows nothing yet"
    cluster.advance(1_500)
    assert late.core.catch_up.is_dispensable()
    cluster.advance(3_000)
    assert late.core.executed == 0
    assert not late.core.catch_up.is_dispensable(), "the others stand still"
    busy(cluster, 5)
    cluster.advance(1_000)
    assert late.core.catch_up.is_dispensable()
    cluster.heal()
    cluster.advance(1_000)
    assert late.core.executed == 105
    busy(cluster, 5)
    cluster.advance(100)
    assert not late.core.catch_up.is_dispensable(), "and it serves like the others"
