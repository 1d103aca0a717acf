"""The transaction of the rows: upserts in bulk what changed since the last one, counters included (R9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from dtvn.machine.rows import TicketBytes
from dtvn.protocol.consensus.effects import ApplicationChange
from validators.ledger import state_rows, statements
from validators.ledger.outcomes import INSERT_OPERATION, INSERT_OUTCOMES, INSERT_STATES, Noted
from validators.ledger.store import Store, Write

__all__ = ["RowWrites", "ticket_counter"]


class RowWrites:
    """One materialisation: the changes as statements for `Store.commit`."""

    def __init__(self, store: Store, changes: Sequence[ApplicationChange], noted: Iterable[Noted]) -> None:
        self._store = store
        self._counts: Counter[str] = Counter()
        tickets: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        packed: list[tuple[Any, ...]] = []
        others: list[tuple[Any, ...]] = []
        dropped: list[tuple[bytes]] = []
        for change in changes:
            row = change.row
            if type(row) is TicketBytes:
                packed.append(state_rows.ticket_bytes(row))
            elif change.table == "ticket":
                tickets[change.key] = state_rows.ticket_row(row)
            elif change.row is None:
                dropped.append((state_rows.state_key(change),))
            else:
                others.append(state_rows.state_row(change))
        self._counts.update(ticket_counter(row[2], row[0]) for row in tickets.values())
        outcomes: list[tuple[Any, ...]] = []
        operations: list[tuple[Any, ...]] = []
        states: list[tuple[Any, ...]] = []
        for entry in noted:
            outcomes.append(entry.outcomes)
            operations += entry.operations
            if entry.states:
                states.append(entry.states)
            self._counts.update(entry.counts)
        store.expect_tickets([(row[0], row[1]) for row in tickets.values()])
        self.writes = _written(
            Write(store.upsert_ticket, list(tickets.values())),
            Write(statements.UPSERT_TICKET_BYTES, packed),
            Write(statements.UPSERT_STATE_ROW, others),
            Write(statements.DROP_STATE_ROW, dropped),
            Write(INSERT_OUTCOMES, outcomes),
            Write(INSERT_OPERATION, operations),
            Write(INSERT_STATES, states),
        )

    def counters(self) -> list[Write]:
        """The last statements of the transaction: counter updates, computed from the replaced rows."""
        self._counts.subtract(self._store.replaced())
        changed = sorted((name, value) for name, value in self._counts.items() if value)
        return _written(Write(statements.ADD_TO_COUNTER, changed))


def ticket_counter(state: str, event: str) -> str:
    """Name of the counter of tickets in a state."""
    return f"ticket/{state}/{event}"


def _written(*writes: Write) -> list[Write]:
    return [write for write in writes if write.rows]
