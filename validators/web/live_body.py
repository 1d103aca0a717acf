"""A request's body that the application reads while it arrives."""

from __future__ import annotations

import asyncio

from dtvn.api.errors import ServiceError

LIVE = "dtvn.live"
"""Key of an ASGI scope whose value is the LiveBody; other requests have none. No client can set it."""
PIECE_BYTES = 64 * 1024
"""Most bytes of one piece."""


class LiveBody:
    """The server adds the bytes that arrive, and limits their number; the application takes them. Not
    thread-safe: all calls are made in the event loop."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False
        self._error: ServiceError | None = None
        self._ready = asyncio.Event()
        """Set while `piece` does not wait."""

    def add(self, data: bytes) -> None:
        """Add bytes that have arrived."""
        self._held += data
        self._ready.set()

    def end(self, error: ServiceError | None = None) -> None:
        """Note that nothing follows; `error`: why the rest is not read."""
        self._ended, self._error = True, error
        self._ready.set()

    async def piece(self) -> bytes:
        """The next bytes, at most PIECE_BYTES, once there are any; b"" at the end. Raises the error that
        ended the body, after all that came before it."""
        await self._ready.wait()
        piece = bytes(self._held[:PIECE_BYTES])
        del self._held[:PIECE_BYTES]
        if not piece and self._error is not None:
            raise self._error
        if not self._held and not self._ended:
            self._ready.clear()
        return piece
