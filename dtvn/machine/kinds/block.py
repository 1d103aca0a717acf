"""block: a ticket opens nothing any more, in whatever state it is (D5)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import REASON_LENGTH_MAX, Command
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.terms_changes import amend, shown, told
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


class Block(Command, frozen=True):
    """Block a ticket. Its state stays: an entry that was made stays recorded."""

    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] = ""
    """A text for gates and operators; the log keeps it for ever, so it must hold no personal data."""


def rule(at: Context, operation: Operation, command: Block, ticket: Ticket | None) -> Result:
    """Block it, unless it is blocked."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    terms = read_terms(ticket.issued)
    if terms.blocked:
        return reasons.ALREADY_BLOCKED, told(at, operation.event, ticket)
    blocked = msgspec.structs.replace(terms, blocked=True, block_reason=command.reason)
    return amend(at, operation, ticket, terms, blocked)


class BlockBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/block."""

    reason: bodies.Reason = ""


KIND = Kind(
    name="block",
    command=Block,
    rule=rule,
    since=LISTS,
    capability="operate",
    shown=shown,
    rest=Rest(
        BlockBody,
        "Ticket blocked",
        "Block a ticket: it opens nothing until it is unblocked. The log keeps the reason: no personal data.",
        example={"ticket_id": "T-1", "reason": "stolen"},
        full=True,
    ),
    told=True,
    verb="blocked",
    acts=(
        Act(
            name="block",
            past="blocked",
            means="it opens nothing",
            consequence="No gate admits the ticket until it is unblocked. An entry that was made stays.",
            reason=True,
        ),
    ),
    event_type="ticket_blocked",
)
