"""A search for one node's record in others' address books (Kademlia, section 2.3).

ALPHA questions at a time go to those nearest to the target, whose answers name nearer ones. A liar cannot
answer with a false record of the target, only with records of accomplices nearer to it than any honest node
(keys are cheap), and a search that always asks the nearest would then ask nobody else. S/Kademlia (section
4.4) takes several disjoint paths against this; but where honest nodes know the accomplices, all paths end at
them. So here every second question goes to the nearest, and the others in turn to all distances (numbers of
bits that are shared with the target), the furthest first; an answer has both halves too (book.closest).
However many accomplices crowd around the target, its honest neighbours are asked, who have its record
(book.py, rule 2).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dtvn.overlay.book import AddressBook, K, shared_bits
from dtvn.overlay.records import book_id
from dtvn.sync import Item

ALPHA = 3
"""Questions at a time (Kademlia, section 2.3)."""
ANSWER_WITHIN = 2_000_000_000
"""Nanoseconds after which a question counts as unanswered; another one is then asked."""
QUESTIONS_MAX = 96
"""Most questions of a search."""


class _Candidate(msgspec.Struct, eq=False):
    """One that may be asked."""

    distance: int
    bits: int
    """How many leading bits its place shares with the target."""
    hops: int
    """Questions in the chain that led to it; 0: it was known before."""
    item: Item | None
    """Its record; None of a contact of which only the address is known."""
    asked_at: int = 0


class Lookup:
    """One search. The caller asks those of `due`, and reports answers and failures."""

    def __init__(
        self,
        book: AddressBook,
        target: bytes,
        *,
        first: Iterable[bytes] = (),
        contacts: Iterable[bytes] = (),
        above: int = -1,
    ) -> None:
        """`target`: the sought place, 32 bytes: book_id of the sought node's key. `contacts`: keys of others
        that can be asked, besides those in the book; `first`: those that are asked before all others.
        `above`: version of a record of the sought node whose address did not answer; only a newer one counts
        as found. The sought node is then asked at that address first of all: it may be back, and know nobody
        who could be asked about it."""
        self._book = book
        self._target = target
        self._above = above
        self._place = int.from_bytes(target)
        self._candidates: dict[bytes, _Candidate] = {}
        self._free: dict[bytes, _Candidate] = {}
        """Of these, those that were not asked."""
        self._waiting: dict[bytes, _Candidate] = {}
        """Those whose answers are awaited."""
        self._asked: dict[int, int] = {}
        """Every second question, by the number of bits that who was asked shares with the target."""
        self.questions = 0
        self.hops = 0
        """Questions in the chain that led to the record that was found; else in the longest chain."""
        self.found: Item | None = None
        """The sought node's own record, once it is known."""
        self._add(book.items(), 0)
        self._first = [key for key, each in self._free.items() if each.distance == 0]
        self._first += [key for key in first if book_id(key) != target]
        for key in (*self._first, *contacts):
            if book_id(key) != target:
                self._candidate(key, book_id(key), 0, None)

    @property
    def done(self) -> bool:
        """Whether the record was found, or there is nobody left to ask."""
        return self.found is not None or not (self._waiting or (self._free and self._may_ask()))

    def nearest(self, most: int = K) -> list[Item]:
        """The records nearest to the target of all that were heard of, nearest first."""
        heard = [(each.distance, each.item) for each in self._candidates.values()]
        return [item for _, item in sorted(heard, key=lambda pair: pair[0]) if item is not None][:most]

    def record(self, key: bytes) -> Item | None:
        """The record of one that is to be asked; None of a contact without one."""
        return self._candidates[key].item

    def due(self, now: int) -> list[bytes]:
        """Keys of those to ask now for the records closest to the target. `now`: monotonic nanoseconds."""
        for key, each in list(self._waiting.items()):
            if now >= each.asked_at + ANSWER_WITHIN:
                self.failed(key)
        asks = []
        while self._free and len(self._waiting) < ALPHA and self._may_ask():
            key = self._next()
            each = self._waiting[key] = self._free.pop(key)
            if self.questions % 2:
                self._asked[each.bits] = self._asked.get(each.bits, 0) + 1
            each.asked_at = now
            self.questions += 1
            asks.append(key)
        return asks

    def deadline(self) -> int | None:
        """When `due` is to be called again if nothing comes; None: no question is open."""
        asked = min((each.asked_at for each in self._waiting.values()), default=None)
        return None if asked is None else asked + ANSWER_WITHIN

    def answered(self, key: bytes, items: Iterable[Item], wall: int) -> bool:
        """Take an asked node's answer; returns whether it was asked, and had not answered. `wall`: Unix
        microseconds."""
        each = self._waiting.pop(key, None)
        if each is None:
            return False
        self._book.met(key)
        valid = []
        for item in list(items)[:K]:
            value = self._book.check(item, wall)
            if value is not None and value.addresses:
                valid.append(item)
                self._book.learn(item, wall)
        self._add(valid, each.hops + 1)
        return True

    def failed(self, key: bytes) -> None:
        """A node could not be reached, or did not answer in time."""
        if self._waiting.pop(key, None) or self._free.pop(key, None):
            self._book.failed(key)

    def _add(self, items: Iterable[Item], hops: int) -> None:
        for item in items:
            if item.author == self._book.own:
                continue  # who joins seeks its own place
            place = book_id(item.author)
            if place == self._target and item.version > self._above:
                if self.found is None:
                    self.found, self.hops = item, hops
            elif place != self._target or hops == 0:
                self._candidate(item.author, place, hops, item)
                self.hops = self.hops if self.found is not None else max(self.hops, hops)

    def _candidate(self, key: bytes, place: bytes, hops: int, item: Item | None) -> None:
        if key not in self._candidates:
            number = int.from_bytes(place)
            each = _Candidate(number ^ self._place, shared_bits(number, self._place), hops, item)
            self._candidates[key] = self._free[key] = each

    def _may_ask(self) -> bool:
        return self.found is None and self.questions < QUESTIONS_MAX

    def _next(self) -> bytes:
        self._first = [key for key in self._first if key in self._free]
        if self._first:
            return self._first[0]
        return min(self._free, key=self._turn if self.questions % 2 else self._nearness)

    def _nearness(self, key: bytes) -> int:
        return self._free[key].distance

    def _turn(self, key: bytes) -> tuple[int, int, int]:
        each = self._free[key]
        return self._asked.get(each.bits, 0), each.bits, each.distance
