"""HTTP with a deadline for every wait for a client: uvicorn has none for slow requests and
answers.

A request with headers and body must arrive within READ; the client must accept the answer within WRITE after
that; between two requests uvicorn's own keep-alive timeout applies. A late client gets an error if no answer
was begun, and is disconnected. If the event loop itself was paused, clients get a new deadline.

Little is read of a client at a time. Connections are bounded, in such a way that idle ones cannot lock out
other clients: a new connection beyond the bound evicts the one that has waited longest for its client (0131).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from dtvn.api.answers import bare, last_response
from dtvn.api.connections import CONNECTIONS_MAX, PAUSE_OF_OURS, READ, longest_waiting

WRITE = 30.0
IDLE = 60
"""Seconds, as in the Go DTVN."""
READ_BYTES = 1_024
"""Most bytes of one client, WebSocket or not, that are parsed before others have their turn: a chunk or frame
of one byte costs as much as a long one."""
LATE = last_response(bare({"success": False, "error": "The request was not complete in time."}, status=408))


class TimedProtocol(H11Protocol):
    """One connection."""

    read_within, write_within = READ, WRITE
    connections_max = CONNECTIONS_MAX

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._timed: object = None
        """The request that the timer `_writing` is for."""
        self.since = self.loop.time()
        """Loop time since when the connection waits for its client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio: the deadline of the first request starts."""
        super().connection_made(transport)
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # asyncio's own is 256 KiB
        if len(self.connections) > self.connections_max:
            self._make_room()
        self._reading = self._later(self.read_within, self._read_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """See uvicorn: pipelined bytes may contain the next request."""
        super().on_response_complete()
        self.since = self.loop.time()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """See uvicorn, which answers in plain text, and 400 to headers that are too long."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._end(last_response(bare({"success": False, "error": msg}, status=status)))

    def _make_room(self) -> None:
        """If there are too many connections, close the one that waits longest for its client, else this
        one."""
        open_ = [each for each in self.connections if not each.transport.is_closing()]
        if len(open_) > self.connections_max:
            others = [each for each in open_ if isinstance(each, TimedProtocol) and each is not self]
            (longest_waiting(sorted(others, key=lambda each: each.since)) or self).transport.abort()

    @property
    def waits_for_client(self) -> bool:
        """See Connection."""
        return self._reading is not None or self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        """Start and cancel the deadlines to match the connection's state."""
        if self.transport.get_protocol() is not self:
            self._forget()  # it has become a WebSocket
            return
        theirs = self.conn.their_state
        begun = theirs is h11.SEND_BODY or (theirs is h11.IDLE and bool(self.conn.trailing_data[0]))
        if begun and self._reading is None:
            self._reading = self._later(self.read_within, self._read_late)
        if not begun and (self._reading is not None or self.cycle is not self._timed):
            if self._reading is not None:
                self._reading.cancel()
                self._reading = None
            self._timed = self.cycle
            if self._writing is not None:
                self._writing.cancel()
            self._writing = self._later(self.write_within, self._write_late)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)

    def _read_late(self) -> None:
        late = self._reading
        if late is not None and self.loop.time() - late.when() > PAUSE_OF_OURS:
            self._reading = self._later(self.read_within, self._read_late)
            return
        self._forget()
        self._end(LATE)
        self._writing = self._later(self.write_within, self._write_late)

    def _end(self, answer: bytes) -> None:
        """Close the connection, with this answer unless another one was begun."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()

    def _write_late(self) -> None:
        late = self._writing
        if late is not None and self.loop.time() - late.when() > PAUSE_OF_OURS:
            self._writing = self._later(self.write_within, self._write_late)
            return
        self._writing = None
        answered = self.cycle is None or self.cycle.response_complete
        if not answered or self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._forget()
            self.transport.abort()

    def _forget(self) -> None:
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        self._reading = self._writing = None
