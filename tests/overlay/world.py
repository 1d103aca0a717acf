"""A network of address books in one process: real keys and signatures, questions delivered by a call."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from hashlib import sha256

from nacl import bindings

from dtvn.overlay import AddressValue, book_id, signed_address
from dtvn.overlay.book import AddressBook
from dtvn.overlay.lookup import Lookup
from dtvn.overlay.messages import Closest
from dtvn.overlay.ports import Out
from dtvn.overlay.questions import Questions
from dtvn.sync import Item

CLUSTER = b"c" * 32
NOW = 1_800_000_000_000_000


def pair(seed: str) -> tuple[bytes, bytes]:
    """(public key, secret key) of a party."""
    return bindings.crypto_sign_seed_keypair(sha256(seed.encode()).digest())


def record(
    party: str, *places: tuple[str, int], at: int = NOW, role: str = "relay", cluster: bytes = CLUSTER
) -> Item:
    """A party's own record; without a place at one of the Internet that differs from others'."""
    value = AddressValue(party, role, places or ((internet(party), 4001),))  # type: ignore[arg-type]
    return signed_address(cluster, pair(party)[1], value, at)


def internet(party: str) -> str:
    """An address of the Internet."""
    first, *rest = sha256(b"host " + party.encode()).digest()[:4]
    return ".".join(str(part) for part in (20 + first % 60, *rest))


class SharedBook(AddressBook):
    """A book that looks up what another one of the same world has checked: a thousand see each record."""

    checked: dict[Item, AddressValue | None]

    def check(self, item: Item, now: int) -> AddressValue | None:
        if item not in self.checked:
            self.checked[item] = super().check(item, now)
        return self.checked[item]


def everybody(_key: bytes) -> bool:
    return True


class Chance:
    """A port of the overlay, seeded."""

    def __init__(self, rng: random.Random) -> None:
        self.below = rng.randrange


class Node:
    """A node of the world."""

    def __init__(self, book: AddressBook, own: Item, rng: random.Random) -> None:
        self.book = book
        self.questions = Questions(book, Chance(rng), Out(), set())
        self.questions.own = own

    def hear(self, items: Iterable[Item]) -> None:
        for item in items:
            self.book.learn(item, NOW)


class World:
    """Nodes by key. `liars` answer with records of each other only."""

    def __init__(self, rng: random.Random, admits: Callable[[bytes], bool] = everybody) -> None:
        self.rng = rng
        self.nodes: dict[bytes, Node] = {}
        self.liars: dict[bytes, Item] = {}
        self._checked: dict[Item, AddressValue | None] = {}
        self._admits = admits

    def join(self, party: str) -> bytes:
        """A party knows one node, asks for those nearest to itself, and tells each whom it asks of itself."""
        key, _ = pair(party)
        book = SharedBook(CLUSTER, key, admits=self._admits)
        book.checked = self._checked
        node = Node(book, record(party), self.rng)
        if self.nodes:
            contact = self.rng.choice(sorted(self.nodes))
            search = Lookup(node.book, book_id(key), contacts=(contact,))
            self.run(node, search, most=JOINING_MAX)
        self.nodes[key] = node
        return key

    def conspire(self, items: Iterable[Item], told: Collection[bytes]) -> None:
        """Liars with these records make themselves known to these nodes."""
        self.liars = {item.author: item for item in items}
        for key in told:
            self.nodes[key].hear(self.liars.values())

    def expose(self) -> None:
        """End of the liars."""
        for node in self.nodes.values():
            for key in self.liars:
                node.book.forget(key)
        self.liars = {}

    def leave(self, key: bytes) -> None:
        """A node ends, and everybody forgets it."""
        del self.nodes[key]
        for node in self.nodes.values():
            node.book.forget(key)

    def search(self, asker: bytes, sought: bytes) -> Lookup:
        """One search, of which the asker learns nothing lasting."""
        node = self.nodes[asker]
        search = Lookup(_Frozen(node.book), book_id(sought))  # type: ignore[arg-type]
        self.run(node, search)
        return search

    def run(self, node: Node, search: Lookup, most: int = 10_000) -> None:
        now = 0
        while not search.done and search.questions < most:
            for key in search.due(now):
                search.answered(key, self.ask(node.questions.own, key, search._target), NOW)

    def ask(self, asker: Item | None, key: bytes, target: bytes) -> tuple[Item, ...]:
        if key in self.liars:
            place = int.from_bytes(target)
            nearest = sorted(
                self.liars.values(), key=lambda item: int.from_bytes(book_id(item.author)) ^ place
            )
            return tuple(nearest[:20])
        node = self.nodes[key]
        if asker is not None:
            node.hear((asker,))
        return node.questions.answer(Closest(1, target)).items


JOINING_MAX = 24
"""Nodes that a newcomer asks."""


class _Frozen:
    """A book that answers and learns nothing."""

    def __init__(self, book: AddressBook) -> None:
        self.own, self.check, self.items = book.own, book.check, book.items

    def learn(self, item: Item, now: int) -> bool:
        return False

    def met(self, author: bytes) -> None:
        pass

    def failed(self, author: bytes) -> None:
        pass
