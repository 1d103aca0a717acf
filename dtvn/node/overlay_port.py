"""The overlay of a process beside its links: a host's port (ports.Overlay) over dtvn.overlay.

The overlay knows peers by their keys, the host by connections. Members and followers use the same class; what
differs is whom they dial (`Dialling`): members dial nobody for the overlay's sake. It lives as long as the
process, over hosts and epochs.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from dtvn.net import Links
from dtvn.node.own_record import OwnRecord
from dtvn.overlay.book import AddressBook
from dtvn.overlay.overlay import Overlay, Settings
from dtvn.overlay.records import ADDRESS, ADDRESS_KINDS, address_of
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.verified import Peer
from dtvn.sync import CarriedStore, Item

DIAL_TIME = 3_000_000_000
"""Nanoseconds in which a dialled peer must be linked; else it counts as not reached."""
LOOK_EVERY = 50_000_000
"""Nanoseconds between two looks at which links are up: a member takes thousands of turns a second."""


class SystemChance:
    """The system's source of chance."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        return secrets.randbelow(bound)


class Dialling(Protocol):
    """How a process dials peers of the overlay, by their keys."""

    def dial(self, public_key: bytes, address: tuple[str, int]) -> bool:
        """Dial; returns whether that was possible."""

    def hang_up(self, public_key: bytes) -> None:
        """End a link that was dialled."""

    def has_dialled(self, public_key: bytes) -> bool:
        """Whether it dials this peer now, linked or not."""

    def uses(self) -> Iterable[bytes]:
        """Keys of the peers that bring the log here, or get it from here."""

    def speaks(self, public_key: bytes) -> bool:
        """Whether a linked peer that sent no message of the overlay yet is known to understand them."""

    def look(self, now: Now) -> None:
        """Called before each turn of the overlay."""


class OverlayPort:
    """See dtvn.protocol.host.ports.Overlay. Peers that never sent a message of the overlay are sent none,
    unless they are known to understand them: gateways do not, and to earlier releases they are malformed."""

    def __init__(self, cluster: bytes, secret: bytes, name: str, settings: Settings) -> None:
        """`cluster`: its id; `secret`: this process's 64-byte secret key; `name`: its id as a member, or its
        name as a principal. Call `follow` before anything else."""
        now = Now(time.monotonic_ns(), time.time_ns())
        self.own = secret[32:]
        """Its public key."""
        self.record = OwnRecord(cluster, secret, name, settings.role)
        """What it says about itself: others hear of it once it has begun."""
        self._said: Item | None = None
        self._counting: frozenset[bytes] = frozenset()
        self._members: frozenset[bytes] = frozenset()
        book = AddressBook(cluster, self.own, admits=self.counts)
        self._store = CarriedStore(
            cluster,
            ADDRESS_KINDS,
            own=self.own,
            now=now.wall // 1_000,
            authors=self.counts,
            author_items_max=4,
        )
        self.overlay = Overlay(
            settings, self._store, book, SystemChance(), now, counts=self.counts, is_member=self._members_has
        )
        self._links: Links
        self._dialling: Dialling
        self._begun = False
        self._up: dict[bytes, Peer] = {}
        """Key -> connection of the peers that the overlay was told of."""
        self._spoke: set[bytes] = set()
        """Keys of linked peers that sent a message of the overlay."""
        self._dialled: dict[bytes, int] = {}
        """Key of a peer that is dialled and not linked yet -> until when."""
        self._answers: list[tuple[Peer, bytes]] = []
        """Answers to peers that are not linked, and only ask."""
        self._look_at = 0

    # --- the process's side -------------------------------------------------------------------------

    def follow(self, links: Links, dialling: Dialling) -> None:
        """Use these links from now on."""
        self._links, self._dialling = links, dialling

    def admit(self, members: Collection[bytes], counting: Collection[bytes]) -> None:
        """From now on these are the members, and the keys of principals that count (R15)."""
        self._members, self._counting = frozenset(members), frozenset(counting)
        self.overlay.book.follow(self._members)
        self.overlay.book.keep_admitted()

    def begin(self) -> None:
        """Take part from now on."""
        self._begun = True

    @property
    def begun(self) -> bool:
        """Whether it takes part."""
        return self._begun

    def counts(self, key: bytes) -> bool:
        """Whether a key is a member's, or that of a principal that counts now."""
        return key in self._members or key in self._counting

    def is_follower(self, peer: Peer) -> bool:
        """Whether a peer takes part in the overlay and is no member: one of those that the fanout counts. It
        may have said so to others only: a follower with neighbours enough does not greet each member."""
        key = self._links.key_of(peer)
        if key is None or key in self._members:
            return False
        return key in self._spoke or self._says_follower(key)

    def _says_follower(self, key: bytes) -> bool:
        """Whether a peer's own record says that it is a relay or a leaf: newcomers have records too."""
        item = self._store.get(key, ADDRESS, "")
        return item is not None and not item.deleted and address_of(item).role in ("relay", "leaf")

    def records_of(self, peers: Iterable[Peer]) -> list[bytes]:
        """The encoded address records of these peers, of those that can be dialled."""
        keys = [key for peer in peers if (key := self._links.key_of(peer)) is not None]
        return self.overlay.records_of(keys)

    def _members_has(self, key: bytes) -> bool:
        return key in self._members

    # --- ports.Overlay --------------------------------------------------------------------------------

    @property
    def checks(self) -> int:
        """See ports.Overlay."""
        return self.overlay.checks

    def receive(self, peer: Peer, body: bytes, now: Now) -> Reason | None:
        """See ports.Overlay."""
        key = self._links.key_of(peer)
        if key is None:
            return Reason.UNKNOWN_SENDER
        if not self._begun:
            return None  # it will ask again
        if peer.route and self._up.get(key) != peer and self._links.peers_up().get(key) != peer:
            return self._on_visit(key, peer, body, now)
        self._spoke.add(key)
        if key not in self._up:
            self._tell_up(key, peer, now)
        return self.overlay.receive(key, body, now)

    def referred(self, peer: Peer, records: Sequence[bytes], now: Now) -> None:
        """See ports.Overlay."""
        if self._begun:
            self.overlay.refer(records, now)

    def turn(self, now: Now) -> Sequence[tuple[Peer, bytes]]:
        """See ports.Overlay."""
        if now.monotonic >= self._look_at:
            self._look_at = now.monotonic + LOOK_EVERY
            self._dialling.look(now)
            if self._begun:
                self._look(now)
        if not self._begun:
            return ()
        if now.monotonic >= self.overlay.deadline():
            self.overlay.tick(now)
        done = self.overlay.take()
        sends, self._answers = self._answers, []
        sends += [(self._up[key], body) for key, body in done.sends if key in self._up]
        for key in done.hang_ups:
            self._dialling.hang_up(key)
        for item in done.dials:
            self._dial(item.author, address_of(item).addresses, now)
        return sends

    def deadline(self) -> int | None:
        """See ports.Overlay."""
        return min([self.overlay.deadline(), *self._dialled.values()]) if self._begun else None

    # --- links ------------------------------------------------------------------------------------

    def _look(self, now: Now) -> None:
        """Tell the overlay which links came up and went down since the last look."""
        found = self._links.peers_up()
        for key in [key for key in self._up if key not in found]:
            del self._up[key]
            self._spoke.discard(key)
            self.overlay.on_down(key, now)
        for key, peer in found.items():
            if key in self._up:
                self._up[key] = peer
            elif key in self._spoke or self._dialling.speaks(key):
                self._tell_up(key, peer, now)
        for key in [key for key, until in self._dialled.items() if now.monotonic >= until]:
            del self._dialled[key]
            self._dialling.hang_up(key)
            self.overlay.on_down(key, now)
        self.overlay.uses(self._dialling.uses())
        record = self.record.item(self.overlay.book.own_version)
        if record is not None and record is not self._said:
            self._said = record
            self.overlay.set_record(record, now)

    def _on_visit(self, key: bytes, peer: Peer, body: bytes, now: Now) -> Reason | None:
        """A connection that said no Hello only asks, and gets the answer itself."""
        reason, answer = self.overlay.visit(key, body, now)
        if answer is not None:
            self._answers.append((peer, answer))
        return reason

    def _tell_up(self, key: bytes, peer: Peer, now: Now) -> None:
        self._up[key] = peer
        self._dialled.pop(key, None)
        self.overlay.on_up(key, now, dialled=self._dialling.has_dialled(key))

    def _dial(self, key: bytes, places: Sequence[tuple[str, int]], now: Now) -> None:
        """Dial one of a peer's addresses, another one each time."""
        if key in self._up:
            return
        place = places[secrets.randbelow(len(places))] if places else None
        if place is None or not self._dialling.dial(key, place):
            self.overlay.on_down(key, now)
        else:
            self._dialled[key] = now.monotonic + DIAL_TIME


class NoDialling:
    """Of a node that dials nobody for the overlay's sake: a member, whose links are those of consensus and
    whose `look` is that of its discovery, and a node that keeps addresses only."""

    def __init__(
        self,
        uses: Callable[[], Iterable[bytes]] = tuple,
        speaks: Callable[[bytes], bool] = lambda _key: False,
        look: Callable[[Now], None] = lambda _now: None,
    ) -> None:
        self.uses, self.speaks, self.look = uses, speaks, look

    def dial(self, public_key: bytes, address: tuple[str, int]) -> bool:
        """Refuse."""
        return False

    def hang_up(self, public_key: bytes) -> None:
        """Do nothing; what a shunned peer says is refused."""

    def has_dialled(self, public_key: bytes) -> bool:
        """Never."""
        return False
