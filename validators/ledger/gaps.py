"""Finds and fills the holes that installed states left in the log (R23)."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.consensus.effects import EntryRecord
from dtvn.protocol.consensus.ledger_tail import Base, Gap
from dtvn.protocol.consensus.messages import entry_hash
from validators.ledger import encoding, statements
from validators.ledger.bodies import Bodies
from validators.ledger.log_reading import read_entries
from validators.ledger.store import Store, Write

LOOKED_AT = 512
"""Most entries that one look for a gap reads, by their sequences only: under a millisecond."""

_DOWNWARDS = "SELECT sequence FROM ledger_consensusentry WHERE sequence < ? ORDER BY sequence DESC LIMIT ?"


def find_gap(store: Store, base: Base | None, below: int) -> Gap:
    """See ports.Journal. Without a snapshot nothing is missing."""
    if base is None:
        return Gap(1, 0)
    below = min(below, base.entry.sequence + 1)
    found = [sequence for (sequence,) in store.rows(_DOWNWARDS, (below, LOOKED_AT))]
    last = below - 1
    for sequence in found:
        if sequence != last:
            return _gap(store, base, sequence + 1, last)
        last -= 1
    if len(found) < LOOKED_AT and last > 0:
        return _gap(store, base, 1, last)
    return Gap(last + 1, last)


def filling(records: Sequence[EntryRecord], bodies: Bodies) -> list[Write]:
    """The statements that write these entries, whose batches are numbered like all others."""
    entries, batches = [], []
    for record in records:
        sequence = record.entry.sequence
        number, new = bodies.of_entry(sequence, record.body)
        entries.append(encoding.entry_row(record, number))
        if new and number is not None:
            batches.append(encoding.body_row(number, sequence, record.body))
    return [Write(statements.INSERT_ENTRY, entries), Write(statements.INSERT_BODY, batches)]


def _gap(store: Store, base: Base, first: int, last: int) -> Gap:
    if last == base.entry.sequence:
        return Gap(first, last, entry_hash(base.entry))
    behind = read_entries(store, last + 1, last + 1, 0)
    if not behind:
        raise LedgerDamaged("it was read before and is missing", sequence=last + 1)
    return Gap(first, last, behind[0].entry.previous)
