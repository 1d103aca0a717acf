"""Every wait has a deadline: slow headers, missing bodies, answers that are not read."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.sync.client import connect

from dtvn.api.connections import OWN_FILES, READ, connections_within
from dtvn.api.helper.deadlines import IDLE, READ_BYTES, WRITE, TimedProtocol
from dtvn.api.helper.process import _configuration, _Server
from dtvn.node.listening import STALLED_CLIENT_MS, listen_on
from tests.waiting import PATIENCE, wait_until

SHORT = 0.4
LONG = 16 * 1024 * 1024
"""Bytes that no socket's buffers hold."""


class Quick(TimedProtocol):
    read_within = write_within = SHORT


class Brisk(TimedProtocol):
    write_within = 2.0


class Narrow(TimedProtocol):
    """The server's protocol with its real deadlines and room for eight connections."""

    connections_max = 8


class App:
    """Reads a body and answers with its length; `/long` answers with more than the buffers hold, and a
    WebSocket is told "late" when its deadlines would be over."""

    def __init__(self) -> None:
        self.gone = 0
        """Requests whose client was gone before the body was whole."""
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await asyncio.wait_for(receive(), PATIENCE)
            await send({"type": "websocket.send", "text": "late"})
            return
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["path"] == "/slow":
            with suppress(TimeoutError):  # it takes its time, unless the client leaves
                await asyncio.wait_for(receive(), 0.6 * Brisk.write_within)
        body = b"x" * LONG if scope["path"] == "/long" else str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, len(body), 65_536):
            part = body[start : start + 65_536]
            more = start + len(part) < len(body)
            await send({"type": "http.response.body", "body": part, "more_body": more})
        self.answered += 1


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def address(app: App) -> Iterator[tuple[str, int]]:
    """Of the API's own server with short deadlines."""
    with serving(app, Quick) as address:
        yield address


@contextmanager
def serving(app: ASGIApp, protocol: type[TimedProtocol]) -> Iterator[tuple[str, int]]:
    configuration = _configuration(app)
    configuration.http = protocol
    server = _Server(configuration)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        wait_until(lambda: server.started, what="a server")
        yield listener.getsockname()
        server.should_exit = True
        thread.join(PATIENCE)
    assert not thread.is_alive()


def until_the_end(client: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    found = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(65_536):
            found += part
    return bytes(found)


def test_the_deadlines_are_those_of_the_contract() -> None:
    assert (READ, WRITE, IDLE) == (15.0, 30.0, 60)
    configuration = _configuration(App())
    assert configuration.http is TimedProtocol
    assert configuration.timeout_keep_alive == IDLE


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n{",
    ],
    ids=["nothing", "a line", "headers", "a body"],
)
def test_an_incomplete_request_is_disconnected_at_its_deadline(
    app: App, address: tuple[str, int], begun: bytes
) -> None:
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(begun)
        answer = until_the_end(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: app.gone == (1 if b"POST" in begun else 0), what="the handler released")
    assert app.answered == 0


def test_one_read_of_a_client_parses_little(app: App) -> None:
    """A chunk of one byte costs as much as a long one: 64 KiB of them held the loop for 38 ms."""
    reads: list[int] = []

    class Recorded(TimedProtocol):
        def data_received(self, data: bytes) -> None:
            reads.append(len(data))
            super().data_received(data)

    with serving(app, Recorded) as address, socket.create_connection(address, PATIENCE) as client:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head + b"1\r\nx\r\n" * 4_000 + b"0\r\n\r\n")
        assert until_the_end(client).endswith(b"\r\n\r\n4000")
    assert max(reads) <= READ_BYTES


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 20_000, 431),
        (b"no request\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n", 400),
    ],
    ids=["long headers", "no HTTP", "no chunk"],
)
def test_a_malformed_request_is_refused_in_json(app: App, request_: bytes, status: int) -> None:
    with serving(app, TimedProtocol) as address, socket.create_connection(address, PATIENCE) as client:
        client.sendall(request_)
        head, _, body = until_the_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["success"] is False


def test_a_slow_trickle_of_bytes_does_not_extend_the_deadline(address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE) as client:
        client.settimeout(SHORT / 8)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        since, answer = time.monotonic(), b""
        while not answer:
            assert time.monotonic() - since < PATIENCE
            try:
                client.sendall(b"X-More: 1\r\n")
                answer = client.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_second_request_of_a_connection_has_its_deadline_too(address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
        answer = until_the_end(client)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer


def test_a_later_request_on_a_kept_connection_is_answered(address: tuple[str, int]) -> None:
    """Between two requests the keep-alive holds, not the deadlines of either."""
    with socket.create_connection(address, PATIENCE) as client:
        for _ in range(3):
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            answer = b""
            while not answer.endswith(b"\r\n\r\n3"):
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 ")
            client.settimeout(3 * SHORT)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(PATIENCE)


def test_each_answer_of_a_connection_has_its_own_time(app: App) -> None:
    """Three that take longer than the deadline only together."""
    with serving(app, Brisk) as address, socket.create_connection(address, PATIENCE) as client:
        for _ in range(3):
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n0"):
                part = client.recv(4096)
                assert part, "hung up on"
                answer += part


def test_the_kernel_ends_a_client_that_takes_nothing_of_an_answer() -> None:
    """Also one that became a WebSocket, which has no deadline."""
    with listen_on("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALLED_CLIENT_MS


def test_an_answer_that_is_not_read_is_given_up(app: App, address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: app.answered == 1, what="the handler released")  # it waited for room until then
        assert len(until_the_end(client)) < LONG


def ask(client: socket.socket) -> bytes:
    """The first words of the answer, b"" where there is none."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with suppress(ConnectionError):
        return client.recv(12)
    return b""


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost:"], ids=["nothing", "headers"])
def test_idle_connections_keep_no_other_client_out(app: App, begun: bytes) -> None:
    with serving(app, Narrow) as address, ExitStack() as held:
        idle = [held.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(30)]
        with suppress(ConnectionError):
            for client in idle:
                client.sendall(begun)
        for _ in range(20):
            with socket.create_connection(address, PATIENCE) as client:
                assert ask(client) == b"HTTP/1.1 200"
        gone = [client for client in idle if hung_up(client)]
        assert len(gone) >= len(idle) - Narrow.connections_max
        assert gone == idle[: len(gone)], "who waited longest goes first"


def hung_up(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.fixture
def few_files() -> Iterator[int]:
    """The most that this process may ask for, while its limit is far below."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OWN_FILES + 20, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_file_limit_is_raised_for_all_connections(few_files: int) -> None:
    assert connections_within(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == OWN_FILES + 100
    if few_files != resource.RLIM_INFINITY:
        assert connections_within(few_files) == few_files - OWN_FILES


def test_idle_connections_that_were_answered_make_room_for_newcomers(app: App) -> None:
    """Both, though neither has sent its request yet when the other one comes."""
    with serving(app, Narrow) as address, ExitStack() as held:
        for _ in range(Narrow.connections_max):
            assert ask(held.enter_context(socket.create_connection(address, PATIENCE)))
        newcomers = [held.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(2)]
        assert [ask(newcomer) for newcomer in newcomers] == [b"HTTP/1.1 200"] * 2


def test_a_client_that_is_being_answered_is_not_disconnected(app: App) -> None:
    with serving(app, Narrow) as address, ExitStack() as held:
        busy = [held.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(8)]
        for client in busy:
            client.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        with socket.create_connection(address, PATIENCE) as newcomer:
            assert ask(newcomer) == b""
        for client in busy:
            assert len(until_the_end(client)) >= LONG


def test_a_websocket_stays_open_beyond_the_request_deadlines(address: tuple[str, int]) -> None:
    with connect(f"ws://{address[0]}:{address[1]}/", proxy=None) as socket_:
        with pytest.raises(TimeoutError):
            socket_.recv(timeout=3 * SHORT)
        socket_.send("now")
        assert socket_.recv(timeout=PATIENCE) == "late"
