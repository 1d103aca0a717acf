"""What a client receives through the proxy in each mode, and what the proxy reports of it."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dtvn.cli import events_proxy
from dtvn.events.rules import Stream
from dtvn.proxy import EventsMiddleware, LocalJudge, Mode, NoVerdict, Report
from tests.events.rules.samples import event
from tests.golden import Compare
from tests.proxy.support import BAD, GOOD, sse

GOLDEN = Path(__file__).parent / "golden"
Message = dict[str, Any]
UNENDED = [event("RS"), event("TS:m"), event("TC:m")]
BODIES: dict[str, tuple[bytes, bytes]] = {
    "good": (b"text/event-stream", sse(GOOD)),
    "bad": (b"text/event-stream", sse(BAD)),
    "not ended": (b"text/event-stream", sse(UNENDED)),
    "text": (b"text/plain", b"Hello\n"),
}
Send = Callable[[Message], Awaitable[None]]


def answering(kind: bytes, body: bytes) -> Any:
    """An application that answers this."""

    async def application(_scope: Message, receive: Any, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return application


ASKED = [(b"host", b"agent"), (b"accept-encoding", b"gzip, br"), (b"x-own", b"1")]


async def exchanged(app: Any) -> list[str]:
    """The messages of the answer to one request, bodies joined, as lines."""
    lines: list[str] = []
    body = b""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/agent",
        "query_string": b"a=1",
        "headers": ASKED,
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
        app = EventsMiddleware(
            answering(*BODIES[name]), judge, mode=Mode(mode), report=self.reports.append, **options
        )
        self.lines.append(f"\n== {mode}: {name}")
        self.lines += await exchanged(app)
        await self.tell_reports()

    async def tell_reports(self) -> None:
        """What the command prints of each stream."""
        for report in self.reports:
            out = io.StringIO()
            events_proxy._printer(out, as_json=False)(report)
            self.lines += [f"  {line}" for line in out.getvalue().splitlines()]
        self.reports.clear()

    def text(self) -> str:
        told = "\n".join(self.lines) + "\n"
        return re.sub(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", "TOKEN", told)


@pytest.mark.asyncio
async def test_what_passes_in_each_mode(golden: Compare) -> None:
    story = Story()
    for name in BODIES:
        for mode in Mode:
            await story.pass_through(name, mode, LocalJudge())
    golden(GOLDEN / "passing.txt", story.text())


class NoJudge:
    """Gives no verdict."""

    async def open(self) -> Any:
        raise NoVerdict("the platform cannot be reached")


@pytest.mark.asyncio
async def test_a_judge_that_gives_no_verdict(golden: Compare) -> None:
    story = Story()
    for mode, refuse in (("observe", False), ("mark", False), ("refuse", True), ("refuse", False)):
        await story.pass_through("good", mode, NoJudge(), refuse_unjudged=refuse)
    golden(GOLDEN / "no-verdict.txt", story.text())


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
        out = io.StringIO()
        events_proxy._printer(out, as_json=False)(Report(**(usual | fields)))
        lines += [out.getvalue()]
    golden(GOLDEN / "reports.txt", "\n".join(lines))
