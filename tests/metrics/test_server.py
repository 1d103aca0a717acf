"""The metrics server beside the loop: one path, few clients, strict deadlines."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from dtvn.node.metrics import server as server_module
from dtvn.node.metrics.server import CLIENTS_MAX, MetricsServer
from tests.waiting import PATIENCE, wait_until

SILENT = 300
THEIR_END = SILENT / CLIENTS_MAX * server_module.PATIENCE
"""Seconds until all of them would have been ended, if somebody who asks waited for that."""


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer(("127.0.0.1", 0), lambda: b"some_metric 1.0\n")
    yield made
    made.close()


def url(server: MetricsServer, path: str = "/metrics") -> str:
    return "http://{}:{}{}".format(*server.address, path)


def test_the_server_serves_the_page_and_nothing_else(server: MetricsServer) -> None:
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        page = client.get(url(server))
        assert (page.status_code, page.content) == (200, b"some_metric 1.0\n")
        assert page.headers["Content-Length"] == "16"
        head = client.head(url(server, "/metrics?x=1"))
        assert (head.status_code, head.content) == (200, b"")
        assert client.get(url(server, "/")).status_code == 404
        assert client.get(url(server, "/metrics/")).status_code == 404
        assert client.post(url(server)).status_code == 501
        assert "Python" not in page.headers["Server"]


def test_hundreds_of_silent_connections_keep_no_other_out(server: MetricsServer) -> None:
    with ExitStack() as silent, httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        for _ in range(SILENT):
            silent.enter_context(socket.create_connection(server.address, timeout=PATIENCE))
        begun = time.monotonic()
        assert client.get(url(server)).status_code == 200
        assert time.monotonic() - begun < THEIR_END / 6, "it did not wait for their end"


def test_a_client_that_dribbles_its_request_is_disconnected(server: MetricsServer) -> None:
    """Each byte is in time, but the request never ends."""
    with socket.create_connection(server.address) as slow:

        def ended() -> bool:
            try:
                slow.sendall(b"G")
            except OSError:
                return True
            return False

        wait_until(ended, what="its connection is closed", pause=0.2)


def test_clients_above_the_limit_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that are being served keep their places."""
    monkeypatch.setattr(server_module, "PATIENCE", 4 * PATIENCE)  # so that a busy machine is not too late
    release = threading.Event()
    begun = threading.Semaphore(0)

    def page() -> bytes:
        begun.release()
        release.wait(PATIENCE)
        return b"some_metric 1.0\n"

    made = MetricsServer(("127.0.0.1", 0), page)
    try:
        with ThreadPoolExecutor(CLIENTS_MAX) as clients:
            asked = [clients.submit(answers, made) for _ in range(CLIENTS_MAX)]
            for _ in range(CLIENTS_MAX):
                assert begun.acquire(timeout=PATIENCE)
            assert not answers(made)
            release.set()
            assert [one.result() for one in asked] == [True] * CLIENTS_MAX
        assert answers(made)
    finally:
        release.set()
        made.close()


def answers(server: MetricsServer) -> bool:
    try:
        return httpx.get(url(server), trust_env=False, timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False
