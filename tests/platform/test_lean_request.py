"""Requests without daphne's layers: application and client get what they get in daphne's own way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from daphne.http_protocol import WebRequest
from daphne.server import Server
from twisted.internet.task import Clock

from tests.platform.transports import Unread
from tests.support.table import table
from validators.web.body_limit import BoundedRequest
from validators.web.http_channel import Room, TimedChannel
from validators.web.websocket_limit import BoundedServer

PLAIN = (
    b"GET /a%20b?c=d&e=%20f HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\nX_Two: 2\r\nCookie: a=b\r\n\r\n"
)
START = {"type": "http.response.start", "status": 200, "headers": [(b"X-DTVN-Read", b"local")]}
BODY = {"type": "http.response.body", "body": b"ok"}
LENGTH = (b"Content-Length", b"2")


def with_fields(*fields: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return START | {"status": status, "headers": [*START["headers"], *fields]}


class Client:
    """One connection, to an application that takes the request and sends the messages of the test."""

    def __init__(self, server: type[Server], request: type[WebRequest], *messages: Any) -> None:
        self.messages = messages
        self.scopes: list[Any] = []
        self.received: list[Any] = []
        self.server = server.__new__(server)
        self.server.connections, self.server.server_name, self.server.action_logger = {}, "", None
        self.server.proxy_forwarded_address_header, self.server.root_path = None, ""
        self.server.request_buffer_size, self.server.application = 8_192, self.application
        self.channel: Any = TimedChannel()
        self.channel.room = Room()
        self.channel.callLater = Clock().callLater
        self.channel.timeOut = None
        self.channel.requestFactory = request
        self.channel.factory = SimpleNamespace(server=self.server, log=lambda _request: None)
        self.channel.site = None
        self.transport = Unread()
        self.pieces: list[bytes] = []
        self.channel.makeConnection(self.transport)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        more = True
        while more:
            self.received.append(await receive())
            more = self.received[-1]["more_body"]
        for message in self.messages:
            await send(message)

    async def says(self, data: bytes) -> Client:
        write = self.transport.write
        self.transport.write = lambda sent: self.pieces.append(sent) or write(sent)  # type: ignore[assignment]
        self.channel.dataReceived(data)
        for answering in asyncio.all_tasks() - {asyncio.current_task()}:
            await answering
        return self

    @property
    def answer(self) -> tuple[list[bytes], bytes]:
        """Its first lines, sorted, and the rest."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        return sorted(head.split(b"\r\n")), body


async def both(data: bytes, *messages: Any) -> tuple[Client, Client]:
    """Daphne's own way, and ours."""
    daphnes = await Client(Server, WebRequest, *messages).says(data)
    return daphnes, await Client(BoundedServer, BoundedRequest, *messages).says(data)


@table(
    "data",
    [
        PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"/a", b"/" + b"%C3%A4"),
        b"POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000,
        b"POST / HTTP/1.1\r\nContent-Length: 8192\r\n\r\n" + b"x" * 8_192,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["plain", "of 1.0", "escaped", "long", "of one buffer", "chunks"],
    count=6,
)
def test_the_application_gets_what_daphne_would_give_it(data: bytes) -> None:
    theirs, ours = asyncio.run(both(data, START, BODY))
    assert theirs.scopes
    assert (ours.scopes, ours.received) == (theirs.scopes, theirs.received)


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"/a", b"/\xa4"),
        PLAIN.replace(b"?c", b"?\xa4"),
        PLAIN.replace(b"a=b", b"a=\x0b"),
        PLAIN.replace(b"a=b", b"a=\x85"),
    ],
    ids=["path", "query", "value", "another value"],
)
def test_what_daphne_refuses_gets_the_same_answer(data: bytes) -> None:
    theirs, ours = asyncio.run(both(data))
    assert not ours.scopes
    assert ours.answer == theirs.answer
    assert ours.transport.value().startswith(b"HTTP/1.1 400 ")


@table(
    ("data", "messages"),
    [
        (PLAIN, (with_fields(LENGTH), BODY)),
        (PLAIN, (START, BODY)),
        (PLAIN, (START, BODY | {"more_body": True}, BODY)),
        (PLAIN, (with_fields(LENGTH), BODY | {"body": b"o", "more_body": True}, BODY | {"body": b"k"})),
        (PLAIN.replace(b"GET", b"HEAD"), (with_fields(LENGTH), BODY)),
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), (with_fields(LENGTH), BODY)),
        (PLAIN.replace(b"Cookie: a=b", b"Connection: close"), (with_fields(LENGTH), BODY)),
        (PLAIN, (with_fields(LENGTH, status=304), BODY)),
        (PLAIN, (with_fields((b"etag", b"1"), LENGTH, status=499), BODY)),
        (PLAIN, (with_fields((b"X", b"a\r\nSet-Cookie: b"), LENGTH), BODY)),
        (PLAIN, (with_fields((b"Content-Length", b"0")), {"type": "http.response.body"})),
    ],
    ids=[
        *("whole", "chunks", "stream", "parts", "head", "old", "closed", "unmodified", "status", "injected"),
        "empty",
    ],
    count=11,
)
def test_the_client_gets_what_daphne_would_send(data: bytes, messages: Any) -> None:
    theirs, ours = asyncio.run(both(data, *messages))
    assert ours.answer == theirs.answer
    assert ours.transport.disconnecting == theirs.transport.disconnecting
    assert not ours.server.connections


def test_a_whole_answer_goes_out_in_one_piece() -> None:
    ours = asyncio.run(Client(BoundedServer, BoundedRequest, with_fields(LENGTH), BODY).says(PLAIN))
    assert len(ours.pieces) == 1


def test_an_error_page_replaces_the_start_of_an_answer() -> None:
    async def play() -> Client:
        ours = await Client(BoundedServer, BoundedRequest, START).says(PLAIN)
        next(iter(ours.server.connections)).handle_exception(ValueError())
        return ours

    assert asyncio.run(play()).transport.value().startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("more", [(), (BODY | {"body": b"k"},)], ids=["in an answer", "after an answer"])
def test_an_error_ends_the_connection_of_an_answer_that_has_begun(more: tuple[Any, ...]) -> None:
    messages = (with_fields(LENGTH), BODY | {"body": b"o", "more_body": True}, *more)

    async def play() -> Client:
        ours = Client(BoundedServer, BoundedRequest, *messages)
        answer = ours.server.application

        async def fails(*call: Any, **named: Any) -> None:
            await answer(*call, **named)
            raise ValueError("failed")

        ours.server.application = fails
        with pytest.raises(ValueError, match="failed"):
            await ours.says(PLAIN)
        next(iter(ours.server.connections)).handle_exception(ValueError())
        return ours

    ours = asyncio.run(play())
    assert ours.transport.value().partition(b"\r\n\r\n")[2] == (b"ok" if more else b"o")
    assert ours.transport.disconnecting is not bool(more)


def test_an_upgraded_connection_leaves_no_timer() -> None:
    clock = Clock()

    async def play() -> None:
        ours = Client(BoundedServer, BoundedRequest)
        ours.channel.callLater = clock.callLater
        ours.channel.setTimeout(60)
        ours.server.ws_factory = SimpleNamespace(buildProtocol=lambda _peer: Mock())
        await ours.says(PLAIN.replace(b"Cookie: a=b", b"Upgrade: websocket"))

    asyncio.run(play())
    assert clock.getDelayedCalls() == []
