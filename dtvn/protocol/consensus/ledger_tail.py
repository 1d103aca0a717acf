"""The contents of a ledger from which a replica restores itself."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.messages import Entry


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Beginning of a log whose lower part came as a snapshot: it holds the entries above `entry`."""

    entry: Entry
    peaks: tuple[bytes, ...]
    """Merkle frontier over all entries below `entry`."""

    @property
    def before(self) -> Frontier:
        """The frontier of all entries below `entry`."""
        return Frontier(self.entry.sequence - 1, self.peaks)


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Consecutive sequences below a snapshot whose entries are missing: `first` to `last`, both included. If
    `first` is above `last`, none was found yet: look again below `first`."""

    first: int
    last: int
    due: bytes = b""
    """The hash that the entry `last` must have: the entry behind it, or the snapshot, names it."""


class LedgerTail(msgspec.Struct, frozen=True):
    """All data from which a replica restores itself."""

    frontier: Frontier
    """Merkle frontier over all entry hashes of the log."""
    applied_sequence: int
    """The materialised rows are the state after this sequence."""
    rows: Iterable[ApplicationChange]
    entries: tuple[EntryRecord, ...]
    """Ascending: at least those above `applied_sequence`, and the newest few for peers that lag."""
    slots: tuple[SlotRecord, ...]
    checkpoint: CheckpointRecord | None
    """The newest stable checkpoint, or None."""
    states: tuple[StateRecord, ...]
    base: Base | None = None
    """Entry of the newest installed snapshot, below which entries may be missing; None: the log is whole."""
    incarnation: int = 0
    """Number of processes that opened the ledger so far."""
    continued: bool = False
    """Whether the process that reads the ledger also wrote it, so that it cannot be an older copy (R11)."""
