"""The platform's port has a deadline for every request, in the channel of daphne's server (spec 3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web import http

from tests.waiting import PATIENCE
from validators.processes.http_channel import READ, TimedChannel

ROOT = Path(__file__).parents[2]
WHOLE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


class Held(http.Request):
    """A request that is answered when the test says so."""

    def process(self) -> None:
        self.channel.held.append(self)


class Connection:
    """One client's, with a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.channel: Any = TimedChannel()
        self.channel.callLater = self.clock.callLater
        self.channel.timeOut = None
        self.channel.requestFactory = Held
        self.channel.held = []
        self.channel.site = None
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)

    def says(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    @property
    def hung_up_on(self) -> bool:
        return bool(self.transport.disconnecting) and self.transport.value().startswith(b"HTTP/1.1 408 ")


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
    assert not one.transport.disconnecting
    one.channel.held.pop().finish()
    assert one.transport.value().startswith(b"HTTP/1.1 200 ")


def test_no_deadline_runs_between_requests_and_each_has_its_own_time(one: Connection) -> None:
    one.says(WHOLE)
    one.channel.held.pop().finish()
    one.clock.advance(3 * READ)
    assert not one.transport.disconnecting
    one.transport.clear()
    one.says(b"GET /")
    one.clock.advance(READ)
    assert one.hung_up_on


def test_a_request_begun_during_an_answer_is_due_from_the_answers_end(one: Connection) -> None:
    one.says(WHOLE + b"GET /")
    one.clock.advance(2 * READ)
    one.channel.held.pop().finish()
    one.transport.clear()
    one.clock.advance(READ - 1)
    assert not one.transport.disconnecting
    one.clock.advance(1)
    assert one.hung_up_on


def test_a_process_that_was_paused_disconnects_no_client(
    one: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validators.processes import http_channel

    one.says(b"GET /")
    later = http_channel.time.monotonic() + 60
    monkeypatch.setattr(http_channel.time, "monotonic", lambda: later)
    one.clock.advance(READ)
    assert not one.transport.disconnecting
    one.clock.advance(READ)
    assert one.hung_up_on


def test_daphne_uses_the_http_channel() -> None:
    """In a process of its own: what is put in place holds for all servers of a process."""
    look = (
        "from validators.processes import http_channel; http_channel.install();"
        "from daphne.http_protocol import HTTPFactory;"
        "print(type(HTTPFactory(None).buildProtocol(None)._channel).__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert found.stdout == "TimedChannel\n"
