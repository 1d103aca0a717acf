"""What a peer holds of the synchronised state: the newest item of each (author, kind, key), bounded (R46).

The merge of two stores is commutative, associative and idempotent, quotas included: an identity keeps its
newest item (`replaces`), an author its `author_items_max` newest ones by (version, digest). What is dropped
is older than all that stays, and stays older whatever arrives later.

A tombstone is kept TOMBSTONE_KEPT_US by its own timestamp, and longer while it hides an item of another
author: else a value that was deleted would come back from a peer that still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync.item import Item, checked, digest_of, replaces
from dtvn.sync.tree import Tree

SECOND_US = 1_000_000
TOMBSTONE_KEPT_US = 24 * 3600 * 1_000_000
FUTURE_US_MAX = 60 * 1_000_000
"""How far ahead of this peer's clock an item's timestamp may be; one beyond would win every last write."""
ITEMS_MAX = 100_000
"""Of all authors: a store that is full takes no new identities. `author_items_max` times the authors that
count should be less, for only then are two full stores alike."""
AUTHOR_ITEMS_MAX = 10_000
AUTHORS_MAX = 4_096
"""Most authors whose completeness is remembered."""


class Taken(Enum):
    """What became of an item."""

    NEW = "new"
    KNOWN = "known"
    """This one or a newer one is held."""
    FULL = "full"
    """Its author has as many newer ones as it may have, or the store as many items."""
    STRANGE = "strange"
    """Of an author or a kind that does not count here, from the future, or a tombstone whose time is over: no
    lie of the peer that sent it, whose view may differ."""
    EARLY = "early"
    """Its author had too many new ones lately: it is taken when it comes again later."""


class Kind(msgspec.Struct, frozen=True):
    """Rules of one kind of item."""

    check: Callable[[Item], object] | None = None
    """Called with each item that is no tombstone; raises ItemError for a value that is none of this kind."""
    shared: bool = False
    """Whether the items of all authors under one key are one thing: a tombstone then hides others' items."""
    ahead_max: int | None = None
    """Versions are microseconds of the author's clock, at most so many ahead of this peer's: else one of the
    far future could never be replaced. None: they are counters."""
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
        """`own`: public key of this peer, whose own items are taken however many they are, and stay whatever
        a snapshot lacks."""
        self.cluster = cluster
        self.authors = authors
        self.on_change = on_change
        self.scheme = scheme
        self.tree = Tree()
        self.heard = now
        """When the last exchange with a peer ended well (or the store began), Unix microseconds."""
        self.highest = 0
        """Largest version of any item that was ever taken."""
        self.checks = 0
        """Signature checks that were made."""
        self._own = own
        self._kinds = dict(kinds)
        self._items_max = items_max
        self._author_items_max = author_items_max
        self._items: dict[bytes, Item] = {}
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

    def of_author(self, author: bytes, above: int) -> list[Item]:
        """The author's items of a version above `above`, oldest version first."""
        held = self._authors.get(author)
        found = [self._items[each] for each in held.places] if held else []
        return sorted((each for each in found if each.version > above), key=lambda item: item.version)

    def complete(self) -> dict[bytes, int]:
        """Author -> version up to which this store has all of the author's items (0: none is known)."""
        return {author: held.complete for author, held in self._authors.items()}

    def completed(self, author: bytes, above: int, version: int) -> None:
        """A peer says that it sent all of an author's items in (above, version]: how far this store is
        complete. It may lie: never further than the newest item that the author signed."""
        counts = self.authors is None or self.authors(author)
        if author not in self._authors and (not counts or len(self._authors) >= AUTHORS_MAX):
            return
        held = self._authors.setdefault(author, _Author())
        if above <= held.complete:
            held.complete = max(held.complete, min(version, held.highest))

    def take(self, item: Item, now: int) -> Taken:
        """Merge one item in. `now`: Unix microseconds; raise ItemError if its author did not sign it or its
        value has not the form of its kind."""
        found = self.weigh(item, now)
        if found is not Taken.NEW:
            return found
        self.proved(item)
        taken = self.put(item)
        burst = self._kinds[item.kind].burst
        if burst is not None and taken is Taken.NEW:
            author = self._authors[item.author]
            author.room, author.took_at = author.room_at(burst, now) - 1, now
        return taken

    def weigh(self, item: Item, now: int) -> Taken:
        """What `take` would do with an item, once it is proved; nothing is checked or changed."""
        place = place_of(item.author, item.kind, item.key)
        held = self._items.get(place)
        if held is not None and not replaces(item, held):
            return Taken.KNOWN
        if item.kind not in self._kinds or item.timestamp > now + FUTURE_US_MAX:
            return Taken.STRANGE
        if self.authors is not None and not self.authors(item.author):
            return Taken.STRANGE
        kind = self._kinds[item.kind]
        if kind.ahead_max is not None and item.version > now + kind.ahead_max:
            return Taken.STRANGE
        over = item.deleted and item.timestamp + TOMBSTONE_KEPT_US < now
        if over and not kind.shared:  # a shared one may hide what comes behind it
            return Taken.STRANGE
        author = self._authors.get(item.author)
        if kind.burst is not None and author is not None and item.author != self._own:
            return Taken.NEW if author.room_at(kind.burst, now) >= 1 else Taken.EARLY
        return Taken.NEW

    def proved(self, item: Item) -> None:
        """Check signature and form; raise ItemError."""
        self.checks += 1
        checked(self.cluster, item, self.scheme)
        kind = self._kinds.get(item.kind, Kind())
        if kind.check is not None and not item.deleted:
            kind.check(item)

    def put_own(self, item: Item) -> Taken:
        """Merge in the newest item of this peer itself, all of whose items are here."""
        taken = self.put(item)
        self.completed(item.author, self.complete().get(item.author, 0), item.version)
        return taken

    def put(self, item: Item) -> Taken:
        """Merge an item that is proved: an own one, or one that came out of this store."""
        place = place_of(item.author, item.kind, item.key)
        held = self._items.get(place)
        if held is not None and not replaces(item, held):
            return Taken.KNOWN
        author = self._authors.setdefault(item.author, _Author())
        if held is None and not self._make_room(author, item):
            return Taken.FULL
        self._items[place] = item
        self.tree.put(place, item.version, digest_of(item))
        author.places.add(place)
        author.highest = max(author.highest, item.version)
        self.highest = max(self.highest, item.version)
        (self._tombstones.add if item.deleted else self._tombstones.discard)(place)
        if self._kinds.get(item.kind, Kind()).shared:
            self._shared.setdefault((item.kind, item.key), set()).add(place)
        if self.on_change is not None:
            self.on_change(item)
        return Taken.NEW

    def expire(self, now: int) -> None:
        """Drop the tombstones whose time is over and the items of authors that no longer count."""
        over = {
            place
            for place in self._tombstones
            if (item := self._items[place]).timestamp + TOMBSTONE_KEPT_US < now and not self._hides(item)
        }
        counts = self.authors
        gone = [author for author in self._authors if counts is not None and not counts(author)]
        over.update(*(self._authors[author].places for author in gone))
        for place in over:
            self._drop(place)
        for author in gone:
            self._authors.pop(author)

    def is_behind(self, now: int) -> bool:
        """Whether this peer was away for longer than tombstones are kept: what it holds may have been deleted
        meanwhile, so it takes a snapshot before it sends (R46)."""
        return now - self.heard > TOMBSTONE_KEPT_US and bool(self._items)

    def retain(self, places: set[bytes], now: int) -> None:
        """After a snapshot was taken: drop what it does not have and what may have been deleted meanwhile.
        Own items stay, and those so young that a tombstone of them would still be kept."""
        gone = [
            place
            for place, item in self._items.items()
            if place not in places and item.author != self._own and item.timestamp + TOMBSTONE_KEPT_US < now
        ]
        for place in gone:
            self._drop(place)

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

    def _drop(self, place: bytes) -> None:
        item = self._items.pop(place)
        self.tree.remove(place)
        self._authors[item.author].places.discard(place)
        self._tombstones.discard(place)
        shared = self._shared.get((item.kind, item.key))
        if shared is not None:
            shared.discard(place)
            if not shared:
                del self._shared[item.kind, item.key]


class _Author(msgspec.Struct):
    places: set[bytes] = msgspec.field(default_factory=set)
    highest: int = 0
    """Largest version of an item that was ever held."""
    complete: int = 0
    """Every item of the author up to this version is here, or was replaced by a newer one."""
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
