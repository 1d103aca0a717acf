"""The counters that the loop keeps: plain numbers where it counts each frame, else of prometheus_client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from dtvn.machine.reasons import tally
from dtvn.node.metrics.names import counter, histogram
from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, Record, SlotRecord

OPEN_MAX = 4_096
"""Sequences whose phases are timed at the same time: more than a window holds."""

NANOSECOND = 1e-9
STORAGE = ("append", "write_rows", "load", "read", "install")
"""Calls of the ledger."""


class _Open:
    """A sequence that is not executed yet, with its times."""

    __slots__ = ("prepared", "seen")

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self.prepared = 0


class Figures:
    """Counters of one node process; they survive a rebuild of its core, and new epochs."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self.registry = CollectorRegistry()
        self._latency = histogram("consensus_latency_seconds", self.registry)
        self._batches = histogram("dtvn_batch_operations", self.registry)
        phases = histogram("dtvn_phase_seconds", self.registry)
        self._phases = {name: phases.labels(name) for name in ("prepare", "commit")}
        times = histogram("storage_latency_seconds", self.registry)
        calls = counter("storage_operations_total", self.registry)
        self._storage = {name: (times.labels(name), calls.labels(name)) for name in STORAGE}
        self.operations: Counter[tuple[str, str]] = Counter()
        """Number of operations by (kind, outcome code); both come from closed lists (reasons.tally)."""
        self.messages: Counter[tuple[str, int]] = Counter()
        """Number of messages by (direction, number of the kind)."""
        self.rebuilds = 0

    def begin_epoch(self) -> None:
        """Another epoch begins: what was open in the one before is void."""
        self._open.clear()

    def notice(self, note: Executed | Note) -> None:
        """See ports.Watcher: counts executed operations, and ignores other notes."""
        if not isinstance(note, Executed):
            return
        found = tally(note.bundles)
        self.operations.update(found)
        self._batches.observe(found.total())

    def outcomes(self) -> Counter[str]:
        """Number of executed operations by outcome code."""
        found: Counter[str] = Counter()
        for (_kind, code), number in self.operations.items():
            found[code] += number
        return found

    def stored(self, operation: str, began: int) -> None:
        """Time a call of the ledger that began at `began` (monotonic nanoseconds) and has just ended."""
        times, calls = self._storage[operation]
        times.observe((time.monotonic_ns() - began) * NANOSECOND)
        calls.inc()

    def recorded(self, records: Sequence[Record], began: int) -> None:
        """Time the phases that end with these records, made durable by a write that began at `began`."""
        ended = 0
        for record in records:
            if type(record) is SlotRecord:
                self._slot(record, began)
            elif type(record) is EntryRecord:
                ended = ended or time.monotonic_ns()
                self._executed(record, ended)

    def _slot(self, record: SlotRecord, now: int) -> None:
        if record.phase in ("pre_prepare", "prepare"):
            if record.sequence not in self._open and len(self._open) < OPEN_MAX:
                self._open[record.sequence] = _Open(now)
        elif record.phase == "prepared":
            slot = self._open.get(record.sequence)
            if slot is not None and not slot.prepared:
                slot.prepared = now
                self._phases["prepare"].observe((now - slot.seen) * NANOSECOND)

    def _executed(self, record: EntryRecord, now: int) -> None:
        slot = self._open.pop(record.entry.sequence, None)
        if slot is None:
            return  # fetched from other members: it never waited for votes here
        self._latency.observe((now - slot.seen) * NANOSECOND)
        if slot.prepared:
            self._phases["commit"].observe((now - slot.prepared) * NANOSECOND)
