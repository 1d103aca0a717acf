"""Worlds in which wall clocks step ahead and back, at one member, at several, at all, and at gateways; and
clocks that run slow or fast (R3, R14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import HOUR, ClockStep
from simulator.node import Costs
from simulator.workload import Traffic

MEMBERS = ("r0", "r1", "r2", "r3")
UNDATED = Traffic(tickets=20, pause_max=200 * MILLISECOND, undated=True)
DATED_BY_GATEWAYS: dict[str, Any] = {"traffic": UNDATED, "duration": 14 * SECOND, "decided_share": 1.0}


def steps(names: Sequence[str], *ahead: tuple[int, int]) -> tuple[ClockStep, ...]:
    """The clocks of `names` are set: (world time, nanoseconds ahead of the true time) each."""
    return tuple(ClockStep(at, name, skew) for at, skew in ahead for name in names)


THERE_AND_BACK = {
    **DATED_BY_GATEWAYS,
    "clock_steps": steps(("r0", "r1", "r2"), (SECOND, HOUR), (4 * SECOND, 0)),
}
"""Three of four members are an hour ahead for a while: from then on log time stands."""

ALL_BACK = {
    **DATED_BY_GATEWAYS,
    "clock_steps": steps(
        ("r0", "r1", "r2", "r3"), (SECOND, -HOUR), (4 * SECOND, 0), (7 * SECOND, -2 * SECOND)
    ),
}
"""All members are set back at once, then right: log time stands, and jumps."""

GATEWAYS_WRONG = {
    **DATED_BY_GATEWAYS,
    "clock_steps": (
        *steps(("client-0",), (0, HOUR), (5 * SECOND, -HOUR)),
        *steps(("client-1",), (0, -HOUR), (5 * SECOND, HOUR)),
    ),
}
"""From their first call on one gateway is an hour ahead, the other one an hour behind."""

ONE_WRONG = {**DATED_BY_GATEWAYS, "clock_steps": steps(("r1",), (0, HOUR), (7 * SECOND, -HOUR))}
"""One clock of four is off (f = 1), beside slow and fast ones."""

LONG_TURNS: dict[str, Any] = {
    "traffic": Traffic(tickets=20, pause_max=SECOND, undated=True),
    "costs": Costs(turn=1_700 * MILLISECOND),
    "clock_steps": steps(("r0",), (0, HOUR)),
    "duration": 60 * SECOND,
    "log_min": 4,
}
"""The primary's clock is an hour off, and each turn of a node takes so long that it looks like a pause."""
