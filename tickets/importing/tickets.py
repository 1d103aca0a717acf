"""Reads a whole file: its tickets, the rows left out, the wrong rows; shared by import and gate player."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tickets.importing.columns import Columns, ImportedTicket, LeftOut, WrongRow
from tickets.importing.reading import open_records
from tickets.importing.record import A_DATE, A_TRUTH, FileRefused

NO_COLUMN = "No column has the ticket IDs: ticket_id, or order code and position id."


class TicketFile(msgspec.Struct):
    """Content of a file; each row is in exactly one of the first three lists."""

    tickets: list[ImportedTicket] = []
    left_out: list[LeftOut] = []
    wrong: list[WrongRow] = []
    form: str = ""
    """The recognised format: see `reading.Records`."""
    read: dict[str, list[str]] = {}
    """Field -> the columns that it is read from, normalised."""
    unread: list[str] = []
    """Columns that are not read, normalised."""
    zones: dict[str, str] = {}
    """Event -> the time zone of its times without an offset."""
    identical: int | None = None
    """Tickets that are stored already; None: not compared with the stored ones."""
    differing: int = 0
    """Wrong rows whose tickets are stored with other values."""

    @property
    def new(self) -> int:
        """Tickets that are not stored yet, as far as is known."""
        return len(self.tickets) - (self.identical or 0)

    @property
    def rows(self) -> int:
        """Number of rows read, without blank ones and the header."""
        return len(self.tickets) + len(self.left_out) + len(self.wrong)


def read_tickets(path: Path, columns: Columns, *, slug: str = "") -> TicketFile:
    """Read a file to its end; raise FileRefused when it is not a ticket file.

    An export of several pretix events would admit guests of the other events: it is refused unless `slug`
    selects one event; rows of the others are then left out.
    """
    records = open_records(path, matters=columns.understands, knows=columns.knows)
    found = TicketFile(form=records.form)
    first_row: dict[tuple[str, str], int] = {}
    slugs: set[str] = set()
    present: dict[str, None] = {}
    for record in records.rows:
        if record.problem:
            found.wrong.append(WrongRow(record.number, record.problem))
            continue
        if record.left_out:
            found.left_out.append(LeftOut(record.number, record.left_out))
            continue
        present |= dict.fromkeys(record.fields)
        damaged = {name: kind for name, kind in record.damaged.items() if columns.understands(name)}
        if spoilt := next((name for name, kind in damaged.items() if kind not in (A_DATE, A_TRUTH)), ""):
            found.wrong.append(WrongRow(record.number, f"column {spoilt!r} has {damaged[spoilt]}"))
            continue
        if not columns.knows(record.fields):
            if found.rows == 0:
                choose = columns.named.column.format("ticket_id=NAME")
                understood = f"Read as {found.form}. {_found(present)}"
                raise FileRefused(f"{NO_COLUMN} {understood} Choose the column with {choose}.")
            found.wrong.append(WrongRow(record.number, "has no ticket ID"))
            continue
        row_slug = columns.slug(record)
        if slug and row_slug != slug:
            found.left_out.append(LeftOut(record.number, f"belongs to event {row_slug!r}"))
            continue
        slugs.add(row_slug)
        match columns.ticket(record):
            case ImportedTicket(event=event, ticket_id=name) as ticket:
                first = first_row.setdefault((event, name), record.number)
                if first == record.number:
                    found.tickets.append(ticket)
                else:
                    found.wrong.append(WrongRow(record.number, f"ticket {name} is already in row {first}"))
            case LeftOut() as left_out:
                found.left_out.append(left_out)
            case wrong:
                found.wrong.append(wrong)
    _check_whole(found, columns, slugs - {""}, present)
    found.read = columns.fields_read(present)
    read = {name for names in found.read.values() for name in names}
    found.unread = [name for name in present if name not in read]
    found.zones = {event: str(columns.zone_of(event)) for event in sorted({t.event for t in found.tickets})}
    return found


def by_event(tickets: Sequence[ImportedTicket]) -> dict[str, list[ImportedTicket]]:
    """The tickets of each event, in the order of the file."""
    found: dict[str, list[ImportedTicket]] = {}
    for ticket in tickets:
        found.setdefault(ticket.event, []).append(ticket)
    return found


def _check_whole(found: TicketFile, columns: Columns, slugs: set[str], present: Iterable[str]) -> None:
    """Raise FileRefused for several events, no rows, or a chosen column that the whole file lacks."""
    if len(slugs) > 1:
        listed = ", ".join(sorted(slugs))
        raise FileRefused(
            f"The file contains tickets of several events ({listed}): choose one with {columns.named.slug}."
        )
    if found.rows == 0:
        raise FileRefused("The file has no rows below its header.")
    names = list(present)
    if names and (absent := columns.absent(names)):
        by = columns.named.columns
        raise FileRefused(f"The file has no column {absent[0]!r}, which {by} names. {_found(names)}")


def _found(names: Iterable[str]) -> str:
    return f"Columns found: {', '.join(list(names)[:12]) or 'none'}."
