"""`POST /api/v1/events/stream` in chunks: verdicts come while the client sends. On daphne, over a socket."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

from events.models import JudgedRun
from events.rest import live
from events.services import clients
from events.services.open_runs import OpenRun
from events.services.run_table import run_table
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.runs.served import Client, serving
from tests.runs.test_rest import BAD, GOOD
from tests.team_keys import store_key
from tests.waiting import PATIENCE, wait_until
from validators.models import Team
from validators.rest import keys
from validators.services import api_keys
from validators.web.body_limit import BODY_BYTES_MAX, CHUNKS_FREE, BoundedRequest
from validators.web.live_body import HELD_MAX, PIECE_BYTES, LiveBody

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

LONG = b'{"type":"RAW","event":"%b"}' % (b"x" * 64_000)
LONGS = 128
KEY = "dtvn_key_of_live_streams"
OTHER = "dtvn_another_key"
PATH = "/api/v1/events/stream"


@pytest.fixture
def port(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[int]:
    """Of a server that logs no error in any of these tests."""
    store_key(KEY, label="suite")
    with serving(monkeypatch) as port:
        yield port
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
    assert clients._present == {}


@pytest.fixture
def opened(port: int) -> Iterator[Callable[..., Client]]:
    """Begin streams, which end with the test."""
    made: list[Client] = []

    def begin(*arguments: Any, key: str = KEY, **named: Any) -> Client:
        made.append(Client(port, key, *arguments, **named))
        return made[-1]

    yield begin
    for each in made:
        each.leaves()


def ndjson(text: bytes) -> bytes:
    return text + b"\n"


def sse(text: bytes) -> bytes:
    return b"event: x\ndata: %b\n\n" % text


def begun(opened: Callable[..., Client], first: bytes = GOOD[0]) -> Client:
    """A stream with the verdict on its first event."""
    client = opened()
    client.sends(ndjson(first))
    assert client.head()[0] == 200
    assert client.line()["index"] == 0
    return client


@pytest.mark.parametrize(("form", "accept"), [(ndjson, "*/*"), (sse, "*/*"), (sse, "text/event-stream")])
def test_each_verdict_comes_before_the_next_event_is_sent(
    opened: Callable[..., Client], form: Callable[[bytes], bytes], accept: str
) -> None:
    client = opened(more=(f"Accept: {accept}",))
    end = b"\n\n" if accept == "text/event-stream" else b"\n"
    for index, text in enumerate(BAD):
        client.sends(form(text))
        if index == 0:
            status, headers = client.head()
            media = "text/event-stream" if end == b"\n\n" else "application/x-ndjson"
            assert (status, headers["content-type"], headers["connection"]) == (200, media, "close")
        told = client.line(end)
        assert (told["index"], told["accepted"], len(told["scope"])) == (index, index != 2, 64)
    client.ends()
    report = client.line(end)["report"]
    assert (report["valid"], report["events"], report["code"]) == (False, 5, "MESSAGE_NOT_OPEN")
    assert client.line(end) is None
    assert client.left() == b""
    row = JudgedRun.objects.get(pk=report["id"])
    assert (row.status, row.events, row.thread, row.run) == ("ended", 5, "t", "r")


def test_a_list_is_judged_at_its_end(opened: Callable[..., Client]) -> None:
    client = opened()
    client.sends(b"[" + b",".join(GOOD) + b"]")
    client.ends()
    assert client.head()[0] == 200
    assert client.rest()[-1]["report"]["events"] == 5


def test_a_recorded_stream_is_judged_as_it_is_read(opened: Callable[..., Client]) -> None:
    """A broken event behind good ones does not keep these from their verdicts; it did when the body was read
    whole, and held, before the first of them."""
    body = GOOD[0] + b"\n" + b"{" + b"x" * (1024 * 1024) + b"\n"
    client = opened(body=f"Content-Length: {len(body)}")
    client.says(body)
    assert client.head()[0] == 200
    told, error = list(iter(client.line, None))
    assert (told["index"], error["code"]) == (0, "bad_request")
    second = opened(body="Content-Length: 9")
    second.says(b"nonsense\n")
    assert second.head()[0] == 400


def test_recorded_streams_are_counted_with_live_ones(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CLIENTS_EACH", 1)
    begun(opened)
    body = b"\n".join(GOOD)
    second = opened(body=f"Content-Length: {len(body)}")
    second.says(body)
    assert second.head()[0] == 429


@pytest.mark.parametrize("body", ["Transfer-Encoding: chunked", "Content-Length: 1048580"])
def test_a_list_is_bounded_like_an_event(opened: Callable[..., Client], body: str) -> None:
    client, sent = opened(body=body), b"[" + b" " * (1024 * 1024 + 3)
    if body.startswith("Content"):
        client.says(sent)
    else:
        client.sends(sent)
    assert client.head()[0] == 400


def test_a_stream_is_read_as_it_is_judged(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sends eight megabytes before it reads a verdict; the server takes one of them."""
    bodies: list[LiveBody] = []
    begin, open_run, goes_on = BoundedRequest._begin_live, run_table.open, threading.Event()

    def noted(request: Any) -> None:
        begin(request)
        bodies.append(request.live)

    def slowly(*wanted: Any) -> OpenRun:
        assert goes_on.wait(PATIENCE)
        return open_run(*wanted)

    monkeypatch.setattr(BoundedRequest, "_begin_live", noted)
    monkeypatch.setattr(run_table, "open", slowly)
    client, texts = opened(), [GOOD[0], *[LONG] * LONGS]
    sending = threading.Thread(target=client.sends, args=[ndjson(each) for each in texts])
    sending.start()
    full = HELD_MAX - PIECE_BYTES
    wait_until(lambda: bodies and len(bodies[0]._held) >= full and bodies[0].full, what="the body is full")
    assert len(bodies[0]._held) <= HELD_MAX + PIECE_BYTES
    goes_on.set()
    assert client.head()[0] == 200
    indexes = [client.line()["index"] for _ in texts]
    assert indexes == [*range(len(texts))]
    sending.join(PATIENCE)
    client.ends()
    assert client.rest()[-1]["report"]["events"] == len(texts)


@pytest.mark.parametrize(
    ("target", "key", "scopes", "answer"),
    [
        (PATH, "", (), 401),
        (PATH, OTHER, ("operate",), 403),
        (f"{PATH}?algorithm=raft", KEY, (), 422),
        (f"{PATH}?recorded=perhaps", KEY, (), 400),
    ],
)
def test_a_refusal_waits_for_no_event(
    opened: Callable[..., Client], target: str, key: str, scopes: tuple[str, ...], answer: int
) -> None:
    if scopes:
        store_key(key, label="other", scopes=list(scopes))
    client = opened(target, key=key)
    status, content = client.refusal()
    assert (status, bool(content["error"])) == (answer, True)
    client.sends(ndjson(GOOD[0]))
    assert len(run_table) == 0
    begun(opened)


@pytest.mark.parametrize("body", [b"", b"\n\n", b"nonsense\n", b"[", b"x" * (1024 * 1024 + 9)])
def test_a_first_event_that_cannot_be_read_is_400(opened: Callable[..., Client], body: bytes) -> None:
    client = opened()
    client.sends(*([body] if body else []))
    if len(body) < 99:
        client.ends()
    status, content = client.refusal()
    assert (status, content["success"], content["code"]) == (400, False, "bad_request")


def test_a_run_that_is_written_already_is_409(opened: Callable[..., Client]) -> None:
    begun(opened)
    second = opened()
    second.sends(ndjson(GOOD[0]))
    assert second.refusal()[0] == 409


def test_a_later_error_is_the_last_line(opened: Callable[..., Client]) -> None:
    client = begun(opened)
    client.sends(b"{" + b"x" * (1024 * 1024) + b"\n")
    (told,) = client.rest()
    assert told == {"error": "events[1] must have at most 1048576 bytes", "code": "bad_request"}


def test_without_a_quorum_the_stream_ends_with_its_report(
    opened: Callable[..., Client], fake: FakeGateway
) -> None:
    client = begun(opened)
    fake.events.down = frozenset({0, 1})
    client.sends(ndjson(GOOD[1]))
    (told,) = client.rest()
    assert (told["report"]["events"], told["report"]["scope"]) == (2, "LOCAL_ONLY")


def test_silence_is_408_before_the_first_event_and_then_a_line(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = begun(opened)
    monkeypatch.setattr(live, "IDLE", 0.05)
    silent = opened()
    status, content = silent.refusal()
    assert (status, content["code"]) == (408, "too_slow")
    client.sends(ndjson(GOOD[1]))
    assert client.line()["index"] == 1
    assert [each["code"] for each in client.rest()] == ["too_slow"]


def test_neither_deadline_nor_idle_timer_of_requests_ends_a_live_one(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    channels: list[Any] = []
    begin = BoundedRequest._begin_live

    def noted(request: Any) -> None:
        channels.append(request.channel)
        begin(request)

    monkeypatch.setattr(BoundedRequest, "_begin_live", noted)
    client = begun(opened)
    (channel,) = channels
    assert (channel._late, channel.timeOut, channel.waits_for_client) == (None, None, False)
    client.sends(ndjson(GOOD[1]))
    assert client.line()["index"] == 1
    assert channel._late is None


def test_clients_are_bounded_together_with_sockets(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CLIENTS_EACH", 1)
    monkeypatch.setattr(clients, "CLIENTS_MAX", 2)
    store_key(OTHER, label="other")
    first = begun(opened)
    status, content = opened().refusal()
    assert (status, content["code"]) == (429, "too_many_runs")
    socket = object()
    assert clients.enter(socket, "another")
    assert opened(key=OTHER).refusal()[0] == 429
    clients.leave(socket)
    first.ends()
    assert len(first.rest()) == 1
    begun(opened, event("RS:r2", threadId="t"))


def test_a_revoked_key_ends_the_stream(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = begun(opened)
    monkeypatch.setattr(clients, "ACCESS_INTERVAL", 0.0)
    client.sends(ndjson(GOOD[1]))
    assert client.line()["index"] == 1
    key = api_keys.find_api_key(KEY)
    assert key is not None
    api_keys.revoke_api_key(key)
    client.sends(ndjson(GOOD[2]))
    assert [each["code"] for each in client.rest()] == ["unauthorized"]


@pytest.mark.parametrize("changed", [{"rights": ["operate"]}, {"events": ["fest"]}])
def test_a_key_that_may_no_longer_judge_ends_the_stream(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    client = begun(opened)
    monkeypatch.setattr(clients, "ACCESS_INTERVAL", 0.0)
    Team.objects.update(all_events="events" not in changed, **changed)
    keys.forget()  # a process learns of a change by itself within seconds
    client.sends(ndjson(GOOD[1]))
    assert [each["code"] for each in client.rest()] == ["not_permitted"]


def test_a_user_who_loses_the_role_ends_the_stream(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    user = User.objects.create_superuser("someone")
    browser = Browser()
    browser.force_login(user)
    token = "x" * 32
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    named = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
    cookies = f"Cookie: {named}"
    assert opened(key="", more=(cookies,)).refusal()[0] == 403
    client = opened(key="", more=(cookies, f"X-CSRFToken: {token}"))
    monkeypatch.setattr(clients, "ACCESS_INTERVAL", 0.0)
    client.sends(ndjson(GOOD[0]))
    assert client.head()[0] == 200
    assert client.line()["index"] == 0
    User.objects.update(is_superuser=False)
    client.sends(ndjson(GOOD[1]))
    assert [each["code"] for each in client.rest()] == ["unauthorized"]


def test_the_run_of_a_client_that_leaves_is_ended(opened: Callable[..., Client]) -> None:
    client = begun(opened)
    (run,) = run_table._runs.values()
    client.leaves()
    wait_until(lambda: run.ending is not None and run.ending.done(), what="the run is ended")
    run_table.sweep()
    row = JudgedRun.objects.get(pk=run.id)
    assert (row.status, row.events, len(run_table)) == ("ended", 1, 0)


def test_the_run_of_a_client_that_leaves_while_it_is_opened_is_ended(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left = threading.Event(), threading.Event()
    open_run = run_table.open

    def slowly(*wanted: Any) -> OpenRun:
        begun.set()
        assert left.wait(PATIENCE)
        return open_run(*wanted)

    monkeypatch.setattr(run_table, "open", slowly)
    client = opened()
    client.sends(ndjson(GOOD[0]))
    assert begun.wait(PATIENCE)
    client.leaves()
    wait_until(lambda: not clients._present, what="the client is not counted")
    left.set()
    runs = run_table._runs.values
    wait_until(lambda: any(run.ending and run.ending.done() for run in runs()), what="the run is ended")
    run_table.sweep()
    assert len(run_table) == 0


def test_a_body_that_is_too_long_is_413_or_the_last_line(
    opened: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedRequest, "_length_max", 1_000)
    client = opened()
    client.sends(b"{" + b" " * 2_000)
    said = f"The body is larger than {BODY_BYTES_MAX} bytes."
    assert client.refusal() == (413, {"success": False, "error": said, "code": "too_large"})
    client = begun(opened)
    client.sends(ndjson(GOOD[1]), b" " * 2_000)
    assert client.line()["index"] == 1
    assert client.rest() == [{"error": said, "code": "too_large"}]


def test_chunks_of_one_byte_end_the_stream(opened: Callable[..., Client]) -> None:
    client = begun(opened)
    client.sends(*[b" "] * 2 * CHUNKS_FREE)
    (told,) = client.rest()
    assert (told["code"], "16 bytes" in told["error"]) == ("bad_request", True)


def test_a_malformed_chunk_ends_the_stream_with_one_answer(opened: Callable[..., Client]) -> None:
    client = begun(opened)
    client.says(b"no number\r\n")
    assert client.rest() == [{"error": "The request is malformed.", "code": "bad_request"}]


def test_a_header_that_daphne_refuses_gets_one_answer(opened: Callable[..., Client]) -> None:
    client = opened(more=("X: \x0b", "Expect: 100-continue"))
    assert client.head()[0] == 400
    assert b"HTTP/1.1" not in client.left()
    begun(opened)


@pytest.mark.parametrize(
    ("method", "path", "version", "answer"),
    [
        ("POST", f"{PATH}?recorded=false", "HTTP/1.0", 200),
        ("POST", f"{PATH}/", "HTTP/1.1", 404),
        ("GET", PATH, "HTTP/1.1", 405),
        ("PUT", PATH, "HTTP/1.1", 405),
        ("HEAD", PATH, "HTTP/1.1", 405),
    ],
)
def test_any_other_request_in_chunks_is_answered_at_its_end(
    opened: Callable[..., Client], method: str, path: str, version: str, answer: int
) -> None:
    client = opened(path, method=method, version=version)
    client.sends(*map(ndjson, GOOD))
    client.ends()
    assert client.head()[0] == answer
