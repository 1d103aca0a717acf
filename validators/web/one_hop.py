"""Django behind ASGI with one thread hop a request.

Django's own handler runs an asynchronous chain: each synchronous middleware, and the view, crosses into a
thread and back, a new thread a request (3 ms of an empty view's 3.5). Here the whole synchronous chain, with
its signals, is one call in a thread of a pool that lives as long as the process, so that database connections
do too. Bodies are received, and streams sent, in the event loop; a live body is read there by the answer
(LaterResponse).
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import IO, Any, cast

from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import close_old_connections, connections
from django.http import HttpResponse, StreamingHttpResponse, parse_cookie
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from validators.web.addresses import site_of
from validators.web.fair_threads import FairThreads
from validators.web.lane import Lane
from validators.web.live_body import LIVE
from validators.web.read_shares import Claim, seconds_to_wait, shares

READS = 32
"""Threads for GET and HEAD, which wait for the cluster a second at most."""
WRITES = 128
"""Threads for all other requests, which may wait for a quorum; they take none of READS."""
WRITES_SPARE = 32
"""Those of them of which a caller gets its first only: one whose calls all wait has 96."""
PROMPT = 0.05
"""Seconds after which a call also watches whether its client leaves: the watch costs a task."""
REFUSED_AFTER = 1.0
"""Seconds until a read of a caller that used up its share is refused: it may ask again at once."""
CONNECTION_SECONDS = 60
"""Seconds for which a thread keeps its database connections."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Run = Callable[..., "asyncio.Future[Any]"]
"""Makes a call in a thread."""


class HeldResponse(HttpResponse):
    """A response that is sent `held_for` seconds after it was made, while it takes no thread: a client that
    asks again at once, whatever `Retry-After` says, is slowed."""

    held_for = 0.0


class LaterResponse(StreamingHttpResponse):
    """A streamed answer whose status is not known when the view returns it. `once_begun`: functions that
    are called once it is, unless the client leaves before; for middleware that reports the status."""

    def __init__(self, *content: Any, **named: Any) -> None:
        super().__init__(*content, **named)
        self.once_begun: list[Callable[[], object]] = []

    async def begin(self) -> None:
        """Returns once status, headers and content are set; awaited before anything is sent."""
        raise NotImplementedError

    async def end(self) -> None:
        """Called once `begin` was, when the answer was sent or its client has left."""
        raise NotImplementedError


LASTING = (HeldResponse, StreamingHttpResponse)
"""Answers during which a client may leave."""


class OneHopHandler(ASGIHandler):
    """See the module. Exceptions of views become answers, as in Django."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._reads = Lane(READS, "read")
        self._writes = FairThreads(WRITES, WRITES_SPARE, "write")
        # The start of the next request in the same thread does the same.
        signals.request_finished.disconnect(close_old_connections)
        for alias in connections:
            connections.settings[alias]["CONN_MAX_AGE"] = CONNECTION_SECONDS

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI 3)."""
        try:
            body = io.BytesIO() if LIVE in scope else await self.read_body(receive)
        except RequestAborted:
            return
        client = _Client(receive)
        reads = scope["method"] in ("GET", "HEAD")
        run = self._reads.run if reads else partial(self._writes.run, _caller(scope))
        try:
            if reads:
                response = await self._read(scope, body, client)
            else:
                response = await run(self._respond, scope, body, client)
            if isinstance(response, LASTING):
                client.watch()
            await self._finish(run, response, send, client)
        except asyncio.CancelledError:
            if not client.has_left:
                raise
        finally:
            client.forget()
            if client.unclosed:
                await asyncio.shield(run(client.close))  # made even if this task is cancelled again

    async def _read(self, scope: Mapping[str, Any], body: IO[bytes], client: _Client) -> HttpResponseBase:
        """The answer to a read, once its caller's share of the processor allows it; 429 if that is long."""
        claim, spent = shares.claim(_reader(scope)), 0.0
        if claim.refused:
            return _too_dear(scope, claim)
        try:
            if claim.wait:
                client.watch()
                await asyncio.sleep(claim.wait)
            response, spent = await self._reads.run(self._measured, scope, body, client)
        finally:
            shares.settle(claim, spent)
        return response

    def _measured(
        self, scope: Mapping[str, Any], body: IO[bytes], client: _Client
    ) -> tuple[HttpResponseBase, float]:
        """The answer, and the processor time that it took in seconds."""
        began = time.thread_time()
        response = self._respond(scope, body, client)
        return response, time.thread_time() - began

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """See Django, which makes a temporary file for the shortest body."""
        first = await receive()
        if first["type"] == "http.request" and not first.get("more_body"):
            return io.BytesIO(first.get("body", b""))
        parts = iter((first,))

        async def again() -> Mapping[str, Any]:
            return next(parts, None) or await receive()

        return await super().read_body(again)

    async def _finish(self, run: Run, response: HttpResponseBase, send: Send, client: _Client) -> None:
        """Send an answer. Cancelled if the client leaves before all is sent; not after, when daphne says
        of every client that it has left."""
        if isinstance(response, HeldResponse):
            await asyncio.sleep(response.held_for)
        if not isinstance(response, StreamingHttpResponse):
            await self.send_response(response, send)
            return
        if not response.is_async:
            response.streaming_content = _parts(run, iter(response))
        try:
            if isinstance(response, LaterResponse):
                await response.begin()
                for report in response.once_begun:
                    report()
            await self.send_response(response, send)
        finally:
            client.forget()
            if isinstance(response, LaterResponse):
                await response.end()

    def _respond(self, scope: Mapping[str, Any], body: IO[bytes], client: _Client) -> HttpResponseBase:
        """The answer. One that is not streamed is in memory: it is closed here, with the last signal."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response: Any = refusal if request is None else self.get_response(request)
        response._handler_class = self.__class__
        if response.streaming:
            client.keep(response)
        else:
            response.close()
        return cast(HttpResponseBase, response)


class _Client:
    """Cancels the task that makes it if the client leaves; watches for that after PROMPT seconds. A call that
    then runs in a thread is not ended."""

    def __init__(self, receive: Receive) -> None:
        self.has_left = False
        self.unclosed: list[HttpResponseBase] = []
        """The stream that answers it, at most one, until it is closed."""
        self._receive = receive
        self._task = asyncio.current_task()
        self._gone: asyncio.Future[Mapping[str, Any]] | None = None
        self._timer = asyncio.get_running_loop().call_later(PROMPT, self.watch)

    def watch(self) -> None:
        """Watch from now on, if not yet."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._receive())
            self._gone.add_done_callback(self._leave)

    def forget(self) -> None:
        """Stop watching, since the request is answered. May be called again."""
        self._timer.cancel()
        self._task = None
        if self._gone is not None:
            self._gone.cancel()

    def keep(self, stream: HttpResponseBase) -> None:
        """Have a stream closed by the task, or here if that is over already. Called in a thread."""
        self.unclosed.append(stream)  # before the look: the task forgets first, then looks for a stream
        if self._task is None:
            self.close()

    def close(self) -> None:
        """Close the stream, unless another thread does: only one of them pops it. Called in a thread."""
        try:
            stream = self.unclosed.pop()
        except IndexError:
            return
        stream.close()

    def _leave(self, _gone: asyncio.Future[Mapping[str, Any]]) -> None:
        if self._task is not None:
            self.has_left = True
            self._task.cancel()


async def _parts(run: Run, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (part := await run(next, parts, None)) is not None:
        yield part


def _caller(scope: Mapping[str, Any]) -> str:
    """For whom a write takes a thread: an API key, all people on the API, or all people on pages. A key that
    is not valid is refused at once."""
    if not scope["path"].startswith("/api/"):
        return "pages"
    headers = {} if settings.API_IS_OPEN else dict(scope["headers"])
    key: bytes = headers.get(b"x-api-key", b"")
    if not key and (token := headers.get(b"authorization", b"")).startswith(b"Bearer "):
        key = token.removeprefix(b"Bearer ")
    return key.decode("latin-1") or "people"


def _reader(scope: Mapping[str, Any]) -> str:
    """Whose share of the processor a read takes: that of a key, of a session, or of an address."""
    key = _caller(scope)
    if key not in ("pages", "people"):
        return key
    headers = dict(scope["headers"])
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    if session := cookies.get(settings.SESSION_COOKIE_NAME):
        return f"session {session}"
    remote = (scope.get("client") or ("",))[0]
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1") if settings.BEHIND_PROXY else ""
    return f"address {site_of(remote, forwarded)}"


def _too_dear(scope: Mapping[str, Any], claim: Claim) -> HeldResponse:
    """429, as the API or pages refuse."""
    seconds = seconds_to_wait(claim)
    text = (
        f"Your requests took more of the processor than one caller may. Try again in {seconds} s; programs: "
        "ask for less at once, and for one answer after the other."
    )
    answer = HeldResponse(text, status=429, content_type="text/plain; charset=utf-8")
    if scope["path"].startswith("/api/"):
        body = {"success": False, "error": text, "code": "too_many_reads"}
        answer = HeldResponse(json.dumps(body), status=429, content_type="application/json")
    answer.held_for = REFUSED_AFTER
    answer.headers["Retry-After"] = str(seconds)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
