"""What a peer holds of the synchronised state: the newest item of each (author, kind, key), bounded (R46).

The merge of two stores is commutative, associative and idempotent, quotas included: an identity keeps its
newest item (`replaces`), an author its `author_items_max` newest ones by (version, digest). What is dropped
is older than all that stays, and stays older whatever arrives later.

An item dated more than AHEAD_US_MAX ahead of this peer's clock is kept aside: it neither counts nor travels
until its time is nearer.

A tombstone is kept TOMBSTONE_KEPT_US by its own version, and longer while it hides an item of another
author: else a value that was deleted would come back from a peer that still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync.clock import AHEAD_US_MAX
from dtvn.sync.item import Item, checked, digest_of, replaces
from dtvn.sync.tree import Tree

SECOND_US = 1_000_000
TOMBSTONE_KEPT_US = 24 * 3600 * 1_000_000
ITEMS_MAX = 100_000
"""Of all authors: a store that is full takes no new identities. `author_items_max` times the authors that
count should be less, for only then are two full stores alike."""
AUTHOR_ITEMS_MAX = 10_000


class Taken(Enum):
    """What became of an item."""

    NEW = "new"
    KNOWN = "known"
    """This one or a newer one is held."""
    FULL = "full"
    """Its author has as many newer ones as it may have, or the store as many items."""
    STRANGE = "strange"
    """Of an author or a kind that does not count here, or a tombstone whose time is over: no lie of the peer
    that sent it, whose view may differ."""
    AHEAD = "ahead"
    """Dated too far ahead of this peer's clock: kept aside, and it counts once its time is near."""
    EARLY = "early"
    """Its author had too many new ones lately: it is taken when it comes again later."""


class Kind(msgspec.Struct, frozen=True):
    """Rules of one kind of item."""

    check: Callable[[Item], object] | None = None
    """Called with each item that is no tombstone; raises ItemError for a value that is none of this kind."""
    shared: bool = False
    """Whether the items of all authors under one key are one thing: a tombstone then hides others' items."""
    burst: int | None = None
    """Most new items of an author that are taken at once, and one more each second: each costs all peers a
    signature check. None: as many as come."""


class Store:
    """The items of one peer. `authors` says whose items count; None: everybody's."""

    def __init__(
        self,
        cluster: bytes,
        kinds: Mapping[str, Kind],
        *,
        authors: Callable[[bytes], bool] | None = None,
        on_change: Callable[[Item], object] | None = None,
        scheme: Scheme = ED25519,
        items_max: int = ITEMS_MAX,
        author_items_max: int = AUTHOR_ITEMS_MAX,
        own: bytes = b"",
        now: int = 0,
    ) -> None:
        """`own`: public key of this peer, whose own items are taken however many come at once, and are never
        dropped for being old. `on_change`: called with each item before it counts; what it raises leaves the
        store as it was."""
        self.cluster = cluster
        self.authors = authors
        self.on_change = on_change
        self.scheme = scheme
        self.tree = Tree()
        self.heard = now
        """When the last exchange with a peer ended well (or the store began), Unix microseconds."""
        self.checks = 0
        """Signature checks that were made."""
        self._own = own
        self._kinds = dict(kinds)
        self._items_max = items_max
        self._author_items_max = author_items_max
        self._items: dict[bytes, Item] = {}
        self._ahead: dict[bytes, Item] = {}
        """Place -> the newest item of it that is dated too far ahead."""
        self._authors: dict[bytes, _Author] = {}
        self._tombstones: set[bytes] = set()
        self._shared: dict[tuple[str, str], set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def root(self) -> bytes:
        """32 bytes: equal roots are equal stores."""
        return self.tree.root

    def get(self, author: bytes, kind: str, key: str) -> Item | None:
        """The newest item of an author under a key, tombstones included."""
        return self._items.get(place_of(author, kind, key))

    def newest(self, author: bytes, kind: str, key: str) -> Item | None:
        """The same, or one of this identity that is dated too far ahead to count yet."""
        place = place_of(author, kind, key)
        return self._ahead.get(place) or self._items.get(place)

    def at(self, place: bytes) -> Item | None:
        """The item of a place (see `place_of`)."""
        return self._items.get(place)

    def items(self, kind: str | None = None) -> Iterator[Item]:
        """All items (of a kind), tombstones included, in no order."""
        return (each for each in self._items.values() if kind is None or each.kind == kind)

    def under(self, kind: str, key: str) -> list[Item]:
        """The items of all authors under one key of a shared kind, tombstones included, by author."""
        places = self._shared.get((kind, key), ())
        return sorted((self._items[each] for each in places), key=lambda item: item.author)

    def keys(self, kind: str) -> list[str]:
        """The keys of a shared kind, sorted."""
        return sorted(key for its_kind, key in self._shared if its_kind == kind)

    def count_of(self, author: bytes) -> int:
        """How many items of an author are held, tombstones included."""
        held = self._authors.get(author)
        return len(held.places) if held else 0

    def take(self, item: Item, now: int) -> Taken:
        """Merge one item in. `now`: Unix microseconds; raise ItemError if its author did not sign it or its
        value has not the form of its kind."""
        found = self.weigh(item, now)
        if found not in (Taken.NEW, Taken.AHEAD):
            return found
        self.proved(item)
        found = self.put(item) if found is Taken.NEW else self._put_aside(item)
        burst = self._kinds[item.kind].burst
        if burst is not None and found is not Taken.FULL:
            author = self._authors[item.author]
            author.room, author.took_at = author.room_at(burst, now) - 1, now
        return found

    def take_all(self, items: Iterable[Item], now: int) -> int:
        """Merge items in, all or none, and say how many were new; raise ItemError for one that `take` would
        refuse so."""
        weighed = [(item, self.weigh(item, now)) for item in items]
        fresh = [each for each in weighed if each[1] in (Taken.NEW, Taken.AHEAD)]
        for item, _found in fresh:
            self.proved(item)
        puts = (self.put(item) if found is Taken.NEW else self._put_aside(item) for item, found in fresh)
        return sum(taken is Taken.NEW for taken in puts)

    def weigh(self, item: Item, now: int) -> Taken:
        """What `take` would do with an item, once it is proved; nothing is checked or changed."""
        place = place_of(item.author, item.kind, item.key)
        ahead = item.version > now + AHEAD_US_MAX
        held = (self._ahead if ahead else self._items).get(place)
        if held is not None and not replaces(item, held):
            return Taken.KNOWN
        if item.kind not in self._kinds or not self._counts(item.author):
            return Taken.STRANGE
        kind = self._kinds[item.kind]
        over = item.deleted and item.version + TOMBSTONE_KEPT_US < now
        if over and not kind.shared:  # a shared one may hide what comes behind it
            return Taken.STRANGE
        author = self._authors.get(item.author, _Author())
        if kind.burst is not None and item.author != self._own and author.room_at(kind.burst, now) < 1:
            return Taken.EARLY
        if not ahead:
            return Taken.NEW
        full = author.ahead >= self._author_items_max or len(self._ahead) >= self._items_max
        return Taken.FULL if held is None and full else Taken.AHEAD

    def proved(self, item: Item) -> None:
        """Check signature and form; raise ItemError."""
        self.checks += 1
        checked(self.cluster, item, self.scheme)
        kind = self._kinds.get(item.kind, Kind())
        if kind.check is not None and not item.deleted:
            kind.check(item)

    def put(self, item: Item) -> Taken:
        """Merge an item that is proved: an own one, or one that came out of this store."""
        place = place_of(item.author, item.kind, item.key)
        held = self._items.get(place)
        if held is not None and not replaces(item, held):
            return Taken.KNOWN
        author = self._authors.setdefault(item.author, _Author())
        if held is None and not self._make_room(author, item):
            return Taken.FULL
        if self.on_change is not None:
            self.on_change(item)
        self._items[place] = item
        self.tree.put(place, item.version, digest_of(item))
        author.places.add(place)
        (self._tombstones.add if item.deleted else self._tombstones.discard)(place)
        if self._kinds.get(item.kind, Kind()).shared:
            self._shared.setdefault((item.kind, item.key), set()).add(place)
        return Taken.NEW

    def advance(self, now: int) -> None:
        """Let the items count that are no longer dated too far ahead."""
        for place, item in list(self._ahead.items()):
            if item.version <= now + AHEAD_US_MAX:
                del self._ahead[place]
                self._authors[item.author].ahead -= 1
                self.put(item)

    def expire(self, now: int) -> list[Item]:
        """Drop the tombstones whose time is over and the items of authors that no longer count; returns
        them."""
        self.advance(now)
        over = {
            place
            for place in self._tombstones
            if (item := self._items[place]).version + TOMBSTONE_KEPT_US < now and not self._hides(item)
        }
        gone = [author for author in self._authors if not self._counts(author)]
        over.update(*(self._authors[author].places for author in gone))
        dropped = [self._drop(place) for place in over]
        for author in gone:
            self._authors.pop(author)
        self._ahead = {place: item for place, item in self._ahead.items() if self._counts(item.author)}
        return dropped

    def is_behind(self, now: int) -> bool:
        """Whether this peer was away for longer than tombstones are kept: what it holds may have been deleted
        meanwhile, so it takes what others hold before it gives anything (R46)."""
        return now - self.heard > TOMBSTONE_KEPT_US and bool(self._items)

    def drop_old(self, places: Iterable[bytes], now: int) -> None:
        """Drop the items of these places that may have been deleted meanwhile. Own items stay, and those so
        young that a tombstone of them would still be kept."""
        for place in places:
            item = self._items.get(place)
            if item and item.author != self._own and item.version + TOMBSTONE_KEPT_US < now:
                self._drop(place)

    def _counts(self, author: bytes) -> bool:
        return self.authors is None or self.authors(author)

    def _put_aside(self, item: Item) -> Taken:
        place = place_of(item.author, item.kind, item.key)
        self._authors.setdefault(item.author, _Author()).ahead += place not in self._ahead
        self._ahead[place] = item
        return Taken.AHEAD

    def _hides(self, tombstone: Item) -> bool:
        if not self._kinds.get(tombstone.kind, Kind()).shared:
            return False
        return any(
            not other.deleted and other.author != tombstone.author
            for other in self.under(tombstone.kind, tombstone.key)
        )

    def _make_room(self, author: _Author, item: Item) -> bool:
        """Whether there is place for one more item of an author, its oldest one dropped if need be."""
        if len(author.places) >= self._author_items_max:
            oldest = min(author.places, key=self._age)
            if (item.version, digest_of(item)) < self._age(oldest):
                return False
            self._drop(oldest)
        return len(self._items) < self._items_max

    def _age(self, place: bytes) -> tuple[int, bytes]:
        return self.tree.get(place) or (0, b"")

    def _drop(self, place: bytes) -> Item:
        item = self._items.pop(place)
        self.tree.remove(place)
        self._authors[item.author].places.discard(place)
        self._tombstones.discard(place)
        shared = self._shared.get((item.kind, item.key))
        if shared is not None:
            shared.discard(place)
            if not shared:
                del self._shared[item.kind, item.key]
        return item


class _Author(msgspec.Struct):
    places: set[bytes] = msgspec.field(default_factory=set)
    ahead: int = 0
    """Items that are kept aside."""
    room: float | None = None
    """Items of a kind with a `burst` that could still be taken at `took_at`; None: none was ever taken."""
    took_at: int = 0

    def room_at(self, burst: int, now: int) -> float:
        """How many may be taken now, Unix microseconds."""
        if self.room is None:
            return float(burst)
        return min(float(burst), self.room + max(0, now - self.took_at) / SECOND_US)


def place_of(author: bytes, kind: str, key: str) -> bytes:
    """Where the items of an (author, kind, key) stand in the tree: a hash, so that nobody chooses."""
    return canonical.tagged_digest("dtvn/v1/item/place", author, canonical.encode((kind, key)))
