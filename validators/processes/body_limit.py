"""Refuses oversized bodies by their announced length, or once they exceed it: daphne would first read them
whole."""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

from dtvn.api.answers import bare, last_response
from validators.processes.http_channel import LINGER

BODY_BYTES_MAX = 16 * 1024 * 1024
"""The longest body of any route (spec 1.4)."""
OPERATION_BYTES_MAX = 1024 * 1024
"""The longest body of an API route other than the batch: documented limit, and enforced by the route
itself."""
API = b"/api/v1/"
TICKETS = b"/api/v1/tickets"
"""Errors of these routes use the validator's envelope (spec 1.1)."""
BATCH = b"/api/v1/tickets/batch"


def answer(path: bytes) -> bytes:
    """The complete response of a refusal."""
    single = path.startswith(API) and path.partition(b"?")[0] != BATCH
    limit = OPERATION_BYTES_MAX if single else BODY_BYTES_MAX
    envelope = {"success": False} if path.startswith(TICKETS) else {}
    error = {"error": f"The body is larger than {limit} bytes.", "code": "too_large"}
    return last_response(bare(envelope | error, status=413))


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A daphne request that is never longer than BODY_BYTES_MAX, and whose body is not parsed before the
    application has authenticated the sender."""

    _length = 0
    _refused = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Twisted would parse 16 MiB of form fields for seconds in the shared event loop, and refuse a body
        # that does not match its content type, which the contract ignores (1.4).
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        """See twisted.web: the headers are read; None if chunks follow."""
        refused = length is not None and length > BODY_BYTES_MAX
        super().gotLength(0 if refused else length)
        if refused:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """See twisted.web."""
        self._length += len(data)
        if self._refused:
            return
        if self._length > BODY_BYTES_MAX:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See twisted.web."""
        if not self._refused:
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        from twisted.internet import reactor

        self._refused = True
        channel: Any = self.channel
        channel.dataReceived = lambda data: None
        channel.transport.write(answer(channel._path))
        channel.transport.loseWriteConnection()
        reactor.callLater(LINGER, channel.transport.abortConnection)  # type: ignore[attr-defined,arg-type]


def install() -> None:
    """Make daphne's server use it: daphne has no setting for this."""
    http_protocol.WebRequest = BoundedRequest
