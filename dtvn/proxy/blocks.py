"""A stream cut between its events, with not one byte lost."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dtvn.events.rules import EventReader, FramingError

_ENDS = (b"\n", b"\r", b"\r\n")


class Block(Struct, frozen=True):
    """A piece of a stream. `raw`: its bytes, up to the end of an event; `text`: JSON text of that event, None
    without one, as in comments. `begun`: earlier bytes of it were drained, so nothing may be put before
    it."""

    raw: bytes
    text: bytes | None
    begun: bool


class Blocks:
    """Cuts a stream into blocks. Joined, their bytes are those of the stream."""

    def __init__(self, event_bytes: int) -> None:
        """`event_bytes`: longest event; the text of a longer one is cut, and the rules refuse it."""
        self._reader = EventReader(event_bytes)
        self._raw: list[bytes] = []
        self._last = b"\n"
        self._begun = False
        self.held = 0
        """Number of bytes since the last block."""

    @property
    def form(self) -> str | None:
        """See EventReader."""
        return self._reader.form

    def feed(self, piece: bytes) -> Iterator[Block]:
        """The blocks that `piece` completes. Raises FramingError if the stream holds no events."""
        lines = piece.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            begins = self._last in (b"\n", b"\r")
            rest_of_crlf = self._last == b"\r" and line == b"\n"
            self._last = line[-1:]
            self._raw.append(line)
            self.held += len(line)
            try:
                events = self._reader.feed(line)
                if self._reader.form == "list":
                    raise FramingError("a JSON list, no stream of events")
            except FramingError:
                self._raw += lines[number:]
                raise
            if events:
                yield self._block(events[-1][1])
            elif line in _ENDS and begins and not rest_of_crlf and self._reader.form is not None:
                yield self._block(None)

    def end(self) -> Iterator[Block]:
        """What is left when the stream ends. Raises FramingError."""
        events = self._reader.end()
        if self._raw or events:
            yield self._block(events[-1][1] if events else None)

    def drained(self) -> bytes:
        """Takes the bytes since the last block; the next block lacks them."""
        raw = b"".join(self._raw)
        self._raw, self.held, self._begun = [], 0, True
        return raw

    def _block(self, text: bytes | None) -> Block:
        block = Block(b"".join(self._raw), text, self._begun)
        self._raw, self.held, self._begun = [], 0, False
        return block
