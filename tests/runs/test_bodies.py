"""Bodies with events: what is refused, what counts as an event, and which one names the run."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.api.errors import InvalidRequest
from dtvn.api.event_bodies import NO_EVENTS, SEQUENCE_EVENTS_MAX, EventStream, read_lines
from tests.api.conftest import Api, read
from tests.support.table import table

pytestmark = pytest.mark.django_db(databases=["default", "learner"])


@table(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        {},
        {"events": []},
        {"events": {}},
        {"events": None},
        {"texts": [1]},
        {"texts": [""], "events": [1]},
        {"event": None, "thread": 5},
        {"events": [1], "thread": ""},
        {"events": [1], "thread": "x" * 1_025},
        {"events": [1], "thread": "a\x00b"},
        {"events": [1], "algorithm": ["pbft"]},
        {"events": [1], "salts": ["AAAA"]},
        {"events": [1], "salts": "AAAA"},
        {"events": [1], "drop_unknown": "yes"},
        b'{"texts":["\\ud800"]}',
        b'{"events":[{"a":' + b"[" * 5_000,
        b"\xff\xfe",
        b'{"text":"' + b"x" * (1024 * 1024 + 1) + b'"}',
        b'{"text":"x","thread":nil}',
        {"texts": [""] * (SEQUENCE_EVENTS_MAX + 1)},
        {"texts": ["a", "b"], "salts": ["AAAAAAAAAAAAAAAAAAAAAA=="]},
        {"texts": ["a"], "salts": ["AAAAAAAAAAAAAAAAAAAAAAA="]},
    ],
    count=27,
)
def test_bodies_that_are_wrong_are_400(api: Api, body: Any) -> None:
    for path in ("validate", "validate-sequence"):
        answer = api.post(f"events/{path}", body)
        assert answer.status_code == 400, answer.content
        assert read(answer)["error"]


def test_empty_lines_of_a_body_are_no_events() -> None:
    assert read_lines(b'\n{"a": 1} \r\n\n \t\nx\n').texts == (b'{"a": 1}', b"x")
    for nothing in (b"", b"\n \r\n"):
        with pytest.raises(InvalidRequest, match=NO_EVENTS):
            read_lines(nothing)


def test_the_events_of_a_stream_are_counted_over_all_its_pieces() -> None:
    stream = EventStream()
    assert len(stream.feed(b"{}\n" * (SEQUENCE_EVENTS_MAX - 1))) == SEQUENCE_EVENTS_MAX - 1
    assert stream.feed(b"{}\n") == (b"{}",)
    with pytest.raises(InvalidRequest, match=f"events must be at most {SEQUENCE_EVENTS_MAX}"):
        stream.feed(b"{}\n")


def test_a_stream_without_events_is_refused_at_its_end() -> None:
    stream = EventStream()
    assert stream.feed(b"\n\n") == ()
    with pytest.raises(InvalidRequest, match=NO_EVENTS):
        stream.end()


def test_events_that_are_hostile_are_judged_not_500(api: Api) -> None:
    hostile = [
        "",
        "\x00",
        "{" * 10_000,
        "[" * 10_000,
        '{"type":1}',
        '{"type":"RUN_STARTED"}',
        "null",
        "\u202e" * 9,
    ]
    told = read(api.post("events/validate-sequence", {"texts": hostile, "thread": "t", "run": "h"}))["data"]
    assert (told["valid"], told["delivered"], told["events"]) == (False, 0, len(hostile))
    started = {"type": "RUN_STARTED", "threadId": "a\x00b", "runId": "x" * 5_000}
    told = read(api.post("events/validate-sequence", {"events": [started]}))["data"]
    assert told["thread"].startswith("anonymous-")
