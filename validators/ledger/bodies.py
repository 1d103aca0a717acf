"""Tracks the batches in the slots of the open window, so that each is written once.

A batch, half a megabyte, is recorded with its PRE-PREPARE, again when a new view carries it, and once more
with the entry that executes it. All these records share one row.
"""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.effects import SlotRecord


class _Held(msgspec.Struct, eq=False):
    number: int
    content: bytes
    executed: bool


class Bodies:
    """Bounded by the slots not yet pruned (window times views, R20)."""

    def __init__(self, next_number: int) -> None:
        self._next = next_number
        self._held: dict[int, list[_Held]] = {}

    def remember(self, record: SlotRecord, number: int, *, executed: bool) -> None:
        """Add a slot that was read back at start."""
        held = self._held.setdefault(record.sequence, [])
        if all(one.number != number for one in held):
            held.append(_Held(number, record.body, executed))

    def of_slot(self, sequence: int, content: bytes) -> tuple[int | None, bool]:
        """(row number, whether the batch must be written); without a batch, the number is null (None)."""
        if not content:
            return None, False
        if (found := self._find(sequence, content)) is not None:
            return found.number, False
        held = _Held(self._number(), content, executed=False)
        self._held.setdefault(sequence, []).append(held)
        return held.number, True

    def of_entry(self, sequence: int, content: bytes) -> tuple[int | None, bool]:
        """Like `of_slot`, for an executed entry: from now on the row belongs to the log."""
        if not content:
            return None, False
        if (found := self._find(sequence, content)) is not None:
            found.executed = True
            return found.number, False
        return self._number(), True

    def prune(self, sequence: int) -> list[int]:
        """Drop all batches up to `sequence`; returns the row numbers of those that no entry executed."""
        gone = [number for number in self._held if number <= sequence]
        return [held.number for key in gone for held in self._held.pop(key) if not held.executed]

    def _find(self, sequence: int, content: bytes) -> _Held | None:
        for held in self._held.get(sequence, ()):
            if held.content is content or held.content == content:
                return held
        return None

    def _number(self) -> int:
        self._next += 1
        return self._next - 1
