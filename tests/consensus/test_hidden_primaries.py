"""Byzantine primaries under a light load or with an accomplice (decision 0159)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus.causes import SLOW, UNFAIR
from dtvn.protocol.genesis import Parameters
from simulator.adversary import slow_primary
from tests.consensus.world import MILLISECOND, SECOND, Callers, make, notes, views

pytestmark = pytest.mark.ci


@pytest.mark.parametrize("pause", [100, 700])
def test_r30_a_primary_that_starves_a_client_is_deposed_under_light_load(pause: int) -> None:
    """At 700 ms the others ask 1.4 times a second: two windows of later requests would take 45 s, and the
    victim's own requests live for ten."""
    cluster = make(22, liars={"r0": "censor"})
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 1, pause=pause * MILLISECOND) for gateway in cluster.gateways]
    began = cluster.world.time
    assert cluster.world.run_for(10 * SECOND, done=lambda: views(cluster) == {1})
    assert UNFAIR in {fields["reason"] for _name, fields in suspected}
    assert cluster.world.time - began < 5 * SECOND, "4 T and a view change"
    cluster.world.run_for(2 * SECOND)
    assert all(each.done for each in callers), "the starved one too"


def test_r30_an_honest_primary_stays_under_a_light_load() -> None:
    cluster = make(22)
    suspected = notes(cluster, "suspected")
    callers = [Callers(gateway, 1, pause=700 * MILLISECOND) for gateway in cluster.gateways]
    cluster.world.run_for(15 * SECOND)
    assert (views(cluster), suspected) == ({0}, [])
    assert sum(each.unanswered for each in callers) == 0


def test_p21_r32_a_slow_primary_cannot_hide_behind_an_accomplice() -> None:
    """The accomplice keeps a full batch waiting, but the fair queue still serves the others soon.
    test_slow_primaries shows that an honest primary stays beside such callers.
    """
    parameters = Parameters(batch_operations_max=40)
    cluster = make(21, gateways=3, liars={"r0": "slow-primary"}, parameters=parameters)
    suspected = notes(cluster, "suspected")
    for gateway in cluster.gateways[:2]:
        Callers(gateway, 1, pause=25 * MILLISECOND)
    Callers(cluster.gateways[2], 2, operations=40)
    assert cluster.world.run_for(15 * SECOND, done=lambda: views(cluster) == {1})
    assert SLOW in {fields["reason"] for _name, fields in suspected}


def test_p21_r32_a_delay_above_resend_time_plus_quarter_t_is_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """520 ms: clients tell only the primary for 300 ms (R34), and the others see the rest, T / 4 and more. A
    shorter delay is indistinguishable from a healthy primary's.
    """
    monkeypatch.setattr(slow_primary, "SHARE_OF_TIMEOUT", 0.65)
    cluster = make(22, liars={"r0": "slow-primary"})
    suspected = notes(cluster, "suspected")
    for gateway in cluster.gateways:
        Callers(gateway, 1, pause=25 * MILLISECOND)
    assert cluster.world.run_for(10 * SECOND, done=lambda: views(cluster) == {1})
    assert SLOW in {fields["reason"] for _name, fields in suspected}


@pytest.mark.parametrize("greedy", [20, 100])
def test_p21_r32_a_slow_primary_cannot_hide_behind_its_callers_own_requests(greedy: int) -> None:
    """Each principal has many requests under way; what that costs in turns is far below 680 ms (0196)."""
    cluster = make(21, liars={"r0": "slow-primary"})
    suspected = notes(cluster, "suspected")
    for gateway in cluster.gateways:
        Callers(gateway, greedy, pause=25 * MILLISECOND)
    assert cluster.world.run_for(15 * SECOND, done=lambda: views(cluster) == {1})
    assert SLOW in {fields["reason"] for _name, fields in suspected}
