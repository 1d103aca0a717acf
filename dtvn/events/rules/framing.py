"""From the bytes of a stream to the JSON texts of its events, piece by piece: server-sent events, NDJSON, a
JSON list.

What is kept between pieces is bounded by the size of one event, except for a JSON list, which is read whole.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

WHITE = b" \t\r\n"
LIST_BYTES_MAX = 256 * 1024 * 1024
"""The largest JSON list that is read: it is held in memory. NDJSON and server-sent events have no such
bound."""


class FramingError(ValueError):
    """Bytes in which no events can be found."""


class Framing(Protocol):
    """Takes bytes as they come, gives the texts of whole events, each with the number of its first line, from
    1."""

    @property
    def form(self) -> str | None:
        """`sse`, `ndjson` or `list`; None if it may still be none of them."""

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        """The events that `piece` completes."""

    def end(self) -> list[tuple[int, bytes]]:
        """The events that only the end of the stream completes."""


class _Lines:
    """Lines ended by LF, CR or CRLF. A line longer than the limit keeps one byte more than it, so that the
    rules refuse it by its size, and loses the rest."""

    def __init__(self, line_bytes: int) -> None:
        self._limit = line_bytes
        self._rest = b""
        self._parts: list[bytes] = []
        self._held = 0
        self._cut = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes, without their ends."""
        if not piece:
            return []
        cut, self._cut = self._cut, piece.endswith(b"\r")
        if cut and piece[:1] == b"\n":
            piece = piece[1:]
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, rest = piece.split(b"\n")
        lines = []
        for line in whole:
            self._hold(line)
            lines.append(b"".join(self._parts))
            self._parts, self._held = [], 0
        self._hold(rest)
        return lines

    def end(self) -> bytes:
        """The line that had no end yet."""
        line = b"".join(self._parts)
        self._parts, self._held = [], 0
        return line

    def _hold(self, part: bytes) -> None:
        kept = part[: max(self._limit + 1 - self._held, 0)]
        if kept:
            self._parts.append(kept)
            self._held += len(kept)


class Ndjson:
    """One event per line; empty lines are skipped."""

    form: str | None = "ndjson"

    def __init__(self, event_bytes: int) -> None:
        self._lines = _Lines(event_bytes)
        self._number = 0

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        return [event for line in self._lines.feed(piece) for event in self._event(line)]

    def end(self) -> list[tuple[int, bytes]]:
        return self._event(self._lines.end())

    def _event(self, line: bytes) -> list[tuple[int, bytes]]:
        self._number += 1
        text = line.strip(WHITE)
        return [(self._number, text)] if text else []


class ServerSentEvents:
    """The `data` of server-sent events (WHATWG HTML, 9.2.6); comments and fields of any other name are
    skipped. An event that the end of the stream cuts off is given too, for the rules to refuse or accept.
    Raises FramingError if no line is of this form within HEAD_BYTES_MAX."""

    def __init__(self, event_bytes: int) -> None:
        self._limit = event_bytes
        self._lines = _Lines(event_bytes + len(b"data: "))
        self._number = 0
        self._begun = 0
        self._held = 0
        self._data: list[bytes] = []
        self._read = 0
        self._has_events = False
        self._has_unknown_fields = False
        self.recognised = False
        """Whether a line was a comment or a field that clients know."""

    @property
    def form(self) -> str | None:
        """`sse`, once it is recognised."""
        return "sse" if self.recognised else None

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        found = [event for line in self._lines.feed(piece) for event in self._line(line)]
        if not self.recognised:
            self._read += len(piece)
            if self._read > HEAD_BYTES_MAX:
                raise FramingError(_NONE)
        return found

    def end(self) -> list[tuple[int, bytes]]:
        found = [*self._line(self._lines.end()), *self._line(b"")]
        if self._has_unknown_fields and not self._has_events:
            raise FramingError(_NONE)
        return found

    def _line(self, line: bytes) -> list[tuple[int, bytes]]:
        self._number += 1
        if not line:
            text, self._data, self._held = b"\n".join(self._data), [], 0
            self._has_events = self._has_events or bool(text)
            return [(self._begun, text)] if text else []
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            self.recognised = True
        elif line.strip(WHITE):
            self._has_unknown_fields = True
        if name == b"data":
            if not self._data:
                self._begun = self._number
            if self._held <= self._limit + 1:
                self._data.append(value.removeprefix(b" ")[: self._limit + 1 - self._held])
                self._held += len(self._data[-1]) + 1
        return []


class JsonList:
    """A JSON list of events, read whole."""

    form: str | None = "list"

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        self._held += len(piece)
        if self._held > LIST_BYTES_MAX:
            raise FramingError(f"a JSON list of more than {LIST_BYTES_MAX} bytes: give its events one a line")
        self._parts.append(piece)
        return []

    def end(self) -> list[tuple[int, bytes]]:
        whole = b"".join(self._parts)
        try:
            found = msgspec.json.decode(whole, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise FramingError(f"a JSON list that cannot be read: {error}") from None
        events, at, line = [], 0, 1
        for raw in found:
            text = bytes(raw)
            place = whole.index(text, at)
            line += whole.count(b"\n", at, place)
            events.append((line, text))
            at = place + len(text)
            line += text.count(b"\n")
        return events


class EventReader:
    """Recognises the framing of a stream from its first bytes, then gives its events."""

    def __init__(self, event_bytes: int) -> None:
        self._event_bytes = event_bytes
        self._framing: Framing | None = None
        self._head: list[bytes] = []
        self._held = 0

    @property
    def form(self) -> str | None:
        """`sse`, `ndjson` or `list`; None until the framing is recognised."""
        return None if self._framing is None else self._framing.form

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        """The events that `piece` completes; raises FramingError if the stream cannot hold events."""
        if self._framing is None:
            self._head.append(piece)
            self._held += len(piece)
            if not piece.strip(WHITE):
                if self._held > HEAD_BYTES_MAX:
                    raise FramingError(_NONE)
                return []
            head = b"".join(self._head)
            self._framing = self._chosen(head)
            self._head = [head] if self._framing is None else []
            piece = head.removeprefix(_BOM)
        return self._framing.feed(piece) if self._framing is not None else []

    def end(self) -> list[tuple[int, bytes]]:
        """The events that only the end of the stream completes; raises FramingError if it cannot hold
        events."""
        return self._framing.end() if self._framing is not None else []

    def _chosen(self, head: bytes) -> Framing | None:
        if len(head) < len(_BOM) and _BOM.startswith(head):
            return None
        first = head.removeprefix(_BOM).lstrip(WHITE)[:1]
        if not first:
            return None
        if first == b"[":
            return JsonList()
        return Ndjson(self._event_bytes) if first == b"{" else ServerSentEvents(self._event_bytes)


_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"", b"data", b"event", b"id", b"retry")
"""What stands before the colon of a line; nothing in a comment."""
HEAD_BYTES_MAX = 64 * 1024
"""Bytes within which the framing of a stream must be recognised."""
_NONE = "neither server-sent events, nor JSON objects one a line, nor a JSON list"
