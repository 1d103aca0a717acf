"""Validate a ticket: ISSUED to VALIDATED."""

from dtvn.machine import Validate
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def validate(
    ticket: str,
    *,
    actor: str,
    event: str = DEFAULT_EVENT,
    data: bytes = b"",
    nonce: bytes = b"",
    entry: str | None = None,
) -> Decision:
    """`data` is kept in the log with the operation; the issued data stays (spec 1.4)."""
    request = Request(Validate(data=data), ticket=ticket, event=event, nonce=nonce)
    return decide_one(request, actor=actor, entry=entry)
