"""The judge that asks a cluster, before a stand-in for its platform that judges by the rules here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from starlette.responses import Response

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.events.rules import Stream, Verdict
from dtvn.log_limit import limit
from dtvn.proxy import ClusterJudge, EventsMiddleware, Mode, NoVerdict, Report, cluster_judge
from tests.events.rules.samples import event
from tests.proxy.support import BAD, GOOD, Request, answering, parsed, proxied, served, sse, types
from tests.waiting import PATIENCE

pytestmark = pytest.mark.asyncio
RUNS = "/api/v1/events/runs"


class Platform:
    """The three calls of runs, and what was asked. `failures` are answered first, one a call."""

    def __init__(self, *failures: tuple[int, str]) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[str, str]] = []
        self.keys: set[bytes] = set()
        self.texts: list[bytes] = []
        self.salts: list[str] = []
        self.began: dict[str, Any] = {}
        """What the run was to be."""
        self.later: tuple[int, str] | None = None
        """A failure of every call about events."""
        self.busy: list[tuple[int, str]] = []
        """Failures of the first calls about events, one each."""
        self.retry_after: list[bytes] = []
        """Retry-After of the first failures, one each."""
        self.stream = Stream()
        self.end: dict[str, Any] = {"events": 5, "scope": "pbft 7", "failure": None, "recorded": "ok"}
        """The report at the end of the run, as far as it is read."""
        self.asked_to_begin, self.begins, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.begins.set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = dict(scope["headers"])
        self.keys.add(headers.get(b"x-api-key", b""))
        self.calls.append((scope["path"], scope["query_string"].decode()))
        if scope["path"] == RUNS:
            self.asked_to_begin.set()
            await self.begins.wait()
        later = self.later if scope["path"].endswith("/events") else None
        if self.busy and scope["path"].endswith("/events"):
            later = self.busy.pop(0)
        if self.failures or later:
            status, code = later or self.failures.pop(0)
            said = {"success": False, "error": "it is so.", "code": code}
            headers = [(b"retry-after", self.retry_after.pop(0))] if self.retry_after else []
            await answered(send, status, json.dumps(said).encode(), headers)
        elif scope["path"] == RUNS:
            self.began = json.loads(body)
            await answered(send, 201, b'{"success":true,"data":{"id":7}}')
        elif scope["path"] == f"{RUNS}/7/events":
            lines = headers[b"content-type"] == b"application/x-ndjson"
            given = {} if lines else json.loads(body)
            texts = body.split(b"\n") if lines else [each.encode() for each in given["texts"]]
            self.texts += texts
            self.salts += given.get("salts", [])
            await answered(send, 200, b"".join(self.line(text) + b"\n" for text in texts))
        else:
            await answered(send, 200, self.answer(scope["path"], body))

    def answer(self, path: str, body: bytes) -> bytes:
        """To the end of a run, and what comes after it."""
        self.ended.set()
        return json.dumps({"success": True, "data": self.end}).encode()

    def line(self, text: bytes) -> bytes:
        index, verdict = self.stream.index, self.stream.feed(text)
        found = {
            "index": index,
            "accepted": verdict.accepted,
            "violations": verdict.violations,
            "scope": "pbft 7",
        }
        return msgspec.json.encode(found)


async def answered(send: Any, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def judged_by(platform: Platform, **options: Any) -> AsyncIterator[ClusterJudge]:
    async with served(platform) as address:
        judge = ClusterJudge(address, **options)
        try:
            yield judge
        finally:
            await judge.client.aclose()


async def test_a_clusters_verdicts_refuse_and_mark() -> None:
    async with judged_by(Platform()) as judge, proxied(answering(sse(BAD)), "refuse", judge=judge) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]
    assert (report.code, report.scope) == ("MESSAGE_NOT_OPEN", "pbft 7")
    async with judged_by(Platform()) as judge, proxied(answering(sse(GOOD)), "mark", judge=judge) as proxy:
        answer = await proxy.post()
    said = parsed(answer.content)[4]["value"]
    assert (said["valid"], said["scope"], said["events"], said["code"]) == (True, "pbft 7", 5, None)


@pytest.mark.parametrize("mode", ["observe", "mark", "refuse"])
async def test_a_run_that_was_recorded_before_is_valid_and_said(mode: str) -> None:
    platform = Platform()
    failure = {"code": "not_next", "text": 'Run "r1" was recorded before; a run is recorded once.'}
    platform.end |= {"scope": "pbft 8", "failure": failure, "recorded": "not_next"}
    async with judged_by(platform) as judge, proxied(answering(sse(GOOD)), mode, judge=judge) as proxy:
        await proxy.post()
        report = await proxy.report()
    assert (report.valid, report.code, report.scope) == (True, None, "pbft 8")
    told = [(each.severity, each.code, each.message) for each in report.violations]
    assert told == [("warning", "not_next", failure["text"])]
    assert report.not_validated is None


async def test_a_failure_of_the_verdict_is_not_said_to_be_one_of_the_record() -> None:
    platform = Platform()
    failure = {"code": "NO_CERTIFICATE", "text": "Too few equal votes."}
    platform.end |= {"failure": failure, "recorded": "ok"}
    async with judged_by(platform) as judge, proxied(answering(sse(GOOD)), "observe", judge=judge) as proxy:
        await proxy.post()
        assert (await proxy.report()).violations == ()


async def test_a_record_without_a_known_outcome_leaves_a_stream_valid() -> None:
    platform = Platform()
    platform.end["recorded"] = "outcome_unknown"
    async with judged_by(platform) as judge, proxied(answering(sse(GOOD)), "observe", judge=judge) as proxy:
        await proxy.post()
        assert (await proxy.report()).valid is True


async def test_calls_name_the_place_of_their_events_and_the_key() -> None:
    platform = Platform()
    async with judged_by(platform, key="secret", algorithm="pbft") as judge:
        judgement = await judge.open()
        await judgement.judge(GOOD[:2])
        await judgement.judge(GOOD[2:])
        await judgement.close()
    assert [path.removeprefix(RUNS) for path, _ in platform.calls] == ["", "/7/events", "/7/events", "/7/end"]
    assert [query for _, query in platform.calls] == ["", "from=0", "from=2", ""]
    assert platform.keys == {b"secret"}
    assert platform.texts == GOOD


async def test_the_exact_text_of_an_event_is_judged() -> None:
    platform = Platform()
    texts = [GOOD[0], b' {"type":\n"RUN_FINISHED","threadId":"t","runId":"r"} ']
    async with judged_by(platform) as judge:
        await (await judge.open()).judge(texts)
    assert platform.texts == texts


async def test_long_chunks_are_asked_in_parts() -> None:
    platform = Platform()
    big = event("CU", value="x" * 700_000)
    async with judged_by(platform) as judge:
        verdicts = await (await judge.open()).judge([GOOD[0], big, big, *[event("CU")] * 1500])
    assert verdicts == [Verdict(True)] * 1503
    assert [query for _, query in platform.calls] == ["", "from=0", "from=2", "from=1002"]


@pytest.mark.parametrize("failure", [(503, "no_verdict"), (429, "overloaded"), (502, ""), (409, "run_busy")])
async def test_a_call_without_an_answer_is_repeated(failure: tuple[int, str]) -> None:
    platform = Platform(failure, failure)
    async with judged_by(platform) as judge, proxied(answering(sse(GOOD)), "refuse", judge=judge) as proxy:
        answer = await proxy.post()
    assert answer.content == sse(GOOD)


async def test_repeats_back_off_and_wait_as_long_as_the_platform_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def noted(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(cluster_judge, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": noted}))
    platform = Platform(*[(503, "no_verdict")] * 9)
    platform.retry_after = [b"1", b"Wed, 21 Oct 2026 07:28:00 GMT", b"3", b"-1"]
    async with judged_by(platform) as judge:
        await (await judge.open()).judge(GOOD[:1])
    assert pauses == [1.0, 0.4, 3.0, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]


async def test_an_error_that_stays_is_said_in_the_stream() -> None:
    platform = Platform((422, "algorithm_not_offered"))
    async with judged_by(platform) as judge, proxied(answering(sse(GOOD)), "refuse", judge=judge) as proxy:
        answer = await proxy.post()
    (error,) = parsed(answer.content)
    assert error["message"] == "Not validated: the cluster's platform answers 422: it is so."


async def test_a_cluster_that_is_not_there_gives_no_verdict_in_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster_judge.log.filters == [limit]
    monkeypatch.setattr(cluster_judge.log, "filters", [])
    judge = ClusterJudge("http://127.0.0.1:1")
    async with proxied(answering(sse(GOOD)), "refuse", judge=judge, verdict_seconds=0.3) as proxy:
        answer = await proxy.post()
    await judge.client.aclose()
    assert parsed(answer.content)[0]["message"] == "Not validated: no verdict within 0.3 s."
    said = "cannot reach the cluster's platform: All connection attempts failed. Retrying."
    assert said in caplog.messages


@pytest.mark.parametrize("mode", ["mark", "refuse"])
async def test_a_client_that_leaves_while_its_run_begins_ends_it(mode: str) -> None:
    platform = Platform()
    platform.begins.clear()
    left = asyncio.Event()

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(sse(GOOD[:1]))
        await request.left()
        left.set()

    async with (
        judged_by(platform) as judge,
        proxied(script, mode, judge=judge, verdict_seconds=PATIENCE, closing_seconds=PATIENCE) as proxy,
    ):
        posting = asyncio.create_task(proxy.post())
        await asyncio.wait_for(platform.asked_to_begin.wait(), PATIENCE)
        posting.cancel()
        await asyncio.wait_for(left.wait(), PATIENCE)
        platform.begins.set()
        await asyncio.wait_for(platform.ended.wait(), PATIENCE)
        assert (await proxy.report()).ended == "the client went away"
    assert [path for path, _ in platform.calls] == [RUNS, f"{RUNS}/7/end"]


async def test_a_run_that_begins_too_late_is_ended() -> None:
    platform = Platform()
    platform.begins.clear()
    async with (
        judged_by(platform) as judge,
        proxied(
            answering(sse(GOOD)), "refuse", judge=judge, verdict_seconds=0.2, closing_seconds=PATIENCE
        ) as proxy,
    ):
        answer = await proxy.post()
        platform.begins.set()
        await asyncio.wait_for(platform.ended.wait(), PATIENCE)
    assert parsed(answer.content)[0]["code"] == "NO_VERDICT"


async def test_an_event_that_no_member_judges_is_named_in_the_stream() -> None:
    large = event("CU", value="x" * EVENT_BYTES_MAX)
    platform = Platform()
    stream = answering(sse([*GOOD[:1], large, *GOOD[1:]]))
    async with judged_by(platform) as judge, proxied(stream, "refuse", judge=judge) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert parsed(answer.content)[-1]["message"] == "Not validated: event over 1 MiB."
    assert report.not_validated == "event over 1 MiB"
    assert large not in platform.texts


@pytest.mark.parametrize(
    ("mode", "passed"),
    [
        ("observe", ["RUN_STARTED", "TEXT_MESSAGE_CONTENT", "CUSTOM", "RUN_FINISHED"]),
        ("mark", ["RUN_STARTED", "!bad", "TEXT_MESSAGE_CONTENT", "!unjudged", "CUSTOM", "RUN_FINISHED"]),
        ("refuse", ["RUN_STARTED", "RUN_ERROR"]),
    ],
)
async def test_events_before_one_that_no_member_judges_get_their_verdicts(
    mode: str, passed: list[str]
) -> None:
    """Though they come in one piece."""
    large = event("CU", value="x" * EVENT_BYTES_MAX)
    agent = Response(sse([GOOD[0], event("TC:z"), large, GOOD[-1]]), media_type="text/event-stream")
    reports: list[Report] = []
    async with judged_by(Platform()) as judge:
        app = EventsMiddleware(agent, judge, mode=Mode(mode), report=reports.append)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://agent") as client:
            answer = await client.post("/")
    assert types(answer.content) == passed
    (report,) = reports
    assert (report.code, report.events, report.not_validated) == ("MESSAGE_NOT_OPEN", 2, "event over 1 MiB")


@pytest.mark.parametrize("mode", ["observe", "mark", "refuse"])
async def test_a_stream_waits_for_an_earlier_one_of_its_run(mode: str) -> None:
    """The client of that one may have gone and asked again."""
    platform = Platform()
    platform.busy = [(409, "run_is_live")] * 2
    async with (
        judged_by(platform) as judge,
        proxied(answering(sse(GOOD)), mode, judge=judge, verdict_seconds=PATIENCE) as proxy,
    ):
        await proxy.post()
        report = await proxy.report()
    assert (report.valid, report.violations, report.not_validated) == (True, (), None)
    assert platform.busy == []


async def test_what_a_call_waited_for_is_not_said_of_later_ones() -> None:
    platform = Platform()
    platform.busy = [(409, "run_is_live")] * 2
    async with judged_by(platform) as judge:
        judgement = await judge.open()
        assert len(await judgement.judge(GOOD[:2])) == 2
        assert judgement.waits_for == ""
        await judgement.close()


async def test_a_stream_beside_an_earlier_one_of_its_run_is_not_validated_and_says_so() -> None:
    platform = Platform()
    platform.later = (409, "run_is_live")
    async with (
        judged_by(platform) as judge,
        proxied(answering(sse(GOOD)), "mark", judge=judge, verdict_seconds=0.5) as proxy,
    ):
        answer = await proxy.post()
        report = await proxy.report()
    assert (report.valid, report.not_validated) == (None, "no verdict within 0.5 s: it is so")
    note = parsed(answer.content)[1]["value"]
    assert (note["valid"], note["not_validated"]) == (None, report.not_validated)


async def test_answers_about_other_events_are_no_verdicts() -> None:
    platform = Platform()
    platform.stream.index = 3
    async with judged_by(platform) as judge:
        judgement = await judge.open()
        with pytest.raises(NoVerdict, match="other events"):
            await judgement.judge(GOOD)
