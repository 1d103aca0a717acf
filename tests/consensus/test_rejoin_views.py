"""A view is left so that a member that lost its ledger may vote again (R11, decision 0164)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import RETURNING
from dtvn.protocol.consensus.rejoin_views import GRANT_EVERY
from tests.consensus.helpers import MILLISECOND, Cluster, Node
from tests.consensus.test_log_ranges import busy
from tests.support.table import table

ENOUGH = 120
"""Requests, each a sequence: more than twice what a member may be ahead of its checkpoint."""


def wipe(node: Node) -> None:
    """Its ledger is gone; its key is not."""
    node.crash()
    node.journal.__init__()  # type: ignore[misc]
    node.restart(voting=False)


def follows_without_a_vote(cluster: Cluster, member: int) -> None:
    """It lost its ledger, and has all that it waits for but the view."""
    busy(cluster, 12)
    wipe(cluster[member])
    cluster.advance(2_500)
    busy(cluster, ENOUGH)


def wish(
    cluster: Cluster, member: int, view: int, *, to: tuple[int, ...], number: int = 0, epoch: int = 0
) -> None:
    """Each target receives a Ping in which this member requests a view from which on it may vote."""
    cluster.time += 30 * MILLISECOND  # Pings are answered so often
    for target in to:
        frame = cluster[member].signer.link(m.Ping(number, False, 0, view, epoch))
        assert cluster[target].hear(cluster[member], frame) is None


def test_r11_in_an_idle_cluster_the_vote_returns_after_one_view_change() -> None:
    cluster = Cluster(4)
    follows_without_a_vote(cluster, 3)
    assert not cluster[3].core.voting
    assert cluster[3].core.state.views.view == 0
    cluster.advance(5_000)
    assert cluster[3].core.voting
    assert [node.core.state.views.view for node in cluster.nodes] == [1] * 4
    reasons = {note["reason"] for node in cluster.nodes for note in node.told("suspected")}
    assert reasons <= {RETURNING, "joined"}
    cluster.sent.clear()
    cluster.request("after", to=[1])
    cluster.advance(200)
    assert cluster.messages(m.Commit, source=3)
    cluster.advance(60_000)
    assert [node.core.state.views.view for node in cluster.nodes] == [1] * 4, "once is enough"
    cluster.agree()


def test_r11_a_next_primary_without_a_vote_is_skipped_at_once() -> None:
    """The next view is its own, which it cannot lead: no member waits T for its NEW-VIEW."""
    cluster = Cluster(4)
    follows_without_a_vote(cluster, 1)
    left = cluster.time
    while not cluster[1].core.voting:
        if cluster[0].core.state.views.view == 0:
            left = cluster.time
        cluster.advance(10)
        assert cluster.time - left < 200 * MILLISECOND or cluster[0].core.state.views.view == 0
        assert cluster.time < 10**12 + 60_000 * MILLISECOND, "the vote never comes back"
    assert {node.core.state.views.view for node in cluster.nodes} == {2}
    assert max(node.core.state.timeouts.failures for node in cluster.nodes) <= 1, "no view has failed (R31)"


def test_r11_a_forgotten_view_change_is_never_contradicted() -> None:
    """m2 left view 0 with cause, its VIEW-CHANGE was lost, and then its disk."""
    cluster = Cluster(4)
    busy(cluster, 12)
    cluster.drop(lambda source, _target, _m: source == 2)
    for other in (0, 3):
        cluster[2].hear(cluster[other], cluster.sign(m.Suspect(0, other, 1, "silent_primary")))
    assert cluster[2].core.state.views.changing
    wipe(cluster[2])
    cluster.heal()
    cluster.sent.clear()
    cluster.advance(2_500)
    busy(cluster, ENOUGH)
    assert {node.core.state.views.view for node in cluster.nodes} == {0}
    assert not cluster.messages(m.Prepare, source=2), "it is bound to view 1, though nobody knows"
    cluster.advance(5_000)
    assert cluster[2].core.voting
    assert {node.core.state.views.view for node in cluster.nodes} == {1}
    busy(cluster, 3)
    assert not [change for change in cluster.messages(m.ViewChange, source=2) if change.view <= 1]
    assert min(vote.view for vote in cluster.messages(m.Commit, source=2)) == 1


def test_r11_a_liars_rejoin_requests_are_granted_once_a_minute() -> None:
    cluster = Cluster(4)
    busy(cluster, 3)
    minutes = 4
    for number in range(minutes * 60):
        view = max(node.core.state.views.view for node in cluster.nodes)
        wish(cluster, 3, view + 1, to=(0, 1, 2), number=number + 1)
        cluster.advance(970)
    views = {node.core.state.views.view for node in cluster.nodes}
    # A view that the liar would lead is passed by.
    assert max(views) in (minutes, minutes + 1), views
    most = max(node.core.state.timeouts.failures for node in cluster.nodes)
    assert most <= 1, "T is not doubled for it (R31)"
    assert GRANT_EVERY == 60_000 * MILLISECOND


@table(
    ("view", "epoch", "to", "why"),
    [
        (0, 0, (0, 1, 2), "it waits for none"),
        (3, 0, (0, 1, 2), "nobody honest waits for a view so far ahead"),
        (1, 1, (0, 1, 2, 3, 4, 5), "it waits for a view of another epoch"),
        (1, 0, (0,), "only one member hears it"),
        (1, 0, (0, 1), "two members are fewer than a quorum"),
    ],
    count=5,
)
def test_r11_a_requested_view_alone_moves_no_member(
    view: int, epoch: int, to: tuple[int, ...], why: str
) -> None:
    cluster = Cluster(7)
    busy(cluster, 3)
    wish(cluster, 6, view, to=to, epoch=epoch)
    cluster.advance(3_000)
    assert {node.core.state.views.view for node in cluster.nodes} == {0}, why


def test_r11_a_rejoin_request_lapses_with_its_vote() -> None:
    """A member that votes again, or stopped, no longer requests it: the suspicion ends by itself."""
    cluster = Cluster(4)
    busy(cluster, 3)
    wish(cluster, 3, 1, to=(0,))
    assert cluster[0].core.suspicion.cause == RETURNING
    wish(cluster, 3, 0, to=(0,), number=1)
    cluster.advance(300)
    assert cluster[0].core.suspicion.cause is None
    cluster.drop(lambda source, _target, message: source == 3 and type(message) is m.Ping)
    wish(cluster, 3, 1, to=(0,), number=2)
    cluster.advance(7_000)
    assert cluster[0].core.suspicion.cause is None
    assert {node.core.state.views.view for node in cluster.nodes} == {0}


@pytest.mark.parametrize("withdraws", [True, False])
def test_r11_a_liar_telling_single_members_moves_the_view_at_most_once(withdraws: bool) -> None:
    """It sends SUSPECT and leaves itself, and requests the view of one honest member alone, which no other
    joins: each has to receive the request, and has granted it then, also if the liar withdraws it before the
    view is left.
    """
    cluster = Cluster(4)
    busy(cluster, 3)
    for number in range(60):
        view = max(node.core.state.views.view for node in cluster.nodes)
        for word in (m.Suspect(0, 3, view + 1, "silent_primary"), m.ViewChange(0, 3, view + 1, (), ())):
            cluster[3].core.state.outbox.broadcast(cluster.sign(word))
        cluster[3].take(cluster[3].core.state.outbox.take())
        cluster.stabilize()
        for target in range(3):
            wish(cluster, 3, view + 1, to=(target,), number=3 * number + 1)
            if withdraws:
                wish(cluster, 3, 0, to=(target,), number=3 * number + 2)
            cluster.advance(260)
    assert max(node.core.state.views.view for node in cluster.nodes) <= 1


def test_r11_suspicions_for_a_rejoin_request_are_not_shown_later() -> None:
    """A SUSPECT has no date. A liar sends the request to one honest member after the other, withdraws it, and
    shows the last one the first one's SUSPECT of a minute before.
    """
    cluster = Cluster(4)
    busy(cluster, 3)
    said: dict[int, bytes] = {}
    for number, target in enumerate((1, 2)):
        before = len(cluster.sent)
        wish(cluster, 3, 1, to=(target,), number=2 * number + 1)
        words = [word for sender, _to, word in cluster.sent[before:] if sender == target]
        said[target] = next(cluster.sign(word) for word in words if isinstance(word, m.Suspect))
        wish(cluster, 3, 0, to=(target,), number=2 * number + 2)
        cluster.advance(20_000)
    for target in (0, 2):
        cluster[target].hear(cluster[3], cluster.sign(m.Suspect(0, 3, 1, "silent_primary")))
        cluster[target].hear(cluster[3], cluster[3].signer.link(m.SupplyFrames(tuple(said.values()))))
        wish(cluster, 3, 1, to=(target,), number=9)
    assert not any(node.core.state.views.changing for node in cluster.nodes)
    cluster.advance(20_000)
    assert {node.core.state.views.view for node in cluster.nodes} == {0}


@pytest.mark.ci
def test_r31_view_changes_of_a_liars_rejoin_requests_keep_t() -> None:
    """Requests come, so the cluster is never idle, but no checkpoint does. A member that has not received the
    request only follows, and a view that the liar would lead is skipped.
    """
    cluster = Cluster(4, checkpoint_interval=1_000)
    busy(cluster, 3)
    for number in range(300):
        view = max(node.core.state.views.view for node in cluster.nodes)
        deaf = number // 60 % 3
        wish(cluster, 3, view + 1, to=tuple({0, 1, 2} - {deaf}), number=number + 1)
        cluster[3].core.state.outbox.broadcast(cluster.sign(m.Suspect(0, 3, view + 1, "silent_primary")))
        cluster[3].take(cluster[3].core.state.outbox.take())
        cluster.request(f"T-{number}", to=[0, 1, 2])
        cluster.advance(1_000)
    assert {node.core.state.views.view for node in cluster.nodes} <= {4, 5}, "once a minute, withdrawn or not"
    assert max(node.core.state.timeouts.failures for node in cluster.nodes[:3]) <= 1


def test_r31_an_idle_clusters_view_changes_are_forgotten() -> None:
    """No checkpoint comes to end the doubling of T."""
    cluster = Cluster(4)
    cluster.advance(2_000)
    busy(cluster, 3)
    for node in cluster.nodes:
        node.core.state.timeouts.failures = 5
    cluster.advance(9_000)
    assert {node.core.state.timeouts.failures for node in cluster.nodes} == {5}
    cluster.advance(2_000)
    assert {node.core.state.timeouts.failures for node in cluster.nodes} == {0}
    busy(cluster, 1)
    cluster[0].crash()
    cluster.request("T-last", to=[1, 2, 3])
    cluster.advance(1_500)
    assert cluster.executed()[1:] == [5, 5, 5]
