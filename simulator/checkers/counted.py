"""Is each total that a bound is compared with the sum of what is kept? (R30; P15)

A share that is not given back, or is given back twice, breaks no other promise for a long time: then a table
is full for ever, or has no bound. So the totals are added up again, as representation invariants (Liskov &
Guttag, "Program Development in Java", 2000, chapter 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from dtvn.protocol.consensus import FRAMING
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.seams import Bodies, Future, Pool, Queue, memory
from simulator.world import World

LOOK_EVERY = 64
"""Turns between two looks at a node, and answers between two looks at a gateway."""

Total = tuple[str, Any, Any]
"""What is counted, the total that is kept, and the sum of what is there."""


class Counted(Checker):
    """Adds up one node's tables, or one gateway's queue, at each look."""

    name = "counted"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._turns = self._answers = 0

    def turning(self, node: Node) -> None:
        """See Checker."""
        self._turns += 1
        if self._turns % LOOK_EVERY or node.core is None or node.index is None:
            return
        self._compare(node.name, _totals(node.core))

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See Checker."""
        self._answers += 1
        if self._answers % LOOK_EVERY == 0:
            self._compare(gateway.name, calls(gateway.collector._queue))

    def _compare(self, name: str, totals: Iterator[Total]) -> None:
        for what, counted, there in totals:
            if counted != there:
                self.fail(f"{name} counts {what} as {counted}, and they are {there}")


def _totals(core: Any) -> Iterator[Total]:
    if (waiting := getattr(core.policy, "pool", None)) is not None:
        yield from pool(waiting)
    if (future := getattr(core.state, "future", None)) is not None:
        yield from statements(future)
    if (kept := getattr(core.state, "bodies", None)) is not None:
        yield from bodies(kept)


def statements(future: Future) -> Iterator[Total]:
    """Statements of later views, and their bytes, in each link's share."""
    links, sizes = Counter[int](), Counter[int]()
    for link, verified in future._kept.values():
        links[link] += 1
        sizes[link] += len(verified.frame)
        sizes[link] += memory(verified.batch) if verified.batch is not None else 0
    members = range(len(future._count))
    yield "statements of later views", future._count, [links[link] for link in members]
    yield "bytes of statements of later views", future._bytes, [sizes[link] for link in members]


def bodies(kept: Bodies) -> Iterator[Total]:
    """Bodies of batches."""
    yield "bytes of bodies", kept._bytes, sum(memory(batch) for batch in kept._kept.values())
    yield "bodies with a sequence", kept._sequence.keys(), kept._kept.keys()


def pool(waiting: Pool) -> Iterator[Total]:
    """Requests that wait: in all, of each session and principal, and those that are not yet proposed."""
    items = list(waiting)
    for item in items:
        size = sum(len(each.frame) + FRAMING for each in (item.bundle, item.behind) if each is not None)
        yield "bytes of a request", item.size, size
    totals = waiting.operations, waiting._operations_behind, waiting.bytes, waiting.work
    yield "requests that wait", totals, _sums(items)
    yield "requests of sessions", _held(waiting._held), _shares(items, lambda item: item.share)
    by_name = _shares(items, lambda item: _principal_of(item.share))
    yield "requests of principals", _held(waiting._held_by), by_name
    if waiting.leading:
        sums = _sums([item for item in items if not item.proposed])
        proposable = waiting.waiting_operations, waiting.waiting_bytes, waiting.waiting_work
        yield "requests not proposed", proposable, (sums[0], sums[2], sums[3])
        told = Counter[tuple[int, str]]()
        for item in items:
            for member in item.told_by:
                told[member, _principal_of(item.share)] += item.work
        yield "work that members are told to wait for", waiting._told_work, told


def calls(queue: Queue) -> Iterator[Total]:
    """Calls of a gateway that have not ended."""
    there = list(queue.open.values())
    yield "operations of calls", queue._operations, sum(len(call.operations) for call in there)
    yield "bytes of calls", queue._bytes, sum(call.size for call in there)


def _sums(items: list[Any]) -> tuple[int, int, int, int]:
    return (
        sum(item.operations for item in items),
        sum(item.operations_behind for item in items),
        sum(item.size for item in items),
        sum(item.work for item in items),
    )


def _principal_of(share: Any) -> str:
    name: str = share if isinstance(share, str) else share[0]
    return name


def _held(shares: Any) -> dict[Any, tuple[int, int, int, int]]:
    return {share: (held.requests, held.operations, held.bytes, held.work) for share, held in shares.items()}


def _shares(items: list[Any], share_of: Any) -> dict[Any, tuple[int, int, int, int]]:
    by_share: dict[Any, list[Any]] = {}
    for item in items:
        by_share.setdefault(share_of(item), []).append(item)
    summed = {share: (_sums(held), len(held)) for share, held in by_share.items()}
    return {
        share: (count, operations + behind, size, work)
        for share, ((operations, behind, size, work), count) in summed.items()
    }
