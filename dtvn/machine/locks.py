"""Locks and leadership: leases that the log grants, one holder per name, with tokens that only increase.

A holder is a principal and a word that it chose; if it takes the lock again, it extends its lease and keeps
its token. Leases end by batch time, whether anything is ordered then or not: `due` says when a batch is
needed to hand the lock on. A token is the place in the log where the lease began. A resource guarded by the
lock refuses every token lower than the highest it has seen (a fencing token: Kleppmann, How to do distributed
locking, 2016). A leader is the holder of the lock that has the leadership's name.

`acquire` and `release` are the first forms: they do not wait, and know no token. Ledgers hold them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from dtvn.machine import reasons
from dtvn.machine.rows import LockRow, WaiterRow
from dtvn.machine.waiters import LockKey, Place, WaiterKey, Waiters
from dtvn.protocol import canonical

LOCKS_MAX = 10_000
"""Most locks held at once. Execution depends on it."""
TOKEN_STEP = 1 << 20
"""Tokens of two sequences differ by at least this. The operations of a batch take the first of a sequence's
tokens, the locks that the beginning of the next batch hands on the last LOCKS_MAX."""

Holder = tuple[str, bytes]
"""(principal, the word that it chose)."""
Result = tuple[str, bytes]
"""(outcome code, canonical LockRow of the holder afterwards, b"" if that need not be known)."""


class Locks:
    """All locks that are held, and their queues. `touch` and `touch_waiter` are called with the key of each
    row that changed."""

    def __init__(self, touch: Callable[[LockKey], None], touch_waiter: Callable[[WaiterKey], None]) -> None:
        self._touch = touch
        self.waiters = Waiters(touch_waiter)
        self._rows: dict[LockKey, LockRow] = {}
        self._ending: list[tuple[int, LockKey]] = []
        """Heap of (end of the lease, key); entries outdated by a later lease are skipped."""

    def __len__(self) -> int:
        """Number of locks that are held."""
        return len(self._rows)

    def begin(self, sequence: int, timestamp: int) -> None:
        """Begin a batch: waiters and leases that ended before this time are over, and locks go to the next
        waiters."""
        self.waiters.begin(timestamp)
        token = sequence * TOKEN_STEP - LOCKS_MAX
        while self._ending and self._ending[0][0] < timestamp:
            ends, key = heapq.heappop(self._ending)
            if self._is_current(ends, key):
                self._hand_on(key, token, timestamp)
                token += 1

    def due(self) -> int | None:
        """Batch time from which a lease or a wait is over, microseconds; None if nothing ends by itself."""
        while self._ending and not self._is_current(*self._ending[0]):
            heapq.heappop(self._ending)
        leases = self._ending[0][0] + 1 if self._ending else None
        waits = self.waiters.due()
        return min((moment for moment in (leases, waits) if moment is not None), default=None)

    def row(self, key: LockKey) -> LockRow | None:
        """The lock as it is held, None if it is free."""
        return self._rows.get(key)

    def lock(
        self, key: LockKey, holder: Holder, *, lease: int, wait: int = 0, place: Place, timestamp: int
    ) -> Result:
        """Take the lock for `lease` microseconds, or extend the lease of its holder. If another one holds it,
        wait for it for `wait` microseconds, 0: not at all."""
        held = self._rows.get(key)
        if held is not None and not _is_of(held, holder):
            if not wait:
                return reasons.LOCK_HELD, canonical.encode(held)
            waiter = WaiterRow(*holder, lease, timestamp + wait)
            return self._wait(key, place, waiter), canonical.encode(held)
        if held is None and len(self._rows) >= LOCKS_MAX:
            return reasons.FULL, b""
        token = place[0] * TOKEN_STEP + place[1] if held is None else held.token
        return self._grant(key, LockRow(*holder, token, timestamp + lease))

    def renew(self, key: LockKey, holder: Holder, *, token: int, lease: int, timestamp: int) -> Result:
        """Extend the lease with this token: only the present one can be extended."""
        held = self._rows.get(key)
        if held is None or not _is_of(held, holder) or held.token != token:
            return reasons.STALE_LEASE, _shown(held)
        return self._grant(key, LockRow(*holder, held.token, timestamp + lease))

    def unlock(
        self, key: LockKey, holder: Holder, *, token: int | None = None, place: Place, timestamp: int
    ) -> Result:
        """End the lease with this token, None: whichever the holder has. A free lock counts as given back."""
        held = self._rows.get(key)
        if held is None:
            return reasons.OK, b""
        if token is not None and held.token != token:
            return reasons.STALE_LEASE, canonical.encode(held)
        if not _is_of(held, holder):
            return reasons.LOCK_HELD, canonical.encode(held)
        self._hand_on(key, place[0] * TOKEN_STEP + place[1], timestamp)
        return reasons.OK, b""

    def cancel(self, key: LockKey, holder: Holder, *, place: Place, timestamp: int) -> Result:
        """The holder wants the lock no longer. It leaves the queue, or gives back the lock that it was handed
        in the meantime, of which it may not know."""
        self.waiters.leave(key, holder)
        held = self._rows.get(key)
        if held is not None and _is_of(held, holder):
            self._hand_on(key, place[0] * TOKEN_STEP + place[1], timestamp)
        return reasons.OK, b""

    def load(
        self, rows: Iterable[tuple[LockKey, LockRow]], waiters: Iterable[tuple[WaiterKey, WaiterRow]]
    ) -> None:
        """Replace all locks and queues by stored ones, given in any order."""
        self._rows.clear()
        self._ending.clear()
        for key, row in rows:
            self._put(key, row)
        self.waiters.load(waiters)

    def _wait(self, key: LockKey, place: Place, waiter: WaiterRow) -> str:
        if not self.waiters.waits(key, (waiter.principal, waiter.holder)) and not self.waiters.has_room(key):
            return reasons.TOO_MANY_WAITERS
        self.waiters.put(key, place, waiter)
        return reasons.LOCK_WAITING

    def _hand_on(self, key: LockKey, token: int, timestamp: int) -> None:
        """End a lease: the first waiter holds the lock from now on, with this token, or it is free."""
        following = self.waiters.take(key)
        if following is not None:
            row = LockRow(following.principal, following.holder, token, timestamp + following.lease)
            self._grant(key, row)
            return
        del self._rows[key]
        self._touch(key)

    def _grant(self, key: LockKey, row: LockRow) -> Result:
        self._put(key, row)
        self._touch(key)
        return reasons.OK, canonical.encode(row)

    def _put(self, key: LockKey, row: LockRow) -> None:
        self._rows[key] = row
        heapq.heappush(self._ending, (row.ends, key))
        if len(self._ending) > 2 * LOCKS_MAX:  # leases that were extended often
            self._ending = [(held.ends, name) for name, held in self._rows.items()]
            heapq.heapify(self._ending)

    def _is_current(self, ends: int, key: LockKey) -> bool:
        row = self._rows.get(key)
        return row is not None and row.ends == ends


def _is_of(held: LockRow, holder: Holder) -> bool:
    return (held.principal, held.holder) == holder


def _shown(held: LockRow | None) -> bytes:
    return b"" if held is None else canonical.encode(held)
