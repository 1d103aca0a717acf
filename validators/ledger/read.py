"""Reads a ledger's rows: tickets, counts, the list of operations, storage figures.

For any database alias: a node's own ledger or the learner's copy. Every list is read in pages by key, never
by offset, and no page counts rows: counters are stored with them (R9). Results are as of `applied_sequence`,
which follows the log by at most 100 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from django.db import connections
from django.db.models import CharField, Count, F, Func, QuerySet

from dtvn.ledger import StoredEvidence
from dtvn.machine import NAMES, State, codes
from dtvn.machine.contract import ABOUT, UNLISTED
from dtvn.machine.reasons import OK
from dtvn.machine.rows import EventRow, TicketRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Operation
from validators.ledger.encoding import decode_frames
from validators.ledger.models import (
    Checkpoint,
    Counter,
    Evidence,
    LedgerMeta,
    OperationRecord,
    StateRow,
    StateValue,
    Ticket,
    TicketCode,
)
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS, Listed, operations_of
from validators.ledger.state_rows import TABLE_NUMBER, unpack_ticket

STATES = tuple(state.name for state in State)
"""States of a searched ticket. The contract (machine.NAMES) has DISPUTED for open and upheld disputes."""
SILENT = frozenset({"open_session", "barrier"})
"""Kinds that concern no ticket; lists of operations leave them out."""
STORAGE_KEYS = (
    "tx_count",
    "open_tx_count",
    "page_count",
    "page_alloc",
    "cursor_count",
    "node_count",
    "node_deref",
    "rebalance",
    "rebalance_time",
    "split",
    "spill",
    "spill_time",
    "write",
    "write_time",
)
"""The keys of `storage_stats` in the contract."""
UNSIGNED = canonical.encode(())
"""Stored frames of a checkpoint without signatures."""
VERDICTS_AT_ONCE = 500
"""Records in one query of `verdicts`."""
ENTRIES_AT_ONCE = 500
"""Entries in one query of `operations_at`."""
SELECT_BATCHES = (
    "SELECT o.sequence, e.timestamp, b.content, o.outcomes FROM ledger_entryoutcomes o"
    " JOIN ledger_consensusentry e ON e.sequence = o.sequence"
    " JOIN ledger_batchbody b ON b.id = e.body"
)
LAST_CHARACTER = "\U0010ffff"
TICKET_ROW = "SELECT row FROM ledger_ticket WHERE event = %s AND ticket_id = %s"
"""As text: to build this query by the ORM costs ten times the query."""


def applied_sequence(using: str) -> int:
    """The sequence that the rows reflect; 0 without rows."""
    found = LedgerMeta.objects.using(using).values_list("applied_sequence", flat=True).first()
    return found or 0


# --- tickets --------------------------------------------------------------------------------------


def read_ticket(using: str, event: str, ticket_id: str) -> TicketRow | None:
    """One ticket, or None."""
    packed = ticket_row(using, event, ticket_id)
    return None if packed is None else unpack_ticket(packed)


def ticket_row(using: str, event: str, ticket_id: str) -> bytes | None:
    """The `row` column of one ticket, or None."""
    with connections[using].cursor() as cursor:
        cursor.execute(TICKET_ROW, (event, ticket_id))
        found = cursor.fetchone()
    return None if found is None else bytes(found[0])


def list_tickets(
    using: str,
    *,
    limit: int,
    event: str | None = None,
    state: str | None = None,
    prefix: str = "",
    after: tuple[str, str] = ("", ""),
) -> list[TicketRow]:
    """At most `limit` tickets after (event, ticket id) `after`, ascending.

    `event`, `state` of the contract: only tickets of these. `prefix`: only ids that begin with it. It reads
    one index range per event and State, so a page in the middle of a million costs as much as the first one.
    """
    found: list[TicketRow] = []
    states = [None] if state is None else [one.name for one in State if NAMES[one] == state]
    for name in events_with_tickets(using) if event is None else [event]:
        if name < after[0]:
            continue
        behind = after[1] if name == after[0] else ""
        rest = limit - len(found)
        rows: list[TicketRow] = []
        for one in states:
            part = ticket_rows(using, name, limit=rest, state=one, prefix=prefix, after=behind)
            rows += map(unpack_ticket, part)
        found += sorted(rows, key=lambda row: row.ticket)[:rest]
        if len(found) == limit:
            break
    return found


def ticket_rows(
    using: str, event: str, *, limit: int, state: str | None = None, prefix: str = "", after: str = ""
) -> list[bytes]:
    """The `row` columns of at most `limit` tickets of one event after ticket id `after`, ascending. `state`:
    as in its column; `prefix` as in `list_tickets`."""
    tickets = Ticket.objects.using(using).filter(event=event)
    # Use one lower bound only: given two, the planner may choose either.
    bound = {"ticket_id__gte": prefix} if prefix > after else {"ticket_id__gt": after}
    tickets = tickets.filter(**bound).order_by("ticket_id")
    if state is not None:
        tickets = tickets.filter(state=state)
    if prefix:
        tickets = tickets.filter(ticket_id__lt=prefix + LAST_CHARACTER)
    return [bytes(packed) for packed in tickets.values_list("row", flat=True)[:limit]]


def ticket_by_code(using: str, event: str, digest: bytes) -> tuple[str, bool] | None:
    """(ticket id, whether the code was replaced) of the ticket with this code, or None. Nodes have no rows of
    codes."""
    found = TicketCode.objects.using(using).filter(event=event, digest=digest)
    return found.values_list("ticket_id", "revoked").first()


def count_tickets(using: str, events: Collection[str] | None = None) -> dict[str, int]:
    """Number of tickets by state, all of STATES present; of these events, or of all."""
    counts = dict.fromkeys(STATES, 0)
    for state, of_event, count in _counters(using, "ticket"):
        if events is None or of_event in events:
            counts[state] = counts.get(state, 0) + count
    return counts


def _counters(using: str, what: str) -> Iterator[tuple[str, str, int]]:
    """(state, event, count) of each counter of "ticket"; (kind, "ok" or "refused", count) of "operation"."""
    counters = starting_with(Counter.objects.using(using), "name", f"{what}/")
    for name, count in counters.values_list("name", "value"):
        _what, first, second = name.split("/", 2)
        yield first, second, count


def starting_with(queryset: QuerySet[Any], field: str, text: str, *, by_index: bool = True) -> QuerySet[Any]:
    """Rows whose `field` begins with `text`, by a range that both databases read from an index.

    `by_index` False prevents the use of that index, for a prefix with so many matches that reading in another
    order is faster.
    """
    if not by_index:
        hidden = Func(F(field), template="(%(expressions)s || '')", output_field=CharField())
        queryset, field = queryset.alias(hidden=hidden), "hidden"
    return queryset.filter(**{f"{field}__gte": text, f"{field}__lt": text + LAST_CHARACTER})


# --- events ---------------------------------------------------------------------------------------


class EventSummary(msgspec.Struct, frozen=True):
    """An event that was created, or that has tickets."""

    event: str
    row: EventRow | None
    """None: it was not created, and no ticket in it has a code."""
    tickets: dict[str, int]
    """Number of tickets by state, all of STATES present."""
    blocked: int
    """How many of them are blocked, in whatever state."""


def event_row(using: str, event: str) -> EventRow | None:
    """What the log knows of an event besides its tickets, or None."""
    key = TABLE_NUMBER["event"] + canonical.encode((event,))
    packed = StateRow.objects.using(using).filter(key=key).values_list("row", flat=True).first()
    return None if packed is None else canonical.decode(EventRow, bytes(packed))


def event_rows(using: str) -> dict[str, EventRow]:
    """Event -> its row, of all that have one."""
    return {change.key[0]: change.row for change in stored_rows(using, "event")}


def salt_of(using: str, cluster_id: bytes, event: str) -> bytes:
    """The salt of an event's codes, 32 bytes."""
    row = event_row(using, event)
    return codes.default_salt(cluster_id, event) if row is None else row.salt


def list_events(using: str) -> list[str]:
    """Events that were created or have tickets, ascending."""
    created = {event for event, row in event_rows(using).items() if row.declared}
    return sorted(created.union(events_with_tickets(using)))


def events_with_tickets(using: str) -> list[str]:
    """Events that have tickets, ascending."""
    return sorted({event for _state, event, count in _counters(using, "ticket") if count > 0})


def summarise_events(using: str) -> list[EventSummary]:
    """The events of `list_events` with their counts."""
    rows, counts = event_rows(using), {}
    for event in list_events(using):
        counts[event] = dict.fromkeys(STATES, 0)
    for state, event, count in _counters(using, "ticket"):
        if event in counts:
            counts[event][state] = count
    blocked = Ticket.objects.using(using).filter(blocked=True).values_list("event").annotate(Count("event"))
    of_event = dict(blocked.order_by("event"))
    return [
        EventSummary(event, rows.get(event), tickets, of_event.get(event, 0))
        for event, tickets in counts.items()
    ]


# --- operations -----------------------------------------------------------------------------------


def list_operations(
    using: str,
    *,
    limit: int,
    after: tuple[int, int] = (0, -1),
    refused: bool = False,
    all_kinds: bool = False,
    state: str | None = None,
) -> list[Listed]:
    """At most `limit` ordered operations after (sequence, index) `after`, ascending.

    By default: applied operations that concern a ticket, without seed and issue. `refused`: refusals too.
    `all_kinds`: seed and issue too. `state`: only the kinds in `ABOUT[state]`.
    """
    found: list[Listed] = []
    shown = shown_kinds(all_kinds, state)
    plain = not refused and not all_kinds and state is None
    for sequence, timestamp, content, outcomes in _entries_from(using, after[0], plain=plain):
        for listed in operations_of(content, outcomes, sequence=sequence, timestamp=timestamp):
            if (sequence, listed.index) <= after or not shown(listed.operation.kind):
                continue
            if listed.code != OK and not refused:
                continue
            found.append(listed)
            if len(found) == limit:
                return found
    return found


def operations_at(using: str, sequences: Iterable[int]) -> dict[int, Operation]:
    """OperationRecord.id -> the operation as it was signed, of all that these sequences executed; without
    those whose batch this ledger does not hold."""
    wanted = sorted(set(sequences))
    found: dict[int, Operation] = {}
    for start in range(0, len(wanted), ENTRIES_AT_ONCE):
        some = wanted[start : start + ENTRIES_AT_ONCE]
        with connections[using].cursor() as cursor:
            cursor.execute(f"{SELECT_BATCHES} WHERE o.sequence IN ({','.join(['%s'] * len(some))})", some)
            rows = cursor.fetchall()
        for sequence, timestamp, content, outcomes in rows:
            for listed in operations_of(
                bytes(content), bytes(outcomes), sequence=sequence, timestamp=timestamp
            ):
                found[sequence * ORDERED_OPERATION_SLOTS + listed.index] = listed.operation
    return found


def verdicts(using: str, records: Iterable[OperationRecord]) -> dict[int, str]:
    """ "clear" or "uphold" by id of the records that resolved a dispute. An upheld dispute is final: the
    ticket's row still has that state and the place of the operation."""
    resolved: dict[str, list[OperationRecord]] = {}
    for record in records:
        if record.operation == "resolve" and record.code == OK:
            resolved.setdefault(record.event, []).append(record)
    found: dict[int, str] = {}
    for event, of_event in resolved.items():
        for start in range(0, len(of_event), VERDICTS_AT_ONCE):
            some = of_event[start : start + VERDICTS_AT_ONCE]
            ids = {record.ticket_id for record in some}
            tickets = Ticket.objects.using(using).filter(event=event, ticket_id__in=ids, state="UPHELD")
            rows = [unpack_ticket(bytes(packed)) for packed in tickets.values_list("row", flat=True)]
            upheld = {row.sequence * ORDERED_OPERATION_SLOTS + row.index for row in rows}
            found |= {record.pk: "uphold" if record.pk in upheld else "clear" for record in some}
    return found


def operation_kinds(using: str, *, outcome: str = "") -> list[str]:
    """Kinds with at least one operation; `outcome` "ok" or "refused": with at least one of that outcome."""
    counters = _counters(using, "operation")
    return sorted({kind for kind, ended, count in counters if count > 0 and outcome in ("", ended)})


def shown_kinds(all_kinds: bool, state: str | None) -> Callable[[str], bool]:
    """Returns a function that tells whether a list of operations includes a kind."""
    if state is not None:
        return ABOUT.get(state, frozenset()).__contains__
    if all_kinds:
        return lambda kind: kind not in SILENT
    return lambda kind: kind not in UNLISTED


def count_operations(
    using: str, *, refused: bool = False, all_kinds: bool = False, state: str | None = None
) -> int:
    """Total number of operations that `list_operations` would return, from the counters."""
    shown, counters = shown_kinds(all_kinds, state), _counters(using, "operation")
    return sum(count for kind, outcome, count in counters if shown(kind) and (outcome == OK or refused))


def _entries_from(using: str, sequence: int, *, plain: bool) -> Iterator[tuple[int, int, bytes, bytes]]:
    """(sequence, timestamp, batch, outcomes) of entries with operations, from `sequence` on."""
    chunk = 16
    sql = (
        f"{SELECT_BATCHES} WHERE o.sequence >= %s AND CASE WHEN %s THEN o.listed ELSE o.operations END > 0"
        " ORDER BY o.sequence LIMIT %s"
    )
    while True:
        with connections[using].cursor() as cursor:
            cursor.execute(sql, [sequence, plain, chunk])
            rows = cursor.fetchall()
        for number, timestamp, content, outcomes in rows:
            yield number, timestamp, bytes(content), bytes(outcomes)
        if len(rows) < chunk:
            return
        sequence = rows[-1][0] + 1


# --- the ledger itself ----------------------------------------------------------------------------


def newest_checkpoint(using: str) -> CheckpointRecord | None:
    """The newest stable checkpoint that members signed, or None. The first checkpoint of a cluster that
    continues another one (R11) does not count: its own members did not sign it."""
    found = Checkpoint.objects.using(using).exclude(frames=UNSIGNED).order_by("-sequence").first()
    return None if found is None else checkpoint_record(found)


def checkpoint_record(row: Checkpoint) -> CheckpointRecord:
    """The stable checkpoint in a row, with its signed frames."""
    return CheckpointRecord(
        epoch=row.epoch,
        sequence=row.sequence,
        state_root=bytes(row.state_root),
        log_root=bytes(row.log_root),
        timestamp=row.timestamp,
        frames=decode_frames(bytes(row.frames), f"the checkpoint at sequence {row.sequence}"),
    )


def evidence(using: str, after: int, limit: int) -> list[StoredEvidence]:
    """At most `limit` pieces of evidence with ids above `after`, ascending."""
    rows = Evidence.objects.using(using).filter(id__gt=after).order_by("id")[:limit]
    return [
        StoredEvidence(
            row.id, row.code, row.epoch, row.member, row.view, row.sequence, row.timestamp, bytes(row.frames)
        )
        for row in rows
    ]


def storage_stats(using: str) -> dict[str, int]:
    """The 14 figures of the contract; 0 for those that do not apply to this store.

    `tx_count` and `write` count all turns that this ledger made durable, `page_count` its pages, and
    `page_alloc` the bytes of pages in use.
    """
    stats = dict.fromkeys(STORAGE_KEYS, 0)
    turns = LedgerMeta.objects.using(using).values_list("turn", flat=True).first() or 0
    stats["tx_count"] = stats["write"] = turns
    stats["page_count"], stats["page_alloc"] = _pages(using)
    return stats


def _pages(using: str) -> tuple[int, int]:
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            found = []
            for name in ("page_count", "freelist_count", "page_size"):
                cursor.execute(f"PRAGMA {name}")
                found.append(cursor.fetchone()[0])
            pages, free, size = found
            return pages, (pages - free) * size
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0),"
            " current_setting('block_size')::int FROM pg_class c"
            " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
        )
        size, block = cursor.fetchone()
        return int(size) // block, int(size)


def memberships(using: str) -> list[Membership]:
    """The epochs after genesis in the rows, the oldest first."""
    found: list[Membership] = [change.row for change in stored_rows(using, "membership")]
    return sorted(found, key=lambda membership: membership.epoch)


def stored_rows(using: str, table: str) -> list[ApplicationChange]:
    """All rows of one table of the replicated state (machine.rows), except of `ticket`."""
    first = TABLE_NUMBER[table]
    rows = StateRow.objects.using(using).filter(key__gt=first, key__lt=bytes([first[0] + 1]))
    return [change_from(table, bytes(key)[1:], bytes(row)) for key, row in rows.values_list("key", "row")]


def member_names(using: str, founded: Sequence[str]) -> list[str]:
    """Ids of all present and former members, in the vector clock's order."""
    names = dict.fromkeys(founded)
    for membership in memberships(using):
        names.update(dict.fromkeys(member.id for member in membership.members))
    return list(names)


def epoch_changes(using: str, *, after: int = 0) -> list[bytes]:
    """The encoded EpochChangeProofs that this ledger holds for the ends of epochs `after` and later, in
    order."""
    prefix = epoch_change_proof.record_name(0)[:-1]
    kept = dict(starting_with(StateValue.objects.using(using), "name", prefix).values_list("name", "value"))
    found: list[bytes] = []
    while (value := kept.get(epoch_change_proof.record_name(after + len(found)))) is not None:
        found.append(bytes(value))
    return found
