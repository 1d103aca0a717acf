"""An event loop whose time passes only while nothing else can happen, and connections in memory."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    """Jumps to the next moment instead of waiting for it."""

    loop: StillLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("nothing can happen any more")
            self.loop.now += timeout
        return found


class StillLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1_000.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def play(story: Coroutine[Any, Any, Result]) -> Result:
    """Run a story; a real second of it takes none."""
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        return runner.run(story)


async def passes(seconds: float) -> None:
    """Let so much of this loop's time pass; no real time does."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, StillLoop):
        raise TypeError("only time that stands still may pass")
    passed = loop.create_future()
    loop.call_later(seconds, passed.set_result, None)
    await passed


class Side:
    """One side of a connection: what asyncio calls the writer and its transport."""

    def __init__(self, address: str, peer: asyncio.StreamReader) -> None:
        self.reader = asyncio.StreamReader()
        self.transport = self
        self.waiting = 0
        """Bytes that wait to be sent."""
        self.hangs = False
        """Whether it never closes by itself."""
        self.ended = ""
        self._address, self._peer = address, peer

    def write(self, data: bytes) -> None:
        if not (self.ended or self._peer._eof):  # type: ignore[attr-defined]
            self._peer.feed_data(data)

    async def drain(self) -> None:
        if self.ended:
            raise ConnectionResetError("Connection lost")

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        if self.ended:
            self.ended += ", aborted"
        self._end("aborted")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            for reader in (self._peer, self.reader):
                reader.feed_eof()

    async def wait_closed(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()

    def is_closing(self) -> bool:
        return bool(self.ended)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int) -> None:
        del high

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return self._address, 1


def connection(address: str, server: str = "192.0.2.200") -> tuple[Side, Side]:
    """Both sides of a new one: of who dials from this address, and of who listens."""
    dialling = Side(server, asyncio.StreamReader())
    listening = Side(address, dialling.reader)
    dialling._peer = listening.reader
    return dialling, listening
