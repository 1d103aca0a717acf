"""R14: operations are dated by log time, whatever this host's clock shows."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.gateway.calls import Queue, Result
from dtvn.gateway.log_clock import LogClock
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from tests.gateway.support import MILLISECOND, SECOND, START, Desk, operation

HOUR = 3_600 * SECOND
MICRO = 1_000


def undated(ticket: str = "T-1", nonce: bytes = b"") -> m.Operation:
    return msgspec.structs.replace(operation(ticket, nonce=nonce), valid_until=0)


def refuse(desk: Desk, frame: bytes, *members: int, at: int | None = None) -> None:
    """Members refuse a bundle as expired and tell their log time (microseconds), or this one."""
    for member in members:
        told = desk.members.log_time if at is None else at
        desk.receive(member, desk.members.busy(frame, "expired", timestamp=told))


def ends(desk: Desk, frame: bytes) -> set[int]:
    """`valid_until` of a bundle's operations, in whole seconds after the members' log time."""
    bundle, _request = desk.members.read(frame)
    return {(each.valid_until - desk.members.log_time) // 1_000_000 for each in bundle.operations}


@pytest.mark.parametrize("ahead", [-HOUR, HOUR, -300 * SECOND, 0])
def test_a_fresh_caller_whose_clock_is_wrong_admits_at_once(ahead: int) -> None:
    desk = Desk(session=False, ahead=ahead)
    call = desk.submit(undated())
    for _ in range(3):  # two to open the session, and the call
        for frame in desk.bundles():
            if max(ends(desk, frame)) < 0:
                refuse(desk, frame, 0, 1, 2)
            else:
                desk.answer(frame)
    assert desk.codes(call) == ("ok",)
    assert desk.elapsed == 0, "nobody waited"


def test_an_operation_is_valid_a_little_longer_than_its_caller_waits() -> None:
    desk = Desk()
    desk.members.log_time += 3_600_000_000
    desk.submit(undated("T-2"), wait=3 * SECOND)
    desk.answer(*desk.bundles())
    desk.answer(*desk.bundles())
    for wait, valid in ((3 * SECOND, 8), (9 * SECOND, 14), (HOUR, 590)):
        desk.submit(undated(f"T-{wait}"), wait=wait)
        (frame,) = desk.bundles()
        assert ends(desk, frame) == {valid}
        desk.answer(frame)


def test_the_time_since_the_newest_effective_time_is_counted() -> None:
    desk = Desk()
    desk.pass_time(20 * SECOND)
    desk.ahead -= HOUR  # this host's clock is set back: no matter
    desk.submit(undated(), wait=3 * SECOND)
    (frame,) = desk.bundles()
    assert ends(desk, frame) == {20 + 8}


@pytest.mark.parametrize("nonce", [b"", b"n-1"])
def test_members_clocks_that_jump_ahead_cost_a_second_bundle(nonce: bytes) -> None:
    """The members executed requests of others, an hour later than the newest that is known here."""
    desk = Desk()
    call = desk.submit(undated(nonce=nonce))
    (first,) = desk.bundles()
    desk.members.log_time += 3_600_000_000
    refuse(desk, first, 0, 1, 2)
    (second,) = desk.bundles()
    assert desk.codes(call) is None
    assert ends(desk, second) == {14}
    assert [each.nonce for each in desk.members.read(second)[0].operations] == [nonce]
    desk.answer(second)
    assert desk.codes(call) == ("ok",)


def test_an_operation_that_was_ordered_too_late_is_sent_again() -> None:
    desk = Desk()
    call = desk.submit(undated(), undated("T-2"))
    desk.members.log_time += 3_600_000_000
    desk.answer(*desk.bundles())
    assert desk.codes(call) is None
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok", "ok")


def test_log_time_that_stood_while_all_was_quiet_costs_a_second_bundle() -> None:
    """The members' clocks ran ahead and were set right: log time stands, but here an hour passed."""
    desk = Desk()
    desk.pass_time(HOUR)
    for _ in range(2):
        call = desk.submit(undated(f"T-{desk.members.sequence}"))
        for _ in range(3):
            if frames := desk.bundles():
                desk.answer(*frames)
        assert desk.codes(call) == ("ok",)
    assert len(desk.members.executed) == 2 + 2 + 2, "the second session took two attempts, the calls one each"


def test_an_operation_is_sent_again_only_once() -> None:
    desk = Desk()
    call = desk.submit(undated())
    for _ in range(2):
        desk.members.log_time += 3_600_000_000
        desk.answer(*desk.bundles())
    assert desk.codes(call) == ("expired",)
    assert desk.bundles() == []


@pytest.mark.parametrize("code", ["expired", "too_far_ahead"])
def test_r14_what_was_refused_for_its_date_did_not_happen(code: str) -> None:
    """It waits to be sent anew, when its caller gives up: it is sure that nothing was executed."""
    queue = Queue(operations_max=9, bytes_max=9_000)
    call = queue.add((undated(), undated("T-2")), 0, 0)
    (part,) = queue.gather(9)
    assert queue.settle(part, [Result(code), Result(code)]) is None
    assert queue.unsent() == [call]
    completed = queue.give_up(call)
    assert completed is not None
    assert [result.code for result in completed.results] == ["unavailable"] * 2


def test_r14_what_an_earlier_bundle_carried_may_have_happened_whatever_a_later_one_was_refused_for() -> None:
    queue = Queue(operations_max=9, bytes_max=9_000)
    call = queue.add((undated(),), 0, 0)
    queue.put_back(queue.gather(9)[0])
    (again,) = queue.gather(9)
    assert queue.settle(again, [Result("too_far_ahead")]) is None
    assert queue.unsent() == []
    completed = queue.give_up(call)
    assert completed is not None
    assert [result.code for result in completed.results] == ["outcome_unknown"]


def test_an_operation_that_its_caller_dated_is_sent_as_it_is() -> None:
    desk = Desk()
    asked = operation(valid=2)
    call = desk.submit(asked)
    (frame,) = desk.bundles()
    assert desk.members.read(frame)[0].operations == (asked,)
    desk.members.log_time += 3_600_000_000
    desk.answer(frame)
    assert desk.codes(call) == ("expired",)


@pytest.mark.parametrize("lie", [START // MICRO + 15_000_000, 1, 2**62])
def test_one_liar_of_four_decides_no_time(lie: int) -> None:
    desk = Desk()
    call = desk.submit(undated())
    (first,) = desk.bundles()
    desk.members.log_time += 3_600_000_000
    refuse(desk, first, 0, at=lie)
    refuse(desk, first, 1)
    assert desk.bundles() == []
    refuse(desk, first, 2)
    (second,) = desk.bundles()
    assert ends(desk, second) == {14}
    desk.answer(second)
    assert desk.codes(call) == ("ok",)


def test_with_silent_members_the_lowest_of_f_plus_1_times_counts() -> None:
    desk = Desk()
    call = desk.submit(undated())
    (first,) = desk.bundles()
    desk.members.log_time += 3_600_000_000
    refuse(desk, first, 1, 3)
    assert desk.bundles() == []
    desk.pass_time(300 * MILLISECOND)
    (second,) = (frame for frame in desk.bundles() if frame != first)
    assert ends(desk, second) == {14 - 1}, "the caller waited a little"
    desk.answer(second)
    assert desk.codes(call) == ("ok",)


def test_the_primarys_refusal_makes_the_others_answer_at_once() -> None:
    desk = Desk()
    desk.submit(undated())
    (first,) = desk.bundles()
    desk.members.log_time += 3_600_000_000
    refuse(desk, first, 0)
    desk.pass_time(0)
    assert [member for member, _frame in desk.sent] == [0, 1, 2, 3]


def test_members_of_the_form_before_tell_no_time() -> None:
    """Their refusals end the call as they always did."""
    desk = Desk()
    call = desk.submit(operation())
    (first,) = desk.bundles()
    refuse(desk, first, 0, 1, 2, at=0)
    assert desk.codes(call) == ("expired",)


def test_a_refusal_without_a_time_has_the_form_before() -> None:
    """That of 2026-11: five fields."""
    request = bytes(range(32))
    before = canonical.encode(((7, 1), 5, request, "busy", 100))
    assert canonical.encode_trimmed(m.Busy((7, 1), 5, request, "busy", 100)) == before
    assert canonical.decode(m.Busy, before) == m.Busy((7, 1), 5, request, "busy", 100, 0)
    told = canonical.encode_trimmed(m.Busy((7, 1), 5, request, "expired", 100, START))
    assert canonical.decode(m.Busy, told).timestamp == START


def test_an_older_time_or_the_same_again_moves_nothing() -> None:
    """Log time stands at the newest that was verified, and goes on from the moment when it was."""
    clock = LogClock()
    clock.verified(5_000_000, Now(1 * SECOND, START))
    for late in (4_000_000, 5_000_000):
        clock.verified(late, Now(3 * SECOND, START))
        assert clock.newest == 5_000_000
        assert clock.read(Now(4 * SECOND, START)) == 8_000_000
    clock.verified(9_000_000, Now(4 * SECOND, START))
    assert clock.read(Now(4 * SECOND, START)) == 9_000_000


def test_the_time_that_was_verified_outlives_an_epoch() -> None:
    desk = Desk()
    desk.members.log_time += 3_600_000_000
    call = desk.submit(undated())
    desk.answer(*desk.bundles())
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)
    known = desk.collector.log_clock.newest
    desk.collector._begin(desk.collector.epochs.present, first_question=1_000)
    assert desk.collector.log_clock.newest == known == desk.members.log_time
