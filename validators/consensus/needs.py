"""What the core itself needs from its host: a signer, and what to restore from (also in ports)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from validators.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    SlotRecord,
    StateRecord,
)
from validators.consensus.log_tree import Frontier
from validators.consensus.messages import Entry
from validators.consensus.verified import Verified

__all__ = ["Base", "Recovery", "Signer"]


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a log begins whose lower part came as a snapshot: its first entries are those above `entry`."""

    entry: Entry
    peaks: tuple[bytes, ...]
    """Merkle frontier over all entries below `entry`."""

    @property
    def before(self) -> Frontier:
        """That frontier."""
        return Frontier(self.entry.sequence - 1, self.peaks)


class Recovery(msgspec.Struct, frozen=True):
    """All that a replica restores itself from."""

    frontier: Frontier
    """Merkle frontier over all entry hashes of the log."""
    applied_sequence: int
    """The materialised rows are those after this sequence."""
    rows: Iterable[ApplicationChange]
    entries: tuple[EntryRecord, ...]
    """Ascending: at least those above `applied_sequence`, and the newest few for peers that lag."""
    slots: tuple[SlotRecord, ...]
    checkpoint: CheckpointRecord | None
    """The newest stable one."""
    states: tuple[StateRecord, ...]
    base: Base | None = None
    """The entry of the newest snapshot installed; None: the log is whole. Entries below it may be missing."""
    continued: bool = False
    """The process that reads it has written it: no older copy can stand in its place (R11)."""


class Signer(Protocol):
    """Seals messages into frames; deterministic (R4)."""

    def sign(self, message: Any, attachment: bytes = b"") -> bytes:
        """Encoded envelope of a statement (or request) signed with the own key."""

    def link(self, message: Any) -> bytes:
        """Encoded envelope of an unsigned link message."""

    def attach(self, frame: bytes, attachment: bytes) -> bytes:
        """The same signed frame with another attachment (the batch body)."""

    def open(self, frame: bytes, body: bytes = b"") -> Verified[Any]:
        """Decode a frame out of the own ledger (signature not checked again); `body`: its batch."""
