"""Agents that die and stall, clients that leave or are slow, large events: real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from dtvn.cli import events_proxy
from dtvn.proxy import Forward
from tests.events.rules.samples import event
from tests.proxy.support import (
    GOOD,
    Agent,
    Request,
    Script,
    answering,
    listening,
    parsed,
    proxied,
    served,
    sse,
    types,
)
from tests.waiting import PATIENCE

pytestmark = pytest.mark.asyncio
MODES = ("observe", "mark", "refuse")


async def hangs_up(request: Request) -> None:
    await request.body()


def dying(body: bytes) -> Script:
    """An agent whose connection ends within its answer."""

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(body)

    return script


@pytest.mark.parametrize("mode", MODES)
async def test_events_pass_before_the_next_is_written(mode: str) -> None:
    """The agent sends an event only after the client has the one before it."""
    seen = asyncio.Event()

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        for each in GOOD:
            await request.piece(sse([each]))
            await asyncio.wait_for(seen.wait(), PATIENCE)
            seen.clear()
        await request.finish()

    async with proxied(script, mode) as proxy, proxy.stream() as answer:
        body = b""
        async for piece in answer.aiter_raw():
            body += piece
            seen.set()
        report = await proxy.report()
    assert [each for each in types(body) if each != "!valid"] == [json.loads(each)["type"] for each in GOOD]
    assert report.valid


@pytest.mark.parametrize("mode", ["observe", "mark"])
async def test_an_agent_that_dies_breaks_the_clients_answer_too(mode: str) -> None:
    async with proxied(dying(sse(GOOD[:2]) + b"data: {"), mode) as proxy, proxy.stream() as answer:
        body = bytearray()

        async def read() -> None:
            async for piece in answer.aiter_raw():
                body.extend(piece)

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
        report = await proxy.report()
    assert body.startswith(sse(GOOD[:2]))
    assert (report.valid, report.events) == (True, 2)
    assert "peer closed" in report.ended


async def test_streams_that_broke_off_make_room_for_others() -> None:
    agent = Agent(dying(sse(GOOD[:2])))
    async with listening(agent) as address, served(Forward(address, streams=1)) as url:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            for _ in range(2):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.post(url, content=b"{}")
        agent.script = answering(sse(GOOD))
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            assert (await client.post(url, content=b"{}")).content == sse(GOOD)


async def test_refuse_ends_a_run_whose_agent_dies() -> None:
    async with proxied(dying(sse(GOOD[:2]) + b"data: {"), "refuse") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]
    assert parsed(answer.content)[-1]["code"] == "UPSTREAM_BROKE_OFF"
    assert "peer closed" in report.ended


async def test_a_run_whose_agent_stalls_ends_with_the_reason() -> None:
    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(sse(GOOD[:1]))
        await request.left()

    async with proxied(script, "refuse", silence=0.3) as proxy:
        answer = await proxy.post()
    assert parsed(answer.content)[-1]["message"] == "The agent's stream broke off: silent for 0.3 s."


async def test_observe_and_mark_wait_for_an_agent_that_thinks_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than `refuse` waits, unless `--silence-seconds` says how long."""
    monkeypatch.setattr(events_proxy, "SILENCE_SECONDS", 0.2)

    async def thinks(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(sse(GOOD[:1]))
        await silence_of(0.6)
        await request.piece(sse(GOOD[1:]))
        await request.finish()

    for mode in MODES:
        silence = events_proxy.silence({"mode": mode, "silence_seconds": None})
        async with proxied(thinks, mode, silence=silence) as proxy:
            answer = await proxy.post()
            report = await proxy.report()
        assert answer.content.startswith(sse(GOOD[:1]))
        if mode == "refuse":
            assert (types(answer.content)[-1], report.ended) == ("RUN_ERROR", "silent for 0.2 s")
        else:
            assert (types(answer.content)[-1], report.ended) == ("RUN_FINISHED", "complete")
    assert events_proxy.silence({"mode": "observe", "silence_seconds": 0.1}) == 0.1


async def test_an_agent_that_never_answers_is_a_gateway_timeout() -> None:
    async with proxied(Request.left, silence=0.3) as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.json()["code"]) == (504, "UPSTREAM_TIMEOUT")
    assert "silent for 0.3 s" in answer.json()["message"]


async def test_an_agent_that_cannot_be_reached_is_a_bad_gateway() -> None:
    async with proxied(Request.left, upstream="http://127.0.0.1:1") as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_UNREACHABLE")
    assert "http://127.0.0.1:1" in answer.json()["message"]


async def test_an_agent_that_hangs_up_is_a_bad_gateway() -> None:
    async with proxied(hangs_up) as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.json()["code"]) == (502, "UPSTREAM_BROKE_OFF")


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_leaves_ends_the_agents_work(mode: str) -> None:
    left = asyncio.Event()

    async def script(request: Request) -> None:
        await request.body()
        await request.start()
        await request.piece(sse(GOOD[:2]))
        await request.left()
        left.set()

    async with proxied(script, mode) as proxy:
        async with proxy.stream() as answer:
            await anext(answer.aiter_raw())
        await asyncio.wait_for(left.wait(), PATIENCE)
        report = await proxy.report()
    assert (report.ended, report.valid) == ("the client went away", True)


async def test_a_client_that_leaves_before_the_answer_ends_the_request() -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(request: Request) -> None:
        asked.set()
        await request.left()
        left.set()

    async with proxied(script) as proxy:
        posting = asyncio.create_task(proxy.post())
        await asyncio.wait_for(asked.wait(), PATIENCE)
        posting.cancel()
        await asyncio.wait_for(left.wait(), PATIENCE)


async def test_headers_of_one_connection_stop_at_the_proxy() -> None:
    script = answering(
        b"", b"text/plain", b"Keep-Alive: timeout=9", b"X-Hop: 1", b"Connection: x-hop", b"X-End: 2"
    )
    async with proxied(script) as proxy:
        answer = await proxy.post(
            "/a%2Fb/c?x=1&y=%20",
            headers={"Connection": "keep-alive, X-Own", "X-Own": "1", "TE": "trailers", "X-Kept": "2"},
        )
    request = proxy.agent.requests[0]
    assert request.line == b"POST /a%2Fb/c?x=1&y=%20 HTTP/1.1"
    assert request.headers[b"x-kept"] == b"2"
    assert {b"connection", b"x-own", b"te"}.isdisjoint(request.headers)
    assert request.headers[b"host"].startswith(b"127.0.0.1:")
    assert request.headers[b"x-forwarded-for"] == b"127.0.0.1"
    assert request.headers[b"x-forwarded-host"] == proxy.url.removeprefix("http://").encode()
    assert {"keep-alive", "x-hop"}.isdisjoint(answer.headers)
    assert answer.headers["x-end"] == "2"


@pytest.mark.parametrize("path", [b"/../private/./x", b'//x?q="<>%zz', b"/x#y?z#"])
async def test_a_path_passes_as_it_is_written(path: bytes) -> None:
    async with proxied(answering(sse(GOOD))) as proxy:
        assert b" 200 " in await proxy.raw(b"GET " + path + b" HTTP/1.1")
    assert proxy.agent.requests[0].line == b"GET " + path + b" HTTP/1.1"


@pytest.mark.parametrize("line", [b"CONNECT a:1", b"OPTIONS *", b"GET http://a/"])
async def test_a_request_without_a_path_is_refused(line: bytes) -> None:
    async with proxied(answering(sse(GOOD))) as proxy:
        assert b"NO_PATH" in await proxy.raw(line + b" HTTP/1.1")
    assert proxy.agent.requests == []


@pytest.mark.parametrize("mode", MODES)
async def test_an_event_of_20_mb_passes(mode: str) -> None:
    big = event("TC:m", delta="x" * 20_000_000)
    body = sse([*GOOD[:2], big, *GOOD[3:]])
    async with proxied(answering(body), mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert [each for each in answer.content.split(b"\n\n") if b"dtvn.verdict" not in each] == body.split(
        b"\n\n"
    )
    assert (report.valid, report.events) == (True, 5)


@pytest.mark.parametrize("mode", ["mark", "refuse"])
async def test_an_event_over_the_limit_is_not_held(mode: str) -> None:
    big = b"data: " + event("TC:m", delta="x" * 40_000_000)
    body = sse(GOOD[:2]) + big + b"\n\n" + sse(GOOD[3:])
    async with proxied(answering(body), mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert report.code == "EVENT_TOO_LARGE"
    assert [(each.index, each.code) for each in report.violations] == [(2, "EVENT_TOO_LARGE")]
    if mode == "mark":
        assert big in answer.content
        assert b'"code":"EVENT_TOO_LARGE"' in answer.content
    else:
        assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]


async def test_a_request_body_passes_as_the_agent_takes_it() -> None:
    """Of an upload only what fits into the sockets' buffers goes on before the agent reads."""
    may_read, read = asyncio.Event(), []

    async def script(request: Request) -> None:
        await may_read.wait()
        read.append(await request.body())
        await request.start()
        await request.piece(sse(GOOD))
        await request.finish()

    sent = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(400):
            sent += 65536
            yield bytes(65536)

    async with proxied(script) as proxy:
        size = {"Content-Length": str(65536 * 400)}
        posting = asyncio.create_task(proxy.post(content=upload(), headers=size))
        await stands_still(lambda: sent)
        assert 0 < sent < 65536 * 350
        may_read.set()
        answer = await posting
    assert (answer.status_code, len(read[0])) == (200, 65536 * 400)


@pytest.mark.parametrize("mode", MODES)
async def test_a_slow_client_slows_the_agent(mode: str) -> None:
    sent = 0
    line = sse([event("CU", value="x" * 65536)])

    async def script(request: Request) -> None:
        nonlocal sent
        await request.body()
        await request.start()
        await request.piece(sse(GOOD[:1]))
        for _ in range(400):
            await request.piece(line)
            sent += 1
        await request.piece(sse(GOOD[-1:]))
        await request.finish()

    async with proxied(script, mode) as proxy, proxy.stream() as answer:
        pieces = answer.aiter_raw()
        body = bytearray(await anext(pieces))
        await stands_still(lambda: sent)
        assert 0 < sent < 350
        async for piece in pieces:
            body += piece
        report = await proxy.report()
    assert body.count(line) == 400
    assert (report.valid, report.events) == (True, 402)


async def stands_still(look: Callable[[], int]) -> None:
    """Until what `look` returns is above 0 and has not changed over a hundred looks."""
    before, same = 0, 0
    while same < 100:
        found = look()
        same = same + 1 if found == before > 0 else 0
        before = found
        await silence_of(0.01)


async def silence_of(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over
