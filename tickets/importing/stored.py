"""Compares the tickets of a file with the stored ones: an import never changes a ticket that is issued."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dtvn.machine.rows import TicketRow
from tickets.importing.arguments import zone_of
from tickets.importing.holders import holder_of
from tickets.importing.imported import ImportedTicket, WrongRow
from tickets.importing.moments import shown_moment
from tickets.importing.plan import ImportPlan, by_event
from tickets.models import TicketHolder
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.models import Ticket
from validators.ledger.read import list_events

ROWS_AT_ONCE = 500
"""Tickets per query."""
COMPARED = {
    "product": ("product", ("product", "variation")),
    "seat": ("seat", ("seat",)),
    "not_before": ("valid from", ("not_before",)),
    "not_after": ("valid until", ("not_after",)),
}
"""Field of a ticket -> its name in a sentence, and the fields of a file that it is read from."""


def set_aside_differing(found: ImportPlan) -> None:
    """Move tickets that are stored with other values to `found.wrong`, with each field that differs, or with
    another holder; fill in `identical` and `differing`.

    A field that the file has no column for is not compared. Raises DatabaseError if stored tickets cannot be
    read."""
    compared = [
        field for field, (_, columns) in COMPARED.items() if not found.read.keys().isdisjoint(columns)
    ]
    known = set(list_events(LEARNER_ALIAS))
    stored: set[int] = set()
    differing: dict[int, WrongRow] = {}
    for event, tickets in by_event(found.tickets).items():
        for wrong in _contradicting(tickets):
            differing[wrong.row] = wrong
        if event in known:
            for row, words in _stored(tickets, compared, found.zones[event]):
                stored.add(row)
                if words:
                    differing[row] = WrongRow(row, words)
    found.tickets = [ticket for ticket in found.tickets if ticket.row not in differing]
    found.wrong += differing.values()
    found.identical, found.differing = len(stored - differing.keys()), len(differing)


def _stored(
    tickets: Sequence[ImportedTicket], fields: Collection[str], zone: str
) -> Iterator[tuple[int, str]]:
    """Yields (row number, differences as text) for each of these tickets that is stored; "" if it does not
    differ."""
    for start in range(0, len(tickets), ROWS_AT_ONCE):
        part = {ticket.ticket_id: ticket for ticket in tickets[start : start + ROWS_AT_ONCE]}
        event = tickets[start].event
        rows = Ticket.objects.using(LEARNER_ALIAS).filter(event=event, ticket_id__in=part).only("row")
        for stored in rows:
            ticket = part[stored.whole.ticket]
            words = "; ".join(_differences(ticket, stored.whole, fields, zone))
            yield ticket.row, words and f"{ticket.ticket_id} is stored and differs: {words}"


def _differences(
    ticket: ImportedTicket, stored: TicketRow, fields: Collection[str], zone: str
) -> Iterator[str]:
    for field in fields:
        new, old = getattr(ticket, field), getattr(stored, field)
        # Files have whole seconds up to the year 9999, the log has more: compared as they are shown.
        if new != old and (said := _shown(new, zone)) != (known := _shown(old, zone)):
            yield f"{COMPARED[field][0]} {said or 'none'}, stored {known or 'none'}"


def _shown(value: str | int, zone: str) -> str:
    return value if isinstance(value, str) else shown_moment(value, zone_of(zone))


def _contradicting(tickets: Sequence[ImportedTicket]) -> Iterator[WrongRow]:
    """The rows of one event that contradict holders stored before."""
    for start in range(0, len(tickets), ROWS_AT_ONCE):
        part = tickets[start : start + ROWS_AT_ONCE]
        names = [ticket.ticket_id for ticket in part]
        found = TicketHolder.objects.filter(event=part[0].event, ticket__in=names)
        rows = {row.ticket: row for row in found}
        for ticket in part:
            row = rows.get(ticket.ticket_id)
            if row is not None and (problem := _contradiction(row, ticket)):
                yield WrongRow(ticket.row, f"{ticket.ticket_id} {problem}")


def _contradiction(row: TicketHolder, ticket: ImportedTicket) -> str:
    if not (ticket.holder or ticket.secret_digest or ticket.order):
        return ""
    if row.erased_at is not None:
        return f"was imported before and its holder erased on {row.erased_at:%Y-%m-%d}: not imported again"
    if holder_of(row) != ticket.holder or row.secret_digest != ticket.secret_digest.hex():
        return "was imported before with other personal data or another secret: the first ones are kept"
    if row.order and ticket.order and row.order != ticket.order:
        return f"was imported before with order {row.order[:80]!r}: the first one is kept"
    return ""
