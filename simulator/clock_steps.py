"""Steps of wall clocks, as an operator, NTP or a resumed machine makes them (R3, R14)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.quorum import Mode
from simulator.clock import SECOND
from simulator.dice import Dice

HOUR = 3_600 * SECOND


class ClockStep(msgspec.Struct, frozen=True):
    """The wall clock of a node or a gateway (`client-0`) is set, and runs fast by `ppm` millionths."""

    at: int
    name: str
    ahead: int
    """Nanoseconds ahead of the true time."""
    ppm: int = 0


def draw_clock_steps(dice: Dice, members: int, duration: int, mode: Mode) -> tuple[ClockStep, ...]:
    """Random steps of the clocks of one, f, all but f or all members, and back; a clock that is wrong may
    also run slow or fast by up to a thousandth."""
    names, tolerated = [f"r{index}" for index in range(members)], quorum.faults(members, mode)
    chosen = dice.sample(names, dice.pick((1, max(1, tolerated), members - tolerated, members)))
    found: list[ClockStep] = []
    for _ in range(dice.between(1, 3)):
        at = dice.below(duration)
        back = at + dice.below(duration)
        skew = dice.pick((SECOND, 3 * SECOND, 40 * SECOND, HOUR)) * dice.pick((-1, 1))
        for name in chosen:
            found.append(ClockStep(at, name, skew, dice.between(-1_000, 1_000)))
            found.append(ClockStep(back, name, 0))
    return tuple(found)
