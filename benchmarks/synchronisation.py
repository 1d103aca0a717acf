"""Measures what making two stores of signed items equal costs (dtvn.sync).

`python -m benchmarks.synchronisation [items ...]` (10,000 and 100,000 without numbers) makes both stores in
this process, with real keys and signatures, and prints a table: the questions that were asked one after the
other (each takes a round trip of the network, which is not in the seconds), bytes both ways, items that were
transferred, and seconds of this process for both sides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import msgspec
from nacl import bindings

from dtvn.sync import Item, Kind, Outcome, Sessions, Store, sign

CLUSTER = bytes(32)
AUTHORS = 100
NOW = 1_790_000_000_000_000
VALUE = b'{"gate":"north","seen":1790000000,"state":"open"}'
BATCH = 1_000
SIZES = (10_000, 100_000)

SECRETS = [bindings.crypto_sign_seed_keypair(number.to_bytes(32, "big"))[1] for number in range(AUTHORS)]


class Row(msgspec.Struct):
    """One measured exchange."""

    items: int
    difference: str
    outcome: Outcome
    seconds: float


def made(number: int, version: int) -> Item:
    """Item of a number, by one of the authors in turn."""
    secret = SECRETS[number % AUTHORS]
    key = f"key-{number}"
    return sign(CLUSTER, secret, kind="state", key=key, version=NOW + version, value=VALUE)


def filled(items: list[Item]) -> Store:
    """A store of these items."""
    store = Store(CLUSTER, {"state": Kind()}, items_max=2 * max(SIZES), now=NOW)
    for item in items:
        store.put(item)
    return store


def exchanged(here: Store, there: Store) -> tuple[Outcome, float]:
    """One exchange, and how long it took; raise RuntimeError if the stores are not equal then."""
    answerer = Sessions(there, BATCH)
    began = time.process_time()
    session = Sessions(here, BATCH).open(NOW)
    while session.question is not None:
        session.answered(answerer.answer(session.question, NOW), NOW)
    if here.root != there.root:
        raise RuntimeError("the stores are not equal")
    return session.outcome, time.process_time() - began


def measured(size: int) -> Iterator[Row]:
    """All rows of one size: equal stores, 10 changed, a tenth changed, one side empty."""
    items = [made(number, number // AUTHORS + 1) for number in range(size)]
    here, there = filled(items), filled(items)
    yield Row(size, "none", *exchanged(here, there))
    version = size
    for changed in (10, size // 10):
        for _ in range(changed):
            version += 1
            there.put(made(version * 7_919 % size, version))
        yield Row(size, f"{changed:,} changed", *exchanged(here, there))
    yield Row(size, "one side empty", *exchanged(filled([]), there))


def main() -> None:
    """Measure and print."""
    sys.stdout.write("|items|difference|questions|KB|items sent|seconds|\n|---|---|---|---|---|---|\n")
    for size in [int(each) for each in sys.argv[1:]] or SIZES:
        for row in measured(size):
            spent = (row.outcome.bytes_sent + row.outcome.bytes_received) / 1_000
            moved = row.outcome.items_received + row.outcome.items_sent
            sys.stdout.write(
                f"|{row.items:,}|{row.difference}|{row.outcome.questions:,}|{spent:,.1f}|"
                f"{moved:,}|{row.seconds:,.2f}|\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
