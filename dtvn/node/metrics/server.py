"""A small HTTP server in its own threads: GET /metrics, and nothing else.

Threads are few, and a slow client loses its connection: a scraper costs the node no more than a moment of
the interpreter. Connections without a request make room for new ones, so that a client that opens many idle
connections keeps no other client out.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

PATH = "/metrics"
PATIENCE = 5.0
"""Seconds that a client may take in all to send its request, and again to read the answer."""

CLIENTS_MAX = 8
"""Connections served at once. One more closes the oldest connection without a request; if all have sent one,
it is closed itself."""
SWEEP = 0.5
"""Seconds between two searches for connections that took too long."""


class MetricsServer:
    """Serves the result of `page()` at `address` until `close`. Raises OSError if the port is taken."""

    def __init__(self, address: tuple[str, int], page: Callable[[], bytes]) -> None:
        self._server = _Server(address, page)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": SWEEP / 2},
            name="metrics",
            daemon=True,
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) on which the server listens, with the real port."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening; answers that are being sent end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


class _Served:
    """A connection that is being served."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        """Time at which the connection began or, later, at which its request was read."""
        self.asked = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], page: Callable[[], bytes]) -> None:
        self.page = page
        self._served: dict[socket.socket, _Served] = {}
        """Connections in the order of their arrival."""
        self._lock = threading.Lock()
        self._swept = 0.0
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            admitted = len(self._served) < CLIENTS_MAX or self._make_room()
            if admitted:
                self._served[request] = _Served()
        if admitted:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._served.pop(request, None)

    def on_asked(self, request: socket.socket) -> None:
        """Note that a whole request was read from a connection."""
        with self._lock:
            if (served := self._served.get(request)) is not None:
                served.asked, served.since = True, time.monotonic()

    def service_actions(self) -> None:
        """End connections that took too long in all: a client that sends byte by byte never times out."""
        now = time.monotonic()
        if now - self._swept < SWEEP:
            return
        self._swept = now
        with self._lock:
            for request, served in list(self._served.items()):
                if now - served.since > PATIENCE:
                    self._end(request)

    def _make_room(self) -> bool:
        for request, served in self._served.items():
            if not served.asked:
                self._end(request)
                return True
        return False

    def _end(self, request: socket.socket) -> None:
        """Close a connection, at which its thread ends. The caller holds the lock."""
        del self._served[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: clients may disconnect at any time."""

    def server_bind(self) -> None:
        """Bind without a DNS lookup of this host's name, which http.server makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server
    connection: socket.socket

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def version_string(self) -> str:
        return "dtvn"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: scrapes are routine."""

    def _answer(self, *, body: bool) -> None:
        self.server.on_asked(self.connection)
        if self.path.partition("?")[0] != PATH:
            return self._send(
                HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"See /metrics.\n", body=body
            )
        return self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.server.page(), body=body)

    def _send(self, status: HTTPStatus, kind: str, content: bytes, *, body: bool) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)
