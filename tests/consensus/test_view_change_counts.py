"""Which VIEW-CHANGE counts, for which view and for which member, each comparison by itself (R7, R29, R33)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from tests.consensus.helpers import Cluster
from tests.consensus.test_new_view import Forge


def told(forge: Forge, target: int, *changes: tuple[int, int]) -> None:
    """This member hears of each (sender, view)."""
    for sender, view in changes:
        forge.cluster[target].hear(forge.cluster[sender], forge.change(sender, view, 0))


def named(forge: Forge, view: int, *frames: tuple[int, bytes]) -> bytes:
    """A NEW-VIEW of this view's primary that names these VIEW-CHANGEs under these members' names."""
    digests = tuple((sender, forge.cluster.verified(frame, 1).body_digest) for sender, frame in frames)
    return forge.cluster.sign(m.NewView(0, view % forge.members, view, digests, ()))


def test_r29_f_plus_1_members_beyond_the_own_view_are_followed_to_the_lowest_of_their_views() -> None:
    forge = Forge(7)
    core = forge.cluster[0].core
    told(forge, 0, (1, 5), (2, 3))
    assert (core.view_change.joined_view(), core.snapshot().view) == (None, 0)
    told(forge, 0, (3, 4))
    assert core.snapshot().view == 3
    assert core.view_change.joined_view() is None, "the own view is not joined again"
    for view, supporters in ((3, 4), (4, 2), (5, 1), (6, 0)):
        assert core.view_change.supporters(view) == supporters
    told(forge, 0, (4, 9))
    assert core.snapshot().view == 4, "of views 9, 5, 4, 4 and 3 the third"
    core.state.views.view = 5
    assert core.view_change.joined_view() is None, "a lower view is never joined"


def test_r29_a_view_is_left_upwards_only_by_a_member_that_has_a_vote() -> None:
    cluster = Cluster(4)
    core = cluster[1].core
    core.view_change.leave(2, "a test")
    assert core.snapshot().view == 2
    for view in (0, 1, 2):
        core.view_change.leave(view, "a test")
        assert core.snapshot().view == 2
    core.state.voting_right.mode = "none"
    core.view_change.leave(3, "a test")
    core.state.voting_right.mode = "voting"
    core.state.views.become_ended()
    core.view_change.leave(4, "a test")
    assert core.state.views.view == 2


@pytest.mark.parametrize("view", [1, 5])
def test_r33_a_primary_needs_q_view_changes_for_this_very_view(view: int) -> None:
    """Those of views below prove nothing about what was prepared since; it names its own one."""
    forge = Forge()
    core = forge.cluster[1].core
    told(forge, 1, (0, view), (3, view - 1 or view + 4))
    core.view_change.leave(view, "a test")
    assert core.snapshot().changing, "two of three"
    assert not core.state.views.is_active(view)
    told(forge, 1, (2, view))
    assert core.state.views.is_active(view)
    message = core.state.signer.open(core.state.views.new_view).message
    assert [sender for sender, _digest in message.view_changes] == [0, 1, 2]


def test_r33_the_new_view_of_a_primary_with_all_view_changes_names_its_own_one() -> None:
    """Its own prepared certificates are the only ones of which it is sure."""
    forge = Forge(7)
    core = forge.cluster[5].core
    core.view_change.leave(5, "a test")
    core.state.voting_right.mode = "none"
    told(forge, 5, *((sender, 5) for sender in (0, 1, 2, 3, 4, 6)))
    assert not core.state.views.is_active(5), "without a vote it leads nobody"
    core.state.voting_right.mode = "voting"
    core.view_change.recheck()
    message = core.state.signer.open(core.state.views.new_view).message
    assert [sender for sender, _digest in message.view_changes] == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("stables", [(0, 10), (10, 0)])
def test_r33_two_view_changes_of_a_member_for_one_view_are_evidence_whichever_came_first(
    stables: tuple[int, int],
) -> None:
    for turn in range(8):  # the order of their digests is that of chance
        forge = Forge()
        target = forge.cluster[0]
        for stable in stables:
            target.hear(forge.cluster[1], forge.change(1, 3 + turn, stable))
        assert [note["code"] for note in target.told("evidence")] == ["view_change"]
        assert target.core.state.views.view_changes[1].stable == stables[0]


def test_r33_an_earlier_view_change_that_is_asked_for_replaces_and_accuses_nobody() -> None:
    """A NEW-VIEW names those of view 1; m2 and m3 have gone on to views 5 and 6."""
    forge = Forge()
    target = forge.cluster[0]
    earlier = {sender: forge.change(sender, 1, 0) for sender in (1, 2, 3)}
    told(forge, 0, (2, 5))
    assert target.core.snapshot().view == 0
    target.hear(forge.cluster[1], named(forge, 1, *earlier.items()))
    target.hear(forge.cluster[2], earlier[2])
    assert target.core.state.views.view_changes[2].view == 5, "the newest one stays"
    assert target.told("evidence") == []
    target.hear(forge.cluster[3], earlier[3])
    target.hear(forge.cluster[1], earlier[1])
    assert target.core.state.views.is_active(1)
    assert target.core.state.views.view_changes[2].view == 5


@pytest.mark.parametrize("wrong", [1, 9])
def test_r33_a_new_view_that_names_a_view_change_for_another_view_begins_nothing(wrong: int) -> None:
    forge = Forge()
    target = forge.cluster[0]
    changes = {sender: forge.change(sender, 5, 0) for sender in (1, 3)} | {2: forge.change(2, wrong, 0)}
    for sender, frame in changes.items():
        target.hear(forge.cluster[sender], frame)
    target.hear(forge.cluster[1], named(forge, 5, *sorted(changes.items())))
    target.hear(forge.cluster[2], changes[2])  # if it was too old to be kept, it is asked for
    assert not target.core.state.views.is_active(5)
    assert [note["code"] for note in target.told("evidence")] == ["bad_new_view"]


@pytest.mark.parametrize(("name", "true"), [(0, 2), (3, 1)])
def test_r33_a_view_change_counts_under_its_senders_name_only(name: int, true: int) -> None:
    """It is asked for by the digest under which the NEW-VIEW names it, and arrives."""
    forge = Forge()
    target = forge.cluster[0]
    changes = {sender: forge.change(sender, 1, 0) for sender in (1, 2)}
    shown = dict(changes) | {name: changes[true]}
    target.hear(forge.cluster[1], named(forge, 1, *sorted(shown.items())))
    for sender, frame in changes.items():
        target.hear(forge.cluster[sender], frame)
    assert not target.core.state.views.is_active(1)
    assert [note["code"] for note in target.told("evidence")] == ["bad_new_view"]


def test_r33_the_checkpoint_in_a_view_change_is_learnt() -> None:
    """The certificate of a checkpoint that this member has not seen stable shows how far the others are."""
    forge = Forge()
    target = forge.cluster[0]
    change = forge.change(1, 1, 10)
    target.hear(forge.cluster[1], change)
    assert target.core.state.lag.target() >= 10


def test_r5_a_view_change_refused_at_the_door_is_refused_inside_other_messages_too() -> None:
    """A member supplies frames of others: of no higher view, or the second of a view."""
    forge = Forge()
    target = forge.cluster[0]
    told(forge, 0, (1, 3))
    for frame in (forge.change(1, 3, 10), forge.change(1, 2, 0)):
        supplied = forge.cluster[2].signer.link(m.SupplyFrames((frame,)))
        target.hear(forge.cluster[2], supplied)
    assert target.core.state.views.view_changes[1].view == 3
    assert target.core.state.views.view_changes[1].stable == 0


def test_r29_a_new_view_that_waited_is_not_entered_after_its_view_was_left() -> None:
    """The VIEW-CHANGE that it lacked arrives late."""
    forge = Forge()
    target = forge.cluster[0]
    changes = {sender: forge.change(sender, 1, 0) for sender in (1, 2, 3)}
    for sender in (1, 2):
        target.hear(forge.cluster[sender], changes[sender])
    target.hear(forge.cluster[1], named(forge, 1, *changes.items()))
    target.core.view_change.leave(5, "a test")
    target.hear(forge.cluster[3], changes[3])
    assert (target.core.snapshot().view, target.core.snapshot().changing) == (5, True)


def test_r33_what_a_new_view_lacks_is_asked_of_the_member_that_showed_it() -> None:
    """And of its primary, which may be gone by now."""
    forge = Forge()
    cluster = forge.cluster
    frame = named(forge, 1, *((sender, forge.change(sender, 1, 0)) for sender in (1, 2, 3)))
    cluster[0].hear(cluster[3], cluster[3].signer.link(m.SupplyFrames((frame,))))
    asked: list[int] = []
    cluster.drop(
        lambda source, target, message: type(message) is m.FetchViewChange and bool(asked.append(target))
    )
    cluster.advance(1)
    assert set(asked) == {3}


def test_r5_only_the_view_change_that_is_asked_for_may_be_old() -> None:
    forge = Forge()
    target = forge.cluster[0]
    old = {sender: forge.change(sender, 1, 0) for sender in (1, 2, 3)}
    target.hear(forge.cluster[1], named(forge, 1, *old.items()))
    told(forge, 0, (2, 5))
    core = target.core.view_change
    for frame, verdict in ((old[2], None), (forge.change(2, 1, 10), Reason.OLD_VIEW)):
        verified = forge.cluster.verified(frame, 2)
        assert core.refuse_view_change(verified.message, verified.body_digest) is verdict
        assert core.refuse_view_change(verified.message, None) is None, "its digest is not known yet"
