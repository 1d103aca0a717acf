"""The ASGI application that answers each POST with the next recorded run, as server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dtvn.replay.recording import Recorded
from dtvn.replay.renaming import Names

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_BYTES_MAX = 32 * 1024 * 1024
THREADS = 1_024
"""Threads of which it is known how many runs they were given; who asked longest ago is forgotten first."""
STREAMS = 100
PAUSE_MAX = 60.0
"""Most seconds of one wait between two events."""
ANY = "*"
_EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class _Input(Struct, rename="camel"):
    """What a replay needs of a RunAgentInput; the rest is for agents, of whatever release."""

    thread_id: str
    run_id: str
    messages: list[Any]


class Answered(Struct, frozen=True):
    """A request that was answered: with a run (`number` of it, from 1) or with an error (`number` 0)."""

    number: int
    thread: str
    run: str
    events: int
    whole: bool
    """Whether the client took all of it."""
    said: str = ""
    """Why it was an error."""


class Replay:
    """Answers with these runs, in turn within each thread, and after the last one with the first again."""

    def __init__(
        self,
        runs: Sequence[Sequence[Recorded]],
        *,
        as_recorded: bool = False,
        speed: float | None = 1.0,
        origins: Sequence[str] = (),
        streams: int = STREAMS,
        report: Callable[[Answered], None] | None = None,
    ) -> None:
        """`speed`: how much faster than their timestamps say the events come, None: at once. `origins`: those
        whose pages may ask besides the server's own, `*` for any. `streams`: how many requests are answered
        at once."""
        self._runs = runs
        self._as_recorded = as_recorded
        self._speed = speed
        self._origins = {origin.encode("latin-1", "replace") for origin in origins}
        self._streams = streams
        self._open = 0
        self._report = report
        self._given: OrderedDict[bytes, int] = OrderedDict()
        """Digest of a thread's name -> how many runs it was given: names may be as long as a body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if (origin := self._refused_origin(scope)) is not None:
            # A browser sends some POSTs of any page without asking first: they would take a thread's turn.
            wanted = "'*'" if origin == "null" else origin
            said = f"Pages of origin {origin} may not ask: start it with --allow-origin {wanted}"
            await self._refuse(send, 403, said, [])
        elif self._open >= self._streams:
            said = (
                f"At most {self._streams} are answered at once: try again later, or give a larger --streams"
            )
            await self._refuse(send, 503, said, self._allowed(scope))
        else:
            self._open += 1
            try:
                await self._dispatch(scope, receive, send)
            finally:
                self._open -= 1

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope)
        if scope["method"] == "OPTIONS":
            await self._preflight(scope, allowed, send)
        elif scope["method"] != "POST":
            said = "This agent answers POST with a RunAgentInput."
            await self._refuse(send, 405, said, [*allowed, (b"allow", b"POST, OPTIONS")])
        else:
            body = await _body(receive)
            if body is None:
                await self._refuse(send, 413, f"The body has more than {BODY_BYTES_MAX} bytes.", allowed)
                return
            try:
                msgspec.json.decode(body, type=_Input)
                given = msgspec.json.decode(body)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                said = f"The body is no RunAgentInput: {error}. Send threadId, runId and messages."
                await self._refuse(send, 422, said, allowed)
                return
            await self._answer(given, allowed, receive, send)

    # --- one answer ------------------------------------------------------------------------------

    async def _answer(
        self, given: dict[str, Any], allowed: list[tuple[bytes, bytes]], receive: Receive, send: Send
    ) -> None:
        place, time = self._turn(given["threadId"])
        run = self._runs[place]
        names = None if self._as_recorded else Names(given, time)
        await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *allowed]})
        left = asyncio.ensure_future(_left(receive))
        sent, whole = 0, False
        try:
            before: float | None = None
            for event in run:
                await self._wait(before, event.timestamp, left)
                if left.done():
                    break
                before = event.timestamp if event.timestamp is not None else before
                text = event.text if names is None else names.renamed(event)
                await send({"type": "http.response.body", "body": b"data: %b\n\n" % text, "more_body": True})
                sent += 1
            whole = sent == len(run) and not left.done()
            await send({"type": "http.response.body", "body": b""})
        finally:
            left.cancel()
            self._told(Answered(place + 1, given["threadId"], given["runId"], sent, whole))

    def _turn(self, thread: str) -> tuple[int, int]:
        """(which run is next in this thread, how often it has been then)."""
        name = hashlib.blake2b(thread.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        count = self._given.pop(name, 0)
        self._given[name] = count + 1
        if len(self._given) > THREADS:
            self._given.popitem(last=False)
        return count % len(self._runs), count // len(self._runs) + 1

    async def _wait(self, before: float | None, now: float | None, left: asyncio.Future[None]) -> None:
        """Wait as long as the recording did between two times, or until the client has left."""
        if self._speed is None or before is None or now is None or now <= before:
            return
        seconds = min((now - before) / 1000 / self._speed, PAUSE_MAX)
        await asyncio.wait({left}, timeout=seconds)

    # --- other answers ---------------------------------------------------------------------------

    def _refused_origin(self, scope: Scope) -> str | None:
        """The origin of the page that asks, if it may not; None for programs, which name none, and for the
        server's own pages."""
        origin, host = _header(scope, b"origin"), _header(scope, b"host") or b""
        own = (b"http://" + host, b"https://" + host)
        if origin is None or origin in own or self._allowed(scope):
            return None
        return origin.decode("latin-1")

    def _allowed(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The headers with which a browser lets a page of the request's origin read the answer."""
        origin = _header(scope, b"origin")
        if origin is None or not (origin in self._origins or ANY.encode() in self._origins):
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]

    async def _preflight(self, scope: Scope, allowed: list[tuple[bytes, bytes]], send: Send) -> None:
        asked = [
            (b"access-control-allow-headers", value)
            for name, value in scope["headers"]
            if name == b"access-control-request-headers"
        ]
        headers = [*allowed, *asked, (b"access-control-allow-methods", b"POST")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, send: Send, status: int, said: str, headers: list[tuple[bytes, bytes]]) -> None:
        body = msgspec.json.encode({"error": said})
        kind = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
        await send({"type": "http.response.body", "body": body})
        self._told(Answered(0, "", "", 0, True, said))

    def _told(self, answered: Answered) -> None:
        if self._report is not None:
            self._report(answered)


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


async def _body(receive: Receive) -> bytes | None:
    """The body of a request, None if it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


async def _left(receive: Receive) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
