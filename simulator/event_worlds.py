"""Worlds in which agent events are judged and recorded, and little else happens (P9, P22, R27)."""

from __future__ import annotations

from typing import Any

from dtvn.events.config import algorithms_of
from dtvn.protocol.quorum import Mode
from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.membership_changes import MembershipChanges
from simulator.run_plan import MessageLoss
from simulator.workload import Traffic

EVENT_RUNS: dict[str, Any] = {
    "event_runs": True,
    "learners": 0,
    "traffic": Traffic(tickets=3, pause_max=2 * SECOND),
    "duration": 3 * SECOND,
}
LOST_VERDICTS = tuple(MessageLoss("Judged", sender=f"r{index}", share=0.2) for index in range(3))
"""Beside a liar, too few equal votes come for some chunks, which are then asked in parts."""
EVENT_FAULTS = FaultPlan(
    pause_max=500 * MILLISECOND, away_max=300 * MILLISECOND, crash=1, client_restart=2, heal=0
)
BY_VOTES = algorithms_of(Mode.PBFT)
ANY_ALGORITHM: dict[str, Any] = {"algorithms": BY_VOTES, **EVENT_RUNS, "message_losses": LOST_VERDICTS}
RUNS_OVER_EPOCHS: dict[str, Any] = {
    **EVENT_RUNS,
    "changes": MembershipChanges(pause_max=700 * MILLISECOND),
    "spares": 2,
    "duration": 4 * SECOND,
}
"""Runs are judged while members join and leave."""
