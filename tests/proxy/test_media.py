"""Agents that compress, that lie about what they send, and that send no events: real sockets."""

from __future__ import annotations

import gzip
import logging
import zlib
from itertools import pairwise

import httpx
import pytest

from dtvn.log_limit import OneLineASecond, limit
from dtvn.proxy import middleware
from dtvn.proxy.holding import UNDECODED_BYTES_MAX
from dtvn.proxy.media import holds_events
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


async def test_a_json_list_said_to_be_a_stream_is_named() -> None:
    body = b"[" + b",".join(GOOD) + b"]"
    for mode in ("observe", "mark"):
        async with proxied(answering(body), mode) as proxy:
            assert (await proxy.post()).content == body
            said = "no events in the body: a JSON list, no stream of events"
            assert (await proxy.report()).not_validated == said
    async with proxied(answering(body), "refuse") as proxy:
        answer = await proxy.post()
    assert [each["code"] for each in parsed(answer.content)] == ["NOT_EVENTS"]


class Warned:
    """The proxy's warnings, under a limit with a clock of the test."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self.now = 0.0

    def lines(self) -> list[str]:
        return [each.getMessage() for each in self._caplog.records if each.levelno == logging.WARNING]


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Warned:
    warned = Warned(caplog)
    assert middleware.log.filters == [limit]
    monkeypatch.setattr(middleware.log, "filters", [OneLineASecond(lambda: warned.now)])
    return warned


UNCLEAR = [
    b"x\n" + sse(BAD),
    b"{}\n\n" + sse(BAD),
    b'x\ndata: {"a":{},\ndata: "type":"RUN_STARTED"}\n\n',
    b'{"rawEvent":{},"type":"RUN_STARTED"}\n',
    b"[" + b",".join(GOOD) + b"]",
    b'{"status": "ok"}',
    b"<html></html>",
    b"{",
    b"[1]",
    bytes(1000),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("body", "encoding"),
    [*((each, b"") for each in UNCLEAR), (UNCLEAR[0], b"gzip"), (b"\x0b\x02\x80", b"br")],
)
async def test_an_answer_that_does_not_begin_as_events_is_said_to_be_unjudged(
    mode: str, body: bytes, encoding: bytes, warned: Warned
) -> None:
    """Clients may find events in it; it passes whole."""
    sent = gzip.compress(body) if encoding == b"gzip" else body
    headers = [b"X-A: 1", *([b"Content-Encoding: " + encoding] if encoding else [])]
    async with proxied(answering(sent, b"application/json", *headers), mode) as proxy:
        async with proxy.stream() as answer:
            assert b"".join([piece async for piece in answer.aiter_raw()]) == sent
        assert proxy.reports.empty()
    assert (answer.headers["x-a"], answer.headers["dtvn-events"]) == ("1", "not_validated: media type")
    assert warned.lines() == ['POST "/agent": an answer of media type "application/json" passed unjudged.']


async def test_unjudged_answers_are_logged_once_a_second(warned: Warned) -> None:
    async with proxied(answering(b"{}", b"application/json"), "refuse") as proxy:
        for number, warned.now in enumerate([0.0, 0.1, 0.9, 1.5]):
            await proxy.post(f"/{number}")
    first, second = warned.lines()
    assert first.startswith('POST "/0"')
    assert second.startswith('POST "/3"')
    assert second.endswith("(2 more like it were left out)")


async def test_observe_says_media_type_before_it_sees_events() -> None:
    """Headers wait for nothing; the report tells what the body held."""
    async with proxied(answering(sse(GOOD), b"text/plain")) as proxy:
        answer = await proxy.post()
        assert (await proxy.report()).valid is True
    assert answer.headers["dtvn-events"] == "not_validated: media type"


async def test_a_page_that_shows_events_passes_whole() -> None:
    """No client of agents reads the answer to a GET as events unless it is said to be one."""
    page = b"<pre>\n" + sse(GOOD) + b"</pre>"
    async with (
        proxied(answering(page, b"text/html"), "refuse") as proxy,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        answer = await client.get(proxy.url)
    assert answer.content == page
    assert "dtvn-events" not in answer.headers


async def test_the_type_of_a_first_event_need_not_be_its_first_member() -> None:
    head = b'{"runId": "a\\"b", "threadId":"t","timestamp":-1.5e3 ,"type" : "RUN_STARTED"'
    assert holds_events(head) is True
    known = head.index(b"RUN") + 1
    assert {holds_events(head[:end]) for end in range(1, known)} == {None}
    for other in (b'{"a":1}', b'{"a":{"type":"RUN_STARTED"', b'{"a":"","type":"box"', b'{"type":"x","a":'):
        assert holds_events(other) is False, other


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
        answer = await proxy.post()
    assert answer.headers.get_list("dtvn-events") == ["not_validated: media type"]


async def test_protocol_0x_is_listed_once_and_valid() -> None:
    old = [b'{"type":"THINKING_START"}', b'{"type":"THINKING_END"}']
    async with proxied(answering(sse([GOOD[0], *old * 15, GOOD[-1]])), "mark") as proxy:
        answer = await proxy.post()
        report = await proxy.report()
    assert ([each.code for each in report.violations], report.omitted) == (["PROTOCOL_0X"], 29)
    assert (report.valid, answer.content.count(b'"valid":false')) == (True, 0)


async def test_an_error_of_the_agent_passes() -> None:
    script = answering(b"data: no\n\n", SSE, status=b"429 Too Many Requests")
    async with proxied(script, "refuse") as proxy:
        answer = await proxy.post()
    assert (answer.status_code, answer.content) == (429, b"data: no\n\n")
