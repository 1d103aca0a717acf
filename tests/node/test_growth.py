"""What a lone operation, one in a sequence, adds to each of four real hosts and to its ledger (R24, R25).

`manage.py bench --only growth` measures real nodes; here the caches of fixed size are made small, so that few
operations fill them.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.hosts import MEMBERS, SECOND, WAIT, Call, Caller, Price, World
from dtvn.gateway import answers
from dtvn.machine import Dispute, Issue, Resolve, Validate
from dtvn.protocol.consensus.requests import primary_monitor

pytestmark = pytest.mark.ci

WARM, OPERATIONS = 100, 200
"""Ten checkpoints, then twenty."""
MEMORY_MAX, LEDGER_MAX = 90, 1_150
"""Bytes an operation; an entry of one dictionary has about 110. Half of the ledger's are the COMMIT
certificate, which an auditor needs after a fork."""


def lone(tickets: list[str]) -> Iterator[Call]:
    """Dispute all tickets, clear them all, and so on."""
    for command in cycle((Dispute(reason="bench"), Resolve(verdict="clear"))):
        for ticket in tickets:
            yield [(command, ticket, b"")]


def small_caches(world: World, caller: Caller, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answers, "CACHED_RECEIPTS_MAX", 16)
    for door in [host.door for host in world._hosts] + [each._door for each in caller.sessions.values()]:
        door.remembered_max = 64
    for host in world._hosts:
        state = host.core.state
        state.config = replace(state.config, answers_kept=16)


def _after(world: World, caller: Caller, calls: Iterator[Call]) -> tuple[int, int]:
    """Bytes that Python holds, and bytes of the first ledger's pages in use, after these calls."""
    caller.work = calls
    caller.ask()
    world.go(WAIT, done=lambda: caller.idle)
    world.go(SECOND)
    caller.times.clear()
    gc.collect()
    names = ("page_count", "freelist_count", "page_size")
    count, free, size = (world._ledgers[0]._store.rows(f"PRAGMA {name}")[0][0] for name in names)
    return tracemalloc.get_traced_memory()[0], (count - free) * size


def test_r24_a_lone_operation_adds_little_to_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = [f"T-{number}" for number in range(50)]
    monkeypatch.setattr(primary_monitor, "TURNS_KEPT", 16)
    with closing(World(tmp_path / "cluster", Price(turn=250_000, frame=70_000))) as world:
        first: list[Call] = [[(command, each, b"") for each in tickets] for command in (Issue(), Validate())]
        caller = world.joins(Caller(world, world.folder.gateway_key, iter(first)))
        small_caches(world, caller, monkeypatch)
        world.go(WAIT, done=lambda: caller.idle)
        work = lone(tickets)
        tracemalloc.start()
        try:
            (memory, ledger), (memory_after, ledger_after) = (
                _after(world, caller, islice(work, count)) for count in (WARM, OPERATIONS)
            )
        finally:
            tracemalloc.stop()
    assert (memory_after - memory) / OPERATIONS / MEMBERS < MEMORY_MAX
    assert 0 < (ledger_after - ledger) / OPERATIONS < LEDGER_MAX
