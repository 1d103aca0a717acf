"""unblock: a blocked ticket is what its state says again (D5)."""

from __future__ import annotations

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.terms_changes import amend, shown, told
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


class Unblock(Command, frozen=True):
    """End the block of a ticket."""


def rule(at: Context, operation: Operation, command: Unblock, ticket: Ticket | None) -> Result:
    """End the block, if there is one."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    terms = read_terms(ticket.issued)
    if not terms.blocked:
        return reasons.NOT_BLOCKED, told(at, operation.event, ticket)
    free = msgspec.structs.replace(terms, blocked=False, block_reason="")
    return amend(at, operation, ticket, terms, free)


class UnblockBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/unblock."""


KIND = Kind(
    name="unblock",
    command=Unblock,
    rule=rule,
    since=LISTS,
    capability="operate",
    shown=shown,
    rest=Rest(
        UnblockBody,
        "Ticket unblocked",
        "End the block of a ticket.",
        example={"ticket_id": "T-1"},
        full=True,
    ),
    told=True,
    verb="unblocked",
    acts=(Act(name="unblock", past="unblocked"),),
    event_type="ticket_unblocked",
)
