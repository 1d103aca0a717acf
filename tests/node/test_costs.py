"""What one operation costs: turns, frames and signature checks of each member and of the gateway's sessions,
statements and syncs of each member, exactly.

Four real hosts with real ledgers on a virtual clock (`benchmarks.hosts`), so the numbers depend on no
machine. A change that raises one says why. A sync is a turn that asks for one; what reaches the kernel is
counted in tests/ledger/test_syncs.py, all system calls on a ledger in test_system_calls.py there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import SECOND, WAIT, Call, Caller, Price, Process, World
from dtvn.machine import Issue
from dtvn.protocol.wire import Door

PRICE = Price(turn=250_000, frame=70_000)
REST = 30_000_000
"""Nanoseconds after the last answer: the late messages, but no heartbeat."""
NUMBERS = ("turns", "frames", "checks", "statements", "syncs")

LONE = [(4, 7, 5, 24, 2), (3, 7, 5, 25, 2), (3, 7, 5, 22, 2), (2, 7, 5, 22, 1), (2, 1, 2)]
SINGLES = [(5, 28, 24, 79, 4), (4, 28, 25, 78, 2), (3, 28, 24, 78, 2), (3, 28, 24, 78, 2), (3, 16, 32)]
BUNDLE = [(4, 7, 5, 123, 2), (3, 7, 5, 124, 2), (3, 7, 5, 121, 2), (2, 7, 5, 121, 1), (2, 1, 2)]
"""The last is the gateway's: one frame a bundle, and f + 1 replies to check."""


def issues(name: str, count: int) -> Call:
    return [(Issue(), f"{name}-{number}", b"") for number in range(count)]


class Work:
    """What a process does since this was made."""

    def __init__(self, process: Process, doors: Sequence[Door]) -> None:
        self._doors = doors
        self._checked = self._verifications
        self._turns = self._frames = 0
        self._run = process.run
        process.run = self.run  # type: ignore[method-assign]

    def run(self) -> tuple[list[Any], int]:
        said, handled = self._run()
        self._turns += 1
        self._frames += len(said)
        return said, handled

    @property
    def _verifications(self) -> int:
        return sum(door.verifications for door in self._doors)

    @property
    def numbers(self) -> tuple[int, ...]:
        return self._turns, self._frames, self._verifications - self._checked


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
        self._statements += not sql.startswith("PRAGMA")  # a copy of the write-ahead log, when it is due

    @property
    def numbers(self) -> tuple[int, ...]:
        return *super().numbers, self._statements, self._syncs


def costs(folder: Path, calls: Sequence[Call]) -> list[tuple[int, ...]]:
    """The numbers of each member, and of the gateway, for calls that are made at once, each in a session that
    is open."""
    with closing(World(folder / "cluster", PRICE)) as world:
        warm = iter([issues(f"warm{number}", 1) for number in range(len(calls))])
        caller = world.joins(Caller(world, world.folder.gateway_key, warm, sessions=len(calls)))
        world.go(WAIT, done=lambda: caller.idle)
        world.go(SECOND)
        members = [MemberWork(world, index) for index in range(len(world.links))]
        gateway = Work(caller, [session._door for session in caller.sessions.values()])
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
