"""Practical Byzantine Fault Tolerance (OSDI 1999), sentence by sentence.

Each test quotes what it checks. Where the paper says 2f + 1 of 3f + 1, `q` of n is meant here, and
2f prepares are q - 1 (docs/understand/protocol/index.md lists the departures).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster, is_kind
from tests.consensus.test_voting import make_proposal


def digest_of(cluster: Cluster, frame: bytes) -> bytes:
    digest: bytes = cluster.verified(frame, 0).message.digest
    return digest


def votes(cluster: Cluster, kind: type[Any], source: int) -> list[Any]:
    """Distinct votes of a replica."""
    return list(dict.fromkeys(cluster.messages(kind, source=source)))


# --- 4.2 Normal-case operation -------------------------------------------------------------------


def test_the_primary_multicasts_a_pre_prepare() -> None:
    """ "The primary assigns a sequence number, n, to the request, multicasts a pre-prepare message with m
    piggybacked to all the backups, and appends the message to its log." Section 4.2."""
    cluster = Cluster(4)
    cluster.request("T-1")
    sent = [(target, message) for source, target, message in cluster.sent if type(message) is m.PrePrepare]
    assert [target for target, _message in sent] == [1, 2, 3]
    assert {message.sequence for _target, message in sent} == {1}
    assert (0, 0, 1, "pre_prepare") in cluster[0].journal.slots


REFUSED: dict[str, Callable[[Cluster], bytes]] = {
    "it is in view v": lambda c: make_proposal(c, "T-2", view=4, sequence=2),
    "not accepted a different digest": lambda c: make_proposal(c, "T-2", sequence=1),
    "above a low water mark": lambda c: make_proposal(c, "T-2", sequence=0),
    "below a high water mark": lambda c: make_proposal(c, "T-2", sequence=43),
}


@pytest.mark.parametrize("condition", REFUSED)
def test_a_backup_accepts_a_pre_prepare_provided(condition: str) -> None:
    """ "A backup accepts a pre-prepare message provided: [...] it is in view v; it has not accepted a
    pre-prepare message for view v and sequence number n containing a different digest; the sequence
    number in the pre-prepare message is between a low water mark, h, and a high water mark, H." 4.2."""
    cluster = Cluster(4)
    cluster[1].hear(cluster[0], make_proposal(cluster, "T-1", sequence=1))
    assert len(votes(cluster, m.Prepare, 1)) == 1
    cluster[1].hear(cluster[0], REFUSED[condition](cluster))
    assert len(votes(cluster, m.Prepare, 1)) == 1


def test_an_accepted_pre_prepare_is_answered_by_a_prepare_to_all() -> None:
    """ "If backup i accepts the pre-prepare message, it enters the prepare phase by multicasting a
    prepare message to all other replicas and adds both messages to its log. Otherwise, it does nothing."
    4.2."""
    cluster = Cluster(4)
    cluster[1].hear(cluster[0], make_proposal(cluster, "T-1"))
    sent = [target for source, target, message in cluster.sent if type(message) is m.Prepare]
    assert sent == [0, 2, 3]
    assert {key[3] for key in cluster[1].journal.slots} == {"pre_prepare", "prepare"}


def test_prepared_needs_matching_prepares_of_different_backups() -> None:
    """ "We define the predicate prepared(m, v, n, i) to be true if and only if replica i has inserted in
    its log: the request m, a pre-prepare for m in view v with sequence number n, and 2f prepares from
    different backups that match the pre-prepare." [...] "Replica i multicasts a commit to the other
    replicas when prepared(m, v, n, i) becomes true." 4.2."""
    cluster = Cluster(7)
    frame = make_proposal(cluster, "T-1")
    digest = digest_of(cluster, frame)
    cluster[1].hear(cluster[0], frame)
    for sender in (2, 2, 3):
        cluster[1].hear(cluster[sender], cluster.sign(m.Prepare(0, sender, 0, 1, digest)))
    assert not votes(cluster, m.Commit, 1), "its own and two others are 3 of 4"
    cluster[1].hear(cluster[4], cluster.sign(m.Prepare(0, 4, 0, 1, b"x" * 32)))
    assert not votes(cluster, m.Commit, 1), "one that does not match"
    cluster[1].hear(cluster[5], cluster.sign(m.Prepare(0, 5, 0, 1, digest)))
    assert len(votes(cluster, m.Commit, 1)) == 1


def test_prepares_without_the_pre_prepare_are_not_enough() -> None:
    """The second part of the same definition."""
    cluster = Cluster(4)
    digest = digest_of(cluster, make_proposal(cluster, "T-1"))
    for sender in (2, 3):
        cluster[1].hear(cluster[sender], cluster.sign(m.Prepare(0, sender, 0, 1, digest)))
    assert not votes(cluster, m.Commit, 1)


def test_committed_local_needs_a_quorum_of_commits() -> None:
    """ "committed-local(m, v, n, i) is true if and only if prepared(m, v, n, i) is true and i has accepted
    2f + 1 commits (possibly including its own) from different replicas that match the pre-prepare
    for m." 4.2. (Here q COMMITs suffice, as each of their senders was prepared: R21.)"""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    digest = votes(cluster, m.PrePrepare, 0)[0].digest
    cluster[1].hear(cluster[2], cluster.sign(m.Commit(0, 2, 0, 1, digest)))
    cluster[1].hear(cluster[2], cluster.sign(m.Commit(0, 2, 0, 1, digest)))
    assert cluster.executed()[1] == 0
    cluster[1].hear(cluster[3], cluster.sign(m.Commit(0, 3, 0, 1, digest)))
    assert cluster.executed()[1] == 1


def test_execution_follows_the_order_of_sequence_numbers() -> None:
    """ "Each replica i executes the operation requested by m after committed-local(m, v, n, i) is true
    and i's state reflects the sequential execution of all requests with lower sequence numbers." 4.2."""
    cluster = Cluster(4)
    first, second = (make_proposal(cluster, f"T-{s}", sequence=s) for s in (1, 2))
    for sequence, frame in ((2, second), (1, first)):
        cluster[1].hear(cluster[0], frame)
        for sender in (0, 2, 3):
            vote = m.Commit(0, sender, 0, sequence, digest_of(cluster, frame))
            cluster[1].hear(cluster[sender], cluster.sign(vote))
        assert cluster.executed()[1] == (0 if sequence == 2 else 2)
    assert list(cluster[1].application.values) == ["T-1", "T-2"]


def test_messages_may_arrive_in_any_order() -> None:
    """ "We do not rely on ordered message delivery, and therefore it is possible for a replica to commit
    requests out of order." 4.2."""
    cluster = Cluster(4)
    cluster.request("T-1")
    while cluster.waiting:
        cluster.waiting.rotate(1)
        cluster.deliver()
    cluster.advance(300)
    assert cluster.executed() == [1] * 4


# --- 4.3 Garbage collection ----------------------------------------------------------------------


def test_checkpoints_are_taken_at_multiples_of_k() -> None:
    """ "These states are produced periodically, when the sequence number is divisible by some constant
    (e.g., 100) of a request executed." 4.3."""
    cluster = Cluster(4, checkpoint_interval=5)
    for number in range(12):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert sorted({message.sequence for message in cluster.messages(m.Checkpoint)}) == [5, 10]


def test_a_quorum_of_checkpoints_is_the_proof() -> None:
    """ "Each replica collects checkpoint messages in its log until it has 2f + 1 of them for sequence
    number n with the same digest d signed by different replicas (including possibly its own such
    message). These 2f + 1 messages are the proof of correctness for the checkpoint." 4.3."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Checkpoint))
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    own = votes(cluster, m.Checkpoint, 1)[0]
    content = (own.sequence, own.state_root, own.log_root, own.timestamp)
    cluster[1].hear(cluster[2], cluster.sign(m.Checkpoint(0, 2, 10, b"x" * 32, *content[2:])))
    cluster[1].hear(cluster[3], cluster.sign(m.Checkpoint(0, 3, *content)))
    assert cluster[1].core.snapshot().stable == 0
    cluster[1].hear(cluster[0], cluster.sign(m.Checkpoint(0, 0, *content)))
    assert cluster[1].core.snapshot().stable == 10


def test_a_stable_checkpoint_discards_what_lies_below() -> None:
    """ "A checkpoint with a proof becomes stable and the replica discards all pre-prepare, prepare, and
    commit messages with sequence number less than or equal to n from its log; it also discards all
    earlier checkpoints and checkpoint messages." 4.3."""
    cluster = Cluster(4)
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    for node in cluster.nodes:
        assert not node.core.state.log.slots
        assert not node.core.state.log.certificates
        assert not [key for key in node.journal.slots if key[2] <= 10]


def test_the_checkpoint_protocol_advances_the_water_marks() -> None:
    """ "The checkpoint protocol is used to advance the low and high water marks (which limit what messages
    will be accepted)." 4.3."""
    cluster = Cluster(4)
    late = m.Commit(0, 2, 0, 45, b"d" * 32)
    assert cluster[1].hear(cluster[2], cluster.sign(late)) == "outside_window"
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    assert cluster[1].hear(cluster[2], cluster.sign(late)) is None


# --- 4.4 View changes ----------------------------------------------------------------------------


def leave(cluster: Cluster, target: int, view: int, by: tuple[int, ...]) -> None:
    """f + 1 VIEW-CHANGEs make a replica leave."""
    for sender in by:
        frame = cluster.sign(m.ViewChange(0, sender, view, (), ()))
        cluster[target].hear(cluster[sender], frame)


def test_a_replica_in_a_view_change_accepts_no_ordering_messages() -> None:
    """ "It stops accepting messages (other than checkpoint, view-change, and new-view messages) and
    multicasts a view-change message." 4.4. (COMMITs are counted, and commit their sender to nothing: R21.)"""
    cluster = Cluster(4)
    leave(cluster, 3, 2, (1, 2))
    assert votes(cluster, m.ViewChange, 3)
    for view in (0, 2):
        cluster[3].hear(cluster[view], make_proposal(cluster, "T-1", view=view))
    assert not votes(cluster, m.Prepare, 3)


def test_a_view_change_carries_batches_prepared_above_the_checkpoint() -> None:
    """ "C is a set of 2f + 1 valid checkpoint messages proving the correctness of s, and P is a set
    containing a set Pm for each request m that prepared at i with a sequence number higher than n." 4.4."""
    cluster = Cluster(4)
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-11")
    cluster.stabilize()
    leave(cluster, 3, 2, (1, 2))
    sent = votes(cluster, m.ViewChange, 3)[0]
    assert len(sent.checkpoint) == 3
    assert [cluster.verified(p.pre_prepare, 0).message.sequence for p in sent.prepared] == [11]
    assert [len(p.prepares) for p in sent.prepared] == [2]


def test_the_new_primary_sends_new_view_with_a_quorum() -> None:
    """ "When the primary p of view v + 1 receives 2f valid view-change messages for view v + 1 from other
    replicas, it multicasts a new-view message to all other replicas." 4.4."""
    cluster = Cluster(7)
    leave(cluster, 1, 1, (2, 3, 4))
    assert votes(cluster, m.ViewChange, 1), "it joined f + 1"
    assert not votes(cluster, m.NewView, 1)
    leave(cluster, 1, 1, (5,))
    sent = votes(cluster, m.NewView, 1)
    assert [sender for sender, _digest in sent[0].view_changes] == [1, 2, 3, 4, 5]


def test_replicas_redo_the_protocol_but_do_not_execute_again() -> None:
    """ "Replicas redo the protocol for messages between min-s and max-s but they avoid re-executing client
    requests (by using their stored information about the last reply sent to each client)." 4.4."""
    cluster = Cluster(4)
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.advance(300)
    cluster[0].crash()
    cluster.sent.clear()
    cluster.advance(2_000)
    assert {message.sequence for message in cluster.messages(m.Commit, source=2)} == {1, 2, 3}
    assert [len(node.application.order) for node in cluster.up()] == [3, 3, 3]


def test_a_null_request_goes_through_the_protocol_and_executes_nothing() -> None:
    """ "A null request goes through the protocol like other requests, but its execution is a no-op." 4.4."""
    cluster = Cluster(4)
    cluster.drop(
        lambda _s, _t, message: (
            type(message) is m.Commit or (type(message) is m.PrePrepare and message.sequence == 1)
        )
    )
    for number in range(2):
        cluster.request(f"T-{number}")
        cluster.time += 2_000_000
        cluster[0].tick()
        cluster.stabilize()
    cluster[0].crash()
    cluster.heal()
    cluster.advance(2_000)
    assert m.NULL_BATCH_DIGEST in {message.digest for message in cluster.messages(m.Commit, source=1)}
    assert cluster[1].journal.log[0].body == b""
    assert cluster[1].application.order == [(1, 0, 1), (1, 0, 0)] or len(cluster[1].application.order) == 1


# --- 4.5.2 Liveness ------------------------------------------------------------------------------


def test_a_backup_waits_for_a_request_with_a_timer() -> None:
    """ "A backup starts a timer when it receives a request and the timer is not already running. It stops
    the timer when it is no longer waiting to execute the request." 4.4. (What it says then first is
    SUSPECT: R29.)"""
    cluster = Cluster(4)
    cluster.drop(lambda _s, target, message: type(message) is m.Bundle)
    cluster.request("T-1", to=[1])
    cluster.advance(750)
    assert not cluster[1].told("suspected")
    cluster.advance(100)
    assert [told["reason"] for told in cluster[1].told("suspected")] == ["no_progress"]


def test_the_view_change_timer_starts_with_a_quorum_of_view_changes() -> None:
    """ "To avoid starting a view change too soon, a replica that multicasts a view-change message for view
    v + 1 waits for 2f + 1 view-change messages for view v + 1 and then starts its timer to expire after
    some time T." 4.5.2."""
    cluster = Cluster(7)
    leave(cluster, 6, 3, (2, 4, 5))
    cluster.drop(lambda _s, _t, _m: True)
    cluster.advance(5_000)
    assert cluster[6].core.snapshot().view == 3
    assert cluster[6].core.snapshot().suspicion == "", "four VIEW-CHANGEs with its own: no timer"
    cluster[6].hear(cluster[1], cluster.sign(m.ViewChange(0, 1, 3, (), ())))
    cluster.advance(750)
    assert cluster[6].core.snapshot().suspicion == ""
    cluster.advance(100)
    assert cluster[6].core.snapshot().suspicion == "no_new_view"


def test_the_next_wait_is_twice_as_long() -> None:
    """ "If the timer expires before it receives a valid new-view message for v + 1 [...], it starts the view
    change for view v + 2 but this time it will wait 2T before starting a view change for view v + 3."
    4.5.2."""
    cluster = Cluster(4)
    core = cluster[3].core
    leave(cluster, 3, 1, (1, 2))
    assert core.snapshot().timeout == 800_000_000
    leave(cluster, 3, 2, (1, 2))
    assert core.snapshot().timeout == 1_600_000_000


def test_f_plus_one_view_changes_are_followed_to_the_smallest() -> None:
    """ "If a replica receives a set of f + 1 valid view-change messages from other replicas for views greater
    than its current view, it sends a view-change message for the smallest view in the set, even if its
    timer has not expired." 4.5.2."""
    cluster = Cluster(4)
    cluster[3].hear(cluster[1], cluster.sign(m.ViewChange(0, 1, 7, (), ())))
    assert cluster[3].core.snapshot().view == 0
    cluster[3].hear(cluster[2], cluster.sign(m.ViewChange(0, 2, 2, (), ())))
    assert cluster[3].core.snapshot().view == 2


def test_faulty_replicas_cannot_force_frequent_view_changes() -> None:
    """ "Faulty replicas are unable to impede progress by forcing frequent view changes. A faulty replica
    cannot cause a view change by sending a view-change message, because a view change will happen only
    if at least f + 1 replicas send view-change messages." 4.5.2."""
    cluster = Cluster(4)
    for view in range(1, 30):
        leave(cluster, 1, view, (3,))
        leave(cluster, 2, view, (3,))
    assert cluster[1].core.snapshot().view == cluster[2].core.snapshot().view == 0
