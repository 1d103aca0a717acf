"""The server beside the loop: one path, few clients, patience with nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.waiting import wait_until
from validators.node.metrics.server import CLIENTS_MAX, MetricsServer


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer(("127.0.0.1", 0), lambda: b"some_metric 1.0\n")
    yield made
    made.close()


def url(server: MetricsServer, path: str = "/metrics") -> str:
    return "http://{}:{}{}".format(*server.address, path)


def test_it_serves_the_page_and_nothing_else(server: MetricsServer) -> None:
    with httpx.Client(trust_env=False) as client:
        page = client.get(url(server))
        assert (page.status_code, page.content) == (200, b"some_metric 1.0\n")
        assert page.headers["Content-Length"] == "16"
        head = client.head(url(server, "/metrics?x=1"))
        assert (head.status_code, head.content) == (200, b"")
        assert client.get(url(server, "/")).status_code == 404
        assert client.get(url(server, "/metrics/")).status_code == 404
        assert client.post(url(server)).status_code == 501
        assert "Python" not in page.headers["Server"]


def test_a_port_in_use_is_refused(server: MetricsServer) -> None:
    with pytest.raises(OSError, match="in use"):
        MetricsServer(server.address, lambda: b"")


def test_who_connects_and_says_nothing_keeps_nobody_else_out(server: MetricsServer) -> None:
    with socket.create_connection(server.address), httpx.Client(trust_env=False) as client:
        assert client.get(url(server)).status_code == 200


def test_more_clients_than_it_serves_are_turned_away_at_once(server: MetricsServer) -> None:
    silent = [socket.create_connection(server.address) for _ in range(CLIENTS_MAX + 4)]
    try:

        def turned_away() -> int:
            count = 0
            for one in silent:
                one.setblocking(False)
                try:
                    count += one.recv(1) == b""
                except BlockingIOError:
                    continue
            return count

        wait_until(lambda: turned_away() >= 4, what="four are closed")
    finally:
        for one in silent:
            one.close()
    wait_until(lambda: answers(server), what="it answers again")


def answers(server: MetricsServer) -> bool:
    try:
        return httpx.get(url(server), trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_closed_is_closed() -> None:
    made = MetricsServer(("127.0.0.1", 0), lambda: b"")
    made.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(made.address)
