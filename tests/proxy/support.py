"""A scripted agent, the proxy before it, and clients: real sockets, one event loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from dtvn.cli.serving import serving
from dtvn.proxy import NAME, EventsMiddleware, Forward, Judge, LocalJudge, Mode, Report
from tests.events.rules.samples import event
from tests.waiting import PATIENCE

GOOD = [event("RS"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF")]
BAD = [event("RS"), event("TS:m"), event("TC:z"), event("TC:m"), event("TE:m"), event("RF")]
SSE = b"text/event-stream"


def sse(events: Iterable[bytes]) -> bytes:
    return b"".join(b"data: " + each + b"\n\n" for each in events)


@dataclass
class Request:
    """What the agent was asked, and the connection to answer on."""

    line: bytes
    headers: dict[bytes, bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def body(self) -> bytes:
        """The rest of a request with Content-Length."""
        return await self.reader.readexactly(int(self.headers.get(b"content-length", b"0")))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def start(self, kind: bytes = SSE, *headers: bytes, status: bytes = b"200 OK") -> None:
        lines = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Transfer-Encoding: chunked", *headers]
        await self.send(b"\r\n".join([*lines, b"", b""]))

    async def piece(self, data: bytes) -> None:
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def finish(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def left(self) -> None:
        """Until the other side has closed the connection."""
        while await asyncio.wait_for(self.reader.read(65536), PATIENCE):
            pass


Script = Callable[[Request], Awaitable[None]]


def answering(body: bytes, kind: bytes = SSE, *headers: bytes, status: bytes = b"200 OK") -> Script:
    """An agent that answers this at once."""

    async def script(request: Request) -> None:
        await request.body()
        await request.start(kind, *headers, status=status)
        if body:
            await request.piece(body)
        await request.finish()

    return script


@dataclass
class Agent:
    """A server that runs a script for each connection."""

    script: Script
    requests: list[Request] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *lines = head.rstrip(b"\r\n").split(b"\r\n")
            headers = {each.partition(b":")[0].lower(): each.partition(b":")[2].strip() for each in lines}
            request = Request(line, headers, reader, writer)
            self.requests.append(request)
            await self.script(request)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except BaseException as error:
            self.failures.append(error)
            raise
        finally:
            writer.close()


@asynccontextmanager
async def listening(agent: Agent) -> AsyncIterator[str]:
    """The address of an agent."""
    server = await asyncio.start_server(agent.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
    assert not agent.failures


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The address at which an application is served as `dtvn events-proxy` is."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(serving(app, shutdown_seconds=1))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@dataclass
class Proxied:
    """A running proxy."""

    url: str
    agent: Agent
    reports: asyncio.Queue[Report]

    async def report(self) -> Report:
        return await asyncio.wait_for(self.reports.get(), PATIENCE)

    async def post(self, path: str = "/agent", **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            return await client.post(self.url + path, **({"content": b"{}"} | options))

    async def raw(self, line: bytes) -> bytes:
        """The whole answer to a request of this first line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(self.url).port)
        writer.write(line + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        try:
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    @asynccontextmanager
    async def stream(self, path: str = "/agent", **options: Any) -> AsyncIterator[httpx.Response]:
        client = httpx.AsyncClient(trust_env=False, timeout=PATIENCE)
        async with client, client.stream("POST", self.url + path, **({"content": b"{}"} | options)) as answer:
            yield answer


@asynccontextmanager
async def proxied(
    script: Script,
    mode: Mode | str = Mode.OBSERVE,
    *,
    judge: Judge | None = None,
    silence: float | None = PATIENCE,
    upstream: str | None = None,
    **options: Any,
) -> AsyncIterator[Proxied]:
    """The proxy before an agent that runs `script`."""
    agent, reports = Agent(script), asyncio.Queue[Report]()
    async with listening(agent) as address:
        forward = Forward(upstream or address, silence_seconds=silence)
        app = EventsMiddleware(
            forward, judge or LocalJudge(), mode=Mode(mode), report=reports.put_nowait, **options
        )
        async with served(app) as url:
            yield Proxied(url, agent, reports)


def parsed(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream of server-sent events or JSON lines."""
    lines = [
        line.removeprefix(b"data: ") for line in body.splitlines() if line[:1] == b"{" or line[:5] == b"data:"
    ]
    return [json.loads(line) for line in lines]


def types(body: bytes) -> list[str]:
    """The types of its events; CUSTOM events of the proxy as `!valid`, `!bad`, `!unjudged`."""
    said = {True: "!valid", False: "!bad", None: "!unjudged"}
    return [
        said[each["value"]["valid"]] if each.get("name") == NAME else each["type"] for each in parsed(body)
    ]
