"""Inbound queues, one per peer, drained in turn: a flooding peer fills its own queue only.

P15. Votes come before bulk within a turn, but bulk keeps a share of each turn, so that a
member that floods votes cannot shut clients out. A peer that sends forged or malformed frames is
muted for a while: refusing a bad signature costs as much as accepting a good one. Turns depend on what
frames cost: after a frame with hundreds of signatures a peer lets others go first (decision 0156).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from dtvn.net.counters import LinkCounters
from dtvn.net.queues import Lane, lane_of
from dtvn.protocol.consensus.verified import Inbound, Peer

FRAMES_MAX = 4_096
"""Frames of one lane of one peer: more than a gateway may have in flight."""

BYTES_MAX = 32 * 1024 * 1024
"""Bytes of one peer over all its lanes."""

PEERS_MAX = 1_024
"""Peers with a queue. Only listed members and principals connect; of more than these, idle ones are
forgotten."""

BULK_SHARE = 4
"""At least one in BULK_SHARE frames of a full turn is bulk."""

STRIDE = 8
"""Frames taken from a peer before the next peer's turn; a peer in debt pays off STRIDE checks instead."""

DEBT_MAX = 4_096
"""Upper bound of a peer's debt in checks, so that a burst is not held against it for long."""

BAD_FRAMES = 16
"""Forged or malformed frames within FORGIVE after which a peer is muted."""

BULK_MUTE = 20_000_000
"""Nanoseconds for which bulk of a peer that went far beyond its limits is dropped before it is decoded: long
beside the time that a node takes for a frame, short beside a gateway's retry."""

MUTE_FIRST = 1_000_000_000
MUTE_MAX = 30_000_000_000
FORGIVE = 60_000_000_000
"""Nanoseconds. A mute doubles from MUTE_FIRST to MUTE_MAX; FORGIVE after a count began, both are reset."""


class _Queue:
    """The waiting frames, counters and debt of one peer."""

    __slots__ = (
        "bad",
        "bad_since",
        "bulk_muted_until",
        "bytes",
        "counters",
        "debt",
        "lanes",
        "mute",
        "muted_until",
    )

    def __init__(self) -> None:
        self.lanes: tuple[deque[Inbound], deque[Inbound]] = (deque(), deque())
        self.bytes = 0
        self.debt = 0
        self.counters = LinkCounters()
        self.bad = 0
        self.bad_since = 0
        self.mute = 0
        self.muted_until = 0
        self.bulk_muted_until = 0


class FromInbox:
    """The receiving half of ports.Transport; a subclass fills the inbox."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def receive(self, limit: int) -> Sequence[Inbound]:
        """See ports.Transport."""
        return self.inbox.drain(limit)

    def put_back(self, items: Sequence[Inbound]) -> None:
        """See ports.Transport."""
        self.inbox.put_back(items)

    def charge(self, peer: Peer, checks: int) -> None:
        """See ports.Transport."""
        self.inbox.charge(peer.name, checks)

    def mute_bulk(self, peer: Peer) -> None:
        """See ports.Transport."""
        self.inbox.mute_bulk(peer.name, time.monotonic_ns())

    def bad_frame(self, name: str) -> int:
        """Count a forged or malformed frame; return the nanoseconds of a mute that begins now, else 0."""
        return self.inbox.bad_frame(name, time.monotonic_ns())


class Inbox:
    """Bounded queues by peer name."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._waiting: tuple[dict[str, _Queue], dict[str, _Queue]] = ({}, {})
        self._bulk_first = False

    def __len__(self) -> int:
        return sum(len(q.lanes[0]) + len(q.lanes[1]) for q in self._queues.values())

    @property
    def empty(self) -> bool:
        """True when no frame waits."""
        return not self._waiting[0] and not self._waiting[1]

    def counters(self, name: str) -> LinkCounters:
        """Counters of the frames received from a peer."""
        return self._queue(name).counters

    def put(self, peer: Peer, frame: bytes, now: int) -> None:
        """Queue a frame of `peer`, taken from its socket at `now` (monotonic nanoseconds); dropped and
        counted when its queue is full or it is muted."""
        queue = self._queue(peer.name)
        queue.counters.frames_received += 1
        queue.counters.bytes_received += len(frame)
        lane = lane_of(frame)
        waiting = queue.lanes[lane]
        muted = now < (max(queue.bulk_muted_until, queue.muted_until) if lane else queue.muted_until)
        if muted or len(waiting) >= FRAMES_MAX or queue.bytes + len(frame) > BYTES_MAX:
            queue.counters.dropped_inbound += 1
            return
        waiting.append(Inbound(peer, frame, now))
        queue.bytes += len(frame)
        self._waiting[lane][peer.name] = queue

    def drain(self, limit: int) -> list[Inbound]:
        """At most `limit` frames: votes first, then a share for bulk, each peer in turn."""
        taken: list[Inbound] = []
        on_probation: dict[str, int] = {}
        if self._bulk_first:
            self._bulk_first = False
            self._take(taken, Lane.BULK, limit // BULK_SHARE, on_probation)
        self._take(taken, Lane.CONSENSUS, limit - limit // BULK_SHARE, on_probation)
        self._take(taken, Lane.BULK, limit, on_probation)
        self._take(taken, Lane.CONSENSUS, limit, on_probation)
        for name in on_probation:
            queue = self._queues[name]
            for lane in Lane:
                if queue.lanes[lane]:
                    self._waiting[lane][name] = queue
        return taken

    def put_back(self, items: Sequence[Inbound]) -> None:
        """Put back the last of the drained frames, ahead of later ones. If votes cost so much that the turn
        ended before bulk had its share, bulk comes first in the next turn."""
        lane = Lane.BULK
        for item in reversed(items):
            lane = lane_of(item.frame)
            queue = self._queues[item.peer.name]
            queue.lanes[lane].appendleft(item)
            queue.bytes += len(item.frame)
            self._waiting[lane][item.peer.name] = queue
        self._bulk_first = lane is Lane.CONSENSUS

    def charge(self, name: str, checks: int) -> None:
        """Add to a peer's debt the signature `checks` that a frame cost beyond its first one."""
        queue = self._queue(name)
        queue.debt = min(queue.debt + checks, DEBT_MAX)

    def mute_bulk(self, name: str, now: int) -> None:
        """Drop the bulk of a peer, what waits and what comes within BULK_MUTE."""
        queue = self._queue(name)
        queue.bulk_muted_until = now + BULK_MUTE
        frames = queue.lanes[Lane.BULK]
        queue.bytes -= sum(len(item.frame) for item in frames)
        queue.counters.dropped_inbound += len(frames)
        frames.clear()
        self._waiting[Lane.BULK].pop(name, None)

    def bad_frame(self, name: str, now: int) -> int:
        """Count a forged or malformed frame; return the nanoseconds of a mute that begins now, else 0."""
        queue = self._queue(name)
        queue.counters.bad_frames += 1
        if now - queue.bad_since > FORGIVE:
            queue.bad = 0
            queue.mute = 0
            queue.bad_since = now
        queue.bad += 1
        if queue.bad < BAD_FRAMES or now < queue.muted_until:
            return 0
        queue.bad = 0
        queue.bad_since = now
        queue.mute = min(2 * queue.mute or MUTE_FIRST, MUTE_MAX)
        queue.muted_until = now + queue.mute
        queue.counters.mutes += 1
        self._forget(name, queue)
        return queue.mute

    def follow(self, places: Mapping[str, int]) -> None:
        """Another epoch begins: members' frames that wait get the members' indices in it, by name; those of
        former members are dropped. Other peers without frames or faults are forgotten."""
        for name, queue in list(self._queues.items()):
            for lane, frames in enumerate(queue.lanes):
                kept = [_in_place(item, places.get(name)) for item in frames]
                queue.bytes -= sum(len(item.frame) for item in frames)
                frames.clear()
                frames.extend(item for item in kept if item is not None)
                queue.bytes += sum(len(item.frame) for item in frames)
                if not frames:
                    self._waiting[lane].pop(name, None)
            if name not in places and not (any(queue.lanes) or queue.bad or queue.mute):
                del self._queues[name]

    def forget(self, name: str) -> None:
        """Forget a peer that is linked no longer, unless it has faults; frames that wait are dropped."""
        queue = self._queues.get(name)
        if queue is not None and not (queue.bad or queue.mute):
            self._forget(name, queue)
            del self._queues[name]

    def _forget_one(self) -> None:
        """Forget the peer that was first known of those without frames, and without faults if there is one;
        raise ValueError if frames of all peers wait."""
        idle = [(bool(q.bad or q.mute), name) for name, q in self._queues.items() if not any(q.lanes)]
        if not idle:
            raise ValueError(f"frames of more than {PEERS_MAX} peers wait, and only listed ones are let in")
        del self._queues[min(idle, key=lambda each: each[0])[1]]

    def _take(self, taken: list[Inbound], lane: Lane, limit: int, on_probation: dict[str, int]) -> None:
        """Move frames of one lane until `taken` holds `limit`. A peer that was served, or is in debt while
        others wait, goes to the end of the line. A peer with recent bad frames gets at most BAD_FRAMES
        frames of one turn."""
        waiting = self._waiting[lane]
        while waiting and len(taken) < limit:
            name = next(iter(waiting))
            queue = waiting.pop(name)
            if queue.debt and waiting:
                queue.debt = max(0, queue.debt - STRIDE)
                waiting[name] = queue
                continue
            frames = queue.lanes[lane]
            count = min(STRIDE, len(frames), limit - len(taken))
            if queue.bad or queue.mute:
                left = on_probation.setdefault(name, BAD_FRAMES)
                count = min(count, left)
                on_probation[name] = left - count
                if not count:
                    continue
            for _ in range(count):
                item = frames.popleft()
                queue.bytes -= len(item.frame)
                taken.append(item)
            if frames:
                waiting[name] = queue

    def _forget(self, name: str, queue: _Queue) -> None:
        for lane, frames in enumerate(queue.lanes):
            queue.counters.dropped_inbound += len(frames)
            frames.clear()
            self._waiting[lane].pop(name, None)
        queue.bytes = 0

    def _queue(self, name: str) -> _Queue:
        queue = self._queues.get(name)
        if queue is None:
            if len(self._queues) >= PEERS_MAX:
                self._forget_one()
            queue = self._queues[name] = _Queue()
        return queue


def _in_place(item: Inbound, place: int | None) -> Inbound | None:
    """The frame of a member with its index in another epoch, or None if it has none; a principal's frame
    unchanged."""
    peer = item.peer
    if peer.member in (None, place):
        return item
    if place is None:
        return None
    return Inbound(Peer(name=peer.name, member=place, route=peer.route), item.frame, item.taken)
