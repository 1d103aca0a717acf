"""One event of each type with every field, and the sequences of the contract's notation."""

from __future__ import annotations

import json
from typing import Any

COMMON: dict[str, Any] = {
    "timestamp": 1_732_380_000_000,
    "rawEvent": {"a": [1, None]},
    "metadata": {"k": None},
}
TAGGED = COMMON | {"subagentRunId": "s1"}
PART = {
    "type": "image",
    "source": {"type": "url", "value": "https://x/y.png", "mimeType": "image/png"},
    "id": "p",
}
PARTS = [
    {"type": "text", "text": "hello", "id": "p0"},
    PART,
    {"type": "audio", "source": {"type": "data", "value": "AA==", "mimeType": "audio/wav"}, "metadata": [1]},
    {
        "type": "video",
        "source": {"type": "file", "value": "f1", "provider": "openai", "mimeType": "video/mp4"},
    },
    {"type": "document", "source": {"type": "file", "value": "f2"}},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "n", "arguments": "{}"}, "encryptedValue": "e"}
MESSAGES = [
    {"id": "m0", "role": "developer", "content": "x", "name": "d"},
    {"id": "m1", "role": "system", "content": "x", "encryptedValue": "e"},
    {"id": "m2", "role": "assistant", "content": "x", "toolCalls": [CALL], "subagentRunId": "s1"},
    {"id": "m3", "role": "assistant"},
    {"id": "m4", "role": "user", "content": PARTS, "metadata": {}},
    {"id": "m5", "role": "tool", "content": "x", "toolCallId": "c1", "error": "bad"},
    {"id": "m6", "role": "activity", "activityType": "a", "content": {"k": 1}},
    {"id": "m7", "role": "reasoning", "content": "x", "encryptedValue": "e"},
]
PATCH = [
    {"op": "add", "path": "/a~1b/0", "value": None},
    {"op": "replace", "path": "", "value": 1},
    {"op": "test", "path": "/a", "value": [1]},
    {"op": "remove", "path": "/a"},
    {"op": "move", "from": "/a", "path": "/b"},
    {"op": "copy", "from": "", "path": "/b"},
]
INPUT = {
    "threadId": "t",
    "runId": "r",
    "protocolVersion": "1.0",
    "parentRunId": "r0",
    "state": {"a": 1},
    "messages": MESSAGES,
    "tools": [{"name": "n", "description": "d", "parameters": {}, "metadata": {}}],
    "context": [{"description": "d", "value": "v"}],
    "forwardedProps": {"a": 1},
    "resume": [{"interruptId": "i", "status": "resolved", "payload": 1, "metadata": {}}],
}
INTERRUPT = {
    "id": "i",
    "reason": "x",
    "message": "m",
    "toolCallId": "c1",
    "responseSchema": {"type": "object"},
    "expiresAt": "2026-01-01T00:00:00Z",
    "metadata": {},
    "subagentRunId": "s1",
}
USAGE = [{"provider": "p", "model": "m", "inputTokens": 1, "outputTokens": 0, "totalTokens": 2**53 - 1}]
USAGE += [{"reasoningTokens": 1, "cachedInputTokens": 2, "cacheWriteInputTokens": 3}]  # type: ignore[dict-item]
OWN: dict[str, dict[str, Any]] = {
    "TEXT_MESSAGE_START": {"messageId": "m1", "role": "user", "name": "n"},
    "TEXT_MESSAGE_CONTENT": {"messageId": "m1", "delta": "x"},
    "TEXT_MESSAGE_END": {"messageId": "m1"},
    "TEXT_MESSAGE_CHUNK": {"messageId": "m1", "role": "assistant", "delta": "x", "name": "n"},
    "TOOL_CALL_START": {"toolCallId": "c1", "toolCallName": "n", "parentMessageId": "m1"},
    "TOOL_CALL_ARGS": {"toolCallId": "c1", "delta": "{}"},
    "TOOL_CALL_END": {"toolCallId": "c1"},
    "TOOL_CALL_CHUNK": {"toolCallId": "c1", "toolCallName": "n", "parentMessageId": "m1", "delta": "{"},
    "TOOL_CALL_RESULT": {"messageId": "m9", "toolCallId": "c1", "content": PARTS, "role": "tool"},
    "STATE_SNAPSHOT": {"snapshot": {"a": 1}},
    "STATE_DELTA": {"delta": PATCH},
    "MESSAGES_SNAPSHOT": {"messages": MESSAGES},
    "ACTIVITY_SNAPSHOT": {"messageId": "a1", "activityType": "a", "content": {"k": 1}, "replace": False},
    "ACTIVITY_DELTA": {"messageId": "a1", "activityType": "a", "patch": PATCH},
    "RAW": {"event": {"a": 1}, "source": "s"},
    "CUSTOM": {"name": "n", "value": {"a": 1}},
    "RUN_STARTED": {
        "threadId": "t",
        "runId": "r",
        "protocolVersion": "1.0",
        "parentRunId": "r0",
        "input": INPUT,
    },
    "RUN_FINISHED": {
        "threadId": "t",
        "runId": "r",
        "result": [1],
        "outcome": {"type": "interrupt", "interrupts": [INTERRUPT]},
        "usage": USAGE,
    },
    "RUN_ERROR": {"message": "m", "code": "c", "usage": USAGE},
    "STEP_STARTED": {"stepName": "s"},
    "STEP_FINISHED": {"stepName": "s"},
    "REASONING_START": {"messageId": "m1"},
    "REASONING_MESSAGE_START": {"messageId": "m1", "role": "reasoning"},
    "REASONING_MESSAGE_CONTENT": {"messageId": "m1", "delta": "x"},
    "REASONING_MESSAGE_END": {"messageId": "m1"},
    "REASONING_MESSAGE_CHUNK": {"messageId": "m1", "delta": "x"},
    "REASONING_END": {"messageId": "m1"},
    "REASONING_ENCRYPTED_VALUE": {"subtype": "tool-call", "entityId": "c1", "encryptedValue": "v"},
    "SUBAGENT_STARTED": {
        "name": "n",
        "description": "d",
        "parentSubagentRunId": "s0",
        "parentToolCallId": "c1",
        "parentMessageId": "m1",
    },
    "SUBAGENT_FINISHED": {"result": 1, "outcome": {"type": "suspended", "interruptIds": ["i"]}},
    "SUBAGENT_ERROR": {"message": "m", "code": "c"},
}
UNTAGGED = {"RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "MESSAGES_SNAPSHOT"}
FULL = {name: {"type": name} | (COMMON if name in UNTAGGED else TAGGED) | own for name, own in OWN.items()}
"""Type -> an event with every field that it may have."""

SHORT = {
    "RS": {"type": "RUN_STARTED", "threadId": "t", "runId": "r1"},
    "RF": {"type": "RUN_FINISHED", "threadId": "t", "runId": "r1"},
    "RE": {"type": "RUN_ERROR", "message": "m"},
    "TS": {"type": "TEXT_MESSAGE_START"},
    "TC": {"type": "TEXT_MESSAGE_CONTENT", "delta": "x"},
    "TE": {"type": "TEXT_MESSAGE_END"},
    "KS": {"type": "TOOL_CALL_START", "toolCallName": "n"},
    "KA": {"type": "TOOL_CALL_ARGS", "delta": "{}"},
    "KE": {"type": "TOOL_CALL_END"},
    "SS": {"type": "STEP_STARTED"},
    "SF": {"type": "STEP_FINISHED"},
    "GS": {"type": "SUBAGENT_STARTED", "name": "sub"},
    "GF": {"type": "SUBAGENT_FINISHED"},
    "AS": {"type": "ACTIVITY_SNAPSHOT", "activityType": "a", "content": {}},
    "CU": {"type": "CUSTOM", "name": "n", "value": None},
    "RW": {"type": "RAW", "event": None},
    "TK": {"type": "TEXT_MESSAGE_CHUNK"},
    "KK": {"type": "TOOL_CALL_CHUNK"},
}
ID_OF = {
    "T": "messageId",
    "K": "toolCallId",
    "S": "stepName",
    "G": "subagentRunId",
    "A": "messageId",
    "R": "runId",
}


def event(code: str, **fields: Any) -> bytes:
    """The JSON text of `TS:m1` and the like, with more fields."""
    name, _, identifier = code.partition(":")
    made = SHORT[name] | ({ID_OF[name[0]]: identifier} if identifier else {}) | fields
    return json.dumps(made).encode()
