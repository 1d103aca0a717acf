"""All tickets of a cluster, by event and id, with their leaves in the state tree."""

from __future__ import annotations

from collections.abc import Sequence

from tickets.machine.rows import TicketBytes, TicketRow
from tickets.machine.ticket import (
    Ticket,
    bytes_of,
    parse_bytes,
    parse_row,
    read_head,
    read_window,
    row_of,
    ticket_leaf,
)
from tickets.machine.transitions import State
from tickets.machine.tree import StateTree
from validators import canonical
from validators.consensus.effects import ApplicationChange

__all__ = ["TICKETS_MAX", "TicketRegistry"]

TICKETS_MAX = 10_000_000
"""Tickets of one cluster (about 5 GB of memory); beyond it `issue` and `seed` are refused `full`."""


class TicketRegistry:
    """The tickets; nothing else creates or changes one. `searched`: rows are TicketRows, not bytes."""

    def __init__(self, members: Sequence[str], tree: StateTree, *, searched: bool) -> None:
        self._members = members
        self._searched = searched
        self._tree = tree
        self._events: dict[str, dict[str, Ticket]] = {}
        # In order of changes, the same on every node.
        self._unsaved: dict[Ticket, None] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, event: str, ticket: str) -> Ticket | None:
        """The ticket, or None."""
        tickets = self._events.get(event)
        return None if tickets is None else tickets.get(ticket)

    def create(self, event: str, ticket: str, state: bytes, issued: bytes) -> None:
        """Add a ticket that does not exist."""
        self._unsaved[self._insert(event, ticket, state, issued)] = None

    def change(self, ticket: Ticket, state: bytes, status: State, validator: str) -> None:
        """Give a ticket its new state, of which `status` and `validator` are a part."""
        leaf = ticket_leaf(state, ticket.issued)
        self._tree.replace(ticket.place, ticket.leaf, leaf)
        ticket.state = state
        ticket.leaf = leaf
        ticket.status = status
        ticket.validator = validator
        self._unsaved[ticket] = None

    def drain(self) -> list[ApplicationChange]:
        """Rows of the tickets changed since the last call."""
        changes = []
        if self._searched:
            for ticket in self._unsaved:
                row = row_of(ticket, self._members)
                changes.append(ApplicationChange(table="ticket", key=(row.event, row.ticket), row=row))
        else:
            for ticket in self._unsaved:
                changes.append(ApplicationChange("ticket", (ticket.number,), bytes_of(ticket)))
        self._unsaved.clear()
        return changes

    def load(self, row: TicketRow | TicketBytes) -> None:
        """Add a stored ticket."""
        if isinstance(row, TicketBytes):
            state, issued = parse_bytes(row)
            self._insert(row.event, row.ticket, state, issued).number = row.number
        else:
            self._insert(row.event, row.ticket, *parse_row(row, self._members))

    def _insert(self, event: str, ticket: str, state: bytes, issued: bytes) -> Ticket:
        leaf = ticket_leaf(state, issued)
        place = self._tree.insert(canonical.encode(("ticket", (event, ticket))), leaf)
        self._count += 1
        head, window = read_head(state), read_window(issued)
        entry = Ticket(
            state,
            issued,
            leaf,
            place,
            self._count,
            head.state,
            head.validator,
            window.not_before,
            window.not_after,
        )
        self._events.setdefault(event, {})[ticket] = entry
        return entry
