"""VIEW-CHANGEs and NEW-VIEWs hold hundreds of signatures: what is refused before they are checked (R5)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from tests.consensus.helpers import Cluster
from tests.consensus.test_new_view import A, Forge, ForgedNewViewPrimary

PROOF = m.PreparedProof(b"unread", ())


def wants(cluster: Cluster, message: Any, source: int) -> Reason | None:
    return cluster[0].core.wants(cluster.header(cluster.sign(message), source))


def test_row_15_no_honest_view_change_has_more_proofs_than_a_window() -> None:
    cluster = Cluster(4)
    span = cluster[0].core.config.watermark_span
    for proofs, frames, verdict in (
        (span, 4, None),
        (span + 1, 4, Reason.TOO_LARGE),
        (0, 5, Reason.TOO_LARGE),
    ):
        message = m.ViewChange(0, 1, 1, (b"unread",) * frames, (PROOF,) * proofs)
        assert wants(cluster, message, 1) is verdict, (proofs, frames)


def test_row_15_no_honest_new_view_carries_more_than_a_window() -> None:
    cluster = Cluster(4)
    span = cluster[0].core.config.watermark_span
    named = tuple((sender, A) for sender in range(5))
    for reproposed, names, verdict in (
        (span, 4, None),
        (span + 1, 4, Reason.TOO_LARGE),
        (0, 5, Reason.TOO_LARGE),
    ):
        message = m.NewView(0, 1, 1, named[:names], (b"unread",) * reproposed)
        assert wants(cluster, message, 1) is verdict, (reproposed, names)


def test_r5_a_member_goes_from_view_to_view_upwards() -> None:
    """Its statements about lower views are old, whichever member shows them."""
    forge = Forge()
    cluster = forge.cluster
    assert cluster[0].hear(cluster[1], forge.change(1, 3, 0)) is None
    views = cluster[0].core.view_change
    assert wants(cluster, m.ViewChange(0, 1, 2, (), ()), 2) is Reason.OLD_VIEW
    assert wants(cluster, m.ViewChange(0, 1, 0, (), ()), 2) is Reason.OLD_VIEW
    assert wants(cluster, m.ViewChange(0, 3, 0, (), ()), 3) is Reason.OLD_VIEW, "not ahead of this member"
    assert wants(cluster, m.ViewChange(0, 1, 4, (), ()), 2) is None
    same = cluster.verified(forge.change(1, 3, 0), 1)
    assert views.refuse_view_change(same.message, same.body_digest) is Reason.SECOND_MESSAGE
    cluster[0].hear(cluster[1], forge.change(1, 3, 10))
    assert [note["code"] for note in cluster[0].told("evidence")] == ["view_change"]
    assert views.views.view_changes[1].stable == 0, "the first one counts"
    assert wants(cluster, m.ViewChange(0, 1, 3, (), (PROOF,)), 1) is Reason.SECOND_MESSAGE, "told once"


def test_r5_a_new_view_is_of_its_primary_and_of_no_view_below() -> None:
    cluster = Cluster(4)
    assert wants(cluster, m.NewView(0, 2, 1, (), ()), 2) is Reason.NOT_PRIMARY
    assert (
        cluster[2].core.wants(cluster.header(cluster.sign(m.NewView(0, 0, 0, (), ())), 0)) is Reason.OLD_VIEW
    )
    named = tuple((sender, A) for sender in (1, 2, 3))
    cluster[0].hear(cluster[1], cluster.sign(m.NewView(0, 1, 5, named, ())))
    assert wants(cluster, m.NewView(0, 1, 1, named, ()), 1) is Reason.OLD_VIEW, "its view 5 waits"
    assert wants(cluster, m.NewView(0, 1, 5, named, ()), 1) is None, "it may be shown again"
    assert wants(cluster, m.NewView(0, 1, 9, named, ()), 1) is None
    lower = cluster.header(cluster.sign(m.NewView(0, 0, 1, (), ())), 0)
    assert cluster[2].core.wants(lower) is Reason.NOT_PRIMARY
    assert wants(cluster, m.NewView(0, 2, 2, named, ()), 2) is None, "each primary has one that waits"


def test_row_4_a_new_view_not_signed_by_its_primary_is_always_refused() -> None:
    """If nothing is reproposed, every member could write it; inside other messages it passes the door."""
    forge = Forge()
    cluster = forge.cluster
    changes = {sender: forge.change(sender, 1, 0) for sender in (1, 2, 3)}
    named = tuple((sender, cluster.verified(frame, sender).body_digest) for sender, frame in changes.items())
    for sender, frame in changes.items():
        cluster[0].hear(cluster[sender], frame)
    lie = cluster.sign(m.NewView(0, 2, 1, named, ()))
    refused = cluster[0].hear(cluster[2], cluster[2].signer.link(m.SupplyFrames((lie,))))
    assert not cluster[0].core.state.views.is_active(1)
    assert refused is Reason.NOT_PRIMARY
    true = cluster.sign(m.NewView(0, 1, 1, named, ()))
    cluster[0].hear(cluster[2], cluster[2].signer.link(m.SupplyFrames((true,))))
    assert cluster[0].core.state.views.is_active(1)


def test_r33_a_new_view_may_name_a_members_last_but_one_view_change() -> None:
    """m2 has gone on to view 2 meanwhile: its VIEW-CHANGE for view 1 is here, and is not asked for."""
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    for sender in (1, 3, 2):
        cluster[0].hear(cluster[sender], forger.changes[sender])
    cluster[0].hear(cluster[2], forger.change(2, 2, 0))
    cluster[0].hear(cluster[1], forger.new_view())
    assert cluster[0].core.state.views.is_active(1)
    assert not cluster[0].core.state.view_change_fetches


def test_row_15_a_wrong_new_view_is_checked_once_and_ends_its_fetches() -> None:
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    core = cluster[0].core
    other = forger.change(1, 5, 0)
    named = [(1, cluster.verified(other, 1).body_digest), (2, A), (3, A)]
    cluster[0].hear(cluster[1], forger.new_view(named=named))
    assert len(core.state.view_change_fetches) == 2
    cluster[0].hear(cluster[1], other)
    cluster[0].hear(cluster[3], forger.change(3, 9, 0))
    assert len(core.state.view_change_fetches) == 0
    assert core.view_change._waiting == {}
    refused = [told for told in cluster[0].told("refused") if told["text"] == "NewView"]
    assert [told["reason"] for told in refused] == [Reason.BAD_PROOF.value]


def test_row_15_fetches_from_a_liar_end_with_its_new_view() -> None:
    """It names a VIEW-CHANGE of its own and shows it, again and again."""
    forge = Forge()
    cluster = forge.cluster
    for turn in range(20):
        view = 4 * turn + 1
        own = forge.change(1, view, 0)
        named = ((1, cluster.verified(own, 1).body_digest), (2, A), (3, A))
        cluster[0].hear(cluster[1], cluster.sign(m.NewView(0, 1, view, named, ())))
        cluster[0].hear(cluster[1], own)
    assert len(cluster[0].core.view_change._extra) <= 1


def test_r33_an_old_view_change_requested_by_digest_is_accepted() -> None:
    """r0 has received later ones of r2; the NEW-VIEW names the one before them all."""
    forger = ForgedNewViewPrimary()
    cluster = forger.cluster
    for view in (2, 3):
        cluster[0].hear(cluster[2], forger.change(2, view, 0))
    cluster[0].hear(cluster[1], forger.new_view())
    for sender in (1, 3, 2):
        cluster[0].hear(cluster[sender], forger.changes[sender])
    assert cluster[0].core.state.views.is_active(1)


@pytest.mark.parametrize("liar", [1, 2, 3])
def test_row_15_digests_named_by_a_liar_end_with_its_new_view(liar: int) -> None:
    """It names VIEW-CHANGEs that do not exist, for a higher view each time."""
    cluster = Cluster(4)
    for turn in range(1, 50):
        view = 4 * turn + liar
        named = tuple((sender, bytes([turn]) * 32) for sender in (1, 2, 3))
        cluster[0].hear(cluster[liar], cluster.sign(m.NewView(0, liar, view, named, ())))
    core = cluster[0].core
    assert len(core.state.view_change_fetches) <= core.state.q
    assert len(core.view_change._waiting) == 1
