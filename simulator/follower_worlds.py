"""Worlds in which followers get the log from relays, of which some lie (R45)."""

from __future__ import annotations

from typing import Any

from simulator.clock import MILLISECOND, SECOND
from simulator.faults import FaultPlan
from simulator.run_plan import OperatorAction
from simulator.workload import Traffic

TRAFFIC = Traffic(tickets=10, pause_max=25 * MILLISECOND)
OVER_RELAYS: dict[str, Any] = {
    "learners": 0,
    "relays": 3,
    "followers": 3,
    "transfer_lag": 20,
    "traffic": TRAFFIC,
    "duration": 7 * SECOND,
}
AWAY = FaultPlan(pause_max=600 * MILLISECOND, away_max=SECOND, crash=3, part=1, heal=1)
LATE = (OperatorAction(0, "stop", "follower-0"), OperatorAction(3 * SECOND, "start", "follower-0"))
"""A follower that comes late, when the log is longer than its transfer lag."""

ONE_HEAD: dict[str, Any] = {**OVER_RELAYS, "relay_lies": "one head", "relays": 2, "followers": 2}
"""With member r0 as liar: the only member of which a follower hears."""

OLD_HEADS: dict[str, Any] = {
    **ONE_HEAD,
    "relay_lies": "old heads",
    "traffic": Traffic(tickets=10, pause_max=400 * MILLISECOND),
    "operator_actions": (
        OperatorAction(1_900 * MILLISECOND, "stop", "r3"),
        OperatorAction(20 * SECOND, "start", "r3"),
    ),
    "duration": 27 * SECOND,
}
"""Besides that liar's, a follower hears the heads of r3 that are as old. r3 is honest, and comes back with an
old log: if it signed that as the log's end, two members of four would have said so."""

FOLLOWERS: dict[str, dict[str, Any]] = {
    "followers-over-relays": {**OVER_RELAYS, "operator_actions": LATE},
    "followers-among-crashes": {**OVER_RELAYS, "plan": AWAY, "dead": True},
    "stale-relay": {**OVER_RELAYS, "relay_lies": "stale"},
    "withholding-relay": {**OVER_RELAYS, "relay_lies": "withhold"},
    "looping-relays": {**OVER_RELAYS, "relay_lies": "loop"},
    "lying-relay": {**OVER_RELAYS, "relay_lies": "lie"},
    "lying-relay-of-states": {**OVER_RELAYS, "relay_lies": "false states", "operator_actions": LATE},
    "heads-only": {**OVER_RELAYS, "relay_lies": "heads only", "relays": 2, "followers": 2},
}
