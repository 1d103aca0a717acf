"""What the overlay needs from others, as narrow protocols with no defaults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from dtvn.overlay.messages import Message
from dtvn.overlay.records import AddressValue
from dtvn.sync import Item

__all__ = ["Chance", "Contact", "Out", "Store"]


class Chance(Protocol):
    """The source of chance; the simulator's is seeded."""

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""


class Store(Protocol):
    """The newest item of each (author, kind, key), and how two stores become alike (dtvn.sync)."""

    @property
    def checks(self) -> int:
        """Signature checks that were made."""

    def take(self, item: Item, now: int) -> bool:
        """Check an item and keep it; returns whether it was news. `now`: Unix microseconds. Raises ItemError
        if its author did not sign it so."""

    def get(self, author: bytes, kind: str, key: str) -> Item | None:
        """The item that is held of this identity."""

    def items(self, kind: str) -> Iterable[Item]:
        """The items of this kind."""

    def open_exchange(self, peer: bytes, now: int) -> bytes | None:
        """The first message of an anti-entropy with this peer (its key), or None if there is no need."""

    def on_exchange(self, peer: bytes, body: bytes, now: int) -> tuple[Sequence[bytes], Sequence[Item]]:
        """(answers to a message of an anti-entropy, items that were news by it). Raises dtvn.sync's errors,
        all of them ValueErrors, if the message is malformed or an item in it is forged."""

    def forget(self, peer: bytes) -> None:
        """The link to this peer is down."""

    def expire(self, now: int) -> None:
        """Drop tombstones whose time is over."""


class Contact(msgspec.Struct, frozen=True):
    """A checked address record and what it says."""

    item: Item
    value: AddressValue

    @property
    def key(self) -> bytes:
        """Public key of whom it describes."""
        return self.item.author

    @property
    def can_be_dialled(self) -> bool:
        """Whether it is one that listens for followers."""
        return self.value.role == "relay"


class Out:
    """What the overlay wants done; the caller takes all of it after each call (`Overlay.take`)."""

    def __init__(self) -> None:
        self.sends: list[tuple[bytes, Message]] = []
        """(key of a linked peer, message)."""
        self.dials: list[Item] = []
        """Address records to connect to."""
        self.hang_ups: list[bytes] = []
        """Keys of linked peers to disconnect from."""
        self.idle: list[bytes] = []
        """Keys of linked peers whose link is needed no longer for what it was dialled for."""

    def send(self, key: bytes, message: Message) -> None:
        self.sends.append((key, message))


def pick(chance: Chance, keys: Sequence[bytes]) -> bytes:
    """One of several keys."""
    return keys[chance.below(len(keys))]


def sample(chance: Chance, keys: Iterable[bytes], count: int) -> list[bytes]:
    """At most `count` different ones of several keys, in random order."""
    rest = list(keys)
    return [rest.pop(chance.below(len(rest))) for _ in range(min(count, len(rest)))]
