"""`dtvn.events.validate`: the events of a test or a program, in whatever form it holds them."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    Event,
    EventType,
    RunFinishedEvent,
    RunStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from ag_ui.encoder import EventEncoder
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dtvn.events import FramingError, Result, Severity, validate
from dtvn.events.report import KEPT
from dtvn.events.rules import EventReader
from tests.events.advice.support import NOW, RECORDED, REPORTED
from tests.events.rules.test_validate_command import result
from tests.support.table import table

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
FINISHED = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
STREAMS = sorted((*RECORDED.iterdir(), *REPORTED.iterdir()))
MODEL: TypeAdapter[Any] = TypeAdapter(Event)


def texts(path: Path) -> list[bytes]:
    """The JSON texts of a recorded stream's events."""
    reader = EventReader(1 << 20)
    return [text for _, text in (*reader.feed(path.read_bytes()), *reader.end())]


def said(found: Result) -> list[tuple[str, int, str]]:
    return [(each.code, each.index, each.severity) for each in found.findings]


def content(message: str, text: str) -> dict[str, str]:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": text}


def test_models_of_the_official_library_are_taken() -> None:
    events = [
        RunStartedEvent(thread_id="t", run_id="r"),
        TextMessageStartEvent(message_id="m", role="assistant"),
        TextMessageContentEvent(message_id="m", delta="Hello"),
        TextMessageEndEvent(message_id="m"),
        RunFinishedEvent(thread_id="t", run_id="r"),
    ]
    found = validate(events)
    assert (found.valid, found.complete, found.runs, found.events, found.findings) == (True, True, 1, 5, ())
    encoder = EventEncoder()
    assert validate(encoder.encode(each) for each in events) == found
    assert validate("".join(encoder.encode(each) for each in events)) == found
    missing = validate([events[0], events[2], events[4]])
    assert said(missing) == [("MESSAGE_NOT_OPEN", 1, Severity.ERROR)]
    assert (missing.valid, missing.code, missing.delivered) == (False, "MESSAGE_NOT_OPEN", 1)
    assert missing.errors[0].suggestion.startswith("Send TEXT_MESSAGE_START")


def test_a_type_may_be_a_member_of_the_official_enum() -> None:
    assert validate([STARTED | {"type": EventType.RUN_STARTED}, FINISHED]).valid


@table("path", STREAMS, ids=lambda path: path.name, count=61)
def test_the_function_finds_what_the_command_finds(path: Path) -> None:
    """But for the time of day, which a test should not depend on."""
    off = "TIMESTAMP_VALIDATION"
    command = result(path, off=[(off,)])
    found = validate(path.read_bytes(), off=off)
    for name in ("valid", "complete", "runs", "events", "delivered", "code"):
        assert getattr(found, name) == command[name], name
    assert said(found) == [(each["code"], each["index"], each["severity"]) for each in command["violations"]]
    assert validate(path.read_text("utf-8"), off=off).code == found.code


@given(st.sampled_from(STREAMS), st.data())
def test_every_form_of_an_event_is_judged_alike(path: Path, data: st.DataObject) -> None:
    """Any part of a recorded stream, each event in a form of its own."""
    whole = texts(path)
    begin = data.draw(st.integers(0, len(whole)))
    part = whole[begin : data.draw(st.integers(begin, len(whole)))]

    def item(text: bytes) -> object:
        forms: list[object] = [text, text.decode(), bytearray(text), b"data: " + text + b"\n\n", text + b"\n"]
        if text != b"[DONE]":
            forms.append(json.loads(text))
        return data.draw(st.sampled_from(forms))

    assert validate([item(text) for text in part]) == validate(part)


@table("path", sorted(RECORDED.iterdir()), ids=lambda path: path.name, count=36)
def test_recorded_events_read_by_the_official_models_stay_what_they_are(path: Path) -> None:
    found, recorded = validate(MODEL.validate_json(text) for text in texts(path)), validate(texts(path))
    assert (found.complete, found.runs, found.events) == (recorded.complete, recorded.runs, recorded.events)
    assert found.errors == recorded.errors


def test_an_unfinished_run_is_said_and_fails_if_asked() -> None:
    found = validate([STARTED])
    assert (found.valid, found.complete, found.runs) == (True, False, 1)
    assert said(found) == [("STREAM_NOT_TERMINATED", 0, Severity.WARNING)]
    asked = validate([STARTED], complete=True, off="STREAM_NOT_TERMINATED")
    assert (asked.valid, asked.code) == (False, "STREAM_NOT_TERMINATED")
    assert said(asked) == [("STREAM_NOT_TERMINATED", 0, Severity.ERROR)]
    assert "RUN_FINISHED" in asked.errors[0].suggestion


@table(("events", "words"), [([], "it has no events"), ([b" "], "no events"), ("", "no events")], count=3)
def test_no_run_is_said_and_fails_if_asked(events: Any, words: str) -> None:
    found = validate(events)
    assert (found.valid, found.complete, found.runs, found.warnings) == (True, False, 0, found.findings)
    assert said(found) == [("NO_RUN", 0, Severity.WARNING)]
    assert words in found.findings[0].message
    assert said(validate(events, complete=True)) == [("NO_RUN", 0, Severity.ERROR)]


def test_a_run_that_fails_at_once_is_a_complete_run() -> None:
    failed = {"type": "RUN_ERROR", "message": "no model"}
    found = validate([failed, STARTED, failed, STARTED, FINISHED], complete=True)
    assert (found.valid, found.complete, found.runs) == (True, True, 3)


def test_a_refused_start_or_end_is_the_only_finding() -> None:
    """That no run began, or that it did not end, follows from the refusal."""
    snake = {"type": "RUN_STARTED", "thread_id": "t", "run_id": "r"}
    assert said(validate([snake, FINISHED], complete=True)) == [("FIELD_MISSING", 0, Severity.ERROR)]
    open_message = {"type": "TEXT_MESSAGE_START", "messageId": "m"}
    found = validate([STARTED, open_message, FINISHED], complete=True)
    assert (said(found), found.complete) == ([("RUN_HAS_OPEN_MESSAGES", 2, Severity.ERROR)], False)


def test_events_are_read_one_by_one_and_forgotten() -> None:
    asked: list[int] = []

    def conversation() -> Iterator[dict[str, str]]:
        yield STARTED
        yield {"type": "TEXT_MESSAGE_START", "messageId": "m"}
        for number in range(20_000):
            asked.append(number)
            yield content("m", f"word {number}")
        yield {"type": "TEXT_MESSAGE_END", "messageId": "m"}
        yield FINISHED

    validate(conversation())
    tracemalloc.start()
    try:
        found = validate(conversation())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.valid, found.events, len(asked)) == (True, 20_004, 40_000)
    assert peak < 1_000_000, "the events are two megabytes of JSON"


def test_of_many_findings_a_bounded_number_is_kept() -> None:
    wrong = (content(f"m{number}", "x") for number in range(KEPT + 5))
    found = validate([STARTED, *wrong, FINISHED])
    assert (len(found.findings), found.omitted) == (KEPT, {"MESSAGE_NOT_OPEN": 5})


def test_an_error_of_the_generator_is_the_callers() -> None:
    def broken() -> Iterator[dict[str, str]]:
        yield STARTED
        raise ConnectionError("the model is away")

    with pytest.raises(ConnectionError, match="the model is away"):
        validate(broken())


class NoJson:
    """Has the method of a model, and no event."""

    def model_dump(self, **options: object) -> object:
        assert options == {"by_alias": True, "exclude_none": True, "mode": "json"}
        return ["no", "event"]


class Failing:
    """A model whose code fails."""

    def model_dump(self, **_options: object) -> object:
        raise KeyError("role")


@table(
    ("item", "words"),
    [
        (Failing(), "events[1] is a value of type Failing whose model_dump fails: 'role'"),
        (None, "events[1] is None, which is no event. Give a dict, JSON text"),
        (7, "events[1] is a value of type int, which is no event"),
        ([STARTED], "events[1] is a value of type list, which is no event"),
        (RunStartedEvent, "events[1] is a value of type ModelMetaclass, which is no event"),
        (NoJson(), "events[1] is a value of type NoJson, which is no event"),
        (STARTED | {"input": object()}, "events[1] is a value of type dict that has no JSON form: Object of"),
    ],
    count=7,
)
def test_an_item_of_the_wrong_type_is_named(item: object, words: str) -> None:
    with pytest.raises(TypeError) as raised:
        validate([STARTED, item, FINISHED])
    assert words in str(raised.value)


async def answers() -> Any:
    yield STARTED


@table(
    ("events", "words"),
    [
        (STARTED, "events is one event, not an iterable of events: give a list with it"),
        (RunStartedEvent(thread_id="t", run_id="r"), "events is one event"),
        (answers(), "give [event async for event in ...]"),
        (Path("run.sse"), "give what it holds, with read_bytes()"),
        (None, "events is None: give an iterable, or the text of a stream"),
        (1, "events is a value of type int"),
    ],
    count=6,
)
def test_what_is_no_iterable_of_events_is_named(events: Any, words: str) -> None:
    with pytest.raises(TypeError) as raised:
        validate(events)
    assert words in str(raised.value)


def test_a_text_without_events_is_refused() -> None:
    with pytest.raises(FramingError, match="neither server-sent events"):
        validate("<html>500</html>")


@table(
    ("options", "words"),
    [
        ({"profile": "strict"}, "profile: 'strict' is none of default, seed, client"),
        ({"off": "EMPTY"}, "off: 'EMPTY' is no code of advice; these are: "),
        ({"only": ["MESSAGE_NOT_OPEN"]}, "only: 'MESSAGE_NOT_OPEN' is no code of advice"),
        ({"run_input": {"threadId": "t"}}, "run_input is no RunAgentInput: Object missing required field"),
    ],
    count=4,
)
def test_options_that_do_not_exist_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^(profile|off|only|run_input)") as raised:
        validate([], **options)
    assert words in str(raised.value)


def test_an_input_of_the_wrong_type_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"^run_input is a value of type int, which is no RunAgentInput\. Give"
    ):
        validate([], run_input=7)


def test_advice_is_chosen_as_by_the_command() -> None:
    empty = {"type": "CUSTOM", "name": "", "value": 1}
    events = [STARTED, empty, content("m", "x"), FINISHED]
    assert [code for code, *_ in said(validate(events))] == ["CUSTOM_EVENT", "MESSAGE_NOT_OPEN"]
    assert [code for code, *_ in said(validate(events, off="CUSTOM_EVENT"))] == ["MESSAGE_NOT_OPEN"]
    seed = validate(events, profile="seed", only=["TIMESTAMP_VALIDATION"])
    assert [code for code, *_ in said(seed)] == ["TIMESTAMP_VALIDATION", "MESSAGE_NOT_OPEN"]


def test_events_of_0x_and_the_input_are_taken_into_account() -> None:
    thinking = [{"type": "THINKING_START"}, {"type": "THINKING_END"}]
    assert validate([STARTED, *thinking, FINISHED]).valid
    assert not validate([STARTED, *thinking, FINISHED], profile="seed").valid
    assert validate([STARTED, *thinking, FINISHED], profile="seed", accept_0x=True).valid
    delta = {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/a", "value": 1}]}
    asked = {"threadId": "t", "runId": "r", "messages": [], "state": {"a": 0}}
    events = [STARTED, delta, FINISHED]
    assert [code for code, *_ in said(validate(events))] == ["STATE_DELTA_BEFORE_SNAPSHOT"]
    binary = {"type": "binary", "mimeType": "image/png", "data": "AA=="}
    later = {
        "id": "u",
        "role": "user",
        "name": None,
        "subagentRunId": None,
        "content": [binary, {"type": "x"}],
    }
    others = {"messages": [later], "parentRunId": None, "tools": None, "resume": None, "later": 1}
    for form in (asked, json.dumps(asked), asked | others):
        assert validate(events, run_input=form).findings == ()


def test_timestamps_are_compared_with_a_clock_only_if_one_is_given() -> None:
    late = [STARTED | {"timestamp": 200}, FINISHED | {"timestamp": 100}]
    assert [each.message for each in validate(late).findings] == [
        "The timestamp is 100 ms before the one of an event before it."
    ]
    assert len(validate(late, now_ms=NOW).findings) == 2
