"""Votes: counted once, given once, never against an own one (R6, R7, R21; P2, P3, P11, P16)."""

from __future__ import annotations

import inspect

import pytest

from dtvn.protocol.consensus import InvariantBreach, Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, Reason, SlotRecord
from dtvn.protocol.consensus.verified import Verified
from tests.consensus.helpers import MILLISECOND, Cluster, is_kind, open_frame

OTHER = b"o" * 32


def proposal(cluster: Cluster) -> m.PrePrepare:
    """r0 proposes sequence 1 and no frame is delivered yet."""
    cluster.request("T-1")
    return cluster.messages(m.PrePrepare)[0]


def test_row_2_every_handler_takes_verified_messages_only() -> None:
    core = Cluster(4)[0].core
    for kind, handler in core._handlers.items():
        first = next(iter(inspect.signature(handler).parameters.values()))
        assert str(first.annotation).startswith("Verified["), f"{kind.__name__}: {first}"


def test_row_3_the_same_vote_many_times_counts_once() -> None:
    cluster = Cluster(4)
    sent = proposal(cluster)
    cluster.waiting.clear()
    vote = cluster.sign(m.Prepare(0, 1, 0, 1, sent.digest))
    for _ in range(10):
        cluster[0].hear(cluster[1], vote)
    assert not cluster.messages(m.Commit, source=0)
    cluster[0].hear(cluster[2], cluster.sign(m.Prepare(0, 2, 0, 1, sent.digest)))
    assert cluster.messages(m.Commit, source=0)


def test_row_3_votes_for_two_digests_are_counted_apart_and_are_evidence() -> None:
    cluster = Cluster(4)
    sent = proposal(cluster)
    cluster.waiting.clear()
    target = cluster[0]
    target.hear(cluster[1], cluster.sign(m.Prepare(0, 1, 0, 1, OTHER)))
    target.hear(cluster[1], cluster.sign(m.Prepare(0, 1, 0, 1, sent.digest)))
    target.hear(cluster[2], cluster.sign(m.Prepare(0, 2, 0, 1, sent.digest)))
    assert not cluster.messages(m.Commit, source=0), "the second vote of r1 does not count"
    found = target.told("evidence")
    assert [(e["code"], e["sender"], e["sequence"]) for e in found] == [("prepare", 1, 1)]
    assert len(found[0]["frames"]) == 2, "two signed statements that contradict each other"


def test_row_3_each_contradiction_is_reported_once() -> None:
    cluster = Cluster(4)
    for letter in range(40):
        vote = m.Commit(0, 1, 0, 1, bytes([letter]) * 32)
        cluster[0].hear(cluster[1], cluster.sign(vote))
    assert len(cluster[0].told("evidence")) == 1


@pytest.mark.parametrize("lacking", [True, False])
def test_row_3_a_commit_that_contradicts_the_one_that_decided_is_evidence(*, lacking: bool) -> None:
    """A liar that sends two at once, the first of which decides, would leave no trace otherwise. `lacking`:
    the body is not here, so the sequence is decided and not executed."""
    cluster = Cluster(4)
    sent = proposal(cluster)
    target = cluster[3]
    if not lacking:
        cluster.drop(is_kind(m.Commit))
        cluster.stabilize()
    cluster.waiting.clear()
    voters = (0, 1, 2) if lacking else (0, 2)
    for sender in voters:
        target.hear(cluster[sender], cluster.sign(m.Commit(0, sender, 0, 1, sent.digest)))
    assert target.core.executed == (0 if lacking else 1)
    assert not target.told("evidence")
    first, second = (cluster.sign(m.Commit(0, 2, 0, 1, digest)) for digest in (sent.digest, OTHER))
    target.hear(cluster[2], second)
    assert [(e["code"], e["sender"]) for e in target.told("evidence")] == [("commit", 2)]
    assert target.hear(cluster[2], second) is Reason.SECOND_MESSAGE, "the rest is dropped unread"
    assert target.hear(cluster[2], first) is Reason.DECIDED, "and so is what says nothing new"


def test_a_prepare_of_the_primary_does_not_count_as_a_vote() -> None:
    """Its PRE-PREPARE is; otherwise one member would count twice in a certificate."""
    cluster = Cluster(4)
    vote = cluster.sign(m.Prepare(0, 0, 0, 1, OTHER))
    assert cluster[1].hear(cluster[0], vote) is Reason.FROM_PRIMARY


def make_proposal(
    cluster: Cluster,
    ticket: str,
    *,
    sequence: int = 1,
    view: int = 0,
    origin_view: int | None = None,
    shift: int = 0,
    requests: tuple[bytes, ...] | None = None,
    attach: bool = True,
) -> bytes:
    """A PRE-PREPARE of the view's primary, as a liar could make it. `shift`: microseconds."""
    frames = requests if requests is not None else (cluster.bundle(ticket),)
    origin = view if origin_view is None else origin_view
    batch = m.Batch(origin, cluster[0].now().wall // 1_000 + shift, frames)
    body = m.canonical.encode(batch)
    digests = tuple(cluster.verified(frame, 0).bundle.digest for frame in frames)
    digest = m.batch_digest(batch.origin_view, batch.proposed, digests)
    message = m.PrePrepare(0, view % cluster.members, view, sequence, digest)
    return cluster.sign(message, body if attach else b"")


def test_r21_an_own_prepare_for_another_digest_blocks_no_decided_batch() -> None:
    """r3 prepared a batch that the lying primary proposed to it alone; the others decide the other batch."""
    cluster = Cluster(4)
    lonely = make_proposal(cluster, "T-lonely")
    common = make_proposal(cluster, "T-common")
    cluster[3].hear(cluster[0], lonely)
    cluster.waiting.clear()
    for index in (1, 2, 3):
        cluster[index].hear(cluster[0], common)
    # The liar itself helps the common batch.
    digest = cluster.verified(common, 0).message.digest
    cluster.stabilize()
    for index in (1, 2, 3):
        cluster[index].hear(cluster[0], cluster.sign(m.Commit(0, 0, 0, 1, digest)))
    cluster.stabilize()
    assert [list(cluster[i].application.values) for i in (1, 2, 3)] == [["T-common"]] * 3
    assert len({vote.digest for vote in cluster.messages(m.Prepare, source=3)}) == 1
    assert cluster.messages(m.Commit, source=3), "prepared by the others' votes, it may COMMIT"


def test_r21_a_missing_body_is_fetched_by_digest() -> None:
    cluster = Cluster(4)
    cluster.drop(lambda _s, target, message: type(message) is m.PrePrepare and target == 3)
    cluster.request("T-1")
    cluster.stabilize()
    assert cluster.executed() == [1, 1, 1, 0]
    cluster.advance(100)
    assert cluster.messages(m.FetchBatch, source=3)
    assert cluster.executed() == [1] * 4


def test_row_16_a_primary_whose_clock_is_ahead_gets_no_prepare() -> None:
    cluster = Cluster(4)
    frame = make_proposal(cluster, "T-1", shift=3_600_000_000)
    cluster[1].hear(cluster[0], frame)
    assert not cluster.messages(m.Prepare, source=1)
    assert [w["reason"] for w in cluster[1].told("abstained")] == [Reason.BAD_TIMESTAMP.value]
    assert cluster[1].core.snapshot().slots[0].abstain_reason == Reason.BAD_TIMESTAMP.value


@pytest.mark.parametrize(("seconds", "voted"), [(-3, True), (-3_600, True), (1, True), (3, False)])
def test_r3_lateness_is_no_ground_to_withhold_a_vote(seconds: int, *, voted: bool) -> None:
    """An old time moves nothing back, and frames that wait in sockets are as old in any view."""
    cluster = Cluster(4)
    cluster[1].hear(cluster[0], make_proposal(cluster, "T-1", shift=seconds * 1_000_000))
    assert bool(cluster.messages(m.Prepare, source=1)) is voted


@pytest.mark.parametrize(
    ("stamped", "voted"), [(True, False), (False, True)], ids=["when-taken", "unstamped"]
)
def test_r3_a_proposal_is_judged_when_it_was_taken_from_its_socket(*, stamped: bool, voted: bool) -> None:
    """It came ten seconds too early, and waited as long in this node's own queues."""
    cluster = Cluster(4)
    backup, waited = cluster[1], 10_000 * MILLISECOND
    proposal = cluster.verified(make_proposal(cluster, "T-1", shift=10_000_000), 0)
    taken = backup.now()
    later = Now(taken.monotonic + waited, taken.wall + waited, taken.monotonic if stamped else 0)
    backup.take(backup.core.receive(proposal, later))
    assert bool(cluster.messages(m.Prepare, source=1)) is voted


def test_r3_a_proposal_ahead_of_the_clock_is_voted_for_once_it_is_near() -> None:
    """It is shown again, as everything that is not settled."""
    cluster = Cluster(4)
    frame = make_proposal(cluster, "T-1", shift=3_000_000)
    for voted in (False, True):
        cluster[1].hear(cluster[0], frame)
        assert bool(cluster.messages(m.Prepare, source=1)) is voted
        cluster.time += 1_500 * MILLISECOND


def test_r3_what_a_quorum_withheld_ends_its_view_even_if_turns_are_long() -> None:
    """Each turn comes so long after the one before that it looks like a pause, which moves all clocks."""
    cluster = Cluster(4)
    cluster[0].skew = 3_600_000 * MILLISECOND
    cluster.request("T-1", to=[0, 1, 2, 3])
    for _ in range(4):
        cluster.time += 1_700 * MILLISECOND
        for node in cluster.nodes:
            node.tick()
        cluster.stabilize()
    assert all(node.told("left_view") for node in cluster.nodes[1:])
    assert cluster[1].core.ordering.withheld_for_time.ahead > 3_590_000_000


def test_row_16_a_backup_with_a_wrong_clock_still_commits_and_executes() -> None:
    """R21: it withholds its own PREPARE only; with q - 1 of others it commits and executes."""
    cluster = Cluster(4)
    cluster[3].skew = -3_600_000 * MILLISECOND
    cluster.request("T-1")
    cluster.stabilize()
    assert not cluster.messages(m.Prepare, source=3)
    assert cluster.messages(m.Commit, source=3)
    assert cluster.executed() == [1] * 4


def test_row_16_a_reproposed_batch_keeps_its_time_without_a_clock_check() -> None:
    """Half an hour passes between prepare and the new view (R3, R19)."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    proposed = cluster[1].core.state.bodies.get(cluster.messages(m.PrePrepare)[0].digest).batch.proposed
    for node in cluster.nodes:
        node.crash()
    cluster.heal()
    cluster.waiting.clear()
    cluster.time += 1_800_000 * MILLISECOND
    for index in (1, 2, 3):
        cluster[index].restart()
    cluster.drop(is_kind(m.Commit))
    cluster.advance(900)
    cluster.heal()
    cluster.advance(2_000)
    assert [len(cluster[i].journal.log) for i in (1, 2, 3)] == [1, 1, 1]
    assert cluster[1].journal.log[0].entry.timestamp == proposed


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("origin", Reason.BAD_BATCH),
        ("twice", Reason.DUPLICATE_REQUEST),
        ("executed", Reason.DUPLICATE_REQUEST),
        ("beside a change of the membership", Reason.BAD_BATCH),
    ],
)
def test_r19_a_fresh_proposal_is_refused_for_its_content(what: str, reason: Reason) -> None:
    cluster = Cluster(4)
    frame = cluster.request("T-1")
    cluster.stabilize()
    fresh = cluster.bundle("T-2")
    change = cluster.client.sign(
        m.Bundle(
            0,
            "gateway",
            b"client-1",
            (1, 0),
            9,
            0,
            (m.Operation("reconfigure", "", "", "actor", "", 1 << 60, b"", b""),),
        )
    )
    bad = {
        "origin": lambda: make_proposal(cluster, "T-3", sequence=2, origin_view=3),
        "twice": lambda: make_proposal(cluster, "", sequence=2, requests=(fresh, fresh)),
        "executed": lambda: make_proposal(cluster, "", sequence=2, requests=(frame,)),
        "beside a change of the membership": lambda: make_proposal(
            cluster, "", sequence=2, requests=(fresh, change)
        ),
    }[what]()
    cluster.sent.clear()
    cluster[1].hear(cluster[0], bad)
    assert not cluster.messages(m.Prepare, source=1)
    assert [w["reason"] for w in cluster[1].told("abstained")] == [reason.value]


def test_row_9_a_replayed_batch_executes_nothing_twice() -> None:
    """The primary proposes batch 1 again as sequence 2, and q members committed it."""
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    digest = cluster.messages(m.PrePrepare)[0].digest
    for index in (1, 2, 3):
        for sender in (0, 1, 2, 3):
            if sender != index:
                vote = cluster.sign(m.Commit(0, sender, 0, 2, digest))
                cluster[index].hear(cluster[sender], vote)
    assert cluster.executed() == [1, 2, 2, 2]
    assert [key[2] for key in cluster[1].application.order] == [0]


def test_a_fresh_null_request_is_refused() -> None:
    """Only a NEW-VIEW may fill holes."""
    cluster = Cluster(4)
    frame = cluster.sign(m.PrePrepare(0, 0, 0, 1, m.NULL_BATCH_DIGEST))
    assert cluster[1].hear(cluster[0], frame) is Reason.BAD_BATCH


def test_only_the_primary_proposes() -> None:
    cluster = Cluster(4)
    frame = cluster.sign(m.PrePrepare(0, 2, 0, 1, OTHER))
    assert cluster[1].hear(cluster[2], frame) is Reason.NOT_PRIMARY


def test_r6_before_a_prepare_leaves_proposal_and_body_are_durable() -> None:
    cluster = Cluster(4)
    cluster[1].hear(cluster[0], make_proposal(cluster, "T-1"))
    records = {r.phase: r for r in cluster[1].journal.turns[-1] if isinstance(r, SlotRecord)}
    assert records["pre_prepare"].body
    assert set(records) == {"pre_prepare", "prepare"}


def test_r6_before_a_commit_leaves_the_certificate_is_durable() -> None:
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    for node in cluster.nodes:
        turn = next(t for t in node.journal.turns if any(getattr(r, "phase", "") == "commit" for r in t))
        prepared = next(r for r in turn if getattr(r, "phase", "") == "prepared")
        assert len(prepared.frames) == 1 + 2, "PRE-PREPARE and q - 1 PREPAREs"


def test_r6_nothing_is_lost_if_all_crash_between_commit_and_execution() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    assert cluster.executed() == [0] * 4
    cluster.all_die_and_return()
    assert cluster.executed() == [1] * 4


def test_r7_a_restart_sends_the_same_bytes() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    before = [frame for record in cluster[1].journal.slots.values() for frame in record.frames]
    cluster[1].crash()
    cluster.waiting.clear()
    cluster.heal()
    cluster[1].restart()
    kinds = (m.Prepare, m.Commit)
    again = [f for source, _t, f in cluster.waiting if source is cluster[1] and _kind(f) in kinds]
    assert len(again) == 2 * 3
    assert set(again) <= set(before)


def _kind(frame: bytes) -> type:
    return type(open_frame(frame))


def test_row_11_an_old_vote_binds_after_a_restart() -> None:
    """It prepared one batch, died, and is shown another for the same slot."""
    cluster = Cluster(4)
    first, second = (make_proposal(cluster, ticket) for ticket in ("T-1", "T-2"))
    cluster[1].hear(cluster[0], first)
    cluster[1].crash()
    cluster[1].restart()
    cluster.sent.clear()
    cluster[1].hear(cluster[0], second)
    votes = cluster.messages(m.Prepare, source=1)
    assert {v.digest for v in votes} <= {cluster.verified(first, 0).message.digest}


def test_a_vote_against_an_own_one_stops_the_replica() -> None:
    """It cannot happen by construction; if it does, the process must end (R7)."""
    core: Replica = Cluster(4)[1].core
    core.state.own_votes.cast(view=0, sequence=1, phase="prepare", digest=OTHER)
    with pytest.raises(InvariantBreach):
        core.state.own_votes.cast(view=0, sequence=1, phase="prepare", digest=b"x" * 32)


def test_invariants_notice_a_vote_that_was_not_cast() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1")
    cluster.stabilize()
    slot = cluster[1].core.state.log.slots[1]
    slot.prepares.votes[1] = type(slot.prepares.votes[1])(OTHER, slot.prepares.votes[1].frame)
    with pytest.raises(InvariantBreach):
        _look_often(cluster[1].core)


def _look_often(core: Replica) -> None:
    """Runs the deep check every few steps."""
    for _ in range(64):
        core.invariants()


def test_r5_settled_statements_are_refused_before_their_signature() -> None:
    """`wants` drops old, decided and second messages: forged ones cost nothing either."""
    cluster = Cluster(4)
    cluster.request("T-1")
    cluster.stabilize()
    digest = cluster.messages(m.PrePrepare)[0].digest
    core = cluster[1].core
    expected = {
        m.Commit(0, 3, 0, 1, digest): Reason.DECIDED,
        m.Commit(0, 3, 0, 900, digest): Reason.OUTSIDE_WINDOW,
        m.Prepare(0, 2, 0, 1, digest): Reason.SECOND_MESSAGE,
        m.Prepare(0, 9, 0, 1, digest): Reason.UNKNOWN_SENDER,
        m.Prepare(1, 2, 0, 1, digest): Reason.WRONG_EPOCH,
        m.PrePrepare(0, 0, 0, 1, digest): Reason.SECOND_MESSAGE,
        m.Checkpoint(0, 2, 1, digest, digest, 0): Reason.MALFORMED,
        m.Checkpoint(0, 2, 700, digest, digest, 0): Reason.OUTSIDE_WINDOW,
        m.ViewChange(0, 2, 0, (), ()): Reason.OLD_VIEW,
        m.NewView(0, 0, 0, (), ()): Reason.OLD_VIEW,
        m.Suspect(0, 2, 0, ""): Reason.OLD_VIEW,
        m.Receipt(0, 2, 1, digest): Reason.WRONG_KIND,
    }
    for message, reason in expected.items():
        if type(message).__name__ == "NewView":
            frame = cluster.sign(message)
            assert core.wants(cluster.header(frame, 0)) is reason
            continue
        frame = cluster.sign(message) if message.sender < 4 else cluster.client.sign(message)
        assert core.wants(cluster.header(frame, 2)) is reason, message


def test_handlers_refuse_verified_messages_of_another_epoch_or_sender() -> None:
    """A handler given a message of another epoch or sender refuses it though it was verified."""
    cluster = Cluster(4)
    frame = cluster.sign(m.Prepare(0, 2, 0, 1, OTHER))
    good = cluster.verified(frame, 2)
    bad: Verified[m.Prepare] = Verified(
        peer=good.peer,
        message=m.Prepare(7, 2, 0, 1, OTHER),
        frame=frame,
        body_digest=good.body_digest,
    )
    effects = cluster[1].core.receive(bad, cluster[1].now())
    assert [note.fields["reason"] for note in effects.notes] == [Reason.WRONG_EPOCH.value]
    assert not cluster[1].core.state.log.slots
