"""Worlds in which a member takes a state, and fetches the log below it while messages are lost, it crashes,
and a member sends false entries or none (R23)."""

from __future__ import annotations

from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.membership_changes import MembershipChanges
from simulator.run_plan import MessageLoss, OperatorAction
from simulator.workload import Traffic

HALF_LOST = (MessageLoss("Entries", start=2 * SECOND, end=12 * SECOND, share=0.3),)

_ARCHIVES: dict[str, Any] = {
    "archives": True,
    "learners": 0,
    "transfer_lag": 10,
    "traffic": Traffic(tickets=10, pause_max=70 * MILLISECOND),
    "message_losses": HALF_LOST,
    "duration": 12 * SECOND,
}

WIPED: dict[str, Any] = {
    **_ARCHIVES,
    "operator_actions": (
        OperatorAction(2 * SECOND, "lose", "r3"),
        OperatorAction(5 * SECOND, "start", "r3"),
        OperatorAction(8_600 * MILLISECOND, "stop", "r3"),
        OperatorAction(8_900 * MILLISECOND, "start", "r3"),
        OperatorAction(9_200 * MILLISECOND, "stop", "r3"),
        OperatorAction(11 * SECOND, "start", "r3"),
    ),
}
"""r3 loses its disk and takes a state. It crashes while it fetches the log below, and then is away until it
takes another state: there are several holes."""

AWAY: dict[str, Any] = {
    **_ARCHIVES,
    "plan": FaultPlan(pause_max=SECOND, away_max=2 * SECOND, crash=2, crash_in_turn=1, power_cut=1, heal=0),
    "dead": True,
}
"""Members crash, also in the middle of a turn, power fails, and who was away takes a state."""

NEWCOMERS: dict[str, Any] = {
    **_ARCHIVES,
    "message_losses": (),
    "changes": MembershipChanges(pause_max=800 * MILLISECOND),
    "spares": 2,
    "epoch_catch_up": True,
    "duration": 8 * SECOND,
    "operator_actions": tuple(
        OperatorAction(at, what, f"n{number}")
        for number in range(2)
        for at, what in ((MILLISECOND, "stop"), (2 * SECOND, "start"))
    ),
}
"""Machines that come late and join as members, after a state each: of the log they have nothing."""
