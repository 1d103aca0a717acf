"""What surrounds the core in its tests: a small key-value application, and a journal in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from dtvn.protocol import canonical
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.application import BatchResult, BundleResult, Repeated
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Prune,
    Reason,
    Record,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Parameters

SLOT_PHASES = ("pre_prepare", "prepare", "commit", "prepared", "checkpoint", "append")


class KeyValue:
    """Each operation writes its payload under its ticket id; a bundle number is executed once."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.executed: dict[tuple[int, int, int], Repeated] = {}
        self.due_at: int | None = None
        self.due_next: list[int] = []
        """What becomes due afterwards."""
        self.refusing: set[tuple[int, int]] = set()
        self.order: list[tuple[int, int, int]] = []
        self._changes: list[ApplicationChange] = []

    def execute(self, bundles: Sequence[VerifiedBundle], *, sequence: int, timestamp: int) -> BatchResult:
        if self.due_at is not None and self.due_at <= timestamp:
            self.due_at = self.due_next.pop(0) if self.due_next else None
        results: list[BundleResult | None] = []
        index = 0
        for verified in bundles:
            bundle = verified.bundle
            key = (*bundle.session, bundle.number)
            if key in self.executed:
                results.append(None)
                continue
            outcomes = []
            for operation in bundle.operations:
                self.values[operation.ticket] = operation.payload
                outcomes.append(m.Outcome("ok", operation.payload))
                self._changes.append(ApplicationChange("value", (operation.ticket,), operation.payload))
            leaves = [
                sha256(b"\0" + canonical.encode((index + i, outcome, timestamp))).digest()
                for i, outcome in enumerate(outcomes)
            ]
            repeated = Repeated(verified.digest, sequence, index, ("ok",) * len(outcomes))
            self.executed[key] = repeated
            self.order.append(key)
            self._changes.append(ApplicationChange("bundle", key, repeated))
            results.append(BundleResult(index, tuple(outcomes), canonical.merkle_root(leaves)))
            index += len(outcomes)
        subtrees = [result.subtree for result in results if result is not None]
        return BatchResult(tuple(results), canonical.merkle_root(subtrees))

    def refuse(self, bundle: m.Bundle, timestamp: int) -> Reason | None:
        return Reason.UNKNOWN_SESSION if bundle.session in self.refusing else None

    def repeated(self, bundle: m.Bundle) -> Repeated | None:
        return self.executed.get((*bundle.session, bundle.number))

    def root(self) -> bytes:
        done = tuple((key, value.digest) for key, value in sorted(self.executed.items()))
        return sha256(canonical.encode((tuple(sorted(self.values.items())), done))).digest()

    def freeze(self, sequence: int) -> bytes:
        return self.root()

    def pin(self, sequence: int) -> bytes | None:
        return None

    def due(self) -> int | None:
        return self.due_at

    def size(self) -> int:
        return len(self.values)

    def read_pinned(self, group: int) -> None:
        return None

    def release(self) -> None:
        """Nothing is kept."""

    def staging(self, manifest: bytes, root: bytes) -> None:
        return None

    def membership(self) -> Membership:
        return Membership(0, 0, (), Parameters())

    def epoch(self, number: int) -> None:
        return None

    def governs(self, principal: str) -> bool:
        return True

    def principal_key(self, name: str) -> bytes | None:
        return None

    def changes(self) -> list[ApplicationChange]:
        changes, self._changes = self._changes, []
        return changes

    def load(self, rows: Iterable[ApplicationChange]) -> None:
        for change in rows:
            if change.table == "value":
                self.values[change.key[0]] = change.row
            else:
                self.executed[change.key] = change.row


class MemoryJournal:
    """Durable memory of one node: refuses what the real ledger refuses."""

    def __init__(self) -> None:
        self.slots: dict[tuple[int, int, int, str], SlotRecord] = {}
        self.log: list[EntryRecord] = []
        self.checkpoints: list[CheckpointRecord] = []
        self.states: dict[str, StateRecord] = {}
        self.rows: dict[tuple[object, ...], ApplicationChange] = {}
        self.applied = 0
        self.turns: list[tuple[Record, ...]] = []

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        self.turns.append(tuple(records))
        fresh: set[tuple[int, int, int, str]] = set()
        for record in records:
            if isinstance(record, SlotRecord):
                key = (record.epoch, record.view, record.sequence, record.phase)
                assert key not in fresh, f"two records for {key} in one turn"
                assert self.slots.get(key, record) == record, f"a second record for {key}"
                fresh.add(key)
                self.slots[key] = record
            elif isinstance(record, EntryRecord):
                assert record.entry.sequence == len(self.log) + 1, "a gap or a second entry"
                self.log.append(record)
            elif isinstance(record, CheckpointRecord):
                self.checkpoints.append(record)
            elif isinstance(record, StateRecord):
                self.states[record.name] = record
            elif isinstance(record, Prune):
                for key in [k for k in self.slots if k[3] in SLOT_PHASES and k[2] <= record.sequence]:
                    del self.slots[key]

    def materialise(self, changes: Sequence[ApplicationChange]) -> None:
        for change in changes:
            self.rows[(change.table, *change.key)] = change
        self.applied = len(self.log)

    def load(self) -> LedgerTail:
        frontier = log_tree.Frontier()
        for record in self.log:
            frontier = log_tree.append(frontier, record.entry_hash)
        return LedgerTail(
            frontier=frontier,
            applied_sequence=self.applied,
            rows=tuple(self.rows.values()),
            entries=tuple(self.log[max(0, self.applied - 3) :]),
            slots=tuple(self.slots.values()),
            checkpoint=self.checkpoints[-1] if self.checkpoints else None,
            states=tuple(self.states.values()),
        )

    def range(self, first: int, last: int) -> m.Entries | None:
        """What a host's log server would answer."""
        records = self.log[first - 1 : last]
        if not records:
            return None
        certificate: tuple[bytes, ...] = ()
        if any(not record.commits for record in records):
            found = next((c for c in self.checkpoints if c.sequence >= first), None)
            if found is None:
                return None
            records = self.log[first - 1 : found.sequence]
            certificate = found.frames
        elif first == last:
            certificate = next((c.frames for c in self.checkpoints if c.sequence == first), ())
        return m.Entries(tuple((r.entry, r.body, r.commits) for r in records), certificate)

    def forget_commits(self) -> None:
        """As a ledger may below a stable checkpoint."""
        stable = self.checkpoints[-1].sequence if self.checkpoints else 0
        self.log = [
            EntryRecord(r.entry, r.entry_hash, r.body, () if r.entry.sequence <= stable else r.commits)
            for r in self.log
        ]
