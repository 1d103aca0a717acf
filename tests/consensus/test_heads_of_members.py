"""When a member may say that its log is as long as the others' (R45): `is_behind` of the voting cores."""

from __future__ import annotations

from dtvn.protocol.consensus.core_face import LATELY
from tests.consensus.helpers import MILLISECOND, Cluster


def worked(members: int, count: int = 3) -> Cluster:
    cluster = Cluster(members)
    for number in range(count):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    cluster.advance(2_100)
    return cluster


def test_r45_members_that_are_equally_far_are_not_behind() -> None:
    cluster = worked(4)
    assert [cluster[index].core.is_behind for index in range(4)] == [False] * 4


def test_r45_a_member_that_starts_is_behind_until_a_quorum_told_how_far_it_is() -> None:
    """f liars and one that just started would be f + 1 that make followers look younger than they are."""
    cluster = worked(4)
    late = cluster[3]
    late.crash()
    cluster.request("T-missed")
    cluster.stabilize()
    cluster.cut(3)
    late.restart()
    cluster.advance(10)
    assert late.core.is_behind, "it heard nobody"
    assert late.core.executed < cluster[0].core.executed
    cluster.heal()
    for _ in range(500):
        cluster.advance(10)
        if not late.core.is_behind:
            break
    assert not late.core.is_behind
    assert late.core.executed == cluster[0].core.executed, "it had what it missed before it said so"


def test_r45_a_member_that_hears_too_few_is_behind_after_a_while() -> None:
    cluster = worked(4)
    cluster.cut(2, 3)
    cluster.advance(LATELY // MILLISECOND + 2_100)
    assert cluster[0].core.is_behind, "it and one other are no quorum"
    cluster.heal()
    cluster.advance(2_100)
    assert not cluster[0].core.is_behind


def test_r45_with_one_member_away_the_others_go_on() -> None:
    cluster = worked(4)
    cluster[3].crash()
    cluster.advance(2 * LATELY // MILLISECOND)
    assert not cluster[0].core.is_behind


def test_r45_one_entry_that_others_have_is_enough() -> None:
    cluster = worked(4)
    state = cluster[0].core.state
    state.lag.vouched = state.executed + 1
    assert cluster[0].core.is_behind


def test_r45_a_single_member_is_never_behind() -> None:
    cluster = Cluster(1)
    assert not cluster[0].core.is_behind
    cluster.advance(2 * LATELY // MILLISECOND)
    assert not cluster[0].core.is_behind
