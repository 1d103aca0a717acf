"""Peers that lie: what they send is refused with a SyncError, and nothing of it stays (R46)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.sync import MESSAGE_BYTES_MAX, Sessions, Store, SyncError
from dtvn.sync.messages import FORM, Answer, Branch, Branches, Found, Give, Look, Root, Took, decode, encode
from tests.support.table import table
from tests.sync.support import NOW, item, many, store

FORGED = msgspec.structs.replace(item(), value=b"w")


def answered(store_here: Store, *answers: Answer) -> None:
    """An exchange whose peer gives these answers, one after the other."""
    sessions = Sessions(store_here)
    bodies = sessions.begin(b"liar", NOW)
    for each in answers:
        bodies = sessions.receive(b"liar", encode(decode(bodies[0]).number, each, answer=True), NOW)


OTHER = Root(bytes(32))
MARK = bytes(16)
ONE = Branches((Branch((), ((b"b" * 32, 1, MARK),)),))


@table(
    ("answers", "said"),
    [
        ([Took()], "does not answer Open"),
        ([OTHER, Branches(())], "0 ranges answer"),
        ([OTHER, Branches((Branch((("", MARK),), ()),))], "not in the range"),
        ([OTHER, Branches((Branch((), ((b"b" * 32, 1, MARK),) * 2),))], "not in the range"),
        ([OTHER, ONE, Found((FORGED,), answered=1)], "signature"),
        ([OTHER, ONE, Found((), answered=0)], "0 of 1 places"),
        ([OTHER, ONE, Found((), answered=2)], "2 of 1 places"),
    ],
    count=7,
)
def test_an_answer_that_no_honest_peer_gives_ends_the_exchange(answers: list[Answer], said: str) -> None:
    held = store(*many("ann", 3))
    root = held.root
    with pytest.raises(SyncError, match=said):
        answered(held, *answers)
    assert held.root == root


def test_a_forged_item_that_is_given_is_refused() -> None:
    held = store()
    with pytest.raises(SyncError, match="signature"):
        Sessions(held).receive(b"liar", encode(1, Give((FORGED,)), answer=False), NOW)
    assert len(held) == 0


def test_a_range_below_a_leaf_is_answered_and_ends_the_walk() -> None:
    held = store(*many("ann", 3))
    [place, *_] = [entry[0].hex() for entry in held.tree.entries("")]
    sessions = Sessions(held)
    for path, count in ((place, 1), (place[:20], 1), ("f" * 64, 0), ("f", held.tree.count("f"))):
        said = decode(sessions.answer(encode(1, Look((path,)), answer=False), NOW)).body
        assert isinstance(said, Branches)
        assert len(said.found[0].entries) == count


@table(
    ("body", "said"),
    [
        (canonical.encode((7, False, ("Open", bytes(32)))), "a message of form 1"),
        (canonical.encode((FORM + 1, 7, False, ("Open", bytes(32)))), f"a message of form {FORM + 1}"),
    ],
    count=2,
)
def test_a_message_of_another_form_is_refused_by_name(body: bytes, said: str) -> None:
    with pytest.raises(SyncError, match=f"{said}, and this release exchanges form {FORM}"):
        Sessions(store()).receive(b"peer", body, NOW)


def test_messages_that_are_too_large_or_none_are_refused() -> None:
    sessions = Sessions(store())
    for body in (bytes(MESSAGE_BYTES_MAX + 1), b"", b"\x93\x01\xc2\xa1x", b"x" * 100):
        with pytest.raises(SyncError):
            sessions.receive(b"liar", body, NOW)


def test_answers_that_nobody_asked_for_are_passed_over() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    assert sessions.receive(b"liar", encode(7, OTHER, answer=True), NOW) == []
    with pytest.raises(SyncError, match="nobody asked"):
        sessions.answer(encode(7, OTHER, answer=True), NOW)


def test_one_exchange_with_a_peer_runs_at_a_time_and_one_without_an_answer_is_over_after_30_s() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    assert len(sessions.begin(b"peer", NOW)) == 1
    assert sessions.begin(b"peer", NOW) == []
    assert len(sessions.begin(b"peer", NOW + 31_000_000)) == 1
    sessions.forget(b"peer")
    assert len(sessions.begin(b"peer", NOW + 31_000_000)) == 1


def test_an_exchange_that_ends_by_a_lie_leaves_room_for_the_next() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    (body,) = sessions.begin(b"peer", NOW)
    with pytest.raises(SyncError):
        sessions.receive(b"peer", encode(decode(body).number, Took(), answer=True), NOW)
    assert len(sessions.begin(b"peer", NOW)) == 1


def test_an_exchange_whose_answers_come_goes_on_for_longer_than_30_s() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    (body,) = sessions.begin(b"peer", NOW)
    later = NOW + 20_000_000
    (body,) = sessions.receive(b"peer", encode(decode(body).number, OTHER, answer=True), later)
    assert sessions.begin(b"peer", NOW + 40_000_000) == []
    empty = encode(decode(body).number, Branches((Branch((), ()),)), answer=True)
    assert len(sessions.receive(b"peer", empty, NOW + 40_000_000)) == 1
