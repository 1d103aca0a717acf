"""Many operations at once: in order, not atomic, each with an outcome of its own."""

from collections.abc import Sequence

from tickets.services.decide import Decision, Request, decide
from validators.gateway.face import DEFAULT_WAIT

BATCH_OPERATIONS_MAX = 10_000
LONG_BATCH = 1_000
"""Operations up to which a batch is one bundle and answers like a single call."""
LONG_BATCH_WAIT = 25.0
"""Seconds; no answer over HTTP takes longer than 30 (spec 1.5)."""


def batch(requests: Sequence[Request], *, actor: str, entry: str | None = None) -> list[Decision]:
    """One decision per request, refusals included. Raises only where nothing was sent."""
    wait = DEFAULT_WAIT if len(requests) <= LONG_BATCH else LONG_BATCH_WAIT
    return decide(requests, actor=actor, entry=entry, wait=wait)
