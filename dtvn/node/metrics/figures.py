"""The counters that the loop keeps: plain numbers, no locks, no text."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence

from dtvn.machine.reasons import MALFORMED, tally
from dtvn.node.metrics.names import COUNTS, SECONDS
from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import EntryRecord, Executed, Note, Record, SlotRecord

__all__ = ["Figures", "Histogram"]

OPEN_MAX = 4_096
"""Sequences whose phases are timed at the same time: more than a window holds."""

OFFSETS_KEPT = 32
"""Newest proposals kept per primary; the smallest offset counts, since that proposal was delayed least."""

OUTCOMES_MAX = 1_024
"""Pairs of kind and outcome counted separately. Both come from closed lists (the kind of a malformed
operation, which its sender chose freely, is left out), so this is only a backstop."""

NANOSECOND = 1e-9


class Histogram:
    """Counts by upper bound, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """One count for each bound, not cumulative, and one for values above all bounds."""
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound as text, number of observations up to it), the cumulative form of Prometheus."""
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            below += count
            found.append(("+Inf" if bound == math.inf else repr(bound), below))
        return found

    def copy(self) -> Histogram:
        """An independent copy of the present counts."""
        copied = Histogram(self.bounds)
        copied.counts = self.counts.copy()
        copied.total = self.total
        return copied


class _Open:
    """A sequence that is not executed yet, with its times."""

    __slots__ = ("prepared", "seen", "view", "wall")

    def __init__(self, seen: int, wall: int, view: int) -> None:
        self.seen = seen
        self.wall = wall
        self.view = view
        self.prepared = 0


class Figures:
    """Counters of one node process; they survive a rebuild of its core. `members`: ids by index."""

    def __init__(self, members: Sequence[str], index: int) -> None:
        self._members = members
        self._index = index
        self._open: dict[int, _Open] = {}
        self._offsets: dict[str, deque[float]] = {}
        self.latency = Histogram()
        self.phases = {"prepare": Histogram(), "commit": Histogram()}
        self.batches = Histogram(COUNTS)
        self.storage = {name: Histogram() for name in ("append", "write_rows", "load", "read", "install")}
        self.operations: Counter[tuple[str, str]] = Counter()
        """Number of operations by (kind, outcome code)."""
        self.messages: Counter[tuple[str, int]] = Counter()
        """Number of messages by (direction, number of the kind)."""
        self.rebuilds = 0

    def notice(self, note: Executed | Note) -> None:
        """See ports.Watcher: counts executed operations, and ignores other notes."""
        if not isinstance(note, Executed):
            return
        found = tally(note.bundles)
        for key, number in found.items():
            if key not in self.operations and len(self.operations) >= OUTCOMES_MAX:
                key = (MALFORMED, key[1])
            self.operations[key] += number
        self.batches.add(found.total())

    def stored(self, operation: str, began: int) -> None:
        """Time a call of the ledger that began at `began` (monotonic nanoseconds) and has just ended."""
        self.storage[operation].add((time.monotonic_ns() - began) * NANOSECOND)

    def recorded(self, records: Sequence[Record], began: int) -> None:
        """Time the phases that end with these records, made durable by a write that began at `began`."""
        ended = 0
        for record in records:
            if type(record) is SlotRecord:
                self._slot(record, began)
            elif type(record) is EntryRecord:
                ended = ended or time.monotonic_ns()
                self._executed(record, ended)

    def offsets(self) -> dict[str, float]:
        """Seconds by which this node's clock is ahead of each primary's, by that one's newest proposals."""
        return {name: min(found) for name, found in self._offsets.items()}

    def _slot(self, record: SlotRecord, now: int) -> None:
        if record.phase in ("pre_prepare", "prepare"):
            if record.sequence not in self._open and len(self._open) < OPEN_MAX:
                self._open[record.sequence] = _Open(now, time.time_ns(), record.view)
        elif record.phase == "prepared":
            slot = self._open.get(record.sequence)
            if slot is not None and not slot.prepared:
                slot.prepared = now
                self.phases["prepare"].add((now - slot.seen) * NANOSECOND)

    def _executed(self, record: EntryRecord, now: int) -> None:
        slot = self._open.pop(record.entry.sequence, None)
        if slot is None:
            return  # fetched from other members: it never waited for votes here
        self.latency.add((now - slot.seen) * NANOSECOND)
        if slot.prepared:
            self.phases["commit"].add((now - slot.prepared) * NANOSECOND)
        primary = quorum.primary(slot.view, len(self._members))
        if primary != self._index and record.body:
            found = self._offsets.setdefault(self._members[primary], deque(maxlen=OFFSETS_KEPT))
            found.append(slot.wall * NANOSECOND - record.entry.timestamp * 1e-6)
