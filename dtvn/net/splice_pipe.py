"""Joins two TCP connections: what arrives on one is written to the other, with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

CHUNK = 65_536
"""Bytes read at a time, and those that may wait to be written in one direction."""
CLOSING = 2.0
"""Seconds for a connection that ends to take the bytes that it is still owed."""

Pace = Callable[[int], float]
"""Told how many bytes pass; returns the seconds to wait before more are read."""


class Stream:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        writer.transport.set_write_buffer_limits(high=CHUNK)

    def drop(self) -> None:
        """End it at once."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Send what waits, for a moment, and end it."""
        self.writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self.writer.wait_closed()
                return
        self.drop()


async def connect(host: str, port: int) -> Stream:
    """A new connection; raise OSError."""
    return Stream(*await asyncio.open_connection(host, port, limit=CHUNK))


def free_pace(_count: int) -> float:
    """The pace of a pipe without a limit."""
    return 0.0


async def join(one: Stream, other: Stream, *, idle: float, pace: Pace = free_pace) -> int:
    """Pass bytes both ways until one side ends, or neither says anything for `idle` seconds; then both are
    closed. Returns the bytes passed on."""
    passed = 0
    active_at = asyncio.get_running_loop().time()

    async def pump(source: Stream, sink: Stream) -> None:
        nonlocal passed, active_at
        loop = asyncio.get_running_loop()
        while data := await source.reader.read(CHUNK):
            active_at = loop.time()
            sink.writer.write(data)
            await sink.writer.drain()
            passed += len(data)
            if (pause := pace(len(data))) > 0:
                await asyncio.sleep(pause)

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while (left := active_at + idle - loop.time()) > 0:  # noqa: ASYNC110 - an event a chunk costs more
            await asyncio.sleep(left)

    tasks = [asyncio.ensure_future(each) for each in (pump(one, other), pump(other, one), watch())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # a connection that was reset ends like another
        await asyncio.gather(one.close(), other.close())
    return passed
