"""Peers that lie: what they send is refused with a SyncError, and nothing of it stays (R46)."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.sync import MESSAGE_BYTES_MAX, Sessions, Store, SyncError, SyncProtocol
from dtvn.sync.messages import (
    SNAPSHOT_ITEMS_MAX,
    Answer,
    Branch,
    Branches,
    Chunk,
    Found,
    Head,
    Listing,
    Offer,
    Question,
    Root,
    Took,
    decode,
    encode,
)
from tests.support.table import table
from tests.sync.support import NOW, by_place, item, many, store

FORGED = msgspec.structs.replace(item(), value=b"w")


def answered(store_here: Store, protocol: SyncProtocol, *answers: Answer) -> None:
    """An exchange whose peer gives these answers, one after the other."""
    sessions = Sessions(store_here)
    bodies = sessions.begin(b"liar", protocol, NOW)
    for each in answers:
        bodies = sessions.receive(b"liar", encode(decode(bodies[0]).number, each, answer=True), NOW)


def asked(store_here: Store, *questions: Question) -> None:
    sessions = Sessions(store_here)
    for each in questions:
        sessions.receive(b"liar", encode(1, each, answer=False), NOW)


OTHER = Root(bytes(32))
MARK = bytes(16)
ONE = Listing(((b"b" * 32, 1, MARK),), has_more=False)
SWAPPED = Listing(((b"b" * 32, 1, MARK), (b"a" * 32, 1, MARK)), has_more=False)
FIVE_BYTES = Head(bytes(32), 5, 5, compressed=False, behind=False)
GOSSIP, MERKLE, SNAPSHOT = SyncProtocol.GOSSIP, SyncProtocol.MERKLE, SyncProtocol.SNAPSHOT


@table(
    ("protocol", "answers", "said"),
    [
        (GOSSIP, [Took()], "does not answer Open"),
        (GOSSIP, [OTHER, Listing((), has_more=True)], "order of its keys"),
        (GOSSIP, [OTHER, SWAPPED], "order of its keys"),
        (GOSSIP, [OTHER, ONE, Found((FORGED,), has_more=False, next_cursor=1)], "signature"),
        (GOSSIP, [OTHER, ONE, Found((), has_more=True, next_cursor=0)], "brings nothing"),
        (MERKLE, [OTHER, Branches(())], "0 ranges answer"),
        (MERKLE, [OTHER, Branches((Branch((("", MARK),), ()),))], "not in the range"),
        (MERKLE, [OTHER, Branches((Branch((), ((b"b" * 32, 1, MARK),) * 2),))], "not in the range"),
        (SNAPSHOT, [OTHER, FIVE_BYTES, Chunk(0, b"abc")], "chunk 0 of 3 bytes"),
        (SNAPSHOT, [OTHER, FIVE_BYTES, Chunk(0, b"abcde")], "checksum mismatch"),
    ],
    count=10,
)
def test_an_answer_that_no_honest_peer_gives_ends_the_exchange(
    protocol: SyncProtocol, answers: list[Answer], said: str
) -> None:
    held = store(*many("ann", 3))
    root = held.root
    with pytest.raises(SyncError, match=said):
        answered(held, protocol, *answers)
    assert held.root == root


def offered(body: bytes, *, compressed: bool = False, unpacked: int | None = None) -> list[Question]:
    plain = canonical.digest(body)
    head = Head(plain, len(body), len(body) if unpacked is None else unpacked, compressed, behind=False)
    return [Offer(head, bytes(32)), Chunk(0, body)]


def test_a_snapshot_with_one_forged_item_changes_nothing() -> None:
    held = store()
    with pytest.raises(SyncError, match="signature"):
        asked(held, *offered(canonical.encode(by_place(*many("ann", 5), FORGED))))
    assert len(held) == 0
    asked(held, *offered(canonical.encode(by_place(*many("ann", 5)))))
    assert len(held) == 5


def test_a_snapshot_with_an_item_twice_costs_no_signature_check() -> None:
    held = store()
    held.proved = None  # type: ignore[method-assign, assignment]
    with pytest.raises(SyncError, match="order of their places"):
        asked(held, *offered(canonical.encode((item(),) * 200)))


def test_a_snapshot_of_too_many_items_is_refused_by_the_length_that_its_list_says() -> None:
    said = b"\xdd" + (SNAPSHOT_ITEMS_MAX + 1).to_bytes(4)
    with pytest.raises(SyncError, match="length <= 100000"):
        asked(store(), *offered(said + bytes(SNAPSHOT_ITEMS_MAX // 100)))


def test_a_small_message_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(30_000_000)) + packer.flush()
    with pytest.raises(SyncError, match="does not end where it says"):
        asked(store(), *offered(bomb, compressed=True, unpacked=1_000))


def test_what_stands_behind_a_packed_snapshot_is_refused() -> None:
    """Equal items give equal bytes, so a snapshot carries nothing beside its items when it is passed on."""
    held, body = store(), canonical.encode(by_place(*many("ann", 5)))
    packer = zlib.compressobj(wbits=31)
    sent = packer.compress(body) + packer.flush()
    question, *chunks = offered(sent + b"more", compressed=True, unpacked=len(body))
    assert isinstance(question, Offer)
    head = msgspec.structs.replace(question.head, checksum=canonical.digest(body))
    with pytest.raises(SyncError, match="does not end where it says"):
        asked(held, msgspec.structs.replace(question, head=head), *chunks)
    assert len(held) == 0


def test_messages_that_are_too_large_or_none_are_refused() -> None:
    sessions = Sessions(store())
    for body in (bytes(MESSAGE_BYTES_MAX + 1), b"", b"\x93\x01\xc2\xa1x", b"x" * 100):
        with pytest.raises(SyncError):
            sessions.receive(b"liar", body, NOW)


def test_answers_that_nobody_asked_for_are_passed_over() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    assert sessions.receive(b"liar", encode(7, OTHER, answer=True), NOW) == []
    with pytest.raises(SyncError, match="nobody asked"):
        sessions.answer(b"liar", encode(7, OTHER, answer=True), NOW)


def test_one_exchange_with_a_peer_runs_at_a_time_and_one_without_an_answer_is_over_after_30_s() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    assert len(sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW)) == 1
    assert sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW) == []
    assert len(sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW + 31_000_000)) == 1
    sessions.forget(b"peer")
    assert len(sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW + 31_000_000)) == 1


def test_an_exchange_that_ends_by_a_lie_leaves_room_for_the_next() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    (body,) = sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW)
    with pytest.raises(SyncError):
        sessions.receive(b"peer", encode(decode(body).number, Took(), answer=True), NOW)
    assert len(sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW)) == 1


def test_an_exchange_whose_answers_come_goes_on_for_longer_than_30_s() -> None:
    sessions = Sessions(store(*many("ann", 2)))
    (body,) = sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW)
    later = NOW + 20_000_000
    (body,) = sessions.receive(b"peer", encode(decode(body).number, OTHER, answer=True), later)
    assert sessions.begin(b"peer", SyncProtocol.GOSSIP, NOW + 40_000_000) == []
    empty = encode(decode(body).number, Listing((), has_more=False), answer=True)
    assert len(sessions.receive(b"peer", empty, NOW + 40_000_000)) == 1
