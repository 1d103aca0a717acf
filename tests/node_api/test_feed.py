"""Live events of a node, out of its ledger's rows: frames, counts of seeds, clients that lag."""

from __future__ import annotations

import asyncio
import json
from socket import SO_SNDBUF, SOL_SOCKET, socketpair
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.server import ServerState
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dtvn.api.helper import sockets
from dtvn.api.helper.deadlines import TimedProtocol
from dtvn.api.helper.process import _configuration
from dtvn.api.helper.service import Service
from dtvn.api.helper.sockets import QUEUE_MAX, Feed
from dtvn.machine import Consume, Dispute, Issue, Seed, Validate, build
from dtvn.machine.contract import Listed
from tests.node_api.test_deadlines import App, serving
from tests.waiting import PATIENCE

COMMANDS: dict[str, Any] = {
    "validate": Validate(),
    "consume": Consume(),
    "dispute": Dispute(),
    "seed": Seed(),
    "issue": Issue(),
}


def listed(kind: str, sequence: int, *, event: str = "default", ticket: str = "T-1") -> Listed:
    operation = build(
        COMMANDS[kind],
        ticket="" if kind == "seed" else ticket,
        event=event,
        actor="a",
        entry="node1",
        valid_until=1,
    )
    return Listed(sequence, 0, 0, 7_000_000, "ok", "p", b"", operation)


@pytest.fixture
def feed() -> Feed:
    return Feed(cast(Service, SimpleNamespace(node="node3", sockets=0)))


async def _gone_at_the_handshake(feed: Feed) -> None:
    class Gone:
        async def accept(self) -> None:
            raise OSError("the client went away")

    async def position() -> None:
        return None

    feed._position = position  # type: ignore[method-assign]
    with pytest.raises(OSError, match="went away"):
        await feed.serve(cast(WebSocket, Gone()))
    assert feed._looking is not None
    feed._looking.cancel()


def test_a_client_that_leaves_at_the_handshake_is_no_longer_counted(feed: Feed) -> None:
    asyncio.run(_gone_at_the_handshake(feed))
    assert (len(feed._queues), feed._service.sockets) == (0, 0)


def test_websockets_leave_half_of_the_connections_for_requests(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few the process's limit of descriptors allows."""
    monkeypatch.setattr(TimedProtocol, "connections_max", 4)
    feed._queues.update({asyncio.Queue(): 0, asyncio.Queue(): 0})
    app = Starlette(routes=[WebSocketRoute("/ws", feed.serve)])
    with (
        serving(app, TimedProtocol) as (host, port),
        pytest.raises(InvalidStatus) as denied,
        connect(f"ws://{host}:{port}/ws", proxy=None),
    ):
        pass
    assert denied.value.response.status_code == 503
    assert json.loads(denied.value.response.body)["code"] == "busy"


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG_BYTES, PINGS = b"\x89\xfd" + bytes(4 + 125), 2 + 125, 4_000
"""A ping of the longest kind, the bytes of its pong, and more of them than all buffers hold."""


async def _pings_that_are_not_read() -> None:
    loop, full = asyncio.get_running_loop(), asyncio.Event()
    configuration = _configuration(App())
    configuration.load()

    class Watched(cast(Any, configuration.ws_protocol_class)):  # type: ignore[misc]
        def pause_writing(self) -> None:
            super().pause_writing()
            full.set()

    client, theirs = socketpair()
    for end in (client, theirs):
        end.setsockopt(SOL_SOCKET, SO_SNDBUF, 4_096)
        end.setblocking(False)
    transport, protocol = await loop.connect_accepted_socket(
        lambda: Watched(configuration, ServerState(), {}), theirs
    )
    await loop.sock_sendall(client, HANDSHAKE)
    assert (await loop.sock_recv(client, 4_096)).startswith(b"HTTP/1.1 101 ")
    sending = loop.create_task(loop.sock_sendall(client, PING * PINGS))
    await asyncio.wait_for(full.wait(), PATIENCE)
    assert not transport.is_reading(), "it is not read while it does not read"
    left = PINGS * PONG_BYTES
    while left:
        left -= len(await asyncio.wait_for(loop.sock_recv(client, left), PATIENCE))
    await sending
    client.close()
    await asyncio.gather(*protocol.tasks)


def test_a_client_that_does_not_read_its_pongs_is_not_read() -> None:
    asyncio.run(_pings_that_are_not_read())


def test_compression_is_not_negotiated() -> None:
    """A few bytes of it could become a long message."""
    with (
        serving(App(), TimedProtocol) as (host, port),
        connect(f"ws://{host}:{port}/ws", proxy=None, compression="deflate") as client,
    ):
        assert client.protocol.extensions == []
        client.send("now")
        assert client.recv(timeout=PATIENCE) == "late"


def test_c22_each_applied_change_is_a_frame(feed: Feed) -> None:
    found = feed._frames([listed("validate", 3), listed("consume", 4), listed("dispute", 5)], {})
    assert [(frame["type"], frame["state"], frame["sequence"]) for frame in found] == [
        ("ticket_validated", "VALIDATED", 3),
        ("ticket_consumed", "CONSUMED", 4),
        ("ticket_disputed", "DISPUTED", 5),
    ]
    for frame in found:
        assert (frame["ticket_id"], frame["timestamp"], frame["node_id"]) == ("T-1", 7, "node3")


def test_c22_a_seed_event_has_the_count_created_and_is_omitted_for_none(feed: Feed) -> None:
    changes = [
        listed("issue", 2),
        listed("seed", 3),
        listed("seed", 4),
        listed("seed", 5, event="other"),
        listed("issue", 6, ticket="T-2"),
    ]
    found = feed._frames(changes, {"default": 502, "other": 500})
    assert [(frame["type"], frame["count"], frame["sequence"]) for frame in found] == [
        ("tickets_seeded", 500, 3),
        ("tickets_seeded", 500, 5),
    ]
    assert feed._frames([listed("seed", 7)], {}) == []


def test_a_fault_of_the_feed_is_counted_and_leaves_no_client_waiting(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[int] = []

    async def broken(*arguments: Any) -> Any:
        raise ValueError("a bug")

    monkeypatch.setattr(sockets, "LOOK_EVERY", 0.001)
    service = cast(Any, feed._service)
    service.read, service.failed = broken, lambda: failures.append(1)

    async def story() -> str | None:
        queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
        feed._queues[queue] = 0
        feed._at = ((1, 0), 0)
        await asyncio.wait_for(feed._look_on(), PATIENCE)
        return queue.get_nowait()

    assert asyncio.run(story()) is None, "its writer hangs up"
    assert (failures, feed._queues) == ([1], {})
    assert feed._at is None, "who listens next begins at the position of then"


def test_x19_a_client_receives_each_event_after_its_handshake_once(feed: Feed) -> None:
    early: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
    late: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
    feed._queues.update({early: 2, late: 3})
    for sequence in (2, 3, 4):
        feed._tell(json.dumps(sequence), sequence)
    assert [early.get_nowait() for _ in range(early.qsize())] == ["3", "4"]
    assert [late.get_nowait() for _ in range(late.qsize())] == ["4"]


def test_x36_a_lagging_client_is_disconnected_and_the_others_miss_nothing(feed: Feed) -> None:
    slow: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
    quick: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
    feed._queues.update({slow: 0, quick: 0})
    heard = []
    for sequence in range(1, QUEUE_MAX + 10):
        feed._tell(str(sequence), sequence)
        heard.append(quick.get_nowait())
    assert heard == [str(sequence) for sequence in range(1, QUEUE_MAX + 10)]
    assert slow not in feed._queues
    told = [slow.get_nowait() for _ in range(slow.qsize())]
    assert told[-1] is None, "the writer hangs up"


def test_x36_a_batch_larger_than_a_queue_drops_no_reading_client(feed: Feed) -> None:
    """Thousands of changes may commit at once; who never reads is hung up on, and holds others up once."""
    count = 10 * QUEUE_MAX

    async def story() -> tuple[list[str], bool]:
        deaf: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
        quick: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
        feed._queues.update({deaf: 0, quick: 0})
        heard: list[str] = []

        async def listen() -> None:
            while len(heard) < count and (frame := await quick.get()) is not None:
                heard.append(frame)

        listening = asyncio.create_task(listen())
        await feed._pass_on([{"type": "x", "sequence": number} for number in range(1, count + 1)])
        await asyncio.wait_for(listening, PATIENCE)
        return heard, deaf in feed._queues

    heard, deaf_stays = asyncio.run(story())
    assert [json.loads(frame)["sequence"] for frame in heard] == list(range(1, count + 1))
    assert not deaf_stays
