"""The layer between a node's host and its ledger: the voted stamp, and a meter.

The stamp beside the key is durable before the first vote is, so a ledger that is deleted afterwards
is recognised at the next start (R11).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from dtvn.node.cpu_yield import CpuYield
from dtvn.node.keys import VotedStamp
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Install,
    Record,
    SlotRecord,
)
from dtvn.protocol.host.ports import Gap, Journal, JournalError, LedgerTail
from dtvn.protocol.wire import decode_envelope

Result = TypeVar("Result")

ROWS = 500
"""Rows between two heartbeats."""
OWN_PHASES = frozenset({"prepare", "commit", "checkpoint", "view_change"})
"""Phases whose records hold statements of the ledger's own member."""


def _unheard(_sequence: int = 0) -> None:
    """Does nothing: no heartbeat or announcement is wanted."""


class JournalFigures(Protocol):
    """The counters that a journal feeds (metrics.Figures)."""

    def stored(self, operation: str, began: int) -> None:
        """Time a call of the ledger that began at `began` (monotonic nanoseconds) and has just ended."""

    def recorded(self, records: Sequence[Record], began: int) -> None:
        """Time the phases that end with these records, made durable by a write that began at `began`."""


class JournalMeter(msgspec.Struct):
    """Writes since this process started; times in nanoseconds."""

    turns: int = 0
    turn_time: int = 0
    turn_time_max: int = 0
    """Of the slowest turn."""


class NodeJournal:
    """A `ports.Journal` around another one. `stamp` None: this process never votes (a learner). `cpu_yield`:
    rests while a state fetched from others is written and read again. `announce` receives the sequence up to
    which rows are written, once they can be read (R17)."""

    def __init__(
        self,
        journal: Journal,
        stamp: VotedStamp | None,
        figures: JournalFigures | None = None,
        cpu_yield: CpuYield | None = None,
        announce: Callable[[int], None] = _unheard,
    ) -> None:
        self._journal = journal
        self._cpu_yield = cpu_yield
        self._installed: Install | None = None
        """The state that was installed and is not loaded yet."""
        self._stamp = stamp
        self._figures = figures
        self._announce = announce
        self.meter = JournalMeter()
        self.alive: Callable[[], None] = _unheard
        """Called between the rows of a state that is written or read: that may take longer than the
        supervisor waits for a heartbeat."""
        self.owner: tuple[int, int] | None = None
        """(Epoch, index) of the member whose ledger this must be."""

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """See ports.Journal; the stamp is written first."""
        stamp = self._stamp
        if stamp is not None and not stamp.present and any(isinstance(r, SlotRecord) for r in records):
            try:
                stamp.write()
            except OSError as error:
                raise JournalError(f"The stamp {stamp.path} cannot be written: {error.strerror}.") from error
        before = time.monotonic_ns()
        self._journal.append(records, durable=durable)
        spent = time.monotonic_ns() - before
        self.meter.turns += 1
        self.meter.turn_time += spent
        self.meter.turn_time_max = max(self.meter.turn_time_max, spent)
        if self._figures is not None:
            self._figures.stored("append", before)
            self._figures.recorded(records, before)

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal."""
        self._timed("write_rows", lambda: self._journal.materialise(changes, sequence, timestamp))
        self._announce(sequence)

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        rows = install.rows
        written = msgspec.structs.replace(install, rows=lambda: self._between(rows(), yielding=True))
        self._timed("install", lambda: self._journal.install(written))
        self._installed = install

    def load(self) -> LedgerTail:
        """See ports.Journal; raise JournalError for a ledger with another member's votes, so none is sent.

        A state that this process has just installed is not read back: the groups that were proved are the
        rows. The core compares the root of what is loaded with the checkpoint's all the same.
        """
        installed, self._installed = self._installed, None
        tail = self._timed("load", self._journal.load)
        self._announce(tail.applied_sequence)
        if self.owner is not None:
            _check_owner(tail.slots, *self.owner)
        rows = tail.rows if installed is None else (installed.state or installed.rows)()
        return msgspec.structs.replace(tail, rows=self._between(rows, yielding=installed is not None))

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """See ports.Journal."""
        return self._timed("read", lambda: self._journal.entries(first, last, bytes_max))

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """See ports.Journal."""
        return self._timed("read", lambda: self._journal.checkpoint_from(sequence))

    def gap(self, below: int) -> Gap:
        """See ports.Journal."""
        return self._timed("read", lambda: self._journal.gap(below))

    def fill(self, records: Sequence[EntryRecord]) -> None:
        """See ports.Journal."""
        self._timed("append", lambda: self._journal.fill(records))

    def _between(self, rows: Iterable[ApplicationChange], *, yielding: bool) -> Iterator[ApplicationChange]:
        """The same rows, with heartbeats between them, and rests if `yielding`."""
        if yielding and self._cpu_yield is not None:
            rows = self._cpu_yield.between(rows)
        for number, row in enumerate(rows):
            if number % ROWS == 0:
                self.alive()
            yield row

    def _timed(self, operation: str, call: Callable[[], Result]) -> Result:
        """The result of a call of the ledger, whose time is counted."""
        began = time.monotonic_ns()
        result = call()
        if self._figures is not None:
            self._figures.stored(operation, began)
        return result


def _check_owner(slots: Sequence[SlotRecord], epoch: int, index: int) -> None:
    for record in slots:
        if record.epoch == epoch and record.phase in OWN_PHASES:
            _envelope, message = decode_envelope(record.frames[0])
            if message.sender != index:
                raise JournalError(
                    f"The ledger is another node's: it holds votes of member {message.sender}, and this is "
                    f"member {index}. Put the own one back, or move this one away: the node then follows "
                    "without a vote."
                )
