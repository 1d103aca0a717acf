"""The doors to the world: what a host needs, as narrow protocols with no defaults.

The real ones live in `node/` and `ledger/`, their twins in `simulator/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from validators.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Executed,
    Install,
    Note,
    Now,
    Record,
    ReplyTo,
    Send,
)
from validators.consensus.needs import Recovery, Signer
from validators.consensus.verified import Inbound, Peer

__all__ = [
    "Chance",
    "Clock",
    "Journal",
    "JournalError",
    "JournalFenced",
    "JournalFull",
    "Recovery",
    "Signer",
    "Transport",
    "Watcher",
]


class JournalError(Exception):
    """A write that did not become durable; retrying cannot heal it: the process must end (R8)."""


class JournalFull(JournalError):
    """The disk is full: the replica stops and is rebuilt once the ledger writes again (R8)."""


class JournalFenced(JournalError):
    """Another process owns this ledger now (R10): end without sending."""


class Clock(Protocol):
    """Time, handed to the core as an argument (R2)."""

    def now(self) -> Now:
        """Both clocks in nanoseconds."""


class Journal(Protocol):
    """A node's durable memory."""

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """Write all records in one transaction; raise JournalError if that fails.

        `durable`: on return they, and all that was written before them, are synced to disk. Else a
        power cut may take them back, together with everything written after them.
        """

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """Write state rows as of `sequence` in one transaction of their own (R9)."""

    def install(self, install: Install) -> None:
        """Replace rows, checkpoint and head of the log by a snapshot: all of it in one transaction,
        synced, or nothing. `load` then gives it back. Raises JournalError."""

    def load(self) -> Recovery:
        """Read everything back, the hash chain checked; raise JournalError when damaged."""

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """Entries first..last, ascending, cut after `bytes_max` (at least one if there is one) and where one
        is missing; none when `first` is (below a snapshot that was installed)."""

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """The lowest stable checkpoint at or above `sequence`, or None."""


class Transport(Protocol):
    """Authenticated links to members and principals; may lose, never alters."""

    def receive(self, limit: int) -> Sequence[Inbound]:
        """At most `limit` waiting frames, without blocking."""

    def put_back(self, items: Sequence[Inbound]) -> None:
        """The last ones of what was received, not looked at yet: they wait as if they had not been given."""

    def charge(self, peer: Peer, checks: int) -> None:
        """A frame of this peer cost so many signature checks beyond its one: others may go first now."""

    def send(self, send: Send) -> None:
        """Queue for one member, all others, or a named peer; drops when its bounded queue is full."""

    def reply(self, reply: ReplyTo) -> None:
        """Queue for a client process; dropped when it is not connected."""

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Queue for exactly the connection a frame came from."""


class Chance(Protocol):
    """Randomness, for spreading load and retries only."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""


class Watcher(Protocol):
    """Logs, metrics and live feed; whatever it does never feeds back."""

    def notice(self, note: Executed | Note) -> None:
        """One thing that happened."""
