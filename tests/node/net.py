"""Real transports on loopback in one process, each with a context of its own, as separate nodes have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq

from dtvn.net import Dialler, ZmqTransport
from dtvn.node.keys import dev_seed
from dtvn.node.provision import dev_genesis
from dtvn.protocol.consensus.messages import Hello
from dtvn.protocol.consensus.verified import Inbound
from tests.ports import LOOPBACK, free_ports
from tests.waiting import PATIENCE

MILLISECOND = 1_000_000


class Net:
    """n transports that know each other's real ports, and principals that dial them."""

    def __init__(self, n: int) -> None:
        self.genesis = dev_genesis(n, LOOPBACK, lambda index: 1 + index)
        self.ports: dict[int, tuple[str, int]] = {}
        self.nodes: dict[int, ZmqTransport] = {}
        self.contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
        self.diallers: list[Dialler] = []
        for index in reversed(range(n)):
            self.start(index)

    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        context = zmq.Context()
        self.contexts.append(context)
        return context

    def start(self, index: int) -> ZmqTransport:
        """Start (again) at the same port, one that the kernel gives to nobody in between."""
        bind = self.ports.setdefault(index, (LOOPBACK, free_ports(1)[0]))
        node = ZmqTransport(
            self.context(),
            self.genesis,
            index,
            dev_seed(f"node{index}"),
            bind=bind,
            addresses=self.ports,
        )
        self.nodes[index] = node
        return node

    def dial(self, name: str = "gateway", *, client: bytes = b"client-1", seed: bytes = b"") -> Dialler:
        dialler = Dialler(
            self.context(),
            self.genesis,
            seed or dev_seed(name),
            hello=Hello(client=client),
            addresses=self.ports,
        )
        self.diallers.append(dialler)
        return dialler

    def turn_all(self) -> dict[int, list[Inbound]]:
        """What each node receives now."""
        received = {}
        for index, node in self.nodes.items():
            node.wait(MILLISECOND)
            received[index] = list(node.receive(256))
        for dialler in self.diallers:
            dialler.poll(0)
        return received

    def until(self, condition: Callable[[], object]) -> None:
        """Turn everything until the condition holds; frames received meanwhile are thrown away."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.turn_all()

    def meshed(self) -> bool:
        return all(len(node.connected()) == len(self.genesis.members) - 1 for node in self.nodes.values())

    def close(self) -> None:
        for dialler in self.diallers:
            dialler.close()
        for node in self.nodes.values():
            node.close()
        for context in self.contexts:
            context.destroy(linger=0)


@contextmanager
def net(n: int) -> Iterator[Net]:
    """A connected net, closed afterwards."""
    made = Net(n)
    try:
        made.until(made.meshed)
        yield made
    finally:
        made.close()


def collect(node: ZmqTransport, count: int, *, seconds: float = PATIENCE) -> list[Inbound]:
    """Receive until `count` frames came or time is up."""
    deadline = time.monotonic() + seconds
    frames: list[Inbound] = []
    while len(frames) < count and time.monotonic() < deadline:
        node.wait(10 * MILLISECOND)
        frames += node.receive(256)
    return frames
