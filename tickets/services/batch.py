"""Many operations at once: in order, not atomic, each with its own outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dtvn.gateway import DEFAULT_WAIT, Result
from dtvn.machine import reasons
from tickets.services.decide import Decision, Request, decide
from tickets.services.errors import Unavailable

__all__ = ["BATCH_OPERATIONS_MAX", "batch"]

BATCH_OPERATIONS_MAX = 10_000
PIECE = 1_000
"""Operations per bundle; the next piece is sent when this one is decided."""
LATER_WAIT = 5.0
"""Minimum seconds for each later piece: a batch in progress should survive a view change."""
BATCH_SECONDS = 20.0
"""Seconds after which no further piece is started: no HTTP answer takes longer than 30 (spec 1.5)."""

_UNDECIDED = reasons.NOT_SENT | {reasons.OUTCOME_UNKNOWN}


def batch(requests: Sequence[Request], *, actor: str, entry: str | None = None) -> list[Decision]:
    """Returns one decision per request, refusals included; pieces after one without an outcome are not sent.

    Raises Unavailable if nothing was sent at all.
    """
    begun = time.monotonic()
    decisions: list[Decision] = []
    for start in range(0, len(requests), PIECE):
        gone = time.monotonic() - begun
        if gone > BATCH_SECONDS:
            break
        wait = max(DEFAULT_WAIT - gone, LATER_WAIT)
        try:
            told = decide(requests[start : start + PIECE], actor=actor, entry=entry, wait=wait)
        except Unavailable:
            if not decisions:
                raise
            break
        decisions += told
        if any(decision.code in _UNDECIDED for decision in told):
            break
    rest = requests[len(decisions) :]
    return decisions + [Decision(request, Result(reasons.UNAVAILABLE)) for request in rest]
