"""Reads a ledger back and checks all of it: a damaged disk is noticed at start.

Every entry is hashed again and must name its predecessor; every batch must have the digest that its entry
names; the Merkle root over all entries must be the one that the newest stable checkpoint signed; and every
row must match its checksum, which covers what no hash does (signatures, votes, certificates).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Record,
    SlotRecord,
)
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log_tree import Frontier, append, root
from dtvn.protocol.consensus.messages import (
    NO_PREDECESSOR,
    NULL_BATCH_DIGEST,
    Entry,
    batch_digest,
    bundle_digest,
    entry_hash,
)
from dtvn.protocol.host.ports import JournalError, LedgerTail
from validators.ledger import encoding
from validators.ledger.bodies import Bodies
from validators.ledger.install import read_base
from validators.ledger.outcomes import read_batch, read_envelope
from validators.ledger.store import Store
from validators.ledger.turn import Head

ENTRIES_KEPT = 256
"""Most entries loaded in addition to those to replay, the newest ones, for peers that lag a little."""
ENTRIES_KEPT_BYTES = 16 * 1024 * 1024
"""Most bytes of batches in these additional entries."""

_SELECT_LOG = (
    "SELECT e.sequence, e.epoch, e.timestamp, e.entry, e.entry_hash, e.body, e.checksum,"
    " b.content, b.checksum, c.frames, c.checksum, b.sequence FROM ledger_consensusentry e"
    " LEFT JOIN ledger_batchbody b ON b.id = e.body"
    " LEFT JOIN ledger_commitcertificate c ON c.sequence = e.sequence"
    " WHERE e.sequence >= ? AND e.sequence <= ? ORDER BY e.sequence"
)
_SELECT_SLOTS = (
    "SELECT s.id, s.sequence, s.epoch, s.view, s.phase, s.frames, s.body, s.checksum,"
    " b.content, b.checksum, b.sequence,"
    " CASE WHEN e.sequence IS NULL THEN 0 ELSE 1 END FROM ledger_protocolrecord s"
    " LEFT JOIN ledger_batchbody b ON b.id = s.body"
    " LEFT JOIN ledger_consensusentry e ON e.sequence = s.sequence AND e.body = s.body"
    " ORDER BY s.id"
)
LAST = (1 << 63) - 1


class Loaded(msgspec.Struct, frozen=True):
    """The LedgerTail, and what `Ledger` itself keeps in memory."""

    tail: LedgerTail
    bodies: Bodies
    head: Head


class _Log:
    """State of the walk over all entries."""

    def __init__(self, keep_after: int, checkpoint: CheckpointRecord | None, base: Base | None) -> None:
        self.frontier = Frontier()
        self.head = 0
        self.head_hash = NO_PREDECESSOR
        self.kept: list[EntryRecord] = []
        self._keep_after = keep_after
        self._checkpoint = checkpoint
        self._base = base
        self._spare_bytes = 0

    def add(self, record: EntryRecord) -> None:
        """Add the next entry, which has been checked by itself."""
        entry = record.entry
        sequence = entry.sequence
        base = self._base
        if base is not None and sequence > base.entry.sequence > self.head:
            self._go_on_from(base)
        elif base is not None and self.head + 1 < sequence <= base.entry.sequence:
            # The rest of the log between two snapshots: a separate chain.
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
        self.frontier = append(self.frontier, record.entry_hash)
        self._check_root(sequence)
        self.kept.append(record)
        if sequence <= self._keep_after:
            self._trim(len(record.body))

    def end(self) -> None:
        """Finish after the last entry."""
        if self._base is not None and self._base.entry.sequence > self.head:
            self._go_on_from(self._base)

    def _go_on_from(self, base: Base) -> None:
        """Continue the log from the snapshot's entry; entries between the last one and it are not stored."""
        self.head, self.head_hash = base.entry.sequence, entry_hash(base.entry)
        self.frontier = append(base.before, self.head_hash)
        self.kept.clear()
        self._spare_bytes = 0
        self._check_root(self.head)

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

    def _trim(self, added: int) -> None:
        """Keep a bounded tail of entries that need no replay."""
        self._spare_bytes += added
        while len(self.kept) > ENTRIES_KEPT or self._spare_bytes > ENTRIES_KEPT_BYTES:
            self._spare_bytes -= len(self.kept.pop(0).body)


def read_state(store: Store, name: str) -> bytes | None:
    """The value of a named state, None if it was never written; raises LedgerDamaged."""
    rows = store.rows("SELECT name, value, checksum FROM ledger_statevalue WHERE name = ?", (name,))
    return encoding.state_from_row(rows[0]).value if rows else None


def load(store: Store, rows: Iterable[ApplicationChange], applied: int) -> Loaded:
    """Read and check everything; raises LedgerDamaged. `rows`: the state rows as of sequence `applied`."""
    store.check()
    checkpoint = _newest_checkpoint(store)
    states = tuple(
        encoding.state_from_row(row)
        for row in store.rows("SELECT name, value, checksum FROM ledger_statevalue ORDER BY name")
    )
    base = read_base(states)
    log = _Log(applied, checkpoint, base)
    for row in store.stream(_SELECT_LOG, (1, LAST)):
        log.add(_entry_from_row(row))
    log.end()
    if applied > log.head:
        raise LedgerDamaged(f"its rows are those after entry {applied}, but the log ends at {log.head}")
    _check_outcomes(store)
    _check_certificates(store)
    slots, bodies, slot_number = _read_slots(store)
    tail = LedgerTail(
        frontier=log.frontier,
        applied_sequence=applied,
        rows=rows,
        entries=tuple(log.kept),
        slots=slots,
        checkpoint=checkpoint,
        states=states,
        base=base,
    )
    return Loaded(tail, bodies, Head(log.head, log.head_hash, slot_number))


def read_bodies(store: Store) -> Bodies:
    """The batches of the open window, as `load` returns them."""
    return _read_slots(store)[1]


def read_entries(store: Store, first: int, last: int, bytes_max: int) -> list[EntryRecord]:
    """Entries first..last, each checked by itself, up to `bytes_max` of batches."""
    records: list[EntryRecord] = []
    size = 0
    for row in store.stream(_SELECT_LOG, (first, last)):
        record = _entry_from_row(row)
        size += len(record.body)
        if records and (size > bytes_max or record.entry.sequence != records[-1].entry.sequence + 1):
            break
        records.append(record)
    return records


def is_known(store: Store, record: Record) -> bool:
    """Whether the ledger holds exactly this record; raises JournalError if it holds another one."""
    if isinstance(record, EntryRecord):
        sequence = record.entry.sequence
        found = read_entries(store, sequence, sequence, 0)
        if found and (found[0].entry_hash, found[0].body) != (record.entry_hash, record.body):
            raise JournalError(f"The ledger holds another entry for sequence {sequence}.")
        return bool(found)
    if isinstance(record, SlotRecord):
        return _slot_is_known(store, record)
    if isinstance(record, CheckpointRecord):
        return _checkpoint_is_known(store, record)
    return False


# --- one kind of row each -------------------------------------------------------------------------


def _entry_from_row(row: tuple[Any, ...]) -> EntryRecord:
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


def _check_outcomes(store: Store) -> None:
    for row in store.stream(
        "SELECT sequence, operations, listed, outcomes, checksum FROM ledger_entryoutcomes"
    ):
        if encoding.checksum(row[:-1]) != row[-1]:
            raise LedgerDamaged("its outcomes differ from their checksum", sequence=row[0])


def _check_certificates(store: Store) -> None:
    # A flipped bit in a certificate's sequence would leave its entry without COMMITs.
    for (sequence,) in store.stream(
        "SELECT c.sequence FROM ledger_commitcertificate c"
        " LEFT JOIN ledger_consensusentry e ON e.sequence = c.sequence WHERE e.sequence IS NULL"
    ):
        raise LedgerDamaged("there are COMMITs for it, but no entry", sequence=sequence)


def _newest_checkpoint(store: Store) -> CheckpointRecord | None:
    """The newest checkpoint. All are checked, since they prove old outcomes (R26)."""
    newest = None
    for row in store.stream(
        f"SELECT {encoding.CHECKPOINT_COLUMNS} FROM ledger_checkpoint ORDER BY sequence"  # noqa: S608
    ):
        newest = encoding.checkpoint_from_row(row)
    return newest


def _read_slots(store: Store) -> tuple[tuple[SlotRecord, ...], Bodies, int]:
    """Slots in the order of writing, their batches, and the number of the newest slot."""
    highest = store.rows("SELECT coalesce(max(id), 0) FROM ledger_batchbody")[0][0]
    bodies = Bodies(highest + 1)
    slots: list[SlotRecord] = []
    number = 0
    for row in store.stream(_SELECT_SLOTS):
        *columns, content, body_check, body_sequence, executed = row
        record = encoding.slot_from_row(tuple(columns), content or b"")
        number, body = columns[0], columns[6]
        if body is not None:
            if content is None or encoding.checksum((body, body_sequence), content) != body_check:
                raise LedgerDamaged(
                    f"the batch proposed for sequence {record.sequence} in view {record.view} "
                    "is missing or differs from its checksum"
                )
            bodies.remember(record, body, executed=bool(executed))
        slots.append(record)
    return tuple(slots), bodies, number


def _slot_is_known(store: Store, record: SlotRecord) -> bool:
    key = (record.sequence, record.epoch, record.view, record.phase)
    rows = store.rows(
        "SELECT s.frames, b.content FROM ledger_protocolrecord s"
        " LEFT JOIN ledger_batchbody b ON b.id = s.body"
        " WHERE s.sequence = ? AND s.epoch = ? AND s.view = ? AND s.phase = ?",
        key,
    )
    if not rows:
        return False
    frames, content = rows[0]
    if (encoding.decode_frames(frames, record.phase), content or b"") != (record.frames, record.body):
        raise JournalError(
            f"A second {record.phase} for sequence {record.sequence} in view {record.view} of epoch "
            f"{record.epoch} differs from the first one (R7)."
        )
    return True


def _checkpoint_is_known(store: Store, record: CheckpointRecord) -> bool:
    rows = store.rows(
        "SELECT epoch, state_root, log_root, timestamp FROM ledger_checkpoint WHERE sequence = ?",
        (record.sequence,),
    )
    if not rows:
        return False
    if rows[0] != (record.epoch, record.state_root, record.log_root, record.timestamp):
        raise JournalError(f"The ledger holds another checkpoint at sequence {record.sequence}.")
    return True
