"""Rows plus a replay give the same rows, from wherever the replay starts (PROTOCOL R9, P8, P20).

The real ticket machine and the real executor run a random life; the ledger is cut off at each point
between its two transactions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from dtvn.ledger import Location
from dtvn.machine import Admit, Consume, Dispute, Issue, OpenSession, TicketApplication, Validate, build
from dtvn.machine.kinds import KINDS
from dtvn.protocol import canonical
from dtvn.protocol.consensus.executor import Executor, Step
from dtvn.protocol.consensus.messages import Batch, Bundle, Operation, batch_digest, bundle_digest
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.wire import FrameSigner
from dtvn.protocol.wire.envelope import encode_envelope, kind_of
from tests.tickets_machine.support import genesis
from validators.ledger import Ledger, open_ledger
from validators.ledger.statements import TICKET_COLUMNS

ALIAS = "ledger-under-test"
START = 1_700_000_000_000_000
BATCHES = 40
COMMON = bytes([200]) * 32
"""A code that many issues want; one ticket gets it."""
FOUNDED = genesis()
TABLES = {
    "ticket": TICKET_COLUMNS,
    "ticketcode": "event, digest, ticket_id, revoked",
    "operationrecord": "id, ticket_id, operation, code",
    "staterow": "key, row, checksum",
    "entryoutcomes": "sequence, operations, listed, outcomes, checksum",
    "counter": "name, value",
    "consensusentry": "sequence, epoch, timestamp, entry, entry_hash, checksum",
    "batchbody": "sequence, content",
}


class Life:
    """Batches of random operations on few tickets, so that most are refused or contradict."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.number = 0

    def batches(self) -> list[VerifiedBatch]:
        opening = self.bundle([self.operation(OpenSession(), "", nonce=b"open")], session=(0, 0))
        self.number = 0
        return [self.batch([opening])] + [
            self.batch(
                [
                    self.bundle([self.random() for _ in range(self.dice.randrange(1, 6))], session=(1, 0))
                    for _ in range(self.dice.randrange(3))
                ]
            )
            for _ in range(BATCHES - 1)
        ]

    def random(self) -> Operation:
        command = self.dice.choice(
            [
                Issue(seat="A1", metadata=(("k", "v"),)),
                Issue(codes=(self.code(),)),
                Issue(codes=(self.code(), COMMON)),
                Validate(),
                Consume(gate="n"),
                Admit(),
                Admit(code=self.code()),
                Dispute(),
                KINDS["block"].command(reason="refunded"),
                KINDS["unblock"].command(),
                KINDS["replace"].command(codes=(self.code(),)),
                KINDS["change"].command(product="Day pass"),
            ]
        )
        nonce = self.dice.choice([b"", b"n%d" % self.dice.randrange(20)])
        by_code = isinstance(command, Admit) and command.code
        return self.operation(command, "" if by_code else f"T-{self.dice.randrange(12)}", nonce=nonce)

    def code(self) -> bytes:
        return bytes([self.dice.randrange(12)]) * 32

    def operation(self, command: Any, ticket: str, nonce: bytes = b"") -> Operation:
        entry = f"node{self.dice.randrange(4)}"
        return build(
            command, ticket=ticket, actor="anna", entry=entry, valid_until=START + 60_000_000, nonce=nonce
        )

    def bundle(self, operations: Sequence[Operation], *, session: tuple[int, int]) -> VerifiedBundle:
        done = max(0, self.number - 3)
        bundle = Bundle(0, "gateway", b"client00", session, self.number, done, tuple(operations))
        self.number += 1
        body = canonical.encode(bundle)
        frame = encode_envelope(kind_of(bundle), body, b"s" * 64)
        return VerifiedBundle(canonical.decode(Bundle, body), bundle_digest(body), frame)

    def batch(self, bundles: list[VerifiedBundle]) -> VerifiedBatch:
        proposed = START + self.dice.randrange(1_000_000)
        digest = batch_digest(0, proposed, tuple(bundle.digest for bundle in bundles))
        batch = Batch(0, proposed, tuple(bundle.frame for bundle in bundles))
        return VerifiedBatch(batch, digest, canonical.encode(batch), tuple(bundles))


class Replica:
    """Executor, application and ledger, as a host drives them."""

    def __init__(self, place: Location, founded: Genesis = FOUNDED, *, searched: bool = False) -> None:
        cluster = cluster_id(founded)
        self.ledger = open_ledger(place, cluster_id=cluster, alias=ALIAS, indexed=searched)
        self.application = TicketApplication(founded, cluster, searched=searched)
        self.executor = Executor(0, self.application)
        tail = self.ledger.load()
        self.application.load(tail.rows)
        signer = FrameSigner(cluster, b"", self)
        for note in self.executor.restore(tail, signer):
            self.ledger.notice(note)

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return None

    def principal_key(self, name: str) -> bytes | None:
        return self.application.principal_key(name)

    def execute(self, batch: VerifiedBatch) -> Step:
        step = self.executor.execute(batch)
        self.ledger.append([step.record(())])
        self.ledger.notice(step.note(0))
        return step

    def materialise(self) -> None:
        changes = self.application.changes()
        self.ledger.materialise(changes, self.executor.executed, self.executor.timestamp)


def tables(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """All rows; of counters those that count something, since a zero only tells that there once was more."""
    found = {
        name: sorted(ledger._store.rows(f"SELECT {columns} FROM ledger_{name}"), key=repr)  # noqa: S608
        for name, columns in TABLES.items()
    }
    found["counter"] = [row for row in found["counter"] if row[1]]
    return found


def live(
    place: Location, batches: list[VerifiedBatch], *, seed: int, searched: bool = False
) -> tuple[bytes, Any]:
    """Execute all, materialising and restarting at random points; (state root, tables)."""
    dice = random.Random(seed)
    replica = Replica(place, searched=searched)
    try:
        for batch in batches:
            replica.execute(batch)
            if dice.random() < 0.3:
                replica.materialise()
            if dice.random() < 0.3:
                replica.ledger.close()
                replica = Replica(place, searched=searched)
        replica.materialise()
        return replica.application.root(), tables(replica.ledger)
    finally:
        replica.ledger.close()


@pytest.fixture
def seed() -> int:
    chosen = random.randrange(1 << 32)
    print(f"seed {chosen}")  # noqa: T201 - shown when the test fails
    return chosen


@pytest.mark.parametrize("searched", [False, True], ids=["a node", "the learner"])
def test_r9_any_lag_and_any_restart_give_the_same_rows(place: Location, seed: int, searched: bool) -> None:
    batches = Life(seed).batches()
    first = live(place, batches, seed=seed, searched=searched)
    elsewhere = Location(place.folder.with_name("other"), place.url, f"{place.schema}_b" if place.url else "")
    second = live(elsewhere, batches, seed=seed + 1, searched=searched)
    assert first[0] == second[0]
    for name in TABLES:
        assert first[1][name] == second[1][name], name
    assert bool(first[1]["ticketcode"]) is searched


def test_the_same_log_gives_the_same_rows_on_both_databases(
    sqlite_place: Location, postgres_place: Location, seed: int
) -> None:
    """P8: nothing the state depends on may come from the database."""
    batches = Life(seed).batches()
    on_sqlite = live(sqlite_place, batches, seed=seed, searched=True)
    on_postgresql = live(postgres_place, batches, seed=seed + 1, searched=True)
    assert on_sqlite[0] == on_postgresql[0]
    for name in TABLES:
        assert on_sqlite[1][name] == on_postgresql[1][name], name
