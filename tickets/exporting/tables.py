"""The rows of each export, from the learner's rows alone: no node has to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from dtvn.api.times import calendar_time
from dtvn.machine import NAMES, TRANSITIONS, State
from dtvn.machine.rows import TicketRow
from tickets.models import TicketHolder
from tickets.services.search import state_of_row
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed.rows import read_applied
from validators.ledger import read
from validators.ledger.models import OperationRecord

ROWS_AT_ONCE = 500
Cell = str | int
Row = list[Cell]

ADMITTED_FROM = frozenset(NAMES[state] for state in State if isinstance(TRANSITIONS["admit"][state], State))
"""States in which a gate may admit the guest."""


class Table(msgspec.Struct, frozen=True):
    """One export: its columns, and its rows in pages."""

    kind: str
    event: str | None
    sequence: int
    """Log sequence that the rows reflect at least; they may reflect later ones."""
    columns: tuple[str, ...]
    pages: Iterator[Sequence[Row]]

    @property
    def name(self) -> str:
        """File name of the export, without its suffix."""
        return "-".join(filter(None, (self.kind, self.event, f"at-{self.sequence}")))


def open_table(kind: str, event: str | None) -> Table:
    """The export `kind` of KINDS, of one event or of all (None)."""
    columns, pages = KINDS[kind]
    return Table(kind, event, read_applied(), columns, pages(event))


def _ticket_pages(event: str | None) -> Iterator[list[TicketRow]]:
    after = ("", "")
    while True:
        found = read.list_tickets(LEARNER_ALIAS, limit=ROWS_AT_ONCE, event=event, after=after)
        if found:
            yield found
        if len(found) < ROWS_AT_ONCE:
            return
        after = found[-1].event, found[-1].ticket


def _tickets(event: str | None) -> Iterator[list[Row]]:
    for page in _ticket_pages(event):
        yield [
            [
                row.event,
                row.ticket,
                state_of_row(row).name,
                row.product,
                row.seat,
                moment(row.not_before),
                moment(row.not_after),
                row.operation,
                moment(row.timestamp),
                row.sequence,
                row.validator,
                row.gate,
                row.device,
            ]
            for row in page
        ]


def _admission(event: str | None) -> Iterator[list[Row]]:
    for page in _ticket_pages(event):
        ids = [row.ticket for row in page]
        rows = TicketHolder.objects.filter(ticket__in=ids)
        holders = {(one.event, one.ticket): one for one in rows}
        yield [_admission_row(row, holders.get((row.event, row.ticket))) for row in page]


def _admission_row(row: TicketRow, holder: TicketHolder | None) -> Row:
    admitted = row.state == NAMES[State.CONSUMED]
    return [
        row.event,
        row.ticket,
        "yes" if row.state in ADMITTED_FROM else "no",
        state_of_row(row).name,
        holder.name if holder else "",
        holder.company if holder else "",
        holder.order if holder else "",
        row.product,
        row.seat,
        moment(row.not_before),
        moment(row.not_after),
        moment(row.timestamp) if admitted else "",
        row.gate,
        holder.secret_digest if holder else "",
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


def moment(microseconds: int) -> str:
    """A time of the log as ISO 8601 in UTC; "" for none."""
    if not microseconds:
        return ""
    return calendar_time(microseconds).isoformat()


KINDS: dict[str, tuple[tuple[str, ...], Callable[[str | None], Iterator[list[Row]]]]] = {
    "tickets": (
        (
            "event",
            "ticket_id",
            "state",
            "product",
            "seat",
            "valid_from",
            "valid_until",
            "last_operation",
            "changed_at",
            "sequence",
            "entry_node",
            "gate",
            "device",
        ),
        _tickets,
    ),
    "outcomes": (
        (
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
        ),
        _outcomes,
    ),
    "admission": (
        (
            "event",
            "ticket_id",
            "admit",
            "state",
            "name",
            "company",
            "order",
            "product",
            "seat",
            "valid_from",
            "valid_until",
            "admitted_at",
            "gate",
            "code_sha256",
        ),
        _admission,
    ),
}
"""Name of an export -> its columns, and the function that reads its rows."""
