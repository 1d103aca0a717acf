"""Runs that this process writes, while their rows cannot be written."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from dtvn.api.errors import ApiError
from dtvn.api.event_bodies import GivenEvents, RunBody
from dtvn.protocol.genesis import CAPABILITIES
from events.services.answered_here import AnsweredHere
from events.services.open_runs import IDLE, PIECES_WAITING_MAX, Judgement, OpenRun, Steps, waited
from events.services.run_table import outcome_of
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.runs.test_rest import GOOD
from tests.support.table import table
from tests.waiting import PATIENCE


@table("newer", [0, 3, PIECES_WAITING_MAX], count=3)
def test_of_more_pieces_than_may_wait_the_oldest_are_lost(newer: int) -> None:
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(), "tester")
    pieces: list[Any] = list(range(PIECES_WAITING_MAX + newer))
    run.pieces.extend(pieces[:PIECES_WAITING_MAX])
    taken, _ = run.waiting()
    run.pieces.extend(pieces[PIECES_WAITING_MAX:])
    run.changed = False
    run.put_back(taken, [])
    assert list(run.pieces) == pieces[-PIECES_WAITING_MAX:]
    assert run.changed, "the sweep writes it again"


def test_records_that_could_not_be_written_come_before_later_ones() -> None:
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(), "tester")
    records: list[Any] = list(range(5))
    run.records.extend(records[:3])
    taken = run.waiting()
    assert taken == ([], records[:3])
    run.records.extend(records[3:])
    run.put_back(*taken)
    assert list(run.records) == records


def test_a_run_is_idle_once_no_call_came_since_its_last_one_ended() -> None:
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(), "tester")
    run.touched -= IDLE + 1
    assert run.idle()
    call = run.judge(GivenEvents(tuple(GOOD[:1])))
    asked = next(call)
    assert not run.idle(), "it waits for the members"
    _finish(call, asked)
    assert not run.idle()


@pytest.mark.parametrize(("recorded", "code"), [(True, "outcome_unknown"), (False, "")])
def test_of_an_end_that_failed_the_outcome_of_the_record_is_unknown(recorded: bool, code: str) -> None:
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(recorded=recorded), "tester")
    assert outcome_of(run) == "", "it goes on"
    run.ending = Future()
    assert outcome_of(run) == "", "it ends"
    run.ending.set_exception(TimeoutError())
    assert outcome_of(run) == code


def _finish(steps: Steps, step: Future[Any]) -> Judgement:
    """The result of a call that waits for `step`."""
    try:
        while True:
            step = steps.send(step.result(PATIENCE))
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def test_a_call_waits_while_what_waited_is_judged() -> None:
    """And one that comes while another call is judged is refused."""
    fake = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")
    run = OpenRun(fake, RunBody(), "tester", AnsweredHere(1_000))
    fake.events.down = frozenset({2, 3})
    found = waited(run.judge(GivenEvents(tuple(GOOD[:2]))))
    run.answer_here(found)
    assert [event.text for event in run.here.waiting] == GOOD[:2]
    fake.events.down = frozenset()
    settling = run.settle()
    asked = next(settling)  # of the members
    call = run.judge(GivenEvents((GOOD[2],)))
    held = next(call)
    assert not held.done()
    _finish(settling, asked)
    assert held.done()
    assert _finish(call, held).verdicts[0].index == 2
    assert run.here.state == "settled"
    first, second = run.judge(GivenEvents((GOOD[3],))), run.judge(GivenEvents((GOOD[4],)))
    asked = next(first)
    with pytest.raises(ApiError, match="not answered yet"):
        next(second)
    _finish(first, asked)
