"""Reads a ledger back and checks it: a damaged disk is noticed.

Every entry is hashed again and must name its predecessor; every batch must have the digest that its entry
names; the Merkle root over all entries must be the one that the newest stable checkpoint signed; and every
row must match its checksum, which covers what no hash does (signatures, votes, certificates).

A start reads the entries after a mark (`log_mark`), a little before the newest stable checkpoint;
`older_entries` checks the others beside the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Record,
    SlotRecord,
)
from dtvn.protocol.host.ports import JournalError, LedgerTail
from validators.ledger import encoding
from validators.ledger.bodies import Bodies
from validators.ledger.install import read_base
from validators.ledger.log_mark import LogMark, beginning
from validators.ledger.log_reading import (
    LAST,
    LOWEST,
    check_beside_entries,
    read_entries,
    read_log,
)
from validators.ledger.store import Store
from validators.ledger.turn import Head

_SELECT_SLOTS = (
    "SELECT s.id, s.sequence, s.epoch, s.view, s.phase, s.frames, s.body, s.checksum,"
    " b.content, b.checksum, b.sequence,"
    " CASE WHEN e.sequence IS NULL THEN 0 ELSE 1 END FROM ledger_protocolrecord s"
    " LEFT JOIN ledger_batchbody b ON b.id = s.body"
    " LEFT JOIN ledger_consensusentry e ON e.sequence = s.sequence AND e.body = s.body"
    " ORDER BY s.id"
)
RESTORED_FROM = (
    "ledger_protocolrecord",
    "ledger_checkpoint",
    "ledger_statevalue",
    "ledger_ledgermeta",
    "ledger_ticket",
    "ledger_ticketcode",
    "ledger_staterow",
)
"""Tables in which a lost row would go unnoticed, since nothing but their structure counts their rows: it is
checked before the replica votes. None grows with the log, but for a row for each stable checkpoint."""


class Loaded(msgspec.Struct, frozen=True):
    """The LedgerTail, and what `Ledger` itself keeps in memory."""

    tail: LedgerTail
    bodies: Bodies
    head: Head
    begin: LogMark
    """The entries after it were read and checked."""


def read_state(store: Store, name: str) -> bytes | None:
    """The value of a named state, None if it was never written; raises LedgerDamaged."""
    rows = store.rows("SELECT name, value, checksum FROM ledger_statevalue WHERE name = ?", (name,))
    return encoding.state_from_row(rows[0]).value if rows else None


def load(store: Store, rows: Iterable[ApplicationChange], applied: int, *, whole: bool) -> Loaded:
    """Read and check everything, or (not `whole`) what a replica needs before it votes; raises LedgerDamaged.
    `rows`: the state rows as of sequence `applied`."""
    store.check(() if whole else RESTORED_FROM)
    checkpoint = _newest_checkpoint(store)
    states = tuple(
        encoding.state_from_row(row)
        for row in store.rows("SELECT name, value, checksum FROM ledger_statevalue ORDER BY name")
    )
    base = read_base(states)
    begin = LogMark() if whole else beginning(applied, checkpoint, base, states)
    log = None
    if begin.sequence:
        with suppress(LedgerDamaged, TypeError):
            log = read_log(store, applied, checkpoint, base, begin)
    if not log:  # an entry is damaged: only the whole log says which one
        begin = LogMark()
        log = read_log(store, applied, checkpoint, base, begin)
    chain = log.chain
    if applied > chain.head:
        raise LedgerDamaged(f"its rows are those after entry {applied}, but the log ends at {chain.head}")
    check_beside_entries(store, begin.sequence + 1 if begin.sequence else LOWEST, LAST)
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
    return Loaded(tail, bodies, Head(log.frontier, chain.head_hash, slot_number, log.mark), begin)


def read_bodies(store: Store) -> Bodies:
    """The batches of the open window, as `load` returns them."""
    return _read_slots(store)[1]


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


def _newest_checkpoint(store: Store) -> CheckpointRecord | None:
    rows = store.rows(
        f"SELECT {encoding.CHECKPOINT_COLUMNS} FROM ledger_checkpoint"  # noqa: S608
        " ORDER BY sequence DESC LIMIT 1"
    )
    return encoding.checkpoint_from_row(rows[0]) if rows else None


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
