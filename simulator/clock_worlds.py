"""Worlds in which wall clocks step ahead and back, at one member, at several, at all, and at gateways; and
clocks that run slow or fast (R3, R14). Operations are dated by the gateways, as in the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.protocol.genesis import Parameters
from dtvn.protocol.versions import FIRST
from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import HOUR, ClockStep
from simulator.faults import FaultPlan
from simulator.membership_changes import MembershipChanges
from simulator.node import Costs
from simulator.run_plan import MessageLoss, Partition
from simulator.workload import Traffic

MEMBERS = ("r0", "r1", "r2", "r3")
FASTEST = 1_000
"""Millionths by which a clock of these worlds runs fast or slow at most."""
CALM = Traffic(tickets=20, pause_max=800 * MILLISECOND, undated=True)
GATES: dict[str, Any] = {"traffic": CALM, "decided_within": 2 * SECOND, "duration": 50 * SECOND}
"""No gate waits longer than two seconds (issue 43)."""


def steps(names: Sequence[str], *ahead: tuple[int, int], ppm: int = 0) -> tuple[ClockStep, ...]:
    """The clocks of `names` are set: (world time, nanoseconds ahead of the true time) each."""
    return tuple(ClockStep(at, name, skew, ppm) for at, skew in ahead for name in names)


THERE_AND_BACK = {
    **GATES,
    "clock_steps": steps(("r0", "r1", "r2"), (2 * SECOND, HOUR), (37 * SECOND, 0)),
    "plan": FaultPlan(pause_max=4 * SECOND, client_restart=1, heal=1),
}
"""Three of four members are an hour ahead for 35 s: from then on log time stands. Meanwhile gateways are
replaced by fresh processes, which date their first calls by their own clocks, an hour behind the log."""

ALL_BACK = {
    **GATES,
    "clock_steps": steps(MEMBERS, (2 * SECOND, -HOUR), (20 * SECOND, 0), (30 * SECOND, -2 * SECOND)),
}
"""All members are set back at once, then right: log time stands, and goes on. Then by a little."""

OF_GATEWAYS = {
    **GATES,
    "duration": 20 * SECOND,
    "clock_steps": (
        *steps(("client-0",), (0, HOUR), (10 * SECOND, -HOUR)),
        *steps(("client-1",), (0, -HOUR), (10 * SECOND, HOUR)),
    ),
    "plan": FaultPlan(pause_max=4 * SECOND, client_restart=1, heal=1),
}
"""From their first call on one gateway is an hour ahead, the other one an hour behind; then the other way
around, and each new process begins so."""

DAY = 24 * HOUR
AHEAD_IN_HALVES = {**GATES, "clock_steps": steps(("r0", "r1"), (0, HOUR), (25 * SECOND, 0))}
"""Two of four clocks are an hour ahead from the start: f + 1 of them, and no quorum is right or wrong."""

BEHIND_IN_HALVES: dict[str, Any] = {
    **GATES,
    "clock_steps": steps(("r0", "r2"), (0, -3 * DAY), (25 * SECOND, 0)),
    "suspects_nobody": True,
}
"""Two of four are three days behind from the start: log time stands, and everybody is admitted."""

STEPPED_APART: dict[str, Any] = {
    **GATES,
    "clock_steps": steps(
        ("r0", "r1"),
        (2 * SECOND, 30 * SECOND),
        (10 * SECOND, 0),
        (12 * SECOND, -HOUR),
        (20 * SECOND, 0),
        (22 * SECOND, 3 * DAY),
        (30 * SECOND, 0),
    ),
    "suspects_nobody": True,
}
"""Two of four clocks are set wrong, and right again: they hold each step back, so that nobody notices."""

IDLE_NIGHT: dict[str, Any] = {
    "traffic": Traffic(tickets=10, pause_max=40 * SECOND, undated=True),
    "duration": 240 * SECOND,
    "suspects_nobody": True,
}
"""Nearly nothing is asked for: the log is behind all clocks, and that is nobody's fault."""

HELD_BACK: dict[str, Any] = {**GATES, "decided_within": 4 * SECOND, "log_min": 40}
"""A liar dates all its batches an hour behind: views change until another member proposes."""

OF_ONE = {
    **GATES,
    "duration": 40 * SECOND,
    "clock_steps": (
        *steps(("r0",), (SECOND, -HOUR), (20 * SECOND, HOUR)),
        *steps(("r1",), (SECOND, 0), ppm=FASTEST),
        *steps(("r2",), (SECOND, 0), ppm=-FASTEST),
    ),
}
"""One clock of four is off (f = 1), that of the first primary, beside a slow and a fast one."""

AMONG_CRASHES = {
    **GATES,
    "decided_within": 8 * SECOND,
    "clock_steps": steps(("r0", "r1", "r2"), (2 * SECOND, HOUR), (37 * SECOND, 0)),
    "plan": FaultPlan(pause_max=5 * SECOND, away_max=2 * SECOND, crash=2, suspend=1, heal=1),
}
"""Three of four members are an hour ahead for a while, and members stop: views change, and who starts anew
reads log time from its disk. Two may be away at once, so a call waits longer."""

AMONG_CHANGES = {
    **GATES,
    "decided_within": 4 * SECOND,
    "duration": 60 * SECOND,
    "clock_steps": steps((*MEMBERS, "n0", "n1"), (2 * SECOND, HOUR), (12 * SECOND, 0)),
    "changes": MembershipChanges(pause_max=6 * SECOND, unready=0.0, undated=True),
    "spares": 2,
    "epochs_min": 4,
}
"""Members come and go while log time is an hour ahead of all clocks (R36)."""

LYING_REFUSALS = {**THERE_AND_BACK, "at": (3,)}
"""The member whose clock was right names false log times in its refusals."""

LONG_TURNS: dict[str, Any] = {
    "traffic": Traffic(tickets=20, pause_max=SECOND, undated=True),
    "costs": Costs(turn=1_200 * MILLISECOND),
    "clock_steps": steps(("r0",), (0, HOUR)),
    "version": FIRST,
    "duration": 60 * SECOND,
    "log_min": 10,
}
"""The first primary's clock is an hour off, by which it dates its batches alone (version 1), and each turn of
a node takes so long that it looks like a pause; all backups read all proposals late (decision 0310). Of 60
seeds the log had 28 to 38 entries; it has none where the first view lasts."""

LATE_NEW_VIEW: dict[str, Any] = {
    "traffic": Traffic(tickets=20, pause_max=50 * MILLISECOND, undated=True),
    "parameters": Parameters(checkpoint_interval=40, view_timeout=100_000, drift_bound=100_000),
    "skew_max": 5 * MILLISECOND,
    "partitions": (Partition(SECOND, (("r0",), ("r1", "r2", "r3"))), Partition(5 * SECOND, ())),
    "message_losses": tuple(
        MessageLoss(kind, receiver="r3", start=SECOND, end=3 * SECOND)
        for kind in ("NewView", "SupplyFrames", "Entries")
    ),
    "duration": 6 * SECOND,
}
"""A member gets the proposals of a view, and much later the NEW-VIEW with which it begins."""
