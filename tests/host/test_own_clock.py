"""A step of the machine's clock is held back until others agree (R3)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.host.own_clock import OwnClock
from dtvn.protocol.log_time import shared_time

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
START = 1_700_000_000 * SECOND
BOUND = 2_000_000
"""Microseconds."""


class Machine:
    """Its clock, and those of four other members' machines, as seconds ahead of the true time."""

    def __init__(self) -> None:
        self.time = 0
        self.ahead = 0.0
        self.slept = 0
        self.others = [0.0, 0.0, 0.0, 0.0]

    def now(self) -> Now:
        true = 100 * SECOND + self.time
        wall = START + self.time + round(self.ahead * SECOND)
        return Now(true - self.slept, wall, boot=true)


class Member:
    """A member of five, f = 1: it looks at its clock each second."""

    def __init__(self, *, needed: int = 2) -> None:
        self.machine, self.needed = Machine(), needed
        self.clock = OwnClock(self.machine, BOUND)
        self.clock.now()

    def after(self, seconds: int, *, heard: bool = True) -> float:
        """Seconds by which the time that it goes by is ahead of the true one, that much later."""
        for _ in range(seconds):
            self.machine.time += SECOND
            now = self.clock.now()
            if now.held:
                true = START + self.machine.time
                others = [true + round(each * SECOND) for each in self.machine.others] if heard else []
                self.clock.weigh(now, others, self.needed)
        return (self.clock.now().wall - START - self.machine.time) / SECOND

    @property
    def doubtful(self) -> float:
        return self.clock.doubtful(self.clock.now()) / SECOND


@pytest.mark.parametrize("step", [30.0, -30.0, 259_200.0, -259_200.0])
def test_r3_a_step_is_held_back_and_told_after_a_minute(step: float) -> None:
    member = Member()
    member.machine.ahead = step
    assert (member.after(59), member.doubtful) == (0.0, 0.0)
    assert (member.after(2), member.doubtful) == (0.0, step)
    member.machine.ahead = 0.0
    assert (member.after(1), member.doubtful) == (0.0, 0.0)


def test_r3_a_step_is_followed_once_f_plus_1_others_are_nearer_to_it() -> None:
    """All hosts are set: each sees the others' new clocks a moment later."""
    member = Member()
    member.machine.ahead = -3_600.0
    assert member.after(5) == 0.0
    member.machine.others = [-3_600.0, 0.0, 0.0, 0.0]
    assert member.after(5) == 0.0, "one liar would do"
    member.machine.others = [-3_600.0, -3_595.0, 0.0, 0.0]
    assert member.after(1) == -3_600.0


def test_r3_a_wrong_clock_that_is_set_right_is_followed() -> None:
    member = Member()
    member.machine.ahead = 7_200.0
    member.clock = OwnClock(member.machine, BOUND)
    assert member.after(5) == 7_200.0, "it was started so"
    member.machine.ahead = 0.0
    assert member.after(1) == 0.0


def test_r3_a_doubtful_clock_goes_by_the_time_that_f_plus_1_others_share() -> None:
    member = Member()
    member.machine.ahead = 30.0
    member.machine.others = [1.5, 1.6, -900.0, -2_000.0]
    assert member.after(50) == 0.0
    assert member.after(20) == 1.5
    member.machine.others = [40.0, -50.0, -900.0, -2_000.0]
    assert member.after(1) == 0.0, "no two share one, and what was before the step is known"


def test_r3_nobody_answers_for_a_minute() -> None:
    member = Member()
    member.machine.ahead = 30.0
    assert (member.after(61, heard=False), member.doubtful) == (0.0, 30.0)


def test_r3_who_has_no_others_to_ask_follows_at_once() -> None:
    member = Member(needed=0)
    member.machine.ahead = 30.0
    assert (member.after(1), member.doubtful) == (30.0, 0.0)


def test_r3_slewing_and_sleep_are_no_steps() -> None:
    member = Member()
    for _ in range(10):
        member.machine.ahead += 1.5
        member.after(1)
    assert member.after(1) == 15.0
    member.machine.slept += HOUR
    member.machine.time += HOUR
    assert member.after(1) == 15.0


def test_r3_a_step_that_is_held_back_outlives_the_host_of_an_epoch() -> None:
    member = Member()
    member.machine.ahead = 30.0
    member.after(61)
    following = OwnClock(member.machine, BOUND)
    following.adopt(member.clock)
    member.clock = following
    assert (member.after(1), member.doubtful) == (0.0, 30.0)


@pytest.mark.parametrize(
    ("clocks", "needed", "near", "shared"),
    [
        ([], 2, 0, None),
        ([5], 2, 0, None),
        ([5, 6], 2, 0, 5),
        ([5, 9], 2, 0, None),
        ([0, 1, 1, 90, 91, 92], 3, 80, 90),
        ([0, 1, 1, 90, 91, 92], 3, 10, 0),
        ([7], 1, 0, 7),
    ],
)
def test_r3_of_two_halves_the_nearer_one_shares_the_time(
    clocks: list[int], needed: int, near: int, shared: int | None
) -> None:
    assert shared_time(clocks, needed, 2, near=near) == shared
