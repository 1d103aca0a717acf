"""A cluster decides one operation, or several at once, while its members keep real ledgers on SQLite:
`python -m tests.ledger.lone_operation FOLDER MEMBERS [BUG [BUNDLES OPERATIONS]]`: each bundle has a gateway.

Host, core and ledger are the product's; network and clock are virtual. Each word is marked by a sync of a
file of its name, FOLDER/r1/Commit, so that who counts syncs from outside sees words and syncs in their order.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dtvn.machine import build
from dtvn.machine.kinds import KINDS
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ApplicationChange, Executed, Note, Record
from dtvn.protocol.host import Host
from dtvn.protocol.host.ports import LedgerTail
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.gateway import Gateway
from simulator.mutants import MUTANTS
from simulator.mutants.registry import planted
from simulator.network import PERFECT
from simulator.node import FREE, Node
from simulator.observers import Observer
from simulator.world import Settings
from tests.ledger.syncs import mark
from validators.ledger import Ledger, open_ledger
from validators.ledger.sqlite import SqliteStore

MARKS = frozenset({"PrePrepare", "Prepare", "Commit", "Reply"})
"""Files that stand for words."""
NEVER_FULL = "never-full"
"""SQLite commits with synchronous=NORMAL always: the bug that no reader of the virtual disk can see."""


class Both:
    """A real ledger, and a virtual disk that syncs everything, to content the world's checkers."""

    def __init__(self, virtual: Any, real: Ledger) -> None:
        self._virtual, self._real = virtual, real
        self.entries, self.checkpoint_from = virtual.entries, virtual.checkpoint_from

    def append(self, records: Sequence[Record], *, durable: bool = True) -> None:
        self._real.append(records, durable=durable)
        self._virtual.append(records)

    def materialise(self, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        self._real.materialise(changes, sequence, timestamp)
        self._virtual.materialise(changes, sequence, timestamp)

    def load(self) -> LedgerTail:
        self._real.load()
        return self._virtual.load()


class Marks(Observer):
    """Marks each word once, and hands the notes on."""

    kinds = frozenset({m.PrePrepare, m.Prepare, m.Commit, m.Reply})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._heard: set[tuple[str, bytes]] = set()
        self.ledgers: dict[str, Ledger] = {}

    def build(self, cluster: Cluster, node: Node) -> Host:
        host = cluster.build(node)
        folder = self._folder / node.name
        ledger = open_ledger(folder, cluster_id=cluster.world.cluster, alias=f"ledger-{node.name}")
        self.ledgers[node.name] = ledger
        host.journal = Both(host.journal, ledger)  # type: ignore[assignment]
        return host

    def noticed(self, node: Node, note: Executed | Note) -> None:
        self.ledgers[node.name].notice(note)

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        if (node.name, frame) not in self._heard:
            self._heard.add((node.name, frame))
            self.mark(node.name, m.KINDS[frame[1]].__name__)

    def mark(self, name: str, word: str) -> None:
        mark(self._folder / name / word)


def play(folder: Path, members: int, bundles: int, operations: int) -> None:
    """Bundles of `operations` each, among members that have nothing else to do."""
    settings = Settings(
        members=members, learners=0, gateways=bundles, quality=PERFECT, costs=FREE, skew_max=0, rate_ppm_max=0
    )
    cluster = Cluster("a lone operation", settings)
    marks = Marks(folder)
    for node in cluster.world.nodes.values():
        node.build = lambda node: marks.build(cluster, node)
    cluster.world.observers.add(marks)
    cluster.start()
    ask(cluster, "T-1", 1)  # opens the gateways' sessions
    for word, tickets in (("begin", ["T-2"]), ("end", [])):
        for name in marks.ledgers:
            marks.mark(name, word)
        for ticket in tickets:
            ask(cluster, ticket, operations)
    for ledger in marks.ledgers.values():
        ledger.close()


def ask(cluster: Cluster, ticket: str, operations: int) -> None:
    """Have each gateway issue tickets that begin so, and wait until everybody has executed that, written its
    rows and is quiet."""
    world = cluster.world
    world.run_for(SECOND)
    requests = [
        gateway.ask([issue(gateway, f"{ticket}-{place}-{number}") for number in range(operations)])
        for place, gateway in enumerate(cluster.gateways)
    ]
    world.run_for(500 * MILLISECOND)
    if not all(request and request.over for request in requests) or not cluster.settled():
        raise SystemExit(f"{ticket} was not issued")


def issue(gateway: Gateway, ticket: str) -> m.Operation:
    return build(
        KINDS["issue"].command(),
        ticket=ticket,
        actor="gate",
        entry="r0",
        valid_until=(gateway.clock.now().wall + 10 * SECOND) // 1_000,
        nonce=ticket.encode(),
    )


def main(folder: str, members: str, bug: str = "", bundles: str = "1", operations: str = "1") -> None:
    if bug == NEVER_FULL:
        right = SqliteStore._set_durable
        SqliteStore._set_durable = lambda self, durable: right(self, False)  # type: ignore[method-assign]
    with planted(bug if bug in MUTANTS else ""):
        play(Path(folder), int(members), int(bundles), int(operations))


if __name__ == "__main__":
    main(*sys.argv[1:])
