"""Requests known and not yet executed, in order of arrival, shared fairly by sessions (R20, R30).

Every replica keeps them: the primary to propose, a backup to notice when the primary does not. A
request leaves the pool when its session number was executed, or when the state refuses it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from validators import canonical
from validators.consensus.effects import Reason
from validators.consensus.membership import is_reconfiguration
from validators.consensus.messages import Bundle
from validators.consensus.pace import work_of
from validators.consensus.verified import VerifiedBundle

__all__ = ["BATCH_HEADER", "FRAMING", "Key", "Pending", "Pool", "key_of"]

Key = tuple[str, int, int, int] | bytes
Share = tuple[str, int, int] | str
FRAMING = 8
"""Bytes that one request costs in a batch besides its frame (MessagePack header of `bin`)."""
BATCH_HEADER = 32
"""Bytes of a batch besides its requests."""


def key_of(bundle: Bundle, digest: bytes) -> Key:
    """What may be executed only once: a session's number, or a session's opening (R12). Who signed it is
    part of it: whoever names another's session must not be taken for its owner."""
    if bundle.session == (0, 0):
        # Two openings with one nonce open one session; a client that signs both must not make a correct
        # primary's proposal look like a repetition.
        nonce = bundle.operations[0].nonce if bundle.operations else b""
        return canonical.tagged_digest("dtvn/v1/opening", bundle.principal.encode(), b"\0", nonce)
    return (bundle.principal, *bundle.session, bundle.number)


def share_of(bundle: Bundle) -> Share:
    """Whose part of the pool a request takes up: its session's, with its signer; an opening its signer's."""
    return (bundle.principal, *bundle.session) if bundle.session != (0, 0) else bundle.principal


class Pending:
    """One waiting request."""

    __slots__ = (
        "arrived",
        "bundle",
        "calm",
        "forwarded",
        "gone",
        "key",
        "operations",
        "proposed",
        "share",
        "size",
        "work",
    )

    def __init__(self, bundle: VerifiedBundle, key: Key, arrived: int, *, calm: bool) -> None:
        inner = bundle.bundle
        self.bundle = bundle
        self.key = key
        self.share = share_of(inner)
        self.arrived = arrived
        self.operations = len(inner.operations)
        self.size = len(bundle.frame) + FRAMING
        self.work = work_of(self.operations)
        self.calm = calm
        """It found less than a full batch before it: a quick primary proposes it at once (R32)."""
        self.forwarded = 0
        """Monotonic nanoseconds of the last forward to a primary."""
        self.proposed = False
        self.gone = False


class Pool:
    """Bounded by operations, bytes, and a share of both per session; over it clients hear `busy`."""

    def __init__(
        self, *, operations_max: int, bytes_max: int, client_share: int, batch_operations_max: int = 1_000
    ) -> None:
        self._batch_operations_max = batch_operations_max
        self._operations_max = operations_max
        self._bytes_max = bytes_max
        self._client_share = client_share
        self._pending: OrderedDict[Key, Pending] = OrderedDict()
        self._held: dict[Share, tuple[int, int, int]] = {}
        """Operations, bytes and work of each session."""
        self.operations = 0
        self.bytes = 0
        self.work = 0
        """What waits, in units of `pace`."""
        self.overtakes = 0
        """Requests that left since the oldest became the oldest: all were first seen after it (R30)."""
        self.leading = False
        """Only a primary keeps queues to propose from."""
        self._queues: dict[Share, deque[Pending]] = {}
        self._rotation: deque[Share] = deque()
        self.waiting_operations = 0
        """Operations not yet proposed (only while leading)."""
        self.waiting_bytes = 0

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
        """BUSY when the pool, or this session's share of it, is full."""
        inner = bundle.bundle
        operations, size = len(inner.operations), len(bundle.frame) + FRAMING
        if self.operations + operations > self._operations_max:
            return Reason.BUSY
        if self.bytes + size > self._bytes_max:
            return Reason.BUSY
        share = share_of(inner)
        held_operations, held_bytes, _work = self._held.get(share, (0, 0, 0))
        if (held_operations + operations) * self._client_share > self._operations_max:
            return Reason.BUSY
        if (held_bytes + size) * self._client_share > self._bytes_max:
            return Reason.BUSY
        return None

    def crowded(self, bundle: VerifiedBundle, room: int) -> bool:
        """Whether `room` units of work are too few for this request beside what waits (R30). Half of the
        room is for whoever comes first, half in equal parts for sessions that hold little: one that asks
        ten times its share finds itself refused, not others. Who holds nothing is let in once."""
        inner = bundle.bundle
        work = work_of(len(inner.operations))
        if self.work + work <= room // 2:
            return False
        share = share_of(inner)
        held = self._held.get(share, (0, 0, 0))[2]
        sessions = max(2, len(self._held) + (share not in self._held))
        return held > 0 and (held + work > room // 2 // sessions or self.work + work > room)

    def add(self, bundle: VerifiedBundle, key: Key, now: int) -> Pending:
        """Take in a request that `refuse` let pass and whose key is not here."""
        item = Pending(bundle, key, now, calm=self.operations < self._batch_operations_max)
        if not self._pending:
            self.overtakes = 0
        self._pending[key] = item
        held_operations, held_bytes, held_work = self._held.get(item.share, (0, 0, 0))
        self._held[item.share] = (
            held_operations + item.operations,
            held_bytes + item.size,
            held_work + item.work,
        )
        self.operations += item.operations
        self.bytes += item.size
        self.work += item.work
        if self.leading:
            self._enqueue(item)
        return item

    def remove(self, key: Key) -> Pending | None:
        """The key was executed or is refused for good; the request that waited under it."""
        item = self._pending.get(key)
        if item is None:
            return None
        self.overtakes = 0 if item is self.oldest() else self.overtakes + 1
        del self._pending[key]
        self.operations -= item.operations
        self.bytes -= item.size
        self.work -= item.work
        held_operations, held_bytes, held_work = self._held[item.share]
        if held_operations == item.operations:
            del self._held[item.share]
        else:
            self._held[item.share] = (
                held_operations - item.operations,
                held_bytes - item.size,
                held_work - item.work,
            )
        if self.leading and not item.proposed:
            self.waiting_operations -= item.operations
            self.waiting_bytes -= item.size
        item.gone = True
        return item

    def lead(self) -> None:
        """Become the primary's pool: everything waits to be proposed, in order of arrival."""
        self.follow()
        self.leading = True
        for item in self._pending.values():
            self._enqueue(item)

    def follow(self) -> None:
        """Become a backup's pool."""
        self.leading = False
        self._queues.clear()
        self._rotation.clear()
        self.waiting_operations = self.waiting_bytes = 0
        for item in self._pending.values():
            item.proposed = False

    def take(self, operations_max: int, bytes_max: int) -> list[Pending]:
        """Requests for one batch: one of each session in turn, in each session the oldest first."""
        taken: list[Pending] = []
        operations, size = 0, BATCH_HEADER
        while self._rotation:
            share = self._rotation[0]
            queue = self._queues[share]
            while queue and queue[0].gone:
                queue.popleft()
            if not queue:
                self._rotation.popleft()
                del self._queues[share]
                continue
            item = queue[0]
            if taken and (operations + item.operations > operations_max or size + item.size > bytes_max):
                break
            alone = is_reconfiguration(item.bundle.bundle)
            if taken and alone:
                break
            queue.popleft()
            self._rotation.rotate(-1)
            item.proposed = True
            self.waiting_operations -= item.operations
            self.waiting_bytes -= item.size
            operations += item.operations
            size += item.size
            taken.append(item)
            if alone:
                break
        return taken

    def oldest_waiting(self) -> int | None:
        """When the head of the next session's queue arrived: the start of the batch delay."""
        for share in self._rotation:
            for item in self._queues[share]:
                if not item.gone:
                    return item.arrived
        return None

    def _enqueue(self, item: Pending) -> None:
        queue = self._queues.get(item.share)
        if queue is None:
            queue = self._queues[item.share] = deque()
            self._rotation.append(item.share)
        queue.append(item)
        self.waiting_operations += item.operations
        self.waiting_bytes += item.size
