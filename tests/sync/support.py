"""Stores of named peers with real keys, and exchanges between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from nacl import bindings

from dtvn.sync import Item, Kind, Outcome, Sessions, Store, sign

CLUSTER = bytes(range(32))
NOW = 1_800_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
KINDS = {"state": Kind(shared=True), "own": Kind()}


@cache
def secret(name: str) -> bytes:
    """The 64-byte secret key of a named author."""
    return bindings.crypto_sign_seed_keypair(name.encode().ljust(32, b"."))[1]


def key_of(name: str) -> bytes:
    return secret(name)[32:]


@cache
def item(
    author: str = "ann",
    key: str = "k",
    at: int = 0,
    value: bytes = b"v",
    *,
    deleted: bool = False,
    kind: str = "state",
) -> Item:
    """`at`: microseconds after NOW when it was written."""
    return sign(
        CLUSTER, secret(author), kind=kind, key=key, version=NOW + at, value=b"" if deleted else value,
        deleted=deleted,
    )  # fmt: skip


def store(*items: Item, now: int = NOW, **options: int | bytes) -> Store:
    found = Store(CLUSTER, KINDS, now=now, **options)  # type: ignore[arg-type]
    for each in items:
        found.take(each, now)
    return found


def many(author: str, count: int) -> list[Item]:
    return [item(author, f"{author}-{n}", n + 1, b"%d" % n) for n in range(count)]


def exchanged(asker: Store, answerer: Store, *, now: int = NOW, batch: int = 100) -> Outcome:
    """One whole exchange between two stores."""
    session = Sessions(asker, batch).open(now)
    there = Sessions(answerer, batch)
    while session.question is not None:
        session.answered(there.answer(session.question, now), now)
    return session.outcome


def gossip_round(stores: Sequence[Store], chance: random.Random) -> None:
    """Every peer exchanges with one other."""
    for index, each in enumerate(stores):
        exchanged(each, chance.choice([other for place, other in enumerate(stores) if place != index]))
