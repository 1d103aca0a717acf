"""A request is read whole in 15 s, headers and body (spec 3): twisted waits while a byte comes a minute.

Whoever takes no answer is hung up on by twisted itself, a minute after the answer's end.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from twisted.web import http

__all__ = ["READ", "TimedChannel", "install"]

READ = 15.0
"""Seconds, as the seed's supervisor."""
LINGER = 2.0
"""Seconds for a client that is late to read why it is hung up on."""
PAUSE_OF_OURS = 1.0
"""Seconds by which a deadline may come late before this process counts as paused, and blames nobody."""
CONTENT = msgspec.json.encode({"error": "The request did not come whole in time.", "code": "too_slow"})
ANSWER = b"\r\n".join(
    (
        b"HTTP/1.1 408 Request Timeout",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(CONTENT),
        b"Connection: close",
        b"",
        CONTENT,
    )
)


class TimedChannel(http.HTTPChannel):
    """One connection of twisted's, with a deadline for each request that has begun and for the first."""

    read_within = READ

    _late: Any = None
    """The call that comes when a request is not whole."""
    _due = 0.0
    """When it should come, in monotonic seconds."""

    def connectionMade(self) -> None:
        """See twisted.web."""
        super().connectionMade()
        self._begin()

    def dataReceived(self, data: bytes) -> None:
        """See twisted.web; what comes during an answer waits for its turn."""
        if not self._handlingRequest:
            self._begin()
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        """See twisted.web: the request is whole."""
        self._forget()
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """See twisted.web: what waited may be the next request."""
        if any(self._dataBuffer) and self.persistent:
            self._begin()
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        """See twisted.web."""
        self._forget()
        super().connectionLost(reason)

    def _begin(self) -> None:
        if self._late is None:
            self._due = time.monotonic() + self.read_within
            self._late = self.callLater(self.read_within, self._on_late)

    def _forget(self) -> None:
        late, self._late = self._late, None
        if late is not None and late.active():
            late.cancel()

    def _on_late(self) -> None:
        self._late = None
        if time.monotonic() - self._due > PAUSE_OF_OURS:
            self._begin()
            return
        self.dataReceived = lambda data: None  # type: ignore[method-assign]
        transport: Any = self.transport
        transport.write(ANSWER)
        self.loseConnection()
        self.callLater(LINGER, transport.abortConnection)


def install() -> None:
    """Have twisted's server use it: daphne has no setting for this."""
    http.HTTPChannel = TimedChannel  # type: ignore[misc]
