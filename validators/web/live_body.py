"""A request's body that the application reads while it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dtvn.api.errors import ServiceError

LIVE = "dtvn.live"
"""Key of an ASGI scope whose value is the LiveBody; other requests have none. No client can set it."""
PIECE_BYTES = 64 * 1024
"""Most bytes of one piece."""
HELD_MAX = 1024 * 1024
"""Bytes that wait for the application, or that it keeps, from which on the connection is not read."""


class LiveBody:
    """The server adds the bytes that arrive, and limits their number; the application takes them. While it is
    `full`, the connection is not read, so at most HELD_MAX and one read of the socket are held, and one read
    alone until the application asks for the first piece: it has not admitted the client before (0188). Not
    thread-safe: all calls are made in the event loop."""

    def __init__(self, read_on: Callable[[], object] = lambda: None) -> None:
        """`read_on`: called when the body is no longer full."""
        self._read_on = read_on
        self._held = bytearray()
        self._kept = 0
        self._most = 0
        self._ended = False
        self._error: ServiceError | None = None
        self._ready = asyncio.Event()
        """Set while `piece` does not wait."""

    @property
    def full(self) -> bool:
        """Whether nothing more should arrive now."""
        return not self._ended and bool(self._held) and len(self._held) + self._kept >= self._most

    def add(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._held += data
        self._ready.set()

    def end(self, error: ServiceError | None = None) -> None:
        """Note that nothing follows; `error`: why the rest is not read."""
        self._ended, self._error = True, error
        self._ready.set()

    async def piece(self, kept: int = 0) -> bytes:
        """The next bytes, at most PIECE_BYTES, once there are any; b"" at the end. `kept`: how many bytes of
        earlier pieces the caller still holds. Raises the error that ended the body, after all that came
        before it."""
        was_full, self._most, self._kept = self.full, HELD_MAX, kept
        if was_full and not self.full:
            self._read_on()
        await self._ready.wait()
        was_full, piece = self.full, bytes(self._held[:PIECE_BYTES])
        del self._held[:PIECE_BYTES]
        self._kept += len(piece)
        if not piece and self._error is not None:
            raise self._error
        if not self._held and not self._ended:
            self._ready.clear()
        if was_full and not self.full:
            self._read_on()
        return piece
