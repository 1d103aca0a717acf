"""What `observe` costs an event on its way: the same stream with and without it, in turn."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from dtvn.proxy import EventsMiddleware, Forward, LocalJudge
from tests.events.rules.samples import event
from tests.proxy.support import Agent, Request, listening, served, sse
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.asyncio, pytest.mark.bench]
EVENTS = 400
ROUNDS = 5


async def test_observe_adds_less_than_a_millisecond_at_p50() -> None:
    """Each event carries the time at which it was sent; the next is sent when it has arrived."""
    arrived = asyncio.Event()

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(sse([event("RS")]))
        for _ in range(EVENTS):
            await asyncio.wait_for(arrived.wait(), PATIENCE)
            arrived.clear()
            await request.piece(sse([event("CU", value=time.perf_counter())]))
        await request.piece(sse([event("RF")]))
        await request.finish()

    async with listening(Agent(script)) as address:
        observed = EventsMiddleware(Forward(address), LocalJudge())
        async with served(Forward(address)) as bare, served(observed) as judged:
            took: dict[str, list[float]] = {bare: [], judged: []}
            for url in [bare, judged] * ROUNDS:
                took[url] += await delays(url, arrived)
    plain, beside = (statistics.median(took[url]) for url in (bare, judged))
    assert beside - plain < 0.001, f"p50 {beside * 1000:.3f} ms, bare {plain * 1000:.3f} ms"


async def delays(url: str, arrived: asyncio.Event) -> list[float]:
    """Seconds that each event of one stream was on its way."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /agent HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    found = []
    while b'"RUN_FINISHED"' not in (line := await asyncio.wait_for(reader.readline(), PATIENCE)):
        if b'"CUSTOM"' in line:
            sent = float(line.rpartition(b'"value": ')[2].rstrip(b"}\r\n"))
            found.append(time.perf_counter() - sent)
        if line.startswith(b"data:"):
            arrived.set()
    writer.close()
    assert len(found) == EVENTS
    return found
