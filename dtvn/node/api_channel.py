"""The channel between a node and the helper process of its API: lines of JSON over a socket pair.

The node's end never waits: a status that does not fit now is skipped, the next one follows in a second. The
end of the stream means that the other process has ended, with or without a crash.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from dtvn.node.options import ApiOptions

RECEIVE_BYTES = 65_536


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The settings of the helper; the first message to it."""

    node: str
    folder: str
    """The node's folder."""
    ledger_folder: str
    ledger_url: str
    ledger_schema: str
    options: ApiOptions
    json_logs: bool = False
    """Whether the helper logs JSON, as its node does."""


class Status(msgspec.Struct, frozen=True, tag="status"):
    """The node's present status (inspect.shown)."""

    fields: dict[str, Any]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Asks the helper to finish the open requests, then to end."""


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """One request that was answered."""

    method: str
    endpoint: str
    """The route's pattern."""
    status: int
    seconds: float
    path: str = ""
    """The requested path without the query, truncated."""
    unforeseen: bool = False
    """Whether the request met an unforeseen error, answered or not."""
    nonce: str = ""
    """The request's nonce; bytes that are not UTF-8 as escapes."""
    sequence: int = 0
    """The sequence that the answer reflects (R17); 0 if it names none."""


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """Counters of the helper since its last report. Sent once a second also when idle, as a heartbeat."""

    answered: tuple[Answered, ...]
    sockets: int
    """WebSockets open now."""
    faults: int = 0
    """Unforeseen errors outside of any request."""


Message = Setup | Status | Stop | Counted

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Channel:
    """One end of the channel. One thread may receive while others send."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""

    def send(self, message: Message) -> bool:
        """Send a message now; False if there is no room, or the other end is gone."""
        if self._rest and not self._push(self._rest):
            return False
        return self._push(_encoder.encode(message) + b"\n")

    def receive(self) -> Iterator[Message]:
        """Yields the messages of the other end, until that is gone."""
        return (message for message in self.listen(None) if message is not None)

    def listen(self, patience: float | None) -> Iterator[Message | None]:
        """As `receive`, but yields None after each `patience` seconds of silence, None for never. A pause of
        this process, however long, counts as one silence."""
        buffered = b""
        poll = select.poll()
        with suppress(OSError, ValueError):  # closed by another thread already
            poll.register(self._end, select.POLLIN)
        while True:
            if patience is not None and not poll.poll(patience * 1_000):
                if self._end.fileno() < 0:
                    return
                yield None
                continue
            try:
                data = self._end.recv(RECEIVE_BYTES)
            except OSError:
                return
            if not data:
                return
            *lines, buffered = (buffered + data).split(b"\n")
            for line in lines:
                yield _decoder.decode(line)

    def close(self) -> None:
        """Close the channel; a thread that receives at either end returns."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _push(self, data: bytes) -> bool:
        """Send a line, and keep what did not fit as the rest; False if nothing of a new line was sent."""
        try:
            sent = self._end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            sent = 0
        if data is self._rest:
            self._rest = data[sent:]
            return not self._rest
        self._rest = data[sent:] if sent else b""
        return sent > 0
