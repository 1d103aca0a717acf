"""Reads the tickets of a node's own ledger, whose rows are in the format kept in memory (rows.TicketBytes).

For any database alias, like `read`; results are as of `applied_sequence` (R9).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections

from dtvn.machine import read_packed
from dtvn.protocol import canonical
from dtvn.protocol.genesis import Principal
from validators.ledger.models import StateRow
from validators.ledger.read import STATES
from validators.ledger.state_rows import TABLE_NUMBER

__all__ = [
    "count_event",
    "count_states",
    "created_since",
    "list_packed",
    "listed_principals",
    "newest_number",
    "packed_ticket",
]


def packed_ticket(using: str, event: str, ticket_id: str) -> tuple[bytes, bytes] | None:
    """(state, issued) of one ticket, both canonical bytes, or None."""
    sql = "SELECT row FROM ledger_ticket WHERE event = %s AND ticket_id = %s"
    return next(_pairs(using, sql, [event, ticket_id]), None)


def list_packed(
    using: str, *, limit: int, event: str, state: str | None = None, after: str = ""
) -> list[tuple[bytes, bytes]]:
    """(state, issued) of at most `limit` tickets of an event after ticket id `after`, ascending."""
    condition = "" if state is None else " AND state = %s"
    parameters: list[Any] = [event, after, *([] if state is None else [state]), limit]
    sql = f"SELECT row FROM ledger_ticket WHERE event = %s AND ticket_id > %s{condition}"  # noqa: S608
    return list(_pairs(using, sql + " ORDER BY ticket_id LIMIT %s", parameters))


def newest_number(using: str) -> int:
    """Number of the newest ticket, which is the number of all tickets: they are numbered in order of creation
    and never deleted."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM ledger_ticket")
        return int(cursor.fetchone()[0])


def created_since(using: str, number: int) -> dict[str, int]:
    """Event -> number of its tickets created after the one with this number."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT event, count(*) FROM ledger_ticket WHERE id > %s GROUP BY event", [number])
        return dict(cursor.fetchall())


def count_states(using: str, event: str | None = None) -> dict[str, int]:
    """Number of tickets by state, all four states present; of one event, or of all. Reads every row: a node
    keeps no counters."""
    counts = dict.fromkeys(STATES, 0)
    condition, parameters = ("", []) if event is None else (" WHERE event = %s", [event])
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT state, count(*) FROM ledger_ticket{condition} GROUP BY state",  # noqa: S608
            parameters,
        )
        return counts | dict(cursor.fetchall())


def count_event(using: str, event: str) -> int:
    """Number of tickets of one event, from the index over names."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_ticket WHERE event = %s", [event])
        return int(cursor.fetchone()[0])


def listed_principals(using: str) -> list[Principal]:
    """Principals that the log added or changed since genesis."""
    first = TABLE_NUMBER["principal"]
    rows = StateRow.objects.using(using).filter(key__gt=first, key__lt=bytes([first[0] + 1]))
    return [canonical.decode(Principal, bytes(row)) for row in rows.values_list("row", flat=True)]


def _pairs(using: str, sql: str, parameters: list[Any]) -> Iterator[tuple[bytes, bytes]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        for (packed,) in cursor.fetchall():
            yield read_packed(bytes(packed))
