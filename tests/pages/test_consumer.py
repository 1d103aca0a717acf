"""`/ws`: access, the frames of a client, and how it resumes after losing its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from dtvn_project.asgi import application
from tests.pages.learner import RealLearner
from tests.team_keys import store_key
from tests.waiting import PATIENCE, wait_until
from validators.dashboard import consumers, live
from validators.models import ManagedNode
from validators.services.api_keys import generate_api_key
from validators.services.node_logs import log_file

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
]

Operate = Callable[..., object]
HOST = "localhost:8080"


class Socket:
    """One client: sends and receives JSON."""

    def __init__(self, **headers: str) -> None:
        named = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
        self.channel = WebsocketCommunicator(application, "/ws", headers=raw)

    async def connect(self) -> bool:
        accepted, _ = await self.channel.connect(timeout=PATIENCE)
        return bool(accepted)

    async def send(self, message: Any) -> None:
        await self.channel.send_to(text_data=msgspec.json.encode(message).decode())

    async def receive(self) -> Any:
        return msgspec.json.decode(await self.channel.receive_from(timeout=PATIENCE))

    async def until(self, kind: str) -> Any:
        """The next message of a kind; others are passed over."""
        while (message := await self.receive())["type"] != kind:
            pass
        return message


@pytest_asyncio.fixture
async def open_socket(learner: RealLearner) -> AsyncIterator[Callable[..., Any]]:
    """Open sockets with a fresh API key, or with whatever headers are given."""
    key = generate_api_key()
    await sync_to_async(store_key)(key, label="suite")
    opened: list[Socket] = []

    async def connect(**headers: str) -> Socket:
        socket = Socket(**(headers or {"X_API_Key": key}))
        opened.append(socket)
        assert await socket.connect()
        return socket

    yield connect
    for socket in opened:
        # One that was waited for in vain was cancelled, and would say so here. Pytest lets that exception
        # end its teardown, and every later test of this process gets the fixtures of this one.
        if not socket.channel.future.cancelled():
            await socket.channel.disconnect(timeout=PATIENCE)
    await live.live_of_this_loop().close()


async def session_cookie() -> str:
    def log_in() -> str:
        client = Client()
        client.force_login(User.objects.create_superuser("operator", password="x"))
        return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

    return await sync_to_async(log_in)()


# --- who may listen --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (f"http://{HOST}", True),
        ("http://localhost:3000", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
async def test_a_session_counts_only_on_our_own_pages(
    learner: RealLearner, origin: str | None, allowed: bool
) -> None:
    """A browser attaches the cookie to a foreign page's socket too."""
    headers = {"Cookie": await session_cookie()} | ({"Origin": origin} if origin else {})
    socket = Socket(**headers)
    assert await socket.connect() is allowed
    if allowed:
        await socket.channel.disconnect(timeout=PATIENCE)
        await live.live_of_this_loop().close()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (f"http://{HOST}", True),
        ("http://127.0.0.1:3000", True),
        ("https://scanner.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://[broken", False),
    ],
)
async def test_a_key_is_accepted_wherever_the_contract_allows(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch, origin: str | None, allowed: bool
) -> None:
    monkeypatch.setenv("DTVN_WS_ORIGINS", " https://Scanner.example ,")
    key = generate_api_key()
    await sync_to_async(store_key)(key, label="suite")
    socket = Socket(Authorization=f"Bearer {key}", **({"Origin": origin} if origin else {}))
    assert await socket.connect() is allowed
    if allowed:
        await socket.channel.disconnect(timeout=PATIENCE)
        await live.live_of_this_loop().close()


async def test_a_foreign_host_name_is_refused(learner: RealLearner) -> None:
    """DNS rebinding: the browser believes that evil.example is us."""
    socket = Socket(Host="evil.example", Cookie=await session_cookie(), Origin="http://evil.example")
    assert not await socket.connect()


@pytest.mark.parametrize(
    ("host", "origin", "shown", "allowed"),
    [
        ("localhost:8080", "http://localhost:8080", "none", True),
        ("dtvn.example", None, "none", True),
        ("dtvn.example", "http://dtvn.example", "none", False),
        ("dtvn.example", "http://dtvn.example", "wrong", False),
        ("dtvn.example", "http://dtvn.example", "right", True),
        ("dtvn.example", "http://evil.example", "right", False),
        ("dtvn.example", "http://scanner.example", "none", True),
        ("dtvn.example", "http://localhost:3000", "none", False),
        ("localhost:8080", "http://localhost:3000", "none", True),
        ("localhost:8080", "http://evil.example", "none", False),
    ],
)
async def test_c21_origins_that_a_supervisor_with_a_key_accepts(
    learner: RealLearner,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    origin: str | None,
    shown: str,
    allowed: bool,
) -> None:
    """A page of another name that was made to point here (DNS rebinding) reads no socket by that alone."""
    monkeypatch.setattr(settings, "SUPERVISOR", True)
    monkeypatch.setattr(settings, "KNOWN_HOSTS", ["localhost", "127.0.0.1"])
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["*"])
    monkeypatch.setenv("DTVN_WS_ORIGINS", "http://scanner.example")
    key = generate_api_key()
    await sync_to_async(store_key)(key, label="suite")
    keys = {"right": {"X_API_Key": key}, "wrong": {"X_API_Key": "dtvn_wrong"}, "none": {}}
    socket = Socket(Host=host, **keys[shown], **({"Origin": origin} if origin else {}))
    assert await socket.connect() is allowed
    if allowed:
        await socket.channel.disconnect(timeout=PATIENCE)
        await live.live_of_this_loop().close()


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("evil.example", "http://evil.example", False),
        ("evil.example", None, False),
        ("evil.example", "http://localhost", False),
        ("localhost", "http://scanner.example", True),
    ],
)
async def test_c21_origins_that_an_open_supervisor_accepts(
    learner: RealLearner, monkeypatch: pytest.MonkeyPatch, host: str, origin: str | None, allowed: bool
) -> None:
    monkeypatch.setattr(settings, "SUPERVISOR", True)
    for hosts in ("KNOWN_HOSTS", "ALLOWED_HOSTS"):
        monkeypatch.setattr(settings, hosts, ["localhost", "127.0.0.1"])
    monkeypatch.setenv("DTVN_WS_ORIGINS", "http://scanner.example")
    socket = Socket(Host=host, **({"Origin": origin} if origin else {}))
    assert await socket.connect() is allowed
    if allowed:
        await socket.channel.disconnect(timeout=PATIENCE)
        await live.live_of_this_loop().close()


# --- what a client is told -------------------------------------------------------------------------


async def test_each_applied_operation_is_sent_once_and_refusals_are_not(
    open_socket: Any, operate: Operate
) -> None:
    socket = await open_socket()
    await socket.until("connected")
    operate("issue T-1", "validate T-1", "validate T-1", "admit T-1", "consume T-1")
    operate("issue T-2", "validate T-2", "dispute T-2", "clear T-2")
    told = [(await socket.receive())["type"] for _ in range(7)]
    assert told == [
        "ticket_issued",
        "ticket_validated",
        "ticket_consumed",
        "ticket_issued",
        "ticket_validated",
        "ticket_disputed",
        "ticket_resolved",
    ]


async def test_the_log_of_another_cluster_is_told_from_its_beginning(
    open_socket: Any, operate: Operate
) -> None:
    """It makes no difference how far the earlier process had come."""
    socket = await open_socket()
    await socket.until("connected")
    operate("issue T-1", "issue T-2", "issue T-3")
    for _ in range(3):
        await socket.until("ticket_issued")
    feed = live.live_of_this_loop()
    feed.tell({"type": "feed.founded"})
    assert await socket.until("reset") == {"type": "reset", "sequence": 0}
    text = msgspec.json.encode({"events": [{"type": "ticket_issued", "ticket_id": "first"}]}).decode()
    feed.tell({"type": "feed.events", "after": 0, "to": 1, "text": text})
    assert (await socket.until("ticket_issued"))["ticket_id"] == "first"


async def test_what_a_slow_client_owes_of_an_earlier_log_holds_the_new_one_back_no_more(
    open_socket: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "UNACKNOWLEDGED_MAX", 1)
    socket = await open_socket()
    sequence = (await socket.until("connected"))["sequence"]
    await socket.send({"type": "resume", "after": sequence, "batch": True})
    operate("issue T-1")
    await socket.until("events")
    feed = live.live_of_this_loop()
    feed.tell({"type": "feed.founded"})
    await socket.until("reset")
    text = msgspec.json.encode({"type": "events", "after": 0, "to": 1, "events": []}).decode()
    feed.tell({"type": "feed.events", "after": 0, "to": 1, "text": text})
    assert (await socket.until("events"))["after"] == 0


async def test_only_the_first_seed_sends_an_event(open_socket: Any, operate: Operate) -> None:
    socket = await open_socket()
    await socket.until("connected")
    operate("seed")
    operate("seed")
    operate("validate TICKET-001")
    seeded = await socket.receive()
    assert (seeded["type"], seeded["count"], seeded["unique"], seeded["nodes"]) == (
        "tickets_seeded",
        2000,
        500,
        4,
    )
    assert (await socket.receive())["type"] == "ticket_validated"


async def test_pings_are_answered_and_nonsense_is_ignored(open_socket: Any) -> None:
    socket = await open_socket()
    await socket.until("connected")
    for nonsense in (
        "no json",
        "[1]",
        '{"type": "resume", "after": "x"}',
        '{"type": "resume", "after": true}',
    ):
        await socket.channel.send_to(text_data=nonsense)
    for junk in (b"\xff\x00", b"\xff", b'"\xff"', b'{"type": "\xff"}', b"[" * 60_000):
        await socket.channel.send_to(bytes_data=junk)
    await socket.send({"type": "ping"})
    assert await socket.receive() == {"type": "pong"}


# --- in the client's pace --------------------------------------------------------------------------


async def test_the_first_lines_of_a_node_that_appears_are_sent(open_socket: Any) -> None:
    """Its process may have written all of them before a poll finds the node."""
    rows = ManagedNode.objects.filter(node_id="r3")
    (row,) = [each async for each in rows]
    await rows.adelete()
    socket = await open_socket()
    await socket.until("connected")
    log = log_file("r3")
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-20T10:00:00.000Z INFO     listens\n")
    await row.asave(force_insert=True)
    told = await socket.until("node_output")
    assert (told["node_id"], told["line"][-7:]) == ("r3", "listens")


async def test_frames_continue_from_the_sequence_a_client_resumed_at(
    open_socket: Any, operate: Operate
) -> None:
    """A snapshot is often newer than the relay: what it covers is not sent again."""
    socket = await open_socket()
    await socket.until("connected")
    live.live_of_this_loop().relay.position = 0
    operate("issue T-1")
    await socket.send({"type": "resume", "after": 2, "batch": True})
    await socket.send({"type": "ping"})
    await socket.until("pong")
    operate("issue T-2")
    frame = await socket.until("events")
    assert (frame["after"], frame["to"], len(frame["events"])) == (2, 3, 1)


async def test_a_client_that_missed_too_much_is_asked_to_reload(
    open_socket: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CATCH_UP_FRAMES", 2)
    for batch in range(4):
        operate(*(f"issue T-{batch}-{number}" for number in range(500)))
    socket = await open_socket()
    await socket.until("connected")
    await socket.send({"type": "resume", "after": 1, "batch": True})
    assert (await socket.until("reset"))["sequence"] == 5


async def test_a_frame_that_was_dropped_is_read_again(
    open_socket: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await open_socket()
    await socket.until("connected")
    await socket.send({"type": "resume", "after": 1, "batch": True})
    await socket.send({"type": "ping"})
    await socket.until("pong")
    feed = live.live_of_this_loop()
    dropped = asyncio.Event()

    async def drop(frame: Any) -> None:
        dropped.set()

    with monkeypatch.context() as patch:
        patch.setattr(feed.relay, "_publish", drop)
        operate("issue T-1")
        await asyncio.wait_for(dropped.wait(), PATIENCE)
    operate("issue T-2")
    frames = [await socket.until("events")]
    while frames[-1]["to"] < 3:
        frames.append(await socket.until("events"))
    assert [event["ticket_id"] for frame in frames for event in frame["events"]] == ["T-1", "T-2"]


async def test_a_client_that_stops_acknowledging_loses_no_frame(
    open_socket: Any, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "UNACKNOWLEDGED_MAX", 1_000)
    slow, quick = await open_socket(), await open_socket()
    for socket in (slow, quick):
        await socket.until("connected")
        await socket.send({"type": "resume", "after": 1, "batch": True})
    got: list[Any] = []
    for number in range(2, 12):
        operate(*(f"issue T-{number}-{index}" for index in range(8)))
        while not got or got[-1]["to"] < number:
            got.append(await quick.until("events"))
            await quick.send({"type": "ack", "sequence": got[-1]["to"]})
    held = await slow.until("events")
    await slow.send({"type": "ping"})
    await slow.until("pong")
    assert held["to"] < 11
    late = [held]
    while late[-1]["to"] < 11:
        await slow.send({"type": "ack", "sequence": late[-1]["to"]})
        late.append(await slow.until("events"))
    assert [frame["after"] for frame in late] == [1, *(frame["to"] for frame in late[:-1])]
    assert sum(len(frame["events"]) for frame in late) == 80


@pytest.mark.ci
async def test_fifty_clients_get_every_event(open_socket: Any, operate: Operate) -> None:
    sockets = [await open_socket() for _ in range(50)]
    for socket in sockets:
        await socket.until("connected")
        await socket.send({"type": "resume", "after": 1, "batch": True})
    for batch in range(10):
        operate(*(f"issue T-{batch}-{number}" for number in range(500)))

    async def drain(socket: Socket) -> int:
        events, to = 0, 1
        while to < 11:
            frame = await socket.until("events")
            assert frame["after"] == to
            to, events = frame["to"], events + len(frame["events"])
            await socket.send({"type": "ack", "sequence": to})
        return events

    assert await asyncio.gather(*map(drain, sockets)) == [5_000] * 50


async def test_recent_frames_are_bounded_and_the_oldest_go_first() -> None:
    recent = live.Recent(characters_max=100)
    for after in range(10):
        recent.add(live.Sendable(after=after, to=after + 1, text="x" * 30))
    assert [after for after in range(10) if recent.get(after)] == [7, 8, 9]
    recent.add(live.Sendable(after=10, to=11, text="x" * 500))
    assert recent.get(10) is not None
    assert recent.get(9) is None


class Watched(asyncio.Event):
    """Says whether one task waits for it in vain; the feed's own parts wait for it too."""

    idle = False
    task: asyncio.Task[None] | None = None

    async def wait(self) -> Literal[True]:
        if asyncio.current_task() is self.task:
            self.idle = not self.is_set()
        return await super().wait()


async def test_what_a_part_of_the_feed_tells_while_nobody_watches_is_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "PART_INTERVAL", 0.001)
    feed, asked, told = live.live_of_this_loop(), list[int](), list[Any]()
    monkeypatch.setattr(feed, "tell", told.append)
    feed._watched = watched = Watched()

    class Part:
        newest = 5

        def newest_event(self) -> int:
            return self.newest

        def read_frames(self, after: int) -> tuple[int, list[dict[str, Any]]]:
            asked.append(after)
            return after, []

    part = Part()
    watched.task = task = asyncio.create_task(feed._watch_part(part))
    for newest in (5, 9):
        part.newest = newest
        asked.clear()
        watched.set()
        await asyncio.to_thread(wait_until, lambda: len(asked) > 1, what="two looks")
        watched.clear()
        assert asked[-1] == newest
        await asyncio.to_thread(wait_until, lambda: watched.idle, what="it waits for a client")
    task.cancel()
    assert told == []
