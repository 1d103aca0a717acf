"""A world of followers: many peers with the real overlay and tree, over links that lose messages.

Everything comes from one seed. Links are authenticated and break only when a peer dies, but each message is
lost with probability `loss`, which no TCP link does: so what is measured is what the protocol itself repairs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from dtvn.overlay.book import AddressBook
from dtvn.overlay.ports import Contact
from dtvn.overlay.records import ADDRESS_KINDS, address_of
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync import CarriedStore
from simulator.dice import Dice
from simulator.overlay_peers import MEMBERS, Peer
from simulator.scheme import Keyring

MS = 1_000_000
SECOND = 1_000 * MS
LATENCY = (10 * MS, 50 * MS)
"""Nanoseconds that a message takes, at least and at most."""
ROUND = 100 * MS
"""Nanoseconds of a round: the interval of announcements, in which each peer passes on once what it has."""
DIAL_TIME = 60 * MS
DIAL_FAILS = SECOND
WALL = 1_700_000_000_000_000
"""Unix microseconds when a world begins."""


class CheckedOnce:
    """wire.Scheme: Ed25519 that remembers what it checked, for a thousand peers see each record."""

    def __init__(self) -> None:
        self.sign = ED25519.sign
        self.verify = cache(ED25519.verify)


class OverlayWorld:
    """`followers` peers and MEMBERS members."""

    def __init__(
        self,
        seed: int,
        followers: int,
        *,
        loss: float = 0.0,
        fanout: int = 3,
        kept: int = 1,
        interval: int = 5 * SECOND,
        liars: dict[int, type[Peer]] | None = None,
    ) -> None:
        """`kept`: members to which each follower keeps a link; `interval`: of the anti-entropy; `liars`: the
        class of each follower that is not honest, by its place among the followers."""
        self.seed = seed
        self.dice = Dice(f"overlay {seed}")
        self.loss = loss
        self.fanout = fanout
        self.kept = kept
        self.interval = interval
        self.time = 0
        self.cluster = b"o" * 32
        self.keyring = Keyring(real=True)
        self.scheme: Scheme = CheckedOnce()
        self.committed: dict[int, int] = {}
        """Entry -> when it was committed."""
        self.arrivals: dict[int, dict[int, int]] = {}
        """Entry -> follower -> when it had it."""
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._principals: set[bytes] = set()
        self.peers: list[Peer] = []
        self.numbers: dict[bytes, int] = {}
        self._lost = self.dice.fork("loss")
        kinds = {MEMBERS + place: kind for place, kind in (liars or {}).items()}
        for number in range(MEMBERS + followers):
            self.add(kinds.get(number, Peer))
        for first in range(MEMBERS):
            for second in range(first):
                self._connect(first, second)

    # --- peers --------------------------------------------------------------------------------------

    def add(self, kind: type[Peer] = Peer) -> Peer:
        """One more peer, linked to nobody yet."""
        peer = kind(self, len(self.peers))
        self.peers.append(peer)
        self.numbers[peer.public] = peer.number
        self._principals.add(peer.public)
        return peer

    @property
    def followers(self) -> list[Peer]:
        """Those that are up."""
        return [peer for peer in self.peers[MEMBERS:] if peer.up]

    @property
    def honest(self) -> list[Peer]:
        return [peer for peer in self.followers if peer.honest]

    def counts(self, key: bytes) -> bool:
        return key in self._principals

    def is_member(self, key: bytes) -> bool:
        return self.numbers.get(key, MEMBERS) < MEMBERS

    def book(self, peer: Peer) -> AddressBook:
        members = [peer.public for peer in self.peers[:MEMBERS]]
        scheme = self.scheme
        return AddressBook(self.cluster, peer.public, admits=self.counts, members=members, scheme=scheme)

    def store(self, peer: Peer) -> CarriedStore:
        return CarriedStore(
            self.cluster,
            ADDRESS_KINDS,
            own=peer.public,
            now=self.wall,
            authors=self.counts,
            scheme=self.scheme,
        )

    def begin(self, *, over: int = 2 * SECOND, knows: int = 20) -> None:
        """All come up within `over` nanoseconds; each follower has known the members and `knows` others since
        an earlier run, and members know all."""
        members, others = self.peers[:MEMBERS], self.peers[MEMBERS:]
        for member in members:
            self.introduce(member, self.peers)
            member.act()
        for peer in others:
            self.introduce(peer, [*members, *self.dice.sample(others, knows)])
            self.at(self.time + self.dice.below(over), peer.act)

    def introduce(self, peer: Peer, others: Iterable[Peer]) -> None:
        """A peer has known these since an earlier run."""
        peer.overlay.views.record = peer.record
        peer.store.store.put(peer.record)
        for other in others:
            if other is not peer:
                peer.store.store.put(other.record)
                peer.overlay.book.learn(other.record, self.wall)
                peer.overlay.views.offer([Contact(other.record, address_of(other.record))])

    def kill(self, peers: Iterable[Peer]) -> None:
        """These peers die; their links break, which the others notice at once."""
        dead = list(peers)
        for peer in dead:
            peer.up = False
        for peer in dead:
            for other in list(peer.links):
                self._disconnect(peer.number, other)

    # --- the log ------------------------------------------------------------------------------------

    def commit(self) -> int:
        """Members execute one more entry; returns its sequence."""
        sequence = len(self.committed) + 1
        self.committed[sequence] = self.time
        self.arrivals[sequence] = {}
        for member in self.peers[:MEMBERS]:
            member.execute(sequence)
            member.act()
        return sequence

    def arrived(self, sequence: int, peer: Peer) -> None:
        if not peer.is_member:
            self.arrivals[sequence][peer.number] = self.time

    def rounds(self, sequence: int) -> float:
        """Rounds until the last honest follower that is up had an entry; infinite if one has it not."""
        arrived = self.arrivals[sequence]
        missing = [peer for peer in self.honest if peer.number not in arrived]
        if missing:
            return float("inf")
        last = max(arrived[peer.number] for peer in self.honest)
        return (last - self.committed[sequence]) / ROUND

    # --- the network --------------------------------------------------------------------------------

    @property
    def now(self) -> Now:
        return Now(self.time, self.wall * 1_000)

    @property
    def wall(self) -> int:
        """Unix microseconds."""
        return WALL + self.time // 1_000

    def send(self, source: int, target: int, message: Any) -> None:
        if not self._lost.hit(self.loss):
            self.at(self.time + self.dice.between(*LATENCY), self._deliver, source, target, message)

    def _deliver(self, source: int, target: int, message: Any) -> None:
        peer = self.peers[target]
        if peer.up and source in peer.links:
            peer.receive(source, message)

    def dial(self, source: int, target: int) -> None:
        other = self.peers[target]
        if other.up and other.overlay.may_link(self.peers[source].public, self.now):
            self.at(self.time + DIAL_TIME, self._connect, source, target)
        else:
            self.at(self.time + DIAL_FAILS, self._fail, source, target)

    def _connect(self, source: int, target: int) -> None:
        first, second = self.peers[source], self.peers[target]
        if source == target or not first.up:
            return
        if not second.up:
            first.on_down(target)
        elif target not in first.links:
            second.on_up(source, dialled=False)
            first.on_up(target, dialled=True)

    def _fail(self, source: int, target: int) -> None:
        if self.peers[source].up and target not in self.peers[source].links:
            self.peers[source].on_down(target)

    def hang_up(self, source: int, target: int) -> None:
        self.at(self.time + 1, self._disconnect, source, target)

    def _disconnect(self, source: int, target: int) -> None:
        for peer, other in ((self.peers[source], target), (self.peers[target], source)):
            if other in peer.links:
                if peer.up:
                    peer.on_down(other)
                else:
                    del peer.links[other]

    # --- time ---------------------------------------------------------------------------------------

    def at(self, time: int, action: Callable[..., None], *arguments: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, action, arguments))

    def wake(self, number: int, at: int) -> None:
        self.at(at, self._wake, number, at)

    def _wake(self, number: int, at: int) -> None:
        if self.peers[number].up:
            self.peers[number].on_wake(at)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.time + int(seconds * SECOND)
        while self._events and self._events[0][0] <= end:
            self.time, _number, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self.time = end

    # --- figures ------------------------------------------------------------------------------------

    def messages(self, *kinds: str) -> int:
        """Messages that followers have sent (of these kinds, or all)."""
        counts = [count for peer in self.followers for count in peer.counts.items()]
        return sum(count for kind, count in counts if not kinds or kind in kinds)
