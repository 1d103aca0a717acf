"""The bytes of a stream, piece by piece, from a file, a URL or standard input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

PIECE = 64 * 1024
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0


class SourceError(Exception):
    """A stream that cannot be read, or not be judged; the sentence says why."""


def pieces(source: str, stdin: BinaryIO) -> Iterator[bytes]:
    """Read `source`: a path, an http(s) address, or `-` for standard input. Raise SourceError."""
    if source == "-":
        yield from _read(stdin, "standard input")
    elif source.startswith(("http://", "https://")):
        yield from _fetched(source)
    else:
        try:
            with open(source, "rb") as file:
                yield from _read(file, source)
        except OSError as error:
            raise SourceError(f"cannot read {source}: {error.strerror}") from None


def _read(file: BinaryIO, name: str) -> Iterator[bytes]:
    # What a pipe has comes at once, not when a buffer is full.
    read = getattr(file, "read1", file.read)
    try:
        while piece := read(PIECE):
            yield piece
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror}") from None


def _fetched(address: str) -> Iterator[bytes]:
    try:
        import httpx
    except ImportError:
        raise SourceError("an address needs httpx: pip install 'dtvn[events]'") from None
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    accept = {"Accept": "text/event-stream, application/x-ndjson, application/json"}
    try:
        with httpx.stream("GET", address, timeout=timeout, headers=accept, follow_redirects=True) as answer:
            kind = answer.headers.get("content-type", "")
            if answer.status_code != httpx.codes.OK:
                raise SourceError(f"cannot read {address}: it answers {answer.status_code}")
            if "proto" in kind:
                raise SourceError(f"not validated: {address} sends {kind}, not text")
            yield from answer.iter_bytes()
    # The last three: certificates or proxies that environment variables name cannot be used.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        raise SourceError(f"cannot read {address}: {error or type(error).__name__}") from None
