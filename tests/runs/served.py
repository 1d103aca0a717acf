"""The platform's web server on a real socket, in a thread of the test's process, and a raw client of it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from daphne import http_protocol
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.web import http

from dtvn_project.asgi import application
from tests.waiting import PATIENCE, wait_until
from validators.web.body_limit import BoundedRequest
from validators.web.http_channel import TimedChannel
from validators.web.websocket_limit import BoundedServer

LOOPBACK = "127.0.0.1"


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Daphne with the platform's bounds; yields its port. At the end no request may be left, and none may
    have failed with an exception."""
    monkeypatch.setattr(http, "HTTPChannel", TimedChannel)
    monkeypatch.setattr(http.HTTPFactory, "log", lambda _factory, _request: None)
    monkeypatch.setattr(http_protocol, "WebRequest", BoundedRequest)
    loop = asyncio.new_event_loop()
    broken: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: broken.append(context))
    reactor = AsyncioSelectorReactor(loop)
    server = BoundedServer(application, endpoints=["here"], server_name="")
    server.connections = {}
    factory = http_protocol.HTTPFactory(server)
    factory.reactor = reactor
    port = reactor.listenTCP(0, factory, interface=LOOPBACK)
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False})
    thread.start()
    try:
        yield port.getHost().port
        left = server.connections
        wait_until(lambda: not _running(left), what=lambda: f"requests left: {_running(left)}")
        # Daphne takes who is done off its list a moment later.
        ended = [each.get("application_instance") for each in list(left.values())]
        failed = [task.exception() for task in ended if task is not None]
        assert [error for error in failed if error is not None] == []
        assert broken == []
    finally:
        reactor.callFromThread(reactor.stop)
        thread.join(PATIENCE)
        loop.close()


def _running(connections: dict[Any, dict[str, Any]]) -> list[Any]:
    tasks = [each.get("application_instance") for each in list(connections.values())]
    return [task for task in tasks if task is not None and not task.done()]


class Client:
    """One connection, with a request that has begun; what it sends and reads is up to the test."""

    def __init__(
        self,
        port: int,
        key: str,
        target: str = "/api/v1/events/stream?recorded=false",
        *,
        method: str = "POST",
        version: str = "HTTP/1.1",
        body: str = "Transfer-Encoding: chunked",
        more: tuple[str, ...] = (),
    ) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), PATIENCE)
        self._file = self._socket.makefile("rb")
        self._lines = b""
        fields = [
            "Host: localhost:8080",
            *([f"X-API-Key: {key}"] if key else []),
            *([body] if body else []),
            *more,
        ]
        self.says("\r\n".join([f"{method} {target} {version}", *fields, "", ""]).encode())

    def says(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def sends(self, *chunks: bytes) -> None:
        """Send chunks of the body."""
        self.says(b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks))

    def ends(self) -> None:
        """Send the body's end."""
        self.says(b"0\r\n\r\n")

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer, whose body follows."""
        status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        return status, {
            name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)
        }

    def line(self, end: bytes = b"\n") -> Any:
        """The next line of an answer in chunks, as JSON; None at its end."""
        while end not in self._lines:
            size = int(self._file.readline(), 16)
            data = self._file.read(size)
            assert self._file.readline() == b"\r\n"
            if not size:
                assert self._lines == b""
                return None
            self._lines += data
        line, _, self._lines = self._lines.partition(end)
        return msgspec.json.decode(line.removeprefix(b"data: "))

    def rest(self) -> list[Any]:
        """The lines until the end of an answer in chunks, after which the server ends the connection."""
        lines = list(iter(self.line, None))
        assert self.left() == b""
        return lines

    def refusal(self) -> tuple[int, dict[str, Any]]:
        """An answer that is one JSON object, after which the server ends the connection."""
        status, headers = self.head()
        content = self._file.read(int(headers["content-length"]))
        assert self.left() == b""
        return status, msgspec.json.decode(content)

    def left(self) -> bytes:
        """Whatever comes until the server ends the connection."""
        return self._file.read()

    def leaves(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()
