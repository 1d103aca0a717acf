"""The learner's side of the feed, which announces the sequence up to which rows are written.

Runs inside the learner's main loop, so it never blocks: a PUB socket drops messages for a subscriber
that does not read, and a later announcement includes all that an earlier one said.
"""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, EntryRecord, Install, Record
from dtvn.protocol.host.ports import Journal, Recovery

__all__ = ["SEQUENCE_BYTES", "AnnouncingJournal", "FeedPublisher"]

SEQUENCE_BYTES = 8
"""An announcement is the applied sequence, big-endian, and nothing else."""

SEND_QUEUE_MAX = 64
"""Announcements kept for a subscriber that is slow; the newest one is enough for it anyway."""


class FeedPublisher:
    """Binds the feed's socket; there is one per network, in the process that holds the learner's lock."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_MAX)
        self._socket.bind(address)

    def announce(self, sequence: int) -> None:
        """Announce that every row up to `sequence` can be read now."""
        self._socket.send(sequence.to_bytes(SEQUENCE_BYTES, "big"), zmq.NOBLOCK)

    def close(self) -> None:
        """Release the socket; may be called twice."""
        self._context.destroy(linger=0)


class AnnouncingJournal:
    """The learner's Journal: announces after each write of rows, so what is announced is readable (R17).

    Compose it around the ledger: `AnnouncingJournal(ledger, FeedPublisher(feed_address(data)))`.
    """

    def __init__(self, journal: Journal, publisher: FeedPublisher) -> None:
        self._journal = journal
        self._publisher = publisher

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        self._journal.append(records, durable=durable)

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        self._journal.materialise(changes, sequence, timestamp)
        self._publisher.announce(sequence)

    def install(self, install: Install) -> None:
        self._journal.install(install)

    def load(self) -> Recovery:
        recovery = self._journal.load()
        self._publisher.announce(recovery.applied_sequence)
        return recovery

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        return self._journal.entries(first, last, bytes_max)

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        return self._journal.checkpoint_from(sequence)
