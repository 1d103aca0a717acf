"""A ledger restored to before a view change: members show it the lost statements before it votes (R11)."""

from __future__ import annotations

import copy

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster, is_kind
from tests.consensus.test_pinging import VOTES, busy_cluster

OTHER_WAYS = (m.NewView, m.ViewChange, m.SupplyFrames)
"""On which the word would come too, later: here a Pong alone shows it."""


def led_by_m1() -> Cluster:
    """m0 is down. m1's journal is as it was when m1 was bound to view 1 and had not led it yet; since then it
    has, and nothing was reproposed.
    """
    cluster = busy_cluster(requests=10)
    assert cluster[1].core.state.log.stable == 10
    cluster[0].crash()
    while not cluster[1].core.state.views.changing:
        if not cluster.deliver():
            cluster.advance(1, deliver=False)
    copied = copy.deepcopy(cluster[1].journal)
    cluster.advance(100)
    assert cluster.messages(m.NewView, source=1)
    cluster[1].crash()
    cluster[1].journal = copied
    return cluster


def test_r11_a_new_view_that_the_ledger_lost_is_shown() -> None:
    """m1 must not send a second one to members that did not receive the first."""
    cluster = led_by_m1()
    cluster.sent.clear()
    cluster.drop(is_kind(*OTHER_WAYS))
    cluster[1].restart()
    assert cluster[1].core.state.views.changing
    assert cluster[1].core.voting
    cluster.advance(1_000)
    assert not cluster[1].core.voting
    assert "NewView under this node's key is not in its ledger" in cluster[1].core.state.voting_right.reason
    kinds = {type(message) for s, _t, message in cluster.sent if s == 1 and isinstance(message, VOTES)}
    assert kinds == {m.ViewChange}, "the one that its ledger has"


def test_r11_a_restarted_primary_leads_only_after_its_peers_answers() -> None:
    """The VIEW-CHANGEs that m1 needs come before the answers to its Ping."""
    cluster = led_by_m1()
    changes = {each.sender: each for each in cluster.messages(m.ViewChange) if each.view == 1}
    cluster.sent.clear()
    cluster.waiting.clear()
    cluster.drop(is_kind(m.Pong))
    cluster[1].restart()
    for sender in (2, 3):
        cluster[1].hear(cluster[sender], cluster.sign(changes[sender]))
    assert cluster[1].core.view_change.supporters(1) == 3
    assert cluster[1].core.state.voting_right.holding
    assert not cluster.messages(m.NewView, source=1)


def test_r11_a_view_change_that_only_a_new_view_rests_on_is_shown() -> None:
    """The others have entered that view, and keep m3's VIEW-CHANGE with its NEW-VIEW."""
    cluster = busy_cluster(requests=10)
    copied = copy.deepcopy(cluster[3].journal)
    cluster[0].crash()
    cluster.advance(1_500)
    assert cluster[2].core.state.views.is_active(1)
    assert not cluster[2].core.state.views.view_changes
    cluster[3].crash()
    cluster[3].journal = copied
    cluster.drop(is_kind(*OTHER_WAYS))
    cluster[3].restart()
    cluster.advance(300)
    assert not cluster[3].core.voting
    assert "ViewChange under this node's key" in cluster[3].core.state.voting_right.reason
