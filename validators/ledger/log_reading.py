"""Reads the log of a ledger, and what the ledger holds beside it about each sequence, and checks both."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log_tree import append, root
from dtvn.protocol.consensus.messages import (
    NULL_BATCH_DIGEST,
    Entry,
    batch_digest,
    bundle_digest,
    entry_hash,
)
from validators.ledger import encoding, log_mark
from validators.ledger.log_mark import LogMark
from validators.ledger.outcomes import read_batch, read_envelope
from validators.ledger.store import Store

ENTRIES_KEPT = 256
"""Most entries loaded in addition to those to replay, the newest ones, for peers that lag a little."""
ENTRIES_KEPT_BYTES = 16 * 1024 * 1024
"""Most bytes of batches in these additional entries."""

LOWEST, LAST = -(1 << 63), (1 << 63) - 1

SELECT_LOG = (
    "SELECT e.sequence, e.epoch, e.timestamp, e.entry, e.entry_hash, e.body, e.checksum,"
    " b.content, b.checksum, c.frames, c.checksum, b.sequence FROM ledger_consensusentry e"
    " LEFT JOIN ledger_batchbody b ON b.id = e.body"
    " LEFT JOIN ledger_commitcertificate c ON c.sequence = e.sequence"
    " WHERE e.sequence >= ? AND e.sequence <= ? ORDER BY e.sequence"
)


class Chain:
    """The order of entries: each follows the one before it. Below the entry of `base`, a snapshot, some may
    be missing; behind each gap a chain of its own begins."""

    def __init__(self, begin: LogMark, base: Base | None) -> None:
        self.head, self.head_hash = begin.sequence, begin.entry_hash
        self.base = base

    def reaches_base(self, sequence: int) -> bool:
        """Whether the snapshot's entry lies between the head and this sequence."""
        return self.base is not None and sequence > self.base.entry.sequence > self.head

    def go_on_from_base(self) -> None:
        """Continue the log from the snapshot's entry."""
        if self.base is not None:
            self.head, self.head_hash = self.base.entry.sequence, entry_hash(self.base.entry)

    def follow(self, record: EntryRecord) -> None:
        """Add the next entry; raises LedgerDamaged."""
        entry = record.entry
        sequence = entry.sequence
        if self.reaches_base(sequence):
            self.go_on_from_base()
        elif self.base is not None and self.head + 1 < sequence <= self.base.entry.sequence:
            self.head, self.head_hash = sequence - 1, entry.previous
        if sequence != self.head + 1:
            raise LedgerDamaged(f"it follows entry {self.head}", sequence=sequence)
        if entry.previous != self.head_hash:
            raise LedgerDamaged(
                f"it continues {entry.previous.hex()[:16]}, but the entry before it is "
                f"{self.head_hash.hex()[:16]}",
                sequence=sequence,
            )
        self.head, self.head_hash = sequence, record.entry_hash


class Log:
    """State of the walk over the entries after a mark."""

    def __init__(
        self, begin: LogMark, keep_after: int, checkpoint: CheckpointRecord | None, base: Base | None
    ) -> None:
        self.frontier = begin.frontier
        self.chain = Chain(begin, base)
        self.mark = begin
        """The entry DISTANCE before the newest stable checkpoint, or `begin` if that is later."""
        self.proved = False
        """Whether the root was found to be that of the newest stable checkpoint."""
        self.kept: list[EntryRecord] = []
        self._keep_after = keep_after
        self._checkpoint = checkpoint
        self._spare_bytes = 0
        self._check_root(begin.sequence)

    def add(self, record: EntryRecord) -> None:
        """Add the next entry, which has been checked by itself."""
        sequence = record.entry.sequence
        base = self.chain.base
        if base is not None and sequence <= base.entry.sequence:
            self._add_older(record, base)
            return
        if self.chain.reaches_base(sequence):
            self._go_on_from_base()
        self.chain.follow(record)
        self.frontier = append(self.frontier, record.entry_hash)
        self._check_root(sequence)
        if self._checkpoint is not None and sequence == self._checkpoint.sequence - log_mark.DISTANCE:
            self.mark = LogMark.of(self.frontier, record.entry_hash)
        self.kept.append(record)
        if sequence <= self._keep_after:
            self._trim(len(record.body))

    def _add_older(self, record: EntryRecord, base: Base) -> None:
        """Add an entry that is not above the snapshot: from before it, or filled in since. No root is known
        behind a gap, but that of the snapshot."""
        self.chain.follow(record)
        if record.entry.sequence == base.entry.sequence:
            if record.entry != base.entry:
                raise LedgerDamaged("it is not the snapshot's entry", sequence=record.entry.sequence)
            self._go_on_from_base()

    def end(self) -> None:
        """Finish after the last entry."""
        if self.chain.reaches_base(LAST):
            self._go_on_from_base()

    def _go_on_from_base(self) -> None:
        """Continue the log from the snapshot's entry; entries between the last one and it are not stored."""
        self.chain.go_on_from_base()
        if self.chain.base is not None:
            self.frontier = append(self.chain.base.before, self.chain.head_hash)
        self.kept.clear()
        self._spare_bytes = 0
        self._check_root(self.chain.head)

    def _check_root(self, sequence: int) -> None:
        """Check that the log's root is the one that the newest stable checkpoint signed, if that is at
        `sequence`."""
        checkpoint = self._checkpoint
        if checkpoint is not None and sequence == checkpoint.sequence:
            found = root(self.frontier)
            if found != checkpoint.log_root:
                raise LedgerDamaged(
                    f"the log up to it has root {found.hex()[:16]}, its stable checkpoint says "
                    f"{checkpoint.log_root.hex()[:16]}",
                    sequence=sequence,
                )
            self.proved = True

    def _trim(self, added: int) -> None:
        """Keep a bounded tail of entries that need no replay."""
        self._spare_bytes += added
        while len(self.kept) > ENTRIES_KEPT or self._spare_bytes > ENTRIES_KEPT_BYTES:
            self._spare_bytes -= len(self.kept.pop(0).body)


def read_log(
    store: Store, applied: int, checkpoint: CheckpointRecord | None, base: Base | None, begin: LogMark
) -> Log:
    """Read the entries after a mark; raises LedgerDamaged."""
    log = Log(begin, applied, checkpoint, base)
    for row in store.stream(SELECT_LOG, (begin.sequence + 1, LAST)):
        log.add(entry_from_row(row))
    log.end()
    if begin.sequence and not log.proved:
        raise LedgerDamaged("its log ends before its stable checkpoint")
    return log


def read_entries(store: Store, first: int, last: int, bytes_max: int) -> list[EntryRecord]:
    """Entries first..last, each checked by itself, up to `bytes_max` of batches."""
    records: list[EntryRecord] = []
    size = 0
    for row in store.stream(SELECT_LOG, (first, last)):
        record = entry_from_row(row)
        size += len(record.body)
        if records and (size > bytes_max or record.entry.sequence != records[-1].entry.sequence + 1):
            break
        records.append(record)
    return records


def entry_from_row(row: tuple[Any, ...]) -> EntryRecord:
    """The entry in a row of SELECT_LOG, checked by itself; raises LedgerDamaged."""
    sequence, epoch, timestamp, data, digest, body, check, content, body_check, frames, *rest = row
    commits_check, body_sequence = rest
    if encoding.checksum((sequence, epoch, timestamp, data, digest, body)) != check:
        raise LedgerDamaged("it differs from its checksum", sequence=sequence)
    entry = encoding.decode_entry(data, sequence)
    if (entry.sequence, entry.epoch, entry.timestamp) != (sequence, epoch, timestamp):
        raise LedgerDamaged("its columns differ from its bytes", sequence=sequence)
    found = entry_hash(entry)
    if found != digest:
        raise LedgerDamaged(
            f"its hash is {found.hex()[:16]}, {digest.hex()[:16]} is written", sequence=sequence
        )
    if body is not None and (
        content is None or encoding.checksum((body, body_sequence), content) != body_check
    ):
        raise LedgerDamaged("its batch is missing or differs from its checksum", sequence=sequence)
    _check_digest(entry, content or b"")
    commits: tuple[bytes, ...] = ()
    if frames is not None:
        if encoding.checksum((sequence, frames)) != commits_check:
            raise LedgerDamaged("its COMMITs differ from their checksum", sequence=sequence)
        commits = encoding.decode_frames(frames, f"the COMMITs of sequence {sequence}")
    return EntryRecord(entry=entry, entry_hash=digest, body=content or b"", commits=commits)


def _check_digest(entry: Entry, content: bytes) -> None:
    """Check that the batch has the digest that the entry names (R1)."""
    found = NULL_BATCH_DIGEST
    if content:
        try:
            batch = read_batch(content)
            requests = tuple(bundle_digest(read_envelope(frame).body) for frame in batch.requests)
            found = batch_digest(batch.origin_view, batch.proposed, requests)
        except (msgspec.MsgspecError, OverflowError) as error:
            raise LedgerDamaged(f"its batch cannot be decoded: {error}", sequence=entry.sequence) from error
    if found != entry.batch_digest:
        raise LedgerDamaged(
            f"its batch has digest {found.hex()[:16]}, the entry says {entry.batch_digest.hex()[:16]}",
            sequence=entry.sequence,
        )


def check_beside_entries(store: Store, first: int, last: int) -> None:
    """Check what the ledger holds about sequences first..last beside their entries; raises LedgerDamaged."""
    for row in store.stream(
        "SELECT sequence, operations, listed, outcomes, checksum FROM ledger_entryoutcomes"
        " WHERE sequence >= ? AND sequence <= ?",
        (first, last),
    ):
        if encoding.checksum(row[:-1]) != row[-1]:
            raise LedgerDamaged("its outcomes differ from their checksum", sequence=row[0])
    # A flipped bit in a certificate's sequence would leave its entry without COMMITs.
    for (sequence,) in store.stream(
        "SELECT c.sequence FROM ledger_commitcertificate c"
        " LEFT JOIN ledger_consensusentry e ON e.sequence = c.sequence"
        " WHERE c.sequence >= ? AND c.sequence <= ? AND e.sequence IS NULL",
        (first, last),
    ):
        raise LedgerDamaged("there are COMMITs for it, but no entry", sequence=sequence)
    # Old checkpoints prove old outcomes (R26).
    for row in store.stream(
        f"SELECT {encoding.CHECKPOINT_COLUMNS} FROM ledger_checkpoint"  # noqa: S608
        " WHERE sequence >= ? AND sequence <= ?",
        (first, last),
    ):
        encoding.checkpoint_from_row(row)
