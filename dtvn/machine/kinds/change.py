"""change: product, seat or window of a ticket that has not entered (D5)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import MICROSECONDS, Command, CommandError, Label, Moment
from dtvn.machine.kinds.kind import Act, Kind, Rest, Result
from dtvn.machine.kinds.terms_changes import amend, shown, told
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import State
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


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
        return reasons.ALREADY_CONSUMED, told(at, operation.event, ticket)
    terms = read_terms(ticket.issued)
    given = {name: value for name, value in msgspec.structs.asdict(command).items() if value is not None}
    wanted = msgspec.structs.replace(terms, **given)
    if wanted.not_after and wanted.not_after < wanted.not_before:
        return reasons.EMPTY_WINDOW, told(at, operation.event, ticket)
    return amend(at, operation, ticket, terms, wanted)


class ChangeBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/change; what is left out stays."""

    product: bodies.Label | None = None
    seat: bodies.Label | None = None
    not_before: bodies.Seconds | None = None
    not_after: bodies.Seconds | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that ChangeTicket takes."""
        begin, end = self.not_before, self.not_after
        return super().fields() | {
            "not_before": None if begin is None else begin * MICROSECONDS,
            "not_after": None if end is None else bodies.window_end(end),
        }


KIND = Kind(
    name="change",
    command=ChangeTicket,
    rule=rule,
    since=LISTS,
    capability="operate",
    check=check,
    shown=shown,
    rest=Rest(
        ChangeBody,
        "Ticket changed",
        "Change product, seat or window of a ticket that has not entered; what is left out stays.",
        example={"ticket_id": "T-1", "seat": "B-7"},
        full=True,
    ),
    told=True,
    verb="changed",
    acts=(
        Act(
            name="change",
            past="changed",
            inputs=("product", "seat", "not_before", "not_after"),
        ),
    ),
    event_type="ticket_changed",
)
