"""What one operation costs: turns, frames and signature checks of each member and of the gateway's sessions,
statements and syncs of each member, exactly; and the signature checks of a learner that catches up.

Four real hosts with real ledgers on a virtual clock (`benchmarks.hosts`), so the numbers depend on no
machine. A change that raises one says why. A sync is a turn that asks for one; what reaches the kernel is
counted in tests/ledger/test_syncs.py, all system calls on a ledger in test_system_calls.py there; the frames
that real links get for a broadcast in test_transport.py.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings

from benchmarks.hosts import MEMBERS, PORTS, SECOND, WAIT, Call, Caller, Delivery, Price, Process, World
from dtvn.files.genesis import read_genesis
from dtvn.gateway.identity import GenesisKeys
from dtvn.machine import Issue
from dtvn.net import read_seed
from dtvn.node.layout import ClusterFolder
from dtvn.node.learner import build_learner
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.scheme import Scheme
from dtvn.protocol.wire import Door, FrameSigner, link_frame
from tests.host.support import bundle
from validators.ledger import open_ledger

PRICE = Price(turn=250_000, frame=70_000)
REST = 30_000_000
"""Nanoseconds after the last answer: the late messages, but no heartbeat."""
REQUESTS = 512
NUMBERS = ("turns", "frames", "checks", "statements", "syncs")

LONE = [(4, 7, 5, 25, 2), (3, 7, 5, 26, 2), (3, 7, 5, 24, 2), (2, 7, 5, 23, 1), (2, 1, 2)]
SINGLES = [(5, 28, 24, 80, 4), (4, 28, 25, 79, 2), (3, 28, 24, 80, 2), (3, 28, 24, 79, 2), (3, 16, 32)]
BUNDLE = [(4, 7, 5, 124, 2), (3, 7, 5, 125, 2), (3, 7, 5, 123, 2), (2, 7, 5, 122, 1), (2, 1, 2)]
GIVEN_TO_ALL = [(4, 7, 5, 25, 2), (4, 8, 5, 26, 2), (4, 8, 5, 24, 1), (3, 8, 5, 23, 2), (2, 1, 2)]
"""The last is the gateway's: one frame a bundle, and f + 1 replies to check."""


CHECKPOINT = ("PRAGMA busy_timeout=", "PRAGMA wal_checkpoint(RESTART)")
"""What copies the rest of a write-ahead log when that is due, which depends on the machine."""


def issues(name: str, count: int) -> Call:
    return [(Issue(), f"{name}-{number}", b"") for number in range(count)]


class CountedScheme:
    """Counts each check of a signature, whatever a door says of itself."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self.checks = 0
        self.sign = scheme.sign

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        self.checks += 1
        return self._scheme.verify(public_key, data, signature)


def counted(door: Door) -> CountedScheme:
    """The checks of this door from now on."""
    door.scheme = scheme = CountedScheme(door.scheme)
    return scheme


class Work:
    """What a process does since this was made."""

    def __init__(self, process: Process, doors: Sequence[Door]) -> None:
        self._schemes = [counted(door) for door in doors]
        self._turns = self._frames = 0
        self._run = process.run
        process.run = self.run  # type: ignore[method-assign]

    def run(self) -> tuple[list[Any], int]:
        said, handled = self._run()
        self._turns += 1
        self._frames += len(said)
        return said, handled

    @property
    def numbers(self) -> tuple[int, ...]:
        return self._turns, self._frames, sum(scheme.checks for scheme in self._schemes)


class MemberWork(Work):
    """With that of its ledger."""

    def __init__(self, world: World, index: int) -> None:
        super().__init__(world.processes[index], [world._hosts[index].door])
        self._statements = self._syncs = 0
        connection = world._ledgers[index]._store
        self._commit = connection.commit
        connection.commit = self.commit  # type: ignore[method-assign]
        assert isinstance(connection._connection, sqlite3.Connection)
        connection._connection.set_trace_callback(self._on_statement)

    def commit(self, *args: Any, durable: bool, **more: Any) -> None:
        self._commit(*args, durable=durable, **more)
        self._syncs += durable

    def _on_statement(self, sql: str) -> None:
        self._statements += not sql.startswith(CHECKPOINT)

    @property
    def numbers(self) -> tuple[int, ...]:
        return *super().numbers, self._statements, self._syncs


def at_all(said: list[Delivery], handled: int) -> tuple[list[Delivery], int]:
    """Each frame to all members."""
    return [(member, sender, frame) for _to, sender, frame in said for member in range(MEMBERS)], handled


def costs(folder: Path, calls: Sequence[Call], *, to_all: bool = False) -> list[tuple[int, ...]]:
    """The numbers of each member, and of the gateway, for calls that are made at once, each in a session that
    is open. `to_all`: the gateway sends each request to all members, as it does while the primary is slow."""
    with closing(World(folder / "cluster", PRICE)) as world:
        warm = iter([issues(f"warm{number}", 1) for number in range(len(calls))])
        caller = world.joins(Caller(world, world.folder.gateway_key, warm, sessions=len(calls)))
        world.go(WAIT, done=lambda: caller.idle)
        world.go(SECOND)
        members = [MemberWork(world, index) for index in range(len(world.links))]
        gateway = Work(caller, [session._door for session in caller.sessions.values()])
        if to_all:
            run = caller.run
            caller.run = lambda: at_all(*run())  # type: ignore[method-assign]
        caller.work = iter(calls)
        caller.ask()
        world.go(WAIT, done=lambda: caller.idle)
        world.go(REST)
    return [each.numbers for each in (*members, gateway)]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        pytest.param([issues("T", 1)], LONE, id="a lone operation"),
        pytest.param([issues(f"T{number}", 1) for number in range(16)], SINGLES, id="sixteen singles"),
        pytest.param([issues("T", 100)], BUNDLE, id="a bundle of 100"),
    ],
)
def test_an_operation_costs_what_it_did(
    calls: Sequence[Call], expected: list[tuple[int, ...]], tmp_path: Path
) -> None:
    assert costs(tmp_path, calls) == expected, NUMBERS


def test_a_request_that_all_members_have_costs_no_second_check(tmp_path: Path) -> None:
    """It is known when the primary proposes it."""
    assert costs(tmp_path, [issues("T", 1)], to_all=True) == GIVEN_TO_ALL, NUMBERS


def test_r28_a_learner_checks_one_in_64_of_the_requests_that_it_fetches(tmp_path: Path) -> None:
    """As its process is built; all that it fetches is under COMMITs, here under one."""
    create_demo_cluster(tmp_path, nodes=MEMBERS, host="127.0.0.1", ports=PORTS)
    folder = ClusterFolder(tmp_path)
    genesis = read_genesis(folder.genesis)
    requests = [bundle(number) for number in range(REQUESTS)]
    cluster, keys = cluster_id(genesis), GenesisKeys(genesis)

    def sign(message: m.Bundle | m.Commit, key: Path) -> bytes:
        return FrameSigner(cluster, bindings.crypto_sign_seed_keypair(read_seed(key))[1], keys).sign(message)

    batch = m.Batch(0, 5, tuple(sign(request, folder.gateway_key) for request in requests))
    commit = sign(m.Commit(0, 1, 0, 1, bytes(32)), folder.node(genesis.members[1].id).key)
    entry = m.Entry(0, 1, bytes(32), bytes(32), 5, bytes(32))
    fetched = link_frame(m.Entries(((entry, canonical.encode(batch), (commit,)),), ()))
    learner = build_learner(tmp_path, logging.getLogger("learner"), "", open_ledger)
    try:
        door = learner.host.door
        scheme = counted(door)
        door.verify(door.peek(Inbound(Peer(genesis.members[1].id, 1), fetched)))
    finally:
        learner.close()
    digests = [m.bundle_digest(canonical.encode(request)) for request in requests]
    checks_of_each_secret = Counter(digest[0] & 63 for digest in digests)
    assert len(checks_of_each_secret) == 64
    assert scheme.checks - 1 in checks_of_each_secret.values()
