"""Refuses oversized bodies by their announced length, or once they exceed it, and bodies in very many small
chunks: daphne would first read them whole."""

from __future__ import annotations

from typing import Any

from daphne import http_protocol

from dtvn.api.answers import bare, last_response
from validators.processes.http_channel import Refused

BODY_BYTES_MAX = 16 * 1024 * 1024
"""The longest body of any route."""
OPERATION_BYTES_MAX = 1024 * 1024
"""The longest body of a page other than UPLOAD, and of an API route other than the batch and those of events,
which enforces it by itself once it has authenticated the sender."""
API = b"/api/v1/"
TICKETS = b"/api/v1/tickets"
"""Errors of these routes use the validator's envelope."""
BATCH = b"/api/v1/tickets/batch"
EVENTS = b"/api/v1/events"
UPLOAD = b"/dashboard/tickets/files"
CHUNKS_FREE = 256
CHUNK_MEAN = 256
"""A body may have CHUNKS_FREE chunks in a row, and one more for each CHUNK_MEAN bytes among them: each costs
the event loop about 10 µs, however short it is."""
TOO_MANY_CHUNKS = last_response(
    bare(
        {
            "error": f"The body has over {CHUNKS_FREE} chunks in a row below {CHUNK_MEAN} bytes on average.",
            "code": "bad_request",
        },
        status=400,
    )
)


def too_large(path: bytes) -> bytes:
    """The complete response of a refusal."""
    longest = path.partition(b"?")[0] in (BATCH, UPLOAD) or path.startswith(EVENTS)
    limit = BODY_BYTES_MAX if longest else OPERATION_BYTES_MAX
    envelope = {"success": False} if path.startswith((TICKETS, EVENTS)) else {}
    error = {"error": f"The body is larger than {limit} bytes.", "code": "too_large"}
    return last_response(bare(envelope | error, status=413))


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A daphne request that is never longer than its path allows, and whose body is not parsed before the
    application has authenticated the sender."""

    _length = 0
    _length_max = BODY_BYTES_MAX
    _chunks_left: float | None = None
    """Chunks that may come even if they are empty, if the body comes in chunks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Twisted would parse 16 MiB of form fields for seconds in the shared event loop, and refuse a body
        # that does not match its content type, which the contract ignores.
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        """See twisted.web: the headers are read; None if chunks follow."""
        path = self.channel._path
        if not path.startswith(API) and path.partition(b"?")[0] != UPLOAD:
            self._length_max = OPERATION_BYTES_MAX
        if length is None:
            self._chunks_left = CHUNKS_FREE
        elif length > self._length_max:
            raise Refused(too_large(path))
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """See twisted.web."""
        self._length += len(data)
        if self._length > self._length_max:
            raise Refused(too_large(self.channel._path))
        if self._chunks_left is not None:
            self._chunks_left = min(CHUNKS_FREE, self._chunks_left + len(data) / CHUNK_MEAN) - 1
            if self._chunks_left < 0:
                raise Refused(TOO_MANY_CHUNKS)
        super().handleContentChunk(data)


def install() -> None:
    """Make daphne's server use it: daphne has no setting for this."""
    http_protocol.WebRequest = BoundedRequest
