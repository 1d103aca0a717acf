"""How the body of one answer passes: not judged, or judged beside the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from msgspec import Struct

from dtvn.events.rules import EventReader, FramingError, Limits
from dtvn.proxy.judging import Judging
from dtvn.proxy.media import Identity, Inflated, UnreadableEncoding

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
BESIDE_BYTES = 64 * 1024 * 1024
"""How many bytes of a stream may wait to be judged beside it: two of the largest events."""
BESIDE_BYTES_ALL = 256 * 1024 * 1024
"""How many bytes of all streams of a proxy may wait so."""
PIECE_BYTES = 64
"""What a piece that waits counts besides its bytes: the memory that holds it."""
CATCH_UP_SECONDS = 30.0
"""How long the judging beside a stream goes on after its end: time for two of the slowest decisions."""
NO_EVENTS = "no events in the body"


class Passage(Protocol):
    """Takes the body of an answer and sends it on."""

    judged: bool
    """Whether a judge is asked for verdicts."""
    done: bool
    """Whether the client gets no more: it has the end of its answer, or sees that it broke off."""

    async def body(self, piece: bytes) -> None:
        """Take the next bytes of the body."""

    async def end(self) -> None:
        """Take the end of a complete body."""

    async def broke(self, reason: str) -> None:
        """Take the end of a body that broke off, for this reason."""

    async def close(self) -> None:
        """Release what is held; called once, after all else, also if the client went away."""


class Unjudged:
    """Passes everything on."""

    judged = False

    def __init__(self, send: Send) -> None:
        self.done = False
        self._send = send

    async def body(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self.done = True

    async def broke(self, reason: str) -> None:
        """Nothing is sent: the connection ends without the end of the body."""

    async def close(self) -> None:
        """Nothing is held."""


class Beside(Struct):
    """What waits to be judged beside the streams of one proxy."""

    size: int = 0
    """Bytes."""


class Observing(Unjudged):
    """Passes everything on at once, and judges a copy in a task of its own, however long that takes. If more
    than BESIDE_BYTES wait for that, or BESIDE_BYTES_ALL with other streams, the rest is not judged."""

    judged = True

    def __init__(
        self, send: Send, judging: Judging, limits: Limits, decoder: Identity | Inflated, beside: Beside
    ) -> None:
        super().__init__(send)
        self._judging = judging
        self._all = beside
        self._reader = EventReader(limits.event_bytes)
        self._decoder = decoder
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    async def body(self, piece: bytes) -> None:
        await super().body(piece)
        self.copy(piece)

    def copy(self, piece: bytes) -> None:
        """Queue a copy of bytes that are on their way, to be judged."""
        if not piece or not self._judging.judged:
            return
        size = len(piece) + PIECE_BYTES
        if self._bytes + size > BESIDE_BYTES:
            self._judging.give_up(f"judging fell {self._bytes + size} bytes behind")
        elif self._all.size + size > BESIDE_BYTES_ALL:
            self._judging.give_up(f"judging of all streams fell {self._all.size + size} bytes behind")
        if not self._judging.judged:
            self._drop()
            return
        self._count(size)
        self._waiting.put_nowait(piece)
        if self._task is None:
            self._task = asyncio.create_task(self._judge())

    def _count(self, size: int) -> None:
        self._bytes += size
        self._all.size += size

    def _drop(self) -> None:
        """End the judging."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._forget()

    def _forget(self) -> None:
        """Forget what waits to be judged, since nothing more is."""
        self._waiting = asyncio.Queue()
        self._count(-self._bytes)

    async def end(self) -> None:
        await super().end()
        self._waiting.put_nowait(None)

    async def close(self) -> None:
        try:
            if self._task is not None:
                # A body that broke off ends in the middle of an event, which is not the agent's fault.
                if not self.done:
                    self._waiting.put_nowait(b"")
                async with asyncio.timeout(CATCH_UP_SECONDS):
                    await self._task
        except TimeoutError:
            self._judging.give_up(f"no verdict within {CATCH_UP_SECONDS:g} s after the end")
        finally:
            self._drop()
        await self._judging.close()

    async def _judge(self) -> None:
        """Judge the queued bytes until the end of the body, which is None if it is complete, b"" if it broke
        off."""
        try:
            while (piece := await self._waiting.get()) and self._judging.judged:
                for text in self._decoder.feed(piece):
                    await self._ask(self._reader.feed(text))
                    await asyncio.sleep(0)  # other streams come first
                self._count(-len(piece) - PIECE_BYTES)
            if piece is None:
                self._decoder.end()
                await self._ask(self._reader.end())
        except (FramingError, UnreadableEncoding) as error:
            self._judging.give_up(f"{NO_EVENTS}: {error}" if isinstance(error, FramingError) else str(error))
        finally:
            self._forget()

    async def _ask(self, events: list[tuple[int, bytes]]) -> None:
        if self._reader.form == "list":
            raise FramingError("a JSON list, no stream of events")
        if events:
            await self._judging.verdicts([text for _, text in events])
