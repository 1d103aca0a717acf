"""A statement under the own key that the own ledger lacks: the disk is older than that (R11)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster, Keys, is_kind
from tests.consensus.test_pinging import busy_cluster
from tests.support.table import table

X = b"x" * 32
ROOTS = (b"s" * 32, b"l" * 32, 7)


def working() -> Cluster:
    """Twelve executed, ten of them under a stable checkpoint; m3 is a backup of view 0."""
    cluster = busy_cluster(requests=12)
    assert (cluster[3].core.state.log.stable, cluster[3].core.executed) == (10, 12)
    return cluster


def votes_after(cluster: Cluster, message: Any) -> bool:
    """Whether m3 votes on after m1 showed it a statement under its key."""
    cluster[3].hear(cluster[1], cluster.sign(message))
    return bool(cluster[3].core.voting)


UNKNOWN = {
    "a PREPARE": m.Prepare(0, 3, 0, 13, X),
    "a COMMIT": m.Commit(0, 3, 0, 13, X),
    "a PREPARE of a later view": m.Prepare(0, 3, 2, 13, X),
    "a proposal of a view that it led": m.PrePrepare(0, 3, 3, 13, X),
    "a CHECKPOINT above its log": m.Checkpoint(0, 3, 20, *ROOTS),
    "a VIEW-CHANGE": m.ViewChange(0, 3, 1, (), ()),
    "a NEW-VIEW": m.NewView(0, 3, 3, (), ()),
    "another PREPARE than its own": m.Prepare(0, 3, 0, 12, X),
    "another COMMIT than its own": m.Commit(0, 3, 0, 12, X),
}


@table("what", UNKNOWN, count=9)
def test_r11_an_unknown_own_statement_takes_its_vote_away(what: str) -> None:
    """Its ledger is older than its statements, or a twin uses its key."""
    cluster = working()
    assert not votes_after(cluster, UNKNOWN[what])
    assert "is not in its ledger" in cluster[3].core.state.voting_right.reason
    assert cluster[3].journal.states["voting"].value == b"0"


SETTLED = {
    "a PREPARE under the low mark": m.Prepare(0, 3, 0, 10, X),
    "a CHECKPOINT of its log": m.Checkpoint(0, 3, 10, *ROOTS),
    "a VIEW-CHANGE for the view it is in": m.ViewChange(0, 3, 0, (), ()),
    "a word of another epoch": m.Prepare(1, 3, 0, 13, X),
}


@pytest.mark.parametrize("what", SETTLED)
def test_r11_a_statement_that_no_longer_binds_takes_no_vote_away(what: str) -> None:
    assert votes_after(working(), SETTLED[what])


def test_r11_known_own_statements_shown_again_change_nothing() -> None:
    cluster = working()
    kinds = (m.Prepare, m.Commit, m.Checkpoint, m.Suspect)
    said = [message for kind in kinds for message in cluster.messages(kind, source=3)]
    assert len(said) > 30
    assert all(votes_after(cluster, message) for message in said)


def test_r11_votes_of_views_that_it_left_take_no_vote_away() -> None:
    """It can give none there any more."""
    cluster = working()
    cluster[0].crash()
    cluster.advance(2_500)
    assert cluster[3].core.state.views.is_active(1)
    assert votes_after(cluster, m.Prepare(0, 3, 0, 14, X))
    assert votes_after(cluster, m.ViewChange(0, 3, 1, (), ()))
    assert not votes_after(cluster, m.Prepare(0, 3, 1, 14, X))


def test_r11_its_statements_of_another_epoch_take_no_vote_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liar shows it in a Pong, whose frames are of any epoch: it is valid, and binds no member here."""
    monkeypatch.setattr(Keys, "member_key", lambda keys, _epoch, index: keys.pairs[index][0])
    cluster = working()
    core = cluster[3].core
    cluster.drop(is_kind(m.Pong))
    cluster.advance(2_500)
    shown = (cluster.sign(m.ViewChange(1, 3, 9, (), ())), cluster.sign(m.Commit(1, 3, 0, 13, X)))
    asked = cluster.messages(m.Ping, source=3)[-1].number
    assert cluster[3].hear(cluster[1], cluster[1].signer.link(m.Pong(asked, 12, shown))) is None
    assert core.voting
    own = (cluster.sign(m.Commit(0, 3, 0, 13, X)),)
    assert cluster[3].hear(cluster[2], cluster[2].signer.link(m.Pong(asked, 12, own))) is None
    assert not core.voting, "of this epoch it does"
