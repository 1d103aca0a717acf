"""`manage.py bench --only growth`: what a ticket, a nonce and an operation add to a node.

In memory and on disk, over a million operations by default: each of 300,000 tickets is issued, then
admitted with a nonce of its own; the rest are disputes and their resolutions over a few other tickets, for
which only the log grows. Hundreds of them share a sequence; the last ones have one each. Of four real nodes,
the one that grew most counts. Each figure is taken at rest, once the write-ahead log has been copied; the
first operations, which fill caches of fixed size, come before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import load
from benchmarks.cluster import PATIENCE, POLL_SECONDS, Processes, running_cluster
from benchmarks.cluster import gateway as connect
from benchmarks.cost import Line, Rest, as_json, memory_mb, processor_seconds, table
from benchmarks.network import GATEWAY_IDLE, NODES, SETTLE, pids
from benchmarks.rejoin import BUNDLE, fill, status
from dtvn.gateway import Gateway
from dtvn.machine import Command, Dispute, Issue, Resolve, Validate
from dtvn.node.layout import ClusterFolder
from dtvn.waiting import look_until

WARM = 20_000
"""Tickets issued and admitted first, numbered from 0 on."""
DISPUTED = 1_000
"""Number of other tickets, which are disputed and cleared alternately."""
LONE_WARM, LONE = 4_000, 6_000
"""Operations with a sequence each: the first fill the caches of checked signatures and of answers."""
LONE_CLIENTS = 2
"""Clients that order them: with more, some share a sequence."""
IN_FLIGHT = 32
"""Calls under way at once, of BUNDLE operations each."""
MEGABYTE = 1024 * 1024
TICKET, ADMISSION, OTHER, ALONE = (800, 300), (950, 210), (30, 80), (250, 1_350)
"""Most bytes of memory and ledger for each: about a quarter more than docs/operate/ledgers.md says; the
memory of the last two is mostly noise."""


class Sizes:
    """Bytes of each node's memory (PSS) and of its ledger's database, without the write-ahead log."""

    def __init__(self, processes: Processes, gateway: Gateway, rest: Rest) -> None:
        self._processes, self._gateway, self._rest = processes, gateway, rest
        self.memory, self.disk = self._measured()

    def grown(self, operations: int) -> tuple[float, float]:
        """Bytes of memory and disk for each of `operations` operations since the last measurement."""
        memory, disk = self._measured()
        most_memory = max(new - old for new, old in zip(memory, self.memory, strict=True))
        most_disk = max(new - old for new, old in zip(disk, self.disk, strict=True))
        self.memory, self.disk = memory, disk
        return most_memory / operations, most_disk / operations

    def _measured(self) -> tuple[list[float], list[int]]:
        if not look_until(self._all_have_executed, PATIENCE, pause=POLL_SECONDS):
            raise RuntimeError(f"a member has not executed all within {PATIENCE:g} s")
        self._rest.wait()
        names = self._processes.names
        folder = ClusterFolder(self._processes.folder)
        files = [folder.node(name).ledger / "ledger.sqlite3" for name in names]
        return (
            [memory_mb([self._processes.pid(name)]) * MEGABYTE for name in names],
            [file.stat().st_size for file in files],
        )

    def _all_have_executed(self) -> bool:
        last = self._gateway.acknowledged
        return all(int(status(self._gateway, index).get("sequence", -1)) >= last for index in range(NODES))


def run(tickets: int, operations: int) -> list[Line]:
    """Issue and admit `tickets` tickets. `operations`: number of all operations that are measured."""
    with running_cluster(NODES) as (processes, gateway):
        _warm_up(gateway)
        time.sleep(SETTLE)
        rest = Rest.measured(lambda: processor_seconds(pids(processes)), GATEWAY_IDLE)
        sizes = Sizes(processes, gateway, rest)
        before = memory_mb(pids(processes))
        lines: list[Line] = []

        def measured(what: str, count: int, most: tuple[int, int]) -> None:
            for place, grown, target in zip(("memory", "ledger"), sizes.grown(count), most, strict=True):
                lines.append(Line(f"{what}, {place}", grown, "bytes", target))

        fill(gateway, tickets, first=WARM)
        measured(f"a ticket ({tickets:,})", tickets, TICKET)
        _admit(gateway, WARM, tickets)
        measured(f"an admission with its nonce ({tickets:,})", tickets, ADMISSION)
        if left := max(0, operations - 2 * tickets) // (2 * DISPUTED) * 2 * DISPUTED:
            for command in _disputes(left):
                _order_for_all(gateway, command)
            measured(f"a dispute or its resolution ({left:,})", left, OTHER)
        _order_alone(processes, gateway, LONE_WARM)
        sizes.grown(1)
        sequences = _order_alone(processes, gateway, LONE)
        measured(f"a sequence of one operation ({sequences:,})", sequences, ALONE)
        lines.append(Line("memory of nodes, learner and gateway before, PSS", before, "MB"))
        lines.append(Line("  and after", memory_mb(pids(processes)), "MB"))
        lines.append(Line("a node's memory at the end, PSS", max(sizes.memory) / MEGABYTE, "MB"))
        lines.append(Line("its ledger", max(sizes.disk) / MEGABYTE, "MB"))
    return lines


def _warm_up(gateway: Gateway) -> None:
    fill(gateway, WARM)
    _admit(gateway, 0, WARM)
    for command in (Issue(), Validate(), *_disputes(WARM)):
        _order_for_all(gateway, command)


def _admit(gateway: Gateway, first: int, count: int) -> None:
    names = [f"T-{number:07}" for number in range(first, first + count)]
    part = BUNDLE * IN_FLIGHT * 10
    for start in range(0, count, part):  # an operation is valid for minutes
        calls = load.chunks(load.admits(names[start : start + part]), BUNDLE)
        load.drive(gateway, calls, outstanding=IN_FLIGHT)


def _disputes(operations: int) -> Iterator[Command]:
    for _ in range(operations // (2 * DISPUTED)):
        yield Dispute(reason="bench")
        yield Resolve(verdict="clear")


def _order_for_all(gateway: Gateway, command: Command) -> None:
    """Have `command` ordered for each of the DISPUTED tickets."""
    operations = [load.operation(command, name) for name in load.names("D", DISPUTED)]
    calls = load.chunks(operations, BUNDLE)
    load.drive(gateway, calls, outstanding=len(calls))


def _order_alone(processes: Processes, gateway: Gateway, operations: int) -> int:
    """Order disputes and their resolutions one by one; returns the number of sequences."""
    before = gateway.acknowledged
    with connect(processes.folder, bundle_operations_max=1, in_flight_max=LONE_CLIENTS) as single:
        for command in _disputes(operations):
            calls = [[load.operation(command, name)] for name in load.names("D", DISPUTED)]
            load.drive(single, calls, outstanding=LONE_CLIENTS)
    load.drive(gateway, [load.issues([f"S-{before}"])], outstanding=1)
    return gateway.acknowledged - before


def main(tickets: int, operations: int = 1_000_000) -> dict[str, Any]:
    """Measure and print the table."""
    print(f"{operations:,} operations, {tickets:,} tickets ...", file=sys.stderr)
    lines = run(tickets, operations)
    print(table(lines))
    return {"lines": as_json(lines)}
