"""Streams of protocol 0.x pass unchanged, judged as the official client converts them."""

from __future__ import annotations

import asyncio

from dtvn.proxy import LocalJudge, Mode, Report
from tests.events.advice.support import REPORTED
from tests.events.rules.samples import event
from tests.proxy.support import SSE, answering, proxied, sse

LINES = (REPORTED / "14-thinking-events-0x.ndjson").read_bytes().splitlines()
BODY = sse(LINES)


async def passed(body: bytes, judge: LocalJudge, mode: Mode) -> tuple[bytes, Report]:
    async with proxied(answering(body, SSE), mode, judge=judge) as proxy:
        answer = await proxy.post()
        return answer.content, await proxy.report()


def test_thinking_passes_unchanged_and_is_told_of_once() -> None:
    answer, report = asyncio.run(passed(BODY, LocalJudge(), Mode.REFUSE))
    assert (answer, report.valid, report.events) == (BODY, True, 10)
    assert [(each.code, each.index, each.severity) for each in report.violations] == [
        ("PROTOCOL_0X", 1, "warning")
    ]


def test_what_is_wrong_after_the_conversion_is_refused() -> None:
    body = sse([event("RS"), b'{"type":"THINKING_TEXT_MESSAGE_CONTENT","delta":"x"}', event("RF")])
    _, report = asyncio.run(passed(body, LocalJudge(), Mode.OBSERVE))
    assert (report.valid, report.code) == (False, "REASONING_MESSAGE_NOT_OPEN")
