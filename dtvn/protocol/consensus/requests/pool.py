"""The pool of requests received and not yet executed, in order of arrival; principals and sessions have fair
shares of it (R20, R30).

Every replica has a pool: the primary proposes from it, a backup notices requests that the primary does not
propose. A request leaves the pool when its session number was executed, or when the state refuses it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.membership import is_reconfiguration
from dtvn.protocol.consensus.messages import UNOPENED, Bundle
from dtvn.protocol.consensus.request_key import BATCH_HEADER, FRAMING, Key
from dtvn.protocol.consensus.requests.active_clients import ActiveClients
from dtvn.protocol.consensus.requests.fair_queue import FairQueue
from dtvn.protocol.consensus.requests.pending import Pending, Share, principal_of, share_of
from dtvn.protocol.consensus.requests.throughput import LEAST, work_of
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.knobs import hit


class _Held:
    """Totals of the waiting requests of one session or one principal."""

    __slots__ = ("bytes", "operations", "requests", "work")

    def __init__(self) -> None:
        self.requests = self.operations = self.bytes = self.work = 0

    def add(self, item: Pending, sign: int) -> None:
        """Adds a request (`sign` 1) or removes it (-1)."""
        self.requests += sign
        self.operations += sign * (item.operations + item.operations_behind)
        self.bytes += sign * item.size
        self.work += sign * item.work


NOTHING = _Held()
FEW = 3
"""Maximum number of other principals with waiting requests at which a principal's first request counts as
calm."""
PRINCIPAL_SHARE = 2
"""A principal may hold at most 1/PRINCIPAL_SHARE of the pool over all its sessions, since it can open
hundreds of them."""
OPENINGS_MAX = 32
"""Openings of one principal that may wait at once: a client process needs one session."""


class Pool:
    """The waiting requests, bounded in operations and bytes, in total and per session and per principal.
    Requests above a bound are refused as `busy`."""

    def __init__(
        self, *, operations_max: int, bytes_max: int, client_share: int, batch_operations_max: int = 1_000
    ) -> None:
        self._batch_operations_max = batch_operations_max
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._client_share = client_share
        self._pending: OrderedDict[Key, Pending] = OrderedDict()
        self._held: dict[Share, _Held] = {}
        """Totals of each session."""
        self._held_by: dict[str, _Held] = {}
        """Totals of each principal."""
        self._sessions: Counter[str] = Counter()
        """Number of sessions with waiting requests, per principal."""
        self.operations = 0
        self._operations_behind = 0
        """Operations of the bundles that wait behind others with the same key: they take memory too."""
        self.bytes = 0
        self.work = 0
        """Work of all waiting requests, in the units of `throughput.work_of`."""
        self.overtakes = 0
        """Requests that left since the current oldest one became the oldest; all arrived after it (R30)."""
        self.leading = False
        """Whether this is the primary's pool: only then are there queues to propose from."""
        self._turns = FairQueue()
        self.active_clients = ActiveClients()
        self._told: dict[Key, int] = {}
        """Requests that other members wait for, expect soon, and this primary has not proposed -> monotonic
        time since when it knows that, the oldest first."""
        self._told_work: Counter[tuple[int, str]] = Counter()
        """Work of each principal that this primary knows to wait at a member and has not proposed."""
        self.waiting_operations = 0
        """Operations not yet proposed (only while leading)."""
        self.waiting_bytes = 0
        self.waiting_work = 0

    def __len__(self) -> int:
        return len(self._pending)

    def get(self, key: Key) -> Pending | None:
        """The waiting request with this key, or None."""
        return self._pending.get(key)

    def oldest(self) -> Pending | None:
        """The request that has waited longest, or None if the pool is empty."""
        return next(iter(self._pending.values()), None)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._pending.values())

    def refuse(self, bundle: VerifiedBundle) -> Reason | None:
        """Returns BUSY if the pool, or this session's or principal's share of it, is full; else None."""
        inner = bundle.bundle
        if inner.session == UNOPENED and self._held.get(inner.principal, NOTHING).requests >= OPENINGS_MAX:
            return Reason.BUSY
        return self._refuse(bundle.bundle, len(bundle.bundle.operations), len(bundle.frame) + FRAMING)

    def _refuse(self, inner: Bundle, operations: int, size: int) -> Reason | None:
        all_operations = self.operations + self._operations_behind
        if all_operations + operations > self._operations_max or self.bytes + size > self._bytes_max:
            return Reason.BUSY
        share = share_of(inner)
        holders = (
            (self._held.get(share, NOTHING), self._client_share),
            (self._held_by.get(inner.principal, NOTHING), PRINCIPAL_SHARE),
        )
        for held, parts in holders:
            if (held.operations + operations) * parts > self._operations_max:
                return Reason.BUSY
            if (held.bytes + size) * parts > self._bytes_max:
                return Reason.BUSY
        return None

    def crowded(self, bundle: VerifiedBundle, room: int) -> bool:
        """Whether `room` units of work are too few for this request and those that wait (R30). Half of the
        room goes to requests in order of arrival. The other half is divided equally among principals, and
        each part among the principal's sessions, so that a client that sends ten times its share is refused
        itself, not others. A principal with no waiting request may always add one."""
        inner = bundle.bundle
        work = work_of(len(inner.operations))
        if self.work + work <= room // 2:
            return False
        share, name = share_of(inner), inner.principal
        held, all_held = self._held.get(share, NOTHING), self._held_by.get(name, NOTHING)
        principals = len(self._held_by) + (name not in self._held_by)
        sessions = self._sessions[name] + (share not in self._held)
        if principals > 1 and all_held.work and all_held.work + work > room // principals:
            return True
        part = room // 2 // max(2, principals * sessions)
        return held.work > 0 and (held.work + work > part or self.work + work > room)

    def add(
        self, bundle: VerifiedBundle, key: Key, now: int, *, told: bool = True, member: int | None = None
    ) -> Pending:
        """Adds a request that `refuse` accepted and whose key is not in the pool. `told`: other members wait
        for it too; `member`: the one that forwarded it."""
        principal = bundle.bundle.principal
        calm = self._is_calm(principal)
        self.active_clients.came(principal, key, now)
        item = Pending(bundle, key, now, calm=calm, ahead=self._ahead(principal, now))
        if not self._pending:
            self.overtakes = 0
        self._pending[key] = item
        if item.share not in self._held:
            self._held[item.share] = _Held()
            self._sessions[bundle.bundle.principal] += 1
        self._held[item.share].add(item, 1)
        self._held_by.setdefault(bundle.bundle.principal, _Held()).add(item, 1)
        self.operations += item.operations
        self.bytes += item.size
        self.work += item.work
        if self.leading:
            self._enqueue(item)
            if member is not None:
                self.note_told(item, member, now)
            elif told:
                self._told[key] = now
        return item

    def note_told(self, item: Pending, member: int, now: int) -> None:
        """Notes that another member waits for the request too and judges this primary by it (R32). The member
        forwards in order, so it has what it forwarded before: a principal's requests behind LEAST of its work
        there may take their time (`_ahead`), or a flood sent to all members would be proposed at once."""
        if not self.leading or item.proposed or member in item.told_by:
            return
        of = member, principal_of(item.share)
        if self._told_work[of] < LEAST:
            self._told.setdefault(item.key, now)
        item.told_by += (member,)
        self._told_work[of] += item.work

    def told_since(self) -> int | None:
        """Monotonic time since when a request that other members know waits to be proposed, or None."""
        return next(iter(self._told.values()), None)

    def put_behind(self, item: Pending, bundle: VerifiedBundle, member: int | None) -> bool:
        """Puts a bundle with the same key behind `item`, in place of an earlier one there; returns False if
        the pool has no room for it. `member`: the member it came from, None for a client."""
        more = len(bundle.frame) + FRAMING
        operations = len(bundle.bundle.operations) - item.operations_behind
        if item.behind is not None:
            more -= len(item.behind.frame) + FRAMING
        if self._refuse(bundle.bundle, operations, more) is not None:
            return False
        item.behind, item.passed_on = bundle, member
        item.size += more
        item.operations_behind += operations
        self.bytes += more
        self._operations_behind += operations
        for held in (self._held[item.share], self._held_by[principal_of(item.share)]):
            held.bytes += more
            held.operations += operations
        if self.leading and not item.proposed:
            self.waiting_bytes += more
        return True

    def remove(self, key: Key) -> Pending | None:
        """Removes the request of a key that was executed or is refused finally; returns it, or None."""
        item = self._pending.get(key)
        if item is None:
            return None
        self.overtakes = 0 if item is self.oldest() else self.overtakes + 1
        del self._pending[key]
        self.operations -= item.operations
        self._operations_behind -= item.operations_behind
        self.bytes -= item.size
        self.work -= item.work
        self._let_go(item)
        self._untold(item)
        if self.leading and not item.proposed:
            self._count(item, -1)
        item.gone = True
        return item

    def on_opened(self, principals: Collection[str], now: int) -> None:
        """Openings of these principals were executed, so their other openings wait since now. A caller that
        opens one session after the other causes their wait itself, and the members may hold different ones. A
        primary that executes none of them is to blame (R30)."""
        if self.leading or not any(name in self._held for name in principals):
            return
        for key, item in [*self._pending.items()]:
            if item.share in principals:
                if item is self.oldest():
                    self.overtakes = 0
                item.arrived = now
                self._pending.move_to_end(key)

    def lead(self) -> None:
        """Becomes the primary's pool: all requests wait to be proposed, in order of arrival."""
        self.follow()
        self.leading = True
        for key, item in self._pending.items():
            self._enqueue(item)
            self._told[key] = item.arrived

    def follow(self) -> None:
        """Becomes a backup's pool."""
        self.leading = False
        self._turns.clear()
        self._told.clear()
        self._told_work.clear()
        self.waiting_operations = self.waiting_bytes = self.waiting_work = 0
        for item in self._pending.values():
            item.proposed, item.told_by = False, ()

    def take(self, operations_max: int, bytes_max: int, work_max: int | None = None) -> list[Pending]:
        """Takes the requests for one batch from the queues, in fair order. A reconfiguration is taken alone.
        The first request is taken even if it exceeds a limit."""
        taken: list[Pending] = []
        operations, size, work = 0, BATCH_HEADER, 0
        operations_max = 1 if hit("pool.one_request") else operations_max
        while (item := self._turns.head()) is not None:
            if taken and (operations + item.operations > operations_max or size + item.size > bytes_max):
                break
            if taken and work_max is not None and work + item.work > work_max:
                break
            alone = is_reconfiguration(item.bundle.bundle)
            if taken and alone:
                break
            self._turns.take()
            item.proposed = True
            self._untold(item)
            self._count(item, -1)
            operations += item.operations
            size += item.size
            work += item.work
            taken.append(item)
            if alone:
                break
        return taken

    def oldest_waiting(self) -> int | None:
        """Arrival time of the next request to propose, from which the batch delay counts; None if no request
        waits."""
        item = self._turns.head()
        return None if item is None else item.arrived

    def _is_calm(self, principal: str) -> bool:
        """Whether a new request of this principal is calm (Pending.calm). Principals take turns, so the first
        request of a principal waits at most for one batch of each of the few others, however many requests
        they have. Without this rule an accomplice that fills the pool would hide a slow primary."""
        if self.operations < self._batch_operations_max:
            return True
        return principal not in self._held_by and len(self._held_by) <= FEW

    def _ahead(self, principal: str, now: int) -> int:
        """See Pending.ahead. While several principals are active, a primary that is not slow keeps LEAST work
        or one request in flight and serves them in turn, so a principal waits for its own requests (R30)."""
        active, held = self.active_clients.count(now), self._held_by.get(principal, NOTHING)
        return active * min(held.work // LEAST, held.requests) if active > 1 else 0

    def _untold(self, item: Pending) -> None:
        self._told.pop(item.key, None)
        for member in item.told_by:
            of = member, principal_of(item.share)
            self._told_work[of] -= item.work
            if not self._told_work[of]:
                del self._told_work[of]
        item.told_by = ()

    def _enqueue(self, item: Pending) -> None:
        self._turns.add(item)
        self._count(item, 1)

    def _count(self, item: Pending, sign: int) -> None:
        """Adds a request to the totals of those not yet proposed (`sign` 1) or removes it (-1)."""
        self.waiting_operations += sign * item.operations
        self.waiting_bytes += sign * item.size
        self.waiting_work += sign * item.work

    def _let_go(self, item: Pending) -> None:
        name = principal_of(item.share)
        self._held[item.share].add(item, -1)
        self._held_by[name].add(item, -1)
        self.active_clients.left(name, item.key)
        if not self._held[item.share].requests:
            del self._held[item.share]
            self._sessions[name] -= 1
        if not self._held_by[name].requests:
            del self._held_by[name], self._sessions[name]
