"""Callers in a simulated world: concurrent calls of each gateway, and their outcomes."""

from __future__ import annotations

from typing import Any

from dtvn.machine import Barrier, build
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.snapshot import ReplicaSnapshot
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.versions import NEWEST
from simulator.adversary import corrupt
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.gateway import Gateway, Request
from simulator.node import Costs, Node
from simulator.observers import Observer
from simulator.world import Settings

PATIENCE = 10 * SECOND


class Callers:
    """Keeps `at_once` calls of one gateway under way; the next one follows each answer, after `pause`
    nanoseconds."""

    def __init__(self, gateway: Gateway, at_once: int, *, operations: int = 1, pause: int = 0) -> None:
        self.gateway = gateway
        self.pause = pause
        self.operations = operations
        self.calls: list[Request] = []
        self._open: set[int] = set()
        self.done: list[tuple[int, int]] = []
        """(world time of the answer, nanoseconds it took)."""
        self.unanswered = 0
        self.busy = True
        gateway.observers.append(self)
        for _ in range(at_once):
            self.call()

    def call(self) -> None:
        gateway = self.gateway
        valid_until = (gateway.clock.now().wall + PATIENCE) // 1_000
        operation = build(Barrier(), ticket="", actor="gate", entry="r0", valid_until=valid_until, nonce=b"")
        request = gateway.ask([operation] * self.operations)
        assert request is not None, "this many calls do not fill a gateway"
        self.calls.append(request)
        self._open.add(request.number)
        if request.over:  # without a quorum it is refused in the same breath
            self.answered(gateway, request)

    def answered(self, gateway: Gateway, request: Request) -> None:
        if request.number not in self._open:
            return  # another caller's of this gateway
        self._open.remove(request.number)
        if request.results is None or request.results[0].code != "ok":
            self.unanswered += 1
        else:
            self.done.append((request.ended_at, request.ended_at - request.asked_at))
        gateway.world.after(self.pause, self._next)

    def _next(self) -> None:
        if self.busy:
            self.call()

    def throughput(self, first: int, last: int) -> float:
        """Calls answered a second between two world times."""
        return sum(first <= at < last for at, _took in self.done) * SECOND / (last - first)

    def p99(self, first: int, last: int) -> float:
        """Milliseconds within which 99 % of the calls answered in between were answered."""
        took = sorted(took for at, took in self.done if first <= at < last)
        return took[len(took) * 99 // 100] / MILLISECOND

    def slowest(self, first: int, last: int) -> float:
        """Milliseconds of the slowest call answered in between."""
        return max(took for at, took in self.done if first <= at < last) / MILLISECOND


def make(
    seed: int,
    *,
    members: int = 4,
    gateways: int = 2,
    liars: dict[str, str] | None = None,
    costs: Costs | None = None,
    parameters: Parameters | None = None,
) -> Cluster:
    """A world that has opened its sessions."""
    settings = Settings(
        members=members,
        learners=0,
        gateways=gateways,
        costs=costs or Costs(),
        parameters=parameters or Parameters(version=NEWEST),
    )
    cluster = Cluster(seed, settings)
    for name, kind in (liars or {}).items():
        corrupt(cluster, name, kind)
    cluster.start()
    cluster.world.run_for(200 * MILLISECOND)
    return cluster


def looks(cluster: Cluster) -> dict[str, ReplicaSnapshot]:
    """What every honest member that is up sees."""
    nodes = cluster.world.honest_members()
    return {node.name: node.look() for node in nodes if node.up and node.look is not None}


def views(cluster: Cluster) -> set[int]:
    return {look.view for look in looks(cluster).values()}


def notes(cluster: Cluster, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """From now on: (member, fields) of every note of a kind."""
    listener = _Notes(kind)
    cluster.world.observers.add(listener)
    return listener.found


class _Notes(Observer):
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.found: list[tuple[str, dict[str, Any]]] = []

    def noticed(self, node: Node, note: Executed | Note) -> None:
        if isinstance(note, Note) and note.kind == self._kind:
            self.found.append((node.name, note.fields))


__all__ = ["MILLISECOND", "SECOND", "Callers", "looks", "m", "make", "notes", "views"]
