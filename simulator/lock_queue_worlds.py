"""Worlds with queues of locks, in which little else happens (R30; P9)."""

from __future__ import annotations

from typing import Any

from dtvn.protocol.genesis import CAPABILITIES
from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.run_plan import MessageLoss, Partition
from simulator.workload import Traffic

MEMBERS = ("r0", "r1", "r2", "r3")

LOCK_QUEUES: dict[str, Any] = {
    "lock_queues": True,
    "gateways": 3,
    "traffic": Traffic(tickets=3, pause_max=4 * SECOND),
    "capabilities": CAPABILITIES,
    "partitions": (
        Partition(SECOND, (("client-1",), (*MEMBERS, "client-0", "client-2"))),
        Partition(3 * SECOND, ()),
    ),
    "duration": 6 * SECOND,
}
"""Clients queue for locks, one of them is cut off, and little else happens."""
LOCK_FAULTS = FaultPlan(pause_max=600 * MILLISECOND, away_max=500 * MILLISECOND, crash=1, suspend=1, heal=0)
LATE_STATES = (MessageLoss("Commit", receiver="r3", share=0.6),)
"""One member often executes a batch when the tick after it has arrived."""
