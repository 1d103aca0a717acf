"""The rows of each export, from the learner's rows alone: no node has to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from dtvn.api.times import calendar_time
from dtvn.machine.rows import TicketRow
from tickets.exact import exact
from tickets.exporting.door import Code, Door, codes_of, texts_of
from tickets.models import TicketHolder
from tickets.services import interventions, list_counts
from tickets.services.search import state_of_row
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed.rows import read_applied
from validators.ledger import read
from validators.ledger.models import OperationRecord

ROWS_AT_ONCE = 500
Cell = str | int | list[Code]
Row = list[Cell]
CODES = ("codes", "revoked_codes")
"""Columns of the codes of a ticket, which open the door: the valid ones, and those that were replaced."""


class Table(msgspec.Struct, frozen=True):
    """One export: its columns, and its rows in pages."""

    kind: str
    event: str | None
    sequence: int
    """Log sequence that the rows reflect at least; they may reflect later ones."""
    columns: tuple[str, ...]
    pages: Iterator[Sequence[Row]]
    events: Sequence[dict[str, Any]] = ()
    """The events of the tickets, as in REST; the JSON form holds them."""

    @property
    def name(self) -> str:
        """File name of the export, without its suffix."""
        return "-".join(filter(None, (self.kind, self.event, f"at-{self.sequence}")))


def open_table(kind: str, event: str | None, *, codes: bool = False) -> Table:
    """The export `kind` of KINDS, of one event or of all (None). `codes`: with the tickets' codes, for those
    who may see them."""
    if kind in OF_THE_LOG:
        columns, pages = OF_THE_LOG[kind]
        return Table(kind, event, read_applied(), columns, pages(event))
    columns, rows = TICKETS[kind]
    slugs = read.list_events(LEARNER_ALIAS) if event is None else [event]
    sequence, door = read_applied(), Door()
    columns += CODES if codes else ()
    return Table(kind, event, sequence, columns, _tickets(event, door, rows, codes=codes), door.told(slugs))


def _ticket_pages(event: str | None) -> Iterator[list[TicketRow]]:
    after = ("", "")
    while True:
        found = read.list_tickets(LEARNER_ALIAS, limit=ROWS_AT_ONCE, event=event, after=after)
        if found:
            yield found
        if len(found) < ROWS_AT_ONCE:
            return
        after = found[-1].event, found[-1].ticket


def _tickets(event: str | None, door: Door, rows: Rows, *, codes: bool) -> Iterator[list[Row]]:
    for page in _ticket_pages(event):
        found = rows(page, door)
        if codes:
            texts = texts_of(page)
            for ticket, row in zip(page, found, strict=True):
                row += [codes_of(ticket, ticket.codes, texts), codes_of(ticket, ticket.revoked, texts)]
        yield found


def _ticket_rows(page: Sequence[TicketRow], door: Door) -> list[Row]:
    return [
        [
            row.event,
            row.ticket,
            state_of_row(row).name,
            *_worth(row),
            *_at_the_door(row, door),
            row.operation,
            moment(row.timestamp),
            row.sequence,
            row.validator,
        ]
        for row in page
    ]


def _admission_rows(page: Sequence[TicketRow], door: Door) -> list[Row]:
    rows = TicketHolder.objects.filter(ticket__in=[row.ticket for row in page])
    holders = {(one.event, one.ticket): one for one in rows}
    return [_admission_row(row, holders.get((row.event, row.ticket)), door) for row in page]


def _admission_row(row: TicketRow, holder: TicketHolder | None, door: Door) -> Row:
    return [
        row.event,
        row.ticket,
        yes(door.admits(row)),
        state_of_row(row).name,
        *(map(exact, (holder.name, holder.company, holder.order)) if holder else ("", "", "")),
        *_worth(row),
        *_at_the_door(row, door),
    ]


def _worth(row: TicketRow) -> Row:
    return [exact(row.product), exact(row.seat), moment(row.not_before), moment(row.not_after)]


def _at_the_door(row: TicketRow, door: Door) -> Row:
    entry = list_counts.entry_on_main(row)
    entered = [moment(entry.at), exact(entry.gate), exact(entry.device)] if entry else [""] * 3
    return [
        *entered,
        row.entries,
        door.entries_used(row),
        yes(row.blocked),
        exact(row.block_reason),
        exact(row.note),
        yes(door.opened_by(row)),
        yes(door.ids_are_codes(row)),
        door.zone(row),
    ]


def _outcomes(event: str | None) -> Iterator[list[Row]]:
    last = -1
    records = OperationRecord.objects.using(LEARNER_ALIAS).exclude(operation__in=read.SILENT)
    if event is not None:
        records = records.filter(event=event)
    while True:
        page = list(records.filter(id__gt=last).order_by("id")[:ROWS_AT_ONCE])
        if page:
            verdicts = read.verdicts(LEARNER_ALIAS, page)
            yield [_outcome_row(one, verdicts.get(one.pk, "")) for one in page]
        if len(page) < ROWS_AT_ONCE:
            return
        last = page[-1].pk


def _outcome_row(one: OperationRecord, verdict: str) -> Row:
    return [
        one.sequence,
        one.batch_index,
        moment(one.timestamp),
        one.event,
        one.ticket_id,
        one.operation,
        one.shown_code,
        one.entry,
        one.principal,
        one.actor,
        verdict,
    ]


def _interventions(event: str | None) -> Iterator[list[Row]]:
    for page in interventions.pages(event):
        yield [_intervention_row(one) for one in page]


def _intervention_row(one: interventions.Intervention) -> Row:
    record = one.record
    return [
        record.sequence,
        record.batch_index,
        moment(record.timestamp),
        record.event,
        record.ticket_id,
        "forced" if record.operation == "force" else "annulled",
        exact(one.list),
        exact(one.gate),
        exact(one.device),
        exact(one.reason),
        record.principal,
        record.actor,
        yes(one.supervised),
        one.taken,
    ]


def yes(said: bool) -> str:
    """A cell that says yes or no."""
    return "yes" if said else "no"


def moment(microseconds: int) -> str:
    """A time of the log as ISO 8601 in UTC; "" for none."""
    if not microseconds:
        return ""
    return calendar_time(microseconds).isoformat()


WORTH = ("product", "seat", "valid_from", "valid_until")
AT_THE_DOOR = (
    "admitted_at",
    "gate",
    "device",
    "entries",
    "entries_used",
    "blocked",
    "block_reason",
    "dispute_reason",
    "product_admits",
    "ids_are_codes",
    "event_zone",
)
OUTCOMES = (
    "sequence",
    "index",
    "at",
    "event",
    "ticket_id",
    "operation",
    "outcome",
    "entry_node",
    "principal",
    "actor",
    "verdict",
)
Rows = Callable[[Sequence[TicketRow], Door], list[Row]]

TICKETS: dict[str, tuple[tuple[str, ...], Rows]] = {
    "tickets": (
        (
            *("event", "ticket_id", "state"),
            *WORTH,
            *AT_THE_DOOR,
            *("last_operation", "changed_at", "sequence", "entry_node"),
        ),
        _ticket_rows,
    ),
    "admission": (
        (*("event", "ticket_id", "admit", "state", "name", "company", "order"), *WORTH, *AT_THE_DOOR),
        _admission_rows,
    ),
}
"""Name of an export of tickets -> its columns without CODES, and the function that makes rows of a page."""
INTERVENTIONS = (
    "sequence",
    "index",
    "at",
    "event",
    "ticket_id",
    "what",
    "list",
    "gate",
    "device",
    "reason",
    "principal",
    "actor",
    "supervised",
    "taken_back",
)
OF_THE_LOG: dict[str, tuple[tuple[str, ...], Callable[[str | None], Iterator[list[Row]]]]] = {
    "outcomes": (OUTCOMES, _outcomes),
    "interventions": (INTERVENTIONS, _interventions),
}
"""Name of an export of operations -> its columns, and the function that makes its pages."""
KINDS = (*TICKETS, *OF_THE_LOG)
