"""What the official client makes of an agent does not change when the proxy stands between them: real agents
of pydantic-ai, the golden cases, and streams that only the rules refuse."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dtvn.proxy import EventsMiddleware, Forward, LocalJudge, Mode, Report
from dtvn.proxy.passages import Receive, Send
from tests.events.rules.samples import event
from tests.proxy import pydantic_agents
from tests.proxy.client import outcomes
from tests.proxy.support import GOOD, served, sse
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.asyncio, pytest.mark.ci]
GOLDEN = json.loads((Path(__file__).parents[1] / "events/rules/golden_cases.json").read_text())
WAYS = ("direct", "observe", "mark", "refuse")
MADE_UP = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CLIENTS_TOOL = {
    "name": "show",
    "description": "Shows a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}

Outcome = dict[str, Any]


@asynccontextmanager
async def ways(app: Any) -> AsyncIterator[tuple[dict[str, str], dict[str, asyncio.Queue[Report]]]]:
    """The addresses of an application: its own, and those of a proxy before it in each mode, with what these
    report."""
    async with AsyncExitStack() as stack:
        urls = {"direct": await stack.enter_async_context(served(app))}
        reports: dict[str, asyncio.Queue[Report]] = {}
        for mode in WAYS[1:]:
            reports[mode] = asyncio.Queue()
            proxy = EventsMiddleware(
                Forward(urls["direct"]), LocalJudge(), mode=Mode(mode), report=reports[mode].put_nowait
            )
            urls[mode] = await stack.enter_async_context(served(proxy))
        yield urls, reports


def seen(outcome: Outcome) -> Outcome:
    """An outcome without the proxy's marks; ids that agents draw are numbered."""
    numbers: dict[str, str] = {}
    text = json.dumps({name: value for name, value in outcome.items() if name != "marks"}, sort_keys=True)
    found: Outcome = json.loads(
        MADE_UP.sub(lambda match: numbers.setdefault(match[0], f"id{len(numbers)}"), text)
    )
    return found


# --- Agents of pydantic-ai ---------------------------------------------------------------------------

SCRIPTS: dict[str, dict[str, Any]] = {
    "text": {"turns": [{"say": "Hello"}, {"say": "Again"}]},
    "tools": {"turns": [{"say": "The weather?"}]},
    "state": {"turns": [{"say": "Remember Rome"}]},
    "frontend": {"tools": [CLIENTS_TOOL], "turns": [{"say": "Show Rome"}, {"results": ["shown"]}]},
    "approval": {"turns": [{"say": "The weather?"}, {"approve": {"approved": True}}]},
    "error": {"turns": [{"say": "Hello"}]},
}


async def run_agents(app: Any) -> tuple[dict[str, dict[str, Outcome]], list[Report]]:
    """The outcomes by agent and way, and the reports of `mark`."""
    async with ways(app) as (urls, reports):
        asked = [(name, way) for name in SCRIPTS for way in WAYS]
        given = [{"url": f"{urls[way]}/{name}"} | SCRIPTS[name] for name, way in asked]
        found: dict[str, dict[str, Outcome]] = {name: {} for name in SCRIPTS}
        for (name, way), outcome in zip(asked, await outcomes(given), strict=True):
            found[name][way] = outcome
        count = sum(len(script["turns"]) for script in SCRIPTS.values())
        told = [await asyncio.wait_for(reports["mark"].get(), PATIENCE) for _ in range(count)]
    return found, told


async def test_pydantic_ai_works_through_each_mode_as_directly() -> None:
    found, reports = await run_agents(pydantic_agents.application)
    for name, outcome in found.items():
        direct = seen(outcome["direct"])
        assert direct["error"] is None, (name, direct)
        assert direct["events"][0] == "RUN_STARTED", name
        assert direct["events"][-1] == ("RUN_ERROR" if name == "error" else "RUN_FINISHED"), name
        for way in WAYS[1:]:
            assert seen(outcome[way]) == direct, (name, way)
            assert bool(outcome[way]["marks"]) == (way == "mark")
        assert all(mark["valid"] for mark in outcome["mark"]["marks"])
        assert len(outcome["mark"]["marks"]) == len(SCRIPTS[name]["turns"])
    assert found["text"]["mark"]["messages"][-1]["content"] == "".join(pydantic_agents.WORDS)
    assert found["state"]["mark"]["state"] == {"city": "Rome"}
    assert "shown" in found["frontend"]["mark"]["messages"][-1]["content"]
    assert "sunny in Rome" in found["approval"]["mark"]["messages"][-1]["content"]
    assert [(report.valid, report.marks_unsent) for report in reports] == [(True, 0)] * len(reports)


async def test_events_of_unknown_types_around_a_run_do_not_end_it() -> None:
    """The client drops them, and so does the proxy in each mode."""
    found, reports = await run_agents(pydantic_agents.chattering)
    for name, outcome in found.items():
        direct = seen(outcome["direct"])
        assert (direct["error"], direct["events"][0]) == (None, "RUN_STARTED"), (name, direct)
        for way in WAYS[1:]:
            assert seen(outcome[way]) == direct, (name, way)
        assert all(mark["valid"] for mark in outcome["mark"]["marks"])
    assert {each.code for report in reports for each in report.violations} == {"UNKNOWN_EVENT_TYPE"}


# --- Streams as they are -----------------------------------------------------------------------------


def replaying(streams: dict[str, bytes], kinds: dict[str, bytes | None]) -> Callable[..., Any]:
    """An application that answers POST /NAME with a stream, in pieces of 40 bytes."""

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        name = scope["path"].removeprefix("/")
        kind = kinds.get(name, b"text/event-stream")
        headers = [] if kind is None else [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = streams[name]
        for at in range(0, len(body), 40):
            await send({"type": "http.response.body", "body": body[at : at + 40], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return answer


async def replayed(
    streams: dict[str, bytes], kinds: dict[str, bytes | None] | None = None
) -> dict[str, dict[str, Outcome]]:
    """The outcomes of streams, by name and way."""
    found: dict[str, dict[str, Outcome]] = {name: {} for name in streams}
    async with ways(replaying(streams, kinds or {})) as (urls, _):
        asked = [(name, way) for name in streams for way in WAYS]
        given = [{"url": f"{urls[way]}/{name}"} for name, way in asked]
        for (name, way), outcome in zip(asked, await outcomes(given), strict=True):
            found[name][way] = outcome
    return found


async def test_golden_cases_that_work_directly_work_through_the_proxy() -> None:
    streams = {case["id"]: sse([json.dumps(each).encode() for each in case["events"]]) for case in GOLDEN}
    found = await replayed(streams)
    for case in GOLDEN:
        outcome = {way: seen(each) for way, each in found[case["id"]].items()}
        if outcome["direct"]["error"] is None:
            assert outcome["observe"] == outcome["mark"] == outcome["direct"], case["id"]
            direct, refused = outcome["direct"], outcome["refuse"]
            unfinished = direct | {"events": [*direct["events"], "RUN_ERROR"]}
            assert refused in (direct, unfinished) or case["code"] is not None, case["id"]
        else:  # how far it got before it failed depends on the pieces in which the stream came
            assert outcome["observe"]["error"] == outcome["direct"]["error"], case["id"]
    assert sum(found[case["id"]]["direct"]["error"] is None for case in GOLDEN) > 25


def text(*parts: bytes | str) -> list[bytes]:
    """One message of the agent in chunks, of which only the first names it."""
    first, *rest = (part.encode() if isinstance(part, str) else part for part in parts)
    begun = b'{"type":"TEXT_MESSAGE_CHUNK","messageId":"m","delta":"%b"}' % first
    return [begun, *(b'{"type":"TEXT_MESSAGE_CHUNK","delta":"%b"}' % part for part in rest)]


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


PING = b'{"type":"PING"}'
LONG = "m" * 600
FINISHED = b'{"type":"RUN_FINISHED","threadId":"t","runId":"r1","result":%b}'
# What the client takes, and the rules refuse at least once, or what the proxy might tear.
STREAMS = {
    "unknown_first": sse([PING, *GOOD]),
    "unknown_last": sse([*GOOD, PING]),
    "unknown_alone_before_an_error": sse([PING, event("RE")]),
    "unknown_between_runs": sse([*GOOD, PING, event("RS:r2"), PING, event("RF:r2"), PING]),
    "unknown_between_chunks": sse([GOOD[0], *text("a", "b"), PING, *text("", "c")[1:], GOOD[-1]]),
    "half_a_character": sse([GOOD[0], *text(rb"\ud83d", rb"\ude00", "!"), GOOD[-1]]),
    "half_a_character_and_an_unknown": sse(
        [GOOD[0], *text(rb"\ud83d", rb"\ude00"), PING, *text("", "!")[1:], GOOD[-1]]
    ),
    "half_a_character_in_the_result": sse([*GOOD[:-1], FINISHED % rb'"\ud83d"']),
    "long_ids_in_chunks": sse(
        [
            GOOD[0],
            event("TK", messageId=LONG, delta="a"),
            PING,
            event("TK", delta="b"),
            event("TK", messageId="n", delta="c"),
            GOOD[-1],
        ]
    ),
    "a_run_with_a_long_name": sse(
        [event("RS", runId=LONG), PING, *GOOD[1:-1], event("RF", runId=LONG), PING]
    ),
    "many_open": sse(
        [
            GOOD[0],
            *(event(f"TS:m{each}") for each in range(300)),
            *(event(f"TE:m{each}") for each in range(300)),
            GOOD[-1],
        ]
    ),
    "deep": sse([GOOD[0], b'{"type":"CUSTOM","name":"n","value":%b}' % nested(200), *GOOD[1:]]),
    "deep_result": sse([*GOOD[:-1], FINISHED % nested(200)]),
    "bytes_that_are_no_utf8": sse([GOOD[0], *text("a", b"\xff", "b"), GOOD[-1]]),
    "not_utf8_in_the_result": sse([*GOOD[:-1], FINISHED % b'"\xff"']),
    "numbers_of_6000_digits": sse([*GOOD[:-1], FINISHED % (b"9" * 6000)]),
    "thinking_of_0x": sse(
        [
            GOOD[0],
            b'{"type":"THINKING_START"}',
            b'{"type":"THINKING_TEXT_MESSAGE_START"}',
            b'{"type":"THINKING_TEXT_MESSAGE_CONTENT","delta":"hm"}',
            b'{"type":"THINKING_TEXT_MESSAGE_END"}',
            b'{"type":"THINKING_END"}',
            *GOOD[1:],
        ]
    ),
    "null_outcome": sse([*GOOD[:-1], b'{"type":"RUN_FINISHED","threadId":"t","runId":"r1","outcome":null}']),
    "unfinished": sse([*GOOD[:3], PING]),
    "unfinished_in_chunks": sse([GOOD[0], *text("a", "b"), PING]),
    "no_last_line_end": sse([PING, *GOOD])[:-2],
    "comments_in_crlf": b": hi\r\n\r\n" + sse([PING, *GOOD[:2]]) + b": ping\r\n\r\n" + sse(GOOD[2:]),
    "carriage_returns_within_an_event": sse(
        [GOOD[0], PING, b'{"type":\r"PING"}', b'{"type":\r\r"PING"}', *GOOD[1:]]
    ),
    "untyped": sse([PING, *GOOD]),
    "plain": sse([PING, *GOOD]),
}


async def test_streams_that_only_the_rules_refuse_work_through_observe_and_mark() -> None:
    found = await replayed(STREAMS, {"untyped": None, "plain": b"text/plain"})
    for name, outcome in found.items():
        direct = seen(outcome["direct"])
        assert direct["error"] is None or name == "unknown_alone_before_an_error", (name, direct["error"])
        assert direct["events"], name
        for way in ("observe", "mark"):
            assert seen(outcome[way]) == direct, (name, way)
