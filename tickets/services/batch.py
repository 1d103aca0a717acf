"""Many operations at once: in order, not atomic, each with an outcome of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tickets.machine import reasons
from tickets.services.decide import Decision, Request, decide
from tickets.services.errors import Unavailable
from validators.gateway.collector import Result
from validators.gateway.face import DEFAULT_WAIT

__all__ = ["BATCH_OPERATIONS_MAX", "batch"]

BATCH_OPERATIONS_MAX = 10_000
PIECE = 1_000
"""Operations that travel as one bundle; the next piece leaves when this one is decided."""
LATER_WAIT = 5.0
"""Seconds that a later piece is given at least: a batch that came far outlives a view change."""
BATCH_SECONDS = 20.0
"""After these no piece is begun: no answer over HTTP takes longer than 30 (spec 1.5)."""

_UNDECIDED = reasons.NOT_SENT | {reasons.OUTCOME_UNKNOWN}


def batch(requests: Sequence[Request], *, actor: str, entry: str | None = None) -> list[Decision]:
    """One decision per request, refusals included; what follows a piece without an outcome is not sent.

    Raises Unavailable where nothing was sent at all.
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
