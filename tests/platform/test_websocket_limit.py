"""WebSockets of the web process: a client that floods, or never reads, is not read; autobahn's protocol in
memory."""

from __future__ import annotations

import asyncio
import zlib
from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from daphne import ws_protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.platform.transports import BUFFER, Unread
from validators.web import websocket_limit
from validators.web.http_channel import Room, TimedChannel
from validators.web.reading_budget import ReadingBudget
from validators.web.websocket_limit import (
    LONGER,
    MESSAGE_BYTES_MAX,
    STEPS,
    WAITING_BYTES_MAX,
    WAITING_MAX,
    BoundedServer,
    BoundedSocket,
)

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """As a client sends it, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


PING = frame(9, b"x" * 100)
MESSAGE = frame(1, b"{}")
READ = 65_536
"""Bytes that twisted reads at once."""


class Application:
    """What daphne's server does with a socket: its queue is read when the test says so."""

    proxy_forwarded_address_header = None
    root_path = ""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.handshakes = 0

    def protocol_connected(self, protocol: Any) -> None:
        """See daphne."""
        self.handshakes += 1

    def protocol_disconnected(self, protocol: Any) -> None:
        """See daphne."""

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """See daphne."""
        return self.queue

    def log_action(self, *_: Any) -> None:
        """See daphne."""


class Client:
    """One WebSocket, and the clock of the reactor."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.application = Application()
        factory = ws_protocol.WebSocketFactory(self.application)
        factory.protocol = BoundedSocket
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        self.socket: Any = factory.buildProtocol(None)
        self.socket._raw_query_string = b""
        self.transport = Unread()
        self.socket.makeConnection(self.transport)

    def opened(self) -> Client:
        self.socket.dataReceived(HANDSHAKE)
        self.socket.handle_reply({"type": "websocket.accept"})
        assert self.transport.value().startswith(b"HTTP/1.1 101 ")
        self.transport.clear()
        return self

    def says(self, data: bytes) -> int:
        """The number of bytes that were read until reading stopped for good."""
        sent = 0
        for _ in range(10_000):
            if self.transport.producerState == "producing" and sent < len(data):
                self.socket.dataReceived(data[sent : sent + READ])
                sent += READ
            self.clock.advance(0.05)
        return sent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("twisted.internet.reactor.callLater", clock.callLater)
    monkeypatch.setattr(websocket_limit, "MESSAGES", ReadingBudget(0.2, clock.seconds))
    monkeypatch.setattr(BoundedSocket, "sockets", set())
    monkeypatch.setattr(TimedChannel, "room", Room())
    return clock


def test_a_client_that_reads_no_pong_is_read_no_more(clock: Clock) -> None:
    client = Client(clock).opened()
    assert client.says(PING * 20_000) < 3 * READ
    assert len(client.transport.value()) < BUFFER + 2 * len(PING)
    client.transport.is_read()
    clock.advance(1)
    assert client.transport.value(), "it is answered again"


def test_a_flood_of_pings_is_answered_in_parts(clock: Clock) -> None:
    client = Client(clock).opened()
    client.socket.dataReceived(frame(9, b"") * 5_000)
    assert len(client.transport.value()) <= 2 * STEPS
    assert client.transport.producerState == "paused"
    for _ in range(1_000):
        clock.advance(0.05)
    assert len(client.transport.value()) == 2 * 5_000
    assert client.transport.producerState == "producing"


def test_messages_wait_while_the_application_is_behind(clock: Clock) -> None:
    client = Client(clock).opened()
    queue = client.application.queue
    assert queue.get_nowait() == {"type": "websocket.connect"}
    assert client.says(MESSAGE * 20_000) <= READ
    assert queue.qsize() == WAITING_MAX
    for _ in range(50):
        assert queue.get_nowait()["text"] == "{}"
        clock.advance(0.1)
    assert queue.qsize() == WAITING_MAX


def test_long_messages_wait_as_bytes_while_the_application_is_behind(clock: Clock) -> None:
    client = Client(clock).opened()
    client.socket.maxMessagePayloadSize = client.socket.maxFramePayloadSize = LONGER["/ws/events"]
    queue, size = client.application.queue, WAITING_BYTES_MAX // 2
    queue.get_nowait()
    sent = size.to_bytes(8, "big") + bytes(4) + b"x" * size
    assert client.says((b"\x81\xff" + sent) * 6) < 3 * len(sent) + READ
    assert queue.qsize() == 2
    for _ in range(2):
        assert len(queue.get_nowait()["text"]) == size
    for _ in range(1_000):  # reading so much takes a slow machine longer, and pauses last in proportion
        clock.advance(0.05)
    assert client.transport.producerState == "producing", "it is read on"


def test_bytes_behind_a_handshake_are_not_taken_for_another(clock: Clock) -> None:
    client = Client(clock)
    client.socket.dataReceived(HANDSHAKE)
    client.socket.dataReceived(HANDSHAKE)
    assert client.application.handshakes == 1
    assert client.transport.producerState == "paused"


def test_websockets_leave_half_of_the_connections(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedChannel.room, "most", 4)
    first, _second = Client(clock).opened(), Client(clock).opened()
    third = Client(clock)
    third.socket.dataReceived(HANDSHAKE)
    assert third.transport.value().startswith(b"HTTP/1.1 503 ")
    first.socket.connectionLost(Failure(ConnectionError()))
    Client(clock).opened()


def test_the_application_waits_until_its_client_reads(clock: Clock) -> None:
    """Only then does the feed notice that a client lags."""

    async def sends() -> None:
        client = Client(clock).opened()
        server = BoundedServer.__new__(BoundedServer)
        server.connections = {client.socket: {}}
        message = {"type": "websocket.send", "text": "x" * 2 * BUFFER}
        sending = asyncio.ensure_future(server.handle_reply(client.socket, message))
        _done, waiting = await asyncio.wait({sending}, timeout=0.05)
        assert waiting
        client.transport.is_read()
        await asyncio.wait_for(sending, 10)

    asyncio.run(sends())


def test_a_lost_websocket_leaves_its_place_and_lets_the_application_go_on(clock: Clock) -> None:
    """Otherwise places run out, and what waits for the client waits for ever."""

    async def sends() -> None:
        client = Client(clock).opened()
        channel: Any = SimpleNamespace(transport=client.transport, waits_for_client=False)
        TimedChannel.room.enter(channel)
        server = BoundedServer.__new__(BoundedServer)
        server.connections = {client.socket: {}}
        message = {"type": "websocket.send", "text": "x" * 2 * BUFFER}
        sending = asyncio.ensure_future(server.handle_reply(client.socket, message))
        _done, waiting = await asyncio.wait({sending}, timeout=0.05)
        assert (len(waiting), len(TimedChannel.room)) == (1, 1)
        client.socket.connectionLost(Failure(ConnectionError()))
        await asyncio.wait_for(sending, 10)
        assert len(TimedChannel.room) == 0

    asyncio.run(sends())


@pytest.mark.parametrize(("fails", "kept"), [(False, False), (True, True)])
def test_a_request_is_forgotten_when_it_is_answered(fails: bool, kept: bool) -> None:
    """One whose application failed stays for daphne, which reports the error."""

    async def plays() -> bool:
        server = BoundedServer.__new__(BoundedServer)
        request = object()
        server.connections = {request: {}}

        async def application(scope: Any, receive: Any, send: Any) -> None:
            server.protocol_disconnected(request)
            if fails:
                raise ValueError

        server.application = application
        server.create_application(request, {"type": "http"})
        answering = server.connections[request]["application_instance"]
        await asyncio.wait({answering})
        return request in server.connections

    assert asyncio.run(plays()) is kept


def test_compression_is_not_negotiated_and_compressed_frames_are_refused(clock: Clock) -> None:
    """So a small frame cannot grow in memory."""
    client = Client(clock)
    client.socket.dataReceived(HANDSHAKE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
    client.socket.handle_reply({"type": "websocket.accept"})
    head = client.transport.value()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in head.lower()
    queue = client.application.queue
    assert queue.get_nowait() == {"type": "websocket.connect"}
    client.transport.clear()
    compressed = bytes([frame(1, b"")[0] | 0x40]) + frame(1, zlib.compress(bytes(60_000))[2:-4])[1:]
    client.says(compressed)
    assert client.transport.disconnecting or client.transport.disconnected
    assert "RSV = 4 and no extension negotiated" in client.socket.wasNotCleanReason
    assert queue.empty()


def test_the_limit_of_what_is_read_does_not_bound_what_is_sent(clock: Clock) -> None:
    """The news of a batch of 2,000 tickets are 200 kB: the page lost its connection again and again."""
    client = Client(clock).opened()
    client.socket.maxMessagePayloadSize = MESSAGE_BYTES_MAX
    client.socket.handle_reply({"type": "websocket.send", "text": "x" * 4 * MESSAGE_BYTES_MAX})
    assert len(client.transport.value()) > 4 * MESSAGE_BYTES_MAX
    assert client.socket.maxMessagePayloadSize == MESSAGE_BYTES_MAX


def test_a_request_that_is_being_read_at_the_end_keeps_no_other_running() -> None:
    async def play() -> bool:
        server = BoundedServer.__new__(BoundedServer)
        answering = asyncio.get_running_loop().create_future()
        server.connections = {"read": {"connected": 0.0}, "answered": {"application_instance": answering}}
        server.kill_all_applications()
        return answering.cancelled() and len(server.connections) == 2

    assert asyncio.run(play())
