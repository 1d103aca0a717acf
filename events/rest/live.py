"""Streams: a request's events are judged while its body is read, and each verdict flows back at once.

The body of a live stream is read as it arrives; that of a recorded one (`Content-Length`) has arrived, and
waits in a file. Either way a piece is taken when the client has taken the verdicts on the one before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from channels.db import database_sync_to_async
from django.http import HttpRequest

from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, ServiceError
from dtvn.api.event_bodies import EventStream, RunBody
from events.rest.judging import NO_STORE, batches_of, media_of, read_query, verdict_lines
from events.services import clients, errors
from events.services.answered_here import KEPT_BYTES, AnsweredHere
from events.services.open_runs import IDLE, OpenRun, chosen
from events.services.run_table import SCOPE, run_table
from validators.dashboard.access import caller_of_request
from validators.rest.errors import describe
from validators.rest.http import refusal
from validators.rest.keys import require
from validators.services.network import informed_gateway
from validators.web.live_body import LIVE, PIECE_BYTES, LiveBody
from validators.web.one_hop import LaterResponse

Events = tuple[bytes, ...]
"""JSON texts of consecutive events."""


class _StoredBody:
    """The body of a recorded stream, in the manner of a LiveBody."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    async def piece(self, _kept: int = 0) -> bytes:
        """The next bytes; b"" at the end."""
        return await asyncio.to_thread(self._request.read, PIECE_BYTES)


def judge_stream(call: Call, request: HttpRequest) -> LaterResponse:
    """Have a stream judged: NDJSON, server-sent events or a JSON list of at most 1 MiB. Its verdicts flow
    back, one line (NDJSON) or one message (`Accept: text/event-stream`) an event, then the report. In chunks
    (`Transfer-Encoding`) they flow back while the rest is sent: 408 after 300 s of silence, and a client that
    reads none is not read beyond 1 MiB. 429 for too many streams and WebSockets; once the answer has begun,
    an error is its last line."""
    wanted = read_query(call)
    chosen(informed_gateway(), wanted.algorithm)
    return _StreamAnswer(call, wanted, request)


class _StreamAnswer(LaterResponse):
    """The verdicts on one stream."""

    def __init__(self, call: Call, wanted: RunBody, request: HttpRequest) -> None:
        media, self._form = media_of(call)
        self._wanted, self._actor = wanted, call.actor
        scope: dict[str, Any] = getattr(request, "scope", {"headers": ()})
        self._body: LiveBody | _StoredBody = scope.get(LIVE) or _StoredBody(request)
        self._credentials = {
            "headers": scope["headers"],
            "session": getattr(request, "session", None),
            "user": getattr(request, "user", None),
        }
        self._run: OpenRun | None = None
        self._lines = self._judged()
        super().__init__(self._lines, content_type=media, headers=NO_STORE)

    async def begin(self) -> None:
        """See LaterResponse: the run of the first event is open, or the stream is refused."""
        try:
            await anext(self._lines)
        except Exception as error:  # noqa: BLE001 - answered, and logged if unexpected
            answer = refusal(describe(error))
            self.status_code = answer.status
            form = {"Content-Type": "application/json", "Content-Length": str(len(answer.content))}
            for name, value in (answer.headers | form).items():
                self.headers[name] = value
            self.streaming_content = _whole(answer.content)

    async def end(self) -> None:
        """See LaterResponse."""
        await self._lines.aclose()

    async def _judged(self) -> AsyncGenerator[bytes]:
        """Yields b"" once the run is open, then the lines. Raises ServiceError before."""
        if not clients.enter(self, self._actor):
            text = "Too many clients have events judged; try again later."
            raise ApiError(429, errors.TOO_MANY_RUNS, text, headers={"Retry-After": "1"})
        try:
            async with aclosing(self._arriving()) as arriving:
                first = await anext(arriving)
                run = await database_sync_to_async(self._open)(first[0])
                lines = verdict_lines(run, _with_first(first, arriving), self._form)
                async with aclosing(lines):
                    async for line in lines:
                        yield line
        finally:
            clients.leave(self)
            self._end_run()

    def _open(self, first: bytes) -> OpenRun:
        """Open the run. Called in a thread, which goes on if the client leaves: then the run is ended."""
        here = AnsweredHere(KEPT_BYTES)
        run = self._run = run_table.open(self._wanted, self._actor, first, here)
        if not clients.is_present(self):
            self._end_run()
        return run

    def _end_run(self) -> None:
        if self._run is not None:
            with suppress(ServiceError):
                self._run.end()

    async def _arriving(self) -> AsyncGenerator[Events]:
        """Yields the events as they come, see batches_of; at least one in all. Raises ServiceError."""
        stream, checked, ended = EventStream(), time.monotonic(), False
        while not ended:
            try:
                async with asyncio.timeout(IDLE):
                    piece = await self._body.piece(stream.held)
            except TimeoutError:
                raise ApiError(408, "too_slow", f"Nothing arrived for {IDLE:.0f} s.") from None
            now = time.monotonic()
            if now - checked >= clients.ACCESS_INTERVAL:
                checked = now
                await self._require_access()
            if self._run is not None:
                self._run.touched = now
            ended = not piece
            texts = await asyncio.to_thread(stream.end) if ended else stream.feed(piece)
            for batch in batches_of(texts):
                yield batch

    async def _require_access(self) -> None:
        """Raise ServiceError if the caller may no longer have events judged: keys are revoked and expire,
        sessions end."""
        try:
            require(await caller_of_request(self._credentials)).rights.require(SCOPE, None)
        except Exception as error:
            raise describe(error) from error


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _with_first(first: Events, others: AsyncIterator[Events]) -> AsyncIterator[Events]:
    yield first
    async for each in others:
        yield each
