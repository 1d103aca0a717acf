"""`dtvn replay`: names, turns, pace, other origins and hosts, and what it says."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dtvn.cli import main, replay
from dtvn.replay import Answered, Replay, application, runs_of
from tests.events.rules.samples import event
from tests.proxy.support import parsed, served
from tests.proxy.test_command import PROGRAM, line_of, port_in, running
from tests.waiting import PATIENCE

RUN = [event("RS", threadId="old"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF", threadId="old")]
ASKED = {"threadId": "t", "runId": "r", "messages": []}


@asynccontextmanager
async def replayed(
    texts: list[bytes], **options: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, list[Answered]]]:
    told: list[Answered] = []
    app = Replay(runs_of(texts), report=told.append, **options)
    async with (
        served(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client,
    ):
        yield client, told


async def events_of(client: httpx.AsyncClient, **more: Any) -> list[dict[str, Any]]:
    answer = await client.post("/agent", json=ASKED | more)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    return parsed(answer.content)


@pytest.mark.asyncio
async def test_thread_and_run_are_those_of_the_request() -> None:
    async with replayed(RUN) as (client, told):
        found = await events_of(client)
    assert [(each["threadId"], each["runId"]) for each in (found[0], found[-1])] == [("t", "r")] * 2
    assert found[1:-1] == [json.loads(text) for text in RUN[1:-1]]
    assert told == [Answered(1, "t", "r", 5, True)]


@pytest.mark.asyncio
async def test_as_recorded_changes_nothing_however_often() -> None:
    async with replayed(RUN, as_recorded=True) as (client, _):
        for _ in range(2):
            answer = await client.post("/", json=ASKED)
            assert answer.content == b"".join(b"data: %b\n\n" % text for text in RUN)


@pytest.mark.asyncio
async def test_the_input_that_a_run_repeats_is_that_of_the_request() -> None:
    old = {"threadId": "old", "runId": "old", "messages": [{"id": "u", "role": "user", "content": "Old"}]}
    start = json.dumps({"type": "RUN_STARTED", "threadId": "old", "runId": "old", "input": old}).encode()
    async with replayed([start, *RUN[1:]]) as (client, _):
        assert (await events_of(client, messages=[]))[0]["input"] == ASKED


@pytest.mark.asyncio
async def test_a_run_that_a_thread_gets_again_has_new_ids_throughout() -> None:
    interrupt = {"id": "i", "reason": "tool_call", "toolCallId": "c"}
    given = [
        {"type": "RUN_STARTED", "threadId": "old", "runId": "old"},
        {"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "f", "parentMessageId": "m"},
        {"type": "TOOL_CALL_END", "toolCallId": "c"},
        {"type": "TOOL_CALL_RESULT", "messageId": "x", "toolCallId": "c", "content": "1"},
        {"type": "MESSAGES_SNAPSHOT", "messages": [
            {"id": "u", "role": "user", "content": "Hi"},
            {"id": "m", "role": "assistant", "toolCalls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"id": "x", "role": "tool", "toolCallId": "c", "content": "1"}]},
        {"type": "RUN_FINISHED", "threadId": "old", "runId": "old",
         "outcome": {"type": "interrupt", "interrupts": [interrupt]}},
    ]  # fmt: skip
    texts = [json.dumps(each).encode() for each in given]
    async with replayed(texts) as (client, _):
        first, second = await events_of(client), await events_of(client)
        other = await events_of(client, threadId="another")
    assert first[1:5] == given[1:5]
    changed = json.dumps(given)
    for name in ("c", "m", "x", "i"):
        changed = changed.replace(f'"{name}"', f'"{name}-2"')
    assert second == json.loads(changed.replace('"old"', '"t"', 1).replace('"old"', '"r"', 1)
                                .replace('"old"', '"t"', 1).replace('"old"', '"r"', 1))  # fmt: skip
    assert other[1:5] == given[1:5]


@pytest.mark.asyncio
async def test_runs_come_in_turn_within_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    second = [event("RS:r2"), event("RE"), event("CU")]
    async with replayed([*RUN, *second]) as (client, told):
        for thread in ("a", "b", "a", "a", "b"):
            await events_of(client, threadId=thread)
        monkeypatch.setattr(application, "THREADS", 1)
        for thread in ("c", "a"):  # forgotten
            await events_of(client, threadId=thread)
    assert [(each.thread, each.number, each.events) for each in told] == [
        ("a", 1, 5),
        ("b", 1, 5),
        ("a", 2, 3),
        ("a", 1, 5),
        ("b", 2, 3),
        ("c", 1, 5),
        ("a", 1, 5),
    ]


@pytest.mark.asyncio
async def test_the_thread_that_asked_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "THREADS", 2)
    async with replayed([*RUN, event("RS:r2"), event("RE")]) as (client, told):
        for thread in ("a", "b", "a", "c", "b", "c"):
            await events_of(client, threadId=thread)
    assert [(each.thread, each.number) for each in told] == [
        *(("a", 1), ("b", 1), ("a", 2)),
        *(("c", 1), ("b", 1), ("c", 2)),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"runId":"r","messages":[]}', "`threadId`"),
        (b'{"threadId":"t","runId":7,"messages":[]}', "$.runId"),
    ],
)
async def test_what_is_no_input_is_refused_and_named(body: bytes, said: str) -> None:
    async with replayed(RUN) as (client, told):
        answer = await client.post("/", content=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert "Send threadId, runId and messages." in answer.json()["error"]
    assert [each.number for each in told] == [0]


@pytest.mark.asyncio
async def test_other_methods_and_large_bodies_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "BODY_BYTES_MAX", 100)
    async with replayed(RUN) as (client, _):
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
        assert (await client.post("/", content=b" " * 101)).status_code == 413


@pytest.mark.asyncio
async def test_only_pages_of_named_origins_may_ask() -> None:
    front, other = "http://localhost:3000", "http://localhost:3001"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with replayed(RUN, origins=[front]) as (client, told):
        allowed = await client.options("/", headers=asked | {"Origin": front})
        refused = await client.options("/", headers=asked | {"Origin": other})
        answers = [await client.post("/", json=ASKED, headers={"Origin": each}) for each in (front, other)]
        wrong = await client.post("/", json={}, headers={"Origin": front})
    given = {
        name: allowed.headers.get(f"access-control-allow-{name}") for name in ("origin", "methods", "headers")
    }
    assert (allowed.status_code, given) == (
        204,
        {"origin": front, "methods": "POST", "headers": "content-type"},
    )
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    assert told[0].said.endswith(f"--allow-origin {other}")
    assert [each.status_code for each in answers] == [200, 403]
    origins = [each.headers.get("access-control-allow-origin") for each in (*answers, wrong)]
    assert origins == [front, None, front]
    async with replayed(RUN, origins=["*"]) as (client, _):
        answer = await client.options("/", headers=asked | {"Origin": other})
    assert answer.headers["access-control-allow-origin"] == other


@pytest.mark.asyncio
async def test_a_page_that_asks_without_permission_takes_no_turn() -> None:
    """Browsers send a POST of plain text for any page, and only then look for its permission."""
    async with replayed([*RUN, event("RS:r2"), event("RE")]) as (client, told):
        own = str(client.base_url).removesuffix("/")
        for page in ("http://evil.example", "null", own + "0"):
            headers = {"Origin": page, "Content-Type": "text/plain"}
            answer = await client.post("/", content=json.dumps(ASKED), headers=headers)
            assert answer.status_code == 403
            wanted = "'*'" if page == "null" else page
            said = f"Pages of origin {page} may not ask: start it with --allow-origin {wanted}"
            assert answer.json()["error"] == said
        assert (await client.post("/", json=ASKED, headers={"Origin": own})).status_code == 200
    assert [each.number for each in told] == [0, 0, 0, 1]


def test_of_long_names_a_digest_is_kept() -> None:
    app = Replay(runs_of([*RUN, event("RS:r2"), event("RE")]))
    long = "x" * 1_000_000
    turns = [app._turn(name) for name in (long, long + "y", long, "\ud800")]
    assert turns == [(0, 1), (0, 1), (1, 1), (0, 1)]
    assert {len(name) for name in app._given} == {16}


@pytest.mark.asyncio
async def test_so_many_requests_are_answered_at_once() -> None:
    told: asyncio.Queue[Answered] = asyncio.Queue()
    app = Replay(runs_of(timed(0, 30_000)), streams=1, report=told.put_nowait)
    async with served(app) as url, httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        async with client.stream("POST", url, json=ASKED) as answer:
            await anext(answer.aiter_bytes())
            busy = await client.post(url, json=ASKED)
            assert busy.status_code == 503
            assert busy.json()["error"].startswith("At most 1 are answered at once: try again later")
            assert (await told.get()).number == 0
        assert (await asyncio.wait_for(told.get(), PATIENCE)).whole is False
        async with client.stream("POST", url, json=ASKED) as answer:
            assert answer.status_code == 200


def timed(*times: Any) -> list[bytes]:
    names = {"threadId": "t", "runId": "r"}
    events = [
        {"type": "RUN_STARTED"} | names,
        *[{"type": "CUSTOM", "name": "n", "value": 1}] * (len(times) - 1),
    ]
    return [json.dumps(each | {"timestamp": at}).encode() for each, at in zip(events, times, strict=True)]


@pytest.mark.asyncio
async def test_events_come_as_far_apart_as_they_were_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    wait = asyncio.wait

    async def noted(futures: Any, **options: Any) -> Any:
        waits.append(options["timeout"])
        return await wait(futures, timeout=0)

    monkeypatch.setattr(application.asyncio, "wait", noted)
    texts = timed(1000, 1500, None, 1400, "soon", 9_000_000, True)
    for speed, expected in ((1.0, [0.5, 60.0]), (10.0, [0.05, 60.0]), (None, [])):
        waits.clear()
        replaying, sent = Replay(runs_of(texts), speed=speed), []
        await replaying._answer(ASKED, [], asyncio.Future, lambda message, sent=sent: kept(sent, message))
        assert waits == expected
        assert len(sent) == 9


async def kept(sent: list[Any], message: Any) -> None:
    sent.append(message)


@pytest.mark.asyncio
async def test_a_client_that_leaves_ends_its_answer() -> None:
    told: asyncio.Queue[Answered] = asyncio.Queue()
    app = Replay(runs_of(timed(0, 1, 30_000)), report=told.put_nowait)
    begun = time.monotonic()
    async with served(app) as url, httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        async with client.stream("POST", url, json=ASKED) as answer:
            await anext(answer.aiter_bytes())
        found = await asyncio.wait_for(told.get(), PATIENCE)
    assert (found.whole, found.events < 3) == (False, True)
    assert time.monotonic() - begun < 30


@pytest.mark.asyncio
async def test_events_of_several_lines_and_what_is_no_event_are_sent_as_they_are() -> None:
    texts = [
        b'{"type":"RUN_STARTED",\r\n"threadId":"t","runId":"r"}',
        b"no JSON",
        b'{"type":\n"RUN_ERROR","message":""}',
    ]
    async with replayed(texts, as_recorded=True) as (client, _):
        answer = await client.post("/", json=ASKED)
    assert answer.content == b"".join(
        b"data: %b\n\n" % t.replace(b"\r", b" ").replace(b"\n", b" ") for t in texts
    )
    async with replayed(texts) as (client, told):
        assert (await client.post("/", json=ASKED)).content.count(b"data: ") == 3
        again = await client.post("/", json=ASKED)
    assert b"data: no JSON\n\n" in again.content
    assert [each.whole for each in told] == [True, True]


# --- The command ---------------------------------------------------------------------------------


@contextmanager
def command(folder: Path, *words: str, texts: list[bytes] = RUN) -> Iterator[tuple[Any, str]]:
    (folder / "run.ndjson").write_bytes(b"\n".join(texts))
    with running([*PROGRAM, "replay", "run.ndjson", "--port", "0", *words], folder) as process:
        line = line_of(process)
        yield process, f"http://127.0.0.1:{port_in(line)}"


def test_the_command_says_what_it_answers_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    with command(tmp_path) as (process, url), httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        assert client.post(url, json=ASKED).status_code == 200
        assert line_of(process) == 'thread "t", run "r": the run, 5 events.\n'
        assert client.post(url, json={}).status_code == 422
        assert line_of(process).startswith("refused: The body is no RunAgentInput: ")
        stranger = client.post(url, json=ASKED, headers={"Host": "evil.example"})
        assert stranger.status_code == 421
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""


def test_one_json_line_for_each_request(tmp_path: Path) -> None:
    with command(tmp_path, "--json") as (process, url):
        httpx.post(url, json=ASKED, trust_env=False, timeout=PATIENCE)
        assert json.loads(line_of(process)) == {
            "number": 1, "thread": "t", "run": "r", "events": 5, "whole": True, "said": ""
        }  # fmt: skip


def test_a_recording_that_breaks_a_rule_is_sent_and_said(tmp_path: Path) -> None:
    bad = [RUN[0], event("TC:z"), RUN[-1]]
    with command(tmp_path, "--speed", "3", texts=bad) as (process, url):
        answer = httpx.post(url, json=ASKED, trust_env=False, timeout=PATIENCE)
        assert answer.content.count(b"data: ") == 3
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.stderr.read() == (
            "dtvn replay: event 1 breaks a rule, MESSAGE_NOT_OPEN; it is sent all the same\n"
            "dtvn replay: --speed changes nothing, for the events have no timestamps\n"
        )


@pytest.mark.parametrize(
    ("file", "more", "said"),
    [
        ("nowhere", {}, "cannot read nowhere: No such file"),
        ("empty", {}, "empty holds no event"),
        ("text", {}, "cannot read text: neither server-sent events"),
        ("run", {"port": 70_000}, "not from 0 to 65535"),
        ("run", {"host": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ("run", {"allow_host": ["http://x"]}, "is no name of a host"),
    ],
)
def test_what_cannot_be_served_ends_it_with_2_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, more: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"empty": b"", "text": b"x" * 70_000, "run": b"\n".join(RUN)}.items():
        (tmp_path / name).write_bytes(content)
    options = {"file": file, "port": 0, "host": "127.0.0.1", "allow_host": [], "allow_origin": []}
    options |= {"as_recorded": False, "speed": 1.0, "no_delay": False, "json": False, "streams": 1} | more
    out, err = io.StringIO(), io.StringIO()
    assert replay.run(options, io.BytesIO(), out, err) == replay.NOT_STARTED
    assert (out.getvalue(), err.getvalue().count("\n")) == ("", 1)
    assert said in err.getvalue()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--allow-origin", "localhost:3000"], "is no origin, such as http://localhost:3000"),
        (["--speed", "0"], "a number above 0"),
        (["--streams", "0"], "a number from 1"),
        (["--speed", "fast"], "a number above 0"),
        (["--speed", "2", "--no-delay"], "not allowed with"),
    ],
)
def test_wrong_options_are_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.run(["replay", "run.ndjson", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
