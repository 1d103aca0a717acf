"""Whole clusters in virtual time: a primary that dies, sleeps or is falsely suspected (R29, R30, R31, R34).
Two gateways keep calls under way all the time; each request must be answered once and soon.
"""

from __future__ import annotations

import pytest

from simulator.adversary.false_suspector import FalseSuspector
from simulator.cluster import Cluster
from tests.consensus.world import MILLISECOND, SECOND, Callers, looks, m, make, notes, views

pytestmark = pytest.mark.exhaustive

PAUSE = 80 * MILLISECOND
"""Between an answer and the next call."""


def calling(cluster: Cluster, at_once: int = 2) -> list[Callers]:
    callers = [Callers(gateway, at_once, pause=PAUSE) for gateway in cluster.gateways]
    cluster.world.run_for(SECOND)
    return callers


def end(cluster: Cluster, callers: list[Callers]) -> None:
    """No more calls; everything asked is answered, and every checker agrees."""
    for each in callers:
        each.busy = False
    cluster.world.run_for(12 * SECOND)
    assert sum(each.unanswered for each in callers) == 0
    assert all(call.over for each in callers for call in each.calls)
    cluster.finish()
    assert cluster.settled()


def gap(callers: list[Callers], since: int) -> int:
    """Milliseconds from `since` until the next call is answered."""
    return min(
        at for each in callers for at, _took in each.done if at > since + 50 * MILLISECOND
    ) // MILLISECOND - (since // MILLISECOND)


@pytest.mark.parametrize("members", [4, 7])
def test_r34_a_dead_primary_costs_less_than_two_seconds_and_no_call(members: int) -> None:
    cluster = make(2, members=members)
    callers = calling(cluster)
    died = cluster.world.time
    cluster.world.nodes["r0"].crash()
    cluster.world.run_for(3 * SECOND)
    assert gap(callers, died) < 2_000
    assert views(cluster) == {1}
    for each in callers:
        assert each.slowest(died, cluster.world.time) < 3_000, "R34: no operation waits longer than 3 s"
    cluster.world.start(cluster.world.nodes["r0"])
    end(cluster, callers)


def test_r31_two_dead_primaries_in_a_row_are_replaced() -> None:
    cluster = make(3, members=7)
    callers = calling(cluster)
    died = cluster.world.time
    cluster.world.nodes["r0"].crash()
    cluster.world.nodes["r1"].crash()
    cluster.world.run_for(4 * SECOND)
    assert gap(callers, died) < 3_000
    assert views(cluster) == {2}
    for name in ("r0", "r1"):
        cluster.world.start(cluster.world.nodes[name])
    end(cluster, callers)


def test_r33_a_primary_that_dies_inside_its_new_view_is_replaced() -> None:
    """Only r4 receives the NEW-VIEW: it is alone in view 1 until all enter view 2."""
    cluster = make(4, members=7)
    callers = calling(cluster)
    entered = notes(cluster, "entered_view")
    for other in ("r2", "r3", "r5", "r6"):
        cluster.world.network.when(kind=m.NewView, sender="r1", receiver=other).drop()
    died = cluster.world.time
    cluster.world.nodes["r0"].crash()
    assert cluster.world.run_for(3 * SECOND, done=lambda: ("r4", 1) in [(n, f["view"]) for n, f in entered])
    cluster.world.nodes["r1"].crash()
    cluster.world.run_for(5 * SECOND)
    assert gap(callers, died) < 5_000
    assert views(cluster) == {2}
    cluster.world.network.heal()
    for name in ("r0", "r1"):
        cluster.world.start(cluster.world.nodes[name])
    end(cluster, callers)


def test_a_replica_that_slept_three_views_returns_without_a_view_change() -> None:
    cluster = make(5, members=7)
    callers = calling(cluster)
    nodes = cluster.world.nodes
    nodes["r6"].pause()
    for view in range(3):
        nodes[f"r{view}"].crash()
        cluster.world.run_for(2 * SECOND)
        cluster.world.start(nodes[f"r{view}"])
        cluster.world.run_for(SECOND // 2)
    assert nodes["r6"].view() == 0
    left = notes(cluster, "left_view")
    nodes["r6"].resume()
    cluster.world.run_for(3 * SECOND)
    assert views(cluster) == {3}
    assert {name for name, _fields in left} <= {"r6"}, "its sleep is nobody's fault"
    end(cluster, callers)


@pytest.mark.parametrize(
    "links",
    [
        [("r0", "r3")],
        [("r3", "r0")],
        [("r1", "r2"), ("r2", "r3"), ("r3", "r1")],
        [("r0", "r1"), ("r2", "r0")],
    ],
)
def test_r29_one_way_links_do_not_move_the_view(links: list[tuple[str, str]]) -> None:
    cluster = make(6)
    callers = calling(cluster)
    cluster.world.network.cuts.update(links)
    cluster.world.run_for(4 * SECOND)
    assert views(cluster) == {0}
    assert all(each.throughput(cluster.world.time - 2 * SECOND, cluster.world.time) > 0 for each in callers)
    cluster.world.network.heal()
    end(cluster, callers)


@pytest.mark.parametrize("members", [4, 7])
def test_row_13_constant_suspicion_by_f_members_changes_no_view(members: int) -> None:
    cluster = make(7, members=members)
    for number in range((members - 1) // 3):
        node = cluster.world.nodes[f"r{members - 1 - number}"]
        node.honest = False
        node.send_hook = FalseSuspector(cluster, node, cluster.world.dice.fork(f"alarm {number}"))
    callers = calling(cluster)
    clean = sum(each.throughput(cluster.world.time - SECOND, cluster.world.time) for each in callers)
    cluster.world.run_for(4 * SECOND)
    assert views(cluster) == {0}
    later = sum(each.throughput(cluster.world.time - SECOND, cluster.world.time) for each in callers)
    assert later > 0.9 * clean


def test_r31_a_machine_that_was_suspended_does_not_suspect() -> None:
    """All members sleep for a minute, as on a suspended laptop; none was silent."""
    cluster = make(8)
    callers = calling(cluster)
    for node in cluster.world.nodes.values():
        node.pause()
    for each in callers:
        each.busy = False
    cluster.world.run_for(60 * SECOND)
    for node in cluster.world.nodes.values():
        node.resume()
    cluster.world.run_for(SECOND)
    suspected = notes(cluster, "suspected")
    fresh = [Callers(gateway, 2, pause=PAUSE) for gateway in cluster.gateways]
    cluster.world.run_for(2 * SECOND)
    assert views(cluster) == {0}
    assert suspected == []
    for each in fresh:
        each.busy = False
    cluster.world.run_for(2 * SECOND)
    assert sum(each.unanswered for each in fresh) == 0
    cluster.finish()


def test_r31_a_primary_suspended_for_20_seconds_is_replaced_and_follows() -> None:
    cluster = make(9)
    callers = calling(cluster)
    slept = cluster.world.time
    cluster.world.nodes["r0"].pause()
    cluster.world.run_for(20 * SECOND)
    assert gap(callers, slept) < 2_000
    before = views(cluster) - {0}
    cluster.world.nodes["r0"].resume()
    cluster.world.run_for(2 * SECOND)
    assert views(cluster) == before == {1}
    assert {look.suspicion for look in looks(cluster).values()} == {""}
    end(cluster, callers)


def test_r31_the_first_commit_follows_a_returned_quorum_within_ten_seconds() -> None:
    """Two of four are away for a minute, in which nothing can be decided."""
    cluster = make(10)
    callers = calling(cluster)
    nodes = cluster.world.nodes
    for name in ("r0", "r1"):
        nodes[name].crash()
    cluster.world.run_for(60 * SECOND)
    returned = cluster.world.time
    cluster.world.start(nodes["r1"])
    cluster.world.run_for(10 * SECOND)
    assert gap(callers, returned) < 10_000
    cluster.world.start(nodes["r0"])
    for each in callers:
        each.busy = False
    cluster.world.run_for(12 * SECOND)
    cluster.finish()
