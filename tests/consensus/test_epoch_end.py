"""The end of an epoch inside one replica: nothing above it across restarts and views, and a durable proof of
it (R16, R35; P18).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.application import BatchResult
from dtvn.protocol.consensus.effects import Effects, Reason, Successor
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.membership import KIND, Membership
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Parameters
from tests.consensus.helpers import Cluster, Node, is_kind
from tests.consensus.test_epoch_change_proof import Tree
from tests.consensus.test_learner import Following
from tests.consensus.test_new_view import Forge
from tests.consensus.test_voting import make_proposal

HOUR = 3_600_000_000_000


class Ending(Tree):
    """Its epoch ends with the first change that is not refused."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0

    def execute(self, bundles: Sequence[VerifiedBundle], *, sequence: int, timestamp: int) -> BatchResult:
        operations = [operation for verified in bundles for operation in verified.bundle.operations]
        if any(each.kind == KIND and each.payload != b"refused" for each in operations):
            self.ended = sequence
        found: BatchResult = super().execute(bundles, sequence=sequence, timestamp=timestamp)
        return found

    def membership(self) -> Membership:
        return Membership(1, self.ended, (), Parameters()) if self.ended else super().membership()


class Ends(Cluster):
    """Four members of such an epoch; keeps what each hands over."""

    state = Ending

    def __init__(self) -> None:
        self.successors: dict[int, list[Successor]] = {}
        super().__init__(4)
        for node in self.nodes:
            self.listen(node)

    def listen(self, node: Node) -> None:
        take = node.take

        def taking(effects: Effects) -> None:
            take(effects)
            if effects.successor is not None:
                self.successors.setdefault(node.index or 0, []).append(effects.successor)

        node.take = taking  # type: ignore[method-assign]

    def change(self, payload: bytes = b"") -> bytes:
        """A request that changes the membership; `refused`: one that does not."""
        operation = m.Operation(KIND, "default", "", "actor", "m0", 1 << 60, b"", payload)
        bundle = m.Bundle(0, "gateway", b"client-1", (1, 0), self._number, 0, (operation,))
        self._number += 1
        return self.client.sign(bundle)

    def ask(self, frame: bytes) -> None:
        for node in self.up():
            node.hear(None, frame)
        self.stabilize()

    def withholds(self, index: int, frame: bytes) -> bool:
        """Whether a member gives a proposal of the primary no PREPARE because the epoch may end."""
        given = len(self.messages(m.Prepare, source=index))
        self[index].hear(self[0], frame)
        slot = self[index].core.state.log.slots[2]
        same = len(self.messages(m.Prepare, source=index)) == given
        return slot.abstain_reason is Reason.EPOCH_ENDS and slot.my_prepare is None and same

    def proof(self, index: int) -> epoch_change_proof.EpochChangeProof | None:
        return epoch_change_proof.read(self[index].journal.states.values(), 0)


class Followed(Following):
    """Such an epoch, followed by a learner."""

    state = Ending
    change = Ends.change


def ended(*, stable: bool = False) -> Ends:
    """The change is executed at 1 by all; the CHECKPOINTs of it are lost, or not."""
    cluster = Ends()
    if not stable:
        cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames))
    cluster.ask(cluster.change())
    assert cluster.executed() == [1] * 4
    assert [node.core.epoch_change.ends_at for node in cluster.nodes] == [1] * 4
    assert {node.core.state.views.ended for node in cluster.nodes} == {stable}
    return cluster


def restart(node: Node) -> None:
    """Restart, and wait until the others have shown its earlier statements (R11)."""
    node.crash()
    node.restart()
    node.cluster.advance(400)
    assert node.core.state.may_sign_votes


def test_r35_until_the_end_is_stable_no_proposal_or_vote_goes_above_it() -> None:
    cluster = ended()
    cluster.ask(cluster.bundle("T-next"))
    cluster.advance(20)
    assert {message.sequence for message in cluster.messages(m.PrePrepare)} == {1}
    assert cluster.withholds(1, make_proposal(cluster, "T-above", sequence=2))
    assert not cluster[1].core.epoch_change.holds(1), "others are helped to get there"
    assert [node.told("epoch_ends") for node in cluster.nodes] == [[{"sequence": 1, "epoch": 0}]] * 4


def above(cluster: Cluster) -> bytes:
    """An empty batch at 2 under q COMMITs: the pipeline was ahead of the change at 1."""
    body = m.Commit(0, 0, 0, 2, m.NULL_BATCH_DIGEST)
    commits = tuple(cluster.sign(msgspec.structs.replace(body, sender=index)) for index in (0, 2, 3))
    entry = m.Entry(0, 2, m.NULL_BATCH_DIGEST, bytes(32), 1, cluster[0].core.state.executor.head)
    return cluster[0].signer.link(m.Entries(((entry, b"", commits),), ()))


def test_r35_entries_above_the_end_are_void_for_a_member() -> None:
    cluster = ended()
    late = cluster[1].core
    late.catch_up.ask()
    assert late.catch_up.source is not None
    assert cluster[1].hear(cluster[late.catch_up.source], above(cluster)) is None
    assert late.state.executed == 1


def test_r35_entries_above_the_end_are_void_for_a_learner() -> None:
    cluster = Followed()
    cluster.telling = False
    cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames))
    frame = cluster.change()
    for node in cluster.nodes[:4]:
        node.hear(None, frame)
    cluster.stabilize()
    cluster.push()
    assert cluster.learner.core.ends_at == 1
    cluster.learner.hear(cluster[cluster.learner.core.source], above(cluster))
    assert cluster.learner.core.snapshot().executed == 1


def test_r35_a_restart_does_not_forget_a_change_that_is_under_way() -> None:
    """It is prepared and not decided: it may end the epoch."""
    cluster = Ends()
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    cluster.ask(cluster.change())
    restart(cluster[1])
    assert cluster[1].core.state.log.slots[1].my_prepare is not None
    assert cluster.withholds(1, make_proposal(cluster, "T-above", sequence=2))


def test_r16_a_restart_between_the_end_and_its_checkpoint_keeps_the_proof() -> None:
    """The log below the entry was known only when it was executed: the ledger has kept it."""
    cluster = ended()
    begun = cluster.proof(3)
    assert begun is not None
    assert begun.checkpoint == ()
    cluster.all_die_and_return()
    for node in cluster.nodes:
        assert node.core.state.views.ended
        proof = cluster.proof(node.index or 0)
        assert proof is not None
        assert (proof.entry, proof.leaf, proof.peaks) == (begun.entry, begun.leaf, begun.peaks)
        assert len({cluster.verified(frame, 0).message.sender for frame in proof.checkpoint}) == 3
        assert canonical.decode(Membership, node.journal.states[EPOCH].value).epoch == 1


def test_r35_a_member_that_took_the_end_as_a_snapshot_continues() -> None:
    """Its ledger has entry and checkpoint but no next epoch: other members show the proof."""
    cluster = ended(stable=True)
    node = cluster[3]
    node.journal.states.clear()
    cluster.successors.clear()
    node.crash()
    node.restart()
    assert node.core.state.views.ended
    assert [each.membership.epoch for each in cluster.successors[3]] == [1]
    assert list(node.journal.states) == [EPOCH]
    assert None not in node.journal.turns[-1]


def test_r35_a_replica_does_nothing_after_its_epoch_ended() -> None:
    """The host has its effects at the end of the turn, in which more may have come."""
    cluster = ended(stable=True)
    assert [len(each) for each in cluster.successors.values()] == [1] * 4
    assert [node.told("epoch_over") for node in cluster.nodes] == [[{"sequence": 1, "epoch": 0}]] * 4
    for sender in (2, 3):
        cluster[1].hear(cluster[sender], cluster.sign(m.ViewChange(0, sender, 1, (), ())))
    assert not cluster.messages(m.ViewChange, source=1)
    assert cluster[1].core.state.views.is_active(0)


def test_r35_requests_above_the_end_pass_into_the_next_epoch() -> None:
    """Only m3 received 2 and 3, of 3 no requests: both are void, but their known requests stay."""
    cluster = ended()
    void = make_proposal(cluster, "T-void", sequence=2)
    cluster[3].hear(cluster[0], void)
    cluster[3].hear(cluster[0], make_proposal(cluster, "T-bodyless", sequence=3, attach=False))
    waits = cluster.bundle("T-waits")
    cluster[3].hear(None, waits)
    for index in (0, 1):
        cluster[3].hear(cluster[index], cluster[index].core.checkpoints.mine[1])
    (successor,) = cluster.successors[3]
    assert {bundle.bundle.operations[0].ticket for bundle in successor.bundles} == {"T-void", "T-waits"}


# --- changes that change nothing -------------------------------------------------------------------


def test_r35_a_vote_held_for_a_change_is_given_when_the_change_is_refused() -> None:
    """The primary has executed it before m3 has, and proposes what comes next."""
    cluster = Ends()
    cluster.drop(lambda _source, target, message: target == 3 and type(message) is m.Commit)
    cluster.ask(cluster.change(b"refused"))
    assert cluster.executed() == [1, 1, 1, 0]
    cluster.request("T-next")
    cluster.stabilize()
    slot = cluster[3].core.state.log.slots[2]
    assert (slot.abstain_reason, slot.my_prepare) == (Reason.EPOCH_ENDS, None)
    for index in (0, 1, 2):
        commit = cluster[index].core.state.log.slots[1].my_commit
        cluster[3].hear(cluster[index], commit)
    assert cluster.executed()[3] >= 1
    assert slot.my_prepare is not None
    assert not cluster[3].core.epoch_change.holds(3)


def test_r35_a_refused_change_received_again_delays_nothing() -> None:
    """m3's clock was wrong: it gave no PREPARE, executed what the others decided, and is shown it again."""
    cluster = Ends()
    cluster[3].skew = -HOUR
    cluster.ask(cluster.change(b"refused"))
    assert cluster.executed() == [1] * 4
    slot = cluster[3].core.state.log.slots[1]
    assert slot.abstain_reason is Reason.BAD_TIMESTAMP
    frame = slot.proposals[slot.digest]
    cluster[3].skew = 0
    body = cluster[3].core.state.bodies.get(slot.digest).body
    assert cluster[3].hear(cluster[0], cluster[0].signer.attach(frame, body)) is None
    assert not cluster[3].core.epoch_change.holds(2)


def test_r35_a_change_proposed_in_a_left_view_delays_nothing() -> None:
    """Only m3 received the proposal. The next primary reproposes nothing, and proposes 1 and 2 at once."""
    forge = Forge()
    cluster = forge.cluster = Ends()
    change = make_proposal(cluster, "", requests=(cluster.change(),))
    cluster[3].hear(cluster[0], change)
    assert cluster[3].core.epoch_change.holds(2)
    changes = [forge.change(i, 1, 0) for i in (0, 1, 2)]
    named = tuple((i, cluster.verified(frame, i).body_digest) for i, frame in enumerate(changes))
    for sender, frame in enumerate(changes):
        cluster[3].hear(cluster[sender], frame)
    cluster[3].hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, named, ())))
    assert cluster[3].core.state.views.is_active(1)
    for sequence in (1, 2):
        cluster[3].hear(cluster[1], make_proposal(cluster, f"T-{sequence}", sequence=sequence, view=1))
    given = {(vote.view, vote.sequence) for vote in cluster.messages(m.Prepare, source=3)}
    assert given == {(0, 1), (1, 1), (1, 2)}
