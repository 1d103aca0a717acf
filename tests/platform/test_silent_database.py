"""A database server that hangs: it takes connections and answers nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from tests.waiting import allowed, wait_until
from validators.data_folder.environment import postgresql
from validators.postgresql.base import SUSPECTED_AFTER, ServerSilentError, watched
from validators.postgresql.breaker import ANSWERS_WITHIN, CircuitBreaker

IN_TIME = 2.0


class Server:
    """Answers the breaker's questions as the test wants."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.answers = threading.Event()
        self.breaker = CircuitBreaker(self._ask, clock=lambda: self.now)

    def _ask(self) -> bool:
        self.asked += 1
        return self.answers.wait(10)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.answers.set()


@pytest.fixture
def hanging() -> Iterator[int]:
    """The port of a socket whose connections the kernel takes, as with a server under SIGSTOP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_breaker_is_open_from_a_late_answer_until_it_comes(server: Server) -> None:
    assert not server.breaker.is_open
    server.breaker.suspect()
    assert not server.breaker.is_open
    server.now = ANSWERS_WITHIN + 0.1
    assert server.breaker.is_open
    server.answers.set()
    wait_until(lambda: not server.breaker.is_open, what="the answer closes it")


def test_one_thread_asks_for_all(server: Server) -> None:
    for _ in range(10):
        server.breaker.suspect()
    wait_until(lambda: server.asked, what="it is asked")
    assert server.asked == 1
    assert len(_asking()) == 1


def _asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "database-asker"]


def test_a_long_statement_goes_on_while_its_server_answers(server: Server) -> None:
    server.answers.set()
    statement = watched(_statement(words=100), server.breaker)
    next(statement)
    for _ in range(99):
        server.now += SUSPECTED_AFTER
        statement.send(0)
        wait_until(lambda: not _asking(), what="the answer")
    with pytest.raises(StopIteration, match="the result"):
        statement.send(1)
    assert 1 < server.asked < 10


def test_a_statement_ends_when_its_server_is_silent(server: Server) -> None:
    statement = watched(_statement(words=100), server.breaker)
    next(statement)
    server.breaker.suspect()
    server.now = ANSWERS_WITHIN + 0.1
    with pytest.raises(ServerSilentError):
        statement.send(0)


def _statement(words: int) -> Generator[int, int, str]:
    for _ in range(words):
        yield 1
    return "the result"


def test_connecting_to_a_server_that_hangs_fails_in_time_then_at_once(
    hanging: int, django_db_blocker: DjangoDbBlocker
) -> None:
    platform = ConnectionHandler({"default": postgresql(f"postgresql://x@127.0.0.1:{hanging}/x", schema="x")})
    for promised in (IN_TIME, 0.1):
        begun = time.monotonic()
        with django_db_blocker.unblock(), pytest.raises(OperationalError, match="does not answer"):
            platform["default"].ensure_connection()
        assert time.monotonic() - begun < min(allowed(promised), 5.0)
