"""What an agent elsewhere is sent and what its client gets of it: targets, headers, bodies, failures, and who
goes away when; over a transport that does what a script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx

from dtvn.proxy.forward import Forward
from dtvn.proxy.middleware import StreamBroke
from tests.golden import Compare, Telling
from tests.waiting import until

GOLDEN = Path(__file__).parent / "golden"
CHUNKED = [(b"transfer-encoding", b"chunked")]


class Body(httpx.AsyncByteStream):
    """An answer's body: pieces, and errors between them."""

    def __init__(self, story: Story, pieces: Sequence[bytes | Exception]) -> None:
        self._story, self._pieces = story, pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self._story.say("  its answer is closed")


class Story(Telling):
    """The agent's side of a forward, and its client's."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = (200, [])
        self.reads = True
        """Whether the agent reads the body of a request."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = request.extensions["target"]
        self.say(f"  agent: {request.method} {target!r} {request.extensions['timeout']}")
        for name, value in request.headers.raw:
            self.say(f"    {name!r}: {value!r}")
        if self.reads:
            stream = cast(httpx.AsyncByteStream, request.stream)
            self.say(f"    body {[piece async for piece in stream]}")
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.say("  the request is cancelled")
        status, pieces, *headers = self.answer
        return httpx.Response(status, headers=headers, stream=Body(self, pieces))

    async def aclose(self) -> None:
        self.say("  the transport is closed")

    async def ask(self, forward: Forward, messages: Sequence[dict[str, Any]], **scope: Any) -> None:
        """One request; after these messages its client stays, silent."""
        whole = {"type": "http", "method": "POST", "path": "/run", "query_string": b"", "headers": []} | scope
        arrived = iter(messages)

        async def receive() -> dict[str, Any]:
            message = next(arrived, None)
            if message is None:
                await asyncio.Event().wait()
            return message or {}

        async def send(message: dict[str, Any]) -> None:
            shown = {name: value for name, value in message.items() if name != "type"}
            self.say(f"  client: {message['type']} {shown}")

        shown = {name: value for name, value in scope.items() if name != "type"}
        self.say(f"{whole['type']} {shown}")
        try:
            async with asyncio.timeout(5):
                await forward(whole, cast(Any, receive), cast(Any, send))
        except StreamBroke as error:
            self.say(f"  ! StreamBroke: {error}")
        self.say(f"  {forward._open} are passed on")


def made(story: Story, upstream: str, **options: Any) -> Forward:
    forward = Forward(upstream, **options)
    forward._transport = cast(Any, story)
    story.say(f"# {forward.url}, {options}")
    return forward


def body(*pieces: bytes, more: bool = False) -> list[dict[str, Any]]:
    last = len(pieces) - 1
    return [
        {"type": "http.request", "body": piece, "more_body": more or at < last}
        for at, piece in enumerate(pieces)
    ]


GONE: dict[str, Any] = {"type": "http.disconnect"}


def test_what_is_passed_on(golden: Compare) -> None:
    async def play(story: Story) -> None:
        plain = made(story, "http://agent.test:8000/")
        below = made(story, "https://agent.test/base/", silence_seconds=7.0, connect_seconds=3.0)
        story.answer = (200, [b"one", b"two"], (b"content-type", b"text/event-stream"), (b"x-a", b"1"))
        headers = [
            *((b"host", b"proxy.test"), (b"content-type", b"application/json"), (b"content-length", b"4")),
            *((b"connection", b"x-gone"), (b"x-gone", b"1"), (b"x-kept", b"2"), (b"accept-encoding", b"br")),
        ]
        for forward in (plain, below):
            await story.ask(forward, body(b"ab", b"", b"cd"), headers=headers, client=("192.0.2.7", 7))
        await story.ask(
            plain, body(b"ab"), headers=[*CHUNKED, (b"content-length", b"9")], query_string=b"a=1&b"
        )
        await story.ask(below, body(b""), method="GET", raw_path=b"/a%20b;c", path="/a b;c", scheme="https")
        for path in (b"/a/../b", b"/a/%2e%2E/b", b"/a\\..\\b", b"/..;x/b", b"/a/./b", b"/.", b"/...", b"//"):
            for forward in (plain, below):
                await story.ask(forward, body(b""), method="GET", raw_path=path)
        for scope in (
            {"method": "CONNECT"},
            {"raw_path": b"*", "method": "OPTIONS"},
            {"type": "websocket"},
            {"path": "", "method": "GET"},
        ):
            await story.ask(plain, [], **scope)
        await story.ask(plain, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], type="lifespan")

    story = Story()
    asyncio.run(play(story))
    golden(GOLDEN / "forwarded.txt", story.text)


def test_what_fails(golden: Compare) -> None:
    async def play(story: Story) -> None:
        forward = made(story, "http://agent.test", silence_seconds=7.0, connect_seconds=3.0, streams=1)
        for error in (
            httpx.ConnectTimeout("slow"),
            httpx.ReadTimeout("slow"),
            httpx.WriteTimeout("slow"),
            httpx.PoolTimeout("slow"),
            httpx.ConnectError("refused"),
            httpx.ReadError(""),
            httpx.RemoteProtocolError("Server disconnected"),
        ):
            story.answer = error
            await story.ask(forward, body(b"x"), headers=CHUNKED)
        for status in (199, 204, 304, 500, 599, 600):
            story.answer = (status, [b"said"])
            await story.ask(forward, body(b""), method="GET")
        for broken in (httpx.ReadTimeout("slow"), httpx.ReadError("reset")):
            story.answer = (200, [b"one", broken])
            await story.ask(forward, body(b""), method="GET")
        story.say("# The client goes away")
        story.answer = None
        await story.ask(forward, [*body(b""), GONE], method="GET")
        await story.ask(forward, [*body(b"all"), GONE], headers=CHUNKED)
        await story.ask(forward, [*body(b"a part", more=True), GONE], headers=CHUNKED)
        story.reads, story.answer = False, (200, [b"early"])
        await story.ask(forward, [*body(b"a part", more=True)], headers=CHUNKED)
        story.say("# One is passed on at a time")
        story.answer = None
        first = asyncio.ensure_future(story.ask(forward, body(b""), method="GET"))
        await until(lambda: bool(forward._open))
        await story.ask(forward, body(b""), method="GET")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        story.say(f"{forward._open} are passed on")

    story = Story()
    asyncio.run(play(story))
    golden(GOLDEN / "forward-fails.txt", story.text)
