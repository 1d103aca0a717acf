"""The queues of locks: who waits for each, in the order of asking, until a deadline in batch time.

A principal and the word that it chose have one place in a lock's queue. Asking again keeps that place,
with a new lease and deadline. The next batch removes waiters whose deadline has passed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from dtvn.machine.rows import WaiterRow

QUEUE_MAX = 100
"""Most waiters for one lock. Execution depends on this number and the one below."""
WAITERS_MAX = 10_000
"""Most waiters for all locks together."""

LockKey = tuple[str, str]
"""(event, name)."""
Place = tuple[int, int]
"""(sequence, index) of the operation that took the place in the queue."""
WaiterKey = tuple[str, str, int, int]
"""(event, name, sequence, index)."""
Owner = tuple[str, bytes]
"""(principal, holder)."""


class Waiters:
    """All waiters of all locks; calls `touch(key)` for each that changed."""

    def __init__(self, touch: Callable[[WaiterKey], None]) -> None:
        self._touch = touch
        self._rows: dict[WaiterKey, WaiterRow] = {}
        self._queues: dict[LockKey, dict[Owner, Place]] = {}
        """Each queue in the order of its places."""
        self._deadlines: list[tuple[int, WaiterKey]] = []
        """Heap of (last moment, key); entries outdated by a later deadline are skipped."""

    def __len__(self) -> int:
        return len(self._rows)

    def begin(self, timestamp: int) -> None:
        """Begin a batch at this time: waiters whose deadline lies before it are removed."""
        while self._deadlines and self._deadlines[0][0] < timestamp:
            until, key = heapq.heappop(self._deadlines)
            if self._is_current(until, key):
                self._remove(key)

    def due(self) -> int | None:
        """The first moment after the earliest deadline; None if there are no waiters."""
        while self._deadlines and not self._is_current(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] + 1 if self._deadlines else None

    def row(self, key: WaiterKey) -> WaiterRow | None:
        """The waiter at this place, None if it waits no longer."""
        return self._rows.get(key)

    def waits(self, lock: LockKey, owner: Owner) -> bool:
        """Whether this owner waits for the lock."""
        return owner in self._queues.get(lock, ())

    def has_room(self, lock: LockKey) -> bool:
        """Whether one more may wait for this lock."""
        return len(self._queues.get(lock, ())) < QUEUE_MAX and len(self._rows) < WAITERS_MAX

    def put(self, lock: LockKey, place: Place, row: WaiterRow) -> None:
        """Add a waiter at the end of the queue, or renew the one that has this owner at its own place."""
        self._add((*lock, *self._queues.get(lock, {}).get((row.principal, row.holder), place)), row)

    def leave(self, lock: LockKey, owner: Owner) -> None:
        """Remove a waiter, if it waits."""
        if (place := self._queues.get(lock, {}).get(owner)) is not None:
            self._remove((*lock, *place))

    def take(self, lock: LockKey) -> WaiterRow | None:
        """Remove and return the first waiter of the queue; None if it is empty."""
        for place in self._queues.get(lock, {}).values():
            return self._remove((*lock, *place))
        return None

    def load(self, rows: Iterable[tuple[WaiterKey, WaiterRow]]) -> None:
        """Replace all waiters by stored ones, given in any order."""
        self._rows.clear()
        self._queues.clear()
        self._deadlines.clear()
        for key, row in sorted(rows, key=lambda item: item[0]):
            self._add(key, row, stored=True)

    def _add(self, key: WaiterKey, row: WaiterRow, *, stored: bool = False) -> None:
        self._rows[key] = row
        self._queues.setdefault(key[:2], {})[row.principal, row.holder] = key[2:]
        heapq.heappush(self._deadlines, (row.until, key))
        if len(self._deadlines) > 2 * WAITERS_MAX:  # deadlines that were moved often
            self._deadlines = [(waiter.until, waiting) for waiting, waiter in self._rows.items()]
            heapq.heapify(self._deadlines)
        if not stored:
            self._touch(key)

    def _remove(self, key: WaiterKey) -> WaiterRow:
        row = self._rows.pop(key)
        queue = self._queues[key[:2]]
        del queue[row.principal, row.holder]
        if not queue:
            del self._queues[key[:2]]
        self._touch(key)
        return row

    def _is_current(self, until: int, key: WaiterKey) -> bool:
        row = self._rows.get(key)
        return row is not None and row.until == until
