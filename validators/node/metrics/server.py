"""A small HTTP server in threads of its own: GET /metrics, and nothing else.

Threads are few, and whoever is slow loses his connection: a scraper can take nothing from the node but a
moment of the interpreter.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

__all__ = ["MetricsServer"]

PATH = "/metrics"
PATIENCE = 5.0
"""Seconds that a client may take to ask or to read."""

CLIENTS_MAX = 8
"""Connections served at once; further ones are closed."""


class MetricsServer:
    """Serves what `page()` gives at `address` until `close`. Raise OSError when the port is taken."""

    def __init__(self, address: tuple[str, int], page: Callable[[], bytes]) -> None:
        self._server = _Server(address, page)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, with the real port."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening; answers under way end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], page: Callable[[], bytes]) -> None:
        self.page = page
        self._free = threading.BoundedSemaphore(CLIENTS_MAX)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's fault."""

    def server_bind(self) -> None:
        """Without asking a name server for our own name, as http.server does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def version_string(self) -> str:
        return "dtvn"

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""

    def _answer(self, *, body: bool) -> None:
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
