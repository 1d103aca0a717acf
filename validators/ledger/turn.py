"""Converts the records of one turn to statements: inserts, shared batches, and pruning at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    EntryRecord,
    EvidenceRecord,
    Prune,
    Record,
    SlotRecord,
)
from dtvn.protocol.consensus.log_tree import Frontier, append
from dtvn.protocol.host.ports import JournalError
from validators.ledger import encoding, log_mark, statements
from validators.ledger.bodies import Bodies
from validators.ledger.convictions import evidence_writes
from validators.ledger.log_mark import LogMark
from validators.ledger.store import DuplicateKeyError, Write

VIEWS_ARCHIVED = 32
"""Number of NEW-VIEWs kept for auditors with their VIEW-CHANGEs, a few dozen kilobytes each."""

ENTERED = "view"
"""Phase of the record that a view was entered: records that bound the replica to lower views may be deleted
(R29)."""


class Head(msgspec.Struct, frozen=True):
    """The end of the written log: the next entry and the next slot continue from here."""

    frontier: Frontier
    """Merkle frontier over all entries."""
    entry_hash: bytes
    """Hash of the newest entry; 32 zero bytes without entries."""
    slot_number: int
    """Row number of the newest slot."""
    mark: LogMark
    """Stored with the next checkpoint that is at least log_mark.DISTANCE after it."""

    @property
    def sequence(self) -> int:
        """Sequence of the newest entry; 0 without entries."""
        return self.frontier.size


EMPTY = Head(Frontier(), b"", 0, LogMark())
"""Of a ledger that was not loaded."""


class TurnPlan:
    """Collects rows per statement; numbers batches in `bodies`, which is invalid if the turn fails."""

    def __init__(self, head: Head, bodies: Bodies) -> None:
        self.body_bytes = 0
        """Size of the batches that are written for the first time."""
        self._frontier = head.frontier
        self._entry_hash = head.entry_hash
        self._mark = head.mark
        self._slot_number = head.slot_number
        self._bodies = bodies
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._pruned = 0
        self._evidence: list[EvidenceRecord] = []
        self._entered = (0, 0)
        """Highest (epoch, view) that a record of this turn enters."""

    @property
    def head(self) -> Head:
        """The head once the plan is durable."""
        return Head(self._frontier, self._entry_hash, self._slot_number, self._mark)

    def add(self, record: Record) -> None:
        """Add the next record; raises JournalError if it does not continue the log."""
        if isinstance(record, SlotRecord):
            self._add_slot(record)
        elif isinstance(record, EntryRecord):
            self._add_entry(record)
        elif isinstance(record, CheckpointRecord):
            self._add_checkpoint(record)
        elif isinstance(record, EvidenceRecord):
            self._evidence.append(record)
        elif isinstance(record, Prune):
            self._pruned = max(self._pruned, record.sequence)
        else:
            self._insert(statements.UPSERT_STATE, encoding.state_row(record))

    def writes(self) -> list[Write]:
        """The statements in order, pruning last."""
        writes = [Write(sql, rows) for sql, rows in self._rows.items()]
        writes += evidence_writes(self._evidence)
        if self._entered > (0, 0):
            epoch, view = self._entered
            writes.append(Write(statements.ARCHIVE_VIEWS, [(epoch, epoch, view)]))
            writes.append(Write(statements.DROP_VIEWS, [(epoch, epoch, view)]))
            writes.append(Write(statements.TRIM_VIEWS, [(VIEWS_ARCHIVED,)]))
        if self._pruned:
            writes += self._prune(self._pruned)
        return writes

    def _add_slot(self, record: SlotRecord) -> None:
        body, new = self._bodies.of_slot(record.sequence, record.body)
        self._slot_number += 1
        self._insert(statements.INSERT_SLOT, encoding.slot_row(self._slot_number, record, body))
        if new and body is not None:
            self._insert_body(body, record.sequence, record.body)
        if record.phase == ENTERED:
            self._entered = max(self._entered, (record.epoch, record.view))

    def _add_entry(self, record: EntryRecord) -> None:
        entry = record.entry
        last = self._frontier.size
        if entry.sequence <= last:
            raise DuplicateKeyError(f"Entry {entry.sequence} is in the ledger already.")
        if entry.sequence != last + 1 or entry.previous != self._entry_hash:
            raise JournalError(f"Entry {entry.sequence} does not continue the log, which ends at {last}.")
        self._frontier, self._entry_hash = append(self._frontier, record.entry_hash), record.entry_hash
        body, new = self._bodies.of_entry(entry.sequence, record.body)
        self._insert(statements.INSERT_ENTRY, encoding.entry_row(record, body))
        if record.commits:
            self._insert(statements.INSERT_COMMITS, encoding.commits_row(record))
        if new and body is not None:
            self._insert_body(body, entry.sequence, record.body)

    def _add_checkpoint(self, record: CheckpointRecord) -> None:
        self._insert(statements.INSERT_CHECKPOINT, encoding.checkpoint_row(record))
        if record.sequence >= self._mark.sequence + log_mark.DISTANCE:
            self._insert(statements.UPSERT_STATE, encoding.state_row(self._mark.record))
            self._mark = LogMark.of(self._frontier, self._entry_hash)

    def _insert(self, sql: str, row: tuple[Any, ...]) -> None:
        self._rows.setdefault(sql, []).append(row)

    def _insert_body(self, number: int, sequence: int, content: bytes) -> None:
        self._insert(statements.INSERT_BODY, encoding.body_row(number, sequence, content))
        self.body_bytes += len(content)

    def _prune(self, sequence: int) -> list[Write]:
        writes = [Write(statements.DROP_SLOTS, [(sequence,)])]
        if dead := self._bodies.prune(sequence):
            writes.append(Write(statements.DROP_BODIES, [(number,) for number in dead]))
        return writes


def without_repeats(records: Sequence[Record]) -> list[Record]:
    """Drop repeated records of a turn; raises JournalError if a repetition differs."""
    kept: dict[tuple[Any, ...], Record] = {}
    for number, record in enumerate(records):
        key = _key(record) or (number,)
        if kept.setdefault(key, record) != record:
            raise JournalError(f"One turn holds two different records for {key}.")
    return list(kept.values())


def _key(record: Record) -> tuple[Any, ...]:
    if isinstance(record, SlotRecord):
        return ("slot", record.epoch, record.view, record.sequence, record.phase)
    if isinstance(record, EntryRecord):
        return ("entry", record.entry.sequence)
    if isinstance(record, CheckpointRecord):
        return ("checkpoint", record.sequence)
    return ()
