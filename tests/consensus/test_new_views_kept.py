"""A view that was entered, across restarts, and what is shown of it to others (R7, R11, R29, R33)."""

from __future__ import annotations

import pytest

from tests.consensus.helpers import Cluster, is_kind
from tests.consensus.test_new_view import Forge
from validators.consensus import messages as m
from validators.consensus.effects import Reason

X = b"x" * 32


def leading() -> Cluster:
    """m0 is gone; m1 leads view 1, whose NEW-VIEW demands one batch, and nobody hears a COMMIT."""
    cluster = Cluster(4)
    cluster.drop(is_kind(m.Commit))
    cluster.request("T-1", to=[0, 1, 2, 3])
    cluster.stabilize()
    cluster[0].crash()
    cluster.advance(2_000)
    assert all(node.core.views.is_active(1) for node in cluster.up())
    assert list(cluster[1].core.views.demanded) == [1]
    return cluster


@pytest.mark.parametrize("restarted", [False, True])
def test_r7_a_primary_knows_the_proposals_of_its_new_view_again(restarted: bool) -> None:
    """A member shows them to it, as it does whenever the sequence is called missing."""
    cluster = leading()
    (digest, frame), core = cluster[1].core.views.demanded[1], cluster[1].core
    if restarted:
        cluster[1].crash()
        cluster[1].restart()
        core = cluster[1].core
    assert core.wants(cluster.header(frame, 2)) is Reason.SECOND_MESSAGE
    assert core.voting
    other = cluster.sign(m.PrePrepare(0, 1, 1, 1, X))
    assert digest != X
    cluster[1].hear(cluster[2], other)
    assert not core.voting, "one that it never signed takes its vote away"


def test_r29_a_view_change_counts_at_once_though_others_are_bound_to_the_own_view() -> None:
    """m3 is bound to view 1 like m1; m2 suspects it, and m0 left it: with its own ground three would go."""
    forge = Forge()
    cluster = forge.cluster
    cluster.drop(is_kind(m.Suspect, m.ViewChange, m.NewView, m.SupplyFrames))
    late = cluster[3]
    for sender in (0, 1):
        late.hear(cluster[sender], forge.change(sender, 1, 0))
    assert (late.core.views.view, late.core.views.changing) == (1, True)
    late.hear(cluster[2], cluster.sign(m.Suspect(0, 2, 2, "no_new_view")))
    assert late.core.views.view == 1
    late.hear(cluster[0], forge.change(0, 2, 0))
    assert (late.core.views.view, late.core.views.changing) == (2, True)
