"""What a replayed agent answers: each turn of two threads, each kind of request."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dtvn.replay import Replay, runs_of
from tests.events.rules.samples import event
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
RECORDED = Path(__file__).parents[1] / "events" / "recorded"
CALLED = [
    event("KS:c1", parentMessageId="m1"),
    event("KA:c1", delta='{"id": "m1"}'),
    event("KE:c1"),
    json.dumps({"type": "TOOL_CALL_RESULT", "messageId": "m2", "toolCallId": "c1", "content": "m1"}).encode(),
]
SNAPSHOT = {
    "type": "MESSAGES_SNAPSHOT",
    "messages": [
        {"id": "u1", "role": "user", "content": "hello"},
        {
            "id": "m1",
            "role": "assistant",
            "toolCalls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"id": "m2", "role": "tool", "content": "x", "toolCallId": "c1"},
    ],
}
INTERRUPT = {"type": "interrupt", "interrupts": [{"id": "i1", "reason": "ask", "toolCallId": "c1"}]}
STREAM = [
    b'{"type":"CUSTOM","name":"before","value":1}',
    event("RS:old1", threadId="old", timestamp=1000, parentRunId="old0"),
    event("TS:m1", timestamp=1250),
    event("TC:m1", delta="Grüße", timestamp=1250),
    event("TE:m1", timestamp=700),
    *CALLED,
    json.dumps(SNAPSHOT).encode(),
    event("RF:old1", threadId="old", outcome=INTERRUPT, timestamp=99_000_000),
    event("RS:old2", threadId="old", input={"threadId": "old", "runId": "old2", "messages": []}),
    event("TS:m1"),
    event("TE:m1"),
    event("RE"),
    event("CU"),
]
ASKED: dict[str, Any] = {"threadId": "t1", "runId": "r1", "messages": []}


async def asked(
    app: Replay, body: bytes, method: str = "POST", headers: list[tuple[bytes, bytes]] | None = None
) -> list[str]:
    """One request and its answer, as lines."""
    lines: list[str] = []
    text, ended = b"", False
    given: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        nonlocal text, ended
        ended = message["type"] == "http.response.body" and not message.get("more_body")
        if message["type"] == "http.response.start":
            lines.append(f"  < {message['status']}")
            lines.extend(f"  < {name.decode()}: {value.decode()}" for name, value in message["headers"])
        text += message.get("body", b"")

    usual = [(b"host", b"127.0.0.1:8000")]
    scope = {
        "type": "http",
        "method": method,
        "path": "/any",
        "headers": usual + (headers or []),
        "scheme": "http",
    }
    await app(scope, receive, send)
    body = ["  | " + line for line in text.decode().splitlines() if line]
    return [*lines, *body, "  ended" if ended else "  not ended"]


@pytest.mark.asyncio
async def test_turns_of_threads(golden: Compare) -> None:
    app = Replay(runs_of(STREAM), speed=None)
    lines = []
    for thread, run in (("t1", "r1"), ("t1", "r2"), ("t2", "r1"), ("t1", "r3"), ("t1", "r4"), ("t2", "r2")):
        lines.append(f"\n== thread {thread}, run {run}")
        lines += await asked(app, json.dumps(ASKED | {"threadId": thread, "runId": run}).encode())
    golden(GOLDEN / "turns.txt", "\n".join(lines) + "\n")


@pytest.mark.asyncio
async def test_requests_of_all_kinds(golden: Compare) -> None:
    app = Replay(runs_of(STREAM), speed=None, origins=["http://page:3000"], streams=1)
    good = json.dumps(ASKED).encode()
    page, stranger = (b"origin", b"http://page:3000"), (b"origin", b"http://evil")
    wishes = [
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"x-a, content-type"),
    ]
    cases: list[tuple[bytes, str, list[tuple[bytes, bytes]]]] = [
        (good, "GET", []),
        (good, "HEAD", []),
        (b"", "OPTIONS", []),
        (b"", "OPTIONS", [page, *wishes]),
        (b"", "OPTIONS", [stranger, *wishes]),
        (b"", "OPTIONS", [page, *wishes, (b"access-control-request-private-network", b"true")]),
        (good, "POST", [page]),
        (good, "POST", [stranger]),
        (good, "POST", [(b"origin", b"null")]),
        (good, "POST", [(b"origin", b"http://127.0.0.1:8000")]),
        (b"", "POST", []),
        (b"{}", "POST", []),
        (b"[1]", "POST", [page]),
        (b'{"threadId": 1, "runId": "r", "messages": []}', "POST", []),
        (b'{"threadId": "t", "runId": "r", "messages": {}}', "POST", []),
    ]
    lines = []
    for body, method, headers in cases:
        lines.append(f"\n== {method} {body[:40].decode()} {headers}")
        lines += await asked(app, body, method, headers)
    app = Replay(runs_of(STREAM), speed=None, origins=["*"])
    lines += ["\n== any origin", *await asked(app, b"", "OPTIONS", [stranger, *wishes])]
    golden(GOLDEN / "requests.txt", "\n".join(lines) + "\n")
