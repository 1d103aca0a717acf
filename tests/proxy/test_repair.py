"""`--repair`: streams that the official client 1.0 cannot split reach it with LF, without data: [DONE]."""

from __future__ import annotations

import asyncio
import itertools

import httpx
import pytest

from dtvn.proxy import EventsMiddleware, Forward, LocalJudge, Mode, Repair, Report
from dtvn.proxy.repair import LineRepair
from tests.events.advice.support import REPORTED
from tests.proxy.support import SSE, Agent, answering, listening, served
from tests.support.table import table
from tests.waiting import PATIENCE


async def asked(url: str) -> httpx.Response:
    """The answer to a request, decoded by nobody."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.post(url, content=b"{}")


GOOD = (REPORTED / "done.sse").read_bytes().replace(b"data: [DONE]\n\n", b"")
SAME: dict[str, tuple[bytes, bytes]] = {
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", b"data: a\n\ndata: b\n\n"),
    "CR": (b"data: a\r\rdata: b\r\r", b"data: a\n\ndata: b\n\n"),
    "LF": (b"data: a\n\ndata: b\n\n", b"data: a\n\ndata: b\n\n"),
    "mixed": (b"data: a\r\n\ndata: b\r\r\n", b"data: a\n\ndata: b\n\n"),
    "done": (b"data: a\n\ndata: [DONE]\n\n", b"data: a\n\n\n"),
    "done without a space, cut off": (b"data: a\n\ndata:[DONE]", b"data: a\n\n"),
    "done within a line": (b"data: x data: [DONE]\n\n", b"data: x data: [DONE]\n\n"),
    "longer than done": (b"data: [DONE], x\n\n", b"data: [DONE], x\n\n"),
    "cut off": (b"data: a\r\n\r\nda", b"data: a\n\nda"),
}


@table(("given", "repaired"), SAME.values(), ids=SAME, count=9)
def test_a_stream_is_repaired_wherever_it_is_cut(given: bytes, repaired: bytes) -> None:
    cuts = [*itertools.combinations(range(len(given) + 1), 2), (0, 0)]
    for first, second in cuts:
        lines = LineRepair()
        pieces = given[:first], given[first:second], given[second:]
        assert b"".join(map(lines.feed, pieces)) + lines.end() == repaired
    lines = LineRepair()
    assert b"".join(lines.feed(given[at : at + 1]) for at in range(len(given))) + lines.end() == repaired


def test_lines_pass_as_they_come() -> None:
    lines = LineRepair()
    assert lines.feed(b'data: {"type"') == b'data: {"type"'
    assert lines.feed(b': "X"}\r') == b': "X"}\n'
    assert lines.feed(b"\n\r") == b"\n"
    assert lines.feed(b"data: ") == b""
    assert lines.feed(b"{") == b"data: {"


@table("mode", [*Mode], count=3)
@table("name", ["crlf.sse", "cr.sse", "done.sse"], count=3)
def test_a_reported_stream_reaches_its_client_whole(mode: Mode, name: str) -> None:
    reports: list[Report] = []
    answer = asyncio.run(repaired((REPORTED / name).read_bytes(), mode, reports))
    assert b"\r" not in answer
    assert b"[DONE]" not in answer
    texts = [line for line in answer.split(b"\n") if line.startswith(b"data: ")]
    assert [line for line in texts if b"dtvn.verdict" not in line] == GOOD.split(b"\n\n")[:-1]
    assert [(each.valid, each.events) for each in reports] == [(True, 9)]


async def repaired(body: bytes, mode: Mode, reports: list[Report]) -> bytes:
    """What a client gets of a stream."""
    async with listening(Agent(answering(body, SSE, b"content-length: %d" % len(body)))) as address:
        proxy = EventsMiddleware(Repair(Forward(address)), LocalJudge(), mode=mode, report=reports.append)
        async with served(proxy) as url:
            return (await asked(url)).content


@pytest.mark.parametrize(("kind", "more"), [(b"text/plain", b"x-y: z"), (SSE, b"content-encoding: br")])
def test_what_is_compressed_or_no_events_passes_unchanged(kind: bytes, more: bytes) -> None:
    async def passed() -> bytes:
        async with (
            listening(Agent(answering(b"a\r\nb", kind, more))) as address,
            served(Repair(Forward(address))) as url,
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
            client.stream("POST", url, content=b"{}") as answer,
        ):
            return b"".join([piece async for piece in answer.aiter_raw()])

    assert asyncio.run(passed()) == b"a\r\nb"
