"""Reads the tickets of a node's own ledger, whose rows are in the format kept in memory (rows.TicketBytes).

For any database alias, like `read`; results are as of `applied_sequence` (R9).
"""

from __future__ import annotations

from django.db.models import Count, Max

from dtvn.machine import NAMES, State, is_upheld, read_packed
from dtvn.protocol.genesis import Principal
from validators.ledger import read
from validators.ledger.models import Ticket


def packed_ticket(using: str, event: str, ticket_id: str) -> tuple[bytes, bytes] | None:
    """(state, issued) of one ticket, both canonical bytes, or None."""
    packed = read.ticket_row(using, event, ticket_id)
    return None if packed is None else read_packed(packed)


def list_packed(
    using: str, *, limit: int, event: str, state: str | None = None, after: str = ""
) -> list[tuple[bytes, bytes]]:
    """(state, issued) of at most `limit` tickets of an event after ticket id `after`, ascending."""
    return list(map(read_packed, read.ticket_rows(using, event, limit=limit, state=state, after=after)))


def newest_number(using: str) -> int:
    """Number of the newest ticket, which is the number of all tickets: they are numbered in order of creation
    and never deleted."""
    return Ticket.objects.using(using).aggregate(newest=Max("id"))["newest"] or 0


def created_since(using: str, number: int) -> dict[str, int]:
    """Event -> number of its tickets created after the one with this number."""
    created = Ticket.objects.using(using).filter(id__gt=number)
    return dict(created.values_list("event").annotate(Count("id")))


def count_states(using: str, event: str | None = None) -> dict[str, int]:
    """Number of tickets by state, all four states present; of one event, or of all. Reads every row: a node
    keeps no counters."""
    tickets = Ticket.objects.using(using)
    counted = tickets if event is None else tickets.filter(event=event)
    return dict.fromkeys(NAMES.values(), 0) | dict(counted.values_list("state").annotate(Count("id")))


def count_states_apart(using: str) -> dict[str, int]:
    """Number of all tickets by name of State: reads the rows of disputed ones, which the column does not tell
    from upheld ones."""
    disputed = Ticket.objects.using(using).filter(state=NAMES[State.UPHELD]).values_list("row", flat=True)
    upheld = sum(is_upheld(read_packed(bytes(row))[0]) for row in disputed.iterator())
    counts = count_states(using)
    return counts | {
        State.UPHELD.name: upheld,
        State.DISPUTED.name: counts[State.DISPUTED.name] - upheld,
    }


def count_event(using: str, event: str) -> int:
    """Number of tickets of one event, from the index over names."""
    return Ticket.objects.using(using).filter(event=event).count()


def listed_principals(using: str) -> list[Principal]:
    """Principals that the log added or changed since genesis."""
    return [change.row for change in read.stored_rows(using, "principal")]
