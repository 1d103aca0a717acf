"""ASGI middleware that judges the event streams which an application answers.

    client <- passage (as it is, beside the stream, or held until judged) <- application
                 |
              judging -> judge (this machine or a cluster)

The application is asked for answers without compression. If it compresses all the same, `observe` decodes a
copy, the other modes send the decoded text on. Answers that do not begin as events do, and errors, pass
untouched.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from dtvn.events.rules import Limits, quoted
from dtvn.log_limit import limit
from dtvn.proxy.findings import Findings, Reporter
from dtvn.proxy.holding import Holding, Terms
from dtvn.proxy.judge import Judge
from dtvn.proxy.judging import Judging
from dtvn.proxy.media import Headers, Media, UnreadableEncoding, decoder, header, holds_events, media
from dtvn.proxy.own_events import error_event, framed
from dtvn.proxy.passages import Beside, Message, Observing, Passage, Receive, Send, Unjudged

Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
HEADER = b"dtvn-events"
"""The header that says what was done with an answer: the mode, and, if there may be verdict events of the
proxy, `; id=` with their `by` and `; place=run`, as they stand inside runs only; or why it is not judged.
`observe` sends it before the body, and so says `not_validated: media type` also of an answer that turns out
to hold events."""
VERDICT_SECONDS = 2.0
CLOSING_SECONDS = 2.0
HEAD_BYTES_MAX = 4096
"""Bytes of a compressed body that are decoded to see whether it holds events."""

log = logging.getLogger(__name__)
log.addFilter(limit)


class Mode(StrEnum):
    """What happens to a stream."""

    OBSERVE = "observe"
    MARK = "mark"
    REFUSE = "refuse"


class StreamBroke(Exception):
    """An answer that breaks off; the sentence says why. An application raises it after the answer began."""


class EventsMiddleware:
    """Judges each answer of `app` that holds AG-UI events."""

    def __init__(
        self,
        app: App,
        judge: Judge,
        *,
        mode: Mode = Mode.OBSERVE,
        refuse_unjudged: bool = True,
        verdict_seconds: float = VERDICT_SECONDS,
        closing_seconds: float = CLOSING_SECONDS,
        limits: Limits | None = None,
        report: Reporter | None = None,
    ) -> None:
        """`verdict_seconds`: how long an event is held for its verdict; `observe` holds none.
        `refuse_unjudged`: in mode `refuse`, what gets none by then is refused, or else passes.
        `closing_seconds`: how long the judge is given, after the client has all, to confirm the end of a
        stream, and to write its transcript. `report` is told of each stream when it has ended."""
        self.app = app
        self.judge = judge
        self.mode = mode
        self.terms = Terms(mode is Mode.REFUSE, mode is Mode.REFUSE and refuse_unjudged, limits or Limits())
        self.verdict_seconds = verdict_seconds
        self.closing_seconds = closing_seconds
        self.beside = Beside()
        self.report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).run()


class _Exchange:
    """One request and its answer."""

    def __init__(self, middleware: EventsMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self._middleware = middleware
        self._scope = scope
        self._receive_next = receive
        self._send = send
        self._findings = Findings(scope["method"], scope["path"])
        self._passage: Passage | None = None
        self._client_gone = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # While it is not known whether the answer holds events.
        self._start: Message | None = None
        self._head = b""

    async def run(self) -> None:
        """Answer the request."""
        headers = [(name, value) for name, value in self._scope["headers"] if name != b"accept-encoding"]
        asked = self._scope | {"headers": [*headers, (b"accept-encoding", b"identity")]}
        answering = asyncio.ensure_future(self._middleware.app(asked, self._receive, self._take))
        try:
            await asyncio.wait({answering, self._over}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await self._left(answering.exception())
        except asyncio.CancelledError:
            self._findings.ended = "the proxy stopped"
            raise
        finally:
            answering.cancel()
            await asyncio.wait({answering})
            await self._close()

    async def _receive(self) -> Message:
        message = await self._receive_next()
        self._client_gone = self._client_gone or message["type"] == "http.disconnect"
        return message

    async def _take(self, message: Message) -> None:
        """Handle a message that the application sends."""
        if self._over.done():
            # The client has got the end of its answer: the application is about to be cancelled.
            await asyncio.Future()
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            piece, more = message.get("body", b""), message.get("more_body", False)
            if self._start is not None:
                await self._sniff(self._start, piece, more)
            elif self._passage is not None:
                await self._pass(self._passage, piece, more)
        else:
            await self._send(message)

    async def _pass(self, passage: Passage, piece: bytes, more: bool) -> None:
        if piece:
            await passage.body(piece)
        if passage.done:
            self._over.set_result(None)
        elif not more:
            await passage.end()

    async def _begin(self, start: Message) -> None:
        """Choose by status and headers how the answer passes."""
        headers = _without(start.get("headers", []), HEADER)  # only this proxy says what it did
        start = {**start, "headers": headers}
        method, mode = self._scope["method"], self._middleware.mode
        kind = media(method, start["status"], headers)
        known = decoder(headers) is not None
        if kind is Media.PROTOBUF:
            await self._unjudged(start, Media.PROTOBUF.value)
        elif kind is Media.OTHER:
            await self._unjudged(start, None)
        elif kind is Media.UNSAID:
            if mode is Mode.OBSERVE:
                await self._send(self._unclear(start))
            if known:
                self._start = start
            else:
                await self._passed(start)
        elif not known:
            name = header(headers, b"content-encoding").decode("latin-1")
            await self._no_decoder(start, f"content encoding {name}")
        else:
            await self._judged(start)

    async def _sniff(self, start: Message, piece: bytes, more: bool) -> None:
        """Look at the first bytes of an answer of unclear media type, to see whether it holds events.
        `observe` sends them on meanwhile."""
        observing = self._middleware.mode is Mode.OBSERVE
        self._head += piece
        found = _holds_events(self._head, start.get("headers", []))
        if found is None and more and len(self._head) < HEAD_BYTES_MAX:
            if observing:
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            return
        head, self._start, self._head = self._head, None, b""
        if found:
            passage = await self._judged(start, sent=observing)
            if isinstance(passage, Observing):
                passage.copy(head[: len(head) - len(piece)])
        else:
            passage = await self._passed(start)
        await self._pass(passage, piece if observing else head, more)

    async def _judged(self, start: Message, *, sent: bool = False) -> Passage:
        middleware, headers = self._middleware, start.get("headers", [])
        resumed = header(self._scope["headers"], b"last-event-id").decode("utf-8", "replace")
        judging = Judging(
            middleware.judge,
            self._findings,
            None if middleware.mode is Mode.OBSERVE else middleware.verdict_seconds,
            closing_seconds=middleware.closing_seconds,
            resumed=resumed,
            to_first=middleware.terms.refuse,
        )
        decoding, said = decoder(headers), middleware.mode.value
        if decoding is None:
            raise AssertionError("an answer that cannot be decoded is not judged")
        if middleware.mode is Mode.OBSERVE:
            self._passage = Observing(
                self._send, judging, middleware.terms.limits, decoding, middleware.beside
            )
        else:
            token = secrets.token_hex(8)
            self._passage = Holding(self._send, judging, middleware.terms, decoding, token)
            if not middleware.terms.refuse_unjudged:
                said += f"; id={token}; place=run"
            start = {**start, "headers": _without(headers, b"content-length", b"content-encoding")}
        if not sent:
            await self._send(_said(start, said))
        return self._passage

    async def _passed(self, start: Message) -> Passage:
        """Pass an answer that is not said to hold events, and does not begin as they do."""
        self._passage = Unjudged(self._send)
        if self._middleware.mode is not Mode.OBSERVE:  # which has sent the start before
            await self._send(self._unclear(start))
        if self._scope["method"] == "POST":
            kind = header(start["headers"], b"content-type").decode("latin-1")
            said = "POST %s: an answer of media type %s passed unjudged."
            log.warning(said, quoted(self._scope["path"]), quoted(kind))
        return self._passage

    def _unclear(self, start: Message) -> Message:
        """The start of an answer that is not said to hold events. Clients of agents, which ask by POST, may
        find some in it all the same; answers to other methods are pages and files."""
        if self._scope["method"] != "POST":
            return start
        return _said(start, f"not_validated: {Media.PROTOBUF.value}")

    async def _unjudged(self, start: Message, reason: str | None) -> None:
        self._findings.not_validated = reason
        self._passage = Unjudged(self._send)
        await self._send(start if reason is None else _said(start, f"not_validated: {reason}"))

    async def _no_decoder(self, start: Message, reason: str) -> None:
        """Pass an answer that cannot be decoded without judging it, or refuse it if the terms say so."""
        if not self._middleware.terms.refuse_unjudged:
            await self._unjudged(start, reason)
            return
        self._findings.ended = "refused"
        self._findings.not_validated = reason
        self._passage = Unjudged(self._send)
        kept = _without(start.get("headers", []), b"content-length", b"content-encoding", b"content-type")
        start = {**start, "headers": [*kept, (b"content-type", b"text/event-stream")]}
        await self._send(_said(start, f"not_validated: {reason}"))
        body = framed(error_event("NO_VERDICT", f"Not validated: {reason}."), "sse")
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._over.set_result(None)

    async def _left(self, error: BaseException | None) -> None:
        """Handle that the application has returned or raised `error`, perhaps within its answer."""
        passage = self._passage
        if passage is not None and not passage.done and self._client_gone:
            self._findings.ended = "the client went away"
        elif passage is not None and not passage.done:
            self._findings.ended = str(error) if isinstance(error, StreamBroke) else "the agent stopped"
            await passage.broke(self._findings.ended)
        if error is not None and not isinstance(error, StreamBroke):
            raise error

    async def _close(self) -> None:
        passage, report = self._passage, self._middleware.report
        if passage is not None:
            await passage.close()
            if report is not None and (passage.judged or self._findings.not_validated is not None):
                report(self._findings.report())


def _holds_events(head: bytes, headers: Headers) -> bool | None:
    decoding = decoder(headers)
    if decoding is None:
        return False
    try:
        return holds_events(b"".join(decoding.feed(head)))
    except UnreadableEncoding:
        return False


def _without(headers: Headers, *names: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in names]


def _said(start: Message, said: str) -> Message:
    return {**start, "headers": [*start.get("headers", []), (HEADER, said.encode("latin-1", "replace"))]}
