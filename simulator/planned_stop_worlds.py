"""Members stop on purpose, one after the other, while gates call (R29, R44)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.genesis import Parameters
from dtvn.protocol.quorum import Mode
from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.run_plan import OperatorAction
from simulator.workload import Traffic


def _stops(name: str, at: int) -> tuple[OperatorAction, ...]:
    return OperatorAction(at, "retire", name), OperatorAction(at + SECOND, "start", name)


OF_RAFT: dict[str, Any] = {
    "members": 3,
    "mode": Mode.RAFT,
    "plan": FaultPlan(pause_max=3_600 * SECOND, heal=1),
    "traffic": Traffic(tickets=20, pause_max=100 * MILLISECOND, undated=True),
    "parameters": Parameters(view_timeout=800_000),
    "operator_actions": (*_stops("r0", SECOND), *_stops("r1", 3 * SECOND), *_stops("r2", 5 * SECOND)),
    "decided_within": 300 * MILLISECOND,
    "duration": 7 * SECOND,
}
"""No gate waits for a time-out."""

OF_PBFT: dict[str, Any] = {
    **OF_RAFT,
    "members": 4,
    "mode": Mode.PBFT,
    "operator_actions": (*OF_RAFT["operator_actions"], *_stops("r3", 7 * SECOND)),
    "duration": 9 * SECOND,
}
"""The same, and no view change doubles T."""
