"""All tickets of a cluster, by event and id, with their leaves in the state tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dtvn.machine.inside import Inside
from dtvn.machine.rows import TicketBytes, TicketHead, TicketRow
from dtvn.machine.terms import FirstTerms, Terms
from dtvn.machine.ticket import (
    Ticket,
    bytes_of,
    parse_row,
    read_head,
    read_terms,
    row_of,
    ticket_leaf,
)
from dtvn.machine.transitions import State
from dtvn.machine.tree import GROUP_BUCKETS, StateTree
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange

Parts = tuple[bytes, bytes]
"""(state, issued) of a ticket."""
Replaced = dict[Ticket, Parts | None]
"""Ticket -> its parts at a `mark`, for tickets changed since; None for one that did not exist."""

TICKETS_MAX = 10_000_000
"""Tickets of one cluster (about 5 GB of memory); beyond it `issue` and `seed` are refused `full`."""


class TicketRegistry:
    """The tickets; nothing else creates or changes one. `searched`: rows are TicketRows, not TicketBytes.
    `members`: callback for the ids of all members present or former at a sequence."""

    def __init__(self, members: Callable[[int], Sequence[str]], tree: StateTree, *, searched: bool) -> None:
        self._members = members
        self._searched = searched
        self._tree = tree
        self._events: dict[str, dict[str, Ticket]] = {}
        # Insertion order is the order of changes, the same on every node.
        self._unsaved: dict[Ticket, None] = {}
        self._count = 0
        self.states: dict[State, int] = dict.fromkeys(State, 0)
        """Number of tickets in each state, for statistics."""
        self._groups: dict[int, list[Ticket]] = {}
        """Group of the state tree -> its tickets."""
        self._before: Replaced | None = None
        """Nothing is collected (None) before the first `mark`."""
        self._codes: dict[str, dict[bytes, Ticket]] = {}
        """Event -> digest of a code, valid or revoked -> its ticket: derived from the tickets' terms, which
        are under the root."""
        self.inside = Inside(lambda event: self._events.get(event, {}).values())

    def __len__(self) -> int:
        return self._count

    def get(self, event: str, ticket: str) -> Ticket | None:
        """The ticket, or None."""
        tickets = self._events.get(event)
        return None if tickets is None else tickets.get(ticket)

    def by_code(self, event: str, digest: bytes) -> Ticket | None:
        """The ticket that has or had the code with this digest, or None."""
        found = self._codes.get(event)
        return None if found is None else found.get(digest)

    def holds(self, event: str) -> bool:
        """Whether the event has a ticket."""
        return event in self._events

    def create(self, event: str, ticket: str, state: bytes, issued: bytes, terms: FirstTerms) -> Ticket:
        """Add a ticket that does not exist: issued, not yet validated. `terms`: those in `issued`; no other
        ticket of the event has one of their codes."""
        window = terms.not_before, terms.not_after
        entry = self._insert(event, ticket, state, issued, State.ISSUED, "", window)
        self._index(event, entry, terms.codes)
        self._unsaved[entry] = None
        if self._before is not None:
            self._before[entry] = None
        return entry

    def change(
        self, ticket: Ticket, state: bytes, status: State, validator: str, terms: Terms | None = None
    ) -> None:
        """Set a ticket's new state; `status` and `validator` are fields of `state`. `terms`: new ones with
        the same codes and window."""
        self._write(ticket, state, ticket.issued if terms is None else canonical.encode_trimmed(terms))
        self.states[ticket.status] -= 1
        self.states[status] += 1
        ticket.status = status
        ticket.validator = validator

    def amend(self, event: str, ticket: Ticket, terms: Terms) -> None:
        """Set a ticket's new terms, which keep every code that it had; no other ticket of the event has one
        of their codes."""
        self._write(ticket, ticket.state, canonical.encode_trimmed(terms))
        ticket.not_before = terms.not_before
        ticket.not_after = terms.not_after
        self._index(event, ticket, terms.codes)

    def _write(self, ticket: Ticket, state: bytes, issued: bytes) -> None:
        if self.inside.sums:
            self.inside.replace(ticket, state, issued)
        leaf = ticket_leaf(state, issued)
        self._tree.replace(ticket.place, ticket.leaf, leaf)
        if self._before is not None:
            self._before.setdefault(ticket, (ticket.state, ticket.issued))
        ticket.state = state
        ticket.issued = issued
        ticket.leaf = leaf
        self._unsaved[ticket] = None

    def _index(self, event: str, ticket: Ticket, digests: Sequence[bytes]) -> None:
        if digests:
            self._codes.setdefault(event, {}).update(dict.fromkeys(digests, ticket))

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

    def mark(self) -> Replaced:
        """Start to remember what changes replace. Returns what was replaced since the last mark."""
        before, self._before = self._before or {}, {}
        return before

    def read(self, group: int, *before: Replaced, place: int | None = None) -> list[Parts]:
        """(state, issued) of a group's tickets (`place`: of this bucket only) as they were before the changes
        since the last mark, and before those in `before` (results of earlier marks, the oldest first)."""
        layers = (*before, self._before or {})
        found: list[Parts] = []
        for ticket in self._groups.get(group, ()):
            if place is not None and ticket.place != place:
                continue
            parts: Parts | None = ticket.state, ticket.issued
            for layer in layers:
                if ticket in layer:
                    parts = layer[ticket]
                    break
            if parts is not None:
                found.append(parts)
        return found

    def load(self, row: TicketRow | TicketBytes) -> None:
        """Add a stored ticket."""
        if isinstance(row, TicketBytes):
            self._restore(row.head, row.state, row.issued).number = row.number
        else:
            state, issued = parse_row(row, self._members(row.sequence))
            self._restore(read_head(state), state, issued)

    def _restore(self, head: TicketHead, state: bytes, issued: bytes) -> Ticket:
        terms = read_terms(issued)
        window = terms.not_before, terms.not_after
        ticket = self._insert(head.event, head.ticket, state, issued, head.state, head.validator, window)
        self._index(head.event, ticket, terms.codes)
        self._index(head.event, ticket, terms.revoked)
        return ticket

    def _insert(
        self,
        event: str,
        ticket: str,
        state: bytes,
        issued: bytes,
        status: State,
        validator: str,
        window: tuple[int, int],
    ) -> Ticket:
        leaf = ticket_leaf(state, issued)
        place = self._tree.insert(canonical.encode(("ticket", (event, ticket))), leaf)
        self._count += 1
        self.states[status] += 1
        entry = Ticket(state, issued, leaf, place, self._count, status, validator, *window)
        self._events.setdefault(event, {})[ticket] = entry
        self._groups.setdefault(place // GROUP_BUCKETS, []).append(entry)
        return entry
