"""X24: a cluster cut in two decides only on the side with a quorum, and heals into one history."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from tests.consensus.helpers import Cluster

CATCHES_UP = 20_000
"""Virtual milliseconds (X24)."""


def began() -> Cluster:
    """Four that have decided something together."""
    cluster = Cluster(4)
    cluster.request("T-before")
    cluster.advance(300)
    assert cluster.executed() == [1] * 4
    return cluster


def test_x24_of_two_halves_none_decides_and_healed_they_have_one_history() -> None:
    cluster = began()
    cluster.drop(lambda source, target, _message: (source < 2) != (target < 2))
    cluster.request("T-here", to=[0, 1])
    cluster.request("T-there", to=[2, 3])
    cluster.advance(10_000)
    assert cluster.executed() == [1] * 4
    cluster.heal()
    cluster.advance(CATCHES_UP)
    assert len(set(cluster.executed())) == 1
    cluster.agree()
    answered = [reply.number for reply in cluster.answers(m.Reply)]
    assert len(set(answered)) == 3, "what was asked before, here and there"
    assert len(answered) == 3 * 4, "each member answered each once"


@pytest.mark.parametrize("alone", [0, 3], ids=["the primary", "a backup"])
def test_x24_three_go_on_and_the_fourth_catches_up(alone: int) -> None:
    cluster = began()
    cluster.cut(alone)
    others = [index for index in range(4) if index != alone]
    cluster.request("T-meanwhile", to=others)
    cluster.advance(10_000)
    assert [cluster.executed()[index] for index in others] == [2] * 3
    assert cluster.executed()[alone] == 1
    cluster.heal()
    cluster.advance(CATCHES_UP)
    assert cluster.executed() == [2] * 4
    cluster.agree()
