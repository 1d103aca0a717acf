"""A deadline of 15 s for reading a request, headers and body (spec 3): twisted keeps waiting while one byte
per minute arrives.

A client that does not accept its answer is disconnected by twisted itself, a minute after the answer's end.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.web import http

from dtvn.api.answers import bare, last_response

READ = 15.0
"""Seconds, as in the seed's supervisor."""
LINGER = 2.0
"""Seconds that a refused client gets to read the error before it is disconnected; it may go on sending."""
PAUSE_OF_OURS = 1.0
"""If a deadline timer fires this many seconds late, this process counts as paused, and the client is not
blamed."""
ANSWER = last_response(
    bare({"error": "The request was not complete in time.", "code": "too_slow"}, status=408)
)


class TimedChannel(http.HTTPChannel):
    """A twisted connection with a deadline for the first request and for each one that has begun."""

    read_within = READ

    _late: Any = None
    """The timer that fires when a request is incomplete."""
    _due = 0.0
    """When it should fire, in monotonic seconds."""

    def connectionMade(self) -> None:
        """See twisted.web."""
        super().connectionMade()
        self._begin()

    def dataReceived(self, data: bytes) -> None:
        """See twisted.web; bytes that arrive during an answer are queued."""
        if not self._handlingRequest:
            self._begin()
        super().dataReceived(data)

    def allContentReceived(self) -> None:
        """See twisted.web: the request is complete."""
        self._forget()
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """See twisted.web: queued bytes may contain the next request."""
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
    """Make twisted's server use it: daphne has no setting for this."""
    http.HTTPChannel = TimedChannel  # type: ignore[misc]
