"""Calls in order in one thread, and in another while that one waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from tests.waiting import PATIENCE
from validators.web import lane
from validators.web.lane import Lane, step_aside

THREADS = 4
CALLS = 50


class Gate:
    """A call that waits until `go` is set."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before = before
        self.entered = threading.Event()
        self.go = threading.Event()

    def wait(self) -> str:
        self.before()
        self.entered.set()
        self.go.wait(PATIENCE)
        return threading.current_thread().name


def name() -> str:
    return threading.current_thread().name


def test_prompt_calls_keep_their_order_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "STALLED", PATIENCE)
    made: list[int] = []

    async def play() -> set[str]:
        calls = Lane(THREADS, "read")

        def make(number: int) -> str:
            made.append(number)
            return name()

        return set(await asyncio.gather(*(calls.run(make, number) for number in range(CALLS))))

    assert asyncio.run(play()) == {"read_0"}
    assert made == list(range(CALLS))


def test_another_thread_leads_from_when_one_steps_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "STALLED", PATIENCE)
    gate = Gate(step_aside)

    async def play() -> tuple[str, str]:
        calls = Lane(THREADS, "read")
        waiting = calls.run(gate.wait)
        other = await asyncio.wait_for(calls.run(name), PATIENCE / 2)
        gate.go.set()
        assert await calls.run(name) == other
        return await waiting, other

    assert asyncio.run(play()) == ("read_0", "read_1")


def test_another_thread_takes_over_from_one_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "STALLED", 0.001)
    gate = Gate()

    async def play() -> set[str]:
        calls = Lane(THREADS, "read")
        waiting = calls.run(gate.wait)
        other = await asyncio.wait_for(calls.run(name), PATIENCE / 2)
        gate.go.set()
        return {await waiting, other}

    assert len(asyncio.run(play())) == 2


def test_each_call_sees_its_callers_context_and_leaves_nothing_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane, "STALLED", PATIENCE)
    who: ContextVar[str] = ContextVar("who", default="nobody")

    def answer(becomes: str) -> str:
        found = who.get()
        who.set(becomes)
        return found

    async def request(calls: Lane, caller: str) -> str:
        who.set(caller)
        return str(await calls.run(answer, "somebody else"))

    async def play() -> list[str]:
        calls = Lane(1, "read")
        first = await calls.run(answer, "ada")
        return [first, *await asyncio.gather(request(calls, "bob"), request(calls, "cyd"))]

    assert asyncio.run(play()) == ["nobody", "bob", "cyd"]


def test_the_loop_is_woken_once_for_calls_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "STALLED", PATIENCE)
    gate, woken = Gate(), []

    async def play() -> None:
        calls, loop = Lane(THREADS, "read"), asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call: woken.append(1) or wake(*call)  # type: ignore[assignment]
        made = [calls.run(gate.wait), *(calls.run(time.sleep, 0.005) for _ in range(3))]
        gate.go.set()
        await asyncio.gather(*made)

    asyncio.run(play())
    assert len(woken) == 1


@pytest.mark.parametrize(
    ("stalled", "before"), [(PATIENCE, step_aside), (0.001, lambda: None)], ids=["steps aside", "stalls"]
)
def test_a_result_does_not_wait_for_the_next_call(
    stalled: float, before: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "STALLED", stalled)
    first, behind = Gate(), Gate(before)

    async def play() -> list[str]:
        calls = Lane(1, "read")
        made = [calls.run(gate.wait) for gate in (first, behind)]
        first.go.set()
        ended = await asyncio.wait_for(made[0], PATIENCE / 2)
        behind.go.set()
        return [ended, await made[1]]

    assert asyncio.run(play()) == ["read_0", "read_0"]


def test_a_result_that_comes_during_the_look_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "STALLED", 0.001)
    first, behind = Gate(), Gate()

    async def play() -> bool:
        calls = Lane(1, "read")
        made = [calls.run(gate.wait) for gate in (first, behind)]
        deliver = calls._results.deliver

        def deliver_and_lose_the_lock() -> None:
            deliver()
            first.go.set()
            behind.entered.wait(PATIENCE)

        calls._results.deliver = deliver_and_lose_the_lock  # type: ignore[method-assign]
        await asyncio.wait((made[0],), timeout=PATIENCE / 2)
        waits = not made[0].done()
        behind.go.set()
        await asyncio.gather(*made)
        return waits

    assert not asyncio.run(play())


def test_all_threads_wait_before_a_call_does() -> None:
    gates = [Gate(step_aside) for _ in range(THREADS)]

    async def play() -> set[str]:
        calls = Lane(THREADS, "read")
        waiting = [calls.run(gate.wait) for gate in gates]
        for gate in gates:
            assert await asyncio.to_thread(gate.entered.wait, PATIENCE)
        late = calls.run(name)
        assert not (await asyncio.wait({late}, timeout=0.02))[0]
        gates[0].go.set()
        assert await late == "read_0"
        for gate in gates:
            gate.go.set()
        again = [calls.run(name) for _ in range(CALLS)]
        return {*await asyncio.gather(*waiting), *await asyncio.gather(*again)}

    assert asyncio.run(play()) <= {f"read_{number}" for number in range(THREADS)}


def test_an_error_ends_its_call_and_no_other() -> None:
    async def play() -> tuple[list[object], str]:
        calls = Lane(1, "read")

        def fail(error: BaseException) -> None:
            raise error

        errors = (calls.run(fail, ValueError("no")), calls.run(fail, SystemExit(1)))
        dropped = calls.run(name)
        dropped.cancel()
        after = await calls.run(name)
        return [type(each.exception()) for each in errors], after

    assert asyncio.run(play()) == ([ValueError, SystemExit], "read_0")
