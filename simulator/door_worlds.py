"""Worlds in which codes, blocks and events decide who comes in, and little else happens (R40, R42)."""

from __future__ import annotations

from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.workload import Traffic

DOORS: dict[str, Any] = {
    "doors": True,
    "gateways": 3,
    "traffic": Traffic(tickets=3, pause_max=40 * MILLISECOND),
    "duration": 5 * SECOND,
}
