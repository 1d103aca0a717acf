"""Asks nodes that are not linked for addresses: sockets and a thread of their own, beside the loop.

Each conversation has one socket, which says no Hello: the asked node answers on it and sends nothing else.
What comes back is not looked into here (`discovery`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec
import zmq

from dtvn.net import CurveKeys, curve_public, endpoint_of, tune
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Gossip
from dtvn.protocol.wire import Envelope, kind_of, link_frame

ANSWER_NS = 2_000_000_000
"""Nanoseconds after which a conversation ends."""
SLICE_MS = 50
"""Most milliseconds until the thread notices a further question, or that it is to end."""
TALKS_MAX = 64
"""Most conversations at a time; further ones count as failed."""
_GOSSIP = kind_of(Gossip(b""))

Address = tuple[str, int]


class Talk(msgspec.Struct, frozen=True):
    """What one node is told and asked."""

    key: bytes
    """Its public key: nobody else can answer."""
    places: Sequence[Address]
    """Where it may listen; whichever answers first is used."""
    bodies: Sequence[bytes]
    """Bodies of Gossips."""
    answers: int
    """How many of them are answered."""


class Heard(msgspec.Struct, frozen=True):
    """How a conversation went."""

    key: bytes
    reached: bool
    """The node was connected; it may have said nothing all the same."""
    bodies: Sequence[bytes]
    """Bodies of Gossips that it sent."""


class _Running(msgspec.Struct, eq=False):
    talk: Talk
    until: int
    """Monotonic nanoseconds."""
    said: bool = False
    bodies: list[bytes] = []


class Asker:
    """`ask` and `take` are for the loop's thread."""

    def __init__(self, curve: CurveKeys) -> None:
        self._curve = curve
        self._asked: queue.SimpleQueue[Talk | None] = queue.SimpleQueue()
        self._heard: deque[Heard] = deque()
        self._running: dict[zmq.Socket[bytes], _Running] = {}
        self._open = 0
        """Conversations that the loop waits for."""
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a conversation is under way."""
        return self._open > 0

    def ask(self, talk: Talk) -> None:
        """Begin a conversation."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)
            self._thread.start()
        self._open += 1
        self._asked.put(talk)

    def take(self) -> list[Heard]:
        """The conversations that ended since the last call."""
        heard = []
        while self._heard:
            heard.append(self._heard.popleft())
        self._open -= len(heard)
        return heard

    def end(self) -> None:
        """Stop; the thread ends a moment later."""
        self._asked.put(None)

    def close(self) -> None:
        """Stop, and wait for the end of the thread."""
        self.end()
        if self._thread is not None:
            self._thread.join(ANSWER_NS / 1e9)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        poller = zmq.Poller()
        try:
            while self._begin(context, poller):
                for socket, events in poller.poll(SLICE_MS):
                    self._attend(socket, events, poller)
                now = time.monotonic_ns()
                for socket, running in list(self._running.items()):
                    if now >= running.until or len(running.bodies) >= running.talk.answers:
                        self._finish(socket, poller)
        finally:
            context.destroy(linger=0)

    def _begin(self, context: zmq.Context[zmq.Socket[bytes]], poller: zmq.Poller) -> bool:
        """Begin what was asked, and wait for that if nothing runs; returns whether to go on."""
        while not self._asked.empty() or not self._running:
            talk = self._asked.get()
            if talk is None:
                return False
            socket = self._dial(context, talk) if len(self._running) < TALKS_MAX else None
            if socket is None:
                self._heard.append(Heard(talk.key, reached=False, bodies=()))
            else:
                self._running[socket] = _Running(talk, time.monotonic_ns() + ANSWER_NS, bodies=[])
                poller.register(socket, zmq.POLLOUT)
        return True

    def _dial(self, context: zmq.Context[zmq.Socket[bytes]], talk: Talk) -> zmq.Socket[bytes] | None:
        """A socket that connects to all places; None if there is none that can be dialled."""
        socket = context.socket(zmq.DEALER)
        tune(socket)
        socket.ipv6 = True
        socket.immediate = True  # it can be written to once it is connected
        dialled = False
        try:
            socket.curve_serverkey = curve_public(talk.key)
            socket.curve_publickey, socket.curve_secretkey = self._curve.public, self._curve.secret
        except (zmq.ZMQError, ValueError):
            socket.close(0)
            return None
        for place in talk.places:
            try:
                socket.connect(endpoint_of(*place))
                dialled = True
            except (zmq.ZMQError, ValueError):  # an operator gave an address that cannot be dialled
                continue
        if not dialled:
            socket.close(0)
            return None
        return socket

    def _attend(self, socket: zmq.Socket[bytes], events: int, poller: zmq.Poller) -> None:
        running = self._running[socket]
        if events & zmq.POLLOUT and not running.said:
            running.said = True
            poller.register(socket, zmq.POLLIN)
            for body in running.talk.bodies:
                try:
                    socket.send(link_frame(Gossip(body)), zmq.NOBLOCK)
                except zmq.Again:  # the connection is lost already
                    break
        if events & zmq.POLLIN:
            answer = _body_of(socket.recv_multipart()[-1])
            if answer is not None:
                running.bodies.append(answer)

    def _finish(self, socket: zmq.Socket[bytes], poller: zmq.Poller) -> None:
        running = self._running.pop(socket)
        poller.unregister(socket)
        socket.close(0)
        self._heard.append(Heard(running.talk.key, reached=running.said, bodies=running.bodies))


def _body_of(frame: bytes) -> bytes | None:
    """The body of a Gossip; None if the frame is none."""
    try:
        envelope = canonical.decode(Envelope, frame)
        return canonical.decode(Gossip, envelope.body).body if envelope.kind == _GOSSIP else None
    except canonical.CanonicalError:
        return None
