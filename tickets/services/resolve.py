"""End the dispute about a ticket: back to VALIDATED, or DISPUTED for good."""

from dtvn.machine import Resolve
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def resolve(
    ticket: str,
    *,
    actor: str,
    verdict: str,
    event: str = DEFAULT_EVENT,
    nonce: bytes = b"",
    entry: str | None = None,
) -> Decision:
    """`verdict`: "clear" (back to VALIDATED) or "uphold" (final)."""
    request = Request(Resolve(verdict=verdict), ticket=ticket, event=event, nonce=nonce)
    return decide_one(request, actor=actor, entry=entry)
