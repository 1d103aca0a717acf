"""The learner's rows as events: the content of the feed, read from durable data only.

Each read sees one consistent state of the rows, so a snapshot's parts belong together, and *snapshot + the
frames after it == a later snapshot* holds exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, connections, router
from django.db.models import Exists, OuterRef, QuerySet

from dtvn.machine import SEED_COUNT, SEED_TICKETS
from dtvn.machine.contract import ABOUT, EVENT_TYPES, STATE_AFTER
from dtvn.machine.fields import MICROSECONDS, REHEARSAL_EVENT, REHEARSAL_TICKET
from dtvn.machine.reasons import OK
from validators.feed.relay import FRAME_EVENTS, Frame
from validators.feed.told import asked_at, told
from validators.ledger.event_zones import zone_of
from validators.ledger.models import ConsensusEntry, OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS
from validators.ledger.read import (
    SILENT,
    STATES,
    applied_sequence,
    count_operations,
    count_tickets,
    event_row,
    event_rows,
    verdicts,
)

LATEST_MAX = 40
"""Outcomes that a snapshot lists, newest first."""
RATE_SECONDS = 120
"""Seconds of log time for which the rate is kept."""
LIMITS = {"latest": LATEST_MAX, "rate_seconds": RATE_SECONDS}
"""The same for the page, which adds frames to its snapshot within them."""
REFUSED_TYPE = "operation_refused"
ADMINISTERED_TYPE = "cluster_changed"
"""Type of the events about members, parameters and principals instead of a ticket."""
UNDEFINED_TABLE, INVALID_SCHEMA = "42P01", "3F000"
"""PostgreSQL's codes (SQLSTATE)."""


def read_applied() -> int:
    """The sequence up to which rows can be read; 0 before there are rows, or a ledger."""
    try:
        return applied_sequence(alias())
    except DatabaseError as error:
        if _is_missing(error):
            return 0
        raise


def _is_missing(error: DatabaseError) -> bool:
    """Whether the learner has not created a ledger yet: in SQLite the file is missing, in PostgreSQL schema
    and tables."""
    if "unable to open database file" in str(error) or "no such table" in str(error):
        return True
    return getattr(error.__cause__, "sqlstate", "") in (UNDEFINED_TABLE, INVALID_SCHEMA)


def read_frame(after: int, *, of: frozenset[str] | None = None, events_max: int = FRAME_EVENTS) -> Frame:
    """The events after sequence `after`: as many whole sequences as hold `events_max` events. `of`: names of
    the only events of tickets that it is about; None: all."""
    if read_applied() <= after:
        return Frame(after=after, to=after, second=0, counts={}, rates=(), events=())
    with _one_state():
        applied = read_applied()
        records = list(_shown(after, applied, of).order_by("id")[: events_max + 1])
        to = applied
        if len(records) > events_max:
            cut = records[-1].sequence
            records, to = _whole_sequences(records, cut, of)
        return Frame(
            after=after,
            to=to,
            second=_second(to),
            counts=_counts(of),
            rates=_rates(after, to, of),
            events=tuple(_events(records)),
        )


def read_snapshot(of: frozenset[str] | None = None) -> dict[str, Any]:
    """All log data that the page shows, as of `sequence`; empty before there is a ledger. `of`: as in
    `read_frame`."""
    try:
        return _snapshot(of)
    except DatabaseError as error:
        if not _is_missing(error):
            raise
    counts = dict.fromkeys((*STATES, "applied", "refused"), 0)
    return {"sequence": 0, "second": 0, "counts": counts, "rates": [], "latest": [], "limits": LIMITS}


def _snapshot(of: frozenset[str] | None) -> dict[str, Any]:
    with _one_state():
        applied = read_applied()
        second = _second(applied)
        since = first_since((second - RATE_SECONDS + 1) * MICROSECONDS, applied)
        latest = list(_shown(0, applied, of).order_by("-id")[:LATEST_MAX])
        return {
            "sequence": applied,
            "second": second,
            "counts": _counts(of),
            "rates": _rates(since - 1, applied, of),
            "latest": _events(latest),
            "limits": LIMITS,
        }


def alias() -> str:
    """The database that pages read the log from."""
    return router.db_for_read(OperationRecord)


@contextmanager
def _one_state() -> Iterator[None]:
    """All queries inside see one consistent state of the rows, without blocking the learner's writes.

    Not `atomic`: the platform's SQLite connections begin transactions by taking the write lock.
    """
    connection = connections[alias()]
    if connection.in_atomic_block:
        yield
        return
    isolation = "" if connection.vendor == "sqlite" else " ISOLATION LEVEL REPEATABLE READ READ ONLY"
    with connection.cursor() as cursor:
        cursor.execute(f"BEGIN{isolation}")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _shown(after: int, to: int, of: frozenset[str] | None) -> QuerySet[OperationRecord]:
    """Operations that produce an event, of the sequences after < s <= to. They are found by their numbers,
    which are in log order and have the only index in that order."""
    found = OperationRecord.objects.filter(
        id__gte=(after + 1) * ORDERED_OPERATION_SLOTS, id__lt=(to + 1) * ORDERED_OPERATION_SLOTS
    ).exclude(operation__in=SILENT)
    return found if of is None else found.filter(event__in=of)


def _whole_sequences(
    records: list[OperationRecord], cut: int, of: frozenset[str] | None
) -> tuple[list[OperationRecord], int]:
    """The records below sequence `cut`; if there are none, all records of `cut`."""
    below = [record for record in records if record.sequence < cut]
    if below:
        return below, cut - 1
    return list(_shown(cut - 1, cut, of).order_by("id")), cut


def _events(records: list[OperationRecord]) -> list[dict[str, Any]]:
    found, first = verdicts(alias(), records), first_admissions(records)
    added, asked = told(alias(), records, first), asked_at(alias(), records)
    zones = {event: zone_of(event_row(alias(), event)).key for event in {one.event for one in records}}
    return [
        _event(record, found.get(record.pk, ""), first)
        | {"zone": zones[record.event]}
        | added.get(record.pk, {})
        | asked.get(record.pk, {})
        for record in records
    ]


def first_admissions(records: Sequence[OperationRecord]) -> set[int]:
    """Numbers of those records that admitted their ticket."""
    numbers = [record.pk for record in records if record.code == OK and record.operation in ABOUT["CONSUMED"]]
    if not numbers:
        return set()
    return set(_admissions(OperationRecord.objects.filter(pk__in=numbers)).values_list("pk", flat=True))


def _admissions(records: QuerySet[OperationRecord]) -> QuerySet[OperationRecord]:
    """Those of the records that admitted their ticket. A scan that is repeated under its nonce after a
    time-out may be ordered again, and then has a record of its own with the first one's outcome (R13)."""
    admitted = {"operation__in": ABOUT["CONSUMED"], "code": OK}
    same = OperationRecord.objects.filter(
        event=OuterRef("event"), ticket_id=OuterRef("ticket_id"), **admitted
    )
    return records.filter(~Exists(same.filter(id__lt=OuterRef("id"))), **admitted)


def _event(record: OperationRecord, verdict: str, first: set[int]) -> dict[str, Any]:
    ok = record.code == OK
    event: dict[str, Any] = {
        "type": EVENT_TYPES.get(record.operation, ADMINISTERED_TYPE) if ok else REFUSED_TYPE,
        "sequence": record.sequence,
        "index": record.batch_index,
        "timestamp": record.timestamp // MICROSECONDS,
        "operation": record.operation,
        "event": record.event,
        "ticket_id": record.ticket_id,
        "node_id": record.entry,
        "actor": record.actor,
        "code": record.code,
    }
    if not ok:
        return event | {"shown": record.shown_code}
    if record.operation == "seed":
        event["count"] = _created_by_seed(record)
    elif record.operation == "resolve":
        event |= {"state": STATE_AFTER[verdict], "verdict": verdict}
    elif record.operation in STATE_AFTER:
        event["state"] = STATE_AFTER[record.operation]
    if record.operation in ABOUT["CONSUMED"]:
        if record.pk not in first:
            event["repeated"] = True
        if is_rehearsal(record):
            event["rehearsal"] = True
    return event


def is_rehearsal(record: OperationRecord) -> bool:
    """Whether the operation belongs to a rehearsal of gates."""
    return record.ticket_id.startswith(REHEARSAL_TICKET) and bool(re.search(REHEARSAL_EVENT, record.event))


def _created_by_seed(record: OperationRecord) -> int:
    """Number of tickets that a seed created: the first seed in an event creates all that were not issued
    before."""
    before = OperationRecord.objects.filter(event=record.event, code=OK, id__lt=record.id)
    if before.filter(operation="seed").exists():
        return 0
    seeded = [ticket_id for ticket_id, _ in SEED_TICKETS]
    return SEED_COUNT - before.filter(operation="issue", ticket_id__in=seeded).count()


def _counts(of: frozenset[str] | None) -> dict[str, int]:
    """Tickets by state, and how many operations were ever applied and refused, of which only those of all
    events are counted."""
    if of is not None:
        return count_tickets(alias(), of)
    applied = count_operations(alias(), all_kinds=True)
    refused = count_operations(alias(), all_kinds=True, refused=True) - applied
    return {**count_tickets(alias()), "applied": applied, "refused": refused}


def day(now: datetime | None = None) -> dict[str, Any]:
    """Today in the time zone that all created events have, else in that of the settings: Unix seconds of its
    `start` and `end`, and the zone."""
    zones = {row.zone for row in event_rows(alias()).values() if row.declared and row.zone}
    (name,) = zones if len(zones) == 1 else (settings.EVENT_TIME_ZONE,)
    zone = ZoneInfo(name)
    today = (now or datetime.now(zone)).astimezone(zone).date()
    start = datetime.combine(today, datetime.min.time(), zone)
    end = datetime.combine(start.date() + timedelta(days=1), datetime.min.time(), zone)
    return {"start": int(start.timestamp()), "end": int(end.timestamp()), "zone": name}


def _rates(after: int, to: int, of: frozenset[str] | None) -> tuple[tuple[int, int], ...]:
    """(second, operations) of the sequences after < s <= to; seconds without operations are left out."""
    if of is not None:
        times = _shown(after, to, of).order_by("id").values_list("timestamp", flat=True)
        return tuple(sorted(Counter(time // MICROSECONDS for time in times).items()))
    with connections[alias()].cursor() as cursor:
        cursor.execute(
            "SELECT entry.timestamp / 1000000 AS second, SUM(outcomes.operations)"
            " FROM ledger_consensusentry AS entry"
            " JOIN ledger_entryoutcomes AS outcomes ON outcomes.sequence = entry.sequence"
            " WHERE entry.sequence > %s AND entry.sequence <= %s"
            " GROUP BY entry.timestamp / 1000000 ORDER BY second",
            [after, to],
        )
        return tuple((second, int(operations)) for second, operations in cursor.fetchall() if operations)


def _second(sequence: int) -> int:
    """Log time at a sequence, Unix seconds; 0 at the beginning."""
    found = ConsensusEntry.objects.filter(sequence=sequence).values_list("timestamp", flat=True).first()
    return (found or 0) // MICROSECONDS


def first_since(timestamp: int, applied: int) -> int:
    """The lowest sequence with an effective timestamp of at least `timestamp`.

    Timestamps ascend with sequences, so a binary search finds it: twenty lookups without an index. A log that
    continues another cluster, or was not kept whole, has no entries at its beginning.
    """
    entries = ConsensusEntry.objects.order_by("sequence").values_list("sequence", "timestamp")
    low, high = 1, applied
    while low < high:
        middle = (low + high) // 2
        after = entries.filter(sequence__gte=middle, sequence__lte=applied).first()
        sequence, found = after or (applied, timestamp)
        low, high = (low, middle) if found >= timestamp else (sequence + 1, high)
    return low
