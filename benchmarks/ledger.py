"""Measures the cost of a ledger: a turn, the rows of changed tickets, a start.

Each figure is given twice: the median elapsed time, and the least processor time of this thread. The latter
is valid on a busy machine, but does not include the disk.

`python -m benchmarks.ledger [tickets] [postgresql://...]` prints the numbers. With a URL it creates and drops
a schema `ledger_bench` there.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dtvn.ledger import Location
from dtvn.machine.rows import TicketRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange, EntryRecord, Prune, Record, SlotRecord
from dtvn.protocol.consensus.messages import (
    Batch,
    Bundle,
    Entry,
    Operation,
    batch_digest,
    bundle_digest,
    entry_hash,
)
from dtvn.protocol.wire import encode_envelope, kind_of
from validators.ledger import Ledger, open_ledger

CLUSTER = bytes(32)
SCHEMA = "ledger_bench"
START = 1_700_000_000_000_000
OPERATIONS = 100
TURNS = 200
CHANGED = 1_000
ROUNDS = 20


class Figure(msgspec.Struct):
    """One measured figure, in milliseconds."""

    what: str
    median: float
    processor: float


def measure(location: Location, tickets: int) -> Iterator[Figure]:
    """All figures, one after the other, on a ledger that holds `tickets` tickets."""
    ledger = open_ledger(location, cluster_id=CLUSTER, alias="bench")
    ledger.load()
    yield from _turns(ledger)
    sequence = TURNS
    for first in range(0, tickets, CHANGED):
        numbers = range(first, min(first + CHANGED, tickets))
        ledger.materialise([_change(number, "ISSUED", 1) for number in numbers], 1, START)
    dice = random.Random(1)
    for what, choose in {
        f"rows of {CHANGED} adjacent tickets": lambda round_: range(
            round_ * CHANGED % tickets, round_ * CHANGED % tickets + CHANGED
        ),
        f"rows of {CHANGED} random tickets": lambda _: dice.sample(range(tickets), CHANGED),
    }.items():
        batches = [[_change(n, "VALIDATED", 2 + r) for n in choose(r)] for r in range(ROUNDS)]
        yield _time(what, [partial(ledger.materialise, batch, sequence, START) for batch in batches])
    ledger.close()
    yield _time("open", [lambda: open_ledger(location, cluster_id=CLUSTER, alias="bench").close()] * 3)
    ledger = open_ledger(location, cluster_id=CLUSTER, alias="bench")
    yield _time(f"load {TURNS} entries, checked", [ledger.load] * 3)
    tail = ledger.load()
    yield _time(f"read {tickets} tickets, checked", [lambda: sum(1 for _ in tail.rows)])
    ledger.close()


def _turns(ledger: Ledger) -> Iterator[Figure]:
    entries = list(_entries(TURNS))
    proposals: list[list[Record]] = []
    votes: list[list[Record]] = []
    commits: list[list[Record]] = []
    for record in entries:
        number = record.entry.sequence
        proposals.append([_slot("pre_prepare", number, record.body), _slot("prepare", number)])
        votes.append([_slot("prepared", number, count=3), _slot("commit", number)])
        pruned: list[Record] = [Prune(number - 10)] if number % 10 == 0 and number > 10 else []
        commits.append([record, *pruned])
    # The three turns of a sequence follow each other, as in a node.
    taken: dict[str, list[tuple[int, int]]] = {"proposal": [], "certificate": [], "entry": []}
    for turns in zip(proposals, votes, commits, strict=True):
        for name, records in zip(taken, turns, strict=True):
            taken[name].append(_timed(partial(ledger.append, records)))
    yield _figure(f"turn: proposal of {OPERATIONS} operations and vote", taken["proposal"])
    yield _figure("turn: prepared certificate and vote", taken["certificate"])
    yield _figure(f"turn: entry of {OPERATIONS} operations", taken["entry"])


def _time(what: str, calls: list[Callable[[], Any]]) -> Figure:
    return _figure(what, [_timed(call) for call in calls])


def _timed(call: Callable[[], Any]) -> tuple[int, int]:
    before, processor = time.perf_counter_ns(), time.thread_time_ns()
    call()
    return time.perf_counter_ns() - before, time.thread_time_ns() - processor


def _figure(what: str, taken: list[tuple[int, int]]) -> Figure:
    return Figure(
        what=what,
        median=statistics.median(clock for clock, _ in taken) / 1e6,
        processor=min(processor for _, processor in taken) / 1e6,
    )


# --- what is written ------------------------------------------------------------------------------


def _entries(count: int) -> Iterator[EntryRecord]:
    previous = bytes(32)
    for number in range(1, count + 1):
        operations = tuple(
            Operation("validate", "default", f"T-{number}-{index}", "gate-a", "node0", START, b"n" * 16)
            for index in range(OPERATIONS)
        )
        signed = canonical.encode(Bundle(0, "gateway", b"client00", (1, 0), number, 0, operations))
        frame = encode_envelope(kind_of(Bundle(0, "", b"", (1, 0), 0, 0, ())), signed, b"s" * 64)
        digest = batch_digest(0, START + number, (bundle_digest(signed),))
        entry = Entry(0, number, digest, bytes(32), START + number, previous)
        previous = entry_hash(entry)
        body = canonical.encode(Batch(0, START + number, (frame,)))
        yield EntryRecord(entry, previous, body, (b"c" * 160,) * 3)


def _slot(phase: str, sequence: int, body: bytes = b"", *, count: int = 1) -> SlotRecord:
    return SlotRecord(0, 0, sequence, phase, (b"f" * 160,) * count, body)


def _change(number: int, state: str, sequence: int) -> ApplicationChange:
    row = TicketRow(
        event="default",
        ticket=f"T-{number:07d}",
        state=state,
        validator="node0",
        timestamp=START + sequence,
        sequence=sequence,
        index=number % 100,
        operation="validate",
        principal="gateway",
        actor="gate-a",
        nonce=b"n" * 16,
        gate="",
        device="",
        note="",
        upheld=False,
        clock={"node0": sequence, "node1": number % 7},
        product="Day pass",
        seat=f"A{number % 97}",
        not_before=0,
        not_after=0,
        commitment=b"c" * 32,
        data=b"",
        metadata={"source": "import"},
    )
    return ApplicationChange("ticket", ("default", row.ticket), row)


@contextmanager
def _place(url: str) -> Iterator[Location]:
    with tempfile.TemporaryDirectory() as folder:
        if not url:
            yield Location(Path(folder) / "ledger")
            return
        import psycopg

        drop = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE".encode()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(drop)
        try:
            yield Location(Path(folder) / "ledger", url, SCHEMA)
        finally:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(drop)


def main(arguments: list[str]) -> None:
    """Print the table."""
    tickets = int(arguments[0]) if arguments else 100_000
    with _place(arguments[1] if len(arguments) > 1 else "") as location:
        print(f"{'milliseconds':48}{'median':>10}{'processor':>12}")
        for figure in measure(location, tickets):
            print(f"{figure.what:48}{figure.median:10.3f}{figure.processor:12.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
