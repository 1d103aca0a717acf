"""Server-sent events in the form that the official client 1.0 can split: lines end with LF, and no `data:
[DONE]`.

By the standard lines may end with CR or CRLF too (WHATWG HTML, 9.2.6), but that client looks for LF LF, and
takes every `data` for JSON.
"""

from __future__ import annotations

from dtvn.proxy.media import Headers, header
from dtvn.proxy.middleware import App, Scope
from dtvn.proxy.passages import Message, Receive, Send

_DONE = (b"data: [DONE]", b"data:[DONE]")


class LineRepair:
    """The bytes of one stream, repaired as they pass. Held back is only what may be the beginning of `data:
    [DONE]`, until more of its line is there."""

    def __init__(self) -> None:
        self._after_cr = False
        self._held = b""
        """The beginning of a line."""
        self._within = False
        """Whether the line that comes has begun, and passes."""

    def feed(self, piece: bytes) -> bytes:
        """What passes on of the stream, with its next bytes `piece`."""
        if not piece:
            return b""
        cut, self._after_cr = self._after_cr, piece.endswith(b"\r")
        if cut and piece[:1] == b"\n":
            piece = piece[1:]
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = piece.split(b"\n")
        out = [self._line(line) for line in lines]
        out.append(self._begun(rest))
        return b"".join(out)

    def end(self) -> bytes:
        """What passes on when the stream ends."""
        held, self._held = self._held, b""
        return b"" if held in _DONE else held

    def _line(self, rest: bytes) -> bytes:
        """The rest of a line, up to its end."""
        line, self._held = self._held + rest, b""
        within, self._within = self._within, False
        return b"" if not within and line in _DONE else line + b"\n"

    def _begun(self, part: bytes) -> bytes:
        """A part of a line that has no end yet."""
        line = self._held + part
        if not self._within and any(done.startswith(line) for done in _DONE):
            self._held = line
            return b""
        self._held, self._within = b"", self._within or bool(line)
        return line


class Repair:
    """An ASGI application whose streams of server-sent events are repaired; compressed ones pass as they
    are."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines: LineRepair | None = None

        async def repaired(message: Message) -> None:
            nonlocal lines
            if message["type"] == "http.response.start" and _is_plain(message.get("headers", [])):
                lines = LineRepair()
                kept = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
                message = {**message, "headers": kept}
            elif message["type"] == "http.response.body" and lines is not None:
                body = lines.feed(message.get("body", b""))
                more = message.get("more_body", False)
                message = {**message, "body": body if more else body + lines.end()}
            await send(message)

        await self.app(scope, receive, repaired if scope["type"] == "http" else send)


def _is_plain(headers: Headers) -> bool:
    """Whether these are the headers of server-sent events that are not compressed."""
    kind = header(headers, b"content-type").partition(b";")[0].strip().lower()
    encoding = header(headers, b"content-encoding").strip().lower()
    return kind == b"text/event-stream" and encoding in (b"", b"identity")
