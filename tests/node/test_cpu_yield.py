"""A node that is far behind yields the processor to serving nodes and still catches up (R23)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dtvn.node import cpu_yield as rules
from dtvn.node.cpu_yield import CpuYield, run_queue_wait

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND


class Thread:
    """One thread's clocks. Its run-queue wait equals its work, unless given."""

    def __init__(self, *, told: bool = True) -> None:
        self.now = self.worked = self.waited = 0
        self.rests: list[int] = []
        self._told = told
        self.cpu_yield = CpuYield(
            worked=lambda: self.worked,
            waited=lambda: self.waited if self._told else None,
            now=lambda: self.now,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.rests.append(round(seconds * SECOND))
        self.now += self.rests[-1]

    def work(self, nanoseconds: int, *, line: int | None = None) -> None:
        line = nanoseconds if line is None else line
        self.worked += nanoseconds
        self.waited += line
        self.now += nanoseconds + line
        self.cpu_yield.rest()


@pytest.mark.parametrize("turn", [MILLISECOND, 10 * MILLISECOND, 150 * MILLISECOND])
def test_r23_catch_up_takes_a_third_of_the_time_of_a_busy_processor(turn: int) -> None:
    thread = Thread()
    for _ in range(2_000 * MILLISECOND // turn):
        thread.work(turn)
    rested = sum(thread.rests)
    assert rested <= rules.REST * thread.worked
    if turn < rules.REST_LONGEST // rules.REST:
        assert rested > 0.9 * rules.REST * thread.worked
    assert max(thread.rests) <= rules.REST_LONGEST


def test_r23_catch_up_never_pauses_on_an_idle_processor() -> None:
    thread = Thread()
    for _ in range(1_000):
        thread.work(10 * MILLISECOND, line=100_000)
    assert thread.rests == []


def test_r23_pauses_end_soon_after_the_processor_becomes_idle() -> None:
    thread = Thread()
    for _ in range(10):
        thread.work(10 * MILLISECOND)
    rested = len(thread.rests)
    assert rested
    thread.now += rules.SHORT_FOR
    for _ in range(100):
        thread.work(10 * MILLISECOND, line=0)
    assert len(thread.rests) == rested


def test_r23_the_total_time_of_pauses_is_bounded() -> None:
    """On any host the catch-up ends: an hour of work takes little more than an hour."""
    thread = Thread()
    for _ in range(3_600 * 50):
        thread.work(20 * MILLISECOND)
    assert rules.REST_IN_ALL <= sum(thread.rests) <= rules.REST_IN_ALL + rules.REST_LONGEST


def test_r23_only_catch_up_work_causes_pauses() -> None:
    thread = Thread()
    thread.work(10 * MILLISECOND)
    thread.cpu_yield.end()
    thread.worked += 10 * SECOND
    thread.waited += 10 * SECOND
    thread.cpu_yield.rest()
    assert thread.rests == []


def test_r23_without_run_queue_statistics_there_are_no_pauses() -> None:
    thread = Thread(told=False)
    thread.work(SECOND)
    thread.work(SECOND)
    assert thread.rests == []


def test_r23_rows_are_complete_and_in_order_with_pauses_between_them() -> None:
    thread = Thread()

    def rows() -> Iterator[int]:
        for number in range(10 * rules.ROWS):
            thread.worked += MILLISECOND // 10
            thread.waited += MILLISECOND // 10
            yield number

    assert list(thread.cpu_yield.between(rows())) == list(range(10 * rules.ROWS))
    assert len(thread.rests) == 9


def test_this_system_reports_the_run_queue_wait_of_a_thread() -> None:
    if not rules.SCHEDULE.exists():
        pytest.skip("not on Linux")
    told = run_queue_wait()
    assert told is not None
    assert told >= 0
