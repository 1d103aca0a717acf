"""The names in replayed events: each kind of event under the names of who asks, the first time and later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dtvn.replay import has_times, runs_of
from dtvn.replay.recording import Recorded
from dtvn.replay.renaming import Names
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
ASKED: dict[str, Any] = {"threadId": "t9", "runId": "r9", "messages": [{"id": "u1", "role": "user"}]}
IDS = {
    "messageId": "m1",
    "toolCallId": "c1",
    "parentMessageId": "m0",
    "parentToolCallId": "c0",
    "entityId": "e1",
    "subagentRunId": "s1",
    "parentSubagentRunId": "s0",
    "pendingToolCallIds": ["c1", "c2"],
    "interruptIds": ["i1"],
    "otherId": "o1",
}
CALL = {"id": "c1", "function": {"name": "f", "arguments": '{"id": "c1"}'}}
EVENTS: tuple[Any, ...] = (
    {"type": "RUN_STARTED", "threadId": "old", "runId": "old1", "parentRunId": "old0"},
    {"type": "RUN_STARTED", "threadId": "old", "runId": "old1", "input": {"threadId": "old", "messages": []}},
    {"type": "RUN_FINISHED", "threadId": "old", "runId": "old1", "result": {"messageId": "inside"}},
    {"type": "RUN_ERROR", "message": "m1"},
    {"type": "ANY"} | IDS,
    {"type": "ANY", "messageId": 5, "pendingToolCallIds": "c1", "interruptIds": [1, None]},
    {
        "type": "MESSAGES_SNAPSHOT",
        "messages": [
            {"id": "u1", "role": "user", "toolCallId": "c1"},
            {"id": "m1", "role": "assistant", "toolCalls": [CALL, "odd", {"id": 7}]},
            {"id": "m2", "role": "tool", "toolCallId": "c1"},
            {"role": "assistant", "toolCalls": {"id": "c1"}},
            "odd",
        ],
    },
    {"type": "MESSAGES_SNAPSHOT", "messages": {"id": "m1"}},
    {
        "type": "RUN_FINISHED",
        "outcome": {
            "interruptIds": ["i1"],
            "interrupts": [{"id": "i1", "toolCallId": "c1", "pendingToolCallIds": ["c1"]}, 3],
        },
    },
    {"type": "RUN_FINISHED", "outcome": "done"},
    {"type": "CUSTOM", "value": {"messageId": "inside"}, "outcome": {"interrupts": None}},
    [{"messageId": "m1"}],
)


def test_names(golden: Compare) -> None:
    told = Telling()
    odd = [
        Recorded(text, kind, None) for text, kind in ((b"not json", "RUN_STARTED"), (b"[1]", "RUN_FINISHED"))
    ]
    given = [Recorded(json.dumps(each).encode(), _kind(each), None) for each in EVENTS]
    for time in (1, 2, 11):
        told.chapter(f"Time {time}")
        names = Names(ASKED, time)
        for event in (*given, *odd):
            told.say(f"{event.text.decode()}\n  {names.renamed(event).decode()}")
    golden(GOLDEN / "names.txt", told.text)


def _kind(event: Any) -> str:
    return event["type"] if isinstance(event, dict) else ""


def test_recordings(golden: Compare) -> None:
    """Which events are a run, what is read of each, and whether a replay can wait between them."""
    told = Telling()
    for title, texts in (
        ("nothing", []),
        ("no begin", [b'{"type":"CUSTOM"}', b'{"type":"RUN_STARTED"}', b'{"type":"RUN_STARTED"}']),
        ("two ends", [b'{"type":"RUN_STARTED"}', b'{"type":"RUN_ERROR"}', b'{"type":"RUN_FINISHED"}', b"{}"]),
        ("two runs", [b'{"type":"RUN_STARTED"}', b'{"type":"RUN_FINISHED"}', b'{"type":"RUN_STARTED"}']),
        ("lines", [b'{\r\n"type":\n"RUN_STARTED"}', b'"RUN_STARTED"', b"not\njson", b'{"type":5}']),
        ("one time", [b'{"type":"RUN_STARTED","timestamp":1}', b'{"type":"X","timestamp":true}']),
        ("one each", [b'{"type":"RUN_ERROR","timestamp":1}', b'{"type":"RUN_STARTED","timestamp":2.5}']),
        ("two times", [b'{"type":"X","timestamp":0}', b'{"type":"X"}', b'{"type":"X","timestamp":-1}']),
        ("no times", [b'{"type":"X","timestamp":"1"}', b'{"type":"X","timestamp":null}']),
    ):
        runs = runs_of(texts)
        told.say(f"{title}: {len(runs)} runs, times {has_times(runs)}")
        for run in runs:
            told.say(f"  {[(event.text, event.kind, event.timestamp) for event in run]}")
    golden(GOLDEN / "recordings.txt", told.text)
