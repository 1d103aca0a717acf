"""Attackers of a web process: `python -m tests.integration.web_attacker KIND PORT KEY SESSION`, until it is
killed. It says "at work" when they have begun."""

from __future__ import annotations

import http.client
import itertools
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlencode

IDLE = 1_500
SLOW = 3
LOGINS = 30
DOWNLOADS = 30
LARGE_FILE = "/static/vendor/swagger-ui-bundle.js"
AT_ONCE, AGAIN, LATER = 0.05, 0.5, 5.0
"""Seconds before a client comes again: after half a second a person who searches. Connections that only wait
are not a flood, and a refused login comes again after the five seconds that Retry-After names: thirty that
come at once are a flood of requests."""


def frame(opcode: int, payload: bytes) -> bytes:
    """As a client sends it, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


PING = frame(9, b"x" * 100)
JSON_PING = frame(1, b'{"type":"ping"}')


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def dial_deaf(port: int) -> socket.socket:
    """A connection whose client takes few bytes before it reads."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    opened.settimeout(60)
    opened.connect(("127.0.0.1", port))
    return opened


def open_websocket(port: int, key: str) -> socket.socket:
    """An open WebSocket whose client takes few bytes."""
    opened = dial_deaf(port)
    lines = [
        "GET /ws HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        f"X-API-Key: {key}",
    ]
    opened.sendall("\r\n".join([*lines, "", ""]).encode())
    if not (answer := opened.recv(12)).endswith(b"101"):
        raise ConnectionError(answer)
    return opened


def slow_chunks(port: int, key: str) -> None:
    """A body in chunks of one byte, as fast as it is taken."""
    head = b"POST /api/v1/tickets/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with dial(port) as client:
        client.sendall(head)
        while True:
            client.sendall(b"1\r\nx\r\n" * 10_000)


def small_pieces(port: int, key: str) -> None:
    """A body of announced length, in pieces of one byte."""
    head = b"POST /api/v1/tickets/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
    with dial(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(head)
        while True:
            client.sendall(b"x")


def messages(port: int, key: str) -> None:
    """Requests for pongs, which are read."""
    with open_websocket(port, key) as client:
        while True:
            client.sendall(JSON_PING * 20)
            client.recv(65_536)


WAYS = itertools.cycle((slow_chunks, small_pieces, messages))


def all_ways(port: int, key: str) -> None:
    """Each connection sends in another way; each way has a reading budget of its own."""
    next(WAYS)(port, key)


def search(port: int, session: str) -> None:
    """A search of 1,000 words in the admin."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        address = "/admin/tickets/ticketholder/?q=" + "word+" * 1_000
        client.request("GET", address, headers={"Cookie": session})
        assert client.getresponse().status == 302, "sent back without the words"


def deaf_pings(port: int, key: str) -> None:
    """Pings whose pongs nobody reads."""
    with open_websocket(port, key) as client:
        while True:
            client.sendall(PING * 500)


def deaf_messages(port: int, key: str) -> None:
    """Requests for pongs that nobody reads."""
    with open_websocket(port, key) as client:
        while True:
            client.sendall(JSON_PING * 500)


def deaf_download(port: int, key: str) -> None:
    """A large file that nobody reads, until the server closes."""
    with dial_deaf(port) as client:
        client.sendall(f"GET {LARGE_FILE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        closed = select.poll()
        closed.register(client, select.POLLRDHUP)
        closed.poll()


def idle(port: int, key: str) -> None:
    """A connection that sends nothing, until it is closed."""
    with dial(port) as client:
        client.settimeout(None)
        client.recv(1)


def login(port: int, key: str) -> None:
    """A wrong password, whose hash has to be computed. Costs little here: a client that reads certificates
    first, as httpx does, takes more of the processors than the attack."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("GET", "/admin/login/")
        page = client.getresponse()
        page.read()
        cookie = str(page.getheader("Set-Cookie")).partition(";")[0]
        token = cookie.partition("=")[2]
        name = f"person{time.monotonic_ns()}"
        sent = urlencode({"username": name, "password": "wrong", "csrfmiddlewaretoken": token})
        form = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        client.request("POST", "/admin/login/", sent, form)
        client.getresponse().read()


KINDS: dict[str, tuple[int, float, Callable[[int, str], None]]] = {
    "slow_chunks": (SLOW, AT_ONCE, slow_chunks),
    "idle": (IDLE, LATER, idle),
    "deaf_pings": (1, AT_ONCE, deaf_pings),
    "deaf_messages": (1, AT_ONCE, deaf_messages),
    "logins": (LOGINS, LATER, login),
    "deaf_downloads": (DOWNLOADS, LATER, deaf_download),
    "all_ways": (2 * SLOW, AT_ONCE, all_ways),
    "searches": (SLOW, AGAIN, search),
}
"""Number of connections at a time, pause between two of each, and what each does."""


def again_and_again(pause: float, attack: Callable[[int, str], None], port: int, key: str) -> None:
    pausing = threading.Event()
    while True:
        try:
            attack(port, key)
        except (OSError, http.client.HTTPException):
            pass
        except AssertionError:
            os._exit(1)
        pausing.wait(pause)


def main(kind: str, port: int, key: str, session: str) -> None:
    threading.stack_size(256 * 1024)
    count, pause, attack = KINDS[kind]
    key = session if attack is search else key
    for _ in range(count):
        threading.Thread(target=again_and_again, args=(pause, attack, port, key), daemon=True).start()
    print("at work", flush=True)  # noqa: T201 - for whoever started it
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
