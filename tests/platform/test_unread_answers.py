"""Answers that a client does not read: the application waits, instead of daphne queueing all of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.platform.transports import BUFFER, Unread
from validators.web.body_limit import BoundedRequest
from validators.web.http_channel import Room, TimedChannel
from validators.web.websocket_limit import BoundedServer

CHUNK = {"type": "http.response.body", "body": b"x" * BUFFER, "more_body": True}
CHUNKS = 100


class Held(BoundedRequest):
    """A request that is answered when the test says so."""

    def process(self) -> None:
        self.application_queue: asyncio.Queue[Any] = asyncio.Queue()
        self.channel.held = self


class Download:
    """One client, whose request was read, and the server that answers it."""

    def __init__(self, room: Room) -> None:
        self.server = BoundedServer.__new__(BoundedServer)
        self.server.connections, self.server.server_name, self.server.action_logger = {}, "", None
        self.channel: Any = TimedChannel()
        self.channel.room = room
        self.channel.callLater = Clock().callLater
        self.channel.timeOut = None
        self.channel.requestFactory = Held
        self.channel.factory = SimpleNamespace(server=self.server, log=lambda _request: None)
        self.channel.site = None
        self.transport = Unread()
        self.channel.makeConnection(self.transport)
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.sent = 0
        self._answer = self._answers()

    async def _answers(self) -> None:
        request = self.channel.held
        await self.server.handle_reply(request, {"type": "http.response.start", "status": 200})
        for _ in range(CHUNKS):
            await self.server.handle_reply(request, CHUNK)
            self.sent += 1
        await self.server.handle_reply(request, {"type": "http.response.body"})

    def is_answered(self) -> bool:
        """Let the application answer until it waits; whether it has ended."""
        try:
            self._answer.send(None)
        except StopIteration:
            return True
        return False

    def leaves(self) -> None:
        """The client is gone."""
        self.channel.connectionLost(Failure(ConnectionError()))


def test_a_download_waits_until_its_client_reads() -> None:
    async def plays() -> None:
        one, reads = Download(Room()), 0
        while not one.is_answered():
            assert len(one.transport.value()) < 3 * BUFFER
            one.transport.is_read()
            reads += 1
        assert (reads, one.sent) == (CHUNKS, CHUNKS)

    asyncio.run(plays())


def test_a_download_whose_client_leaves_ends() -> None:
    async def plays() -> None:
        one = Download(Room())
        assert not one.is_answered()
        one.leaves()
        assert one.is_answered()
        assert len(one.transport.value()) < 3 * BUFFER

    asyncio.run(plays())


def test_an_unread_download_makes_room_for_a_new_connection() -> None:
    async def plays() -> None:
        room = Room(2)
        unread, computed = Download(room), Download(room)
        unread.is_answered()
        newcomer = Download(room)
        assert unread.transport.disconnected
        assert not computed.transport.disconnected
        assert not newcomer.transport.disconnected
        for one in (unread, computed, newcomer):
            one.leaves()
            assert one.is_answered()

    asyncio.run(plays())
