"""Builds the statements that bring the rows up to date, counters included (R9); `Ledger.materialise` runs
them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from dtvn.machine.rows import TicketBytes
from dtvn.protocol.consensus.effects import ApplicationChange
from validators.ledger import state_rows, statements
from validators.ledger.outcomes import INSERT_OPERATION, INSERT_OUTCOMES, INSERT_STATES, Noted
from validators.ledger.store import Store, Write

_STATE_AND_EVENT = itemgetter(2, 0)
"""(state, event) in the parameters of a searched ticket."""


class StateWrites:
    """Changes of the replicated state as parameters of their statements."""

    def __init__(self, changes: Iterable[ApplicationChange]) -> None:
        self.searched: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        """Key -> searched ticket, the only rows with counters."""
        self._codes: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        """(event, digest) -> code of a searched ticket."""
        self._packed: list[tuple[Any, ...]] = []
        self._others: list[tuple[Any, ...]] = []
        self._dropped: list[tuple[bytes]] = []
        for change in changes:
            row = change.row
            if type(row) is TicketBytes:
                self._packed.append(state_rows.ticket_bytes(row))
            elif change.table == "ticket":
                self.searched[change.key] = state_rows.ticket_row(row)
                if row.codes or row.revoked:
                    self._codes |= {code[:2]: code for code in state_rows.ticket_codes(row)}
            elif row is None:
                self._dropped.append((state_rows.state_key(change),))
            else:
                self._others.append(state_rows.state_row(change))

    def statements(self, upsert_ticket: str) -> list[Write]:
        """The statements; `upsert_ticket`: that for a searched ticket."""
        return _written(
            Write(upsert_ticket, list(self.searched.values())),
            Write(statements.UPSERT_CODE, list(self._codes.values())),
            Write(statements.UPSERT_TICKET_BYTES, self._packed),
            Write(statements.UPSERT_STATE_ROW, self._others),
            Write(statements.DROP_STATE_ROW, self._dropped),
        )

    def counts(self) -> Counter[str]:
        """Ticket counter -> number of searched tickets that it counts now."""
        counted = Counter(map(_STATE_AND_EVENT, self.searched.values()))
        return Counter({f"ticket/{state}/{event}": number for (state, event), number in counted.items()})


class RowWrites:
    """One materialisation: changes and outcomes as statements for `Store.commit`."""

    def __init__(self, store: Store, changes: Sequence[ApplicationChange], noted: Sequence[Noted]) -> None:
        self._store = store
        state = StateWrites(changes)
        self._counts = state.counts()
        for entry in noted:
            self._counts.update(entry.counts)
        store.expect_tickets([(row[0], row[1]) for row in state.searched.values()])
        self.writes = state.statements(store.upsert_ticket) + _written(
            Write(INSERT_OUTCOMES, [entry.outcomes for entry in noted]),
            Write(INSERT_OPERATION, [row for entry in noted for row in entry.operations]),
            Write(INSERT_STATES, [entry.states for entry in noted if entry.states]),
        )

    def counters(self) -> list[Write]:
        """The last statements of the transaction: counter updates, computed from the replaced rows."""
        self._counts.subtract(self._store.replaced())
        changed = sorted((name, value) for name, value in self._counts.items() if value)
        return _written(Write(statements.ADD_TO_COUNTER, changed))


def _written(*writes: Write) -> list[Write]:
    return [write for write in writes if write.rows]
