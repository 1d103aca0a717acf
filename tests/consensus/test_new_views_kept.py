"""An entered view across restarts, and what is shown of it to others (R7, R11, R29, R33)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.view_change import ViewChanging
from tests.consensus.helpers import Cluster, is_kind
from tests.consensus.test_new_view import A, Forge, ForgedNewViewPrimary
from tests.consensus.test_pinging import busy_cluster

X = b"x" * 32


def leading() -> Cluster:
    """m0 is down; m1 leads view 1, whose NEW-VIEW reproposes one batch, and every COMMIT is lost."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    cluster[0].crash()
    cluster.advance(2_000)
    assert all(node.core.state.views.is_active(1) for node in cluster.up())
    assert list(cluster[1].core.state.views.reproposed) == [1]
    return cluster


@pytest.mark.parametrize("restarted", [False, True])
def test_r7_a_restarted_primary_recovers_its_new_views_proposals(restarted: bool) -> None:
    """A member shows them to it, as it does whenever the sequence is called missing."""
    cluster = leading()
    (digest, frame), core = cluster[1].core.state.views.reproposed[1], cluster[1].core
    if restarted:
        cluster[1].crash()
        cluster[1].restart()
        core = cluster[1].core
        assert core.state.views.is_active(1)
    assert core.wants(cluster.header(frame, 2)) is Reason.SECOND_MESSAGE
    assert core.voting
    other = cluster.sign(m.PrePrepare(0, 1, 1, 1, X))
    assert digest != X
    cluster[1].hear(cluster[2], other)
    assert not core.voting, "one that it never signed takes its vote away"


def test_r7_a_restarted_primary_recovers_a_proposal_without_its_body() -> None:
    """Its NEW-VIEW is all that its ledger has of it."""
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    for sender in (2, 3):
        cluster[1].hear(cluster[sender], forger.changes[sender])
    _digest, frame = cluster[1].core.state.views.reproposed[1]
    assert [record.phase for record in cluster[1].journal.slots.values() if record.sequence] == []
    cluster[1].crash()
    cluster[1].restart()
    assert cluster[1].core.state.views.is_active(1)
    assert cluster[1].core.wants(cluster.header(frame, 2)) is Reason.SECOND_MESSAGE
    cluster[1].hear(cluster[2], frame)
    assert cluster[1].core.voting


def test_r29_a_view_change_counts_at_once_though_others_keep_the_own_view() -> None:
    """m3 is bound to view 1 like m1; m2 suspects it, and m0 left it: if it suspected too, three would go."""
    forge = Forge()
    cluster = forge.cluster
    cluster.drop(is_kind(m.Suspect, m.ViewChange, m.NewView, m.SupplyFrames))
    late = cluster[3]
    for sender in (0, 1):
        late.hear(cluster[sender], forge.change(sender, 1, 0))
    assert (late.core.state.views.view, late.core.state.views.changing) == (1, True)
    late.hear(cluster[2], cluster.sign(m.Suspect(0, 2, 2, "no_new_view")))
    assert late.core.state.views.view == 1
    late.hear(cluster[0], forge.change(0, 2, 0))
    assert (late.core.state.views.view, late.core.state.views.changing) == (2, True)


def test_r33_no_view_change_for_a_higher_view_is_named() -> None:
    """m1 leads view 1; with that of m3, which has gone on to view 2, it has three VIEW-CHANGEs."""
    forge = Forge()
    cluster = forge.cluster
    for sender, view in ((3, 2), (2, 1)):
        cluster[1].hear(cluster[sender], forge.change(sender, view, 0))
    views = cluster[1].core.view_change
    assert (views.views.view, views.views.changing, len(views.views.view_changes)) == (1, True, 3)
    assert not cluster.messages(m.NewView)
    cluster[1].hear(cluster[0], forge.change(0, 1, 0))
    (new_view,) = cluster.messages(m.NewView)[:1]
    assert [sender for sender, _digest in new_view.view_changes] == [0, 1, 2]


def test_r30_a_member_in_a_higher_view_counts_as_bound() -> None:
    """The NEW-VIEW of view 1 is awaited from then on, and missed after T."""
    forge = Forge()
    cluster = forge.cluster
    late = cluster[0]
    for sender, view in ((3, 2), (2, 1)):
        late.hear(cluster[sender], forge.change(sender, view, 0))
    assert (late.core.state.views.view, late.core.state.views.changing) == (1, True)
    cluster.drop(lambda _source, _target, _message: True)
    cluster.advance(700)
    assert not late.told("suspected")
    cluster.advance(200)
    assert late.told("suspected")[-1]["reason"] == "no_new_view"


def test_r33_a_primary_names_its_own_view_change_too() -> None:
    """m2 restarts, and receives those of all others before it may bind itself."""
    cluster = busy_cluster()
    cluster[2].crash()
    cluster.waiting.clear()
    cluster.drop(is_kind(m.Pong))
    cluster[2].restart()
    for sender in (0, 1, 3):
        cluster[2].hear(cluster[sender], cluster.sign(m.ViewChange(0, sender, 2, (), ())))
    assert cluster[2].core.state.voting_right.holding
    assert not cluster.messages(m.NewView)
    cluster.heal()
    cluster.advance(200)
    new_view = cluster.messages(m.NewView, source=2)[0]
    assert [sender for sender, _digest in new_view.view_changes] == [0, 1, 2]


def test_r33_a_reproposed_body_is_first_asked_of_a_proved_holder() -> None:
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    forger.tell(forger.new_view())
    core = cluster[0].core
    assert core.state.views.is_active(1)
    assert core.state.batch_fetches.sequence_of(A) == 1, "as long as it may be reproposed"
    cluster.waiting.clear()
    cluster[0].tick()
    asked = [target for source, target, message in cluster.sent if type(message) is m.FetchBatch]
    assert asked == [3]


def test_r33_the_two_remaining_of_three_members_repropose_a_batch() -> None:
    """The PREPARE of the only backup is all that there is: nothing comes after it that would show it."""
    cluster = Cluster(3)
    cluster.drop(is_kind(m.SupplyFrames))
    cluster.drop(lambda _source, _target, message: type(message) is m.Commit and message.view == 0)
    cluster.request("T-1", to=[0, 1, 2])
    cluster.stabilize()
    cluster[0].crash()
    cluster.advance(2_000)
    assert list(cluster[1].core.state.views.reproposed) == [1]
    assert {node.core.state.views.view for node in cluster.up()} == {1}
    assert [len(node.journal.log) for node in cluster.up()] == [1, 1]


def test_r33_an_executed_body_is_not_requested_again() -> None:
    """r3 has executed what the view reproposes, and has since made room for other bodies."""
    cluster = Cluster(4)
    cluster.drop(lambda _s, target, message: type(message) is m.Commit and target != 3)
    cluster.request("T-1")
    cluster.stabilize()
    assert cluster.executed() == [0, 0, 0, 1]
    cluster[3].core.state.bodies.prune(1)
    cluster[0].crash()
    cluster.advance(3_000)
    assert cluster[3].core.state.views.is_active(1)
    assert list(cluster[3].core.state.views.reproposed) == [1]
    assert not cluster.messages(m.FetchBatch, source=3)


def test_r24_a_new_views_checkpoint_is_stable_at_an_executed_sequence() -> None:
    """r3 heard of the checkpoint before it had executed so far, and of no CHECKPOINT itself."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Checkpoint, m.SupplyFrames, m.Entries))
    cluster.drop(lambda _s, target, message: type(message) is m.Commit and target == 3)
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    late = cluster[3]
    assert cluster.executed() == [10, 10, 10, 0]
    roots = (cluster[0].application.root(), cluster[0].core.state.executor.log_root())
    timestamp = cluster[0].core.state.executor.timestamp
    stable = tuple(cluster.sign(m.Checkpoint(0, i, 10, *roots, timestamp)) for i in (0, 1, 2))
    shown = {0: (), 1: stable, 2: ()}
    changes = {sender: cluster.sign(m.ViewChange(0, sender, 1, shown[sender], ())) for sender in shown}
    late.hear(cluster[1], changes[1])
    assert late.core.state.log.stable == 0
    for sequence in range(1, 11):
        digest = late.core.state.log.slots[sequence].digest
        for sender in (0, 1, 2):
            late.hear(cluster[sender], cluster.sign(m.Commit(0, sender, 0, sequence, digest)))
    assert (late.core.executed, late.core.state.log.stable) == (10, 0)
    named = tuple((i, cluster.verified(frame, i).body_digest) for i, frame in changes.items())
    for sender in (0, 2):
        late.hear(cluster[sender], changes[sender])
    assert late.core.state.log.stable == 0
    late.hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, named, ())))
    assert late.core.state.views.is_active(1)
    assert late.core.state.log.stable == 10


class Crossroads(Forge):
    """m0 follows the others from view 0 to 1, 2 and 3, which m1, m2 and m3 lead; nothing is reproposed."""

    def __init__(self, stable: int = 0) -> None:
        super().__init__()
        self.words = {(i, view): self.change(i, view, stable) for i in (1, 2, 3) for view in (1, 2, 3)}
        self.hears = self.cluster[0]
        self.cluster.drop(lambda _source, _target, _message: True)

    def leaves(self, member: int, view: int) -> None:
        self.hears.hear(self.cluster[member], self.words[member, view])

    def leads(self, view: int) -> None:
        named = [(i, self.cluster.verified(self.words[i, view], i).body_digest) for i in (1, 2, 3)]
        frame = self.cluster.sign(m.NewView(0, view, view, tuple(named), ()))
        self.hears.hear(self.cluster[view], frame)

    @property
    def views(self) -> ViewChanging:
        found: ViewChanging = self.hears.core.view_change
        return found


def test_r29_entering_a_view_forgets_no_member_that_left_for_a_higher_one() -> None:
    story = Crossroads()
    for member in (1, 2, 3):
        story.leaves(member, 1)
    story.leaves(3, 2)
    story.leads(1)
    assert story.views.views.is_active(1)
    story.leaves(2, 2)
    assert (story.views.views.view, story.views.views.changing) == (2, True), "m3 and m2 are f + 1"


def test_r33_entering_a_view_keeps_earlier_view_changes() -> None:
    story = Crossroads()
    for member in (1, 2, 3):
        story.leaves(member, 1)
    story.leaves(3, 2)
    story.leaves(3, 3)
    story.leads(1)
    story.leaves(3, 1)
    assert story.views.views.is_active(1)
    story.leaves(1, 2)
    story.leaves(2, 2)
    story.leads(2)
    assert story.views.views.is_active(2)


def test_r33_a_new_view_that_waits_is_entered_after_a_lower_one() -> None:
    story = Crossroads()
    story.leads(2)
    story.leads(1)
    for member in (1, 2, 3):
        story.leaves(member, 1)
    assert story.views.views.is_active(1)
    for member in (1, 2, 3):
        story.leaves(member, 2)
    assert story.views.views.is_active(2)
    assert story.views._waiting == {}
    assert len(story.hears.core.state.view_change_fetches) == 0


@pytest.mark.parametrize("voting", [True, False])
def test_row_15_nothing_is_kept_of_skipped_views(voting: bool) -> None:
    """A member without a vote never leaves a view by itself: it enters one after another."""
    story = Crossroads()
    if not voting:
        story.hears.core.own_vote.lose("a test took its disk")
    story.leads(1)
    for member in (1, 2, 3):
        story.leaves(member, 2)
        story.leaves(member, 3)
    story.leads(3)
    assert story.views.views.is_active(3)
    assert (story.views._waiting, story.views.views.view_changes, story.views._previous) == ({}, {}, {})
    assert len(story.hears.core.state.view_change_fetches) == 0


def test_r33_a_view_takes_no_fresh_proposal_up_to_its_start_checkpoint() -> None:
    """m0 has not that checkpoint: for it these sequences are open."""
    story = Crossroads(stable=10)
    for member in (1, 2, 3):
        story.leaves(member, 1)
    story.leads(1)
    assert story.views.views.is_active(1)
    core = story.hears.core
    assert core.state.log.stable == 0
    for sequence, reason in ((10, Reason.OUTSIDE_WINDOW), (11, None)):
        proposal = story.cluster.sign(m.PrePrepare(0, 1, 1, sequence, A))
        assert core.wants(story.cluster.header(proposal, 1)) is reason


def test_r33_nothing_below_the_own_checkpoint_is_requested_or_opened() -> None:
    """None of the three knows that 10 is stable: they decide 5 again, and m0 needs nothing of it."""
    forge = Forge()
    cluster = forge.cluster
    for number in range(10):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    core = cluster[0].core
    assert core.state.log.stable == 10
    changes = {i: forge.change(i, 1, 0, *([forge.proof(0, 5, A)] if i == 3 else [])) for i in (1, 2, 3)}
    named = tuple((i, cluster.verified(frame, i).body_digest) for i, frame in changes.items())
    reproposed = [m.PrePrepare(0, 1, 1, s, m.NULL_BATCH_DIGEST) for s in range(1, 5)]
    frames = tuple(cluster.sign(each) for each in (*reproposed, m.PrePrepare(0, 1, 1, 5, A)))
    for i, frame in changes.items():
        cluster[0].hear(cluster[i], frame)
    cluster[0].hear(cluster[1], cluster.sign(m.NewView(0, 1, 1, named, frames)))
    assert core.state.views.is_active(1)
    assert (core.state.log.slots, len(core.state.batch_fetches)) == ({}, 0)
