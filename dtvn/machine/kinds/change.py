"""change: product, seat or window of a ticket that has not entered (D5)."""

from __future__ import annotations

import msgspec

from dtvn.machine import reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command, CommandError, Label, Moment
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.kinds.terms_changes import amend, shown, told
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import State
from dtvn.protocol.consensus.messages import Operation


class ChangeTicket(Command, frozen=True):
    """Change what a ticket is for; None: stays as it is."""

    product: Label | None = None
    seat: Label | None = None
    not_before: Moment | None = None
    not_after: Moment | None = None


def check(command: ChangeTicket) -> None:
    """It changes something."""
    if command == ChangeTicket():
        raise CommandError("product, seat, not_before or not_after: one must be given")


def rule(at: Context, operation: Operation, command: ChangeTicket, ticket: Ticket | None) -> Result:
    """Change the given fields, unless the ticket has entered."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    if ticket.status is State.CONSUMED:
        return reasons.ALREADY_CONSUMED, told(ticket)
    terms = read_terms(ticket.issued)
    given = {name: value for name, value in msgspec.structs.asdict(command).items() if value is not None}
    wanted = msgspec.structs.replace(terms, **given)
    if wanted.not_after and wanted.not_after < wanted.not_before:
        return reasons.EMPTY_WINDOW, told(ticket)
    return amend(at, operation, ticket, terms, wanted)


KIND = Kind(
    name="change",
    command=ChangeTicket,
    rule=rule,
    capability="operate",
    check=check,
    shown=shown,
    event_type="ticket_changed",
)
