"""Clients: exactly once, answered again, told when busy (R12, R16, R19, R20; P9, P14, P15)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from tests.consensus.helpers import Cluster, is_kind


def test_r16_a_retry_is_answered_with_the_reply_that_was_sent() -> None:
    cluster = Cluster(4)
    frame = cluster.request("T-1")
    cluster.stabilize()
    sent = list(cluster.replies)
    assert len(sent) == 4
    cluster.replies.clear()
    for node in cluster.nodes:
        node.hear(None, frame)
    assert cluster.replies == sorted(sent, key=lambda each: each[0] or 0)
    cluster.stabilize()
    assert cluster.executed() == [1] * 4


def test_r16_a_retry_whose_reply_is_forgotten_gets_a_signed_repeat() -> None:
    cluster = Cluster(4, answers_kept=1)
    frame = cluster.request("T-1")
    cluster.request("T-2")
    cluster.stabilize()
    cluster.replies.clear()
    for node in cluster.nodes:
        node.hear(None, frame)
        node.hear(None, frame)
    repeats = cluster.answers(m.Repeat)
    assert len(repeats) == 8
    assert {(r.sequence, r.first_index, r.codes) for r in repeats} == {(1, 0, ("ok",))}
    assert {r.sender for r in repeats} == {0, 1, 2, 3}
    assert len({reply.frame for _index, reply in cluster.replies}) == 4, "one signature a member"


def test_a_request_to_all_is_ordered_once() -> None:
    cluster = Cluster(4)
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    assert cluster.executed() == [1] * 4
    assert len(cluster.answers(m.Reply)) == 4
    assert not cluster.answers(m.Busy)


def test_a_request_to_a_backup_alone_is_forwarded() -> None:
    cluster = Cluster(4)
    cluster.request("T-1", to=[2])
    cluster.stabilize()
    assert cluster.executed() == [1] * 4


def test_a_lost_forward_is_repeated_before_the_primary_is_suspected() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Bundle))
    cluster.request("T-1", to=[2])
    cluster.heal()
    cluster.advance(700)
    assert cluster.executed() == [1] * 4
    assert not cluster[2].told("suspected")


def test_row_9_one_number_with_two_bodies_is_executed_once() -> None:
    """A faulty client tells primary and backups different requests under one number."""
    cluster = Cluster(4)
    cluster.request("T-a", number=5, to=[0])
    cluster.request("T-b", number=5, to=[1, 2, 3])
    cluster.advance(3_000)
    values = [sorted(node.application.values) for node in cluster.nodes]
    assert values == [["T-a"]] * 4
    assert {node.core.snapshot().view for node in cluster.nodes} == {0}, "row 14: nobody is to blame"
    assert all(node.core.snapshot().pending == 0 for node in cluster.nodes)


def test_row_9_restarted_replicas_still_refuse_a_replay() -> None:
    cluster = Cluster(4)
    frames = [cluster.request(f"T-{number}") for number in range(5)]
    cluster.stabilize()
    cluster.advance(10)
    length = cluster.executed()[0]
    for node in cluster.nodes:
        node.crash()
        node.restart()
        cluster.stabilize()
    for frame in frames:
        for node in cluster.nodes:
            node.hear(None, frame)
    cluster.advance(100)
    assert cluster.executed() == [length] * 4


def test_row_9_a_thousand_requests_in_flight_execute_once() -> None:
    cluster = Cluster(4)
    for number in range(1_000):
        cluster.request(f"T-{number}")
    cluster.advance(1_000)
    assert len(cluster[3].application.values) == 1_000
    assert cluster.executed()[0] < 100, "they travelled in batches"
    cluster.agree()


def test_a_request_that_the_state_refuses_is_answered_with_the_reason() -> None:
    cluster = Cluster(4)
    cluster.request("T-0")
    cluster.stabilize()
    cluster[0].application.refusing.add((1, 1))
    cluster.request("T-1", session=(1, 1))
    assert [busy.code for busy in cluster.answers(m.Busy)] == [Reason.UNKNOWN_SESSION.value]


def test_r30_a_refused_body_does_not_take_another_out_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both bear one number; only the second one is refused, so the first may still be executed."""
    cluster = Cluster(4)
    cluster.drop(lambda _s, _t, _m: True)

    def refuse(bundle: m.Bundle, timestamp: int) -> Reason | None:
        return Reason.EXPIRED if bundle.operations[0].ticket == "T-late" else None

    monkeypatch.setattr(cluster[1].application, "refuse", refuse)
    cluster.request("T-1", number=5, to=[1])
    cluster.request("T-late", number=5, to=[1])
    assert [busy.code for busy in cluster.answers(m.Busy)] == [Reason.EXPIRED.value]
    assert [item.bundle.bundle.operations[0].ticket for item in cluster[1].core.policy.pool] == ["T-1"]


def test_a_session_not_yet_opened_here_is_not_refused() -> None:
    """The client heard f + 1 others; the primary lags by a sequence."""
    cluster = Cluster(4)
    cluster[0].application.refusing.add((1, 1))
    cluster.request("T-1", session=(1, 1))
    assert not cluster.answers(m.Busy)
    cluster.stabilize()
    assert cluster.executed() == [1] * 4


def test_row_15_a_full_pool_is_busy_and_one_session_cannot_fill_it() -> None:
    cluster = Cluster(4, pool_operations_max=40)
    cluster.drop(lambda _s, _t, _m: True)
    for number in range(30):
        cluster.request(f"T-{number}", session=(1, 0), number=number)
    snapshot = cluster[0].core.snapshot()
    assert snapshot.pending_operations == 10, "a quarter of the pool"
    assert {busy.code for busy in cluster.answers(m.Busy)} == {Reason.BUSY.value}
    for session in range(2, 9):
        for number in range(10):
            cluster.request(f"T-{session}-{number}", session=(session, 0), number=number)
    assert cluster[0].core.snapshot().pending_operations <= 40


def test_sessions_take_turns_in_a_batch() -> None:
    """R20: a flooding session does not starve a quiet one."""
    cluster = Cluster(4, batch_delay=10**12)
    cluster.drop(is_kind(m.PrePrepare))
    cluster.request("T-first", session=(9, 0))
    for number in range(20):
        cluster.request(f"T-loud-{number}", session=(1, 0), number=number)
    cluster.request("T-quiet", session=(2, 0), number=0)
    taken = cluster[0].core.policy.pool.take(4, 1 << 20)
    names = [item.bundle.bundle.operations[0].ticket for item in taken]
    assert names == ["T-loud-0", "T-quiet", "T-loud-1", "T-loud-2"]


def test_r20_requests_go_out_at_once_when_idle_then_in_batches() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Prepare))
    cluster.request("T-0")
    assert len(cluster.messages(m.PrePrepare)) == 3, "at once: one copy for each backup"
    for number in range(1, 40):
        cluster.request(f"T-{number}")
        cluster.time += 1_100_000
        cluster[0].tick()
    sequences = {message.sequence for message in cluster.messages(m.PrePrepare)}
    assert sequences == set(range(1, 9)), "eight unexecuted proposals, no more"


def test_r20_a_batch_is_at_most_a_thousand_operations() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Prepare))
    cluster.request("T-0")
    for number in range(1, 2_501):
        cluster.request(f"T-{number}", session=(1, number % 8), number=number)
    cluster.heal()
    cluster.advance(1_000)
    assert len(cluster[2].application.values) == 2_501
    sizes = [len(m.canonical.decode(m.Batch, r.body).requests) for r in cluster[2].journal.log]
    assert max(sizes) == 1_000


def test_r3_effective_time_always_rises() -> None:
    """The primary's clock is set back between two batches; effective time rises by a microsecond."""
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    cluster[0].skew = -1_000_000_000
    cluster.request("T-2")
    cluster.stabilize()
    first, second = (record.entry.timestamp for record in cluster[1].journal.log)
    assert second == first + 1


def test_r19_a_duplicate_in_a_decided_batch_is_skipped_by_all() -> None:
    """Two lying primaries' proposals hold the same request; it is executed in the first alone."""
    from tests.consensus.test_voting import make_proposal

    cluster = Cluster(4)
    shared, fresh = cluster.bundle("T-shared"), cluster.bundle("T-fresh")
    proposals = [
        make_proposal(cluster, "", sequence=1, requests=(shared,)),
        make_proposal(cluster, "", sequence=2, requests=(shared, fresh)),
    ]
    for index in (1, 2, 3):
        for frame in proposals:
            cluster[index].hear(cluster[0], frame)
    digests = [cluster.verified(frame, 0).message.digest for frame in proposals]
    cluster.stabilize()
    for sequence, digest in enumerate(digests, 1):
        for index in (1, 2, 3):
            vote = cluster.sign(m.Commit(0, 0, 0, sequence, digest))
            cluster[index].hear(cluster[0], vote)
    cluster.stabilize()
    for index in (1, 2, 3):
        assert [key[2] for key in cluster[index].application.order] == [0, 1]


def test_row_15_frames_of_future_views_are_bounded_per_sender() -> None:
    cluster = Cluster(4, future_frames_max=400)
    for number in range(5_000):
        vote = m.Commit(0, 3, 1 + number, 1, b"d" * 32)
        cluster[0].hear(cluster[3], cluster.sign(vote))
    assert len(cluster[0].core.state.future) == 100
    other = m.Commit(0, 2, 1, 1, b"d" * 32)
    assert cluster[0].hear(cluster[2], cluster.sign(other)) is None, "another's share is untouched"


def test_row_15_relayed_frames_take_the_room_of_the_relaying_member() -> None:
    """r3 relays frames signed by r2 repeatedly: each is kept once, within r3's own share."""
    cluster = Cluster(4, future_frames_max=400)
    votes = [cluster.sign(m.Commit(0, 2, 1 + number, 1, b"d" * 32)) for number in range(150)]
    for _ in range(3):
        cluster[0].hear(cluster[3], cluster[3].signer.link(m.SupplyFrames(tuple(votes[:50]))))
    assert len(cluster[0].core.state.future) == 50
    cluster[0].hear(cluster[3], cluster[3].signer.link(m.SupplyFrames(tuple(votes))))
    assert len(cluster[0].core.state.future) == 100
    assert cluster[0].hear(cluster[2], votes[149]) is None, "on its own link it has its own room"
    assert cluster[0].hear(cluster[2], votes[0]) is Reason.SECOND_MESSAGE
    assert len(cluster[0].core.state.future) == 101


def test_a_request_of_an_evicted_session_leaves_every_pool() -> None:
    """Its session was evicted while it waited: backups and learners forget it too."""
    cluster = Cluster(4)
    cluster.request("T-0")
    cluster.stabilize()
    cluster[3].crash()
    cluster[3].restart(voting=False)
    cluster.drop(is_kind(m.Bundle))
    cluster.request("T-1", session=(1, 1), to=[1, 2, 3])
    cluster.request("T-2", session=(1, 2), to=[1, 2, 3])
    for node in cluster.nodes:
        node.application.refusing.add((1, 1))
    cluster.advance(500)
    assert [node.core.snapshot().pending for node in cluster.nodes] == [0, 1, 1, 1]
