"""Agents that compress, that lie about what they send, and that send no events: real sockets."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from itertools import pairwise

import httpx
import pytest

from dtvn.proxy.findings import Findings
from dtvn.proxy.holding import UNDECODED_BYTES_MAX
from dtvn.proxy.media import STEP_BYTES, Inflated, holds_events
from dtvn.proxy.passages import HIDDEN, Watched
from tests.proxy.support import (
    BAD,
    GOOD,
    SSE,
    Request,
    answering,
    parsed,
    proxied,
    sse,
    types,
)
from tests.waiting import PATIENCE

pytestmark = pytest.mark.asyncio
MODES = ("observe", "mark", "refuse")


async def test_the_agent_is_asked_for_no_compression() -> None:
    async with proxied(answering(sse(GOOD))) as proxy:
        await proxy.post(headers={"Accept-Encoding": "gzip, br"})
    assert proxy.agent.requests[0].headers[b"accept-encoding"] == b"identity"


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (b"gzip", gzip.compress(sse(BAD))),
        (b"gzip", gzip.compress(sse(BAD[:2])) + gzip.compress(sse(BAD[2:]))),
        (b"deflate", zlib.compress(sse(BAD))),
        (b"deflate", deflated(sse(BAD))),
    ],
    ids=["gzip", "two gzip members", "zlib", "raw deflate"],
)
async def test_an_agent_that_compresses_all_the_same_is_judged(name: bytes, packed: bytes) -> None:
    script = answering(packed, SSE, b"Content-Encoding: " + name)
    async with proxied(script) as proxy:
        async with proxy.stream() as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
            assert answer.headers["content-encoding"].encode() == name
        report = await proxy.report()
    assert raw == packed
    assert (report.valid, report.code) == (False, "MESSAGE_NOT_OPEN")
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
    assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]
    assert "content-encoding" not in answer.headers


async def test_bytes_that_are_not_gzip_are_not_judged() -> None:
    script = answering(sse(GOOD), SSE, b"Content-Encoding: gzip")
    for mode in ("observe", "mark"):
        async with proxied(script, mode) as proxy, proxy.stream() as answer:
            assert b"".join([piece async for piece in answer.aiter_raw()]) == sse(GOOD), mode
            report = await proxy.report()
        assert report.valid is None
        assert (report.not_validated or "").startswith("content encoding gzip")
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert parsed(answer.content)[0]["code"] == "UPSTREAM_BROKE_OFF"
    assert report.valid is None


@pytest.mark.parametrize("cuts", [[], [1], [1_000, 2_000]])
@pytest.mark.parametrize("packed", [False, True])
async def test_mark_passes_a_body_without_events_whole(packed: bool, cuts: list[int]) -> None:
    """A JSON list, compressed, or plain but said to be compressed."""
    body = b"[" + b",\n".join([GOOD[0]] * 3_000) + b"]"
    sent = gzip.compress(body, 0) if packed else body

    async def script(request: Request) -> None:
        await request.body()
        await request.start(SSE, b"Content-Encoding: gzip")
        for start, end in pairwise([0, *cuts, len(sent)]):
            await request.piece(sent[start:end])
        await request.finish()

    async with proxied(script, "mark") as proxy, proxy.stream() as answer:
        assert b"".join([piece async for piece in answer.aiter_raw()]) == body


async def test_compressed_bytes_of_which_nothing_is_decoded_are_bounded() -> None:
    """A gzip header whose file name does not end."""
    body = b"\x1f\x8b\x08\x08" + b"a" * (UNDECODED_BYTES_MAX + 1)
    async with proxied(answering(body, SSE, b"Content-Encoding: gzip"), "refuse") as proxy:
        answer = await proxy.post()
    assert parsed(answer.content)[0]["code"] == "UPSTREAM_BROKE_OFF"
    async with proxied(answering(body, SSE, b"Content-Encoding: gzip"), "mark") as proxy:
        async with proxy.stream() as answer:
            assert b"".join([piece async for piece in answer.aiter_raw()]) == body
        report = await proxy.report()
    assert report.not_validated == f"content encoding gzip: nothing in {UNDECODED_BYTES_MAX} bytes"


async def test_a_passed_body_that_breaks_off_gets_no_event_of_the_proxy() -> None:
    body = gzip.compress(b"<p>\n" * 20_000)[:-9]
    script = answering(body, SSE, b"Content-Encoding: gzip")
    async with proxied(script, "refuse", refuse_unjudged=False) as proxy:
        with pytest.raises(httpx.RemoteProtocolError):
            await proxy.post()


PACKED = gzip.compress(sse(GOOD))


@pytest.mark.parametrize("body", [PACKED[:-9], PACKED[:-8] + bytes(8)], ids=["ends early", "wrong sum"])
async def test_compressed_events_that_break_within_break_the_clients_answer(body: bytes) -> None:
    """The agent's answer is complete; the client gets another one, and must not take that for complete."""

    async def script(request: Request) -> None:
        await request.body()
        await request.start(SSE, b"Content-Encoding: gzip")
        await request.piece(body[:-16])
        await request.piece(body[-16:])
        await request.finish()

    async with proxied(script, "mark") as proxy:
        with pytest.raises(httpx.RemoteProtocolError):
            await proxy.post()
        report = await proxy.report()
    assert report.ended.startswith("content encoding gzip: ")
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
    assert parsed(answer.content)[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
    async with proxied(script, "observe") as proxy, proxy.stream() as answer:
        assert b"".join([piece async for piece in answer.aiter_raw()]) == body
        assert (await proxy.report()).not_validated.startswith("content encoding gzip: ")


async def test_an_encoding_that_cannot_be_read_is_said() -> None:
    script = answering(b"\x0b\x02\x80", SSE, b"Content-Encoding: br")
    async with proxied(script, "mark") as proxy, proxy.stream() as answer:
        assert b"".join([piece async for piece in answer.aiter_raw()]) == b"\x0b\x02\x80"
        assert answer.headers["dtvn-events"] == "not_validated: content encoding br"
        report = await proxy.report()
    assert report.not_validated == "content encoding br"
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
    assert answer.headers["content-type"] == "text/event-stream"
    assert parsed(answer.content)[0]["code"] == "NO_VERDICT"
    async with proxied(script, "refuse", refuse_unjudged=False) as proxy, proxy.stream() as answer:
        assert b"".join([piece async for piece in answer.aiter_raw()]) == b"\x0b\x02\x80"


@pytest.mark.parametrize("mode", MODES)
async def test_protobuf_passes_without_judgement(mode: str) -> None:
    kind, body = b"application/vnd.ag-ui.event+proto", bytes(range(256))
    async with proxied(answering(body, kind), mode) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == body
    assert answer.headers["dtvn-events"] == "not_validated: media type"
    assert (report.valid, report.not_validated) == (None, "media type")


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain", b"application/octet-stream"])
@pytest.mark.parametrize("form", ["sse", "ndjson"])
async def test_events_that_are_not_said_to_be_events_are_judged(kind: bytes, form: str) -> None:
    body = sse(BAD) if form == "sse" else b"".join(each + b"\n" for each in BAD)
    async with proxied(answering(body, kind)) as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert answer.content == body
    assert (report.events, report.code) == (6, "MESSAGE_NOT_OPEN")
    async with proxied(answering(body, kind), "refuse") as proxy:
        answer = await proxy.post()
    assert types(answer.content) == ["RUN_STARTED", "TEXT_MESSAGE_START", "RUN_ERROR"]


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
async def test_a_json_list_of_events_does_not_pass_unsaid(kind: bytes) -> None:
    body = b"[" + b",".join(GOOD) + b"]"
    for mode in ("observe", "mark"):
        async with proxied(answering(body, kind), mode) as proxy:
            assert (await proxy.post()).content == body
            assert (await proxy.report()).not_validated == HIDDEN_LIST
    async with proxied(answering(body, kind), "refuse") as proxy:
        answer = await proxy.post()
    assert [each["code"] for each in parsed(answer.content)] == ["NOT_EVENTS"]


HIDDEN_LIST = "no events in the body: a JSON list, no stream of events"
PREFIXES = [b"x\n", b"x" * 5_000 + b"\r\n", b"\n" * 5_000, b"{}\n\n", b"[1]\r", b'{"type":"box"}\n']


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_events_behind_other_lines_do_not_pass_unsaid(prefix: bytes, packed: bool) -> None:
    """Clients of server-sent events skip lines that are none."""
    body, encoding = prefix + sse(BAD), [b"Content-Encoding: gzip"] if packed else []
    sent = gzip.compress(body) if packed else body

    async def script(request: Request) -> None:
        await request.body()
        await request.start(b"text/plain", *encoding)
        for place in range(0, len(sent), 7):
            await request.piece(sent[place : place + 7])
        await request.finish()

    for mode in ("observe", "mark"):
        async with proxied(script, mode) as proxy:
            assert (await proxy.post()).content == body
            assert (await proxy.report()).not_validated == "events behind other lines"
    async with proxied(script, "refuse") as proxy:
        async with proxy.stream() as answer:
            with pytest.raises(httpx.RemoteProtocolError):
                assert b"RUN_FINISHED" not in b"".join([piece async for piece in answer.aiter_bytes()])
        report = await proxy.report()
    assert (report.ended, report.not_validated) == ("refused", "events behind other lines")
    async with proxied(script, "refuse", refuse_unjudged=False) as proxy:
        assert (await proxy.post()).content == body


async def test_a_page_that_shows_events_passes_whole() -> None:
    """No client of agents reads the answer to a GET as events unless it is said to be one."""
    page = b"<pre>\n" + sse(GOOD) + b"</pre>"
    async with (
        proxied(answering(page, b"text/html"), "refuse") as proxy,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        assert (await client.get(proxy.url)).content == page


async def test_looking_for_hidden_events_lets_other_streams_go_on() -> None:
    """A few bytes that stand for many: the client has them before anything is looked for in them, and
    other tasks of the loop take turns with the look."""
    body = gzip.compress(b"\ndata:" * 1_000_000 + b"\n" + sse(GOOD))
    findings, turns = Findings("POST", "/"), itertools.count()
    known_when_sent = []

    async def send(_message: object) -> None:
        known_when_sent.append(findings.not_validated)

    async def other() -> None:
        while findings.not_validated is None:
            next(turns)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await Watched(send, findings, Inflated("gzip"), refuse=False).body(body)
    await task
    assert known_when_sent == [None]
    assert findings.not_validated == HIDDEN
    assert next(turns) >= 6_000_000 // STEP_BYTES


async def test_the_type_of_a_first_event_need_not_be_its_first_member() -> None:
    head = b'{"runId": "a\\"b", "threadId":"t","timestamp":-1.5e3 ,"type" : "RUN_STARTED"'
    assert holds_events(head) is True
    known = head.index(b"RUN") + 1
    assert {holds_events(head[:end]) for end in range(1, known)} == {None}
    for other in (b'{"a":1}', b'{"a":{"type":"RUN_STARTED"', b'{"a":"","type":"box"', b'{"type":"x","a":'):
        assert holds_events(other) is False, other


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("body", [b'{"status": "ok"}', b"<html></html>", b"", b"{", b"[1]", bytes(1000)])
async def test_other_answers_pass_untouched(mode: str, body: bytes) -> None:
    async with proxied(answering(body, b"application/json", b"X-A: 1"), mode) as proxy:
        answer = await proxy.post()
        assert proxy.reports.empty()
    assert (answer.content, answer.headers["x-a"]) == (body, "1")
    assert "dtvn-events" not in answer.headers


@pytest.mark.parametrize("body", [b"<html>\n</html>\n", b"[{}]", bytes(range(1, 256))])
async def test_a_body_without_events_is_named(body: bytes) -> None:
    for mode in ("observe", "mark"):
        async with proxied(answering(body), mode) as proxy:
            assert (await proxy.post()).content == body
            report = await proxy.report()
        assert report.valid is None
        assert (report.not_validated or "").startswith("no events in the body")
    async with proxied(answering(body), "refuse") as proxy:
        answer = await proxy.post()
    assert [each["code"] for each in parsed(answer.content)] == ["NOT_EVENTS"]
    async with proxied(answering(body), "refuse", refuse_unjudged=False) as proxy:
        assert (await proxy.post()).content == body


async def test_only_the_proxy_says_what_it_did() -> None:
    script = answering(b"{}", b"application/json", b"Dtvn-Events: refuse")
    async with proxied(script, "refuse") as proxy:
        assert "dtvn-events" not in (await proxy.post()).headers


async def test_protocol_0x_is_marked_and_listed_once() -> None:
    old = [b'{"type":"THINKING_START"}', b'{"type":"THINKING_END"}']
    async with proxied(answering(sse([GOOD[0], *old * 15, GOOD[-1]])), "mark") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert ([each.code for each in report.violations], report.omitted) == (["PROTOCOL_0X"], 29)
    assert answer.content.count(b"PROTOCOL_0X") == answer.content.count(b'"valid":false') + 1 == 3


async def test_an_error_of_the_agent_passes() -> None:
    script = answering(b"data: no\n\n", SSE, status=b"429 Too Many Requests")
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.content) == (429, b"data: no\n\n")
