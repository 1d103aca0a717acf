"""Checks of the node frames that clients of a supervisor's `/ws` got: complete, ordered, timely."""

from __future__ import annotations

import re
import socket
import time
from datetime import datetime

import httpx

from tests.integration.supervised import Ears, Supervised
from tests.waiting import allowed, wait_until

ANNOUNCED_WITHIN = allowed(1.0)
"""Seconds from a change of state, or a line of a log, to every client's frame."""
STAGES = ("stopping", "starting", "running")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def start_if_alone(s: Supervised, api: httpx.Client) -> None:
    """Start four nodes with tickets, if the tests that do so were left out."""
    if not s.nodes():
        api.post("/cluster/start", json={"node_count": 4}).raise_for_status()
        s.wait_until_running(4)
        api.post("/tickets/seed").raise_for_status()


def deaf_client(s: Supervised) -> socket.socket:
    """A WebSocket with the smallest receive window that reads nothing after its handshake."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect(("127.0.0.1", s.port))
    deaf.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{s.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in deaf.recv(64)
    return deaf


def restart_between_pings(api: httpx.Client, ears: Ears, node_id: str) -> None:
    """Each stage of a restart is sent in order, the first of them immediately."""
    here, asked = len(ears.frames), time.time()
    assert api.post(f"/nodes/{node_id}/restart").status_code == 200
    for _ in range(50):
        ears.say({"type": "ping"})
    for stage in STAGES:
        frame = ears.wait_for("node_status", node_id=node_id, status=stage, after=here)
        assert stage != "stopping" or ears.time_of(frame) - asked < ANNOUNCED_WITHIN
        here = ears.frames.index(frame, here) + 1


def heard_the_same(first: Ears, second: Ears, *, at_least: int) -> None:
    """A later client got the same node frames in the same order as the first one since then."""

    def of_nodes(ears: Ears) -> list[tuple[str, str, bool]]:
        told = ears.of("node_status")
        return [(each["node_id"], each["status"], each["node"].get("is_primary", False)) for each in told]

    def same() -> bool:
        later = of_nodes(second)
        return len(later) >= at_least and of_nodes(first)[-len(later) :] == later

    wait_until(same, what=lambda: f"the same frames:\n{of_nodes(first)}\n{of_nodes(second)}")


def lines_came_in_order_and_at_once(ears: Ears, node_id: str, *, after: int, at_least: int) -> None:
    """By the time stamps that the node itself gave its lines, on this machine's clock."""
    lines = [
        (datetime.fromisoformat(stamp).timestamp(), ears.time_of(frame))
        for frame in ears.of("node_output", node_id=node_id, after=after)
        if STAMP.fullmatch(stamp := frame["line"].split(" ")[0])
    ]
    assert len(lines) >= at_least
    assert lines == sorted(lines)
    assert max(came - written for written, came in lines) < ANNOUNCED_WITHIN
