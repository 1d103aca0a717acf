"""Links of a node that sends late, for benchmarks: the node's own code over real sockets, behind a delay."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from dtvn.net import ZmqTransport
from dtvn.node import build
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ReplyTo, Send
from dtvn.protocol.consensus.verified import Peer
from simulator.network import kind_of_frame

ALL, PROPOSALS = 0, 1
"""Places in the shared array of delays, in nanoseconds: of every frame, and further of PRE-PREPAREs."""
SHORTEST_WAIT_NS = 1_000_000


def make_late(delays: Any) -> None:
    """Make the node of this process hold frames back as long as `delays` (a shared array of two integers)
    says when they are sent. Frames of one delay keep their order."""

    class LateTransport(ZmqTransport):
        """See `make_late`."""

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._held: list[tuple[int, int, Callable[[], None]]] = []
            self._order = count()

        def send(self, send: Send) -> None:
            """See ports.Transport."""
            proposal = kind_of_frame(send.frame) is m.PrePrepare
            further = delays[PROPOSALS] if proposal else 0
            self._later(delays[ALL] + further, lambda: super(LateTransport, self).send(send))

        def reply(self, reply: ReplyTo) -> None:
            """See ports.Transport."""
            self._later(delays[ALL], lambda: super(LateTransport, self).reply(reply))

        def answer(self, peer: Peer, frame: bytes) -> None:
            """See ports.Transport."""
            self._later(delays[ALL], lambda: super(LateTransport, self).answer(peer, frame))

        def wait(self, timeout_ns: int) -> None:
            """See ZmqTransport; ends in time for the next frame that is held back."""
            self._release()
            if self._held:
                timeout_ns = min(timeout_ns, max(self._held[0][0] - time.monotonic_ns(), SHORTEST_WAIT_NS))
            super().wait(timeout_ns)
            self._release()

        def _later(self, delay: int, action: Callable[[], None]) -> None:
            if not delay and not self._held:
                action()
                return
            heapq.heappush(self._held, (time.monotonic_ns() + delay, next(self._order), action))

        def _release(self) -> None:
            now = time.monotonic_ns()
            while self._held and self._held[0][0] <= now:
                heapq.heappop(self._held)[2]()

    build.ZmqTransport = LateTransport  # type: ignore[attr-defined,misc]
