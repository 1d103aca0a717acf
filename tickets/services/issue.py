"""Issue a ticket: nothing to ISSUED."""

from dtvn.machine import Issue
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def issue(
    ticket: str,
    details: Issue,
    *,
    actor: str,
    event: str = DEFAULT_EVENT,
    nonce: bytes = b"",
    entry: str | None = None,
) -> Decision:
    """`details` never change afterwards and stay in the log: personal data appears there only as a
    commitment."""
    request = Request(details, ticket=ticket, event=event, nonce=nonce)
    return decide_one(request, actor=actor, entry=entry)
