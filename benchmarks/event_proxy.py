"""What the proxy in `observe` costs an event on its way, beside a bare pass-through proxy: the same stream
through both, in turn.

Each event carries the time at which it was sent; the next is sent when it has arrived.

    python -m benchmarks.event_proxy
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from dtvn.proxy import EventsMiddleware, Forward, LocalJudge

EVENTS = 400
ROUNDS = 5
PATIENCE = 30.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STARTED, FINISHED = (
    b'{"type":"RUN_%s","threadId":"t","runId":"r"}' % each for each in (b"STARTED", b"FINISHED")
)


async def measure() -> dict[str, float]:
    """p50 of both in ms, and their difference."""
    arrived = asyncio.Event()
    async with _agent(arrived) as address:
        observed = EventsMiddleware(Forward(address), LocalJudge())
        async with _served(Forward(address)) as bare, _served(observed) as judged:
            took: dict[int, list[float]] = {bare: [], judged: []}
            for port in [bare, judged] * ROUNDS:
                took[port] += await _delays(port, arrived)
    plain, beside = (statistics.median(took[port]) * 1e3 for port in (bare, judged))
    return {
        "bare_p50_ms": round(plain, 3),
        "observe_p50_ms": round(beside, 3),
        "added_p50_ms": round(beside - plain, 3),
    }


@asynccontextmanager
async def _agent(arrived: asyncio.Event) -> AsyncIterator[str]:
    """The address of an agent that sends its next event when `arrived` is set."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(event: bytes) -> None:
            frame = b"data: " + event + b"\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await writer.drain()

        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await send(STARTED)
        for _ in range(EVENTS):
            await asyncio.wait_for(arrived.wait(), PATIENCE)
            arrived.clear()
            await send(b'{"type":"CUSTOM","name":"sent","value": %r}' % time.perf_counter())
        await send(FINISHED)
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def _served(app: Any) -> AsyncIterator[int]:
    """The port at which an application is served as `dtvn events-proxy` does it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await running


async def _delays(port: int, arrived: asyncio.Event) -> list[float]:
    """Seconds that each event of one stream was on its way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /agent HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    found = []
    while b'"RUN_FINISHED"' not in (line := await asyncio.wait_for(reader.readline(), PATIENCE)):
        if b'"CUSTOM"' in line:
            sent = float(line.rpartition(b'"value": ')[2].rstrip(b"}\r\n"))
            found.append(time.perf_counter() - sent)
        if line.startswith(b"data:"):
            arrived.set()
    writer.close()
    if len(found) != EVENTS:
        raise RuntimeError(f"{len(found)} of {EVENTS} events arrived")
    return found


def main() -> dict[str, Any]:
    """Measure and print."""
    found = asyncio.run(measure())
    print(f"{EVENTS * ROUNDS} events each way (target: 1 ms more): {found}")
    return found


if __name__ == "__main__":
    main()
