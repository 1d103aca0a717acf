"""What a refused bundle may and may not do to the calls in it, reason by reason (R12, R14, R16)."""

from __future__ import annotations

import itertools

import pytest

from dtvn.protocol.consensus import BATCH_HEADER, FRAMING
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.wire import decode_envelope, link_frame
from dtvn.protocol.wire.envelope import encode_envelope
from tests.gateway.support import MILLISECOND, SECOND, Desk, operation
from tests.support.table import table

HANDLED = {"unknown_session", "outside_session_window", "too_large", "expired", "busy"}


@table("code", sorted({reason.value for reason in Reason} - HANDLED), count=25)
def test_a_reason_that_means_nothing_to_a_gateway_changes_nothing(code: str) -> None:
    desk = Desk()
    call = desk.submit(operation(nonce=b"n"))
    (frame,) = desk.bundles()
    desk.collector._bytes_max = 1
    for member in range(4):
        desk.receive(member, desk.members.busy(frame, code, retry_after_ms=5_000))
    assert (desk.bundles(), desk.codes(call)) == ([], None)
    desk.pass_time(300 * MILLISECOND)
    assert {member for member, _frame in desk.sent} == {0, 1, 2, 3}, "it is sent again in time"
    desk.answer(frame)
    assert desk.codes(call) == ("ok",)


def test_what_is_said_of_an_unknown_bundle_changes_nothing() -> None:
    desk = Desk()
    desk.submit(operation())
    (frame,) = desk.bundles()
    (done,) = desk.answer(frame)
    for member in range(4):
        desk.receive(member, desk.members.reply(member, done))
        desk.receive(member, desk.members.repeat(member, done))
        desk.receive(member, desk.members.busy(frame, "busy"))
    assert desk.collector.refused() == (0, 0, 0, 0)


def test_a_frame_of_another_kind_is_not_read_as_an_answer() -> None:
    """Each kind of answer, under every other kind's number."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation(nonce=b"n"))
    (frame,) = desk.bundles()
    (done,) = desk.members.execute(frame)
    number = desk.collector.ask(1, "members", (), desk.now, wait=SECOND)
    answer = link_frame(m.Answer(number, "", "[]"))
    busy = desk.members.busy(frame, "unknown_session")
    handled = {m.KIND_OF[kind] for kind in (m.Reply, m.Repeat, m.Busy, m.Judged, m.Answer)}
    for kinds in (set(range(256)) - handled, handled - {m.KIND_OF[m.Judged]}):
        for member, kind in itertools.product((1, 2), sorted(kinds)):
            for each in (desk.members.reply(member, done), desk.members.repeat(member, done), busy, answer):
                envelope, message = decode_envelope(each)
                if kind != m.KIND_OF[type(message)]:
                    desk.receive(member, encode_envelope(kind, envelope.body, envelope.signature))
        assert (desk.bundles(), desk.codes(call), desk.answered) == ([], None, [])
        assert any(desk.collector.refused()) == (kinds < handled), "unknown kinds are not even read"
    desk.receive(1, answer)
    assert len(desk.answered) == 1


def test_the_word_of_a_judge_goes_to_whoever_asked_with_its_member() -> None:
    desk = Desk()
    for kind in range(1, 256):
        desk.collector.receive(2, encode_envelope(kind, b"judged", b""), desk.now)
    assert desk.collector.take(desk.now).judged == [(2, b"judged")]


def test_each_call_moves_once_however_many_members_forgot_its_session() -> None:
    desk = Desk()
    desk.pass_time(2 * SECOND)
    calls = [desk.submit(operation(f"T-{number}", nonce=b"%d" % number)) for number in range(2)]
    for frame in desk.bundles():
        for member in range(4):
            desk.receive(member, desk.members.busy(frame, "unknown_session"))
    desk.answer(*desk.bundles())
    moved = [op.ticket for frame in desk.bundles() for op in desk.members.read(frame)[0].operations]
    assert sorted(moved) == ["T-0", "T-1"]
    assert [desk.codes(call) for call in calls] == [None, None]


def test_r14_a_bundle_that_can_no_longer_be_valid_ends_its_calls_at_once() -> None:
    """Before their callers' time is over, and also if nobody looked at the clock at that very moment."""
    desk = Desk()
    call = desk.submit(operation(valid=2))
    desk.pass_time(SECOND)
    assert desk.codes(call) is None
    desk.elapsed += 3 * SECOND
    desk.collector.tick(desk.now)
    desk.settle()
    assert desk.codes(call) == ("outcome_unknown",)


@pytest.mark.parametrize("nonce", [b"", b"n"])
def test_r20_one_operation_that_is_too_large_by_itself_is_not_sent_again(nonce: bytes) -> None:
    desk = Desk()
    call = desk.submit(operation(nonce=nonce))
    (frame,) = desk.bundles()
    desk.collector._bytes_max = 1  # the cluster's limit fell meanwhile
    for member in (1, 2, 3):
        desk.receive(member, desk.members.busy(frame, "too_large"))
    assert (desk.codes(call), desk.bundles()) == (("outcome_unknown",), [])


def test_r20_a_bundle_within_the_limits_that_are_proved_here_stays_as_it_is() -> None:
    """Smaller ones would be refused as well: the lower limit is that of an epoch not proved yet."""
    desk = Desk()
    call = desk.submit(operation(nonce=b"n"))
    (frame,) = desk.bundles()
    desk.collector._operations_max, desk.collector._bytes_max = 1, len(frame) + BATCH_HEADER + FRAMING
    for member in range(4):
        desk.receive(member, desk.members.busy(frame, "too_large"))
    assert (desk.codes(call), desk.bundles()) == (None, [])


def test_a_session_with_a_bundle_in_flight_does_not_rest() -> None:
    """A slow cluster is no reason to open another session every half minute."""
    desk = Desk()
    desk.submit(operation("T-1", valid=100), wait=60 * SECOND)
    (starved,) = desk.bundles()
    desk.pass_time(31 * SECOND)
    desk.bundles()
    desk.submit(operation("T-2", valid=100))
    (frame,) = desk.bundles()
    first, second = (desk.members.read(each)[0] for each in (starved, frame))
    assert (second.session, second.number) == (first.session, first.number + 1)


@pytest.mark.parametrize(
    ("code", "at_once"), [("full", False), ("busy", False), ("expired", True), ("zzz", False)]
)
def test_a_session_whose_opening_was_refused_is_none(
    code: str, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was refused for its date is asked for again at once, others a second later."""
    desk = Desk(session=False)
    call = desk.submit(operation())
    right = desk.members._apply
    monkeypatch.setattr(
        desk.members, "_apply", lambda op: m.Outcome(code, b"") if op.kind == "open_session" else right(op)
    )
    desk.answer(*desk.bundles())
    monkeypatch.undo()
    second = desk.bundles()
    assert bool(second) is at_once
    if not second:
        desk.pass_time(SECOND)
        second = desk.bundles()
    (opening,) = second
    assert desk.members.read(opening)[0].operations[0].kind == "open_session"
    desk.answer(opening)
    desk.answer(*desk.bundles())
    assert desk.codes(call) == ("ok",)


@pytest.mark.parametrize(("primary", "refuses", "sent"), [(1, 0, 0), (1, 1, 4), (1, 2, 0), (0, 3, 0)])
def test_the_refusal_of_the_primary_alone_makes_all_others_answer(
    primary: int, refuses: int, sent: int
) -> None:
    desk = Desk()
    for member in range(4):
        desk.collector._views.says(member, primary)
    desk.submit(operation())
    (frame,) = desk.bundles()
    desk.receive(refuses, desk.members.busy(frame, "expired", timestamp=desk.members.log_time))
    desk.pass_time(0)
    assert len(desk.sent) == sent


def test_the_next_refusal_of_the_primary_sends_nothing_again() -> None:
    desk = Desk()
    desk.submit(operation())
    (frame,) = desk.bundles()
    for sent in (4, 0):
        desk.receive(0, desk.members.busy(frame, "expired", timestamp=desk.members.log_time))
        desk.pass_time(0)
        assert len(desk.sent) == sent
        desk.sent.clear()


def test_a_bundle_is_in_flight_until_it_is_answered_or_left() -> None:
    desk = Desk()
    assert not desk.collector.flies()
    desk.submit(operation(nonce=b"n"))
    (frame,) = desk.bundles()
    assert desk.collector.flies()
    desk.answer(frame)
    assert not desk.collector.flies()


def test_f_plus_1_that_say_expired_end_a_bundle_that_all_calls_have_left() -> None:
    """Nothing of it is waited for, so the word of n - f is not needed; one member's word ends nothing."""
    desk = Desk()
    desk.pass_time(2 * SECOND)
    call = desk.submit(operation(nonce=b"n"))
    (frame,) = desk.bundles()
    for member in (1, 2):
        desk.receive(member, desk.members.busy(frame, "unknown_session"))
    request = desk.members.read(frame)[1]
    late = desk.members.log_time + 60_000_000
    assert desk.collector._flights.get(request) is not None
    desk.receive(3, desk.members.busy(frame, "expired", timestamp=late))
    assert desk.collector._flights.get(request) is not None
    desk.receive(0, desk.members.busy(frame, "expired", timestamp=late))
    assert desk.collector._flights.get(request) is None
    assert desk.codes(call) is None, "its copy is under way"
    desk.pass_time(100 * MILLISECOND)
