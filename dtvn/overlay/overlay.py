"""The overlay of one node: its views, its gossip, its address book, and how its peers behave (R45).

Pure: messages of linked peers and the time come in, and what is to be sent, dialled and hung up goes out. No
promise rests on it: whom it links decides how soon the log comes, and every entry proves itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from dtvn.overlay import messages as o
from dtvn.overlay.book import AddressBook
from dtvn.overlay.conduct import Conduct, Fault
from dtvn.overlay.gossip import Gossip
from dtvn.overlay.ports import Chance, Contact, Out, Store
from dtvn.overlay.questions import Questions
from dtvn.overlay.records import ADDRESS, address_of
from dtvn.overlay.views import Views
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.messages import GOSSIP_BYTES_MAX
from dtvn.sync import Item, ItemError

__all__ = ["Done", "Overlay", "Settings"]

MEMBER_EVERY = 1_000_000_000
"""Nanoseconds between two tries to link a member."""
REFRESH_EVERY = 10_000_000_000
"""Nanoseconds between two looks into the store for addresses, when the passive view has few."""
REFERRED_MAX = 2
"""Most peers that are dialled for one referral."""


Role = Literal["member", "relay", "leaf", "book"]
"""leaf: it listens nowhere; book: it keeps addresses only."""


class Settings(msgspec.Struct, frozen=True):
    """Who this node is in the overlay, and the settings of that name."""

    role: Role
    fanout: int = 3
    """Neighbours that are told a rumour; the active view holds one more."""
    ttl: int = 10
    """Most hops of a rumour."""
    cache_size: int = 65_536
    """Checked items that are remembered."""
    anti_entropy_interval: int = 5_000_000_000
    """Nanoseconds."""
    members_linked: int = 1
    """Members to which a follower keeps a link: with it, relays that all lie are found out at once."""


class Done(msgspec.Struct, frozen=True):
    """What the overlay wants done since the last `take`."""

    sends: list[tuple[bytes, bytes]]
    """(key of a linked peer, body of a Gossip)."""
    dials: list[Item]
    """Address records to connect to; each ends with `on_up` or `on_down`."""
    hang_ups: list[bytes]
    """Keys of peers to disconnect from."""


class Overlay:
    """The overlay of one node. Keys are public keys, 32 bytes."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        book: AddressBook,
        chance: Chance,
        now: Now,
        *,
        counts: Callable[[bytes], bool],
        is_member: Callable[[bytes], bool],
    ) -> None:
        """`counts`: whether a key is that of a member or of a principal that counts now (R15); `is_member`:
        whether it is that of a member now."""
        self.settings = settings
        self.conduct = Conduct()
        self.sent = self.received = 0
        """Messages of the overlay."""
        self.wants_member = False
        """Whether a member is wanted besides `members_linked`: set it to `Tree.wants_member`."""
        self._out = Out()
        self._chance = chance
        self._counts = counts
        self._is_member = is_member
        self.book = book
        size = 0 if settings.role in ("member", "book") else settings.fanout + 1
        self.views = Views(size, chance, self._out, now.monotonic, is_member=is_member)
        self.questions = Questions(book, chance, self._out, self.views.linked)
        self.gossip = Gossip(
            store,
            counts,
            chance,
            self._out,
            fanout=settings.fanout,
            ttl=settings.ttl,
            cache_size=settings.cache_size,
            interval=settings.anti_entropy_interval,
        )
        self._member_at = now.monotonic
        self._refresh_at = now.monotonic

    # --- what happens -------------------------------------------------------------------------------

    def set_record(self, record: Item, now: Now) -> None:
        """This node's own address record is this from now on; neighbours are told."""
        self.views.record = self.questions.own = record
        self.gossip.publish(record, self._gossips(), now)

    def publish(self, item: Item, now: Now) -> None:
        """Spread an item of this node's own."""
        self.gossip.publish(item, self._gossips(), now)

    def on_up(self, key: bytes, now: Now, *, dialled: bool) -> None:
        """An authenticated link is up. `dialled`: from here."""
        self.views.on_up(key, now.monotonic, dialled=dialled)
        self.questions.on_up(key)
        self.book.met(key)

    def on_down(self, key: bytes, now: Now) -> None:
        """A link is down, or a dialled peer was not reached."""
        self.gossip.on_down(key)
        if key not in self.views.linked:
            self.book.failed(key)
        self.views.on_down(key, now.monotonic)
        self.questions.on_down(key, now.monotonic)

    def seek(self, key: bytes, now: Now) -> bool:
        """Search the others' address books for where the node with this key is; returns whether there was
        room for one more search. What is found is in `book`."""
        return self.questions.seek(key, now.monotonic)

    def uses(self, keys: Iterable[bytes]) -> None:
        """The peers that push the log here or are pushed to: their links are kept longest."""
        self.views.uses = frozenset(keys)

    def may_link(self, key: bytes, now: Now) -> bool:
        """Whether a link to this peer is wanted at all: its key counts, and it was not dropped lately."""
        return self._counts(key) and not self.conduct.is_shunned(key, now.monotonic)

    @property
    def checks(self) -> int:
        """Signature checks that were made; the caller charges them to the sender of a message."""
        return self.gossip.store.checks + self.book.checks

    def receive(self, key: bytes, body: bytes, now: Now) -> Reason | None:
        """Take a message of a linked peer; returns why it is refused, if it is. Refusals count against the
        link, which is dropped if they are too many."""
        self.received += 1
        if not self.conduct.admits(key, now.monotonic):
            return Reason.BUSY
        if len(body) > GOSSIP_BYTES_MAX:
            return self._refuse(key, Fault.TOO_LARGE, now)
        try:
            message = o.decode(body)
        except o.OverlayMessageError:
            return self._refuse(key, Fault.MALFORMED, now)
        if not self.conduct.admits(key, now.monotonic, len(_items_of(message))):
            return Reason.BUSY
        fault = self._on_message(key, message, now)
        return None if fault is None else self._refuse(key, fault, now)

    def visit(self, key: bytes, body: bytes, now: Now) -> tuple[Reason | None, bytes | None]:
        """Take a message of a peer that is not linked and only asks: the tidings of where it listens, or a
        question to the address book. Returns (why it is refused, body of the answer to exactly that
        connection)."""
        self.received += 1
        if not self.conduct.admits(key, now.monotonic):
            return Reason.BUSY, None
        try:
            message = o.decode(body)
        except o.OverlayMessageError:
            return self._refuse(key, Fault.MALFORMED, now), None
        if not self.conduct.admits(key, now.monotonic, len(_items_of(message))):
            return Reason.BUSY, None
        match message:
            case o.Closest():
                self.sent += 1
                return None, o.encode(self.questions.answer(message))
            case o.Rumour(_, items):
                fault = self._on_rumour(key, 0, items, now)
                return (None if fault in (None, Fault.REPLAYED) else self._refuse(key, fault, now)), None
        return self._refuse(key, Fault.UNASKED, now), None

    def hear(self, items: Iterable[Item], now: Now) -> None:
        """Keep records that were learned beside the links; what does not hold is left out."""
        self._admit(items, now)

    def blame(self, key: bytes, now: Now) -> None:
        """A peer lied about the log, or held it back."""
        self._refuse(key, Fault.LIED, now)

    def refer(self, records: Sequence[bytes], now: Now) -> None:
        """A full node named its children (encoded address records): dial some of them. A record that is
        forged or means nobody is ignored; it was not signed by who named it."""
        contacts = []
        for data in records[: o.SHUFFLE_MAX]:
            try:
                item = canonical.decode(Item, data)
            except canonical.CanonicalError:
                continue
            if self._take(item, now)[1] is None:
                contacts += self._contacts([item])
        wanted = [each for each in contacts if each.can_be_dialled and self._is_new(each.key, now)]
        self.views.offer(wanted)
        for _ in range(min(REFERRED_MAX, len(wanted))):
            self._out.dials.append(wanted.pop(self._chance.below(len(wanted))).item)

    def tick(self, now: Now) -> None:
        """Do what is due: fill the views, compare stores, link a member."""
        self.views.tick(now.monotonic)
        self.gossip.tick(self._gossips(), now)
        self.questions.tick(now.monotonic)
        if now.monotonic >= self._refresh_at:
            self._refresh_at = now.monotonic + REFRESH_EVERY
            self._refresh(now)
        if now.monotonic >= self._member_at:
            self._member_at = now.monotonic + MEMBER_EVERY
            self._link_member(now)

    def deadline(self) -> int:
        """Monotonic nanoseconds of the next `tick`."""
        parts = (self.views, self.gossip, self.questions)
        times = [self._refresh_at, *(part.deadline() for part in parts)]
        if self.settings.role in ("relay", "leaf"):
            times.append(self._member_at)
        return min(times)

    def take(self) -> Done:
        """What is to be done; each thing is returned once."""
        out = self._out
        linked = self.views.linked
        bodies = [(key, o.encode(message)) for key, message in out.sends if key in linked]
        needed = {*self._gossips(), *self.views.uses}
        idle = [key for key in out.idle if key in linked and key not in needed]
        if self.views.size:
            idle += self.views.spare(needed | self.questions.asked)
        done = Done(bodies, out.dials, list(dict.fromkeys([*out.hang_ups, *idle])))
        self.sent += len(bodies)
        out.sends, out.dials, out.hang_ups, out.idle = [], [], [], []
        return done

    # --- for the log server and for figures ---------------------------------------------------------

    def records_of(self, keys: Iterable[bytes]) -> list[bytes]:
        """The encoded address records of these peers, of those that can be dialled: the children that a full
        node refers to."""
        held = [self.gossip.store.get(key, ADDRESS, "") for key in keys]
        found = self._contacts(item for item in held if item is not None)
        return [canonical.encode(contact.item) for contact in found if contact.can_be_dialled]

    def figures(self) -> dict[str, int]:
        """Counters and gauges for metrics."""
        views, gossip = self.views, self.gossip
        return {
            "sent": self.sent,
            "received": self.received,
            "refused": sum(self.conduct.totals.values()),
            "cache_size": gossip.cached,
            "cache_hits": gossip.hits,
            "cache_misses": gossip.misses,
            "peers": len(views.linked),
            "active": len(views.neighbours),
            "passive": len(views.passive),
        }

    # --- messages -----------------------------------------------------------------------------------

    def _on_message(self, key: bytes, message: o.Message, now: Now) -> Fault | None:
        """Take one message; returns what is wrong with it."""
        time = now.monotonic
        match message:
            case o.Rumour(ttl, items):
                return self._on_rumour(key, ttl, items, now)
            case o.Exchange(body):
                return None if self.gossip.on_exchange(key, body, now) else Fault.FORGED
            case o.Closest():
                self.questions.on_closest(key, message)
                return None
            case o.Disconnect():
                self.views.on_disconnect(key, time)
                return None
        contacts, fault = self._admit(_items_of(message), now)
        if fault in (Fault.FORGED, Fault.STRANGER):
            return fault  # nothing of a message with a forged item is used
        match message:
            case o.Records():
                records = [contact.item for contact in contacts]
                awaited = self.questions.on_records(key, message, records, now)
            case o.NeighbourReply(accepted):
                awaited = self.views.on_reply(key, accepted, contacts, time)
            case o.ShuffleReply(number):
                awaited = self.views.on_shuffle_reply(number, contacts)
            case o.Join(record) | o.Neighbour(_, record) if record.author != key:
                return Fault.LIED  # in another's name: a walk for it would cost many messages
            case _:
                self._on_walk(key, message, contacts, now)
                awaited = True
        return None if awaited else Fault.UNASKED

    def _on_walk(self, key: bytes, message: o.Message, contacts: list[Contact], now: Now) -> None:
        """Take what changes the views."""
        time = now.monotonic
        match message, contacts:
            case o.Join(), [newcomer]:
                self.views.on_join(key, newcomer, time)
            case o.ForwardJoin(_, ttl), [newcomer]:
                self.views.on_forward_join(key, newcomer, ttl, time)
            case o.Neighbour(high), [contact]:
                self.views.on_neighbour(key, contact, high, time)
            case o.Shuffle(), _:
                self.views.on_shuffle(key, message, contacts, time)

    def _on_rumour(self, key: bytes, ttl: int, items: Sequence[Item], now: Now) -> Fault | None:
        """Keep what is news and tell others. What comes before a forged item in the list was checked, and
        counts."""
        news: list[Item] = []
        worst: Fault | None = None
        for item in items:
            is_new, fault = self._take(item, now)
            if is_new:
                news.append(item)
            worst = worst or fault
            if fault is Fault.FORGED:
                worst = fault
                break
        self.views.offer(self._contacts(news))
        if ttl > 0 and news:
            self.gossip.spread(news, ttl - 1, self._gossips(but=key))
        return worst

    def _take(self, item: Item, now: Now) -> tuple[bool, Fault | None]:
        """Check an item and keep it, an address in the book as well; as `Gossip.admit`."""
        news, fault = self.gossip.admit(item, now)
        if news and item.kind == ADDRESS:
            self.book.learn(item, now.wall // 1_000)
        return news, fault

    def _admit(self, items: Iterable[Item], now: Now) -> tuple[list[Contact], Fault | None]:
        """Check the address records of a message; return the valid ones, and a fault if none is valid."""
        contacts: list[Contact] = []
        worst = None
        for item in items:
            _is_new, fault = self._take(item, now)
            if fault is Fault.FORGED:
                return [], fault
            worst = worst or fault
            held = self.gossip.store.get(item.author, item.kind, item.key)
            if fault is not Fault.STRANGER and held is not None:
                contacts += self._contacts([held])  # of a replayed item nothing was checked
        return contacts, worst if not contacts else None

    def _contacts(self, items: Iterable[Item]) -> list[Contact]:
        """What items of kind "address" say; others, and those that name no place, are left out."""
        found = []
        for item in items:
            try:
                found.append(Contact(item, address_of(item)))
            except ItemError:
                continue
        return found

    def _refuse(self, key: bytes, fault: Fault, now: Now) -> Reason:
        self.conduct.blame(key, fault, now.monotonic)
        if self.conduct.must_drop(key) and not self.conduct.is_shunned(key, now.monotonic):
            self.conduct.on_dropped(key, now.monotonic)
            self.views.forget(key, now.monotonic)
            # Members vote over their links among each other: there the peer's gossip alone is refused.
            if not (self.settings.role == "member" and self._is_member(key)):
                self._out.hang_ups.append(key)
        return REASONS[fault]

    # --- whom to link -------------------------------------------------------------------------------

    def _gossips(self, but: bytes = b"") -> list[bytes]:
        """The peers to gossip with. Members have no views: these are all that are linked."""
        views = self.views
        keys = views.neighbours if views.size else list(views.linked)
        members = [key for key in views.linked if self._is_member(key)] if views.size else []
        return [key for key in dict.fromkeys([*keys, *members]) if key != but and key in views.linked]

    def _is_new(self, key: bytes, now: Now) -> bool:
        mine = self.views.record is not None and key == self.views.record.author
        return not mine and key not in self.views.linked and self.may_link(key, now)

    def _refresh(self, now: Now) -> None:
        """Offer addresses of the store when the passive view has few."""
        if self.views.size and len(self.views.passive) < self.views.size:
            self.views.offer(
                contact
                for contact in self._contacts(self.gossip.store.items(ADDRESS))
                if self._is_new(contact.key, now)
            )

    def _link_member(self, now: Now) -> None:
        """Dial a member while too few are linked."""
        if not self.views.size:
            return
        linked = sum(1 for key in self.views.linked if self._is_member(key))
        if linked >= max(self.settings.members_linked, self.wants_member):
            return
        known = [
            item
            for item in self.gossip.store.items(ADDRESS)
            if self._is_member(item.author) and self._is_new(item.author, now)
        ]
        known = [contact.item for contact in self._contacts(known) if contact.value.addresses]
        if known:
            self._out.dials.append(known[self._chance.below(len(known))])


REASONS: dict[Fault, Reason] = {
    Fault.MALFORMED: Reason.MALFORMED,
    Fault.TOO_LARGE: Reason.TOO_LARGE,
    Fault.FORGED: Reason.BAD_SIGNATURE,
    Fault.STRANGER: Reason.UNKNOWN_SENDER,
    Fault.REPLAYED: Reason.DECIDED,
    Fault.UNASKED: Reason.NOT_ASKED,
    Fault.FLOODED: Reason.BUSY,
    Fault.LIED: Reason.BAD_PROOF,
}


def _items_of(message: o.Message) -> tuple[Item, ...]:
    match message:
        case o.Join(record) | o.ForwardJoin(record):
            return (record,)
        case o.Neighbour(_, record):
            return (record,)
        case o.NeighbourReply(_, items) | o.Shuffle(_, _, items):
            return items
        case o.ShuffleReply(_, items) | o.Records(_, items) | o.Rumour(_, items):
            return items
    return ()
