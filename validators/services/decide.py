"""`dtvn.api.ordering` with the gateway of this process."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.api import ordering
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import DEFAULT_WAIT
from validators.services.network import gateway


def decide(
    requests: Sequence[Request], *, actor: str, entry: str | None = None, wait: float = DEFAULT_WAIT
) -> list[Decision]:
    """See `dtvn.api.ordering.decide`."""
    return ordering.decide(gateway(), requests, actor=actor, entry=entry, wait=wait)


def decide_one(
    request: Request, *, actor: str, entry: str | None = None, wait: float = DEFAULT_WAIT
) -> Decision:
    """Have one request ordered; raise TicketError unless it was executed."""
    return decide([request], actor=actor, entry=entry, wait=wait)[0].check()


def batch(requests: Sequence[Request], *, actor: str) -> list[Decision]:
    """See `dtvn.api.ordering.decide_batch`."""
    return ordering.decide_batch(gateway(), requests, actor=actor)
