"""What `dtvn diff` tells of drawn streams: all that a client has after each, and in what two differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.events.command_story import CommandStory
from tests.events.rules.drawn_streams import drawn_stream
from tests.events.rules.samples import event
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
EMPTY = [event("RS:r1", threadId="t1"), event("RF:r1", threadId="t1")]
_SUB = {"subagentRunId": "sub-a"}
_HISTORY = "@ag-ui/client"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandStory:
    return CommandStory(tmp_path, monkeypatch)


def write(commands: CommandStory, name: str, texts: list[bytes]) -> str:
    return commands.write(name, b"".join(text + b"\n" for text in texts))


def test_all_that_a_client_has(commands: CommandStory, golden: Compare) -> None:
    write(commands, "empty", EMPTY)
    for seed in range(400, 412):
        write(commands, f"s{seed}", drawn_stream(seed, 45, refused=0.0))
        commands.run("diff", f"s{seed}", "empty", "--json")
    golden.drawn(GOLDEN / "drawn.txt", commands.text())


def test_two_drawn_streams(commands: CommandStory, golden: Compare) -> None:
    for seed in range(420, 428):
        one = drawn_stream(seed, 45, refused=0.0)
        write(commands, "one", one)
        write(commands, "other", [*one[:20], *drawn_stream(seed + 100, 25, refused=0.0)[1:]])
        commands.run("diff", "one", "other")
    golden.drawn(GOLDEN / "drawn-pairs.txt", commands.text())


def message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def test_what_becomes_of_one_message(commands: CommandStory, golden: Compare) -> None:
    """The same id as text, as activity, as message of a snapshot, of another owner."""
    text = [
        message("TEXT_MESSAGE_START", messageId="m", role="user", name="Ada", **_SUB),
        message("TEXT_MESSAGE_CONTENT", messageId="m", delta="one ", **_SUB),
        message("TEXT_MESSAGE_CONTENT", messageId="m", delta="two", **_SUB),
        message("TEXT_MESSAGE_END", messageId="m", **_SUB),
    ]
    activity = message("ACTIVITY_SNAPSHOT", messageId="m", activityType="plan", content={"a": [1]}, **_SUB)
    kept = message("ACTIVITY_SNAPSHOT", messageId="m", activityType="x", content={"b": 2}, replace=False)
    patch = message(
        "ACTIVITY_DELTA",
        messageId="m",
        activityType="plan",
        patch=[{"op": "add", "path": "/a/-", "value": 2}],
    )
    other = message("ACTIVITY_SNAPSHOT", messageId="n", activityType="other", content={"c": 3})
    again = message("TEXT_MESSAGE_CHUNK", messageId="m", delta="more")
    reasoning = message("REASONING_MESSAGE_CHUNK", messageId="think", delta="why", **_SUB)
    result = message(
        "TOOL_CALL_RESULT", messageId="m", toolCallId="c", content=[{"type": "text", "text": "r"}]
    )
    user = {"id": "m", "role": "user", "content": [{"type": "text", "text": "part"}], "name": "Bob"}
    image = {"type": "image", "source": {"type": "url", "value": "https://x/y.png"}}
    tool = {"id": "m", "role": "tool", "content": [image], "toolCallId": "c", "error": "bad", **_SUB}
    plan = {"id": "n", "role": "activity", "activityType": "plan", "content": {"d": 4}}
    cases: dict[str, list[bytes]] = {
        "text": text,
        "text, then activity": [*text, activity],
        "text, then activity and patch": [*text, activity, patch],
        "activity, then text": [activity, *text],
        "activity, not replaced": [activity, kept, patch],
        "activity, then chunk": [activity, again],
        "result, then activity": [result, activity],
        "activity, then result": [activity, result],
        "text, then chunk": [*text, again],
        "reasoning and text": [reasoning, *text],
    }
    for name, messages in {"user": [user], "tool": [tool], "activity": [plan], "none": []}.items():
        for metadata in (
            None,
            {"authoritativeActivityTypes": ["plan"]},
            {"authoritativeActivityTypes": None},
            {},
            5,
        ):
            fields = {} if metadata is None else {"metadata": {_HISTORY: metadata}}
            snapshot = message("MESSAGES_SNAPSHOT", messages=messages, **fields)
            cases[f"snapshot of {name}, {metadata}"] = [reasoning, *text, other, activity, snapshot, again]
    write(commands, "empty", EMPTY)
    for name, events in cases.items():
        write(commands, "stream", [EMPTY[0], *events, EMPTY[1]])
        commands.tell(name)
        commands.run("diff", "stream", "empty", "--json")
    golden(GOLDEN / "one-message.txt", commands.text())
