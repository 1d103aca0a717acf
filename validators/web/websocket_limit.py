"""Limits what a WebSocket's client can send, and leave unread: daphne and autobahn read, answer and queue
everything.

A client is not read while it does not take what was sent to it, while the application is behind with its
messages, and while it exceeds the budget; so at most one read of it waits here. The application waits as
well: the feed then catches up from its rows. The listening socket's TCP_USER_TIMEOUT ends a client that takes
nothing (dtvn.node.listening).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne import ws_protocol
from daphne.server import Server

from validators.web.http_channel import TimedChannel
from validators.web.live_body import LIVE
from validators.web.reading_budget import MESSAGES

MESSAGE_BYTES_MAX = 64 * 1024
"""Longest message; those of our own clients have less than 100 bytes."""
LONGER = {"/ws/events": 2 * 1024 * 1024}
"""Path -> longest message there: the longest event, escaped, and a small one besides."""
STEPS = 64
"""Most steps of autobahn's parser in a row, one or two for each frame: each copies its buffer."""
WAITING_MAX, WAITING_BYTES_MAX = 8, 8 * MESSAGE_BYTES_MAX
"""Messages of a client, and bytes of them, that wait for the application, from which on the client is not
read."""
WHILE_BEHIND = 0.02
"""Seconds between two checks whether the application has taken the waiting messages."""
GONE = {"disconnected"}
"""Stands for the entry in `connections` of a request that this server has forgotten."""
MESSAGE_COST = 0.0002
"""Seconds that the application needs for a message, estimated, which count for the budget."""


class BoundedSocket(ws_protocol.WebSocketProtocol):  # type: ignore[misc]
    """One WebSocket, from its handshake on."""

    maxMessagePayloadSize: int
    sockets: set[BoundedSocket] = set()
    """All open WebSockets of this process."""

    _full = False
    """Whether the transport's buffer is full: the client does not take what was sent."""
    _resting = False
    _handshake_read = False
    _steps = 0
    _messages = 0

    def connectionMade(self) -> None:
        """See twisted: from now on the transport tells this object when its buffer is full."""
        self._taken = asyncio.Event()
        self._waiting: deque[int] = deque()
        """Lengths of the messages that wait for the application, at most, oldest first."""
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        super().connectionMade()

    def onConnect(self, request: Any) -> Any:
        """See autobahn: the handshake; idle WebSockets leave half of the connections to requests."""
        if len(self.sockets) >= TimedChannel.room.most // 2:
            raise ConnectionDeny(503, "Too many WebSockets; try again later")
        if (longer := LONGER.get(request.path)) is not None:
            self.maxMessagePayloadSize = self.maxFramePayloadSize = longer
        return super().onConnect(request)

    def onOpen(self) -> None:
        """See autobahn."""
        self.sockets.add(self)
        super().onOpen()
        self._read_on()

    def connectionLost(self, reason: Any) -> None:
        """See twisted."""
        self.sockets.discard(self)
        TimedChannel.room.leave(self.transport)
        self._taken.set()
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """See daphne, which knows nothing of a handshake that was denied above."""
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)

    # --- writing -----------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """See twisted: the transport's buffer is full."""
        self._full = True
        self._taken.clear()
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """See twisted: the transport's buffer is empty."""
        self._full = False
        self._taken.set()
        self._read_on()

    def stopProducing(self) -> None:
        """See twisted: the connection is lost."""

    async def taken(self) -> None:
        """Returns when the client has taken what was sent, or is gone."""
        if self._full:
            await self._taken.wait()

    def sendMessage(self, *message: Any, **named: Any) -> None:
        """See autobahn, which would apply the limit of messages that are read to those that are sent as well:
        the news of a large batch are longer."""
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(*message, **named)
        finally:
            self.maxMessagePayloadSize = limit

    # --- reading -----------------------------------------------------------------------------------

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See daphne."""
        self._messages += 1
        self._waiting.append(len(payload))
        super().onMessage(payload, isBinary)

    def consumeData(self) -> None:
        """See autobahn: some of the frames that have arrived."""
        if self._resting or self._full or self._is_connecting():
            self.transport.pauseProducing()
            return
        began, self._steps, self._messages = time.monotonic(), 0, 0
        super().consumeData()
        wait = MESSAGES.wait(time.monotonic() - began + self._messages * MESSAGE_COST)
        if self._is_behind():
            wait = max(wait, WHILE_BEHIND)
        if (wait or self._steps >= STEPS) and not self._full:
            from twisted.internet import reactor

            self._resting = True
            self.transport.pauseProducing()
            reactor.callLater(wait, self._rested)  # type: ignore[attr-defined,arg-type]

    def processData(self) -> bool:
        """See autobahn: one step of its parser; False ends the steps."""
        if self._full or self._steps >= STEPS or self._is_behind():
            return False
        self._steps += 1
        return bool(super().processData())

    def _is_connecting(self) -> bool:
        """Whether the handshake was read and is not answered yet: autobahn would take further bytes for
        another."""
        before, self._handshake_read = self._handshake_read, True
        return before and self.state == self.STATE_CONNECTING

    def _is_behind(self) -> bool:
        queue = getattr(self, "application_queue", None)
        if queue is None:
            return False
        while len(self._waiting) > queue.qsize():
            self._waiting.popleft()
        return queue.qsize() >= WAITING_MAX or sum(self._waiting) >= WAITING_BYTES_MAX

    def _rested(self) -> None:
        self._resting = False
        self._read_on()

    def _read_on(self) -> None:
        """Read on: first the bytes that have arrived, then further ones."""
        if self._resting or self._full or self.state == self.STATE_CLOSED:
            return
        self.transport.resumeProducing()
        self.consumeData()


class BoundedServer(Server):  # type: ignore[misc]
    """A daphne whose application waits for its clients to take what was sent: it would queue all of a long
    answer."""

    connections: dict[Any, dict[str, Any]]
    """See daphne."""

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """See daphne, which keeps each request for a second and then looks through all of them."""
        if (live := getattr(protocol, "live", None)) is not None:
            scope[LIVE] = live
        if scope["type"] != "http":
            return super().create_application(protocol, scope)
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope["asgi"] = {"version": "3.0"}
        application = self.application(
            scope=scope, receive=queue.get, send=partial(self.handle_reply, protocol)
        )
        answering = asyncio.ensure_future(application)
        self.connections[protocol]["application_instance"] = answering
        answering.add_done_callback(partial(self._forget, protocol))
        return queue

    def _forget(self, protocol: Any, answering: asyncio.Future[None]) -> None:
        """Forget a request once it is answered; daphne reports how others ended."""
        answered = "disconnected" in self.connections.get(protocol, ())
        if answered and not answering.cancelled() and answering.exception() is None:
            del self.connections[protocol]

    def kill_all_applications(self) -> Any:
        """See daphne, which fails at a request that is being read, and then ends no application."""
        connections = self.connections
        self.connections = {each: of for each, of in connections.items() if "application_instance" in of}
        try:
            return super().kill_all_applications()
        finally:
            self.connections = connections

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """See daphne."""
        if isinstance(protocol, BoundedSocket):
            await super().handle_reply(protocol, message)
            await protocol.taken()
            return
        if "disconnected" in self.connections.get(protocol, GONE):
            return
        protocol.handle_reply(message)
        if message.get("more_body") and (channel := getattr(protocol, "channel", None)) is not None:
            await channel.taken()


def install() -> None:
    """Make daphne use it: daphne has no setting for this."""
    ws_protocol.WebSocketFactory.protocol = BoundedSocket
