"""Clients: exactly once, answered again, told when busy (R12, R16, R19, R20; P9, P14, P15)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.future import Future
from dtvn.protocol.consensus.verified import Inbound, Peer, Verified, VerifiedBatch
from tests.consensus import helpers
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


def test_row_15_a_settled_request_is_answered_only_on_its_own_clients_link() -> None:
    """Otherwise anybody who has seen the request could make a member flood its client with answers."""
    cluster = Cluster(4)
    frame = cluster.request("T-1")
    cluster.stabilize()
    core = cluster[0].core
    for peer, answers in ((Peer("other", None), 0), (Peer("m1", 1), 0), (Peer("gateway", None), 1)):
        header = cluster[0].door.peek(Inbound(peer, frame))
        reason = core.wants(header)
        assert reason is Reason.DECIDED
        assert len(core.on_refused(header, reason).reply) == answers


def large(cluster: Cluster, operations: int, size: int = 0, epoch: int = 0) -> bytes:
    """A request of so many operations, whose frame has so many bytes, if that is given."""
    operation = m.Operation("seed", "default", "T-1", "actor", "m0", 1 << 60, b"", b"")

    def frame(value: bytes) -> bytes:
        last = msgspec.structs.replace(operation, payload=value)
        some = (operation,) * (operations - 1)
        return cluster.client.sign(m.Bundle(epoch, "gateway", b"client-1", (1, 0), 5, 0, (*some, last)))

    around = len(frame(bytes(60_000))) - 60_000
    return frame(bytes(size - around) if size else b"")


BATCH_BYTES = 64 * 1024


@pytest.mark.parametrize(
    ("operations", "size", "fits"),
    [(1_000, 0, True), (1_001, 0, False), (1, BATCH_BYTES - 40, True), (1, BATCH_BYTES - 39, False)],
)
def test_r20_a_request_that_fits_no_batch_is_refused_and_not_kept_over_a_view_change(
    operations: int, size: int, fits: bool
) -> None:
    """A faulty primary's batch may hold it; an honest one that proposed it again would be deposed."""
    cluster = Cluster(4, batch_bytes_max=BATCH_BYTES)
    frame = large(cluster, operations, size)
    bundle = cluster.verified(frame, 0).bundle
    policy = cluster[1].core.policy
    policy.requeue([bundle])
    assert len(policy.pool) == fits
    cluster[2].hear(None, frame)
    assert [busy.code for busy in cluster.answers(m.Busy)] == ([] if fits else [Reason.TOO_LARGE.value])


def test_r35_a_request_of_an_epoch_that_did_not_begin_here_is_refused() -> None:
    cluster = Cluster(4)
    assert cluster[0].hear(None, large(cluster, 1, epoch=1)) is Reason.WRONG_EPOCH


def test_r16_a_large_reply_is_not_kept_for_retries() -> None:
    """Large replies to thousands of requests would fill the memory; the log says the same in fewer bytes."""
    cluster = Cluster(4)
    frame = large(cluster, 1_000)
    cluster[0].hear(None, frame)
    cluster.stabilize()
    assert len(cluster.answers(m.Reply)) == 4
    cluster.replies.clear()
    cluster[0].hear(None, frame)
    assert [type(helpers.open_frame(reply.frame)) for _index, reply in cluster.replies] == [m.Repeat]


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


def waiting(view: int, sequence: int, body: bytes = b"") -> Verified[m.PrePrepare]:
    """A proposal of member 3, with its batch."""
    batch = VerifiedBatch(m.Batch(view, 0, ()), b"d" * 32, body, ()) if body else None
    message = m.PrePrepare(0, 3, view, sequence, b"d" * 32)
    return Verified(Peer("m3", 3), message, b"frame", b"b" * 32, batch)


def test_row_15_a_statement_that_waits_for_a_later_view_keeps_its_room() -> None:
    future = Future(members=4, frames_max=8, bytes_max=4_000)
    first, second, third = waiting(1, 1), waiting(2, 1), waiting(2, 2)
    assert [future.add(first), future.add(second)] == [None, None]
    assert future.add(third) is Reason.FUTURE_VIEW, "two of each link"
    assert future.take(1) == [first]
    assert future.add(third) is None
    assert future.add(waiting(3, 1)) is Reason.FUTURE_VIEW, "the second has its room still"
    assert future.take(2) == [second, third]
    assert future.add(waiting(3, 1, bytes(2_000))) is None
    assert future.add(waiting(3, 2)) is Reason.FUTURE_VIEW, "a batch takes its bytes"


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
