"""A node's own API told whole: every route's answer and what is reported of it, deadlines of connections in a
time that passes at once, and reports to the node."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from uvicorn.server import ServerState

from dtvn.api.helper import process, routes
from dtvn.api.helper.deadlines import TimedProtocol
from dtvn.api.helper.process import _configuration, _tell
from dtvn.api.helper.service import Service
from dtvn.node.api_channel import Answered, Channel, Counted
from tests.fake_gateway import FakeGateway
from tests.golden import Compare, Telling
from tests.net.still import passes, play
from tests.node_api.test_deadlines import App
from tests.node_api.test_routes import FOREIGN, STATUS, Node

GOLDEN = Path(__file__).parent / "golden"
UNTOLD = {"date", "content-length"}


class Story(Telling):
    """Requests to a node's API, their answers, and what is reported of them."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        self.node.service.ledger.event_zone = lambda _event: "Europe/Berlin"

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> None:
        answer = self.node.ask(method, path, content, **headers)
        self.say(f"{method} {path} {content[:60]!r} {headers}")
        told = {name: value for name, value in answer.headers.items() if name not in UNTOLD}
        self.say(f"  {answer.status_code} {told}")
        self.say("  " + re.sub(r'"(Timestamp|timestamp)":\d+', r'"\1":...', answer.text)[:600])
        for each in self.node.service.take_answered():
            fields = [getattr(each, name) for name in Answered.__struct_fields__ if name != "seconds"]
            self.say(f"  reported {fields}, timed {0 <= each.seconds < 60}")


def test_what_a_nodes_api_answers(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "time", SimpleNamespace(time=lambda: 1_790_000_000.5))
    story = Story(Node(cors=False))
    for path in (
        *("/health", "/live", "/ready", "/ws", "/", "/api/v1/status", "/api/v1/stats", "/api/v1/peers"),
        *("/api/v1/config", "/api/v1/node/crypto", "/api/v1/storage/entries", "/api/v1/tickets?limit=2"),
        *("/api/v1/tickets?limit=0", "/api/v1/tickets/T-1", "/api/v1/tickets/T-9?event=e", "/api/v1/nowhere"),
        *("/api/v1/consensus/logs?limit=1", "/api/v1/consensus/logs?outcome=odd", "/api/v1/tickets/a%20b"),
    ):
        story.ask("GET", path)
    for method, path in (
        *(
            ("HEAD", "/health"),
            ("POST", "/health"),
            ("PUT", "/api/v1/tickets"),
            ("DELETE", "/api/v1/tickets/T"),
        ),
        *(("OPTIONS", "/api/v1/tickets"), ("OPTIONS", "/health")),
    ):
        story.ask(method, path)
    story.chapter("Whose answers other sites may read, and who has the key")
    for options in ({"cors": True}, {"key": "right"}):
        story.node = Node(**options)
        for headers in ({}, {"X-API-Key": "right"}, {"Authorization": "Bearer right"}, {"Origin": FOREIGN}):
            for method in ("GET", "POST", "OPTIONS"):
                story.ask(method, "/api/v1/peers", **cast(Any, headers))
    _operations(story)
    _states(story, monkeypatch)
    golden(GOLDEN / "routes.txt", story.text)


def _operations(story: Story) -> None:
    story.chapter("Operations: without a key of a principal, then with one")
    story.node = Node(cors=False)
    story.ask("POST", "/api/v1/tickets/validate", b'{"ticket_id": "T-1"}')
    service = story.node.service
    gateway = FakeGateway(service.genesis, principal="gateway")
    gateway.has_quorum = True  # type: ignore[attr-defined]
    service._gateway = gateway
    service._writers = service._readers
    service.ledger.event_zone = lambda _event: ""
    service.ledger.applied_sequence = lambda: 99
    for path, body in (
        *(("tickets", b"{"), ("tickets", b"[]"), ("tickets", b"{}"), ("tickets", b'{"ticket_id": 7}')),
        *(("tickets", b'{"ticket_id": "T-1", "odd": 1}'), ("tickets/seed", b"{}")),
        ("tickets/seed", b'{"start": 3, "count": 2}'),
    ):
        story.ask("POST", f"/api/v1/{path}", body)
    for path in ("tickets", "tickets", "tickets/validate", "tickets/consume", "tickets/dispute"):
        story.ask("POST", f"/api/v1/{path}", b'{"ticket_id": "T-1"}', **{"Idempotency-Key": "once"})
    story.ask("POST", "/api/v1/tickets/validate", b'{"ticket_id": "T-1"}', **{"Idempotency-Key": "x" * 300})
    story.say(f"{service._waiting} operations wait")
    for name in ("quorum", "mute", "full"):
        setattr(gateway, name, name != "quorum")
        story.ask("POST", "/api/v1/tickets/consume", b'{"ticket_id": "T-1"}')
        setattr(gateway, name, name == "quorum")


def _states(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.chapter("Other states of a node, and a mistake of the program")
    story.node = Node(cors=False)
    service = story.node.service
    others: tuple[dict[str, Any], ...] = ({"state": "following"}, {"log_time_ahead": 7.5}, {"states": {}})
    for changed in others:
        service._status = STATUS | changed
        for path in ("/ready", "/health"):
            story.ask("GET", path)
    monkeypatch.setattr(service.ledger, "storage_stats", lambda: 1 // 0)
    monkeypatch.setattr("logging.Logger.error", lambda *_arguments, **_named: None)
    story.ask("GET", "/api/v1/stats")
    service._status_at = time.monotonic() - 11
    for path in ("/ready", "/health"):
        story.ask("GET", path)
    service._status = None
    for path in ("/ready", "/health", "/api/v1/status", "/api/v1/peers"):
        story.ask("GET", path)


# --- deadlines -------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A client's connection: what it is sent, and how it ends."""

    def __init__(self, told: Telling, name: str) -> None:
        super().__init__()
        self._told, self.name = told, name
        self.protocol: asyncio.BaseProtocol
        self.ended = False
        self.unread = 0
        self.max_size = 0

    def _say(self, what: str) -> None:
        loop = asyncio.get_running_loop()
        self._told.say(f"  {loop.time() - 1_000:g} s, {self.name}: {what}")

    def write(self, data: bytes) -> None:  # type: ignore[override]
        head, end, body = data.partition(b"\r\n\r\n")
        status = head.split()[1] if end else b""
        if status or data:
            self._say(f"is sent {status!r} {(body if end else data)[:99]!r}")

    def _lose(self, how: str) -> None:
        if not self.ended:
            self._say(how)
            self.ended = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def close(self) -> None:
        if self.unread and not self.ended:
            self._say("is to be closed")
            return
        self._lose("is closed")

    def abort(self) -> None:
        self._lose("is aborted")

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class Narrow(TimedProtocol):
    connections_max = 3


class Clients(Telling):
    """Connections to one server."""

    def __init__(self) -> None:
        super().__init__()
        self._state = ServerState()
        self._configuration = _configuration(App())
        self._configuration.load()

    def connect(self, name: str) -> Wire:
        wire = Wire(self, name)
        made = Narrow(config=self._configuration, server_state=self._state, app_state={})
        wire.protocol = made
        made.connection_made(wire)
        return wire

    async def after(self, seconds: float, *sent: tuple[Wire, bytes]) -> None:
        await passes(seconds)
        for wire, data in sent:
            self.say(f"after {seconds:g} s {wire.name} says {data[:50]!r}")
            cast(Any, wire.protocol).data_received(data)
        await passes(0.01)
        for wire, _data in sent:
            self.say(f"  it waits for its client: {cast(Any, wire.protocol).waits_for_client}")


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


async def _late(told: Clients) -> None:
    for name, words in (
        ("silent", []),
        ("slow", [b"GET / HT", b"TP/1.1\r\nHo", b"st: x\r\n"]),
        ("half a body", [POST, b"ab"]),
        ("whole at last", [POST, b"ab", b"cd"]),
        ("odd", [b"junk\r\n\r\n"]),
        ("too long", [b"GET / HTTP/1.1\r\nHost: " + b"x" * 70_000]),
    ):
        told.say(f"# {name}")
        wire = told.connect(name)
        for each in words:
            await told.after(4.0, (wire, each))
        await told.after(20.0)
        await told.after(70.0)
        wire.abort()
        await passes(0)


async def _kept(told: Clients) -> None:
    told.say("# Several requests of one connection")
    wire = told.connect("kept")
    for seconds, words in ((1.0, GET + GET), (50.0, GET), (50.0, POST), (14.9, b"abcd"), (29.0, GET[:9])):
        await told.after(seconds, (wire, words))
    await told.after(20.0)
    told.say("# An answer that is not read")
    wire = told.connect("unread")
    wire.unread = 9
    await told.after(0.0, (wire, GET))
    await told.after(31.0)
    told.say("# The program itself was paused")
    wire = told.connect("paused")
    await told.after(1.0, (wire, GET[:9]))
    loop = cast(Any, asyncio.get_running_loop())
    loop.now += 40.0
    await told.after(0.1)
    await told.after(20.0)


async def _crowded(told: Clients) -> None:
    told.say("# More than three connections")
    wires = [told.connect(f"c{number}") for number in range(2)]
    await told.after(1.0, (wires[0], GET), (wires[1], POST + b"ab"))
    for number in range(2, 6):
        wires.append(told.connect(f"c{number}"))
        await told.after(1.0)
    for wire in wires:
        wire.abort()
    await passes(0)


def test_deadlines_of_connections(golden: Compare) -> None:
    async def whole() -> None:
        for story in (_late, _kept, _crowded):
            await story(told)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    told = Clients()
    play(whole())
    golden(GOLDEN / "deadlines.txt", told.text)


# --- reports to the node ---------------------------------------------------------------------------


def test_what_the_node_is_told(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ANSWERED_MAX", 3)
    told = Telling()
    room = [True]

    def send(message: Counted) -> bool:
        names = [each.path for each in message.answered]
        now = asyncio.get_running_loop().time() - 1_000
        said = f"{names}, {message.sockets} sockets, {message.faults} faults"
        told.say(f"{now:.3f} s: {said}{'' if room[0] else ', no room'}")
        return room[0]

    def answered(service: Service, *paths: str) -> None:
        for path in paths:
            service.answered(Answered("GET", "/", 200, 0.1, path))

    async def whole() -> None:
        service: Any = Service.__new__(Service)
        service._answered, service._faults, service._sockets, service.news = [], 0, 0, asyncio.Event()
        telling = asyncio.ensure_future(_tell(cast(Channel, SimpleNamespace(send=send)), service))
        steps: Sequence[tuple[float, Any]] = (
            *((1.2, lambda: answered(service, "/a")), (0.0, lambda: answered(service, "/b"))),
            *((0.005, lambda: answered(service, "/c")), (0.1, service.failed)),
            *((0.1, lambda: setattr(service, "sockets", 2)), (0.1, lambda: setattr(service, "sockets", 2))),
            *((0.1, lambda: room.__setitem__(0, False)), (0.1, lambda: answered(service, "/d", "/e"))),
            *((0.1, service.failed), (0.1, lambda: answered(service, "/f", "/g"))),
            *((0.7, lambda: room.__setitem__(0, True)), (0.7, lambda: None)),
        )
        for seconds, act in steps:
            await passes(seconds)
            act()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)

    play(whole())
    golden(GOLDEN / "reports.txt", told.text)
