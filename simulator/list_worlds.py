"""Worlds in which lists decide who comes in: entries, exits, second thoughts, and a midnight (R41)."""

from __future__ import annotations

from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.clock_steps import ClockStep
from simulator.workload import Traffic

LISTS: dict[str, Any] = {
    "lists": True,
    "gateways": 3,
    "traffic": Traffic(tickets=3, pause_max=60 * MILLISECOND, undated=True),
    "duration": 5 * SECOND,
}

OVER_MIDNIGHT: dict[str, Any] = {**LISTS, "midnight": True, "duration": 4 * SECOND}
"""A midnight falls between the scans of many guests, and their lists become daily ones."""

STEP = 1_000 * SECOND
TOO_LATE: dict[str, Any] = {
    **LISTS,
    "clock_steps": tuple(
        ClockStep(number * 600 * MILLISECOND, name, number * STEP)
        for number in range(1, 8)
        for name in ("r0", "r1", "r2", "r3", "client-0", "client-1", "client-2")
    ),
}
"""Again and again all clocks are set ahead, so that it is too late to annul what was scanned before (R41)."""
