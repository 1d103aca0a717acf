"""Reads a whole file: its tickets, the rows left out, the wrong rows; shared by import and gate player."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tickets.importing.columns import Columns, ImportedTicket, LeftOut, WrongRow
from tickets.importing.reading import read_records
from tickets.importing.record import FileRefused

NO_COLUMN = "No column has the ticket IDs: ticket_id, or order code and position id."
NAME_IT = "Choose the column with --column ticket_id=NAME."


class TicketFile(msgspec.Struct):
    """Content of a file; each row is in exactly one of the lists."""

    tickets: list[ImportedTicket] = []
    left_out: list[LeftOut] = []
    wrong: list[WrongRow] = []

    @property
    def rows(self) -> int:
        """Number of rows read, without blank ones and the header."""
        return len(self.tickets) + len(self.left_out) + len(self.wrong)


def read_tickets(path: Path, columns: Columns, *, slug: str = "") -> TicketFile:
    """Read a file to its end; raise FileRefused when it is not a ticket file.

    An export of several pretix events would admit guests of the other events: it is refused unless `slug`
    selects one event; rows of the others are then left out.
    """
    found = TicketFile()
    first_row: dict[str, int] = {}
    slugs: set[str] = set()
    present: dict[str, None] = {}
    for record in read_records(path, matters=columns.understands):
        if record.problem:
            found.wrong.append(WrongRow(record.number, record.problem))
            continue
        present |= dict.fromkeys(record.fields)
        if not columns.knows(record.fields):
            if found.rows == 0:
                raise FileRefused(f"{NO_COLUMN} {_found(present)} {NAME_IT}")
            found.wrong.append(WrongRow(record.number, "has no ticket ID"))
            continue
        row_slug = columns.slug(record)
        if slug and row_slug != slug:
            found.left_out.append(LeftOut(record.number, f"belongs to event {row_slug!r}"))
            continue
        slugs.add(row_slug)
        match columns.ticket(record):
            case ImportedTicket() as ticket if ticket.ticket_id in first_row:
                reason = f"ticket {ticket.ticket_id} is already in row {first_row[ticket.ticket_id]}"
                found.wrong.append(WrongRow(record.number, reason))
            case ImportedTicket() as ticket:
                first_row[ticket.ticket_id] = record.number
                found.tickets.append(ticket)
            case LeftOut() as left_out:
                found.left_out.append(left_out)
            case wrong:
                found.wrong.append(wrong)
    if len(slugs - {""}) > 1:
        names = ", ".join(sorted(slugs - {""}))
        raise FileRefused(f"The file contains tickets of several events ({names}): choose one with --slug.")
    if found.rows == 0:
        raise FileRefused("The file has no rows below its header.")
    if present and (absent := columns.absent(present)):
        raise FileRefused(f"The file has no column {absent[0]!r}, which --column names. {_found(present)}")
    return found


def _found(names: Iterable[str]) -> str:
    return f"Columns found: {', '.join(list(names)[:12]) or 'none'}."
