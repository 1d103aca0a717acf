"""What is told of the runs of a stream: threads, interrupts, pending calls, tokens, versions, subagents."""

from __future__ import annotations

import json
from typing import Any

from dtvn.events import validate
from tests.events.rules.samples import event
from tests.support.table import table

RS, RF = event("RS"), event("RF")
CALLED = [RS, event("KS:c"), event("KA:c"), event("KE:c")]


def interrupt(*names: str) -> bytes:
    return event(
        "RF", outcome={"type": "interrupt", "interrupts": [{"id": name, "reason": "x"} for name in names]}
    )


def used(**counts: Any) -> list[bytes]:
    return [RS, event("RF", usage=[counts])]


def codes(*events: bytes) -> list[tuple[str, int]]:
    found = validate(events)
    assert found.valid
    return [(each.code, each.index) for each in found.findings]


def answering(*names: str) -> bytes:
    resume = [{"interruptId": name, "status": "resolved"} for name in names]
    return event("RS:r2", input={"threadId": "t", "runId": "r2", "messages": [], "resume": resume})


SAID: dict[str, tuple[list[bytes], list[tuple[str, int]]]] = {
    "each interrupt answered": ([RS, interrupt("a", "b"), answering("b", "a"), event("RF:r2")], []),
    "one left open": (
        [RS, interrupt("a", "b"), answering("b"), event("RF:r2")],
        [("RESUME_LEAVES_OPEN", 2)],
    ),
    "two of one id": ([RS, interrupt("a", "a")], [("INTERRUPT_ID_REUSED", 1)]),
    "another thread": (
        [RS, RF, event("RS:r2", threadId="u"), event("RF:r2", threadId="u")],
        [("THREAD_ID_MISMATCH", 2)],
    ),
    "ends another thread": ([RS, event("RF", threadId="u")], [("THREAD_ID_MISMATCH", 1)]),
    "cancelled with a result": (
        [RS, event("RF", outcome={"type": "cancelled"}, result=1)],
        [("CANCELLED_WITH_RESULT", 1)],
    ),
    "tokens add up": (
        used(inputTokens=5, outputTokens=3, totalTokens=8, cachedInputTokens=5, reasoningTokens=3),
        [],
    ),
    "another sum": (used(inputTokens=5, outputTokens=3, totalTokens=9), [("USAGE_DOES_NOT_ADD_UP", 1)]),
    "more cached than read": (
        used(inputTokens=5, cachedInputTokens=3, cacheWriteInputTokens=3),
        [("USAGE_DOES_NOT_ADD_UP", 1)],
    ),
    "more thought than written": (
        used(outputTokens=1, reasoningTokens=2),
        [("USAGE_DOES_NOT_ADD_UP", 1)],
    ),
    "a model twice": (
        [RS, event("RE", usage=[{"model": "m", "inputTokens": 1}] * 2)],
        [("USAGE_DOES_NOT_ADD_UP", 1)],
    ),
    "pending": ([*CALLED, event("RF", outcome={"type": "success", "pendingToolCallIds": ["c"]})], []),
    "pending what is none": (
        [RS, event("RF", outcome={"type": "success", "pendingToolCallIds": ["c"]})],
        [("PENDING_CALL_UNKNOWN", 1)],
    ),
    "answered in the next run": (
        [
            *CALLED,
            interrupt("i"),
            event("RS:r2"),
            json.dumps(
                {"type": "TOOL_CALL_RESULT", "messageId": "x", "toolCallId": "c", "content": ""}
            ).encode(),
            event("RF:r2"),
        ],
        [],
    ),
    "version known": ([event("RS", protocolVersion="1.1"), RF], []),
    "version newer": ([event("RS", protocolVersion="1.10"), RF], [("PROTOCOL_NEWER", 0)]),
    "version of 0.x": ([event("RS", protocolVersion="0.9"), RF], [("PROTOCOL_0X", 0)]),
    "subagent announced late": (
        [
            RS,
            event("TS:m", subagentRunId="s"),
            event("TC:m"),
            event("TE:m"),
            event("GS:s"),
            event("GF:s"),
            RF,
        ],
        [("SUBAGENT_ANNOUNCED_LATE", 4)],
    ),
    "seconds": ([event("RS", timestamp=1_700_000_000), RF], [("TIMESTAMP_VALIDATION", 0)]),
    "1 ms early": ([event("RS", timestamp=1_700_000_000_001), event("RF", timestamp=1_700_000_000_000)], []),
    "null where any value may stand": (
        [RS, event("RW"), json.dumps({"type": "STATE_SNAPSHOT", "snapshot": None}).encode(), RF],
        [],
    ),
}


@table("name", SAID, ids=SAID, count=21)
def test_what_a_run_owes_its_client_is_told(name: str) -> None:
    events, expected = SAID[name]
    assert codes(*events) == expected


def test_what_a_newer_version_may_have_is_not_to_be_removed() -> None:
    found = validate([event("RS", protocolVersion="2.0"), event("CU", later=1), RF])
    (told,) = [each for each in found.findings if each.code == "UNKNOWN_FIELD"]
    assert "2.0" in told.suggestion
    assert "emove the field" not in told.suggestion
