"""By whose clocks a primary proposes, and when it holds time back (R3, R32)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import HOLDS_TIME
from tests.consensus.helpers import WALL_START, Cluster, Node, is_kind
from tests.consensus.test_safety import make_proposal

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
NEAR = 1_500_000
"""Microseconds: clocks are shown once a second."""


def skewed(*seconds: int, **changes: Any) -> Cluster:
    """Members whose clocks are so many seconds ahead, and have shown them."""
    cluster = Cluster(len(seconds), **changes)
    for node, ahead in zip(cluster.nodes, seconds, strict=True):
        node.skew = ahead * SECOND
    cluster.request("first")
    cluster.advance(1_500)
    return cluster


def proposed(node: Node) -> int:
    """Microseconds by which its newest proposal was ahead of the true time."""
    newest = max(node.cluster.messages(m.PrePrepare), key=lambda each: each.sequence)
    batch = node.core.state.bodies.get(newest.digest)
    return int(batch.batch.proposed - (WALL_START + node.cluster.time) // 1_000)


@pytest.mark.parametrize(
    ("clocks", "ahead"),
    [
        ((0, 0, 0, 0), 0),
        ((3_600, 3_600, 0, 0), 0),
        ((0, 3_600, 3_600, 0), 0),
        ((3_600, 0, 0, 0), 0),
        ((-40, 0, 0, 0), 0),
        ((0, -40, -40, 0), -40),
        ((0, 0, 0, -40), 0),
        ((0, 30, -30), 0),
        ((30, 0, -30), 0),
        ((-30, 0, 30), 0),
    ],
)
def test_r3_a_primary_proposes_what_q_members_can_accept(clocks: tuple[int, ...], ahead: int) -> None:
    cluster = skewed(*clocks)
    primary = cluster[0].core.state.views.primary  # another than 0 if q members did not accept its first
    cluster.request("second", to=[primary])
    cluster.stabilize()
    assert cluster.executed() == [2] * len(clocks)
    assert abs(proposed(cluster[primary]) - ahead * 1_000_000) < NEAR


def test_r3_without_clocks_of_q_members_the_last_time_goes_on_after_a_moment() -> None:
    """After an outage, say: the proposal is held for half of T, and time alone never stops it."""
    cluster = skewed(0, 0, 0, 0)
    cluster.drop(lambda source, _target, message: source != 0 and isinstance(message, m.Status | m.Pong))
    cluster.advance(6_000)
    last = cluster[0].core.state.executor.timestamp
    cluster.request("second")
    assert cluster.executed() == [1] * 4
    cluster.advance(500)
    assert cluster.executed() == [2] * 4
    assert cluster[0].core.state.executor.timestamp == last + 1


def test_r3_a_primary_asks_for_the_clocks_that_it_needs() -> None:
    cluster = skewed(0, 0, 0, 0)
    cluster.drop(lambda source, _target, message: source != 0 and isinstance(message, m.Status | m.Pong))
    cluster.advance(6_000)
    cluster.heal()
    cluster.request("second")
    cluster.advance(150)
    assert cluster.executed() == [2] * 4
    assert abs(proposed(cluster[0])) < NEAR


def behind(cluster: Cluster) -> list[bool]:
    """What each member says in its newest Status of the primary of view 0."""
    newest = {said.sender: said.behind for said in cluster.messages(m.Status) if said.view == 0}
    return [newest[index] for index in sorted(newest)]


def hold_back(cluster: Cluster, sequence: int, *receivers: int, seconds: int) -> None:
    """The primary of view 0 proposes a time that is so many seconds ago."""
    frame = make_proposal(cluster, f"T-{sequence}", sequence=sequence, shift=-seconds * 1_000_000)
    for receiver in receivers:
        cluster[receiver].hear(cluster[0], frame)


@pytest.mark.parametrize(("clock", "blamed"), [(0, True), (-20, False)])
def test_r3_r32_a_primary_that_holds_time_back_is_blamed_once_q_members_say_so(
    clock: int, *, blamed: bool
) -> None:
    cluster = skewed(0, 0, 0, clock)
    cluster[0].crash()  # a liar speaks in its stead
    hold_back(cluster, 2, 1, 2, 3, seconds=20)
    cluster.advance(700)
    causes = {note["reason"] for node in cluster.nodes[1:] for note in node.told("suspected")}
    assert causes == ({HOLDS_TIME} if blamed else set())


def test_r3_r32_f_plus_1_wrong_clocks_never_move_a_view() -> None:
    cluster = skewed(0, 3_600, 3_600, 0)
    for number in range(12):
        cluster.request(f"T-{number}")
        cluster.advance(1_000)
    assert behind(cluster) == [False, True, True, False]
    assert not any(node.told("suspected") for node in cluster.nodes)


def test_r3_r32_what_q_members_say_moves_the_view_and_ends_with_the_next_right_proposal() -> None:
    cluster = Cluster(4)
    cluster.request("first")
    cluster.advance(1_500)
    cluster[0].skew = -20 * SECOND
    cluster.request("second")
    cluster.advance(300)
    assert all(note["reason"] == HOLDS_TIME for node in cluster.nodes for note in node.told("suspected")[:1])
    cluster.advance(2_000)
    assert {node.core.state.views.view for node in cluster.nodes} == {1}
    cluster.request("third", to=[1])
    cluster.advance(1_500)
    assert cluster.executed() == [3] * 4
    assert not any(node.core.state.clocks.behind for node in cluster.nodes)
    assert not any(said.behind for said in cluster.messages(m.Status)[-4:])


def test_r3_a_slow_cluster_allows_more_lateness() -> None:
    cluster = Cluster(4)
    for sequence, failures, late in ((1, 0, True), (2, 3, False)):
        cluster[1].core.state.timeouts.failures = failures
        cluster[1].core.state.clocks.judge(0, sequence, -5_000_000, cluster[1].core.state.timeouts.timeout)
        assert bool(cluster[1].core.state.clocks.behind) is late


def test_r3_an_idle_log_is_nobodys_fault() -> None:
    cluster = skewed(0, 0, 0, 0)
    cluster.advance(60_000)
    cluster.request("morning")
    cluster.advance(1_000)
    assert cluster.executed() == [2] * 4
    assert not any(node.told("suspected") for node in cluster.nodes)
    assert abs(proposed(cluster[0])) < NEAR


def test_r3_r47_members_of_a_version_without_clocks_show_none() -> None:
    cluster = Cluster(4, shows_clocks=False)
    cluster.request("first")
    cluster.advance(3_000)
    assert cluster.executed() == [1] * 4
    assert all(
        (said.clock, said.behind, said.own_clock) == (0, False, 0) for said in cluster.messages(m.Status)
    )
    assert all(said.clock == 0 for said in cluster.messages(m.Pong))
    cluster[0].skew = -5 * SECOND
    cluster.request("second")
    cluster.stabilize()
    assert abs(proposed(cluster[0]) + 5_000_000) < NEAR


def test_r3_r47_a_status_without_clocks_has_the_form_of_release_0_1_0() -> None:
    first = (0, 1, 0, False, 10, 10, 11, (11,), True)
    assert m.canonical.encode_trimmed(m.Status(*first)) == m.canonical.encode(first)
    assert m.canonical.decode(m.Status, m.canonical.encode(first)) == m.Status(*first)
    later = m.Status(*first, 5, behind=True)
    assert m.canonical.decode(m.Status, m.canonical.encode_trimmed(later)) == later


def test_r3_people_are_told_of_clocks_for_a_minute() -> None:
    cluster = skewed(0, 0, 0, 30)
    clocks = cluster[0].core.state.clocks
    assert -31 * SECOND < clocks.differences()[3] < -29 * SECOND
    cluster.drop(is_kind(m.Status, m.Pong))
    cluster.advance(58_000)
    assert 3 in clocks.differences()
    cluster.advance(5_000)
    assert not clocks.differences()


def test_r3_only_a_status_shows_the_clock_of_a_members_machine() -> None:
    """Answers to Pings in between do not hide it."""
    cluster = skewed(0, 0, 0, 0)
    clocks = cluster[0].core.state.clocks
    now = cluster[0].now().wall // 1_000
    clocks.show(2, now, now + 30_000_000)
    clocks.show(2, now)
    assert -31 * SECOND < clocks.differences()[2] < -29 * SECOND
    clocks.show(2, now, 0)
    assert abs(clocks.differences()[2]) < 2 * SECOND
