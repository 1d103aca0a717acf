"""Consume a ticket at a gate: VALIDATED to CONSUMED."""

from dtvn.machine import Consume
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def consume(
    ticket: str,
    *,
    actor: str,
    event: str = DEFAULT_EVENT,
    gate: str = "",
    device: str = "",
    nonce: bytes = b"",
    entry: str | None = None,
) -> Decision:
    """`gate` and `device` identify the place; both are shown when the ticket is scanned again."""
    request = Request(Consume(gate=gate, device=device), ticket=ticket, event=event, nonce=nonce)
    return decide_one(request, actor=actor, entry=entry)
