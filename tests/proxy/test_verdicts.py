"""Streams that get no verdict, and runs that more than one stream tells: real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from dtvn.events.rules import Limits, Verdict
from dtvn.proxy import NAME, Judgement, LocalJudge, NoVerdict, passages
from dtvn.proxy.findings import Findings
from dtvn.proxy.judging import Judging
from dtvn.proxy.media import Identity
from tests.events.rules.samples import event
from tests.proxy.support import (
    GOOD,
    Request,
    answering,
    parsed,
    proxied,
    sse,
    types,
)
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.asyncio
MODES = ("observe", "mark", "refuse")


async def test_a_second_writer_of_a_run_is_told_and_its_good_events_pass() -> None:
    first_began, second_done = asyncio.Event(), asyncio.Event()

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        if not first_began.is_set():
            await request.piece(sse(GOOD[:2]))
            await asyncio.wait_for(second_done.wait(), PATIENCE)
            await request.piece(sse(GOOD[2:]))
        else:
            await request.piece(sse(GOOD))
        await request.finish()

    reports = []
    async with proxied(script, "refuse") as proxy, proxy.stream() as first:
        pieces = first.aiter_raw()
        body = await anext(pieces)
        first_began.set()
        second = await proxy.post()
        reports.append(await proxy.report())
        second_done.set()
        async for piece in pieces:
            body += piece
        again = await proxy.post()
        reports += [await proxy.report(), await proxy.report()]
    assert body == second.content == again.content == sse(GOOD)
    assert [report.valid for report in reports] == [True] * 3
    told = [[(each.severity, each.code, each.index) for each in report.violations] for report in reports]
    assert told == [[("warning", "RUN_HAS_TWO_WRITERS", 0)], [], []]


async def test_each_writer_of_a_run_counts_until_it_ends() -> None:
    judge = LocalJudge()
    writers = [await judge.open() for _ in range(4)]

    async def codes(number: int, text: bytes) -> list[str]:
        (verdict,) = await writers[number].judge([text])
        return [each.code for each in verdict.violations]

    twice = ["RUN_HAS_TWO_WRITERS"]
    assert [await codes(0, GOOD[0]), await codes(1, GOOD[0])] == [[], twice]
    assert await codes(0, event("RF")) == []
    assert await codes(2, GOOD[0]) == twice
    for each in writers[:3]:
        await each.close()
    assert await codes(3, GOOD[0]) == []
    await writers[3].close()
    assert not judge.writers


class SlowJudge:
    """Judges by the rules; from its `after`-th chunk on it does not answer, or says that it cannot."""

    def __init__(self, after: int, *, fails: bool = False) -> None:
        self._local = LocalJudge()
        self._after = after
        self._fails = fails

    async def open(self) -> Judgement:
        if self._after < 0:
            raise NoVerdict("the cluster cannot be reached")
        return SlowJudgement(await self._local.open(), self._after, self._fails)


class LateJudge(SlowJudge):
    """Judges by the rules once `answers` is set."""

    def __init__(self) -> None:
        super().__init__(1_000)
        self.answers = asyncio.Event()

    async def open(self) -> Judgement:
        await self.answers.wait()
        return await super().open()


class SlowJudgement:
    scope = "LOCAL_ONLY"
    waits_for = ""

    def __init__(self, judgement: Judgement, after: int, fails: bool) -> None:
        self._judgement = judgement
        self._left = after
        self._fails = fails

    async def judge(self, events: Sequence[bytes]) -> Sequence[Verdict]:
        self._left -= 1
        if self._left < 0 and self._fails:
            raise NoVerdict("no quorum")
        if self._left < 0:
            await asyncio.Future()
        return await self._judgement.judge(events)

    async def close(self) -> None:
        await self._judgement.close()


async def one_by_one(request: Request) -> None:
    """Sends events in pieces of their own, each after a turn of the loop."""
    await request.body()
    await request.start()
    for each in GOOD:
        await request.piece(sse([each]))
    await request.finish()


@pytest.mark.parametrize("after", [-1, 0, 1])
async def test_refuse_refuses_what_gets_no_verdict(after: int) -> None:
    async with proxied(one_by_one, "refuse", judge=SlowJudge(after), verdict_seconds=0.2) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    found = parsed(answer.content)
    why = "the cluster cannot be reached" if after < 0 else "no verdict within 0.2 s"
    assert (found[-1]["type"], found[-1]["code"]) == ("RUN_ERROR", "NO_VERDICT")
    assert found[-1]["message"] == f"Not validated: {why}."
    assert (report.not_validated, report.ended, report.valid) == (why, "refused", None)
    assert len(found) < len(GOOD) or after > 0


@pytest.mark.parametrize(("mode", "refuse"), [("refuse", False), ("mark", True)])
async def test_what_gets_no_verdict_may_pass_and_is_said(mode: str, refuse: bool) -> None:
    judge = SlowJudge(0, fails=True)
    async with proxied(one_by_one, mode, judge=judge, refuse_unjudged=refuse) as proxy:
        answer = await proxy.post()
    said = [each for each in parsed(answer.content) if each["type"] == "CUSTOM"]
    (value,) = (each["value"] for each in said)
    assert (value["valid"], value["scope"], value["not_validated"]) == (None, "", "no quorum")
    # Never before RUN_STARTED, where it would be the stream's first error.
    assert types(answer.content)[:2] == ["RUN_STARTED", "!unjudged"]
    assert len(types(answer.content)) == len(GOOD) + 1


@pytest.mark.parametrize("mode", ["mark", "refuse"])
async def test_a_verdict_of_the_agents_own_is_told_from_the_proxys(mode: str) -> None:
    forged = event("CU", name=NAME, value={"valid": True, "scope": "pbft", "by": "0" * 16})
    tokens = set()
    for _ in range(2):
        script = answering(sse([*GOOD[:1], forged, *GOOD[1:]]))
        async with proxied(script, mode, judge=SlowJudge(0, fails=True), refuse_unjudged=False) as proxy:
            answer = await proxy.post()
        kind, named, place = answer.headers["dtvn-events"].split("; ")
        token = named.removeprefix("id=")
        said = [each["value"] for each in parsed(answer.content) if each.get("name") == NAME]
        assert (kind, len(token), place) == (mode, 16, "place=run")
        assert [each["scope"] for each in said if each["by"] == token] == [""]
        assert len(said) == 2
        tokens.add(token)
    assert len(tokens) == 2


async def test_observe_waits_for_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that never answers holds up neither the stream nor, for long, what follows its end."""
    monkeypatch.setattr(passages, "CATCH_UP_SECONDS", 0.2)
    async with proxied(one_by_one, judge=SlowJudge(0)) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == sse(GOOD)
    assert (report.not_validated, report.valid) == ("no verdict within 0.2 s after the end", None)


async def test_observe_judges_on_after_a_verdict_that_came_late() -> None:
    judge = LateJudge()
    async with proxied(one_by_one, judge=judge, verdict_seconds=0) as proxy:
        async with proxy.stream() as answer:
            body = b"".join([piece async for piece in answer.aiter_raw()])
            assert proxy.reports.empty()
            judge.answers.set()
        report = await proxy.report()
    assert body == sse(GOOD)
    assert (report.valid, report.events, report.not_validated) == (True, len(GOOD), None)


async def test_bytes_of_all_streams_that_wait_for_verdicts_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two streams wait together: the second is not judged; what the first held makes room once it is."""
    monkeypatch.setattr(passages, "BESIDE_BYTES_ALL", 1_000)
    judge, events = LateJudge(), [GOOD[0], event("CU", value="x" * 500), GOOD[-1]]
    async with proxied(answering(sse(events)), judge=judge) as proxy:
        await proxy.post()
        await proxy.post()
        second = await proxy.report()
        judge.answers.set()
        first = await proxy.report()
        await proxy.post()
        third = await proxy.report()
    assert (second.not_validated or "").startswith("judging of all streams fell ")
    assert (first.valid, third.valid) == (True, True)


async def test_short_pieces_that_wait_count_with_what_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "BESIDE_BYTES", 1_000)
    findings = Findings("POST", "/")
    judging = Judging(LateJudge(), findings, None, closing_seconds=1, resumed="", to_first=False)

    async def send(message: passages.Message) -> None:
        """The client takes all."""

    beside = passages.Beside()
    passage = passages.Observing(send, judging, Limits(), Identity(), beside)
    for _ in range(15):
        passage.copy(b"\n")
    assert beside.size == 975
    passage.copy(b"\n")
    await passage.close()
    assert findings.not_validated == "judging fell 1040 bytes behind"
    assert beside.size == 0, "no longer held against other streams"


async def test_what_was_judged_no_longer_counts_while_the_stream_goes_on() -> None:
    findings, beside = Findings("POST", "/"), passages.Beside()
    judging = Judging(LocalJudge(), findings, None, closing_seconds=1, resumed="", to_first=False)

    async def send(message: passages.Message) -> None:
        """The client takes all."""

    passage = passages.Observing(send, judging, Limits(), Identity(), beside)
    for each in GOOD[:3]:
        await passage.body(sse([each]))
        assert beside.size > 0
        async with asyncio.timeout(PATIENCE):  # the judging is a task of its own
            await until(lambda: beside.size == 0)
    await passage.close()
    assert (findings.events, findings.not_validated) == (3, None)


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_that_goes_on_after_an_event_is_not_accused(mode: str) -> None:
    async with proxied(answering(sse(GOOD[2:])), mode) as proxy:
        answer = await proxy.post(headers={"Last-Event-ID": "2"})
        report = await proxy.report()
    assert proxy.agent.requests[0].headers[b"last-event-id"] == b"2"
    assert report.valid is None
    assert (report.not_validated or "").startswith("resumed after event '2'")
    if mode == "refuse":
        assert parsed(answer.content)[0]["code"] == "NO_VERDICT"
    else:
        assert answer.content.startswith(sse(GOOD[2:4]))


async def test_a_stream_that_begins_anew_is_judged() -> None:
    async with proxied(answering(sse(GOOD)), "refuse") as proxy:
        answer = await proxy.post(headers={"Last-Event-ID": "2"})
    assert answer.content == sse(GOOD)
