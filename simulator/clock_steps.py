"""Steps of wall clocks, as an operator, NTP or a resumed machine makes them (R3, R14)."""

from __future__ import annotations

import msgspec

from simulator.clock import SECOND
from simulator.dice import Dice

HOUR = 3_600 * SECOND
FASTEST = 1_000
"""Millionths by which a clock that was set runs slow or fast at most."""


class ClockStep(msgspec.Struct, frozen=True):
    """The wall clock of a node or a gateway (`client-0`) is set, and runs fast by `ppm` millionths."""

    at: int
    name: str
    ahead: int
    """Nanoseconds ahead of the true time."""
    ppm: int = 0


def draw_clock_steps(dice: Dice, members: int, gateways: int, duration: int) -> tuple[ClockStep, ...]:
    """Random steps of the clocks of some members or of all, with the gateways' or without, and back. In some
    worlds the members fall into two halves: what one half is ahead, the other is behind. In others hours go
    by for everybody, as on machines that slept: nonces are forgotten (R13), leases and days end."""
    names = [f"r{index}" for index in range(members)]
    clients = [f"client-{number}" for number in range(gateways)]
    if dice.hit(0.6):
        at, hours = dice.between(SECOND // 4, min(duration, SECOND)), dice.between(HOUR, 4 * HOUR)
        return tuple(ClockStep(at, name, hours) for name in (*names, *clients))
    found: list[ClockStep] = []
    for _ in range(dice.between(1, 3)):
        at, halves = dice.below(min(duration, SECOND)), members > 1 and dice.hit(0.25)
        back = at + dice.below(duration)
        count = members // 2 if halves else members if dice.hit(0.6) else dice.between(1, members)
        chosen = dice.sample(names, count)
        skew = dice.spread(SECOND, HOUR) if dice.hit(0.4) else dice.between(HOUR, 4 * HOUR)
        skew *= dice.pick((-1, 1, 1))
        ahead = dict.fromkeys(names, -skew) if halves else {}
        ahead |= dict.fromkeys(chosen, skew)
        if dice.hit(0.5):
            ahead |= dict.fromkeys(clients, skew)
        for name, nanoseconds in ahead.items():
            found.append(ClockStep(at, name, nanoseconds, dice.between(-FASTEST, FASTEST)))
            found.append(ClockStep(back, name, 0))
    return tuple(found)
