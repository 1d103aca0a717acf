"""Serves the durable log: ranges on request, and new entries to subscribers as they arrive (R23, R28).

Entries are sent with their proofs: q COMMITs of one view each, or one checkpoint certificate for the range.
A subscriber that has the entries gets each new checkpoint certificate separately, so that it can compare its
state (R28). The receiver verifies all of it; the server is not trusted.

A subscriber beyond its share is refused (`Answer` number 0, code `busy`), and gets a place here in its turn.
The addresses of other members in that answer are for operators and for programs that know only this member:
the learner knows the members of its sealed epoch, and uses no address that a single member names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, Now, Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.places import Places
from dtvn.protocol.host.ports import Journal, Signer, Transport
from dtvn.protocol.host.time_share import TimeShare

SUBSCRIBERS_MAX = 64
"""Most subscribers of one node; a further one must ask another node, or wait for a place."""

FOLLOW_TIME = 3_000_000_000
"""Nanoseconds for which a Follow is valid."""

RANGE_BYTES_MAX = 1024 * 1024
"""Most bytes of batch bodies in one answer: under ten milliseconds of the loop."""

RANGE_ENTRIES_MAX = 256
"""Most entries in one answer."""

COMMITS_MAX = 256
"""Most COMMITs in one answer, unless its first entry alone has more: a member that is still in an earlier,
smaller epoch accepts no more statements in one message (consensus.config: statements_max)."""

CERTIFIED_RANGE_BYTES_MAX = 9 * 1024 * 1024
"""Most bytes of a range up to its checkpoint, which must fit one frame: the wire limit less framing."""

REQUESTS_MAX = 128
"""Most range requests waiting; further ones are dropped, and repeated by their senders."""

PROOF_EVERY = 200_000_000
"""Nanoseconds between two times that one peer is sent the same epoch change proof, and that one connection is
refused for lack of a place."""

CONNECTIONS_MAX = 4
"""Most of these requests, and most subscribers, that may belong to one principal or member."""

RANGES_PER_TURN = 2
"""Most ranges read from the ledger in one turn, in rotation, so that log requests never delay votes."""

ENTRY_COST = 6_000
"""Nanoseconds of this process for one entry of a range: 256 small entries take 3 ms in all."""
BYTE_COST = 10
"""Nanoseconds of this process for one byte of a range."""


class _Subscriber(msgspec.Struct):
    peer: Peer
    next: int
    until: int
    in_vain: bool = False
    """The entries it needs are not here (a snapshot was installed), or not certified yet. They are not looked
    up again before its next Follow or the next checkpoint, or three such subscribers would keep this node
    awake permanently."""


class LogServer:
    """Serves the log of one host; only the host calls it."""

    def __init__(
        self,
        journal: Journal,
        transport: Transport,
        signer: Signer,
        elsewhere: Callable[[], Mapping[str, tuple[str, int]]] = dict,
    ) -> None:
        """`elsewhere` returns the addresses (host, port) of the members by id."""
        self._elsewhere = elsewhere
        self._places = Places(most=SUBSCRIBERS_MAX, share=CONNECTIONS_MAX)
        self._journal = journal
        self._transport = transport
        self._signer = signer
        self._subscribers: dict[str, _Subscriber] = {}
        self._requests: dict[str, tuple[Peer, int, int]] = {}
        self._ranges = 0
        """Ranges that may still be read in this turn."""
        self._share = TimeShare()
        """The time that reading ranges may take."""
        self._fresh: dict[int, EntryRecord] = {}
        self._stable: CheckpointRecord | None = None
        self._last = 0
        self._behind = False
        self._wanted = False
        """Whether a request arrived since the last `push`."""
        self._whole = False
        self._handed: dict[str, int] = {}
        """`peer/sequence` -> when the proof at this sequence may be sent again, over all its connections."""
        self._turned_away: dict[str, int] = {}
        """Connection -> when it may be refused again for lack of a place."""

    def begin(self, last: int) -> None:
        """Set the number of entries in the log at start (1..last)."""
        self._last = last

    def on_request(self, peer: Peer, message: m.FetchEntries | m.Follow, now: Now) -> None:
        """Note a request; `push` answers it at the end of the turn, when the turn is durable."""
        self._wanted = True
        name = _name(peer)
        if isinstance(message, m.FetchEntries):
            if 1 <= message.first <= message.last and _has_room(self._requests, peer, name, REQUESTS_MAX):
                self._requests[name] = (peer, message.first, message.last)
            return
        self._forget_expired(now)
        placed, loser = self._places.take(name, now.monotonic)
        if loser:
            self._turn_away(self._subscribers.pop(loser).peer, now)
        if not placed:
            self._turn_away(peer, now)
        else:
            until = now.monotonic + FOLLOW_TIME
            self._subscribers[name] = _Subscriber(peer=peer, next=max(1, message.first), until=until)

    def on_lagging(self, peer: Peer, sequence: int, now: Now) -> None:
        """Send a member of a past epoch the certificate at `sequence` that ended its epoch, at most once per
        `PROOF_EVERY` (R35)."""
        if not _is_due(self._handed, peer, f"{peer.name}/{sequence}", now):
            return
        checkpoint = self._journal.checkpoint_from(sequence)
        if checkpoint is not None and checkpoint.sequence == sequence:
            self._transport.answer(peer, self._signer.link(_message([], checkpoint.frames)))

    def _turn_away(self, peer: Peer, now: Now) -> None:
        """Refuse a subscriber because no place is free, and name the other members, which may have one."""
        if not _is_due(self._turned_away, peer, _name(peer), now):
            return
        members = {name: f"{host}:{port}" for name, (host, port) in self._elsewhere().items()}
        text = msgspec.json.encode({"members": members}).decode()
        self._transport.answer(peer, self._signer.link(m.Answer(0, Reason.BUSY, text)))

    def on_entry(self, record: EntryRecord) -> None:
        """Note a newly durable entry."""
        self._last = record.entry.sequence
        if self._subscribers:
            self._fresh[record.entry.sequence] = record

    def on_checkpoint(self, record: CheckpointRecord) -> None:
        """Note a newly stable checkpoint."""
        self._stable = record
        for subscriber in self._subscribers.values():
            subscriber.in_vain = False

    def push(self, now: Now) -> None:
        """Answer requests and advance subscribers, one bounded range each."""
        if not self._wanted and not self._fresh and self._stable is None and not self._behind:
            return  # most turns: only votes came
        self._wanted = False
        self._ranges = RANGES_PER_TURN
        self._share.save(now.monotonic)
        while self._requests and self._may_read(now):
            peer, first, last = self._requests.pop(next(iter(self._requests)))
            self._send_range(peer, first, last)
        self._behind = bool(self._requests)
        self._whole = all(record.commits for record in self._fresh.values()) and (
            sum(len(record.body) for record in self._fresh.values()) <= RANGE_BYTES_MAX
            and _commits(self._fresh.values()) <= COMMITS_MAX
        )
        self._forget_expired(now)
        encoded: dict[tuple[int, int], bytes] = {}
        for name in list(self._subscribers):
            self._advance(name, self._subscribers[name], encoded, now)
        self._fresh.clear()
        if self._stable is not None:
            frame = self._signer.link(_message([], self._stable.frames))
            for subscriber in self._subscribers.values():
                if subscriber.next > self._stable.sequence:
                    self._transport.answer(subscriber.peer, frame)
            self._stable = None

    def deadline(self) -> int | None:
        """Monotonic time of the next range; None if no peer waits for one."""
        return self._share.rested_at if self._behind else None

    def _forget_expired(self, now: Now) -> None:
        """Drop subscribers that did not renew their Follow."""
        for name in [n for n, f in self._subscribers.items() if f.until < now.monotonic]:
            del self._subscribers[name]
            self._places.leave(name)

    def _may_read(self, now: Now) -> bool:
        """Whether another range may be read in this turn."""
        return self._ranges > 0 and now.monotonic >= self._share.rested_at

    def _advance(
        self, name: str, subscriber: _Subscriber, encoded: dict[tuple[int, int], bytes], now: Now
    ) -> None:
        first = subscriber.next
        if self._whole and first in self._fresh:
            last = max(self._fresh)
            frame = encoded.get((first, last))
            if frame is None:
                records = [self._fresh[s] for s in range(first, last + 1) if s in self._fresh]
                frame = self._signer.link(_message(records, ()))
                encoded[first, last] = frame
            self._transport.answer(subscriber.peer, frame)
            subscriber.next = last + 1
            return
        if first > self._last or subscriber.in_vain:
            return
        if not self._may_read(now):
            self._behind = True
            return
        sent = self._send_range(subscriber.peer, first, first + RANGE_ENTRIES_MAX - 1)
        # A served subscriber goes to the end of the queue.
        self._subscribers[name] = self._subscribers.pop(name)
        subscriber.in_vain = not sent
        if sent:
            subscriber.next = sent + 1
            self._behind = self._behind or subscriber.next <= self._last

    def _send_range(self, peer: Peer, first: int, last: int) -> int:
        """Send entries from `first` on; returns the last sequence sent, 0 if none was sent."""
        if first > self._last:
            return 0
        self._ranges -= 1
        last = min(last, first + RANGE_ENTRIES_MAX - 1)
        records = list(self._journal.entries(first, last, RANGE_BYTES_MAX))
        if not records:
            return 0
        self._charge(records)
        # A range stays within one epoch: a peer in an older epoch has no keys for the rest (R35).
        records = [r for r in records if r.entry.epoch == records[0].entry.epoch]
        certificate: tuple[bytes, ...] = ()
        bare = [record.entry.sequence for record in records if not record.commits]
        if bare:
            # The certificate of the last one covers all; the lowest would limit a range to one interval.
            checkpoint = self._journal.checkpoint_from(bare[-1])
            if checkpoint is None:
                return 0
            if checkpoint.sequence > records[-1].entry.sequence:
                records = list(self._journal.entries(first, checkpoint.sequence, CERTIFIED_RANGE_BYTES_MAX))
                self._charge(records)
            records = [r for r in records if r.entry.sequence <= checkpoint.sequence]
            if _commits(records) > COMMITS_MAX:
                records = [msgspec.structs.replace(r, commits=()) for r in records]
            if records[-1].entry.sequence < checkpoint.sequence:
                return 0  # some below it are missing here: a snapshot was installed
            certificate = checkpoint.frames
        else:
            records = _cut(records)
            checkpoint = self._journal.checkpoint_from(first) if first == last else None
            if checkpoint is not None and checkpoint.sequence == first:
                certificate = checkpoint.frames
        self._transport.answer(peer, self._signer.link(_message(records, certificate)))
        return records[-1].entry.sequence

    def _charge(self, records: list[EntryRecord]) -> None:
        """Count the time that reading these records took."""
        size = sum(len(record.body) for record in records)
        self._share.spend(ENTRY_COST * len(records) + BYTE_COST * size)


def _commits(records: Iterable[EntryRecord]) -> int:
    return sum(len(record.commits) for record in records)


def _cut(records: list[EntryRecord]) -> list[EntryRecord]:
    """The first records that any member accepts in one message, at least one."""
    totals = list(accumulate(len(record.commits) for record in records))
    return records[: max(1, bisect_right(totals, COMMITS_MAX))]


def _message(records: list[EntryRecord], checkpoint: tuple[bytes, ...]) -> m.Entries:
    return m.Entries(entries=tuple((r.entry, r.body, r.commits) for r in records), checkpoint=checkpoint)


def _has_room(table: Mapping[str, object], peer: Peer, name: str, size: int) -> bool:
    """Whether connection `name` of `peer` may enter a table of at most `size` connections: it is in it, or
    its principal has fewer than CONNECTIONS_MAX there."""
    if name in table:
        return True
    share = sum(1 for other in table if other.rpartition("/")[0] == peer.name)
    return share < CONNECTIONS_MAX and len(table) < size


def _is_due(table: dict[str, int], peer: Peer, name: str, now: Now) -> bool:
    """Whether `name`, a connection or a proof of `peer`, is due to be answered; if so, it is next due
    `PROOF_EVERY` later. `table`: name -> monotonic nanoseconds from which it is due. It is not while the
    table is full, or half full with names of this peer."""
    for other in [other for other, due in table.items() if due <= now.monotonic]:
        del table[other]
    same = sum(1 for other in table if other.rpartition("/")[0] == peer.name)
    if name in table or same >= REQUESTS_MAX // 2 or len(table) >= REQUESTS_MAX:
        return False
    table[name] = now.monotonic + PROOF_EVERY
    return True


def _name(peer: Peer) -> str:
    return f"{peer.name}/{peer.route.hex()}"
