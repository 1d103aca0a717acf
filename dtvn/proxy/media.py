"""Which answers carry events, and how their bytes are decoded for judging."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from enum import Enum

from dtvn.events.rules import TYPES

Headers = Sequence[tuple[bytes, bytes]]
PROTOBUF = b"application/vnd.ag-ui.event+proto"
SNIFFED_BYTES = 256
"""Bytes within which a body of unclear media type must begin an event; otherwise it holds none."""
TYPED_BYTES = 4096
"""Bytes at the beginning of a long event in which its type is looked for."""
STEP_BYTES = 64 * 1024
"""Bytes decompressed at a time: a few compressed bytes may stand for gigabytes."""
_EVENTS = {b"text/event-stream", b"application/x-ndjson", b"application/ndjson", b"application/jsonl"}
_FIELD = re.compile(rb"(?:data|event|id|retry)?:")
_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
# Members before `type`, since writers may sort them: only scalars, to tell other JSON from its first bytes.
_TEXT = rb'"(?:[^"\\]|\\.)*'
_MEMBERS = rb'\{(?:\s*"(?!type")[^"\\]*"\s*:\s*(?:%b"|[-+.\w]+)\s*,)*\s*' % _TEXT
_OBJECT = re.compile(_MEMBERS + rb'"type"\s*:\s*"(\w+)"')
_VALUE_BEGUN = rb'(?:%b(?:\\|"\s*)?|[-+.\w]+\s*)?' % _TEXT
_BEGUN = re.compile(_MEMBERS + rb'(?:"[^"\\]*(?:"\s*(?::\s*%b)?)?)?' % _VALUE_BEGUN)


class Media(Enum):
    """What an answer carries, by its status and headers."""

    EVENTS = "events"
    PROTOBUF = "media type"
    UNSAID = "unsaid"
    """Judged if its body begins as events do. Clients read all but protobuf as server-sent events, and so may
    find some behind whatever else it begins with."""
    OTHER = "other"


def media(method: str, status: int, headers: Headers) -> Media:
    """What an answer carries; OTHER, which is never judged, for errors and answers without a body."""
    if method == "HEAD" or not 200 <= status < 300 or status in (204, 205):
        return Media.OTHER
    kind = header(headers, b"content-type").partition(b";")[0].strip().lower()
    if kind in _EVENTS:
        return Media.EVENTS
    return Media.PROTOBUF if kind == PROTOBUF else Media.UNSAID


def header(headers: Headers, name: bytes) -> bytes:
    """All values of a header, joined by commas; b"" if it is absent. `name` is in lower case."""
    return b", ".join(value for known, value in headers if known.lower() == name)


def holds_events(head: bytes) -> bool | None:
    """Whether a body that begins with these bytes holds events; None if they are too few to tell."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if _FIELD.match(text):
        return True
    known = _OBJECT.match(text)
    if known is not None:
        return known[1].decode() in TYPES
    if len(head) >= SNIFFED_BYTES:
        return False
    begun = any(field.startswith(text) for field in _FIELDS) or _BEGUN.fullmatch(text) is not None
    return None if begun else False


def begun_type(text: bytes) -> str | None:
    """The type of an event whose JSON text begins so; None if it stands behind anything but scalars."""
    known = _OBJECT.match(text[:TYPED_BYTES])
    return known[1].decode() if known is not None else None


class UnreadableEncoding(Exception):
    """A body that is not encoded as its Content-Encoding says; the message names the encoding."""


class Identity:
    """Decoder of a body without content encoding."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yields `piece` unchanged."""
        yield piece

    def end(self) -> None:
        """The body is complete, wherever it ends."""


class Inflated:
    """Decoder of gzip and deflate, piece by piece, in steps of bounded size."""

    def __init__(self, name: str) -> None:
        """`name`: `gzip` or `deflate`."""
        self._name = name
        self._bits = [zlib.MAX_WBITS | 16] if name == "gzip" else [zlib.MAX_WBITS, -zlib.MAX_WBITS]
        self._begun = False
        self._next = zlib.decompressobj(self._bits[0])

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yields the decoded bytes of `piece`, at most STEP_BYTES at a time. Raises UnreadableEncoding."""
        while piece:
            if self._next.eof:
                self._next = zlib.decompressobj(self._bits[0])
            try:
                text = self._next.decompress(piece, STEP_BYTES)
            except zlib.error as error:
                # Many servers send deflate without the wrapper that its definition asks for.
                if self._begun or len(self._bits) == 1:
                    raise UnreadableEncoding(f"content encoding {self._name}: {error}") from None
                self._bits = self._bits[1:]
                self._next = zlib.decompressobj(self._bits[0])
                continue
            self._begun = True
            if text:
                yield text
            full = len(text) == STEP_BYTES
            piece = self._next.unused_data if self._next.eof else self._next.unconsumed_tail
            if full and not piece and not self._next.eof:
                yield from self._rest()

    def end(self) -> None:
        """Raises UnreadableEncoding if the body ends in the middle of compressed data."""
        if self._begun and not self._next.eof:
            raise UnreadableEncoding(f"content encoding {self._name}: the data end too early")

    def _rest(self) -> Iterator[bytes]:
        """Yields what zlib still holds after a full step that took all input."""
        while text := self._next.decompress(b"", STEP_BYTES):
            yield text


def decoder(headers: Headers) -> Identity | Inflated | None:
    """The decoder for the body of this answer; None if its content encoding is unknown."""
    name = header(headers, b"content-encoding").strip().lower().decode("latin-1")
    if name in ("", "identity"):
        return Identity()
    return Inflated(name.removeprefix("x-")) if name in ("gzip", "x-gzip", "deflate") else None
