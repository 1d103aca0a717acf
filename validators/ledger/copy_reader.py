"""Lists the platform's verified copy for REST, whose rows are materialised and counted (R28)."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from dtvn.api.queries import RecordsQuery, TicketsQuery
from dtvn.api.reads import Page
from dtvn.machine import NAMES, State
from dtvn.machine.contract import consensus_record, ticket_of_row
from validators.ledger import read
from validators.ledger.models import OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS

ROWS_AT_ONCE = 2_000
RECORD_NUMBER_MAX = 2**63 - 1


class CopyReader:
    """A TicketLedger over the learner's tables."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def read_ticket(self, event: str, ticket_id: str) -> dict[str, Any] | None:
        """See TicketLedger."""
        row = read.read_ticket(self._alias, event, ticket_id)
        return None if row is None else ticket_of_row(row)

    def list_tickets(self, query: TicketsQuery) -> Page:
        """See TicketLedger."""
        event, state = query.event, query.state
        rows = read.list_tickets(
            self._alias, limit=query.limit + 1, event=event, state=state, after=(event, query.after)
        )
        counts = read.count_tickets(self._alias, None if event is None else (event,))
        total = sum(counts[one.name] for one in State if state in (None, NAMES[one]))
        shown = [ticket_of_row(row) for row in rows[: query.limit]]
        return Page(shown, total, len(rows) > query.limit)

    def list_records(self, query: RecordsQuery) -> Page:
        """See TicketLedger."""
        records: QuerySet[OperationRecord] = OperationRecord.objects.using(self._alias).order_by("id")
        if not query.refused:
            records = records.filter(code="ok")
        if query.after is not None:
            records = records.filter(id__gt=_behind(*query.after))
        if query.all_kinds and query.state is None:
            rows = list(records.exclude(operation__in=read.SILENT)[: query.limit + 1])
        else:
            rows = self._listed(records, query)
        total = read.count_operations(
            self._alias, refused=query.refused, all_kinds=query.all_kinds, state=query.state
        )
        verdicts = read.verdicts(self._alias, rows)
        shown = [_record(row, verdicts.get(row.pk, "")) for row in rows[: query.limit]]
        return Page(shown, total, len(rows) > query.limit)

    def _listed(self, records: QuerySet[OperationRecord], query: RecordsQuery) -> list[OperationRecord]:
        """One record more than the page holds, of the kinds in the default list, or of those about a state.

        Each kind is read from its own index, then merged: in log order, a million issued tickets may precede
        the first match.
        """
        limit = query.limit + 1
        kinds = filter(
            read.shown_kinds(all_kinds=False, state=query.state), read.operation_kinds(self._alias)
        )
        wanted = list(islice(merge(*(_of_kind(records, kind)[:limit] for kind in kinds)), limit))
        rows: list[OperationRecord] = []
        for start in range(0, len(wanted), ROWS_AT_ONCE):
            numbers = wanted[start : start + ROWS_AT_ONCE]
            rows += OperationRecord.objects.using(self._alias).filter(id__in=numbers).order_by("id")
        return rows


def _of_kind(records: QuerySet[OperationRecord], kind: str) -> QuerySet[OperationRecord, int]:
    """Numbers of one kind. As a range with equal ends: for a plain `=` PostgreSQL chooses the index over
    numbers alone, expecting the first record of this kind soon."""
    found = records.filter(operation__gte=kind, operation__lte=kind).order_by("operation", "id")
    return found.values_list("id", flat=True)


def _behind(sequence: int, index: int | None) -> int:
    """The number of the last record before a page; numbers are in log order."""
    last = ORDERED_OPERATION_SLOTS - 1 if index is None else index
    return min(sequence * ORDERED_OPERATION_SLOTS + last, RECORD_NUMBER_MAX)


def _record(row: OperationRecord, verdict: str) -> dict[str, Any]:
    return consensus_record(
        sequence=row.sequence,
        index=row.batch_index,
        view=row.view,
        request=bytes(row.request),
        ticket=row.ticket_id,
        kind=row.operation,
        digest=bytes(row.digest),
        timestamp=row.timestamp,
        entry=row.entry,
        code=row.code,
        verdict=verdict,
    )
