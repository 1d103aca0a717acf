"""Streams of events drawn by a seed: few ids, so that events meet what is open, ended, owned and unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from dtvn.events.rules import Limits, Phase, Stream

Event = dict[str, Any]
SMALL = Limits(event_bytes=4096, depth=8, id_characters=40, open_items=4, owners=16)
NOW = 1_732_380_000_000


def _tag(draw: Random) -> Event:
    chosen = draw.choice(["", "", "", "", "", "sub-a", "sub-a", "sub-b", None])
    return {} if chosen == "" else {"subagentRunId": chosen}


def _message(draw: Random) -> str:
    return draw.choice(
        ["m1", "m1", "m1", "m2", "m2", f"m {draw.randrange(20)}", "", "x" * draw.choice([40, 41])]
    )


def _call(draw: Random) -> str:
    return draw.choice(["c1", "c1", "c1", "c2", "c2", f"c.{draw.randrange(30)}", ""])


def _perhaps(draw: Random, field: str, *values: Any) -> Event:
    return {field: draw.choice(values)} if draw.random() < 0.4 else {}


def _delta(draw: Random) -> str:
    return draw.choice(
        ["word", "", '{"city":', '"Bonn"}', "7}", "{}", "tab\x0b", "\x00", "javascript:x", "y" * 1001]
    )


def _operation(draw: Random) -> Event:
    kind = draw.choice(["add", "replace", "test", "remove", "move", "copy"])
    made: Event = {"op": kind, "path": draw.choice(["", "/a", "/a/0", "/a/-", "/b~1c", "/a/7", "/n/m"])}
    if kind in ("add", "replace", "test"):
        made["value"] = draw.choice([None, 1, "two", [3], {"n": {"m": 4}}])
    elif kind in ("move", "copy"):
        made["from"] = draw.choice(["/a", "/a/0", "/b~1c", "/z"])
    return made


def _patch(draw: Random) -> list[Event]:
    return [_operation(draw) for _ in range(draw.choice([0, 1, 1, 2, 3]))]


def _history(draw: Random) -> list[Event]:
    made: list[Event] = []
    for number in range(draw.choice([0, 1, 3])):
        name = draw.choice(["m1", "m2", "h1", "h2"])
        role = draw.choice(["user", "assistant", "tool", "activity", "reasoning"])
        message: Event = {"id": name, "role": role, "content": f"text {number}", **_tag(draw)}
        if role == "assistant":
            function = {"name": "find", "arguments": "{}"}
            message["toolCalls"] = [{"id": _call(draw), "type": "function", "function": function}]
        elif role == "tool":
            message["toolCallId"] = _call(draw)
        elif role == "activity":
            message |= {"activityType": "plan", "content": {"a": [1]}}
        made.append(message)
    return made


def _started(draw: Random) -> Event:
    made: Event = {"threadId": "t1", "runId": draw.choice(["r1", "r2", "r 3"])}
    made |= _perhaps(draw, "protocolVersion", "1.0", "0.0.39")
    if draw.random() < 0.4:
        made["input"] = {
            "threadId": "t1",
            "runId": made["runId"],
            "messages": _history(draw),
            "state": draw.choice([{}, {"a": [1, 2]}, None]),
            "tools": [
                {
                    "name": "find",
                    "description": "finds",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                }
            ],
        }
    return made


def _finished(draw: Random) -> Event:
    made: Event = {"threadId": "t1", "runId": draw.choice(["r1", "r1", "r2", "r 3"])}
    outcomes: list[Event | None] = [
        {"type": "success", "pendingToolCallIds": ["c1"]},
        {"type": "success"},
        {"type": "cancelled"},
        {"type": "interrupt", "interrupts": [{"id": "i1", "reason": "ask", **_tag(draw)}]},
        None,
    ]
    return made | _perhaps(draw, "outcome", *outcomes) | _perhaps(draw, "interrupt", {"id": "i0"})


Maker = Callable[[Random], Event]
MAKERS: dict[str, tuple[int, Maker]] = {
    "RUN_STARTED": (2, _started),
    "RUN_FINISHED": (4, _finished),
    "RUN_ERROR": (1, lambda draw: {"message": draw.choice(["", "broken"])}),
    "TEXT_MESSAGE_START": (4, lambda draw: {"messageId": _message(draw)} | _perhaps(draw, "role", "user")),
    "TEXT_MESSAGE_CONTENT": (6, lambda draw: {"messageId": _message(draw), "delta": _delta(draw)}),
    "TEXT_MESSAGE_END": (4, lambda draw: {"messageId": _message(draw)}),
    "TEXT_MESSAGE_CHUNK": (
        5,
        lambda draw: (
            _perhaps(draw, "messageId", "m1", "m1", "m2")
            | _perhaps(draw, "role", "user", "assistant", "system")
            | _perhaps(draw, "name", "Ada", "Bob")
            | _perhaps(draw, "delta", "piece", "")
        ),
    ),
    "TOOL_CALL_START": (
        4,
        lambda draw: (
            {"toolCallId": _call(draw), "toolCallName": draw.choice(["find", "look", ""])}
            | _perhaps(draw, "parentMessageId", "m1", "m2", "nobody", None)
        ),
    ),
    "TOOL_CALL_ARGS": (6, lambda draw: {"toolCallId": _call(draw), "delta": _delta(draw)}),
    "TOOL_CALL_END": (4, lambda draw: {"toolCallId": _call(draw)}),
    "TOOL_CALL_CHUNK": (
        5,
        lambda draw: (
            _perhaps(draw, "toolCallId", "c1", "c1", "c2")
            | _perhaps(draw, "toolCallName", "find", "look")
            | _perhaps(draw, "parentMessageId", "m1", "m2")
            | _perhaps(draw, "delta", "{", "}")
        ),
    ),
    "TOOL_CALL_RESULT": (
        3,
        lambda draw: {"messageId": _message(draw), "toolCallId": _call(draw), "content": "42"},
    ),
    "STATE_SNAPSHOT": (2, lambda draw: {"snapshot": draw.choice([None, {"a": [1]}, [1, 2], {"b/c": "d"}])}),
    "STATE_DELTA": (4, lambda draw: {"delta": _patch(draw)}),
    "MESSAGES_SNAPSHOT": (2, lambda draw: {"messages": _history(draw)}),
    "ACTIVITY_SNAPSHOT": (
        3,
        lambda draw: (
            {"messageId": _message(draw), "activityType": "plan", "content": {"a": [1]}}
            | _perhaps(draw, "replace", True, False)
        ),
    ),
    "ACTIVITY_DELTA": (
        3,
        lambda draw: {"messageId": _message(draw), "activityType": "plan", "patch": _patch(draw)},
    ),
    "RAW": (1, lambda draw: {"event": draw.choice([None, 1])}),
    "CUSTOM": (2, lambda draw: {"name": draw.choice(["mine", "", "system"]), "value": None}),
    "STEP_STARTED": (3, lambda draw: {"stepName": draw.choice(["s1", "s2", ""])}),
    "STEP_FINISHED": (3, lambda draw: {"stepName": draw.choice(["s1", "s2", ""])}),
    "REASONING_START": (2, lambda draw: {"messageId": _message(draw)}),
    "REASONING_END": (2, lambda draw: {"messageId": _message(draw)}),
    "REASONING_MESSAGE_START": (
        3,
        lambda draw: {"messageId": _message(draw)} | _perhaps(draw, "role", "reasoning"),
    ),
    "REASONING_MESSAGE_CONTENT": (3, lambda draw: {"messageId": _message(draw), "delta": _delta(draw)}),
    "REASONING_MESSAGE_END": (3, lambda draw: {"messageId": _message(draw)}),
    "REASONING_MESSAGE_CHUNK": (
        4,
        lambda draw: _perhaps(draw, "messageId", "m1", "m1", "m2") | _perhaps(draw, "delta", "why", ""),
    ),
    "REASONING_ENCRYPTED_VALUE": (
        2,
        lambda draw: {
            "subtype": draw.choice(["message", "tool-call"]),
            "entityId": draw.choice(["m1", "m2", "c1", "c2"]),
            "encryptedValue": "e",
        },
    ),
    "SUBAGENT_STARTED": (
        3,
        lambda draw: (
            {"name": "helper", "subagentRunId": draw.choice(["sub-a", "sub-b", "sub-c", None])}
            | _perhaps(draw, "parentSubagentRunId", "sub-a", "sub-z", None)
            | _perhaps(draw, "description", "does", None)
        ),
    ),
    "SUBAGENT_FINISHED": (
        2,
        lambda draw: (
            {"subagentRunId": draw.choice(["sub-a", "sub-b", "sub-c", None])}
            | _perhaps(
                draw, "outcome", {"type": "success"}, {"type": "suspended", "interruptIds": None}, None
            )
        ),
    ),
    "SUBAGENT_ERROR": (
        1,
        lambda draw: (
            {"subagentRunId": draw.choice(["sub-a", "sub-b"]), "message": "failed"}
            | _perhaps(draw, "code", "E1", None)
        ),
    ),
    "THINKING_START": (1, lambda draw: {"title": "old"}),
    "THINKING_TEXT_MESSAGE_CONTENT": (1, lambda draw: {"delta": "old"}),
}
"""Type -> how often it is drawn, and its own fields."""
UNTAGGED = {"RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "MESSAGES_SNAPSHOT", "SUBAGENT_STARTED"}
UNTAGGED |= {"SUBAGENT_FINISHED", "SUBAGENT_ERROR"}


def drawn(draw: Random) -> Event:
    """One event."""
    (kind,) = draw.choices([*MAKERS], [weight for weight, _ in MAKERS.values()])
    made: Event = {"type": kind} | MAKERS[kind][1](draw)
    if kind not in UNTAGGED:
        made |= _tag(draw)
    if draw.random() < 0.1:
        made |= draw.choice(
            [
                {"extra": 1},
                {"timestamp": NOW + draw.choice([-90_000_000, -5, 0, 7, 5001])},
                {"metadata": None},
            ]
        )
    return made


def drawn_stream(seed: int, count: int, refused: float) -> list[bytes]:
    """The JSON texts of a stream's events, in which this share of those that would be refused is kept."""
    draw = Random(seed)
    stream = Stream(SMALL)
    texts = [json.dumps({"type": "RUN_STARTED", "threadId": "t1", "runId": "r1"}).encode()]
    assert stream.feed(texts[0]).accepted
    for _ in range(count * 20):
        event = drawn(draw)
        if stream.state.phase is not Phase.ACTIVE and draw.random() < 0.4:
            event = {"type": "RUN_STARTED"} | _started(draw)
        text = json.dumps(event, separators=(",", ":")).encode()
        if stream.feed(text).accepted or draw.random() < refused:
            texts.append(text)
        if len(texts) >= count:
            break
    return texts
