"""An idle cluster orders empty batches for a member that waits for its vote, and not more (R11)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus import rejoin_sequences
from dtvn.protocol.consensus.causes import RETURNING
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.rejoin_sequences import TOLERATED
from tests.consensus.helpers import MILLISECOND, Cluster
from tests.consensus.test_catch_up import busy
from tests.consensus.test_rejoin_views import wipe

SECOND = 1_000


def claims_to_wait(cluster: Cluster, member: int) -> None:
    """A liar: each Status of it says that it has no vote."""
    core = cluster[member].core
    real = core.retransmission._status

    def status() -> bytes:
        return core.state.signer.sign(replace(core.state.signer.open(real()).message, voting=False))

    core.retransmission._status = status


def test_r11_the_vote_returns_though_nobody_asks_for_anything() -> None:
    cluster = Cluster(4)
    busy(cluster, 12)
    wipe(cluster[3])
    for _ in range(150):
        if not cluster[3].core.voting:
            cluster.advance(100)
    assert cluster[3].core.voting
    cluster.advance(3 * SECOND)
    ordered = cluster.executed()[0]
    assert ordered - 12 < cluster[0].core.rejoin_sequences.grant, "it is not used up"
    reasons = {note["reason"] for node in cluster.nodes for note in node.told("suspected")}
    assert reasons <= {RETURNING, "joined"}
    cluster.advance(10 * SECOND)
    assert cluster.executed() == [ordered] * 4, "nobody waits any more"
    cluster.agree()


def test_r11_who_waits_says_how_far_it_is() -> None:
    cluster = Cluster(4)
    busy(cluster, 12)
    cluster.drop(lambda source, target, message: isinstance(message, m.Pong))
    wipe(cluster[3])
    cluster.advance(1_000)
    assert cluster[3].core.rejoin.progress() == "0 of 3 other members have shown it their checkpoint"
    cluster.heal()
    cluster.advance(2_500)
    told = cluster[3].core.rejoin.progress()
    assert told.startswith("it votes again above checkpoint "), told
    cluster.advance(15 * SECOND)
    assert cluster[3].core.rejoin.progress() == ""


def test_r11_one_that_claims_to_wait_for_ever_is_granted_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejoin_sequences, "GRANT_EVERY", 20 * SECOND * MILLISECOND)
    cluster = Cluster(4)
    claims_to_wait(cluster, 2)
    grant = cluster[0].core.rejoin_sequences.grant
    cluster.advance(19 * SECOND)
    assert cluster.executed() == [grant] * 4
    assert not cluster.messages(m.Suspect)
    cluster.advance(20 * SECOND)
    assert cluster.executed() == [2 * grant] * 4


def test_r31_a_pause_of_the_primary_does_not_age_what_it_heard() -> None:
    waits = Cluster(4)[0].core.rejoin_sequences
    waits.on_said(2, voting=False)
    gap = rejoin_sequences.ALIVE + 1
    waits.state.now = replace(waits.state.now, monotonic=waits.state.now.monotonic + gap)
    assert not waits.is_wanted()
    waits.shift(gap)
    assert waits.is_wanted()


def test_r11_nothing_is_ordered_where_those_that_vote_are_no_quorum() -> None:
    cluster = Cluster(4)
    claims_to_wait(cluster, 2)
    claims_to_wait(cluster, 3)
    cluster.advance(5 * SECOND)
    assert max(cluster.executed()) <= 1, "one of them was heard first"


def test_r11_a_primary_that_never_stops_is_deposed() -> None:
    cluster = Cluster(4)
    cluster[0].core.rejoin_sequences.is_wanted = lambda: True
    cluster.advance(30 * SECOND)
    most = TOLERATED * cluster[1].core.rejoin_sequences.grant
    assert most <= cluster.executed()[1] <= most + 2
    assert Reason.BAD_BATCH.value in [each["reason"] for each in cluster[1].told("abstained")]
    assert cluster[1].core.state.views.view >= 1


def test_r30_a_primary_that_orders_only_empty_batches_is_deposed() -> None:
    """They are granted for minutes, but a request that waits meanwhile sees no progress."""
    cluster = Cluster(4)
    core = cluster[0].core
    core.policy.has_unproposed = lambda: False
    core.policy.next_batch = list
    core.proposing.tick_at = lambda: core.proposing._ticked + 700 * MILLISECOND
    cluster.request("T-1", to=[0, 1, 2, 3])
    for _ in range(50):
        if not cluster.answers(m.Reply):
            cluster.advance(100)
    assert cluster.answers(m.Reply)
    assert cluster[1].core.state.views.view > 0
