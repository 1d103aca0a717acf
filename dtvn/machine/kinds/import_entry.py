"""import_entry: an entry that was made elsewhere, before this cluster had the ticket, is recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context, present_state
from dtvn.machine.fields import MICROSECONDS, Command, Moment, Name
from dtvn.machine.kinds.kind import Kind, Rest, Result
from dtvn.machine.kinds.lifecycle import late, visit
from dtvn.machine.kinds.terms_changes import shown, told
from dtvn.machine.lists import MAIN, MAIN_SLUG
from dtvn.machine.movements import IMPORT
from dtvn.machine.ticket import Ticket, read_terms
from dtvn.machine.transitions import TRANSITIONS
from dtvn.machine.visits import visits_of
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import LISTS


class ImportEntry(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED for somebody who is inside already: window, block and product are not
    asked."""

    at: Moment = 0
    """The source's time of the entry, Unix microseconds; 0: unknown."""
    gate: Name = ""
    device: Name = ""


def rule(at: Context, operation: Operation, command: ImportEntry, ticket: Ticket | None) -> Result:
    """Record the entry, unless the ticket has entered or is disputed."""
    if ticket is None:
        return reasons.TICKET_NOT_FOUND, b""
    terms = read_terms(ticket.issued)
    said = MAIN_SLUG, IMPORT, command.gate, command.device
    if (movement := at.moved(operation, ticket, terms)) is not None:
        same = said == (movement.list, movement.kind, movement.gate, movement.device)
        if movement is visits_of(present_state(ticket), terms).newest_import():
            same = same and terms.entered_at == command.at  # no other one's time is known
        return reasons.OK if same else reasons.NONCE_REUSED, told(at, operation.event, ticket)
    target = TRANSITIONS[operation.kind][ticket.status]
    if isinstance(target, str):
        code = late(at, operation, command, ticket, target)
        other = code == reasons.OK and terms.entered_at != command.at
        return reasons.NONCE_REUSED if other else code, told(at, operation.event, ticket)
    if at.stands(operation, ticket):
        return reasons.NONCE_REUSED, told(at, operation.event, ticket)
    changed = terms.entered_at != command.at
    if changed:
        terms = msgspec.structs.replace(terms, entered_at=command.at, changed=True)
    main = at.events.list_of(operation.event, MAIN_SLUG) or MAIN
    name, gate, device = operation.ticket, command.gate, command.device
    visit(at, operation, ticket, terms, name, main, IMPORT, gate, device, changed=changed)
    return reasons.OK, told(at, operation.event, ticket)


class ImportEntryBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/import_entry."""

    at: bodies.Seconds = 0
    gate: bodies.Name = ""
    device: bodies.Name = ""

    def fields(self) -> dict[str, Any]:
        """Return the fields in the form that ImportEntry takes."""
        return super().fields() | {"at": self.at * MICROSECONDS}


KIND = Kind(
    name="import_entry",
    command=ImportEntry,
    rule=rule,
    since=LISTS,
    capability="operate",
    shown=shown,
    rest=Rest(
        ImportEntryBody,
        "Entry imported",
        "Record an entry that was made elsewhere; window, block and product are not asked.",
        example={"ticket_id": "T-1", "at": 1785510000, "gate": "north"},
        full=True,
    ),
    told=True,
    verb="entered elsewhere",
    event_type="ticket_consumed",
)
