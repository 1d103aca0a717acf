"""A virtual disk: ports.Journal in memory, with the faults that real disks and power cuts have.

What a durable `append` returned from is durable, with all that was written before it. State rows
(`materialise`) and entries appended without a sync may be lost by a crash before the next one: the
newest first, each as a whole, as in the real ledger. What the contract allows to forget is forgotten at
once or kept, as chance wills, so that nobody relies on either.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from simulator.chance import Dice
from validators.consensus import messages as m
from validators.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    EvidenceRecord,
    Install,
    Prune,
    Record,
    SlotRecord,
    StateRecord,
)
from validators.consensus.log_tree import Frontier, append
from validators.consensus.needs import Base
from validators.ports import JournalError, JournalFull, Recovery

__all__ = ["Contradiction", "CrashPoint", "PowerCut", "VirtualDisk"]

SlotKey = tuple[int, int, int, str]

PRUNED_PHASES = frozenset({"pre_prepare", "prepare", "commit", "prepared", "checkpoint"})
"""Phases that belong to one sequence; those of views are kept."""

SPARE_ENTRIES_MAX = 256
"""Newest entries that a load hands over besides those to replay."""


VOTES_AGAIN = StateRecord("voting", b"1")
"""With it a core has its vote back (R11)."""


class CrashPoint(enum.Enum):
    """Where in a turn the power goes (PITFALLS row 11)."""

    BEFORE_PERSIST = "before persist"
    AFTER_PERSIST = "after persist, nothing sent"
    WHILE_SENDING = "after some of the sends"


class PowerCut(JournalError):
    """The crash that was asked for."""


class Contradiction(Exception):
    """A record that the real ledger would refuse: a second vote, a gap in the log (R7)."""


class VirtualDisk:
    """The durable memory of one node; survives `crash`, unlike the node."""

    def __init__(self, dice: Dice, *, voting: bool = True) -> None:
        self._dice = dice
        self.voting = voting
        """False: it replaces a ledger that was lost, so its node follows without a vote (R11)."""
        self.served_member = False
        """Whether the core of a member ever wrote here. A learner's never says whether its node may vote."""
        self.slots: dict[SlotKey, SlotRecord] = {}
        self.log: list[EntryRecord | None] = []
        """By sequence - 1; None below a snapshot that was installed."""
        self.base: Base | None = None
        """Of the newest snapshot installed."""
        self.checkpoints: list[CheckpointRecord] = []
        self.states: dict[str, StateRecord] = {}
        self.full = False
        self.crash_at: CrashPoint | None = None
        self.incarnation = 0
        """Counts the processes that opened it; one with an older number is fenced (R10)."""
        self._rows: dict[tuple[Any, ...], ApplicationChange] = {}
        self._applied = 0
        self._unsynced: list[tuple[ApplicationChange, ...] | None] = []
        """Writes since the last sync, in order: rows, or None for one more entry at the end of `log`."""
        self._rows_at: list[int] = []
        """Sequences of the rows among them."""
        self._without_commits = 0
        self._forgetful = dice.hit(0.5)

    # --- ports.Journal ---------------------------------------------------------------------------

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        """See ports.Journal."""
        if self.full:
            raise JournalFull("the virtual disk is full")
        if self.crash_at is CrashPoint.BEFORE_PERSIST:
            raise PowerCut("before the write")
        self._check(records)
        before = len(self.log)
        for record in records:
            self._write(record)
        if durable:
            self._sync()
        else:
            self._unsynced += [None] * (len(self.log) - before)

    def after_write(self) -> None:
        """Raise PowerCut when the power goes between the write and the first word."""
        if self.crash_at is CrashPoint.AFTER_PERSIST:
            raise PowerCut("after the write")

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal; durable with the next `append` only."""
        if self.full:
            raise JournalFull("the virtual disk is full")
        if sequence > len(self.log):
            raise Contradiction(f"rows of {sequence}, but the log ends at {len(self.log)}")
        self._unsynced.append(tuple(changes))
        self._rows_at.append(sequence)

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        if self.full:
            raise JournalFull("the virtual disk is full")
        if self.crash_at is CrashPoint.BEFORE_PERSIST:
            raise PowerCut("before the write")
        self._sync()
        sequence = install.checkpoint.sequence
        if sequence <= len(self.log):
            raise Contradiction(f"a snapshot of {sequence}, but the log ends at {len(self.log)}")
        self.log += [None] * (sequence - len(self.log))
        self.base = Base(install.entry, install.peaks)
        self._rows = {(row.table, *row.key): row for row in install.rows()}
        self._applied = sequence
        self.checkpoints.append(install.checkpoint)
        for key in [k for k in self.slots if k[3] in PRUNED_PHASES and k[2] <= sequence]:
            del self.slots[key]

    def load(self) -> Recovery:
        """See ports.Journal."""
        self._sync()
        frontier = Frontier()
        previous: bytes | None = bytes(32)
        for number, record in enumerate(self.log, 1):
            if record is None:
                previous = None  # what follows is a chain of its own, or goes on from the snapshot
                if self.base is not None and number == self.base.entry.sequence:
                    previous = m.entry_hash(self.base.entry)
                    frontier = append(self.base.before, previous)
                continue
            if record.entry.sequence != number or previous not in (None, record.entry.previous):
                raise JournalError(f"entry {number} does not continue the log")
            previous = record.entry_hash
            frontier = append(frontier, record.entry_hash)
        spare = 1 + self._dice.below(SPARE_ENTRIES_MAX)
        return Recovery(
            frontier=frontier,
            applied_sequence=self._applied,
            rows=tuple(self._rows.values()),
            entries=tuple(self._stripped(r) for r in self.log[max(0, self._applied - spare) :] if r),
            slots=tuple(self.slots.values()),
            checkpoint=self.checkpoints[-1] if self.checkpoints else None,
            states=tuple(self.states.values()),
            base=self.base,
        )

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """See ports.Journal."""
        found: list[EntryRecord] = []
        for record in self.log[first - 1 : last]:
            if record is None:
                break
            bytes_max -= len(record.body)
            if found and bytes_max < 0:
                break
            found.append(self._stripped(record))
        return found

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        """See ports.Journal."""
        return next((c for c in self.checkpoints if c.sequence >= sequence), None)

    # --- the world's side ------------------------------------------------------------------------

    @property
    def rows_end(self) -> int:
        """Sequence that the state rows show to whoever reads them now."""
        return self._rows_at[-1] if self._rows_at else self._applied

    def rows(self, table: str) -> list[Any]:
        """The rows of a table as they are read now, synced or not."""
        found = {key: change.row for key, change in self._rows.items() if change.table == table}
        for write in self._unsynced:
            found.update({(table, *c.key): c.row for c in write or () if c.table == table})
        return [row for row in found.values() if row is not None]

    @property
    def stable(self) -> int:
        """Sequence of the newest stable checkpoint, 0 for none."""
        return self.checkpoints[-1].sequence if self.checkpoints else 0

    def entry(self, sequence: int) -> EntryRecord | None:
        """The record of a sequence, None where it lies below a snapshot. Raises IndexError beyond the end."""
        return self.log[sequence - 1]

    def _head(self) -> bytes:
        """Entry hash of the newest sequence."""
        if not self.log:
            return bytes(32)
        newest = self.log[-1]
        if newest is not None:
            return newest.entry_hash
        return bytes(32) if self.base is None else m.entry_hash(self.base.entry)

    @property
    def synced(self) -> int:
        """Sequence up to which no power cut takes entries back."""
        return len(self.log) - self._unsynced.count(None)

    def crash(self) -> None:
        """The power is gone: what was not synced is lost, all of it or from some point on."""
        self.crash_at = None
        for write in reversed(self._unsynced[self._dice.below(len(self._unsynced) + 1) :]):
            self._unsynced.pop()
            if write is None:
                self.log.pop()
            else:
                self._rows_at.pop()

    def clone(self) -> VirtualDisk:
        """A backup as it is now, without what is not synced."""
        other = VirtualDisk(self._dice.fork("backup"), voting=self.voting)
        other.slots, other.log = dict(self.slots), self.log[: self.synced]
        other.base, other.served_member = self.base, self.served_member
        other.checkpoints, other.states = list(self.checkpoints), dict(self.states)
        other._rows, other._applied = dict(self._rows), self._applied
        other._without_commits = self._without_commits
        return other

    def slot(self, epoch: int, view: int, sequence: int, phase: str) -> SlotRecord | None:
        """The durable record of this key."""
        return self.slots.get((epoch, view, sequence, phase))

    # --- writing ---------------------------------------------------------------------------------

    def _check(self, records: Sequence[Record]) -> None:
        """Refuse what the real ledger refuses, before anything is written: a turn is all or nothing."""
        fresh: dict[SlotKey, SlotRecord] = {}
        ends_at = len(self.log)
        previous = self._head()
        for record in records:
            if isinstance(record, SlotRecord):
                key = _key(record)
                said = fresh.get(key) or self.slots.get(key)
                if said is not None and said != record:
                    raise Contradiction(f"a second record for {key}")
                fresh[key] = record
            elif isinstance(record, EntryRecord):
                sequence = record.entry.sequence
                if sequence <= ends_at:
                    known = self.entry(sequence) if sequence <= len(self.log) else None
                    if known is not None and known.entry_hash != record.entry_hash:
                        raise Contradiction(f"a second entry for {sequence}")
                    continue
                if sequence != ends_at + 1 or record.entry.previous != previous:
                    raise Contradiction(f"entry {sequence} does not continue the log at {ends_at}")
                if m.entry_hash(record.entry) != record.entry_hash:
                    raise Contradiction(f"entry {sequence} has another hash")
                ends_at, previous = sequence, record.entry_hash

    def _write(self, record: Record) -> None:
        if isinstance(record, SlotRecord):
            self.slots[_key(record)] = record
        elif isinstance(record, EntryRecord):
            if record.entry.sequence > len(self.log):
                self.log.append(record)
        elif isinstance(record, CheckpointRecord):
            if record.sequence > self.stable:
                self.checkpoints.append(record)
        elif isinstance(record, EvidenceRecord):
            pass  # it binds nobody, and nothing is restored from it
        elif isinstance(record, StateRecord):
            self.states[record.name] = record
            if record == VOTES_AGAIN:
                self.voting = True
        else:
            self._prune(record)

    def _prune(self, record: Prune) -> None:
        if not self._forgetful and self._dice.hit(0.5):
            return
        for key in [k for k in self.slots if k[3] in PRUNED_PHASES and k[2] <= record.sequence]:
            del self.slots[key]
        if self._forgetful or self._dice.hit(0.5):
            self._without_commits = max(self._without_commits, min(record.sequence, self.stable))

    def _stripped(self, record: EntryRecord) -> EntryRecord:
        """Without its COMMITs where the ledger may have dropped them."""
        if record.entry.sequence > self._without_commits or not record.commits:
            return record
        return EntryRecord(record.entry, record.entry_hash, record.body, ())

    def _sync(self) -> None:
        for write in self._unsynced:
            for change in write or ():
                key = (change.table, *change.key)
                if change.row is None:
                    self._rows.pop(key, None)
                else:
                    self._rows[key] = change
        if self._rows_at:
            self._applied = self._rows_at[-1]
        self._unsynced.clear()
        self._rows_at.clear()


def _key(record: SlotRecord) -> SlotKey:
    return (record.epoch, record.view, record.sequence, record.phase)
