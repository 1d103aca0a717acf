"""Attacks that once succeeded, replayed as a Byzantine member or a fault caused them."""

from __future__ import annotations

import itertools

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import batch_digest
from tests.consensus.helpers import MILLISECOND, WALL_START, Cluster, is_kind
from tests.consensus.test_view_change import killed_primary


def views(cluster: Cluster, members: tuple[int, ...]) -> list[int]:
    return [cluster[i].core.snapshot().view for i in members]


@pytest.mark.parametrize("late", [True, False])
def test_r21_a_prepared_batch_of_an_old_view_is_no_fork(late: bool) -> None:
    """No liar: m3 holds (or completes) a certificate of view 0 for a sequence that view 1 decided anew."""
    cluster = Cluster(4)
    cluster.advance(300)

    def lost(source: int, target: int, message: object) -> bool:
        kind = type(message)
        if kind is m.Prepare and message.view == 0:  # type: ignore[attr-defined]
            return late or target != 3
        if kind is m.SupplyFrames:
            return True
        if target == 3 and kind in (m.Suspect, m.ViewChange, m.NewView):
            return True
        return source == 3 and kind in (m.Commit, m.Suspect, m.ViewChange)

    cluster.drop(lost)
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    prepares = [x for x in cluster.messages(m.Prepare) if x.sender == 1 and x.view == 0]
    for _ in range(60):
        cluster.advance(100)
        if cluster[3].core.executed:
            break
    assert cluster[3].core.executed == 1, "caught up while still in view 0"
    if late:
        cluster[3].hear(cluster[1], cluster.sign(prepares[0]))
    cluster.advance(2_000)
    cluster[3].restart()
    cluster.advance(2_000)
    cluster.heal()
    cluster.request("T-2", to=[0, 1, 2, 3])
    cluster.advance(3_000)
    assert len(set(cluster.executed())) == 1


def test_row_13_votes_alone_are_no_waiting_work() -> None:
    """f = 1 backup sends one PREPARE for nothing on an idle cluster: the primary stays."""
    cluster = Cluster(4)
    cluster.advance(1_000)
    cluster[3].crash()
    vote = cluster.sign(m.Prepare(0, 3, 0, cluster[0].core.executed + 1, b"z" * 32))
    for index in range(3):
        cluster[index].hear(cluster[3], vote)
    cluster.advance(10_000)
    assert views(cluster, (0, 1, 2)) == [0, 0, 0]


def test_row_13_a_vote_long_before_its_proposal_does_not_age_it() -> None:
    cluster = Cluster(4)
    cluster.advance(1_000)
    cluster[3].crash()
    vote = cluster.sign(m.Prepare(0, 3, 0, cluster[0].core.executed + 1, b"z" * 32))
    for index in range(3):
        cluster[index].hear(cluster[3], vote)
    cluster.advance(10_000)
    cluster.request("T-1", to=[0])
    cluster.advance(100)
    assert views(cluster, (0, 1, 2)) == [0, 0, 0]
    assert cluster.executed()[:3] == [1, 1, 1]


def test_row_13_an_early_vote_makes_no_primary_suspect_itself() -> None:
    """Seed 600839: what it proposes waits since then, not since a liar's vote for that sequence. Its own
    SUSPECT and the liar's would be enough for all others to join (R29)."""
    cluster = Cluster(4)
    cluster.advance(1_000)
    cluster[3].crash()
    vote = cluster.sign(m.Prepare(0, 3, 0, cluster[0].core.executed + 1, b"z" * 32))
    cluster[0].hear(cluster[3], vote)
    cluster.advance(10_000)
    cluster.drop(lambda *_: True)
    cluster.request("T-1", to=[0])
    cluster.advance(700)
    assert cluster.messages(m.PrePrepare)
    assert not cluster[0].told("suspected"), "T has not passed since its proposal"
    cluster.advance(200)
    assert cluster[0].told("suspected"), "nobody answers it: now it has"


def test_row_14_an_oversized_request_does_not_wait_after_a_view_change() -> None:
    """A liar proposes a bundle over the batch limit; the correct members must not depose each other."""
    cluster = Cluster(4)
    cluster.advance(300)
    big = cluster.bundle("T-big", value=b"x" * 600_000)
    bundle = cluster.verified(big, 0).bundle
    assert bundle is not None
    batch = m.Batch(0, cluster[0].core.state.now.wall // 1000, (big,))
    digest = batch_digest(0, batch.proposed, (bundle.digest,))
    frame = cluster.sign(m.PrePrepare(0, 0, 0, 1, digest), canonical.encode(batch))
    cluster[0].crash()
    for index in (1, 2, 3):
        cluster[index].hear(cluster[0], frame)
    cluster.advance(3_000)
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(15_000)
    assert cluster.executed()[1:] == [1, 1, 1]
    assert views(cluster, (1, 2, 3)) == [1, 1, 1]


def test_row_15_an_oversize_batch_is_refused_before_its_signature() -> None:
    """It would fill the room for bodies, and no honest replica votes for it."""
    cluster = Cluster(4)
    body = b"x" * (cluster[1].core.config.batch_bytes_max + 1)
    proposal = cluster.sign(m.PrePrepare(0, 0, 0, 1, b"d" * 32), body)
    assert cluster[1].core.wants(cluster.header(proposal, 0)) is Reason.TOO_LARGE
    supplied = cluster[0].signer.link(m.SupplyBatch(body))
    assert cluster[1].core.wants(cluster.header(supplied, 0)) is Reason.TOO_LARGE


def test_row_15_bodies_of_a_left_view_make_room() -> None:
    """What only a deposed primary named is forgotten; what may be reproposed is kept."""
    cluster = Cluster(4)
    cluster.advance(300)
    frame = cluster.bundle("T-liar", value=b"x" * 100_000)
    bundle = cluster.verified(frame, 0).bundle
    assert bundle is not None
    base = cluster[0].core.state.now.wall // 1000
    cluster[0].crash()
    for sequence in range(2, 12):
        digest = batch_digest(0, base + sequence, (bundle.digest,))
        body = canonical.encode(m.Batch(0, base + sequence, (frame,)))
        for index in (1, 2, 3):
            proposal = cluster.sign(m.PrePrepare(0, 0, 0, sequence, digest), body)
            cluster[index].hear(cluster[0], proposal)
    assert cluster[1].core.state.bodies._bytes > 1_000_000
    cluster.request("T-1", to=[1, 2, 3])
    cluster.advance(5_000)
    assert min(cluster.executed()[1:]) >= 1
    assert cluster[1].core.state.bodies._bytes < 300_000


@pytest.mark.parametrize("turn", [390, 410, 700])
def test_r31_slow_turns_do_not_put_off_suspicion_for_ever(turn: int) -> None:
    """Turns just over T / 2 apart are a slow machine, not a pause each time."""
    cluster = Cluster(4)
    cluster.advance(300)
    cluster[0].crash()
    cluster.request("T-1", to=[1, 2, 3])
    cluster.stabilize()
    for _ in range(30_000 // turn):
        cluster.time += turn * MILLISECOND
        for index in (1, 2, 3):
            cluster[index].tick()
        cluster.stabilize()
    assert cluster.executed()[1:] == [1, 1, 1]
    assert min(views(cluster, (1, 2, 3))) >= 1


def test_row_17_the_source_changes_with_every_answer() -> None:
    """A source that drips one entry at a time slows only its own share of the questions."""
    cluster = Cluster(4)
    cluster.advance(300)
    cluster.drop(lambda source, target, message: 3 in (source, target))
    for number in range(150):
        cluster.request(f"T-{number}")
        cluster.advance(20)
    cluster.heal()
    asked: list[int] = []

    def spy(source: int, target: int, message: object) -> bool:
        if source == 3 and type(message) is m.FetchEntries:
            asked.append(target)
        return False

    cluster.drop(spy)
    cluster.advance(5_000)
    assert len(set(cluster.executed())) == 1
    assert len(asked) >= 3
    assert all(first != then for first, then in itertools.pairwise(asked))


def test_row_15_a_batch_with_too_many_operations_is_not_kept() -> None:
    """The primary's body is small and dense: decoded it would take many times as much."""
    cluster = Cluster(4)
    operation = m.Operation("seed", "", "T", "", "m0", 0)
    requests = tuple(
        cluster.client.sign(m.Bundle(0, "gateway", b"c", (1, 0), number, 0, (operation,) * 600))
        for number in range(2)
    )
    proposed = WALL_START // 1_000 + cluster.time // 1_000
    body = canonical.encode(m.Batch(0, proposed, requests))
    digest = cluster[1].door.batch(body).digest
    proposal = cluster.sign(m.PrePrepare(0, 0, 0, 1, digest), body)
    for target in (1, 2, 3):
        cluster[target].hear(cluster[0], proposal)
    cluster.stabilize()
    assert cluster[1].told("body_refused")[0] == {"sequence": 1, "reason": "too_large"}
    assert digest not in cluster[1].core.state.bodies
    assert not cluster.messages(m.Prepare)


def test_r29_a_relayed_suspicion_needs_the_replicas_own_cause_to_count() -> None:
    """n = 7: a SUSPECT has no date. With an old one that a liar kept, who only joined three must not go."""
    cluster = Cluster(7)
    cluster.drop(is_kind(m.Suspect, m.SupplyFrames))
    for sender, reason in ((5, "lie"), (6, "lie"), (1, "no_progress")):
        cluster[3].hear(cluster[sender], cluster.sign(m.Suspect(0, sender, 1, reason)))
    assert cluster[3].core.snapshot().suspicion == "joined"
    kept = cluster.sign(m.Suspect(0, 2, 1, "no_progress"))
    cluster[3].hear(cluster[5], cluster[5].signer.link(m.SupplyFrames((kept,))))
    assert not cluster[3].core.snapshot().changing
    cluster[3].core.suspicion.cause = "no_progress"
    cluster[3].core.suspicion.evaluate()
    assert cluster[3].core.snapshot().changing, "its own eyes, three others and the one shown are q"


def test_row_14_entering_a_view_forwards_waiting_requests_at_once() -> None:
    """Not with the next tick: a gate waits for it. Only m3 knows the request."""
    cluster = killed_primary()
    cluster.request("T-after", to=[3])
    # From here on nobody's clock runs: what is not said on entering is not said.
    while not all(node.core.state.views.is_active(1) for node in cluster.up()):
        if not cluster.deliver():
            cluster.advance(1, deliver=False)
    cluster.stabilize()
    assert [len(node.journal.log) for node in cluster.up()] == [2, 2, 2]
