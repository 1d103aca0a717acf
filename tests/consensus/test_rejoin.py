"""How a lost vote comes back: what must be proved, and where it may be used again (R11, decision 0051)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster, Keys
from tests.consensus.test_new_view import A, Forge


def lost(forge: Forge) -> None:
    """m0 has lost its ledger."""
    forge.cluster[0].core.own_vote.lose("a test took its disk")


def shows(
    forge: Forge,
    member: int,
    stable: int,
    executed: int,
    own: tuple[bytes, ...] = (),
    voters: int = 3,
    view: int = 0,
    epoch: int = 0,
) -> None:
    """It shows its stable checkpoint, its progress, the statements of m0 that it holds, and its view."""
    proof = forge.checkpoint(stable, voters=list(range(voters)))
    pong = forge.cluster[member].signer.link(m.Pong(1, executed, own, proof, view, epoch))
    forge.cluster[0].core.rejoin.on_pong(member, forge.cluster.verified(pong, member))


def stable_at(cluster: Cluster, sequence: int, view: int = 1) -> bool:
    """Whether m0 votes once this checkpoint is stable and it is in this view."""
    core = cluster[0].core
    core.state.log.stable = sequence
    core.state.views.view = view
    core.rejoin.try_regain_vote()
    return core.voting


def test_r11_q_others_must_prove_a_checkpoint_and_two_windows_must_pass() -> None:
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    shows(forge, 1, 20, 25)
    shows(forge, 2, 10, 12)
    assert core.rejoin.waits_for() is None, "two are fewer than q: the third may know more"
    shows(forge, 3, 30, 30)
    due = 30 + 2 * core.state.log.watermark_span
    assert core.rejoin.waits_for() == due
    assert not stable_at(forge.cluster, due - 1)
    assert stable_at(forge.cluster, due)


@pytest.mark.parametrize("what", ["too few signed it", "it is far ahead of its checkpoint"])
def test_r11_unproved_checkpoints_do_not_count(what: str) -> None:
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    shows(forge, 1, 20, 25)
    shows(forge, 2, 10, 12)
    if what == "too few signed it":
        shows(forge, 3, 10, 12, voters=2)
    else:
        shows(forge, 3, 10, 11 + core.state.log.watermark_span)
    assert core.rejoin.waits_for() is None
    assert not stable_at(forge.cluster, 10_000)


def test_r11_the_vote_returns_only_above_each_view_it_left() -> None:
    """m2 holds a VIEW-CHANGE of m0 for view 2: m0 may not vote in view 0 to 2 any more."""
    forge = Forge()
    lost(forge)
    for member in (1, 2, 3):
        shows(forge, member, 10, 12, own=(forge.change(0, 2, 10),) if member == 2 else ())
    for view, may in ((0, False), (1, False), (2, False), (3, True)):
        assert stable_at(forge.cluster, 10_000, view) is may, view


def test_r11_the_vote_returns_only_above_all_answered_views() -> None:
    """One of them may have wanted view 6, and m0 may have left for it without any witness."""
    forge = Forge()
    lost(forge)
    for member, view in ((1, 3), (2, 5), (3, 4)):
        shows(forge, member, 10, 12, view=view)
    for view, may in ((4, False), (5, False), (6, True)):
        assert stable_at(forge.cluster, 10_000, view) is may, view


def test_r11_a_member_asks_for_that_view_if_nothing_else_is_missing() -> None:
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    assert core.rejoin.requested_view() == 0, "nobody has answered"
    for member in (1, 2, 3):
        shows(forge, member, 10, 12, view=2)
    assert core.rejoin.requested_view() == 0, "no checkpoint is far enough"
    assert not stable_at(forge.cluster, 10_000, 2)
    assert core.rejoin.requested_view() == 3
    assert stable_at(forge.cluster, 10_000, 3)
    assert core.rejoin.requested_view() == 0, "it votes"


def test_r11_the_view_of_each_members_first_answer_counts() -> None:
    """Their later views would delay the return without end: they go on to further views."""
    forge = Forge()
    lost(forge)
    for member in (1, 2, 3):
        shows(forge, member, 10, 12)
        shows(forge, member, 10, 12, view=7)
    assert stable_at(forge.cluster, 10_000, 1)


def test_r11_no_vote_while_bound_to_a_view_it_may_have_led() -> None:
    """m0 is bound to view 4 and its primary: it may have lost the NEW-VIEW, and must not lead it again."""
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    for member in (1, 2, 3):
        shows(forge, member, 10, 12)
    core.state.views.become_changing(4)
    assert not stable_at(forge.cluster, 10_000)
    core.state.views.become_normal(4)
    assert stable_at(forge.cluster, 10_000)


def test_r11_proofs_from_before_the_loss_of_the_vote_do_not_count() -> None:
    """They answered a replica that still had its statements: their progress is of that time."""
    forge = Forge()
    core = forge.cluster[0].core
    for member in (1, 2, 3):
        shows(forge, member, 10, 12)
    lost(forge)
    assert core.rejoin.waits_for() is None
    for member in (1, 2, 3):
        shows(forge, member, 40, 41)
    assert core.rejoin.waits_for() == 40 + 2 * core.state.log.watermark_span


@pytest.mark.parametrize("kind", [m.Prepare, m.Commit, m.PrePrepare])
def test_r11_no_vote_below_a_sequence_that_it_voted_for(kind: type) -> None:
    """However low the checkpoints are that the others prove."""
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    vote = forge.cluster.sign(kind(0, 0, 0, 400, A))
    for member in (1, 2, 3):
        shows(forge, member, 10, 12, own=(vote,) if member == 3 else ())
    assert core.rejoin.waits_for() == 400
    assert not stable_at(forge.cluster, 399)
    assert stable_at(forge.cluster, 400)


def test_r11_votes_of_others_and_own_checkpoints_delay_nothing() -> None:
    """A CHECKPOINT says what was executed: it contradicts no vote, and a liar's frames are not m0's."""
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    shown = (
        forge.cluster.sign(m.Checkpoint(0, 0, 5_000, b"s" * 32, b"l" * 32, 7)),
        forge.cluster.sign(m.Commit(0, 3, 0, 9_000, A)),
        forge.change(3, 77, 10),
    )
    for member in (1, 2, 3):
        shows(forge, member, 10, 12, own=shown)
    assert core.rejoin.waits_for() == 10 + 2 * core.state.log.watermark_span
    assert stable_at(forge.cluster, 10 + 2 * core.state.log.watermark_span)


def test_r11_each_members_first_proved_checkpoint_counts() -> None:
    """A liar proves a newer one each time: valid, but later than the statements that m0 lost."""
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    for member in (1, 2, 3):
        shows(forge, member, 10, 12)
    due = core.rejoin.waits_for()
    for stable in (40, 90, 400):
        shows(forge, 3, stable, stable + 1)
        assert core.rejoin.waits_for() == due == 10 + 2 * core.state.log.watermark_span


def test_r11_suspicions_and_statuses_do_not_bind() -> None:
    """A SUSPECT names the view after one that m0 alone may have been in: others would never come there, and
    a liar that kept it could show it."""
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    shown = (
        forge.cluster.sign(m.Suspect(0, 0, 7, "bad_new_view")),
        forge.cluster.sign(m.Repeat(0, 0, (1, 0), 1, b"r" * 32, 9_000, 1, ("ok",))),
    )
    for member in (1, 2, 3):
        shows(forge, member, 10, 12, own=shown)
    assert core.rejoin.waits_for() == 10 + 2 * core.state.log.watermark_span
    assert core.rejoin.view_due() == 1


def test_r11_statements_of_another_epoch_delay_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index 0 may have been another member in it, and its views have nothing to do with those of this one."""
    monkeypatch.setattr(Keys, "member_key", lambda keys, _epoch, index: keys.pairs[index][0])
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    core.state.config = replace(core.state.config, epoch=1)
    shown = tuple(
        forge.cluster.sign(word)
        for epoch in (0, 2)
        for word in (m.Commit(epoch, 0, 0, 9_000, A), m.ViewChange(epoch, 0, 77, (), ()))
    )
    for member in (1, 2, 3):
        shows(forge, member, 0, 12, own=shown, epoch=1)
    assert core.rejoin.waits_for() == 2 * core.state.log.watermark_span
    assert stable_at(forge.cluster, 2 * core.state.log.watermark_span)


def test_r11_of_two_members_the_other_one_is_enough() -> None:
    forge = Forge(2)
    lost(forge)
    core = forge.cluster[0].core
    shows(forge, 1, 10, 12, voters=2)
    assert core.rejoin.waits_for() == 10 + 2 * core.state.log.watermark_span


@pytest.mark.parametrize("remembers", [True, False])
def test_r11_where_f_is_zero_a_lost_ledger_proves_nothing(remembers: bool) -> None:
    forge = Forge(3)
    lost(forge)
    core = forge.cluster[0].core
    shows(forge, 1, 10, 12, voters=2)
    proof = forge.checkpoint(10, voters=[0, 1])
    pong = forge.cluster[2].signer.link(m.Pong(1, 12, (), proof, 0, 0, remembers))
    core.rejoin.on_pong(2, forge.cluster.verified(pong, 2))
    assert (core.rejoin.waits_for() is not None) is remembers


def test_r11_one_false_view_delays_nothing_if_q_others_answer() -> None:
    """At n = 7 five of six are enough: any q of those who answered tell how far m0 may be bound."""
    forge = Forge(7)
    lost(forge)
    core = forge.cluster[0].core
    for member in (1, 2, 3, 4):
        shows(forge, member, 10, 12, voters=5, view=2)
    shows(forge, 6, 10, 12, voters=5, view=2**40)
    assert core.rejoin.view_due() == 2**40 + 1, "it may be the only honest one that was so far"
    shows(forge, 5, 10, 12, voters=5, view=3)
    assert core.rejoin.view_due() == 4


@pytest.mark.parametrize(("epoch", "counts"), [(0, False), (1, True), (2, False)])
def test_r11_views_of_another_epoch_do_not_count(epoch: int, counts: bool) -> None:
    forge = Forge()
    lost(forge)
    core = forge.cluster[0].core
    core.state.config = replace(core.state.config, epoch=1)
    for member in (1, 2, 3):
        shows(forge, member, 0, 12, view=3, epoch=epoch)
    assert (core.rejoin.waits_for() is not None) is counts
