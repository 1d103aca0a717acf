"""From the bytes of a stream to the JSON texts of its events, piece by piece: server-sent events, NDJSON, a
JSON list.

What is kept between pieces (`held`) is bounded by the size of one event, except for a JSON list: it is read
whole, and has a bound of its own.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

WHITE = b" \t\r\n"
LIST_BYTES_MAX = 256 * 1024 * 1024
"""The largest JSON list that is read where no other bound is given: it is held in memory. NDJSON and
server-sent events have no such bound."""


class FramingError(ValueError):
    """Bytes in which no events can be found."""


class Framing(Protocol):
    """Takes bytes as they come, gives the texts of whole events, each with the number of its first line, from
    1."""

    @property
    def form(self) -> str | None:
        """`sse`, `ndjson` or `list`; None if it may still be none of them."""

    @property
    def held(self) -> int:
        """Bytes that are kept for an event that is not complete."""

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        """The events that `piece` completes."""

    def end(self) -> list[tuple[int, bytes]]:
        """The events that only the end of the stream completes."""


class _Lines:
    """Lines ended by LF, CR or CRLF; a CR stays at the end of its line. A line longer than the limit keeps
    one byte more than it, so that the rules refuse it by its size, and loses the rest."""

    def __init__(self, line_bytes: int) -> None:
        self._limit = line_bytes
        self._line = bytearray()
        """The line that has begun: pieces may have one byte each, and an object for each would take 60."""
        self._cut = False
        self.ends: str | None = None
        """CR or CRLF if a line ended so; the first that did."""

    @property
    def held(self) -> int:
        return len(self._line)

    @property
    def begun(self) -> bool:
        """Whether a line, or the end of one, has begun."""
        return bool(self._line) or self._cut

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes, without their ends."""
        if not piece:
            return []
        cut, self._cut = self._cut, piece.endswith(b"\r")
        if cut and self.ends is None:
            self.ends = "CRLF" if piece[:1] == b"\n" else "CR"
        if cut and piece[:1] == b"\n":
            piece = piece[1:]
        if b"\r" in piece:
            behind = piece.index(b"\r") + 1
            if self.ends is None and behind < len(piece):
                self.ends = "CRLF" if piece[behind : behind + 1] == b"\n" else "CR"
            piece = piece.replace(b"\r\n", b"\r").replace(b"\r", b"\r\n")
        *whole, rest = piece.split(b"\n")
        if whole and self._line:
            self._hold(whole[0])
            whole[0] = self.end()
        if len(piece) > self._limit:
            whole = [line[: self._limit + 1] for line in whole]
        self._hold(rest)
        return whole

    def end(self) -> bytes:
        """The line that had no end yet."""
        line = bytes(self._line)
        self._line.clear()
        return line

    def _hold(self, part: bytes) -> None:
        self._line += part[: max(self._limit + 1 - len(self._line), 0)]


class Ndjson:
    """One event per line; empty lines are skipped."""

    form: str | None = "ndjson"

    def __init__(self, event_bytes: int) -> None:
        self._lines = _Lines(event_bytes)
        self._number = 0

    @property
    def held(self) -> int:
        return self._lines.held

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        return self._events(self._lines.feed(piece))

    def end(self) -> list[tuple[int, bytes]]:
        return self._events([self._lines.end()])

    def _events(self, lines: list[bytes]) -> list[tuple[int, bytes]]:
        first, self._number = self._number + 1, self._number + len(lines)
        return [(number, text) for number, line in enumerate(lines, first) if (text := line.strip(WHITE))]


class ServerSentEvents:
    """The `data` of server-sent events (WHATWG HTML, 9.2.6); comments and fields of any other name are
    skipped. An event that the end of the stream cuts off is given too, for the rules to refuse or accept.
    Raises FramingError if no line is of this form within HEAD_BYTES_MAX."""

    def __init__(self, event_bytes: int) -> None:
        self._limit = event_bytes
        self._lines = _Lines(event_bytes + len(b"data: "))
        self._number = 0
        self._begun = 0
        self._data: bytearray | None = None
        self._read = 0
        self._has_events = False
        self._has_unknown_fields = False
        self.line_ends: str | None = None
        """CR or CRLF if a line of data ended so: the official client 1.0 finds events by LF alone. In
        comments it does no harm."""
        self.unframed: int | None = None
        """The first line with JSON that is no field, which clients skip."""
        self.recognised = False
        """Whether a line was a comment or a field that clients know."""

    @property
    def form(self) -> str | None:
        """`sse`, once it is recognised."""
        return "sse" if self.recognised else None

    @property
    def held(self) -> int:
        return self._lines.held + len(self._data or b"")

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        # What ends an event that has begun; whole events; what begins the next one.
        first = 0 if self._data is None and not self._lines.begun else piece.find(b"\n\n") + 2
        last = piece.rfind(b"\n\n") + 2
        if first == 1 or last - first < 2 or b"\r" in piece:
            found = self._lined(piece)
        else:
            found = self._lined(piece[:first])
            found += self._whole(piece[first:last])
            found += self._lined(piece[last:])
        if not self.recognised:
            self._read += len(piece)
            if self._read > HEAD_BYTES_MAX and self.unframed is None:
                raise FramingError(_NONE)
        return found

    def _lined(self, piece: bytes) -> list[tuple[int, bytes]]:
        return [event for line in self._lines.feed(piece) for event in self._line(line)]

    def _whole(self, piece: bytes) -> list[tuple[int, bytes]]:
        """The events of whole ones without CR. Nearly all are one line of data: they need no machine for
        lines."""
        texts = _PLAIN(piece)
        lengths = [*map(len, texts)]
        if sum(lengths) + len(b"data: \n\n") * len(texts) == len(piece) and max(lengths) <= self._limit:
            first, self._number = self._number + 1, self._number + 2 * len(texts)
            self.recognised = self._has_events = True
            return list(zip(range(first, self._number, 2), texts, strict=False))
        found: list[tuple[int, bytes]] = []
        for block in piece.removesuffix(b"\n\n").split(b"\n\n"):
            if block[:5] == b"data:" and b"\n" not in block and 6 < len(block) <= self._limit:
                found.append((self._number + 1, block[6:] if block[5] == _SPACE else block[5:]))
                self._number += 2
                self.recognised = self._has_events = True
            else:
                found += [event for line in (*block.split(b"\n"), b"") for event in self._line(line)]
        return found

    def end(self) -> list[tuple[int, bytes]]:
        found = [*self._line(self._lines.end()), *self._line(b"")]
        if self._has_unknown_fields and not self._has_events and self.unframed is None:
            raise FramingError(_NONE)
        return found

    def _line(self, line: bytes) -> list[tuple[int, bytes]]:
        self._number += 1
        ends_with_cr = line[-1:] == b"\r"
        line = line.removesuffix(b"\r")
        if not line:
            text, self._data = bytes(self._data or b""), None
            self._has_events = self._has_events or bool(text)
            return [(self._begun, text)] if text else []
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            self.recognised = True
        elif line.strip(WHITE):
            self._has_unknown_fields = True
            if self.unframed is None and line.lstrip(WHITE)[:1] == b"{":
                self.unframed = self._number
        if name == b"data":
            if ends_with_cr and self.line_ends is None:
                self.line_ends = self._lines.ends
            if self._data is None:
                self._begun, self._data = self._number, bytearray()
            else:
                self._data += b"\n"
            value = value.removeprefix(b" ")
            self._data += value
            del self._data[self._limit + 1 :]
        return []


class JsonList:
    """A JSON list of events, read whole."""

    form: str | None = "list"

    def __init__(self, list_bytes: int) -> None:
        self._limit = list_bytes
        self._whole = bytearray()

    @property
    def held(self) -> int:
        return len(self._whole)

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        self._whole += piece
        if len(self._whole) > self._limit:
            raise FramingError(f"a JSON list of more than {self._limit} bytes: give its events one a line")
        return []

    def end(self) -> list[tuple[int, bytes]]:
        whole = bytes(self._whole)
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

    def __init__(self, event_bytes: int, list_bytes: int | None = None, *, is_sse: bool = False) -> None:
        """`list_bytes`: the largest JSON list; None: LIST_BYTES_MAX. `is_sse`: its name or media type says
        that it is server-sent events: nothing is guessed then."""
        self._event_bytes = event_bytes
        self._list_bytes = LIST_BYTES_MAX if list_bytes is None else list_bytes
        self.is_sse = is_sse
        self.live = False
        """Whether the stream comes as clients get it."""
        self._framing: Framing | None = None
        self._head = bytearray()

    @property
    def form(self) -> str | None:
        """`sse`, `ndjson` or `list`; None until the framing is recognised."""
        return None if self._framing is None else self._framing.form

    @property
    def line_ends(self) -> str | None:
        """CR or CRLF if lines of server-sent events ended so; else None."""
        return self._framing.line_ends if isinstance(self._framing, ServerSentEvents) else None

    @property
    def unframed(self) -> int | None:
        """The first line of server-sent events with JSON that is no field; None without one."""
        return self._framing.unframed if isinstance(self._framing, ServerSentEvents) else None

    @property
    def held(self) -> int:
        """Bytes of earlier pieces that are kept, since they complete no event yet."""
        return len(self._head) if self._framing is None else self._framing.held

    def feed(self, piece: bytes) -> list[tuple[int, bytes]]:
        """The events that `piece` completes; raises FramingError if the stream cannot hold events."""
        if self._framing is None:
            self._head += piece
            if not piece.strip(WHITE):
                if len(self._head) > HEAD_BYTES_MAX:
                    raise FramingError(_NONE)
                return []
            head = bytes(self._head)
            self._framing = self._chosen(head)
            if self._framing is not None:
                self._head.clear()
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
        if self.is_sse:
            return ServerSentEvents(self._event_bytes)
        if first == b"[":
            return JsonList(self._list_bytes)
        return Ndjson(self._event_bytes) if first == b"{" else ServerSentEvents(self._event_bytes)


_SPACE = ord(" ")
_PLAIN = re.compile(rb"data: ([^\n]+)\n\n").findall
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"", b"data", b"event", b"id", b"retry")
"""What stands before the colon of a line; nothing in a comment."""
HEAD_BYTES_MAX = 64 * 1024
"""Bytes within which the framing of a stream must be recognised."""
_NONE = "neither server-sent events, nor JSON objects one a line, nor a JSON list"
