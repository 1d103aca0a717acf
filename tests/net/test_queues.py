"""The outbound lanes of one peer: bounded, votes first, oldest dropped (P15)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dtvn.net import Lane, Outbound, lane_of
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.wire.envelope import encode_envelope
from tests.support.table import table


@table("kind", sorted(m.KINDS), count=40)
def test_the_lane_follows_from_the_kind_of_the_envelope(kind: int) -> None:
    frame = encode_envelope(kind, b"body", b"")
    first = m.KINDS[kind] in {*m.STATEMENTS, m.Hello, m.Ping, m.Pong}
    expected = Lane.CONSENSUS if first else Lane.BULK
    assert lane_of(frame) is expected


def test_what_went_with_its_link_takes_no_room_any_more() -> None:
    outbound = Outbound(bytes_max=8)
    for _ in range(3):
        outbound.put(Lane.BULK, b"entries")
        outbound.put(Lane.CONSENSUS, b"vote")
        assert outbound.clear() == 2
        assert [outbound.put(lane, b"four") for lane in (*Lane, *Lane)] == [0, 0, 0, 0]
        assert outbound.clear() == 4


@given(st.binary(max_size=8))
def test_any_bytes_have_a_lane(frame: bytes) -> None:
    assert lane_of(frame) in Lane


def test_votes_overtake_bulk() -> None:
    outbound = Outbound()
    outbound.put(Lane.BULK, b"entries")
    outbound.put(Lane.CONSENSUS, b"vote")
    order = []
    while (frame := outbound.first()) is not None:
        order.append(frame)
        outbound.sent()
    assert order == [b"vote", b"entries"]


def test_pitfall_15_a_full_lane_drops_its_oldest_and_counts_it() -> None:
    outbound = Outbound(frames_max=3)
    dropped = [outbound.put(Lane.CONSENSUS, bytes([number])) for number in range(5)]
    dropped.append(outbound.put(Lane.BULK, b"bulk"))
    assert dropped == [0, 0, 0, 1, 1, 0]
    assert outbound.first() == b"\x02"
    assert len(outbound) == 4


def test_pitfall_15_bytes_are_bounded_but_one_frame_always_fits() -> None:
    outbound = Outbound(bytes_max=10)
    outbound.put(Lane.BULK, b"x" * 100)
    assert len(outbound) == 1
    outbound.put(Lane.BULK, b"y" * 6)
    assert outbound.clear() == 1
