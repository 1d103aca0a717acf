"""Which owed run is tried next, how soon, and who is told (R16)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from dtvn.gateway.events_face import RunIsLive
from dtvn.gateway.owed_queue import OwedQueue
from dtvn.gateway.owed_settler import LOOK, Settler
from tests.gateway.test_owed_queue import owed, settled, taken


class Turns:
    """A settler whose thread does not run: each turn is made by the test. `outcomes` are those of its tries,
    the last one for ever."""

    def __init__(self, *outcomes: bool | Exception, runs: int = 2) -> None:
        self.queue = OwedQueue(None)
        self.ids = [self.queue.add(owed(f"run-{number}")) for number in range(runs)]
        self.outcomes = list(outcomes)
        self.tries: list[int] = []
        self.told: list[int] = []
        self.quorum = True
        told: Callable[[], None] = lambda: self.told.append(len(self.tries))  # noqa: E731
        self.settler = Settler(self.queue, lambda: self.quorum, self.settle, told)
        self.turn = self.settler.turn

    def settle(self, number: int) -> bool:
        self.tries.append(number)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        if outcome:
            self.queue.settle(settled(taken(self.queue, number)))
        return outcome


@pytest.mark.parametrize("outcome", [False, RunIsLive(), OSError("the disk is full")])
def test_a_run_that_gets_no_verdict_keeps_no_other_waiting(outcome: bool | Exception) -> None:
    turns = Turns(outcome, True)
    first, second = turns.ids
    for _ in range(4):
        turns.turn()
    assert turns.tries == [first, second, first]
    assert turns.told == [3], "once all are settled"
    assert turns.turn() is None, "nothing is owed"


def test_a_run_that_is_waited_for_comes_first_and_its_caller_is_told() -> None:
    turns = Turns(True, False, runs=3)
    turns.settler._stopping = True  # no thread
    asked = turns.settler.hurry(turns.ids[2])
    assert isinstance(asked.exception(0), TimeoutError)
    turns.settler._asked.clear()
    turns.settler._stopping = False
    turns.settler._thread = object()  # type: ignore[assignment]
    asked, other = (turns.settler.hurry(number) for number in turns.ids[:0:-1])
    turns.quorum = False
    assert turns.turn() == LOOK
    assert str(asked.exception(0)) == "too few members are reached to decide"
    turns.quorum = True
    turns.turn()
    assert other.result(0) is True
    assert turns.tries == [turns.ids[1]]


def test_a_caller_is_told_when_nobody_can_say_whether_a_quorum_is_reached() -> None:
    turns = Turns(True)
    turns.settler._thread = threading.Thread()
    waits = turns.settler.hurry(turns.ids[1])

    def unknown() -> bool:
        raise RuntimeError("the gateway is gone")

    turns.settler._reaches_quorum = unknown
    assert turns.turn() == LOOK
    assert str(waits.exception(0)) == "the gateway is gone"
    assert turns.tries == []


def test_a_store_that_cannot_be_read_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    turns = Turns(True, runs=2)
    turns.settler._thread = threading.Thread()
    first, second = [turns.settler.hurry(number) for number in turns.ids]

    def gone() -> NoReturn:
        raise RuntimeError("the database is gone")

    with monkeypatch.context() as away:
        away.setattr(turns.queue, "has_waiting", gone)
        turns.turn()
    assert first.result(0) is True, "what was decided is told before anything else is done"
    assert "cannot be looked for now" in caplog.text
    turns.turn()
    assert second.result(0) is True


def test_a_settler_that_is_stopped_tells_who_waits_and_who_comes() -> None:
    turns = Turns(True)
    turns.settler._thread = threading.Thread()
    waits = turns.settler.hurry(turns.ids[0])
    turns.settler.stop()
    assert not turns.settler.ended.done(), "its thread is at a run still"
    turns.settler._work()
    late = turns.settler.hurry(turns.ids[1])
    for future in (waits, late):
        assert str(future.exception(0)) == "the validator was stopped"
    assert turns.tries == []
    alone = Turns(True)
    alone.settler.stop()
    assert alone.settler.ended.done(), "there was no thread"
    alone.settler.wake()
    assert alone.settler._thread is None
