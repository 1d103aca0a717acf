"""Dispute a ticket: VALIDATED to DISPUTED."""

from dtvn.machine import Dispute
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def dispute(
    ticket: str,
    *,
    actor: str,
    event: str = DEFAULT_EVENT,
    reason: str = "",
    nonce: bytes = b"",
    entry: str | None = None,
) -> Decision:
    """`reason` stays in the log for ever: no personal data."""
    request = Request(Dispute(reason=reason), ticket=ticket, event=event, nonce=nonce)
    return decide_one(request, actor=actor, entry=entry)
