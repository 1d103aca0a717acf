"""Measures what a replica keeps in memory: four cores in one process, no disk, no network (R24, R25).

`python -m benchmarks.memory [operations]` runs a million operations (default) over a fixed number of tickets.
Meanwhile it prints memory and the largest containers of one core; none may grow with the operations. The
tests run fewer operations and check every container.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from benchmarks.apply import START
from dtvn.machine import Dispute, OpenSession, Resolve, Seed, TicketApplication, Validate, build
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ALL, Effects, Now
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.needs import Recovery
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import (
    ANY_EVENT,
    CAPABILITIES,
    Genesis,
    Grant,
    Member,
    Parameters,
    Principal,
    cluster_id,
)
from dtvn.protocol.wire import Door, FrameSigner
from simulator.scheme import KeyedHash

__all__ = ["Four", "containers"]

MEMBERS = 4
TICKETS = 500
MILLISECOND = 1_000_000
NOTHING = Recovery(Frontier(), 0, (), (), (), None, ())


class _Keys:
    """wire.Keys of four members and a gateway."""

    def __init__(self, scheme: KeyedHash) -> None:
        self.members = [scheme.pair(f"m{index}") for index in range(MEMBERS)]
        self.gateway = scheme.pair("gateway")

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self.members[index][0] if epoch == 0 and 0 <= index < MEMBERS else None

    def principal_key(self, name: str) -> bytes | None:
        return self.gateway[0] if name == "gateway" else None


class Four:
    """A cluster of cores. Each `round` orders one bundle and runs until all replicas have executed it."""

    def __init__(self, checkpoint_interval: int = 10) -> None:
        self.scheme = KeyedHash()
        self.keys = _Keys(self.scheme)
        genesis = _genesis(self.keys, checkpoint_interval)
        self.cluster = cluster_id(genesis)
        self.time = 10**12
        self.executed = 0
        """Number of operations executed so far."""
        self.replicas: list[Replica] = []
        self.doors: list[Door] = []
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        self._client = FrameSigner(self.cluster, self.keys.gateway[1], self.keys, scheme=self.scheme)
        self._number = 0
        for index, member in enumerate(genesis.members):
            signer = FrameSigner(self.cluster, self.keys.members[index][1], self.keys, scheme=self.scheme)
            config = configuration.build(genesis, self.cluster, member.id)
            replica = Replica(config, signer, TicketApplication(genesis, self.cluster), voting=True)
            self.replicas.append(replica)
            self.doors.append(Door(self.cluster, self.keys, scheme=self.scheme))
        for index, replica in enumerate(self.replicas):
            self._take(index, replica.restore(NOTHING, self._now()))
        self._order(OpenSession(), ("",), session=(0, 0), nonce=b"open")
        self._order(Seed(), ("",))
        self._names = [f"TICKET-{number:03d}" for number in range(1, TICKETS + 1)]
        self._order(Validate(), self._names)

    def round(self, operations: int) -> None:
        """Order the next operations: each ticket is disputed and cleared in turn."""
        turn, place = divmod(self.executed, TICKETS)
        names = [self._names[(place + offset) % TICKETS] for offset in range(operations)]
        self._order(Resolve(verdict="clear") if turn % 2 else Dispute(reason="bench"), names)

    def _order(
        self, command: Any, names: Any, *, session: tuple[int, int] = (1, 0), nonce: bytes = b""
    ) -> None:
        until = self._now().wall // 1_000 + 60_000_000
        operations = tuple(
            build(command, ticket=name, actor="bench", entry="m0", valid_until=until, nonce=nonce)
            for name in names
        )
        number = 0 if nonce else self._number
        bundle = m.Bundle(0, "gateway", b"client-1", session, number, number, operations)
        self._number += 0 if nonce else 1
        before = self.replicas[0].executed
        self._hear(0, Peer("gateway", None), self._client.sign(bundle))
        while min(replica.executed for replica in self.replicas) <= before:
            self._pass()
        self._pass()
        self.executed += len(names) if session == (1, 0) else 0

    def _pass(self) -> None:
        """Advance by a millisecond: deliver all waiting frames, and tick the replicas that are due."""
        while self._waiting:
            source, target, frame = self._waiting.popleft()
            self._hear(target, Peer(f"m{source}", source), frame)
        self.time += MILLISECOND
        for index, replica in enumerate(self.replicas):
            due = replica.deadline()
            if due is not None and due <= self.time:
                self._take(index, replica.tick(self._now()))

    def _hear(self, target: int, peer: Peer, frame: bytes) -> None:
        replica, door = self.replicas[target], self.doors[target]
        header = door.peek(Inbound(peer, frame))
        if not isinstance(header.message, (m.FetchEntries, m.Follow)) and replica.wants(header) is None:
            self._take(target, replica.receive(door.verify(header), self._now()))

    def _take(self, index: int, effects: Effects) -> None:
        self.replicas[index].application.changes()
        for send in effects.send:
            for target in range(MEMBERS):
                if target != index and send.to in (ALL, target):
                    self._waiting.append((index, target, send.frame))

    def _now(self) -> Now:
        return Now(self.time, START * 1_000 + self.time)


def containers(root: Any) -> dict[str, int]:
    """Lengths of all containers below an object, by the path of attributes to them (keys left out)."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    todo: deque[tuple[str, Any]] = deque([("", root)])
    while todo:
        path, value = todo.popleft()
        if id(value) in seen or isinstance(value, (bytes, str, int, float, type)) or callable(value):
            continue
        seen.add(id(value))
        if isinstance(value, (dict, list, set, frozenset, deque, tuple, bytearray)):
            found[path] = found.get(path, 0) + len(value)
        todo.extend((f"{path}{name}", inner) for name, inner in _inside(value))
    return found


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


def _genesis(keys: _Keys, checkpoint_interval: int) -> Genesis:
    everything = tuple(Grant(ANY_EVENT, capability) for capability in sorted(CAPABILITIES))
    return Genesis(
        "memory",
        1,
        tuple(Member(f"m{i}", pair[0], "127.0.0.1", 4_000 + i) for i, pair in enumerate(keys.members)),
        (Principal("gateway", keys.gateway[0], everything),),
        Parameters(checkpoint_interval=checkpoint_interval),
        demo=True,
    )


def main(operations: int) -> None:
    """Run and print the figures meanwhile."""
    four = Four()
    begun = time.monotonic()
    shown_at = 0
    while four.executed < operations:
        four.round(100)
        if four.executed >= shown_at:
            shown_at += operations // 10
            found = containers(four.replicas[1]).items()
            core = [(path, size) for path, size in found if not path.startswith(".application")]
            sizes = sorted(core, key=lambda item: -item[1])[:3]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            largest = ", ".join(f"{path} {size}" for path, size in sizes)
            print(f"{four.executed:9} operations {time.monotonic() - begun:7.1f} s {memory:5} MiB  {largest}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
