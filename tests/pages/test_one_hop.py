"""The web process's handler: one thread hop a request, in threads that stay."""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
from django.core import signals
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.waiting import PATIENCE
from validators.web import lane, one_hop
from validators.web.fair_threads import FairThreads
from validators.web.one_hop import READS, WRITES, WRITES_SPARE, HeldResponse, LaterResponse, OneHopHandler

pytestmark = pytest.mark.urls(__name__)

WRITES_EACH = WRITES - WRITES_SPARE
REQUESTS = 20
entered = threading.Semaphore(0)
quorum = threading.Event()
closed = threading.Event()
kept: contextvars.ContextVar[str] = contextvars.ContextVar("kept", default="nothing")


@csrf_exempt
def admit(request: HttpRequest) -> HttpResponse:
    entered.release()
    quorum.wait(PATIENCE)
    return HttpResponse(request.body)


@csrf_exempt
def name_thread(request: HttpRequest) -> HttpResponse:
    before = kept.get()
    kept.set("a request's own")
    return HttpResponse(f"{threading.current_thread().name} {before}")


def hold(request: HttpRequest) -> HeldResponse:
    entered.release()
    response = HeldResponse(b"no", status=503)
    response.held_for = PATIENCE
    return response


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a view failed")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            yield b"two"
            await asyncio.Event().wait()
        finally:
            closed.set()

    return StreamingHttpResponse(parts())


class Later(LaterResponse):
    """One whose end takes a moment."""

    async def begin(self) -> None:
        """See LaterResponse."""

    async def end(self) -> None:
        """See LaterResponse."""
        await asyncio.to_thread(quorum.wait, 0.01)
        closed.set()


@csrf_exempt
def wait_and_stream(request: HttpRequest) -> StreamingHttpResponse:
    class Parts:
        def __aiter__(self) -> Parts:
            return self

        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            return b"never"

        def close(self) -> None:
            closed.set()

    entered.release()
    quorum.wait(PATIENCE)
    return StreamingHttpResponse(Parts())


def later(request: HttpRequest) -> Later:
    return Later(iter((b"one", b"two")))


def download(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"x" * 100_000), filename="x.bin")


urlpatterns = [
    path("admit", admit),
    path("api/admit", admit),
    path("thread", name_thread),
    path("api/thread", name_thread),
    path("hold", hold),
    path("fail", fail),
    path("stream", stream),
    path("later", later),
    path("wait", wait_and_stream),
    path("download", download),
]


class Request:
    """One ASGI request and what was sent as its answer; `leave` is the client's disconnect."""

    def __init__(self, method: str, target: str, body: bytes = b"", key: bytes = b"") -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": f"/{target}",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"x-api-key", key)],
        }
        self.sent: list[Mapping[str, Any]] = []
        self.streaming = asyncio.Event()
        """Set once the head and two parts were sent."""
        self.watched = asyncio.Event()
        """Set once the handler watches whether the client leaves."""
        self.receives = 0
        self._left = asyncio.Event()
        self._received = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive(self) -> Mapping[str, Any]:
        self.receives += 1
        if self._received:
            return self._received.pop()
        self.watched.set()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message)
        if len(self.sent) > 2:
            self.streaming.set()

    def leave(self) -> None:
        self._left.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    async def answered(self, handler: OneHopHandler) -> Request:
        await asyncio.wait_for(handler(self.scope, self.receive, self.send), PATIENCE)
        return self


@pytest.fixture
def handler() -> Iterator[OneHopHandler]:
    quorum.clear()
    closed.clear()
    while entered.acquire(blocking=False):
        pass
    yield OneHopHandler()
    quorum.set()


@pytest.mark.parametrize(
    "named", [(b"x-api-key", b"one"), (b"authorization", b"Basic %d")], ids=["key", "no key"]
)
def test_a_caller_whose_writes_wait_leaves_threads_to_others(
    handler: OneHopHandler, named: tuple[bytes, bytes]
) -> None:
    async def play() -> list[bytes]:
        writes = [Request("POST", "api/admit", b"%d" % number) for number in range(WRITES + 1)]
        for number, write in enumerate(writes):
            write.scope["headers"].append((named[0], named[1].replace(b"%d", b"%d" % number)))
        waiting = [asyncio.ensure_future(write.answered(handler)) for write in writes]
        for _ in range(WRITES_EACH):
            assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
        for other in (Request("POST", "api/thread", key=b"two"), Request("POST", "thread")):
            assert (await other.answered(handler)).status == 200
        assert not any(write.done() for write in waiting)
        quorum.set()
        return [write.content for write in await asyncio.gather(*waiting)]

    assert asyncio.run(play()) == [b"%d" % number for number in range(WRITES + 1)]


def test_a_write_whose_client_left_before_its_turn_is_not_made(handler: OneHopHandler) -> None:
    async def play() -> list[int]:
        writes = [Request("POST", "admit") for _ in range(WRITES)]
        waiting = [asyncio.ensure_future(write.answered(handler)) for write in writes]
        for _ in range(WRITES_EACH):
            assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
        for write in writes[WRITES_EACH:]:
            write.leave()
        await asyncio.gather(*waiting[WRITES_EACH:])
        quorum.set()
        await asyncio.gather(*waiting)
        assert (await Request("POST", "thread").answered(handler)).status == 200
        return [len(write.sent) for write in writes]

    assert asyncio.run(play()) == [2] * WRITES_EACH + [0] * WRITES_SPARE
    assert not entered.acquire(blocking=False)


def test_a_call_whose_caller_left_during_it_frees_its_thread() -> None:
    """The calls that wait behind it are made."""

    async def calls() -> str:
        made, going_on = FairThreads(1, 0, "test"), threading.Event()
        left = made.run("one", going_on.wait, PATIENCE)
        waiting = [made.run(caller, str, caller) for caller in ("one", "other")]
        left.cancel()
        going_on.set()
        return ",".join(await asyncio.wait_for(asyncio.gather(*waiting), 10))

    assert asyncio.run(calls()) == "one,other"


def test_a_prompt_answer_takes_one_step_one_receive_and_no_task(
    handler: OneHopHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_hop, "PROMPT", PATIENCE)

    async def play() -> tuple[Request, int, int]:
        made: list[asyncio.Task[Any]] = []
        steps: list[Any] = []

        def make(loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> asyncio.Task[Any]:
            made.append(asyncio.Task(work, loop=loop, **named))
            return made[-1]

        request = Request("GET", "thread")
        loop = asyncio.get_running_loop()
        call_soon = loop.call_soon
        loop.call_soon = lambda *call, **named: steps.append(call) or call_soon(*call, **named)  # type: ignore
        loop.set_task_factory(make)
        await handler(request.scope, request.receive, request.send)
        return request, len(made), len(steps)

    request, tasks, steps = asyncio.run(play())
    assert (request.status, request.receives, tasks, steps) == (200, 1, 0, 1)


def test_held_answers_take_no_thread_and_end_when_their_clients_leave(handler: OneHopHandler) -> None:
    async def play() -> list[Request]:
        held = [Request("GET", "hold") for _ in range(READS + 1)]
        waiting = [asyncio.ensure_future(each.answered(handler)) for each in held]
        for _ in held:
            assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
        assert (await Request("GET", "thread").answered(handler)).status == 200
        assert not any(each.done() for each in waiting)
        for each in held:
            each.leave()
        return await asyncio.gather(*waiting)

    assert not any(each.sent for each in asyncio.run(play()))


def test_a_thread_stays_and_keeps_nothing_of_a_request(handler: OneHopHandler) -> None:
    async def play() -> list[bytes]:
        return [(await Request("GET", "thread").answered(handler)).content for _ in range(REQUESTS)]

    answers = [content.decode().split(maxsplit=1) for content in asyncio.run(play())]
    assert {left for _, left in answers} == {"nothing"}
    assert len({thread for thread, _ in answers}) < REQUESTS // 2


def test_signals_come_once_in_the_thread_of_the_view(handler: OneHopHandler) -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda **_: seen.append(f"{name} {threading.current_thread().name}")

    started, finished = note("started"), note("finished")
    signals.request_started.connect(started)
    signals.request_finished.connect(finished)
    try:
        asyncio.run(Request("GET", "thread").answered(handler))
    finally:
        signals.request_started.disconnect(started)
        signals.request_finished.disconnect(finished)
    assert seen == ["started read_0", "finished read_0"]


def test_a_view_that_fails_is_500(handler: OneHopHandler, settings: Any) -> None:
    settings.DEBUG = False
    assert asyncio.run(Request("GET", "fail").answered(handler)).status == 500


def test_a_file_is_sent_whole_in_parts(handler: OneHopHandler) -> None:
    answer = asyncio.run(Request("GET", "download").answered(handler))
    assert (answer.status, answer.content) == (200, b"x" * 100_000)


def test_a_stream_ends_when_its_client_leaves(handler: OneHopHandler) -> None:
    async def play() -> Request:
        request = Request("GET", "stream")
        streaming = asyncio.ensure_future(request.answered(handler))
        await asyncio.wait_for(request.streaming.wait(), PATIENCE)
        request.leave()
        return await streaming

    assert asyncio.run(play()).status == 200
    assert closed.is_set()


def test_a_stream_that_was_sent_is_not_cut_off_at_its_end(handler: OneHopHandler) -> None:
    class Sent(Request):
        """As daphne does, it ends what is received with the last part that is sent."""

        async def send(self, message: Mapping[str, Any]) -> None:
            await super().send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.leave()

    assert asyncio.run(Sent("GET", "later").answered(handler)).content == b"onetwo"
    assert closed.is_set()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_whose_client_leaves_as_it_is_made_is_closed_once(
    handler: OneHopHandler, monkeypatch: pytest.MonkeyPatch, method: str, turns: int
) -> None:
    """`turns`: how many turns of the event loop before the view's result."""
    monkeypatch.setattr(lane, "STALLED", PATIENCE)  # the result comes by call_soon_threadsafe alone
    finished: list[object] = []

    def finish(**_: Any) -> None:
        finished.append(None)

    async def play() -> None:
        request = Request(method, "wait")
        waiting = asyncio.ensure_future(request.answered(handler))
        assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
        await asyncio.wait_for(request.watched.wait(), PATIENCE)
        loop = asyncio.get_running_loop()
        threadsafe = loop.call_soon_threadsafe

        def after(turns: int, *call: Any) -> None:
            if turns:
                loop.call_soon(after, turns - 1, *call)
            else:
                call[0](*call[1:])

        def leave_first(*call: Any, **_: Any) -> asyncio.Handle:
            threadsafe(request.leave)
            return threadsafe(after, turns, *call)

        monkeypatch.setattr(loop, "call_soon_threadsafe", leave_first)
        quorum.set()
        await waiting
        monkeypatch.setattr(loop, "call_soon_threadsafe", threadsafe)
        assert await asyncio.to_thread(closed.wait, PATIENCE)

    signals.request_finished.connect(finish)
    try:
        asyncio.run(play())
    finally:
        signals.request_finished.disconnect(finish)
    assert len(finished) == 1


async def left_while_it_waits(handler: OneHopHandler, target: str) -> Request:
    """A write whose client leaves while its view waits for the quorum."""
    request = Request("POST", target)
    waiting = asyncio.ensure_future(request.answered(handler))
    assert await asyncio.to_thread(entered.acquire, timeout=PATIENCE)
    request.leave()
    return await waiting


def test_a_client_that_leaves_a_waiting_write_frees_its_task(handler: OneHopHandler) -> None:
    assert asyncio.run(left_while_it_waits(handler, "admit")).sent == []


def test_a_stream_whose_client_left_before_it_was_made_is_closed(handler: OneHopHandler) -> None:
    async def play() -> Request:
        request = await left_while_it_waits(handler, "wait")
        quorum.set()
        assert await asyncio.to_thread(closed.wait, PATIENCE)
        return request

    assert asyncio.run(play()).sent == []
