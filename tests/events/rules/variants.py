"""Every field of every event with other values: the streams that are played to the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.events.rules.samples import FULL

ABSENT = "(absent)"
VALUES: list[Any] = [ABSENT, None, True, 0, -1, 1.5, "", "x", "12", [], [1], {}, {"type": "x"}]
"""What stands in place of a value, one letter of a recorded row each; a last one is for a field beside it."""
OPAQUE = {"rawEvent", "snapshot", "value", "event", "result", "state", "forwardedProps", "payload"}
OPAQUE |= {"responseSchema", "parameters"}
_STARTS = {
    "s0": {"type": "SUBAGENT_STARTED", "subagentRunId": "s0", "name": "n"},
    "s1": {"type": "SUBAGENT_STARTED", "subagentRunId": "s1", "name": "n"},
    "TEXT_MESSAGE": {"type": "TEXT_MESSAGE_START", "messageId": "m1", "subagentRunId": "s1"},
    "TOOL_CALL": {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "n", "subagentRunId": "s1"},
    "REASONING": {"type": "REASONING_START", "messageId": "m1", "subagentRunId": "s1"},
    "REASONING_MESSAGE": {
        "type": "REASONING_MESSAGE_START",
        "messageId": "m1",
        "role": "reasoning",
        "subagentRunId": "s1",
    },
    "STEP": {"type": "STEP_STARTED", "stepName": "s", "subagentRunId": "s1"},
}
_STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
_ENDED = {"type": "RUN_ERROR", "message": "m"}
Path = tuple[str | int, ...]


def variants(kind: str) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """(path, number of the value, event) each."""
    for path in paths(FULL[kind]):
        for number, value in enumerate(VALUES):
            yield path, number, _changed(FULL[kind], path, value)
        beside = deepcopy(FULL[kind])
        holder = _at(beside, path[:-1])
        if isinstance(holder, dict):
            holder["beside"] = 1
            yield path, len(VALUES), beside


def stream(kind: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    """A run in which the full event of this kind may come, with `event` in its place."""
    if kind == "RUN_STARTED":
        return [event, _ENDED]
    if kind in ("RUN_FINISHED", "RUN_ERROR"):
        return [_STARTED, event]
    before = [_STARTED, _STARTS["s0"]]
    if kind != "SUBAGENT_STARTED":
        before.append(_STARTS["s1"])
    family, _, stage = kind.rpartition("_")
    if family in _STARTS and stage not in ("START", "STARTED", "CHUNK", "RESULT"):
        before.append(_STARTS[family])
    return [*before, event, _ENDED]


def sse(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Of all fields and items within an event that the protocol describes."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*above, key)
        if isinstance(each, dict | list) and key not in OPAQUE:
            yield from paths(each, (*above, key))


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(event: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    made = deepcopy(event)
    holder, last = _at(made, path[:-1]), path[-1]
    if value == ABSENT:
        del holder[last]
    else:
        holder[last] = value
    return made
