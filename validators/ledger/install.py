"""Replacing the state by a snapshot: one transaction, all of it or nothing (PITFALLS row 17).

The log's old part stays (its entries go on proving what they proved); between its end and the snapshot
entries are missing. What the log goes on from is kept as the named value `snapshot_base`: the entry of
the snapshot's sequence and the Merkle frontier below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from tickets.machine.rows import TicketBytes, TicketRow
from validators import canonical
from validators.consensus.effects import ApplicationChange, Install, StateRecord
from validators.consensus.needs import Base
from validators.ledger import encoding, state_rows, statements
from validators.ledger.errors import LedgerDamaged
from validators.ledger.materialise import ticket_counter
from validators.ledger.store import Write

__all__ = ["BASE", "installing", "read_base"]

BASE = "snapshot_base"
CHUNK = 4_096
"""Rows in memory at once: a state may be larger than what is free."""

_DROP = (
    "DELETE FROM ledger_ticket",
    "DELETE FROM ledger_staterow",
    "DELETE FROM ledger_counter WHERE name >= 'ticket/' AND name < 'ticket0'",
)
_DROP_BODIES = (
    "DELETE FROM ledger_batchbody WHERE sequence <= ? AND id NOT IN"
    " (SELECT body FROM ledger_consensusentry WHERE body IS NOT NULL)"
)


def installing(install: Install, *, known: bool) -> Iterator[Write]:
    """Statements in order, made as they are executed. `known`: its checkpoint is in the ledger already."""
    checkpoint = install.checkpoint
    base = StateRecord(BASE, canonical.encode(Base(install.entry, install.peaks)))
    for sql in _DROP:
        yield Write(sql, [()])
    yield from _rows(install.rows())
    yield Write(statements.UPSERT_STATE, [encoding.state_row(base)])
    if not known:
        yield Write(statements.INSERT_CHECKPOINT, [encoding.checkpoint_row(checkpoint)])
    yield Write(statements.DROP_SLOTS, [(checkpoint.sequence,)])
    yield Write(_DROP_BODIES, [(checkpoint.sequence,)])


def read_base(states: Iterable[StateRecord]) -> Base | None:
    """What the log goes on from, None where it is whole; raise LedgerDamaged when it cannot be read."""
    for state in states:
        if state.name == BASE:
            try:
                return canonical.decode(Base, state.value)
            except canonical.CanonicalError as error:
                raise LedgerDamaged(f"its snapshot's base cannot be read: {error}") from error
    return None


def _rows(changes: Iterable[ApplicationChange]) -> Iterator[Write]:
    iterator = iter(changes)
    counts: Counter[str] = Counter()
    while chunk := list(islice(iterator, CHUNK)):
        tickets: list[tuple[Any, ...]] = []
        searched: list[tuple[Any, ...]] = []
        others: list[tuple[Any, ...]] = []
        for change in chunk:
            if type(change.row) is TicketBytes:
                tickets.append(state_rows.ticket_bytes(change.row))
            elif type(change.row) is TicketRow:
                searched.append(state_rows.ticket_row(change.row))
                counts[ticket_counter(change.row.state, change.row.event)] += 1
            else:
                others.append(state_rows.state_row(change))
        if tickets:
            yield Write(statements.UPSERT_TICKET_BYTES, tickets)
        if searched:
            yield Write(statements.UPSERT_TICKET, searched)
        if others:
            yield Write(statements.UPSERT_STATE_ROW, others)
    if counts:
        yield Write(statements.ADD_TO_COUNTER, sorted(counts.items()))
