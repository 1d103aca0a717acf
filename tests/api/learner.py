"""The learner's tables, written from what the fake gateway executes, as the learner's process would."""

from __future__ import annotations

from collections import Counter as Count
from typing import Any

from django.db import models
from django.db.models import F

from dtvn.machine import operation_digest, state_of, ticket_of
from dtvn.machine.rows import TicketRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.messages import Outcome
from dtvn.protocol.consensus.verified import VerifiedBundle
from validators.ledger.models import Counter, LedgerMeta, OperationRecord, StateRow, Ticket, TicketCode
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS
from validators.ledger.state_rows import state_key, state_row


def filled(model: type[models.Model], **known: Any) -> models.Model:
    """A row with these columns; the others, which no page of the API reads, are empty."""
    empty = {"TextField": "", "CharField": "", "BinaryField": b"", "KeyField": ""}
    for field in model._meta.concrete_fields:
        if field.name not in known and not field.primary_key and not field.null:
            known[field.name] = empty.get(type(field).__name__, 0)
    return model(**known)


def _state(row: TicketRow) -> str:
    return state_of(row.state, upheld=row.upheld).name


class TableWriter:
    """Applies batches at once, or holds them back to play a learner that lags."""

    def __init__(self) -> None:
        self.lagging = False
        self._held: list[tuple[object, ...]] = []

    def on_executed(
        self,
        sequence: int,
        timestamp: int,
        bundle: VerifiedBundle,
        outcomes: tuple[Outcome, ...],
        changes: list[ApplicationChange],
    ) -> None:
        self._held.append((sequence, timestamp, bundle, outcomes, changes))
        if not self.lagging:
            self.catch_up()

    def catch_up(self) -> None:
        while self._held:
            self._write(*self._held.pop(0))  # type: ignore[arg-type]

    def _write(
        self,
        sequence: int,
        timestamp: int,
        bundle: VerifiedBundle,
        outcomes: tuple[Outcome, ...],
        changes: list[ApplicationChange],
    ) -> None:
        counts: Count[str] = Count()
        self._write_tickets([change.row for change in changes if change.table == "ticket"], counts)
        self._write_codes([change.row for change in changes if change.table == "ticket"])
        self._write_state(
            [
                change
                for change in changes
                if change.table in ("principal", "retired", "lock", "waiter", "event")
            ]
        )
        self._write_operations(sequence, timestamp, bundle, outcomes, counts)
        for name, value in counts.items():
            counter, _ = Counter.objects.using("learner").get_or_create(name=name, defaults={"value": 0})
            Counter.objects.using("learner").filter(pk=counter.pk).update(value=F("value") + value)
        progress = {"turn": sequence, "applied_sequence": sequence, "applied_timestamp": timestamp}
        if not LedgerMeta.objects.using("learner").update(**progress):
            filled(LedgerMeta, id=1, **progress).save(using="learner", force_insert=True)

    @staticmethod
    def _write_state(changes: list[ApplicationChange]) -> None:
        rows = StateRow.objects.using("learner")
        for change in changes:
            rows.filter(key=state_key(change)).delete()
            if change.row is not None:
                key, row, check = state_row(change)
                rows.bulk_create([StateRow(key=key, row=row, checksum=check)])

    @staticmethod
    def _write_tickets(rows: list[TicketRow], counts: Count[str]) -> None:
        known = Ticket.objects.using("learner").filter(ticket_id__in=[row.ticket for row in rows])
        old = dict(known.values_list("ticket_id", "state"))
        shown = ("validator", "timestamp", "sequence", "gate", "device", "product", "seat", "blocked")
        for row in rows:
            counts[f"ticket/{_state(row)}/{row.event}"] += 1
            if row.ticket in old:
                counts[f"ticket/{old[row.ticket]}/{row.event}"] -= 1
        Ticket.objects.using("learner").bulk_create(
            [
                filled(
                    Ticket,
                    event=row.event,
                    ticket_id=row.ticket,
                    row=canonical.encode(row),
                    state=_state(row),
                    **{name: getattr(row, name) for name in shown},
                )
                for row in rows
            ],
            update_conflicts=True,
            unique_fields=["event", "ticket_id"],
            update_fields=[*shown, "row", "state"],
        )

    @staticmethod
    def _write_codes(rows: list[TicketRow]) -> None:
        codes = [
            TicketCode(event=row.event, digest=digest, ticket_id=row.ticket, revoked=digest in row.revoked)
            for row in rows
            for digest in (*row.codes, *row.revoked)
        ]
        TicketCode.objects.using("learner").bulk_create(
            codes, update_conflicts=True, unique_fields=["event", "digest"], update_fields=["revoked"]
        )

    @staticmethod
    def _write_operations(
        sequence: int,
        timestamp: int,
        bundle: VerifiedBundle,
        outcomes: tuple[Outcome, ...],
        counts: Count[str],
    ) -> None:
        records = []
        for index, (operation, outcome) in enumerate(zip(bundle.bundle.operations, outcomes, strict=True)):
            counts[f"operation/{operation.kind}/{'ok' if outcome.code == 'ok' else 'refused'}"] += 1
            records.append(
                filled(
                    OperationRecord,
                    id=sequence * ORDERED_OPERATION_SLOTS + index,
                    sequence=sequence,
                    batch_index=index,
                    view=0,
                    timestamp=timestamp,
                    event=operation.event,
                    ticket_id=ticket_of(operation, outcome.state),
                    operation=operation.kind,
                    code=outcome.code,
                    principal=bundle.bundle.principal,
                    actor=operation.actor,
                    entry=operation.entry,
                    digest=operation_digest(operation),
                    request=bundle.digest,
                )
            )
        OperationRecord.objects.using("learner").bulk_create(records)
