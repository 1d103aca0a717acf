"""Requests known and not yet executed, in order of arrival, shared fairly by principals and sessions (R20,
R30).

Every replica keeps them: the primary to propose, a backup to notice when the primary does not. A
request leaves the pool when its session number was executed, or when the state refuses it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator

import msgspec

from validators import canonical
from validators.consensus.askers import Askers
from validators.consensus.effects import Reason
from validators.consensus.membership import is_reconfiguration
from validators.consensus.messages import Bundle
from validators.consensus.pace import work_of
from validators.consensus.turns import Share, Turns, principal_of
from validators.consensus.verified import VerifiedBundle

__all__ = ["BATCH_HEADER", "FRAMING", "UNOPENED", "Key", "Pending", "Pool", "end_of", "key_of"]

Key = tuple[str, int, int, int] | bytes
UNOPENED = (0, 0)
"""Session of a bundle that opens one (R12)."""
FRAMING = 8
"""Bytes that one request costs in a batch besides its frame (MessagePack header of `bin`)."""
BATCH_HEADER = 32
"""Bytes of a batch besides its requests."""


def key_of(bundle: Bundle, digest: bytes) -> Key:
    """What may be executed only once: a session's number, or a session's opening (R12). Who signed it is
    part of it: whoever names another's session must not be taken for its owner."""
    if bundle.session == UNOPENED:
        # Two openings that the state takes for one (R13: actor, nonce, body) open one session; a client that
        # signs both must not make a correct primary's proposal look like a repetition. Those that it tells
        # apart may not share a place: a backup would wait for one while others hold it at the primary.
        told = [msgspec.structs.replace(each, entry="", valid_until=0) for each in bundle.operations[:1]]
        parts = (bundle.principal.encode(), b"\0", canonical.encode(told))
        return canonical.tagged_digest("dtvn/v1/opening", *parts)
    return (bundle.principal, *bundle.session, bundle.number)


def end_of(bundle: Bundle) -> int:
    """Batch time after which nothing in it can be executed any more, microseconds (R14)."""
    return max([operation.valid_until for operation in bundle.operations], default=0)


def share_of(bundle: Bundle) -> Share:
    """Whose part of the pool a request takes up: its session's, with its signer; an opening its signer's."""
    return (bundle.principal, *bundle.session) if bundle.session != UNOPENED else bundle.principal


class Pending:
    """One waiting request."""

    __slots__ = (
        "arrived",
        "behind",
        "bundle",
        "calm",
        "forwarded",
        "gone",
        "key",
        "operations",
        "operations_behind",
        "passed_on",
        "proposed",
        "share",
        "size",
        "work",
    )

    def __init__(self, bundle: VerifiedBundle, key: Key, arrived: int, *, calm: bool) -> None:
        inner = bundle.bundle
        self.bundle = bundle
        self.behind: VerifiedBundle | None = None
        """Another body of the same key, for when this one is gone and did not settle it ..."""
        self.passed_on: int | None = None
        """... and the member from which that came, None for a client."""
        self.key = key
        self.share = share_of(inner)
        self.arrived = arrived
        self.operations = len(inner.operations)
        self.operations_behind = 0
        """Of the body that stands behind it."""
        self.size = len(bundle.frame) + FRAMING
        """Bytes, with those of what stands behind it."""
        self.work = work_of(self.operations)
        self.calm = calm
        """It found less than a full batch before it, or its turn comes soon: a quick primary proposes it at
        once (R32)."""
        self.forwarded = 0
        """Monotonic nanoseconds of the last forward to a primary."""
        self.proposed = False
        self.gone = False


class _Held:
    """What waits of one session, or of one principal."""

    __slots__ = ("bytes", "operations", "requests", "work")

    def __init__(self) -> None:
        self.requests = self.operations = self.bytes = self.work = 0

    def add(self, item: Pending, sign: int) -> None:
        """One request more, or (-1) less."""
        self.requests += sign
        self.operations += sign * (item.operations + item.operations_behind)
        self.bytes += sign * item.size
        self.work += sign * item.work


NOTHING = _Held()
FEW = 3
"""Principals that may hold something beside one whose first request is to be proposed at once."""
PRINCIPAL_SHARE = 2
"""A principal may hold half of the pool, all its sessions together: it could open hundreds."""


class Pool:
    """Bounded by operations, bytes, and a share of both per session and per principal; over it clients hear
    `busy`."""

    def __init__(
        self, *, operations_max: int, bytes_max: int, client_share: int, batch_operations_max: int = 1_000
    ) -> None:
        self._batch_operations_max = batch_operations_max
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._client_share = client_share
        self._pending: OrderedDict[Key, Pending] = OrderedDict()
        self._held: dict[Share, _Held] = {}
        """Of each session."""
        self._held_by: dict[str, _Held] = {}
        """Of each principal."""
        self._sessions: Counter[str] = Counter()
        """Sessions of each principal that hold something."""
        self.operations = 0
        self._operations_behind = 0
        """Of the bodies that stand behind others: they take memory too."""
        self.bytes = 0
        self.work = 0
        """What waits, in units of `pace`."""
        self.overtakes = 0
        """Requests that left since the oldest became the oldest: all were first seen after it (R30)."""
        self.leading = False
        """Only a primary keeps queues to propose from."""
        self._turns = Turns()
        self.askers = Askers()
        self._told: dict[Key, int] = {}
        """What others wait for too and this primary has not proposed -> since when, the oldest first."""
        self.waiting_operations = 0
        """Operations not yet proposed (only while leading)."""
        self.waiting_bytes = 0
        self.waiting_work = 0

    def __len__(self) -> int:
        return len(self._pending)

    def get(self, key: Key) -> Pending | None:
        """The waiting request of a key."""
        return self._pending.get(key)

    def oldest(self) -> Pending | None:
        """The request that waits longest."""
        return next(iter(self._pending.values()), None)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._pending.values())

    def refuse(self, bundle: VerifiedBundle) -> Reason | None:
        """BUSY when the pool, or this session's or principal's share of it, is full."""
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
        """Whether `room` units of work are too few for this request beside what waits (R30). Half of the
        room is for whoever comes first, half in equal parts for principals that hold little, and in each
        part for sessions: one that asks ten times its share finds itself refused, not others. Who holds
        nothing is let in once."""
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

    def add(self, bundle: VerifiedBundle, key: Key, now: int, *, told: bool = True) -> Pending:
        """Take in a request that `refuse` let pass and whose key is not here; `told`: other members wait for
        it too."""
        item = Pending(bundle, key, now, calm=self._is_calm(bundle.bundle.principal))
        self.askers.came(bundle.bundle.principal, key, now)
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
            if told:
                self._told[key] = now
        return item

    def note_told(self, item: Pending, now: int) -> None:
        """Another member waits for it as well, and measures its primary by that (R32)."""
        if self.leading and not item.proposed:
            self._told.setdefault(item.key, now)

    def told_since(self) -> int | None:
        """Since when a request waits to be proposed that other members know, None for none."""
        return next(iter(self._told.values()), None)

    def put_behind(self, item: Pending, bundle: VerifiedBundle, member: int | None) -> bool:
        """This body, from a member or a client, takes the place behind `item`, if there is room for it."""
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
        """The key was executed or is refused for good; the request that waited under it."""
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
        self._told.pop(key, None)
        if self.leading and not item.proposed:
            self._count(item, -1)
        item.gone = True
        return item

    def lead(self) -> None:
        """Become the primary's pool: everything waits to be proposed, in order of arrival."""
        self.follow()
        self.leading = True
        for key, item in self._pending.items():
            self._enqueue(item)
            self._told[key] = item.arrived

    def follow(self) -> None:
        """Become a backup's pool."""
        self.leading = False
        self._turns.clear()
        self._told.clear()
        self.waiting_operations = self.waiting_bytes = self.waiting_work = 0
        for item in self._pending.values():
            item.proposed = False

    def take(self, operations_max: int, bytes_max: int, work_max: int | None = None) -> list[Pending]:
        """Requests for one batch, each in its turn."""
        taken: list[Pending] = []
        operations, size, work = 0, BATCH_HEADER, 0
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
            self._told.pop(item.key, None)
            self._count(item, -1)
            operations += item.operations
            size += item.size
            work += item.work
            taken.append(item)
            if alone:
                break
        return taken

    def oldest_waiting(self) -> int | None:
        """When the request arrived whose turn is next: the start of the batch delay."""
        item = self._turns.head()
        return None if item is None else item.arrived

    def _is_calm(self, principal: str) -> bool:
        """Principals take turns: who has nothing else waiting beside a few others waits for one batch of
        each, however much they ask. Else an accomplice that fills the pool would hide a slow primary."""
        if self.operations < self._batch_operations_max:
            return True
        return principal not in self._held_by and len(self._held_by) <= FEW

    def _enqueue(self, item: Pending) -> None:
        self._turns.add(item)
        self._count(item, 1)

    def _count(self, item: Pending, sign: int) -> None:
        """One more that waits to be proposed, or (-1) one less."""
        self.waiting_operations += sign * item.operations
        self.waiting_bytes += sign * item.size
        self.waiting_work += sign * item.work

    def _let_go(self, item: Pending) -> None:
        name = principal_of(item.share)
        self._held[item.share].add(item, -1)
        self._held_by[name].add(item, -1)
        self.askers.left(name, item.key)
        if not self._held[item.share].requests:
            del self._held[item.share]
            self._sessions[name] -= 1
        if not self._held_by[name].requests:
            del self._held_by[name], self._sessions[name]
