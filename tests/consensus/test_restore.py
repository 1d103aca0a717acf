"""A replica restored from its ledger knows its decisions, is bound by its statements and repeats them (R7,
R11, R24, R29, R33).
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import CommitCertificate
from dtvn.protocol.consensus.effects import Reason, SlotRecord
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from tests.consensus.doubles import MemoryJournal
from tests.consensus.helpers import Cluster, Node, is_kind
from tests.consensus.test_new_view import Forge
from tests.consensus.test_pinging import VOTES, busy_cluster
from tests.consensus.test_voting import make_proposal

OTHER = b"o" * 32


class Backwards(MemoryJournal):
    """A ledger that gives its records in reverse: their order is not specified."""

    def load(self) -> LedgerTail:
        found = super().load()
        return replace(found, slots=found.slots[::-1])


def again(node: Node, *, voting: bool = True) -> list[Any]:
    """Restart the node; returns its first messages to one of the others."""
    cluster = node.cluster
    listener = 1 if node.index == 0 else 0
    node.crash()
    cluster.waiting.clear()
    cluster.sent.clear()
    node.restart(voting=voting)
    return [message for _source, target, message in cluster.sent if target == listener]


def without_primary(cluster: Cluster, view: int) -> None:
    """The primary of a view is down; all others enter the next one."""
    cluster[view].crash()
    while not all(node.core.state.views.is_active(view + 1) for node in cluster.up()):
        cluster.advance(20)


def kinds(said: list[Any], *wanted: type) -> list[type]:
    return [type(message) for message in said if type(message) in wanted]


# --- what was decided -----------------------------------------------------------------------------


def test_row_11_entries_above_the_checkpoint_are_restored() -> None:
    """Twelve executed, ten of them under a stable checkpoint: the last two could be contradicted."""
    cluster = busy_cluster(requests=12)
    before = dict(cluster[3].core.state.log.digests)
    again(cluster[3])
    assert cluster[3].core.state.log.digests == before
    assert list(before) == [11, 12]
    core = cluster[3].core
    commits = tuple(cluster.sign(m.Commit(0, sender, 0, 12, OTHER)) for sender in (0, 1, 2))
    core.ordering.decide(CommitCertificate(0, 12, OTHER, commits))
    assert core.contradictions.found.kind == "batch"
    assert len(core.contradictions.found.mine) == core.state.q, "its own certificate came out of the ledger"


def test_row_11_after_a_restart_an_executed_sequence_gets_no_other_vote() -> None:
    """m0, m1 and m2 are Byzantine: their NEW-VIEW reproposes nothing, and m1 proposes another batch for 1."""
    forge = Forge()
    cluster = forge.cluster
    cluster.request("T-1")
    cluster.stabilize()
    again(cluster[3])
    cluster.advance(500)
    changes = [forge.change(i, 1, 0) for i in (0, 1, 2)]
    named = [(i, cluster.verified(change, i).body_digest) for i, change in enumerate(changes)]
    for sender, change in enumerate(changes):
        cluster[3].hear(cluster[sender], change)
    cluster[3].hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, tuple(named), ())))
    assert cluster[3].core.state.views.is_active(1)
    cluster.sent.clear()
    cluster[3].hear(cluster[1], make_proposal(cluster, "T-2", view=1))
    assert cluster[3].core.state.log.slots[1].abstain_reason is Reason.EQUIVOCATION
    assert not cluster.messages(m.Prepare, source=3)


def test_r24_after_a_restart_view_changes_carry_the_low_mark_certificate() -> None:
    """Without it the settled log below could not be proved."""
    cluster = busy_cluster(requests=12)
    frames = cluster[3].core.state.checkpoint.frames
    assert len(frames) == 3
    again(cluster[3])
    cluster[0].crash()
    cluster.advance(2_500)
    change = cluster.messages(m.ViewChange, source=3)[0]
    assert change.checkpoint == frames


# --- what binds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("promised", [1, 2])
@pytest.mark.parametrize("journal", [MemoryJournal, Backwards])
def test_r29_a_restart_leads_into_the_highest_view_that_was_entered(
    journal: type[MemoryJournal], promised: int
) -> None:
    """In whatever order the ledger gives them, and with all that the last NEW-VIEW rests on. A view may have
    been entered without a VIEW-CHANGE of one's own."""
    cluster = Cluster(7)
    cluster[6].journal = journal()
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    cluster.request("T-1", to=list(range(7)))
    cluster.stabilize()
    without_primary(cluster, 0)
    without_primary(cluster, 1)
    before = cluster[6].core.view_change
    assert before.views.is_active(2)
    assert [record.view for record in cluster[6].journal.slots.values() if record.phase == "view"] == [1, 2]
    assert cluster[6].core.state.log.certificates[1].view == 2
    if promised == 1:
        del cluster[6].journal.slots[0, 2, 0, "view_change"]
    said = again(cluster[6])
    views = cluster[6].core.view_change
    assert views.views.is_active(2)
    assert (views.views.new_view, views.views.reproposed, views.proofs) == (
        before.views.new_view,
        before.views.reproposed,
        before.proofs,
    )
    assert (views.views.reproposed_up_to, views.views.promised) == (1, promised)
    assert cluster[6].core.state.log.certificates[1].view == 2, "and not the older one, of view 0"
    assert cluster[6].core.state.log.slots[1].view == 2
    assert {message.view for message in said if type(message) in (m.Prepare, m.Commit)} == {2}


@pytest.mark.parametrize("journal", [MemoryJournal, Backwards])
def test_r29_of_several_view_changes_the_highest_binds_a_restarted_replica(
    journal: type[MemoryJournal],
) -> None:
    """It voted in view 0, was bound to view 1 and then to view 2, and entered neither."""
    cluster = Cluster(4)
    cluster[3].journal = journal()
    cluster.drop(is_kind(m.Commit, m.NewView))
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    cluster[0].crash()
    cluster.advance(8_000)
    bound = [record for record in cluster[3].journal.slots.values() if record.phase == "view_change"]
    assert len(bound) > 1
    highest = cluster[3].core.state.views.view
    assert highest == max(record.view for record in bound)
    said = again(cluster[3])
    views = cluster[3].core.view_change
    assert (views.views.view, views.views.changing, views.views.promised) == (highest, True, highest)
    assert [(c.view, c.sender) for c in said if type(c) is m.ViewChange] == [(highest, 3)]
    assert not kinds(said, m.Prepare, m.Commit), "it left the view of its votes"
    assert not cluster[3].core.state.log.slots


def test_r35_statements_of_another_epoch_do_not_bind_in_this_one() -> None:
    """Its ledger still has the views of the epoch before, which begins anew in view 0."""
    cluster = busy_cluster()
    of_another = [
        SlotRecord(1, 6, 0, "view", ()),
        SlotRecord(1, 7, 0, "view_change", (cluster.sign(m.ViewChange(1, 3, 7, (), ())),)),
        SlotRecord(1, 0, 4, "prepare", (cluster.sign(m.Prepare(1, 3, 0, 4, OTHER)),)),
    ]
    cluster[3].journal.append(of_another)
    said = again(cluster[3])
    assert cluster[3].core.state.views.is_active(0)
    assert not [message for message in said if getattr(message, "epoch", 0) != 0]
    cluster.advance(500)
    cluster.request("T-next")
    cluster.advance(100)
    assert cluster.executed() == [4] * 4
    assert cluster.messages(m.Prepare, source=3)[-1].sequence == 4


@pytest.mark.parametrize("journal", [MemoryJournal, Backwards])
@pytest.mark.parametrize("index", [0, 2])
def test_row_3_the_votes_of_a_certificate_count_once_each_after_a_restart(
    index: int, journal: type[MemoryJournal]
) -> None:
    """The ledger holds the own PREPARE by itself and in the certificate: it is one vote."""
    cluster = Cluster(4)
    cluster[index].journal = journal()
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    cluster.request("T-1")
    cluster.stabilize()
    before = cluster[index].core.state.log.slots[1]
    cast = cluster[index].core.state.own_votes
    certificate = cluster[index].core.state.log.certificates[1]
    again(cluster[index])
    slot = cluster[index].core.state.log.slots[1]
    senders = {cluster.verified(frame, 0).message.sender for frame in certificate.proof.prepares}
    own = {index} if index else set()  # a primary's vote is its proposal
    assert set(slot.prepares.votes) == senders | own
    assert slot.prepares.counts == {certificate.digest: len(senders | own)}
    assert slot.commits.counts == {certificate.digest: 1}
    for name in ("digest", "durable_digest", "prepared", "proposals", "my_prepare", "my_commit"):
        assert getattr(slot, name) == getattr(before, name), name
    for phase in ("pre_prepare", "prepare", "prepared", "commit"):
        found = cluster[index].core.state.own_votes.find(view=0, sequence=1, phase=phase)
        assert found == cast.find(view=0, sequence=1, phase=phase), phase


def test_r21_a_batch_prepared_beside_the_first_proposal_is_restored() -> None:
    """A lying primary told m3 alone another batch than the others, who prepared theirs with m3's help."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    lonely, common = make_proposal(cluster, "T-lonely"), make_proposal(cluster, "T-common")
    cluster[3].hear(cluster[0], lonely)
    for index in (1, 2, 3):
        cluster[index].hear(cluster[0], common)
    cluster.stabilize()
    before = cluster[3].core.state.log.slots[1]
    assert before.prepared not in (None, before.digest)
    again(cluster[3])
    slot = cluster[3].core.state.log.slots[1]
    assert (slot.digest, slot.prepared, slot.proposals) == (before.digest, before.prepared, before.proposals)
    for digest in (before.digest, before.prepared):
        assert digest in cluster[3].core.state.bodies, "its COMMIT says that it holds the batch"


# --- what is said again ---------------------------------------------------------------------------


def test_r7_a_checkpoint_that_is_not_stable_is_sent_again() -> None:
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames))
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    said = cluster.messages(m.Checkpoint, source=3)[0]
    assert said.sequence == 10
    assert [message for message in again(cluster[3]) if type(message) is m.Checkpoint] == [said]


def test_r7_only_its_primary_leads_a_view_again_after_a_restart() -> None:
    """Its NEW-VIEW names what is reproposed; nothing of it is proposed a second time."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit, m.SupplyFrames))
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    without_primary(cluster, 0)
    new_view = cluster.messages(m.NewView, source=1)[0]
    said = again(cluster[1])
    assert [message for message in said if type(message) is m.NewView] == [new_view]
    assert cluster[1].core.state.log.slots[1].reproposed
    assert not kinds(said, m.PrePrepare)
    said = again(cluster[2])
    assert cluster[2].core.state.views.is_active(1)
    assert cluster[2].core.state.views.new_view
    assert not kinds(said, m.NewView)


def test_r7_a_proposal_without_room_for_its_body_is_sent_without_it() -> None:
    """The same bytes are signed; a member without the body asks for it by its digest (R21)."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Prepare, m.SupplyFrames))
    for number in range(2):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    proposed = {message.digest for message in cluster.messages(m.PrePrepare, source=0)}
    cluster.changes["bodies_bytes_max"] = 1
    said = again(cluster[0])
    assert {message.digest for message in said if type(message) is m.PrePrepare} == proposed


def test_r11_a_member_without_a_vote_repeats_none_of_its_votes() -> None:
    """Its ledger holds them, and records that it must not vote: its other statements may be lost."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit, m.Checkpoint, m.SupplyFrames))
    cluster.request("T-1")
    cluster.stabilize()
    assert kinds(again(cluster[3]), *VOTES) == [m.Prepare, m.Commit]
    cluster[3].core.own_vote.lose("a test took its vote")
    cluster[3].take(cluster[3].core.state.outbox.take())
    assert not kinds(again(cluster[3]), *VOTES)
    assert not kinds(again(cluster[3], voting=False), *VOTES)
