"""Measures what making two stores of signed items equal costs, by each protocol (dtvn.sync).

`python -m benchmarks.synchronisation [items ...]` (10,000 and 1,000,000 without numbers; a million takes ten
minutes and 4 GB) makes both stores in this process, with real keys and signatures, and prints a table: the
questions that were asked one after the other (each takes a round trip of the network, which is not in the
seconds), bytes both ways, items that were transferred, and seconds of this process for both sides.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import msgspec
from nacl import bindings

from dtvn.sync import Item, Kind, Outcome, Sessions, Settings, Store, SyncProtocol, sign

CLUSTER = bytes(32)
AUTHORS = 100
NOW = 1_790_000_000_000_000
VALUE = b'{"gate":"north","seen":1790000000,"state":"open"}'
BATCH = 1_000
SIZES = (10_000, 1_000_000)
ORDER = (SyncProtocol.CRDT, SyncProtocol.GOSSIP, SyncProtocol.MERKLE, SyncProtocol.SNAPSHOT)
"""crdt first: the others do not note up to which version an author's items are all there."""

SECRETS = [bindings.crypto_sign_seed_keypair(number.to_bytes(32, "big"))[1] for number in range(AUTHORS)]


class Row(msgspec.Struct):
    """One measured exchange."""

    items: int
    difference: str
    protocol: SyncProtocol
    outcome: Outcome
    seconds: float


def made(number: int, version: int) -> Item:
    """Item of a number, by one of the authors in turn."""
    secret = SECRETS[number % AUTHORS]
    key = f"key-{number}"
    return sign(CLUSTER, secret, kind="state", key=key, version=version, timestamp=NOW + version, value=VALUE)


def filled(items: list[Item]) -> Store:
    """A store of these items, to which their authors gave them in order."""
    limit = 2 * len(items) + 20_000
    store = Store(CLUSTER, {"state": Kind()}, items_max=limit, author_items_max=limit, now=NOW)
    for item in items:
        store.put_own(item)
    return store


def exchanged(here: Store, there: Store, protocol: SyncProtocol) -> tuple[Outcome, float]:
    """One exchange, and how long it took; raise RuntimeError if the stores are not equal then."""
    answerer = Sessions(there, Settings(batch_size=BATCH))
    began = time.process_time()
    session = Sessions(here, Settings(batch_size=BATCH)).open(protocol, NOW)
    while session.question is not None:
        session.answered(answerer.answer(b"here", session.question, NOW), NOW)
    if here.root != there.root:
        raise RuntimeError(f"{protocol}: the stores are not equal")
    return session.outcome, time.process_time() - began


def measured(size: int) -> Iterator[Row]:
    """All rows of one size: equal stores, 10 changed, a tenth changed, one side empty."""
    items = [made(number, number // AUTHORS + 1) for number in range(size)]
    here, there = filled(items), filled(items)
    version = size
    large = size > SIZES[0]
    for protocol in ORDER:
        if large and protocol is SyncProtocol.SNAPSHOT:
            continue  # more than SNAPSHOT_BYTES_MAX
        yield Row(size, "none", protocol, *exchanged(here, there, protocol))
        for changed in (10,) if large else (10, size // 10):
            for _ in range(changed):
                version += 1
                there.put_own(made(version * 7_919 % size, version))
            yield Row(size, f"{changed:,} changed", protocol, *exchanged(here, there, protocol))
        if not large:
            yield Row(size, "one empty", protocol, *exchanged(filled([]), there, protocol))


def main() -> None:
    """Measure and print."""
    sys.stdout.write(
        "|items|difference|protocol|questions|KB|items sent|seconds|\n|---|---|---|---|---|---|---|\n"
    )
    for size in [int(each) for each in sys.argv[1:]] or SIZES:
        for row in measured(size):
            spent = (row.outcome.bytes_sent + row.outcome.bytes_received) / 1_000
            moved = row.outcome.items_received + row.outcome.items_sent
            sys.stdout.write(
                f"|{row.items:,}|{row.difference}|{row.protocol}|{row.outcome.questions:,}|{spent:,.1f}|"
                f"{moved:,}|{row.seconds:,.2f}|\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
