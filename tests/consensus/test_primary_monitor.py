"""Measured work and admission (R30), and the verdict on a primary's throughput (R32)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import SLOW, UNFAIR
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.request_key import key_of
from dtvn.protocol.consensus.requests.pool import Pool
from dtvn.protocol.consensus.requests.primary_monitor import SLOW_EVERY, PrimaryMonitor
from dtvn.protocol.consensus.requests.throughput import (
    INTERVAL,
    REQUEST_WORK,
    SAMPLES_KEPT,
    Throughput,
    work_of,
)
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.consensus.helpers import MILLISECOND, Cluster
from tests.support.table import table

SECOND = 1_000 * MILLISECOND
HUNDRED = 100 - REQUEST_WORK
"""Operations of a request that is a hundred units of work."""


def test_r30_the_rate_is_measured_only_while_work_waits() -> None:
    throughput = Throughput()
    for step in range(1, 40):
        throughput.on_executed(1_000, step * INTERVAL // 4, waiting=step % 3 > 0)
    assert throughput.rate() is None, "never busy for a whole interval"
    for step in range(40, 60):
        throughput.on_executed(1_000, step * INTERVAL // 4, waiting=True)
    assert throughput.rate() == 1_000 * 4 * SECOND // INTERVAL


def test_r30_a_slower_disk_refuses_clients_but_one_stall_does_not() -> None:
    throughput = Throughput()
    time = 0
    for gap in (INTERVAL, INTERVAL, INTERVAL, 20 * INTERVAL, INTERVAL):
        time += gap
        throughput.on_executed(500, time, waiting=True)
    assert throughput.rate() == 500 * SECOND // INTERVAL
    for _ in range(SAMPLES_KEPT):
        time += 2 * INTERVAL
        throughput.on_executed(500, time, waiting=True)
    assert throughput.rate() == 250 * SECOND // INTERVAL


def bundle(session: int, number: int, operations: int = HUNDRED) -> VerifiedBundle:
    operation = m.Operation("barrier", "", "", "", "", 0)
    inner = m.Bundle(0, "gateway", b"", (session, 0), number, 0, (operation,) * operations)
    return VerifiedBundle(inner, b"%d %d" % (session, number), b"frame")


def fill(pool: Pool, session: int, room: int) -> int:
    """A session asks until it is refused; returns its waiting work."""
    for number in range(10_000):
        asked = bundle(session, number)
        if pool.crowded(asked, room):
            return number * work_of(HUNDRED)
        pool.add(asked, key_of(asked.bundle), number)
    raise AssertionError("the pool takes everything")


def test_r30_admission_keeps_room_for_small_holders() -> None:
    """100 units each: one greedy session gets half of the room, three others a part of the rest each."""
    pool = Pool(operations_max=10**6, bytes_max=10**9, client_share=4)
    assert fill(pool, 1, room=10_000) == 5_000
    others = [fill(pool, session, room=10_000) for session in (2, 3, 4)]
    assert others == sorted(others, reverse=True)
    assert all(500 <= held <= 2_500 for held in others)
    assert pool.work <= 10_000, "drained in T / 2"
    pool.remove((1, 0, 0))
    assert pool.crowded(bundle(1, 999), 10_000), "the greedy one waits until what it has is done"
    assert not pool.crowded(bundle(5, 0), 10_000)
    assert not pool.crowded(bundle(5, 0, operations=1_000), 10_000), "who holds nothing is let in once"


def test_r30_forwards_get_twice_the_room_at_which_clients_hear_busy() -> None:
    cluster = Cluster(4)
    primary = cluster[0].core
    cluster.drop(lambda _s, _t, _m: True)
    primary.policy.clients._least_room = lambda: 0
    primary.policy.throughput._rates.append(
        10 * work_of(1) * 5
    )  # half of what drains in 400 ms: ten requests
    for number in range(12):
        cluster.request(f"T-{number}", session=(1, number % 3))
    waiting = len(primary.policy.pool)
    assert 9 <= waiting < 12
    assert {answer.code for answer in cluster.answers(m.Busy)} == {Reason.BUSY.value}
    for number in range(12, 18):
        cluster[0].hear(cluster[2], cluster.bundle(f"T-{number}", session=(1, number % 3)))
    assert len(primary.policy.pool) == waiting + 6


def test_r30_a_bundle_rate_admits_as_many_single_requests_as_can_be_done() -> None:
    """As measured: 13,472 operations a second in bundles of 100, 2,013 by themselves."""
    cluster = Cluster(4)
    primary = cluster[0].core
    cluster.drop(lambda _s, _t, _m: True)
    primary.policy.throughput._rates.append(13_472 * work_of(100) // 100)
    drained = 2_013 * 4 // 10  # in T / 2; half of the room is for whoever comes first
    for number in range(drained // 2):
        cluster.request(f"T-{number}", session=(1, 0))
    assert not cluster.answers(m.Busy)
    for number in range(drained // 2, 2 * drained):
        cluster.request(f"T-{number}", session=(1, 0))
    assert cluster.answers(m.Busy)


class Judged:
    """A primary monitor over a pool in which a full batch waits, or does not."""

    def __init__(self) -> None:
        self.state: Any = SimpleNamespace(
            now=SimpleNamespace(monotonic=0),
            log=SimpleNamespace(slots={}, window=32),
            is_catching_up=False,
            config=SimpleNamespace(batch_operations_max=1_000),
            timeouts=SimpleNamespace(timeout=800 * MILLISECOND),
            is_primary=False,
        )
        self.pool: Any = SimpleNamespace(operations=0, overtakes=0, oldest=lambda: None)
        self.primary_monitor = PrimaryMonitor(self.state, self.pool)
        self.primary_monitor.begin()

    def work(self, rate: int, seconds: int, *, waiting: int = 5_000) -> None:
        for _ in range(seconds * 10):
            self.state.now.monotonic += SECOND // 10
            self.pool.operations = waiting
            self.primary_monitor.on_executed(1, rate // 10, [])

    def execute(self, sequence: int, *, waited: int, quorum: int, calm: bool = True) -> None:
        """A request that waited for its proposal, and then for the quorum, so many milliseconds."""
        self.state.now.monotonic += (waited + quorum) * MILLISECOND
        opened = self.state.now.monotonic - quorum * MILLISECOND
        slot = SimpleNamespace(proposals={b"d": b"f"}, reproposed=False, opened=opened)
        self.state.log.slots[sequence] = slot
        item: Any = SimpleNamespace(arrived=opened - waited * MILLISECOND, calm=calm, ahead=0)
        self.primary_monitor.on_executed(sequence, 17, [item])

    def next_view(self) -> None:
        self.primary_monitor.begin()


@pytest.mark.parametrize(("rate", "verdict"), [(10_000, None), (7_500, None), (6_500, SLOW)])
def test_r32_throughput_under_70_percent_of_the_best_view_is_slow(rate: int, verdict: str | None) -> None:
    judged = Judged()
    for earlier in (4_000, 10_000, 8_000):
        judged.work(earlier, 3)
        judged.next_view()
    judged.work(rate, 4)
    assert judged.primary_monitor.cause() == verdict


@table(
    ("waited", "calm", "quorum", "verdict"),
    [
        (500, True, 20, SLOW),
        (190, True, 20, None),
        (500, False, 20, None),
        (500, True, 150, None),
        (700, True, 150, SLOW),
    ],
    ids=["slow", "quick_enough", "stood_in_a_queue", "the_quorum_is_slow_too", "slower_than_the_quorum"],
    count=5,
)
def test_r32_latency_runs_from_first_sight_to_pre_prepare(
    waited: int, calm: bool, quorum: int, verdict: str | None
) -> None:
    """Milliseconds until the proposal, and from there to execution; T / 4 is 200."""
    judged = Judged()
    for sequence in range(1, 9):
        assert judged.primary_monitor.cause() is None, "eight of them, not fewer"
        judged.execute(sequence, waited=waited, quorum=quorum, calm=calm)
    assert judged.primary_monitor.cause() == verdict


def test_r32_slow_requests_of_an_earlier_view_accuse_no_later_primary() -> None:
    judged = Judged()
    for sequence in range(1, 8):
        judged.execute(sequence, waited=500, quorum=20)
    judged.next_view()
    for sequence in range(8, 15):
        judged.execute(sequence, waited=10, quorum=20)
        assert judged.primary_monitor.cause() is None


@pytest.mark.parametrize(
    ("ahead", "pause", "verdict"),
    [(5, 25, SLOW), (20, 25, None), (20, 680, SLOW)],
    ids=["few_turns", "many_turns", "many_slow_turns"],
)
def test_r32_the_turns_of_a_principals_own_requests_are_no_slowness(
    ahead: int, pause: int, verdict: str | None
) -> None:
    """Requests wait for the turns of so many batches, or 600 ms; T / 4 is 200. Each took 20 ms after its
    PRE-PREPARE, which came `pause` ms after the batch before: up to 20 ms of that are its turn's (0196)."""
    judged = Judged()
    core = judged.state
    for sequence in range(1, 81):
        core.now.monotonic += max(30, pause) * MILLISECOND
        opened = core.now.monotonic - 20 * MILLISECOND
        core.log.slots[sequence] = SimpleNamespace(proposals={b"d": b"f"}, reproposed=False, opened=opened)
        waited = max(600, 20 * pause) * MILLISECOND
        item = SimpleNamespace(arrived=opened - waited, calm=True, ahead=ahead)
        judged.primary_monitor.on_executed(sequence, 17, [item if sequence > ahead else None])
    assert judged.primary_monitor.cause() == verdict


def test_r32_one_stall_of_a_healthy_primary_is_one_observation() -> None:
    """Twenty batches waited while its disk or its processor was away for half a second, and came at once."""
    judged = Judged()
    core = judged.state
    for sequence in range(1, 101):
        stalled = 40 <= sequence < 60
        core.now.monotonic += (1 if stalled else 50) * MILLISECOND
        waited = 500 if stalled else 5
        opened = core.now.monotonic - 20 * MILLISECOND
        core.log.slots[sequence] = SimpleNamespace(proposals={b"d": b"f"}, reproposed=False, opened=opened)
        item = SimpleNamespace(arrived=opened - waited * MILLISECOND, calm=True, ahead=0)
        judged.primary_monitor.on_executed(sequence, 17, [item])
        assert judged.primary_monitor.cause() is None


def test_r32_views_longer_ago_than_five_are_forgotten() -> None:
    judged = Judged()
    for earlier in (10_000, 5_000, 5_000, 5_000, 5_000, 5_000):
        judged.work(earlier, 3)
        judged.next_view()
    judged.work(5_000, 4)
    assert judged.primary_monitor.cause() is None


def test_r32_falling_load_is_no_slowness() -> None:
    """Less than a batch waits at times: nothing is measured."""
    judged = Judged()
    judged.work(10_000, 3)
    judged.next_view()
    for _ in range(20):
        judged.work(2_000, 1, waiting=5_000)
        judged.work(1_000, 1, waiting=999)
    judged.work(500, 5, waiting=0)
    assert judged.primary_monitor.cause() is None


def test_r32_at_most_one_deposition_for_slowness_in_half_a_minute() -> None:
    judged = Judged()
    judged.work(10_000, 3)
    judged.next_view()
    judged.work(5_000, 4)
    assert judged.primary_monitor.cause() == SLOW
    judged.primary_monitor.on_left(slow=True)
    left = judged.state.now.monotonic
    judged.next_view()
    judged.work(5_000, 4)
    assert judged.primary_monitor.cause() is None
    judged.work(5_000, 27)
    assert judged.state.now.monotonic >= left + SLOW_EVERY
    assert judged.primary_monitor.cause() == SLOW


def test_r30_unfair_needs_a_long_wait_and_two_windows_of_later_requests() -> None:
    judged = Judged()
    judged.pool.oldest = lambda: SimpleNamespace(arrived=0, ahead=0)
    judged.pool.overtakes = 64
    judged.state.now.monotonic = 3_199 * MILLISECOND
    assert judged.primary_monitor.cause() is None
    judged.state.now.monotonic = 3_201 * MILLISECOND
    assert judged.primary_monitor.cause() == UNFAIR
    judged.pool.overtakes = 63
    assert judged.primary_monitor.cause() is None


def test_r30_the_turns_of_a_principals_own_requests_are_not_unfair() -> None:
    """It waits behind forty batches of 30 ms each (0196); 4 T are 3.2 s."""
    judged = Judged()
    for sequence in range(1, 41):
        judged.state.now.monotonic += 30 * MILLISECOND
        opened = judged.state.now.monotonic - 20 * MILLISECOND
        slot = SimpleNamespace(proposals={b"d": b"f"}, reproposed=False, opened=opened)
        judged.state.log.slots[sequence] = slot
        judged.primary_monitor.on_executed(sequence, 17, [None])
    judged.pool.oldest = lambda: SimpleNamespace(arrived=0, ahead=40)
    judged.pool.overtakes = 64
    judged.state.now.monotonic = (40 * 30 + 3_199) * MILLISECOND
    assert judged.primary_monitor.cause() is None
    judged.state.now.monotonic += 2 * MILLISECOND
    assert judged.primary_monitor.cause() == UNFAIR


def test_r31_a_pause_does_not_count_against_the_primary() -> None:
    judged = Judged()
    judged.pool.oldest = lambda: SimpleNamespace(arrived=0, ahead=0)
    judged.pool.overtakes = 64
    judged.state.now.monotonic = SECOND
    judged.primary_monitor.shift(30 * SECOND)
    judged.state.now.monotonic = 32 * SECOND
    assert judged.primary_monitor.cause() is None


def test_r30_an_idle_primary_sends_a_heartbeat_every_200_ms() -> None:
    cluster = Cluster(4)
    cluster.advance(300)
    cluster.sent.clear()
    cluster.advance(2_000)
    beats = [target for source, target, message in cluster.sent if source == 0 and type(message) is m.Status]
    assert beats.count(1) == 10
    assert cluster.messages(m.Status, source=0)[-1].view == 0


def test_r31_a_replicas_pause_reaches_the_monitor_and_the_measured_rates() -> None:
    policy = Cluster(4)[1].core.policy
    told: list[tuple[str, int]] = []
    for name in ("primary_monitor", "throughput"):
        part = SimpleNamespace(shift=lambda gap, name=name: told.append((name, gap)))
        setattr(policy, name, part)
    policy.shift(30 * SECOND)
    assert told == [("primary_monitor", 30 * SECOND), ("throughput", 30 * SECOND)]
