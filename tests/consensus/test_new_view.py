"""The new view's content is a function that every replica computes (R33, P4, P5 and P7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.new_view import check_view_change, plan
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Door
from tests.consensus.helpers import CLUSTER, Cluster, config_for
from tests.support.table import table

A, B, C = (bytes([letter]) * 32 for letter in b"ABC")


class Forge:
    """Signs as any member: proofs of any shape."""

    def __init__(self, members: int = 4) -> None:
        self.cluster = Cluster(members)
        self.members = members
        self.quorum = quorum.quorum(members, Mode.PBFT)

    def checkpoint(self, sequence: int, *, voters: list[int] | None = None) -> tuple[bytes, ...]:
        if not sequence:
            return ()
        voters = voters if voters is not None else list(range(self.quorum))
        return tuple(self.cluster.sign(m.Checkpoint(0, i, sequence, b"s" * 32, b"l" * 32, 7)) for i in voters)

    def proof(
        self,
        view: int,
        sequence: int,
        digest: bytes,
        *,
        voters: list[int] | None = None,
        primary: int | None = None,
        voted: bytes | None = None,
        voted_view: int | None = None,
        voted_sequence: int | None = None,
    ) -> m.PreparedProof:
        lead = view % self.members if primary is None else primary
        if voters is None:
            voters = [i for i in range(self.members) if i != view % self.members][: self.quorum - 1]
        return m.PreparedProof(
            self.cluster.sign(m.PrePrepare(0, lead, view, sequence, digest)),
            tuple(
                self.cluster.sign(
                    m.Prepare(
                        0,
                        i,
                        view if voted_view is None else voted_view,
                        sequence if voted_sequence is None else voted_sequence,
                        digest if voted is None else voted,
                    )
                )
                for i in voters
            ),
        )

    def change(self, sender: int, view: int, stable: int, *proofs: m.PreparedProof) -> bytes:
        return self.cluster.sign(m.ViewChange(0, sender, view, self.checkpoint(stable), proofs))

    def checked(self, frame: bytes):  # type: ignore[no-untyped-def]
        return check_view_change(self.cluster.verified(frame, 0), self.cluster[0].core.config)


@table(("members", "interval"), [(4, 10), (4, 300), (7, 90), (7, 100), (10, 60), (13, 50)], count=6)
def test_r20_the_door_lets_in_the_largest_honest_view_change(members: int, interval: int) -> None:
    """Of a member that lacks one stable checkpoint: certificates for its whole watermark span."""
    forge = Forge(members)
    config = config_for(0, members, checkpoint_interval=interval)
    reached = range(interval + 1, interval + config.watermark_span + 1)
    frame = forge.change(2, 1, interval, *(forge.proof(0, sequence, A) for sequence in reached))
    keys = forge.cluster.keys
    door = Door(CLUSTER, keys, scheme=keys.scheme, statements_max=config.statements_max)
    verified = door.verify(door.peek(Inbound(Peer("m2", 2), frame)))
    checked = check_view_change(verified, config)
    assert checked is not None
    assert [found.sequence for found in checked.prepared] == list(reached)


@pytest.mark.parametrize(("old", "new"), [(A, B), (B, A)])
@pytest.mark.parametrize("later", [0, 2])
def test_r33_the_higher_view_wins_whatever_its_digest_and_sender(old: bytes, new: bytes, later: int) -> None:
    """What was prepared in view 2 may be committed there; what view 0 prepared can not be, any more."""
    forge = Forge()
    proofs = {0: forge.proof(0, 1, old), 2: forge.proof(0, 1, old)} | {later: forge.proof(2, 1, new)}
    view_changes = [
        forge.checked(forge.change(i, 5, 0, *([proofs[i]] if i in proofs else []))) for i in range(3)
    ]
    assert plan(view_changes).digests == ((1, new),)


def test_row_7_checkpoints_that_no_quorum_shares_start_from_the_highest() -> None:
    """indy-plenum #1506: stable checkpoints 20, 10 and 0 among q VIEW-CHANGEs; the proof decides."""
    forge = Forge()
    view_changes = [
        forge.checked(forge.change(0, 1, 20)),
        forge.checked(forge.change(1, 1, 10, forge.proof(0, 11, A), forge.proof(0, 21, C))),
        forge.checked(forge.change(2, 1, 0, forge.proof(0, 3, B))),
    ]
    found = plan(view_changes)
    assert found.base == 20
    assert found.digests == ((21, C),)


BAD_PROOFS: dict[str, Callable[[Forge], bytes]] = {
    "one PREPARE too few": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voters=[1])),
    "one PREPARE too many": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voters=[1, 2, 3])),
    "a sender twice": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voters=[2, 2])),
    "a PREPARE of the primary": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voters=[0, 2])),
    "a proposal of a backup": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, primary=2)),
    "PREPAREs of another view": lambda f: f.change(1, 3, 0, f.proof(1, 1, A, voted_view=0)),
    "PREPAREs of another sequence": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voted_sequence=2)),
    "PREPAREs of another digest": lambda f: f.change(1, 3, 0, f.proof(0, 1, A, voted=B)),
    "a certificate of the new view itself": lambda f: f.change(1, 3, 0, f.proof(3, 1, A)),
    "a certificate of a view beyond the new one": lambda f: f.change(1, 3, 0, f.proof(4, 1, A)),
    "sequences out of order": lambda f: f.change(1, 3, 0, f.proof(0, 2, A), f.proof(0, 1, B)),
    "a sequence twice": lambda f: f.change(1, 3, 0, f.proof(0, 1, A), f.proof(1, 1, B)),
    "a sequence below the checkpoint": lambda f: f.change(1, 3, 10, f.proof(0, 10, A)),
    "a sequence beyond the window": lambda f: f.change(1, 3, 0, f.proof(0, 43, A)),
    "a checkpoint without a quorum": lambda f: f.cluster.sign(
        m.ViewChange(0, 1, 3, f.checkpoint(10, voters=[0, 1]), ())
    ),
    "a checkpoint with a sender twice": lambda f: f.cluster.sign(
        m.ViewChange(0, 1, 3, f.checkpoint(10, voters=[0, 1, 1]), ())
    ),
}


@table("name", BAD_PROOFS, count=16)
def test_row_4_a_view_change_whose_proofs_prove_nothing_is_refused(name: str) -> None:
    forge = Forge()
    frame = BAD_PROOFS[name](forge)
    assert forge.checked(frame) is None
    target = forge.cluster[0]
    target.hear(forge.cluster[1], frame)
    assert [e["code"] for e in target.told("evidence")] == ["bad_view_change"]
    assert target.core.state.views.view_changes == {}


class ForgedNewViewPrimary(Forge):
    """Member 1 as a lying primary of view 1: q true VIEW-CHANGEs, a NEW-VIEW of any shape."""

    def __init__(self) -> None:
        super().__init__()
        # Sequence 1 is prepared by r3, as far as the VIEW-CHANGEs tell.
        self.changes = {
            0: self.change(0, 1, 0),
            1: self.change(1, 1, 0),
            2: self.change(2, 1, 0),
            3: self.change(3, 1, 0, self.proof(0, 1, A)),
        }

    def digest(self, sender: int) -> bytes:
        return self.cluster.verified(self.changes[sender], sender).body_digest

    def new_view(
        self, *, named: list[tuple[int, bytes]] | None = None, reproposed: list[m.PrePrepare] | None = None
    ) -> bytes:
        if named is None:
            named = [(sender, self.digest(sender)) for sender in (1, 2, 3)]
        if reproposed is None:
            reproposed = [m.PrePrepare(0, 1, 1, 1, A)]
        frames = tuple(self.cluster.sign(message) for message in reproposed)
        return self.cluster.sign(m.NewView(0, 1, 1, tuple(named), frames))

    def tell(self, frame: bytes, target: int = 0) -> None:
        for sender, change in self.changes.items():
            if sender != target:
                self.cluster[target].hear(self.cluster[sender], change)
        self.cluster[target].hear(self.cluster[1], frame)


BAD_NEW_VIEWS: dict[str, Callable[[ForgedNewViewPrimary], bytes]] = {
    "(a) omits a prepared batch": lambda u: u.new_view(reproposed=[]),
    "(b) swaps the digest": lambda u: u.new_view(reproposed=[m.PrePrepare(0, 1, 1, 1, B)]),
    "(b) fills it with null": lambda u: u.new_view(
        reproposed=[m.PrePrepare(0, 1, 1, 1, m.NULL_BATCH_DIGEST)]
    ),
    "(c) reproposes it in another view": lambda u: u.new_view(reproposed=[m.PrePrepare(0, 1, 5, 1, A)]),
    "(c) reproposes it at another sequence": lambda u: u.new_view(reproposed=[m.PrePrepare(0, 1, 1, 2, A)]),
    "adds a sequence": lambda u: u.new_view(
        reproposed=[m.PrePrepare(0, 1, 1, 1, A), m.PrePrepare(0, 1, 1, 2, B)]
    ),
    "a proposal of another member": lambda u: u.new_view(reproposed=[m.PrePrepare(0, 2, 1, 1, A)]),
    "(e) one sender twice": lambda u: u.new_view(
        named=[(1, u.digest(1)), (2, u.digest(2)), (2, u.digest(2))]
    ),
    "(e) the first sender twice": lambda u: u.new_view(
        named=[(1, u.digest(1)), (1, u.digest(1)), (2, u.digest(2))], reproposed=[]
    ),
    "too few VIEW-CHANGEs": lambda u: u.new_view(named=[(1, u.digest(1)), (2, u.digest(2))]),
    "one VIEW-CHANGE too many": lambda u: u.new_view(
        named=[(0, u.digest(0)), (1, u.digest(1)), (2, u.digest(2)), (3, u.digest(3))]
    ),
    "names in no order": lambda u: u.new_view(named=[(2, u.digest(2)), (1, u.digest(1)), (3, u.digest(3))]),
    "one VIEW-CHANGE under another's name": lambda u: u.new_view(
        named=[(0, u.digest(1)), (2, u.digest(2)), (3, u.digest(3))]
    ),
}


@table("name", BAD_NEW_VIEWS, count=13)
def test_row_4_a_new_view_that_does_not_follow_is_refused(name: str) -> None:
    """Every replica recomputes the list and compares (P4 a to e)."""
    forger = ForgedNewViewPrimary()
    forger.tell(BAD_NEW_VIEWS[name](forger))
    snapshot = forger.cluster[0].core.snapshot()
    assert snapshot.view == 0 or snapshot.changing
    if not name.startswith("one VIEW-CHANGE"):  # that one waits for a VIEW-CHANGE of r0's digest
        assert [e["code"] for e in forger.cluster[0].told("evidence")] == ["bad_new_view"]


def test_row_4_d_view_changes_for_different_views_do_not_mix() -> None:
    forger = ForgedNewViewPrimary()
    forger.changes[3] = forger.change(3, 2, 0)
    forger.tell(forger.new_view(reproposed=[]))
    snapshot = forger.cluster[0].core.snapshot()
    assert snapshot.view == 0 or snapshot.changing


def test_row_4_e_one_view_change_under_two_names_is_no_quorum() -> None:
    """So the batch that m3 prepared would be lost: m3's own VIEW-CHANGE is left out, m1's counts twice."""
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    for sender in (1, 2):
        cluster[3].hear(cluster[sender], forger.changes[sender])
    named = [(0, forger.digest(1)), (1, forger.digest(1)), (2, forger.digest(2))]
    cluster[3].hear(cluster[1], forger.new_view(named=named, reproposed=[]))
    # m3 wishes for what m0 is said to have signed, and is given m1's.
    cluster[3].hear(cluster[1], forger.changes[1])
    assert not cluster[3].core.state.views.is_active(1)
    assert [each["code"] for each in cluster[3].told("evidence")] == ["bad_new_view"]


def test_row_4_e_a_view_change_under_another_members_name_begins_no_view() -> None:
    """m3 asks for the one that m0 is said to have signed, and is given m2's, which it has."""
    cluster = Cluster(4)
    frames = {sender: cluster.sign(m.ViewChange(0, sender, 1, (), ())) for sender in (1, 2)}
    digest = {sender: cluster.verified(frame, sender).body_digest for sender, frame in frames.items()}
    for sender, frame in frames.items():
        cluster[3].hear(cluster[sender], frame)
    cluster.waiting.clear()
    named = ((0, digest[2]), (1, digest[1]), (2, digest[2]))
    cluster[3].hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, named, ())))
    cluster.advance(100)
    assert [each for each in cluster.messages(m.FetchViewChange, source=3) if each.digest == digest[2]]
    cluster[3].hear(cluster[1], frames[2])
    snapshot = cluster[3].core.snapshot()
    assert (snapshot.view, snapshot.changing) == (1, True), "two VIEW-CHANGEs of four members begin no view"


def test_a_waiting_replica_suspects_at_once_after_a_wrong_new_view() -> None:
    """No need to sit out the timer when the new primary is caught lying."""
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    for sender in (2, 3):
        cluster[0].hear(cluster[sender], forger.changes[sender])
    assert cluster[0].core.snapshot().changing
    forger.tell(forger.new_view(reproposed=[]))
    assert cluster[0].core.snapshot().suspicion == "bad_new_view"


def test_a_wrong_new_view_of_a_later_primary_causes_no_suspicion() -> None:
    """Only the awaited NEW-VIEW is a cause of suspicion."""
    forger = ForgedNewViewPrimary()
    forger.changes = {1: forger.changes[1]}
    forger.tell(forger.new_view(named=[(1, A), (2, B)], reproposed=[]))
    assert forger.cluster[0].told("evidence")
    assert forger.cluster[0].core.snapshot().suspicion == ""
