"""The bytes of a stream, piece by piece, from a file or standard input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

PIECE = 88 * 1024
"""Bytes read at once: of 64 to 256 KiB what takes little time and no more memory for a long recording."""


class SourceError(Exception):
    """A stream that cannot be read, or not be judged; the sentence says why."""


def is_address(source: str) -> bool:
    """Whether a source is a running agent."""
    return source.startswith(("http://", "https://"))


def pieces(source: str, stdin: BinaryIO) -> Iterator[bytes]:
    """Read `source`: a path, or `-` for standard input. Raise SourceError."""
    if source == "-":
        yield from _read(stdin, "standard input")
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
