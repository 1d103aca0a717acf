"""A WebSocket whose client is not read while it does not take what was sent.

uvicorn's would answer every ping of such a client, and queue the pongs. The listener's TCP_USER_TIMEOUT
ends a client that takes nothing (dtvn.node.listening).
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class BoundedSocket(WebSocketsSansIOProtocol):
    """One WebSocket, from its handshake on."""

    def pause_writing(self) -> None:
        """See asyncio: the transport's buffer is full."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio: the transport's buffer has room."""
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """See uvicorn, which reads on once the application has taken all messages."""
        message = await super().receive()
        if not self.writable.is_set():
            self.transport.pause_reading()
        return message
