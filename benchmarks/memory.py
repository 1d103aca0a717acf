"""Measures what a replica keeps in memory: four cores in the simulator's cluster (R24, R25).

`python -m benchmarks.memory [operations]` runs a million operations (default) over a fixed number of tickets.
Meanwhile it prints the memory of all objects below one core, and its largest containers; none may grow with
the operations. The tests run fewer operations and check every container. The process itself grows by the
virtual disks, which keep the whole log.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from dtvn.machine import Command, Dispute, Resolve, Seed, Validate, build
from dtvn.protocol.consensus import Replica
from dtvn.protocol.genesis import Parameters
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.network import PERFECT
from simulator.node import FREE
from simulator.world import Settings

MEMBERS = 4
TICKETS = 500


class Four:
    """A virtual cluster. Each `round` orders one bundle and runs until all replicas have executed it."""

    def __init__(self) -> None:
        settings = Settings(
            members=MEMBERS,
            learners=0,
            gateways=1,
            quality=PERFECT,
            costs=FREE,
            skew_max=0,
            rate_ppm_max=0,
            parameters=Parameters(checkpoint_interval=10),
            beyond=True,  # hardly any checker remembers anything then
        )
        cluster = self._cluster = Cluster("memory", settings)
        self.executed = 0
        """Number of operations executed so far."""
        cluster.start()
        cluster.world.run_for(SECOND)
        self.replicas: list[Replica] = [node.core for node in cluster.world.nodes.values()]
        self._order(Seed(), ("",))
        self._names = [f"TICKET-{number:03d}" for number in range(1, TICKETS + 1)]
        self._order(Validate(), self._names)

    def round(self, operations: int) -> None:
        """Order the next operations: each ticket is disputed and cleared in turn."""
        turn, place = divmod(self.executed, TICKETS)
        names = [self._names[(place + offset) % TICKETS] for offset in range(operations)]
        self._order(Resolve(verdict="clear") if turn % 2 else Dispute(reason="bench"), names)
        self.executed += operations

    def _order(self, command: Command, names: Sequence[str]) -> None:
        gateway, world = self._cluster.gateways[0], self._cluster.world
        until = gateway.clock.now().wall // 1_000 + 60_000_000
        request = gateway.ask(
            [build(command, ticket=name, actor="bench", entry="r0", valid_until=until) for name in names]
        )
        last = max(replica.executed for replica in self.replicas)
        if request is None or not world.run_for(
            10 * SECOND,
            done=lambda: request.over and min(replica.executed for replica in self.replicas) > last,
        ):
            raise RuntimeError("the virtual cluster did not order a bundle")
        gateway.requests.clear()
        world.run_for(MILLISECOND)


def containers(root: Any) -> dict[str, int]:
    """Lengths of all containers below an object, by the path of attributes to them (keys left out)."""
    found: dict[str, int] = {}
    for path, value in _below(root):
        if isinstance(value, (dict, list, set, frozenset, deque, tuple, bytearray)):
            found[path] = found.get(path, 0) + len(value)
    return found


def _below(root: Any) -> Iterator[tuple[str, Any]]:
    """All objects below an object, each once, with the path of attributes to it."""
    seen: set[int] = set()
    todo: deque[tuple[str, Any]] = deque([("", root)])
    while todo:
        path, value = todo.popleft()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen.add(id(value))
        yield path, value
        if not isinstance(value, (bytes, str, int, float)):
            todo.extend((f"{path}{name}", inner) for name, inner in _inside(value))


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for inner in (*value.keys(), *value.values()):
            yield "[]", inner
    elif isinstance(value, (list, set, frozenset, deque, tuple)):
        for inner in value:
            yield "[]", inner
    else:
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        names += getattr(type(value), "__struct_fields__", ())
        for name in names:
            if hasattr(value, name):
                yield f".{name}", getattr(value, name)


def main(operations: int) -> None:
    """Run and print the figures meanwhile."""
    four = Four()
    begun = time.monotonic()
    shown_at = 0
    while four.executed < operations:
        four.round(100)
        if four.executed >= shown_at:
            shown_at += operations // 10
            core = four.replicas[1]
            kept = sum(sys.getsizeof(value) for _path, value in _below(core)) / 1024**2
            sizes = sorted(containers(core).items(), key=lambda item: -item[1])
            named = [f"{path} {size}" for path, size in sizes if not path.startswith(".application")]
            spent = time.monotonic() - begun
            print(f"{four.executed:9} operations {spent:7.1f} s {kept:5.1f} MiB  {', '.join(named[:3])}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
