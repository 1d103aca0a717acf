"""Refuses oversized bodies by their announced length, or once they exceed it, bodies in very many small
chunks, and bodies of WebSocket handshakes: daphne would first read them whole, and take the last for frames.

Drops the header by which daphne lets any client choose the path below which it serves.

A stream of events in chunks has a live body: the application starts when its headers are read, where daphne
would wait for the end of its body.
"""

from __future__ import annotations

import io
from typing import Any

from daphne import http_protocol

from dtvn.api.errors import ApiError
from validators.web.http_channel import MALFORMED, Refused
from validators.web.lean_request import LeanRequest
from validators.web.live_body import LiveBody

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
LIVE_STREAM = EVENTS + b"/stream"
"""A POST in chunks to exactly this path is live."""
UPLOAD = b"/dashboard/tickets/files"
CHUNKS_FREE = 256
CHUNK_MEAN = 256
"""A body may have CHUNKS_FREE chunks in a row, and one more for each CHUNK_MEAN bytes among them: each costs
the event loop about 10 µs, however short it is."""
ROOT_PATH = b"Daphne-Root-Path"
"""Header that daphne obeys: the platform has its own host, and no proxy needs it."""
LIVE_CHUNK_MEAN = 16
"""CHUNK_MEAN of a live body, whose chunks may be an event each."""


def too_large(path: bytes) -> Refused:
    """The refusal of a body that is longer than its path allows."""
    longest = path.partition(b"?")[0] in (BATCH, UPLOAD) or path.startswith(EVENTS)
    limit = BODY_BYTES_MAX if longest else OPERATION_BYTES_MAX
    error = ApiError(413, "too_large", f"The body is larger than {limit} bytes.")
    return Refused(error, enveloped=path.startswith((TICKETS, EVENTS)))


class _NoContent(io.BytesIO):
    """Stands for the content of a request with a live body: of a closed one, nothing is passed on."""

    closed = True  # type: ignore[assignment]


class BoundedRequest(LeanRequest):
    """A daphne request that is never longer than its path allows, and whose body is not parsed before the
    application has authenticated the sender."""

    _length = 0
    _length_max = BODY_BYTES_MAX
    _chunks_left: float | None = None
    """Chunks that may come even if they are empty, if the body comes in chunks."""
    _chunk_mean = CHUNK_MEAN
    live: LiveBody | None = None
    """The body that the application reads while it arrives; None if the body is read whole before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Twisted would parse 16 MiB of form fields for seconds in the shared event loop, and refuse a body
        # that does not match its content type, which the contract ignores.
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        """See twisted.web: the headers are read; None if chunks follow."""
        path, headers = self.channel._path, self.requestHeaders
        headers.removeHeader(ROOT_PATH)
        if length != 0 and any(
            name.lower() == b"websocket" for name in headers.getRawHeaders(b"Upgrade", ())
        ):
            raise Refused(ApiError(400, "bad_request", "The handshake of a WebSocket has no body."))
        if not path.startswith(API) and path.partition(b"?")[0] != UPLOAD:
            self._length_max = OPERATION_BYTES_MAX
        if length is None:
            self._chunks_left = CHUNKS_FREE
        elif length > self._length_max:
            raise too_large(path)
        if length is None and self._is_live():
            self._begin_live()
        else:
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """See twisted.web."""
        self._length += len(data)
        if self._length > self._length_max:
            raise too_large(self.channel._path)
        if self._chunks_left is not None:
            mean = self._chunk_mean
            self._chunks_left = min(CHUNKS_FREE, self._chunks_left + len(data) / mean) - 1
            if self._chunks_left < 0:
                text = f"The body has over {CHUNKS_FREE} chunks in a row below {mean} bytes on average."
                raise Refused(ApiError(400, "bad_request", text))
        if self.live is None:
            super().handleContentChunk(data)
        else:
            self.live.add(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See twisted.web: the body is complete."""
        if self.live is None:
            super().requestReceived(command, path, version)
        else:
            self.live.end()

    def _is_live(self) -> bool:
        channel = self.channel
        asked = channel._command, channel._path.partition(b"?")[0], channel._version
        upgrades = self.requestHeaders.hasHeader(b"Upgrade")
        return asked == (b"POST", LIVE_STREAM, b"HTTP/1.1") and not upgrades

    def _begin_live(self) -> None:
        """Start the application. The connection ends with its answer, since the body may go on."""
        channel = self.channel
        self.live, self.content, self._chunk_mean = LiveBody(channel.read_on), _NoContent(), LIVE_CHUNK_MEAN
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        channel.goes_live(self.live)
        super().requestReceived(channel._command, channel._path, channel._version)
        if self.finished:  # daphne refused a header
            raise Refused(MALFORMED)


def install() -> None:
    """Make daphne's server use it: daphne has no setting for this."""
    http_protocol.WebRequest = BoundedRequest
