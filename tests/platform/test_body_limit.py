"""The platform does not parse bodies and refuses oversize ones: daphne's request class."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.task import Clock

from tests.platform.transports import HalfClosing
from tickets.rest.writes import BATCH_BYTES_MAX
from validators.rest.http import BODY_BYTES_MAX as OPERATION_BYTES_MAX
from validators.web.body_limit import BODY_BYTES_MAX, CHUNK_MEAN, CHUNKS_FREE, BoundedRequest
from validators.web.http_channel import TimedChannel
from validators.web.live_body import HELD_MAX, PIECE_BYTES, LiveBody

FORM = b"application/x-www-form-urlencoded"


class Server:
    """What daphne's request asks its server for."""

    def protocol_connected(self, request: Any) -> None:
        """See daphne."""


class Held(BoundedRequest):
    """A request that is kept where the application would get it."""

    def process(self) -> None:
        self.channel.held.append((self.args, self.content.read()))


class Connection:
    """One client's."""

    def __init__(self) -> None:
        self.channel: Any = TimedChannel()
        self.clock = Clock()
        self.channel.callLater = self.clock.callLater
        self.channel.timeOut = None
        self.channel.requestFactory = Held
        self.channel.factory = type("Factory", (), {"server": Server()})()
        self.channel.held = []
        self.channel.site = None
        self.transport = HalfClosing()
        self.channel.makeConnection(self.transport)

    def posts(self, path: bytes, body: bytes, kind: bytes, *, length: int | None = None) -> None:
        said = len(body) if length is None else length
        self.channel.dataReceived(
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path, kind, said, body)
        )

    def posts_chunks(self, size: int, count: int) -> None:
        self.channel.dataReceived(b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.channel.dataReceived((b"%x\r\n" % size + b"a" * size + b"\r\n") * count + b"0\r\n\r\n")


@pytest.fixture
def one() -> Connection:
    return Connection()


def test_a_form_of_millions_of_fields_is_not_parsed_by_the_platform(one: Connection) -> None:
    """Parsing it here would block all clients for seconds, even for an anonymous sender."""
    body = b"a=1&" * 1_000
    one.posts(b"/nothing", body, FORM)
    assert one.channel.held == [({}, body)]


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data", b"multipart/form-data; boundary=x", b"none of these"]
)
def test_the_body_limit_ignores_the_content_type(one: Connection, kind: bytes) -> None:
    body = b'{"ticket_id":"TICKET-001"}'
    one.posts(b"/api/v1/tickets/validate", body, kind)
    assert one.channel.held == [({}, body)]
    assert not one.transport.value()


@pytest.mark.parametrize(
    ("path", "envelope", "limit"),
    [
        (b"/api/v1/tickets/batch", {"success": False}, BATCH_BYTES_MAX),
        (b"/api/v1/tickets/batch?a=b", {"success": False}, BATCH_BYTES_MAX),
        (b"/api/v1/tickets/validate", {"success": False}, OPERATION_BYTES_MAX),
        (b"/api/v1/events/validate", {"success": False}, BODY_BYTES_MAX),
        (b"/api/v1/events/runs/7/events?from=0", {"success": False}, BODY_BYTES_MAX),
        (b"/api/v1/nodes", {}, OPERATION_BYTES_MAX),
        (b"/", {}, OPERATION_BYTES_MAX),
        (b"/dashboard/tickets/files", {}, BODY_BYTES_MAX),
    ],
)
def test_an_announced_oversize_body_is_refused_in_its_routes_own_form(
    one: Connection, path: bytes, envelope: dict[str, Any], limit: int
) -> None:
    one.posts(path, b"", b"application/json", length=BODY_BYTES_MAX + 1)
    head, _, content = one.transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    sentence = {"error": f"The body is larger than {limit} bytes.", "code": "too_large"}
    assert msgspec.json.decode(content) == envelope | sentence
    assert one.transport.half_closed
    assert not one.channel.held


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"]
)
def test_the_handshake_of_a_websocket_has_no_body(one: Connection, body: bytes) -> None:
    """The server would take the body for frames."""
    one.channel.dataReceived(b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n" + body)
    head, _, content = one.transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert msgspec.json.decode(content)["error"] == "The handshake of a WebSocket has no body."
    assert one.transport.half_closed
    assert not one.channel.held


@pytest.mark.parametrize("path", [b"/admin/login/", b"/dashboard/tickets/files/1/confirm", b"/nothing"])
def test_a_page_other_than_the_upload_takes_a_short_body(one: Connection, path: bytes) -> None:
    one.posts(path, b"", FORM, length=OPERATION_BYTES_MAX + 1)
    assert one.transport.value().startswith(b"HTTP/1.1 413 ")


def test_a_body_of_one_byte_chunks_is_refused_without_being_parsed(one: Connection) -> None:
    one.posts_chunks(1, 100_000)
    assert one.transport.value().startswith(b"HTTP/1.1 400 ")
    assert b"chunks" in one.transport.value()
    assert one.channel.requests[0].content.tell() <= CHUNKS_FREE + 1
    assert not one.channel.held


@pytest.mark.parametrize(
    ("line", "begun"),
    [
        (b"POST /api/v1/events/stream?run=r HTTP/1.1", 1),
        (b"POST /api/v1/events/stream HTTP/1.0", 0),
        (b"POST /api/v1/events/stream/ HTTP/1.1", 0),
        (b"PUT /api/v1/events/stream HTTP/1.1", 0),
        (b"POST /api/v1/events/validate HTTP/1.1", 0),
    ],
)
def test_a_stream_of_events_begins_before_its_body(one: Connection, line: bytes, begun: int) -> None:
    one.channel.dataReceived(b"%b\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % line)
    assert len(one.channel.held) == begun
    one.channel.dataReceived(b"1\r\na\r\n0\r\n\r\n")
    assert one.channel.held == [({b"run": [b"r"]}, b"") if begun else ({}, b"a")]


@pytest.mark.parametrize(
    ("path", "state"), [(b"/api/v1/events/stream", "producing"), (b"/api/v1/events/validate", "paused")]
)
def test_a_live_body_is_read_while_its_verdicts_are_not(one: Connection, path: bytes, state: str) -> None:
    """Many clients read no answer before they have sent all."""
    one.channel.dataReceived(b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
    one.channel.pauseProducing()
    assert one.transport.producerState == state


class Stream:
    """A live stream, whose application takes pieces when the test says so."""

    def __init__(self, one: Connection) -> None:
        self.one, self.transport = one, one.transport
        one.channel.dataReceived(STREAM)
        self.body: LiveBody = one.channel._live

    def sends(self, length: int) -> int:
        """Send as much as is read; returns that number of bytes."""
        sent = 0
        while sent < length and self.transport.producerState == "producing":
            size = min(READ, length - sent)
            self.one.channel.dataReceived(b"%x\r\n%b\r\n" % (size, b"x" * size))
            self.one.clock.advance(9)  # whatever the reading budget says
            sent += size
        return sent

    def takes(self, kept: int = 0) -> bytes:
        """The next piece, which does not wait."""
        taking = self.body.piece(kept)
        with pytest.raises(StopIteration) as found:
            taking.send(None)
        piece: bytes = found.value.value
        return piece


STREAM = b"POST /api/v1/events/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
READ = 65_536
"""Bytes that twisted reads at once."""


@pytest.fixture
def stream(one: Connection) -> Stream:
    return Stream(one)


def test_a_stream_of_a_client_that_is_not_admitted_yet_is_read_once(stream: Stream) -> None:
    assert stream.sends(HELD_MAX) == READ
    stream.takes()
    assert stream.sends(HELD_MAX) == HELD_MAX - READ


def test_a_live_body_is_read_up_to_its_bound_and_then_as_it_is_taken(stream: Stream) -> None:
    stream.sends(READ)
    stream.takes()
    assert stream.sends(16 * HELD_MAX) == HELD_MAX - READ
    for _ in range(3):
        assert len(stream.takes()) == PIECE_BYTES
        assert stream.sends(16 * HELD_MAX) == READ
    while stream.takes() and stream.body.full:
        """The client waits."""
    assert stream.transport.producerState == "producing"


def test_what_the_application_keeps_of_an_event_counts(stream: Stream) -> None:
    stream.sends(READ)
    kept = 0
    while kept < HELD_MAX:
        kept += len(stream.takes(kept))
        assert stream.sends(READ) == READ, "the event can be completed"
    assert stream.sends(1) == 0
    stream.takes(0)
    assert stream.sends(16 * HELD_MAX) > HELD_MAX - 3 * READ


def test_a_client_that_takes_verdicts_is_not_read_beyond_the_bound(stream: Stream) -> None:
    """Many small events have more bytes of verdicts than of their own."""
    stream.sends(READ)
    stream.takes()
    stream.sends(HELD_MAX)
    for _ in range(100):
        stream.one.channel.pauseProducing()
        stream.one.channel.resumeProducing()
        assert stream.sends(READ) == 0


def test_what_follows_a_body_is_not_read_before_its_verdicts(stream: Stream) -> None:
    stream.one.channel.pauseProducing()
    assert stream.transport.producerState == "producing"
    stream.one.channel.dataReceived(b"0\r\n\r\n")
    assert stream.transport.producerState == "paused"


def test_a_full_body_that_is_refused_is_read_to_its_end(stream: Stream) -> None:
    stream.sends(READ)
    stream.takes()
    stream.one.channel.dataReceived(b"%x\r\n%b\r\nno number\r\n" % (HELD_MAX, b"x" * HELD_MAX))
    assert stream.transport.producerState == "producing"


def test_a_long_chunk_buys_no_short_ones(one: Connection) -> None:
    one.channel.dataReceived(b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    one.channel.dataReceived(b"%x\r\n%b\r\n" % (500_000, b"a" * 500_000))
    one.channel.dataReceived(b"1\r\na\r\n" * 2 * CHUNKS_FREE)
    assert one.transport.value().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("size", "count"), [(1, CHUNKS_FREE), (CHUNK_MEAN, 4_000)], ids=["few", "fair"])
def test_a_body_of_few_or_fair_chunks_is_accepted(one: Connection, size: int, count: int) -> None:
    one.posts_chunks(size, count)
    assert one.channel.held == [({}, b"a" * size * count)]
