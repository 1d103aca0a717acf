"""An idle or evicted session: what moves to another one, and which answers still count (R12-R14)."""

import pytest
from msgspec.structs import replace

from dtvn.gateway.collector import FLIGHTS_MAX
from dtvn.gateway.reach import QUORUM_GRACE
from dtvn.gateway.sessions import REOPEN_AFTER, Sessions
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.sessions import WINDOW
from tests.gateway.support import MILLISECOND, SECOND, Desk, operation


def test_an_idle_session_is_replaced_before_use() -> None:
    desk = Desk()
    desk.pass_time(31 * SECOND)
    call = desk.submit(operation("T-1", valid=60))
    (frame,) = desk.bundles()
    assert desk.members.read(frame)[0].operations[0].kind == "open_session"
    desk.answer(frame)
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)


def test_r14_each_session_that_is_refused_for_its_date_is_asked_for_again_at_once_but_only_once() -> None:
    sessions = Sessions("gateway", bytes(8))
    for time in (10 * SECOND, 60 * SECOND):
        now = Now(monotonic=time, wall=time)
        for request, due in ((b"1", True), (b"2", False)):
            assert sessions.to_open(now) is not None
            sessions.opening(request)
            sessions.misdated(request)
            sessions.ended(request, m.UNOPENED, 0)
            assert (sessions.deadline() == 0) is due
        later = Now(monotonic=time + REOPEN_AFTER, wall=time)
        assert sessions.to_open(later) is not None
        sessions.opening(b"3")
        sessions.opened(b"3", (1, 0), later)
        sessions.ended(b"3", m.UNOPENED, 0)
        sessions.leave((1, 0))


def test_an_evicted_session_moves_only_what_nonces_protect() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    bare = desk.submit(operation("T-1"), wait=9 * SECOND)
    safe = desk.submit(operation("T-2", nonce=b"n"), wait=9 * SECOND)
    frames = desk.bundles()
    for member in (1, 2):
        for frame in frames:
            desk.receive(member, desk.members.busy(frame, "unknown_session"))
    (opening,) = desk.bundles()
    assert desk.members.read(opening)[0].operations[0].kind == "open_session"
    desk.answer(opening)
    (moved,) = desk.bundles()
    assert [op.ticket for op in desk.members.read(moved)[0].operations] == ["T-2"]
    desk.answer(moved)
    assert desk.codes(safe) == ("ok",)
    assert desk.codes(bare) is None
    desk.pass_time(9 * SECOND)
    assert desk.codes(bare) == ("outcome_unknown",)


def test_an_evicted_session_moves_calls_with_nonces_out_of_a_shared_bundle() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    for number in range(8):
        desk.submit(operation(f"F-{number}"))
    in_flight = desk.bundles()
    bare = desk.submit(operation("T-1"), wait=9 * SECOND)
    safe = desk.submit(operation("T-2", nonce=b"n"), wait=9 * SECOND)
    desk.answer(*in_flight)
    (shared,) = desk.bundles()
    assert [op.ticket for op in desk.members.read(shared)[0].operations][-2:] == ["T-1", "T-2"]
    for member in (1, 2):
        desk.receive(member, desk.members.busy(shared, "unknown_session"))
    (opening,) = desk.bundles()
    desk.answer(opening)
    (moved,) = desk.bundles()
    assert [op.ticket for op in desk.members.read(moved)[0].operations] == ["T-2"]
    desk.answer(moved)
    assert desk.codes(safe) == ("ok",)
    assert desk.codes(bare) is None
    desk.pass_time(9 * SECOND)
    assert desk.codes(bare) == ("outcome_unknown",)


@pytest.mark.parametrize("nonces", [(b"n", b""), (b"", b"n")])
def test_r13_a_call_with_one_bare_operation_stays_in_its_session(nonces: tuple[bytes, ...]) -> None:
    """Its bundle may have been executed before the session was evicted: the bare one would be once more."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = [operation(f"T-{number}", nonce=nonce) for number, nonce in enumerate(nonces)]
    mixed = desk.submit(*call, wait=9 * SECOND)
    (frame,) = desk.bundles()
    for member in (1, 2):
        desk.receive(member, desk.members.busy(frame, "unknown_session"))
    assert desk.bundles() == [], "nothing waits for another session"
    desk.pass_time(9 * SECOND)
    assert desk.codes(mixed) == ("outcome_unknown", "outcome_unknown")


def evicted(desk: Desk, frame: bytes) -> None:
    """A liar, and an honest member that lags behind the session's opening, name it unknown."""
    for member in (3, 2):
        desk.receive(member, desk.members.busy(frame, "unknown_session"))


def sent_in_two_sessions(desk: Desk) -> tuple[bytes, bytes]:
    """The bundle of what was submitted, whose session is unknown by then, and that of the next session."""
    (frame,) = desk.bundles()
    evicted(desk, frame)
    (opening,) = desk.bundles()
    desk.answer(opening)
    (moved,) = desk.bundles()
    return frame, moved


def test_r14_a_sent_call_that_loses_its_session_is_never_unavailable() -> None:
    desk = Desk()
    call = desk.submit(operation("T-1", nonce=b"n"), wait=5 * SECOND)
    (frame,) = desk.bundles()
    desk.members.execute(frame)
    desk.pass_time(900 * MILLISECOND)
    evicted(desk, frame)
    fresh = desk.submit(operation("T-2", nonce=b"o"), wait=5 * SECOND)
    desk.collector.connected(frozenset({2, 3}), desk.now)
    desk.pass_time(QUORUM_GRACE + MILLISECOND)
    assert desk.codes(fresh) == ("unavailable",)
    assert desk.codes(call) is None, "answers to what was sent may still come"
    desk.collector.tick(desk.now)
    assert desk.collector.deadline() > desk.now.monotonic, "it waits without turning"
    desk.pass_time(3 * SECOND)
    assert desk.codes(call) == ("outcome_unknown",)


def test_r16_receipts_for_an_abandoned_bundle_still_count() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation("T-1", nonce=b"n"), operation("T-2", nonce=b"o"))
    frame, moved = sent_in_two_sessions(desk)
    (done,) = desk.answer(frame, members=(0, 1))
    (first, second) = desk.completed[call].results
    assert (first.code, first.sequence, second.code) == ("ok", done.entry.sequence, "ok")
    desk.completed.clear()
    desk.answer(moved)
    assert desk.completed == {}, "one call, one answer"
    again = desk.submit(operation("T-3"))
    desk.answer(*desk.bundles())
    assert desk.codes(again) == ("ok",)


def test_r12_an_answer_in_a_session_left_behind_ends_no_number_of_the_next_one() -> None:
    """Members would skip a bundle below `done_below` that is still in flight."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    desk.submit(operation("T-1", nonce=b"n"))
    frame, moved = sent_in_two_sessions(desk)
    desk.answer(moved)
    desk.submit(operation("T-2"))
    (starved,) = desk.bundles()
    in_flight = desk.members.read(starved)[0]
    assert in_flight.number == desk.members.read(frame)[0].number
    desk.answer(frame, members=(0, 1))
    desk.submit(operation("T-3"))
    (later,) = desk.bundles()
    assert desk.members.read(later)[0].done_below == in_flight.number


def test_r13_a_temporary_refusal_of_one_copy_does_not_end_the_other() -> None:
    """`busy` of the bundle left behind is not the outcome; `busy` of the later one leaves it unknown."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation("T-1", nonce=b"n"))
    frame, moved = sent_in_two_sessions(desk)
    for answered, codes in ((frame, None), (moved, ("outcome_unknown",))):
        (done,) = desk.members.execute(answered)
        for member in (0, 1):
            desk.receive(member, desk.members.repeat(member, done, codes=("busy",)))
        assert desk.codes(call) == codes


def test_r13_a_copy_of_which_one_operation_was_refused_for_now_leaves_all_to_the_other() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation("T-1", nonce=b"n"), operation("T-2", nonce=b"o"))
    frame, moved = sent_in_two_sessions(desk)
    for answered, told, codes in (
        (frame, ("ok", "busy"), None),
        (moved, ("ok", "already_validated"), ("ok", "already_validated")),
    ):
        (done,) = desk.members.execute(answered)
        for member in (0, 1):
            desk.receive(member, desk.members.repeat(member, done, codes=told))
        assert desk.codes(call) == codes


def test_r14_the_end_of_a_bundle_ends_no_call_that_has_left_it() -> None:
    """The call moved into a bundle that stays valid for longer, and can still be answered there."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation("T-1", nonce=b"n", valid=6), wait=20 * SECOND)
    (frame,) = desk.bundles()
    evicted(desk, frame)
    (opening,) = desk.bundles()
    desk.submit(operation("T-2", valid=20), wait=20 * SECOND)
    desk.answer(opening)
    (moved,) = desk.bundles()
    assert [op.ticket for op in desk.members.read(moved)[0].operations] == ["T-1", "T-2"]
    (done,) = desk.members.execute(moved)
    desk.pass_time(5 * SECOND)
    assert desk.codes(call) is None
    for member in (0, 1):
        desk.receive(member, desk.members.reply(member, done))
    assert desk.codes(call) == ("ok",)


def test_r20_a_long_call_changing_sessions_gets_each_outcome_once_in_order() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(*(operation(f"T-{i}", nonce=b"%d" % i) for i in range(1_500)))
    frame, moved = sent_in_two_sessions(desk)
    (done,) = desk.answer(frame)
    assert desk.codes(call) is None
    assert desk.bundles() == [], "one bundle at a time"
    desk.answer(moved)
    (rest,) = desk.bundles()
    desk.answer(rest)
    results = desk.completed[call].results
    assert [result.code for result in results] == ["ok"] * 1_500
    assert {result.sequence for result in results[:1_000]} == {done.entry.sequence}
    assert len(desk.members.read(rest)[0].operations) == 500


def test_r14_a_refusal_of_a_part_that_was_sent_once_is_its_outcome() -> None:
    """What was sent before are the operations of the part in front of it."""
    desk = Desk()
    call = desk.submit(*(operation(f"T-{i}", nonce=b"%d" % i) for i in range(1_500)))
    desk.answer(*desk.bundles())
    (rest,) = desk.bundles()
    (done,) = desk.members.execute(rest)
    for member in (0, 1):
        desk.receive(member, desk.members.repeat(member, done, codes=("busy",) * 500))
    assert desk.codes(call) == ("ok",) * 1_000 + ("busy",) * 500


def test_abandoned_bundles_are_heard_until_expiry_and_sent_no_more() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    desk.submit(operation("T-1", nonce=b"n"), wait=3 * SECOND)
    (frame,) = desk.bundles()
    evicted(desk, frame)
    desk.pass_time(8 * SECOND)
    assert frame not in desk.bundles()
    assert len(desk.collector._flights) == 2, "the bundle, and one that opens a session"
    desk.pass_time(20 * SECOND)
    assert len(desk.collector._flights) == 0


def test_a_bounded_number_of_abandoned_bundles_is_heard() -> None:
    """A cluster that forgets each session at once would fill the memory of the gateway; the newest ones are
    the likeliest to be answered."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation("T-1", nonce=b"n", valid=600), wait=600 * SECOND)
    (frame,) = desk.bundles()
    for _ in range(FLIGHTS_MAX + 10):
        desk.pass_time(REOPEN_AFTER)
        desk.sent.clear()
        evicted(desk, frame)
        (opening,) = desk.bundles()
        desk.answer(opening)
        abandoned, (frame,) = frame, desk.bundles()
    assert len(desk.collector._flights.left()) == FLIGHTS_MAX
    desk.answer(abandoned)
    assert desk.codes(call) == ("ok",)


def test_r12_a_starved_bundle_pushes_no_later_one_out_of_the_window() -> None:
    """The 1,025th bundle after one that is never answered goes into a session of its own."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    starved = desk.submit(operation("T-starved", valid=600), wait=600 * SECOND)
    (kept_back,) = desk.bundles()
    session = desk.members.read(kept_back)[0].session
    numbers = []
    while True:
        call = desk.submit(operation("T-later", valid=600), wait=600 * SECOND)
        (frame,) = [frame for frame in desk.bundles() if frame != kept_back]
        bundle = desk.members.read(frame)[0]
        if bundle.session != session:
            break
        assert bundle.number < bundle.done_below + WINDOW, "members would refuse it"
        numbers.append(bundle.number)
        desk.answer(frame)
        assert desk.codes(call) is not None
    assert len(numbers) == WINDOW - 1
    assert bundle.operations[0].kind == "open_session"
    desk.answer(frame)
    desk.answer(*[frame for frame in desk.bundles() if frame != kept_back])
    assert desk.codes(call) is not None
    desk.answer(kept_back)
    assert desk.codes(starved) == ("ok",), "its answer still counts"


def test_a_new_key_moves_nonced_operations_and_retires_the_old_name() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    bare = desk.submit(operation("T-1"), wait=9 * SECOND)
    safe = desk.submit(operation("T-2", nonce=b"n"), wait=9 * SECOND)
    before = desk.bundles()
    assert {desk.members.read(frame)[0].principal for frame in before} == {"gateway"}
    assert desk.collector.flies()
    desk.collector.rekey("gateway#1", desk.members.paper.signer("gateway"), desk.now)
    desk.settle()
    (opening,) = desk.bundles()
    assert desk.members.read(opening)[0].principal == "gateway#1"
    desk.answer(opening)
    (moved,) = desk.bundles()
    bundle = desk.members.read(moved)[0]
    assert (bundle.principal, [op.ticket for op in bundle.operations]) == ("gateway#1", ["T-2"])
    desk.answer(moved)
    assert desk.codes(safe) == ("ok",)
    assert desk.codes(bare) is None
    desk.pass_time(9 * SECOND)
    assert desk.codes(bare) == ("outcome_unknown",)


def test_while_the_key_is_about_to_change_nothing_new_is_sent() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    desk.collector.held = True
    call = desk.submit(operation("T-1"), wait=9 * SECOND)
    assert desk.bundles() == []
    desk.collector.rekey("gateway#1", desk.members.paper.signer("gateway"), desk.now)
    desk.settle()
    desk.answer(*desk.bundles())
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)


def smaller_batches(desk: Desk) -> None:
    """An epoch whose batches hold five operations begins while bundles are under way."""
    founded = founding(desk.members.paper.genesis)
    smaller = replace(founded, parameters=replace(founded.parameters, batch_operations_max=5))
    desk.collector._begin(smaller, first_question=1_000)
    desk.collector.connected(frozenset(range(4)), desk.now)


def test_r20_a_bundle_now_too_large_is_sent_again_in_smaller_ones() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    safe = desk.submit(*(operation(f"T-{n}", nonce=b"n%d" % n) for n in range(12)))
    bare = desk.submit(*(operation(f"B-{n}") for n in range(8)))
    single = desk.submit(operation("S-1"))
    frames = desk.bundles()
    assert [len(desk.members.read(frame)[0].operations) for frame in frames] == [12, 8, 1]
    for frame in frames:
        for member in (1, 2):
            desk.receive(member, desk.members.busy(frame, "too_large"))
    assert desk.bundles() == [], "smaller ones would be as large: of that epoch nothing is proved yet"
    smaller_batches(desk)
    for frame in frames:
        desk.receive(3, desk.members.busy(frame, "too_large"))
    assert desk.codes(bare) == ("outcome_unknown",) * 8, (
        "said at once: it may be executed, nothing protects it"
    )
    answered = []
    while desk.codes(safe) is None:
        sent = desk.bundles()
        assert sent
        answered += [len(desk.members.read(frame)[0].operations) for frame in sent]
        desk.answer(*sent)
    assert answered == [1, 5, 5, 2], "a session, and the call in three parts"
    assert desk.codes(safe) == ("ok",) * 12
    assert desk.codes(single) is None, "small enough: it is not given up"
    desk.answer(frames[2])
    assert desk.codes(single) == ("ok",)


def test_r20_one_liar_that_calls_a_bundle_too_large_changes_nothing() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(*(operation(f"T-{n}", nonce=b"n%d" % n) for n in range(12)))
    (frame,) = desk.bundles()
    smaller_batches(desk)
    for _ in range(3):
        desk.receive(3, desk.members.busy(frame, "too_large"))
    assert desk.codes(call) is None
    assert desk.bundles() == []
    desk.answer(frame)
    assert desk.codes(call) == ("ok",) * 12
