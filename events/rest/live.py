"""Live streams: a request's events are judged while they arrive, and each verdict flows back at once."""

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
from events.services.open_runs import IDLE, OpenRun, chosen
from events.services.run_table import SCOPE, run_table
from validators.dashboard.access import caller_of_request
from validators.rest.errors import describe
from validators.rest.http import for_one_event, refusal
from validators.rest.keys import require
from validators.services.network import informed_gateway
from validators.web.live_body import LIVE, LiveBody
from validators.web.one_hop import LaterResponse

Events = tuple[bytes, ...]
"""JSON texts of consecutive events."""


def judge_live(call: Call, request: HttpRequest) -> LaterResponse:
    """Have a stream judged whose body is live. The answer begins when the first event has come: an error
    before has its own status, a later one is the last line of a 200."""
    wanted = read_query(call)
    chosen(informed_gateway(), wanted.algorithm)
    return _LiveAnswer(call, wanted, request)


class _LiveAnswer(LaterResponse):
    """The verdicts on one live stream."""

    def __init__(self, call: Call, wanted: RunBody, request: HttpRequest) -> None:
        media, self._form = media_of(call)
        self._wanted, self._actor = wanted, call.actor
        scope: dict[str, Any] = request.scope  # type: ignore[attr-defined]
        self._body: LiveBody = scope[LIVE]
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
        run = self._run = run_table.open(self._wanted, self._actor, first)
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
                    piece = await self._body.piece()
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
            caller = require(await caller_of_request(self._credentials), SCOPE)
        except Exception as error:
            raise describe(error) from error
        if (refused := for_one_event(caller)) is not None:
            raise refused


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _with_first(first: Events, others: AsyncIterator[Events]) -> AsyncIterator[Events]:
    yield first
    async for each in others:
        yield each
