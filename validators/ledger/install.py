"""Replaces the state by a snapshot, in one transaction (P17).

The log's old part stays (its entries still prove their outcomes); between its end and the snapshot entries
are missing. The base on which the log continues is kept as the named value `snapshot_base`: the entry at the
snapshot's sequence and the Merkle frontier below it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from dtvn.ledger import SNAPSHOT_BASE, LedgerDamaged
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange, Install, StateRecord
from dtvn.protocol.consensus.ledger_tail import Base
from validators.ledger import encoding, statements
from validators.ledger.materialise import StateWrites
from validators.ledger.store import Write

CHUNK = 4_096
"""Rows in memory at once: a state may be larger than the free memory."""

_DROP = (
    "DELETE FROM ledger_ticket",
    "DELETE FROM ledger_ticketcode",
    "DELETE FROM ledger_staterow",
    "DELETE FROM ledger_counter WHERE name >= 'ticket/' AND name < 'ticket0'",
)
_DROP_BODIES = (
    "DELETE FROM ledger_batchbody WHERE sequence <= ? AND id NOT IN"
    " (SELECT body FROM ledger_consensusentry WHERE body IS NOT NULL)"
)


def installing(install: Install, *, known: bool) -> Iterator[Write]:
    """Statements in order, generated while they are executed. `known`: its checkpoint is in the ledger
    already."""
    checkpoint = install.checkpoint
    base = StateRecord(SNAPSHOT_BASE, canonical.encode(Base(install.entry, install.peaks)))
    for sql in _DROP:
        yield Write(sql, [()])
    yield from _rows(install.rows())
    yield Write(statements.UPSERT_STATE, [encoding.state_row(base)])
    if not known:
        yield Write(statements.INSERT_CHECKPOINT, [encoding.checkpoint_row(checkpoint)])
    yield Write(statements.DROP_SLOTS, [(checkpoint.sequence,)])
    yield Write(_DROP_BODIES, [(checkpoint.sequence,)])


def read_base(states: Iterable[StateRecord]) -> Base | None:
    """The base on which the log continues after a snapshot, None for a complete log; raises LedgerDamaged if
    it does not decode."""
    for state in states:
        if state.name == SNAPSHOT_BASE:
            try:
                return canonical.decode(Base, state.value)
            except canonical.CanonicalError as error:
                raise LedgerDamaged(f"its snapshot's base cannot be read: {error}") from error
    return None


def _rows(changes: Iterable[ApplicationChange]) -> Iterator[Write]:
    iterator = iter(changes)
    counts: Counter[str] = Counter()
    while chunk := list(islice(iterator, CHUNK)):
        state = StateWrites(chunk)
        counts += state.counts()
        yield from state.statements(statements.UPSERT_TICKET)
    if counts:
        yield Write(statements.ADD_TO_COUNTER, sorted(counts.items()))
