"""Four real hosts and their callers in one process, in virtual time driven by processor time.

Two virtual cores run the turns of all of them, first come first served; a turn lasts as long as this thread's
processor time for it, plus an amount for what is not here: the kernel and the links. Cores, doors, signatures
and ledgers are real (on a memory disk if there is one, so without waiting for a sync). So a busy machine
gives the results of a quiet one, while the rates of a real cluster would mean little there.

`python -m benchmarks.hosts [operations] [per bundle]` prints the pure cost of ordering: microseconds of
processor time per operation, for each the least of several chunks. A real cluster has additional costs for
frames, process switches and cold caches.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import logging
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nacl import bindings

from benchmarks import load
from benchmarks.settings import use_folder
from dtvn.files.genesis import read_genesis
from dtvn.gateway import Collector
from dtvn.gateway.identity import GenesisKeys
from dtvn.ledger import Location
from dtvn.machine import Admit, Command, Issue, TicketApplication, build
from dtvn.machine.keyring import KeyRing
from dtvn.net import public_key_of, read_seed
from dtvn.net.inbox import FromInbox
from dtvn.node.journal import NodeJournal
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from dtvn.node.watcher import NodeWatcher
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ALL, Now, ReplyTo, Send
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.host import Host
from dtvn.protocol.wire import Door, FrameSigner
from validators.ledger import Ledger, open_ledger

MEMBERS = 4
PORTS = [4_001, 4_002, 4_003, 4_004]
"""Ports in the configuration; no process listens on them."""
CHUNKS = 10
CORES = 2
SECOND = 1_000_000_000
WAIT = 60 * SECOND
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - nothing secret, and gone at the end
Delivery = tuple[Any, Any, bytes]
"""(receiver: a member index or a caller's connection; sender; frame)."""
Joining = TypeVar("Joining", bound="Process")
Call = Sequence[tuple[Command, str, bytes]]
"""Operations of one call: (command, ticket, nonce)."""


@dataclass(frozen=True)
class Price:
    """Nanoseconds of a turn and of each frame in it, in addition to this thread's processor time if
    `measured`."""

    turn: int
    frame: int
    measured: bool = False

    def of(self, process: Process) -> tuple[list[Delivery], int]:
        """Run a turn; returns the frames that it sends, and its nanoseconds."""
        before = time.thread_time_ns()
        said, frames = process.run()
        spent = time.thread_time_ns() - before if self.measured else 0
        process.spent += spent
        return said, spent + self.turn + frames * self.frame


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


class Process:
    """Runs turns on the world's cores."""

    spent = 0
    """Nanoseconds of processor time of its turns, if they are measured."""
    elsewhere = False
    """Whether it runs on a machine of its own: its turns take no core of this one, and no time."""

    def due(self) -> int | None:
        """Time at which the host wants a turn; 0: now."""
        raise NotImplementedError

    def run(self) -> tuple[list[Delivery], int]:
        """A turn: what it says, and how many frames it handled."""
        raise NotImplementedError


class Member(Process):
    """One member's host."""

    def __init__(self, host: Host, links: Links) -> None:
        self._host, self.links = host, links

    def due(self) -> int | None:
        """See Process."""
        return self._host.wake_at() if self.links.inbox.empty else 0

    def run(self) -> tuple[list[Delivery], int]:
        """See Process."""
        taken = self._host.turn()
        said, self.links.said = self.links.said, []
        return said, taken + len(said)


class Caller(Process):
    """Sessions of one principal, each with `calls` open calls of `work` as long as there is any."""

    def __init__(
        self,
        world: World,
        key: Path,
        work: Iterator[Call],
        *,
        sessions: int = 1,
        calls: int = 1,
        **limits: Any,
    ) -> None:
        self._clock, self._calls, self.work = world.clock, calls, work
        seed = read_seed(key)
        genesis, cluster, keys = world.genesis, cluster_id(world.genesis), GenesisKeys(world.genesis)
        own = public_key_of(seed)
        self.name = next(p.name for p in genesis.principals if p.public_key == own)
        secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self.waiting: deque[tuple[bytes, int, bytes]] = deque()
        self.times: list[int] = []
        """Virtual nanoseconds of every call that is over."""
        self._begun: dict[tuple[bytes, int], int] = {}
        self._fresh = True
        self.sessions: dict[bytes, Collector] = {}
        for _ in range(sessions):
            client = os.urandom(8)
            signer, door = FrameSigner(cluster, secret, keys), Door(cluster, keys)
            collector = Collector(
                genesis, principal=self.name, client=client, signer=signer, door=door, **limits
            )
            collector.connected(frozenset(range(MEMBERS)), self._clock.now())
            self.sessions[client] = collector
        self.ask()

    @property
    def idle(self) -> bool:
        """True if no call is open."""
        return not self._begun

    def ask(self) -> None:
        """Open the calls of all sessions."""
        self._fresh = True
        for client in self.sessions:
            for _ in range(self._calls):
                self._ask(client)

    def due(self) -> int | None:
        """See Process."""
        return 0 if self.waiting or self._fresh else min(each.deadline() for each in self.sessions.values())

    def run(self) -> tuple[list[Delivery], int]:
        """See Process."""
        self._fresh = False
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
                    self._ask(client)
        return said, taken + len(said)

    def _ask(self, client: bytes) -> None:
        now = self._clock.now()
        until = (now.wall + WAIT) // 1_000
        operations = tuple(
            build(command, ticket=ticket, actor="bench", entry="node0", valid_until=until, nonce=nonce)
            for command, ticket, nonce in next(self.work, ())
        )
        if operations:
            call = self.sessions[client].submit(operations, now, wait=WAIT)
            self._begun[client, call] = now.monotonic


class World:
    """A cluster in `folder`, its callers, and the cores that they share."""

    def __init__(self, folder: Path, price: Price) -> None:
        self._price = price
        create_demo_cluster(folder, nodes=MEMBERS, host="127.0.0.1", ports=PORTS)
        self.folder = ClusterFolder(folder)
        self.genesis: Genesis = read_genesis(self.folder.genesis)
        self.peers = [Peer(member.id, index) for index, member in enumerate(self.genesis.members)]
        self.clock = Clock()
        self.links = [Links(self.peers, index) for index in range(MEMBERS)]
        self._ledgers: list[Ledger] = []
        self._hosts = [self._host(self.genesis, index) for index in range(MEMBERS)]
        self._ready: deque[Process] = deque()
        self._running: list[tuple[int, int, Process, list[Delivery]]] = []
        self._order = itertools.count()
        for host in self._hosts:
            host.start()
        self.processes: list[Process] = [Member(*pair) for pair in zip(self._hosts, self.links, strict=True)]

    @property
    def time(self) -> int:
        """Virtual time in nanoseconds."""
        return self.clock.time

    def joins(self, caller: Joining) -> Joining:
        """Add a caller."""
        self.processes.append(caller)
        return caller

    def leaves(self, caller: Caller) -> None:
        """Stop a caller's requests, and remove it after its last answers."""
        caller.work = iter(())
        self.go(SECOND)
        self.processes.remove(caller)

    def close(self) -> None:
        """Write the pending rows and close the ledgers."""
        for host in self._hosts:
            host.close()
        for ledger in self._ledgers:
            ledger.close()

    def go(self, nanoseconds: int, done: Callable[[], bool] = lambda: False) -> None:
        """Advance the virtual time by `nanoseconds`, or until `done`."""
        until = self.time + nanoseconds
        while self.time < until and not done():
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

    def _idle(self) -> list[Process]:
        running = [entry[2] for entry in self._running]
        return [each for each in self.processes if each not in running]

    def _start(self) -> None:
        """Queue the processes whose turn is due, and run them on free cores."""
        for each in self._idle():
            due = each.due()
            if due is not None and due <= self.time and each not in self._ready:
                self._ready.append(each)
        while self._ready and len(self._running) < CORES:
            process = self._ready.popleft()
            said, took = (process.run()[0], 0) if process.elsewhere else self._price.of(process)
            heapq.heappush(self._running, (self.time + took, next(self._order), process, said))

    def _deliver(self, to: Any, source: Any, frame: bytes) -> None:
        if isinstance(to, int):
            self.links[to].inbox.put(source, frame, self.time)
            return
        for each in self.processes:
            if isinstance(each, Caller) and to[1] in each.sessions:
                each.waiting.append((to[1], source, frame))

    def _host(self, genesis: Genesis, index: int) -> Host:
        from dtvn.node.node import ROWS_LAG  # needs Django's settings

        cluster, name = cluster_id(genesis), genesis.members[index].id
        node = self.folder.node(name)
        secret = bindings.crypto_sign_seed_keypair(read_seed(node.key))[1]
        ledger = open_ledger(Location(node.ledger), cluster_id=cluster, alias=f"bench{index}")
        self._ledgers.append(ledger)
        application = TicketApplication(genesis, cluster)
        keys = KeyRing(application, founding(genesis))
        signer = FrameSigner(cluster, secret, keys)
        return Host(
            core=Replica(configuration.build(genesis, cluster, name), signer, application, voting=True),
            application=application,
            door=Door(cluster, keys),
            journal=NodeJournal(ledger, None),
            transport=self.links[index],
            clock=self.clock,
            signer=signer,
            watcher=NodeWatcher(logging.getLogger(name), lambda _peer: 0, also=ledger.notice),
            answer_query=lambda query: m.Answer(number=query.number, code="unavailable", text=""),
            rows_lag=ROWS_LAG,
        )


def _measure(world: World, caller: Caller, calls: Sequence[Call]) -> list[float]:
    """Microseconds per operation of each member, then of the caller: the least of several chunks."""
    found: list[list[float]] = []
    for chunk in load.chunks(calls, max(1, len(calls) // CHUNKS)):
        before = [process.spent for process in world.processes]
        caller.work = iter(chunk)
        caller.ask()
        world.go(WAIT, done=lambda: caller.idle)
        count = sum(map(len, chunk)) * 1e3
        found.append([(p.spent - then) / count for p, then in zip(world.processes, before, strict=True)])
    return [min(column) for column in zip(*found, strict=True)]


@contextmanager
def quiet_folder() -> Iterator[Path]:
    """A folder in memory for a cluster in this process; garbage collection and logging are off meanwhile."""
    disk = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="dtvn-bench-", dir=disk) as folder:
        use_folder(Path(folder))
        logging.disable(logging.WARNING)
        gc.disable()
        yield Path(folder)


def main(operations: int, per_bundle: int) -> None:
    """Issue `operations` tickets, admit them, and print the costs."""
    with quiet_folder() as folder:
        world = World(folder / "cluster", Price(0, 0, measured=True))
        caller = world.joins(Caller(world, world.folder.gateway_key, iter([[(Issue(), "warm", b"")]])))
        world.go(WAIT, done=lambda: caller.idle)
        tickets = load.names("T", operations)
        work: dict[str, Call] = {
            "issue": [(Issue(), name, b"") for name in tickets],
            "admit": [(Admit(gate="G1", device="d1"), name, name.encode()) for name in tickets],
        }
        for what, each in work.items():
            found = _measure(world, caller, load.chunks(each, per_bundle))
            figures = "  ".join(f"{figure:8.1f}" for figure in found)
            print(f"{what}: microseconds of each member, then of the gateway  {figures}")
        world.close()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 400,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
    )
