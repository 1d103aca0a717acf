"""Advice of the profile `seed`: it warns and never refuses."""

from __future__ import annotations

import json
from typing import Any

from dtvn.events.rules import Limits, Linter, Severity, Stream
from tests.events.rules.samples import event
from tests.support.table import table

NOW = 1_732_380_000_000
DAY = 24 * 3600 * 1000
TEXT = "TEXT_MESSAGE_CONTENT"


def advised(*given: dict[str, Any] | bytes, **options: bool) -> list[tuple[str, str | None]]:
    """Rule id and field of each warning about these events, after RUN_STARTED."""
    stream = Stream(Limits(open_items=3, owners=12))
    linter = Linter(stream, **options)
    found = []
    for each in (event("RS", timestamp=NOW), event("TS:m", timestamp=NOW), *given):
        data = each if isinstance(each, bytes) else json.dumps(each).encode()
        assert stream.feed(data).accepted, data
        said = linter.advise(NOW)
        assert {violation.severity for violation in said} <= {Severity.WARNING}
        assert {violation.index for violation in said} <= {stream.index - 1}
        found += [(violation.code, violation.field) for violation in said]
    return found


def text(delta: str) -> dict[str, Any]:
    return {"type": TEXT, "messageId": "m", "delta": delta, "timestamp": NOW}


def stamped(code: str, **fields: Any) -> bytes:
    return event(code, **({"timestamp": NOW} | fields))


CASES: dict[str, tuple[list[dict[str, Any] | bytes], list[tuple[str, str | None]]]] = {
    "nothing to say": ([text("x" * 1000)], []),
    "long text": ([text("x\n" * 5001)], [("MESSAGE_CONTENT", "delta")]),
    "as long as allowed": ([text("x\n" * 5000)], []),
    "control characters": ([text("a\x0bb")], [("MESSAGE_CONTENT", "delta")]),
    "tab and line end": ([text("a\tb\r\n")], []),
    "null character": ([text("\0")], [("MESSAGE_CONTENT", "delta"), ("CONTENT_VALIDATION", "delta")]),
    "long line": ([text("x" * 1001)], [("CONTENT_VALIDATION", "delta")]),
    "script": ([text("JavaScript:x")], [("CONTENT_VALIDATION", "delta")]),
    "empty text": ([text("")], [("EMPTY_DELTA", "delta")]),
    "long arguments": (
        [
            stamped("KS:c"),
            stamped("KA:c", delta="x\n" * 25_001),
        ],
        [("TOOL_CALL_CONTENT", "delta")],
    ),
    "empty id": ([stamped("TS", messageId="")], [("EMPTY_ID", "messageId")]),
    "form of an id": ([stamped("TS:a b")], [("ID_FORMAT", "messageId")]),
    "time ahead": ([stamped("CU", timestamp=NOW + 6_000)], [("TIMESTAMP_VALIDATION", "timestamp")]),
    "time 5 s ahead": ([stamped("CU", timestamp=NOW + 5_000)], []),
    "time back": ([stamped("CU", timestamp=NOW - 1)], [("TIMESTAMP_VALIDATION", "timestamp")]),
    "old time, once": (
        [
            text("a"),
            stamped("TE:m"),
            stamped("RE"),
            *(stamped("RS", timestamp=NOW - DAY - 1), stamped("CU", timestamp=NOW - DAY - 1)),
        ],
        [("RUN_LIFECYCLE", "runId"), ("TIMESTAMP_VALIDATION", "timestamp")],
    ),
    "no time, once": ([event("CU"), event("CU")], [("TIMESTAMP_VALIDATION", "timestamp")]),
    "reserved name": ([stamped("CU", name="ag-ui")], [("CUSTOM_EVENT", "name")]),
    "name of the proxy's verdicts": (
        [stamped("CU", name="dtvn.verdict")],
        [("CUSTOM_EVENT", "name")],
    ),
    "empty name": ([stamped("CU", name="")], [("CUSTOM_EVENT", "name")]),
    "other run finished": (
        [text("a"), stamped("TE:m"), stamped("RF:other")],
        [("RUN_ID_MISMATCH", "runId")],
    ),
    "parent unknown": (
        [stamped("KS:c", parentMessageId="z")],
        [("PARENT_MESSAGE_UNKNOWN", "parentMessageId")],
    ),
    "parent known": ([stamped("KS:c", parentMessageId="m")], []),
    "result of no call": (
        [{"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "z", "content": "", "timestamp": NOW}],
        [("TOOL_RESULT_UNKNOWN_CALL", "toolCallId")],
    ),
    "empty patch": ([{"type": "STATE_DELTA", "delta": [], "timestamp": NOW}], [("EMPTY_PATCH", "delta")]),
    "patch of all by null": (
        [{"type": "STATE_DELTA", "delta": [{"op": "add", "path": "", "value": None}], "timestamp": NOW}],
        [("EMPTY_PATCH", "delta[0].path"), ("EMPTY_PATCH", "delta[0].value")],
    ),
    "snapshot null": (
        [{"type": "STATE_SNAPSHOT", "snapshot": None, "timestamp": NOW}],
        [("STATE_VALIDATION", "snapshot")],
    ),
    "raw null": ([stamped("RW")], [("CONTENT_VALIDATION", "event")]),
    "error without words": (
        [text("a"), stamped("TE:m"), stamped("RE", message="")],
        [("RUN_LIFECYCLE", "message")],
    ),
    "protocol 0.x": (
        [text("a"), stamped("TE:m"), stamped("RE"), stamped("RS:r2", protocolVersion="0.1.21")],
        [("PROTOCOL_0X", "protocolVersion")],
    ),
    "message without content": (
        [stamped("TE:m"), stamped("TS:n"), stamped("TE:n")],
        [("MESSAGE_NO_CONTENT", "messageId")] * 2,
    ),
    "message with content": ([text("a"), stamped("TE:m")], []),
    "call without arguments": ([stamped("KS:c"), stamped("KE:c")], [("TOOL_NO_ARGS", "toolCallId")]),
    "call with arguments": ([stamped("KS:c"), stamped("KA:c"), stamped("KE:c")], []),
    "error within a message, a call and a step": (
        [stamped("KS:c"), stamped("SS:s"), stamped("RE"), stamped("RS:r2"), stamped("RE")],
        [("MESSAGE_INCOMPLETE", None), ("TOOL_INCOMPLETE", None), ("STEP_INCOMPLETE", None)],
    ),
    "error with nothing open": (
        [text("a"), stamped("TE:m"), stamped("SS:s"), stamped("SF:s"), stamped("RE")],
        [],
    ),
    "owners forgotten, once": (
        [stamped(code + f":{number}") for number in range(20) for code in ("TS", "TC", "TE")],
        [("OWNER_EXPIRED", None)],
    ),
}


@table(("given", "said"), CASES.values(), ids=CASES, count=37)
def test_lint_advice_names_the_rule_and_the_field(
    given: list[dict[str, Any] | bytes], said: list[tuple[str, str | None]]
) -> None:
    assert advised(*given) == said


def test_advice_about_times_and_empty_ids_can_be_left_out() -> None:
    given = [event("CU"), event("TS", messageId=""), text("")]
    assert advised(*given, timestamps=False, empty_ids=False) == []


def test_a_stream_that_ends_within_a_run_is_named_with_what_is_open() -> None:
    stream = Stream()
    for data in (event("RS"), event("TS:m"), event("KS:c")):
        stream.feed(data)
    (violation,) = stream.end()
    assert (violation.code, violation.index, violation.severity) == (
        "STREAM_NOT_TERMINATED",
        2,
        Severity.WARNING,
    )
    assert '"m"' in violation.message
    assert '"c"' in violation.message


def test_what_is_open_at_the_end_is_named_by_kind() -> None:
    stream = Stream()
    linter = Linter(stream)
    for data in (event("RS:r7"), event("TS:m"), event("KS:c"), *(event(f"SS:{n}") for n in range(7))):
        stream.feed(data)
        linter.advise(NOW)
    said = {each.code: each.message for each in linter.end()}
    assert said.pop("STREAM_NOT_TERMINATED").startswith("The stream ends within a run.")
    assert said == {
        "RUN_INCOMPLETE": 'Run "r7" has neither RUN_FINISHED nor RUN_ERROR.',
        "MESSAGE_INCOMPLETE": 'Text messages have no end: "m".',
        "TOOL_INCOMPLETE": 'Tool calls have no end: "c".',
        "STEP_INCOMPLETE": 'Steps have no end: "0", "1", "2", "3", "4" and 2 more.',
    }


def test_ends_that_are_never_seen_fill_no_memory() -> None:
    """A cluster's members may refuse an end that the rules here accept: then it is not advised upon."""
    stream = Stream(Limits(open_items=3, owners=12))
    linter = Linter(stream)
    stream.feed(event("RS"))
    for number in range(50):
        data = event(f"TS:{number}")
        assert stream.feed(data).accepted
        linter.advise(NOW)
        stream.feed(event(f"TE:{number}"))
    assert len(linter.unfinished) == 3


@table("events", [[], [event("RS"), event("RF")], [event("RE")]], count=3)
def test_a_stream_that_ends_outside_a_run_is_whole(events: list[bytes]) -> None:
    stream = Stream()
    for data in events:
        stream.feed(data)
    assert stream.end() == ()


PLAIN = [text(" and on"), text('a "quoted" word, at 12:30'), stamped("KA:c", delta='{"city": "Ro')]
NOT_PLAIN: dict[str, dict[str, Any]] = {
    "empty": {"delta": ""},
    "control character": {"delta": "a\x0bb"},
    "long line": {"delta": "x" * 1001},
    "script": {"delta": "JavaScript:x"},
    "unknown field": {"colour": 1},
    "null": {"metadata": None},
    "subagent": {"subagentRunId": "s"},
    "time ahead": {"timestamp": NOW + 6_000},
    "time back": {"timestamp": NOW - 1},
    "time as text": {"timestamp": str(NOW)},
    "unknown field behind escaped backslashes": {"messageId": "m\\", "delta": "b\\", "colour": 1},
}


@table("given", PLAIN, ids=["text", "quotes", "arguments"], count=3)
def test_pieces_of_which_nothing_is_to_be_said_are_known_at_once(given: dict[str, Any] | bytes) -> None:
    stream = Stream()
    linter = Linter(stream)
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    for each in (stamped("RS"), stamped("TS:m"), stamped("KS:c")):
        stream.feed(each)
        assert not linter.is_plain(each, NOW)
        linter.advise(NOW)
    stream.feed(data)
    assert linter.is_plain(data, NOW)
    assert linter.advise(NOW) == []


@table("fields", NOT_PLAIN.values(), ids=NOT_PLAIN, count=11)
def test_pieces_of_which_something_may_be_said_are_looked_at(fields: dict[str, Any]) -> None:
    stream = Stream()
    linter = Linter(stream)
    for each in (stamped("RS"), stamped("TS:n"), stamped("TS:m"), json.dumps(text("a")).encode()):
        stream.feed(each)
        linter.advise(NOW)
    data = json.dumps(text("b") | fields).encode()
    stream.feed(data)
    assert not linter.is_plain(data, NOW)
