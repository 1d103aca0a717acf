"""Converts records to rows and back; each row has a checksum."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, SlotRecord, StateRecord
from dtvn.protocol.consensus.messages import Entry

Row = tuple[Any, ...]

CHECKPOINT_COLUMNS = "sequence, epoch, state_root, log_root, timestamp, frames, checksum"

_entry_decoder = msgspec.msgpack.Decoder(Entry)
_frames_decoder = msgspec.msgpack.Decoder(tuple[bytes, ...])


def checksum(columns: Sequence[Any], content: bytes = b"") -> int:
    """CRC-32 over small columns and one large one. It detects damage, not forgery.

    Returns -1, which no row holds, for values of a wrong type: on SQLite one flipped bit turns bytes into
    text.
    """
    try:
        return zlib.crc32(content, zlib.crc32(canonical.encode(columns)))
    except (TypeError, OverflowError):
        return -1


def with_checksum(columns: Row) -> Row:
    """The columns of a row and their checksum, which is its last column."""
    return (*columns, checksum(columns))


def body_row(number: int, sequence: int, content: bytes) -> Row:
    """Row of a BatchBody."""
    return (number, sequence, content, checksum((number, sequence), content))


def entry_row(record: EntryRecord, body: int | None) -> Row:
    """Row of a ConsensusEntry."""
    entry = record.entry
    return with_checksum(
        (entry.sequence, entry.epoch, entry.timestamp, canonical.encode(entry), record.entry_hash, body)
    )


def commits_row(record: EntryRecord) -> Row:
    """Row of a CommitCertificate."""
    return with_checksum((record.entry.sequence, canonical.encode(record.commits)))


def slot_row(number: int, record: SlotRecord, body: int | None) -> Row:
    """Row of a ProtocolRecord."""
    return with_checksum(
        (
            number,
            record.sequence,
            record.epoch,
            record.view,
            record.phase,
            canonical.encode(record.frames),
            body,
        )
    )


def checkpoint_row(record: CheckpointRecord) -> Row:
    """Row of a Checkpoint."""
    return with_checksum(
        (
            record.sequence,
            record.epoch,
            record.state_root,
            record.log_root,
            record.timestamp,
            canonical.encode(record.frames),
        )
    )


def state_row(record: StateRecord) -> Row:
    """Row of a StateValue."""
    return with_checksum((record.name, record.value))


def decode_entry(data: bytes, sequence: int) -> Entry:
    """Decodes an entry; raises LedgerDamaged if it does not decode."""
    try:
        return _entry_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise LedgerDamaged(f"its bytes are not an entry: {error}", sequence=sequence) from error


def decode_frames(data: bytes, what: str) -> tuple[bytes, ...]:
    """Decodes a list of frames; raises LedgerDamaged if it does not decode."""
    try:
        return _frames_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise LedgerDamaged(f"{what}: its frames cannot be decoded: {error}") from error


def slot_from_row(row: Row, body: bytes) -> SlotRecord:
    """The record in a row of a ProtocolRecord; raises LedgerDamaged if the checksum differs."""
    _number, sequence, epoch, view, phase, frames, _body, _checksum = row
    what = f"the {phase} record of sequence {sequence} in view {view}"
    _require(row, what)
    return SlotRecord(
        epoch=epoch,
        view=view,
        sequence=sequence,
        phase=phase,
        frames=decode_frames(frames, what),
        body=body,
    )


def checkpoint_from_row(row: Row) -> CheckpointRecord:
    """The record in a row of CHECKPOINT_COLUMNS; raises LedgerDamaged if the checksum differs."""
    sequence, epoch, state_root, log_root, timestamp, frames, _checksum = row
    what = f"the checkpoint at sequence {sequence}"
    _require(row, what)
    return CheckpointRecord(
        epoch=epoch,
        sequence=sequence,
        state_root=state_root,
        log_root=log_root,
        timestamp=timestamp,
        frames=decode_frames(frames, what),
    )


def state_from_row(row: Row) -> StateRecord:
    """The record in a row of (name, value, checksum); raises LedgerDamaged if the checksum differs."""
    _require(row, f"the value {row[0]!r}")
    return StateRecord(name=row[0], value=row[1])


def _require(row: Row, what: str) -> None:
    if checksum(row[:-1]) != row[-1]:
        raise LedgerDamaged(f"{what} differs from its checksum")
