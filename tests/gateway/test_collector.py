"""The collector sends bundles in sessions and completes calls; time and answers are the test's."""

import pytest

from dtvn.gateway import Collector, OperationTooLarge, Overloaded
from dtvn.gateway.reach import QUORUM_GRACE
from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import link_frame
from tests.gateway.support import MILLISECOND, SECOND, Desk, operation
from tests.support.table import table


def to_whom(desk: Desk) -> list[int]:
    receivers = [to for to, _frame in desk.sent]
    desk.sent.clear()
    return receivers


def test_r12_the_first_bundle_opens_a_session_with_a_nonce() -> None:
    desk = Desk(session=False)
    call = desk.submit(operation())
    (frame,) = desk.bundles()
    bundle, _request = desk.members.read(frame)
    assert (bundle.session, [op.kind for op in bundle.operations]) == ((0, 0), ["open_session"])
    assert 1 <= len(bundle.operations[0].nonce) <= 64
    (opened,) = desk.answer(frame)
    (frame,) = desk.bundles()
    bundle, _request = desk.members.read(frame)
    assert (bundle.session, bundle.number) == ((opened.entry.sequence, opened.first_index), 0)
    desk.answer(frame)
    assert desk.codes(call) == ("ok",)


def test_a_result_has_the_sequence_and_index_of_its_outcome() -> None:
    desk = Desk()
    call = desk.submit(operation("T-5"), operation("T-5"))
    (item,) = desk.answer(*desk.bundles())
    first, second = desk.completed[call].results
    assert (first.code, first.sequence, first.index) == ("ok", item.entry.sequence, 0)
    assert (second.code, second.index, second.state) == ("already_validated", 1, b"state of T-5")
    assert first.timestamp == item.entry.timestamp
    assert desk.collector.acknowledged == item.entry.sequence


def test_r17_an_answer_that_comes_late_takes_nothing_back_of_what_was_acknowledged() -> None:
    desk = Desk()
    calls = [desk.submit(operation(f"T-{number}")) for number in range(2)]
    (first,), (second,) = (desk.members.execute(frame) for frame in desk.bundles())
    assert first.entry.sequence < second.entry.sequence
    for item in (second, first):
        for member in range(2):
            desk.receive(member, desk.members.reply(member, item))
    assert [desk.codes(call) for call in calls] == [("ok",), ("ok",)]
    assert desk.collector.acknowledged == second.entry.sequence


@table("count", [1, 2, 3, 4, 5, 6, 7, 10], count=8)
def test_r16_a_call_ends_at_f_plus_1_equal_receipts_and_not_before(count: int) -> None:
    desk = Desk(count)
    call = desk.submit(operation())
    done = desk.members.execute(*desk.bundles())
    for member in range(quorum.weak_quorum(count, Mode.PBFT) - 1):
        desk.receive(member, desk.members.reply(member, done[0]))
    assert desk.codes(call) is None
    desk.receive(count - 1, desk.members.reply(count - 1, done[0]))
    assert desk.codes(call) == ("ok",)


def test_r44_one_receipt_ends_a_call_to_a_raft_cluster() -> None:
    """None of its members lies; PBFT would need two of five."""
    desk = Desk(5, mode=Mode.RAFT)
    call = desk.submit(operation())
    done = desk.members.execute(*desk.bundles())
    desk.receive(3, desk.members.reply(3, done[0]))
    assert desk.codes(call) == ("ok",)


def test_only_f_plus_1_receipts_are_verified() -> None:
    desk = Desk(10)
    desk.submit(operation())
    before = desk.members.paper.door.verifications
    desk.answer(*desk.bundles())
    assert desk.members.paper.door.verifications - before == quorum.weak_quorum(10, Mode.PBFT)


def test_bundles_of_one_batch_share_their_receipts() -> None:
    desk = Desk()
    for ticket in ("A", "B", "C"):
        desk.submit(operation(ticket))
    before = desk.members.paper.door.verifications
    desk.answer(*desk.bundles())
    assert len(desk.completed) == 3
    assert desk.members.paper.door.verifications - before == 2


def test_operations_arriving_during_flights_form_the_next_bundle() -> None:
    desk = Desk()
    calls = [desk.submit(operation(f"T-{i}")) for i in range(40)]
    first = desk.bundles()
    assert [len(desk.members.read(frame)[0].operations) for frame in first] == [1, 1, 1, 1]
    desk.answer(first[0])
    (gathered,) = desk.bundles()
    assert len(desk.members.read(gathered)[0].operations) == 36
    desk.answer(*first[1:], gathered)
    assert all(desk.codes(call) == ("ok",) for call in calls)


def test_r20_a_long_call_becomes_several_bundles_one_at_a_time() -> None:
    desk = Desk()
    call = desk.submit(*(operation(f"T-{i}") for i in range(2_500)))
    sizes = []
    while frames := desk.bundles():
        assert len(frames) == 1, "a call's operations keep their order: one bundle at a time"
        sizes.append(len(desk.members.read(frames[0])[0].operations))
        desk.answer(*frames)
    assert sizes == [1_000, 1_000, 500]
    assert [result.code for result in desk.completed[call].results] == ["ok"] * 2_500


def test_r20_a_bundle_holds_at_most_512_kib() -> None:
    desk = Desk()
    heavy = [
        m.Operation("validate", "default", f"T-{i}", "a", "r0", operation().valid_until, b"", bytes(60_000))
        for i in range(20)
    ]
    call = desk.submit(*heavy)
    while frames := desk.bundles():
        assert all(len(frame) <= 512 * 1024 for frame in frames)
        desk.answer(*frames)
    assert len(desk.completed[call].results) == 20


def test_an_operation_larger_than_a_bundle_is_refused_with_nothing_taken() -> None:
    desk = Desk()
    large = m.Operation("validate", "default", "T", "a", "r0", 0, b"", bytes(600_000))
    with pytest.raises(OperationTooLarge):
        desk.submit(large)
    assert desk.bundles() == []


def test_a_full_queue_refuses_until_there_is_room() -> None:
    desk = Desk()
    desk.collector.connected(frozenset(range(4)), desk.now)
    many = tuple(operation(f"T-{i}") for i in range(10_000))
    for _ in range(5):
        desk.collector.submit(many, desk.now, wait=SECOND)
    with pytest.raises(Overloaded):
        desk.collector.submit((operation("one more"),), desk.now, wait=SECOND)
    desk.pass_time(SECOND)
    desk.submit(operation("one more"))


def test_r34_a_bundle_goes_to_the_primary_first_then_to_all() -> None:
    desk = Desk()
    desk.submit(operation())
    assert to_whom(desk) == [0]
    desk.pass_time(99 * MILLISECOND)
    assert to_whom(desk) == []
    desk.pass_time(201 * MILLISECOND)
    assert to_whom(desk) == [0, 1, 2, 3]


def test_r34_the_first_timeout_follows_the_p99_and_stays_within_its_bounds() -> None:
    desk = Desk()
    for i in range(64):
        desk.submit(operation(f"T-{i}"))
        desk.pass_time(2 * MILLISECOND)
        desk.answer(*desk.bundles())
    desk.submit(operation("late"))
    desk.sent.clear()
    desk.pass_time(99 * MILLISECOND)
    assert to_whom(desk) == []
    desk.pass_time(2 * MILLISECOND)
    assert to_whom(desk) == [0, 1, 2, 3]


def sendings_to_all(desk: Desk, end: int) -> list[int]:
    """Milliseconds, in steps of ten, after which an unanswered bundle goes to all members."""
    desk.submit(operation("late", valid=60), wait=10 * SECOND)
    desk.sent.clear()
    times = []
    for elapsed in range(10, end, 10):
        desk.pass_time(10 * MILLISECOND)
        if to_whom(desk) == [0, 1, 2, 3]:
            times.append(elapsed)
    return times


def test_r34_resending_to_a_slow_cluster_follows_its_answer_times() -> None:
    """Under load every answer outlasts the first timeout: telling all members of everything every 300 ms
    would cost them more than the operations themselves."""
    desk = Desk()
    for i in range(32):
        desk.submit(operation(f"T-{i}", valid=60))
        frames = desk.bundles()
        desk.pass_time(500 * MILLISECOND)
        desk.answer(*frames)
    assert sendings_to_all(desk, 4_000) == [300, 1_300, 2_300, 3_300]


@pytest.mark.parametrize("answers", [0, 32])
def test_r34_silence_after_quick_answers_resends_quickly(answers: int) -> None:
    """A primary that dies: what was sent to it goes to all, and soon again."""
    desk = Desk()
    for i in range(answers):
        desk.submit(operation(f"T-{i}"))
        desk.pass_time(2 * MILLISECOND)
        desk.answer(*desk.bundles())
    first = 100 if answers else 300
    assert sendings_to_all(desk, 1_900)[:3] == [first, 2 * first, 4 * first]


def test_r14_a_bundle_is_sent_again_until_all_of_it_has_expired() -> None:
    desk = Desk()
    desk.submit(operation(valid=5), wait=2 * SECOND)
    desk.bundles()
    desk.pass_time(4_900 * MILLISECOND)
    assert len(desk.sent) >= 4 * 4
    desk.sent.clear()
    desk.pass_time(5 * SECOND)
    assert to_whom(desk) == []


def test_r14_an_unanswered_outcome_is_unknown_after_the_wait() -> None:
    desk = Desk()
    call = desk.submit(operation(), wait=3 * SECOND)
    desk.pass_time(2_999 * MILLISECOND)
    assert desk.codes(call) is None
    desk.pass_time(2 * MILLISECOND)
    assert desk.codes(call) == ("outcome_unknown",)


def test_r14_without_a_quorum_nothing_is_sent_and_the_call_is_refused() -> None:
    desk = Desk()
    desk.collector.connected(frozenset({0, 1}), desk.now)
    call = desk.submit(operation())
    desk.pass_time(QUORUM_GRACE + MILLISECOND)
    assert desk.codes(call) == ("unavailable",)
    assert desk.bundles() == []
    again = desk.submit(operation())
    assert desk.codes(again) == ("unavailable",), "the grace is over: refused at once"


def test_r14_if_no_member_ever_connected_calls_fail_after_the_grace() -> None:
    desk = Desk(session=False)
    desk.collector = Collector(
        desk.members.paper.genesis,
        principal="gateway",
        client=b"client02",
        signer=desk.members.paper.signer("gateway"),
        door=desk.members.paper.door,
    )
    call = desk.submit(operation())
    assert desk.codes(call) is None
    desk.pass_time(QUORUM_GRACE + MILLISECOND)
    assert desk.codes(call) == ("unavailable",)


def test_a_call_waits_out_a_short_loss_of_the_quorum() -> None:
    desk = Desk()
    desk.collector.connected(frozenset({0, 1}), desk.now)
    call = desk.submit(operation())
    desk.pass_time(500 * MILLISECOND)
    desk.collector.connected(frozenset({0, 1, 2}), desk.now)
    desk.settle()
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)


def test_r14_each_operation_of_a_cut_batch_shows_if_it_was_sent() -> None:
    desk = Desk()
    call = desk.submit(*(operation(f"T-{i}") for i in range(2_500)), wait=3 * SECOND)
    desk.answer(*desk.bundles())
    desk.pass_time(3 * SECOND)
    codes = desk.codes(call)
    assert codes == ("ok",) * 1_000 + ("outcome_unknown",) * 1_000 + ("unavailable",) * 500


def test_a_late_answer_after_the_wait_changes_nothing() -> None:
    desk = Desk()
    call = desk.submit(operation(), wait=SECOND)
    frames = desk.bundles()
    desk.pass_time(SECOND)
    assert desk.codes(call) == ("outcome_unknown",)
    desk.completed.clear()
    desk.answer(*frames)
    assert desk.completed == {}


def test_r16_a_retry_is_answered_by_repeats() -> None:
    desk = Desk()
    call = desk.submit(operation())
    done = desk.members.execute(*desk.bundles())
    desk.receive(2, desk.members.repeat(2, done[0]))
    assert desk.codes(call) is None
    desk.receive(2, desk.members.repeat(2, done[0]))
    assert desk.codes(call) is None, "the same member twice"
    desk.receive(3, desk.members.repeat(3, done[0]))
    (result,) = desk.completed[call].results
    assert (result.code, result.sequence, result.state) == ("ok", done[0].entry.sequence, b"")


def test_a_reply_and_a_repeat_agree_on_the_code_but_vouch_for_no_state() -> None:
    desk = Desk()
    call = desk.submit(operation())
    done = desk.members.execute(*desk.bundles())
    desk.receive(0, desk.members.reply(0, done[0]))
    desk.receive(1, desk.members.repeat(1, done[0]))
    (result,) = desk.completed[call].results
    assert (result.code, result.state) == ("ok", b"")


def test_r12_done_below_follows_the_lowest_number_in_flight() -> None:
    desk = Desk()
    for i in range(3):
        desk.submit(operation(f"T-{i}"))
    one, two, three = desk.bundles()
    desk.answer(two)
    desk.submit(operation("T-3"))
    (four,) = desk.bundles()
    numbers = [desk.members.read(frame)[0].number for frame in (one, two, three, four)]
    assert numbers == [1, 2, 3, 4]
    assert desk.members.read(four)[0].done_below == 1
    desk.answer(one, three)
    desk.submit(operation("T-4"))
    assert desk.members.read(desk.bundles()[0])[0].done_below == 4


def test_one_member_cannot_close_a_session_nor_refuse_a_bundle() -> None:
    desk = Desk()
    call = desk.submit(operation())
    (frame,) = desk.bundles()
    for code in ("unknown_session", "expired", "busy", "made_up"):
        desk.receive(3, desk.members.busy(frame, code, retry_after_ms=60_000))
    assert desk.codes(call) is None
    assert desk.bundles() == []
    desk.pass_time(300 * MILLISECOND)
    assert to_whom(desk) == [0, 1, 2, 3]
    desk.answer(frame)
    assert desk.codes(call) == ("ok",)


def test_f_plus_1_members_that_say_expired_end_the_wait() -> None:
    desk = Desk()
    call = desk.submit(operation())
    (frame,) = desk.bundles()
    desk.receive(1, desk.members.busy(frame, "expired"))
    desk.receive(2, desk.members.busy(frame, "expired"))
    assert desk.codes(call) is None, "a third may know log time better"
    desk.pass_time(300 * MILLISECOND)
    assert desk.codes(call) == ("expired",)


def test_f_plus_1_members_that_say_different_things_end_nothing() -> None:
    desk = Desk()
    call = desk.submit(operation())
    (frame,) = desk.bundles()
    for member, code in enumerate(("busy", "expired", "unknown_session")):
        desk.receive(member, desk.members.busy(frame, code))
    assert desk.codes(call) is None
    desk.receive(0, desk.members.busy(frame, "expired"))
    desk.receive(2, desk.members.busy(frame, "expired"))
    assert desk.codes(call) == ("expired",), "a member's newest reason counts"


def test_reasons_given_for_another_bundle_end_nothing() -> None:
    desk = Desk()
    call, other = desk.submit(operation("A")), desk.submit(operation("B"))
    one, two = desk.bundles()
    desk.receive(1, desk.members.busy(one, "expired"))
    desk.receive(2, desk.members.busy(two, "expired"))
    assert (desk.codes(call), desk.codes(other)) == (None, None)
    for member in (0, 3):
        desk.receive(member, desk.members.busy(two, "expired"))
    assert (desk.codes(call), desk.codes(other)) == (None, ("expired",))


def test_f_plus_1_busy_members_are_given_the_time_they_ask_for() -> None:
    desk = Desk()
    call = desk.submit(operation())
    (frame,) = desk.bundles()
    desk.pass_time(300 * MILLISECOND)
    desk.sent.clear()
    for member in (1, 2):
        desk.receive(member, desk.members.busy(frame, "busy", retry_after_ms=900))
    desk.pass_time(800 * MILLISECOND)
    assert to_whom(desk) == []
    desk.pass_time(200 * MILLISECOND)
    assert to_whom(desk) == [0, 1, 2, 3]
    desk.answer(frame)
    assert desk.codes(call) == ("ok",)


def statuses(desk: Desk, view: int, *members: int) -> None:
    """These members say that they are in `view`."""
    desk.pass_time(SECOND)
    desk.collector.tick(desk.now)
    for number in range(1, 2_000):
        for member in members:
            text = f'{{"view": {view}, "sequence": 7}}'
            desk.collector.receive(member, link_frame(m.Answer(number, "", text)), desk.now)
    desk.settle()


def test_the_primary_is_that_of_the_view_which_f_plus_1_members_reached() -> None:
    desk = Desk()
    statuses(desk, 2, 3)
    assert desk.collector.primary() == 0, "one member names no primary"
    statuses(desk, 1, 1)
    assert desk.collector.primary() == 1
    desk.submit(operation())
    assert to_whom(desk) == [1]


def test_a_bundle_goes_to_all_when_the_primary_is_not_connected() -> None:
    desk = Desk()
    desk.collector.connected(frozenset({1, 2, 3}), desk.now)
    desk.submit(operation())
    assert to_whom(desk) == [1, 2, 3]


def test_an_unanswered_bundle_holds_back_others_for_a_second_only() -> None:
    desk = Desk()
    for i in range(4):
        desk.submit(operation(f"stuck-{i}"))
    stuck = set(desk.bundles())
    call = desk.submit(operation("T-9"))
    assert desk.bundles() == []
    desk.pass_time(1_300 * MILLISECOND)
    fresh = [frame for frame in desk.bundles() if frame not in stuck]
    assert len(fresh) == 1
    desk.answer(*fresh)
    assert desk.codes(call) == ("ok",)


def test_a_question_is_answered_by_the_member_that_was_asked() -> None:
    desk = Desk()
    number = desk.collector.ask(2, "ticket", ("default", "T-1"), desk.now, wait=SECOND)
    desk.receive(1, link_frame(m.Answer(number, "", "{}")))
    assert desk.answered == []
    desk.receive(2, link_frame(m.Answer(number, "", '{"a": 1}')))
    assert [(a.question, a.code, a.text) for a in desk.answered] == [(number, "", '{"a": 1}')]


def test_a_question_ends_when_its_time_is_over_or_its_member_is_lost() -> None:
    desk = Desk()
    slow = desk.collector.ask(1, "stats", (), desk.now, wait=SECOND)
    lost = desk.collector.ask(2, "stats", (), desk.now, wait=5 * SECOND)
    desk.collector.connected(frozenset({0, 1, 3}), desk.now)
    desk.pass_time(SECOND)
    assert [(a.question, a.code) for a in desk.answered] == [(lost, "down"), (slow, "timeout")]


def test_an_operation_or_a_question_after_a_rest_polls_at_once() -> None:
    desk = Desk(session=False, poll_at_rest=1_000 * SECOND)
    for use in (
        lambda: desk.submit(operation()),
        lambda: desk.collector.ask(1, "stats", (), desk.now, wait=9 * SECOND),
    ):
        desk.pass_time(100 * SECOND)
        assert desk.collector.deadline() > desk.now.monotonic + SECOND
        use()
        assert desk.collector.deadline() <= desk.now.monotonic
