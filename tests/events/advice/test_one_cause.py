"""One cause is one finding: what repeats it or follows from it is counted; and refusals say what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dtvn.events.advice import CLIENT, CODES, SEED, Profile, chosen
from dtvn.events.checked import ConfigError
from dtvn.events.rules import SUGGESTIONS, Stream
from dtvn.events.validation_config import ValidationConfig, rules_of
from tests.events.advice.support import NOW, codes, told
from tests.events.rules.samples import event
from tests.support.table import table

RS, RF = event("RS"), event("RF")
QUIET = ValidationConfig(advice_only=("PROTOCOL_0X",))
CASES: dict[str, tuple[list[bytes], list[tuple[str, int]]]] = {
    "the same id again": ([RS, *[event("TC:z")] * 5, RF], [("MESSAGE_NOT_OPEN", 1)]),
    "two ids": ([RS, event("TC:y"), event("TC:z"), RF], [("MESSAGE_NOT_OPEN", 1), ("MESSAGE_NOT_OPEN", 2)]),
    "a start that was refused": (
        [RS, event("TS:m", role="tool"), event("TC:m"), event("TE:m"), RF],
        [("FIELD_INVALID", 1)],
    ),
    "a start that was refused, and another id": (
        [RS, event("TS:m", role="tool"), event("TC:m"), event("TC:z"), RF],
        [("FIELD_INVALID", 1), ("MESSAGE_NOT_OPEN", 3)],
    ),
    "an end that was refused": ([RS, event("TS:m"), event("TE:n"), RF], [("MESSAGE_NOT_OPEN", 2)]),
    "an end too many, and a message left open": (
        [RS, event("TS:m"), event("TE:m"), event("TE:m"), event("TS:n"), RF],
        [("MESSAGE_NOT_OPEN", 3), ("RUN_HAS_OPEN_MESSAGES", 5)],
    ),
    "a run that could not end": (
        [RS, event("TS:m"), RF, event("RS:r2"), RF],
        [("RUN_HAS_OPEN_MESSAGES", 2)],
    ),
    "an end that was refused in another run": (
        [RS, event("TE:n"), RF, event("RS:r2"), event("TS:m"), RF],
        [("MESSAGE_NOT_OPEN", 1), ("RUN_HAS_OPEN_MESSAGES", 5)],
    ),
    "a run that did not begin": (
        [b'{"type":"RUN_STARTED","threadId":1,"runId":"r"}', event("TS:m"), event("TE:m"), RF],
        [("FIELD_INVALID", 0)],
    ),
    "a stream without a beginning": ([event("TS:m"), event("TE:m"), RF], [("FIRST_EVENT", 0)]),
    "all after the end": ([RS, RF, event("TS:m"), event("TE:m")], [("RUN_ALREADY_FINISHED", 2)]),
    "another run, another cause": (
        [RS, event("TC:z"), RF, event("RS:r2"), event("TC:y"), RF],
        [("MESSAGE_NOT_OPEN", 1), ("MESSAGE_NOT_OPEN", 4)],
    ),
}


@table(("events", "expected"), CASES.values(), ids=CASES, count=12)
def test_a_cause_is_told_once(events: list[bytes], expected: list[tuple[str, int]]) -> None:
    assert codes(*events, config=QUIET) == expected


def test_what_follows_is_counted() -> None:
    stream, adviser = rules_of(QUIET)
    repeated = []
    for data in (RS, event("TS:m", role="tool"), event("TC:m"), event("TE:m"), RF):
        verdict = stream.feed(data)
        repeated += [each.code for each in adviser.take(data, verdict, verdict, NOW).repeated]
    assert repeated == ["MESSAGE_NOT_OPEN"] * 2


def test_where_the_end_of_a_run_was_refused_nothing_more_is_said_of_it() -> None:
    events = [RS, event("TS:m"), event("TC:m"), RF]
    assert codes(*events) == [("RUN_HAS_OPEN_MESSAGES", 3)]
    assert codes(*events[:-1]) == [("STREAM_NOT_TERMINATED", 2)]


CURES: dict[str, tuple[list[bytes], str, str]] = {
    "text after its end": (
        [event("TS:m"), event("TE:m"), event("TC:m")],
        "It ended at event 2.",
        "with another id",
    ),
    "arguments after the end": (
        [event("KS:c"), event("KE:c"), event("KA:c")],
        "It ended at event 2.",
        "last TOOL_CALL_ARGS",
    ),
    "end twice": (
        [event("KS:c"), event("KE:c"), event("KE:c")],
        "It ended at event 2.",
        "Send TOOL_CALL_END once",
    ),
    "end of another": ([event("TS:a"), event("TE:b")], 'Open: "a".', 'that is open: "a"'),
    "end of one of several": (
        [event("KS:a"), event("KS:b"), event("KE:c")],
        'Open: "a", "b".',
        "that is open, or start",
    ),
    "nothing is open": ([event("TE:b")], 'Message "b" is not open.', "Send TEXT_MESSAGE_START"),
    "step twice": (
        [event("SS:s"), event("SF:s"), event("SF:s")],
        "It ended at event 2.",
        "Send STEP_FINISHED once",
    ),
    "start, then chunks": (
        [event("KS:c"), event("KK:c", delta="{}", toolCallName="n")],
        "A chunk opens and ends",
        "Send TOOL_CALL_ARGS after",
    ),
    "chunk, then content": (
        [event("TK:m", delta="a"), event("TC:m")],
        "Chunks of it are open",
        "Send TEXT_MESSAGE_CHUNK alone",
    ),
    "ended by another chunk": (
        [event("TK:m", delta="a"), event("KK:c", toolCallName="n"), event("TC:m")],
        "It ended at event 2.",
        "Send TEXT_MESSAGE_END after",
    ),
    "outcome of 0.x": (
        [event("RF", outcome="interrupt", interrupt={"id": "i"})],
        "outcome",
        "Send outcome {",
    ),
}


@table(("events", "message", "suggestion"), CURES.values(), ids=CURES, count=11)
def test_a_refusal_says_what_to_do(events: list[bytes], message: str, suggestion: str) -> None:
    found = told(b"\n".join([RS, *events]), QUIET)[0]
    assert message in found.message
    assert suggestion in found.suggestion


def test_forms_of_0x_are_named_field_by_field() -> None:
    events = [
        event("RS"),
        event("KS:c", parentMessageId=None),
        event("KE:c"),
        event("KS:d", parentMessageId=None, rawEvent=None),
        event("KE:d"),
        event("RF", outcome=None, result=None, interrupt=[{"id": "i"}]),
    ]
    found = told(b"\n".join(events), QUIET)
    assert [(each.index, each.field) for each in found] == [
        (1, "parentMessageId"),
        (3, "rawEvent"),
        (5, "outcome"),
        (5, "result"),
        (5, "interrupt"),
    ]
    assert len({each.suggestion for each in found}) == 5


@table("part", [{"data": "AA=="}, {"url": "https://x"}, {"id": "f"}, {"mimeType": 1}], count=4)
def test_binary_parts_of_0x_are_converted_as_clients_do(part: dict[str, Any]) -> None:
    content = [{"type": "binary", "mimeType": "image/png"} | part, {"type": "text", "text": "x"}]
    data = json.dumps(
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "u", "role": "user", "content": content}]}
    ).encode()
    for accepts in (False, True):
        stream = Stream(accept_0x=accepts)
        stream.feed(RS)
        verdict = stream.feed(data)
        assert verdict.accepted is accepts
        assert [each.code for each in verdict.violations] == ["PROTOCOL_0X"]


def test_thinking_without_its_start_is_refused_as_the_client_does() -> None:
    stream = Stream(accept_0x=True)
    stream.feed(RS)
    verdict = stream.feed(b'{"type":"THINKING_TEXT_MESSAGE_CONTENT","delta":"x"}')
    assert [each.code for each in verdict.violations] == ["REASONING_MESSAGE_NOT_OPEN", "PROTOCOL_0X"]
    assert not stream.feed(b'{"type":"THINKING_TEXT_MESSAGE_CONTENT"}').accepted


def test_every_advice_has_a_suggestion_and_a_profile() -> None:
    assert {*SUGGESTIONS} >= CODES
    assert chosen(Profile.SEED) == SEED
    assert chosen(Profile.CLIENT) == CLIENT
    assert chosen(Profile.DEFAULT) < CODES
    assert chosen(Profile.DEFAULT) > CLIENT


def test_advice_is_switched_by_its_code() -> None:
    events = [RS, event("TS:m"), event("TC:m", delta=""), event("TE:m"), event("KS:c"), event("KE:c"), RF]
    both = [("EMPTY_DELTA", 2), ("TOOL_NO_ARGS", 6), ("CALL_NOT_ANSWERED", 6)]
    assert codes(*events) == both
    assert codes(*events, config=ValidationConfig(advice_off=("EMPTY_DELTA",))) == both[1:]
    assert codes(*events, config=ValidationConfig(advice_only=("EMPTY_DELTA",))) == both[:1]
    assert codes(*events, config=ValidationConfig(profile=Profile.CLIENT)) == both[2:]
    seed = [("TIMESTAMP_VALIDATION", 0), ("EMPTY_DELTA", 2), ("TOOL_NO_ARGS", 5)]
    assert codes(*events, config=ValidationConfig(profile=Profile.SEED)) == seed
    with pytest.raises(ConfigError, match="advice_off: 'MESSAGE_NOT_OPEN' is no code of advice"):
        ValidationConfig(advice_off=("MESSAGE_NOT_OPEN",))


def test_by_default_little_is_said_that_few_would_act_on() -> None:
    """An empty message that is a call's parent, a parent that its call makes, no timestamps."""
    events = [
        RS,
        event("TS:m"),
        event("TE:m"),
        event("KS:c", parentMessageId="m"),
        event("KA:c"),
        event("KE:c"),
    ]
    events += [event("KS:d", parentMessageId="made"), event("KA:d"), event("KE:d"), RF]
    config = ValidationConfig(advice_off=("CALL_NOT_ANSWERED",))
    assert codes(*events, config=config) == []
    seed = ["TIMESTAMP_VALIDATION", "MESSAGE_NO_CONTENT", "PARENT_MESSAGE_UNKNOWN"]
    assert [code for code, _ in codes(*events, config=ValidationConfig(profile=Profile.SEED))] == seed
