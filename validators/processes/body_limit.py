"""What is too long is refused by its announced length, or once it is: daphne would read it all first."""

from __future__ import annotations

from typing import Any

import msgspec
from daphne import http_protocol

__all__ = ["BODY_BYTES_MAX", "install"]

BODY_BYTES_MAX = 16 * 1024 * 1024
"""The longest body of any route (spec 1.4)."""
OPERATION_BYTES_MAX = 1024 * 1024
"""The longest of a route of the API other than the batch: so much is said, and read by the route itself."""
LINGER = 2.0
"""Seconds that a refused client may go on sending, so that it gets to read the answer."""
API = b"/api/v1/"
TICKETS = b"/api/v1/tickets"
"""Errors of these routes come in the validator's envelope (spec 1.1)."""
BATCH = b"/api/v1/tickets/batch"


def answer(path: bytes) -> bytes:
    """The refusal, whole."""
    single = path.startswith(API) and path.partition(b"?")[0] != BATCH
    limit = OPERATION_BYTES_MAX if single else BODY_BYTES_MAX
    envelope = {"success": False} if path.startswith(TICKETS) else {}
    content = msgspec.json.encode(
        envelope | {"error": f"The body is over {limit} bytes.", "code": "too_large"}
    )
    return b"\r\n".join(
        (
            b"HTTP/1.1 413 Content Too Large",
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(content),
            b"Connection: close",
            b"",
            content,
        )
    )


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A request of daphne's that is never longer than BODY_BYTES_MAX, and whose body nobody reads before
    the application asks who sends it."""

    _length = 0
    _refused = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Twisted would read 16 MiB of form fields for seconds in the loop that serves everybody, and
        # refuse a body that is not what its header says, which the contract does not look at (1.4).
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        """See twisted.web: the headers are read; None where chunks follow."""
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
    """Have daphne's server use it: it has no setting for this."""
    http_protocol.WebRequest = BoundedRequest
