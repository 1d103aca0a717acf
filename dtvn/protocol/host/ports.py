"""Ports: the interfaces that a host needs from its environment, as narrow protocols with no defaults.

The real implementations are in `node/` and `ledger/`, the simulated ones in `simulator/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dtvn.protocol.consensus import Signer
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    Effects,
    EntryRecord,
    Executed,
    Install,
    Note,
    Now,
    Reason,
    Record,
    ReplyTo,
    Send,
)
from dtvn.protocol.consensus.ledger_tail import Gap, LedgerTail
from dtvn.protocol.consensus.verified import Header, Inbound, Peer, Verified

__all__ = [
    "Clock",
    "Core",
    "Gap",
    "Journal",
    "JournalError",
    "JournalFenced",
    "JournalFull",
    "Judge",
    "LedgerTail",
    "Overlay",
    "Signer",
    "Transport",
    "Watcher",
]


class Core(Protocol):
    """The interface of all protocol cores (Replica, Learner)."""

    @property
    def config(self) -> Config: ...
    @property
    def receiving(self) -> bool: ...
    @property
    def is_behind(self) -> bool: ...
    @property
    def claim(self) -> tuple[int, int]: ...
    @property
    def leads(self) -> bool: ...
    @property
    def settled(self) -> bool: ...
    def resign(self, now: Now) -> Effects: ...
    def machine_clocks(self, now: Now) -> tuple[list[int], int]: ...
    def restore(self, tail: LedgerTail, now: Now) -> Effects: ...
    def wants(self, header: Header) -> Reason | None: ...
    def on_refused(self, header: Header, reason: Reason) -> Effects: ...
    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None: ...
    def awaits(self, digest: bytes) -> bool: ...
    def receive(self, verified: Verified[Any], now: Now) -> Effects: ...
    def tick(self, now: Now) -> Effects: ...
    def deadline(self) -> int | None: ...
    def invariants(self) -> None: ...


class JournalError(Exception):
    """A write did not become durable; retrying cannot repair that, so the process must end (R8)."""


class JournalFull(JournalError):
    """The disk is full: the replica stops, and is rebuilt when the ledger can write again (R8)."""


class JournalFenced(JournalError):
    """Another process now owns this ledger (R10): this process must end without sending."""


class Clock(Protocol):
    """The source of time, which the core gets as an argument (R2)."""

    def now(self) -> Now:
        """Both clocks in nanoseconds."""


class Journal(Protocol):
    """A node's durable storage."""

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """Write all records in one transaction; raise JournalError if that fails.

        `durable`: on return these and all earlier records are synced to disk. Otherwise a power failure may
        undo them, together with all later records.
        """

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """Write state rows as of `sequence` in one transaction of their own (R9)."""

    def install(self, install: Install) -> None:
        """Replace rows, checkpoint and head of the log by a snapshot, in one synced transaction; `load` then
        returns it. Raises JournalError."""

    def load(self) -> LedgerTail:
        """Read back what a replica is restored from, and check the hash chain; raise JournalError if it is
        damaged."""

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """Entries first..last, ascending, up to `bytes_max` (at least one if there is one) and up to the
        first missing entry; empty if `first` is missing (below an installed snapshot)."""

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """The lowest stable checkpoint at or above `sequence`, or None."""

    def gap(self, below: int) -> Gap:
        """The highest missing entries below `below` and not above the snapshot that was installed, looking at
        a bounded number of entries. All from `below` up to the snapshot are present."""

    def fill(self, records: Sequence[EntryRecord]) -> None:
        """Write missing entries, ascending without a gap, whose hashes the chain has proved, in one
        transaction. It need not be durable. Raises JournalError."""


class Transport(Protocol):
    """Authenticated links to members and principals; they may lose frames, but never alter them."""

    def receive(self, limit: int) -> Sequence[Inbound]:
        """At most `limit` waiting frames, without blocking."""

    def put_back(self, items: Sequence[Inbound]) -> None:
        """Return the last of the received frames unread, to be received again."""

    def charge(self, peer: Peer, checks: int) -> None:
        """Charge a peer for signature checks of a frame beyond the first, so that other peers go first."""

    def mute_bulk(self, peer: Peer) -> None:
        """Drop the requests of a peer that went far beyond its limits, for a moment and undecoded."""

    def send(self, send: Send) -> None:
        """Queue a frame for one member, all others, or a named peer; dropped if the bounded queue is full."""

    def reply(self, reply: ReplyTo) -> None:
        """Queue a frame for a client process; dropped if it is not connected."""

    def greet(self, hello: bytes) -> None:
        """Send this Hello on every link to a member, now and first on each that is made from now on."""

    def demote(self, peer: Peer) -> None:
        """Send what is for this member over another of its connections than this one, if there is one."""

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Queue a frame for exactly the connection that a received frame came from."""


class Watcher(Protocol):
    """Receiver of notes (logs, metrics, live feed); it never influences the host."""

    def notice(self, note: Executed | Note) -> None:
        """Take note of one event."""


class Overlay(Protocol):
    """The overlay of members and followers (dtvn.overlay), of which consensus knows nothing: no promise rests
    on what it holds."""

    @property
    def checks(self) -> int:
        """Signature checks that it made so far; the host charges those of a message to its sender."""

    def receive(self, peer: Peer, body: bytes, now: Now) -> Reason | None:
        """Take a message; returns why if it is refused."""

    def referred(self, peer: Peer, records: Sequence[bytes], now: Now) -> None:
        """A peer that had no place for this follower named its children, by encoded address records, which
        prove themselves or nothing."""

    def turn(self, now: Now) -> Sequence[tuple[Peer, bytes]]:
        """What to send now: (connection that a message came from, or member; body of a Gossip) each."""

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next turn that is needed even if nothing arrives, or None."""


class Judge(Protocol):
    """Answers questions of principals beside consensus: a little in each turn, storing nothing."""

    @property
    def waiting(self) -> bool:
        """Whether a question waits."""

    def put(self, peer: Peer, body: bytes, now: int) -> Reason | None:
        """Queue questions, not decoded yet; returns why if they are dropped. `now`: monotonic nanoseconds."""

    def turn(self, clock: Callable[[], int]) -> tuple[Sequence[tuple[Peer, bytes]], Sequence[Peer]]:
        """Answer some questions, in bounded time by `clock` (monotonic nanoseconds): (connection, body of
        the answer) each, and the senders of malformed questions."""
