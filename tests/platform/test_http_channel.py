"""Connections of the platform's port: deadlines, refusals, reading budget and number, in the channel
of daphne's server."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.web import http

from tests.platform.transports import HalfClosing
from tests.waiting import PATIENCE
from validators.web import http_channel
from validators.web.http_channel import LINGER, READ, READS_FREE, Room, TimedChannel
from validators.web.reading_budget import BODIES, MESSAGES, OTHERS, SLACK, ReadingBudget

ROOT = Path(__file__).parents[2]
WHOLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


class Held(http.Request):
    """A request that is answered when the test says so."""

    def process(self) -> None:
        self.channel.held.append(self)


class Answered(Held):
    """A request that is answered while it is read."""

    def process(self) -> None:
        super().process()
        self.finish()
        self.finish = lambda: None


class Connection:
    """One client's, with a clock that the test moves."""

    def __init__(self, room: Room | None = None) -> None:
        self.clock = Clock()
        self.channel: Any = TimedChannel()
        self.channel.room = Room() if room is None else room
        self.channel.callLater = self.clock.callLater
        self.channel.timeOut = None
        self.channel.requestFactory = Held
        self.channel.held = []
        self.channel.site = None
        self.transport = HalfClosing()
        self.channel.makeConnection(self.transport)

    def says(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    @property
    def hung_up_on(self) -> bool:
        return self.transport.half_closed and self.transport.value().startswith(b"HTTP/1.1 408 ")


@pytest.fixture
def one() -> Connection:
    return Connection()


def test_the_deadline_is_that_of_the_contract() -> None:
    assert READ == 15.0


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"],
    ids=["nothing", "a line", "headers", "a body"],
)
def test_an_incomplete_request_is_disconnected_at_its_deadline(one: Connection, begun: bytes) -> None:
    one.says(begun)
    one.clock.advance(READ - 1)
    assert not one.hung_up_on
    one.clock.advance(1)
    assert one.hung_up_on


def test_a_slow_trickle_of_bytes_does_not_extend_the_deadline(one: Connection) -> None:
    one.says(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(int(READ)):
        assert not one.hung_up_on
        one.says(b"x")
        one.clock.advance(1)
    assert one.hung_up_on


def test_a_slow_answer_is_not_disconnected(one: Connection) -> None:
    one.says(WHOLE)
    one.clock.advance(10 * READ)
    assert not one.transport.half_closed
    one.channel.held.pop().finish()
    assert one.transport.value().startswith(b"HTTP/1.1 200 ")


def test_no_further_request_is_answered_before_the_client_reads(one: Connection) -> None:
    """Of 1,200 requests in 64 kB, twisted would queue all answers: half a gigabyte for a document."""
    one.says(3 * WHOLE + b"GET /")
    one.channel.pauseProducing()
    one.channel.held.pop().finish()
    assert not one.channel.held
    one.clock.advance(3 * READ)
    assert not one.transport.half_closed
    one.channel.resumeProducing()
    one.channel.held.pop().finish()
    one.channel.held.pop().finish()
    one.clock.advance(READ)
    assert one.transport.value().count(b"HTTP/1.1 200 ") == 3
    assert one.transport.half_closed


def test_no_deadline_runs_between_requests_and_each_has_its_own_time(one: Connection) -> None:
    one.says(WHOLE)
    one.channel.held.pop().finish()
    one.clock.advance(3 * READ)
    assert not one.transport.half_closed
    one.transport.clear()
    one.says(b"GET /")
    one.clock.advance(READ)
    assert one.hung_up_on


@pytest.mark.parametrize("factory", [Held, Answered], ids=["answered later", "answered at once"])
def test_a_request_that_comes_whole_costs_no_deadline(one: Connection, factory: type[Held]) -> None:
    one.channel.requestFactory = factory
    one.says(WHOLE)
    one.channel.held.pop().finish()
    set_later: list[float] = []
    one.channel.callLater = lambda seconds, *_: set_later.append(seconds)
    for _ in range(3):
        one.says(WHOLE)
        one.channel.held.pop().finish()
    assert set_later == []


IDLE = 60


@pytest.fixture
def timed(one: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """One that is disconnected when it has been idle for a minute."""
    monkeypatch.setattr(http_channel.time, "monotonic", one.clock.seconds)
    one.channel.setTimeout(IDLE)
    return one


@pytest.mark.parametrize("answered_after", [IDLE / 2, IDLE * 2])
def test_an_idle_connection_ends_a_minute_after_its_last_answer(
    timed: Connection, answered_after: float
) -> None:
    timed.says(WHOLE)
    timed.clock.advance(answered_after)
    timed.channel.held.pop().finish()
    timed.clock.advance(IDLE - 1)
    assert not timed.transport.disconnecting
    timed.clock.advance(1)
    assert timed.transport.disconnecting


def test_many_requests_set_no_timer_for_an_idle_connection(timed: Connection) -> None:
    set_later: list[float] = []
    timed.channel.callLater = lambda seconds, *_: set_later.append(seconds)
    for _ in range(3):
        timed.says(WHOLE)
        timed.channel.held.pop().finish()
    assert set_later == []


def test_a_lost_connection_keeps_no_timer(timed: Connection) -> None:
    timed.says(WHOLE)
    timed.channel.connectionLost(None)
    assert not timed.clock.getDelayedCalls()


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first", "behind another"])
def test_a_length_of_5000_digits_is_malformed(one: Connection, before: bytes) -> None:
    one.says(before + b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n")
    for request in one.channel.held:
        request.finish()
    assert b"HTTP/1.1 400 " in one.transport.value()


def test_the_system_is_asked_once_for_a_connections_own_address(one: Connection) -> None:
    asked: list[int] = []
    one.transport.getHost = lambda: asked.append(1) or IPv4Address("TCP", "127.0.0.1", 80)
    for _ in range(3):
        one.says(WHOLE)
        one.channel.held.pop().finish()
    assert len(asked) == 1


def test_the_head_of_an_answer_goes_out_in_one_piece(one: Connection) -> None:
    pieces: list[bytes] = []
    one.transport.write = pieces.append
    one.transport.writeSequence = pieces.extend
    one.says(WHOLE)
    request = one.channel.held.pop()
    for name, value in ((b"Content-Length", b"2"), (b"X-A", b"1"), (b"X-A", b"2")):
        request.responseHeaders.addRawHeader(name, value)
    request.write(b"ok")
    request.finish()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    assert pieces == [head, b"ok"]


def test_a_request_begun_during_an_answer_is_due_from_the_answers_end(one: Connection) -> None:
    one.says(WHOLE + b"GET /")
    one.clock.advance(2 * READ)
    one.channel.held.pop().finish()
    one.transport.clear()
    one.clock.advance(READ - 1)
    assert not one.transport.half_closed
    one.clock.advance(1)
    assert one.hung_up_on


def test_a_process_that_was_paused_disconnects_no_client(
    one: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.says(b"GET /")
    later = http_channel.time.monotonic() + 60
    monkeypatch.setattr(http_channel.time, "monotonic", lambda: later)
    one.clock.advance(READ)
    assert not one.transport.half_closed
    one.clock.advance(READ)
    assert one.hung_up_on


def test_daphne_uses_the_read_deadline_and_formats_no_access_line() -> None:
    """In a process of its own: what is put in place holds for all servers of a process."""
    look = (
        "from validators.web import http_channel; http_channel.install();"
        "from daphne.http_protocol import HTTPFactory;"
        "factory = HTTPFactory(None); factory._logFile = open('/dev/null', 'w'); factory.log(None);"
        "print(type(factory.buildProtocol(None)._channel).__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert found.stdout == "TimedChannel\n"


# --- writing ----------------------------------------------------------------------------------------


class Watched:
    """A reactor that only notes which transports wait until their socket takes bytes."""

    def __init__(self) -> None:
        self.asked = 0
        self.writers: set[Any] = set()

    def addReader(self, transport: Any) -> None:
        """See twisted."""

    def removeReader(self, transport: Any) -> None:
        """See twisted."""

    def addWriter(self, transport: Any) -> None:
        """See twisted."""
        self.asked += 1
        self.writers.add(transport)

    def removeWriter(self, transport: Any) -> None:
        """See twisted."""
        self.writers.discard(transport)


class Wire:
    """A connection over a socket of the system, and the client's end of it."""

    def __init__(self) -> None:
        self.reactor = Watched()
        self.channel: Any = TimedChannel()
        self.channel.room, self.channel.callLater, self.channel.timeOut = Room(), Clock().callLater, None
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname(), PATIENCE)
            ours, peer = listening.accept()
        self.transport = Server(ours, self.channel, peer, None, 0, self.reactor)
        self.channel.makeConnection(self.transport)

    def takes(self, length: int) -> bytes:
        """What the client reads, while the socket is written to where it was asked for."""
        taken = b""
        while len(taken) < length:
            taken += self.client.recv(65_536)
            for transport in [*self.reactor.writers]:
                assert transport.doWrite() is None
        return taken


@pytest.fixture
def wire() -> Iterator[Wire]:
    one = Wire()
    yield one
    one.client.close()
    one.transport.connectionLost(Failure(ConnectionDone()))


def test_an_answer_that_the_socket_takes_is_sent_at_once(wire: Wire) -> None:
    wire.channel.write(b"answer")
    assert wire.client.recv(100) == b"answer"
    assert wire.reactor.asked == 0


def test_an_answer_longer_than_the_socket_takes_arrives_in_order(wire: Wire) -> None:
    parts = [bytes([number]) * 1_000_000 for number in range(20)]
    for part in parts:
        wire.channel.write(part)
    assert wire.reactor.asked
    assert not wire.channel._taken.is_set()
    assert wire.takes(20_000_000) == b"".join(parts)
    assert wire.channel._taken.is_set()


def test_an_answer_to_a_client_that_is_gone_ends_the_connection(wire: Wire) -> None:
    wire.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.client.close()
    wire.channel.write(b"answer")
    assert wire.reactor.writers == {wire.transport}
    assert wire.transport.doWrite() is CONNECTION_LOST


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"x" * 1_000) for n in range(20)),
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 600,
        b"GET /" + b"x" * 20_000,
    ],
    ids=["a line", "lines", "fields", "a request line"],
)
def test_oversized_headers_are_answered_with_431(one: Connection, head: bytes) -> None:
    one.says(head)
    assert one.transport.value().startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in one.transport.value()
    assert one.transport.half_closed


def test_a_malformed_request_gets_an_error_with_a_body(one: Connection) -> None:
    one.says(b"GET\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert one.transport.value().startswith(b"HTTP/1.1 400 ")
    assert one.transport.value().endswith(b'"code":"bad_request"}')
    assert not one.channel.held


def test_a_refused_client_may_go_on_sending_until_it_is_disconnected(one: Connection) -> None:
    one.says(b"GET\r\n")
    for _ in range(10):
        one.says(WHOLE)
    assert not one.channel.held
    one.clock.advance(LINGER)
    assert one.transport.disconnected


# --- reading budget --------------------------------------------------------------------------------


class Spent:
    """A budget that is used up for three seconds."""

    def wait(self, spent: float) -> float:
        return 3.0


@pytest.mark.parametrize(
    ("budget", "head"), [("BODIES", b"Content-Length: 100"), ("OTHERS", b"Transfer-Encoding: chunked")]
)
def test_costly_reads_of_a_body_are_paced(
    one: Connection, monkeypatch: pytest.MonkeyPatch, budget: str, head: bytes
) -> None:
    monkeypatch.setattr(http_channel, budget, Spent())
    one.says(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % head)
    one.says(b"5A\r\n")
    for _ in range(READS_FREE - 1):
        assert one.transport.producerState == "producing"
        one.says(b"a")
    assert one.transport.producerState == "paused"
    one.clock.advance(3)
    assert one.transport.producerState == "producing"
    one.channel.connectionLost(None)


def test_a_plain_body_does_not_wait_for_senders_of_chunks(
    one: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_channel, "BODIES", ReadingBudget(0.1, Clock().seconds))
    monkeypatch.setattr(http_channel, "OTHERS", Spent())
    one.says(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    for _ in range(2 * READS_FREE):
        one.says(b"a")
        assert one.transport.producerState == "producing"


def test_all_clients_together_use_the_share_of_the_budget() -> None:
    clock = Clock()
    budget = ReadingBudget(0.2, clock.seconds)
    assert budget.wait(SLACK * 0.2) == pytest.approx(0)
    used = 0.0
    for _ in range(100):
        clock.advance(budget.wait(0.01))
        used += 0.01
    assert used / clock.seconds() == pytest.approx(0.2, rel=0.1)


def test_all_ways_of_sending_together_leave_most_of_the_time_to_answers() -> None:
    assert sum(budget.share for budget in (BODIES, OTHERS, MESSAGES)) == pytest.approx(0.3)


# --- number ----------------------------------------------------------------------------------------


def test_the_connection_that_is_silent_longest_is_evicted_answered_or_not() -> None:
    """A newcomer needs a round trip until its first request."""
    room = Room(4)
    first, second, busy = (Connection(room) for _ in range(3))
    for one in (first, second, first, busy):
        one.says(WHOLE)
    for one in (first, second, first):
        one.channel.held.pop(0).finish()
    newcomers = [Connection(room) for _ in range(3)]
    assert [one.transport.disconnected for one in (second, first, *newcomers)] == [True] * 2 + [False] * 3
    assert not busy.transport.disconnected


def test_a_newcomer_is_evicted_where_all_others_are_being_answered() -> None:
    room = Room(2)
    for one in (busy := [Connection(room), Connection(room)]):
        one.says(WHOLE)
    newcomer = Connection(room)
    assert newcomer.transport.disconnected
    assert not any(one.transport.disconnected for one in busy)


def test_closed_connections_are_not_counted() -> None:
    room = Room(2)
    for _ in range(5):
        Connection(room).channel.connectionLost(None)
    assert len(room) == 0
