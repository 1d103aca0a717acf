"""Locks and leadership: leases that the log grants, one holder per name, with tokens that only increase.

A holder is a principal and a word that it chose; it acquires again to extend its lease, and then keeps its
token. Leases end by batch time, whether anything is ordered then or not. A token is the place in the log of
the operation that began the lease. A resource guarded by the lock refuses every token lower than the highest
it has seen (a fencing token: Kleppmann, How to do distributed locking, 2016).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from dtvn.machine import reasons
from dtvn.machine.commands import Acquire, Release
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical

LOCKS_MAX = 10_000
"""Most locks held at once. Execution depends on it."""
TOKEN_STEP = 1 << 20
"""Tokens of two sequences differ by at least this; a batch has fewer operations."""

LockKey = tuple[str, str]
"""(event, name)."""


class Locks:
    """All locks that are held; calls `touch(key)` for each that changed."""

    def __init__(self, touch: Callable[[LockKey], None]) -> None:
        self._touch = touch
        self._rows: dict[LockKey, LockRow] = {}
        self._ending: list[tuple[int, LockKey]] = []
        """Heap of (end of the lease, key); entries outdated by a later lease are skipped."""

    def begin(self, timestamp: int) -> None:
        """Begin a batch at this time: leases that ended before it are over."""
        while self._ending and self._ending[0][0] < timestamp:
            ends, key = heapq.heappop(self._ending)
            row = self._rows.get(key)
            if row is not None and row.ends == ends:
                self._drop(key)

    def row(self, key: LockKey) -> LockRow | None:
        """The lock as it is held, None if it is free."""
        return self._rows.get(key)

    def acquire(
        self, event: str, command: Acquire, principal: str, *, place: tuple[int, int], timestamp: int
    ) -> tuple[str, bytes]:
        """Apply the operation `acquire` at `place`, (sequence, index); returns (code, canonical LockRow of
        who holds the lock then)."""
        key = event, command.name
        held = self._rows.get(key)
        if held is None and len(self._rows) >= LOCKS_MAX:
            return reasons.FULL, b""
        if held is not None and not _is_of(held, principal, command.holder):
            return reasons.LOCK_HELD, canonical.encode(held)
        token = place[0] * TOKEN_STEP + place[1] if held is None else held.token
        self._put(key, LockRow(principal, command.holder, token, timestamp + command.lease))
        self._touch(key)
        return reasons.OK, canonical.encode(self._rows[key])

    def release(self, event: str, command: Release, principal: str) -> tuple[str, bytes]:
        """Apply the operation `release`; a free lock counts as released."""
        key = event, command.name
        held = self._rows.get(key)
        if held is None:
            return reasons.OK, b""
        if not _is_of(held, principal, command.holder):
            return reasons.LOCK_HELD, canonical.encode(held)
        self._drop(key)
        return reasons.OK, b""

    def load(self, rows: Iterable[tuple[LockKey, LockRow]]) -> None:
        """Replace all locks by stored ones, given in any order."""
        self._rows.clear()
        self._ending.clear()
        for key, row in rows:
            self._put(key, row)

    def _put(self, key: LockKey, row: LockRow) -> None:
        self._rows[key] = row
        heapq.heappush(self._ending, (row.ends, key))
        if len(self._ending) > 2 * LOCKS_MAX:  # leases that were extended often
            self._ending = [(held.ends, name) for name, held in self._rows.items()]
            heapq.heapify(self._ending)

    def _drop(self, key: LockKey) -> None:
        del self._rows[key]
        self._touch(key)


def _is_of(held: LockRow, principal: str, holder: bytes) -> bool:
    return (held.principal, held.holder) == (principal, holder)
