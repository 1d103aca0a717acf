"""Measures the pure cost of ordering for a member: four hosts in one process, without sockets.

It runs real cores, doors, signatures and ledgers (on a memory disk if there is one, so without waiting for a
sync) and a gateway's collector, in turn. Each figure is the least processor time of this thread over several
chunks, which is valid on a busy machine, where rates and latencies of a real cluster mean little. A real
cluster has additional costs for frames, process switches and cold caches.

`python -m benchmarks.hosts [operations] [per bundle]` prints microseconds per operation.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nacl import bindings

from benchmarks import load
from dtvn.gateway import Collector, Completed
from dtvn.gateway.client import GenesisKeys
from dtvn.ledger import Location
from dtvn.machine import TicketApplication
from dtvn.net import read_seed
from dtvn.net.inbox import FromInbox
from dtvn.node.clock import SystemClock
from dtvn.node.journal import NodeJournal
from dtvn.node.keyring import KeyRing
from dtvn.node.layout import ClusterFolder
from dtvn.node.provision import create_demo_cluster
from dtvn.node.watcher import NodeWatcher
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ALL, ReplyTo, Send
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Genesis, cluster_id, decode
from dtvn.protocol.host import Host
from dtvn.protocol.wire import Door, FrameSigner
from validators.ledger import Ledger, open_ledger

__all__ = ["Four"]

MEMBERS = 4
PORTS = [4_001, 4_002, 4_003, 4_004]
"""Ports in the configuration; no process listens on them."""
CHUNKS = 10
WAIT = 60 * 10**9
MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - nothing secret, and gone at the end
GATEWAY = Peer("gateway", None, b"gateway")


class _Links(FromInbox):
    """ports.Transport of one member: queues in this process."""

    def __init__(self, four: Four, index: int) -> None:
        self._four = four
        self._index = index
        super().__init__()

    def send(self, send: Send) -> None:
        for other, links in enumerate(self._four.links):
            if other != self._index and send.to in (ALL, other):
                links.inbox.put(self._four.peers[self._index], send.frame, 0)

    def reply(self, reply: ReplyTo) -> None:
        self._four.replies.append((self._index, reply.frame))

    def answer(self, peer: Peer, frame: bytes) -> None:
        """Unused: no peer sends requests to the transport here."""


class Four:
    """A cluster in `folder` and its one caller; `spent`: nanoseconds by member, then of the collector."""

    def __init__(self, folder: Path) -> None:
        create_demo_cluster(folder, nodes=MEMBERS, host="127.0.0.1", ports=PORTS)
        self._folder = ClusterFolder(folder)
        genesis = decode(self._folder.genesis.read_bytes())
        self.peers = [Peer(member.id, index) for index, member in enumerate(genesis.members)]
        self.replies: deque[tuple[int, bytes]] = deque()
        self.links = [_Links(self, index) for index in range(MEMBERS)]
        self._clock = SystemClock()
        self._ledgers: list[Ledger] = []
        self._hosts = [self._host(genesis, index) for index in range(MEMBERS)]
        self._collector = self._caller(genesis)
        self.spent = [0] * (MEMBERS + 1)
        for host in self._hosts:
            host.start()

    def call(self, operations: Sequence[m.Operation]) -> None:
        """Have these operations ordered in one call; every outcome must be ok."""
        self._collector.submit(tuple(operations), self._clock.now(), wait=WAIT)
        while not (done := self._round()):
            pass
        if (codes := {result.code for completed in done for result in completed.results}) != {"ok"}:
            raise RuntimeError(f"the bench measures operations that were not applied: {codes}")

    def close(self) -> None:
        """Write the pending rows and close the ledgers."""
        for host in self._hosts:
            host.close()
        for ledger in self._ledgers:
            ledger.close()

    def _round(self) -> list[Completed]:
        """Give a turn to each host, and the collector, that has work."""
        for index, host in enumerate(self._hosts):
            due = host.wake_at()
            if not self.links[index].inbox.empty or (due is not None and due <= time.monotonic_ns()):
                before = time.thread_time_ns()
                host.turn()
                self.spent[index] += time.thread_time_ns() - before
        before = time.thread_time_ns()
        now = self._clock.now()
        while self.replies:
            self._collector.receive(*self.replies.popleft(), now)
        if self._collector.deadline() <= now.monotonic:
            self._collector.tick(now)
        actions = self._collector.take(now)
        for member, frame in actions.send:
            self.links[member].inbox.put(GATEWAY, frame, 0)
        self.spent[MEMBERS] += time.thread_time_ns() - before
        return list(actions.completed)

    def _host(self, genesis: Genesis, index: int) -> Host:
        from dtvn.node.node import ROWS_LAG  # needs Django's settings

        cluster, name = cluster_id(genesis), genesis.members[index].id
        node = self._folder.node(name)
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
            clock=self._clock,
            signer=signer,
            watcher=NodeWatcher(logging.getLogger(name), lambda _peer: 0, also=ledger.notice),
            answer_query=lambda query: m.Answer(number=query.number, code="unavailable", text=""),
            rows_lag=ROWS_LAG,
        )

    def _caller(self, genesis: Genesis) -> Collector:
        cluster, keys = cluster_id(genesis), GenesisKeys(genesis)
        secret = bindings.crypto_sign_seed_keypair(read_seed(self._folder.gateway_key))[1]
        signer = FrameSigner(cluster, secret, keys)
        collector = Collector(
            genesis, principal="gateway", client=b"bench000", signer=signer, door=Door(cluster, keys)
        )
        collector.connected(frozenset(range(MEMBERS)), self._clock.now())
        return collector


def _measure(four: Four, operations: Sequence[m.Operation], per_bundle: int) -> list[float]:
    """Microseconds per operation of each member, then of the collector."""
    calls = load.chunks(operations, per_bundle)
    size = max(1, len(calls) // CHUNKS)
    found: list[list[float]] = []
    for first in range(0, len(calls), size):
        before, chunk = list(four.spent), calls[first : first + size]
        for call in chunk:
            four.call(call)
        count = sum(map(len, chunk))
        found.append([(now - then) / count / 1e3 for then, now in zip(before, four.spent, strict=True)])
    return [min(column) for column in zip(*found, strict=True)]


@contextmanager
def quiet_folder() -> Iterator[Path]:
    """A folder in memory for a cluster in this process; garbage collection and logging are off meanwhile."""
    import django

    disk = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="dtvn-bench-", dir=disk) as folder:
        os.environ["DTVN_DATA"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "dtvn_project.settings"
        os.environ.pop("DATABASE_URL", None)
        django.setup()
        logging.disable(logging.WARNING)
        gc.disable()
        yield Path(folder)


def main(operations: int, per_bundle: int) -> None:
    """Issue `operations` tickets, admit them, and print the costs."""
    with quiet_folder() as folder:
        four = Four(folder / "cluster")
        four.call(load.issues(["warm"]))
        tickets = load.names("T", operations)
        for what, build in (("issue", load.issues), ("admit", load.admits)):
            figures = "  ".join(f"{figure:8.1f}" for figure in _measure(four, build(tickets), per_bundle))
            print(f"{what}: microseconds of each member, then of the gateway  {figures}")
        four.close()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 400,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
    )
