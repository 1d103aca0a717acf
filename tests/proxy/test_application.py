"""The middleware around an application of another framework, in its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from dtvn.proxy import EventsMiddleware, LocalJudge, Mode, Report
from tests.proxy.support import BAD, GOOD, served, sse, types
from tests.waiting import PATIENCE

pytestmark = pytest.mark.asyncio


class Application:
    """Answers a good stream, a bad one that never ends by itself, or no stream."""

    def __init__(self) -> None:
        self.cancelled, self.afterwards = asyncio.Event(), asyncio.Event()
        self.reports: list[Report] = []
        routes = [
            Route("/good", self.good, methods=["POST"]),
            Route("/bad", self.bad, methods=["POST"]),
            Route("/fails", self.fails, methods=["POST"]),
            Route("/plain", self.plain),
        ]
        inner = Starlette(routes=routes)
        inner.add_middleware(GZipMiddleware, minimum_size=1)
        self.app = EventsMiddleware(inner, LocalJudge(), mode=Mode.REFUSE, report=self.reports.append)

    async def good(self, request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            for each in GOOD:
                yield sse([each])

        after = BackgroundTask(self.after)
        return StreamingResponse(events(), media_type="text/event-stream", background=after)

    async def after(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        self.afterwards.set()

    async def bad(self, request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            try:
                yield sse(BAD)
                await asyncio.Future()
            finally:
                self.cancelled.set()

        return StreamingResponse(events(), media_type="text/event-stream")

    async def fails(self, request: Request) -> Response:
        raise OSError("no model")

    async def plain(self, request: Request) -> Response:
        return PlainTextResponse("hello")


async def test_a_good_stream_passes_and_its_background_task_runs() -> None:
    application = Application()
    async with served(application.app) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{url}/good")
        assert answer.content == sse(GOOD)
        assert "content-encoding" not in answer.headers
        await asyncio.wait_for(application.afterwards.wait(), PATIENCE)
    assert [each.valid for each in application.reports] == [True]


async def test_a_refused_stream_is_cancelled_where_it_is_made() -> None:
    application = Application()
    async with served(application.app) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{url}/bad")
        await asyncio.wait_for(application.cancelled.wait(), PATIENCE)
    assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]
    assert [each.ended for each in application.reports] == ["refused"]


async def test_answers_without_events_and_failures_are_the_applications() -> None:
    application = Application()
    async with served(application.app) as url, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/plain")).text == "hello"
        assert (await client.post(f"{url}/fails")).status_code == 500
    assert application.reports == []
