"""Between a node and the helper process that serves its API: lines of JSON over a pair of sockets.

The node's end never waits: a status that does not fit now is left out, the next one is a second away. The
end of the line is the end of the other process, however it ended.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from validators.node.options import ApiOptions

__all__ = ["Answered", "Channel", "Counted", "Setup", "Status", "Stop"]

RECEIVE_BYTES = 65_536


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """What the helper serves; first of all."""

    node: str
    folder: str
    """The node's folder."""
    ledger_folder: str
    ledger_url: str
    ledger_schema: str
    options: ApiOptions


class Status(msgspec.Struct, frozen=True, tag="status"):
    """How the node is now (inspect.shown)."""

    fields: dict[str, Any]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Answer what is under way, then end."""


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """One request that was answered."""

    method: str
    endpoint: str
    """The route's pattern."""
    status: int
    seconds: float
    path: str = ""
    """As it was asked for, without the query, cut to a length."""
    unforeseen: bool = False
    """Answered, or not, after an error that nobody foresaw."""


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """What the helper did since it last told; told once a second also when that is nothing: its pulse."""

    answered: tuple[Answered, ...]
    sockets: int
    """WebSockets open now."""
    faults: int = 0
    """Errors that nobody foresaw and that no request met."""


Message = Setup | Status | Stop | Counted

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Channel:
    """One end. One thread may receive while others send."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""

    def send(self, message: Message) -> bool:
        """Say it now; False: there is no room, or nobody listens any more."""
        if self._rest and not self._push(self._rest):
            return False
        return self._push(_encoder.encode(message) + b"\n")

    def receive(self) -> Iterator[Message]:
        """Everything the other end says, until it is gone."""
        return (message for message in self.listen(None) if message is not None)

    def listen(self, patience: float | None) -> Iterator[Message | None]:
        """The same, and None after each `patience` seconds of silence. However long we were paused ourselves,
        that is one."""
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
        """Hang up; who receives at either end returns."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _push(self, data: bytes) -> bool:
        """Send all or remember the rest; False when nothing of a new line could be sent."""
        try:
            sent = self._end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            sent = 0
        if data is self._rest:
            self._rest = data[sent:]
            return not self._rest
        self._rest = data[sent:] if sent else b""
        return sent > 0
