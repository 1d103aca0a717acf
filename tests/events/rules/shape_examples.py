"""An example of each event of AG-UI 1.0 with all its fields, and the events that come before it."""

from __future__ import annotations

from typing import Any

Events = list[dict[str, Any]]
STARTED: dict[str, Any] = {"type": "RUN_STARTED", "threadId": "thread-1", "runId": "run-1"}
COMMON: dict[str, Any] = {"timestamp": 1700000000123, "rawEvent": {"raw": 1}, "metadata": {"note": "a"}}
TAGGED: dict[str, Any] = COMMON | {"subagentRunId": "sub-1"}
SUBAGENT: dict[str, Any] = {"type": "SUBAGENT_STARTED", "subagentRunId": "sub-1", "name": "helper"}
IN_RUN: Events = [STARTED, SUBAGENT]

_PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": "part one", "id": "part-1"},
    {"type": "image", "source": {"type": "data", "value": "QUJD", "mimeType": "image/png"}, "id": "part-2"},
    {"type": "audio", "source": {"type": "url", "value": "https://a/b.mp3", "mimeType": "audio/mpeg"}},
    {
        "type": "document",
        "source": {"type": "file", "value": "file-1", "provider": "store", "mimeType": "a/b"},
    },
]
_MESSAGES: list[dict[str, Any]] = [
    {"role": "developer", "id": "d1", "content": "rules", "name": "dev", "encryptedValue": "e1"},
    {"role": "system", "id": "s1", "content": "be kind", "name": "sys"},
    {
        "role": "assistant",
        "id": "a1",
        "content": "calling",
        "toolCalls": [
            {
                "id": "call-9",
                "type": "function",
                "function": {"name": "search", "arguments": "{}"},
                "encryptedValue": "e2",
                "metadata": {"k": 1},
            }
        ],
        "subagentRunId": "sub-1",
    },
    {"role": "user", "id": "u1", "content": _PARTS, "name": "Ada"},
    {"role": "tool", "id": "t1", "content": "42", "toolCallId": "call-9", "error": "none"},
    {"role": "activity", "id": "ac1", "activityType": "plan", "content": {"steps": 2}},
    {"role": "reasoning", "id": "r1", "content": "thinking", "metadata": {"m": True}},
]
_PATCH: list[dict[str, Any]] = [
    {"op": "add", "path": "/a", "value": 1},
    {"op": "move", "from": "/b", "path": "/c"},
    {"op": "remove", "path": "/d~1e"},
    {"op": "test", "path": "", "value": None},
]
_USAGE: list[dict[str, Any]] = [
    {
        "provider": "maker",
        "model": "m-1",
        "inputTokens": 11,
        "outputTokens": "22",
        "totalTokens": 33.0,
        "reasoningTokens": 4,
        "cachedInputTokens": 5,
        "cacheWriteInputTokens": 0,
    }
]
_INPUT: dict[str, Any] = {
    "threadId": "thread-2",
    "runId": "run-2",
    "messages": [{"role": "user", "id": "u2", "content": "hello"}],
    "protocolVersion": "1.0",
    "parentRunId": "run-0",
    "tools": [
        {"name": "search", "description": "finds", "metadata": {"x": 1}, "parameters": {"type": "object"}}
    ],
    "context": [{"description": "where", "value": "here"}],
    "resume": [{"interruptId": "i-1", "status": "resolved", "metadata": {"y": 2}}],
    "state": {"count": 3},
}


def _event(kind: str, base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields, **base}


EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "text": {
        each["type"]: each
        for each in (
            _event("TEXT_MESSAGE_START", TAGGED, messageId="m-new", role="assistant", name="bot"),
            _event("TEXT_MESSAGE_CONTENT", TAGGED, messageId="m-1", delta="hello"),
            _event("TEXT_MESSAGE_END", TAGGED, messageId="m-1"),
            _event("TEXT_MESSAGE_CHUNK", TAGGED, messageId="m-2", role="user", delta="chunk", name="Ada"),
            _event("REASONING_START", TAGGED, messageId="s-new"),
            _event("REASONING_END", TAGGED, messageId="s-1"),
            _event("REASONING_MESSAGE_START", TAGGED, messageId="r-new", role="reasoning"),
            _event("REASONING_MESSAGE_CONTENT", TAGGED, messageId="r-1", delta="because"),
            _event("REASONING_MESSAGE_END", TAGGED, messageId="r-1"),
            _event("REASONING_MESSAGE_CHUNK", TAGGED, messageId="r-2", delta="so"),
            _event(
                "REASONING_ENCRYPTED_VALUE", TAGGED, subtype="message", entityId="m-1", encryptedValue="zzz"
            ),
        )
    },
    "tools": {
        each["type"]: each
        for each in (
            _event(
                "TOOL_CALL_START",
                TAGGED,
                toolCallId="c-new",
                toolCallName="find",
                parentMessageId="m-1",
            ),
            _event("TOOL_CALL_ARGS", TAGGED, toolCallId="c-1", delta='{"q":'),
            _event("TOOL_CALL_END", TAGGED, toolCallId="c-1"),
            _event(
                "TOOL_CALL_CHUNK",
                TAGGED,
                toolCallId="c-2",
                toolCallName="look",
                parentMessageId="m-1",
                delta="{}",
            ),
            _event(
                "TOOL_CALL_RESULT", TAGGED, messageId="m-r", toolCallId="c-1", content=_PARTS[:2], role="tool"
            ),
        )
    },
    "state": {
        each["type"]: each
        for each in (
            _event("STATE_SNAPSHOT", TAGGED, snapshot={"count": 1}),
            _event("STATE_DELTA", TAGGED, delta=_PATCH),
            _event(
                "ACTIVITY_SNAPSHOT",
                TAGGED,
                messageId="act-1",
                activityType="plan",
                content={"a": [1]},
                replace=True,
            ),
            _event("ACTIVITY_DELTA", TAGGED, messageId="act-1", activityType="plan", patch=_PATCH[:1]),
            _event("RAW", TAGGED, event={"any": "thing"}, source="upstream"),
            _event("CUSTOM", TAGGED, name="mine", value=[1, 2]),
            _event("STEP_STARTED", TAGGED, stepName="new step"),
            _event("STEP_FINISHED", TAGGED, stepName="step one"),
        )
    },
    "snapshot": {"MESSAGES_SNAPSHOT": _event("MESSAGES_SNAPSHOT", COMMON, messages=_MESSAGES)},
    "runs": {
        each["type"]: each
        for each in (
            _event(
                "RUN_STARTED",
                COMMON,
                threadId="thread-2",
                runId="run-2",
                protocolVersion="1.0",
                parentRunId="run-0",
                input=_INPUT,
            ),
            _event(
                "RUN_FINISHED",
                COMMON,
                threadId="thread-1",
                runId="run-1",
                outcome={
                    "type": "interrupt",
                    "interrupts": [
                        {
                            "id": "i-1",
                            "reason": "approval",
                            "message": "ok?",
                            "toolCallId": "c-1",
                            "responseSchema": {"type": "boolean"},
                            "expiresAt": "2026-01-01T00:00:00Z",
                            "metadata": {"z": 1},
                            "subagentRunId": "sub-1",
                        }
                    ],
                },
                usage=_USAGE,
                result={"answer": 42},
            ),
            _event("RUN_ERROR", COMMON, message="broken", code="E1", usage=_USAGE[:1]),
        )
    },
    "subagents": {
        each["type"]: each
        for each in (
            _event(
                "SUBAGENT_STARTED",
                COMMON,
                subagentRunId="sub-2",
                name="second",
                description="does more",
                parentSubagentRunId="sub-1",
                parentToolCallId="c-1",
                parentMessageId="m-1",
            ),
            _event(
                "SUBAGENT_FINISHED",
                COMMON,
                subagentRunId="sub-1",
                outcome={"type": "suspended", "interruptIds": ["i-1", "i-2"]},
                result={"done": 1},
            ),
            _event("SUBAGENT_ERROR", COMMON, subagentRunId="sub-1", message="failed", code="E2"),
        )
    },
}
"""Family -> type of event -> an event of it with all fields."""
_TAG = {"subagentRunId": "sub-1"}
_OPEN: Events = [
    *IN_RUN,
    {"type": "TEXT_MESSAGE_START", "messageId": "m-1", **_TAG},
    {"type": "TOOL_CALL_START", "toolCallId": "c-1", "toolCallName": "find", **_TAG},
    {"type": "REASONING_START", "messageId": "s-1", **_TAG},
    {"type": "REASONING_MESSAGE_START", "messageId": "r-1", **_TAG},
    {"type": "STEP_STARTED", "stepName": "step one", **_TAG},
    {"type": "ACTIVITY_SNAPSHOT", "messageId": "act-1", "activityType": "plan", "content": {}, **_TAG},
]
PRELUDE: dict[str, Events] = {
    "": _OPEN,
    "RUN_STARTED": [],
    "RUN_FINISHED": [STARTED],
}
"""Type of event -> the events before it; "" for all others."""
