"""Searches of the address book over links (R45): sends the questions of each Lookup, dials whom to ask if
need be, and answers those of others. A link that was made for a question alone is hung up when the search
ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from dtvn.overlay.book import AddressBook
from dtvn.overlay.lookup import Lookup
from dtvn.overlay.messages import CLOSEST_MAX, Closest, Records, fitting
from dtvn.overlay.ports import Chance, Out
from dtvn.overlay.records import book_id
from dtvn.protocol.consensus.effects import Now
from dtvn.sync import Item

SEARCHES_MAX = 8
"""Most searches at one time; each asks three nodes at a time."""
NUMBER_END = 1 << 62


class _Search(msgspec.Struct, eq=False):
    sought: bytes
    """Key of the sought node."""
    lookup: Lookup
    dialled: dict[bytes, None] = msgspec.field(default_factory=dict)
    """Peers that were dialled for it, in this order: a seeded run ends their links in it too."""


class Questions:
    """The searches of one node. Keys are public keys."""

    def __init__(self, book: AddressBook, chance: Chance, out: Out, linked: Collection[bytes]) -> None:
        """`linked`: the peers that are linked now; only read."""
        self.own: Item | None = None
        """This node's own record, which is part of each answer; None: it has none."""
        self._book = book
        self._chance = chance
        self._out = out
        self._linked = linked
        self._searches: dict[bytes, _Search] = {}
        """By the sought node's place."""
        self._open: dict[int, tuple[bytes, bytes]] = {}
        """Number of a question -> (who was asked, the sought place)."""
        self._waiting: dict[bytes, list[bytes]] = {}
        """Dialled peer -> the places that it is to be asked for."""

    def seek(
        self, key: bytes, now: int, *, first: Iterable[bytes] = (), contacts: Iterable[bytes] = ()
    ) -> bool:
        """Search for the record of the node with this key, newer than the known one if that failed; returns
        whether there was room for one more search. `first`, `contacts`: see Lookup. `now`: monotonic
        nanoseconds."""
        place = book_id(key)
        if place not in self._searches:
            if len(self._searches) >= SEARCHES_MAX:
                return False
            known = self._book.get(key)
            above = known.item.version if known is not None and known.failed else -1
            lookup = Lookup(self._book, place, first=first, contacts=contacts, above=above)
            self._searches[place] = _Search(key, lookup)
        self._ask(now)
        return True

    def drop(self, key: bytes) -> None:
        """End the search for the node with this key."""
        if (search := self._searches.pop(book_id(key), None)) is not None:
            self._end(search)

    @property
    def sought(self) -> frozenset[bytes]:
        """Keys of the nodes that are searched for."""
        return frozenset(search.sought for search in self._searches.values())

    @property
    def asked(self) -> frozenset[bytes]:
        """Keys of those who owe an answer."""
        return frozenset(asked for asked, _place in self._open.values())

    def answer(self, message: Closest) -> Records:
        """The answer to a question: AddressBook.closest, and this node's own record. Nearest first."""
        place = int.from_bytes(message.target)
        own = () if self.own is None else (self.own,)
        items = [*own, *self._book.closest(message.target, CLOSEST_MAX - len(own))]
        items.sort(key=lambda item: int.from_bytes(book_id(item.author)) ^ place)
        return Records(message.number, fitting(tuple(items), CLOSEST_MAX))

    def on_closest(self, key: bytes, message: Closest) -> None:
        """Answer a question."""
        self._out.send(key, self.answer(message))

    def on_records(self, key: bytes, message: Records, items: Sequence[Item], now: Now) -> bool:
        """Take an answer, of which these items are checked; returns whether it was awaited."""
        asked, place = self._open.get(message.number, (b"", b""))
        if asked != key:
            return False
        del self._open[message.number]
        if (search := self._searches.get(place)) is not None:
            search.lookup.answered(key, items, now.wall // 1_000)
            self._ask(now.monotonic)
        return True

    def on_up(self, key: bytes) -> None:
        """A link is up: ask what it was dialled for."""
        for place in self._waiting.pop(key, ()):
            if place in self._searches:
                self._send(key, place)

    def on_down(self, key: bytes, now: int) -> None:
        """A link is down, or could not be made."""
        self._waiting.pop(key, None)
        for number in [number for number, (asked, _place) in self._open.items() if asked == key]:
            del self._open[number]
        for search in self._searches.values():
            search.lookup.failed(key)
        self._ask(now)

    def tick(self, now: int) -> None:
        """Give up questions that nobody answered."""
        self._ask(now)

    def deadline(self) -> int:
        """When `tick` is due."""
        times = [search.lookup.deadline() for search in self._searches.values()]
        return min((time for time in times if time is not None), default=NUMBER_END)

    def _ask(self, now: int) -> None:
        for place, search in list(self._searches.items()):
            for key in search.lookup.due(now):
                item = search.lookup.record(key)
                if key in self._linked:
                    self._send(key, place)
                elif item is None:
                    search.lookup.failed(key)  # a contact without a link
                else:
                    self._waiting.setdefault(key, []).append(place)
                    search.dialled[key] = None
                    self._out.dials.append(item)
            if search.lookup.done:
                del self._searches[place]
                self._end(search)

    def _send(self, key: bytes, place: bytes) -> None:
        number = self._chance.below(NUMBER_END)
        self._open[number] = (key, place)
        self._out.send(key, Closest(number, place))

    def _end(self, search: _Search) -> None:
        place = book_id(search.sought)
        self._open = {number: each for number, each in self._open.items() if each[1] != place}
        for key in search.dialled:
            if key in self._linked and not any(asked == key for asked, _place in self._open.values()):
                self._out.idle.append(key)
