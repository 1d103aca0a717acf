"""A virtual disk: ports.Journal in memory, with the faults that real disks and power cuts have.

A write is one transaction: a turn's records, state rows, or a snapshot. There are two images of the
ledger: the disk itself is the one that its process reads, `synced` the one that a power cut leaves. Every
write goes into the first, and a sync brings `synced` up to it. A crash takes back all writes since the
newest sync, or the newest of them: any prefix may survive. A write that tore is lost whole, as it is in
SQLite's write-ahead log, which ends at the first frame whose checksum is wrong. What the contract allows
to forget is forgotten at once or kept, as chance wills, so that nobody relies on either.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from simulator.chance import Dice
from validators.consensus import messages as m
from validators.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Install,
    Prune,
    Record,
    SlotRecord,
    StateRecord,
)
from validators.consensus.log_tree import Frontier, append
from validators.consensus.needs import Base
from validators.ports import JournalError, JournalFull, Recovery

__all__ = ["Contradiction", "CrashPoint", "Image", "PowerCut", "VirtualDisk"]

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


class Image:
    """What a ledger holds at one moment."""

    def __init__(self, *, voting: bool = True) -> None:
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
        self.materialised: dict[tuple[Any, ...], ApplicationChange] = {}
        """State rows by table and key."""
        self.applied = 0
        """Sequence that the state rows show."""
        self.without_commits = 0
        """Entries up to this sequence have lost their COMMITs, which a stable checkpoint covers."""

    def become(self, other: Image) -> None:
        """Hold what `other` holds, which is no disk."""
        for name, value in vars(other).items():
            setattr(self, name, value.copy() if isinstance(value, (dict, list)) else value)

    @property
    def stable(self) -> int:
        """Sequence of the newest stable checkpoint, 0 for none."""
        return self.checkpoints[-1].sequence if self.checkpoints else 0

    def entry(self, sequence: int) -> EntryRecord | None:
        """The record of a sequence, None where it lies below a snapshot. Raises IndexError beyond the end."""
        return self.log[sequence - 1]

    def slot(self, epoch: int, view: int, sequence: int, phase: str) -> SlotRecord | None:
        """The record of this key, or None."""
        return self.slots.get((epoch, view, sequence, phase))

    @property
    def head(self) -> bytes:
        """Entry hash of the newest sequence."""
        if not self.log:
            return bytes(32)
        newest = self.log[-1]
        if newest is not None:
            return newest.entry_hash
        return bytes(32) if self.base is None else m.entry_hash(self.base.entry)

    def rows(self, table: str) -> list[Any]:
        """The state rows of a table."""
        return [change.row for change in self.materialised.values() if change.table == table]

    # --- what a write does to it -----------------------------------------------------------------

    def take(self, record: Record) -> None:
        """One record of a turn; pruning stands apart (`forget`), and nothing is restored from evidence."""
        if isinstance(record, SlotRecord):
            self.slots[_key(record)] = record
        elif isinstance(record, EntryRecord):
            if record.entry.sequence > len(self.log):
                self.log.append(record)
        elif isinstance(record, CheckpointRecord):
            if record.sequence > self.stable:
                self.checkpoints.append(record)
        elif isinstance(record, StateRecord):
            self.states[record.name] = record
            if record == VOTES_AGAIN:
                self.voting = True

    def forget(self, sequence: int, *, commits: bool) -> None:
        """Drop slots up to `sequence`, and the COMMITs of entries that a stable checkpoint covers."""
        for key in [k for k in self.slots if k[3] in PRUNED_PHASES and k[2] <= sequence]:
            del self.slots[key]
        if commits:
            self.without_commits = max(self.without_commits, min(sequence, self.stable))

    def change(self, changes: Sequence[ApplicationChange], sequence: int) -> None:
        """State rows as of `sequence`."""
        for change in changes:
            key = (change.table, *change.key)
            if change.row is None:
                self.materialised.pop(key, None)
            else:
                self.materialised[key] = change
        self.applied = sequence

    def replace(self, install: Install, rows: Sequence[ApplicationChange]) -> None:
        """State, checkpoint and head of the log by a snapshot."""
        sequence = install.checkpoint.sequence
        self.log += [None] * (sequence - len(self.log))
        self.base = Base(install.entry, install.peaks)
        self.materialised.clear()
        self.change(rows, sequence)
        self.checkpoints.append(install.checkpoint)
        self.forget(sequence, commits=False)


class VirtualDisk(Image):
    """The durable memory of one node, as its process reads it; survives `crash`, unlike the node."""

    def __init__(self, dice: Dice, *, voting: bool = True) -> None:
        super().__init__(voting=voting)
        self._dice = dice
        self.synced = Image(voting=voting)
        """What no power cut takes back."""
        self._unsynced: list[Callable[[Image], None]] = []
        """Writes since the newest sync, in order: what each does to an image."""
        self.older = False
        """It was put back in the place of a newer one, which its node had said more with."""
        self.full = False
        self.crash_at: CrashPoint | None = None
        self.incarnation = 0
        """Counts the processes that opened it; one with an older number is fenced (R10)."""
        self._forgetful = dice.hit(0.5)

    # --- ports.Journal ---------------------------------------------------------------------------

    def append(self, records: Sequence[Record], *, durable: bool = True, member: bool = False) -> None:
        """See ports.Journal. `member`: the core of a member writes."""
        self._meet_faults()
        self._check(records)
        steps = [self._step(record) for record in records]

        def write(image: Image) -> None:
            image.served_member |= member
            for step in steps:
                step(image)

        self._write(write)
        if durable:
            self._sync()

    def after_write(self) -> None:
        """Raise PowerCut when the power goes between the write and the first word."""
        if self.crash_at is CrashPoint.AFTER_PERSIST:
            raise PowerCut("after the write")

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal; durable with the next sync only."""
        if self.full:
            raise JournalFull("the virtual disk is full")
        if sequence > len(self.log):
            raise Contradiction(f"rows of {sequence}, but the log ends at {len(self.log)}")
        kept = tuple(changes)
        self._write(lambda image: image.change(kept, sequence))

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        self._meet_faults()
        sequence = install.checkpoint.sequence
        if sequence <= len(self.log):
            raise Contradiction(f"a snapshot of {sequence}, but the log ends at {len(self.log)}")
        rows = tuple(install.rows())
        self._write(lambda image: image.replace(install, rows))
        self._sync()

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
            applied_sequence=self.applied,
            rows=tuple(self.materialised.values()),
            entries=tuple(self._stripped(r) for r in self.log[max(0, self.applied - spare) :] if r),
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

    def crash(self, *, thorough: bool = False) -> None:
        """The power is gone: what was not synced is lost, from some write on; all of it when `thorough`."""
        self.crash_at = None
        survive = self._dice.below(len(self._unsynced) + 1) * (not thorough)
        if not self._unsynced:
            return
        del self._unsynced[survive:]
        self._sync()
        self.become(self.synced)

    def clone(self) -> VirtualDisk:
        """A backup as it is now, without what is not synced."""
        other = VirtualDisk(self._dice.fork("backup"))
        other.become(self.synced)
        other.synced.become(self.synced)
        return other

    # --- writing ---------------------------------------------------------------------------------

    def _write(self, write: Callable[[Image], None]) -> None:
        write(self)
        self._unsynced.append(write)

    def _sync(self) -> None:
        for write in self._unsynced:
            write(self.synced)
        self._unsynced.clear()

    def _step(self, record: Record) -> Callable[[Image], None]:
        """What a record does to an image. What pruning forgets of what it may is drawn here, once."""
        if not isinstance(record, Prune):
            return lambda image: image.take(record)
        if not self._forgetful and self._dice.hit(0.5):
            return lambda image: None
        commits = self._forgetful or self._dice.hit(0.5)
        return lambda image: image.forget(record.sequence, commits=commits)

    def _meet_faults(self) -> None:
        if self.full:
            raise JournalFull("the virtual disk is full")
        if self.crash_at is CrashPoint.BEFORE_PERSIST:
            raise PowerCut("before the write")

    def _check(self, records: Sequence[Record]) -> None:
        """Refuse what the real ledger refuses, before anything is written: a turn is all or nothing."""
        fresh: dict[SlotKey, SlotRecord] = {}
        ends_at = len(self.log)
        previous = self.head
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

    def _stripped(self, record: EntryRecord) -> EntryRecord:
        """Without its COMMITs where the ledger may have dropped them."""
        if record.entry.sequence > self.without_commits or not record.commits:
            return record
        return EntryRecord(record.entry, record.entry_hash, record.body, ())


def _key(record: SlotRecord) -> SlotKey:
    return (record.epoch, record.view, record.sequence, record.phase)
