"""What each mode does with good and bad streams, over real sockets."""

from __future__ import annotations

import json

import pytest

from dtvn.events.rules import EventReader
from dtvn.proxy import LOCAL_ONLY, LocalJudge, Run, holding
from tests.events.rules.samples import event
from tests.proxy.support import BAD, GOOD, answering, parsed, proxied, sse, types

pytestmark = pytest.mark.asyncio
TYPES = ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]


@pytest.mark.parametrize("mode", ["observe", "refuse"])
async def test_a_good_stream_passes_byte_for_byte(mode: str) -> None:
    body = b": hello\n\nid: 7\r\ndata: " + GOOD[0] + b"\r\n\r\n" + sse(GOOD[1:]) + b": bye\n\n"
    async with proxied(answering(body), mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == body
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["dtvn-events"] == mode
    assert (report.valid, report.events, report.scope) == (True, 5, LOCAL_ONLY)
    assert (report.run, report.ended, report.not_validated) == (Run("t", "r1"), "complete", None)


async def test_observe_passes_a_bad_stream_and_reports_it() -> None:
    async with proxied(answering(sse(BAD))) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == sse(BAD)
    assert (report.valid, report.events, report.code) == (False, 6, "MESSAGE_NOT_OPEN")
    assert [(each.index, each.code) for each in report.violations] == [(2, "MESSAGE_NOT_OPEN")]


async def test_mark_says_the_verdict_before_the_end_of_a_good_run() -> None:
    async with proxied(answering(sse(GOOD)), "mark") as proxy:
        answer = await proxy.post()
    assert types(answer.content) == [*TYPES[:4], "!valid", TYPES[4]]
    said = parsed(answer.content)[4]["value"]
    assert said.pop("by")
    assert said == {"valid": True, "scope": LOCAL_ONLY, "events": 5, "code": None}
    unmarked = [each for each in answer.content.split(b"\n\n") if b"dtvn.verdict" not in each]
    assert b"\n\n".join(unmarked) == sse(GOOD)


async def test_mark_puts_what_is_wrong_before_a_bad_event() -> None:
    async with proxied(answering(sse(BAD)), "mark") as proxy:
        answer = await proxy.post()
    assert types(answer.content) == [*TYPES[:2], "!bad", *TYPES[2:3], *TYPES[2:4], "!bad", TYPES[4]]
    first, last = (each["value"] for each in parsed(answer.content) if each["type"] == "CUSTOM")
    assert (first["index"], first["code"]) == (2, "MESSAGE_NOT_OPEN")
    assert first["violations"][0]["suggestion"]
    assert (last["valid"], last["events"], last["code"]) == (False, 6, "MESSAGE_NOT_OPEN")


async def test_refuse_puts_run_error_in_place_of_a_bad_event() -> None:
    async with proxied(answering(sse(BAD)), "refuse") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert types(answer.content) == [*TYPES[:2], "RUN_ERROR"]
    error = parsed(answer.content)[2]
    assert error["code"] == "MESSAGE_NOT_OPEN"
    assert error["message"].startswith("Event 2 was refused: MESSAGE_NOT_OPEN: ")
    assert (report.valid, report.events, report.ended) == (False, 3, "refused")


async def test_refuse_sends_no_second_run_error() -> None:
    events = [event("RS"), event("RE"), event("TS:m")]
    async with proxied(answering(sse(events)), "refuse") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert types(answer.content) == ["RUN_STARTED", "RUN_ERROR"]
    assert (report.code, report.ended) == ("RUN_ALREADY_ERRORED", "refused")


async def test_a_mark_breaks_no_message_that_is_built_of_chunks() -> None:
    """CUSTOM ends the chunked message of its agent: a mark waits until there is none."""
    events = [
        event("RS"),
        event("TK", messageId="m", delta="a"),
        event("TE:z"),
        event("TK", delta="b"),
        event("RF"),
    ]
    async with proxied(answering(sse(events)), "mark") as proxy:
        answer = await proxy.post()
    chunk = "TEXT_MESSAGE_CHUNK"
    assert types(answer.content) == [
        "RUN_STARTED", chunk, "TEXT_MESSAGE_END", chunk, "!bad", "!bad", "RUN_FINISHED",
    ]  # fmt: skip


async def test_a_mark_outside_a_run_waits_for_the_next_one() -> None:
    events = [event("RW"), *GOOD, event("RW"), event("RS:r2"), event("RF:r2")]
    async with proxied(answering(sse(events)), "mark") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    marks = [each["value"] for each in parsed(answer.content) if each["type"] == "CUSTOM"]
    assert [mark.get("index") for mark in marks] == [0, None, 6, None]
    assert types(answer.content)[:3] == ["RAW", "RUN_STARTED", "!bad"]
    assert types(answer.content)[-5:] == ["RAW", "RUN_STARTED", "!bad", "!bad", "RUN_FINISHED"]
    assert (report.valid, report.marks_unsent) == (False, 0)


async def test_a_mark_that_finds_no_run_is_not_sent_but_counted() -> None:
    async with proxied(answering(sse([*GOOD, event("RW"), event("RW")])), "mark") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert types(answer.content)[-3:] == ["RUN_FINISHED", "RAW", "RAW"]
    assert (report.code, report.marks_unsent) == ("RUN_ALREADY_FINISHED", 2)
    assert answer.headers["dtvn-events"].endswith("; place=run")


async def test_each_run_of_a_stream_is_marked() -> None:
    events = [*BAD, event("RS:r2"), event("RF:r2")]
    async with proxied(answering(sse(events)), "mark") as proxy:
        answer = await proxy.post()
    assert [each["value"]["valid"] for each in parsed(answer.content) if each["type"] == "CUSTOM"] == [
        False, False, True,
    ]  # fmt: skip


async def test_marks_of_a_run_that_found_no_place_are_not_said_in_the_next() -> None:
    """Some clients see no boundary behind carriage returns, so nothing may stand before the next event."""
    torn = b"data: no event\r\n\r\n"
    body = sse([event("RS")]) + torn + sse([event("RF"), event("RS:r2"), event("RF:r2")])
    async with proxied(answering(body), "mark") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    unmarked = [each for each in answer.content.split(b"\n\n") if b"dtvn.verdict" not in each]
    assert b"\n\n".join(unmarked) == body
    said = [each for each in answer.content.split(b"\n\n") if b"dtvn.verdict" in each]
    bad, last = (json.loads(each.removeprefix(b"data: "))["value"] for each in said)
    assert (bad["index"], bad["code"]) == (1, "NOT_JSON")
    assert (last["valid"], last["events"], last["code"]) == (True, 2, None), "of the second run"
    assert report.marks_unsent == 1


async def test_a_stream_has_a_bounded_number_of_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MARKS", 3)
    events = [event("RS"), *[event("TC:z")] * 5, event("RF")]
    async with proxied(answering(sse(events)), "mark") as proxy:
        answer = await proxy.post()
    marks = [each["value"] for each in parsed(answer.content) if each["type"] == "CUSTOM"]
    assert [mark.get("index") for mark in marks] == [1, 2, 3, None], "and the one of the run"


@pytest.mark.parametrize("kind", [b"application/x-ndjson", b"application/jsonl; charset=utf-8"])
async def test_json_lines_are_judged_and_marked(kind: bytes) -> None:
    body = b"\n".join(GOOD) + b"\n"
    async with proxied(answering(body, kind), "mark") as proxy:
        answer = await proxy.post()
    lines = answer.content.splitlines()
    assert lines[:4] + lines[5:] == GOOD
    assert types(answer.content)[4] == "!valid"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"text/event-stream", sse(GOOD[:4])[:-2]),
        (b"text/event-stream", sse(GOOD[:4])[:-1]),
        (b"application/x-ndjson", b"\n".join(GOOD[:4])),
    ],
    ids=["no line end", "no empty line", "json line"],
)
async def test_a_mark_behind_an_unended_line_leaves_it_whole(kind: bytes, body: bytes) -> None:
    async with proxied(answering(body, kind), "mark") as proxy:
        answer = await proxy.post()
    assert [text for _, text in EventReader(4096).feed(answer.content)][:4] == GOOD[:4]
    assert types(answer.content)[4:] == ["!valid"]


async def test_unknown_event_types_pass_where_they_may() -> None:

    events = [event("RS"), b'{"type":"NEWS"}', event("RF")]
    async with proxied(answering(sse(events)), "refuse", judge=LocalJudge()) as proxy:
        answer = await proxy.post()
    assert answer.content == sse(events)


@pytest.mark.parametrize("mode", ["observe", "mark", "refuse"])
async def test_a_run_that_never_ends_is_told_of_in_each_mode(mode: str) -> None:
    async with proxied(answering(sse(GOOD[:-1])), mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert ("STREAM_NOT_TERMINATED", report.valid) in [(each.code, True) for each in report.violations]
    last = parsed(answer.content)[-1]
    assert (last["type"] == "RUN_ERROR") == (mode == "refuse")
    if mode == "refuse":
        assert last["code"] == "STREAM_NOT_TERMINATED"
