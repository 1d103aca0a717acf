"""The messages and the state that are folded here are those of the official client 1.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dtvn.events.meaning import Folding
from dtvn.events.meaning.entries import Entry
from dtvn.events.rules import EventReader, Limits
from tests.proxy.client import outcomes
from tests.proxy.support import served, sse
from tests.proxy.test_official_client import replaying

pytestmark = pytest.mark.asyncio
EVENTS = Path(__file__).parents[1]
GOLDEN = json.loads((EVENTS / "rules/golden_cases.json").read_text())
LEFT_OUT = ("metadata", "encryptedValue")
IDS_DRAWN = ("14-thinking-events-0x.ndjson",)
"""Streams of protocol 0.x, whose reasoning has no ids: clients draw them."""


def texts_of(content: bytes) -> list[bytes]:
    reader = EventReader(Limits().event_bytes)
    return [text for _, text in [*reader.feed(content), *reader.end()]]


def streams() -> dict[str, list[bytes]]:
    """Recordings of seven emitters, public reports, the golden cases, and what these do not have."""
    files = [*(EVENTS / "recorded").iterdir(), *(EVENTS / "reported").iterdir()]
    found = {file.name: texts_of(file.read_bytes()) for file in files if file.suffix in (".sse", ".ndjson")}
    found |= {case["id"]: [json.dumps(each).encode() for each in case["events"]] for case in GOLDEN}
    return found | {name: [json.dumps(each).encode() for each in events] for name, events in MORE.items()}


def run(*events: dict[str, Any]) -> list[dict[str, Any]]:
    named = {"threadId": "t", "runId": "r"}
    return [{"type": "RUN_STARTED"} | named, *events, {"type": "RUN_FINISHED"} | named]


def say(name: str, text: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": name} | more,
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": name, "delta": text},
        {"type": "TEXT_MESSAGE_END", "messageId": name},
    ]


def call(name: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "TOOL_CALL_START", "toolCallId": name, "toolCallName": f"tool-{name}"} | more,
        {"type": "TOOL_CALL_ARGS", "toolCallId": name, "delta": "{}"},
        {"type": "TOOL_CALL_END", "toolCallId": name},
    ]


def result(name: str, identifier: str = "", content: Any = "done") -> dict[str, Any]:
    given = {"messageId": identifier or f"result-{name}", "toolCallId": name, "content": content}
    return {"type": "TOOL_CALL_RESULT"} | given


def activity(name: str, content: dict[str, Any], kind: str = "plan", **more: Any) -> dict[str, Any]:
    given = {"messageId": name, "activityType": kind, "content": content}
    return {"type": "ACTIVITY_SNAPSHOT"} | given | more


def messages(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "MESSAGES_SNAPSHOT", "messages": [*given]} | more


PLAN = {"id": "a2", "role": "activity", "activityType": "plan", "content": {"n": 2}}
MORE = {
    "a call beside its message": run(*say("m", "Look"), *call("c", parentMessageId="m"), result("c")),
    "results go behind their call": run(
        *call("c", parentMessageId="m"), *call("d", parentMessageId="m"), *say("n", "so"), result("d"),
        result("c"),
    ),
    "a parent that is no assistant": run(*say("u", "Hi", role="user"), *call("c", parentMessageId="u")),
    "a result of no call": run(result("z"), *say("m", "Hm")),
    "a result with the id of a message": run(*call("c"), *say("m", "a"), result("c", "m"), *say("m", "b")),
    "a call that starts again": run(*call("c"), *call("c", toolCallName="other")),
    "a result in parts": run(*call("c"), result("c", content=[{"type": "text", "text": "x"}])),
    "an activity grows": run(
        activity("a", {"steps": []}),
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan",
         "patch": [{"op": "add", "path": "/steps/-", "value": 1}]},
        {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "other",
         "patch": [{"op": "remove", "path": "/nowhere"}]},
        activity("a", {"never": True}, replace=False),
    ),
    "an activity with the id of a text": run(*say("m", "a"), activity("m", {"n": 1}), *say("m", "b")),
    "a snapshot keeps what a server may not know": run(
        {"type": "REASONING_MESSAGE_START", "messageId": "r", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "r", "delta": "hm"},
        {"type": "REASONING_MESSAGE_END", "messageId": "r"},
        activity("a", {"n": 1}), *say("m", "gone"), *say("n", "old"),
        messages({"id": "n", "role": "assistant", "content": "new"},
                 {"id": "u", "role": "user", "content": "Hi"}),
        *say("o", "more"),
    ),
    "a snapshot that has activities": run(activity("a", {"n": 1}), messages(PLAN)),
    "a snapshot that owns no activities": run(
        activity("a", {"n": 1}),
        messages(PLAN, metadata={"@ag-ui/client": {"authoritativeActivityTypes": []}}),
    ),
    "a snapshot that owns all activities": run(
        activity("a", {"n": 1}), messages(metadata={"@ag-ui/client": {"authoritativeActivityTypes": None}})
    ),
    "a snapshot that owns some": run(
        activity("a", {"n": 1}), activity("b", {"n": 1}, kind="chart"),
        messages(metadata={"@ag-ui/client": {"authoritativeActivityTypes": ["chart"]}}),
    ),
    "a snapshot whose declaration is none": run(
        activity("a", {"n": 1}), messages(PLAN, metadata={"@ag-ui/client": 1})
    ),
    "calls in a snapshot": run(
        messages({"id": "m", "role": "assistant", "toolCalls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}),
        {"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "g"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": "}"},
        {"type": "TOOL_CALL_END", "toolCallId": "c"},
        result("c"),
    ),
    "state": run(
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/x", "value": 1}]},
        {"type": "STATE_SNAPSHOT", "snapshot": {"a": [1], "b": None}},
        {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/a/-", "value": {"c": 1.0}}]},
        {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/b", "value": 2},
                                           {"op": "remove", "path": "/z"}]},
    ),
    "a state that is no object": run({"type": "STATE_SNAPSHOT", "snapshot": [1, "two"]}),
    "messages of the input": [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "input": {
            "threadId": "t", "runId": "r", "tools": [], "context": [], "state": {}, "forwardedProps": {},
            "messages": [{"id": "u", "role": "user", "content": "Hi"}]}},
        *say("m", "Ho"),
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
    ],
    "two runs": [*run(*say("m", "a")), *run(*say("n", "b"), *call("c"))],
}  # fmt: skip


def in_its_form(entry: Entry) -> dict[str, Any]:
    """A message as the client has it."""
    calls = [
        {
            "id": each.id,
            "type": "function",
            "function": {"name": each.name, "arguments": "".join(each.arguments)},
        }
        for each in entry.calls or ()
    ]
    fields = {
        "id": entry.id,
        "role": entry.role,
        "content": entry.content,
        "toolCalls": calls or None,
        "name": entry.name,
        "toolCallId": entry.call_id,
        "error": entry.error,
        "activityType": entry.kind,
        "subagentRunId": entry.owner,
    }
    return {name: value for name, value in fields.items() if value is not None}


def in_this_form(message: dict[str, Any]) -> dict[str, Any]:
    """A message of the client without what means nothing here."""
    kept = {name: value for name, value in message.items() if name not in LEFT_OUT}
    for each in kept.get("toolCalls", []):
        for name in LEFT_OUT:
            each.pop(name, None)
    return {name: value for name, value in kept.items() if (name, value) != ("toolCalls", [])}


async def test_the_official_client_has_the_same_messages_and_state() -> None:
    given = streams()
    async with served(replaying({str(at): sse(texts) for at, texts in enumerate(given.values())}, {})) as url:
        found = await outcomes([{"url": f"{url}/{at}"} for at in range(len(given))])
    compared = []
    golden = {case["id"] for case in GOLDEN}  # of which some differ: tests/proxy/test_official_client.py
    for (name, texts), outcome in zip(given.items(), found, strict=True):
        folding = Folding()
        for text in texts:
            folding.feed(text)
        if folding.refusal is not None or outcome["error"] is not None:
            assert name in golden or None not in (folding.refusal, outcome["error"]), name
            continue
        compared.append(name)
        folded = [in_its_form(entry) for entry in folding.conversation.entries]
        messages = [in_this_form(each) for each in outcome["messages"]]
        if name in IDS_DRAWN:
            folded, messages = ([each | {"id": ""} for each in both] for both in (folded, messages))
        assert folded == messages, name
        assert folding.conversation.state.value == outcome["state"], name
    recorded = {name for name in given if (EVENTS / "recorded" / name).exists()}
    assert recorded - set(compared) == {"pyd-03-thinking-interleaved-tools.sse"}
    assert set(MORE) <= set(compared)
    assert len(compared) > 90
