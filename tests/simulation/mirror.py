"""The real ledger on SQLite beside each virtual disk: at each load, does it hold what the virtual disk holds?

A mirror gets each write when its disk calls it durable. At each crash of the node the ledger is closed, or
every second time its files are taken as kill -9 leaves them. At each load both are compared. One run again:

    python -m tests.simulation.mirror --world power-cut --seed 0
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from dtvn.ledger import SNAPSHOT_BASE
from dtvn.protocol import canonical
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
from dtvn.protocol.host.ports import JournalError, LedgerTail
from simulator.campaign import Report, Task, run
from simulator.disk import PRUNED_PHASES
from simulator.node import Node
from simulator.violation import Violation
from validators.ledger import Ledger, log_mark, open_ledger

CLUSTER = bytes(32)
MEMORY_DISK = Path("/dev/shm")
"""Linux keeps these files in memory: a process is killed, no power is cut, and syncs would take most of the
time."""
MARK_DISTANCE = 8
"""log_mark.DISTANCE of these runs, whose logs are short: most loads read the log from a mark."""
OWN_STATES = frozenset({log_mark.NAME, SNAPSHOT_BASE})
"""Named values that the ledger itself keeps."""
SHOWN = 300
"""Most characters of a value in a sentence."""


class Played(msgspec.Struct):
    """A run with mirrors."""

    report: Report
    counts: Counter[str]
    """Events of the ledgers by name (loads, writes, kills, installs) and their numbers."""
    command: str

    @property
    def failure(self) -> str:
        """The broken promise with the command that plays it again; "" if none was broken."""
        if self.report.violation is None:
            return ""
        return f"seed {self.report.seed} of {self.report.world}: {self.report.violation}\n{self.command}"


def play(world: str, seed: int) -> Played:
    """Play one seed of a world with a ledger beside each disk."""
    memory = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with TemporaryDirectory(prefix="dtvn-mirror-", dir=memory) as folder, near_marks():
        mirrors = Mirrors(Path(folder))
        try:
            report = run(Task(seed, world), mirror_of=mirrors.beside)
        finally:
            mirrors.close()
    command = f"python -m tests.simulation.mirror --world {world} --seed {seed}"
    return Played(report, mirrors.counts, command)


@contextmanager
def near_marks() -> Iterator[None]:
    """Marks of the log lie MARK_DISTANCE apart meanwhile."""
    before, log_mark.DISTANCE = log_mark.DISTANCE, MARK_DISTANCE
    try:
        yield
    finally:
        log_mark.DISTANCE = before


class Mirrors:
    """All ledgers of one run, in folders of their own under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.loads: Counter[str] = Counter()
        """Node -> number of its loads so far."""
        self._folder = folder
        self._made: list[LedgerMirror] = []

    def beside(self, node: Node) -> LedgerMirror:
        """The mirror of a new node."""
        return self.another(node.name)

    def another(self, name: str, *, expect_existing: bool = False) -> LedgerMirror:
        """A ledger that is opened when it is first needed. `expect_existing`: see open_ledger."""
        mirror = LedgerMirror(self, name, self._folder / str(len(self._made)), expect_existing)
        self._made.append(mirror)
        return mirror

    def close(self) -> None:
        """Close every ledger."""
        for mirror in self._made:
            mirror.close()


class LedgerMirror:
    """simulator.disk.Mirror over one folder. Raises Violation("mirror") where the two ledgers differ, or the
    real one refuses what the virtual one took."""

    def __init__(self, mirrors: Mirrors, name: str, folder: Path, expect_existing: bool) -> None:
        self._mirrors = mirrors
        self._name = name
        self._folder = folder
        self._expect_existing = expect_existing
        self._ledger: Ledger | None = None

    # --- simulator.disk.Mirror -------------------------------------------------------------------

    def append(self, records: Sequence[Record], *, durable: bool) -> None:
        self._count("writes")
        for record in records:
            if isinstance(record, CheckpointRecord | Prune):
                self._count(type(record).__name__)
        if self._ledger is None:  # an operator's command, while no process has the ledger open
            self._do(Ledger.load)
        self._do(lambda ledger: ledger.append(records, durable=durable))

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        self._count("writes")
        self._do(lambda ledger: ledger.materialise(changes, sequence, timestamp))

    def install(self, install: Install) -> None:
        self._count("installs")
        self._do(lambda ledger: ledger.install(install))

    def fill(self, records: Sequence[EntryRecord]) -> None:
        self._count("fills")
        self._do(lambda ledger: ledger.fill(records))

    def loaded(self, tail: LedgerTail, *, voting: bool) -> None:
        self._count("loads")
        self._mirrors.loads[self._name] += 1
        found = self._do(Ledger.load)
        rows = self._do(lambda _ledger: tuple(found.rows))  # read, and checked, while they are iterated
        self._do(Ledger.check_older)
        self._require_equal("voting", voting, self._opened().voting)
        for field, virtual, real in compared(tail, msgspec.structs.replace(found, rows=rows)):
            self._require_equal(field, virtual, real)
        if any(state.name == log_mark.NAME for state in found.states):
            self._count("loads from a mark")

    def crashed(self) -> None:
        if self._ledger is None:
            return
        self._count("crashes")
        if self._mirrors.counts["crashes"] % 2:
            self._count("kills")
            self._kill()
        else:
            self.close()

    def copied(self) -> LedgerMirror:
        self._count("copies")
        mirror = self._mirrors.another(self._name, expect_existing=self._expect_existing)
        if self._folder.exists():
            shutil.copytree(self._folder, mirror._folder)
        return mirror

    def lost(self) -> LedgerMirror:
        self._count("lost disks")
        return self._mirrors.another(self._name, expect_existing=True)

    # --- the ledger ------------------------------------------------------------------------------

    def close(self) -> None:
        """Close it in order, as a process that is asked to end does."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _kill(self) -> None:
        """Its files stay as they are now; closing would copy the write-ahead log into the database."""
        killed = self._folder.with_suffix(".killed")
        shutil.copytree(self._folder, killed)
        self.close()
        shutil.rmtree(self._folder)
        killed.rename(self._folder)

    def _opened(self) -> Ledger:
        if self._ledger is None:
            self._ledger = open_ledger(
                self._folder,
                cluster_id=CLUSTER,
                alias=f"mirror-{self._folder.name}",
                expect_existing=self._expect_existing,
            )
        return self._ledger

    def _do(self, step: Callable[[Ledger], Any]) -> Any:
        try:
            return step(self._opened())
        except JournalError as error:
            raise self._violation(f"{type(error).__name__}: {error}") from error

    def _require_equal(self, field: str, virtual: Any, real: Any) -> None:
        if virtual == real:
            return
        if isinstance(virtual, dict) and isinstance(real, dict):
            keys = [key for key in {**virtual, **real} if virtual.get(key) != real.get(key)]
            field = f"{field} {keys[0]!r}"
            virtual, real = virtual.get(keys[0]), real.get(keys[0])
        raise self._violation(f"{field}: the virtual disk has {shown(virtual)}, the ledger {shown(real)}")

    def _violation(self, text: str) -> Violation:
        return Violation("mirror", f"{self._name}, load {self._mirrors.loads[self._name]}: {text}")

    def _count(self, what: str) -> None:
        self._mirrors.counts[what] += 1


# --- what must be equal --------------------------------------------------------------------------


def compared(virtual: LedgerTail, real: LedgerTail) -> Iterator[tuple[str, Any, Any]]:
    """(field, its value on the virtual disk, in the real ledger) of all that a replica is restored from."""
    yield "frontier", virtual.frontier, real.frontier
    yield "applied sequence", virtual.applied_sequence, real.applied_sequence
    yield "base", virtual.base, real.base
    yield "checkpoint", virtual.checkpoint, real.checkpoint
    yield "state", by_name(virtual.states), by_name(real.states)
    yield "row", by_key(virtual.rows), by_key(real.rows)
    yield "slot", *slots(virtual, real)
    yield "entry", *entries(virtual, real)


def by_name(states: Iterable[StateRecord]) -> dict[str, bytes]:
    return {state.name: state.value for state in states if state.name not in OWN_STATES}


def by_key(rows: Iterable[ApplicationChange]) -> dict[tuple[Any, ...], bytes]:
    """(table, *key) -> canonical bytes of the row."""
    return {(row.table, *row.key): canonical.encode(row.row) for row in rows}


Slots = dict[tuple[int, int, int, str], SlotRecord]


def slots(virtual: LedgerTail, real: LedgerTail) -> tuple[Slots, Slots]:
    """A ledger may forget what no longer binds the replica; what it has must be what was written."""
    there, here = ({_slot_key(slot): slot for slot in tail.slots} for tail in (virtual, real))
    stable = virtual.checkpoint.sequence if virtual.checkpoint else 0
    entered = max((key[:2] for key in there if key[3] == "view"), default=(0, 0))

    def binds(key: tuple[int, int, int, str]) -> bool:
        return key[2] > stable if key[3] in PRUNED_PHASES else key[:2] >= entered

    return {key: slot for key, slot in there.items() if key in here or binds(key)}, here


def _slot_key(slot: SlotRecord) -> tuple[int, int, int, str]:
    return slot.epoch, slot.view, slot.sequence, slot.phase


Entries = dict[int, EntryRecord]


def entries(virtual: LedgerTail, real: LedgerTail) -> tuple[Entries, Entries]:
    """All entries to replay, and of the older ones those that both returned. The virtual disk may have
    dropped COMMITs that a checkpoint covers; the ledger keeps them."""
    there, here = ({record.entry.sequence: record for record in tail.entries} for tail in (virtual, real))
    for sequence in here.keys() & there.keys():
        if not there[sequence].commits:
            here[sequence] = msgspec.structs.replace(here[sequence], commits=())
    return (
        {s: record for s, record in there.items() if s in here or s > virtual.applied_sequence},
        {s: record for s, record in here.items() if s in there or s > virtual.applied_sequence},
    )


def shown(value: Any) -> str:
    """A value, shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def main() -> int:
    """Play one seed and print what was compared; returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mirror")
    parser.add_argument("--world", default="random")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    played = play(given.world, given.seed)
    counts = ", ".join(f"{what}: {count}" for what, count in sorted(played.counts.items()))
    sys.stdout.write(f"{counts}\n{played.failure or 'no difference'}\n")
    return bool(played.failure)


if __name__ == "__main__":
    sys.exit(main())
