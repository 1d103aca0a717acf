"""Drives one gateway and measures it: one client alone, many single operations at once, bundles of a
hundred."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Command, Issue, build
from dtvn.protocol.consensus.messages import Operation

Item = TypeVar("Item")
WAIT = 120.0
"""The machine refuses what is valid for more than ten minutes (R14)."""


@dataclass(frozen=True)
class Rates:
    """Operations per second and latencies of a call, in milliseconds, of one run."""

    operations_per_second: float
    p50_ms: float
    p99_ms: float
    operations: int


def issues(names: Iterable[str]) -> list[Operation]:
    """One `issue` for each ticket name."""
    return [operation(Issue(), name) for name in names]


def admits(names: Iterable[str]) -> list[Operation]:
    """One `admit` for each ticket name, with a nonce like those of gates."""
    return [operation(Admit(gate="G1", device="d1"), name, nonce=name.encode()) for name in names]


def operation(command: Command, ticket: str, *, nonce: bytes = b"") -> Operation:
    """One operation that is valid as long as a run may take on a busy machine."""
    return build(command, ticket=ticket, actor="bench", entry="node0", nonce=nonce)


def drive(gateway: Gateway, calls: Sequence[Sequence[Operation]], outstanding: int) -> Rates:
    """Submit all calls, `outstanding` at a time; every outcome must be ok."""
    room = threading.Semaphore(outstanding)
    latencies: list[float] = []
    failures: list[str] = []

    def finished(started: float) -> Callable[[Future[Any]], None]:
        def note(future: Future[Any]) -> None:
            latencies.append((time.perf_counter() - started) * 1000)
            error = future.exception()
            if error is not None:
                failures.append(repr(error))
            else:
                failures.extend(result.code for result in future.result() if result.code != "ok")
            room.release()

        return note

    begin = time.perf_counter()
    for call in calls:
        room.acquire()
        future = gateway.submit(call, wait=WAIT)
        future.add_done_callback(finished(time.perf_counter()))
    for _ in range(outstanding):
        room.acquire()
    spent = time.perf_counter() - begin
    if failures:
        raise RuntimeError(f"{len(failures)} operations failed, first: {failures[0]}")
    operations = sum(len(call) for call in calls)
    return Rates(
        operations_per_second=operations / spent,
        p50_ms=statistics.median(latencies),
        p99_ms=statistics.quantiles(latencies, n=100)[98] if len(latencies) > 1 else latencies[0],
        operations=operations,
    )


def lone(gateway: Gateway, operations: Sequence[Operation]) -> Rates:
    """One client that waits for each outcome before it sends the next operation."""
    return drive(gateway, [[operation] for operation in operations], outstanding=1)


def chunks(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """The items in parts of `size`, as the operations of calls."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def names(prefix: str, count: int) -> list[str]:
    """`count` ticket ids with this prefix."""
    return [f"{prefix}-{number:07}" for number in range(count)]
