"""What passes through the proxy to both sides, and what it reports: each mode, judge and kind of answer.

Without sockets: an application that sends given messages, the middleware before it, and a client that notes
every message. At the end the same over real sockets, for what the proxy changes in headers.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dtvn.cli import events_proxy
from dtvn.events.rules import Stream, Verdict
from dtvn.proxy import AllowHosts, EventsMiddleware, LocalJudge, Mode, NoVerdict, Repair, Report
from dtvn.proxy.headers import address, answered, end_to_end, forwarded
from tests.events.rules.samples import event
from tests.golden import Compare
from tests.proxy.support import BAD, GOOD, sse

GOLDEN = Path(__file__).parent / "golden"
Message = dict[str, Any]
ERROR = event("RE", message="broken")
CHUNKED = [event("RS"), event("TK:m", delta="a"), event("TK:m", delta="b"), event("KK"), event("RF")]
LATER = [*GOOD, event("TS:late"), event("RS:r2"), event("TC:none"), event("RF:r2")]
UNENDED = [event("RS"), event("TS:m"), event("TC:m")]
OLDER = [event("RS"), b'{"type":"THINKING_START"}', b'{"type":"THINKING_END"}', event("RF")]
LINES = b"".join(each + b"\n" for each in BAD)
BODIES: dict[str, tuple[bytes, list[bytes]]] = {
    "good": (b"text/event-stream", [sse(GOOD)]),
    "good, cut anywhere": (b"text/event-stream", [sse(GOOD)[at : at + 37] for at in range(0, 400, 37)]),
    "comments, ids and CRLF": (
        b"text/event-stream; charset=utf-8",
        [b": hello\r\n\r\nid: 7\r\nretry: 9\r\ndata: " + GOOD[0] + b"\r\n\r\n", sse(GOOD[1:])],
    ),
    "bad": (b"text/event-stream", [sse(BAD)]),
    "bad from the beginning": (b"text/event-stream", [sse(BAD[1:])]),
    "bad, then an error": (b"text/event-stream", [sse([*BAD[:3], ERROR])]),
    "built of chunks, one bad": (b"text/event-stream", [sse(CHUNKED)]),
    "two runs, bad between them": (b"text/event-stream", [sse(LATER)]),
    "not ended": (b"text/event-stream", [sse(UNENDED)]),
    "cut within an event": (b"text/event-stream", [sse(GOOD)[:-20]]),
    "no events": (b"text/event-stream", [b""]),
    "only comments": (b"text/event-stream", [b": ping\n\n", b": ping\n\n"]),
    "of protocol 0.x": (b"text/event-stream", [sse(OLDER)]),
    "done": (b"text/event-stream", [sse([*GOOD, b"[DONE]"])]),
    "no JSON": (b"text/event-stream", [sse([GOOD[0], b"{", *GOOD[1:]])]),
    "lines of JSON": (b"application/x-ndjson", [LINES]),
    "a list of JSON": (b"application/json", [b"[" + b",".join(BAD) + b"]"]),
    "JSON that is no event": (b"application/json", [b'{"answer": 42}']),
    "text": (b"text/plain", [b"Hello, ", b"World"]),
    "protobuf": (b"application/vnd.ag-ui.event+proto", [b"\x00\x01\x02"]),
    "compressed": (b"text/event-stream", [gzip.compress(sse(BAD), mtime=0)]),
    "deflated": (b"text/event-stream", [zlib.compress(sse(GOOD))]),
    "said to be compressed": (b"text/event-stream", [sse(GOOD)]),
    "in an unknown encoding": (b"text/event-stream", [b"xyz"]),
    "compressed JSON": (b"application/json", [gzip.compress(LINES, mtime=0)]),
    "JSON, said to be compressed": (b"application/json", [LINES]),
    "JSON in an unknown encoding": (b"application/json", [LINES]),
    "of no type": (b"", [sse(BAD)]),
    "bytes": (b"application/octet-stream", [sse(BAD)[:3], sse(BAD)[3:]]),
}
ENCODINGS = {
    "compressed": b"gzip",
    "deflated": b"deflate",
    "said to be compressed": b"gzip",
    "in an unknown encoding": b"snappy",
    "compressed JSON": b"gzip",
    "JSON, said to be compressed": b"gzip",
    "JSON in an unknown encoding": b"snappy",
}
Send = Callable[[Message], Awaitable[None]]


def answering(kind: bytes, pieces: Sequence[bytes], *headers: tuple[bytes, bytes], status: int = 200) -> Any:
    """An application that answers this, and notes in `asked` the headers that it was asked with."""

    async def application(scope: Message, receive: Any, send: Send) -> None:
        application.asked.append(scope["headers"])  # type: ignore[attr-defined]
        while (await receive()).get("more_body"):
            pass
        length = (b"content-length", str(sum(map(len, pieces))).encode())
        start = [(b"content-type", kind), length, *headers]
        await send({"type": "http.response.start", "status": status, "headers": start})
        for place, piece in enumerate(pieces):
            more = place + 1 < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    application.asked = []  # type: ignore[attr-defined]
    return application


ASKED = [(b"host", b"agent"), (b"accept-encoding", b"gzip, br"), (b"x-own", b"1")]


async def exchanged(app: Any, method: str = "POST", headers: Any = ASKED) -> list[str]:
    """The messages of the answer to one request, bodies joined, as lines."""
    lines: list[str] = []
    body = b""
    scope = {
        "type": "http",
        "method": method,
        "path": "/agent",
        "query_string": b"a=1",
        "headers": headers,
        "client": ("192.0.2.7", 1234),
        "scheme": "http",
    }
    given = [{"type": "http.request", "body": b"{}", "more_body": False}]
    gone = asyncio.Event()

    async def receive() -> Message:
        if given:
            return given.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            lines.append(f"  < {message['status']}")
            lines.extend(f"  < {name.decode()}: {value.decode()}" for name, value in message["headers"])
        else:
            body += message.get("body", b"")

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - whatever it raises is told
        lines.append(f"  < broken off: {type(error).__name__}: {error}")
    return lines + ["  | " + part.decode(errors="replace").rstrip("\r") for part in body.split(b"\n")[:-1]]


class Story:
    """What was told, with the ids of the proxy under one name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reports: list[Report] = []

    async def pass_through(self, name: str, mode: str, judge: Any, **options: Any) -> None:
        kind, pieces = BODIES[name]
        encoding = [(b"content-encoding", ENCODINGS[name])] if name in ENCODINGS else []
        app = answering(kind, pieces, *encoding)
        asked: Any = Repair(app) if options.pop("repair", False) else app
        middleware = EventsMiddleware(asked, judge, mode=Mode(mode), report=self.reports.append, **options)
        self.lines.append(f"\n== {mode}: {name}")
        self.lines += await exchanged(middleware)
        self.lines += [f"  > {key.decode()}: {value.decode()}" for key, value in app.asked[0]]
        await self.tell_reports()

    async def tell_reports(self) -> None:
        """What the command prints of each stream, in both forms."""
        for report in self.reports:
            for as_json in (False, True):
                out = io.StringIO()
                events_proxy._printer(out, as_json=as_json)(report)
                self.lines += [f"  {line}" for line in out.getvalue().splitlines()]
        self.reports.clear()

    def text(self) -> str:
        told = "\n".join(self.lines) + "\n"
        return re.sub(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", "TOKEN", told)


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", [*Mode])
async def test_what_passes_in_each_mode(mode: Mode, golden: Compare) -> None:
    story = Story()
    for name in BODIES:
        await story.pass_through(name, mode, LocalJudge())
    golden(GOLDEN / f"passing-{mode}.txt", story.text())


@pytest.mark.asyncio
async def test_what_options_change(golden: Compare) -> None:
    story = Story()
    for mode in ("observe", "mark", "refuse"):
        await story.pass_through("of protocol 0.x", mode, LocalJudge(accept_0x=True))
        await story.pass_through("of protocol 0.x", mode, LocalJudge(drop_unknown=True))
        await story.pass_through("comments, ids and CRLF", mode, LocalJudge(), repair=True)
        await story.pass_through("done", mode, LocalJudge(), repair=True)
    golden(GOLDEN / "passing-options.txt", story.text())


class Judge:
    """Judges by the rules here, and fails where it is told to."""

    def __init__(self, fails: str) -> None:
        self.fails = fails

    async def open(self) -> Judge:
        if self.fails == "open":
            raise NoVerdict("the platform cannot be reached")
        self.stream, self.scope, self.count = Stream(), "pbft 7", 0
        return self

    async def judge(self, texts: Sequence[bytes]) -> Sequence[Verdict]:
        self.count += len(texts)
        if self.fails == "judge" or (self.fails == "later" and self.count > 2):
            raise NoVerdict(f"no quorum answered after {self.count} events")
        if self.fails == "hangs":
            await asyncio.Event().wait()
        return [self.stream.feed(text) for text in texts]

    async def close(self) -> None:
        if self.fails == "close":
            raise NoVerdict("the end was not confirmed")


@pytest.mark.asyncio
@pytest.mark.parametrize("fails", ["nowhere", "open", "judge", "later", "hangs", "close"])
async def test_a_judge_that_gives_no_verdict(fails: str, golden: Compare) -> None:
    story = Story()
    modes = [("observe", True), ("mark", True), ("refuse", False), ("refuse", True)]
    # A judge that hangs is waited for in `observe`, for long: nothing is held meanwhile.
    for mode, passes in modes[1:] if fails == "hangs" else modes:
        for name in ("good, cut anywhere", "bad", "not ended"):
            story.lines.append(f"\nrefuse what is not judged: {not passes}")
            patience = 0.001 if fails == "hangs" else 30.0
            await story.pass_through(
                name,
                mode,
                Judge(fails),
                refuse_unjudged=not passes,
                verdict_seconds=patience,
                closing_seconds=patience,
            )
    golden(GOLDEN / f"no-verdict-{fails}.txt", story.text())


@pytest.mark.asyncio
async def test_answers_that_are_no_streams(golden: Compare) -> None:
    story = Story()
    for mode in Mode:
        for status, headers in (
            (404, []),
            (500, [(b"dtvn-events", b"of the agent")]),
            (204, []),
            (200, [(b"etag", b"x"), (b"Connection", b"close"), (b"cache-control", b"no-cache")]),
        ):
            app = answering(b"text/event-stream", [sse(BAD)], *headers, status=status)
            middleware = EventsMiddleware(app, LocalJudge(), mode=mode, report=story.reports.append)
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                story.lines.append(f"\n== {mode}: {method} {status}")
                story.lines += await exchanged(middleware, method)
                await story.tell_reports()
    golden(GOLDEN / "passing-statuses.txt", story.text())


@pytest.mark.asyncio
async def test_whom_the_door_answers(golden: Compare) -> None:
    lines: list[str] = []
    app = AllowHosts(answering(b"text/plain", [b"in\n"]), ["own.example", "other"])
    hosts = [
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]:80",
        "[::1",
        "::1",
        "localhost",
        "LOCALHOST.:1",
        "a.localhost",
    ]
    hosts += ["localhost.evil", "own.example", "OWN.example:8090", "own.example.", "x.own.example", "other:x"]
    for host in (*hosts, "", "evil.example", "10.0.0.300"):
        lines.append(f"\n== {host}")
        lines += await exchanged(app, headers=[(b"host", host.encode())])
    for headers in ([], [(b"host", b"own.example"), (b"host", b"other")]):
        lines.append(f"\n== {headers}")
        lines += await exchanged(app, headers=headers)
    for name in ("", "http://x", "a b", "x:80", "*", "[::1]"):
        try:
            AllowHosts(app, [name])
            lines.append(f"name {name!r} is taken")
        except ValueError as error:
            lines.append(f"name {name!r}: {error}")
    golden(GOLDEN / "hosts.txt", "\n".join(lines) + "\n")


def test_headers_and_addresses(golden: Compare) -> None:
    lines = []
    for text in (
        "http://agent",
        "https://agent:8443/path/",
        "HTTP://Agent:80/a b",
        "ftp://agent",
        "agent:80",
        "http://",
        "http://agent/?q=1",
        "http://agent/#f",
        "http://me@agent",
        "http://[::1]:80",
        "http://agent:99999999",
    ):
        try:
            lines.append(f"{text!r}: {address(text)}")
        except ValueError as error:
            lines.append(f"{text!r}: {type(error).__name__} {error}")
    given = [
        (b"host", b"proxy:1"),
        (b"host", b"second"),
        (b"connection", b"close, X-Mine"),
        (b"x-mine", b"1"),
        (b"te", b"trailers"),
        (b"x-forwarded-for", b"lie"),
        (b"x-forwarded-host", b"lie"),
        (b"forwarded", b"lie"),
        (b"x-real-ip", b"lie"),
        (b"expect", b"100-continue"),
        (b"under_score", b"1"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"content-length", b"2"),
        (b"upgrade", b"h2c"),
    ]
    lines.append(f"end to end: {end_to_end(given)}")
    lines.append(f"forwarded: {forwarded(given, '192.0.2.7', 'https', b'agent:80')}")
    lines.append(f"forwarded: {forwarded(given[2:], '::1', 'http', b'agent')}")
    agent = address("http://agent:8000/base")
    for location in (
        b"http://agent:8000/base/x?y=1",
        b"http://agent:8000/basement",
        b"http://agent:8000/base",
        b"http://agent/base/x",
        b"https://agent:8000/base/x",
        b"/base/x",
        b"/base//evil",
        b"/base/\\evil",
        b"/base/\t/evil",
        b"//evil/base/",
        b"/other",
        b"x",
    ):
        lines.append(f"{location!r} -> {answered(302, [(b'Location', location)], agent)}")
    length = [(b"Content-Length", b"7"), (b"Content-Type", b"a/b"), (b"Keep-Alive", b"9")]
    for status in (200, 204, 205, 304):
        lines.append(f"{status}: {answered(status, length, agent)}")
    lines.append(f"chunked: {answered(200, [*length, (b'Transfer-Encoding', b'chunked')], agent)}")
    golden(GOLDEN / "headers.txt", "\n".join(lines) + "\n")


def test_reports_in_words(golden: Compare) -> None:
    """What the command prints of streams with many findings, without verdict, cut off."""
    stream = Stream()
    verdicts = [stream.feed(text) for text in [event("RS"), *[event(f"TC:{at}") for at in range(15)]]]
    found = tuple(each for verdict in verdicts for each in verdict.violations)
    lines = []
    for fields in (
        {"violations": found[:9]},
        {"violations": found[:10]},
        {"violations": found[:11]},
        {"violations": found, "omitted": 3},
        {"valid": None, "not_validated": "no answer in time", "scope": ""},
        {"valid": None, "not_validated": "Nothing is owed: it was not asked", "code": None},
        {"ended": "the client left", "marks_unsent": 1},
        {"ended": "the agent broke off", "marks_unsent": 2, "events": 1, "valid": True},
    ):
        usual: dict[str, Any] = {
            "method": "POST",
            "path": "/a\x1bb",
            "run": None,
            "events": 16,
            "valid": False,
            "code": "MESSAGE_NOT_OPEN",
            "violations": (),
            "omitted": 0,
            "scope": "LOCAL_ONLY",
            "not_validated": None,
            "ended": "complete",
        }
        for as_json in (False, True):
            out = io.StringIO()
            events_proxy._printer(out, as_json=as_json)(Report(**(usual | fields)))
            lines += [*out.getvalue().splitlines(), ""]
    golden(GOLDEN / "reports.txt", json.dumps(lines, indent=0) + "\n")
