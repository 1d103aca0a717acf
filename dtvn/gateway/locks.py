"""Distributed locks and leader election for programs (contract 3.5), over a gateway.

    locks = LockClient(gateway, actor="worker-1")
    with locks.held("leader", 30.0, wait=10.0) as lease:
        write(..., fencing_token=lease.token)

Who holds the lock that has a leadership's name is the leader. A lease ends by the time of the log, whether
its holder notices that or not: what is guarded must refuse every token lower than the highest that it has
seen, as a `Fence` does where the writing is done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress

import msgspec

from dtvn.gateway.calls import Overloaded, Result
from dtvn.gateway.client import GatewayClosed
from dtvn.gateway.face import DEFAULT_WAIT, GatewayFace
from dtvn.gateway.steps import Steps, awaited, waited
from dtvn.machine import CancelLock, Lock, Renew, Unlock, build, reasons
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical

SECOND = 1_000_000
"""Microseconds."""
POLL_MIN, POLL_MAX = 0.05, 0.25
"""Least and most seconds between two looks at a lock for which one waits."""
PATIENCE = DEFAULT_WAIT + 2.0
"""Seconds for one answer: the gateway always gives one within its own wait."""
NOBODY = b"nobody"
"""The holder of who only looks at a lock."""


class LockError(Exception):
    """A lock that was not granted, or a lease that is over; `code` is one of dtvn.machine.reasons.
    `outcome_unknown`: whether it was granted is not known; `cancel` makes sure that it is not held."""

    def __init__(self, code: str, sentence: str, holder: LockRow | None = None) -> None:
        """`holder`: the lease of the one who holds the lock, None if nobody does, or it is not known."""
        super().__init__(sentence)
        self.code = code
        self.holder = holder


class Lease(msgspec.Struct, frozen=True):
    """A lock that this process holds."""

    name: str
    holder: bytes
    token: int
    """Fencing token: every later lease has a higher one."""
    ends: int
    """Last microsecond of log time at which it is held, Unix time."""
    over: float = 0.0
    """Its end by this host's monotonic clock, in seconds, counted from when it was asked for."""

    @property
    def remaining(self) -> float:
        """Seconds until its end, whatever this host's clock shows; it ends sooner where log time jumps ahead,
        because the members' clocks did."""
        return self.over - time.monotonic()


class Fence:
    """Guards what is written under a lock from holders whose lease is over. Any thread may use it."""

    def __init__(self, highest: int = 0) -> None:
        """`highest`: that of an earlier life."""
        self.highest = highest
        """The highest token that was admitted; to be kept with what is guarded."""
        self._writing = threading.Lock()
        self._writer: int | None = None
        """The thread whose block is inside."""

    @contextmanager
    def admitted(self, token: int) -> Iterator[None]:
        """Write in a block, one holder at a time; the thread waits for its turn, so that a block of an event
        loop must not await. Raises LockError (`stale_lock_token`) if a later lease's holder was here before,
        RuntimeError if a block of this thread has not ended."""
        if self._writer == threading.get_ident():  # it would wait for itself
            raise RuntimeError("a block of this thread is under the fence: it must not await, or enter again")
        with self._writing:
            if token < self.highest:
                raise LockError(reasons.STALE_LEASE, reasons.REASONS[reasons.STALE_LEASE].sentence)
            self.highest = token
            self._writer = threading.get_ident()
            try:
                yield
            finally:
                self._writer = None


class _Calls:
    """The calls of both clients, as generators for `waited` or `awaited`."""

    def __init__(
        self, gateway: GatewayFace, *, actor: str, event: str = DEFAULT_EVENT, entry: str = ""
    ) -> None:
        """`actor`: the name in the log for which the gateway signs. `entry`: the member that is addressed;
        "" for the first."""
        self._gateway = gateway
        self._actor = actor
        self._event = event
        self._entry = entry

    def _acquire(self, name: str, lease: float, wait: float, holder: bytes) -> Steps[Lease]:
        own = not holder  # of this call alone: whatever it holds, it holds by this call
        holder = holder or os.urandom(16)
        until = time.monotonic() + wait
        pause = POLL_MIN
        try:
            while True:
                asked = time.monotonic()
                left = max(0.0, until - asked)
                (result,) = yield self._submit(Lock(name, holder, _micro(lease), _micro(left)))
                if result.code == reasons.OK and result.state:
                    return _lease(name, result, asked)
                own = own or result.code == reasons.LOCK_WAITING  # it holds nothing from before
                if result.code == reasons.LOCK_WAITING and left:
                    yield min(pause, left)
                    pause = min(2 * pause, POLL_MAX)
                elif result.code != reasons.OK:  # a repeated answer shows no lease: ask again
                    raise _error(result)
        except BaseException:
            if wait and own:
                # As well as one can: a place left behind ends by its own deadline.
                with suppress(Overloaded, GatewayClosed):
                    self._submit(CancelLock(name, holder))
            raise

    def _ask(self, command: Renew | Unlock | CancelLock) -> Steps[Result]:
        (result,) = yield self._submit(command)
        if result.code != reasons.OK:
            raise _error(result)
        return result  # type: ignore[no-any-return]

    def _renew(self, lease: Lease, seconds: float) -> Steps[Lease]:
        renewal = Renew(lease.name, lease.holder, lease.token, _micro(seconds))
        asked = time.monotonic()
        while not (result := (yield from self._ask(renewal))).state:
            asked = time.monotonic()  # known by its code only (R16): a renewal may be asked again
        return _lease(lease.name, result, asked)

    def _get(self, name: str) -> Steps[LockRow | None]:
        # Ordered, so the answer is true when it is given. No lease has token 0: the row is shown, and stays.
        while True:
            (result,) = yield self._submit(Unlock(name, NOBODY, 0))
            if result.code == reasons.OK:
                return None
            if result.code != reasons.STALE_LEASE:
                raise _error(result)
            if result.state:  # a repeated answer shows no lease: ask again
                return canonical.decode(LockRow, result.state)

    def _submit(self, command: Lock | Renew | Unlock | CancelLock) -> Future[tuple[Result, ...]]:
        entry = self._entry or self._gateway.entry(command.name)
        operation = build(command, event=self._event, actor=self._actor, entry=entry)
        return self._gateway.submit([operation])


class LockClient(_Calls):
    """Locks of one event. Each `acquire` without a holder is an owner of its own, in one process too."""

    def acquire(self, name: str, lease: float, *, wait: float = 0.0, holder: bytes = b"") -> Lease:
        """Take the lock for `lease` seconds; if another one holds it, wait in its queue for at most `wait`
        seconds. `holder`: at most 32 bytes; b"" for a random one. Calls with the same holder are one request,
        so that a further one extends its lease; a holder that only extends calls `renew`, which takes no lock
        anew. Who gives up waiting leaves the queue; under a given holder, only once it was told to wait, for
        it may have a lease from before. Raises LockError, and CommandError for a name or a time out of
        bounds."""
        return waited(self._acquire(name, lease, wait, holder), PATIENCE)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Extend a lease, from now on; it keeps its token. Raises LockError (`stale_lock_token`) if it is
        over."""
        return waited(self._renew(lease, seconds), PATIENCE)

    def release(self, lease: Lease) -> None:
        """End a lease; one that is over counts as released, unless another one holds the lock by now. Raises
        LockError."""
        waited(self._ask(Unlock(lease.name, lease.holder, lease.token)), PATIENCE)

    def cancel(self, name: str, holder: bytes) -> None:
        """Leave the queue of a lock, and give it back if it was granted, by whichever call of this holder: a
        lease that it had before ends too. Raises LockError."""
        waited(self._ask(CancelLock(name, holder)), PATIENCE)

    def get(self, name: str) -> LockRow | None:
        """Who holds the lock, None if nobody does, as the cluster agrees: it is ordered in the log. Raises
        LockError."""
        return waited(self._get(name), PATIENCE)

    @contextmanager
    def held(self, name: str, lease: float, *, wait: float = 0.0) -> Iterator[Lease]:
        """Hold the lock during a block, which must end within the lease. Raises as `acquire`, and LockError
        if somebody else has got the lock meanwhile."""
        found = self.acquire(name, lease, wait=wait)
        try:
            yield found
        finally:
            self.release(found)


class AsyncLockClient(_Calls):
    """LockClient for an event loop. A cancelled `acquire` leaves the queue."""

    async def acquire(self, name: str, lease: float, *, wait: float = 0.0, holder: bytes = b"") -> Lease:
        """See LockClient."""
        return await awaited(self._acquire(name, lease, wait, holder), PATIENCE)

    async def renew(self, lease: Lease, seconds: float) -> Lease:
        """See LockClient."""
        return await awaited(self._renew(lease, seconds), PATIENCE)

    async def release(self, lease: Lease) -> None:
        """See LockClient."""
        await awaited(self._ask(Unlock(lease.name, lease.holder, lease.token)), PATIENCE)

    async def cancel(self, name: str, holder: bytes) -> None:
        """See LockClient."""
        await awaited(self._ask(CancelLock(name, holder)), PATIENCE)

    async def get(self, name: str) -> LockRow | None:
        """See LockClient."""
        return await awaited(self._get(name), PATIENCE)

    @asynccontextmanager
    async def held(self, name: str, lease: float, *, wait: float = 0.0) -> AsyncIterator[Lease]:
        """See LockClient."""
        found = await self.acquire(name, lease, wait=wait)
        try:
            yield found
        finally:
            await self.release(found)


def _lease(name: str, result: Result, asked: float) -> Lease:
    """`asked`: monotonic seconds when the operation was submitted that showed it."""
    row = canonical.decode(LockRow, result.state)
    return Lease(name, row.holder, row.token, row.ends, asked + (row.ends - result.timestamp) / SECOND)


def _error(result: Result) -> LockError:
    sentence = reasons.REASONS[result.code].sentence
    row = canonical.decode(LockRow, result.state) if result.state else None
    if row is not None and result.code in (reasons.LOCK_HELD, reasons.LOCK_WAITING):
        sentence = f"The lock is held by {row.principal} until {row.ends / SECOND:.3f} (Unix time)."
    return LockError(result.code, sentence, row)


def _micro(seconds: float) -> int:
    return round(seconds * SECOND)
