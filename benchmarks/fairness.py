"""Measures the effect of a greedy client on a modest one (R30), in virtual time driven by processor time.

Four real hosts and two real callers run in one process. Two virtual cores run their turns, first come first
served; a turn lasts as long as this thread's processor time for it, plus an amount for the kernel and the
links, which are not simulated. So a busy machine gives the results of a quiet one, while the rates of a real
cluster would mean little there.

`python -m benchmarks.fairness [seconds]` prints the p99 of a caller with four open calls beside one with
sixteen, and beside one with ten times as many. With a fixed price for each turn, nothing is measured and the
result is the same on all machines (tests/node/test_fairness.py).
"""

from __future__ import annotations

import heapq
import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl import bindings

from benchmarks.hosts import MEMBERS, PORTS, Four, quiet_folder
from dtvn.gateway import Collector
from dtvn.gateway.client import GenesisKeys
from dtvn.machine import Issue, build
from dtvn.net import public_key_of, read_seed
from dtvn.net.inbox import FromInbox
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol.consensus.effects import ALL, Now, ReplyTo, Send
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis, cluster_id, decode
from dtvn.protocol.wire import Door, FrameSigner
from validators.ledger import Ledger

__all__ = ["Price", "World", "measure"]

SECOND = 1_000_000_000
CORES = 2
Delivery = tuple[Any, Any, bytes]
"""(receiver: a member index or a caller's connection; sender; frame)."""


@dataclass(frozen=True)
class Price:
    """Nanoseconds of a turn and of each frame in it, in addition to this thread's processor time if
    `measured`."""

    turn: int
    frame: int
    measured: bool = False

    def of(self, run: Callable[[], tuple[list[Delivery], int]]) -> tuple[list[Delivery], int]:
        """Run a turn; returns the frames that it sends, and its nanoseconds."""
        before = time.thread_time_ns()
        said, frames = run()
        spent = time.thread_time_ns() - before if self.measured else 0
        return said, spent + self.turn + frames * self.frame


OUTSIDE = Price(250_000, 8_000, measured=True)
"""Cost of turns and frames in a real node beyond its host: a lone operation takes 3 ms more there
(docs/performance.md)."""
WAIT = 60 * SECOND
GREEDY = "node0"
"""The node with whose API key the greedy caller signs."""


class Clock:
    """ports.Clock, advanced by World."""

    def __init__(self) -> None:
        self.time = SECOND
        self._wall = time.time_ns()

    def now(self) -> Now:
        return Now(monotonic=self.time, wall=self._wall + self.time)


class Links(FromInbox):
    """ports.Transport of one member: the frames that it sends are delivered when its turn is over."""

    def __init__(self, peers: Sequence[Peer], index: int) -> None:
        super().__init__()
        self.said: list[Delivery] = []
        self._peers, self._index = peers, index

    def send(self, send: Send) -> None:
        for other in range(MEMBERS):
            if other != self._index and send.to in (ALL, other):
                self.said.append((other, self._peers[self._index], send.frame))

    def reply(self, reply: ReplyTo) -> None:
        self.said.append(((reply.principal, reply.client), self._index, reply.frame))

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Unused: no peer sends requests to the transport here."""


class Member:
    """One member's host, a process of the world."""

    def __init__(self, host: Any, links: Links) -> None:
        self._host, self.links = host, links

    def due(self) -> int | None:
        """When it wants a turn, 0 for now."""
        return self._host.wake_at() if self.links.inbox.empty else 0

    def run(self) -> tuple[list[Delivery], int]:
        """A turn: what it says, and how many frames it handled."""
        taken = self._host.turn()
        said, self.links.said = self.links.said, []
        return said, taken + len(said)


class Caller:
    """Sessions of one principal, each with `calls` open calls of one operation at all times."""

    def __init__(self, world: World, key: Path, sessions: int, calls: int, **limits: int) -> None:
        self._clock, self._calls = world.clock, calls
        seed = read_seed(key)
        genesis, cluster, keys = world.genesis, cluster_id(world.genesis), GenesisKeys(world.genesis)
        own = public_key_of(seed)
        self.name = next(p.name for p in genesis.principals if p.public_key == own)
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self.waiting: deque[tuple[bytes, int, bytes]] = deque()
        self.times: list[int] = []
        self._begun: dict[tuple[bytes, int], int] = {}
        self._names = (f"{self.name}-{world.time}-{number}" for number in itertools.count())
        self.asking = True
        self.sessions: dict[bytes, Collector] = {}
        for _ in range(sessions):
            client = os.urandom(8)
            signer, door = FrameSigner(cluster, secret, keys), Door(cluster, keys)
            collector = Collector(
                genesis, principal=self.name, client=client, signer=signer, door=door, **limits
            )
            collector.connected(frozenset(range(MEMBERS)), self._clock.now())
            self.sessions[client] = collector
        for client in self.sessions:
            for _ in range(calls):
                self._ask(client)

    def due(self) -> int | None:
        """When it wants a turn, 0 for now."""
        fresh = len(self._begun) == len(self.sessions) * self._calls and not self.times
        return 0 if self.waiting or fresh else min(each.deadline() for each in self.sessions.values())

    def run(self) -> tuple[list[Delivery], int]:
        """A turn: what it says, and how many frames it handled."""
        now = self._clock.now()
        said: list[Delivery] = []
        taken = len(self.waiting)
        while self.waiting:
            client, member, frame = self.waiting.popleft()
            self.sessions[client].receive(member, frame, now)
        for client, collector in self.sessions.items():
            if collector.deadline() <= now.monotonic:
                collector.tick(now)
            done = True
            while done:
                actions = collector.take(now)
                said += [(to, Peer(self.name, None, client), frame) for to, frame in actions.send]
                done = bool(actions.completed)
                for completed in actions.completed:
                    if {result.code for result in completed.results} != {"ok"}:
                        raise RuntimeError(f"the bench measures what was not applied: {completed.results}")
                    self.times.append(now.monotonic - self._begun.pop((client, completed.call)))
                    if self.asking:
                        self._ask(client)
        return said, taken + len(said)

    def _ask(self, client: bytes) -> None:
        now = self._clock.now()
        until = (now.wall + WAIT) // 1_000
        operation = build(Issue(), ticket=next(self._names), actor="bench", entry="node0", valid_until=until)
        call = self.sessions[client].submit((operation,), now, wait=WAIT)
        self._begun[client, call] = now.monotonic


class World(Four):
    """The cluster, its callers, and the cores that they share."""

    def __init__(self, folder: Path, price: Price = OUTSIDE) -> None:
        self._price = price
        create_demo_cluster(folder, nodes=MEMBERS, host="127.0.0.1", ports=PORTS)
        self._folder = ClusterFolder(folder)
        self.genesis: Genesis = decode(self._folder.genesis.read_bytes())
        self.peers = [Peer(member.id, index) for index, member in enumerate(self.genesis.members)]
        self.clock = self._clock = Clock()  # type: ignore[assignment]
        self.links = [Links(self.peers, index) for index in range(MEMBERS)]  # type: ignore[misc]
        self._ledgers: list[Ledger] = []
        self._hosts = [self._host(self.genesis, index) for index in range(MEMBERS)]
        self._processes: list[Member | Caller] = []
        self._ready: deque[Member | Caller] = deque()
        self._running: list[tuple[int, int, Member | Caller, list[Delivery]]] = []
        self._order = itertools.count()
        for host, links in zip(self._hosts, self.links, strict=True):
            host.start()
            self._processes.append(Member(host, links))  # type: ignore[arg-type]

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds."""
        return self.clock.time

    def modest(self) -> Caller:
        """Add a caller with one session and four open calls."""
        return self._joins(Caller(self, self._folder.gateway_key, 1, 4))

    def other(self, sessions: int) -> Caller:
        """Add a caller with sixteen open calls in each session, each call in a bundle of its own."""
        key = self._folder.node(GREEDY).api_key
        return self._joins(Caller(self, key, sessions, 16, bundle_operations_max=1, in_flight_max=16))

    def leaves(self, caller: Caller) -> None:
        """Stop a caller's requests, and remove it after its last answers."""
        caller.asking = False
        self.go(SECOND)
        self._processes.remove(caller)

    def go(self, nanoseconds: int) -> None:
        """Advance the virtual time by `nanoseconds`."""
        until = self.time + nanoseconds
        while self.time < until:
            self._start()
            idle = len(self._running) < CORES
            times = [end for end, *_rest in self._running[:1]]
            times += [due for each in self._idle() if (due := each.due()) is not None] if idle else []
            following = max(self.time, min(times, default=until))
            if not self._running or following < self._running[0][0]:
                self.clock.time = min(following, until)
                continue
            end, _order, _done, said = heapq.heappop(self._running)
            self.clock.time = max(self.time, end)
            for to, source, frame in said:
                self._deliver(to, source, frame)

    def _joins(self, caller: Caller) -> Caller:
        self._processes.append(caller)
        return caller

    def _idle(self) -> list[Member | Caller]:
        running = [entry[2] for entry in self._running]
        return [each for each in self._processes if each not in running]

    def _start(self) -> None:
        """Queue the processes whose turn is due, and run them on free cores."""
        for each in self._idle():
            due = each.due()
            if due is not None and due <= self.time and each not in self._ready:
                self._ready.append(each)
        while self._ready and len(self._running) < CORES:
            process = self._ready.popleft()
            said, took = self._price.of(process.run)
            heapq.heappush(self._running, (self.time + took, next(self._order), process, said))

    def _deliver(self, to: Any, source: Any, frame: bytes) -> None:
        if isinstance(to, int):
            self.links[to].inbox.put(source, frame, self.time)
            return
        for each in self._processes:
            if isinstance(each, Caller) and to[1] in each.sessions:
                each.waiting.append((to[1], source, frame))


def measure(world: World, modest: Caller, sessions: int, seconds: float) -> float:
    """p99 in milliseconds of the modest caller beside a caller with `sessions` sessions; prints the rates
    too."""
    other = world.other(sessions)
    world.go(2 * SECOND)
    first, others = len(modest.times), len(other.times)
    world.go(int(seconds * SECOND))
    times = sorted(modest.times[first:])
    p99 = times[int(len(times) * 0.99)] / 1e6
    print(
        f"beside {16 * sessions:3} calls: p50 {times[len(times) // 2] / 1e6:.1f} ms, p99 {p99:.1f} ms, "
        f"{len(times) / seconds:.0f} operations a second and {(len(other.times) - others) / seconds:.0f}"
    )
    world.leaves(other)
    return p99


def main(seconds: float) -> None:
    """Measure beside one and ten sessions, twice, and print the ratios."""
    with quiet_folder() as folder:
        world = World(folder / "cluster")
        modest = world.modest()
        for _ in range(2):
            share, ten_times = (measure(world, modest, sessions, seconds) for sessions in (1, 10))
            print(f"{ten_times / share:.1f} times")
        world.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
