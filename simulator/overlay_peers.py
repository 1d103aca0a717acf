"""Peers of an overlay world: members and followers with the real overlay and tree, and liars among them.

What a peer serves is the log server's part in brief (dtvn.protocol.host.log_server): places, lazy
followers, referrals, announcements, with its numbers. An entry is a number, and whether it proves itself;
what proofs are made of has worlds of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import msgspec

from dtvn.overlay.book import AddressBook
from dtvn.overlay.overlay import Overlay, Settings
from dtvn.overlay.records import AddressValue, signed_address
from dtvn.overlay.tree import Tree
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.host.heads import EVERY
from dtvn.protocol.host.log_server import (
    ANNOUNCE_EVERY,
    CHILDREN_MAX,
    FOLLOW_TIME,
    LAZY_MAX,
    LAZY_TIME,
    MEMBER_ANNOUNCES_EVERY,
    MEMBER_PUSHES_EVERY,
)
from dtvn.protocol.scheme import Scheme
from dtvn.sync import CarriedStore
from simulator.dice import Dice
from simulator.scheme import Keyring

MEMBERS = 4
"""Peers below this number are members, and so are the first slots of each tree."""


class Follow(msgspec.Struct, frozen=True):
    first: int
    lazy: bool


class Fetch(msgspec.Struct, frozen=True):
    first: int
    last: int


class Entries(msgspec.Struct, frozen=True):
    first: int
    last: int
    proved: bool = True


class Announce(msgspec.Struct, frozen=True):
    executed: int
    heads: tuple[tuple[int, int], ...]
    """(member, time of its head) each."""


class Busy(msgspec.Struct, frozen=True):
    children: tuple[bytes, ...]


class Gossip(msgspec.Struct, frozen=True):
    body: bytes


class World(Protocol):
    """What a peer needs of its world (simulator.overlay_world). Times are nanoseconds."""

    dice: Dice
    keyring: Keyring
    scheme: Scheme
    cluster: bytes
    peers: list[Peer]
    numbers: dict[bytes, int]
    """Public key -> number."""
    fanout: int
    kept: int
    interval: int
    time: int

    @property
    def now(self) -> Now: ...
    @property
    def wall(self) -> int: ...
    def store(self, peer: Peer) -> CarriedStore: ...
    def book(self, peer: Peer) -> AddressBook: ...
    def counts(self, key: bytes) -> bool: ...
    def is_member(self, key: bytes) -> bool: ...
    def arrived(self, sequence: int, peer: Peer) -> None: ...
    def send(self, source: int, target: int, message: Any) -> None: ...
    def dial(self, source: int, target: int) -> None: ...
    def hang_up(self, source: int, target: int) -> None: ...
    def wake(self, number: int, at: int) -> None: ...


class Peer:
    """An honest peer: a member (which executes what the world commits) or a relay."""

    honest = True
    kept: int | None = None
    """Members to which it keeps a link, if not as all others in its world."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.name = f"peer {number}"
        self.public, self.secret = world.keyring.pair(self.name)
        self.is_member = number < MEMBERS
        self.up = True
        self.links: dict[int, int] = {}
        """Linked peer -> its slot in the tree."""
        self.dialled: set[int] = set()
        """Those of them that were dialled from here: only they can be asked for the log, as in a process."""
        self.executed = 0
        self.heads: dict[int, int] = {}
        self._fresh: dict[int, int] = {}
        self._followers: dict[int, tuple[int, int]] = {}
        """Child -> (its next entry, until when)."""
        self._lazy: dict[int, int] = {}
        self._announced = 0
        self._announce_at = self._push_at = 0
        self._head_at = world.dice.below(EVERY)
        self._armed: int | None = None
        self._overlay_at = 0
        """When the overlay is to be asked again what it wants."""
        self.counts: dict[str, int] = {}
        """Messages sent, by kind."""
        now = world.now
        self.store = world.store(self)
        role: Literal["member", "relay"] = "member" if self.is_member else "relay"
        self.overlay = Overlay(
            Settings(
                role,
                world.fanout,
                anti_entropy_interval=world.interval,
                members_linked=world.kept if self.kept is None else self.kept,
            ),
            self.store,
            world.book(self),
            world.dice.fork(self.name),
            now,
            counts=world.counts,
            is_member=world.is_member,
        )
        self.tree = Tree((), now.monotonic, relays_from=MEMBERS, start=number % MEMBERS)
        port = 1_024 + number
        value = AddressValue(self.name, role, ((f"10.{port >> 8 & 255}.{port & 255}.7", port),))
        self.record = signed_address(world.cluster, self.secret, value, world.wall, scheme=world.scheme)

    # --- links --------------------------------------------------------------------------------------

    def on_up(self, other: int, *, dialled: bool) -> None:
        if other in self.links:
            return
        taken = set(self.links.values())
        is_member = other < MEMBERS
        slot = other if is_member else next(s for s in range(MEMBERS, 1 << 20) if s not in taken)
        self.links[other] = slot
        if dialled:
            self.dialled.add(other)
        self.overlay.on_up(self.world.peers[other].public, self.world.now, dialled=dialled)
        self._overlay_at = 0
        self._link()

    def on_down(self, other: int) -> None:
        self.links.pop(other, None)
        self.dialled.discard(other)
        self._followers.pop(other, None)
        self._lazy.pop(other, None)
        self.overlay.on_down(self.world.peers[other].public, self.world.now)
        self._overlay_at = 0
        self._link()

    def _link(self) -> None:
        if not self.is_member:
            self.tree.links(self.sources(), self.world.time)
        self.act()

    def sources(self) -> list[int]:
        """Slots of the peers that may bring the log."""
        return [slot for other, slot in self.links.items() if other in self.dialled]

    # --- messages -----------------------------------------------------------------------------------

    def receive(self, other: int, message: Any) -> None:
        slot = self.links.get(other)
        if slot is None:
            return
        now = self.world.time
        match message:
            case Follow(first, lazy):
                self.on_follow(other, first, lazy)
            case Fetch(first, last):
                self.on_fetch(other, first, last)
            case Gossip(body):
                self.overlay.receive(self.world.peers[other].public, body, self.world.now)
                self._overlay_at = 0
            case Busy(children):
                self.overlay.refer(children, self.world.now)
                self._overlay_at = 0
                self.tree.busy(slot, now)
            case Announce(executed, heads):
                self._on_heads(heads)
                self.tree.announced(slot, executed, now)
            case Entries() if self.tree.expects(slot):
                self._on_entries(slot, message)
        self.act()

    def _on_entries(self, slot: int, message: Entries) -> None:
        now = self.world.time
        if not message.proved:
            lies = self.tree.lies(slot)
            self.tree.lied(slot, now)
            if self.tree.lies(slot) > lies:
                self._blame(slot)
            return
        if message.first > self.executed + 1:
            # A gap, which no TCP link leaves: the next renewal asks from the end of this log on.
            self.tree.announced(slot, message.last, now)
            return
        before = self.executed
        self.execute(max(before, message.last))
        self.tree.brought(slot, self.executed - before, self.executed, now)

    def _blame(self, slot: int) -> None:
        for other, its in self.links.items():
            if its == slot:
                self.overlay.blame(self.world.peers[other].public, self.world.now)
        self._overlay_at = 0

    def _on_heads(self, heads: Iterable[tuple[int, int]]) -> None:
        new = {member: time for member, time in heads if time > self.heads.get(member, -1)}
        if new:
            self.heads.update(new)
            self._fresh.update(new)
            self.tree.fresh(self.world.time)

    def execute(self, executed: int) -> None:
        for sequence in range(self.executed + 1, executed + 1):
            self.world.arrived(sequence, self)
        self.executed = max(self.executed, executed)

    # --- serving the log ----------------------------------------------------------------------------

    def on_follow(self, other: int, first: int, lazy: bool) -> None:
        until = self.world.time + FOLLOW_TIME
        if not lazy and (other in self._followers or len(self._followers) < self.world.fanout):
            self._lazy.pop(other, None)
            if other not in self._followers:
                self.announce(other, tuple(self.heads.items()))
            self._followers[other] = (first, until)
            return
        self._followers.pop(other, None)
        if not lazy:
            children = [self.world.peers[each].public for each in self._followers]
            self._tell(other, Busy(tuple(self.overlay.records_of(children)[:CHILDREN_MAX])))
        if other in self._lazy or len(self._lazy) < LAZY_MAX:
            if other not in self._lazy:
                self.announce(other, tuple(self.heads.items()))
            self._lazy[other] = self.world.time + LAZY_TIME

    def on_fetch(self, other: int, first: int, last: int) -> None:
        if first <= self.executed:
            self._tell(other, Entries(first, min(last, self.executed)))

    def push(self) -> None:
        """Entries to the children, announcements to the others."""
        now = self.world.time
        self._followers = {o: f for o, f in self._followers.items() if f[1] >= now and o in self.links}
        self._lazy = {o: until for o, until in self._lazy.items() if until >= now and o in self.links}
        if now >= self._push_at:
            self._give_all(now)
        if now < self._announce_at or not (self._fresh or self.executed > self._announced):
            return
        self._announce_at = now + (MEMBER_ANNOUNCES_EVERY if self.is_member else ANNOUNCE_EVERY)
        heads = tuple(self._fresh.items())
        told = [*self._lazy, *(self._followers if heads else ())]
        for other in told:
            self.announce(other, heads)
        self._fresh, self._announced = {}, self.executed

    def _give_all(self, now: int) -> None:
        """Entries to the children that lack any."""
        for other, (first, until) in list(self._followers.items()):
            if first <= self.executed:
                self.give(other, first)
                self._followers[other] = (self.executed + 1, until)
                self._push_at = now + (MEMBER_PUSHES_EVERY if self.is_member else 0)

    def give(self, child: int, first: int) -> None:
        self._tell(child, Entries(first, self.executed))

    def announce(self, other: int, heads: tuple[tuple[int, int], ...]) -> None:
        self._tell(other, Announce(self.executed, heads))

    def _tell(self, other: int, message: Any) -> None:
        kind = type(message).__name__
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.world.send(self.number, other, message)

    # --- time ---------------------------------------------------------------------------------------

    def act(self) -> None:
        """What is due: as a process does after each turn."""
        now = self.world.time
        if self.is_member:
            if now >= self._head_at:
                self._head_at = now + EVERY
                self._on_heads([(self.number, now)])
                for other in self.links:
                    if other < MEMBERS:
                        self._tell(other, Announce(self.executed, ((self.number, now),)))
        elif now >= self.tree.deadline():
            self._ask()
        if now >= self._overlay_at:
            self._turn()
        self.push()
        self._arm()

    def _ask(self) -> None:
        others = {slot: other for other, slot in self.links.items()}
        for ask in self.tree.due(self.executed, self.world.time):
            if ask.what == "fetch":
                self._tell(others[ask.peer], Fetch(ask.first, ask.last))
            else:
                self._tell(others[ask.peer], Follow(ask.first, ask.what == "lazy"))

    def _turn(self) -> None:
        """A turn of the overlay, as dtvn.node.overlay_port makes it."""
        used = [other for other, slot in self.links.items() if slot == self.tree.source]
        self.overlay.uses(self.world.peers[other].public for other in (*used, *self._followers))
        self.overlay.wants_member = not self.is_member and self.tree.wants_member
        if self.world.time >= self.overlay.deadline():
            self.overlay.tick(self.world.now)
        done = self.overlay.take()
        for key, body in done.sends:
            self._tell(self.world.numbers[key], Gossip(body))
        for item in done.dials:
            self.world.dial(self.number, self.world.numbers[item.author])
        for key in done.hang_ups:
            self.world.hang_up(self.number, self.world.numbers[key])
        self._overlay_at = self.overlay.deadline()

    def _arm(self) -> None:
        times = [self._overlay_at, self._head_at if self.is_member else self.tree.deadline()]
        if self._fresh or self.executed > self._announced:
            times.append(self._announce_at)
        if any(first <= self.executed for first, _until in self._followers.values()):
            times.append(self._push_at)
        at = max(min(times), self.world.time + 1)
        if self._armed is None or at < self._armed:
            self._armed = at
            self.world.wake(self.number, at)

    def on_wake(self, at: int) -> None:
        if self._armed == at:
            self._armed = None
            self.act()

    @property
    def age(self) -> int:
        """Nanoseconds since the second newest head of a member (f = 1)."""
        said = sorted(self.heads.values(), reverse=True)
        return self.world.time - said[1] if len(said) > 1 else 1 << 62


class Withholder(Peer):
    """It says how far the log is, keeps its children's places, and gives them one entry in ten seconds."""

    honest = False
    _last = -(1 << 62)

    def give(self, child: int, first: int) -> None:
        if self.world.time >= self._last + 10_000_000_000:
            self._last = self.world.time
            self._tell(child, Entries(first, first))

    def on_fetch(self, other: int, first: int, last: int) -> None:
        """It gives nothing."""


class Stale(Peer):
    """It shows the log as it was at entry FROZEN, and no newer head."""

    honest = False
    kept = 1
    FROZEN = 3

    def execute(self, executed: int) -> None:
        super().execute(min(executed, self.FROZEN))

    def announce(self, other: int, heads: tuple[tuple[int, int], ...]) -> None:
        self._tell(other, Announce(self.executed, ()))


class Looper(Peer):
    """One of several relays that follow each other, and nobody else."""

    honest = False
    kept = 0

    def sources(self) -> list[int]:
        return [self.links[other] for other in self.dialled if not self.world.peers[other].honest]


class Boaster(Peer):
    """It announces entries that nobody has, and brings what proves nothing."""

    honest = False

    def announce(self, other: int, heads: tuple[tuple[int, int], ...]) -> None:
        self._tell(other, Announce(self.executed + 1_000, heads))

    def give(self, child: int, first: int) -> None:
        self._tell(child, Entries(first, self.executed, proved=False))

    def on_fetch(self, other: int, first: int, last: int) -> None:
        """It has nothing to give."""


class Forger(Peer):
    """It alters the addresses that it passes on, repeats old messages, and sends bytes that mean nothing."""

    honest = False
    _heard: bytes = b""

    def receive(self, other: int, message: Any) -> None:
        if isinstance(message, Gossip):
            self._heard = message.body
        super().receive(other, message)

    def _tell(self, other: int, message: Any) -> None:
        if isinstance(message, Gossip):
            body, place = bytearray(message.body), self.world.dice.below(len(message.body))
            match self.world.dice.below(4):
                case 0:
                    body[-1 - place % 64] ^= 1 << self.world.dice.below(8)
                case 1:
                    body = bytearray(self._heard or body)
                case 2:
                    body = bytearray(self.world.dice.below(256) for _ in range(20))
                case _:
                    pass
            message = Gossip(bytes(body))
        super()._tell(other, message)
