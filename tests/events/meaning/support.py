"""Runs as a model, and the streams that mean them: cut, named and dated in any way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dtvn.events.meaning import Folding, Meaning

Event = dict[str, Any]


@dataclass
class Told:
    """What an agent does in one run."""

    said: list[tuple[str, str, Any]] = field(default_factory=list)
    """(`text` or `reasoning`, text, None), or (name of a tool, arguments as JSON text, result or None)."""
    state: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Manner:
    """How a run is told: everything that means nothing."""

    cut: Callable[[str], list[str]]
    """A text -> its pieces."""
    name: Callable[[str, int], str]
    """(sort, number) -> an id."""
    chunks: bool = False
    by_delta: bool = False
    """State by a patch on the empty state."""
    time: int | None = None


def stream(told: Told, manner: Manner) -> list[bytes]:
    """The events of a run, told in this manner."""
    thread, run = manner.name("thread", 0), manner.name("run", 0)
    events: list[Event] = [{"type": "RUN_STARTED", "threadId": thread, "runId": run}]
    for number, (sort, text, result) in enumerate(told.said):
        if sort in ("text", "reasoning"):
            events += _text(sort, text, manner.name("message", number), manner)
        else:
            events += _call(sort, text, result, number, manner)
    if told.state and manner.by_delta:
        patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in told.state.items()]
        events.append({"type": "STATE_DELTA", "delta": patch})
    elif told.state:
        events.append({"type": "STATE_SNAPSHOT", "snapshot": told.state})
    if told.error is None:
        events.append({"type": "RUN_FINISHED", "threadId": thread, "runId": run})
    else:
        events.append({"type": "RUN_ERROR", "message": told.error})
    if manner.time is not None:
        events = [each | {"timestamp": manner.time + place} for place, each in enumerate(events)]
    return [json.dumps(each).encode() for each in events]


def _text(sort: str, text: str, name: str, manner: Manner) -> list[Event]:
    kind = "TEXT_MESSAGE" if sort == "text" else "REASONING_MESSAGE"
    pieces = manner.cut(text)
    if manner.chunks:
        return [{"type": f"{kind}_CHUNK", "messageId": name, "delta": piece} for piece in pieces]
    role = "assistant" if sort == "text" else "reasoning"
    contents = [{"type": f"{kind}_CONTENT", "messageId": name, "delta": piece} for piece in pieces]
    start = {"type": f"{kind}_START", "messageId": name, "role": role}
    return [start, *contents, {"type": f"{kind}_END", "messageId": name}]


def _call(tool: str, arguments: str, result: Any, number: int, manner: Manner) -> list[Event]:
    name, pieces = manner.name("call", number), manner.cut(arguments)
    head = {"toolCallId": name, "toolCallName": tool}
    if manner.chunks:
        events = [{"type": "TOOL_CALL_CHUNK", "delta": piece} | head for piece in pieces]
    else:
        deltas = [{"type": "TOOL_CALL_ARGS", "toolCallId": name, "delta": piece} for piece in pieces]
        end = {"type": "TOOL_CALL_END", "toolCallId": name}
        events = [{"type": "TOOL_CALL_START"} | head, *deltas, end]
    if result is None:
        return events
    given = {"messageId": manner.name("result", number), "toolCallId": name, "content": result}
    return [*events, {"type": "TOOL_CALL_RESULT"} | given]


def folded(texts: Iterable[bytes]) -> Folding:
    folding = Folding()
    for text in texts:
        folding.feed(text)
    return folding


def meaning(texts: Iterable[bytes]) -> Meaning:
    return folded(texts).meaning()


def run(*events: bytes) -> Meaning:
    """What a run of these events means."""
    named = {"threadId": "t", "runId": "r"}
    ends = [json.dumps({"type": f"RUN_{end}"} | named).encode() for end in ("STARTED", "FINISHED")]
    return meaning([ends[0], *events, ends[1]])


def snapshot(value: Any) -> bytes:
    return json.dumps({"type": "STATE_SNAPSHOT", "snapshot": value}).encode()


def called(identifier: str, arguments: str, result: Any = None) -> list[bytes]:
    """The events of a call of `weather`."""
    told = Told([("weather", arguments, result)])
    manner = Manner(
        lambda text: [text], lambda sort, _: identifier if sort == "call" else f"{sort}-{identifier}"
    )
    return stream(told, manner)[1:-1]
