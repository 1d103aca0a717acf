"""Serves the durable log: ranges on request, and new entries to subscribers as they arrive (R23, R28).

Entries are sent with their proofs: q COMMITs of one view each, or one checkpoint certificate for the range.
A subscriber that has the entries gets each new checkpoint certificate separately, so that it can compare its
state (R28). The receiver verifies all of it; the server is not trusted.

A subscriber beyond its share is refused (`Answer` number 0, code `busy`), and gets a place here in its turn.
The addresses of other members in that answer are for operators and for programs that know only this member:
the learner knows the members of its sealed epoch, and uses no address that a single member names.

Followers of the overlay (R45) have a number of places of their own, the fanout. Who finds none is referred to
this node's children, never left without an answer. A follower with a lazy Follow, and one that was referred,
is sent announcements: how far this log reaches, and the members' heads. A member, whose work is consensus,
collects what it pushes and announces to them for a moment (`Fanout`); a relay passes it on at once.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Annotated

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, Now, Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.heads import Heads
from dtvn.protocol.host.places import Places
from dtvn.protocol.host.ports import Journal, Signer, Transport
from dtvn.protocol.host.time_share import TimeShare

SUBSCRIBERS_MAX = 64
"""Most subscribers of one node; a further one must ask another node, or wait for a place."""

FOLLOW_TIME = 3_000_000_000
"""Nanoseconds for which a Follow is valid."""
LAZY_TIME = 12_000_000_000
"""The same for a lazy one: what is sent for it in vain is little."""

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
"""Most range requests waiting, at most REQUESTS_SHARE of them of one principal; further ones are dropped, and
repeated by their senders."""
REQUESTS_SHARE = 32

PROOF_EVERY = 200_000_000
"""Nanoseconds between two times that one peer is sent the same epoch change proof, and that one connection is
refused for lack of a place."""

CONNECTIONS_MAX = 4
"""Most subscribers that may belong to one principal or member."""

RANGES_PER_TURN = 2
"""Most ranges read from the ledger in one turn, in rotation, so that log requests never delay votes."""

LAZY_MAX = 256
"""Most followers that get announcements; at most LAZY_SHARE of them of one principal."""
LAZY_SHARE = 128

CHILDREN_MAX = 8
"""Most children that one answer refers to."""

REFERRAL_LENGTH_MAX = 64 * 1024
"""Most characters of a refusal."""
RECORD_LENGTH_MAX = 4_096
"""Most characters of an address record in it; one takes about 350."""
_FEW = msgspec.Meta(max_length=CHILDREN_MAX)

ANNOUNCE_EVERY = 100_000_000
"""Nanoseconds between two announcements."""
MEMBER_ANNOUNCES_EVERY = 500_000_000
MEMBER_PUSHES_EVERY = 200_000_000
"""Nanoseconds for which a member gathers what followers get: it takes a member as long to send them one entry
as ten. What comes after a pause goes at once."""

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


class _News(msgspec.Struct):
    """What is new to subscribers since they were last served."""

    entries: dict[int, EntryRecord] = msgspec.field(default_factory=dict)
    stable: CheckpointRecord | None = None

    def __bool__(self) -> bool:
        return bool(self.entries) or self.stable is not None

    def fits(self, parts: int = 1) -> bool:
        """Whether the entries have their proofs, and take no more than this part of a range."""
        records = self.entries.values()
        size = sum(len(record.body) for record in records)
        few = size <= RANGE_BYTES_MAX // parts and _commits(records) <= COMMITS_MAX // parts
        return few and all(record.commits for record in records)

    def clear(self) -> None:
        self.entries.clear()
        self.stable = None


class Fanout(msgspec.Struct, frozen=True):
    """The followers of the overlay that this node pushes its log to. `counts`: whether a peer is such a
    follower, and not the platform's learner or a newcomer, which have places of their own; `children` returns
    the encoded address records of those that it pushes to, for whom it has no place. `push_every`,
    `announce_every`: least nanoseconds between two pushes to them, and between two announcements."""

    most: int
    counts: Callable[[Peer], bool]
    children: Callable[[], Sequence[bytes]]
    push_every: int = 0
    announce_every: int = ANNOUNCE_EVERY


NOBODY = Fanout(0, lambda _peer: False, tuple)


class LogServer:
    """Serves the log of one host; only the host calls it."""

    def __init__(
        self,
        journal: Journal,
        transport: Transport,
        signer: Signer,
        elsewhere: Callable[[], Mapping[str, tuple[str, int]]] = dict,
        fanout: Fanout = NOBODY,
        heads: Heads | None = None,
        *,
        epoch: int = 0,
    ) -> None:
        """`elsewhere` returns the addresses (host, port) of the members by id; `heads`: the members' heads,
        to announce."""
        self._elsewhere = elsewhere
        self._fanout = fanout
        self._epoch = epoch
        self._children: set[str] = set()
        """Subscribers that the fanout counts."""
        self._lazy: dict[str, tuple[Peer, int]] = {}
        """Connection -> (follower that gets announcements only, until when)."""
        self._newcomers: set[str] = set()
        """Connections of followers that were told no heads yet."""
        self._heads = heads
        self._announced = 0
        """The sequence that was announced last."""
        self._announce_at = 0
        self._places = Places(most=SUBSCRIBERS_MAX, share=CONNECTIONS_MAX)
        self._journal = journal
        self._transport = transport
        self._signer = signer
        self._subscribers: dict[str, _Subscriber] = {}
        self._requests: dict[str, tuple[Peer, m.FetchEntries]] = {}
        self._asked_last = ""
        """The principal or member whose request was answered last."""
        self._ranges = 0
        """Ranges that may still be read in this turn."""
        self._share = TimeShare()
        """The time that reading ranges may take."""
        self._news = _News()
        """For all subscribers that are served at once."""
        self._held = _News()
        """For the children."""
        self._push_at = 0
        """Monotonic nanoseconds from which on the children get it."""
        self._last = 0
        self._behind = False
        self._wanted = False
        """Whether a request arrived since the last `push`."""
        self._handed: dict[str, int] = {}
        """`peer/sequence` -> when the proof at this sequence may be sent again, over all its connections."""
        self._referral = b""
        """The refusal for lack of a place, for all until its time (monotonic nanoseconds)."""
        self._referral_until = -1
        self._turned_away: dict[str, int] = {}
        """Connection -> when it may be refused again for lack of a place."""

    def children(self) -> list[Peer]:
        """The followers of the overlay that this node pushes its log to."""
        return [self._subscribers[name].peer for name in self._children if name in self._subscribers]

    def begin(self, last: int) -> None:
        """Set the number of entries in the log at start (1..last)."""
        self._last = last

    def on_request(self, peer: Peer, message: m.FetchEntries | m.Follow, now: Now) -> None:
        """Note a request; `push` answers it at the end of the turn, when the turn is durable."""
        self._wanted = True
        name = _name(peer)
        if isinstance(message, m.FetchEntries):
            if 1 <= message.first <= message.last and self._has_room_for_request(peer, name):
                self._requests[name] = (peer, message)
            return
        self._forget_expired(now)
        is_new = name not in self._subscribers and name not in self._lazy
        if message.lazy:
            self._leave(name)
        elif self._has_place(peer, name, now):
            self._lazy.pop(name, None)
            until = now.monotonic + FOLLOW_TIME
            self._subscribers[name] = _Subscriber(peer=peer, next=max(1, message.first), until=until)
            if is_new and self._heads is not None and self._heads.frames():
                self._newcomers.add(name)
            return
        else:
            self._turn_away(peer, now)
        if _has_room(self._lazy, peer, name, LAZY_MAX, LAZY_SHARE):
            self._lazy[name] = (peer, now.monotonic + LAZY_TIME)
            if is_new:
                self._newcomers.add(name)

    def _has_place(self, peer: Peer, name: str, now: Now) -> bool:
        """Whether a subscriber has a place now. Children of the overlay keep theirs as long as they follow;
        of the other places those that wait get one in their turn."""
        if self._fanout.counts(peer):
            if name not in self._children and len(self._children) >= self._fanout.most:
                return False
            self._children.add(name)
            return True
        placed, loser = self._places.take(name, now.monotonic)
        if loser:
            self._turn_away(self._subscribers.pop(loser).peer, now)
        return placed

    def _leave(self, name: str) -> None:
        """Free the place of a subscriber."""
        if self._subscribers.pop(name, None) is not None:
            self._places.leave(name)
            self._children.discard(name)

    def on_lagging(self, peer: Peer, sequence: int, now: Now) -> None:
        """Send a member of a past epoch the certificate at `sequence` that ended its epoch, at most once per
        `PROOF_EVERY` (R35)."""
        if not _is_due(self._handed, peer, f"{peer.name}/{sequence}", now):
            return
        checkpoint = self._journal.checkpoint_from(sequence)
        if checkpoint is not None and checkpoint.sequence == sequence:
            self._transport.answer(peer, self._signer.link(_message([], checkpoint.frames)))

    def _turn_away(self, peer: Peer, now: Now) -> None:
        """Refuse a subscriber because no place is free, and name the other members, which may have one, and
        the children of this node."""
        if not _is_due(self._turned_away, peer, _name(peer), now):
            return
        if now.monotonic >= self._referral_until:
            self._referral_until = now.monotonic + PROOF_EVERY
            self._referral = self._signer.link(m.Answer(0, Reason.BUSY, self._refer()))
        self._transport.answer(peer, self._referral)

    def _refer(self) -> str:
        """The text of a refusal."""
        members = {name: f"{host}:{port}" for name, (host, port) in self._elsewhere().items()}
        children = [base64.b64encode(record).decode() for record in self._fanout.children()[:CHILDREN_MAX]]
        return msgspec.json.encode({"members": members, "children": children}).decode()

    def on_entry(self, record: EntryRecord) -> None:
        """Note a newly durable entry."""
        self._last = record.entry.sequence
        for news in self._audiences():
            news.entries[record.entry.sequence] = record

    def on_checkpoint(self, record: CheckpointRecord) -> None:
        """Note a newly stable checkpoint."""
        for news in self._audiences():
            news.stable = record
        for subscriber in self._subscribers.values():
            subscriber.in_vain = False

    def _audiences(self) -> list[_News]:
        """The news of those groups of subscribers that have any."""
        others = len(self._subscribers) > len(self._children)
        return [self._news] * others + [self._held] * bool(self._children)

    def push(self, now: Now) -> None:
        """Answer requests and advance subscribers, one bounded range each."""
        self._announce(now)
        is_due = self._is_push_due(now)
        if not self._wanted and not self._news and not is_due and not self._behind:
            return  # most turns: only votes came
        self._wanted = False
        self._ranges = RANGES_PER_TURN
        self._share.save(now.monotonic)
        while self._requests and self._may_read(now):
            peer, asked = self._requests.pop(self._next_request())
            self._asked_last = peer.name
            send = self._send_alone if asked.alone else self._send_range
            send(peer, asked.first, asked.last)
        self._behind = bool(self._requests)
        self._forget_expired(now)
        fresh = self._news.entries if self._news.fits() else {}
        for_children = self._held.entries if is_due and self._held.fits() else {}
        encoded: dict[tuple[int, int], bytes] = {}
        for name in list(self._subscribers):
            if name not in self._children:
                self._advance(name, fresh, encoded, now)
            elif is_due or self._subscribers[name].next not in self._held.entries:
                self._advance(name, for_children, encoded, now)
        self._certify(self._news, children=False)
        if is_due:
            self._certify(self._held, children=True)
            self._push_at = now.monotonic + self._fanout.push_every

    def _is_push_due(self, now: Now) -> bool:
        """Whether the children get what is new now: at once if it is much, since of more than a range each
        would be read from the ledger."""
        return bool(self._held) and (now.monotonic >= self._push_at or not self._held.fits(parts=2))

    def _certify(self, news: _News, *, children: bool) -> None:
        """Send a new checkpoint certificate to those that have its entries; what was new is new no more."""
        if news.stable is not None:
            frame = self._signer.link(_message([], news.stable.frames))
            for name, subscriber in self._subscribers.items():
                if (name in self._children) == children and subscriber.next > news.stable.sequence:
                    self._transport.answer(subscriber.peer, frame)
        news.clear()

    def deadline(self) -> int | None:
        """Monotonic time of the next range or announcement; None if no peer waits for one."""
        times = [self._share.rested_at] if self._behind else []
        if self._has_news():
            times.append(self._announce_at)
        if self._held:
            times.append(self._push_at)
        return min(times, default=None)

    def _forget_expired(self, now: Now) -> None:
        """Drop subscribers and followers that did not renew their Follow."""
        for name in [n for n, f in self._subscribers.items() if f.until < now.monotonic]:
            self._leave(name)
            self._newcomers.discard(name)
        for name in [n for n, (_peer, until) in self._lazy.items() if until < now.monotonic]:
            del self._lazy[name]
            self._newcomers.discard(name)

    def _has_news(self) -> bool:
        if self._newcomers:
            return True
        if self._heads is not None and self._heads.has_fresh and (self._subscribers or self._lazy):
            return True
        return bool(self._lazy) and self._last > self._announced

    def _announce(self, now: Now) -> None:
        """Tell lazy followers how far the log reaches, and all followers of new heads; one that is new here
        is told all heads."""
        if not self._has_news() or now.monotonic < self._announce_at:
            return
        self._forget_expired(now)
        self._announce_at = now.monotonic + self._fanout.announce_every
        fresh, known = ((), ()) if self._heads is None else (self._heads.fresh(), self._heads.frames())
        self._announced = self._last
        peers = {name: peer for name, (peer, _until) in self._lazy.items()}
        for name, subscriber in self._subscribers.items():
            if fresh or name in self._newcomers:
                peers[name] = subscriber.peer
        news = self._signer.link(m.Announce(self._epoch, self._last, fresh))
        whole = self._signer.link(m.Announce(self._epoch, self._last, known)) if self._newcomers else news
        for name, peer in peers.items():
            self._transport.answer(peer, whole if name in self._newcomers else news)
        self._newcomers.clear()

    def _may_read(self, now: Now) -> bool:
        """Whether another range may be read in this turn."""
        return self._ranges > 0 and now.monotonic >= self._share.rested_at

    def _has_room_for_request(self, peer: Peer, name: str) -> bool:
        return _has_room(self._requests, peer, name, REQUESTS_MAX, REQUESTS_SHARE)

    def _next_request(self) -> str:
        """The request that waits longest, of another principal than the one before if there is any."""
        for name, (peer, _asked) in self._requests.items():
            if peer.name != self._asked_last:
                return name
        return next(iter(self._requests))

    def _advance(
        self, name: str, fresh: Mapping[int, EntryRecord], encoded: dict[tuple[int, int], bytes], now: Now
    ) -> None:
        subscriber = self._subscribers[name]
        first = subscriber.next
        if first in fresh:
            last = max(fresh)
            frame = encoded.get((first, last))
            if frame is None:
                records = [fresh[s] for s in range(first, last + 1) if s in fresh]
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

    def _send_alone(self, peer: Peer, first: int, last: int) -> int:
        """Like `_send_range`, but nothing is sent that proves the entries: for an archive that has the hash
        of the last one (R23)."""
        self._ranges -= 1
        last = min(last, first + RANGE_ENTRIES_MAX - 1, self._last)
        records = list(self._journal.entries(first, last, RANGE_BYTES_MAX))
        if not records:
            return 0
        self._charge(records)
        bare = [msgspec.structs.replace(record, commits=()) for record in records]
        self._transport.answer(peer, self._signer.link(_message(bare, ())))
        return records[-1].entry.sequence

    def _charge(self, records: list[EntryRecord]) -> None:
        """Count the time that reading these records took."""
        size = sum(len(record.body) for record in records)
        self._share.spend(ENTRY_COST * len(records) + BYTE_COST * size)


class _Referral(msgspec.Struct):
    """The text of a refusal."""

    children: Annotated[list[Annotated[str, msgspec.Meta(max_length=RECORD_LENGTH_MAX)]], _FEW] = []


def read_referral(text: str) -> list[bytes] | None:
    """The encoded address records in a refusal, at most CHILDREN_MAX; None if it is malformed."""
    if len(text) > REFERRAL_LENGTH_MAX:
        return None
    try:
        named = msgspec.json.decode(text, type=_Referral).children
        return [base64.b64decode(each.encode("ascii"), validate=True) for each in named]
    except (ValueError, RecursionError):  # of msgspec, of text that is not ASCII or not base64
        return None


def _commits(records: Iterable[EntryRecord]) -> int:
    return sum(len(record.commits) for record in records)


def _cut(records: list[EntryRecord]) -> list[EntryRecord]:
    """The first records that any member accepts in one message, at least one."""
    totals = list(accumulate(len(record.commits) for record in records))
    return records[: max(1, bisect_right(totals, COMMITS_MAX))]


def _message(records: list[EntryRecord], checkpoint: tuple[bytes, ...]) -> m.Entries:
    return m.Entries(entries=tuple((r.entry, r.body, r.commits) for r in records), checkpoint=checkpoint)


def _has_room(table: Mapping[str, object], peer: Peer, name: str, size: int, share: int) -> bool:
    """Whether connection `name` of `peer` may enter a table of at most `size` connections: it is in it, or
    its principal has fewer than `share` there."""
    if name in table:
        return True
    same = sum(1 for other in table if other.rpartition("/")[0] == peer.name)
    return same < share and len(table) < size


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
