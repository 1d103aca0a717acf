"""Shapes that protocol 1.0 accepts and refuses: the contract's two lists (7.3), and what a refusal says."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from dtvn.events.rules import TYPES, Severity, Stream
from dtvn.events.rules.limits import nesting
from tests.events.rules.samples import FULL, event
from tests.support.table import table

TEXT = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}
START = {"type": "TEXT_MESSAGE_START", "messageId": "m"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
STATE = {"type": "STATE_DELTA"}
ACCEPTED: dict[str, dict[str, Any]] = {
    "empty id": {**START, "messageId": ""},
    "role null": {**START, "role": None},
    "time as text": {**START, "timestamp": "12"},
    "time as a whole float": {**START, "timestamp": 12.0},
    "empty error": {"type": "RUN_ERROR", "message": ""},
    "empty patch": {**STATE, "delta": []},
    "whole document": {**STATE, "delta": [{"op": "add", "path": "", "value": None}]},
    "snapshot null": {"type": "STATE_SNAPSHOT", "snapshot": None},
    "value null": {"type": "CUSTOM", "name": "n", "value": None},
    "raw null": {"type": "RAW", "event": None},
    "cancelled": {**FINISHED, "outcome": {"type": "cancelled"}},
    "content of parts": FULL["TOOL_CALL_RESULT"] | {"subagentRunId": "s"},
}
REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "delta missing": ({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m"}, "FIELD_MISSING", "delta"),
    "role tool": ({**START, "role": "tool"}, "FIELD_INVALID", "role"),
    "unknown type": ({"type": "TEXT"}, "UNKNOWN_EVENT_TYPE", "type"),
    "no type": ({"messageId": "m"}, "FIELD_MISSING", "type"),
    "type a number": ({"type": 1}, "FIELD_INVALID", "type"),
    "time with a fraction": ({**START, "timestamp": 1.5}, "FIELD_INVALID", "timestamp"),
    "time too large": ({**START, "timestamp": 2**53}, "FIELD_INVALID", "timestamp"),
    "time in other digits": ({**START, "timestamp": "\u0663"}, "FIELD_INVALID", "timestamp"),
    "time too large as text": ({**START, "timestamp": str(2**53)}, "FIELD_INVALID", "timestamp"),
    "finished without ids": ({"type": "RUN_FINISHED"}, "FIELD_MISSING", "threadId"),
    "finished without run": ({"type": "RUN_FINISHED", "threadId": "t"}, "FIELD_MISSING", "runId"),
    "error without message": ({"type": "RUN_ERROR"}, "FIELD_MISSING", "message"),
    "path": ({**STATE, "delta": [{"op": "remove", "path": "foo"}]}, "FIELD_INVALID", "delta[0].path"),
    "path ends a line": (
        {**STATE, "delta": [{"op": "remove", "path": "\n"}]},
        "FIELD_INVALID",
        "delta[0].path",
    ),
    "no value": ({**STATE, "delta": [{"op": "add", "path": "/a"}]}, "FIELD_MISSING", "delta[0].value"),
    "operation": ({**STATE, "delta": [{"op": "zap", "path": "/a"}]}, "FIELD_INVALID", "delta[0].op"),
    "no snapshot": ({"type": "STATE_SNAPSHOT"}, "FIELD_MISSING", "snapshot"),
    "custom without value": ({"type": "CUSTOM", "name": "n"}, "FIELD_MISSING", "value"),
    "no interrupts": (
        {**FINISHED, "outcome": {"type": "interrupt", "interrupts": []}},
        "FIELD_INVALID",
        "outcome.interrupts",
    ),
    "outcome": ({**FINISHED, "outcome": {"type": "nope"}}, "FIELD_INVALID", "outcome.type"),
    "subtype": (
        {"type": "REASONING_ENCRYPTED_VALUE", "subtype": "x", "entityId": "e", "encryptedValue": "v"},
        "FIELD_INVALID",
        "subtype",
    ),
    "tokens": ({**FINISHED, "usage": [{"inputTokens": -1}]}, "FIELD_INVALID", "usage[0].inputTokens"),
    "activity a list": (
        {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "a", "content": []},
        "FIELD_INVALID",
        "content",
    ),
    "unknown role": (
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m", "role": "x", "content": "c"}]},
        "FIELD_INVALID",
        "messages[0].role",
    ),
    "message without id": (
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"role": "user", "content": "c"}]},
        "FIELD_MISSING",
        "messages[0].id",
    ),
    "integer id": ({**START, "messageId": 7}, "FIELD_INVALID", "messageId"),
    "subagent without name": (
        {"type": "SUBAGENT_STARTED", "subagentRunId": "s"},
        "SUBAGENT_MISSING_FIELD",
        "name",
    ),
}


def within_a_run() -> Stream:
    stream = Stream()
    assert stream.feed(event("RS")).accepted
    return stream


@table("given", ACCEPTED.values(), ids=ACCEPTED, count=12)
def test_an_event_of_the_right_shape_is_accepted(given: dict[str, Any]) -> None:
    assert within_a_run().feed(json.dumps(given).encode()).violations == ()


@table(("given", "code", "field"), REFUSED.values(), ids=REFUSED, count=27)
def test_an_event_of_a_wrong_shape_is_refused_with_its_field(
    given: dict[str, Any], code: str, field: str | None
) -> None:
    (violation,) = within_a_run().feed(json.dumps(given).encode()).violations
    assert (violation.code, violation.field, violation.index) == (code, field, 1)
    assert violation.severity is Severity.ERROR
    assert violation.message
    assert violation.suggestion


def test_run_started_without_thread_is_refused() -> None:
    verdict = Stream().feed(b'{"type":"RUN_STARTED","runId":"r"}')
    assert (verdict.code, verdict.violations[0].field) == ("FIELD_MISSING", "threadId")


def test_the_31_types_are_known() -> None:
    assert sorted(TYPES) == sorted(FULL)
    assert len(TYPES) == 31


@pytest.mark.parametrize("missing", ["message_id", "messageid"])
def test_a_name_in_snake_case_is_recognised(missing: str) -> None:
    given = json.dumps({"type": "TEXT_MESSAGE_START", missing: "m"}).encode()
    (violation,) = within_a_run().feed(given).violations
    assert violation.message.endswith("has no messageId, but message_id.") == ("_" in missing)
    assert violation.suggestion.startswith("Write names in camelCase on the wire") == ("_" in missing)


@table(
    ("data", "code"),
    [
        (b"", "NOT_JSON"),
        (b"{", "NOT_JSON"),
        (b'{"type":"CUSTOM"} x', "NOT_JSON"),
        (b"[]", "NOT_AN_OBJECT"),
        (b"1", "NOT_AN_OBJECT"),
        (b'{"type":"RAW","event":"\xff"}', "NOT_JSON"),
        (b'{"type":"RAW","event":1,"unknown":"\xff"}', "NOT_JSON"),
        (b'{"type":"RAW","type":"CUSTOM","event":1}', "FIELD_MISSING"),
        (b'{"type":"RAW","event":' + b"[" * 5000 + b"]" * 5000 + b"}", "NESTED_TOO_DEEP"),
        (b'{"type":"RAW","event":"' + b"[" * 5000 + b'"}', None),
        (b'{"type":"RAW","event":[' + b"[]," * 5000 + b"1]}", None),
        (b'{"type":"RAW","event":"' + b"x" * (32 << 20) + b'"}', "EVENT_TOO_LARGE"),
    ],
    ids=range(12),
    count=12,
)
def test_malformed_bytes_are_refused_and_leave_the_state(data: bytes, code: str | None) -> None:
    stream = within_a_run()
    before = stream.state.digest()
    assert stream.feed(data).code == code
    assert stream.state.digest() == before


@table(
    ("text", "halved"),
    [
        (rb"\ud83d", True),
        (rb"a\uDE00", True),
        (rb"\\\ud83d\u0041", True),
        (rb"\ud83d\ude00\x", False),
        (rb"\\ud83d\x", False),
    ],
    count=5,
)
def test_half_of_a_character_is_named(text: bytes, halved: bool) -> None:
    (violation,) = within_a_run().feed(b'{"type":"RAW","event":"' + text + b'"}').violations
    assert violation.code == "NOT_JSON"
    assert violation.message.startswith("Half of a character") == halved


def test_a_malformed_event_out_of_order_has_both_violations() -> None:
    verdict = Stream().feed(b'{"type":"CUSTOM"}')
    assert [each.code for each in verdict.violations] == ["FIRST_EVENT", "FIELD_MISSING"]


def test_unknown_types_can_be_dropped_with_a_warning() -> None:
    stream = Stream(drop_unknown=True)
    stream.feed(event("RS"))
    verdict = stream.feed(b'{"type":"NEWER"}')
    assert verdict.accepted
    assert [(each.code, each.severity) for each in verdict.violations] == [
        ("UNKNOWN_EVENT_TYPE", Severity.WARNING)
    ]


@table("name", ["THINKING_START", "THINKING_END", "THINKING_TEXT_MESSAGE_CONTENT"], count=3)
def test_a_type_of_protocol_0x_is_named(name: str) -> None:
    (violation,) = within_a_run().feed(json.dumps({"type": name}).encode()).violations
    assert violation.code == "PROTOCOL_0X"
    assert name.replace("THINKING", "REASONING").replace("_TEXT", "") in violation.message


def test_a_binary_part_of_protocol_0x_is_named() -> None:
    part = {"type": "binary", "mimeType": "image/png", "data": "AA=="}
    given = {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m", "role": "user", "content": [part]}]}
    (violation,) = within_a_run().feed(json.dumps(given).encode()).violations
    assert (violation.code, violation.field) == ("PROTOCOL_0X", "messages[0].content[0].type")


@hypothesis.given(
    st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "a", " "]), max_size=40), st.integers(8, 12)
)
def test_nesting_is_counted_outside_of_strings(signs: list[str], limit: int) -> None:
    depth, deepest, within, escaped = 0, 0, False, False
    for sign in signs:
        if within:
            within, escaped = escaped or sign != '"', not escaped and sign == "\\"
        elif sign == '"':
            within = True
        else:
            depth += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, depth)
    text = "".join(signs).encode()
    assert nesting(text, limit) == (deepest > limit)
    assert nesting(b"[{" * limit + text, limit)
    assert not nesting(b'"' + b"[{" * limit + b'"', limit)


def test_nesting_of_long_text_takes_time_in_proportion() -> None:
    """Text in which a quadratic search would take minutes."""
    assert not nesting(b'\\"' * 500_000 + b"[" * 200, 128)
    assert not nesting(b"[]" * 500_000, 128)
    assert nesting(b"[]" * 500_000 + b"[" * 200, 128)


def test_without_order_each_event_is_judged_by_its_shape_alone() -> None:
    stream = Stream(order=False)
    for data in (event("TE:m"), event("RF"), event("RS"), event("RS"), event("TK"), event("RE"), event("CU")):
        assert stream.feed(data).accepted, data
    refused = stream.feed(b'{"type":"TEXT_MESSAGE_END"}')
    assert [each.code for each in refused.violations] == ["FIELD_MISSING"]
    assert stream.end() == ()
    filled = Stream(order=False, shape=False)
    assert filled.feed(b'{"type":"TEXT_MESSAGE_END"}').accepted
    assert filled.feed(b"{").code == "NOT_JSON"
