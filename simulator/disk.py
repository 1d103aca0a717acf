"""A virtual disk: ports.Journal in memory, with the faults of real disks and power cuts.

A write is one transaction: a turn's records, state rows, or a snapshot. There are two images of the ledger:
the disk itself is the one that its process reads, `synced` the one that a power cut leaves. Every write goes
into the first, and a sync brings `synced` up to it. A crash takes back all writes since the newest sync, or
only the newest of them: any prefix may survive. A torn write is lost whole, as it is in SQLite's write-ahead
log, which ends at the first frame whose checksum is wrong. What the contract allows to forget is forgotten at
once or kept, at random, so that no code relies on either.

A test may put another ledger beside a disk (`Mirror`) to compare the two.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Install,
    Prune,
    Record,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.ledger_tail import Base
from dtvn.protocol.consensus.log_tree import Frontier, append
from dtvn.protocol.host.ports import Gap, JournalError, JournalFull, LedgerTail
from simulator.dice import Dice
from simulator.disk_damage import Damage

SlotKey = tuple[int, int, int, str]

PRUNED_PHASES = frozenset({"pre_prepare", "prepare", "commit", "prepared", "checkpoint", "append"})
"""Phases of records that belong to one sequence; those of views are kept."""

SPARE_ENTRIES_MAX = 256
"""Newest entries that a load returns besides those to replay."""


VOTES_AGAIN = StateRecord("voting", b"1")
"""The record with which a core has its vote back (R11)."""


class CrashPoint(enum.Enum):
    """Moments of a turn at which the power may fail (P11)."""

    BEFORE_PERSIST = "before persist"
    AFTER_PERSIST = "after persist, nothing sent"
    WHILE_SENDING = "after some of the sends"


class PowerCut(JournalError):
    """The crash that was armed."""


class Contradiction(Exception):
    """A record that the real ledger would refuse: a second vote, a gap in the log (R7)."""


class Image:
    """The contents of a ledger at one moment."""

    def __init__(self, *, voting: bool = True) -> None:
        self.voting = voting
        """False: this ledger replaces one that was lost, so its node follows without a vote (R11)."""
        self.served_member = False
        """Whether a member's core ever wrote here. A learner's core never records whether its node may
        vote."""
        self.slots: dict[SlotKey, SlotRecord] = {}
        self.log: list[EntryRecord | None] = []
        """Entries at index sequence - 1; None below a snapshot that was installed."""
        self.base: Base | None = None
        """Base of the newest snapshot that was installed."""
        self.checkpoints: list[CheckpointRecord] = []
        self.states: dict[str, StateRecord] = {}
        self.materialised: dict[tuple[Any, ...], ApplicationChange] = {}
        """State rows by table and key."""
        self.applied = 0
        """Sequence up to which the state rows are applied."""
        self.without_commits = 0
        """Highest sequence whose entries have lost their COMMITs, because a stable checkpoint covers them."""

    def become(self, other: Image) -> None:
        """Take over the contents of `other`."""
        for name, value in vars(other).items():
            setattr(self, name, value.copy() if isinstance(value, (dict, list)) else value)

    @property
    def stable(self) -> int:
        """Sequence of the newest stable checkpoint, 0 before the first one."""
        return self.checkpoints[-1].sequence if self.checkpoints else 0

    def entry(self, sequence: int) -> EntryRecord | None:
        """The record of a sequence, None if it is below a snapshot. Raises IndexError beyond the end."""
        return self.log[sequence - 1]

    def slot(self, epoch: int, view: int, sequence: int, phase: str) -> SlotRecord | None:
        """The record with this key; None if there is no such record."""
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

    def places(self) -> Iterator[tuple[tuple[Any, ...], object]]:
        """Everything stored: ((kind, key), record) each."""
        for sequence, record in enumerate(self.log, 1):
            if record is not None:
                yield ("entry", sequence), record
        for checkpoint in self.checkpoints:
            yield ("checkpoint", checkpoint.sequence), checkpoint
        for kind, table in (("slot", self.slots), ("state", self.states), ("row", self.materialised)):
            for key, value in table.items():
                yield (kind, key), value

    def rows(self, table: str) -> list[Any]:
        """The state rows of a table."""
        return [change.row for change in self.materialised.values() if change.table == table]

    # --- what a write does to it -----------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Apply one record of a turn; pruning is separate (`forget`), and evidence restores nothing."""
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

    def restore(self, records: Sequence[EntryRecord]) -> None:
        """Put missing entries in their places."""
        for record in records:
            self.log[record.entry.sequence - 1] = record

    def forget(self, sequence: int, *, commits: bool) -> None:
        """Drop slots up to `sequence`, and the COMMITs of entries that a stable checkpoint covers."""
        for key in [k for k in self.slots if k[3] in PRUNED_PHASES and k[2] <= sequence]:
            del self.slots[key]
        if commits:
            self.without_commits = max(self.without_commits, min(sequence, self.stable))

    def change(self, changes: Sequence[ApplicationChange], sequence: int) -> None:
        """Apply changes of state rows as of `sequence`."""
        for change in changes:
            key = (change.table, *change.key)
            if change.row is None:
                self.materialised.pop(key, None)
            else:
                self.materialised[key] = change
        self.applied = sequence

    def replace(self, install: Install, rows: Sequence[ApplicationChange]) -> None:
        """Replace state, checkpoint and head of the log by those of a snapshot."""
        sequence = install.checkpoint.sequence
        self.log += [None] * (sequence - len(self.log))
        self.base = Base(install.entry, install.peaks)
        self.materialised.clear()
        self.change(rows, sequence)
        self.checkpoints.append(install.checkpoint)
        self.forget(sequence, commits=False)


class Mirror(Protocol):
    """Another ledger beside a virtual disk. It gets each write when that is durable on the disk, so that a
    power cut takes the same writes from both; it changes nothing in the run."""

    def append(self, records: Sequence[Record], *, durable: bool) -> None:
        """See ports.Journal, as the next three."""

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None: ...

    def install(self, install: Install) -> None: ...

    def fill(self, records: Sequence[EntryRecord]) -> None: ...

    def loaded(self, tail: LedgerTail, *, voting: bool) -> None:
        """A process reads its disk back: `tail`, and whether its node may vote by it."""

    def crashed(self) -> None:
        """The process is gone, and all writes that survive it were passed on."""

    def copied(self) -> Mirror:
        """The mirror of a backup of the disk."""

    def lost(self) -> Mirror:
        """The mirror of an empty disk that replaces this one (R11)."""


class VirtualDisk(Image):
    """The durable memory of one node, as its process reads it; it survives a crash of the node."""

    def __init__(self, dice: Dice, *, voting: bool = True) -> None:
        super().__init__(voting=voting)
        self._dice = dice
        self.synced = Image(voting=voting)
        """The image that survives a power cut."""
        self._unsynced: list[tuple[Callable[[Image], None], Callable[[Mirror], None]]] = []
        """Writes since the newest sync, in order: functions that apply each to an image and to a mirror."""
        self.mirror: Mirror | None = None
        """A test's ledger beside it; set before the first start of its node."""
        self.older = False
        """Whether it is an old copy, restored after its node had sent more with a newer disk."""
        self.full = False
        self.crash_at: CrashPoint | None = None
        self.incarnation = 0
        """Number of processes that opened it so far; a process with an older number is fenced (R10)."""
        self._forgetful = dice.hit(0.5)
        self.damage = Damage(self.synced.places, dice.fork("damage"))
        self._written_elsewhere: Image | None = None
        """What the next process finds, after a write that went elsewhere; None: all that was written."""

    # --- ports.Journal ---------------------------------------------------------------------------

    def append(self, records: Sequence[Record], *, durable: bool = True, member: bool = False) -> None:
        """See ports.Journal. `member`: whether the core of a member writes."""
        self._meet_faults()
        self.damage.write()
        self._check(records)
        records = tuple(records)
        steps = [self._step(record) for record in records]

        def write(image: Image) -> None:
            image.served_member |= member
            for step in steps:
                step(image)

        self._write(write, lambda mirror: mirror.append(records, durable=durable))
        if durable:
            self._sync()

    def after_write(self) -> None:
        """Raise PowerCut if the power fails between the write and the first message."""
        if self.crash_at is CrashPoint.AFTER_PERSIST:
            raise PowerCut("after the write")

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        """See ports.Journal; durable only with the next sync."""
        if self.full:
            raise JournalFull("the virtual disk is full")
        if sequence > len(self.log):
            raise Contradiction(f"rows of {sequence}, but the log ends at {len(self.log)}")
        kept = tuple(changes)
        self._write(
            lambda image: image.change(kept, sequence),
            lambda mirror: mirror.materialise(kept, sequence, timestamp),
        )

    def install(self, install: Install) -> None:
        """See ports.Journal."""
        self._meet_faults()
        sequence = install.checkpoint.sequence
        if sequence <= len(self.log):
            raise Contradiction(f"a snapshot of {sequence}, but the log ends at {len(self.log)}")
        rows = tuple(install.rows())
        self._write(lambda image: image.replace(install, rows), lambda mirror: mirror.install(install))
        self._sync()

    def load(self) -> LedgerTail:
        """See ports.Journal."""
        self._sync()
        self.damage.load(max(1, min(self.applied, self.stable) - SPARE_ENTRIES_MAX))
        frontier = Frontier()
        previous: bytes | None = bytes(32)
        for number, record in enumerate(self.log, 1):
            if record is None:
                previous = None  # what follows is a chain of its own, or continues from the snapshot
                if self.base is not None and number == self.base.entry.sequence:
                    previous = m.entry_hash(self.base.entry)
                    frontier = append(self.base.before, previous)
                continue
            if record.entry.sequence != number or previous not in (None, record.entry.previous):
                raise JournalError(f"entry {number} does not continue the log")
            previous = record.entry_hash
            whole = self.base is None or number != self.base.entry.sequence
            frontier = append(frontier if whole else self.base.before, record.entry_hash)  # type: ignore[union-attr]
        spare = 1 + self._dice.below(SPARE_ENTRIES_MAX)
        tail = LedgerTail(
            frontier=frontier,
            applied_sequence=self.applied,
            rows=tuple(self.materialised.values()),
            entries=tuple(self._stripped(r) for r in self.log[max(0, self.applied - spare) :] if r),
            slots=tuple(self.slots.values()),
            checkpoint=self.checkpoints[-1] if self.checkpoints else None,
            states=tuple(self.states.values()),
            base=self.base,
        )
        if self.mirror is not None:
            self.mirror.loaded(tail, voting=self.voting)
        return tail

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        """See ports.Journal."""
        found: list[EntryRecord] = []
        self.damage.read("entry", first, last)
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
        found = next((c for c in self.checkpoints if c.sequence >= sequence), None)
        if found is not None:
            self.damage.read("checkpoint", found.sequence, found.sequence)
        return found

    def gap(self, below: int) -> Gap:
        """See ports.Journal."""
        if self.base is None:
            return Gap(1, 0)
        last = min(below - 1, self.base.entry.sequence)
        while last and self.log[last - 1] is not None:
            last -= 1
        first = last
        while first and self.log[first - 1] is None:
            first -= 1
        if last == self.base.entry.sequence:
            return Gap(first + 1, last, m.entry_hash(self.base.entry))
        behind = self.log[last]
        return Gap(first + 1, last, behind.entry.previous if behind and last else b"")

    def fill(self, records: Sequence[EntryRecord]) -> None:
        """See ports.Journal; durable only with the next sync."""
        self._meet_faults()
        for record in records:
            if self.log[record.entry.sequence - 1] is not None:
                raise Contradiction(f"a second entry for {record.entry.sequence}")
        kept = tuple(records)
        self._write(lambda image: image.restore(kept), lambda mirror: mirror.fill(kept))

    # --- the world's side ------------------------------------------------------------------------

    def misdirect(self) -> None:
        """The next write lands elsewhere: its process does not notice, but the next one finds a log that
        ends before it, and less turns than the witness counted (R11)."""
        if self._written_elsewhere is None:
            self._written_elsewhere = image = Image(voting=False)
            image.become(self.synced)
            image.voting = image.served_member = False

    @property
    def misdirected(self) -> bool:
        """Whether a write went elsewhere, and no process has noticed it."""
        return self._written_elsewhere is not None

    @property
    def doubtful(self) -> bool:
        """Whether its node may lose its vote yet, by damage that no process has noticed."""
        return self.misdirected or self.damage.waits

    def crash(self, *, thorough: bool = False) -> None:
        """Power failure: unsynced writes are lost from a random one on; all of them if `thorough`."""
        self.crash_at = None
        if self._written_elsewhere is not None:
            self._unsynced.clear()
            self.synced.become(self._written_elsewhere)
            self.become(self.synced)
            self._written_elsewhere = self.mirror = None  # a mirror has received what this disk has lost
            return
        survive = self._dice.below(len(self._unsynced) + 1) * (not thorough)
        if self._unsynced:
            del self._unsynced[survive:]
            self._sync()
            self.become(self.synced)
        if self.mirror is not None:
            self.mirror.crashed()

    def record(self, state: StateRecord) -> None:
        """An operator's command stores a named value, durably, while no process has the disk open."""
        self._write(lambda image: image.take(state), lambda mirror: mirror.append([state], durable=True))
        self._sync()

    def clone(self) -> VirtualDisk:
        """A backup of the present state, without unsynced writes."""
        other = VirtualDisk(self._dice.fork("backup"))
        other.become(self.synced)
        other.synced.become(self.synced)
        other.mirror = self.mirror and self.mirror.copied()
        other.incarnation = self.incarnation
        return other

    def distrust(self) -> None:
        """Its witness does not vouch for it: the node follows without a vote (R44)."""
        for image in (self, self.synced):
            image.voting = image.served_member = False

    def replacement(self, dice: Dice) -> VirtualDisk:
        """The empty disk of a node that lost this one (R11)."""
        other = VirtualDisk(dice, voting=False)
        other.mirror = self.mirror and self.mirror.lost()
        return other

    # --- writing ---------------------------------------------------------------------------------

    def _write(self, write: Callable[[Image], None], again: Callable[[Mirror], None]) -> None:
        write(self)
        self._unsynced.append((write, again))

    def _sync(self) -> None:
        for write, again in self._unsynced:
            write(self.synced)
            if self.mirror is not None:
                again(self.mirror)
        self._unsynced.clear()

    def _step(self, record: Record) -> Callable[[Image], None]:
        """Applies a record to an image. What a pruning really forgets is drawn here, once for both
        images."""
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
        """Refuse what the real ledger refuses, before anything is written: a turn is atomic."""
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
        """The entry without its COMMITs if the ledger may have dropped them."""
        if record.entry.sequence > self.without_commits or not record.commits:
            return record
        return EntryRecord(record.entry, record.entry_hash, record.body, ())


def _key(record: SlotRecord) -> SlotKey:
    return (record.epoch, record.view, record.sequence, record.phase)
