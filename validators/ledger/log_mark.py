"""The mark: the entry after which a start reads the log, with the Merkle frontier up to that entry.

The newest stable checkpoint is later than the mark, so the log root that it signed proves the frontier.
Entries up to the mark are checked beside the work (`older_entries`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import msgspec

from dtvn.ledger import LedgerDamaged
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import CheckpointRecord, StateRecord
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log_tree import Frontier, append
from dtvn.protocol.consensus.messages import NO_PREDECESSOR, entry_hash

NAME = "log_mark"
"""Name of the stored value; it is on disk, so it is never changed."""
DISTANCE = 256
"""Least number of sequences between a stored mark and the checkpoint with which it is stored."""


class LogMark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An entry, and the frontier over all entries up to it."""

    sequence: int = 0
    entry_hash: bytes = NO_PREDECESSOR
    peaks: tuple[bytes, ...] = ()

    @property
    def frontier(self) -> Frontier:
        """The Merkle frontier over the entries up to this one."""
        return Frontier(self.sequence, self.peaks)

    @property
    def record(self) -> StateRecord:
        """The value that is stored."""
        return StateRecord(NAME, canonical.encode(self))

    @classmethod
    def of(cls, frontier: Frontier, digest: bytes) -> Self:
        """The mark at the last entry of the frontier, whose hash is `digest`."""
        return cls(frontier.size, digest, frontier.peaks)


def beginning(
    applied: int, checkpoint: CheckpointRecord | None, base: Base | None, states: Iterable[StateRecord]
) -> LogMark:
    """The last mark that `checkpoint` proves and up to which no entry needs a replay; sequence 0 if there is
    none. `applied`: sequence of the rows. Raises LedgerDamaged if the stored mark is malformed."""
    highest = min(applied, checkpoint.sequence) if checkpoint else 0
    marks = [LogMark()]
    if base is not None:
        digest = entry_hash(base.entry)
        marks.append(LogMark.of(append(base.before, digest), digest))
    marks += [_stored(state.value) for state in states if state.name == NAME]
    return max((mark for mark in marks if mark.sequence <= highest), key=lambda mark: mark.sequence)


def _stored(value: bytes) -> LogMark:
    try:
        mark = canonical.decode(LogMark, value)
    except canonical.CanonicalError as error:
        raise LedgerDamaged(f"its mark of the log cannot be read: {error}") from error
    if len(mark.peaks) != mark.sequence.bit_count():
        raise LedgerDamaged(f"its mark of the log has {len(mark.peaks)} peaks for {mark.sequence} entries")
    return mark
