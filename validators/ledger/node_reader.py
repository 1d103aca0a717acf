"""Reads a node's own ledger for its API (dtvn.api.helper), while the node writes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import DatabaseError, connections, transaction

from dtvn.api.helper.ledger import BEYOND, Changes, Holdings, Position
from dtvn.api.outcome import details
from dtvn.api.queries import RecordsQuery, TicketsQuery
from dtvn.api.reads import Page
from dtvn.api.times import named_zone
from dtvn.ledger import Location
from dtvn.machine.contract import Listed, ticket_of_bytes
from dtvn.protocol.genesis import Principal
from validators.database_failures import answer_to, is_outage
from validators.database_url import first_line
from validators.ledger import read, read_packed
from validators.ledger.location import add_alias
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS

ALIAS = "node"
COUNTED_MAX = 50_000
"""Up to this many tickets, each answer counts them; beyond, it uses the node's own count of the last
second."""
AT_ONCE = 1_000
"""Operations per read."""
LISTED_MAX = 50_000
"""Most operations of one `since`."""

logger = logging.getLogger("dtvn.node_api")

Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")


def _reading(
    look: Callable[Concatenate[NodeReader, Arguments], Found],
) -> Callable[Concatenate[NodeReader, Arguments], Found]:
    """Raises ApiError (503) when the database fails; the thread's next read opens a new connection."""

    @wraps(look)
    def read_ledger(self: NodeReader, *arguments: Arguments.args, **named: Arguments.kwargs) -> Found:
        try:
            return look(self, *arguments, **named)
        except DatabaseError as error:
            connections[ALIAS].close()
            if not is_outage(error):
                raise
            logger.warning("the ledger did not answer: %s", first_line(error))
            raise answer_to(error) from error

    return read_ledger


class NodeReader:
    """A HelperLedger; each thread has its own connection. One per process."""

    def __init__(self, place: Location, founders: Sequence[str]) -> None:
        """`founders`: ids of the members in genesis."""
        add_alias(ALIAS, place, reading=True)
        self._founders = founders

    @_reading
    def applied_sequence(self) -> int:
        """See HelperLedger."""
        return read.applied_sequence(ALIAS)

    @_reading
    def read_ticket(self, event: str, ticket_id: str) -> dict[str, Any] | None:
        """See TicketLedger."""
        pair = read_packed.packed_ticket(ALIAS, event, ticket_id)
        if pair is None:
            return None
        plain = ticket_of_bytes(*pair, read.member_names(ALIAS, self._founders))
        return plain | details(*pair, lambda name: named_zone(self.event_zone(name)))

    @_reading
    def list_tickets(self, query: TicketsQuery) -> Page:
        """See TicketLedger: one consistent read."""
        event, limit, state = query.event, query.limit, query.state
        with transaction.atomic(using=ALIAS):
            sequence = read.applied_sequence(ALIAS)
            pairs = read_packed.list_packed(
                ALIAS, limit=limit + 1, event=event, state=state, after=query.after
            )
            if state is None:
                total = read_packed.count_event(ALIAS, event)
            else:
                total = read_packed.count_states(ALIAS, event).get(state, 0)
            names = read.member_names(ALIAS, self._founders)
        tickets = [ticket_of_bytes(*pair, names) for pair in pairs[:limit]]
        return Page(tickets, total, len(pairs) > limit, sequence)

    @_reading
    def list_records(self, query: RecordsQuery) -> Page:
        """See TicketLedger: one consistent read."""
        sequence, index = query.after or (0, -1)
        after = (sequence, ORDERED_OPERATION_SLOTS - 1 if index is None else index)
        shown: dict[str, Any] = {
            "refused": query.refused,
            "all_kinds": query.all_kinds,
            "state": query.state,
        }
        with transaction.atomic(using=ALIAS):
            sequence = read.applied_sequence(ALIAS)
            listed = read.list_operations(ALIAS, limit=query.limit + 1, after=after, **shown)
            total = read.count_operations(ALIAS, **shown)
        records = [item.record() for item in listed[: query.limit]]
        return Page(records, total, len(listed) > query.limit, sequence)

    @_reading
    def holdings(self, counted: dict[str, int]) -> Holdings:
        """See HelperLedger."""
        with transaction.atomic(using=ALIAS):
            many = read_packed.newest_number(ALIAS) > COUNTED_MAX
            counts = counted if counted and many else read_packed.count_states_apart(ALIAS)
            newest = read.newest_checkpoint(ALIAS)
            operations = read.count_operations(ALIAS)
        checkpoint = None if newest is None else (newest.sequence, newest.state_root, newest.timestamp)
        return Holdings(counts, operations, checkpoint)

    @_reading
    def storage_stats(self) -> dict[str, int]:
        """See HelperLedger."""
        return read.storage_stats(ALIAS)

    @_reading
    def event_zone(self, event: str) -> str:
        """See HelperLedger."""
        row = read.event_row(ALIAS, event)
        return "" if row is None else row.zone

    @_reading
    def principals(self) -> list[Principal]:
        """See HelperLedger."""
        return read_packed.listed_principals(ALIAS)

    @_reading
    def epoch_changes(self) -> list[bytes]:
        """See HelperLedger."""
        return read.epoch_changes(ALIAS)

    @_reading
    def position(self) -> Position:
        """See HelperLedger."""
        with transaction.atomic(using=ALIAS):
            return (read.applied_sequence(ALIAS), BEYOND), read_packed.newest_number(ALIAS)

    @_reading
    def since(self, position: Position) -> Changes | None:
        """See HelperLedger: one consistent read."""
        after, tickets = position
        with transaction.atomic(using=ALIAS):
            if read.applied_sequence(ALIAS) <= after[0]:
                return Changes([], {}, position)
            listed: list[Listed] = []
            while part := read.list_operations(ALIAS, limit=AT_ONCE, after=after, all_kinds=True):
                listed += part
                if len(listed) > LISTED_MAX:
                    return None
                after = (part[-1].sequence, part[-1].index)
            upto = (read.applied_sequence(ALIAS), BEYOND), read_packed.newest_number(ALIAS)
            return Changes(listed, read_packed.created_since(ALIAS, tickets), upto)
